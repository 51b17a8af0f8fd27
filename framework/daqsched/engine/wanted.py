"""What people want: the jobs that they apply, and those that they stop and start by hand."""

from __future__ import annotations

from typing import Iterable, Optional

from daqsched import commands, events
from daqsched.commands import Revision
from daqsched.engine.farm import Farm, Instance, Key
from daqsched.hosts import expand
from daqsched.spec import JobSpec, digest, run_digest
from daqsched.task import Hold, Record


def restored(farm: Farm, revision: Optional[Revision], records: Iterable[tuple[Key, Record]]) -> None:
    """Begin where the store says that the last daemon was."""
    farm.revision = revision
    kept: dict[Key, Record] = dict(records)
    if revision is not None:
        farm.spec = farm.complete(revision.spec)
        for job in farm.spec.jobs:
            run = run_digest(job)
            for host in expand(job.hosts):
                record = kept.pop((job.name, host)) if (job.name, host) in kept else Record()
                farm.add(Instance(job.name, host, job, run, record))
    for (name, host), record in kept.items():
        farm.add(Instance(name, host, None, "", record))
    for instance in farm.instances.values():
        farm.settle(instance, 0.0)


def applied(farm: Farm, event: events.JobsApplied, now: float) -> None:
    """Make the farm what the spec says; what it does not change goes on untouched."""
    number = 1 if farm.revision is None else farm.revision.number + 1
    farm.revision = Revision(number, digest(event.spec), event.user, now, event.message, event.spec)
    farm.out.append(commands.SaveRevision(farm.revision))
    before = {job.name: job for job in farm.spec.jobs}
    farm.spec = farm.complete(event.spec)
    for job in farm.spec.jobs:
        old = before.pop(job.name, None)
        if old != job:
            _change_job(farm, old, job, now)
    for old in before.values():
        for host in expand(old.hosts):
            _unwant(farm, (old.name, host), now)
    farm.note(f"revision {number} ({farm.revision.digest}) applied by {event.user}")


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


def _change_job(farm: Farm, old: Optional[JobSpec], job: JobSpec, now: float) -> None:
    run = run_digest(job)
    hosts = expand(job.hosts)
    for host in hosts:
        instance = farm.instances.get((job.name, host))
        if instance is None:
            instance = Instance(job.name, host, job, run, Record())
            farm.add(instance, now)
            farm.settle(instance, now)
            continue
        instance.job, instance.digest, instance.reason = job, run, ""
        task = instance.record.task
        if task is not None and task.digest != run:
            farm.kill(instance, now)
        if instance.record.done != run:
            instance.record.done = ""
            instance.record.due = 0.0
            farm.dirty[instance.key] = None
        farm.settle(instance, now)
    if old is not None:
        for host in set(expand(old.hosts)).difference(hosts):
            _unwant(farm, (job.name, host), now)


def _unwant(farm: Farm, key: Key, now: float) -> None:
    instance = farm.instances.get(key)
    if instance is not None:
        instance.job = None
        if instance.record.task is None:
            farm.drop(instance)
        else:
            farm.kill(instance, now)
