"""What offers lead to: the jobs that wait for their host are launched, what is not needed goes back."""

from __future__ import annotations

from functools import partial
from typing import Mapping, Optional

from daqsched.digests import run_digest
from daqsched.engine import commands, events, preflight_steps, reconciling
from daqsched.engine.commands import SurveyToLaunch, TaskToLaunch
from daqsched.engine.desired import assign, unassign
from daqsched.engine.farm import ASK_S, REFUSE_S, Farm
from daqsched.engine.instance import Instance
from daqsched.engine.match import EXECUTOR_CPUS, EXECUTOR_MEM, FreeResources, lacking
from daqsched.engine.namesake_steps import has_name
from daqsched.engine.reconciling_state import CONFIRM_S
from daqsched.engine.resources import Attributes, Offer
from daqsched.engine.tasks import look_for_lost
from daqsched.errors import JobError
from daqsched.fill import payload
from daqsched.preflight import NEEDS
from daqsched.spec import FORWARDER, JobSpec
from daqsched.task import Task


def arrived(farm: Farm, event: events.OffersArrived, now: float) -> None:
    """Use each offer for what waits on its host; the cost is that of those that wait there."""
    declined = []
    found_anywhere = bool(farm.desired.by_attribute)
    waiting, lost, found, asked = farm.waiting, farm.lost, farm.found, farm.preflights.waiting
    agents = farm.namesakes.agents
    for offer in event.offers:
        if offer.place:
            farm.namesakes.listens(offer.agent_id, offer.place)
        # most offers of a large farm are for nobody
        useful = found_anywhere
        for name in offer.names:
            if name not in farm.seen:
                farm.namesakes.seen(name)
            farm.seen[name] = now
            if name in farm.reconciling.silent and now >= farm.registered_at + CONFIRM_S:
                reconciling.neighbours(farm, name)
            strange = agents.setdefault(name, offer.agent_id) != offer.agent_id
            if offer.away is not None:
                farm.away[name] = offer.away
            elif farm.away:
                farm.away.pop(name, None)
            useful = useful or strange or name in waiting or name in lost or name in found or name in asked
        if not useful:
            declined.append(offer.id)
            farm.machines[offer.names[0]] = offer.attributes
            continue
        names = [name for name in offer.names if has_name(farm, name, offer, now)]
        launch = _used(farm, offer, names, now) if names else None
        if launch is not None:
            farm.out.append(launch)
        else:
            declined.append(offer.id)
    farm.demand.answered(len(farm.machines))
    if declined:
        farm.out.append(commands.Decline(tuple(declined), REFUSE_S))


def _used(farm: Farm, offer: Offer, names: list[str], now: float) -> Optional[commands.Launch]:
    """What is launched with it on the hosts of these names; None: nothing waits there that it is enough for."""
    launched: list[TaskToLaunch] = []
    looking: list[SurveyToLaunch] = []
    room = FreeResources(offer, farm.desired.fixed_ports, partial(_held, farm, offer))
    pace = farm.starts.offered(offer.agent_id, names, offer.cpus)
    if names[0] == offer.names[0]:
        _look_for_attributes(farm, names[0], offer.attributes, now)
    for name in names:
        if name in farm.lost:
            look_for_lost(farm, name, offer.agent_id, now)
        for instance in list(farm.waiting.get(name, {}).values()):
            job = instance.job
            assert job is not None, "only what is desired waits"
            if farm.order.awaited(instance):
                # what it comes after has ended since it was filed
                farm.settle(instance, now)
                continue
            instance.reason = room.refusal(job) or ""
            if not instance.reason and not pace.full:
                try:
                    launched.append(_launch(farm, instance, job, offer.agent_id, room.take(job), now))
                except JobError as error:
                    # applied by the rules of another day; whatever else waits here goes on
                    instance.reason = f"can't be launched: {error.field}: {error}; mend the job and apply it again"
        looking += preflight_steps.launch(farm, name, offer.agent_id, room)
    if not launched and not looking:
        return None
    return commands.Launch(offer.id, offer.agent_id, tuple(launched), REFUSE_S, tuple(looking), offer.portions)


def _look_for_attributes(farm: Farm, host: str, attributes: Attributes, now: float) -> None:
    """A machine tells what it has: jobs that run wherever that is come to it, those that were here for what is gone go."""
    for instance in list(farm.found.get(host, {}).values()):
        job = instance.job
        if job is None or not instance.found:
            continue  # it went, or will go, with the one before
        missing = lacking(attributes, job.attributes) if job.name != FORWARDER else None
        if missing is not None:
            farm.note(f"{instance}: {host} does not have {missing} any more; no longer desired there")
            unassign(farm, instance, now)
        elif instance.record.attributes != attributes:
            instance.record.attributes = attributes
            farm.dirty[instance.key] = None
    farm.machines[host] = attributes
    for name, values in attributes.items() if farm.desired.by_attribute else ():
        for value in values:
            for job in farm.desired.by_attribute.get((name, value), ()):
                there = farm.order.desired.get(job.name, {}).get(host)
                if there is None and lacking(attributes, job.attributes) is None:
                    farm.note(f"{job.name}@{host}: found by its attributes")
                    to_be = farm.desired.of(job.name, host) or job
                    assign(farm, to_be, run_digest(to_be, host), host, attributes, now)


def _held(farm: Farm, offer: Offer) -> tuple[float, float, float]:
    """What our tasks there have; a survey has its own for a moment. The cost is that of the number of jobs."""
    cpus = mem = disk = 0.0
    for hosts in farm.order.desired.values():
        for name in offer.names:
            one = hosts.get(name)
            if one is not None and one.job is not None and one.record.task is not None:
                cpus += one.job.cpus + EXECUTOR_CPUS
                mem += one.job.mem + EXECUTOR_MEM
                disk += one.job.disk
    asked = [ask for ask in farm.preflights.by_task.values() if ask.host in offer.names]
    return cpus + len(asked) * (NEEDS.cpus + EXECUTOR_CPUS), mem + len(asked) * (NEEDS.mem + EXECUTOR_MEM), disk


def _launch(
    farm: Farm, instance: Instance, job: JobSpec, agent_id: str, ports: Mapping[str, int], now: float
) -> TaskToLaunch:
    task = Task(
        f"{instance}.{farm.new_id()}", agent_id, instance.digest, now, since=now, ports=ports, release=job.release
    )
    told = payload(job, instance.host, task.id, ports, farm.desired.rules_of(job))
    if not instance.record.failures:
        instance.record.starts_before = 0  # somebody has it started
    farm.give(instance, task, now)
    farm.arm(now + ASK_S, instance)
    revision = instance.record.behind or (farm.revision.number if farm.revision is not None else 0)
    return TaskToLaunch(told, job.cpus, job.mem, job.disk, job.owner, revision)


def launch_refused(farm: Farm, event: events.LaunchRefused, now: float) -> None:
    """None of these tasks exists: their instances wait again."""
    for task_id in event.task_ids:
        preflight_steps.not_launched(farm, task_id, event.why)
        instance = farm.by_task.get(task_id)
        if instance is not None and instance.task.state == "launching":
            farm.forget_task(instance)
            farm.note(f"{instance}: could not be launched: {event.why}")
            if instance.job is None:
                farm.drop(instance, now)
            else:
                farm.settle(instance, now)
