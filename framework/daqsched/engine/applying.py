"""An apply: which instances change now, which when a rollout reaches them, and which not at all."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Callable, Optional

from daqsched.engine import commands, events, rollout_steps
from daqsched.engine.commands import Revision
from daqsched.engine.desired import belongs, retire, want
from daqsched.engine.events import Attributes
from daqsched.engine.farm import Farm
from daqsched.engine.instance import Instance, Key
from daqsched.engine.match import by_attributes
from daqsched.engine.verdict import Accepted
from daqsched.errors import Refused
from daqsched.hosts import expand
from daqsched.rollout import Strategy
from daqsched.select import selection
from daqsched.spec import EMPTY, FORWARDER, JobSpec, digest, run_digests


def applied(farm: Farm, event: events.JobsApplied, now: float) -> Accepted:
    """Make the farm what the spec says; what it does not change goes on untouched."""
    before = farm.revision
    _look_at_base(before, event.base)
    number = 1 if before is None else before.number + 1
    part = f" (only {' '.join(event.only)})" if event.only else ""
    farm.revision = Revision(number, digest(event.spec), event.user, now, f"{event.message}{part}".strip(), event.spec)
    farm.out.append(commands.SaveRevision(farm.revision))
    farm.note(f"revision {number} ({farm.revision.digest}) applied by {event.user}{part}")
    if farm.rolling.active is not None:
        rollout_steps.end(farm, "aborted", f"by revision {number}", now)
    known = {job.name: job for job in farm.spec.jobs}
    mixed = list(farm.mixed)
    farm.want(event.spec)
    change = _Change(farm, event, before.number if before is not None else 0, now)
    jobs = {job.name: job for job in farm.spec.jobs}
    for name in [name for name in farm.order.wanted if name not in jobs]:
        change.without(list(farm.order.wanted[name].values()))
    for name in [name for name in farm.mixed if name not in jobs]:
        change.forget(name)
    # the job that goes where others go is the last one
    for name, job in jobs.items():
        if known.get(name) != job or name in mixed:
            change.job(job)
    if farm.by_attribute:
        farm.demand.renewed()
    if change.pending and change.strategy is not None:
        rollout_steps.begin(farm, "apply", change.pending, change.strategy, event.user, event.message, before, now)
    rollout = farm.rolling.active
    return Accepted(
        revision=number,
        rollout=rollout.number if rollout is not None else 0,
        stops=change.stops,
        restarts=change.restarts + len(change.pending),
        starts=change.starts,
    )


def _look_at_base(last: Optional[Revision], base: str) -> None:
    """Whoever saw another farm than this one did not mean this one."""
    there = last.digest if last is not None else digest(EMPTY)
    if not base or base == there:
        return
    since = ""
    if last is not None:
        since = f", since revision {last.number} by {last.user}{': ' + last.message if last.message else ''}"
    raise Refused(
        f"not applied: {there} is in force and not {base}{since}; `daqsched plan` shows what would change now"
    )


class _Change:
    """What one apply does to jobs, one by one."""

    def __init__(self, farm: Farm, event: events.JobsApplied, base: int, now: float) -> None:
        self._farm, self._base, self._now = farm, base, now
        chosen = selection(event.only)
        self._chosen: Callable[[str, str], bool] = lambda job, host: job == FORWARDER or chosen(job, host)
        strategy = event.strategy if event.strategy is not None else event.spec.rollout
        #: None: all at once.
        self.strategy: Optional[Strategy] = strategy if strategy is not None and strategy.batches else None
        #: What has to wait for its batch.
        self.pending: list[Key] = []
        #: How many tasks end and do not come back, how many programs are started anew at once, how many instances are new.
        self.stops = self.restarts = self.starts = 0

    def without(self, instances: Iterable[Instance]) -> None:
        """Not there any more."""
        for instance in instances:
            if self._chosen(instance.name, instance.host):
                self.stops += instance.record.task is not None and not instance.ending
                retire(self._farm, instance, self._now)
            else:
                self._stay(instance)

    def job(self, job: JobSpec) -> None:
        """A new job, or one that is different now, or was not everywhere the same."""
        farm, run = self._farm, run_digests(job)
        hosts: dict[str, Optional[Attributes]] = dict.fromkeys(expand(job.hosts))
        known = dict(farm.order.wanted.get(job.name, {}))
        # other machines that have a job's attributes are found when they offer something
        for host in farm.found if job.name == FORWARDER else known if by_attributes(job) else ():
            there = known.get(host)
            attributes = farm.machines.get(host, there.record.attributes if there is not None else {})
            if attributes is not None and belongs(farm, job, host, attributes):
                hosts.setdefault(host, attributes)
        self.without([instance for instance in known.values() if instance.host not in hosts])
        self.forget(job.name, hosts)
        for host, attributes in hosts.items():
            there, to_be, chosen = known.get(host), run(host), self._chosen(job.name, host)
            if there is None and not chosen:
                farm.leave_out((job.name, host))
            elif there is not None and not chosen and there.digest != to_be:
                self._stay(there)
            elif there is not None and chosen and self.strategy is not None and self._disturbs(there, to_be):
                self._stay(there)
                self.pending.append(there.key)
            else:
                self.starts += there is None
                self.restarts += there is not None and self._disturbs(there, to_be)
                want(farm, job, to_be, host, attributes, self._now)

    def forget(self, name: str, hosts: Collection[str] = ()) -> None:
        """The job is not left out any more where it is not to be at all; ``hosts`` are those where it is."""
        for host in [host for host in self._farm.mixed.get(name, ()) if host not in hosts]:
            self._farm.take_in((name, host))

    @staticmethod
    def _disturbs(instance: Instance, run: str) -> bool:
        """Whether a program that runs has to end for it."""
        task = instance.record.task
        return instance.name != FORWARDER and task is not None and task.digest != run and not instance.ending

    def _stay(self, instance: Instance) -> None:
        """As it is, for now."""
        farm = self._farm
        farm.set_behind(instance, instance.record.behind or self._base)
        farm.dirty[instance.key] = None
        farm.settle(instance, self._now)
