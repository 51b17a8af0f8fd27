"""Datagrams: taken many at a time; those that the kernel dropped because its buffer was full are counted.

How many those are is asked of the socket (SO_MEMINFO, socket(7); Linux 4.12 or later).
"""

from __future__ import annotations

import selectors
import socket
import struct
import time

from ..forms.received import TORN, row
from .handover import DROPPED, TAKEN, UNTOLD, WRITTEN, Handover
from .port import LONGEST, Port, Warn
from .spool_file import SpoolFile

#: linux/socket.h; the ninth number of SO_MEMINFO is how many datagrams were dropped (SK_MEMINFO_DROPS).
_SO_RCVBUFFORCE, _SO_MEMINFO = 33, 55
_MEMINFO = struct.Struct("9I")

#: So many datagrams are taken before they are written.
AT_ONCE = 512


class Datagrams(Port):
    """A UDP port. Socket and counts outlive a kill -9 where somebody keeps them (`handover`)."""

    KIND, PROTOCOL = socket.SOCK_DGRAM, "udp"

    def __init__(
        self,
        selector: selectors.BaseSelector,
        file: SpoolFile,
        address: str,
        number: int,
        buffer: int,
        warn: Warn,
        handover: Handover,
    ) -> None:
        """With a receive buffer of so many bytes."""
        self._buffer = buffer
        super().__init__(selector, file, address, number, warn, handover)

    def _open(self) -> socket.socket:
        family = socket.AF_INET6 if ":" in self._address else socket.AF_INET
        made = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        try:
            made.bind((self._address, self._number))
        except OSError:
            made.close()
            raise
        return made

    def _begin(self, made: socket.socket, name: str) -> None:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._buffer)
        try:
            made.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, self._buffer)  # beyond net.core.rmem_max
        except OSError:
            pass  # we are not root
        self._tally = self._handover.tally(name)
        #: What a killed forwarder had taken and not written, at most.
        self._torn = self._tally[TAKEN] - self._tally[WRITTEN]
        self.lost = self._torn + self._tally[UNTOLD]
        self._told = self._torn
        self._selector.register(made, selectors.EVENT_READ, self._take)

    def _take(self) -> int:
        """Up to so many datagrams as one write; how many they were."""
        assert self._socket is not None
        receive, tally = self._socket.recvfrom, self._tally
        rows: list[bytes] = []
        micros = time.time_ns() // 1000
        begun = tally[TAKEN]
        try:
            while len(rows) < AT_ONCE:
                tally[TAKEN] += 1
                data, peer = receive(LONGEST)
                rows.append(row(micros, peer[0].encode(), data))
        except BlockingIOError:
            pass
        except OSError as error:
            self._warn(f"port {self._number}", f"cannot receive on port {self._number}: {error.strerror}")
        if rows:
            self._write(b"".join(rows), len(rows))
            tally[UNTOLD] = self.lost - self._told
        tally[TAKEN] = begun + len(rows)
        tally[WRITTEN] = tally[TAKEN] - self._torn
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
        self.lost += (dropped - self._tally[DROPPED]) & 0xFFFFFFFF
        # in this order: killed in between, it is counted twice rather than not at all
        self._tally[UNTOLD] = self.lost - self._told
        self._tally[DROPPED] = dropped

    def _tell(self) -> None:
        if self._socket is None:
            return
        if self._torn:
            try:
                self._file.append(row(time.time_ns() // 1000, TORN, b"%d" % self._torn))
            except OSError:
                return  # the next look tries again
            self._torn = 0
            self._tally[WRITTEN] = self._tally[TAKEN]
        super()._tell()
        self._tally[UNTOLD] = self.lost - self._told
