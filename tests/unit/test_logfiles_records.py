"""Log files of services as documents: which lines are one record, in which charset, of which level; always the same way."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daqsched_executor.contract import Stream
from daqsched_executor.contract.fingerprint import fingerprint
from daqsched_executor.contract.template import FIELDS
from daqsched_executor.forward.documents.lines import CHUNK, LONGEST
from daqsched_executor.forward.forms import Form, form_of
from daqsched_executor.forward.forms.levels import LEVELS_OF
from daqsched_executor.forward.forms.multiline import MULTILINES
from daqsched_executor.forward.forms.records import MOST_LINES, charset_of
from daqsched_executor.forward.journal.position import Position

SEEN = 1_795_406_770_000_000


def records(**options: str) -> Form:
    """What reads a file with those options."""
    return form_of(stream(**options), 0)


def stream(**options: str) -> Stream:
    """A file of nsmd2."""
    return Stream(
        id="AAAAAAAAAAA",
        name="nsmd2.log",
        path="/var/log/nsmd2.log",
        start=0,
        task_id="",
        job="nsmd2",
        host="hlt01",
        labels={"place": "hut"},
        format="records",
        options={"charset": "utf-8", **options},
        dataset="daqsched.file",
    )


def read(form: Form, data: bytes, final: bool = True, chunk: int = CHUNK, room: int = sys.maxsize) -> list[bytes]:
    """All documents of a file, read in pieces as a forwarder does."""
    documents: list[bytes] = []
    at, micros = Position(0, 0), SEEN
    while at.offset < len(data):
        piece = data[at.offset : at.offset + chunk]
        last = at.offset + len(piece) == len(data)
        made = form.encode(piece, at, micros, final and last, room, oversize=True)
        if not made.documents:
            if not last and len(piece) <= LONGEST:
                chunk += chunk
                continue
            break
        documents += made.documents
        at, micros = Position(0, made.end, made.cut), micros + len(made.documents)
    return documents


def sources(documents: list[bytes]) -> list[dict[str, Any]]:
    """The second rows."""
    return [json.loads(document.split(b"\n")[1]) for document in documents]


def messages(documents: list[bytes]) -> list[str]:
    """The texts."""
    return [source["message"] for source in sources(documents)]


def test_a_time_in_the_future_counts_as_none() -> None:
    """The line has the time when it was seen, and keeps the other one beside it."""
    found = sources(read(records(time="iso"), b"2026-11-23T04:07:00Z near\n2076-01-01T00:00:00Z far\n"))
    assert found[0]["@timestamp"] == "2026-11-23T04:07:00.000000Z" and "flags" not in found[0]["log"]
    assert found[1]["@timestamp"] == "2026-11-23T04:06:10.000001Z" and "created" not in found[1]["event"]
    assert found[1]["log"]["flags"] == ["clock-ahead"]
    assert found[1]["daqsched"]["named_time"] == "2076-01-01T00:00:00.000000Z"


def test_a_record_says_whence_it_is_when_it_was_written_and_when_it_was_seen() -> None:
    """All fields of a document, and its id."""
    (document,) = read(
        records(time="iso", multiline="traceback"),
        b"2026-11-23T04:06:02.5Z ERROR boom\r\nTraceback (most recent call last):\r\n  File\r\nValueError: x\r\n",
    )
    action, source, end = document.split(b"\n")
    assert json.loads(action) == {"create": {"_id": "AAAAAAAAAAA-0000000000"}} and end == b""
    text = "2026-11-23T04:06:02.5Z ERROR boom\nTraceback (most recent call last):\n  File\nValueError: x"
    assert json.loads(source) == {
        "@timestamp": "2026-11-23T04:06:02.500000Z",
        "message": text,
        "log": {"offset": 0, "level": "error", "flags": ["multiline"], "file": {"path": "/var/log/nsmd2.log"}},
        "host": {"name": "hlt01"},
        "service": {"name": "nsmd2", "node": {"name": "nsmd2@hlt01"}},
        "daqsched": {"fingerprint": fingerprint(text.encode()), "stream": "nsmd2.log"},
        "event": {"created": "2026-11-23T04:06:10.000Z", "dataset": "daqsched.file"},
        "labels": {"place": "hut"},
        "ecs": {"version": "8.11.0"},
    }
    assert {"log.file.path", "event.created", "event.dataset", "log.flags"} <= FIELDS.keys()


def test_a_line_without_a_time_keeps_when_it_was_seen() -> None:
    """Each a microsecond after the one before, and there is no event.created."""
    first, second = sources(read(records(time="iso"), b"a\nb\n"))
    assert (first["@timestamp"], second["@timestamp"]) == ("2026-11-23T04:06:10.000000Z", "2026-11-23T04:06:10.000001Z")
    assert "created" not in first["event"]


@pytest.mark.parametrize(
    ("how", "text", "expected"),
    [
        ("", "a\n b\nc\n", ["a", " b", "c"]),
        ("indented", "a\n b\n\tc\nd\n\ne\n", ["a\n b\n\tc", "d", "", "e"]),
        ("indented", " b\na\n", [" b", "a"]),
        (
            "traceback",
            "ERROR boom\nTraceback (most recent call last):\n  File x\n\n    y\nValueError: z\nnext\n",
            ["ERROR boom\nTraceback (most recent call last):\n  File x\n\n    y\nValueError: z", "next"],
        ),
        (
            "traceback",
            "E\nTraceback (most recent call last):\n  a\nKeyError: 1\n\n"
            "During handling of the above exception, another exception occurred:\n\n"
            "Traceback (most recent call last):\n  b\nValueError: 2\nnext\n  more\n",
            [
                "E\nTraceback (most recent call last):\n  a\nKeyError: 1\n\n"
                "During handling of the above exception, another exception occurred:\n\n"
                "Traceback (most recent call last):\n  b\nValueError: 2",
                "next\n  more",
            ],
        ),
        (
            "java",
            "WARN slow\njava.io.IOException: gone\n\tat a.b(C.java:1)\nCaused by: x.YException\n\t... 7 more\nINFO on\n",
            [
                "WARN slow\njava.io.IOException: gone\n\tat a.b(C.java:1)\nCaused by: x.YException\n\t... 7 more",
                "INFO on",
            ],
        ),
        (
            "syslog-continuation",
            "Nov 23 05:06:02 h a: one\ntwo\n\nNov 23 05:06:03 h a: three\n2026-11-23T05:06:03+01:00 h a: four\n",
            ["Nov 23 05:06:02 h a: one\ntwo\n", "Nov 23 05:06:03 h a: three", "2026-11-23T05:06:03+01:00 h a: four"],
        ),
        (
            "nsm",
            "05:06:02.123 [WARNING] one\n05:06:02.123 [WARNING] + two\n05:06:02.124 three\n05:06:02.124 + four\n",
            ["05:06:02.123 [WARNING] one\n05:06:02.123 [WARNING] + two", "05:06:02.124 three\n05:06:02.124 + four"],
        ),
        (r"\d+ ", "1 a\nb\n22 c\n", ["1 a\nb", "22 c"]),
    ],
)
def test_lines_that_belong_together_are_one_record(how: str, text: str, expected: list[str]) -> None:
    """Each preset with what such programs write, read at once and byte by byte."""
    form = records(multiline=how)
    assert messages(read(form, text.encode())) == expected
    assert messages(read(form, text.encode(), chunk=1)) == expected


def test_every_preset_of_records_is_shown_above() -> None:
    """A new one is entered there."""
    assert set(MULTILINES) == {"indented", "traceback", "java", "syslog-continuation", "nsm"}


def test_the_last_record_waits_for_the_next_one_or_the_end() -> None:
    """Nobody knows before whether more lines belong to it."""
    form = records(multiline="indented")
    assert messages(read(form, b"a\n b\nc\n d\n", final=False)) == ["a\n b"]
    assert messages(read(form, b"a\n b\nc\n d\n", final=True)) == ["a\n b", "c\n d"]


def test_a_record_that_is_too_long_goes_on_in_another() -> None:
    """By lines and by bytes; each piece that goes on says so."""
    form = records(multiline="indented")
    pieces = sources(read(form, b"a\n" + b" b\n" * (2 * MOST_LINES)))
    assert [piece["message"].count("\n") + 1 for piece in pieces] == [MOST_LINES, MOST_LINES, 1]
    assert [piece["log"]["flags"] for piece in pieces] == [["multiline"], ["multiline", "continued"], ["continued"]]
    line = b" " + b"x" * 99_998 + b"\n"
    pieces = sources(read(form, line * 5))
    assert [len(piece["message"]) for piece in pieces] == [199_999, 199_999, 99_999]


def test_a_line_that_is_too_long_comes_in_pieces() -> None:
    """As those that jobs print, also where records have several lines."""
    for how in ("", "indented"):
        pieces = sources(read(records(multiline=how), b"x" * (LONGEST + 5) + b"\n y\nz\n"))
        assert "".join(piece["message"] for piece in pieces).startswith("x" * (LONGEST + 5))
        assert [piece["log"].get("flags", [])[:1] for piece in pieces[:2]] == [["truncated"], ["truncated"]]
        assert pieces[-1]["message"] == "z" and "flags" not in pieces[-1]["log"]


def test_a_last_line_without_newline_is_sent_when_nobody_writes_any_more() -> None:
    """With a flag."""
    (one, two) = sources(read(records(), b"a\nb"))
    assert (two["message"], two["log"]["flags"]) == ("b", ["partial"])
    assert messages(read(records(), b"a\nb", final=False)) == ["a"]


@pytest.mark.parametrize(
    ("charset", "data", "expected"),
    [
        ("utf-8", "\ufeffStrahl für Halle\n".encode(), ["Strahl für Halle"]),
        ("utf-8", b"f\xfcr\n", ["f\ufffdr"]),
        ("latin-1", "für\r\n".encode("latin-1"), ["für"]),
        ("cp1252", b"\x80 7\n", ["€ 7"]),
        ("shift_jis", "ビーム\n強度\n".encode("shift_jis"), ["ビーム", "強度"]),
        ("euc_jp", "ビーム\n".encode("euc_jp"), ["ビーム"]),
        ("utf-16-le", "für\r\n\u0a0aĊ\n\u0d0a\n".encode("utf-16-le"), ["für", "\u0a0aĊ", "\u0d0a"]),
        ("utf-16-be", "a\nĀ\u000bĊ\n".encode("utf-16-be"), ["a", "Ā\u000bĊ"]),
        ("utf-16", "\ufefffür\nx\n".encode("utf-16-le"), ["für", "x"]),
        ("utf-32-le", "für\nx\n".encode("utf-32-le"), ["für", "x"]),
    ],
)
def test_a_file_is_read_in_its_charset(charset: str, data: bytes, expected: list[str]) -> None:
    """With its newline, which in UTF-16 is two bytes that stand elsewhere inside of characters; offsets stay bytes."""
    form = records(charset=charset)
    assert messages(read(form, data)) == expected
    assert messages(read(form, data, chunk=1)) == expected
    assert [source["log"]["offset"] for source in sources(read(form, data))][0] == 0


def test_the_byte_order_mark_says_which_utf_16_it_is() -> None:
    """What Python writes, and what Windows' programs write."""
    assert charset_of("UTF-16", "\ufeffx".encode("utf-16-be")).name == "utf-16-be"
    assert charset_of("utf16", "\ufeffx".encode("utf-16-le")).name == "utf-16-le"
    assert charset_of("utf-8-sig").name == "utf-8"
    with pytest.raises(LookupError):
        charset_of("klingon")


