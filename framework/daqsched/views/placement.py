"""A dry run of an apply: which of what it starts would find its machine, and room on it, as things are now."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from daqsched.engine.events import Offer
from daqsched.engine.match import EXECUTOR_CPUS, EXECUTOR_MEM, FreeResources
from daqsched.spec import JobSpec
from daqsched.views.plan import PlacementRefusal

Ranges = tuple[tuple[int, int], ...]


def free_of(total: Offer, used: Offer) -> Offer:
    """What is left of a machine."""
    ports = total.ports
    for low, high in used.ports:
        ports = tuple(
            part
            for a, b in ports
            for part in (((a, low - 1), (high + 1, b)) if a <= high and low <= b else ((a, b),))
            if part[0] <= part[1]
        )
    return Offer(
        total.id,
        total.agent_id,
        total.names,
        total.cpus - used.cpus,
        total.mem - used.mem,
        total.disk - used.disk,
        ports,
        total.attributes,
    )


def given_back(free: Offer, job: JobSpec, ports: Mapping[str, int]) -> Offer:
    """What the machine has when a task of this job, with these ports, has ended."""
    return Offer(
        free.id,
        free.agent_id,
        free.names,
        free.cpus + job.cpus + EXECUTOR_CPUS,
        free.mem + job.mem + EXECUTOR_MEM,
        free.disk + job.disk,
        (*free.ports, *((number, number) for number in ports.values())),
        free.attributes,
    )


def refusals(
    machines: Mapping[str, Offer], wanted: Iterable[tuple[str, JobSpec]], fixed_ports: Iterable[int]
) -> Iterator[PlacementRefusal]:
    """Of each (host, job) in turn that it would not start; ``machines`` by each of their names, with what they have free."""
    rooms: dict[str, FreeResources] = {}
    fixed = frozenset(fixed_ports)
    for host, job in wanted:
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
