"""How many running programs a request may end before whoever asks has to say that it is meant. Pure: the engine asks.

Counted is what ends at once: what a request stops, and what it starts anew before anything of that was seen to run. So of a
rollout it is the first batch, for the others begin only when those before are ready and stay so.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from math import ceil
from typing import Callable, Optional

import msgspec

from daqsched.errors import JobError, Refused
from daqsched.hosts import fold
from daqsched.limits import INSTANCES, some, whole

Key = tuple[str, str]

#: A share stands for at least so many programs: in a small farm a third is soon reached.
LEAST = 5

#: As many as there may be: whoever says so means any number.
ALL = int(INSTANCES.most)


class EndLimit(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """What `Confirm(...)` of a job file says: more programs than this are not ended unless that is meant."""

    #: So many.
    programs: int = 20
    #: And of those that run so many percent, where that is less; at least `LEAST`.
    share: str = "33%"

    def most(self, running: int) -> int:
        """The most of so many running programs that a request ends unasked.

        >>> [EndLimit().most(running) for running in (3, 15, 30, 60, 1000)]
        [5, 5, 10, 20, 20]
        """
        return min(self.programs, max(LEAST, ceil(running * float(self.share[:-1]) / 100)))


def check(limit: EndLimit) -> None:
    """Raise `JobError` with the field for a value that can't be."""
    if limit.programs < 0:
        raise JobError(f"must be 0 or more, not {limit.programs}", "programs")
    share = limit.share
    if not re.fullmatch(r"[0-9]{1,3}(\.[0-9]{1,6})?%", share) or float(share[:-1]) > 100:
        raise JobError(f"{share!r} is not a share: for example '33%', at most '100%'", "share")


def parse(text: str) -> EndLimit:
    """``20,33%``, ``20`` or ``33%``; what is not said is no limit. Raises `JobError`."""
    programs, share = ALL, "100%"
    for word in text.split(","):
        number = whole(word.strip())
        if number is None:
            share = word.strip()
        else:
            programs = number
    limit = EndLimit(programs=min(programs, ALL), share=share)
    check(limit)
    return limit


class EndCount(msgspec.Struct, frozen=True):
    """How many running programs a request ends at once, and how many may end unasked."""

    #: So many, of so many that run; of 0: that is not for who asks to see, nor the bounds.
    stops: int
    running: int
    #: The most that ends unasked, and the bound that this comes of: of several the least.
    unasked: int
    programs: int
    share: str

    def unsized(self) -> EndCount:
        """As it is told to whoever does not see all of the farm: not of how many."""
        return EndCount(self.stops, 0, self.stops - 1 if self.asks else self.stops, 0, "")

    @property
    def asks(self) -> bool:
        """Whether whoever asks has to say that it is meant."""
        return self.stops > self.unasked

    def words(self) -> str:
        """``this ends 12 of 30 running programs at once, and more than 10 (20, or 33% of them) are asked about``."""
        what = f"this ends {_of(self.stops, self.running)} at once, and "
        most = (
            f"more than {self.unasked} ({self.programs}, or {self.share} of them) are"
            if self.running
            else "so many are"
        )
        return f"{what}{most} asked about: without a terminal give --stops {self.stops}, or --yes"


def counted(stops: int, running: int, limits: Iterable[EndLimit]) -> EndCount:
    """So many of those that run, by the least of these bounds."""
    least = min(limits, key=lambda limit: limit.most(running))
    return EndCount(stops, running, least.most(running), least.programs, least.share)


def _of(stops: int, running: int) -> str:
    return f"{stops} of {running} running programs" if running else f"{stops} of the running programs"


class Ending(msgspec.Struct, frozen=True):
    """Programs of one job that a request ends at once."""

    job: str
    #: In short: ``hlt[01-10]``.
    hosts: str
    count: int
    #: Whether they are started anew.
    again: bool = False

    def words(self) -> str:
        """``10 of readout on hlt[01-10], started anew``."""
        return f"{self.count} of {self.job} on {self.hosts}{', started anew' if self.again else ''}"


class NotConfirmed(Refused):
    """More would end than whoever asks has agreed to, or than may end unasked; or what is somebody else's."""

    def __init__(
        self, sentence: str, stops: int, running: int, endings: Sequence[Ending] = (), paused: str = ""
    ) -> None:
        super().__init__(sentence)
        #: The number to agree to, of so many; 0: that is not for who asks to see.
        self.stops, self.running = stops, running
        self.endings = tuple(endings)
        #: What would end of somebody else's, a paused rollout or what is run by hand, as a sentence; empty: nothing.
        self.paused = paused

    def unsized(self, shown: Callable[[str], bool]) -> NotConfirmed:
        """As it is told to whoever does not see all of the farm, but the jobs that are ``shown``: not of how many."""
        sentence = str(self).replace(_of(self.stops, self.running), _of(self.stops, 0))
        return NotConfirmed(sentence, self.stops, 0, [one for one in self.endings if shown(one.job)], self.paused)


def refusal(
    stops: Optional[int],
    most: int,
    running: int,
    ended: Sequence[Key],
    renewed: Sequence[Key],
    besides: str = "",
) -> Optional[NotConfirmed]:
    """Why a request does not end these at once, and start anew the ``renewed``; None: it may.

    ``stops`` is what whoever asks has said, None where nothing; ``most`` what is ended unasked, of so many that are ``running``;
    ``besides`` the sentence of what it ends besides, which is asked about whatever the number is.
    """
    count = len(ended) + len(renewed)
    if count <= (most if stops is None else stops):
        if stops is not None or not besides:
            return None
        return NotConfirmed(f"not done: {besides}; if that is meant, give --yes", count, running, paused=besides)
    groups = [*_grouped(ended, False), *_grouped(renewed, True)]
    words = some([group.words() for group in groups], "; ", 300)
    more = "" if stops is None else f", more than the {stops} agreed to"
    also = f"{besides}; and " if besides and stops is None else ""
    sentence = (
        f"not done: {also}this ends {_of(count, running)} at once{more} ({words}): if that is meant, give "
        f"--stops {count}, or --yes"
    )
    return NotConfirmed(sentence, count, running, groups, besides if also else "")


def _grouped(keys: Iterable[Key], again: bool) -> Iterable[Ending]:
    jobs: dict[str, list[str]] = {}
    for job, host in keys:
        jobs.setdefault(job, []).append(host)
    for job, hosts in sorted(jobs.items()):
        yield Ending(job, fold(hosts), len(hosts), again)
