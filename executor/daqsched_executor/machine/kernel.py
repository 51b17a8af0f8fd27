"""The system calls that supervision needs, as one small object, so that a test can put its own in their place.

Linux only. Some of them are not in Python's library and go through ctypes (their numbers are from <linux/prctl.h>).
"""

from __future__ import annotations

import ctypes
import errno
import os
import signal
import time
from collections.abc import Container, Iterator
from typing import NamedTuple

from daqsched_executor.contract import zone
from daqsched_executor.life.events import Moment
from daqsched_executor.machine.children import children, children_of_all

#: <linux/prctl.h>
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 1, 36, 38

#: <sys/mount.h>, <linux/sched.h>
MS_BIND, MS_REC, MNT_DETACH, UMOUNT_NOFOLLOW, CLONE_NEWNS = 4096, 16384, 2, 8, 0x00020000

#: <fcntl.h>
SPLICE_F_NONBLOCK = 2

#: <linux/sched.h>: a flag in /proc/PID/stat, "forked but didn't exec"; a zombie keeps it.
PF_FORKNOEXEC = 0x40

#: How the process calls itself that clears up after a container's runner (see `container.janitor`; the kernel keeps 15
#: letters). It is not killed with the rest: it ends by itself when its container is gone.
JANITOR = "daqsched-janito"

#: How the shell calls itself that has the pipes open which a program prints to (see `machine.relay`). It ends by itself, too.
RELAY = "daqsched-relay"

#: No environment is longer: execve(2) takes so much at most. Of itself a process may say that it has terabytes (prctl(2),
#: PR_SET_MM_MAP), which cost it nothing, and every reader all its memory.
LONGEST_ENVIRON = 6 * 1024 * 1024

#: Of other files below /proc/PID no more is read.
_MOST, _PIECE = 65536, 65536

_LIBC = ctypes.CDLL(None, use_errno=True)


class Ended(NamedTuple):
    """A reaped child: exactly one of ``code`` and ``signal`` is set."""

    pid: int
    code: int | None
    signal: str | None
    core: bool
    #: The most memory that it held, or one of the children that it waited for, in MiB.
    peak: float = 0.0


class ProcessEntry(NamedTuple):
    """One process as /proc/PID/stat tells it; pid and ``start`` (clock ticks since boot) together never come twice."""

    pid: int
    parent: int
    group: int
    state: str
    flags: int
    start: int
    #: What it calls itself, at most 15 letters.
    name: str = ""

    @property
    def dead(self) -> bool:
        """Whether nothing of it runs any more. (A thread that works on makes its process a living one: `Kernel.entry`.)"""
        return self.state in "ZX"


def clock(seconds: float) -> str:
    """``2026-11-23 14:03:07 UTC`` or ``2026-11-23 15:03:07+01:00``: local time, for people."""
    here = time.localtime(seconds)
    return time.strftime("%Y-%m-%d %H:%M:%S", here) + zone(here.tm_gmtoff)


