"""Which programs an apply ends, seen before it is made: what is asked about is what is done."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Callable, NamedTuple, Optional

from daqsched.digests import run_digests
from daqsched.engine.confirming import at_once
from daqsched.engine.desired import belongs
from daqsched.engine.farm import Farm
from daqsched.engine.instance import Instance, Key
from daqsched.engine.match import by_attributes
from daqsched.engine.resources import Attributes
from daqsched.hosts import expand
from daqsched.merge import Desired, Merged
from daqsched.rollout import Strategy
from daqsched.spec import FORWARDER, JobSpec


class Endings(NamedTuple):
    """See `engine.confirming`, which is given both."""

    stopped: list[Instance]
    #: At once, or in the first batch.
    renewed: list[Instance]


def endings(farm: Farm, merged: Merged, strategy: Optional[Strategy]) -> Endings:
    """What an apply ends at once, by what it leads to and how it goes over the farm."""
    then = Desired(farm.complete(merged.spec))
    stopped = [one for name, there in farm.order.desired.items() if name not in then.jobs for one in there.values()]
    renewed: dict[Key, Instance] = {}
    not_everywhere = mixed(farm, merged)
    for name, job in then.jobs.items():
        variants = then.variants.get(name, {})
        known = farm.order.desired.get(name, {})
        same = farm.desired.job(name) == job and farm.desired.variants(name) == variants
        if name == FORWARDER or not known or (same and name not in not_everywhere):
            continue
        hosts, runs = hosts_of(farm, job), _Runs()
        for host, instance in known.items():
            if host not in hosts:
                stopped.append(instance)
            elif instance.record.borrow is None and disturbs(instance, runs.of(variants.get(host, job), host)):
                renewed[instance.key] = instance
    first = at_once(farm, renewed, strategy, {job.name: job.after for job in then.jobs.values()})
    return Endings(stopped, [renewed[key] for key in first])


class _Runs:
    """What jobs are run as, each worked out once."""

    def __init__(self) -> None:
        self._known: dict[int, Callable[[str], str]] = {}

    def of(self, job: JobSpec, host: str) -> str:
        if id(job) not in self._known:
            self._known[id(job)] = run_digests(job)
        return self._known[id(job)](host)


def mixed(farm: Farm, merged: Merged) -> list[str]:
    """The jobs that the apply is about and that are not everywhere as the spec in force says."""
    return [name for name in farm.mixed if name in merged.jobs or name == FORWARDER]


def hosts_of(farm: Farm, job: JobSpec) -> dict[str, Optional[Attributes]]:
    """Where the job is to be, with the attributes of those machines that it does not name."""
    hosts: dict[str, Optional[Attributes]] = dict.fromkeys(expand(job.hosts))
    hosts.update((host, attributes) for host, attributes in _found(farm, job) if host not in hosts)
    return hosts


def _found(farm: Farm, job: JobSpec) -> Iterator[tuple[str, Attributes]]:
    # other machines that have a job's attributes are found when they offer something
    known = farm.order.desired.get(job.name, {})
    for host in farm.found if job.name == FORWARDER else known if by_attributes(job) else ():
        there = known.get(host)
        attributes = farm.machines.get(host, there.record.attributes if there is not None else {})
        if attributes is not None and belongs(farm, job, host, attributes):
            yield host, attributes


def disturbs(instance: Instance, run: str) -> bool:
    """Whether a program that runs has to end for it to be this from now on."""
    task = instance.record.task
    return instance.name != FORWARDER and task is not None and task.digest != run and not instance.ending
