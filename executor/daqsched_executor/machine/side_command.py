"""A side command, which runs beside the program: a check, a hook, an action of an operator's.

It has the program's environment, account, directory and limits, and a time limit of its own; no shell is involved.
For a program in a container it runs on the machine itself, in the sandbox, which the container shares. The
executor takes everything below itself for what the program began (see `process`), so such a command runs below a
*runner*, a fork of the executor that is a child subreaper itself: what the command begins, double-forked or not,
stays below the runner, which kills what is left when the command ends, when its time is over, when it is told to
(SIGTERM), and when the executor dies (PR_SET_PDEATHSIG). Its last act is the outcome, as JSON, through a pipe that
the executor's loop watches: nothing here ever blocks the loop.
"""

from __future__ import annotations

import json
import os
import select
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

from daqsched_executor.contract import Payload, duration
from daqsched_executor.machine.forking import fork_child, forked, no_process
from daqsched_executor.machine.kernel import Ended, Kernel

#: How much of the end of what it prints is kept, and how much of that is reported.
TAIL_BYTES, LINES, LINE_LENGTH = 8192, 5, 200
#: How much of what it prints goes to a log at most: there each line has a time before it, which costs.
LOG_BYTES, LOG_LINES = 1024 * 1024, 20_000
#: A longer line goes there in parts.
LOG_LINE = 65536
#: What SIGKILL does not end within this hangs in the kernel; whoever waits for the outcome shall have one.
GIVE_UP_S = 5.0
#: What is left in its pipe is read for so long.
LEFTOVER_S = 1.0
_LOOK_AGAIN_S = 0.005


class SideOutcome(NamedTuple):
    """How a command ended."""

    #: None: it could not be run, for a reason that says nothing of it: its sandbox is gone.
    ok: bool | None
    #: ``exit code 3 after 1.2 s``, ``did not end within 10.0 s and was killed``.
    words: str
    #: The last lines that it printed.
    lines: tuple[str, ...] = ()


class SideCommand:
    """One run of one command; begins at once. ``runner`` is to be left out of the program's tree while it lives."""

    def __init__(
        self,
        kernel: Kernel,
        payload: Payload,
        argv: Sequence[str],
        timeout_s: float,
        program: int = 0,
        say: Callable[[str], None] | None = None,
    ) -> None:
        """``program`` is the program's pid for the command's DAQSCHED_PID; ``say`` takes every line that it prints, up to
        `LOG_BYTES`. Raises OSError where no process can be started."""
        environment = {**payload.env, "DAQSCHED_PID": str(program)} if program else payload.env
        payload = replace(payload, argv=tuple(argv), needs=(), env=environment, console=False)
        if payload.container is not None:  # on the machine itself, where the program's directory may not be
            payload = replace(payload, container=None, cwd="")
        self._heard = b""

        def child(parent: int, talk: int) -> None:
            runner = _Runner(kernel, parent, talk, say)
            try:
                runner.run(payload, timeout_s)
            except Exception as error:
                runner.tell(False, f"could not be run: {type(error).__name__}: {error}")

        self.runner, self.talk = forked(kernel, child)

    def heard(self) -> SideOutcome | None:
        """The outcome, when ``talk`` can be read and it is whole; call it once more until then. Closes ``talk``."""
        while True:
            try:
                heard = os.read(self.talk, 65536)
            except BlockingIOError:
                return None
            if not heard:
                break
            self._heard += heard
        os.close(self.talk)
        self.talk = -1
        try:
            ok, words, lines = json.loads(self._heard)
            return SideOutcome(ok, words, tuple(lines))
        except ValueError:
            return SideOutcome(False, "was cut short: its runner was killed")

    def cancel(self) -> None:
        """End it now; its outcome says so. Call it only before the runner was reaped."""
        os.kill(self.runner, signal.SIGTERM)