class Kernel:
    """What the machine does for us. Stateless: every method is one system call, or one look into /proc."""

    def now(self) -> Moment:
        """The present instant on both clocks."""
        wall = time.time()
        return Moment(time.monotonic(), wall, clock(wall))

    def fork(self) -> int:
        """As fork(2). Safe because an executor has one thread."""
        return os.fork()

    def adopt_orphans(self) -> None:
        """Children of our children become ours when their parent dies, so a daemon cannot slip away (prctl(2))."""
        self._prctl(PR_SET_CHILD_SUBREAPER, 1)

    def die_with_parent(self, signum: int) -> None:
        """Ask for ``signum`` when our parent dies. A change of user clears it: call this after that (prctl(2))."""
        self._prctl(PR_SET_PDEATHSIG, signum)

    def _prctl(self, option: int, value: int) -> None:
        if _LIBC.prctl(option, ctypes.c_ulong(value), 0, 0, 0) != 0:
            number = ctypes.get_errno()
            raise OSError(number, f"prctl({option}): {os.strerror(number)}")

    def give_up_new_privileges(self) -> None:
        """No exec gives us, or what we begin, more rights from now on: setuid and setgid bits, capabilities of files
        (prctl(2), PR_SET_NO_NEW_PRIVS)."""
        self._prctl(PR_SET_NO_NEW_PRIVS, 1)

    def bind(self, source: str, place: str) -> None:
        """Let ``place`` show what ``source`` is, with what is mounted below it (mount(2), MS_BIND and MS_REC)."""
        self._check(
            _LIBC.mount(os.fsencode(source), os.fsencode(place), None, ctypes.c_ulong(MS_BIND | MS_REC), None), place
        )

    def unbind(self, place: str) -> bool:
        """Take the topmost mount of a place away, whoever still uses it; whether there was one."""
        if _LIBC.umount2(os.fsencode(place), MNT_DETACH | UMOUNT_NOFOLLOW) == 0:
            return True
        if ctypes.get_errno() != errno.EINVAL:  # nothing is mounted there
            self._check(-1, place)
        return False

    def enter_mounts(self, namespace: int) -> None:
        """Go into a mount namespace, by an open file of it; only for a process of one thread (setns(2))."""
        self._check(_LIBC.setns(namespace, CLONE_NEWNS), "setns")

    def _check(self, result: int, what: str) -> None:
        if result != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), what)

    def take_secret(self, name: str) -> str:
        """The variable out of our environment, empty where there is none: gone from what children inherit, and from
        /proc/PID/environ, where every process of our account could read it."""
        _LIBC.getenv.restype = ctypes.c_void_p
        place = _LIBC.getenv(name.encode())
        value = os.environ.pop(name, "")
        if place:  # the C library forgets where it is; the text itself stays where the kernel put it at exec
            _LIBC.memset(ctypes.c_void_p(place), ord("x"), ctypes.c_size_t(len(os.fsencode(value))))
        return value

    def reap(self) -> Ended | None:
        """One child that has ended, or None where none has. Raises ChildProcessError where there is no child at all."""
        pid, status, usage = os.wait4(-1, os.WNOHANG)
        if pid == 0:
            return None
        if os.WIFSIGNALED(status):
            return Ended(pid, None, signal_name(os.WTERMSIG(status)), os.WCOREDUMP(status), usage.ru_maxrss / 1024)
        return Ended(pid, os.WEXITSTATUS(status), None, False, usage.ru_maxrss / 1024)

    def signal_group(self, group: int, signum: int) -> bool:
        """As killpg(2). Only for a group whose leader is our unreaped child: the number can't be somebody else's. False: our
        account may signal none of it."""
        try:
            os.killpg(group, signum)
        except ProcessLookupError:
            pass
        except PermissionError:
            return False
        return True

    def signal_process(self, entry: ProcessEntry, signum: int) -> bool:
        """Signal exactly the process that was seen, not one that got its number since (pidfd_open(2)). False: our account
        may not, as with a program that became another account's (setuid)."""
        try:
            handle = os.pidfd_open(entry.pid)
        except OSError:
            return True
        try:
            seen = self.entry(entry.pid)
            if seen is not None and seen.start == entry.start:
                signal.pidfd_send_signal(handle, signum)
        except PermissionError:
            return False
        except OSError:
            pass
        finally:
            os.close(handle)
        return True

    def owner(self, pid: int) -> int:
        """The account that a process runs as (its effective uid); -1 where it is gone."""
        try:
            return os.stat(f"/proc/{pid}").st_uid
        except OSError:
            return -1

    def entry(self, pid: int) -> ProcessEntry | None:
        """One process of /proc, or None where it is gone. One whose first thread has ended while others work, which stat(5)
        shows as a zombie, has the state of one that works."""
        text = _read(f"/proc/{pid}/stat")
        if not text:
            return None
        # the command's name is in brackets and may itself hold brackets and blanks
        rest = text[text.rindex(b")") + 2 :].split()
        name = text[text.index(b"(") + 1 : text.rindex(b")")].decode("utf-8", "replace")
        state = rest[0].decode()
        if state == "Z":
            state = next((found for _, found in self._threads(pid) if found not in "ZX"), state)
        return ProcessEntry(pid, int(rest[1]), int(rest[2]), state, int(rest[6]), int(rest[19]), name)

    def parent(self, pid: int) -> int:
        """The parent of a process; -1 where it is gone."""
        entry = self.entry(pid)
        return entry.parent if entry is not None else -1

    def environ(self, pid: int, most: int = LONGEST_ENVIRON) -> bytes:
        """The environment that the process was started with, its first ``most`` bytes; empty where it is gone, is a thread of
        the kernel, or may not be looked at. Where the first thread has ended, another one has it. What stands there is the
        process' own word: split it into words only where it is short (`carries`)."""
        found = _read(f"/proc/{pid}/environ", most)
        if not found:  # all threads have the same one: there may be thousands, and none may have any
            living = next((thread for thread, state in self._threads(pid) if state not in "ZX"), pid)
            found = _read(f"/proc/{pid}/task/{living}/environ", most)
        return found

    def _threads(self, pid: int) -> Iterator[tuple[int, str]]:
        """The threads of a process besides its first one, with their states."""
        try:
            names = os.listdir(f"/proc/{pid}/task")
        except OSError:
            return
        for name in names:
            text = _read(f"/proc/{pid}/task/{name}/stat") if int(name) != pid else b""
            if text:
                yield int(name), text[text.rindex(b")") + 2 :].split(None, 1)[0].decode()

    def never_execed(self, pid: int) -> bool:
        """Whether our child ``pid`` is still, or died as, a mere fork of ours."""
        entry = self.entry(pid)
        return entry is not None and bool(entry.flags & PF_FORKNOEXEC)

    def real_uid(self, pid: int) -> int:
        """The account that started the process, which no setuid program changes; -1: it is gone."""
        return next(
            (int(row.split()[1]) for row in _read(f"/proc/{pid}/status").split(b"\n") if row[:4] == b"Uid:"), -1
        )

    def alone(self) -> bool:
        """Whether nothing is below us, zombies not counted: what loses its parent becomes our child (`adopt_orphans`)."""
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
            return False
        except ChildProcessError:
            return True

    def has_only(self, runners: Container[int]) -> bool:
        """Whether we have no children but these: then nothing but their trees is below us, as what loses its parent becomes our
        child in the same moment."""
        ours = os.getpid()
        found = children(ours)
        return all(pid in runners for pid in (children_of_all(self.parent)(ours) if found is None else found))

    def descendants(self, runners: Container[int] = ()) -> list[ProcessEntry]:
        """Every living process below us, zombies not among them, parents before children; the trees of our children
        ``runners`` are left out. What begins or loses its parent meanwhile may be missing: `alone` knows better."""
        ours = os.getpid()
        children_of = children if children(ours) is not None else children_of_all(self.parent)
        below = [pid for pid in children_of(ours) or () if pid not in runners]
        known, found = {ours}, []
        for pid in below:  # it grows
            entry = self.entry(pid)
            if entry is not None and entry.parent in known:  # else its number is another's by now
                known.add(pid)
                below += children_of(pid) or ()
                if not entry.dead:
                    found.append(entry)
        return found


