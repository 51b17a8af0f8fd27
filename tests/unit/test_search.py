"""What `daqsched logs` asks for, and how a line looks."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from daqsched.errors import UserError
from daqsched.logs.follow import LAG_S, LATE_S, MOST_BEFORE, Lateness, StoredLines
from daqsched.logs.lines import Line, format_line, json_line, line_of
from daqsched.logs.query import Wanted, levels_from, query, same_stream, sorting, stored_since
from daqsched.times import moment

LINE = Line(
    time=1_795_393_425.679464,
    host="hlt01",
    job="readout",
    stream="stdout",
    level="info",
    message="[INFO] run 12 started",
    id="abcdefghijk-0000000000",
)


def filters(**wanted: Any) -> Any:
    """The parts of a query that must all hold."""
    return query(Wanted(**wanted))["bool"]["filter"]


def test_no_wish_means_everything() -> None:
    """`daqsched logs` alone shows all."""
    assert query(Wanted()) == {"match_all": {}}


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("readout", {"term": {"service.name": "readout"}}),
        ("rcd_*", {"wildcard": {"service.name": {"value": "rcd_*"}}}),
        ("@hlt01", {"term": {"host.name": "hlt01"}}),
        ("@hlt[01-03]", {"terms": {"host.name": ["hlt01", "hlt02", "hlt03"]}}),
        (
            "rc?@hlt0*",
            {
                "bool": {
                    "filter": [
                        {"wildcard": {"service.name": {"value": "rc?"}}},
                        {"wildcard": {"host.name": {"value": "hlt0*"}}},
                    ]
                }
            },
        ),
    ],
)
def test_a_word_selects_by_job_and_host(word: str, expected: Any) -> None:
    """The same words as in `daqsched status` and `stop`."""
    assert filters(words=(word,)) == [expected]


def test_one_of_several_words_is_enough_and_all_kinds_of_wishes_must_hold() -> None:
    """Words are alternatives; host, stream, level, time and text narrow them down."""
    found = filters(
        words=("a", "b"), hosts=("h1", "h2"), streams=("stderr",), levels=("error",), since=0.5, until=2.0, text="x y"
    )
    assert found[0]["bool"] == {
        "should": [{"term": {"service.name": "a"}}, {"term": {"service.name": "b"}}],
        "minimum_should_match": 1,
    }
    assert len(found[1]["bool"]["should"]) == 2
    assert found[2:4] == [{"term": {"daqsched.stream": "stderr"}}, {"terms": {"log.level": ["error"]}}]
    assert found[4] == {
        "range": {"@timestamp": {"gte": "1970-01-01T00:00:00.500000Z", "lt": "1970-01-01T00:00:02.000000Z"}}
    }
    assert found[5]["simple_query_string"]["query"] == "x y"
    assert found[5]["simple_query_string"]["default_operator"] == "and"


@pytest.mark.parametrize("word", ["@", "", "@hlt[01-", "@hlt[9-1]"])
def test_a_word_that_cannot_be_read_is_the_users_mistake(word: str) -> None:
    """One sentence, and nothing is searched."""
    with pytest.raises(UserError):
        query(Wanted(words=(word,)))


@pytest.mark.parametrize(
    ("words", "levels"),
    [
        (("warning",), ("warning", "error", "critical")),
        (("WARN",), ("warning", "error", "critical")),
        (("trace",), ("trace", "debug", "info", "notice", "warning", "error", "critical")),
        (("=warning",), ("warning",)),
        (("info,error",), ("info", "error")),
        (("info", "=error"), ("info", "error")),
    ],
)
def test_a_level_means_that_and_worse_and_a_list_just_those(words: tuple[str, ...], levels: tuple[str, ...]) -> None:
    """As the help says."""
    assert levels_from(words) == levels


@pytest.mark.parametrize("word", ["loud", "", "=", ">error", "info,loud"])
def test_an_unknown_level_is_told_with_those_that_there_are(word: str) -> None:
    """No search that finds nothing, silently."""
    with pytest.raises(UserError, match=r"is not a level: there are trace, debug, info"):
        levels_from((word,))


def test_lines_of_a_run_and_of_a_services_file() -> None:
    """Runs are labels; a stream may be any name."""
    assert filters(runs=("12",)) == [{"terms": {"labels.run": ["12"]}}]
    assert filters(streams=("access*",)) == [{"wildcard": {"daqsched.stream": {"value": "access*"}}}]


def test_what_was_stored_since_is_asked_by_index_and_what_is_unknown_is_new() -> None:
    """An index that was made meanwhile is asked for all that it has; of very many, only the newest are looked at."""
    assert stored_since({}) == {"match_all": {}}
    news = stored_since({"l-1": 7})["bool"]["should"]
    assert news == [
        {"bool": {"filter": [{"term": {"_index": "l-1"}}, {"range": {"_seq_no": {"gt": 7}}}]}},
        {"bool": {"must_not": {"terms": {"_index": ["l-1"]}}}},
    ]
    many = stored_since({f"l-{at:04}": at for at in range(2000)})["bool"]["should"]
    assert len(many) == 501 and many[0]["bool"]["filter"][0] == {"term": {"_index": "l-1500"}}
    assert len(many[-1]["bool"]["must_not"]["terms"]["_index"]) == 2000


def test_a_stream_is_that_of_one_task() -> None:
    """What a line lacks is not asked for."""
    assert same_stream(LINE)["bool"]["filter"] == [
        {"term": {"host.name": "hlt01"}},
        {"term": {"service.name": "readout"}},
        {"term": {"daqsched.stream": "stdout"}},
    ]


def test_sorting_leaves_no_two_lines_equal() -> None:
    """Time alone would let a page begin between two lines of the same moment."""
    fields = [name for part in sorting("asc") for name in part]
    assert fields == ["@timestamp", "service.node.name", "daqsched.stream", "log.offset"]


def test_a_document_becomes_a_line() -> None:
    """All that the forwarder writes is read."""
    source = {
        "@timestamp": "2026-11-23T00:23:45.679464Z",
        "message": "[INFO] run 12 started",
        "log": {"offset": 0, "level": "info"},
        "host": {"name": "hlt01"},
        "service": {"name": "readout", "node": {"name": "readout@hlt01"}},
        "daqsched": {"stream": "stdout"},
    }
    assert line_of({"_id": LINE.id, "_source": source}) == LINE


@pytest.mark.parametrize("stamp", ["2026-11-23T00:23:45.679464Z", "2026-11-23T00:23:45.679464999Z"])
def test_times_are_read_to_the_microsecond(stamp: str) -> None:
    """Nanoseconds of other writers do no harm."""
    assert line_of({"_id": "x", "_source": {"@timestamp": stamp}}).time == LINE.time


def test_a_strange_document_is_a_line_with_empty_fields() -> None:
    """A dead letter, or what somebody else put into our index."""
    line = line_of({"_id": "x", "_source": {"message": "hm", "error": {"message": "why"}, "host": "text", "log": {}}})
    assert line == Line(0.0, "", "", "", "", "hm", "x", dead="why")


def test_a_line_in_a_terminal_without_colours() -> None:
    """Time, host, job, a mark for the stream, the text; columns where widths are given."""
    clock = datetime.fromtimestamp(LINE.time).strftime("%H:%M:%S") + ".679"
    assert format_line(LINE, False) == f"{clock} hlt01 readout | [INFO] run 12 started"
    error = replace(LINE, stream="stderr")
    assert format_line(error, False, 7, 9) == f"{clock} hlt01   readout   ! [INFO] run 12 started"
    assert " * " in format_line(replace(LINE, stream="executor"), False)
    assert "smallest form: why" in format_line(replace(LINE, dead="why"), False)


def test_lines_of_other_days_carry_the_date() -> None:
    """Today's do not."""
    today = datetime.fromtimestamp(LINE.time).strftime("%Y-%m-%d")
    assert format_line(LINE, False, today=today) == format_line(LINE, False)
    assert format_line(LINE, False, today="2000-01-01").startswith(today + " ")


