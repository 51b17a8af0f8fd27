"""Several teams in one farm: each has a part, which its job file names, and no apply of one part changes another one's jobs.

Of a farm each job says whose it is (`JobSpec.part`), of a job file the file does (`Spec.part`). What has no part is one, too:
that without a name. Pure; `merge` is where it is decided what becomes of all else.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from typing import Any, Callable

from msgspec import structs

from daqsched.confirm import EndLimit
from daqsched.errors import MatchesNothing, UserError
from daqsched.limits import shown
from daqsched.rollout import NO_PART as NO_PART
from daqsched.select import Idle, hint, selection
from daqsched.spec import FORWARDER, JobSpec, LoggingSpec, PartSpec, Spec

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}\Z")

#: Where lines go, and the part whose file says so.
Lines = tuple[LoggingSpec, str]


def named(spec: Spec) -> list[str]:
    """The names of the parts that a farm has, without that of none."""
    return sorted({job.part for job in spec.jobs if job.part})


def words(part: str) -> str:
    """``part hlt``."""
    return f"part {part}" if part else "the part without a name"


def called(word: str) -> str:
    """The same of what was typed for one, as a sentence has it."""
    return words("" if word == NO_PART else word)


def read(word: str) -> str:
    """The part that a command calls so; raises `UserError` where none can be."""
    if word == NO_PART:
        return ""
    wrong = mistake(word)
    if wrong:
        raise UserError(f"{wrong}; {NO_PART} is the one without a name")
    return word


def mistake(name: object) -> str:
    """Why no part can have this name; empty: one can."""
    if isinstance(name, str) and _NAME.match(name):
        return ""
    rule = "it begins with a letter or digit, then letters, digits, '_', '.', '-', at most 100"
    return f"{shown(name)} is not a valid name for a part: {rule}"


def others(farm: Spec, file: Spec, then: Spec) -> str:
    """What an apply of this file leaves as it is of other parts, and what it takes from them, as a sentence; empty: neither."""
    counts: dict[str, int] = {}
    taken: dict[str, list[str]] = {}
    kept = {job.name: job.part for job in then.jobs}
    for job in farm.jobs:
        if job.part != file.part and kept.get(job.name) == job.part:
            counts[job.part] = counts.get(job.part, 0) + 1
        elif job.part != file.part and job.name in kept:
            taken.setdefault(job.part, []).append(job.name)
    said = [f"{', '.join(names)} comes from {words(part)}" for part, names in sorted(taken.items())]
    if counts:
        jobs = ", ".join(f"{count} in {words(part)}" for part, count in sorted(counts.items()))
        said.append(f"the jobs of others stay as they are: {jobs}")
    return f"this is {words(file.part)}; {'; '.join(said)}" if said else ""


def labelled(spec: Spec) -> Spec:
    """A job file as a farm of its own: each job says whose it is."""
    part = spec.part
    return structs.replace(
        spec,
        jobs=tuple(_labelled(spec.jobs, part)),
        variants=tuple(_labelled(spec.variants, part)),
        rollout=None if part else spec.rollout,
        confirm=None if part else spec.confirm,
        parts={part: _own(spec)} if part and _own(spec) != PartSpec() else {},
        logging_part=part if spec.logging != LoggingSpec() else "",
        part="",
    )


def _own(spec: Spec) -> PartSpec:
    return PartSpec(rollout=spec.rollout, confirm=spec.confirm)


def _labelled(jobs: Iterable[JobSpec], part: str) -> Iterable[JobSpec]:
    return (job if job.part == part else structs.replace(job, part=part) for job in jobs)


def as_farm(spec: Spec) -> Spec:
    """`labelled`, where it is a job file."""
    return labelled(spec) if spec.part else spec


def of_part(spec: Spec, part: str) -> Spec:
    """What a farm has of a part, as the job file that this part would be."""
    own = spec.parts.get(part, PartSpec()) if part else _own(spec)
    return structs.replace(
        spec,
        jobs=tuple(job for job in spec.jobs if job.part == part),
        variants=tuple(job for job in spec.variants if job.part == part),
        rollout=own.rollout,
        confirm=own.confirm,
        parts={},
        logging=spec.logging if spec.logging_part == part else LoggingSpec(),
        logging_part="",
        part=part,
    )


def theirs(
    old: Spec, new: Spec, take: Sequence[str], chosen: Callable[[JobSpec], bool], whole: Callable[[JobSpec], bool]
) -> frozenset[str]:
    """The jobs of other parts, which stay as they are. Raises `UserError` where the file names one of them that ``take`` does not
    select.

    ``chosen`` says whether the apply is about any of a job, ``whole`` whether it is about all of it.
    """
    fits, idle = selection(take), Idle(take)
    others = {job.name: job.part for job in old.jobs if job.part != new.part}
    refused: list[str] = []
    for job in new.jobs:
        taken = bool(take) and fits(job.name, "")
        if taken:
            idle.see(job.name, "")
        if job.name not in others or not chosen(job):
            continue
        if not taken:
            refused.append(job.name)
        elif not whole(job):
            raise UserError(
                f"job {job.name!r} is of {words(others[job.name])}: only all of it can be taken, not some hosts"
            )
        else:
            del others[job.name]
    lost = [word for word in idle.words if word not in ("*", FORWARDER)]
    if lost:
        raise MatchesNothing(
            f"--take {lost[0]} matches no job of the file{hint(lost, [(job.name, '') for job in new.jobs])}"
        )
    if refused:
        more = f" and {len(refused) - 5} more" if len(refused) > 5 else ""
        owners = sorted({words(others[name]) for name in refused})
        one = len(refused) == 1
        raise UserError(
            f"{', '.join(refused[:5])}{more} {'is' if one else 'are'} of {', '.join(owners[:5])}, not of {words(new.part)}: name "
            f"{'it' if one else 'them'} otherwise, or `--take {refused[0] if one else chr(39) + '*' + chr(39)}` moves "
            f"{'it' if one else 'them'} here without a restart (then take {'it' if one else 'them'} out of the other file)"
        )
    return frozenset(others)


def lines(old: Spec, new: Spec, part: str, some: bool, take: Sequence[str], theirs: Collection[str]) -> Lines:
    """Where lines go after an apply of ``new`` (`labelled`), a file of this part, of which ``some`` or all is meant: one answer for
    all of the farm, which is that of the part whose file gave it. ``theirs``: the jobs that stay other parts'."""
    now = old.logging, old.logging_part
    if new.logging == LoggingSpec():  # the file says nothing
        return now if some or old.logging_part != part else (LoggingSpec(), "")
    if new.logging == old.logging:
        return now
    unsaid = old.logging_part not in {
        job.part for job in old.jobs if job.name in theirs
    }  # or the last job of who did goes
    if old.logging == LoggingSpec() or unsaid or (bool(take) and selection(take)(FORWARDER, "")):
        return new.logging, part
    raise UserError(
        f"where lines go (logging) is said by the file of {words(old.logging_part)}, and one farm has one answer: take it out of "
        f"this file, or `--take {FORWARDER}` lets this file say it from now on"
    )


