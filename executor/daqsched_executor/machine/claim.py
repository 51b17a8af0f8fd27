"""One program per instance: the lock on the machine, and the end of what a dead executor left behind.

The lock is `LOCKS_DIR`/INSTANCE in the spool, held (flock) by an executor for as long as it lives. The spool lies below
the agent's work_dir, not below an agent's id: an agent that comes back under a new id meets the locks of the executors
that its predecessor started. (Two agents of one host name with different work_dirs need a common DAQSCHED_SPOOL.) No other
account reaches it: see `machine.spool`.

A process belongs to an instance when its environment says so (`child.environment_of`; it is inherited by all that a
program begins) and nobody else can have said it: it is our account's, the job's, or it knows the key of an executor of
the instance, a random word that stands in the lock's file and in that environment. It was left behind when no executor of
ours is above it.

To look for them takes a pass over all processes of the machine, of which a hundred executors that start together would make as
many. Where the lock shows that there are none it is saved: nobody had it before, or the last one said, when it left, that
nothing of it was there any more.
"""

from __future__ import annotations

import errno
import fcntl
import os
import signal
from collections.abc import Collection

from daqsched_executor.contract import FORWARDING_VARIABLE, KEY_VARIABLE, LOCKS_DIR, SPOOL_VARIABLE, Payload
from daqsched_executor.life.events import Claimed, Event, Occupied
from daqsched_executor.machine.kernel import LONGEST_ENVIRON, Kernel, ProcessEntry, carries
from daqsched_executor.machine.spool import folder, open_ours, spool_folder

#: What the environment of an executor (and of its warden) has, and that of no program.
_EXECUTORS = b"MESOS_EXECUTOR_ID="

#: The lock's file: who holds it, in so many bytes, then the keys of those whose processes may still be there.
_HOLDER_BYTES, _KEYS = 128, 16

#: In the place of the holder's pid: it left, and nothing that it began was there any more.
_LEFT = "left"

#: So much of an environment is looked at, whoever's it is. Longer ones are looked at as a whole: ours, and of each other account
#: so much in one pass. What an account can make of its own processes costs others next to nothing.
_FIRST, _OF_AN_ACCOUNT = 65536, 16 * 1024 * 1024


class InstanceClaim:
    """Tried until it is granted: `take`; then held for life."""

    def __init__(self, kernel: Kernel, spool: str, key: str, farm: str = "") -> None:
        """``spool``: empty where there is none; ``key``: what is in our programs' environment, see the module; ``farm``: the
        framework's id."""
        self._kernel, self._spool, self._key, self._farm = kernel, spool, key, farm
        self._lock = -1
        #: It was granted: nothing of those before us was there.
        self._granted = False
        #: Of the executors before us.
        self._keys: list[str] = []
        #: Whom we have sent SIGKILL: (pid, start).
        self._ended: set[tuple[int, int]] = set()

    def take(self, payload: Payload, clock: str) -> Event:
        """`Claimed` when nothing of the instance runs here; `Occupied` where something does, to be tried again."""
        problem, nobody = "", False
        if not payload.lock and self._spool:
            self._unsigned(payload)
        if payload.lock and self._lock < 0:
            if not self._spool:
                problem = "no lock keeps a second copy away: DAQSCHED_SPOOL is not set"
            else:
                try:
                    self._lock, nobody = _open(self._spool, _name_of(payload, self._farm))
                    fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    return self._occupied()
                except OSError as error:
                    self._lock = -1
                    problem = f"no lock keeps a second copy away: {error.filename or self._spool}: {error.strerror}"
                else:
                    nobody = self._sign(clock) or nobody
        # a forwarder's lock had another name in older executors: it always looks
        if nobody and payload.container is None and not _forwards(payload):
            self._granted = True
            return Claimed(0, problem)
        if payload.container is not None and self._lock < 0:
            # what runs in a container has the engine above it, and no executor: a living one's may not be told from a
            # dead one's without the lock
            return Claimed(0, problem)
        orphans, others = remains(self._kernel, payload, self._spool, self._keys)
        for entry in orphans:
            self._ended.add((entry.pid, entry.start))
            self._kernel.signal_process(entry, signal.SIGKILL)
        if orphans or (others and self._lock >= 0 and not _forwards(payload)):
            return Occupied(dying=len(orphans) + len(others))
        self._granted = True
        return Claimed(len(self._ended), problem)

    def renew(self, payload: Payload, clock: str) -> str:
        """Lock, or no more, as the payload says now, while its program runs; why there is no lock where there should be one."""
        if not self._granted or payload.lock == (self._lock >= 0):
            return ""
        if not payload.lock:  # the file says who we are: the next one looks
            os.close(self._lock)
            self._lock = -1
            return ""
        without = "no lock keeps a second copy away: "
        if not self._spool:
            return f"{without}DAQSCHED_SPOOL is not set"
        try:
            self._lock = _open(self._spool, _name_of(payload, self._farm))[0]
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if self._lock >= 0:
                os.close(self._lock)
            self._lock = -1
            return f"{without}{'another one runs already' if isinstance(error, BlockingIOError) else error.strerror}"
        self._sign(clock)
        return ""

    def _unsigned(self, payload: Payload) -> None:
        """We take no lock: leave a file that says nothing of who left what, so that the next one that locks looks."""
        try:
            file = _open(self._spool, _name_of(payload, self._farm))[0]
            try:
                if os.pread(file, len(_LEFT), 0) == _LEFT.encode():
                    os.ftruncate(file, 0)
            finally:
                os.close(file)
        except OSError:  # as without a spool
            pass

    def _sign(self, clock: str) -> bool:
        """Whether the last one left nothing."""
        left = False
        try:
            text = os.pread(self._lock, 4096, 0).decode("ascii", "replace")
            left = text.startswith(f"{_LEFT} ")
            self._keys = [] if left else text[_HOLDER_BYTES:].split()[-_KEYS:]
            rows = f"{os.getpid()} {clock}".ljust(_HOLDER_BYTES - 1) + "\n" + "\n".join([*self._keys, self._key, ""])
            os.ftruncate(self._lock, 0)
            os.pwrite(self._lock, rows.encode(), 0)
        except OSError:  # a full disk: the lock holds without a name
            pass
        return left

    def left(self, clock: str) -> None:
        """We leave, and nothing that we began is there any more: say so to the next one."""
        if self._lock >= 0 and self._granted:
            try:
                os.pwrite(self._lock, f"{_LEFT} {clock}".ljust(_HOLDER_BYTES - 1).encode(), 0)
            except OSError:
                pass

    def _occupied(self) -> Event:
        holder = os.pread(self._lock, _HOLDER_BYTES, 0).decode("utf-8", "replace").strip()
        os.close(self._lock)
        self._lock = -1
        pid, _, since = holder.partition(" ")
        return Occupied(int(pid) if pid.isascii() and pid.isdigit() and len(pid) < 10 else 0, since)


