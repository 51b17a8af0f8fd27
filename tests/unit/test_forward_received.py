"""Syslog, JSON and journal entries as documents. What comes in may be anything: nothing is refused, nothing is lost."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daqsched_executor.contract import Stream
from daqsched_executor.forward.batch import BODY
from daqsched_executor.forward.forms import form_of
from daqsched_executor.forward.forms.received import DROPPED, row, unescaped
from daqsched_executor.forward.position import Position

#: 2026-11-23 05:06:02 UTC.
SEEN = 1_795_410_362_000_000


def stream(format: str) -> Stream:
    """As the receiver registers one."""
    return Stream("AAAAAAAAAAA", format, "", 0, "", format, "hlt01", format=format, dataset=f"daqsched.{format}")


def document(format: str, *received: bytes, peer: bytes = b"192.0.2.7") -> dict[str, Any]:
    """The last of what was received, as its document."""
    chunk = b"".join(row(SEEN + at, peer, data) for at, data in enumerate(received))
    made = form_of(stream(format), 0).encode(chunk, Position(0, 0), SEEN, False, BODY)
    rows = made.documents.body().splitlines()
    assert len(made.documents) == len(received) and made.end == len(chunk) and made.size == made.documents.size
    found: dict[str, Any] = json.loads(rows[-1])
    return found


@given(st.binary(max_size=200))
def test_a_row_gives_back_what_was_received(data: bytes) -> None:
    """Newlines, backslashes and all; a row is one line."""
    made = row(SEEN, b"-", data)
    assert made.count(b"\n") == 1 and b"\r" not in made
    when, peer, rest = made[:-1].split(b" ", 2)
    assert (int(when), peer, unescaped(rest)) == (SEEN, b"-", data)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "<34>1 2026-11-23T05:06:01.003Z mymachine.example.org su - ID47 - 'su root' failed on /dev/pts/8",
            (
                "mymachine.example.org",
                "su",
                "critical",
                "auth",
                "'su root' failed on /dev/pts/8",
                "2026-11-23T05:06:01.003000Z",
            ),
        ),
        (
            "<165>1 2026-11-23T06:06:01.000003+01:00 192.0.2.1 myproc 8710 - - %% It's time",
            ("192.0.2.1", "myproc", "notice", "local4", "%% It's time", "2026-11-23T05:06:01.000003Z"),
        ),
        (
            "<34>Nov 23 05:05:59 mymachine su: 'su root' failed",
            ("mymachine", "su", "critical", "auth", "'su root' failed", "2026-11-23T05:05:59.000000Z"),
        ),
        (
            "<13>Nov  3 05:05:59 hlt02 sshd[1234]: session: opened",
            ("hlt02", "sshd", "notice", "user", "session: opened", "2026-11-03T05:05:59.000000Z"),
        ),
        (
            "<13>Dec 31 23:59:59 hlt02 cron[7]: last year's",
            ("hlt02", "cron", "notice", "user", "last year's", "2025-12-31T23:59:59.000000Z"),
        ),
        (
            "<30>2026-11-23T05:06:01.5+00:00 hlt03 cvmfs2[99]: (software) switching proxy",
            ("hlt03", "cvmfs2", "info", "daemon", "(software) switching proxy", "2026-11-23T05:06:01.500000Z"),
        ),
        ("<3>kernel: oops", ("192.0.2.7", "kernel", "error", "kern", "oops", "2026-11-23T05:06:02.000000Z")),
        ("no priority", ("192.0.2.7", "syslog", "", "", "no priority", "2026-11-23T05:06:02.000000Z")),
        ("<999>x: y", ("192.0.2.7", "syslog", "", "", "<999>x: y", "2026-11-23T05:06:02.000000Z")),
        ("<14>tag: a\nb\\n", ("192.0.2.7", "tag", "info", "user", "a\nb\\n", "2026-11-23T05:06:02.000000Z")),
    ],
)
def test_syslog(text: str, expected: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """Host, program, level, facility, text and time of both kinds and their relatives."""
    found = document("syslog", text.encode())
    syslog = found["log"].get("syslog", {})
    assert (
        found["host"]["name"],
        found["service"]["name"],
        found["log"].get("level", ""),
        syslog.get("facility", {}).get("name", ""),
        found["message"],
        found["@timestamp"],
    ) == expected
    assert found["source"] == {"ip": "192.0.2.7"} and found["event"]["dataset"] == "daqsched.syslog"
    assert found["event"]["created"] == "2026-11-23T05:06:02.000000Z"


def test_structured_data_becomes_labels() -> None:
    """With its escapes; the message begins behind it, with or without a byte order mark."""
    text = '<165>1 - h app - ID [ex@1 k="a \\"b\\" \\]" iut="3"][x y="z"] \ufeffhello'
    found = document("syslog", text.encode())
    assert found["labels"] == {"ex@1.k": 'a "b" ]', "ex@1.iut": "3", "x.y": "z"}
    assert found["message"] == "hello" and found["log"]["syslog"]["msgid"] == "ID"


def test_json_lines() -> None:
    """The usual names are found, the rest are labels, flat."""
    found = document(
        "json",
        b'{"time":"2026-11-23T05:06:01.25Z","level":"WARN","msg":"hot","host":"fee7","app":"hv",'
        b'"crate":{"slot":3,"on":true},"none":null,"list":[1]}',
    )
    assert found["@timestamp"] == "2026-11-23T05:06:01.250000Z" and found["log"]["level"] == "warning"
    assert (found["message"], found["host"], found["service"]["name"]) == ("hot", {"name": "fee7"}, "hv")
    assert found["labels"] == {"crate.slot": "3", "crate.on": "true", "list": "[1]"}
    assert document("json", b'{"ts":1795410361.5,"text":"x"}')["@timestamp"] == "2026-11-23T05:06:01.500000Z"
    raw = document("json", b"no object")
    assert (raw["message"], raw["host"]["name"], raw["service"]["name"]) == ("no object", "192.0.2.7", "json")
    many = document("json", json.dumps({f"f{at}": "v" * (5000 if at == 3 else 100) for at in range(500)}).encode())
    assert len(many["labels"]) == 64 and max(map(len, many["labels"].values())) == 1024


def test_journal_entries() -> None:
    """As journalctl prints them; a text that is no UTF-8 is a list of bytes."""
    entry = {
        "__CURSOR": "s=1",
        "__REALTIME_TIMESTAMP": "1795410361000001",
        "MESSAGE": [104, 105, 255],
        "PRIORITY": "4",
        "SYSLOG_FACILITY": "3",
        "SYSLOG_IDENTIFIER": "autofs",
        "_HOSTNAME": "hlt09",
        "_SYSTEMD_UNIT": "autofs.service",
        "_PID": "77",
        "_COMM": "automount",
    }
    found = document("journald", json.dumps(entry).encode(), peer=b"-")
    assert found["@timestamp"] == "2026-11-23T05:06:01.000001Z" and found["message"] == "hi\ufffd"
    assert found["log"]["level"] == "warning" and found["log"]["syslog"]["facility"]["name"] == "daemon"
    assert (found["host"]["name"], found["service"]["name"]) == ("hlt09", "autofs.service")
    assert found["process"] == {"pid": 77, "name": "automount"} and "source" not in found


def test_what_the_kernel_dropped_is_a_document() -> None:
    """With the number."""
    made = form_of(stream("syslog"), 0).encode(row(SEEN, DROPPED, b"1234"), Position(0, 0), SEEN, False, BODY)
    found = json.loads(made.documents.body().splitlines()[1])
    assert found["daqsched"]["dropped"] == {"lines": 1234, "bytes": 0}
    assert found["event"]["dataset"] == "daqsched.dropped" and found["message"].startswith(
        "1,234 datagrams for syslog@"
    )


@given(st.sampled_from(["syslog", "json", "journald"]), st.lists(st.binary(max_size=120), max_size=5), st.booleans())
def test_anything_is_a_document_and_the_same_again(format: str, received: list[bytes], wild: bool) -> None:
    """Also rows that nobody wrote like this; in one chunk or line by line."""
    rows = [data.replace(b"\n", b"") + b"\n" if wild else row(SEEN, b"-", data) for data in received]
    chunk = b"".join(rows)
    form = form_of(stream(format), 0)
    whole = form.encode(chunk, Position(0, 0), SEEN, False, BODY)
    assert len(whole.documents) == len(rows) and whole.end == len(chunk)
    at, found = 0, []
    for number, one in enumerate(rows):
        made = form_of(stream(format), 0).encode(one, Position(0, at), SEEN + number, False, BODY)
        found += list(made.documents)
        at += len(one)
    assert found == list(whole.documents)
    for text in whole.documents.body().splitlines():
        json.loads(text)


@pytest.mark.parametrize("format", ["syslog", "json", "journald"])
def test_no_beginning_of_a_message_is_an_error(format: str) -> None:
    """Each cut of a long one."""
    text = b'<165>1 2026-11-23T05:06:01Z h app 1 ID [ex@1 k="v"] {"a":{"b":[1,"x"]}} \xff'
    for end in range(len(text)):
        assert "message" in document(format, text[:end])
