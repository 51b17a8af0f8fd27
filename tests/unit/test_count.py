"""Counting lines: what Elasticsearch is asked, the table, the heat map, and the objects for Kibana."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
from click.testing import CliRunner

from daqsched.cli import main
from daqsched.errors import UserError
from daqsched.logs import count, kibana
from daqsched.logs.count import Counted, Group, Novelty, names_from, novelty_hosts
from daqsched.logs.lines import Line
from daqsched.terminal import heat
from daqsched_executor.contract.template import FIELDS

#: 14:00 local time.
BEGIN = datetime(2026, 11, 23, 14).timestamp()


def test_all_that_lines_are_counted_by_are_fields_of_lines() -> None:
    """A name that the template forgot would count nothing, silently."""
    assert all(field in FIELDS or field.partition(".")[0] == "labels" for field in count.FIELDS.values())


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("host", ("host",)),
        ("host, level", ("host", "level")),
        ("fingerprint,message", ("message",)),
        ("release", ("version",)),
        ("", ()),
    ],
)
def test_names_to_count_by(text: str, names: tuple[str, ...]) -> None:
    """Also by other words for the same; each once."""
    assert names_from(text) == names


def test_what_cannot_be_counted_by_is_told_with_what_can() -> None:
    """One sentence."""
    with pytest.raises(UserError, match="can't be counted by 'hots': there are host, job"):
        names_from("hots")


def test_a_page_of_groups_is_asked_and_read() -> None:
    """Lines that lack a field are a group of their own; a full page has a next one."""
    asked = count.groups_asked(["host", "run"], 90, {"host": "a"})["groups"]["composite"]
    assert asked["after"] == {"host": "a"}
    assert asked["sources"] == [
        {"host": {"terms": {"field": "host.name", "missing_bucket": True}}},
        {"run": {"terms": {"field": "labels.run", "missing_bucket": True}}},
        {"time": {"date_histogram": {"field": "@timestamp", "fixed_interval": "90000ms"}}},
    ]
    bucket = {"key": {"host": "a", "run": None, "time": 1000}, "doc_count": 3}
    answer = {"aggregations": {"groups": {"buckets": [bucket], "after_key": {"host": "a"}}}}
    assert count.groups_of(["host", "run"], answer) == ([Group(("a", "-"), 3, 1.0)], None)
    full = {"aggregations": {"groups": {"buckets": [bucket] * count.PAGE, "after_key": {"host": "a"}}}}
    assert count.groups_of(["host", "run"], full)[1] == {"host": "a"}
    assert count.groups_of(["host"], {"hits": {}}) == ([], None)


COUNTED = Counted(
    ("host", "level"),
    (
        Group(("hlt2", "error"), 5, BEGIN),
        Group(("hlt2", "error"), 1995, BEGIN + 60),
        Group(("hlt10", "info"), 70, BEGIN),
    ),
    2070,
)


def test_a_table_has_the_largest_groups_first_and_says_what_is_not_shown() -> None:
    """Numbers add up to the total."""
    assert count.table(COUNTED, 10, {}, 80) == [
        "host   level  lines",
        "hlt2   error  2,000",
        "hlt10  info      70",
    ]
    cut = Counted(COUNTED.by, COUNTED.groups, 3000)
    assert count.table(cut, 1, {}, 80)[-2:] == [
        "... and 70 lines in 1 smaller group (--lines N shows more)",
        "... and 930 lines in groups beyond the first 50,000: ask for less time or fewer",
    ]


def test_a_message_is_shown_by_an_example_within_the_width() -> None:
    """Behind its number."""
    counted = Counted(("message",), (Group(("abcd",), 3), Group(("-",), 1)), 4)
    rows = count.table(counted, 5, {"abcd": "[ERROR] cvmfs: " + "x" * 100}, 40)
    assert rows[0] == "message  lines" and rows[2] == "-            1"
    assert rows[1].startswith("abcd         3  [ERROR] cvmfs: xxx")
    assert max(map(len, rows)) <= 40


def test_numbers_for_programs() -> None:
    """By time, then the largest first; what a line lacks is null; the totals at the end."""
    rows = [json.loads(row) for row in count.json_rows(COUNTED, 60, {})]
    assert [(row.get("host"), row.get("lines")) for row in rows] == [
        ("hlt10", 70),
        ("hlt2", 5),
        ("hlt2", 1995),
        (None, None),
    ]
    assert rows[-1] == {"total": 2070, "cut": 0}
    assert "time" in rows[0]
    by_message = Counted(("message",), (Group(("abcd",), 3), Group(("-",), 1)), 4)
    assert [json.loads(row) for row in count.json_rows(by_message, 0, {"abcd": "x 1"})][:2] == [
        {"fingerprint": "abcd", "message": "x 1", "lines": 3},
        {"fingerprint": None, "message": None, "lines": 1},
    ]


def test_hosts_of_a_new_message() -> None:
    """Some by name, the others by number."""
    line = Line(0.0, "a", "", "", "", "", "")
    assert novelty_hosts(Novelty(line, 3, ("a", "b"), 2)) == "a, b"
    assert novelty_hosts(Novelty(line, 3, ("a", "b"), 12)) == "a, b and 10 more"


# -- the heat map ----------------------------------------------------------------------------------------------------


def drawn(counted: Counted, minutes: int = 60, width: int = 80, every_s: float = 60, **more: Any) -> list[str]:
    """A map from 14:00 on."""
    return heat.heat_map(counted, BEGIN, BEGIN + minutes * 60, every_s, 20, width, **more)


def test_a_map_shows_rows_by_name_a_time_axis_and_what_shades_mean() -> None:
    """Without colours, told apart by shades."""
    rows = drawn(COUNTED, 10, 60)
    assert rows[0] == "hlt2 error |░░░░████                                | 2,000"
    assert rows[1] == "hlt10 info |▓▓▓▓                                    |    70"
    assert rows[2] == "            14:00   14:02   14:04   14:06   14:08"
    assert rows[3] == "lines in 1 min:  ░ 1-6  ▒ 7-44  ▓ 45-298  █ 299-1,995"


@pytest.mark.parametrize("width", [40, 80, 120, 200])
@pytest.mark.parametrize("minutes", [1, 7, 60, 61, 1440, 10_000])
@pytest.mark.parametrize("every_s", [1, 10, 60, 3600])
def test_a_map_is_never_wider_than_the_terminal_and_counts_every_line(width: int, minutes: int, every_s: float) -> None:
    """However many intervals there are: they are joined, and the legend says how long one is."""
    groups = [
        Group((f"host-with-a-long-name-{host:02}.detector.example.org",), 1 + (at * host) % 13, BEGIN + at * every_s)
        for host in range(12)
        for at in range(int(minutes * 60 / every_s) or 1)[:500]
    ]
    counted = Counted(("host",), tuple(groups), sum(group.count for group in groups))
    rows = drawn(counted, minutes, width, every_s)
    assert max(map(len, rows[:-1])) <= width
    cells = [re.search(r"\|(.*)\|", row) for row in rows[:12]]
    widths = {len(found.group(1)) for found in cells if found}
    assert len(widths) == 1 and all(found and found.group(1).strip() for found in cells)


def test_colours_are_only_added_to_shades() -> None:
    """Who takes them away has the same map."""
    bare = [re.sub(r"\x1b\[\d*m", "", row) for row in drawn(COUNTED, colours=True)]
    assert bare == drawn(COUNTED) and "\x1b[" in drawn(COUNTED, colours=True)[0]


def test_a_terminal_without_utf_8_has_a_map_too() -> None:
    """ASCII only."""
    assert all(row.isascii() for row in drawn(COUNTED, plain=True, width=30))


@pytest.mark.parametrize("most", [1, 2, 3, 4, 5, 17, 100, 12_345, 10**9])
def test_shades_begin_at_one_line_and_rise(most: int) -> None:
    """No two shades mean the same."""
    limits = heat.bounds(most)
    assert limits[0] == 1 and limits == sorted(set(limits)) and len(limits) == 4


@pytest.mark.parametrize(
    ("seconds", "words"), [(90, "90 s"), (60, "1 min"), (7200, "2 h"), (86400, "1 d"), (0.5, "0.5 s")]
)
def test_lengths_in_words(seconds: float, words: str) -> None:
    """In the largest unit that fits."""
    assert heat.length(seconds) == words


# -- Kibana ----------------------------------------------------------------------------------------------------------


def objects() -> list[dict[str, Any]]:
    """What is to be imported."""
    return [json.loads(row) for row in kibana.ndjson("farm").splitlines()]


def texts(value: Any) -> Iterator[str]:
    """All strings of a value that hold JSON."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if isinstance(inner, str) and name.endswith("JSON"):
                yield inner
            yield from texts(inner)
    elif isinstance(value, list):
        yield from itertools.chain.from_iterable(map(texts, value))


