"""Performs what `life.checks` commands: one attempt of one check at a time, none of which ever blocks the loop.

``tcp`` and ``http`` are sockets in the loop, ``output`` is a look at files that are open anyway; ``command`` is a side
command, and a ``file``'s time, or a name's address, is looked up by a fork, because both may hang.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from daqsched_executor.contract import STDERR, STDOUT, Check, Payload
from daqsched_executor.life.commands import Ask
from daqsched_executor.life.events import Answered, Event, Notice, Notified
from daqsched_executor.log import place_of
from daqsched_executor.machine.filestore import FileStore
from daqsched_executor.machine.kernel import Kernel
from daqsched_executor.machine.probe import sentence
from daqsched_executor.machine.process import Program, no_process
from daqsched_executor.machine.socket_folder import OwnPlace, own_place
from daqsched_executor.run.closing import Closing
from daqsched_executor.run.forked_query import ForkedQuery
from daqsched_executor.run.loop import Loop
from daqsched_executor.run.notify import NotifySocket
from daqsched_executor.run.output_probe import OutputProbe
from daqsched_executor.run.port_probe import PortProbe, look_up, numeric
from daqsched_executor.run.streams import Files

if TYPE_CHECKING:
    from daqsched_executor.run.side_commands import SideCommands

#: How a fork says yes; anything else is why not.
YES, GONE = "yes", "gone"

#: Whether a check passed (None: we could not ask), and why not.
Answer = Callable[["bool | None", str], None]


class Attempt(Protocol):
    """What is under way and can be abandoned."""

    def close(self) -> None:
        """End it; nothing is heard of it any more."""


class Command:
    """A side command, by its key."""

    def __init__(self, side_commands: SideCommands, key: str) -> None:
        self._side_commands, self._key = side_commands, key
        self.heard = True

    def close(self) -> None:
        """It dies in its own time."""
        self.heard = False
        self._side_commands.end(self._key)


class Checks:
    """The checks of one job; `begin` at each start of the program, then `ask` and `end` by their numbers."""

    def __init__(
        self,
        kernel: Kernel,
        loop: Loop,
        program: Program,
        files: Files,
        sandbox: str,
        emit: Callable[[Event], None],
        say: Callable[[str], None],
        side_commands: Callable[[], SideCommands],
    ) -> None:
        self._kernel, self._loop, self._program, self._files = kernel, loop, program, files
        self._sandbox, self._emit, self._say, self._side_commands = sandbox, emit, say, side_commands
        self._payload: Payload | None = None
        self._notify: NotifySocket | None = None
        #: Where its socket is.
        self._place: OwnPlace | None = None
        self._closing = Closing(loop)
        self._runs = 0
        self._printed: dict[int, OutputProbe] = {}
        self._attempts: dict[int, Attempt] = {}
        #: Forks that were abandoned, by the check's number, until they are gone.
        self._hanging: dict[int, ForkedQuery] = {}

    def begin(self, payload: Payload, listen: Callable[[], None]) -> Payload:
        """The program is about to be started: the payload with what its environment has to say of heartbeats.

        ``listen`` is called before a message is understood, so that a start is heard of before a READY=1.
        """
        self._payload = payload
        for number in list(self._attempts):
            self.end(number)
        self._deaf()
        outputs = {STDOUT: [self._files.stdout], STDERR: [self._files.stderr]}
        both = [*outputs[STDOUT], *outputs[STDERR]]
        self._printed = {
            number: OutputProbe(outputs.get(check.stream, both), check.pattern)
            for number, check in enumerate(payload.checks)
            if check.kind == "output"
        }
        beats = [check.silence_s for check in payload.checks if check.kind == "heartbeat"]
        if not beats:
            return payload

        def heard(notice: Notice) -> None:
            listen()
            self._emit(Notified(notice))

        if payload.container is None and self._program.store is None:
            self._program.store = FileStore()
        try:
            self._notify = self._listening(heard)
        except OSError as error:
            self._say(f"no heartbeat can be heard: {error.strerror or error}")
            return payload
        self._program.notify = self._notify.address
        environment = {**payload.env, "NOTIFY_SOCKET": self._notify.address}
        shortest_s = min((beat for beat in beats if beat), default=0.0)
        if shortest_s:  # WATCHDOG_PID is added by the child, which knows it
            environment["WATCHDOG_USEC"] = str(int(shortest_s * 1e6))
        return replace(payload, env=environment)

    def close(self) -> None:
        """Leave nothing behind."""
        self._deaf()
        if self._place is not None:
            self._place.remove()
            self._place = None

    def _listening(self, heard: Callable[[Notice], None]) -> NotifySocket:
        if self._place is not None and not os.path.isdir(self._place.path):  # somebody removed it
            self._place.remove()
            self._place = None
        self._place = self._place or own_place()
        self._runs += 1
        path = f"{self._place.path}/{self._runs}"
        return NotifySocket(self._kernel, self._loop, heard, self._say, self._program.store, self._closing, path)

    def _deaf(self) -> None:
        if self._notify is not None:
            self._notify.close()
            self._notify = None
        self._program.notify = ""

    def ask(self, ask: Ask) -> None:
        """Begin an attempt; one `Answered` follows, unless `end` comes first."""
        assert self._payload is not None and ask.number not in self._attempts, "one attempt of a check at a time"
        check = ask.check

        def answered(ok: bool | None, problem: str = "") -> None:
            self._attempts.pop(ask.number, None)
            self._emit(Answered(ask.number, ask.ask, ok, problem))

        if check.kind == "output":
            return answered(*self._printed[ask.number].look())
        if check.kind in ("tcp", "http"):
            return self._reach(ask.number, check, answered)
        hanging = self._hanging.get(ask.number)
        if hanging is not None and hanging.alive:
            return answered(False, "the last look at it still hangs")
        try:
            if check.kind == "command":
                self._command(ask.number, check, self._payload, answered)
            else:
                self._attempts[ask.number] = self._file(check, self._payload, ask.since, answered)
        except OSError as error:
            answered(False, no_process(error))
        return None

    def end(self, number: int) -> None:
        """Abandon an attempt, if there is one."""
        attempt = self._attempts.pop(number, None)
        if attempt is not None:
            attempt.close()
            if isinstance(attempt, ForkedQuery) and attempt.alive:
                self._hanging[number] = attempt

    def _reach(self, number: int, check: Check, answered: Answer) -> None:
        addresses = numeric(check.address)
        if addresses:
            return self._connect(number, check, addresses, answered)
        hanging = self._hanging.get(number)
        if hanging is not None and hanging.alive:
            return answered(False, f"the last look-up of {check.address} still hangs")

        def found(text: str) -> None:
            pairs = [line.partition(" ") for line in text.splitlines()]
            addresses = [(int(family), host) for family, _, host in pairs if family.isdigit()]
            if addresses:
                self._connect(number, check, addresses, answered)
            else:
                answered(False, f"{check.address} has no address: {text or 'the look-up was killed'}")

        try:
            self._attempts[number] = self._aside("", lambda: _addresses(check.address), found, answered)
        except OSError as error:
            answered(False, no_process(error))
        return None

    def _connect(self, number: int, check: Check, addresses: list[tuple[int, str]], answered: Answer) -> None:
        reach = PortProbe(self._loop, check, addresses, answered)
        self._attempts[number] = reach
        reach.begin()

    def _command(self, number: int, check: Check, payload: Payload, answered: Answer) -> None:
        side_commands, key = self._side_commands(), f"check {number}"
        if key in side_commands:
            return answered(False, "the last run of it is still being ended")
        command = Command(side_commands, key)

        def done(ok: bool | None, words: str, lines: tuple[str, ...]) -> None:
            if command.heard:
                answered(ok, "" if ok else f"{lines[-1]} ({words})" if lines else words)

        side_commands.begin(key, payload, check.argv, check.timeout_s, done)
        self._attempts[number] = command
        return None

    def _file(self, check: Check, payload: Payload, since: float, answered: Answer) -> Attempt:
        path = os.path.join(payload.cwd or self._sandbox, check.path)

        def done(text: str) -> None:
            if text == GONE:
                answered(None, f"the sandbox {self._sandbox} was removed: the task needs a new one")
            else:
                answered(text == YES, "" if text == YES else text or "the look at it was killed")

        sandbox = self._sandbox if path.startswith(f"{self._sandbox}/") else ""
        return self._aside(payload.user, lambda: _changed(path, since, sandbox), done, answered)

    def _aside(
        self, user: str, question: Callable[[], str], done: Callable[[str], None], answered: Answer
    ) -> ForkedQuery:
        def failed(error: Exception) -> None:
            answered(None, place_of(error))

        return ForkedQuery(self._kernel, self._loop, self._program, user, question, done, failed)


def _changed(path: str, since: float, sandbox: str) -> str:
    try:
        changed = os.stat(path).st_mtime
    except FileNotFoundError:  # a probe would ask here whether the version is published
        return GONE if sandbox and not os.path.isdir(sandbox) else "it is missing"
    except OSError as error:
        return sentence(path, error)
    if changed >= since:
        return YES
    return f"last changed at {time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(changed))}"


def _addresses(host: str) -> str:
    try:
        return "\n".join(f"{family} {address}" for family, address in look_up(host))
    except OSError as error:
        return str(error.strerror or error)