@pytest.mark.parametrize(
    ("how", "line", "level"),
    [
        ("", "2026-11-23 05:06:02 [ERROR] x", "error"),
        ("none", "2026-11-23 05:06:02 [ERROR] x", ""),
        ("words", "WARN x", "warning"),
        ("python", "2026-11-23 05:06:02,123 CRITICAL readout: x", "critical"),
        ("log4j", "2026-11-23 05:06:02,123 WARN  [main] x", "warning"),
        ("glog", "W1123 05:06:02.123456 12345 fetch.cc:99] ERROR is a word here", "warning"),
        ("glog", "F1123 05:06:02.123456 12345 fetch.cc:99] x", "critical"),
        ("apache", '1.2.3.4 - - [23/Nov/2026:05:06:02 +0100] "GET /x HTTP/1.1" 200 583', "info"),
        ("apache", '1.2.3.4 - - [23/Nov/2026:05:06:02 +0100] "GET /x HTTP/1.1" 404 583', "warning"),
        ("apache", '1.2.3.4 - - [23/Nov/2026:05:06:02 +0100] "GET /x HTTP/1.1" 503 583', "error"),
        ("apache-error", "[Mon Nov 23 05:06:02.1 2026] [core:error] [pid 1] x", "error"),
        ("apache-error", "[Mon Nov 23 05:06:02.1 2026] [proxy:trace3] [pid 1] x", "trace"),
        ("apache-error", "[Mon Nov 23 05:06:02 2026] [crit] x", "critical"),
        ("syslog", "<27>Nov 23 05:06:02 h x: y", "error"),
        ("syslog", "Nov 23 05:06:02 h x: WARNING y", "warning"),
        ("nsm", "05:06:02.123 [ASSERT] x", "critical"),
        ("nsm", "05:06:02.123 [WARNING] x", "warning"),
        ("nsm", "05:06:02.123 DBG: x", "debug"),
        ("nsm", "05:06:02.123 x", "info"),
        (r"\|(?P<level>\w)\|", "a |E| b", "error"),
        (r"\|(?P<level>\w)?\|", "a || b", ""),
        (r"sev=(?P<level>\d)", "sev=4 b", "warning"),
    ],
)
def test_a_line_has_the_level_that_its_program_means(how: str, line: str, level: str) -> None:
    """Each preset, and a pattern of one's own."""
    (source,) = sources(read(records(level=how), line.encode() + b"\n"))
    assert source["log"].get("level", "") == level


