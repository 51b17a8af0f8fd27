"""Which instances someone means: ``readout``, ``readout@hlt01``, ``rcd_*@hlt[01-10]``, ``@hlt01``."""

from __future__ import annotations

import re
import shlex
from contextlib import suppress
from typing import Callable, Collection, Iterable, Optional, Sequence

from daqsched.errors import JobError, UserError
from daqsched.hosts import expand, fold
from daqsched.limits import HOSTS, SELECTION, WILDCARDS, shown, unprintable
from daqsched.nearest import nearest
from daqsched_executor.contract.globs import compiled

Chosen = Callable[[str, str], bool]


def selection(words: Iterable[str]) -> Chosen:
    """A test for (job, host) that is true where any of the words fits; no word at all means everything.

    In a word, what is before ``@`` is a job's name and what is after it a host's; either may be left out, may hold
    ``*`` and ``?``, and the host may be a range. Raises `UserError` for a word that can't be read, and where there are more
    than `limits` allows.

    What a test costs does not grow with the number of words, but for the first of each job and each host.
    """
    chosen = _Selection()
    for word in words:
        chosen.add(word)
    return chosen.everything if not chosen.words else chosen


def words_for(keys: Iterable[tuple[str, str]]) -> str:
    """The words for these (job, host) and no others, as a shell takes them; where they are of many jobs, for those of the first."""
    hosts: dict[str, list[str]] = {}
    for job, host in keys:
        hosts.setdefault(job, []).append(host)
    some = list(hosts.items())[:MOST_TOLD]
    found = [f"{job}@{one}" if one else job for job, its in some for one in fold(its).split(", ")]
    return shlex.join(found)


def as_hosts(words: Sequence[str], known: Iterable[tuple[str, str]]) -> str:
    """How words that fit no job would be written as hosts, for the end of a sentence; empty where none fits a host of these
    (job, host)."""
    hosts = {host for _, host in known if host}
    found = []
    for word in words[:MOST_TOLD]:
        if word and "@" not in word:
            with suppress(UserError):  # it is no host either
                fits = selection([f"@{word}"])
                if any(fits("", host) for host in hosts):
                    found.append(f"@{word}")
    return f"; a host is written {shlex.join(found)}" if found else ""


def hint(words: Sequence[str], known: Collection[tuple[str, str]]) -> str:
    """What was meant by words that fit none of these (job, host), for the end of a sentence; empty where nothing is near.

    Looked at only where something is refused: it takes a fraction of a second on the largest farm.
    """
    jobs, hosts = {job for job, _ in known}, {host for _, host in known if host}
    found = [_near(word, jobs, hosts, known) for word in words[:MOST_TOLD]]
    meant = list(dict.fromkeys(filter(None, found)))
    return as_hosts(words, known) + (f"; did you mean {shlex.join(meant)}?" if meant else "")


def _near(word: str, jobs: Collection[str], hosts: Collection[str], known: Iterable[tuple[str, str]]) -> str:
    """The word that is written like this one and fits something; empty: none is."""
    job, at, host = word.partition("@")
    if not at:
        if _is_pattern(word) or word in hosts:
            return ""
        near = nearest(word, {*jobs, *hosts})
        return near if near in jobs or not near else f"@{near}"
    if job and job not in jobs and not _is_pattern(job):
        job = nearest(job, jobs)
        if not job:
            return ""
    if job in jobs:
        hosts = {where for name, where in known if name == job and where}
    if host not in hosts and not _is_pattern(host):
        host = nearest(host, hosts)
        if not host:
            return ""
    near = f"{job}@{host}"
    with suppress(UserError):  # a range that can't be read
        fits = selection([near])
        if near != word and any(fits(*key) for key in known):
            return near
    return ""


def _is_pattern(name: str) -> bool:
    return any(mark in name for mark in "*?[")


#: So many words are looked at.
MOST_TOLD = 5


class Idle:
    """Which of the words have fitted nothing so far: one that fits nothing is a mistake, whatever the others fit."""

    def __init__(self, words: Iterable[str]) -> None:
        #: As they were typed, each once.
        self._typed = list(dict.fromkeys(words))
        # names are found at once: there may be as many as instances
        self._names = {word for word in self._typed if not _is_pattern(word)}
        self._others = {word: selection([word]) for word in self._typed if word not in self._names}

    def see(self, job: str, host: str) -> None:
        """One that any of the words fits."""
        self._names.difference_update((job, f"@{host}", f"{job}@{host}"))
        for word in [word for word, fits in self._others.items() if fits(job, host)]:
            del self._others[word]

    def __bool__(self) -> bool:
        return bool(self._names or self._others)

    @property
    def words(self) -> list[str]:
        """Those, in the order in which they were typed."""
        return [word for word in self._typed if word in self._names or word in self._others]


