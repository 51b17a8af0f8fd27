"""Hosts that somebody put aside: their jobs end in order and stay away until the lease ends or the host is given back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Optional

import msgspec
from msgspec import structs

from daqsched.engine import commands, events
from daqsched.engine.desired import unwant, want
from daqsched.engine.farm import ASIDE, Farm
from daqsched.engine.instance import Instance
from daqsched.errors import DaqschedError
from daqsched.limits import brief, refusal
from daqsched.spec import FORWARDER, run_digest
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
        raise DaqschedError(f"which hosts are put aside can't be read ({brief(str(error))})") from error
    if beyond is not None:
        raise DaqschedError(f"which hosts are put aside can't be read ({beyond[0]} {beyond[1]})")


def put_aside(farm: Farm, event: events.PutAside, now: float) -> None:
    """From now on, or for longer or shorter than said before."""
    for host in event.hosts:
        farm.aside[host] = Aside(event.user, now, event.until, event.message)
        farm.note(f"{host} is put aside by {event.user}{': ' + event.message if event.message else ''}")
        for instance in of_host(farm, host):
            if instance.name != FORWARDER and not instance.aside and instance.record.borrow is None:
                instance.aside = True
                farm.end(instance, now)
                farm.settle(instance, now)
    farm.out.append(commands.SaveDocument(ASIDE))


def borrowed(farm: Farm, event: events.Borrowed, now: float) -> None:
    """One of its jobs runs once, with nobody to come after or before it."""
    instance = farm.instances.get((event.job, event.host))
    if instance is None or instance.job is None or not instance.aside or instance.record.task is not None:
        return  # who asks is told before
    job = structs.replace(
        instance.job,
        argv=event.argv or instance.job.argv,
        restart=Restart("never"),
        after=(),
        checks=(),
        critical=False,
    )
    instance.record.borrow = Borrow(event.user, now, job)
    instance.record.done, instance.record.failures, instance.record.due = "", 0, 0.0
    instance.job, instance.digest, instance.aside, instance.reason = job, run_digest(job), False, ""
    farm.dirty[instance.key] = None
    farm.settle(instance, now)
    farm.note(f"{instance} is run by hand by {event.user}: {' '.join(job.argv)}")


def borrow_ended(farm: Farm, event: events.BorrowEnded, now: float) -> None:
    """Its task ends; then it is as before, see `given_back`."""
    instance = farm.instances.get((event.job, event.host))
    if instance is None or instance.record.borrow is None:
        return
    if instance.record.task is None:
        given_back(farm, instance, now)
    else:
        farm.end(instance, now)
        farm.settle(instance, now)


def given_back(farm: Farm, instance: Instance, now: float) -> None:
    """What ran by hand has ended: the instance is the job file's again."""
    record = instance.record
    record.borrow, record.done, record.failures, record.due = None, "", 0, 0.0
    farm.note(f"{instance}: what ran by hand has ended: {record.last_end or 'it never began'}")
    farm.dirty[instance.key] = None
    job = farm.job(instance.name)
    if job is None or instance.host not in farm.hosts_of(job):
        unwant(farm, instance, now)
    else:
        want(farm, job, run_digest(job, instance.host), instance.host, record.attributes, now)


def returned(farm: Farm, event: events.Returned, now: float) -> None:
    """Their jobs come back."""
    _back([host for host in event.hosts if host in farm.aside], f"by {event.user}", farm, now)


def ticked(farm: Farm, now: float) -> None:
    """Leases end by themselves."""
    over = [host for host, lease in farm.aside.items() if lease.until <= now]
    if over:
        _back(over, "its time is over", farm, now)


def _back(hosts: Iterable[str], why: str, farm: Farm, now: float) -> None:
    for host in hosts:
        del farm.aside[host]
        farm.note(f"{host} is back: {why}")
        for instance in of_host(farm, host):
            if instance.record.borrow is not None:
                borrow_ended(farm, events.BorrowEnded(*instance.key, why), now)
                continue
            instance.aside = False
            farm.spare(instance)
            farm.settle(instance, now)
    farm.out.append(commands.SaveDocument(ASIDE))


def due(farm: Farm) -> float:
    """When the first lease ends."""
    return min((lease.until for lease in farm.aside.values()), default=float("inf"))


def of_host(farm: Farm, host: str) -> Iterator[Instance]:
    """What is wanted on the host; the cost is that of the number of jobs."""
    for hosts in list(farm.order.wanted.values()):
        if host in hosts:
            yield hosts[host]
