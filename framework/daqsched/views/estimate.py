"""What an apply can be expected to come to: what would not start, in how many batches it goes, how long programs are away."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Callable, Optional

import msgspec

from daqsched.batches import depths, divide
from daqsched.digests import run_digests
from daqsched.engine.desired import may_fail_again, tries_again
from daqsched.engine.machine import given_back
from daqsched.engine.resources import Offer
from daqsched.hosts import expand
from daqsched.merge import Desired
from daqsched.rollout import Strategy
from daqsched.spec import FORWARDER, JobSpec, Spec
from daqsched.views.placement import refusals
from daqsched.views.plan import Change, Plan
from daqsched.views.snapshot import Had, Snapshot
from daqsched_executor.contract import MANUAL

#: Refusals that a plan tells one by one.
MOST_REFUSALS = 1000


def started(found: Plan, spec: Spec) -> set[str]:
    """The jobs of which the plan starts anything, and those that they replace: `starting` needs their instances in the snapshot."""
    names = {change.job for change in found.changes if change.what in ("add", "restart")}
    return names.union(name for job in spec.jobs if job.name in names for name in job.replaces)


def starting(
    known: Snapshot, spec: Spec, found: Plan
) -> Iterable[tuple[str, JobSpec, Optional[JobSpec], Optional[Mapping[str, int]]]]:
    """host, job, and the job of what runs there now and will end, with its ports: of each instance that the plan starts."""
    then = Desired(spec)
    changed, variants = started(found, spec), then.variants
    runs: dict[int, Callable[[str], str]] = {}
    for job in spec.jobs:
        if job.name not in changed:
            continue
        there = variants.get(job.name, {})
        for host in known.hosts_of(job):
            desired = there.get(host, job)
            if id(desired) not in runs:
                runs[id(desired)] = run_digests(desired)
            had = known.instances.get((job.name, host))
            for name in desired.replaces if had is None else ():
                had = known.instances.get((name, host)) if name not in then.jobs else None
            ports = had.ports if had is not None else None
            if had is None or had.job is None or had.digest != runs[id(desired)](host):
                yield host, desired, had.job if had is not None and ports is not None else None, ports


def with_starts(known: Snapshot, found: Plan, spec: Spec) -> Plan:
    """With how many start of what does not run, where nothing that runs is restarted; needs the instances of these jobs in the
    snapshot (`silent`)."""
    then = Desired(spec)

    def told(change: Change) -> Change:
        if change.what != "silent" or change.job not in then.jobs:
            return change
        job, variants = then.jobs[change.job], then.variants.get(change.job, {})
        its = expand(change.hosts.rpartition(": ")[2].split(", ")) if change.count else ()
        pairs = [(known.instances.get((job.name, host)), variants.get(host, job)) for host in its]
        return msgspec.structs.replace(
            change, starts=sum(had is not None and _starts(had, to_be) for had, to_be in pairs)
        )

    return msgspec.structs.replace(found, changes=tuple(map(told, found.changes)))


def silent(found: Plan) -> set[str]:
    """The jobs of which something changes and nothing that runs is restarted."""
    return {change.job for change in found.changes if change.what == "silent"}


def _starts(had: Had, job: JobSpec) -> bool:
    """As `engine.desired.assign` has it, of what is run as before."""
    if had.job is None or not had.failed:
        return had.unstarted and job.start != MANUAL
    return tries_again(had.job, job) or may_fail_again(had.failures, job)


def placed(
    found: Plan,
    machines: dict[str, Offer],
    begun: list[Any],
    fixed: Iterable[int],
    each: Callable[[Iterable[Any]], Iterable[Any]] = iter,
) -> Plan:
    """With what would not start on the machines as they are now; ``begun`` is what `starting` gives, ``each`` goes through
    it, and may give up."""
    by_agent: dict[str, Offer] = {machine.agent_id: machine for machine in machines.values()}
    for host, _, old, ports in each(begun):
        machine = machines.get(host)
        if machine is not None and ports is not None and old is not None:
            by_agent[machine.agent_id] = given_back(by_agent[machine.agent_id], old, ports)
    there = {name: by_agent[machine.agent_id] for name, machine in machines.items()}
    refused = tuple(refusals(there, ((host, job) for host, job, _, _ in each(begun)), fixed))
    return msgspec.structs.replace(found, refusals=refused[:MOST_REFUSALS])


def with_times(known: Snapshot, found: Plan, spec: Spec, strategy: Optional[Strategy]) -> Plan:
    """In how many batches what runs now is replaced, and how long that takes by measured times."""
    renewed = {change.job for change in found.changes if change.what == "restart" and change.job != FORWARDER}
    begun = starting(known, spec, found) if renewed else ()
    keys = [(job.name, host) for host, job, _, ports in begun if ports is not None and job.name in renewed]
    if not keys:
        return found
    depth = depths({job.name: job.after for job in spec.jobs})
    batches = divide(keys, strategy.batches if strategy is not None else (), depth)
    away = max((known.durations.away_s(batch, depth) for batch in batches), default=-1.0)
    takes = known.durations.takes_s(batches, strategy.ready_s if strategy is not None else 0.0, depth)
    in_batches = strategy is not None and bool(strategy.batches)
    sized = tuple(len({host for _, host in batch}) for batch in batches) if in_batches else ()
    return msgspec.structs.replace(found, batches=sized, away_s=away, takes_s=takes)
