"""What a plan says of jobs that get another name or other hosts: which waits for which, and what may run twice meanwhile."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple, Optional

from daqsched.hosts import fold
from daqsched.merge import Behind, Desired, Hosts
from daqsched.spec import FORWARDER, JobSpec, Spec
from daqsched_executor.contract import MANUAL

#: A plan tells so many.
MOST = 20


class _Step(NamedTuple):
    """Where a job comes and where it goes."""

    comes: Sequence[str]
    goes: Sequence[str]


#: job -> hosts.
Where = Mapping[str, Collection[str]]


class Now(NamedTuple):
    """What is so beside what is desired, each job with its hosts."""

    #: They do not answer while a task of it is there.
    lost: Where = {}
    #: It is no longer desired there, was told to end, and has not ended.
    leaving: Where = {}
    #: It takes the place of others, and has no task there.
    unstarted: Where = {}


def moves(old: Spec, new: Spec, hosts: Hosts, behind: Behind, seen: Now) -> tuple[str, ...]:
    """A sentence for each."""
    now, then = Desired(old), Desired(new)
    steps: dict[str, _Step] = {}
    for name in dict.fromkeys([*now.jobs, *then.jobs]):
        if name != FORWARDER and not now.agrees(name, then):
            step = _step(now.jobs.get(name), then.jobs.get(name), hosts, behind.get(name, {}))
            unstarted = seen.unstarted.get(name, ())
            steps[name] = step._replace(goes=[host for host in step.goes if host not in unstarted])
    return tuple(_sentences(now, then, steps, seen))[:MOST]


def _step(was: JobSpec | None, is_to_be: JobSpec | None, hosts: Hosts, behind: Mapping[str, JobSpec | None]) -> _Step:
    had = {host for host in hosts(was) if behind.get(host, was) is not None} if was is not None else set()
    had.update(host for host, job in behind.items() if job is not None)
    will = dict.fromkeys(hosts(is_to_be)) if is_to_be is not None else {}
    return _Step([host for host in will if host not in had], [host for host in had if host not in will])


def _sentences(now: Desired, then: Desired, steps: Mapping[str, _Step], seen: Now) -> Iterator[str]:
    gone = [name for name, step in steps.items() if step.goes and name not in then.jobs]
    for name, step in steps.items():
        job = then.jobs.get(name)
        if job is not None and step.comes and job.start == MANUAL:
            yield f"{name} on {fold(step.comes)} waits for its first start by hand: `daqsched start {name}`"
    for name, step in steps.items():
        job, lost = then.jobs.get(name), seen.lost
        if job is None or not step.comes:
            continue
        back = sorted(set(step.comes).intersection(seen.leaving.get(name, ())))
        if back:
            yield f"{name} on {fold(back)} was told to end and has not ended: it starts anew when it has"
        before = [one for one, other in steps.items() if other.goes and _comes_after(job, one, now.jobs.get(one))]
        for other in before:
            yield from _waits(name, step, other, steps[other].goes, lost.get(other, ()))
        if step.goes and name not in before:
            yield _beside(name, step, name, step.goes, lost.get(name, ()))
        if name not in now.jobs:
            for other in (one for one in gone if one not in before and now.jobs[one].argv == job.argv):
                beside = _beside(name, step, other, steps[other].goes, lost.get(other, ()))
                yield f"{name} looks like {other} by another name; {beside}"


def _comes_after(job: JobSpec, name: str, was: Optional[JobSpec]) -> bool:
    """Whether the job waits for the end of what goes by this name: it replaces that, or is what that had replaced; as
    `StartOrder.predecessor`."""
    replaced = was.replaces if was is not None else ()
    return name in job.replaces or not {job.name, *job.replaces}.isdisjoint(replaced)


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