def test_colours_follow_level_and_host() -> None:
    """An error is red, and a host has the same colour each time."""
    assert "\x1b[31m" in format_line(replace(LINE, level="error"), True)
    hosts = {format_line(replace(LINE, host=f"h{at}"), True).split(" ")[1].split("m")[0] for at in range(50)}
    assert len(hosts) > 4
    assert format_line(LINE, True) == format_line(LINE, True)


def test_a_line_cannot_take_over_the_terminal() -> None:
    """Escape sequences of a program are shown, not performed."""
    for colours in (False, True):
        shown = format_line(replace(LINE, message="\x1b[2J\a\r gone?"), colours)
        assert "\x1b[2J" not in shown and "\a" not in shown and "\r" not in shown and "␛[2J" in shown
    assert "a\tb" in format_line(replace(LINE, message="a\tb"), False)


def test_a_line_as_json_is_one_object_on_one_row() -> None:
    """With the exact time; empty fields are left out."""
    row = json_line(replace(LINE, message='two\n"lines"'))
    assert "\n" not in row
    assert json.loads(row) == {
        "time": "2026-11-23T00:23:45.679464Z",
        "host": "hlt01",
        "job": "readout",
        "stream": "stdout",
        "level": "info",
        "message": 'two\n"lines"',
        "id": LINE.id,
        "offset": 0,
    }


