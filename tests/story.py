"""A program's life told to the executor's core: events in, all that it commanded kept."""

from __future__ import annotations

from typing import Any

from daqsched_executor.contract import Payload, Report, Restart, Stop
from daqsched_executor.life.commands import Command, Say, Tell
from daqsched_executor.life.events import Claimed, Connected, Event, Launched, Moment, Reached, Spawned, Started, Ticked
from daqsched_executor.life.lifecycle import handle
from daqsched_executor.life.state import begin


def payload(policy: str = "always", **rule: Any) -> Payload:
    """A job with the given restart rule, stopped by TERM and 10 s of grace."""
    restart = Restart(policy, **rule)
    return Payload("readout@hlt01.1", "readout", "hlt01", ("/bin/readout",), restart=restart, stop=Stop())


class Story:
    """Feeds events to the core and keeps all that it commanded."""

    def __init__(self, job: Payload | None = None, patience_s: float = 900.0) -> None:
        self.time = 100.0
        self.state = begin(self.now, patience_s)
        self.commands: list[Command] = []
        self.happen(Connected(killing=True))
        if job is not None:
            self.happen(Launched(job))
            self.happen(Claimed())

    @property
    def now(self) -> Moment:
        return Moment(self.time, 1e9 + self.time, f"clock {self.time:g}")

    def happen(self, *events: Event, after: float = 0.0) -> list[Command]:
        """Let time pass, then the events happen; returns what they command."""
        self.time += after
        commanded: list[Command] = []
        for event in events:
            self.state, commands = handle(self.state, event, self.now)
            commanded += commands
        self.commands += commanded
        return commanded

    def run(self, pid: int = 4711) -> list[Command]:
        """The child that was spawned becomes the program."""
        return self.happen(Spawned(pid), Reached("/bin/readout"), Reached(""), Started())

    def due(self) -> list[Command]:
        """Time passes until the core wants to be woken."""
        assert self.state.wake_at is not None
        self.time = max(self.time, self.state.wake_at)
        return self.happen(Ticked())

    @property
    def told(self) -> list[tuple[str, str, str]]:
        """(task state, activity, message) of all updates."""
        return [(c.task_state, report_of(c).activity, c.message) for c in self.commands if isinstance(c, Tell)]


def report_of(told: Tell) -> Report:
    """What a program's update has with it; a survey's has findings."""
    assert isinstance(told.report, Report)
    return told.report


def kinds(commands: list[Command]) -> list[type]:
    """The commands' types without what is only said."""
    return [type(command) for command in commands if not isinstance(command, Say)]
