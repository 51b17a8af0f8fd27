"""What people want: the jobs that they apply, and those that they stop and start by hand."""

from __future__ import annotations

from typing import Iterable, Optional

from daqsched import commands, events
from daqsched.commands import Revision
from daqsched.engine.farm import Farm
from daqsched.engine.instance import Instance, Key
from daqsched.events import Attributes
from daqsched.hosts import expand
from daqsched.match import by_attributes, lacking
from daqsched.spec import FORWARDER, ForwarderSpec, JobSpec, digest, run_digest, run_digests
from daqsched.task import Hold, Record


def restored(farm: Farm, revision: Optional[Revision], records: Iterable[tuple[Key, Record]]) -> None:
    """Begin where the store says that the last daemon was."""
    farm.revision = revision
    kept: dict[str, dict[str, Record]] = {}
    for (name, host), record in records:
        kept.setdefault(name, {})[host] = record
    if revision is not None:
        farm.want(revision.spec)
        for job in farm.spec.jobs:
            run = run_digests(job)
            of_job = kept.pop(job.name, {})
            for host in expand(job.hosts):
                farm.add(Instance(job.name, host, job, run(host), of_job.pop(host, Record())))
            for host, record in of_job.items():
                if record.leaving and isinstance(job, ForwarderSpec):
                    farm.add(Instance(job.name, host, job.last(), run_digest(job.last(), host), record))
                    continue
                found = record.attributes is not None and _belongs(farm, job, host, record.attributes)
                farm.add(Instance(job.name, host, job if found else None, run(host) if found else "", record))
    for name, of_job in kept.items():
        for host, record in of_job.items():
            farm.add(Instance(name, host, None, "", record))
    for instance in list(farm.instances.values()):
        if instance.job is None and instance.record.task is None:
            farm.drop(instance, 0.0)
        else:
            farm.settle(instance, 0.0)


def applied(farm: Farm, event: events.JobsApplied, now: float) -> None:
    """Make the farm what the spec says; what it does not change goes on untouched."""
    number = 1 if farm.revision is None else farm.revision.number + 1
    farm.revision = Revision(number, digest(event.spec), event.user, now, event.message, event.spec)
    farm.out.append(commands.SaveRevision(farm.revision))
    before = {job.name: job for job in farm.spec.jobs}
    farm.want(event.spec)
    for name in set(before).difference(job.name for job in farm.spec.jobs):
        for instance in list(farm.order.wanted.get(name, {}).values()):
            unwant(farm, instance, now)
    # the job that goes where others go is the last one
    for job in farm.spec.jobs:
        if before.get(job.name) != job:
            _change_job(farm, job, now)
    if farm.by_attribute:
        farm.demand.renewed()
    farm.note(f"revision {number} ({farm.revision.digest}) applied by {event.user}")


def want(farm: Farm, job: JobSpec, run: str, host: str, attributes: Optional[Attributes], now: float) -> None:
    """This job on this host, as ``run`` (its `run_digest`) from now on; ``attributes`` where they are why."""
    instance = farm.instances.get((job.name, host))
    if instance is None:
        farm.add(Instance(job.name, host, job, run, Record(attributes=attributes)), now)
        instance = farm.instances[job.name, host]
        if attributes is not None:
            farm.dirty[instance.key] = None
    else:
        if instance.digest != run:
            instance.record.failures, instance.record.due = 0, 0.0
        instance.job, instance.digest, instance.reason = job, run, ""
        instance.record.leaving = isinstance(job, ForwarderSpec) and job.forwarding.until_empty
        if instance.record.task is not None and instance.record.task.digest != run:
            farm.kill(instance, now)
        if instance.record.done != run or _may_fail_again(instance.record, job):
            instance.record.done = ""
        _set_attributes(farm, instance, attributes)
        farm.dirty[instance.key] = None
    farm.settle(instance, now)
    if attributes is not None and job.name != FORWARDER:
        _accompany(farm, host, attributes, now)


def _may_fail_again(record: Record, job: JobSpec) -> bool:
    """Whether it was given up after fewer failures than the job allows now."""
    return bool(record.failures) and not 0 < job.restart.give_up <= record.failures


def unwant(farm: Farm, instance: Instance, now: float) -> None:
    """Not this one any more: end its task, then forget it."""
    found, instance.job, instance.record.leaving = instance.found, None, False
    _set_attributes(farm, instance, None)
    farm.dirty[instance.key] = None
    if instance.record.task is None:
        farm.drop(instance, now)
    else:
        farm.kill(instance, now)
        farm.settle(instance, now)
    forwarder = farm.instances.get((FORWARDER, instance.host))
    if found and forwarder is not None and forwarder.found and not _company(farm, instance.host):
        _retire(farm, forwarder, now)


def _retire(farm: Farm, instance: Instance, now: float) -> None:
    """No more of this job on this host; a forwarder goes when it has stored what is left there."""
    job, record = farm.forwarder, instance.record
    never_ran = record.task is None and not record.last_end
    if instance.name != FORWARDER or not isinstance(job, ForwarderSpec) or never_ran or record.hold:
        unwant(farm, instance, now)
        return
    last = job.last()
    want(farm, last, run_digest(last, instance.host), instance.host, None, now)


def held(farm: Farm, event: events.Held, now: float) -> None:
    """Stop these, and keep them stopped."""
    for key in event.keys:
        instance = farm.instances.get(key)
        if instance is not None and instance.job is not None:
            instance.record.hold = Hold(event.user, now, event.message)
            farm.note(f"{instance}: stopped by {event.user}{': ' + event.message if event.message else ''}")
            farm.dirty[key] = None
            farm.kill(instance, now)
            farm.settle(instance, now)
            if instance.record.leaving:
                unwant(farm, instance, now)


def released(farm: Farm, event: events.Released, now: float) -> None:
    """Let these run again, at once."""
    for key in event.keys:
        instance = farm.instances.get(key)
        if instance is not None and instance.job is not None:
            record = instance.record
            record.hold, record.done, record.failures, record.due = None, "", 0, 0.0
            farm.note(f"{instance}: started by {event.user}")
            farm.dirty[key] = None
            farm.settle(instance, now)


def _change_job(farm: Farm, job: JobSpec, now: float) -> None:
    """A new job, or a known one that is different now."""
    run = run_digests(job)
    hosts: dict[str, Optional[Attributes]] = dict.fromkeys(expand(job.hosts))
    known = farm.order.wanted.get(job.name, {})
    # other machines that have a job's attributes are found when they offer something
    for host in farm.found if job.name == FORWARDER else known if by_attributes(job) else ():
        there = known.get(host)
        attributes = farm.machines.get(host, there.record.attributes if there is not None else {})
        if attributes is not None and _belongs(farm, job, host, attributes):
            hosts.setdefault(host, attributes)
    for instance in list(known.values()):
        if instance.host not in hosts:
            _retire(farm, instance, now)
    for host, attributes in hosts.items():
        want(farm, job, run(host), host, attributes, now)


def _belongs(farm: Farm, job: JobSpec, host: str, attributes: Attributes) -> bool:
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
    job = farm.forwarder
    if job is not None and (there is None or there.job is None or there.record.leaving):
        want(farm, job, run_digest(job, host), host, attributes, now)
