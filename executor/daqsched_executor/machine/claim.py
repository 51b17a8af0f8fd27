"""One program per instance: the lock on the machine, and the end of what a dead executor left behind.

The lock is `LOCKS_DIR`/INSTANCE in the spool, held (flock) by an executor for as long as it lives. The spool lies below
the agent's work_dir, not below an agent's id: an agent that comes back under a new id meets the locks of the executors
that its predecessor started. (Two agents of one host name with different work_dirs need a common DAQSCHED_SPOOL.)

A process belongs to an instance when its environment says so (`child.environment_of`; it is inherited by all that a
program begins). It was left behind when no executor is above it.
"""

from __future__ import annotations

import errno
import fcntl
import os
import signal

from daqsched_executor.contract import LOCKS_DIR, SPOOL_VARIABLE, Payload
from daqsched_executor.life.events import Claimed, Event, Occupied
from daqsched_executor.machine.kernel import Entry, Kernel
from daqsched_executor.machine.spool import shared_folder

#: What the environment of an executor (and of its warden) has, and that of no program.
_EXECUTORS = b"MESOS_EXECUTOR_ID="


class InstanceClaim:
    """Tried until it is granted: `take`; then held for life."""

    def __init__(self, kernel: Kernel, spool: str | None) -> None:
        self._kernel, self._spool = kernel, spool
        self._lock = -1
        #: Whom we have sent SIGKILL: (pid, start).
        self._ended: set[tuple[int, int]] = set()

    def take(self, payload: Payload, clock: str) -> Event:
        """`Claimed` when nothing of the instance runs here; `Occupied` where something does, to be tried again."""
        problem = ""
        if payload.lock and self._lock < 0:
            if self._spool is None:
                problem = "a second copy could not be told: DAQSCHED_SPOOL is not set"
            else:
                try:
                    self._lock = _open(os.path.join(self._spool, LOCKS_DIR), payload.instance)
                    fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    return self._occupied()
                except OSError as error:
                    self._lock = -1
                    problem = f"a second copy could not be told: {error.filename or self._spool}: {error.strerror}"
                else:
                    self._sign(clock)
        if payload.container is not None and self._lock < 0:
            # what runs in a container has the engine above it, and no executor: a living one's may not be told from a
            # dead one's without the lock
            return Claimed(0, problem)
        orphans, others = remains(self._kernel, payload, self._spool)
        for entry in orphans:
            self._ended.add((entry.pid, entry.start))
            self._kernel.signal_process(entry, signal.SIGKILL)
        if orphans or (others and self._lock >= 0):
            return Occupied(dying=len(orphans) + len(others))
        return Claimed(len(self._ended), problem)

    def _sign(self, clock: str) -> None:
        try:
            os.ftruncate(self._lock, 0)
            os.pwrite(self._lock, f"{os.getpid()} {clock}\n".encode(), 0)
        except OSError:  # a full disk: the lock holds without a name
            pass

    def _occupied(self) -> Event:
        holder = os.pread(self._lock, 100, 0).decode("utf-8", "replace").strip()
        os.close(self._lock)
        self._lock = -1
        pid, _, since = holder.partition(" ")
        return Occupied(int(pid) if pid.isdigit() else 0, since)


def remains(kernel: Kernel, payload: Payload, spool: str | None) -> tuple[list[Entry], list[Entry]]:
    """Living processes of the instance's other tasks: those without an executor above them, and the others.

    One pass over /proc; what belongs to another account than ours can't be read and is left out, unless we are root.
    """
    instance = f"DAQSCHED_INSTANCE={payload.instance}".encode()
    ours = f"DAQSCHED_TASK_ID={payload.task_id}".encode()
    place = f"{SPOOL_VARIABLE}={spool}".encode() if spool else b""
    orphans: list[Entry] = []
    others: list[Entry] = []
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        words = _environ(int(name), instance)
        if instance not in words or ours in words or (place and place not in words):
            continue
        entry = kernel.entry(int(name))
        if entry is not None and entry.state not in "ZX":
            (others if _has_executor(kernel, entry) else orphans).append(entry)
    return orphans, others


def _has_executor(kernel: Kernel, entry: Entry) -> bool:
    parent = kernel.entry(entry.parent)
    while parent is not None and parent.pid > 1:
        if any(word.startswith(_EXECUTORS) for word in _environ(parent.pid, _EXECUTORS)):
            return True
        parent = kernel.entry(parent.parent)
    return False


def _environ(pid: int, having: bytes) -> list[bytes]:
    """The environment that the process was started with; empty where ``having`` is nowhere in it, or it can't be read."""
    text = Kernel().environ(pid)
    return text.split(b"\0") if having in text else []


def _open(folder: str, instance: str) -> int:
    for path in (os.path.dirname(folder), folder):
        shared_folder(path)
    path = os.path.join(folder, instance)
    flags = os.O_RDWR | os.O_CLOEXEC
    try:
        # without O_CREAT first: with it a file of another account can't be opened in a sticky folder
        # (fs.protected_regular, proc_sys_fs(5))
        return os.open(path, flags)
    except OSError as error:
        if error.errno != errno.ENOENT:
            raise
    lock = os.open(path, flags | os.O_CREAT, 0o666)
    try:
        os.fchmod(lock, 0o666)  # the mode above goes through the umask
    except OSError:
        pass
    return lock
