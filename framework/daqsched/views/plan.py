"""What an apply would change: desired against known, job by job, in words."""

from __future__ import annotations

import shlex
from typing import Any, Collection, Iterable, Literal, Mapping, Optional, Sequence

import msgspec

from daqsched.confirm import EndCount
from daqsched.control import InControl
from daqsched.digests import digest, run_digests
from daqsched.engine.match import by_attributes
from daqsched.engine.time_format import TimeFormat
from daqsched.hosts import expand, fold
from daqsched.jobfile.differences import differences
from daqsched.merge import Behind, Desired, Hosts
from daqsched.spec import FORWARDER, ForwarderSpec, JobSpec, Spec


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
    #: Where nothing that runs is restarted: so many instances that do not run start, as they wait for a first start by hand that
    #: is not asked for any more, or have failed and may try again by the new rules.
    starts: int = 0


class PlacementRefusal(msgspec.Struct, frozen=True):
    """An instance that would not start now, and why."""

    job: str
    host: str
    why: str


class NeededRight(msgspec.Struct, frozen=True, omit_defaults=True):
    """A right that an apply needs: a verb, for a job or (empty) for what is no job's."""

    verb: str
    job: str = ""
    #: What it is to run as, where the right is that to an account.
    account: str = ""
    #: Why whoever asked does not have it, on some of the job's hosts or on all; empty: they do.
    why_not: str = ""

    @property
    def words(self) -> str:
        """As a plan has it: ``apply``, ``account root``."""
        return f"{self.verb} {self.account}".rstrip()


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
    #: What becomes of a rollout that is under way, as a sentence; empty: none is.
    rollout: str = ""
    #: Of jobs that get another name or other hosts: which waits for the end of which, and what may run twice, a sentence each.
    moves: tuple[str, ...] = ()
    #: What becomes of the jobs of other parts of the farm, as a sentence; empty: there are none.
    parts: str = ""
    #: Of hosts that it changes something on, and that several agents call themselves: who has the name, a sentence each.
    namesakes: tuple[str, ...] = ()
    #: Of hosts that it starts something on, and that the master's maintenance schedule has, a sentence for those of one window.
    maintenance: tuple[str, ...] = ()
    #: What somebody has stopped of what it adds or restarts: the job, and a sentence.
    stays: tuple[tuple[str, str], ...] = ()
    #: How many running programs end at once, and how many may unasked; null: none ends, or a daemon that does not say.
    ends: Optional[EndCount] = None
    #: Which rights an apply of it needs; none where whoever asked may do all.
    needs: tuple[NeededRight, ...] = ()
    #: Why an apply of it by whoever asked would be refused, by the rights or as somebody else is in control; empty: for neither.
    refused: str = ""
    #: Who is in control of what it changes.
    control: tuple[InControl, ...] = ()

    @property
    def instances(self) -> dict[str, int]:
        """How many instances of the file's jobs each kind of change touches."""
        return _sums(change for change in self.changes if change.job != FORWARDER)

    @property
    def forwarders(self) -> dict[str, int]:
        """The same of what the framework adds to them."""
        return _sums(change for change in self.changes if change.job == FORWARDER)


