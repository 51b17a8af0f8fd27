"""The scheduler's mind: `Engine.handle` takes what happened and returns what to do. No clock, socket or thread in it.

One thread owns an engine. Its rules, in short:

- an instance (a job on a host) has at most one task that may be alive, and none is launched while anybody could still
  be running the last one: `unreachable` and `unknown` tasks block their instance;
- what is launched was saved before; what is acknowledged was saved before (`commands` says how);
- whoever ends without being asked is started again on the same host, after a back-off that has a cap and no end;
- offers are asked for while something waits, and suppressed while nothing does.
"""

from __future__ import annotations

import heapq
from typing import Callable, Iterable, Optional

from daqsched import backoff, commands, events
from daqsched.commands import Command, Revision, TaskToLaunch
from daqsched.demand import ByHost, Demand
from daqsched.hosts import expand
from daqsched.match import Room
from daqsched.spec import EMPTY, JobSpec, Spec, digest, payload, run_digest
from daqsched.task import ENDED, LIVE, Hold, Record, Task
from daqsched_executor.contract import ContractError, Report, duration

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

    def __str__(self) -> str:
        return f"{self.name}@{self.host}"


class Engine:
    """See the module. ``new_id`` gives a fresh suffix for a task id; ``complete`` adds to a spec what is not the crew's."""

    def __init__(self, new_id: Callable[[], str], complete: Callable[[Spec], Spec] = lambda spec: spec) -> None:
        self._new_id = new_id
        self._complete = complete
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
        self._by_task: dict[str, Instance] = {}
        #: Instances that could start now.
        self._waiting: ByHost[Instance] = ByHost()
        #: Instances whose task nobody can vouch for.
        self._lost: ByHost[Instance] = ByHost()
        self._demand = Demand()
        #: (when, key): look at this instance then.
        self._timers: list[tuple[float, Key]] = []
        self._seen: dict[str, float] = {}
        self._reconcile_at = float("inf")
        self._out: list[Command] = []
        self._dirty: dict[Key, None] = {}

    # ------------------------------------------------------------------ in and out

    def restore(self, framework_id: str, revision: Optional[Revision], records: Iterable[tuple[Key, Record]]) -> None:
        """Begin where the store says that the last daemon was; before the first event."""
        self.framework_id = framework_id
        self.revision = revision
        kept: dict[Key, Record] = dict(records)
        if revision is not None:
            self.spec = self._complete(revision.spec)
            for job in self.spec.jobs:
                run = run_digest(job)
                for host in expand(job.hosts):
                    record = kept.pop((job.name, host)) if (job.name, host) in kept else Record()
                    self._add(Instance(job.name, host, job, run, record))
        for (name, host), record in kept.items():
            self._add(Instance(name, host, None, "", record))

    def handle(self, event: events.Event, now: float) -> list[Command]:
        """Take in what happened at ``now`` (seconds since the epoch) and return what to do, saves first."""
        self._out, self._dirty = [], {}
        _HANDLERS[type(event)](self, event, now)
        if self.connected:
            wish = self._demand.ask(bool(self._waiting or self._lost), now)
            if wish is not None:
                self._out.append(wish)
        if self._dirty or self._out:
            self.version += 1
        saves: list[Command] = [commands.SaveRecords(tuple(self._dirty))] if self._dirty else []
        return saves + self._out

    def next_tick(self, now: float) -> float:
        """When `Ticked` is wanted next, at the latest."""
        at = self._reconcile_at
        if self._timers:
            at = min(at, self._timers[0][0])
        if self.connected and (self._waiting or self._lost):
            at = min(at, self._demand.due())
        return at

    def record(self, key: Key) -> Optional[Record]:
        """What `commands.SaveRecords` is to save for this instance; None: forget it."""
        instance = self.instances.get(key)
        return None if instance is None else instance.record

    # ------------------------------------------------------------------ events

    def _registered(self, event: events.Registered, now: float) -> None:
        self.connected, self.master, self.registered_at = True, event.master, now
        self._demand.registered(bool(self._waiting))
        if event.framework_id != self.framework_id:
            self.framework_id = event.framework_id
            self._out.append(commands.SaveFrameworkId(event.framework_id))
        self._note(f"registered with {event.master} as {event.framework_id}")
        self._reconcile_all(now)
        for instance in self._by_task.values():
            task = _task(instance)
            if task.killed:
                self._out.append(commands.Kill(task.id, task.agent_id))

    def _disconnected(self, event: events.Disconnected, now: float) -> None:
        if self.connected:
            self._note(f"lost the connection to {self.master}; running jobs go on")
        self.connected = False
        self._reconcile_at = float("inf")

    def _offers_arrived(self, event: events.OffersArrived, now: float) -> None:
        declined = []
        for offer in event.offers:
            launched: list[TaskToLaunch] = []
            room = Room(offer)
            for name in offer.names:
                self._seen[name] = now
                if name in self._lost:
                    self._look_for_lost(name, offer.agent_id, now)
                for instance in list(self._waiting.get(name, {}).values()):
                    job = instance.job
                    assert job is not None, "only what is wanted waits"
                    instance.reason = room.refusal(job) or ""
                    if not instance.reason:
                        room.take(job)
                        launched.append(self._launch(instance, job, offer.agent_id, now))
            if launched:
                self._out.append(commands.Launch(offer.id, offer.agent_id, tuple(launched), REFUSE_S))
            else:
                declined.append(offer.id)
        if declined:
            self._out.append(commands.Decline(tuple(declined), REFUSE_S))

    def _task_reported(self, event: events.TaskReported, now: float) -> None:
        instance = self._by_task.get(event.task_id)
        if instance is None:
            self._stranger_reported(event, now)
        elif event.state in LIVE:
            self._alive(instance, event, now)
        elif event.state in ENDED:
            self._ended(instance, event, now)
        else:
            self._note(f"{instance}: Mesos says {event.state!r}, which this daqsched does not know; ignored")
        if event.uuid:
            self._out.append(commands.Acknowledge(event.task_id, event.agent_id, event.uuid))

    def _launch_refused(self, event: events.LaunchRefused, now: float) -> None:
        for task_id in event.task_ids:
            instance = self._by_task.get(task_id)
            if instance is not None:
                self._forget_task(instance)
                self._place(instance, now)
                self._note(f"{instance}: could not be launched: {event.why}")

    def _jobs_applied(self, event: events.JobsApplied, now: float) -> None:
        number = 1 if self.revision is None else self.revision.number + 1
        self.revision = Revision(number, digest(event.spec), event.user, now, event.message, event.spec)
        self._out.append(commands.SaveRevision(self.revision))
        before = {job.name: job for job in self.spec.jobs}
        self.spec = self._complete(event.spec)
        for job in self.spec.jobs:
            old = before.pop(job.name, None)
            if old != job:
                self._change_job(old, job, now)
        for old in before.values():
            for host in expand(old.hosts):
                self._unwant((old.name, host), now)
        self._note(f"revision {number} ({self.revision.digest}) applied by {event.user}")

    def _held(self, event: events.Held, now: float) -> None:
        for key in event.keys:
            instance = self.instances.get(key)
            if instance is not None and instance.job is not None:
                instance.record.hold = Hold(event.user, now, event.message)
                self._note(f"{instance}: stopped by {event.user}{': ' + event.message if event.message else ''}")
                self._kill(instance, now)
                self._place(instance, now)

    def _released(self, event: events.Released, now: float) -> None:
        for key in event.keys:
            instance = self.instances.get(key)
            if instance is not None and instance.job is not None:
                record = instance.record
                record.hold, record.done, record.failures, record.due = None, "", 0, 0.0
                self._note(f"{instance}: started by {event.user}")
                self._place(instance, now)

    def _ticked(self, event: events.Ticked, now: float) -> None:
        if now >= self._reconcile_at:
            self._reconcile_all(now)
        asked = []
        while self._timers and self._timers[0][0] <= now:
            _, key = heapq.heappop(self._timers)
            instance = self.instances.get(key)
            if instance is None:
                continue
            task = instance.record.task
            if task is None:
                self._place(instance, now)
            elif task.killed and now >= task.killed + self._patience(instance):
                task.killed = now
                self._out.append(commands.Kill(task.id, task.agent_id))
                self._arm(now + self._patience(instance), instance)
            elif task.state == "launching" and now >= task.launched + ASK_S:
                asked.append((task.id, task.agent_id))
                self._arm(now + ASK_S, instance)
        if asked and self.connected:
            self._out.append(commands.Reconcile(tuple(asked)))

    # ------------------------------------------------------------------ what tasks do

    def _alive(self, instance: Instance, event: events.TaskReported, now: float) -> None:
        task = _task(instance)
        state = LIVE[event.state]
        task.heard = now
        if state != task.state:
            if task.state in ("unreachable", "unknown"):
                self._note(f"{instance}: {instance.host} is back, it is {state}")
            task.state, task.since = state, now
            self._dirty[instance.key] = None
            self._mark_lost(instance, state in ("unreachable", "unknown"))
            if state == "unreachable":
                self._note(f"{instance}: {instance.host} does not answer the master; waiting for it, no second copy")
            if task.killed and state in ("staging", "starting", "running"):
                self._out.append(commands.Kill(task.id, task.agent_id))
        if event.by_executor:
            task.message = event.message
            task.report = _report(event.data) or task.report
            self._dirty[instance.key] = None

    def _ended(self, instance: Instance, event: events.TaskReported, now: float) -> None:
        task, record = _task(instance), instance.record
        record.last_end = event.message or _words(event)
        self._forget_task(instance)
        if instance.job is None:
            self._note(f"{instance}: {record.last_end}; not wanted any more")
            self._drop(instance)
        elif task.killed:
            record.failures, record.due = 0, 0.0
            self._note(f"{instance}: {record.last_end}")
        elif event.state == "TASK_FINISHED" or (
            event.state == "TASK_FAILED" and instance.job.restart.policy == "never"
        ):
            record.done, record.succeeded = task.digest, event.state == "TASK_FINISHED"
            self._note(f"{instance}: {record.last_end}; not started again")
        else:
            if now - task.launched >= backoff.RESET_S:
                record.failures = 0
            record.failures += 1
            wait = backoff.delay_s(record.failures)
            record.due = now + wait
            again = f"in {duration(wait)}" if wait else "now"
            self._note(f"{instance}: {record.last_end}; starts again {again}")
        self._place(instance, now)

    def _stranger_reported(self, event: events.TaskReported, now: float) -> None:
        """A task that the store does not know: adopt it where it fills a gap, end it where it would be one too many."""
        if event.state not in LIVE or LIVE[event.state] in ("unreachable", "unknown"):
            return
        name, _, rest = event.task_id.partition("@")
        instance = self.instances.get((name, rest.rpartition(".")[0]))
        if (
            instance is not None
            and instance.job is not None
            and instance.record.task is None
            and not instance.record.hold
        ):
            task = Task(event.task_id, event.agent_id, instance.digest, now, LIVE[event.state], now)
            instance.record.task = task
            self._by_task[task.id] = instance
            self._dirty[instance.key] = None
            self._place(instance, now)
            self._note(f"{instance}: found running as {task.id}, which the store did not know; adopted")
        else:
            self._out.append(commands.Kill(event.task_id, event.agent_id))
            self._note(f"{event.task_id} runs and nothing asks for it; stopped")

    def _launch(self, instance: Instance, job: JobSpec, agent_id: str, now: float) -> TaskToLaunch:
        task = Task(f"{instance}.{self._new_id()}", agent_id, instance.digest, now, since=now)
        instance.record.task = task
        self._by_task[task.id] = instance
        self._dirty[instance.key] = None
        self._place(instance, now)
        self._arm(now + ASK_S, instance)
        return TaskToLaunch(payload(job, instance.host, task.id), job.cpus, job.mem, job.disk)

    def _kill(self, instance: Instance, now: float) -> None:
        task = instance.record.task
        if task is not None and not task.killed:
            task.killed = now
            self._dirty[instance.key] = None
            self._out.append(commands.Kill(task.id, task.agent_id))
            self._arm(now + self._patience(instance), instance)

    def _patience(self, instance: Instance) -> float:
        return KILL_AGAIN_S + (instance.job.stop.grace_s if instance.job is not None else 0.0)

    def _forget_task(self, instance: Instance) -> None:
        task = _task(instance)
        del self._by_task[task.id]
        instance.record.task = None
        self._mark_lost(instance, False)
        self._dirty[instance.key] = None

    def _mark_lost(self, instance: Instance, lost: bool) -> None:
        if lost:
            self._lost.put(instance.host, instance.key, instance)
        else:
            self._lost.take(instance.host, instance.key)

    def _look_for_lost(self, host: str, agent_id: str, now: float) -> None:
        """A host with tasks that nobody could vouch for makes an offer: its agent is back, or another has its name."""
        asked = []
        for instance in list(self._lost[host].values()):
            task = _task(instance)
            if task.agent_id == agent_id:
                asked.append((task.id, task.agent_id))
            else:
                self._note(f"{instance}: {host} has a new agent, {task.id} ended with the old one")
                report = events.TaskReported(task.id, task.agent_id, "TASK_GONE", f"{host} came back as a new agent")
                self._ended(instance, report, now)
        if asked:
            self._out.append(commands.Reconcile(tuple(asked)))

    # ------------------------------------------------------------------ what is wanted

    def _change_job(self, old: Optional[JobSpec], job: JobSpec, now: float) -> None:
        run = run_digest(job)
        hosts = expand(job.hosts)
        for host in hosts:
            instance = self.instances.get((job.name, host))
            if instance is None:
                self._add(Instance(job.name, host, job, run, Record()), now)
                continue
            instance.job, instance.digest, instance.reason = job, run, ""
            task = instance.record.task
            if task is not None and task.digest != run:
                self._kill(instance, now)
            if instance.record.done != run:
                instance.record.done = ""
                instance.record.due = 0.0
            self._place(instance, now)
        if old is not None:
            for host in set(expand(old.hosts)).difference(hosts):
                self._unwant((job.name, host), now)

    def _unwant(self, key: Key, now: float) -> None:
        instance = self.instances.get(key)
        if instance is not None:
            instance.job = None
            if instance.record.task is None:
                self._drop(instance)
            else:
                self._kill(instance, now)

    def _add(self, instance: Instance, now: float = 0.0) -> None:
        self.instances[instance.key] = instance
        task = instance.record.task
        if task is not None:
            self._by_task[task.id] = instance
            self._mark_lost(instance, task.state in ("unreachable", "unknown"))
            # also after a restart of the daemon, which knows neither what it sent nor what changed meanwhile
            if instance.job is None or instance.record.hold or task.digest != instance.digest:
                task.killed = task.killed or 1.0
            self._arm(max(task.launched + ASK_S, now), instance)
        self._place(instance, now)

    def _drop(self, instance: Instance) -> None:
        self.instances.pop(instance.key, None)
        self._dirty[instance.key] = None
        self._set_waiting(instance, False)

    def _place(self, instance: Instance, now: float) -> None:
        """Put the instance among the waiting ones or take it out: the one place where that is decided."""
        record = instance.record
        may = instance.job is not None and record.task is None and not record.hold and not record.done
        if may and record.due > now:
            self._arm(record.due, instance)
            may = False
        self._set_waiting(instance, may)

    def _set_waiting(self, instance: Instance, waits: bool) -> None:
        if not waits:
            self._waiting.take(instance.host, instance.key)
        elif self._waiting.put(instance.host, instance.key, instance):
            self._demand.woken()

    def _reconcile_all(self, now: float) -> None:
        self._reconcile_at = now + RECONCILE_S
        known = tuple((task.id, task.agent_id) for task in map(_task, self._by_task.values()))
        if known:
            self._out.append(commands.Reconcile(known))
        self._out.append(commands.Reconcile(()))

    def _arm(self, at: float, instance: Instance) -> None:
        heapq.heappush(self._timers, (at, instance.key))

    def _note(self, sentence: str) -> None:
        self._out.append(commands.Note(sentence))

    # ------------------------------------------------------------------ for whoever looks

    def check(self) -> None:
        """Raise AssertionError where the indexes and the instances do not agree; tests call it after every step."""
        for key, instance in self.instances.items():
            record, task = instance.record, instance.record.task
            assert key == instance.key, f"{instance} is filed under {key}"
            assert task is None or self._by_task.get(task.id) is instance, f"{instance}: {task} is not listed"
            assert task is not None or instance.job is not None, f"{instance} is neither wanted nor running"
            waits = key in self._waiting.get(instance.host, {})
            may = instance.job is not None and task is None and not record.hold and not record.done
            assert not waits or may, f"{instance} waits and must not be launched"
            due = [at for at, armed in self._timers if armed == key]
            assert waits or not may or due, f"{instance} is forgotten: it may start and nothing will look at it"
            lost = task is not None and task.state in ("unreachable", "unknown")
            assert lost == (key in self._lost.get(instance.host, {})), f"{instance}: lost is {lost}"
        assert len(self._by_task) == sum(i.record.task is not None for i in self.instances.values()), "a task too many"

    def last_offer(self, host: str) -> Optional[float]:
        """When the host last offered something, or None: not since this daemon started."""
        return self._seen.get(host)


def _task(instance: Instance) -> Task:
    task = instance.record.task
    assert task is not None, f"{instance} is listed by a task that it does not have"
    return task


def _report(data: bytes) -> Optional[Report]:
    try:
        return Report.from_json(data) if data else None
    except ContractError:
        return None  # an executor of another make: its words are shown, its values are not understood


def _words(event: events.TaskReported) -> str:
    reason = event.reason.replace("REASON_", "").replace("_", " ").lower()
    return f"{event.state.replace('TASK_', '').replace('_', ' ').lower()}{' (' + reason + ')' if reason else ''}"


_HANDLERS: dict[type, Callable[..., None]] = {
    events.Registered: Engine._registered,
    events.Disconnected: Engine._disconnected,
    events.OffersArrived: Engine._offers_arrived,
    events.TaskReported: Engine._task_reported,
    events.LaunchRefused: Engine._launch_refused,
    events.JobsApplied: Engine._jobs_applied,
    events.Held: Engine._held,
    events.Released: Engine._released,
    events.Ticked: Engine._ticked,
}
