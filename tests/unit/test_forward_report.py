"""A forwarder's counts in words and for Prometheus."""

from __future__ import annotations

import ast
import io
import json
import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daqsched_executor.forward import loop
from daqsched_executor.forward.journal.ledger import Totals
from daqsched_executor.forward.status.report import METRICS, PREFIX, checked, in_words, metrics, well
from daqsched_executor.forward.status.sd_notify import Notifier
from daqsched_executor.forward.status.status import Counts, Status, Warnings

ROOT = Path(__file__).resolve().parent.parent.parent
SPOOL = "/var/lib/daqsched/spool"
NOW = 1_795_000_000.0
CALM = {"pid": 4711, "time": NOW - 2, "read": 12345, "stored": 12345}


def words(**state: object) -> list[str]:
    """Of a forwarder that works."""
    return list(in_words({**CALM, **state}, SPOOL, True, NOW))


def test_a_forwarder_that_is_well_says_so_in_three_sentences() -> None:
    """What is nought is left out."""
    assert words() == [
        "Process 4711 forwards /var/lib/daqsched/spool; its numbers last changed 2.0 s ago.",
        "Of 12,345 lines that were read: 12,345 stored.",
        "Nothing waits.",
    ]
    assert well(CALM, True) and not well(CALM, False)
    assert not well({**CALM, "last_end": {"pid": 9, "time": NOW, "sentence": "s"}}, True)


AWAY = {"about": "unreachable", "since": NOW - 61, "sentence": "http://es1:9200 does not answer: refused"}


@pytest.mark.parametrize(
    ("state", "sentence"),
    [
        (
            {"read": 10, "stored": 4, "duplicates": 1, "dead": 2, "under_way": 3},
            r"Of 10 lines that were read: 4 stored, 1 were stored already, 2 refused \(.*\), 3 under way\.",
        ),
        (
            {"read": 10, "stored": 7, "dropped": 3},
            "Of 10 lines that were read: 7 stored, 3 dropped because the disk limit was reached.",
        ),
        (
            {"read": 10, "stored": 5, "dropped": 5, "lost": 2},
            "Of 10 lines that were read: 5 stored, 3 dropped because the disk limit was reached, 2 lost after they were read.",
        ),
        (
            {"lost_because": {"emptied": [1, 0, 3100]}},
            "Lost once, at least 3.0 KiB: the file was emptied before it was read to its end "
            "(daqsched logs --grep lost --level warning).",
        ),
        (
            {"lost_because": {"packed": [1200, 0, 5 << 20]}},
            "Lost 1,200 times, at least 5.0 MiB: the file was compressed before it was read to its end, and can't be decompressed "
            "(daqsched logs --grep lost --level warning).",
        ),
        ({"read": 0, "stored": 0}, "Of 0 lines that were read: nothing became of them yet."),
        ({"read": 10, "stored": 7}, "The sum is wrong by 3 lines: that is a bug, please report it."),
        (
            {"waiting_bytes": 5 << 20, "waiting_since": NOW - 200},
            r"5\.0 MiB wait to be read, the oldest since \d{4}-.*(UTC|[+-]\d\d:\d\d) \(3 min 20 s\)\.",
        ),
        ({"waiting_bytes": 3 << 30}, "3.0 GiB wait to be read."),
        (
            {"last_end": {"pid": 9, "time": NOW - 200, "sentence": "the thread main failed: KeyError: …"}},
            r"Process 9 ended at \d{4}-[\d :-]+(UTC|[+-]\d\d:\d\d) because the thread main failed: KeyError: …\.",
        ),
        ({"troubles": [AWAY]}, r"Trouble since \d{4}-.* \(1 min 1 s\): http://es1:9200 does not answer: refused\."),
    ],
)
def test_what_is_not_well_is_a_sentence(state: dict[str, object], sentence: str) -> None:
    """With numbers, units and since when."""
    found = words(**state)
    assert any(one == sentence or re.fullmatch(sentence, one) for one in found), found


def test_where_no_forwarder_works_it_is_said_first() -> None:
    """The numbers are those of the last one."""
    first = next(iter(in_words(CALM, SPOOL, False, NOW)))
    assert first.startswith(
        "No forwarder works on /var/lib/daqsched/spool: process 4711 wrote these numbers 2.0 s ago."
    )