def _forwards(payload: Payload) -> bool:
    return FORWARDING_VARIABLE in payload.env


def _name_of(payload: Payload, farm: str) -> str:
    """The lock's. Each farm on the machine has its forwarder, which agree among themselves who works (`forward`)."""
    return f"{payload.instance}.{farm}" if _forwards(payload) and farm else payload.instance


def remains(
    kernel: Kernel, payload: Payload, spool: str, keys: Collection[str] = ()
) -> tuple[list[ProcessEntry], list[ProcessEntry]]:
    """Living processes of the instance's other tasks: those without an executor above them, and the others.

    One pass over /proc; what belongs to another account than ours can't be read and is left out, unless we are root.
    """
    instance = f"DAQSCHED_INSTANCE={payload.instance}".encode()
    ours = f"DAQSCHED_TASK_ID={payload.task_id}".encode()
    place = f"{SPOOL_VARIABLE}={spool}".encode() if spool else b""
    known = {f"{KEY_VARIABLE}={key}".encode() for key in keys}
    orphans: list[ProcessEntry] = []
    others: list[ProcessEntry] = []
    environs = _Environs(kernel)
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        text = environs.of(int(name))
        if not carries(text, instance) or carries(text, ours) or (place and not carries(text, place)):
            continue
        if not any(carries(text, key) for key in known) and not _of_account(kernel, int(name), payload.user):
            continue  # anybody can have such an environment
        entry = kernel.entry(int(name))
        if entry is not None and entry.state not in "ZX":
            (others if _has_executor(kernel, entry) else orphans).append(entry)
    return orphans, others


def _of_account(kernel: Kernel, pid: int, user: str | None) -> bool:
    """Whether our account started the process, or the job's did: by its real uid, which no setuid program changes."""
    uid = kernel.real_uid(pid)
    if uid == os.geteuid():
        return True
    if not user or uid < 0:
        return False
    if str(uid) == user:
        return True
    import pwd  # few look like ours and belong to another account

    try:
        return pwd.getpwuid(uid).pw_name == user
    except KeyError:
        return False


def _has_executor(kernel: Kernel, entry: ProcessEntry) -> bool:
    """Whether an executor of our account is above it: that of others is none of ours, whatever its environment says."""
    parent = kernel.entry(entry.parent)
    while parent is not None and parent.pid > 1:
        if kernel.real_uid(parent.pid) == os.geteuid() and b"\0" + _EXECUTORS in b"\0" + kernel.environ(parent.pid):
            return True
        parent = kernel.entry(parent.parent)
    return False


class _Environs:
    """The environments of all processes, in one pass: no account's can make it long."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        #: What was read of long ones, by account.
        self._read: dict[int, int] = {}

    def of(self, pid: int) -> bytes:
        """The one that the process was started with, or its beginning; empty where it can't be read."""
        text = self._kernel.environ(pid, _FIRST)
        if len(text) < _FIRST:
            return text
        uid = self._kernel.real_uid(pid)
        if uid == os.geteuid():
            return self._kernel.environ(pid)
        most = min(LONGEST_ENVIRON, _OF_AN_ACCOUNT - self._read.get(uid, 0))
        if most > _FIRST:
            text = self._kernel.environ(pid, most)
            self._read[uid] = self._read.get(uid, 0) + len(text)
        return text


def _open(spool: str, instance: str) -> tuple[int, bool]:
    """The lock's file, and whether nobody had it before: in a spool that is new nobody knows who had."""
    top = spool_folder(spool)
    locks = -1
    try:
        locks = folder(LOCKS_DIR, within=top)
        try:
            known = bool(os.listdir(locks))
            return open_ours(instance, locks, os.O_RDWR | os.O_CREAT | os.O_EXCL), known
        except FileExistsError:
            pass
        try:
            return open_ours(instance, locks, os.O_RDWR | os.O_CREAT), False
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.EINVAL, errno.ELOOP):
                raise
            # somebody else's, of the days when the folder was open to all: nobody can put it there again
            os.unlink(instance, dir_fd=locks)
            return open_ours(instance, locks, os.O_RDWR | os.O_CREAT), False
    finally:
        for opened in (top, locks):
            if opened >= 0:
                os.close(opened)