def test_each_object_is_whole_and_refers_only_to_those_before_it() -> None:
    """Types and ids of references; an importer needs no second pass."""
    known: set[tuple[str, str]] = set()
    for one in objects():
        assert set(one) >= {"type", "id", "attributes", "references", "coreMigrationVersion", "typeMigrationVersion"}
        assert all((reference["type"], reference["id"]) in known for reference in one["references"]), one["id"]
        assert one["attributes"]["title"]
        assert (one["type"], one["id"]) not in known
        known.add((one["type"], one["id"]))
    assert {kind for kind, _ in known} == {"index-pattern", "search", "lens", "dashboard"}


def test_json_inside_json_is_json_and_its_references_are_named() -> None:
    """``indexRefName``, ``panelRefName`` and a diagram's layers."""
    for one in objects():
        names = {reference["name"] for reference in one["references"]}
        inner = [json.loads(text) for text in texts(one["attributes"])]
        used = {value["indexRefName"] for value in inner if isinstance(value, dict) and "indexRefName" in value}
        for panels in (value for value in inner if isinstance(value, list)):
            for panel in panels:
                used.add(f"{panel['panelIndex']}:{panel['panelRefName']}")
                grid = panel["gridData"]
                assert grid["x"] + grid["w"] <= 48 and grid["i"] == panel["panelIndex"]
        if one["type"] == "lens":
            (layer,) = one["attributes"]["state"]["datasourceStates"]["formBased"]["layers"]
            used.add(f"indexpattern-datasource-layer-{layer}")
        assert used == names, one["id"]


