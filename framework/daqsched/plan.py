"""What an apply would change: wanted against known, job by job, in words."""

from __future__ import annotations

from typing import Any, Callable, Iterable, Literal, Sequence

import msgspec

from daqsched.differences import differences
from daqsched.hosts import expand, fold
from daqsched.match import by_attributes
from daqsched.spec import ForwarderSpec, JobSpec, Spec, digest, run_digests


class Change(msgspec.Struct, frozen=True, omit_defaults=True):
    """What happens to one job."""

    job: str
    what: Literal["add", "remove", "restart", "silent"]
    #: The hosts that it happens on, folded: ``hlt[01-10]``; ``where rack=r1: hlt[01-02]`` for a job that runs wherever its
    #: attributes are: those that are known now.
    hosts: str
    count: int
    #: What differs, for people: ``version release-01 -> release-02``.
    why: tuple[str, ...] = ()


class Plan(msgspec.Struct, frozen=True, omit_defaults=True):
    """All that an apply would do; ``digest`` names the spec that it would lead to, ``base`` the present one."""

    digest: str
    base: str
    changes: tuple[Change, ...] = ()

    @property
    def instances(self) -> dict[str, int]:
        """How many instances each kind of change touches."""
        counts: dict[str, int] = {}
        for change in self.changes:
            counts[change.what] = counts.get(change.what, 0) + change.count
        return counts


#: Where a job runs; what is known of that, for one that runs wherever its attributes are.
Hosts = Callable[[JobSpec], Sequence[str]]


def named(job: JobSpec) -> Sequence[str]:
    """The hosts that the job names."""
    return expand(job.hosts)


def plan(old: Spec, new: Spec, hosts: Hosts = named) -> Plan:
    """Compare two specs. A job that differs only in who owns it is ``silent``: nothing is restarted."""
    before = {job.name: job for job in old.jobs}
    after = {job.name: job for job in new.jobs}
    changes: list[Change] = []
    for name, job in after.items():
        known = before.get(name)
        if known is None and not _goes_along(job):
            changes.append(_change(job, "add", hosts(job)))
        elif known is not None and known != job:
            changes.extend(_changed(known, job, hosts))
    for name, known in before.items():
        if name not in after and not _goes_along(known):
            changes.append(_change(known, "remove", hosts(known)))
    return Plan(digest=digest(new), base=digest(old), changes=tuple(changes))


def _goes_along(job: JobSpec) -> bool:
    """Whether it is on no host of its own: the forwarder where all jobs go by attributes, or where there is none."""
    return isinstance(job, ForwarderSpec) and not job.hosts


def _changed(old: JobSpec, new: JobSpec, hosts: Hosts) -> Iterable[Change]:
    were, are = hosts(old), hosts(new)
    added = [host for host in are if host not in set(were)]
    removed = [host for host in were if host not in set(are)]
    kept = [host for host in are if host in set(were)]
    if added:
        yield _change(new, "add", added)
    if removed:
        yield _change(old, "remove", removed)
    why = differences(old, new)
    # of a job that has no machine yet the change is to be seen, too
    if why and (kept or not (added or removed)):
        was, will_be = run_digests(old), run_digests(new)
        renewed = [host for host in kept if was(host) != will_be(host)]
        if renewed or (not kept and was("") != will_be("")):
            yield _change(new, "restart", renewed, why)
        else:
            yield _change(new, "silent", kept, why)


def _change(job: JobSpec, what: Any, hosts: Sequence[str], why: tuple[str, ...] = ()) -> Change:
    folded = fold(hosts)
    if by_attributes(job):
        wants = ", ".join(f"{name}={value}" for name, value in job.attributes.items())
        folded = f"where {wants}: {folded or 'no machine is known yet'}"
    return Change(job=job.name, what=what, hosts=folded, count=len(hosts), why=why)
