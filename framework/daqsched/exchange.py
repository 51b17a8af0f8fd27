"""A question to the daemon and its answer over HTTP/1.1, by Python's own client: others are a third of the time of a command."""

from __future__ import annotations

import select
import socket
import ssl
import struct
from collections.abc import Callable, Mapping, Sequence
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection, IncompleteRead
from pathlib import Path
from typing import NamedTuple, Optional, Union
from urllib.parse import quote, urlencode, urlsplit

from daqsched import __version__

#: The longest answer, in bytes: a backup of the largest farm is a tenth of it.
MOST_BYTES = 1 << 30
_TOO_LONG = "its answer is longer than any of a daemon"

#: So much is read at once where nobody says how much comes.
_PIECE = 1 << 16

Params = Mapping[str, Union[str, int, float, Sequence[str]]]


class HttpAnswer(NamedTuple):
    """What the daemon said."""

    status: int
    content: bytes
    #: Headers of that name in the order of the answer: ``set-cookie`` may stand there more than once.
    cookies: Sequence[str]
    #: What was asked.
    method: str
    path: str


class NotReached(Exception):
    """No connection came about; ``cause`` is why."""

    def __init__(self, cause: OSError) -> None:
        super().__init__(str(cause))
        self.cause = cause


class NotAnswered(Exception):
    """The connection, or the next piece of the answer, did not come in time."""


class BrokenAnswer(Exception):
    """The connection ended before the answer did, or it is no answer."""


class Exchange:
    """Each question has a connection of its own while it is asked; those that are free are used again. Threads may share it."""

    def __init__(self, make: Callable[[], HTTPConnection], prefix: str, headers: Mapping[str, str]) -> None:
        self._make, self._prefix = make, prefix
        self._free: list[HTTPConnection] = []
        #: Those of each question.
        self.headers = {"user-agent": f"daqsched/{__version__}", **headers}

    def close(self) -> None:
        """Close the connections that nobody asks on."""
        while self._free:
            self._free.pop().close()

    def request(
        self,
        method: str,
        path: str,
        params: Optional[Params] = None,
        content: bytes = b"",
        headers: Optional[Mapping[str, str]] = None,
    ) -> HttpAnswer:
        """The whole answer. Raises `NotReached`, `NotAnswered`, `BrokenAnswer`."""
        target = f"{self._prefix}{path}"
        asked = f"{target}?{urlencode(params, doseq=True, quote_via=quote)}" if params else target
        rested = self._rested()
        connection = rested or self._connected()
        try:
            connection.request(method, asked, content or None, {**self.headers, **(headers or {})})
            response = connection.getresponse()
            if response.length is None and not response.chunked:
                # Python takes the end of a half head for the end of its lines
                raise BrokenAnswer("its answer says no length")
            found = _body(response)
        except BaseException as error:
            connection.close()
            if rested is not None and method == "GET" and isinstance(error, ConnectionError):
                # the other end let go of it in the moment in which we asked
                return self.request(method, path, params, content, headers)
            if isinstance(error, socket.timeout):
                raise NotAnswered from error
            if isinstance(error, IncompleteRead):
                raise BrokenAnswer("its answer ended in the middle") from error
            if isinstance(error, (OSError, HTTPException)):
                raise BrokenAnswer(str(error)) from error
            raise
        self._free.append(connection)
        return HttpAnswer(response.status, found, response.headers.get_all("set-cookie") or (), method, target)

    def _rested(self) -> Optional[HTTPConnection]:
        """One that was used before; None: there is none."""
        while self._free:
            connection = self._free.pop()
            # nothing is asked on it: what can be read is its end
            if connection.sock is not None and not _readable(connection.sock):
                return connection
            connection.close()
        return None

    def _connected(self) -> HTTPConnection:
        """A new one."""
        connection = self._make()
        try:
            connection.connect()
        except OSError as error:
            connection.close()
            if isinstance(error, socket.timeout):
                raise NotAnswered from error
            raise NotReached(error) from error
        return connection


def _body(response: HTTPResponse) -> bytes:
    """All of it. Python's ``read(amount)`` takes a connection's end for the body's; before 3.10 it takes memory for all that it may
    read."""
    if response.length is not None:
        if response.length > MOST_BYTES:
            raise BrokenAnswer(_TOO_LONG)
        return response.read()
    pieces, length = [], 0
    while piece := response.read(_PIECE):
        pieces.append(piece)
        length += len(piece)
        if length > MOST_BYTES:
            raise BrokenAnswer(_TOO_LONG)
    return b"".join(pieces)


def _readable(sock: socket.socket) -> bool:
    poll = select.poll()  # of any number of open files, as select is not
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(0))


class _OverUnix(HTTPConnection):
    """To a Unix socket."""

    def __init__(self, path: Path, timeout_s: float) -> None:
        super().__init__("daqsched", timeout=timeout_s)
        self._path, self._timeout_s = path, timeout_s

    def connect(self) -> None:
        made = socket.socket(socket.AF_UNIX)
        try:
            # a time limit of Python's own would not wait for a place in a full queue
            made.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", int(self._timeout_s), 0))
            made.connect(str(self._path))
            made.settimeout(self._timeout_s)
        except BaseException:
            made.close()
            raise
        self.sock = made


def over_unix(path: Path, prefix: str, timeout_s: float) -> Exchange:
    """With the daemon on that socket. A queue that stays full is a `NotReached` by `BlockingIOError`."""
    return Exchange(lambda: _OverUnix(path, timeout_s), prefix, {})


def over_tls(url: str, prefix: str, timeout_s: float, context: ssl.SSLContext, headers: Mapping[str, str]) -> Exchange:
    """With the one at ``https://HOST:PORT``."""
    address = urlsplit(url).netloc
    return Exchange(lambda: HTTPSConnection(address, timeout=timeout_s, context=context), prefix, headers)
