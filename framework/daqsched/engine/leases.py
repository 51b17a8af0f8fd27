"""Hosts that somebody put aside: their jobs end in order and stay away until the lease ends or the host is given back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Optional

import msgspec

from daqsched import commands, events
from daqsched.engine.farm import ASIDE, Farm
from daqsched.engine.instance import Instance
from daqsched.spec import FORWARDER
from daqsched.task import Aside

_decode = msgspec.msgpack.Decoder(dict[str, Aside]).decode


def restored(farm: Farm, document: Optional[bytes]) -> None:
    """Begin where the store says that the last daemon was; before the instances."""
    farm.aside = _decode(document) if document is not None else {}


def put_aside(farm: Farm, event: events.PutAside, now: float) -> None:
    """From now on, or for longer or shorter than said before."""
    for host in event.hosts:
        farm.aside[host] = Aside(event.user, now, event.until, event.message)
        farm.note(f"{host} is put aside by {event.user}{': ' + event.message if event.message else ''}")
        for instance in of_host(farm, host):
            if instance.name != FORWARDER and not instance.aside:
                instance.aside = True
                farm.end(instance, now)
                farm.settle(instance, now)
    farm.out.append(commands.SaveDocument(ASIDE))


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