NOON = datetime(2026, 11, 23, 12, 0, 0).timestamp()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90s", NOON - 90),
        ("10m", NOON - 600),
        ("1.5h", NOON - 5400),
        ("2d", NOON - 172800),
        ("11:30", NOON - 1800),
        ("11:59:30", NOON - 30),
        ("12:01", NOON - 86400 + 60),
        ("2026-11-23 11:00", NOON - 3600),
        ("2026-11-23T11:00:00", NOON - 3600),
        ("2026-11-23", NOON - 43200),
        ("1970-01-01T00:01:00Z", 60.0),
        ("1970-01-01T02:00:00+01:00", 3600.0),
    ],
)
def test_times_as_people_write_them(text: str, expected: float) -> None:
    """Ago, the clock's last such time, or a date."""
    assert moment(text, NOON) == expected


@pytest.mark.parametrize("text", ["yesterday", "25:00", "10", "", "12:60", "2026-13-01"])
def test_what_is_no_time_is_a_mistake_with_examples(text: str) -> None:
    """The sentence shows forms that work."""
    with pytest.raises(UserError, match="10m"):
        moment(text, time.time())


def test_what_the_executor_says_shows_its_own_time_once() -> None:
    """Its lines begin with it, also in other zones; a line of a program keeps what it printed."""
    said = replace(LINE, stream="executor", message="2026-11-23T01:23:44.041+0100 runs: pid 4711")
    clock = datetime.fromtimestamp(1_795_393_424).strftime("%H:%M:%S") + ".041"
    assert format_line(said, False) == f"{clock} hlt01 readout * runs: pid 4711"
    assert "2026-11-23T01:23:44.041+0100" in format_line(replace(said, stream="stdout"), False)
    assert json.loads(json_line(said))["message"] == said.message


@pytest.mark.parametrize(
    ("stream", "dataset", "mark"),
    [
        ("stdout", "daqsched.task", "|"),
        ("stdout", "daqsched.dropped", "-"),
        ("access.log", "daqsched.file", ":"),
        ("", "daqsched.syslog", "%"),
        ("", "daqsched.journald", "%"),
        ("", "daqsched.deadletter", "?"),
        ("", "somebody.else", "?"),
    ],
)
def test_a_sign_says_whose_words_a_line_is(stream: str, dataset: str, mark: str) -> None:
    """Services' and syslog's lines are told apart from what jobs print."""
    assert replace(LINE, stream=stream, dataset=dataset).mark == mark


