"""The socket that a program sends its heartbeats to: NOTIFY_SOCKET of sd_notify(3), on systemd's side of it.

It is a path (`machine.socket_folder`) that only the job's account may write to: connect(2) asks for that right. The child that
becomes the program, which looks the account up anyway, gives it the socket (`child.switch_to`). Who sent a message is told by
the kernel (SO_PASSCRED), also of a process that has ended since. Of the account's living processes only those below
the executor are heard, or in the job's container. Each run of the program has a socket of its own, so that no word of the last one
is taken for the next one's. What comes in with a message is closed beside the loop (`closing`).
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Callable, Sequence

from daqsched_executor.life.events import Notice
from daqsched_executor.life.notify import DATAGRAM_BYTES, parse, storing
from daqsched_executor.log import place_of
from daqsched_executor.machine.filestore import MOST, FileStore
from daqsched_executor.machine.kernel import Kernel, carries
from daqsched_executor.run.closing import Closing
from daqsched_executor.run.loop import READ, Loop

#: So many messages are taken in one round of the loop; the rest waits in the kernel, which has room for a few hundred.
AT_ONCE = 32
#: struct ucred of <sys/socket.h>: pid, uid, gid.
_UCRED = struct.Struct("3i")
#: Messages may carry files (BARRIER=1, FDSTORE=1), so many at most (SCM_MAX_FD of the kernel's <net/scm.h>). There is always room
#: for all: what is cut off is closed by the kernel before recvmsg(2) returns.
_FILES = 253
#: A parent's parent's parent: a tree of processes that is deeper is not ours.
_DEEPEST = 100
#: A process may end while its ancestors are looked at.
_LOOKS = 3


class NotifySocket:
    """Bound and watched from the start; ``heard`` takes what the program says, ``say`` a sentence on what is refused."""

    def __init__(
        self,
        kernel: Kernel,
        loop: Loop,
        heard: Callable[[Notice], None],
        say: Callable[[str], None],
        store: FileStore | None,
        closing: Closing,
        path: str,
    ) -> None:
        """``store`` takes files for the next start; a program in a container has none, it could not be given them.
        ``closing`` is the executor's: what a program sent may take longer to close than the program lives."""
        self._kernel, self._loop, self._heard, self._say, self._store = kernel, loop, heard, say, store
        self._closing = closing
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        mask = os.umask(0o177)
        try:
            self._socket.bind(path)
        finally:
            os.umask(mask)
        #: What stands in NOTIFY_SOCKET.
        self.address = path
        #: The account that may write to it: ours until the child has changed that.
        self._owner = os.geteuid()
        self._refused = self._surplus = 0
        closing.freed = self._listen
        self._listen()

    def close(self) -> None:
        """Nothing is heard any more."""
        self._closing.freed = lambda: None
        self._loop.forget(self._socket.fileno())
        try:
            os.unlink(self.address)
        except OSError:  # somebody did
            pass
        self._closing.close([self._socket.detach()])  # what waits in it may carry files

    def _listen(self) -> None:
        if not self._closing.busy:
            self._loop.watch(self._socket.fileno(), READ, self._ready, self._failed)

    def _ready(self, mask: int) -> None:
        space = socket.CMSG_SPACE(_UCRED.size) + socket.CMSG_SPACE(_FILES * 4)
        for _ in range(AT_ONCE):
            if self._closing.busy:
                self._loop.forget(self._socket.fileno())
                return
            try:
                message, extras, _, _ = self._socket.recvmsg(DATAGRAM_BYTES, space, socket.MSG_CMSG_CLOEXEC)
            except OSError:  # there is none: BlockingIOError; or it was cut by a lack of memory
                return
            pid, uid = 0, -1
            files: list[int] = []
            for level, kind, data in extras:
                if (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS):
                    pid, uid, _ = _UCRED.unpack(data[: _UCRED.size])
                elif (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                    files += memoryview(data[: len(data) - len(data) % 4]).cast("i")
            if self._known(pid, uid):
                # a barrier's sender waits for just that: what it sent before has been read
                self._closing.close(self._left(message, files))
                self._heard(parse(message))
            else:
                self._closing.close(files)
                self._refuse(pid, uid)

    def _failed(self, error: Exception) -> None:
        """The message is lost, and the next one heard."""
        self._say(place_of(error))
        self._listen()

    def _left(self, message: bytes, files: Sequence[int]) -> Sequence[int]:
        """Store the files that the program leaves; the others are returned, to be closed."""
        word, name = (storing(message) if b"FDSTORE" in message else None) or ("", "")
        if self._store is None or not word:
            return files
        if word == "FDSTOREREMOVE":
            return [*files, *self._store.remove(name)]
        refused = self._store.keep(name, files)
        if refused and not self._surplus:
            self._say(
                f"FDSTORE: {MOST} files of the program are kept; one more, named {name}, is closed, as all that follow"
            )
        self._surplus += len(refused)
        return refused

    def _known(self, pid: int, uid: int) -> bool:
        """Whether the program sent it, or something that it began. Of what has ended the account alone is known."""
        try:
            self._owner = os.stat(self.address).st_uid
        except OSError:  # somebody removed it: what is connected is heard
            pass
        if uid not in (0, self._owner):
            return False
        for _ in range(_LOOKS):
            entry = self._kernel.entry(pid) if pid else None
            if entry is None or entry.dead:
                return True
            if self._store is None and carries(self._kernel.environ(pid), f"NOTIFY_SOCKET={self.address}".encode()):
                return True  # the container's processes are below its engine, not below us
            below = self._below_us(entry.parent)
            if below is not None:
                return below
        return True

    def _below_us(self, parent: int) -> bool | None:
        """Whether the executor is an ancestor; None where one of them has ended while we looked."""
        for _ in range(_DEEPEST):
            if parent == os.getpid():
                return True
            if parent <= 1:
                return False
            entry = self._kernel.entry(parent)
            if entry is None:
                return None
            parent = entry.parent
        return False

    def _refuse(self, pid: int, uid: int) -> None:
        self._refused += 1
        if self._refused in (1, 10, 100, 1000) or self._refused % 10000 == 0:
            who = f"pid {pid}, which is not a process of the program (uid {uid})"
            self._say(f"NOTIFY_SOCKET: a message of {who}, is not heard ({self._refused} so far)")
