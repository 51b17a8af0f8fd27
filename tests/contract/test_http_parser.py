"""The two stand-ins for http-parser, that of all (compat/http_parser) and an executor's, alone and below pymesos' own
`Connection` on a real socket."""

from __future__ import annotations

import json
import select
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import pytest
from http_parser import http
from http_parser.http import HttpParser
from hypothesis import given, settings
from hypothesis import strategies as st
from pymesos import process
from pymesos.process import Connection

from daqsched_executor import answer


@pytest.fixture(scope="module", params=[http, answer], ids=["everywhere", "executor"], autouse=True)
def both(request: pytest.FixtureRequest) -> Iterator[None]:
    """All of this is so of each of them."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (process, sys.modules[__name__]):
            patch.setattr(module, "HttpParser", request.param.HttpParser)
        yield


HEAD = b"HTTP/1.1 200 OK\r\nDate: Mon, 23 Nov 2026 00:00:00 GMT\r\nTransfer-Encoding: chunked\r\n"
SUBSCRIBED = HEAD + b"Mesos-Stream-Id: 130ae4e3\r\nContent-Type: application/json\r\n\r\n"
REDIRECT = (
    b"HTTP/1.1 307 Temporary Redirect\r\nLocation: //127.0.0.2:5050/api/v1/scheduler\r\nContent-Length: 0\r\n\r\n"
)


def chunked(body: bytes, *sizes: int) -> bytes:
    """The body in chunks of the sizes, the rest in a last one; without the end that an endless stream never has."""
    written, start = b"", 0
    for size in (*sizes, len(body)):
        piece = body[start : start + size]
        start += size
        if piece:
            written += b"%x\r\n%s\r\n" % (len(piece), piece)
    return written


def record(event: dict[str, Any]) -> bytes:
    """One event as Mesos frames it (RecordIO): its length, a newline, its JSON."""
    data = json.dumps(event, ensure_ascii=False).encode()
    return b"%d\n%s" % (len(data), data)


def pieces(data: bytes, cuts: Sequence[int]) -> Iterator[bytes]:
    """The data cut at the places; empty pieces are left out, since no socket gives one."""
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    for start, end in zip(places, places[1:]):
        yield data[start:end]


def told(data: bytes, cuts: Sequence[int] = ()) -> dict[str, Any]:
    """All that a parser says after the data came in these pieces."""
    parser, body, understood = HttpParser(), b"", True
    for piece in pieces(data, cuts):
        understood = parser.execute(piece, len(piece)) == len(piece)
        assert understood == (parser.get_errno() == 0)
        if not understood:
            break
        if parser.is_partial_body():
            body += parser.recv_body()
    return {
        "status": parser.get_status_code(),
        "headers": parser.get_headers(),
        "headers complete": parser.is_headers_complete(),
        "body": body,
        "chunked": parser.is_chunked(),
        "complete": parser.is_message_complete(),
        "understood": understood,
    }


names = st.from_regex(r"[A-Za-z][A-Za-z0-9-]{0,11}", fullmatch=True).filter(
    lambda name: name.lower() not in {"content-length", "transfer-encoding", "connection", "upgrade"}
)
values = st.from_regex(r"([!-~]([ -~]{0,20}[!-~])?)?", fullmatch=True)
bodies = st.binary(max_size=300)


@st.composite
def responses(draw: st.DrawFn) -> tuple[bytes, dict[str, Any]]:
    """A response with what may follow it, and what a parser has to tell of it."""
    status = draw(st.sampled_from([200, 307, 400, 403, 404, 500, 503]))
    headers = draw(st.dictionaries(names, values, max_size=4))
    body = draw(bodies)
    lines = [f"HTTP/1.1 {status} Reason of it", *(f"{name}: {value}" for name, value in headers.items())]
    after = draw(st.sampled_from([b"", b"rubbish", REDIRECT, SUBSCRIBED]))
    if is_chunked := draw(st.booleans()):
        headers["Transfer-Encoding"] = "chunked"
        lines.append("Transfer-Encoding: chunked")
        trailer = draw(st.sampled_from([b"", b"Mesos-Stream-Id: of the trailer\r\n"]))
        written = chunked(body, *draw(st.lists(st.integers(1, 40), max_size=6))) + b"0\r\n" + trailer + b"\r\n" + after
    else:
        headers["Content-Length"] = str(len(body))
        lines.append(f"Content-Length: {len(body)}")
        written = body + after
    expected = {
        "status": status,
        "headers": headers,
        "headers complete": True,
        "body": body,
        "chunked": is_chunked,
        "complete": True,
        "understood": True,
    }
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + written, expected


cut_places = st.lists(st.integers(0, 4000), max_size=12)


@given(responses(), cut_places)
def test_what_it_tells_does_not_depend_on_where_the_bytes_were_cut(
    response: tuple[bytes, dict[str, Any]], cuts: list[int]
) -> None:
    """Status, headers and body are the first response's, whatever the pieces and whatever follows it."""
    data, expected = response
    assert told(data, cuts) == expected


