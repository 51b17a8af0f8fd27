"""The table of parsers that take what others write, each with what to feed it and what must hold: the fuzz of tests/unit and
tests/faults reads it. A new parser is one row in `PARSERS`.
"""

from __future__ import annotations

import json
import time
import zlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from hypothesis import strategies as st

import parsers_files
from daqsched_executor.contract import ContractError, Forwarding, Stream, labels_of, starts_of
from daqsched_executor.forward.delivery.dead_letter import RefusedLines, letter
from daqsched_executor.forward.documents.batch import judge
from daqsched_executor.forward.documents.lines import LONGEST
from daqsched_executor.forward.forms import Encoded, form_of
from daqsched_executor.forward.forms.levels import LEVELS_OF
from daqsched_executor.forward.forms.multiline import MULTILINES
from daqsched_executor.forward.forms.received import row
from daqsched_executor.forward.forms.times import TIMES, Times
from daqsched_executor.forward.inputs.export import Entries, Garbage
from daqsched_executor.forward.inputs.framing import Framing
from daqsched_executor.forward.journal.journal import _records
from daqsched_executor.forward.journal.ledger import Ledger
from daqsched_executor.forward.journal.position import Position
from daqsched_executor.forward.status.report import checked, in_words, metrics, well

#: 2026-11-23 05:06:02 UTC.
SEEN = 1_795_410_362_000_000

#: So much of a processor may one input take; none is larger than `LARGEST`. Whatever is quadratic takes far longer.
MOST_S, LARGEST = 5.0, 256 * 1024


class Parser(NamedTuple):
    """One of them."""

    name: str
    #: What somebody may write.
    inputs: st.SearchStrategy[Any]
    #: Reads one, and asserts what must hold of what comes out.
    read: Callable[[Any], object]
    #: What it raises where it refuses: anything else is a mistake of ours.
    refuses: tuple[type[Exception], ...] = ()


def try_one(parser: Parser, value: Any) -> None:
    """It is read or refused, in bounded time."""
    began = time.thread_time()
    try:
        parser.read(value)
    except parser.refuses:
        pass
    took = time.thread_time() - began
    assert took < MOST_S, f"{parser.name} took {took:.1f} s of a processor"


# ------------------------------------------------------------------------------------------------------- what is fed

#: What means something to one parser or another, and what has ended parsers elsewhere.
TOKENS = [
    *(b"\0 \n \r\n \\ \\n \" ' < > [ ] { } ( ) : ; , . = % - _ / | ! ? ~ + *".split(b" ")),
    b" ",
    b"  ",
    b"\t",
    b"\x7f",
    b"\x1b[2J",
    b"\xc3",
    b"\xe2\x82",
    b"\xff\xfe",
    b"\xed\xa0\x80",
    b"\xef\xbb\xbf",
    "ä€𝄞\u2028\u202e²٣".encode(),
    b"\\ud83d",
    b"\\udc00",
    b"\\u0000",
    b"NaN",
    b"-Infinity",
    b"1e999",
    b"-0",
    b"null",
    b"true",
    b"<13>",
    b"<191>",
    b"<192>",
    b"<999>",
    b"1 ",
    b"2026-11-23T05:06:02.5Z",
    b"0000-00-00T00:00:00Z",
    b"9999-12-31T23:59:59-23:59",
    b"Nov 23 05:06:02 ",
    b"Feb 29 24:60:61 ",
    b"Nov 31 00:00:00 2026 ",
    b"hlt01 ",
    b"app[12]: ",
    b"%SYS-5-X: ",
    b"45: ",
    b"::1 ",
    b'{"message":',
    b'"host":',
    b'"time":',
    b'"@timestamp":',
    b'"_id":',
    b'"log":{"offset":',
    b'[ex@1 k="v"]',
    b'[a b="',
    b"99999999 <",
    b"0 <",
    b"12 <13>x",
    b"[ERROR] ",
    b"Traceback (most recent call last)",
    b"  at x",
    b"__CURSOR=",
    b"MESSAGE=",
    b"PRIORITY=",
    b"1795410362",
    b"1795410362000000",
    b"9" * 40,
    b"\0" * 8,
    b"\xff" * 8,
    b"192.0.2.7|cut=5",
    b"|truncated,continued",
    b"|cut=\xb2",
]