def test_a_line_shows_its_id_lateness_and_that_it_was_asked_for() -> None:
    """Only where that is so."""
    assert format_line(LINE, False, ids=True).endswith("| abcdefghijk-0000000000 [INFO] run 12 started")
    assert format_line(LINE, False, chosen=True).endswith("| >>> [INFO] run 12 started")
    assert format_line(replace(LINE, late=True), False).endswith("started  [stored late]")
    assert json.loads(json_line(replace(LINE, late=True)))["late"] is True


def test_when_a_line_was_seen_is_told_where_it_names_another_time() -> None:
    """A service's file: its own time sorts it, the other one is kept."""
    source = {"@timestamp": "2026-11-23T00:00:00Z", "event": {"created": "2026-11-23T00:23:45.679464Z"}}
    line = line_of({"_id": "x", "_source": source})
    assert (line.seen, json.loads(json_line(line))["seen"]) == (LINE.time, "2026-11-23T00:23:45.679464Z")
    assert LINE.seen == LINE.time


def test_how_far_indices_were_filled_is_remembered_until_it_is_settled() -> None:
    """Numbers never go back; an index that is away for a moment keeps its own."""
    stored = StoredLines()
    assert stored.settled() == {}
    stored.note({"a": 5}, 100.0)
    stored.note({"a": 3, "b": 1}, 101.0)
    assert (stored.newest, stored.settled()) == ({"a": 5, "b": 1}, {"a": 5})
    stored.note({"a": 9}, 101.0 + LAG_S)
    assert (stored.newest, stored.settled()) == ({"a": 9, "b": 1}, {"a": 5, "b": 1})
    for second in range(200):
        stored.note({"a": 10 + second}, 200.0 + second)
    assert stored.settled() == {"a": 10 + 199 - LAG_S, "b": 1}


def test_what_no_look_saw_does_not_settle() -> None:
    """While Elasticsearch is away, or a shard fails, nothing is taken for seen; an index that is made anew is unknown."""
    stored = StoredLines()
    stored.note({"a": 5, "b": 2}, 100.0, 100.0)
    for second in range(1, 60):
        stored.note({"a": 5 + second}, 100.0 + second, 101.0)
    assert stored.settled() == {"a": 5, "b": 2}
    stored.note({"a": 70}, 160.0, 159.0)
    assert stored.settled() == {"a": 5 + 59 - LAG_S, "b": 2}
    stored.forget("a")
    assert stored.settled() == stored.newest == {"b": 2}


def test_what_is_remembered_of_a_shard_that_stays_away_is_bounded() -> None:
    """And what was not seen is still looked for."""
    stored = StoredLines()
    for second in range(10_000):
        stored.note({"a": second}, 100.0 + second, 100.0)
    assert stored.settled() == {"a": 0} and stored.newest == {"a": 9_999}
    assert len(stored._before) <= MOST_BEFORE
    stored.note({"a": 10_000}, 20_000.0)
    assert stored.settled()["a"] >= 9_999


def test_a_host_with_a_clock_that_is_ahead_makes_no_other_line_late() -> None:
    """Nor its own, when the clock is put right; what waited for long is still late."""
    lateness, now = Lateness(), 1_795_393_425.0

    def late(host: str, seen: float) -> bool:
        return lateness.late(replace(LINE, host=host, time=seen), now)

    assert not late("hlt01", now - 1)
    for ahead in (60.0, 3600.0, 1e9):
        assert not late("hlt09", now + ahead)
        assert not late("hlt01", now - 0.5) and not late("hlt02", now - LATE_S + 1)
    now += 10
    assert not late("hlt09", now - 1), "its clock was put right"
    assert late("hlt03", now - 10 * LATE_S) and late("hlt09", now - 2)
