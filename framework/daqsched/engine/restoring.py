"""The instances as the last daemon left them: what the store says of each, under the revision that is in force."""

from __future__ import annotations

import sys
from typing import Callable, Iterable, Optional

import msgspec

from daqsched.digests import older_run_digests, run_digest
from daqsched.engine.commands import Revision
from daqsched.engine.desired import belongs
from daqsched.engine.farm import Farm
from daqsched.engine.instance import Instance, Key
from daqsched.hosts import expand
from daqsched.limits import brief, shown
from daqsched.merge import Desired
from daqsched.spec import ForwarderSpec, JobSpec, Spec
from daqsched.task import Record

_decode_parts = msgspec.msgpack.Decoder(dict[int, str]).decode


def restored(
    farm: Farm, revision: Optional[Revision], records: Iterable[tuple[Key, Record]], older: Callable[[int], Spec]
) -> None:
    """Begin where the store says that the last daemon was; ``older`` gives the spec of a revision."""
    farm.revision = revision
    jobs = Jobs(lambda number: Desired(farm.complete(older(number))))
    kept: dict[str, dict[str, Record]] = {}
    for (name, stored), kept_record in records:
        host = sys.intern(stored)
        wrong = _another_s(name, host, kept_record)
        record = Record(unread=wrong) if wrong else kept_record
        if record.left_out:
            farm.left_out[name, host] = None
            farm.mixed.setdefault(name, {})[host] = None
            if record.task is not None:
                kept.setdefault(name, {})[host] = record
        elif record.borrow is not None:
            farm.add(Instance(name, host, record.borrow.job, run_digest(record.borrow.job), record))
        elif record.behind and (old := jobs.of(record.behind, name, host)) is not None:
            farm.add(Instance(name, host, old, run_digest(old, host), record))
        else:
            record.behind = 0
            kept.setdefault(name, {})[host] = record
    if revision is not None:
        farm.set_desired(revision.spec)
        for job in farm.spec.jobs:
            of_job, variants = kept.pop(job.name, {}), farm.desired.variants(job.name)
            for host in expand(job.hosts):
                if (job.name, host) in farm.instances or (job.name, host) in farm.left_out:
                    continue
                there = variants.get(host, job)
                farm.add(Instance(job.name, host, there, farm.desired.run_of(there)(host), of_job.pop(host, Record())))
            for host, record in of_job.items():
                if record.leaving and isinstance(job, ForwarderSpec):
                    farm.add(Instance(job.name, host, job.last(), run_digest(job.last(), host), record))
                    continue
                there = variants.get(host, job)
                found = record.attributes is not None and belongs(farm, there, host, record.attributes)
                run = farm.desired.run_of(there)(host) if found else ""
                farm.add(Instance(job.name, host, there if found else None, run, record))
    for name, of_job in kept.items():
        for host, record in of_job.items():
            farm.add(Instance(name, host, None, "", record))
    _as_it_was_named(farm)
    for instance in list(farm.instances.values()):
        if instance.job is None and instance.record.task is None:
            farm.drop(instance, 0.0)
        else:
            farm.settle(instance, 0.0)


def _as_it_was_named(farm: Farm) -> None:
    """What runs as an older daemon called what is desired is that: it is not started anew for another name of the same."""
    for instance in farm.instances.values():
        record, job = instance.record, instance.job
        runs = record.task.digest if record.task is not None else record.done
        if job is None or runs in ("", instance.digest) or runs not in older_run_digests(job, instance.host):
            continue
        if record.task is not None:
            record.task.digest = instance.digest
            record.task.carried = farm.desired.rules_of(job).partition(".")[2]
            farm.cancel_end(instance)
        else:
            record.done = instance.digest
        farm.dirty[instance.key] = None


def parts_restored(farm: Farm, saved: Optional[bytes]) -> None:
    """Of which part each revision was; what can't be read is for people alone, and told."""
    try:
        farm.parts = _decode_parts(saved) if saved is not None else {}
    except msgspec.MsgspecError as error:
        farm.troubles.append(f"of which part each revision was can't be read ({brief(str(error))}): forgotten")


def _another_s(name: str, host: str, record: Record) -> str:
    """What in a record belongs to another instance; empty: nothing does."""
    if record.task is not None and not record.task.id.startswith(f"{name}@{host}."):
        return f"its task is {shown(record.task.id)}, which is another's"
    if record.borrow is not None and record.borrow.job.name != name:
        return f"it runs {shown(record.borrow.job.name)} by hand, which is another job"
    return ""


class Jobs:
    """The jobs of older revisions, each revision read once."""

    def __init__(self, read: Callable[[int], Desired]) -> None:
        self._read = read
        self._known: dict[int, Desired] = {}

    def of(self, revision: int, name: str, host: str) -> Optional[JobSpec]:
        """The job as it was there then; None: there was none of that name."""
        if revision not in self._known:
            self._known[revision] = self._read(revision)
        return self._known[revision].of(name, host)
