"""Sentences that name what somebody may not see, as they are said to him. Pure.

A job that one sees may wait for one that one does not: it is said that it waits, and not for what.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Callable

#: What is said in the place of a name, and of a clause that says more of it than that.
AWAITED, ENDING = "waits for a job that you may not see", "waits for the end of a job that you may not see"
OTHER = "it has to do with what is not for you to see: ask who runs the farm"

#: A word of a sentence that may be a name, and an instance.
WORD = re.compile(r"[\w.-]+")
_INSTANCE = re.compile(r"(?<![\w.@-])([\w.-]+)@([\w.-]+)(?!@)")

#: What is waited for: the engine's sentences, whether the job is in the spec or has still to end.
_AWAITED = re.compile(r"\bwaits for (the end of )?(?!its\b|the\b)([\w.-]+)(?:@([\w.-]+)| on ([\w.-]+))?(?=$|[,;]| \()")

#: Whether a name is of what is hidden; whether an instance (without a host: a job of which nothing else is known) is.
HidesName = Callable[[str], bool]
HidesInstance = Callable[[str, str], bool]


def names_hidden(sentence: str, name: HidesName, instance: HidesInstance, known: HidesName) -> bool:
    """Whether it does. ``known``: whether that is a job of the spec; of others only what is waited for is taken for a job."""
    if any(name(word) for word in WORD.findall(sentence)):
        return True
    if any(known(job) and instance(job, host) for job, host in _INSTANCE.findall(sentence)):
        return True
    return any(instance(job, host) for job, host in _awaited(sentence) if host or not known(job))


def said(sentence: str, name: HidesName, instance: HidesInstance, known: HidesName) -> str:
    """The sentence without what is hidden: of each clause what may be said of it."""
    if not sentence or not names_hidden(sentence, name, instance, known):
        return sentence
    clauses: list[str] = []
    for clause in sentence.split("; "):
        if not names_hidden(clause, name, instance, known):
            clauses.append(clause)
            continue
        found = _AWAITED.search(clause)
        words = OTHER if found is None else ENDING if found[1] else AWAITED
        # what to type about it is not for whoever does not see it
        if not clause.startswith("`daqsched ") and words not in clauses:
            clauses.append(words)
    return "; ".join(clauses)


def _awaited(sentence: str) -> Iterator[tuple[str, str]]:
    for _, job, at, on in _AWAITED.findall(sentence):
        yield job, at or on