@given(responses())
@settings(max_examples=20)
def test_one_byte_at_a_time_is_enough(response: tuple[bytes, dict[str, Any]]) -> None:
    """The smallest pieces that a socket can give."""
    data, expected = response
    assert told(data, range(len(data))) == expected


@given(st.lists(bodies.filter(bool), min_size=1, max_size=5))
@settings(max_examples=30)
def test_a_stream_without_end_gives_each_chunk_when_it_came(chunks: list[bytes]) -> None:
    """Mesos never ends its response: what came is there to be read at once, and only once."""
    parser = HttpParser()
    assert parser.execute(SUBSCRIBED, len(SUBSCRIBED)) == len(SUBSCRIBED)
    assert parser.is_headers_complete() and parser.is_chunked() and not parser.is_partial_body()
    for chunk in chunks:
        data = chunked(chunk)
        assert parser.execute(data, len(data)) == len(data)
        assert parser.is_partial_body()
        assert parser.recv_body() == chunk
        assert not parser.is_partial_body() and parser.recv_body() == b""
        assert not parser.is_message_complete()


def test_half_a_chunk_is_given_as_far_as_it_came() -> None:
    """pymesos puts the pieces together itself; nothing is held back."""
    parser = HttpParser()
    data = SUBSCRIBED + b"a\r\n12345"
    parser.execute(data, len(data))
    assert parser.recv_body() == b"12345"
    parser.execute(b"67890\r\n", 7)
    assert parser.recv_body() == b"67890"


def test_only_the_length_that_is_named_is_taken() -> None:
    """The second argument counts, as with the original."""
    parser = HttpParser()
    assert parser.execute(REDIRECT + b"rubbish", len(REDIRECT)) == len(REDIRECT)
    assert parser.is_message_complete()


def test_a_body_that_ends_with_the_connection_can_be_read_but_is_not_complete() -> None:
    """Without length and chunks nobody can tell the end; pymesos then writes an ellipsis behind it."""
    answer = told(b"HTTP/1.1 500 Internal Server Error\r\n\r\nout of order")
    assert (answer["status"], answer["body"], answer["complete"]) == (500, b"out of order", False)


