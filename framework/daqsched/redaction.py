"""What a job file carries for its programs alone: values of environment variables may be secrets, and are not shown.

In their place stands a mark that differs where they do. It tells who guesses the value whether the guess is right, so a
secret belongs into a file on the machine, of which the job names the path.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping

from msgspec import structs

from daqsched.spec import JobSpec, Spec

_MARK = re.compile(r"\(hidden [0-9a-f]{6}\)\Z")
_SETTING = re.compile(r"( --set [^=\s]+=).*?(?=\Z| --set )", re.DOTALL)

#: What a command says besides.
WHY = "values of environment variables are hidden: root and the account of `daqsched serve` alone are told them"


def mark(name: str, value: str) -> str:
    """``(hidden 3f2a9c)``; a mark stays as it is."""
    if _MARK.match(value):
        return value
    return f"(hidden {hashlib.sha256(f'{name}={value}'.encode('utf-8', 'surrogatepass')).hexdigest()[:6]})"


def marks(env: Mapping[str, str]) -> dict[str, str]:
    """The names with a mark each."""
    return {name: mark(name, value) for name, value in env.items()}


def veiled(spec: Spec) -> Spec:
    """The same without the values of environment variables, and of the file's variables (``--set``)."""
    jobs, variants = map(_veiled, (spec.jobs, spec.variants))
    return structs.replace(spec, jobs=jobs, variants=variants, source=veiled_source(spec.source))


def veiled_source(source: str) -> str:
    """``jobs.py --set token=...``"""
    return _SETTING.sub(r"\1...", source)


def _veiled(jobs: tuple[JobSpec, ...]) -> tuple[JobSpec, ...]:
    return tuple(structs.replace(job, env=marks(job.env)) if job.env else job for job in jobs)


def hides(job: JobSpec) -> bool:
    """Whether values of it are hidden."""
    return any(map(_MARK.match, job.env.values()))
