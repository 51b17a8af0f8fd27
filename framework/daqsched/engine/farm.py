"""The instances and their indexes, and what is to be done: what all parts of the engine work on.

What an instance may do follows from its job and its record alone. Whoever changes one of them calls `Farm.settle`
afterwards, the one place that files it: among those that wait for an offer, or those whose host nobody can vouch for.
"""

from __future__ import annotations

import heapq
from typing import Callable, Optional

from daqsched import commands
from daqsched.commands import Command, Revision
from daqsched.demand import ByHost, Demand
from daqsched.engine.preflights import Preflights
from daqsched.spec import EMPTY, JobSpec, Spec
from daqsched.task import Record, Task

Key = tuple[str, str]

#: How long the remains of an offer are not wanted: long, because the machines are for others, too; `Revive` cuts it short.
REFUSE_S = 3600.0
#: A launch that nobody has spoken of for so long is asked about; so is everything, every so often.
ASK_S, RECONCILE_S = 15.0, 600.0
#: A kill is repeated when the grace of the job and this much more are over.
KILL_AGAIN_S = 10.0


class Instance:
    """One job on one host: what is wanted, what is known."""

    __slots__ = ("digest", "host", "job", "name", "reason", "record")

    def __init__(self, name: str, host: str, job: Optional[JobSpec], run: str, record: Record) -> None:
        self.name = name
        self.host = host
        #: None: not wanted any more, only its task has still to end.
        self.job = job
        self.digest = run
        self.record = record
        #: Why the last offer was not enough.
        self.reason = ""

    @property
    def key(self) -> Key:
        return self.name, self.host

    @property
    def task(self) -> Task:
        """Its task, where it must have one."""
        assert self.record.task is not None, f"{self} is listed by a task that it does not have"
        return self.record.task

    @property
    def startable(self) -> bool:
        """Whether it should run and does not, and neither a person nor its own end forbids that."""
        record = self.record
        return self.job is not None and record.task is None and not record.hold and not record.done

    @property
    def lost(self) -> bool:
        """Whether nobody can vouch for its task."""
        return self.record.task is not None and self.record.task.state in ("unreachable", "unknown")

    def __str__(self) -> str:
        return f"{self.name}@{self.host}"