def splice(pipe: int, file: int, most: int) -> int:
    """Have the kernel move what a pipe holds to a file's position, and the position on (splice(2)); how many bytes. Raises
    OSError, then the pipe still has all: BlockingIOError where it is empty. (`os` has it from Python 3.10 on.)"""
    moved = int(_LIBC.splice(pipe, None, file, None, ctypes.c_size_t(most), SPLICE_F_NONBLOCK))
    if moved < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return moved


def carries(environ: bytes, word: bytes) -> bool:
    """Whether ``NAME=VALUE`` is a word of an environment."""
    at = environ.find(word)
    while at >= 0:
        if (not at or not environ[at - 1]) and environ[at + len(word) : at + len(word) + 1] in (b"", b"\0"):
            return True
        at = environ.find(word, at + 1)
    return False


def _read(path: str, most: int = _MOST) -> bytes:
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        text = piece = os.read(file, min(_PIECE, most))
        if len(text) < min(_PIECE, most):  # as nearly always: all of it
            return text
        pieces = [text]
        while piece and most > len(piece):
            most -= len(piece)
            piece = os.read(file, min(_PIECE, most))
            pieces.append(piece)
        return b"".join(pieces)
    except OSError:
        return b""
    finally:
        os.close(file)


#: By number; of two names for one the common one. Not by signal.Signals, which would be the only use of enum.
_SIGNALS: dict[int, str] = {
    int(getattr(signal, name)): name
    for name in sorted(vars(signal), reverse=True)
    if name.startswith("SIG") and "_" not in name and name not in ("SIGCLD", "SIGPOLL", "SIGIOT")
}


def signal_name(number: int) -> str:
    """``SIGSEGV``; real-time signals by number, as they have no names."""
    return _SIGNALS.get(number, f"signal {number}")


def signal_number(name: str) -> int:
    """The number of ``TERM`` or ``SIGTERM``; SIGTERM for a word that this machine does not know."""
    found = getattr(signal, "SIG" + name.upper().replace("SIG", "", 1), signal.SIGTERM)
    return int(found)