def test_every_preset_of_levels_is_known() -> None:
    """Those that the documentation names."""
    assert set(LEVELS_OF) == {"words", "none", "python", "log4j", "glog", "apache", "apache-error", "syslog", "nsm"}


@pytest.mark.parametrize(
    "options", [{"time": "sylog"}, {"charset": "klingon"}, {"multiline": "("}, {"level": "("}, {"time": "%Q"}]
)
def test_an_option_that_is_none_is_refused(options: dict[str, str]) -> None:
    """Before a line is read."""
    with pytest.raises((ValueError, LookupError)):
        records(**options)


LINES = st.lists(
    st.sampled_from(
        [
            "a",
            " b",
            "",
            "Traceback (most recent call last):",
            "  File",
            "KeyError: 1",
            "2026-11-23 05:06:02 x",
            "\tat",
            "ä\r",
        ]
    ),
    max_size=40,
)


@settings(deadline=None)
@given(
    LINES,
    st.sampled_from(["", *MULTILINES, r"\d"]),
    st.sampled_from(["utf-8", "utf-16-le", "latin-1"]),
    st.integers(1, 200),
    st.integers(1, 3000),
    st.booleans(),
)
def test_however_it_is_read_no_line_is_lost_doubled_or_moved(
    lines: list[str], how: str, charset: str, chunk: int, room: int, newline: bool
) -> None:
    """In pieces of any size with room for any number: the same records. What was planned is made again byte by byte."""
    data = ("\n".join(lines) + "\n" * newline).encode(charset)
    form = records(multiline=how, time="iso", charset=charset)
    whole = read(form, data)
    found = [line for message in messages(whole) for line in message.split("\n")]
    expected = data.decode(charset).split("\n")
    assert found == [line.rstrip("\r") for line in (expected if expected[-1] else expected[:-1])]
    assert [i["log"]["offset"] for i in sources(read(form, data, chunk=chunk, room=room))] == [
        i["log"]["offset"] for i in sources(whole)
    ]
    again(form, charset, data, room)


def again(form: Form, charset: str, data: bytes, room: int) -> None:
    """Each batch that is planned is made again of its own bytes alone, as after a kill: see `draft.reread`."""
    at = Position(0, 0)
    while at.offset < len(data):
        made = form.encode(data[at.offset :], at, SEEN, True, room, True)
        if not made.documents:
            break
        second: list[bytes] = []
        place, final = at, False
        while place.offset < made.end:
            remade = form.encode(data[place.offset : made.end], place, SEEN + len(second), final, sys.maxsize)
            second += remade.documents
            place, final = Position(0, remade.end, remade.cut), not remade.documents
        assert second == list(made.documents)
        at = Position(0, made.end, made.cut)
