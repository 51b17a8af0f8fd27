"""What a machine has free, where no offer says it: of what it has in all, or when a task on it has ended."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from daqsched.engine.match import EXECUTOR_CPUS, EXECUTOR_MEM
from daqsched.engine.resources import Offer
from daqsched.ports import without
from daqsched.spec import JobSpec


def free_of(total: Offer, used: Offer) -> Offer:
    """What is left of a machine."""
    ports = total.ports
    for low, high in used.ports:
        ports = without(ports, low, high)
    return replace(
        total, cpus=total.cpus - used.cpus, mem=total.mem - used.mem, disk=total.disk - used.disk, ports=ports
    )


def given_back(free: Offer, job: JobSpec, ports: Mapping[str, int]) -> Offer:
    """What the machine has when a task of this job, with these ports, has ended."""
    return replace(
        free,
        cpus=free.cpus + job.cpus + EXECUTOR_CPUS,
        mem=free.mem + job.mem + EXECUTOR_MEM,
        disk=free.disk + job.disk,
        ports=(*free.ports, *((number, number) for number in ports.values())),
    )
