"""What an apply can be expected to come to: what would not start, in how many batches it goes, how long programs are away."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Callable, Optional

import msgspec

from daqsched.engine.engine import Engine
from daqsched.engine.events import Offer
from daqsched.rollout import Strategy, depths, divide
from daqsched.spec import FORWARDER, JobSpec, Spec, run_digests
from daqsched.views.placement import given_back, refusals
from daqsched.views.plan import Plan

#: Refusals that a plan tells one by one.
MOST_REFUSALS = 1000


def starting(
    engine: Engine, spec: Spec, found: Plan, chosen: Callable[[str, str], bool]
) -> Iterable[tuple[str, JobSpec, Any, Any]]:
    """host, job, and what runs there now and will end: of each instance that the plan starts."""
    changed = {change.job for change in found.changes if change.what in ("add", "restart")}
    for job in spec.jobs:
        if job.name not in changed:
            continue
        run = run_digests(job)
        for host in engine.hosts_of(job):
            instance = engine.instances.get((job.name, host))
            task = instance.record.task if instance is not None else None
            if chosen(job.name, host) and (instance is None or instance.job is None or instance.digest != run(host)):
                old = instance.job if instance is not None and task is not None else None
                yield host, job, old, task


def placed(found: Plan, machines: dict[str, Offer], begun: list[Any], fixed: Iterable[int]) -> Plan:
    by_agent: dict[str, Offer] = {machine.agent_id: machine for machine in machines.values()}
    for host, _, old, task in begun:
        machine = machines.get(host)
        if machine is not None and task is not None and old is not None:
            by_agent[machine.agent_id] = given_back(by_agent[machine.agent_id], old, task)
    there = {name: by_agent[machine.agent_id] for name, machine in machines.items()}
    refused = tuple(refusals(there, [(host, job) for host, job, _, _ in begun], fixed))
    return msgspec.structs.replace(found, refusals=refused[:MOST_REFUSALS])


def with_times(
    engine: Engine, found: Plan, spec: Spec, chosen: Callable[[str, str], bool], strategy: Optional[Strategy]
) -> Plan:
    """In how many batches what runs now is replaced, and how long that takes by measured times."""
    renewed = {change.job for change in found.changes if change.what == "restart" and change.job != FORWARDER}
    begun = starting(engine, spec, found, chosen) if renewed else ()
    keys = [(job.name, host) for host, job, _, task in begun if task is not None and job.name in renewed]
    if not keys:
        return found
    depth = depths({job.name: job.after for job in spec.jobs})
    batches = divide(keys, strategy.batches if strategy is not None else (), depth)
    away = max((engine.paces.away_s(batch, depth) for batch in batches), default=-1.0)
    takes = engine.paces.takes_s(batches, strategy.ready_s if strategy is not None else 0.0, depth)
    in_batches = strategy is not None and bool(strategy.batches)
    sized = tuple(len({host for _, host in batch}) for batch in batches) if in_batches else ()
    return msgspec.structs.replace(found, batches=sized, away_s=away, takes_s=takes)
