"""What a plan says of jobs that get another name or other hosts: which waits for which, and what may run twice meanwhile."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

from daqsched.hosts import fold
from daqsched.merge import Behind, Desired, Hosts
from daqsched.spec import FORWARDER, JobSpec, Spec

#: A plan tells so many.
MOST = 20


class _Step(NamedTuple):
    """Where a job comes and where it goes."""

    comes: Sequence[str]
    goes: Sequence[str]


def moves(old: Spec, new: Spec, hosts: Hosts, behind: Behind, lost: Mapping[str, Collection[str]]) -> tuple[str, ...]:
    """A sentence for each; ``lost``: job -> hosts that do not answer while a task of it is there."""
    now, then = Desired(old), Desired(new)
    steps: dict[str, _Step] = {}
    for name in dict.fromkeys([*now.jobs, *then.jobs]):
        if name != FORWARDER and not now.agrees(name, then):
            steps[name] = _step(now.jobs.get(name), then.jobs.get(name), hosts, behind.get(name, {}))
    return tuple(_sentences(now, then, steps, lost))[:MOST]


def _step(was: JobSpec | None, is_to_be: JobSpec | None, hosts: Hosts, behind: Mapping[str, JobSpec | None]) -> _Step:
    had = {host for host in hosts(was) if behind.get(host, was) is not None} if was is not None else set()
    had.update(host for host, job in behind.items() if job is not None)
    will = dict.fromkeys(hosts(is_to_be)) if is_to_be is not None else {}
    return _Step([host for host in will if host not in had], [host for host in had if host not in will])


def _sentences(
    now: Desired, then: Desired, steps: Mapping[str, _Step], lost: Mapping[str, Collection[str]]
) -> Iterator[str]:
    gone = [name for name, step in steps.items() if step.goes and name not in then.jobs]
    for name, step in steps.items():
        job = then.jobs.get(name)
        if job is None or not step.comes:
            continue
        for other in [one for one in job.replaces if one in steps and steps[one].goes]:
            yield from _waits(name, step, other, steps[other].goes, lost.get(other, ()))
        if step.goes and name not in job.replaces:
            yield _beside(name, step, name, step.goes, lost.get(name, ()))
        if name not in now.jobs:
            for other in (one for one in gone if one not in job.replaces and now.jobs[one].argv == job.argv):
                beside = _beside(name, step, other, steps[other].goes, lost.get(other, ()))
                yield f"{name} looks like {other} by another name; {beside}"


def _waits(name: str, step: _Step, other: str, goes: Sequence[str], lost: Collection[str]) -> Iterator[str]:
    yield f"{name} on {fold(step.comes)} starts when {other} on {fold(goes)} has ended"
    silent = sorted(set(goes).intersection(lost))
    if silent:
        yield f"{other} on {fold(silent)} can't be reached: {name} waits for it, or `daqsched start {name} --anyway`"


def _beside(name: str, step: _Step, other: str, goes: Sequence[str], lost: Collection[str]) -> str:
    silent = sorted(set(goes).intersection(lost))
    until = f" until {fold(silent)} can be reached" if silent else " for a while"
    return (
        f'{name} on {fold(step.comes)} may run beside {other} on {fold(goes)}{until}: replaces="{other}" in it lets it start '
        "when that has ended"
    )