class Farm:
    """See the module. ``new_id`` gives a fresh suffix for a task id; ``complete`` adds to a spec what is not the crew's."""

    def __init__(self, new_id: Callable[[], str], complete: Callable[[Spec], Spec] = lambda spec: spec) -> None:
        self.new_id = new_id
        self.complete = complete
        self.revision: Optional[Revision] = None
        #: What is wanted, completed.
        self.spec: Spec = EMPTY
        self.framework_id = ""
        self.master = ""
        self.connected = False
        #: When the master last took us (again).
        self.registered_at = 0.0
        #: Grows with every change that a viewer could see.
        self.version = 0
        self.instances: dict[Key, Instance] = {}
        self.by_task: dict[str, Instance] = {}
        #: Instances that could start now.
        self.waiting: ByHost[Instance] = ByHost()
        #: Instances whose task nobody can vouch for.
        self.lost: ByHost[Instance] = ByHost()
        self.demand = Demand()
        self.preflights = Preflights()
        #: (when, key): look at this instance then.
        self.timers: list[tuple[float, Key]] = []
        #: When each host last made an offer.
        self.seen: dict[str, float] = {}
        self.reconcile_at = float("inf")
        #: What this step has led to so far: commands, and instances whose record is to be saved.
        self.out: list[Command] = []
        self.dirty: dict[Key, None] = {}

    # ------------------------------------------------------------------ instances

    def add(self, instance: Instance, now: float = 0.0) -> None:
        """A new instance, or one out of the store; `settle` is still to be called, when all are there."""
        self.instances[instance.key] = instance
        task = instance.record.task
        if task is not None:
            self.by_task[task.id] = instance
            # also after a restart of the daemon, which knows neither what it sent nor what changed meanwhile
            if instance.job is None or instance.record.hold or task.digest != instance.digest:
                task.killed = task.killed or 1.0
            self.arm(max(task.launched + ASK_S, now), instance)

    def drop(self, instance: Instance) -> None:
        """Forget it."""
        self.instances.pop(instance.key, None)
        self.dirty[instance.key] = None
        self.waiting.take(instance.host, instance.key)

    def settle(self, instance: Instance, now: float) -> None:
        """File the instance under what it may do now."""
        waits = instance.startable
        if waits and instance.record.due > now:
            self.arm(instance.record.due, instance)
            waits = False
        if not waits:
            self.waiting.take(instance.host, instance.key)
        elif self.waiting.put(instance.host, instance.key, instance):
            self.demand.woken()
        if instance.lost:
            self.lost.put(instance.host, instance.key, instance)
        else:
            self.lost.take(instance.host, instance.key)

    # ------------------------------------------------------------------ their tasks

    def give(self, instance: Instance, task: Task, now: float) -> None:
        """The instance has this task from now on."""
        instance.record.task = task
        self.by_task[task.id] = instance
        self.dirty[instance.key] = None
        self.settle(instance, now)

    def forget_task(self, instance: Instance) -> None:
        """Its task has ended or never was; `settle` is still to be called."""
        del self.by_task[instance.task.id]
        instance.record.task = None
        self.dirty[instance.key] = None

    def kill(self, instance: Instance, now: float) -> None:
        """End its task, if it has one that was not told to end yet."""
        task = instance.record.task
        if task is not None and not task.killed:
            task.killed = now
            self.dirty[instance.key] = None
            self.out.append(commands.Kill(task.id, task.agent_id))
            self.arm(now + patience(instance), instance)

    # ------------------------------------------------------------------ what is to be done

    def reconcile_all(self, now: float) -> None:
        """Ask about all tasks, those that we know and those that we might not."""
        self.reconcile_at = now + RECONCILE_S
        known = tuple((instance.task.id, instance.task.agent_id) for instance in self.by_task.values())
        if known:
            self.out.append(commands.Reconcile(known))
        self.out.append(commands.Reconcile(()))

    def arm(self, at: float, instance: Instance) -> None:
        """Look at it then."""
        heapq.heappush(self.timers, (at, instance.key))

    def note(self, sentence: str) -> None:
        """For the daemon's log."""
        self.out.append(commands.Note(sentence))

    # ------------------------------------------------------------------ for whoever looks

    def record(self, key: Key) -> Optional[Record]:
        """What `commands.SaveRecords` is to save for this instance; None: forget it."""
        instance = self.instances.get(key)
        return None if instance is None else instance.record

    def last_offer(self, host: str) -> Optional[float]:
        """When the host last offered something, or None: not since this daemon started."""
        return self.seen.get(host)

    def check(self) -> None:
        """Raise AssertionError where the indexes and the instances do not agree; tests call it after every step."""
        for key, instance in self.instances.items():
            task = instance.record.task
            assert key == instance.key, f"{instance} is filed under {key}"
            assert task is None or self.by_task.get(task.id) is instance, f"{instance}: {task} is not listed"
            assert task is not None or instance.job is not None, f"{instance} is neither wanted nor running"
            waits = key in self.waiting.get(instance.host, {})
            assert not waits or instance.startable, f"{instance} waits and must not be launched"
            due = [at for at, armed in self.timers if armed == key]
            assert waits or not instance.startable or due, f"{instance} is forgotten: nothing will look at it"
            lost = key in self.lost.get(instance.host, {})
            assert lost == instance.lost, f"{instance}: lost is {lost}"
        assert len(self.by_task) == sum(i.record.task is not None for i in self.instances.values()), "a task too many"


def patience(instance: Instance) -> float:
    """How long after a kill it is repeated."""
    return KILL_AGAIN_S + (instance.job.stop.grace_s if instance.job is not None else 0.0)