def _sums(changes: Iterable[Change]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for change in changes:
        counts[change.what] = counts.get(change.what, 0) + change.count
    return counts


def named(job: JobSpec) -> Sequence[str]:
    """The hosts that the job names."""
    return expand(job.hosts)


NOTHING: Behind = {}


def plan(
    old: Spec,
    new: Spec,
    hosts: Hosts = named,
    behind: Behind = NOTHING,
    about: Optional[Collection[str]] = None,
    key: bytes = b"",
) -> Plan:
    """Compare two specs. A job that differs only in who owns it is ``silent``: nothing is restarted.

    ``about``: the jobs that the apply is about (`merge.Merged`); what others have that is behind stays so. None: all. ``key``: by
    which hidden values are told apart (`redaction`); none: for those of whoever is told, or that are hidden already.
    """
    now, then = Desired(old), Desired(new)
    changes: list[Change] = []
    for name in dict.fromkeys([*then.jobs, *now.jobs, *behind]):
        was, is_to_be = now.jobs.get(name), then.jobs.get(name)
        mixed = behind.get(name, {}) if about is None or name in about or name == FORWARDER else {}
        if now.agrees(name, then) and not mixed:
            continue
        had: dict[str, Optional[JobSpec]] = {}
        if was is not None and not _goes_along(was):
            had = {host: now.of(name, host) for host in hosts(was)}
        had.update({host: job for host, job in mixed.items() if job is not None})
        for host in [host for host, job in mixed.items() if job is None]:
            had.pop(host, None)
        will: dict[str, JobSpec] = {}
        if is_to_be is not None and not _goes_along(is_to_be):
            there = then.variants.get(name, {})
            will = {host: there.get(host, is_to_be) for host in hosts(is_to_be)}
        only = [job for job in (was, is_to_be) if job is not None]
        if len(only) != 1 or not _goes_along(only[0]):
            changes += _steps(was, is_to_be, had, will, key)
    return Plan(digest=digest(new), base=digest(old), changes=tuple(changes))


def shared_names(found: Plan, jobs: Iterable[JobSpec], hosts: Hosts, namesakes: Mapping[str, str]) -> tuple[str, ...]:
    """`Plan.namesakes`, of all such hosts of the farm; ``jobs``: those before and those after."""
    changed = {change.job for change in found.changes} - {FORWARDER} if namesakes else ()
    touched = {host for job in jobs if job.name in changed for host in hosts(job)}
    return tuple(sentence for host, sentence in sorted(namesakes.items()) if host in touched)


def in_maintenance(found: Plan, away: Mapping[str, tuple[float, float]], now: float) -> tuple[str, ...]:
    """`Plan.maintenance`; ``away``: from and until when the master's schedule has a host."""
    begins = (one for one in found.changes if one.count and (one.what in ("add", "restart") or one.starts))
    # of a job that runs wherever its attributes are, these stand before the hosts
    named = (one.hosts.rpartition(": ")[2].split(", ") for one in begins) if away else ()
    touched = {host for patterns in named for host in expand(patterns)}
    windows: dict[tuple[float, float], list[str]] = {}
    for host in touched.intersection(away):
        windows.setdefault(away[host], []).append(host)
    time_format = TimeFormat(now, absolute=True)
    return tuple(
        f"the master's maintenance schedule has {fold(names)} unavailable{time_format.stretch(*window)}: what starts there may be "
        f"ended by that; `daqsched aside {shlex.join(fold(names).split(', '))} --for 2h` keeps it away"
        for window, names in sorted(windows.items())
    )


def _goes_along(job: JobSpec) -> bool:
    """Whether it is on no host of its own: the forwarder where all jobs go by attributes, or where there is none."""
    return isinstance(job, ForwarderSpec) and not job.hosts


def _steps(
    old: Optional[JobSpec],
    new: Optional[JobSpec],
    had: Mapping[str, Optional[JobSpec]],
    will: Mapping[str, JobSpec],
    key: bytes,
) -> Iterable[Change]:
    """What becomes of one job where it was and where it is to be; hosts with the same step are one change."""
    nowhere = not had and not will  # it runs wherever its attributes are, and no such machine is known
    added = [host for host in will if host not in had]
    removed = [host for host in had if host not in will]
    if new is not None and (added or (nowhere and old is None)):
        yield _change(new, "add", added)
    last = old or next(iter(had.values()), None)
    if last is not None and (removed or (nowhere and new is None)):
        yield _change(last, "remove", removed)
    groups: dict[tuple[int, int], list[str]] = {}
    for host, job in will.items():
        if host in had:
            groups.setdefault((id(had[host]), id(job)), []).append(host)
    for kept in groups.values():
        yield from _changed(had[kept[0]], will[kept[0]], kept, key)
    if nowhere and new is not None:
        yield from _changed(old, new, [], key)


def _changed(old: Optional[JobSpec], new: JobSpec, kept: Sequence[str], key: bytes) -> Iterable[Change]:
    why = differences(old, new, key) if old is not None else ()
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
