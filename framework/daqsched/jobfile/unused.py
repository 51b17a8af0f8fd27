"""What a job file makes and nothing uses: a job that is in no list would not run, and nobody would know.

Told is only what is certainly not meant: a name that is assigned and nowhere read, what is assigned anew before anybody has read
it, a word that stands by itself. What other files import, what is chosen by a condition, lists that ``jobs`` is built of are fine.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from daqsched.jobfile.caught_errors import CaughtErrors
from daqsched.jobfile.job import Job
from daqsched.jobfile.parts import Confirm, Logging, Rollout
from daqsched.jobfile.source import Source, meant
from daqsched.limits import shown

#: What a job file says once, and by which name.
SAID_ONCE: dict[type[Any], str] = {Rollout: "rollout", Logging: "logging", Confirm: "confirm"}

#: The names that are read here.
_READ_BY_US = frozenset(["jobs", *SAID_ONCE.values()])

#: By which a file reads its names without naming them.
_READS_ANY = frozenset(["globals", "locals", "vars", "eval", "exec"])


def unused(source: Source, names: Mapping[str, Any], caught: CaughtErrors) -> Iterator[tuple[int, str]]:
    """Line and sentence of each; ``names`` are those of the file once it was evaluated."""
    read = source.read()
    jobs = names.get("jobs")
    ours = {id(job) for job in jobs} if isinstance(jobs, (list, tuple)) else set()
    ours |= {id(names.get(name)) for name in SAID_ONCE.values()}
    # a site's registry may hand out finished copies: what bears the name of a job that runs is it
    listed = {job.name for job in jobs if isinstance(job, Job)} if isinstance(jobs, (list, tuple)) else set()
    lines = {name.id: name.lineno for name in source.assigned()}
    for name, line in lines.items():
        if name not in read and name not in _READ_BY_US and name in names and not read & _READS_ANY:
            for sentence in _of_value(name, names[name], ours, listed):
                yield line, sentence
            if isinstance(names[name], str) and "farm" not in lines and meant(name, ["farm"], 0.75):
                yield line, f"{name} is used by nothing: did you mean farm = {shown(names[name])}?"
    yield from _assigned_anew(source, read)
    yield from _by_itself(source, caught)


def _of_value(name: str, value: Any, ours: set[int], listed: set[str]) -> Iterator[str]:
    word = SAID_ONCE.get(type(value))
    if word is not None:
        if id(value) not in ours:
            kind = type(value).__name__
            yield f"{name} is a {kind}(...) that nothing uses: a job file says {word} = {kind}(...)"
        return
    left = [job for job in _jobs_in(value) if id(job) not in ours and job.name not in listed]
    if left:
        more = f" and {len(left) - 3} more" if len(left) > 3 else ""
        which = f"job{'s' if len(left) > 1 else ''} {', '.join(shown(job.name) for job in left[:3])}{more}"
        yield f"{which} of {name} would not run, being not in jobs: add to jobs, or take out of the file"


def _jobs_in(value: Any, depth: int = 0) -> Iterator[Job]:
    if isinstance(value, Job):
        yield value
    elif isinstance(value, Mapping):
        yield from _jobs_in(list(value.values()), depth)
    elif isinstance(value, (list, tuple, set, frozenset)) and depth < 3:
        for part in value:
            yield from _jobs_in(part, depth + 1)


def _assigned_anew(source: Source, read: set[str]) -> Iterator[tuple[int, str]]:
    """One statement after another, and not one or the other."""
    last: dict[str, ast.Assign] = {}
    for node in source.tree.body:
        target = node.targets[0] if isinstance(node, ast.Assign) and len(node.targets) == 1 else None
        if not isinstance(node, ast.Assign) or not isinstance(target, ast.Name) or target.id in read:
            continue
        before = last.get(target.id)
        if before is not None and _makes(source, before.value):
            yield (
                before.lineno,
                f"{target.id} is assigned anew in line {node.lineno}: what it is here is used by nothing",
            )
        last[target.id] = node


def _makes(source: Source, value: ast.expr) -> bool:
    kinds: Sequence[type[Any]] = (Job, *SAID_ONCE)
    return any(isinstance(node, ast.Call) and source.kind_of(node.func) in kinds for node in ast.walk(value))


def _by_itself(source: Source, caught: CaughtErrors) -> Iterator[tuple[int, str]]:
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Expr) and caught.catch([node.lineno], TypeError):
            continue  # it asks what there is
        kind = (
            source.kind_of(node.value.func) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) else None
        )
        if isinstance(node, ast.Expr) and kind is Job:
            yield node.lineno, "this Job(...) would not run, being not in jobs: add to jobs, or take out of the file"
        elif isinstance(node, ast.Expr) and kind in SAID_ONCE:
            assert kind is not None
            yield (
                node.lineno,
                f"nothing uses this {kind.__name__}(...): a job file says {SAID_ONCE[kind]} = {kind.__name__}(...)",
            )
