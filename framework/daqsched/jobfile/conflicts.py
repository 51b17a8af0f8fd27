"""What can't be of jobs that are right one by one: two of one name, waiting in a circle, one port twice on a host."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping

from daqsched import farm_parts
from daqsched.confirm import check as check_end_limit
from daqsched.errors import JobError, UserError
from daqsched.hosts import count, expand
from daqsched.jobfile.rules import check_job, logging_mistakes
from daqsched.limits import FIXED_PORTS, INSTANCES, JOBS, did_you_mean, refusal, shown
from daqsched.rollout import check as check_strategy
from daqsched.spec import JobSpec, Spec


def check(spec: Spec) -> None:
    """Raise the first `JobError` that there is in any of the jobs, between them, or in the logging, with the job's name in it.

    A job file is looked at job by job as it is evaluated, and by `conflicts` at the end.
    """
    if len(spec.jobs) > JOBS.most:
        raise JobError(f"has {len(spec.jobs):,} jobs, at most {JOBS.most:,.0f} are allowed", "jobs")
    beyond = refusal(spec.source)
    if beyond is not None:
        raise JobError(f"source: {beyond[1]}", "source")
    wrong = farm_parts.mistake(spec.part) if spec.part else ""
    if wrong:
        raise JobError(f"farm: {wrong}", "farm")
    for job in spec.jobs:
        try:
            check_job(job)
        except JobError as error:
            raise JobError(f"job {shown(job.name)}: {error.field}: {error}", error.field) from error
        if spec.part and job.part not in ("", spec.part):
            raise JobError(
                f"job {shown(job.name)} is of {farm_parts.words(job.part)}, and the file of {farm_parts.words(spec.part)}",
                "farm",
            )
    ensure_named_once(spec.jobs)
    for mistake in logging_mistakes(spec.logging):
        raise JobError(f"logging: {mistake.field}: {mistake}", mistake.field)
    if spec.rollout is not None:
        try:
            check_strategy(spec.rollout)
        except JobError as error:
            raise JobError(f"rollout: {error.field}: {error}", error.field) from error
    if spec.confirm is not None:
        try:
            check_end_limit(spec.confirm)
        except JobError as error:
            raise JobError(f"confirm: {error.field}: {error}", error.field) from error
    for name, conflict in conflicts(spec.jobs):
        raise JobError(f"job {name!r}: {conflict.field}: {conflict}", conflict.field)


def ensure_named_once(jobs: Iterable[JobSpec]) -> None:
    """Raise `JobError` where two have one name."""
    seen: set[str] = set()
    for job in jobs:
        if job.name in seen:
            raise JobError(f"two jobs are named {job.name!r}: names must differ", "name")
        seen.add(job.name)


def check_file(spec: Spec) -> None:
    """`check` of what was sent, as it is: what is wrong is of nothing else."""
    try:
        check(spec)
    except UserError as error:
        error.of_request = True
        raise


def conflicts(jobs: Iterable[JobSpec], others: Collection[str] = ()) -> Iterator[tuple[str, JobError]]:
    """What can't be of jobs that are right one by one, with the name of the job whose field it is; ``others``: those that are
    there as well, and are wrong."""
    known = {job.name: job for job in jobs}
    total = 0
    for job in known.values():
        total += count(job.hosts)
        if total > INSTANCES.most:
            sentence = f"with the jobs before it, more than {INSTANCES} are named: make several farms of it"
            yield job.name, JobError(sentence, "hosts")
            return
    for job in known.values():
        for name in job.after:
            if name not in known and name not in others:
                meant = did_you_mean(name, set(known) - {job.name})
                parts = "" if meant.endswith("?") else "; one of another part of the farm can't be waited for"
                yield job.name, JobError(f"there is no job {name!r}{meant}{parts}", "after")
    yield from _beside_successors(known)
    for cycle in _cycles({job.name: job.after for job in known.values()}):
        yield cycle[0], JobError(f"a cycle: {' -> '.join(cycle)}: none of them would ever start", "after")
    yield from _taken_ports(known.values())


def _beside_successors(known: Mapping[str, JobSpec]) -> Iterator[tuple[str, JobError]]:
    """What is replaced is not there any more, at least not where its successor is."""
    for job in known.values():
        for other in (known[name] for name in job.replaces if name in known and name != job.name):
            where = set(expand(job.hosts)).intersection(expand(other.hosts))
            if where or not job.hosts or not other.hosts:
                on = f" on {min(where)}" if where else ""
                yield (
                    job.name,
                    JobError(f"{other.name!r} is to run, too{on}: take it out, or do not replace it", "replaces"),
                )


def _cycles(after: dict[str, tuple[str, ...]]) -> Iterator[tuple[str, ...]]:
    """Each way of waiting in a circle that a walk finds: ``("a", "b", "a")``."""
    done: set[str] = set()
    for start in after:
        path: dict[str, Iterator[str]] = {start: iter(after[start])} if start not in done else {}
        while path:
            here = next(reversed(path))
            for name in path[here]:
                if name in path and name != here:
                    names = list(path)
                    yield (*names[names.index(name) :], name)
                elif name in after and name not in done and name != here:
                    path[name] = iter(after[name])
                    break
            else:
                done.add(here)
                del path[here]


def _taken_ports(jobs: Iterable[JobSpec]) -> Iterator[tuple[str, JobError]]:
    """A number can be had once on a host. Which machines have which attributes is not known here."""
    askers: dict[int, list[tuple[JobSpec, str]]] = {}
    for job in jobs:
        for name, number in job.ports.items():
            if number:
                askers.setdefault(number, []).append((job, name))
    looked = 0
    told: set[tuple[str, str, int]] = set()
    for number, those in askers.items():
        taken: dict[str, JobSpec] = {}
        for job, name in those if len(those) > 1 else ():
            looked += count(job.hosts)
            if looked > FIXED_PORTS.most:
                yield (
                    job.name,
                    JobError(f"with the jobs before it, more than {FIXED_PORTS} are asked for", "resources.ports"),
                )
                return
            for host in expand(job.hosts):
                first = taken.setdefault(host, job)
                if first is not job and (job.name, first.name, number) not in told and _may_meet(first, job):
                    told.add((job.name, first.name, number))
                    sentence = f"{name!r}: port {number} of {host} is taken by job {first.name!r}"
                    yield job.name, JobError(sentence, "resources.ports")


def _may_meet(one: JobSpec, other: JobSpec) -> bool:
    """No machine has two values of one attribute."""
    return all(other.attributes.get(name, value) == value for name, value in one.attributes.items())
