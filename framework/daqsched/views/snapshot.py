"""The engine's state as far as a plan needs it: taken in one look on its thread, read on another for as long as it takes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Optional

from msgspec import structs

from daqsched.control import Controls
from daqsched.digests import digest
from daqsched.engine.durations import MeasuredDurations
from daqsched.engine.farm import Farm
from daqsched.engine.instance import Instance, Key
from daqsched.engine.match import by_attributes, lacking
from daqsched.engine.reasons import namesakes
from daqsched.engine.resources import Attributes
from daqsched.engine.time_format import TimeFormat
from daqsched.hosts import expand
from daqsched.merge import Behind
from daqsched.rollout import Rollout
from daqsched.spec import EMPTY, JobSpec, Spec
from daqsched.views.moves import Now, Where


class Had(NamedTuple):
    """One instance as it was."""

    job: Optional[JobSpec]
    digest: str
    #: Of its task; None: it had none.
    ports: Optional[Mapping[str, int]]
    #: Why it does not run, where the next job may let it: it waits for a first start by hand, or has failed for good; and after how
    #: many failures.
    unstarted: bool = False
    failed: bool = False
    failures: int = 0


@dataclass(frozen=True)
class Snapshot:
    """See the module."""

    spec: Spec
    #: The crew's own, without what the framework adds.
    applied: Spec
    #: By it people are told digests (`digests.told`), and whether hidden values differ.
    key: bytes
    #: What they are told of the spec in force, without what the framework adds.
    base: str
    master: str
    connected: bool
    behind: Behind
    #: The rollout that is under way, the jobs that it changes, and with them those that its rollback may.
    rollout: Optional[Rollout]
    rolling: frozenset[str]
    concerned: frozenset[str]
    #: Filled job by job, by who asks for them (`had`).
    instances: dict[Key, Had]
    #: The attributes of each machine that has offered something, and for jobs that go by attributes those that were kept.
    machines: Mapping[str, Attributes]
    kept: Mapping[str, Mapping[str, Attributes]]
    durations: MeasuredDurations
    fixed_ports: frozenset[int]
    #: What is so of jobs that come and go.
    seen: Now
    #: host -> what people are told where several agents call themselves so.
    namesakes: Mapping[str, str]
    #: host -> from and until when the master's maintenance schedule has it, as of its last offer; and the moment of the look.
    away: Mapping[str, tuple[float, float]]
    now: float
    #: Who is in control of what.
    controls: Controls
    #: That of jobs that name none.
    account: str

    @property
    def lost(self) -> Where:
        """job -> the hosts where nobody can confirm a task of it."""
        return self.seen.lost

    def hosts_of(self, job: JobSpec) -> tuple[str, ...]:
        """As `Farm.hosts_of`."""
        if not by_attributes(job):
            return expand(job.hosts)
        known = {**self.kept.get(job.name, {}), **self.machines}
        return tuple(sorted(host for host, has in known.items() if lacking(has, job.attributes) is None))


def snapshot(farm: Farm, jobs: Iterable[JobSpec] = ()) -> Snapshot:
    """How things are now, with the instances of those of these jobs that are not everywhere as they are desired now."""
    found = [job.name for job in farm.spec.jobs if by_attributes(job)]
    instances: dict[Key, Had] = {}
    for job in jobs:
        if job.name in farm.mixed or farm.desired.job(job.name) != job:
            instances.update(had(farm, job.name))
    return Snapshot(
        farm.spec,
        farm.revision.spec if farm.revision is not None else EMPTY,
        farm.credentials.session_key,
        farm.told(farm.revision.digest if farm.revision is not None else digest(EMPTY)),
        farm.master,
        farm.connected,
        farm.behind(),
        structs.replace(farm.rolling.active) if farm.rolling.active is not None else None,
        farm.rolling.jobs,
        farm.rolling.concerned,
        instances,
        dict(farm.machines),
        {
            name: {host: one.record.attributes or {} for host, one in farm.order.desired.get(name, {}).items()}
            for name in found
        },
        MeasuredDurations({name: structs.replace(duration) for name, duration in farm.durations.known.items()}),
        farm.desired.fixed_ports,
        Now(_lost(farm), _named(farm.order.leaving()), _named(farm.order.unstarted())),
        {host: namesakes(farm, host, TimeFormat(0.0, absolute=True)) for host in farm.namesakes.others},
        {host: window for host, window in farm.away.items() if farm.last < window[1]},
        farm.last,
        dict(farm.controls),
        farm.account,
    )


def _lost(farm: Farm) -> dict[str, frozenset[str]]:
    return _named((name, host) for host, there in farm.lost.items() for name, _ in there)


def _named(keys: Iterable[Key]) -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    for name, host in keys:
        found.setdefault(name, set()).add(host)
    return {name: frozenset(hosts) for name, hosts in found.items()}


def had(farm: Farm, job: str) -> dict[Key, Had]:
    """What is desired of the job now: of one job, as a look at all of a large farm would take half a second."""
    return {one.key: _had(one) for one in farm.order.desired.get(job, {}).values()}


def _had(one: Instance) -> Had:
    record = one.record
    idle = record.task is None and not one.aside and not record.unread and record.borrow is None
    return Had(
        one.job,
        one.digest,
        None if record.task is None else record.task.ports,
        idle and record.hold is not None and not record.hold.user,
        idle and record.hold is None and bool(record.done) and not record.succeeded,
        record.own_failures,
    )
