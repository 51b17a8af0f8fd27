"""One HTTP request to the agent that never blocks: a connection of its own, a time limit, one answer."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping

from daqsched_executor.log import place_of
from daqsched_executor.run.loop import READ, WRITE, Loop


class Call:
    """A POST under way. ``done("")`` when the agent took it, ``done(sentence)`` when not; exactly one of the two,
    unless `close` comes first."""

    #: An agent that does not answer within this is tried again; it keeps nobody waiting meanwhile.
    LIMIT_S = 5.0

    def __init__(
        self, loop: Loop, address: str, path: str, body: bytes, headers: Mapping[str, str], done: Callable[[str], None]
    ) -> None:
        self._loop = loop
        self._done = done
        self._answer = b""
        lines = [
            f"POST {path} HTTP/1.1",
            f"Host: {address}",
            "Content-Type: application/json",
            "Accept: application/json",
            "Connection: close",
            f"Content-Length: {len(body)}",
            *(f"{name}: {value}" for name, value in headers.items()),
        ]
        self._request = "\r\n".join(lines).encode() + b"\r\n\r\n" + body
        self.deadline = loop.now() + self.LIMIT_S
        host, _, port = address.rpartition(":")
        self._socket = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
        self._socket.setblocking(False)
        # a refusal shows at the first send, so that `done` never comes out of this constructor
        self._socket.connect_ex((host.strip("[]"), int(port)))
        loop.watch(self._socket.fileno(), WRITE, self._ready, self._failed)

    def close(self) -> None:
        """Forget about it; safe to call twice."""
        if self._socket.fileno() >= 0:
            self._loop.forget(self._socket.fileno())
            self._socket.close()

    def _ready(self, mask: int) -> None:
        try:
            if mask & WRITE:
                self._request = self._request[self._socket.send(self._request) :]
                if not self._request:
                    self._loop.watch(self._socket.fileno(), READ, self._ready, self._failed)
            if mask & READ:
                self._read()
        except BlockingIOError:
            return
        except OSError as error:
            self._finish(f"the agent cannot be reached: {error.strerror or error}")

    def _read(self) -> None:
        heard = self._socket.recv(65536)
        self._answer += heard
        head, whole, body = self._answer.partition(b"\r\n\r\n")
        if not whole:
            if not heard:
                self._finish("the agent broke the connection before it answered")
            return
        words = head.split(b"\r\n", 1)[0].split(None, 2)  # HTTP/1.1 202 Accepted
        code = int(words[1]) if len(words) > 1 and words[1].isdigit() else 0
        if 200 <= code < 300:
            self._finish("")
        elif not heard or len(body) >= 200 or b"content-length" in head.lower():
            self._finish(f"the agent refused it with HTTP {code}: {body[:200].decode('utf-8', 'replace')}")

    def _failed(self, error: Exception) -> None:
        self._finish(place_of(error))

    def _finish(self, problem: str) -> None:
        self.close()
        self._done(problem)
