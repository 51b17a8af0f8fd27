"""Which instances someone means: ``readout``, ``readout@hlt01``, ``rcd_*@hlt[01-10]``, ``@hlt01``."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Callable, Iterable

from daqsched.errors import JobError, UserError
from daqsched.hosts import expand

Chosen = Callable[[str, str], bool]


def selection(words: Iterable[str]) -> Chosen:
    """A test for (job, host) that is true where any of the words fits; no word at all means everything.

    In a word, what is before ``@`` is a job's name and what is after it a host's; either may be left out, may hold
    ``*`` and ``?``, and the host may be a range. Raises `UserError` for a word that can't be read.
    """
    tests = [_one(word) for word in words]
    if not tests:
        return lambda job, host: True
    return lambda job, host: any(test(job, host) for test in tests)


def _one(word: str) -> Chosen:
    job, _, host = word.partition("@")
    if not job and not host:
        raise UserError(f"{word!r} selects nothing: write JOB, JOB@HOST or @HOST, for example 'readout@hlt[01-10]'")
    test_job, test_host = _pattern(job), _hosts(host)
    return lambda a_job, a_host: test_job(a_job) and test_host(a_host)


def _pattern(text: str) -> Callable[[str], bool]:
    if not text or text == "*":
        return lambda name: True
    if any(mark in text for mark in "*?"):
        return lambda name: fnmatchcase(name, text)
    return lambda name: name == text


def _hosts(text: str) -> Callable[[str], bool]:
    if "[" not in text or "*" in text or "?" in text:
        return _pattern(text)
    try:
        names = frozenset(expand(text))
    except JobError as error:
        raise UserError(str(error)) from error
    return names.__contains__
