"""How a sentence names a time: from now on to whoever looks, by the clock in what is kept and read at another time."""

from __future__ import annotations

from datetime import timezone
from math import inf
from typing import NamedTuple

from daqsched.times import clock
from daqsched_executor.contract import duration


class TimeFormat(NamedTuple):
    """For a sentence that is made now. An ``absolute`` one is the same whenever it is made."""

    now: float
    absolute: bool = False

    def ago(self, then: float) -> str:
        """``7.5 s ago``, ``at 2026-11-23 14:03:07 UTC``."""
        return f"at {_clock(then)}" if self.absolute else f"{self._passed(then)} ago"

    def since(self, then: float) -> str:
        """``for 31 s``, ``since 2026-11-23 14:03:07 UTC``."""
        return f"since {_clock(then)}" if self.absolute else f"for {self._passed(then)}"

    def at(self, then: float) -> str:
        """``in 3.1 s``, ``at 2026-11-23 14:03:07 UTC``."""
        return f"at {_clock(then)}" if self.absolute else f"in {self._left(then)}"

    def until(self, then: float) -> str:
        """``for 59 min more``, ``until 2026-11-23 14:03:07 UTC``."""
        return f"until {_clock(then)}" if self.absolute else f"for {self._left(then)} more"

    def stretch(self, begin: float, end: float) -> str:
        """`` in 5 min, for 2 h``, `` for 1 h more``; absolute `` from 2026-11-23 14:00:00 UTC, until`` when. An end may be inf."""
        endless, begun = end == inf, begin <= self.now
        if self.absolute:
            when = "" if begun else f" from {_clock(begin)},"
            return f"{when}{'' if endless else f' {self.until(end)}'}".removesuffix(",")
        when = "" if begun else f" in {self._left(begin)},"
        long = "" if endless else f" for {duration(end - max(self.now, begin))}{' more' if begun else ''}"
        return f"{when}{long}".removesuffix(",")

    def _passed(self, then: float) -> str:
        return duration(max(0.0, self.now - then))

    def _left(self, then: float) -> str:
        return duration(max(0.0, then - self.now))


def _clock(then: float) -> str:
    # of one zone, whoever reads it, and wherever
    return clock(then, timezone.utc)
