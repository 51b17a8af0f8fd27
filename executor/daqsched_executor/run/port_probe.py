"""The port probe: a connection, or a question and its answer on it: HTTP's is `HTTP`. Never blocks; what it reads is bounded.

Its time limit is the caller's: `close` ends it at any time.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass

from daqsched_executor.contract import Check
from daqsched_executor.log import place_of
from daqsched_executor.run.loop import READ, WRITE, Loop

#: Of an answer that says no so much is quoted.
QUOTE = 120
#: More is not read of any answer.
ANSWER_BYTES = 65536


def numeric(host: str) -> list[tuple[int, str]]:
    """The addresses that need no look-up, which may block: numbers, and this machine's own name for itself."""
    if host == "localhost":
        return [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")]
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, host)
        except (OSError, ValueError):
            continue
        return [(family, host)]
    return []


def look_up(host: str) -> list[tuple[int, str]]:
    """The addresses of a name. It may take as long as it likes; raises OSError."""
    found = socket.getaddrinfo(host.encode(), None, type=socket.SOCK_STREAM)
    return [(int(family), str(address[0])) for family, _, _, _, address in found]


@dataclass(frozen=True)
class PortProtocol:
    """What is said on a connection, in a protocol."""

    #: The bytes that are sent.
    request: Callable[[Check], bytes]
    #: What the bytes that came say: whether all is well, and what they say else; None: not known before there are more of
    #: them. The second says that no more come.
    understand: Callable[[bytes, bool], tuple[bool, str] | None]


class PortProbe:
    """One attempt: ``done(ok, why not)`` is called once, unless `close` comes first; with None where we could not ask.

    Without a ``protocol`` a connection is enough.
    """

    def __init__(
        self,
        loop: Loop,
        check: Check,
        protocol: PortProtocol | None,
        addresses: list[tuple[int, str]],
        done: Callable[[bool | None, str], None],
    ) -> None:
        self._loop, self._check, self._protocol, self._done = loop, check, protocol, done
        self._addresses = list(addresses)
        self._socket: socket.socket | None = None
        self._connected = False
        #: Why the first address could not be connected to: it says more than that a machine has no IPv6.
        self._code = 0
        self._request, self._answer = b"", b""

    def begin(self) -> None:
        """Try the next address; ``done`` may be called from in here."""
        family, host = self._addresses.pop(0)
        self._connected = False
        try:
            self._socket = socket.socket(family, socket.SOCK_STREAM)
        except OSError as error:  # no such family on this machine, or too many open files
            return self._failed(error.errno or 0)
        self._socket.setblocking(False)
        code = self._socket.connect_ex((host, self._check.port))
        if code not in (0, errno.EINPROGRESS):
            return self._failed(code)
        self._loop.watch(self._socket.fileno(), WRITE, self._ready, self._broken)

    def close(self) -> None:
        """Forget about it; safe to call twice."""
        if self._socket is not None:
            self._loop.forget(self._socket.fileno())
            self._socket.close()
            self._socket = None

    def _ready(self, mask: int) -> None:
        assert self._socket is not None
        if not self._connected:
            code = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if code:
                return self._failed(code)
            self._connected = True
            if self._protocol is None:
                return self._finish(True, "")
            self._request = self._protocol.request(self._check)
        try:
            if mask & WRITE:
                self._request = self._request[self._socket.send(self._request) :]
                if not self._request:
                    self._loop.watch(self._socket.fileno(), READ, self._ready, self._broken)
            if mask & READ:
                self._hear(self._socket.recv(ANSWER_BYTES))
        except BlockingIOError:
            return None
        except OSError as error:
            return self._finish(False, f"{self._check.place}: {error.strerror or error}")
        return None

    def _hear(self, heard: bytes) -> None:
        assert self._protocol is not None, "nothing is read where nothing was asked"
        self._answer += heard
        answer = self._protocol.understand(self._answer, not heard or len(self._answer) >= ANSWER_BYTES)
        if answer is not None:
            ok, what = answer
            self._finish(ok, "" if ok else f"{self._check.place}{self._check.path} {what}")

    def _failed(self, code: int) -> None:
        self.close()
        self._code = self._code or code
        if self._addresses:
            return self.begin()
        refused = self._code == errno.ECONNREFUSED
        what = "refuses the connection" if refused else f"cannot be reached: {os.strerror(self._code)}"
        return self._done(False, f"{self._check.place} {what}")

    def _broken(self, error: Exception) -> None:
        self._finish(None, place_of(error))

    def _finish(self, ok: bool | None, problem: str) -> None:
        self.close()
        self._done(ok, problem)


def request(check: Check) -> bytes:
    """The bytes of the GET."""
    path = "".join(one if one > " " else f"%{ord(one):02X}" for one in check.path) or "/"
    lines = (
        f"GET {path} HTTP/1.1",
        f"Host: {check.place}",
        "User-Agent: daqsched-executor",
        "Accept: */*",
        "Connection: close",
    )
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


def understand(answer: bytes, whole: bool) -> tuple[bool, str] | None:
    """Whether an answer says that all is well, and what it says else; None: not known before there is more of it."""
    before = ""
    while True:
        line, ended, rest = answer.partition(b"\n")
        if not ended and not whole:
            return None
        words = line.split(None, 2)
        if len(words) < 2 or not words[0].startswith(b"HTTP/") or not words[1].isdigit():
            return (
                False,
                "gives an answer that is not HTTP" if line else f"closes the connection without an answer{before}",
            )
        code = int(words[1])
        if not 100 <= code < 200 or code == 101:  # which ends the talk in HTTP, and was not asked for
            break
        # "I am at it": the answer follows (RFC 9110, 15.2)
        _, blank, answer = (b"\n" + rest.replace(b"\r\n", b"\n")).partition(b"\n\n")
        if not blank and not whole:
            return None
        before = f" after HTTP {code}"
    if 200 <= code < 400:
        return True, ""
    _, _, body = (b"\n" + rest.replace(b"\r", b"")).partition(b"\n\n")
    if not whole and len(body) < QUOTE:
        return None
    said = " ".join(body[:QUOTE].decode("utf-8", "replace").split())
    return False, f"answers with HTTP {code}" + (f": {said}" if said else "")


#: A GET of the check's path.
HTTP = PortProtocol(request, understand)
