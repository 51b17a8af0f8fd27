"""What a job file carries for its programs alone: values of environment variables may be secrets, and are not shown.

In their place stands a mark that differs where they do, of one name in one job. It is made with a key that whoever is shown it
does not have: who guesses the value does not learn of it whether the guess is right.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Callable

from msgspec import structs

from daqsched.digests import signature
from daqsched.spec import JobSpec, Spec

_MARK = re.compile(r"\(hidden [0-9a-f]{6}\)\Z")
_SETTING = re.compile(r"( --set [^=\s]+=).*?(?=\Z| --set )", re.DOTALL)

_ADDRESS = re.compile(r"\b([A-Za-z][A-Za-z0-9+.-]*://)[^/\s@\"']+@")

#: A value that is shorter is looked for in no text.
SHORTEST = 6

#: What a command says besides.
WHY = "values of environment variables are hidden: root and the account of `daqsched serve` alone are told them"


def mark(key: bytes, job: str, name: str, value: str) -> str:
    """``(hidden 3f2a9c)``; a mark stays as it is."""
    if _MARK.match(value):
        return value
    text = f"{job}\0{name}\0{value}"
    return f"(hidden {signature(key, 'hidden', text)[:6]})"


def marks(key: bytes, job: JobSpec) -> dict[str, str]:
    """The names of its environment with a mark each."""
    return {name: mark(key, job.name, name, value) for name, value in job.env.items()}


def says_values(spec: Spec) -> bool:
    """Whether there are values of environment variables in it, and not marks alone."""
    return any(not _MARK.match(value) for job in (*spec.jobs, *spec.variants) for value in job.env.values())


def veiled(spec: Spec, key: bytes, told: Callable[[JobSpec], bool] = lambda job: False) -> Spec:
    """The same without the values of the file's variables (``--set``) and of environment variables, but of those ``told``."""
    jobs, variants = _veiled(spec.jobs, key, told), _veiled(spec.variants, key, told)
    return structs.replace(spec, jobs=jobs, variants=variants, source=veiled_source(spec.source))


def veiled_source(source: str) -> str:
    """``jobs.py --set token=...``"""
    return _SETTING.sub(r"\1...", source)


def _veiled(jobs: tuple[JobSpec, ...], key: bytes, told: Callable[[JobSpec], bool]) -> tuple[JobSpec, ...]:
    return tuple(structs.replace(job, env=marks(key, job)) if job.env and not told(job) else job for job in jobs)


def scrubber(specs: Iterable[Spec]) -> Callable[[str], str]:
    """What takes out of any text the values that these hide, and what stands before the @ of an address.

    For texts that are no specs, in which a program may have printed what it was given. What is shorter than `SHORTEST` may be
    any word of a sentence, and stays.
    """
    found: set[str] = set()
    for spec in specs:
        found.update(value for job in (*spec.jobs, *spec.variants) for value in job.env.values())
        found.update(one.group(0)[len(one.group(1)) :] for one in _SETTING.finditer(spec.source))
    # of more than one line, as of a key, a log has one at a time
    values = {part for value in found if not _MARK.match(value) for part in (value, *map(str.strip, value.split("\n")))}
    known = sorted((one for one in values if len(one) >= SHORTEST), key=len, reverse=True)
    # as it is, and as it stands in JSON
    spelled = dict.fromkeys(way for one in known for way in (one, json.dumps(one)[1:-1]))
    pattern = re.compile("|".join(map(re.escape, spelled))) if spelled else None

    def scrub(text: str) -> str:
        text = _ADDRESS.sub(r"\1...@", text)
        return pattern.sub("(hidden)", text) if pattern is not None else text

    return scrub


def hides(job: JobSpec) -> bool:
    """Whether values of it are hidden."""
    return any(map(_MARK.match, job.env.values()))