def test_every_field_in_kibanas_objects_is_one_of_ours() -> None:
    """Columns, axes and filters."""
    for one in objects():
        attributes = one["attributes"]
        fields = list(attributes.get("columns", []))
        if one["type"] == "lens":
            (layer,) = attributes["state"]["datasourceStates"]["formBased"]["layers"].values()
            fields += [column["sourceField"] for column in layer["columns"].values()]
            assert set(layer["columnOrder"]) == set(layer["columns"])
        if one["type"] == "index-pattern":
            fields += [*json.loads(attributes["fieldAttrs"]), *json.loads(attributes["fieldFormatMap"])]
            assert (attributes["title"], attributes["timeFieldName"]) == ("farm-*", "@timestamp")
        assert set(fields) <= {*FIELDS, "___records___"}
    filters = " ".join(search[2] for search in kibana.SEARCHES) + " " + " ".join(one[4] for one in kibana.DIAGRAMS)
    assert set(re.findall(r"([\w.]+):", filters)) <= set(FIELDS)


def test_the_command_prints_what_is_to_be_imported() -> None:
    """Into a file, with the index's own name."""
    made = CliRunner().invoke(main, ["logs", "kibana", "--index", "farm"])
    assert (made.exit_code, made.output) == (0, kibana.ndjson("farm"))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--count", "-f"], "--count and --follow can't be combined"),
        (["--new=1h", "--at", "14:00"], "--at and --new can't be combined"),
        (["--elasticsearch", "http://127.0.0.1:1", "--index", "x", "--new", "readout"], "write the jobs before it"),
        (["--run", "12", "--sandbox"], "--run needs Elasticsearch"),
        (["--level", "loud", "--sandbox"], "'loud' is not a level"),
        (["--every", "often", "--elasticsearch", "http://127.0.0.1:1", "--index", "x"], "'often' is not a duration"),
        (["--by", "host"], "--by says how lines are counted: add --count"),
        (["--by", "host", "--at", "14:00"], "--by says how lines are counted: add --count"),
        (
            [
                "--since",
                "2026-11-20 14:00",
                "--until",
                "2026-11-20 13:00",
                "--elasticsearch",
                "http://127.0.0.1:1",
                "--index",
                "x",
            ],
            "--until 2026-11-20 13:00 is before --since 2026-11-20 14:00",
        ),
        (["--count", "--by", "hots", "--elasticsearch", "http://127.0.0.1:1", "--index", "x"], "there are host, job"),
    ],
)
def test_what_does_not_go_is_one_sentence(options: list[str], sentence: str) -> None:
    """Before anything is asked."""
    made = CliRunner().invoke(main, ["logs", *options])
    assert made.exit_code == 2 and sentence in made.output
