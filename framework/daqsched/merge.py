"""What is in force after an apply of a part: a revision is the farm, not the file that changed a part of it.

A spec has one job of a name. Where an apply left some hosts as they were, the job is another one there: `Spec.variants` has
it, a job of the same name whose hosts are these. Pure: a plan and the engine ask the same, so that what is shown is done.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Callable, NamedTuple, Optional

from msgspec import structs

from daqsched import farm_parts
from daqsched.errors import UserError
from daqsched.hosts import expand, fold
from daqsched.select import selection
from daqsched.spec import FORWARDER, JobSpec, Spec, canonical

Hosts = Callable[[JobSpec], Sequence[str]]
Chosen = Callable[[str, str], bool]

#: job -> host -> what it still has there, while the spec says otherwise; None: it is not there.
Behind = Mapping[str, Mapping[str, Optional[JobSpec]]]

#: The name of no host: whoever chooses it chooses the job wherever it goes.
_ANYWHERE = ""


class Desired:
    """What a spec says of each job on each host."""

    def __init__(self, spec: Spec) -> None:
        self.jobs = {job.name: job for job in spec.jobs}
        self.variants: dict[str, dict[str, JobSpec]] = {}
        for variant in spec.variants:
            job = self.jobs.get(variant.name)
            if job is not None:
                there = structs.replace(variant, hosts=job.hosts)
                self.variants.setdefault(job.name, {}).update(dict.fromkeys(expand(variant.hosts), there))

    def of(self, name: str, host: str) -> Optional[JobSpec]:
        """The job as it is to be there; None: there is none of that name. Whether it goes to that host is not looked at."""
        there = self.variants.get(name)
        return there.get(host) or self.jobs.get(name) if there is not None else self.jobs.get(name)

    def forms(self, name: str) -> list[JobSpec]:
        """The job once for each way that it is, with the hosts where it is so; what goes wherever its attributes are has none
        but where it is another one."""
        job, others = self.jobs[name], self.variants.get(name, {})
        if not others:
            return [job]
        alike: dict[bytes, tuple[JobSpec, list[str]]] = {}
        for host in expand(job.hosts) if job.hosts else others:
            there = others.get(host, job)
            alike.setdefault(canonical(there), (there, []))[1].append(host)
        return [*([] if job.hosts else [job]), *(_on(one, names) for one, names in alike.values())]

    def agrees(self, name: str, other: Desired) -> bool:
        """Whether both say the same of this job, on all of its hosts."""
        return self.jobs.get(name) == other.jobs.get(name) and self.variants.get(name) == other.variants.get(name)


class Scope(NamedTuple):
    """What an apply is about: what these words select of the part that its file is, or these jobs, or, without both, that part."""

    words: tuple[str, ...] = ()
    jobs: Optional[frozenset[str]] = None
    #: Words that select jobs of other parts, which become this one's.
    take: tuple[str, ...] = ()
    #: All parts.
    everyones: bool = False

    @property
    def is_some(self) -> bool:
        """Whether it is not all of a part."""
        return bool(self.words) or self.jobs is not None

    def chosen(self) -> Chosen:
        """A test for (job, host); raises `UserError` for words that can't be read."""
        jobs = self.jobs
        return selection(self.words) if jobs is None else lambda job, host: job in jobs


class Merged(NamedTuple):
    """What is in force then, and the jobs that the apply was about: of all others nothing changes."""

    spec: Spec
    jobs: frozenset[str]
    #: Whether these are all that there are.
    everything: bool = False
    #: Those of them that were its part's before, where it is about all of that; None: all that there is.
    own: Optional[frozenset[str]] = frozenset()

    def takes_over(self, jobs: frozenset[str]) -> bool:
        """Whether a rollout of these that is under way ends: all of it is as its part's file says now."""
        return self.own is None or jobs <= self.own


def change_of(
    old: Spec,
    new: Spec,
    scope: Scope,
    hosts: Hosts,
    behind: Behind,
    within: Callable[[Chosen], Chosen] = lambda chosen: chosen,
) -> Merged:
    """The farm ``old`` after an apply of ``new``. ``within`` may put a limit of time to the selection.

    Raises `UserError` where the file names what is another part's, or a part can't be changed alone.
    """
    found = _change_of(old, new, scope, hosts, behind, within(scope.chosen()))
    return found._replace(spec=farm_parts.living(found.spec))


def _change_of(old: Spec, new: Spec, scope: Scope, hosts: Hosts, behind: Behind, chosen: Chosen) -> Merged:
    if scope.jobs is not None:
        said = new if FORWARDER in scope.jobs else old
        found = merged(old, new, chosen, hosts, behind, (said.logging, said.logging_part))
        ways = farm_parts.brought_back(old, new, scope.jobs)
        return found._replace(spec=structs.replace(found.spec, **ways))
    if scope.everyones:
        return Merged(new, frozenset([*(job.name for job in (*old.jobs, *new.jobs)), *behind]), True, None)
    some = bool(scope.words)
    theirs = farm_parts.theirs(
        old,
        new,
        scope.take,
        lambda job: not some or any(chosen(job.name, host) for host in (_ANYWHERE, *hosts(job))),
        lambda job: chosen(job.name, _ANYWHERE),
    )
    own = farm_parts.labelled(new)
    mine = frozenset(job.name for job in (*old.jobs, *new.jobs) if job.name not in theirs)
    before = frozenset(job.name for job in old.jobs if job.part == new.part)
    if not theirs and not some:
        return Merged(own, mine.union(behind), True, None if len(before) == len(old.jobs) else before)
    lines = farm_parts.lines(old, own, new.part, some, scope.take, theirs)
    found = merged(old, own, lambda job, host: job in mine and chosen(job, host), hosts, behind, lines)
    spec = structs.replace(found.spec, **farm_parts.ways(old, new, some, farm_parts.named(found.spec)))
    return Merged(spec, found.jobs) if some else Merged(spec, mine, own=before)