class _Runner:
    """The fork of the executor: starts the command, reads what it prints, and clears up."""

    def __init__(self, kernel: Kernel, parent: int, talk: int, say: Callable[[str], None] | None) -> None:
        self._kernel, self._parent, self._talk, self._say = kernel, parent, talk, say
        self._tail = b""
        self._logged = self._lines = 0
        self._full = False
        #: The beginning of a line, until its end is read.
        self._begun = b""

    def run(self, payload: Payload, timeout_s: float) -> None:
        """All of it. The caller ends the process."""
        woken, wake = os.pipe()
        for end in (woken, wake):
            os.set_blocking(end, False)
        for number in signal.valid_signals():
            try:
                signal.signal(number, signal.SIG_DFL)
            except (OSError, ValueError):  # SIGKILL, SIGSTOP and the C library's own
                continue
        arrived: list[int] = []
        for number in (signal.SIGCHLD, signal.SIGTERM):
            signal.signal(number, lambda number, frame: arrived.append(number))
        signal.set_wakeup_fd(wake)
        self._kernel.adopt_orphans()
        self._kernel.die_with_parent(signal.SIGTERM)
        if os.getppid() != self._parent:
            return None
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        began = time.monotonic()
        output, commands = os.pipe()
        os.set_blocking(output, False)
        try:
            pid, talk = fork_child(self._kernel, payload, (commands, commands), beside=True)
        except OSError as error:
            return self.tell(False, no_process(error))
        os.close(commands)
        heard = [output, woken]
        ended: Ended | None = None
        while ended is None and signal.SIGTERM not in arrived and time.monotonic() - began < timeout_s:
            left_s = max(0.0, began + timeout_s - time.monotonic())
            readable = select.select(heard, (), (), left_s)[0]
            if woken in readable:
                os.read(woken, 4096)
            if output in readable and not self._take(output):
                heard.remove(output)  # closed by a command that runs on
            ended = self._reap(pid)
        took_s = time.monotonic() - began
        living = self._kill_all()
        limit = time.monotonic() + LEFTOVER_S
        while self._take(output) and time.monotonic() < limit:  # whom it gave its output to may write on for ever
            pass
        if ended is None:
            why = "was told to end" if signal.SIGTERM in arrived else f"did not end within {duration(timeout_s)}"
            stuck = ", but SIGKILL does not end it: it hangs in the kernel" if living else ""
            return self.tell(False, f"{why} and was killed{stuck}")
        word, problem = _last_word(talk)
        if word == "gone":
            return self.tell(None, problem)
        how = f"killed by {ended.signal}" if ended.signal else f"exit code {ended.code}"
        return self.tell(ended.code == 0, problem or f"{how} after {duration(took_s)}")

    def _take(self, output: int) -> int:
        """Read once; how many bytes that gave."""
        try:
            read = os.read(output, 65536)
        except BlockingIOError:
            return 0
        if self._say is not None:
            self._log(read)
        self._tail = (self._tail + read)[-TAIL_BYTES:]
        return len(read)

    def _log(self, read: bytes) -> None:
        assert self._say is not None
        if self._full:
            return
        room = LOG_BYTES - self._logged
        *lines, self._begun = (self._begun + read[:room]).split(b"\n")
        for line in lines[: LOG_LINES - self._lines]:
            self._say(line.decode("utf-8", "replace"))
        self._logged, self._lines = self._logged + len(read), self._lines + len(lines)
        if self._lines > LOG_LINES:
            self._begun = b""
        self._full = len(read) > room or self._lines > LOG_LINES
        if self._full or len(self._begun) >= LOG_LINE:
            self._end_line()
        if self._full:
            self._say(f"(what it prints beyond {LOG_BYTES >> 20} MiB or {LOG_LINES} lines is not kept)")

    def _end_line(self) -> None:
        """What has no end yet is a line all the same: it is very long, or nothing comes after it."""
        if self._begun and self._say is not None:
            self._say(self._begun.decode("utf-8", "replace"))
        self._begun = b""

    def _reap(self, pid: int) -> Ended | None:
        found = None
        try:
            ended = self._kernel.reap()
            while ended is not None:
                found = ended if ended.pid == pid else found
                ended = self._kernel.reap()
        except ChildProcessError:
            pass
        return found

    def _kill_all(self) -> bool:
        """SIGKILL to all that is left below us, until nothing is; whether something is left all the same."""
        limit = time.monotonic() + GIVE_UP_S
        while time.monotonic() < limit:
            for entry in self._kernel.descendants():
                self._kernel.signal_process(entry, signal.SIGKILL)
            try:
                while self._kernel.reap() is not None:
                    pass
            except ChildProcessError:
                return False
            time.sleep(_LOOK_AGAIN_S)
        return True

    def tell(self, ok: bool | None, words: str) -> None:
        """The last act."""
        self._end_line()
        lines = [_readable(line) for line in self._tail.split(b"\n") if line.strip()][-LINES:]
        os.write(self._talk, json.dumps([ok, words, lines]).encode())


def _last_word(talk: int) -> tuple[str, str]:
    """Why the command could not be started (see `child`), with the word for it, or nothing."""
    try:
        said = os.read(talk, 65536).decode("utf-8", "replace").splitlines()
    except BlockingIOError:
        said = []
    word, _, rest = said[-1].partition(" ") if said else ("", "", "")
    return (word, rest) if word in ("path", "start", "gone") else ("", "")


def _readable(line: bytes) -> str:
    text = line.decode("utf-8", "backslashreplace").rstrip()
    text = "".join(one if one.isprintable() else repr(one)[1:-1] for one in text.replace("\t", " "))
    return text if len(text) <= LINE_LENGTH else text[: LINE_LENGTH - 1] + "…"