def test_prometheus_gets_every_count_with_help_and_type() -> None:
    """In its text format, as node_exporter's textfile collector takes it."""
    text = metrics({**CALM, "trouble_since": NOW}, 'a"b')
    rows = dict(re.findall(r'^(\w+)\{spool="a\\"b"\} ([0-9.e+]+)$', text, re.M))
    assert set(rows) == {PREFIX + name for name, _, _ in METRICS.values()}
    assert rows[PREFIX + "lines_read_total"] == "12345" and float(rows[PREFIX + "trouble_since_seconds"]) == NOW
    assert text.endswith("\n") and text.count("# TYPE") == text.count("# HELP") == len(METRICS)


def test_no_count_is_forgotten() -> None:
    """Neither by Prometheus nor by the page that lists them."""
    assert {one.name for one in fields(Counts)} <= set(METRICS)
    page = (ROOT / "docs" / "reference" / "forwarder.md").read_text(encoding="utf-8")
    shown = re.findall(r"^\| `(\w+)` \| `(\w+)` \| (\w+) \|", page, re.M)
    assert shown == [(field, PREFIX + name, kind) for field, (name, kind, _) in METRICS.items()]


def test_no_count_is_without_a_value() -> None:
    """Its default would be shown as if nothing happened: the forwarder gives each, or the journal's totals do."""
    module = ast.parse(Path(loop.__file__).read_text(encoding="utf-8"))
    calls = [node for node in ast.walk(module) if isinstance(node, ast.Call)]
    (made,) = (call for call in calls if isinstance(call.func, ast.Name) and call.func.id == "Counts")
    given = {keyword.arg for keyword in made.keywords if keyword.arg is not None}
    assert given | {one.name for one in fields(Totals)} == {one.name for one in fields(Counts)}


def test_trouble_with_elasticsearch_is_over_when_it_stores_lines(tmp_path: Path) -> None:
    """It stands in both files for as long as it lasts, with its beginning."""
    warn = Warnings(io.StringIO())
    status = Status(str(tmp_path), Counts, warn, Notifier({}))
    warn("unreachable", "it does not answer")
    warn("links", "a link is missing")
    status.write()
    since = json.loads((tmp_path / "status.json").read_text())["trouble_since"]
    warn("unreachable", "it still does not answer")
    status.write()
    state = json.loads((tmp_path / "status.json").read_text())
    assert state["trouble_since"] == since > 0
    assert [one["sentence"] for one in state["troubles"]] == ["it still does not answer", "a link is missing"]
    warn.stored()
    status.write()
    state = json.loads((tmp_path / "status.json").read_text())
    assert state["trouble_since"] == 0 and [one["about"] for one in state["troubles"]] == ["links"]
    assert "trouble_since_seconds" in (tmp_path / "metrics.prom").read_text()


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers(-(1 << 80), 1 << 80) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(
    st.fixed_dictionaries(
        {"pid": st.integers(1, 1 << 22)},
        optional={
            **dict.fromkeys(METRICS, ANYTHING),
            "last_end": ANYTHING | st.fixed_dictionaries({"pid": ANYTHING, "time": ANYTHING, "sentence": ANYTHING}),
            "troubles": ANYTHING
            | st.lists(st.fixed_dictionaries({"since": ANYTHING, "sentence": ANYTHING, "about": ANYTHING}), max_size=3),
        },
    )
)
def test_whatever_stands_in_the_status_file_is_told_in_words(state: dict[str, Any]) -> None:
    """Another version may have written it, or a full disk."""
    read = checked(json.loads(json.dumps(state)))
    assert list(in_words(read, SPOOL, True, NOW)) and metrics(read, SPOOL)
    well(read, True)


@pytest.mark.parametrize("raw", [None, [], "x", {}, {"pid": "1"}, {"pid": 0}, {"pid": True}, {"pid": 1 << 40}])
def test_what_no_forwarder_has_written_is_refused(raw: Any) -> None:
    """Without the number of a process nobody can tell whether it runs."""
    with pytest.raises(ValueError):
        checked(raw)


def test_what_a_forwarder_writes_is_taken_as_it_is() -> None:
    """All of it, and what a newer one adds."""
    state = {
        **CALM,
        **dict.fromkeys(METRICS, 1),
        "troubles": [{"about": "x", "since": 5.0, "sentence": "s"}],
        "last_end": {"pid": 5, "time": 5.0, "sentence": "s"},
        "new": [1],
    }
    assert checked(state) == state
