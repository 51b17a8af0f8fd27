"""What all parts of the engine work on: the instances filed, their tasks given and ended, what is to be done.

What an instance may do follows from its job and its record alone. Whoever changes one of them calls `Farm.settle`
afterwards, the one place that files it: among those that wait for an offer, those that wait for another job, those whose
host nobody can confirm. What that costs depends on those whom the change concerns, never on the farm.
"""

from __future__ import annotations

import heapq
from typing import Iterator, Optional

from daqsched import digests
from daqsched.engine import commands
from daqsched.engine.commands import HOLDS, PARTS, STARTED
from daqsched.engine.desired_spec import DesiredSpec
from daqsched.engine.farm_state import FarmState
from daqsched.engine.incidents import is_death
from daqsched.engine.instance import Instance, Key
from daqsched.engine.match import by_attributes, lacking
from daqsched.engine.starts import HUNG_S
from daqsched.engine.stop_order import LONGEST_S
from daqsched.hosts import expand
from daqsched.spec import FORWARDER, JobSpec, Spec
from daqsched.task import Record, Task
from daqsched_executor.contract import Exit

#: How long the remains of an offer are declined: long, because the machines are for others, too; `Revive` cuts it short.
REFUSE_S = 3600.0
#: A launch that nobody has spoken of for so long is asked about.
ASK_S = 15.0
#: A kill is repeated when the time that the job may take to stop and this much more are over.
KILL_AGAIN_S = 10.0
#: So many instances that are not in the farm are remembered as stopped by hand.
MOST_HOLDS = 10_000
#: So many revisions are remembered as those of a part of the farm.
MOST_OF_PARTS = 10_000
#: Of so many revisions how their rollout ended; all of them are saved with each.
MOST_OUTCOMES = 500

#: The cause of what no event but a tick has led to.
TIME = "time"


