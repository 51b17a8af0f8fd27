"""Deaths that are alike, over all hosts, as one incident: the same signal or exit code, after the same last line.

"Does this fail here, or everywhere?" and "since which change?" are what a crew asks first. Pure: the engine tells of
deaths, and who looks asks. The table is bounded; what is not there any more is in the logs.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Optional

import msgspec

from daqsched_executor.contract import NOT_STARTED, Exit
from daqsched_executor.contract.fingerprint import fingerprint

#: An incident is over when nothing died of it for so long; the next death of the kind is a new one.
QUIET_S = 3600.0

#: So many are kept, the latest.
MOST = 200

#: What an executor says besides of a path that is missing.
_AGAIN = re.compile(r"(?:; t| T)rying again every ")

#: How many hosts of each are kept by name.
MOST_HOSTS = 1000


class Incident(msgspec.Struct):
    """Deaths that are alike."""

    #: ``killed by SIGSEGV``, ``exit code 3``, or why we ended it.
    how: str
    #: The last line that the first of them printed; what is said of it by others, where it is not `printed`.
    line: str
    first: float
    last: float
    count: int
    jobs: list[str]
    hosts: list[str]
    #: The last revision that had changed the job when it began, and when that was applied: 0 where that is not known.
    revision: int
    applied: float
    #: The programs' version when it began.
    release: str
    #: It may have begun before this daemon, which knows its last death alone, or the last of each instance.
    earlier: bool = False
    #: False: the line is why it could not be started or was ended, in our words or Mesos'.
    printed: bool = True


class Incidents:
    """See the module."""

    def __init__(self) -> None:
        self._by_key: dict[tuple[str, str], Incident] = {}

    def known(self) -> list[Incident]:
        """The latest first."""
        return sorted(self._by_key.values(), key=lambda one: -one.last)

    def add(
        self,
        job: str,
        host: str,
        end: Exit,
        now: float,
        revision: int = 0,
        applied: float = 0.0,
        release: str = "",
        earlier: bool = False,
    ) -> Incident:
        """One more death; returns what it belongs to."""
        key = _key(job, end)
        found = self._by_key.pop(key, None)
        if found is None or now - found.last > QUIET_S:
            line = _last_line(end)
            found = Incident(_how(end), line, now, now, 0, [], [], revision, applied, release, earlier, is_printed(end))
            while len(self._by_key) >= MOST:
                del self._by_key[next(iter(self._by_key))]
        # the one that died last is the last one in the table
        self._by_key[key] = found
        found.last, found.count = max(found.last, now), found.count + 1
        if job not in found.jobs:
            found.jobs.append(job)
        if host not in found.hosts and len(found.hosts) < MOST_HOSTS:
            found.hosts.append(host)
        return found

    def of(self, job: str, end: Exit) -> Optional[Incident]:
        """What a death belongs to; None: it was too long ago."""
        return self._by_key.get(_key(job, end))


def is_death(end: Exit, success_codes: Collection[int]) -> bool:
    """Whether nobody asked for that end of a program, and it is no success, which none is that has a reason or went to the
    background."""
    return not end.by_hand and (bool(end.why) or end.in_background or end.code not in success_codes)


def is_printed(end: Exit) -> bool:
    """Whether the program printed its last lines. Executors before the field `Exit.printed` put a reason there, too."""
    return end.printed and end.why != NOT_STARTED


def no_start(said: str, now: float) -> Exit:
    """A start that failed, or waits, for what is said of it."""
    why = _AGAIN.split(said, maxsplit=1)[0]
    return Exit(now, 0.0, code=127, why=NOT_STARTED, lines=(why,), printed=False)


def _key(job: str, end: Exit) -> tuple[str, str]:
    line = _last_line(end)
    # without a word of the program only its own kind is alike
    return _how(end), fingerprint(line.encode()) if line else f"job {job}"


def _how(end: Exit) -> str:
    if end.why:
        return end.why.partition(":")[0]
    if end.out_of_memory:
        return "out of memory"
    if end.in_background:
        return "went to the background"
    return f"exit code {end.code}" if end.signal is None else f"killed by {end.signal}"


def _last_line(end: Exit) -> str:
    return next((line for line in reversed(end.lines) if line.strip()), "")
