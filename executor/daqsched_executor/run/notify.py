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
from collections.abc import Callable, Sequence

from daqsched_executor.life.events import Notice
from daqsched_executor.life.notify import DATAGRAM_BYTES, parse, storing
from daqsched_executor.machine.filestore import MOST, FileStore, close_all
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
        self,
        kernel: Kernel,
        loop: Loop,
        heard: Callable[[Notice], None],
        say: Callable[[str], None],
        store: FileStore | None,
    ) -> None:
        """``store`` takes files for the next start; a program in a container has none, it could not be given them."""
        self._kernel, self._loop, self._heard, self._say, self._store = kernel, loop, heard, say, store
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        name = f"daqsched/notify/{os.urandom(16).hex()}"
        self._socket.bind(f"\0{name}")
        #: What stands in NOTIFY_SOCKET.
        self.address = f"@{name}"
        self._refused = self._surplus = 0
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
            pid, files = 0, array.array("i")
            for level, kind, data in extras:
                if (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS):
                    pid = _UCRED.unpack(data[: _UCRED.size])[0]
                elif (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                    files.frombytes(data[: len(data) - len(data) % files.itemsize])
            if self._known(pid):
                if not self._stored(message, files):
                    close_all(files)  # a barrier's sender waits for just that: what it sent before has been read
                self._heard(parse(message))
            else:
                close_all(files)
                self._refuse(pid)

    def _stored(self, message: bytes, files: Sequence[int]) -> bool:
        """Whether the files are kept, or closed already."""
        word, name = (storing(message) if b"FDSTORE" in message else None) or ("", "")
        if self._store is None or not word:
            return False
        if word == "FDSTOREREMOVE":
            self._store.remove(name)
            return False
        refused = self._store.keep(name, files)
        if refused and not self._surplus:
            self._say(
                f"FDSTORE: {MOST} files of the program are kept; one more, named {name}, is closed, as all that follow"
            )
        self._surplus += refused
        return True

    def _known(self, pid: int) -> bool:
        """Whether it is a living process that the program began; the container's are below its engine, not below us."""
        entry = self._kernel.entry(pid) if pid else None
        if entry is not None and self._store is None and self._has_address(pid):
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
