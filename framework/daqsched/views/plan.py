"""What an apply would change: wanted against known, job by job, in words."""

from __future__ import annotations

from typing import Any, Callable, Iterable, Literal, Mapping, Optional, Sequence

import msgspec

from daqsched.engine.match import by_attributes
from daqsched.hosts import expand, fold
from daqsched.jobfile.differences import differences
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


class PlacementRefusal(msgspec.Struct, frozen=True):
    """An instance that would not start now, and why."""

    job: str
    host: str
    why: str


class Plan(msgspec.Struct, frozen=True, omit_defaults=True):
    """All that an apply would do; ``digest`` names the spec that it would lead to, ``base`` the present one."""

    digest: str
    base: str
    changes: tuple[Change, ...] = ()
    #: What would not start on the machines as they are now (`placement`), and why nobody could look, where that is so.
    refusals: tuple[PlacementRefusal, ...] = ()
    not_looked: str = ""
    #: Hosts in each batch, where what changes goes over the farm batch by batch.
    batches: tuple[int, ...] = ()
    #: By measured times: seconds for which a program that is replaced is away, at most, and for all of it; -1: not measured.
    away_s: float = -1.0
    takes_s: float = -1.0

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


#: job -> host -> what it still has there while the spec in force says otherwise; None: it was left out, and is not there.
Behind = Mapping[str, Mapping[str, Optional[JobSpec]]]

NOTHING: Behind = {}

Chosen = Callable[[str, str], bool]


def everything(job: str, host: str) -> bool:
    """No part of the farm is meant, but all of it."""
    return True


def plan(old: Spec, new: Spec, hosts: Hosts = named, behind: Behind = NOTHING, chosen: Chosen = everything) -> Plan:
    """Compare two specs. A job that differs only in who owns it is ``silent``: nothing is restarted."""
    before = {job.name: job for job in old.jobs}
    after = {job.name: job for job in new.jobs}
    changes: list[Change] = []
    for name in dict.fromkeys([*after, *before, *behind]):
        was, is_to_be, mixed = before.get(name), after.get(name), behind.get(name, {})
        if was == is_to_be and not mixed:
            continue
        had = dict.fromkeys([] if was is None or _goes_along(was) else hosts(was), was)
        had.update({host: job for host, job in mixed.items() if job is not None})
        for host in [host for host, job in mixed.items() if job is None]:
            had.pop(host, None)
        are = [] if is_to_be is None or _goes_along(is_to_be) else hosts(is_to_be)
        only = [job for job in (was, is_to_be) if job is not None]
        if len(only) != 1 or not _goes_along(only[0]):
            changes += _steps(name, was, is_to_be, had, are, chosen)
    return Plan(digest=digest(new), base=digest(old), changes=tuple(changes))


def _goes_along(job: JobSpec) -> bool:
    """Whether it is on no host of its own: the forwarder where all jobs go by attributes, or where there is none."""
    return isinstance(job, ForwarderSpec) and not job.hosts


def _steps(
    name: str,
    old: Optional[JobSpec],
    new: Optional[JobSpec],
    had: Mapping[str, Optional[JobSpec]],
    are: Sequence[str],
    chosen: Chosen,
) -> Iterable[Change]:
    """What becomes of one job where it was and where it is to be; hosts with the same step are one change."""
    nowhere = not had and not are  # it runs wherever its attributes are, and no such machine is known
    added = [host for host in are if host not in had and chosen(name, host)]
    there = set(are)
    removed = [host for host in had if host not in there and chosen(name, host)]
    if new is not None and (added or (nowhere and old is None)):
        yield _change(new, "add", added)
    last = old or next(iter(had.values()), None)
    if last is not None and (removed or (nowhere and new is None)):
        yield _change(last, "remove", removed)
    if new is not None:
        groups: dict[int, list[str]] = {}
        for host in are:
            if host in had and chosen(name, host):
                groups.setdefault(id(had[host]), []).append(host)
        for kept in groups.values():
            yield from _changed(had[kept[0]], new, kept)
        if nowhere:
            yield from _changed(old, new, [])


def _changed(old: Optional[JobSpec], new: JobSpec, kept: Sequence[str]) -> Iterable[Change]:
    why = differences(old, new) if old is not None else ()
    if old is None or not why:
        return
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
