"""Performs what `life.checks` commands: one attempt of one check at a time, none of which ever blocks the loop.

How a type of check is carried out stands in `probes`; what the program says by itself is heard by `notify`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from daqsched_executor.contract import Payload
from daqsched_executor.contract.checks import HEARD
from daqsched_executor.life.commands import Ask
from daqsched_executor.life.events import Answered, Event, Notice, Notified
from daqsched_executor.machine.filestore import FileStore
from daqsched_executor.machine.forking import no_process
from daqsched_executor.machine.kernel import Kernel
from daqsched_executor.machine.process import Program
from daqsched_executor.machine.socket_folder import OwnPlace, own_place
from daqsched_executor.run.closing import Closing
from daqsched_executor.run.loop import Loop
from daqsched_executor.run.notify import NotifySocket
from daqsched_executor.run.probes import PROBES, Attempt, ForkedQueries, Means, Probing
from daqsched_executor.run.streams import Files

if TYPE_CHECKING:
    from daqsched_executor.run.side_commands import SideCommands


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
        self._kernel, self._loop, self._program, self._emit, self._say = kernel, loop, program, emit, say
        self._means = Means(kernel, loop, program, files, sandbox, side_commands)
        self._notify: NotifySocket | None = None
        #: Where its socket is.
        self._place: OwnPlace | None = None
        self._closing = Closing(loop)
        self._runs = 0
        #: By the check's number, in this run of the program and in all.
        self._probes: dict[int, Probing] = {}
        self._queries: dict[int, ForkedQueries] = {}
        self._attempts: dict[int, Attempt] = {}

    def begin(self, payload: Payload, listen: Callable[[], None]) -> Payload:
        """The program is about to be started: the payload with what its environment has to say of heartbeats.

        ``listen`` is called before a message is understood, so that a start is heard of before a READY=1.
        """
        self._deaf()
        self.renew(payload)
        silences = [check.silence_s for check in payload.checks if check.type.way == HEARD]
        if not silences:
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
        shortest_s = min((silence for silence in silences if silence), default=0.0)
        if shortest_s:  # WATCHDOG_PID is added by the child, which knows it
            environment["WATCHDOG_USEC"] = str(int(shortest_s * 1e6))
        return replace(payload, env=environment)

    def renew(self, payload: Payload) -> None:
        """It is asked by these checks from now on; what was asked is given up. Heartbeats are heard as since the start."""
        for number in list(self._attempts):
            self.end(number)
        self._probes = {
            number: PROBES[check.kind](self._means, self._queries_of(number), number, check, payload)
            for number, check in enumerate(payload.checks)
            if check.type.way != HEARD
        }

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

    def _queries_of(self, number: int) -> ForkedQueries:
        return self._queries.setdefault(number, ForkedQueries(self._means))

    def ask(self, ask: Ask) -> None:
        """Begin an attempt; one `Answered` follows, unless `end` comes first."""
        assert ask.number not in self._attempts, "one attempt of a check at a time"

        def begun(attempt: Attempt) -> None:
            self._attempts[ask.number] = attempt

        def answered(ok: bool | None, problem: str = "") -> None:
            self._attempts.pop(ask.number, None)
            self._emit(Answered(ask.number, ask.ask, ok, problem))

        try:
            self._probes[ask.number](ask.since, begun, answered)
        except OSError as error:
            answered(False, no_process(error))

    def end(self, number: int) -> None:
        """Abandon an attempt, if there is one."""
        attempt = self._attempts.pop(number, None)
        if attempt is not None:
            attempt.close()