def one_of(concerned: Collection[str], spec: Spec) -> str:
    """As a command names the one part that is concerned; empty: several are, or the farm has no others."""
    if len(concerned) != 1:
        return ""
    (part,) = concerned
    return part or (NO_PART if named(spec) else "")


def ways(old: Spec, new: Spec, some: bool, there: Sequence[str]) -> dict[str, Any]:
    """What files say beside their jobs, as fields of a spec; ``some``: the apply is not about all of its part, whose word stays
    then. ``there`` are the parts that have jobs."""
    part, found = new.part, {**old.parts}
    if part and not (some and part in found):
        found[part] = _own(new)
    main = _own(new) if not part and not (some and old.jobs) else _own(old)
    known = {name: own for name, own in found.items() if name in there and own != PartSpec()}
    return {"rollout": main.rollout, "confirm": main.confirm, "parts": known}


def living(spec: Spec) -> Spec:
    """The farm without what files said of parts that have no job (any more): nobody's word is in force without a job of his."""
    there = {job.part for job in spec.jobs}
    main = _own(spec) if "" in there else PartSpec()
    spoken = spec.logging_part in there
    return structs.replace(
        spec,
        rollout=main.rollout,
        confirm=main.confirm,
        parts={part: own for part, own in spec.parts.items() if part in there},
        logging=spec.logging if spoken else LoggingSpec(),
        logging_part=spec.logging_part if spoken else "",
    )


def brought_back(now: Spec, before: Spec, jobs: Collection[str]) -> dict[str, Any]:
    """What files say beside their jobs where these jobs go back to what they were ``before``, as fields of a spec."""
    of = {job.part for job in (*now.jobs, *before.jobs) if job.name in jobs}
    main = before if "" in of else now
    parts = {name: own for name, own in now.parts.items() if name not in of}
    parts.update((name, own) for name, own in before.parts.items() if name in of)
    return {"rollout": main.rollout, "confirm": main.confirm, "parts": parts}


def limits(spec: Spec, of: Iterable[str]) -> list[EndLimit]:
    """How many programs of these parts end unasked, as far as their files say."""
    said = [(spec.parts.get(part, PartSpec()) if part else _own(spec)).confirm for part in sorted(set(of))]
    return [limit for limit in said if limit is not None]
