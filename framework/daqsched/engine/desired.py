"""What is desired where: an instance comes, changes, goes; what people stop and start by hand."""

from __future__ import annotations

import sys
from collections.abc import Collection
from typing import Callable, Iterable, Optional

import msgspec

from daqsched.engine import commands, events, operator_commands
from daqsched.engine.commands import Revision
from daqsched.engine.confirming import confirm_ends
from daqsched.engine.events import Attributes
from daqsched.engine.farm import HOLDS, Farm
from daqsched.engine.instance import Instance, Key
from daqsched.engine.match import by_attributes, lacking
from daqsched.engine.shown import held_up
from daqsched.engine.tense import Tense
from daqsched.engine.verdict import Accepted
from daqsched.errors import Refused
from daqsched.hosts import expand
from daqsched.limits import brief, shown
from daqsched.merge import Desired
from daqsched.spec import FORWARDER, ForwarderSpec, JobSpec, Spec, older_run_digest, run_digest
from daqsched.task import Hold, Record
from daqsched_executor.contract import MANUAL

_decode_parts = msgspec.msgpack.Decoder(dict[int, str]).decode
_decode_started = msgspec.msgpack.Decoder(list[Key]).decode
_decode_holds = msgspec.msgpack.Decoder(list[tuple[Key, Hold]]).decode


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
            of_job, variants = kept.pop(job.name, {}), farm.variants(job.name)
            for host in expand(job.hosts):
                if (job.name, host) in farm.instances or (job.name, host) in farm.left_out:
                    continue
                there = variants.get(host, job)
                farm.add(Instance(job.name, host, there, farm.run_of(there)(host), of_job.pop(host, Record())))
            for host, record in of_job.items():
                if record.leaving and isinstance(job, ForwarderSpec):
                    farm.add(Instance(job.name, host, job.last(), run_digest(job.last(), host), record))
                    continue
                there = variants.get(host, job)
                found = record.attributes is not None and belongs(farm, there, host, record.attributes)
                run = farm.run_of(there)(host) if found else ""
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
        if job is None or not runs or runs == instance.digest or runs != older_run_digest(job, instance.host):
            continue
        if record.task is not None:
            record.task.digest = instance.digest
            farm.cancel_end(instance)
        else:
            record.done = instance.digest
        farm.dirty[instance.key] = None


def holds_restored(farm: Farm, saved: Optional[bytes], started: Optional[bytes]) -> None:
    """What was stopped, or had its first start, by hand and is not in the farm; what can't be read is forgotten, and told."""
    try:
        farm.started = dict.fromkeys(_decode_started(started)) if started is not None else {}
    except msgspec.MsgspecError as error:
        farm.troubles.append(
            f"which jobs had their first start can't be read ({brief(str(error))}): those that come back wait for one"
        )
    try:
        found = _decode_holds(saved) if saved is not None else []
        farm.holds = {key: hold for key, hold in found if hold.user}
    except msgspec.MsgspecError as error:
        farm.troubles.append(
            f"what was stopped by hand outside of the farm can't be read ({brief(str(error))}): forgotten"
        )


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
            farm.note(f"{instance}: {held_by(before)} before it had this place in the farm; stays stopped")
    else:
        ruled = instance.job is None or farm.rules_of(instance.job) == farm.rules_of(job)
        if instance.digest != run or not ruled:
            instance.record.failures, instance.record.due = 0, 0.0
        if instance.record.borrow is not None:
            return  # what runs by hand is left alone, and gives way when it has ended
        record = instance.record
        if instance.job is None:  # it comes back before it has ended
            record.hold = record.hold or _first(farm, job, host, now)
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
        if not ruled:
            instance.rules_due = 0.0
            operator_commands.tell_rules(farm, instance, now)
        if instance.record.done != run or not ruled or may_fail_again(instance.record.failures, job):
            instance.record.done = ""
        _set_attributes(farm, instance, attributes)
        farm.dirty[instance.key] = None
    farm.settle(instance, now)
    if attributes is not None and job.name != FORWARDER:
        _accompany(farm, host, attributes, now)


def _first(farm: Farm, job: JobSpec, host: str, now: float) -> Optional[Hold]:
    """What comes into the farm and waits for a first start by hand, unless it comes back and had it."""
    return Hold("", now) if job.start == MANUAL and (job.name, host) not in farm.started else None


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
    job, record = farm.forwarder, instance.record
    never_ran = record.task is None and not record.last_end
    if instance.name != FORWARDER or not isinstance(job, ForwarderSpec) or never_ran or record.hold:
        unassign(farm, instance, now)
        return
    last = job.last()
    assign(farm, last, run_digest(last, instance.host), instance.host, None, now)


