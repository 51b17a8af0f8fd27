"""What is desired where: an instance comes, changes, goes."""

from __future__ import annotations

from typing import Optional

from daqsched.digests import run_digest
from daqsched.engine import commands, job_owners, operator_commands
from daqsched.engine.commands import HOLDS
from daqsched.engine.farm import Farm
from daqsched.engine.instance import Instance
from daqsched.engine.match import by_attributes, lacking
from daqsched.engine.resources import Attributes
from daqsched.spec import FORWARDER, OF_A_START, ForwarderSpec, JobSpec
from daqsched.task import Hold, Record
from daqsched_executor.contract import MANUAL


def assign(farm: Farm, job: JobSpec, run: str, host: str, attributes: Optional[Attributes], now: float) -> None:
    """This job on this host, as ``run`` (its `run_digest`) from now on; ``attributes`` where they are why."""
    instance = farm.instances.get((job.name, host))
    farm.take_in((job.name, host))
    if instance is None:
        hold = before = farm.holds.pop((job.name, host), None) or farm.holds.get((job.name, ""))
        if hold is None:
            hold = _first(farm, job, host, now)
        farm.keep_started((job.name, host), False)
        farm.add(Instance(job.name, host, job, run, Record(attributes=attributes, hold=hold)), now)
        instance = farm.instances[job.name, host]
        if attributes is not None or hold is not None:
            farm.dirty[instance.key] = None
        if before is not None:
            farm.out.append(commands.SaveDocument(HOLDS))
            farm.note(f"{instance}: {before} before it had this place in the farm; stays stopped")
    else:
        ruled = instance.job is None or farm.desired.rules_of(instance.job) == farm.desired.rules_of(job)
        record = instance.record
        may_help = not ruled and tries_again(instance.job, job)
        again = record.done != run or (not record.succeeded and may_help) or may_fail_again(record.own_failures, job)
        if instance.digest != run or may_help:
            record.forget_failures()
        if record.borrow is not None:
            return  # what runs by hand is left alone, and gives way when it has ended
        if instance.job is None:  # it comes back before it has ended
            hold = record.hold
            record.hold = job_owners.passed_on(farm.owned, job.name, hold) if hold else _first(farm, job, host, now)
            farm.keep_started(instance.key, False)
        elif record.hold is not None and not record.hold.user and job.start != MANUAL:
            record.hold = None
        instance.job, instance.part, instance.digest, instance.reason = job, job.part, run, ""
        instance.aside = farm.is_aside(job.name, host)
        instance.record.replaced = ()
        instance.record.leaving = isinstance(job, ForwarderSpec) and job.forwarding.until_empty
        farm.set_behind(instance, 0)
        if instance.record.task is not None and instance.record.task.digest != run:
            farm.end(instance, now)
        farm.cancel_end(instance)
        farm.ends.changed(instance)
        if not ruled:
            if instance.key in farm.reminders:
                farm.reminders[instance.key].rules_due = 0.0
            operator_commands.tell_rules(farm, instance, now)
        if again:
            record.done = ""
        _set_attributes(farm, instance, attributes)
        farm.dirty[instance.key] = None
    farm.settle(instance, now)
    if attributes is not None and job.name != FORWARDER:
        _accompany(farm, host, attributes, now)


def _first(farm: Farm, job: JobSpec, host: str, now: float) -> Optional[Hold]:
    """What comes into the farm and waits for a first start by hand, unless it comes back and had it."""
    return Hold("", now) if job.start == MANUAL and (job.name, host) not in farm.started else None


def tries_again(before: Optional[JobSpec], job: JobSpec) -> bool:
    """Whether a program that has failed by the rules of ``before`` may fare otherwise by these."""
    return any(getattr(before, name) != getattr(job, name) for name in OF_A_START)


def may_fail_again(failures: int, job: JobSpec) -> bool:
    """Whether it was given up after fewer failures than the job allows now."""
    return bool(failures) and not 0 < job.restart.give_up <= failures


def unassign(farm: Farm, instance: Instance, now: float) -> None:
    """Not this one any more: end its task, then forget it."""
    found = instance.found
    if instance.record.task is not None:
        farm.end(instance, now)
    if instance.job is not None:
        hold = instance.record.hold
        farm.keep_started(instance.key, instance.job.start == MANUAL and (hold is None or bool(hold.user)))
        if instance.record.task is None:
            farm.dirty.update(dict.fromkeys(farm.order.pass_on(instance)))
        instance.record.replaced = instance.job.replaces
    instance.job, instance.record.leaving, instance.record.borrow, instance.aside = None, False, None, False
    farm.set_behind(instance, 0)
    _set_attributes(farm, instance, None)
    farm.dirty[instance.key] = None
    if instance.record.task is None:
        farm.drop(instance, now)
    else:
        farm.settle(instance, now)
    forwarder = farm.instances.get((FORWARDER, instance.host))
    if found and forwarder is not None and forwarder.found and not _company(farm, instance.host):
        retire(farm, forwarder, now)


def retire(farm: Farm, instance: Instance, now: float) -> None:
    """No more of this job on this host; a forwarder goes when it has stored what is left there."""
    job, record = farm.desired.forwarder, instance.record
    never_ran = record.task is None and not record.last_end
    if instance.name != FORWARDER or not isinstance(job, ForwarderSpec) or never_ran or record.hold:
        unassign(farm, instance, now)
        return
    last = job.last()
    assign(farm, last, run_digest(last, instance.host), instance.host, None, now)


def belongs(farm: Farm, job: JobSpec, host: str, attributes: Attributes) -> bool:
    """Whether a job that was found to belong on this machine with these attributes still does."""
    if job.name == FORWARDER:
        return _company(farm, host)
    return by_attributes(job) and lacking(attributes, job.attributes) is None


def _set_attributes(farm: Farm, instance: Instance, attributes: Optional[Attributes]) -> None:
    instance.record.attributes = attributes
    if attributes is not None:
        farm.found.put(instance.host, instance.key, instance)
    else:
        farm.found.take(instance.host, instance.key)


def _company(farm: Farm, host: str) -> bool:
    """Whether another job was found to belong on this host: then its lines are to be forwarded."""
    return any(name != FORWARDER for name, _ in farm.found.get(host, {}))


def _accompany(farm: Farm, host: str, attributes: Attributes, now: float) -> None:
    """Where a job goes by attributes, the job that forwards its lines goes, too."""
    there = farm.instances.get((FORWARDER, host))
    job = farm.desired.forwarder
    if job is not None and (there is None or there.job is None or there.record.leaving):
        assign(farm, job, run_digest(job, host), host, attributes, now)
