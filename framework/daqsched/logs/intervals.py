"""Intervals of time as the clock on the wall has them: days begin at local midnight, also where clocks are changed. Pure.

Intervals that are shorter than `SHORTEST_S` begin where they do everywhere: no zone is off by less.
"""

from __future__ import annotations

import bisect
import datetime
import math
from typing import NamedTuple, Optional

#: The zones of the world differ by multiples of this.
SHORTEST_S = 900.0

_DAY_S = 86400.0

Zone = Optional[datetime.tzinfo]


class Interval(NamedTuple):
    """A time within which clocks are not changed; None: no bound. ``offset_s`` is what local time is ahead of UTC."""

    begin: Optional[float]
    end: Optional[float]
    offset_s: float


def offset_s(moment: float, zone: Zone = None) -> float:
    """By how much local time (None), or that of a zone, is ahead of UTC."""
    try:
        here = datetime.datetime.fromtimestamp(moment, zone)
        offset = (here if zone else here.astimezone()).utcoffset()
    except (ValueError, OverflowError, OSError):  # a year that no calendar has
        return 0.0
    return offset.total_seconds() if offset else 0.0


def start(moment: float, every_s: float, zone: Zone = None) -> float:
    """When the interval begins that a moment lies in."""
    if every_s < SHORTEST_S:
        return math.floor(moment / every_s) * every_s
    offset = offset_s(moment, zone)
    local = math.floor((moment + offset) / every_s) * every_s
    then = offset_s(local - offset, zone)
    return local - then


def stretches(
    begin: Optional[float], end: Optional[float], every_s: float, now: float, zone: Zone = None
) -> list[Interval]:
    """A time in pieces within which intervals of so many seconds are all equally long."""
    if every_s < SHORTEST_S:
        return [Interval(begin, end, 0.0)]
    if begin is None or end is None or begin >= end:
        return [Interval(begin, end, offset_s(now if begin is None else begin, zone))]
    found: list[Interval] = []
    at, offset = begin, offset_s(begin, zone)
    while True:
        # clocks are changed less often than weekly
        next_at = at
        while next_at < end and offset_s(next_at, zone) == offset:
            next_at += 7 * _DAY_S
        if next_at >= end and offset_s(end, zone) == offset:
            return [*found, Interval(at, end, offset)]
        low, high = max(at, next_at - 7 * _DAY_S), min(next_at, end)
        while high - low > 1:
            middle = math.floor((low + high) / 2)
            low, high = (middle, high) if offset_s(middle, zone) == offset else (low, middle)
        high = float(math.floor(high))
        found.append(Interval(at, high, offset))
        if high >= end:
            return found
        at, offset = high, offset_s(high, zone)


class Columns:
    """A time in columns of a map: ``room`` at most, each one interval or several of them."""

    def __init__(self, begin: float, end: float, every_s: float, room: int, zone: Zone = None) -> None:
        first = start(begin, every_s, zone)
        shift = offset_s(first, zone)
        local = every_s >= SHORTEST_S
        length = end - first + ((offset_s(end, zone) - shift) if local else 0.0)
        intervals = max(1, math.ceil(round(length / every_s, 6)))
        #: How long each is.
        self.step_s = math.ceil(intervals / room) * every_s
        count = math.ceil(intervals * every_s / self.step_s)
        #: When each begins.
        self.starts = [first + at * self.step_s for at in range(count)]
        if local and self.step_s > 3600.0:
            self.starts = [one + shift - offset_s(one, zone) for one in self.starts]

    def __len__(self) -> int:
        return len(self.starts)

    def at(self, moment: float) -> Optional[int]:
        """The column of a moment; None: it lies before or behind all."""
        # half a millisecond for what binary fractions lack
        found = bisect.bisect_right(self.starts, moment + 5e-4) - 1
        return found if found >= 0 and moment < self.starts[-1] + self.step_s + 3600.0 else None