def held(farm: Farm, event: events.Held, now: float) -> Accepted:
    """Stop these, and keep them stopped; what somebody else has stopped stays theirs."""
    nowhere = _nowhere(farm, event.keys)
    touched, gone = _there(farm, event.keys, nowhere)
    touched, others = _apart(touched, event.user)
    confirm_ends(farm, event.agreed, () if event.spares else touched)
    for key in nowhere:
        farm.holds.setdefault(key, Hold(event.user, now, event.message, event.spares))
        farm.note(f"{key[0]}, which has no machine yet: stopped by {event.user}")
    if nowhere:
        farm.out.append(commands.SaveDocument(HOLDS))
    for instance in touched:
        key = instance.key
        instance.record.hold, instance.record.unread = Hold(event.user, now, event.message, event.spares), ""
        what = "held" if event.spares else "stopped"
        farm.note(f"{instance}: {what} by {event.user}{': ' + event.message if event.message else ''}")
        farm.dirty[key] = None
        if event.spares:
            instance.hold_due = 0.0
            operator_commands.tell_hold(farm, instance, now)
        else:
            farm.end(instance, now)
        farm.settle(instance, now)
        if instance.record.leaving:
            unassign(farm, instance, now)
    keys = (*(instance.key for instance in touched), *nowhere)
    return Accepted(keys=keys, rejected=(*gone, *others), dependents=_dependents(farm, {name for name, _ in keys}))


def _dependents(farm: Farm, stopped: set[str]) -> tuple[str, ...]:
    """The jobs that come after these, and those after them, which are not stopped."""
    meant = set(stopped)
    found: set[str] = set()
    while True:
        more = {job.name for job in farm.spec.jobs if job.name not in meant and meant.intersection(job.after)}
        if not more:
            return tuple(sorted(found))
        meant |= more
        found |= {name for name in more if farm.order.up.get(name)}


def released(farm: Farm, event: events.Released, now: float) -> Accepted:
    """Let these run again, at once; what somebody else has stopped only where that is said."""
    nowhere = _nowhere(farm, event.keys)
    touched, gone = _there(farm, event.keys, nowhere)
    others: tuple[tuple[str, str, str], ...] = ()
    if not event.everyones:
        touched, others = _apart(touched, event.user)
        if not touched and others:
            job, host, why = others[0]
            more = f", and {len(others) - 1} more" if len(others) > 1 else ""
            raise Refused(f"{job}@{host} {why}{more}: `daqsched start --all` lets run what others have stopped, too")
    everywhere = {*nowhere, *((instance.name, "") for instance in touched)}.intersection(farm.holds)
    for one in everywhere:
        del farm.holds[one]
    if everywhere:
        farm.out.append(commands.SaveDocument(HOLDS))
    for instance in touched:
        key = instance.key
        record = instance.record
        was_held, record.hold, record.done, record.failures, record.due = record.hold, None, "", 0, 0.0
        record.unread = ""
        record.regardless = event.anyway and farm.order.predecessor(instance) is not None
        if was_held is not None:
            farm.cancel_end(instance)
            instance.hold_due = 0.0
            operator_commands.tell_hold(farm, instance, now)
        farm.note(f"{instance}: started by {event.user}")
        farm.dirty[key] = None
        farm.settle(instance, now)
    keys = (*(instance.key for instance in touched), *nowhere)
    told = [(*instance.key, held_up(farm, instance, Tense(now))) for instance in touched]
    waiting = tuple(one for one in told if one[2])
    return Accepted(keys=keys, rejected=(*gone, *others), others=len(others), waiting=waiting)


def held_by(hold: Hold) -> str:
    """Whose it is: ``was stopped by alice: cabling``."""
    what = "is held" if hold.spares else "was stopped"
    return f"{what} by {hold.user}{': ' + hold.message if hold.message else ''}"


def _apart(instances: Iterable[Instance], user: str) -> tuple[list[Instance], tuple[tuple[str, str, str], ...]]:
    """Those that nobody else has stopped, and the others with whose they are."""
    free: list[Instance] = []
    others: list[tuple[str, str, str]] = []
    for instance in instances:
        hold = instance.record.hold
        if hold is None or hold.user in ("", user):
            free.append(instance)
        else:
            others.append((*instance.key, held_by(hold)))
    return free, tuple(others)


def _nowhere(farm: Farm, keys: Iterable[Key]) -> tuple[Key, ...]:
    """Those that mean a job which has found no machine yet: what is said of it is for those that it finds."""
    unplaced = {(job.name, "") for job in farm.unplaced()}
    return tuple(key for key in dict.fromkeys(keys) if key in unplaced)


def _there(
    farm: Farm, keys: Iterable[Key], nowhere: Collection[Key]
) -> tuple[list[Instance], tuple[tuple[str, str, str], ...]]:
    """Those of them that are desired, and the others; raises `Refused` where none is, as after an apply in between."""
    found, gone = [], []
    for key in keys:
        if key in nowhere:
            continue
        instance = farm.instances.get(key)
        if instance is None or instance.job is None:
            gone.append((*key, "is no longer desired"))
        else:
            found.append(instance)
    if not found and not nowhere:
        raise Refused("none of these is desired any more: `daqsched status` lists what is")
    return found, tuple(gone)


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
    job = farm.forwarder
    if job is not None and (there is None or there.job is None or there.record.leaving):
        assign(farm, job, run_digest(job, host), host, attributes, now)