#: What each of them should understand; the fuzz spoils it.
SAMPLES = [
    b'<165>1 2026-11-23T05:06:01.003Z h app 12 ID [ex@1 k="a \\"b\\"" iut="3"][x y="z"] \xef\xbb\xbfhello',
    b"<34>Nov 23 05:05:59 mymachine su[12]: 'su root' failed",
    b"<189>46: sw01: *Nov 23 01:02:04.123 UTC: %SYS-5-CONFIG_I: Configured",
    b'{"time":"2026-11-23T05:06:01.25Z","level":"WARN","msg":"hot","host":"fee7","crate":{"slot":3,"on":[true,null,1.5]}}',
    b'{"__CURSOR":"s=1","__REALTIME_TIMESTAMP":"1795410361000001","MESSAGE":[104,255],"PRIORITY":"4","_PID":"77"}',
    b"__CURSOR=s=1\nMESSAGE\n\x05\0\0\0\0\0\0\0a\nb\nc\nPRIORITY=6\n\n",
    b"2026-11-23 05:06:02,123 ERROR x\nTraceback (most recent call last):\n  File\nValueError: x\n",
    b"I1123 05:06:02.123456 1 x.cc:1] text\n05:06:02.123 [ERROR] + x\n12:20261123:050602.123 x\n",
    b"1795410362000000 192.0.2.7 <13>app: x\n1795410362000001 !|cut=5 12\n1795410362000002 - {}\n",
    b"15 <13>app: x\n1 <12 <13>app: x y<13>app: z\n",
    b"0 1\n100 2\n20000 3\n",
    b'{"errors":true,"items":[{"create":{"status":400,"error":{"type":"t","reason":"r"}}},{"create":{"status":201}}]}',
    b'{"version":1,"id":"AAAAAAAAAAA","name":"stdout","path":"/x","start":0,"task_id":"t","job":"j","host":"h"}',
    b'{"version":1,"elasticsearch":"http://es1:9200","syslog":{"udp":514},"files":[{"name":"a","paths":["/x"]}]}',
]


@st.composite
def spoilt(draw: st.DrawFn) -> bytes:
    """A sample after a few mishaps: cut, repeated, mixed with others, long."""
    text = draw(st.sampled_from(SAMPLES) | st.binary(max_size=60) | st.just(b""))
    for _ in range(draw(st.integers(0, 6))):
        at = draw(st.integers(0, len(text)))
        end = min(len(text), at + draw(st.integers(0, 12)))
        piece = draw(st.sampled_from(TOKENS) | st.binary(max_size=8) | st.sampled_from(SAMPLES))
        times = draw(st.sampled_from([1, 1, 1, 1, 2, 70, 3000]))
        kind = draw(st.sampled_from("irdt"))
        if kind == "i":
            text = text[:at] + piece * times + text[at:]
        elif kind == "r":
            text = text[:at] + piece + text[end:]
        elif kind == "d":
            text = text[:at] + text[at:end] * times + text[end:]
        else:
            text = text[:at]
        text = text[:LARGEST]
    return text


#: Any value of JSON, with what programs choke on.
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.floats()
    | st.integers()
    | st.sampled_from([-1, 1 << 63, 1 << 200, 1e308, "", "\0", "x" * 2000])
    | st.text(st.characters() | st.characters(whitelist_categories=["Cs"]), max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)

#: Objects with the names that somebody looks for.
NAMED = st.dictionaries(
    st.sampled_from(
        "message msg time ts @timestamp level host hostname host.name service app name _id log event labels MESSAGE PRIORITY _PID"
        " _HOSTNAME _COMM UNIT SYSLOG_FACILITY SYSLOG_IDENTIFIER __REALTIME_TIMESTAMP __CUT version id path start task_id job"
        " created options format dataset release errors items create status syslog json journal files keep disk spool hosts"
        " pid troubles since sentence read stored waiting_since".split()
    )
    | st.text(max_size=6),
    VALUES,
    max_size=12,
)


def as_json(value: Any) -> bytes:
    """With halves of characters, NaN and what else Python's JSON has."""
    return json.dumps(value).encode()


BYTES = spoilt() | NAMED.map(as_json) | VALUES.map(as_json)

# ------------------------------------------------------------------------------------------------- what must hold


def stream(format: str, options: Any = None) -> Stream:
    """As inputs register them."""
    return Stream(
        "AAAAAAAAAAA", format, "/x", 0, "", format, "hlt01", format=format, options=options or {}, dataset="daqsched.x"
    )


