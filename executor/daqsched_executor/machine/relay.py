"""What moves the lines that a program prints out of pipes into its files: for `Payload.output` ``pipe``.

A pipe can be opened anew by anybody who has it (/dev/stderr, /proc/self/fd/2) and is never emptied by that, as a file is. The
kernel moves (splice(2)): at any moment a line is in the pipe or in its file, so that no kill loses one or has it twice. The
executor says when. If it is killed, the relay process moves what is left: a shell outside of what Mesos and we kill (`detached`).
It has the pipes open, too, waits for the executor's end and costs 0.1 MB. A machine that has no shell goes without it, and is
told what that costs. Where a file can't be written, a full disk, what is printed is dropped and counted: no program waits for that.
"""

from __future__ import annotations

import errno
import fcntl
import os
import select
import signal
import sys
import time
from collections.abc import Callable, Iterable

from daqsched_executor.machine.detached import leave_groups
from daqsched_executor.machine.kernel import RELAY, splice

#: So much waits in a pipe at most; the kernel may allow less (pipe(7), pipe-user-pages-soft).
PIPE_BYTES = 1 << 18
F_SETPIPE_SZ = 1031
#: <asm-generic/ioctls.h>; termios has it, too, and is one more file that would have to be there.
FIONREAD = 0x541B
#: A file system, or a kernel, that has no splice(2).
CANNOT_SPLICE = (errno.EINVAL, errno.ENOSYS, errno.EPERM, errno.EOPNOTSUPP)

#: What there is none of now and may be in a moment: the start is tried again. Any other error is of a shell that can't be run.
NO_ROOM = (errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE)
#: A relay process that does not live so long, so often, can't do its work, whatever the reason is.
SHORT_S, TRIES = 1.0, 10
#: How long a start waits for the relay process's word that it is spared, at most.
READY_S = 2.0

SHELL = "/bin/sh"
#: What the relay process hears of: its children's ends, and what timeout(1) needs. A stop's signal is for the program, and SIGKILL
#: is sent to nobody who is spared.
_HEARD = (signal.SIGCHLD, signal.SIGALRM, signal.SIGKILL, signal.SIGSTOP)
_IGNORED = " ".join(str(int(number)) for number in sorted(signal.valid_signals()) if number not in _HEARD)
#: 0 ends with the executor, 3 and 4 are the pipes, 5 and 6 the files, 9 closes once the name is there (`kernel.RELAY`). Whoever
#: holds a pipe open beyond the program's and the executor's end is not waited for longer than two seconds.
SCRIPT = f"""
trap '' {_IGNORED}
printf %s {RELAY} >/proc/$$/comm
exec 9>&-
read -r word
limit=$(command -v timeout >/dev/null && echo timeout -s KILL 2)
$limit cat <&3 >&5 2>/dev/null &
$limit cat <&4 >&6 2>/dev/null &
wait
"""


def unkept(error: OSError) -> str:
    """What it costs to have no relay process."""
    why = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return f"lines of the program's may be lost if the executor is killed, as nothing keeps them then: {why}"


class Target:
    """Where one stream goes. Nobody else writes to it meanwhile: splice(2) knows no O_APPEND."""

    def __init__(self, file: int, say: Callable[[str], None]) -> None:
        self._say = say
        self._file = file
        try:
            self._place = os.open(f"/proc/self/fd/{file}", os.O_WRONLY | os.O_CLOEXEC)
        except OSError:
            self._place = -1
        self._lost = 0

    def take(self, pipe: int) -> int:
        """Move what waits in the pipe, or a part of it: how many bytes that was."""
        try:
            if self._place >= 0:
                os.lseek(self._place, 0, os.SEEK_END)  # somebody may have emptied it
                return splice(pipe, self._place, PIPE_BYTES)
        except BlockingIOError:
            return 0
        except OSError as error:
            if error.errno in CANNOT_SPLICE:
                os.close(self._place)
                self._place = -1
        waiting = _waiting(pipe)
        if waiting:
            self.write(os.read(pipe, min(waiting, PIPE_BYTES)))
        return waiting

    def write(self, text: bytes) -> None:
        """Append it, or count it as lost."""
        while text:
            try:
                text = text[os.write(self._file, text) :]
            except OSError as error:  # a full disk
                if not self._lost:
                    self._say(f"the program's output cannot be written: {error.strerror}; it is dropped")
                self._lost += len(text)
                return

    def close(self) -> None:
        """Write no more."""
        if self._place >= 0:
            os.close(self._place)
            self._place = -1

    def tell_lost(self) -> None:
        """Say how much was dropped since the last time."""
        if self._lost:
            self._say(f"{self._lost} bytes of the program's output could not be written to the sandbox")
            self._lost = 0


