"""Hosts that somebody set aside: their jobs end in order and stay away until the lease ends or the host is given back."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator
from math import ceil
from typing import Optional, Union

import msgspec
from msgspec import structs

from daqsched.digests import run_digest
from daqsched.engine import commands, events
from daqsched.engine.commands import ASIDE
from daqsched.engine.confirming import confirm_ends
from daqsched.engine.desired import assign, unassign
from daqsched.engine.farm import Farm
from daqsched.engine.instance import Instance, Key
from daqsched.engine.reasons import aside_words
from daqsched.engine.time_format import TimeFormat
from daqsched.engine.verdict import Accepted
from daqsched.errors import DaqschedError, JobError, Refused, UserError
from daqsched.fill import command_on
from daqsched.hosts import fold
from daqsched.jobfile.rules import check_job
from daqsched.limits import brief, refusal, some
from daqsched.spec import FORWARDER
from daqsched.task import Aside, Borrow
from daqsched_executor.contract import Restart

_decode = msgspec.msgpack.Decoder(dict[str, Aside]).decode


def restored(farm: Farm, document: Optional[bytes]) -> None:
    """Begin where the store says that the last daemon was; before the instances. Raises `DaqschedError` where it can't be
    read: somebody works on those hosts."""
    if document is None:
        return
    try:
        farm.aside = _decode(document)
        beyond = refusal(farm.aside, texts=False)
    except (msgspec.MsgspecError, ValueError) as error:
        raise DaqschedError(f"which hosts are set aside can't be read ({brief(str(error))})") from error
    if beyond is not None:
        raise DaqschedError(f"which hosts are set aside can't be read ({beyond[0]} {beyond[1]})")


def put_aside(farm: Farm, event: events.PutAside, now: float) -> Accepted:
    """From now on, or for longer or shorter than said before."""
    if event.until <= now:
        raise UserError("the time for which a host is set aside must end in the future")
    used = {host for hosts in farm.order.desired.values() for host in hosts} if len(event.hosts) > 1 else ()
    unknown = [host for host in event.hosts if host not in used and host not in farm.seen and not _is_used(farm, host)]
    if unknown:
        raise UserError(f"{some(unknown)}: no job names it, and no such machine has made an offer")
    _ensure_own(farm, event, "aside", f" --for {ceil((event.until - now) / 60)}m", "sets aside", now)
    touched = [
        instance
        for host in dict.fromkeys(event.hosts)
        for instance in of_host(farm, host)
        if instance.name != FORWARDER and not instance.aside and instance.record.borrow is None
    ]
    confirm_ends(farm, event.stops, touched)
    for host in event.hosts:
        was = farm.aside.get(host)
        before = f", and was by {was.user}" if was is not None and not was.is_of(event.user, farm.asker) else ""
        farm.aside[host] = Aside(event.user, now, event.until, event.message, farm.asker)
        farm.note(f"{host} is set aside by {event.user}{before}{': ' + event.message if event.message else ''}")
    for instance in touched:
        instance.aside = True
        farm.end(instance, now)
        farm.settle(instance, now)
    farm.out.append(commands.SaveDocument(ASIDE))
    return Accepted(keys=tuple(instance.key for instance in touched))


def _ensure_own(
    farm: Farm, event: Union[events.PutAside, events.Returned], verb: str, more: str, what: str, now: float
) -> None:
    """Raise `Refused` where somebody else has set one of these hosts aside, and ``event`` is not said to mean that, too."""
    there = [(host, farm.aside[host]) for host in event.hosts if host in farm.aside]
    others = [host for host, one in there if one.user and not one.is_of(event.user, farm.asker)]
    if event.everyones or not others:
        return
    also = f", and {len(others) - 1} more" if len(others) > 1 else ""
    words = shlex.join(["daqsched", verb, "--all", *fold(others).split(", ")])
    raise Refused(
        f"{aside_words(others[0], farm.aside[others[0]], TimeFormat(now))}{also}, and nothing was changed: `{words}{more}` {what} "
        "what is set aside by others, too"
    )


def _is_used(farm: Farm, host: str) -> bool:
    return any(host in hosts for hosts in farm.order.desired.values())


def _no_job(event: Union[events.Borrowed, events.BorrowEnded]) -> Refused:
    return Refused(f"{event.job} is not a job of {event.host}: `daqsched status @{event.host}` lists them")


def borrowed(farm: Farm, event: events.Borrowed, now: float) -> Accepted:
    """One of its jobs runs once, with nobody to come after or before it."""
    instance = farm.instances.get((event.job, event.host))
    if instance is None or instance.job is None:
        raise _no_job(event)
    if instance.record.borrow is not None:
        end = shlex.join(["daqsched", "borrow", "--end", event.host, event.job])
        raise Refused(f"{instance} is run by hand already, by {instance.record.borrow.user}: `{end}` ends that")
    if not instance.aside:
        raise Refused(f"{event.host} is not set aside: `daqsched aside {event.host} --for 2h` does")
    if instance.record.task is not None:
        raise Refused(f"{instance} has not ended yet: try again in a moment")
    try:
        check_job(structs.replace(instance.job, argv=event.argv or instance.job.argv))
    except JobError as error:
        raise UserError(f"{error.field}: {error}") from error
    job = structs.replace(
        instance.job,
        argv=event.argv or instance.job.argv,
        restart=Restart("never"),
        after=(),
        checks=(),
        critical=False,
    )
    instance.record.borrow = Borrow(event.user, now, job, event.known_as)
    instance.record.done = ""
    instance.record.forget_failures()
    instance.job, instance.digest, instance.aside, instance.reason = job, run_digest(job), False, ""
    farm.dirty[instance.key] = None
    farm.settle(instance, now)
    argv = command_on(job, instance.host)
    farm.note(f"{instance} is run by hand by {event.user}: {' '.join(argv)}")
    return Accepted(keys=(instance.key,), argv=argv)


def borrow_ended(farm: Farm, event: events.BorrowEnded, now: float) -> Accepted:
    """Its task ends; then it is as before, see `given_back`. Nothing to do where it has ended already: it concerns none."""
    instance = farm.instances.get((event.job, event.host))
    if instance is None:
        raise _no_job(event)
    if instance.record.borrow is None:
        return Accepted()
    confirm_ends(farm, event.stops, (instance,))
    _end_borrow(farm, instance, now)
    return Accepted(keys=(instance.key,))


def _end_borrow(farm: Farm, instance: Instance, now: float) -> None:
    if instance.record.task is None:
        given_back(farm, instance, now)
    else:
        farm.end(instance, now)
        farm.settle(instance, now)


def given_back(farm: Farm, instance: Instance, now: float) -> None:
    """What ran by hand has ended: the instance is the job file's again."""
    record = instance.record
    record.borrow, record.done = None, ""
    record.forget_failures()
    farm.note(f"{instance}: what ran by hand has ended: {record.last_end or 'it never started'}")
    farm.dirty[instance.key] = None
    job = farm.desired.of(instance.name, instance.host)
    if job is None or instance.host not in farm.hosts_of(job):
        unassign(farm, instance, now)
    else:
        assign(farm, job, run_digest(job, instance.host), instance.host, record.attributes, now)