def documents(made: Encoded, chunk: bytes) -> list[dict[str, Any]]:
    """The documents, each a JSON object of its own id, in bounded room, none of them set aside."""
    assert not made.documents.aside, made.documents.aside
    assert made.size == made.documents.size <= 40 * len(chunk) + 4096 * (len(made.documents) + 1)
    rows = made.documents.body().split(b"\n")
    assert rows.pop() == b"" and len(rows) == 2 * len(made.documents)
    ids = [json.loads(action)["create"]["_id"] for action in rows[::2]]
    assert len(set(ids)) == len(ids)
    found = [json.loads(source.decode()) for source in rows[1::2]]
    for source in found:
        assert isinstance(source["message"], str) and isinstance(source["@timestamp"], str)
        json.dumps(source, ensure_ascii=False).encode()
        assert isinstance(source["host"]["name"], str) and isinstance(source["service"]["name"], str)
        labels = source.get("labels", {})
        assert len(labels) <= 64 and all(isinstance(one, str) for one in labels.values())
    return found


def in_pieces(form: Callable[[], Any], data: bytes, final: bool = True) -> list[bytes]:
    """All documents of a file, as a forwarder reads it; what it reads ends where the file does."""
    found: list[bytes] = []
    at = Position(0, 0)
    while at.offset < len(data):
        piece = data[at.offset : at.offset + LONGEST + 1]
        last = at.offset + len(piece) == len(data)
        made = form().encode(piece, at, SEEN + len(found), final and last, 1 << 30, True)
        documents(made, piece)
        if not made.documents:
            assert last and not final, "nothing of a whole piece is a document"
            break
        assert made.end > at.offset
        found += made.documents
        at = Position(0, made.end, made.cut)
    return found


