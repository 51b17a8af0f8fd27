"""One call to the master and its answer, which has an end in bytes and time, however it comes.

http.client's time limit is that of each piece: an answer that drips has none.
"""

from __future__ import annotations

import http.client
import socket
import time
from typing import Any, Optional

#: The largest answer: Mesos says nothing, or in a sentence why not.
MOST_BYTES = 1 << 20


class CallConnection(http.client.HTTPConnection):
    """For pymesos; ``timeout`` is that of a whole answer, and of connecting."""

    def connect(self) -> None:
        super().connect()
        self.sock = _Timed(fileno=self.sock.detach())
        self.sock.settimeout(self.timeout)

    def getresponse(self) -> http.client.HTTPResponse:
        if isinstance(self.sock, _Timed) and self.timeout is not None:
            self.sock.until = time.monotonic() + self.timeout
        return super().getresponse()


class _Answer(http.client.HTTPResponse):
    def read(self, amt: Optional[int] = None) -> bytes:
        data = super().read(MOST_BYTES + 1 if amt is None else amt)
        if len(data) > MOST_BYTES:
            self.close()
            raise OSError(f"the master answers a call with more than {MOST_BYTES >> 20} MiB")
        return data


CallConnection.response_class = _Answer


class _Timed(socket.socket):
    """Reads until a moment."""

    until = float("inf")

    def recv_into(self, *into: Any) -> int:
        left = self.until - time.monotonic()
        if left <= 0:
            raise socket.timeout("timed out")
        if left != float("inf"):
            self.settimeout(left)
        return super().recv_into(*into)
