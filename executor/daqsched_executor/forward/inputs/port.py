"""A port of the machine that others send to: opened as soon as it can be had, what comes goes to the spool."""

from __future__ import annotations

import selectors
import socket
import time
from collections.abc import Callable
from typing import ClassVar

from ..forms.received import DROPPED, row
from .handover import Handover
from .spool_file import SpoolFile

#: The largest datagram, and the longest message of a TCP connection; what is longer is cut.
LONGEST = 128 * 1024

Warn = Callable[[str, str], None]


class Port:
    """A port, open as soon as it can be had; writes rows to the spool and counts those that it has no room for."""

    KIND: ClassVar[socket.SocketKind]
    PROTOCOL: ClassVar[str]

    def __init__(
        self,
        selector: selectors.BaseSelector,
        file: SpoolFile,
        address: str,
        number: int,
        warn: Warn,
        handover: Handover,
    ) -> None:
        self._selector, self._file, self._handover = selector, file, handover
        self._address, self._number = address, number
        self._warn = warn
        self._socket: socket.socket | None = None
        #: Messages that were lost, and those of them that a row has reported.
        self.lost = self._told = 0
        #: Whether the socket was there before us: what came while no forwarder was there has waited in it.
        self.handed = False
        self.look(time.monotonic())

    @property
    def open(self) -> bool:
        """Whether it is."""
        return self._socket is not None

    def look(self, now: float) -> None:
        """Open the port if it is not, and report what was lost."""
        if self._socket is None:
            handed = self._handover.take(self.KIND, self._address, self._number)
            self.handed = handed is not None
            try:
                name, made = handed or self._new()
                try:
                    self._begin(made, name)
                except OSError:
                    made.close()
                    raise
                self._socket = made
            except OSError as error:
                self._warn(
                    f"port {self._number}",
                    f"cannot listen on {self._address} port {self._number}: {error.strerror}; trying again",
                )
        self._tell()

    def finish(self) -> None:
        """Take what is there, and close."""

    def _new(self) -> tuple[str, socket.socket]:
        made = self._open()
        return self._handover.leave_socket(made, self.PROTOCOL, self._number), made

    def _open(self) -> socket.socket:
        raise NotImplementedError

    def _begin(self, made: socket.socket, name: str) -> None:
        """Take what comes from now on; ``name`` is that under which the socket is kept for the next forwarder."""
        raise NotImplementedError

    def _write(self, rows: bytes, count: int) -> None:
        try:
            self._file.append(rows)
        except OSError as error:
            self.lost += count
            self._warn(
                "received", f"what was received has no room in the spool ({error.strerror}): it is dropped and counted"
            )

    def _tell(self) -> None:
        if self.lost > self._told:
            lost = self.lost
            try:
                self._file.append(row(time.time_ns() // 1000, DROPPED, b"%d" % (lost - self._told)))
                self._told = lost
            except OSError:
                pass  # the next look tries again