def received(format: str) -> Callable[[bytes], object]:
    """A message as it was sent, between two others: each is one document, the same whenever it is made."""

    def read(data: bytes) -> None:
        rows = [
            row(SEEN + at, b"192.0.2.7", text) for at, text in enumerate((b"before", data[: LONGEST // 4], b"behind"))
        ]
        chunk = b"".join(rows)
        made = form_of(stream(format), 0).encode(chunk, Position(0, 0), SEEN, False, 1 << 30)
        assert len(documents(made, chunk)) == 3 and made.end == len(chunk)
        at = 0
        for number, (one, whole) in enumerate(zip(rows, made.documents)):
            alone = form_of(stream(format), 0).encode(one, Position(0, at), SEEN + number, False, 1 << 30)
            assert list(alone.documents) == [whole]
            at += len(one)
        dead = letter(RefusedLines("logs-2026.11.23", list(made.documents)[1], "why"), "logs")
        assert dead.target == "logs-deadletter-2026.11"

    return read


def spooled(format: str) -> Callable[[bytes], object]:
    """A file of the spool that holds anything: each row is a document."""

    def read(data: bytes) -> None:
        found = in_pieces(lambda: form_of(stream(format), 0), data)
        assert len(found) >= data.count(b"\n")

    return read


def text(data: bytes) -> None:
    """What a job prints: each line is a document, and holds the line's bytes."""
    found = in_pieces(lambda: form_of(stream("text"), 0), data)
    messages = [json.loads(one.splitlines()[1])["message"] for one in found]
    longest = max(map(len, data.split(b"\n")), default=0)
    if longest <= LONGEST:
        lines = data.split(b"\n") if data else []
        del lines[len(lines) - 1 if lines and not lines[-1] else len(lines) :]
        assert messages == [line[: -1 if line[-1:] == b"\r" else None].decode("utf-8", "replace") for line in lines]


def records(value: tuple[bytes, dict[str, str]]) -> None:
    """A log file of a service, with any options: the same documents however it is read."""
    data, options = value
    in_pieces(lambda: form_of(stream("records", options), 0), data)


def times(value: tuple[str, bytes, int]) -> None:
    """A time that Elasticsearch can hold, or none."""
    how, data, seen = value
    found = Times(how, "x-20261123.log").micros(data.decode("utf-8", "replace"), seen)
    assert found is None or 0 <= found <= 9_223_372_036_999_999


def framed(value: tuple[bytes, Sequence[int]]) -> None:
    """A TCP connection, however its bytes come: no message is too long, and the pieces do not matter."""
    data, cuts = value

    def taken(places: Sequence[int]) -> list[bytes]:
        framing, found, begin = Framing(500), [], 0
        for end in [*sorted(at % (len(data) + 1) for at in places), len(data)]:
            found += framing.take(data[begin:end], False)
            begin = end
        found += framing.take(b"", True)
        assert all(len(one.text) <= 500 for one in found)
        return [one.text for one in found]

    whole = taken([])
    assert taken(cuts) == whole
    assert sum(map(len, whole)) <= len(data)


def ledger(records: list[Any]) -> None:
    """A journal that anybody wrote: what is taken is read again as the same."""
    rows = [json.dumps(one).encode() for one in records]
    file = b"".join(b"%08x %b\n" % (zlib.crc32(text), text) for text in rows)
    made = Ledger()
    for record, end in _records(file):
        assert end <= len(file)
        made.apply(record)
    again = Ledger()
    for record in json.loads(json.dumps(made.snapshot())):
        again.apply(record)
    assert again.totals == made.totals and again.outstanding == made.outstanding


def journal_file(data: bytes) -> None:
    """The file of a journal with anything in it."""
    ends = [end for _, end in _records(data)]
    assert ends == sorted(ends) and max(ends, default=0) <= len(data) + 1


def status(raw: Any) -> None:
    """status.json, whatever wrote it."""
    state = checked(raw)
    assert list(in_words(state, "/spool", True, SEEN / 1e6)) and metrics(state, "/spool")
    well(state, True)


def entries(value: tuple[bytes, int]) -> None:
    """What journalctl prints, in pieces."""
    data, size = value
    made = Entries()
    for at in range(0, len(data), size):
        for one in made.feed(data[at : at + size]):
            assert isinstance(one.cursor, str)


PLACES = st.lists(st.sampled_from(["s", "t"]) | st.integers(-1, 99) | st.booleans(), max_size=10)

RECORDS = st.lists(
    st.dictionaries(
        st.sampled_from(
            "plan done again place jump drop squeeze squeezing squeezed marks forget number ranges lines micros index as position"
            " left to told totals drops losses lost_before places lost over tell".split()
        ),
        st.integers(0, 99) | st.sampled_from(["s", "t"]) | PLACES | st.lists(PLACES, max_size=3) | VALUES,
        max_size=6,
    ),
    max_size=5,
)

REPLIES = st.fixed_dictionaries(
    {"items": st.lists(st.fixed_dictionaries({"create": NAMED | VALUES}) | VALUES, min_size=2, max_size=2)},
    optional={"errors": VALUES},
).map(as_json)

OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "time": st.sampled_from(sorted(TIMES)),
        "level": st.sampled_from(sorted(LEVELS_OF)),
        "multiline": st.sampled_from(sorted(MULTILINES)),
        "charset": st.sampled_from(["utf-8", "latin-1", "utf-16", "utf-32-be", "cp037", "ascii", "utf-8-sig"]),
    },
)

PARSERS = [
    Parser("syslog", BYTES, received("syslog")),
    Parser("json", BYTES, received("json")),
    Parser("journald's entries", BYTES, received("journald")),
    Parser("spooled syslog", BYTES, spooled("syslog")),
    Parser("spooled json", BYTES, spooled("json")),
    Parser("spooled journald", BYTES, spooled("journald")),
    Parser("lines of jobs", BYTES, text),
    Parser("log files", st.tuples(BYTES, OPTIONS), records),
    Parser("times", st.tuples(st.sampled_from(sorted(TIMES)), BYTES, st.integers(0, 9_223_372_036_000_000)), times),
    Parser("TCP framing", st.tuples(BYTES, st.lists(st.integers(0, 1 << 20), max_size=5)), framed),
    Parser("journalctl", st.tuples(BYTES, st.integers(1, 5000)), entries, (Garbage,)),
    Parser("records of the journal", RECORDS, ledger, (LookupError, TypeError, ValueError, AttributeError)),
    Parser("file of the journal", BYTES, journal_file),
    Parser("status.json", NAMED | VALUES, status, (ValueError,)),
    Parser("registrations", BYTES, Stream.from_json, (ContractError,)),
    Parser(
        "registrations of log files",
        st.tuples(BYTES, st.sampled_from([*parsers_files.FIELDS, *parsers_files.OPTIONS]), VALUES),
        parsers_files.registrations,
    ),
    Parser("notes of log files and the journal", BYTES, parsers_files.notes),
    Parser(
        "packed log files",
        st.tuples(st.sampled_from(sorted(parsers_files.PACKERS)), BYTES, st.integers(0, 1 << 20), BYTES),
        parsers_files.packed,
        parsers_files.REFUSED,
    ),
    Parser("starts of a program", BYTES, starts_of),
    Parser("labels of a stream", BYTES, labels_of, (ContractError,)),
    Parser("what a forwarder is told", BYTES, Forwarding.from_json, (ContractError,)),
    Parser("replies to a bulk request", BYTES | REPLIES, lambda data: judge(data, 2), (ValueError,)),
]
