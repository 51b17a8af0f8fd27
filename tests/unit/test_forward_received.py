"""Syslog, JSON and journal entries as documents. What comes in may be anything: nothing is refused, nothing is lost."""

from __future__ import annotations

import itertools
import json
import os
import random
import re
import selectors
import socket
import tempfile
import threading
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daqsched_executor.contract import LINKS_DIR, STREAMS_DIR, Stream
from daqsched_executor.forward.delivery.connection import Reply
from daqsched_executor.forward.delivery.elastic import Elastic
from daqsched_executor.forward.documents.batch import BODY, Batch, Documents
from daqsched_executor.forward.forms import form_of
from daqsched_executor.forward.forms.received import DROPPED, Received, row, unescaped
from daqsched_executor.forward.inputs.downtime import Downtime
from daqsched_executor.forward.inputs.handover import Handover
from daqsched_executor.forward.inputs.spool_file import SpoolFile
from daqsched_executor.forward.inputs.tcp import Listener
from daqsched_executor.forward.journal.position import Position

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


#: What a sender may write that is no JSON object as people mean it, or one with values that no program should choke on.
ODD_OBJECTS = {
    "half of a character": (b'{"message":"\\ud83d"}', "\ufffd"),
    "half of one in a name": (b'{"message":"x","\\ud83d":"\\udc00"}', "x"),
    "half of one as the host": (b'{"message":"x","host":"\\ud83d"}', "x"),
    "a whole one in two halves": (b'{"message":"\\ud83d\\ude00"}', "\U0001f600"),
    "a huge number": (b'{"message":"x","n":' + b"9" * 100_000 + b"}", "x"),
    "beyond a float": (b'{"message":"x","n":1e999,"time":1e999}', "x"),
    "no number": (b'{"message":"x","n":NaN,"m":-Infinity,"time":NaN}', "x"),
    "a time beyond any date": (b'{"message":"x","time":"99999-99-99T99:99:99Z","ts":99999999999999999999}', "x"),
    "the year 0": (b'{"message":"x","time":"0000-00-00T00:00:00Z"}', "x"),
    "the year 1": (b'{"message":"x","time":"0001-01-01T00:00:00+14:00"}', "x"),
    "NUL": (b'{"message":"x","a\\u0000":"\\u0000"}', "x"),
    "an empty name": (b'{"message":"x","":1}', "x"),
    "fields named like ours": (b'{"message":"x","_id":1,"@timestamp":5,"log":{"offset":"x"},"labels":{"a":1},"event":3}', "x"),
    "a message that is an object": (b'{"message":{"a":1}}', '{"message":{"a":1}}'),
    "a byte order mark": (b'\xef\xbb\xbf{"message":"x"}', "x"),
    "digits that are none": ('{"message":"x","level":"²","time":"²"}'.encode(), "x"),
    "UTF-16": ('{"message":"x"}'.encode("utf-16"), None),
}  # fmt: skip


@pytest.mark.parametrize("which", ODD_OBJECTS)
def test_an_odd_object_is_a_document(which: str) -> None:
    """As a datagram, and as an entry of the journal; a deep one, too."""
    data, message = ODD_OBJECTS[which]
    found = document("json", data)
    assert message is None or found["message"] == message
    assert "message" in document("journald", data) and "message" in document("syslog", data)
    assert document("json", b'{"message":"good"}', data, b'{"message":"good"}')["message"] == "good"


@pytest.mark.parametrize("depth", [100, 250, 30_000])
def test_a_deep_object_is_a_document(depth: int) -> None:
    """As text where a parser would need much of a stack; what is quoted is not nested."""
    for text in ('{"a":' * depth + "1" + "}" * depth, '{"a":' + "[" * depth + "]" * depth + "}"):
        assert document("json", text.encode())["message"] == text
    quoted = json.dumps({"message": "[{" * depth})
    assert document("json", quoted.encode())["message"] == "[{" * depth