def merged(old: Spec, new: Spec, chosen: Chosen, hosts: Hosts, behind: Behind, lines: farm_parts.Lines) -> Merged:
    """The farm ``old`` with what ``new`` says of those that are ``chosen``; all else is as it is now, also what is ``behind``.

    ``hosts`` gives those of a job, ``lines`` where lines go then. Raises `UserError` where a part can't be changed alone.
    """
    before, after = Desired(old), Desired(new)
    jobs: list[JobSpec] = []
    variants: list[JobSpec] = []
    about: set[str] = set()
    for name in dict.fromkeys([*before.jobs, *after.jobs]):
        found = _of_job(name, before, after, chosen, hosts, behind.get(name, {}))
        if found is not None:
            about.add(name)
            main, others = found
        else:
            main, others = before.jobs.get(name), _variants(old, name)
        jobs += [] if main is None else [main]
        variants += others
    _look_at_order(jobs + variants)
    of_all = old if old.jobs else new
    spec = structs.replace(
        new,
        jobs=tuple(jobs),
        variants=tuple(variants),
        logging=lines[0],
        logging_part=lines[1],
        rollout=of_all.rollout,
        confirm=of_all.confirm,
        parts=old.parts,
    )
    return Merged(spec, frozenset(about))


def assembled(main: JobSpec, there: Mapping[str, JobSpec]) -> tuple[Optional[JobSpec], list[JobSpec]]:
    """One job that is this on each of these hosts: the job, which is ``main`` wherever that is possible, and its variants.

    A job that names its hosts has these hosts, and is None where they are none.
    """
    alike: dict[bytes, tuple[JobSpec, list[str]]] = {}
    known: dict[int, bytes] = {}
    for host, job in there.items():
        if id(job) not in known:
            known[id(job)] = canonical(structs.replace(job, hosts=()))
        alike.setdefault(known[id(job)], (job, []))[1].append(host)
    if not main.hosts:
        own = canonical(main)
        return main, [_on(job, names) for key, (job, names) in alike.items() if key != own]
    if not alike:
        return None, []
    own = canonical(structs.replace(main, hosts=()))
    if own not in alike:
        own = max(alike, key=lambda key: len(alike[key][1]))
    job = alike[own][0]
    written = main.hosts if set(expand(main.hosts)) == set(there) else _on(job, there).hosts
    return structs.replace(job, hosts=written), [_on(one, names) for key, (one, names) in alike.items() if key != own]


def _look_at_order(jobs: Sequence[JobSpec]) -> None:
    """What others come after has to be there: they would wait for ever."""
    there = {job.name for job in jobs}
    for job in jobs:
        for name in job.after:
            if name not in there:
                raise UserError(
                    f"job {job.name!r} comes after {name!r}, which would not be in the farm: select both, or none"
                )


def _of_job(
    name: str, before: Desired, after: Desired, chosen: Chosen, hosts: Hosts, behind: Mapping[str, Optional[JobSpec]]
) -> Optional[tuple[Optional[JobSpec], list[JobSpec]]]:
    """The job then, with its variants; None: the apply is not about it."""
    was, to_be = before.jobs.get(name), after.jobs.get(name)
    if before.agrees(name, after) and not behind:
        return None
    had = _now(name, was, before, hosts, behind)
    named = dict.fromkeys(hosts(to_be)) if to_be is not None else {}
    meant = [host for host in dict.fromkeys([*had, *named]) if chosen(name, host)]
    whole = chosen(name, _ANYWHERE)
    if not meant and not whole:
        return None
    if whole and to_be is not None and not to_be.hosts:
        return assembled(to_be, after.variants.get(name, {}))
    if not whole and any(job is not None and not job.hosts for job in (was, to_be)):
        _look_at_attributes(name, was, to_be)
    there = {host: job for host, job in had.items() if not chosen(name, host)}
    for host in meant:
        job = after.of(name, host)
        if host in named and job is not None:
            there[host] = job
    main = to_be if to_be is not None and to_be.hosts else was
    if main is None or (whole and to_be is None):
        return None, []
    return assembled(main, there)


def _now(
    name: str, was: Optional[JobSpec], before: Desired, hosts: Hosts, behind: Mapping[str, Optional[JobSpec]]
) -> dict[str, JobSpec]:
    had: dict[str, Optional[JobSpec]] = {} if was is None else {host: before.of(name, host) for host in hosts(was)}
    had.update(behind)
    return {host: job for host, job in had.items() if job is not None}


def _look_at_attributes(name: str, was: Optional[JobSpec], to_be: Optional[JobSpec]) -> None:
    """A job that goes wherever its attributes are has no list of hosts that a part could be taken from."""
    if was is None or to_be is None or (was.hosts, was.attributes) != (to_be.hosts, to_be.attributes):
        raise UserError(
            f"job {name!r} goes wherever its attributes are: where it goes can be changed of all of it only; "
            f"select {name!r} without a host, or leave it out"
        )


def _variants(spec: Spec, name: str) -> list[JobSpec]:
    return [variant for variant in spec.variants if variant.name == name]


def _on(job: JobSpec, names: Sequence[str] | Mapping[str, JobSpec]) -> JobSpec:
    return structs.replace(job, hosts=tuple(fold(names).split(", ")))
