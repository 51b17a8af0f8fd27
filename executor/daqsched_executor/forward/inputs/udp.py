"""Datagrams: taken many at a time; those that the kernel dropped because its buffer was full are counted.

How many those are is asked of the socket (SO_MEMINFO, socket(7); Linux 4.12 or later).
"""

from __future__ import annotations

import selectors
import socket
import struct
import time

from ..forms.received import row
from .port import LONGEST, Port

#: linux/socket.h; the ninth number of SO_MEMINFO is how many datagrams were dropped (SK_MEMINFO_DROPS).
_SO_RCVBUFFORCE, _SO_MEMINFO = 33, 55
_MEMINFO = struct.Struct("9I")

#: So many datagrams are taken before they are written.
AT_ONCE = 512


class Datagrams(Port):
    """A UDP port."""

    _dropped = 0

    def _open(self) -> socket.socket:
        family = socket.AF_INET6 if ":" in self._address else socket.AF_INET
        made = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        try:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._buffer)
            try:
                made.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, self._buffer)  # beyond net.core.rmem_max
            except OSError:
                pass  # we are not root
            made.bind((self._address, self._number))
        except OSError:
            made.close()
            raise
        self._dropped = 0
        self._selector.register(made, selectors.EVENT_READ, self._take)
        return made

    def _take(self) -> int:
        """Up to so many datagrams as one write; how many they were."""
        assert self._socket is not None
        receive = self._socket.recvfrom
        rows: list[bytes] = []
        micros = time.time_ns() // 1000
        try:
            while len(rows) < AT_ONCE:
                data, peer = receive(LONGEST)
                rows.append(row(micros, peer[0].encode(), data))
        except BlockingIOError:
            pass
        except OSError as error:
            self._complain(f"port {self._number}", f"cannot receive on port {self._number}: {error.strerror}")
        if rows:
            self._write(b"".join(rows), len(rows))
        return len(rows)

    def look(self, now: float) -> None:
        """See `Port.look`; the kernel's drops are counted."""
        self._ask()
        super().look(now)

    def finish(self) -> None:
        """See `Port.finish`."""
        if self._socket is not None:
            while self._take():
                pass
            self._ask()
            self._tell()
            self._selector.unregister(self._socket)
            self._socket.close()

    def _ask(self) -> None:
        if self._socket is None:
            return
        try:
            numbers = _MEMINFO.unpack(self._socket.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _MEMINFO.size))
        except (OSError, struct.error):
            return  # a kernel before 4.12
        dropped = numbers[8]
        self.lost += (dropped - self._dropped) & 0xFFFFFFFF
        self._dropped = dropped
