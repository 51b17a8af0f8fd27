"""A dry run of an apply: which of what it starts would find its machine, and room on it, as things are now."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from daqsched.engine.match import FreeResources
from daqsched.engine.resources import Offer
from daqsched.spec import JobSpec
from daqsched.views.plan import PlacementRefusal


def refusals(
    machines: Mapping[str, Offer], desired: Iterable[tuple[str, JobSpec]], fixed_ports: Iterable[int]
) -> Iterator[PlacementRefusal]:
    """Of each (host, job) in turn that it would not start; ``machines`` by each of their names, with what they have free."""
    rooms: dict[str, FreeResources] = {}
    fixed = frozenset(fixed_ports)
    for host, job in desired:
        machine = machines.get(host)
        if machine is None:
            yield PlacementRefusal(job.name, host, f"{host} is not registered with the master: is its agent up?")
            continue
        room = rooms.setdefault(machine.agent_id, FreeResources(machine, fixed))
        why = room.refusal(job)
        if why is None:
            room.take(job)
        else:
            yield PlacementRefusal(job.name, host, why)
