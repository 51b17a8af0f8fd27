"""Sockets that outlive a forwarder that is killed: its executor, or systemd, keeps them for the next one.

By FDSTORE=1 of sd_notify(3) they are left, by LISTEN_FDS of sd_listen_fds(3) they come back. Datagrams wait in the kernel
meanwhile. Sockets of a systemd unit (``.socket``) come in the same way: a port below 1024 without root.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import socket
import stat
from collections.abc import MutableMapping
from typing import Optional

from ..status.sd_notify import notify

#: The first one that is handed over, see sd_listen_fds(3).
_FIRST = 3

#: What a tally counts, by its place, in 8 bytes each: datagrams taken from the kernel, those of them that were written; what the
#: kernel had dropped when it was last asked; and what is lost and no row has reported yet.
TAKEN, WRITTEN, DROPPED, UNTOLD = range(4)


class Handover:
    """What was handed to us, and the way to leave something for the next one."""

    def __init__(self, environ: MutableMapping[str, str]) -> None:
        self._address = environ.get("NOTIFY_SOCKET", "")
        names = environ.pop("LISTEN_FDNAMES", "").split(":")
        count, pid = environ.pop("LISTEN_FDS", ""), environ.pop("LISTEN_PID", "")
        self._handed: list[tuple[str, int]] = []
        if pid == str(os.getpid()) and count.isdecimal() and len(count) < 5:
            for at, file in enumerate(range(_FIRST, _FIRST + int(count))):
                with contextlib.suppress(OSError):  # there are not so many
                    os.set_inheritable(file, False)
                    self._handed.append((names[at] if at < len(names) else "", file))

    def take(self, kind: socket.SocketKind, address: str, number: int) -> Optional[tuple[str, socket.socket]]:
        """The socket of that kind that is bound there, and its name, if it was handed over."""
        for at, (name, file) in enumerate(self._handed):
            if not stat.S_ISSOCK(os.fstat(file).st_mode):
                continue
            found = socket.socket(fileno=os.dup(file))
            if found.type == kind and found.getsockname()[:2] == (address, number):
                found.setblocking(False)
                os.close(file)
                del self._handed[at]
                return name, found
            found.close()
        return None

    def tally(self, name: str) -> memoryview:
        """Four counters, see `TAKEN`, in memory that is kept beside the socket of that name: at 0, or as a forwarder left them."""
        name = f"{name}.tally"
        file = next((file for known, file in self._handed if known == name), -1)
        if file >= 0:
            self._handed.remove((name, file))
        else:
            file = os.memfd_create(name, os.MFD_CLOEXEC)
            os.write(file, bytes(mmap.PAGESIZE))  # the memory is there now, and not when something is counted
            self.leave(name, file)
        try:
            return memoryview(mmap.mmap(file, mmap.PAGESIZE)).cast("Q")
        finally:
            os.close(file)

    def leave_socket(self, made: socket.socket, protocol: str, number: int) -> str:
        """Leave a new one; its name, which no earlier one had: what is left under that may have to go."""
        name = f"{protocol}-{number}-{os.urandom(4).hex()}"
        self.leave(name, made.fileno())
        return name

    def leave(self, name: str, file: int) -> None:
        """For the next forwarder, under the name; a copy is sent, this one is still ours."""
        if self._address:
            with contextlib.suppress(OSError):
                notify(self._address, f"FDSTORE=1\nFDNAME={name}\nFDPOLL=0", (file,))

    def close(self) -> None:
        """What nobody wants any more goes, also where it is kept."""
        for name, file in self._handed:
            os.close(file)
            if name and self._address:
                with contextlib.suppress(OSError):
                    notify(self._address, f"FDSTOREREMOVE=1\nFDNAME={name}")
        self._handed.clear()