def returned(farm: Farm, event: events.Returned, now: float) -> Accepted:
    """Their jobs come back."""
    strange = [host for host in event.hosts if host not in farm.aside]
    if strange:
        raise UserError(f"{some(strange)}: not set aside, nothing was given back; `daqsched aside` lists what is")
    _ensure_own(farm, event, "return", "", "gives back", now)
    there = [instance for host in dict.fromkeys(event.hosts) for instance in of_host(farm, host)]
    by_hand = [(str(one), one.record.borrow) for one in there if one.record.borrow is not None]
    others = [
        f"{one}, which is run by hand by {borrow.user}"
        for one, borrow in by_hand
        if not borrow.is_of(event.user, farm.asker)
    ]
    confirm_ends(
        farm,
        event.stops,
        (instance for instance in there if instance.record.borrow is not None),
        besides=f"this ends {some(others, '; ', 300)}" if others else "",
    )
    return Accepted(keys=_back(dict.fromkeys(event.hosts), f"by {event.user}", farm, now))


def ticked(farm: Farm, now: float) -> None:
    """Leases end by themselves."""
    over = [host for host, lease in farm.aside.items() if lease.until <= now]
    if over:
        before, farm.cause = farm.cause, "the end of a lease"
        _back(over, "its time is up", farm, now)
        farm.cause = before


def _back(hosts: Iterable[str], why: str, farm: Farm, now: float) -> tuple[Key, ...]:
    touched = []
    for host in hosts:
        del farm.aside[host]
        farm.note(f"{host} is back: {why}")
        for instance in of_host(farm, host):
            if instance.record.borrow is not None:
                _end_borrow(farm, instance, now)
                continue
            if instance.aside:
                touched.append(instance.key)
            instance.aside = False
            farm.cancel_end(instance)
            farm.settle(instance, now)
    farm.out.append(commands.SaveDocument(ASIDE))
    return tuple(touched)


def due(farm: Farm) -> float:
    """When the first lease ends."""
    return min((lease.until for lease in farm.aside.values()), default=float("inf"))


def of_host(farm: Farm, host: str) -> Iterator[Instance]:
    """What is desired on the host; the cost is that of the number of jobs."""
    for hosts in list(farm.order.desired.values()):
        if host in hosts:
            yield hosts[host]