class Relay:
    """Two pipes for all programs of an executor, one after the other."""

    def __init__(self, files: tuple[int, int], run_id: str, say: Callable[[str], None]) -> None:
        """``run_id``: how Mesos calls our container; ``say`` is for executor.log. Raises OSError where there can be no pipe, or
        no process now; a machine that can't run the shell is told once, and has no process. Whatever it raises leaves no file
        open, and no process."""
        self._files, self._run_id, self._say = files, run_id, say
        #: What is read from, to be watched; what the program's stdout and stderr become (we hold them, too: the pipes have no end
        #: while we live); what the relay process reads.
        self.pipes, self.ends, self._inherited = self._open()
        self._targets: dict[int, Target] = {}
        self._mouth = -1
        self._began, self._short = 0.0, 0
        #: The process; 0: there is none (any more).
        self.process = 0
        try:
            for pipe, file in zip(self.pipes, files):
                self._targets[pipe] = Target(file, say)
            self.process = self._begin()
        except BaseException as error:
            if not isinstance(error, OSError) or error.errno in NO_ROOM:
                self._close()
                raise
            say(unkept(error))

    def _open(self) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
        first = _pipe()
        try:
            pipes = (first, _pipe())
        except BaseException:
            _close_all(first)
            raise
        ours = tuple(end for end, _ in pipes)
        return ours, tuple(end for _, end in pipes), ours

    def take(self, pipe: int) -> int:
        """Move what waits in one of `pipes`, or a part of it: how many bytes that was."""
        return self._targets[pipe].take(pipe)

    def take_all(self) -> None:
        """Move what waits: all that the program printed, once it and what it began is gone."""
        for pipe, target in self._targets.items():
            left = _waiting(pipe)  # others may print on
            while left > 0:
                moved = target.take(pipe)
                if not moved:
                    break
                left -= moved
            target.tell_lost()

    def written(self) -> tuple[int, ...]:
        """When something was printed to each of them last, in ns."""
        return tuple(os.fstat(pipe).st_mtime_ns for pipe in self.pipes)

    def again(self) -> None:
        """Somebody killed the process: have another one. Raises OSError, also where that happens again and again at once."""
        self.let_go()
        self.process = 0
        self._short = self._short + 1 if time.monotonic() - self._began < SHORT_S else 0
        if self._short >= TRIES:
            raise OSError(errno.EAGAIN, f"it ended {TRIES} times at once")
        self.process = self._begin()

    def renew(self) -> None:
        """Have a process where there is none (any more): before another start, and now and then while something is printed. What
        was in the way may have passed; where it has not, that was said."""
        if self.process:
            return
        try:
            self.process = self._begin()
        except OSError:
            return
        self._say("lines of the program's are kept again if the executor is killed")

    def end(self) -> None:
        """We leave, and all that printed is gone: the process has nothing to do."""
        self.take_all()
        self._shut()
        if self.process:
            _end(self.process)
            self.process = 0

    def let_go(self) -> None:
        """We leave, and something may print: the process goes on. What could not be written until now is said."""
        for target in self._targets.values():
            target.tell_lost()
        self._shut()

    def _shut(self) -> None:
        if self._mouth >= 0:
            os.close(self._mouth)
            self._mouth = -1

    def _close(self) -> None:
        """Nothing came of it: a start that is tried again and again takes no files with it."""
        self.let_go()
        for target in self._targets.values():
            target.close()
        _close_all({*self.pipes, *self.ends, *self._inherited})

    def _begin(self) -> int:
        self._began = time.monotonic()
        files: list[int] = []
        process = 0
        try:
            ears, self._mouth = os.pipe()
            files.append(ears)
            ready, named = os.pipe()
            files += (ready, named)
            process = _spawned((ears, *self._inherited, *self._files, named))
            os.close(files.pop())
            leave_groups(self._run_id, process)
            # until it is spared, whoever kills us would kill it, too
            poll = select.poll()
            poll.register(ready, select.POLLIN)
            poll.poll(READY_S * 1000)
            return process
        except BaseException:
            self._shut()
            if process:  # nobody would know of it
                _end(process)
            raise
        finally:
            _close_all(files)


def _spawned(files: tuple[int, ...]) -> int:
    """The relay process with these files, which get the numbers of `SCRIPT`, in a session of its own: the posix launcher does not
    look for it there. By posix_spawn(3): a fork of ours would copy what both write to, for a shell. Raises OSError."""
    ours: list[int] = []
    try:
        for file in files:  # out of the way of the numbers that they get
            ours.append(fcntl.fcntl(file, fcntl.F_DUPFD_CLOEXEC, 10))
        actions = [(os.POSIX_SPAWN_DUP2, file, number) for file, number in zip(ours, (0, 3, 4, 5, 6, 9))]
        argv = ["daqsched-relay", "-c", SCRIPT]
        return os.posix_spawn(
            SHELL, argv, os.environ, file_actions=actions, setsid=True, setsigmask=(), setsigdef=_HEARD[:2]
        )
    finally:
        _close_all(ours)


def _end(process: int) -> None:
    """Of a child of ours."""
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)


def _close_all(files: Iterable[int]) -> None:
    for file in files:
        os.close(file)


def _waiting(pipe: int) -> int:
    """How many bytes are in it."""
    return int.from_bytes(fcntl.ioctl(pipe, FIONREAD, b"\0" * 4), sys.byteorder)


def _pipe() -> tuple[int, int]:
    ends = os.pipe()
    try:
        fcntl.fcntl(ends[0], F_SETPIPE_SZ, PIPE_BYTES)
    except OSError:
        pass
    except BaseException:
        _close_all(ends)
        raise
    return ends