def ensure_patterns(words: Sequence[str]) -> None:
    """Raise `UserError` where more of these have ``*`` or ``?``, or more of them, than a selection may have."""
    wild = [word for word in words if "*" in word or "?" in word]
    if len(wild) > WILDCARDS.most or any(sum(map(word.count, "*?")) > MOST_MARKS for word in wild):
        raise UserError(f"there are at most {WILDCARDS}, and at most {MOST_MARKS} of these in each: name what is meant")


class _Selection:
    def __init__(self) -> None:
        self.words = self._wild = self._named = 0
        #: For a job's name, and for those that a pattern fits: the hosts; None in the place of a pattern: all.
        self._by_job: dict[str, _Hosts] = {}
        self._by_pattern: list[tuple[Optional[re.Pattern[str]], _Hosts]] = []
        #: job -> the hosts of all that fit it, found once.
        self._of_job: dict[str, tuple[_Hosts, ...]] = {}

    def __call__(self, job: str, host: str) -> bool:
        found = self._of_job.get(job)
        if found is None:
            fit = [hosts for pattern, hosts in self._by_pattern if pattern is None or pattern.match(job)]
            found = self._of_job[job] = tuple([self._by_job[job], *fit] if job in self._by_job else fit)
        return any(hosts.fits(host) for hosts in found)

    @staticmethod
    def everything(job: str, host: str) -> bool:
        """No word: all is meant."""
        return True

    def add(self, word: str) -> None:
        """One more."""
        self.words += 1
        if self.words > SELECTION.most:
            raise UserError(f"a selection has at most {SELECTION}: name jobs, or hosts as a range")
        if len(word) > MOST_LETTERS or unprintable(word) or any("\ud800" <= letter <= "\udfff" for letter in word):
            raise UserError(f"{shown(word)} can't be a selection: JOB@HOST has at most {MOST_LETTERS} characters")
        job, _, host = word.partition("@")
        if not job and not host:
            raise UserError(f"{word!r} selects nothing: write JOB, JOB@HOST or @HOST, for example 'readout@hlt[01-10]'")
        if "@" in word and not host:
            raise UserError(
                f"{word!r} names no host after the @: write {job!r} for all of its hosts (is a variable empty?)"
            )
        if any(mark in job for mark in "*?") and job != "*":
            hosts = _Hosts()
            self._by_pattern.append((self._pattern(job), hosts))
        elif job in ("", "*"):
            if not self._by_pattern or self._by_pattern[0][0] is not None:
                self._by_pattern.insert(0, (None, _Hosts()))
            hosts = self._by_pattern[0][1]
        else:
            hosts = self._by_job.setdefault(job, _Hosts())
        if not host or host == "*":
            hosts.all = True
        elif any(mark in host for mark in "*?"):
            hosts.patterns.append(self._pattern(host))
        elif "[" in host:
            try:
                names = expand(host, HOSTS.most - self._named)
            except JobError as error:
                raise UserError(str(error)) from error
            self._named += len(names)
            hosts.names.update(names)
        else:
            hosts.names.add(host)

    def _pattern(self, text: str) -> re.Pattern[str]:
        self._wild += 1
        if self._wild > WILDCARDS.most or sum(map(text.count, "*?")) > MOST_MARKS:
            raise UserError(
                f"a selection has at most {WILDCARDS}, and at most {MOST_MARKS} of these in each: name jobs, or hosts"
            )
        return compiled(text)


#: The longest word, and how often * and ? may be in one.
MOST_LETTERS, MOST_MARKS = 1000, 10


class _Hosts:
    """The hosts of a word, or of several for the same jobs."""

    __slots__ = ("_fit", "all", "names", "patterns")

    def __init__(self) -> None:
        self.all = False
        self.names: set[str] = set()
        self.patterns: list[re.Pattern[str]] = []
        self._fit: dict[str, bool] = {}

    def fits(self, host: str) -> bool:
        """Whether any of them means this host."""
        if self.all or host in self.names:
            return True
        if not self.patterns:
            return False
        found = self._fit.get(host)
        if found is None:
            found = self._fit[host] = any(pattern.match(host) for pattern in self.patterns)
        return found
