"""One job on one host: what is desired of it, what is known, and what follows from the two."""

from __future__ import annotations

from typing import Optional

from daqsched.spec import JobSpec
from daqsched.task import Record, Task

Key = tuple[str, str]


class Reminders:
    """When an executor is told again what it has not confirmed by then."""

    __slots__ = ("hold_due", "hold_order", "rules_due")

    def __init__(self) -> None:
        #: Whether it is held.
        self.hold_due = 0.0
        #: What that order is called, so that its executor knows one that comes twice; empty: it was not told yet.
        self.hold_order = ""
        #: The rules that it goes by.
        self.rules_due = 0.0


class Instance:
    """One job on one host."""

    __slots__ = (
        "aside",
        "awaited",
        "digest",
        "ending",
        "job",
        "key",
        "part",
        "reason",
        "record",
        "shown",
    )

    def __init__(self, name: str, host: str, job: Optional[JobSpec], run: str, record: Record) -> None:
        #: What it is filed under everywhere: one tuple, because there are as many as tasks.
        self.key: Key = (name, host)
        #: None: no longer desired, only its task has still to end.
        self.job = job
        #: The part of the farm whose job it is, or was; None: nobody knows.
        self.part: Optional[str] = None if job is None else job.part
        self.digest = run
        self.record = record
        #: Why the last offer was not enough.
        self.reason = ""
        #: The job that it waits for before it may start; empty: none.
        self.awaited = ""
        #: Since when its task is to end, whether it was told to yet or waits for others (`engine.stop_order`); 0: it may live.
        self.ending = 0.0
        #: Whether it is desired and its host is set aside, for all but the forwarder and what is run by hand.
        self.aside = False
        #: Its state as people see it, after the last step (`engine.shown`); empty: no step has looked yet.
        self.shown = ""

    @property
    def name(self) -> str:
        """The job's."""
        return self.key[0]

    @property
    def host(self) -> str:
        """Its machine's."""
        return self.key[1]

    @property
    def task(self) -> Task:
        """Its task, where it must have one."""
        assert self.record.task is not None, f"{self} is listed by a task that it does not have"
        return self.record.task

    @property
    def release(self) -> str:
        """The version of what runs; where nothing does, or nobody knows, of what is desired."""
        task = self.record.task
        if task is not None and task.release is not None:
            return task.release
        return self.job.release if self.job is not None else ""

    @property
    def success_codes(self) -> tuple[int, ...]:
        """The exit codes with which it has done what it should."""
        return self.job.restart.success_codes if self.job is not None else (0,)

    @property
    def replaces(self) -> bool:
        """Whether it takes the place of others."""
        return self.job is not None and bool(self.job.replaces)

    @property
    def startable(self) -> bool:
        """Whether it should run and does not, and neither a person nor its own end forbids that."""
        record = self.record
        idle = record.task is None and not record.hold and not record.done and not record.unread
        return self.job is not None and idle and not self.aside

    @property
    def spared(self) -> bool:
        """Whether it is held, and what runs there is left alone."""
        return self.record.hold is not None and self.record.hold.spares

    @property
    def up(self) -> bool:
        """Whether jobs that come after it may start here: it runs and may go on, or did what it should."""
        task = self.record.task
        if self.job is None:
            return False
        if task is None:
            return bool(self.record.done) and self.record.succeeded
        return task.state == "running" and not task.killed and not self.ending

    @property
    def lost(self) -> bool:
        """Whether nobody can confirm its task."""
        return self.record.task is not None and self.record.task.state in ("unreachable", "unknown")

    @property
    def found(self) -> bool:
        """Whether its machine was found by attributes, and not named in the job file."""
        return self.record.attributes is not None

    def __str__(self) -> str:
        return f"{self.name}@{self.host}"