#: What an expression may go through again and again, if it is written so.
REPEATED = ('\\"', '"', "\\", '"\\', '",', "[", '{"a":', '["', "a ", "0:", '="a" ', "[a", "<1>", "%A-1-B:", "a=")


@pytest.mark.parametrize("format", ["syslog", "json", "journald"])
@pytest.mark.parametrize("begin", ["", "{" + "[" * 201, "<13>1 - h a - - [a ", "<13>h a[", "<13>"])
def test_no_datagram_takes_long_to_read(format: str, begin: str) -> None:
    """As large as one can be: a few would keep all lines of the machine waiting. The reader's time is what counts."""
    for repeated in REPEATED:
        for end in ("", "\\", '"', "x"):
            before = time.thread_time()
            document(format, (begin + repeated * (65_000 // len(repeated)) + end).encode())
            took_s = time.thread_time() - before
            assert took_s < 1.0, f"{begin}{repeated}...{end}: {took_s:.1f} s"


def test_what_labels_have_no_room_for_is_kept_as_it_came() -> None:
    """A field that stands twice, too many of them, long ones: the flag ``truncated``, and the whole text."""
    for data in (
        b'{"message":"x","a":1,"a":2}',
        b'{"message":"x","a":{"b":1},"a.b":2}',
        json.dumps({"message": "x", **{f"f{at}": at for at in range(100)}}).encode(),
        json.dumps({"message": "x", "a": "v" * 2000}).encode(),
        json.dumps({"message": "x", "host": "h" * 300}).encode(),
    ):
        found = document("json", data)
        assert found["log"]["flags"] == ["truncated"] and found["event"]["original"] == data.decode()
    assert "flags" not in document("json", b'{"message":"x","a":1}')["log"]
    amplified = document("json", json.dumps({"k" * 60_000: {f"f{at}": at for at in range(5000)}}).encode())
    assert len(json.dumps(amplified)) < 300_000


def test_a_time_or_level_that_is_none_stays_a_label() -> None:
    """Nothing that somebody wrote goes for want of a meaning."""
    found = document("json", b'{"message":"x","time":"soon","level":"awful"}')
    assert found["labels"] == {"time": "soon", "level": "awful"}
    assert found["@timestamp"] == "2026-11-23T05:06:02.000000Z"


@pytest.mark.parametrize(
    ("format", "data"),
    [
        ("json", b'{"message":"x","time":"2076-01-01T00:00:00Z"}'),
        ("syslog", b"<13>1 2076-01-01T00:00:00Z h app - - - x"),
        ("journald", b'{"MESSAGE":"x","__REALTIME_TIMESTAMP":"3345062400000000"}'),
    ],
)
def test_a_time_in_the_future_counts_as_none(format: str, data: bytes) -> None:
    """Its line would be the last one until then; the time is kept."""
    found = document(format, data)
    assert found["@timestamp"] == found["event"]["created"] == "2026-11-23T05:06:02.000000Z"
    assert found["log"]["flags"] == ["clock-ahead"] and found["message"] == "x"
    assert found["daqsched"]["named_time"] == "2076-01-01T00:00:00.000000Z"
    near = document("json", b'{"message":"x","time":"2026-11-23T05:06:59Z"}')
    assert near["@timestamp"] == "2026-11-23T05:06:59.000000Z" and "flags" not in near["log"]


def test_marks_of_a_row_become_flags() -> None:
    """What was cut, and how much; a piece that goes on has no header."""
    chunk = b"".join(
        row(SEEN, b"192.0.2.7", b"<13>app: x", marks)
        for marks in (b"cut=70000", b"truncated", b"truncated,continued", b"continued", b"partial", b"tomorrow's")
    )
    made = form_of(stream("syslog"), 0).encode(chunk, Position(0, 0), SEEN, False, BODY)
    found = [json.loads(text) for text in made.documents.body().splitlines()[1::2]]
    assert [one["log"].get("flags") for one in found] == [
        ["truncated"], ["truncated"], ["truncated", "continued"], ["continued"], ["partial"], None,
    ]  # fmt: skip
    assert found[0]["daqsched"]["cut_bytes"] == 70000
    assert [one["message"] for one in found] == ["x", "x", "<13>app: x", "<13>app: x", "x", "x"]
    assert {one["source"]["ip"] for one in found} == {"192.0.2.7"}


def test_the_interface_of_an_address_is_no_part_of_it() -> None:
    """``fe80::1%eth0``: Elasticsearch knows no interfaces."""
    found = document("syslog", b"<13>app: x", peer=b"fe80::1%eth0")
    assert found["source"] == {"ip": "fe80::1"} and found["host"] == {"name": "fe80::1%eth0"}


def test_a_record_that_cannot_be_read_is_set_aside_alone() -> None:
    """Whatever a form raises: the row's bytes are a dead letter with the reason, all others are documents as ever."""

    def fill(fields: dict[str, Any], data: bytes, peer: str, received: int) -> None:
        if b"poison" in data:
            raise ZeroDivisionError("poison")
        fields["message"] = data.decode()

    rows = [row(SEEN, b"-", data) for data in (b"one", b"poison \xff", b"three", b"poison", b"five")]
    made = Received(stream("json"), 0, "", fill).encode(b"".join(rows), Position(0, 0), SEEN, False, BODY)
    assert len(made.documents) == 5 and made.end == sum(map(len, rows))
    sent, aside = made.documents.parted()
    assert [json.loads(text)["message"] for text in sent.body().splitlines()[1::2]] == ["one", "three", "five"]
    assert [json.loads(document.splitlines()[1])["message"] for document, _ in aside] == [
        f"{SEEN} - poison \\xff",
        f"{SEEN} - poison",
    ]
    assert {reason for _, reason in aside} == {"the forwarder could not read this record: ZeroDivisionError: poison"}
    ids = [json.loads(one.splitlines()[0])["create"]["_id"] for one in made.documents]
    assert ids == [f"AAAAAAAAAAA-{sum(map(len, rows[:at])):010x}" for at in range(5)]
    alone = Received(stream("json"), 0, "", fill).encode(rows[1], Position(0, len(rows[0])), SEEN + 1, False, BODY)
    assert list(alone.documents) == [aside[0][0]], "the same again"


def test_what_is_set_aside_keeps_its_place_among_others() -> None:
    """Documents of several records together, and the last ones left out for want of room."""
    together = Documents([b"a\na\n", b"b\nb\n"], aside=[(1, "why b")])
    together += Documents([b"c\nc\nd\nd\n"], 2, aside=[(0, "why c")])
    assert together.parted()[1] == [(b"b\nb\n", "why b"), (b"c\nc\n", "why c")]
    together.shorten(8, 0)
    assert together.parted()[1] == [(b"b\nb\n", "why b")] and list(together.parted()[0]) == [b"a\na\n"]


def test_what_is_set_aside_is_a_dead_letter_and_counted() -> None:
    """It is not sent as a line; its reason comes with it."""
    sent: list[bytes] = []

    class Server:
        node = "http://es"

        def request(self, method: str, path: str, body: Any, kind: str) -> Reply:
            sent.append(b"".join(body))
            return Reply(200, b'{"errors":false}')

    def warn(about: str, sentence: str) -> None:
        pass

    documents = Documents([b'{"a":1}\n{"x":1}\n', b'{"a":2}\n{"x":2}\n'], aside=[(0, "why")])
    made: Any = Server()
    elastic = Elastic(made, "logs", warn, warn, threading.Event(), lambda refused: None)
    outcome = elastic.deliver(Batch(1, "logs-2026.11.23", documents))
    assert (outcome.stored, outcome.dead) == (1, 1) and sent == [b'{"a":2}\n{"x":2}\n']
    assert [(one.document, one.reason) for one in outcome.refused] == [(b'{"a":1}\n{"x":1}\n', "why")]


@pytest.mark.parametrize(
    "text",
    [b"", b"[]", b"x", b'{"boot":', b'{"boot":"BOOT"}', b"[" * 100_000, b'{"boot":"BOOT","no_ports":1e999}']
    + [
        b'{"boot":"BOOT","no_ports":"5"}',
        b'{"boot":"BOOT","no_ports":-5}',
        b'{"boot":"BOOT","no_ports":' + b"9" * 5000 + b"}",
    ]
    + [b" " * (2 << 20) + b'{"boot":"BOOT","no_ports":0}'],
)
def test_what_the_last_forwarder_noted_may_be_anything(tmp_path: Path, text: bytes) -> None:
    """Where it is none, nobody knows how many datagrams came meanwhile, and none is told."""
    path = tmp_path / "no_ports.json"
    path.write_bytes(text.replace(b"BOOT", Path("/proc/sys/kernel/random/boot_id").read_bytes().strip()))
    assert Downtime(str(path)).missed() == 0


@pytest.mark.parametrize("count", ["", "x", "-1", "\u00b2", "9" * 30, "9999", "0"])
def test_more_descriptors_may_be_announced_than_there_are(count: str) -> None:
    """Who starts us says how many; what is not there is left out."""
    environ = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": count, "LISTEN_FDNAMES": "a:b"}
    if count == "9999":
        environ["LISTEN_PID"] = "1"  # those of the test's own process are not ours to close
    handover = Handover(environ)
    assert not environ.keys() & {"LISTEN_FDS", "LISTEN_FDNAMES"}
    assert handover.take(socket.SOCK_DGRAM, "127.0.0.1", 1) is None
    handover.close()


@given(st.lists(st.sampled_from(["connect", "send", "end", "look"]), max_size=40), st.randoms(use_true_random=False))
def test_whatever_a_selector_tells_at_once_and_in_whichever_order_no_message_is_lost(
    acts: list[str], chance: random.Random
) -> None:
    """What one event of a look does (a new sender takes the place of a silent one) may make another one of it untrue."""
    with tempfile.TemporaryDirectory() as folder, selectors.DefaultSelector() as selector, ExitStack() as stack:
        for name in (LINKS_DIR, STREAMS_DIR):
            (Path(folder) / name).mkdir()
        file = SpoolFile(folder, "syslog", "hlt01", "syslog")
        stack.callback(file.close)
        listener = Listener(selector, file, "127.0.0.1", 0, 2, 600.0, lambda about, text: None, Handover({}))
        assert listener._socket is not None
        address = listener._socket.getsockname()

        def end() -> None:  # also where hypothesis goes no further
            for one in (listener._socket, *[sender.socket for sender in listener._senders.values()]):
                assert one is not None
                one.close()

        stack.callback(end)
        clients: list[socket.socket] = []
        #: Those that no look has seen, and what was sent by them and by those that had a place.
        waiting: set[int] = set()
        sent: list[bytes] = []
        numbers = itertools.count()

        def look() -> bool:
            waiting.clear()
            events = selector.select(0)
            chance.shuffle(events)
            for key, _ in events:
                key.data()
            return bool(events)

        for act in acts:
            if act == "connect":
                clients.append(stack.enter_context(socket.create_connection(address, 5.0)))
                waiting.add(clients[-1].getsockname()[1])
            elif act == "look":
                look()
            elif clients:
                client = chance.choice(clients)
                if act == "end":
                    clients.remove(client)
                    client.close()
                    continue
                heard = set(waiting)
                for sender in listener._senders.values():
                    with suppress(OSError):  # it has gone
                        heard.add(sender.socket.getpeername()[1])
                words = b"message %d" % next(numbers)
                with suppress(ConnectionError):  # its place was taken
                    client.sendall(b"<14>1 - fee app - - - " + words + b"\n")
                    sent += [words] if client.getsockname()[1] in heard else []
        while look():
            pass
        listener.finish()
        rows = b"".join(path.read_bytes() for path in (Path(folder) / LINKS_DIR).iterdir())
        stored = re.findall(rb"message \d+", rows)
        assert not set(sent) - set(stored) and len(stored) == len(set(stored))
