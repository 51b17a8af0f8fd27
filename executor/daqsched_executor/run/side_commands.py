"""The side commands of a program, as the loop sees them (see `machine.side_command`): begun, ended, reported once."""

from __future__ import annotations

import os
from collections.abc import Callable

from daqsched_executor.contract import Payload
from daqsched_executor.log import place_of
from daqsched_executor.machine.kernel import Kernel
from daqsched_executor.machine.process import Program
from daqsched_executor.machine.side_command import SideCommand
from daqsched_executor.run.loop import READ, Loop

#: Takes how a command ended: whether well (None: it could not be run, through no fault of the job's), in words, and its last lines.
Done = Callable[["bool | None", str, "tuple[str, ...]"], None]


class SideCommands:
    """Any number at a time, each under a key of its own."""

    def __init__(self, kernel: Kernel, loop: Loop, program: Program) -> None:
        self._kernel, self._loop, self._program = kernel, loop, program
        self._running: dict[str, SideCommand] = {}

    def __contains__(self, key: str) -> bool:
        return key in self._running

    def begin(
        self,
        key: str,
        payload: Payload,
        argv: tuple[str, ...],
        timeout_s: float,
        done: Done,
        say: Callable[[str], None] | None = None,
    ) -> None:
        """Run it; ``say`` takes each line that it prints. Raises OSError where no process can be started."""
        assert key not in self._running, f"{key} runs already"
        command = SideCommand(self._kernel, payload, argv, timeout_s, self._program.pid, say)
        self._running[key] = command
        self._program.runners.add(command.runner)

        def failed(error: Exception) -> None:
            self.end(key)
            del self._running[key]
            if command.talk >= 0:
                os.close(command.talk)
            done(False, place_of(error), ())

        self._loop.watch(command.talk, READ, lambda mask: self._hear(key, done), failed)

    def end(self, key: str) -> None:
        """Let it be killed, if it runs; ``done`` is called all the same."""
        command = self._running.get(key)
        if command is not None and command.runner in self._program.runners:  # else it was reaped, and is heard soon
            command.cancel()

    def _hear(self, key: str, done: Done) -> None:
        command = self._running[key]
        talk = command.talk
        outcome = command.heard()
        if outcome is not None:
            self._loop.forget(talk)
            del self._running[key]
            done(outcome.ok, outcome.words, outcome.lines)
