"""One connection: requests and answers, with an end to everything that its caller may keep us waiting for.

uvicorn's protocol has no limit for a header, in time or size, and none for whoever does not read its answer.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import Any, NamedTuple, Optional

import msgspec
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from daqsched.problems import CODES, problem
from daqsched.serve.connection_budget import ConnectionBudget, Seat
from daqsched.serve.web_rules import answered

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ConnectionTimes:
    """How long a caller may keep us waiting."""

    #: For its TLS and the header of a request.
    header_s: float = 10.0
    body_s: float = 60.0
    #: Between two requests.
    idle_s: float = 15.0
    #: For reading each piece of an answer (`read_pace`).
    unread_s: float = 30.0


#: The largest header, and the most lines of it. A selection stands in the URL.
HEADER_BYTES, HEADER_LINES = 256 * 1024, 100


#: Where connections come in.
SOCKET, PEER, WEB = "socket", "peer", "web"


class Whose(NamedTuple):
    """Who is at the other end, as far as the connection itself shows."""

    #: The kernel's word for a Unix socket; -1 for others.
    uid: int
    gid: int
    pid: int
    #: The address of who came over TCP.
    address: str = ""
    #: Where it came in: ``socket``, ``peer``, ``web``.
    door: str = "socket"

    @property
    def peer(self) -> bool:
        return self.door == PEER


class Protocol(HttpToolsProtocol):
    """uvicorn's, with limits; who is at the other end, and its seat, go with each request in its scope."""

    def __init__(
        self, room: ConnectionBudget, seat: Seat, whose: Whose, times: ConnectionTimes, **options: Any
    ) -> None:
        super().__init__(**options)
        self._room, self._seat, self._whose, self._times = room, seat, whose, times
        #: Bytes of a header that is not whole; None while there is none to come.
        self._header: Optional[int] = 0
        self._lines = 0
        #: Bytes that came since the last ones of a body: words around its pieces, and behind it.
        self._around = 0

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self.client = None
        self._seat.close = transport.abort

    @property
    def rests(self) -> bool:
        """Whether no request of it is under way, and all of the last answer is on its way to who asked."""
        answered_all = self.cycle is None or self.cycle.response_complete
        return answered_all and not self.transport.get_write_buffer_size()

    def connection_lost(self, exc: Optional[Exception]) -> None:
        self._room.leave(self._seat)
        # before Python 3.11 one with TLS whose other end went away says when it is collected that nobody has closed it
        self.transport.close()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        while data and not self.transport.is_closing():
            # a header is given to the parser as far as it may be long: it may end in the same piece in which it is too long
            if self._header is None:
                part, data = data, b""
                self._around += len(part)
            else:
                part, data = data[: HEADER_BYTES - self._header], data[HEADER_BYTES - self._header :]
                self._header += len(part)
            if part:
                super().data_received(part)
            if (data and self._header == HEADER_BYTES) or self._around > HEADER_BYTES:
                self._refuse(
                    "header-too-large",
                    f"the header of a request may have {HEADER_BYTES >> 10} KiB: select by patterns, not by names",
                )
                return

    def send_400_response(self, msg: str) -> None:
        self._refuse("invalid", f"this is not a request of HTTP/1.1 that is taken here: {msg}")

    def on_message_begin(self) -> None:
        if self.cycle is not None and not self.cycle.response_complete:
            raise ValueError("one request at a time")  # uvicorn keeps those to come without a bound
        super().on_message_begin()
        self._lines = 0
        self.scope["seat"], self.scope["whose"] = self._seat, self._whose  # type: ignore[typeddict-unknown-key]  # ours

    def on_header(self, name: bytes, value: bytes) -> None:
        self._lines += 1
        if self._lines > HEADER_LINES:
            raise ValueError("too many lines")
        if (
            self._header is not None
        ):  # what stands behind a body is not looked at, and must not become one of the request's
            super().on_header(name, value)

    def on_body(self, body: bytes) -> None:
        self._around = 0
        super().on_body(body)

    def on_headers_complete(self) -> None:
        self._header, self._around = None, 0
        self._room.wait(self._seat, time.monotonic(), self._times.body_s)
        super().on_headers_complete()

    def on_response_complete(self) -> None:
        self._header = 0
        # also while it closes: what is still to be read of the answer has an end, too
        unread = self.transport.is_closing() or self.transport.get_write_buffer_size()
        self._room.wait(self._seat, time.monotonic(), self._times.unread_s if unread else self._times.idle_s)
        super().on_response_complete()

    def _refuse(self, code: str, sentence: str) -> None:
        if self.cycle is not None and self.cycle.response_started and not self.cycle.response_complete:
            self.transport.abort()  # what began can't become a sentence any more
            return
        body = msgspec.json.encode(problem(code, sentence))
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(body)),
            (b"connection", b"close"),
        ]
        lines = answered(headers) if self._whose.door == WEB else headers
        head = b"".join(b"%b: %b\r\n" % line for line in lines)
        self.transport.write(b"HTTP/1.1 %d \r\n%b\r\n%b" % (CODES[code].status, head, body))
        self.transport.close()