class Farm(FarmState):
    """See the module."""

    @property
    def spec(self) -> Spec:
        """What is desired, completed."""
        return self.desired.spec

    def set_desired(self, spec: Spec) -> None:
        """Take this spec for what is desired, as the instances will be."""
        self.desired = DesiredSpec(self.complete(spec))

    def told(self, digest: str) -> str:
        """What people are told in the place of a digest, and say where they mean it."""
        return digests.told(self.credentials.session_key, digest)

    def part_of(self, number: int, part: str) -> None:
        """The revision of that number is of this part."""
        self.parts[number] = part
        while len(self.parts) > MOST_OF_PARTS:
            del self.parts[next(iter(self.parts))]
        self.out.append(commands.SaveDocument(PARTS))

    def revision_of(self, part: str, number: int) -> int:
        """The newest revision up to that one that an apply of this part made; that one where it is not known any more."""
        known = range(number, max(0, number - MOST_OF_PARTS), -1)
        return next((one for one in known if self.parts.get(one, "") == part), number)

    # ------------------------------------------------------------------ instances

    def add(self, instance: Instance, now: float = 0.0) -> None:
        """A new instance, or one out of the store; `settle` is still to be called, when all are there."""
        self.instances[instance.key] = instance
        desired = instance.job is not None and instance.record.borrow is None
        instance.aside = desired and self.is_aside(*instance.key)
        if instance.record.behind:
            self.mixed.setdefault(instance.name, {})[instance.host] = None
        task = instance.record.task
        agent_id = task.agent_id if task is not None else instance.record.agent
        if agent_id:
            at = task.launched if task is not None else instance.record.ended_at
            self.namesakes.was_on(instance.host, agent_id, (task is not None, at))
        if instance.found:
            self.found.put(instance.host, instance.key, instance)
        if task is not None:
            self.by_task[task.id] = instance
            # also after a restart of the daemon, which knows neither what it sent nor what changed meanwhile
            if task.killed:
                self.ends.begin(instance, task.killed)
            elif self.must_stop(instance):
                self.end(instance, now)
            self.arm(max(task.launched + ASK_S, now), instance)
            if task.report is not None and task.report.snoozed:
                self.arm(task.report.snoozed, instance)  # the last daemon's timer ended with it

    def drop(self, instance: Instance, now: float) -> None:
        """Forget it; it has no task and is no longer desired."""
        self.set_behind(instance, 0)
        self.gone.setdefault(instance.key, instance.shown)
        if instance.record.hold is not None and instance.record.hold.user:
            self.holds[instance.key] = instance.record.hold
            while len(self.holds) > MOST_HOLDS:
                del self.holds[next(iter(self.holds))]
            self.out.append(commands.SaveDocument(HOLDS))
        del self.instances[instance.key]
        self.reminders.pop(instance.key, None)
        self.dirty[instance.key] = None
        self.settle(instance, now)

    def settle(self, instance: Instance, now: float) -> None:
        """File the instance under what it may do now, and those anew that wait for it."""
        self.touch(instance.key)
        waits = instance.startable
        if waits and instance.record.due > now:
            self.arm(instance.record.due, instance)
            waits = False
        self.order.block(instance, self.order.awaited(instance) if waits else "")
        if not waits or instance.awaited:
            self.waiting.take(instance.host, instance.key)
        elif self.waiting.put(instance.host, instance.key, instance):
            self.demand.woken()
        if instance.lost:
            self.lost.put(instance.host, instance.key, instance)
        else:
            self.lost.take(instance.host, instance.key)
        self.rolling.touch(instance.key)
        self.file_start(instance, now)
        if self.order.file(instance):
            for other in self.order.freed(instance):
                self.settle(other, now)

    def file_start(self, instance: Instance, now: float) -> None:
        """Whether it is being started; who waits on its machine wants an offer when that is over."""
        if any(host in self.waiting for host in self.starts.file(instance, now)):
            self.demand.woken()
        elif self.starts.under_way(instance):
            self.arm(instance.task.launched + HUNG_S, instance)

    def touch(self, key: Key) -> None:
        """Its state may change in this step, for what is done now; time alone is no cause where there is another."""
        if self.cause != TIME or key not in self.touched:
            self.touched[key] = self.cause

    # ------------------------------------------------------------------ their tasks

    def give(self, instance: Instance, task: Task, now: float) -> None:
        """The instance has this task from now on."""
        instance.record.task, instance.record.unread, instance.record.regardless = task, "", False
        self.by_task[task.id] = instance
        self.dirty[instance.key] = None
        self.settle(instance, now)

    def forget_task(self, instance: Instance) -> None:
        """Its task has ended or never was; `settle` is still to be called."""
        del self.by_task[instance.task.id]
        instance.record.agent = instance.task.agent_id
        instance.record.task = None
        self.ends.over(instance)
        self.dirty[instance.key] = None

    def end(self, instance: Instance, now: float) -> None:
        """End its task, if it has one that is not to end yet, when those that come after it and are to end, too, have
        ended. `settle` is still to be called."""
        if instance.record.task is not None and not instance.ending:
            self.ends.begin(instance, now)
            self.arm(now + LONGEST_S, instance)

    def cancel_end(self, instance: Instance) -> None:
        """Let its task live if it was not told to end yet and nothing speaks against it any more."""
        if instance.ending and not instance.task.killed and not self.must_stop(instance):
            self.ends.cancel(instance)

    def must_stop(self, instance: Instance) -> bool:
        """Whether its task is not what should run there."""
        record = instance.record
        return (
            instance.job is None
            or (record.hold is not None and not record.hold.spares)
            or instance.aside
            or (record.task is not None and record.task.digest != instance.digest)
            or (record.task is not None and self.namesakes.wrong(instance.host, record.task.agent_id))
        )

    def kill_due(self, now: float) -> None:
        """Tell those tasks to end whose turn has come; the last thing of a step."""
        for instance in self.ends.due(self.order.desired, now):
            task = instance.task
            task.killed = now
            self.dirty[instance.key] = None
            self.out.append(commands.Kill(task.id, task.agent_id))
            self.arm(now + patience(instance), instance)

    def is_aside(self, job: str, host: str) -> bool:
        """Whether the job must not run there because somebody put the host aside; lines are forwarded all the same."""
        return host in self.aside and job != FORWARDER

    def set_behind(self, instance: Instance, revision: int) -> None:
        """It has the job of this revision, still; 0: of the one in force."""
        if instance.record.behind != revision:
            instance.record.behind = revision
            self.dirty[instance.key] = None
        hosts = self.mixed.get(instance.name, {})
        if revision:
            self.mixed.setdefault(instance.name, {})[instance.host] = None
        elif instance.key not in self.left_out and hosts.pop(instance.host, self) is None and not hosts:
            del self.mixed[instance.name]

    def keep_started(self, key: Key, started: bool) -> None:
        """Whether this one, which is not in the farm, had its first start by hand."""
        if started == (key in self.started):
            return
        if started:
            self.started[key] = None
            while len(self.started) > MOST_HOLDS:
                del self.started[next(iter(self.started))]
        else:
            del self.started[key]
        self.out.append(commands.SaveDocument(STARTED))

    def take_in(self, key: Key) -> None:
        """It is left out no more."""
        if self.left_out.pop(key, self) is None:
            self.dirty[key] = None
            if key in self.instances:
                self.instances[key].record.left_out = False
            hosts = self.mixed[key[0]]
            del hosts[key[1]]
            if not hosts:
                del self.mixed[key[0]]

    # ------------------------------------------------------------------ what is to be done

    def arm(self, at: float, instance: Instance) -> None:
        """Look at it then."""
        heapq.heappush(self.timers, (at, instance.key))

    def note_end(self, instance: Instance, end: Exit, now: float, first: bool = True) -> None:
        """Its program ended, and nobody asked for its task's end: an incident where that is a death. Not the ``first``: others may
        have been before this daemon, and it tells neither when that began nor after which change of the job."""
        if not is_death(end, instance.success_codes):
            return
        number, applied = (self.effects.changed.get(instance.name) or [(0, 0.0)])[-1] if first else (0, 0.0)
        self.incidents.add(
            instance.name, instance.host, end, now, number, min(applied, now), instance.release, not first
        )

    def note(self, sentence: str) -> None:
        """For the daemon's log."""
        self.out.append(commands.Note(sentence))

    # ------------------------------------------------------------------ for whoever looks

    def record(self, key: Key) -> Optional[Record]:
        """What `commands.SaveRecords` is to save for this instance; None: forget it."""
        instance = self.instances.get(key)
        if instance is None:
            return Record(left_out=True) if key in self.left_out else None
        return instance.record

    def last_offer(self, host: str) -> Optional[float]:
        """When the host last offered something, or None: not since this daemon started."""
        return self.seen.get(host)

    def behind(self) -> dict[str, dict[str, Optional[JobSpec]]]:
        """job -> host -> what it has there instead of what the spec in force says; None: nothing, it was left out."""
        return {
            name: {host: instance.job if (instance := self.instances.get((name, host))) else None for host in hosts}
            for name, hosts in self.mixed.items()
        }

    def hosts_of(self, job: JobSpec) -> tuple[str, ...]:
        """Where the job runs: the hosts that it names, or the machines that are known to have its attributes."""
        if not by_attributes(job):
            return expand(job.hosts)
        known = dict(self.machines)
        for host, instance in self.order.desired.get(job.name, {}).items():
            known.setdefault(host, instance.record.attributes or {})
        return tuple(sorted(host for host, has in known.items() if lacking(has, job.attributes) is None))

    def unplaced(self) -> Iterator[JobSpec]:
        """The jobs that run wherever their attributes are, and that no machine is known for."""
        for jobs in self.desired.by_attribute.values():
            yield from (job for job in jobs if job.name not in self.order.desired)

    @property
    def wants_offers(self) -> tuple[bool, bool]:
        """Whether something waits for an offer, and whether one of an agent that nobody knows yet would tell something: that it
        has what a job needs, or the name of a host that has jobs."""
        return bool(self.waiting or self.lost) or self.preflights.want_offers, bool(
            self.instances or self.desired.by_attribute
        )


def patience(instance: Instance) -> float:
    """How long after a kill it is repeated."""
    return KILL_AGAIN_S + (instance.job.stop.longest_s if instance.job is not None else 0.0)
