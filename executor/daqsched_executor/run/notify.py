"""The socket that a program sends its heartbeats to: NOTIFY_SOCKET of sd_notify(3), on systemd's side of it.

An abstract address, not a path: a sandbox's is longer than the 108 bytes that a path may have, the program's account
need not be able to write there, and nothing is left behind. Abstract addresses have no permissions, so it ends in 128
random bits, and who sent a message is asked of the kernel (SO_PASSCRED): only a living process below the executor, or
one of the job's container, is heard. Each run of the program has a socket of its own, so that no word of the last one is
taken for the next one's.
"""

from __future__ import annotations

import array
import os
import socket
import struct
from collections.abc import Callable

from daqsched_executor.life.events import Notice
from daqsched_executor.life.notify import DATAGRAM_BYTES, parse
from daqsched_executor.machine.kernel import Kernel
from daqsched_executor.run.loop import READ, Loop

#: So many messages are taken in one round of the loop; the rest waits in the kernel, which has room for a few hundred.
AT_ONCE = 32
#: struct ucred of <sys/socket.h>: pid, uid, gid.
_UCRED = struct.Struct("3i")
#: Messages may carry files (BARRIER=1, FDSTORE=1); more than these are cut off by the kernel.
_FILES = 16
#: A parent's parent's parent: a tree of processes that is deeper is none of ours.
_DEEPEST = 100


class NotifySocket:
    """Bound and watched from the start; ``heard`` takes what the program says, ``say`` a sentence on what is refused."""

    def __init__(
        self, kernel: Kernel, loop: Loop, heard: Callable[[Notice], None], say: Callable[[str], None], contained: bool
    ) -> None:
        self._kernel, self._loop, self._heard, self._say, self._contained = kernel, loop, heard, say, contained
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        name = f"daqsched/notify/{os.urandom(16).hex()}"
        self._socket.bind(f"\0{name}")
        #: What stands in NOTIFY_SOCKET.
        self.address = f"@{name}"
        self._refused = 0
        loop.watch(self._socket.fileno(), READ, self._ready)

    def close(self) -> None:
        """Nothing is heard any more."""
        self._loop.forget(self._socket.fileno())
        self._socket.close()

    def _ready(self, mask: int) -> None:
        space = socket.CMSG_SPACE(_UCRED.size) + socket.CMSG_SPACE(_FILES * 4)
        for _ in range(AT_ONCE):
            try:
                message, extras, _, _ = self._socket.recvmsg(DATAGRAM_BYTES, space, socket.MSG_CMSG_CLOEXEC)
            except OSError:  # there is none: BlockingIOError; or it was cut by a lack of memory
                return
            pid = 0
            for level, kind, data in extras:
                if (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS):
                    pid = _UCRED.unpack(data[: _UCRED.size])[0]
                elif (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                    _close_all(data)  # a barrier's sender waits for just that: what it sent before has been read
            if self._known(pid):
                self._heard(parse(message))
            else:
                self._refuse(pid)

    def _known(self, pid: int) -> bool:
        """Whether it is a living process that the program began; the container's are below its engine, not below us."""
        entry = self._kernel.entry(pid) if pid else None
        if entry is not None and self._contained and self._has_address(pid):
            return True
        for _ in range(_DEEPEST):
            if entry is None or entry.parent <= 1:
                return False
            if entry.parent == os.getpid():
                return True
            entry = self._kernel.entry(entry.parent)
        return False

    def _has_address(self, pid: int) -> bool:
        try:
            with open(f"/proc/{pid}/environ", "rb") as file:
                return f"NOTIFY_SOCKET={self.address}".encode() in file.read().split(b"\0")
        except OSError:
            return False

    def _refuse(self, pid: int) -> None:
        self._refused += 1
        if self._refused in (1, 10, 100, 1000) or self._refused % 10000 == 0:
            who = f"pid {pid}, which is gone or is no process of the program"
            self._say(f"NOTIFY_SOCKET: a message of {who}, is not heard ({self._refused} so far)")


def _close_all(data: bytes) -> None:
    files = array.array("i")
    files.frombytes(data[: len(data) - len(data) % files.itemsize])
    for file in files:
        os.close(file)