@pytest.mark.parametrize(
    "rubbish",
    [
        pytest.param(b"\x15\x03\x01\x00\x02\x02\x28", id="a TLS alert"),
        pytest.param(b"SSH-2.0-OpenSSH_9.2\r\n", id="another service"),
        pytest.param(b"HTTP/2 200\r\n\r\n", id="a version that nobody speaks in text"),
        pytest.param(SUBSCRIBED + b"3\r\nabc\r\nzz\r\n", id="a chunk of no length"),
        pytest.param(SUBSCRIBED + b"3\r\nabcdef\r\n", id="a chunk longer than it says"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n", id="a length in words"),
        pytest.param(b"HTTP/1.1 two OK\r\n\r\n", id="a status in words"),
        pytest.param(SUBSCRIBED + b"-3\r\nabc\r\n", id="a length below nothing"),
    ],
)
def test_what_is_no_http_is_an_error_that_stays(rubbish: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """Fewer bytes understood than given, a number from get_errno, a sentence in the log, and no way back."""
    parser = HttpParser()
    assert parser.execute(rubbish, len(rubbish)) < len(rubbish)
    assert parser.get_errno() != 0
    assert "no HTTP response" in caplog.text or isinstance(parser, answer.HttpParser)  # its link says so
    assert parser.execute(REDIRECT, len(REDIRECT)) == 0
    assert not parser.is_message_complete()


def test_a_change_of_protocol_ends_the_response() -> None:
    """A 101 is a status that pymesos refuses, not an exception out of execute."""
    answer = told(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n\x00\x00\x12\x04")
    assert (answer["status"], answer["complete"], answer["understood"]) == (101, True, True)


def test_it_is_not_taken_for_the_pure_python_parser() -> None:
    """pymesos asks for an attribute errno, and would import a module that is not there."""
    assert not hasattr(HttpParser(), "errno")


# below pymesos' own connection


@dataclass
class Heard:
    """What pymesos' `Process` is to its `Connection`."""

    events: list[Any] = field(default_factory=list)
    masters: list[str] = field(default_factory=list)
    stream_id: str | None = None

    def gen_request(self) -> bytes:
        return b"POST /api/v1/scheduler HTTP/1.1\r\n\r\n"

    def process_event(self, event: Any) -> None:
        self.events.append(event)

    def change_master(self, master: str) -> None:
        self.masters.append(master)

    def on_close(self) -> None:
        pass


def converse(data: bytes, cuts: Sequence[int] = (), ends: bool = False) -> tuple[Heard, bool]:
    """A server sends the data in these pieces, each when the one before was read; also tells whether pymesos goes on."""
    heard = Heard()
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        connection = Connection(f"127.0.0.1:{listener.getsockname()[1]}", heard)
        stack.callback(connection.close)
        server = stack.enter_context(listener.accept()[0])
        server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        assert select.select([], [connection], [], 5)[1]
        assert connection.handle_connect_event() == ""
        assert connection.write()
        for piece in pieces(data, [*cuts, *range(0, len(data), 4096)]):  # pymesos reads 4096 bytes at a time
            server.sendall(piece)
            assert select.select([connection], [], [], 5)[0]
            if not connection.read():
                return heard, False
        if ends:
            server.shutdown(socket.SHUT_WR)
            assert select.select([connection], [], [], 5)[0]
            return heard, connection.read()
    return heard, True


events = st.lists(
    st.fixed_dictionaries(
        {"type": st.sampled_from(["SUBSCRIBED", "HEARTBEAT", "OFFERS"]), "text": st.text(max_size=80)}
    ),
    min_size=1,
    max_size=6,
)


@given(events, st.lists(st.integers(1, 60), max_size=8), cut_places)
@settings(max_examples=60, deadline=None)
def test_pymesos_hears_every_event_however_it_is_cut(
    sent: list[dict[str, Any]], sizes: list[int], cuts: list[int]
) -> None:
    """Chunks and reads end anywhere, also inside a length or a letter; the events come whole and in order."""
    data = SUBSCRIBED + chunked(b"".join(map(record, sent)), *sizes)
    heard, goes_on = converse(data, cuts)
    assert heard.events == sent
    assert heard.stream_id == "130ae4e3"
    assert goes_on


def test_pymesos_hears_an_event_larger_than_it_reads_at_a_time() -> None:
    """The offers of a thousand agents are one event of megabytes."""
    large = {"type": "OFFERS", "text": "x" * 200_000}
    heard, _ = converse(SUBSCRIBED + chunked(record(large), 7, 65536))
    assert heard.events == [large]


@given(cut_places)
@settings(max_examples=20, deadline=None)
def test_pymesos_follows_a_redirect(cuts: list[int]) -> None:
    """A master that is not the leader answers with the leader's address."""
    heard, goes_on = converse(REDIRECT, cuts)
    assert heard.masters == ["127.0.0.2:5050"]
    assert not goes_on


def test_pymesos_tries_again_where_no_master_leads() -> None:
    """503 is for a moment: the connection ends, and no event was heard."""
    heard, goes_on = converse(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")
    assert not goes_on and heard.events == []


def test_pymesos_shows_the_words_of_a_refusal() -> None:
    """What Mesos says of a request that it refuses is in the exception."""
    refusal = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 38\r\n\r\nFramework 'daqsched' is not authorized"
    with pytest.raises(RuntimeError, match='HTTP 403.*not authorized"$'):
        converse(refusal)


def test_pymesos_refuses_what_is_no_http() -> None:
    """An address of another service is told as such, with the parser's number."""
    with pytest.raises(RuntimeError, match="Failed to parse, code:1"):
        converse(b"SSH-2.0-OpenSSH_9.2\r\n")


@pytest.mark.parametrize("end", [b"0\r\n\r\n", b""])
def test_pymesos_notices_the_end_of_the_stream(end: bytes) -> None:
    """Ended in order or broken off: it hears what came before, and then connects again."""
    heard, goes_on = converse(SUBSCRIBED + chunked(record({"type": "HEARTBEAT"})) + end, ends=True)
    assert heard.events == [{"type": "HEARTBEAT"}]
    assert not goes_on
