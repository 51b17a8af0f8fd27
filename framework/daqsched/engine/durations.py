"""How long programs take to end and to come up, as measured: what an outage is expected to last."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Optional

import msgspec

from daqsched.rollout import Key

#: How much of the mean a new measurement is.
WEIGHT = 0.3

#: A mean that has moved by less than this part of itself is not saved again.
MOVED = 0.25


class MeasuredDuration(msgspec.Struct, omit_defaults=True):
    """Of one job, in seconds, means over its hosts; -1: not measured yet."""

    end_s: float = -1.0
    start_s: float = -1.0


class MeasuredDurations:
    """By job."""

    def __init__(self, known: Optional[dict[str, MeasuredDuration]] = None) -> None:
        self.known = known or {}
        self._saved: dict[str, tuple[float, float]] = {}

    def started(self, job: str, seconds: float) -> bool:
        """From the launch until it was ready; whether that is worth a save."""
        duration = self.known.setdefault(job, MeasuredDuration())
        duration.start_s = _mean(duration.start_s, seconds)
        return self._moved(job, duration)

    def ended(self, job: str, seconds: float) -> bool:
        """From the order to end until it had ended; whether that is worth a save."""
        duration = self.known.setdefault(job, MeasuredDuration())
        duration.end_s = _mean(duration.end_s, seconds)
        return self._moved(job, duration)

    def _moved(self, job: str, duration: MeasuredDuration) -> bool:
        was, is_now = self._saved.get(job, (0.0, 0.0)), (duration.end_s, duration.start_s)
        if all(abs(a - b) <= MOVED * max(abs(a), 0.1) for a, b in zip(was, is_now)):
            return False
        self._saved[job] = is_now
        return True

    def away_s(self, keys: Iterable[Key], depth: dict[str, int]) -> float:
        """How long these are away when they change together: the slowest end, and the slowest start of each level that
        waits for the one before; -1 where one was never measured."""
        jobs = {job for job, _ in keys}
        durations = [self.known.get(job, MeasuredDuration()) for job in jobs]
        if any(duration.end_s < 0 or duration.start_s < 0 for duration in durations):
            return -1.0
        levels: dict[int, float] = {}
        for job, duration in zip(jobs, durations):
            levels[depth.get(job, 0)] = max(levels.get(depth.get(job, 0), 0.0), duration.start_s)
        return max((duration.end_s for duration in durations), default=0.0) + sum(levels.values())

    def takes_s(self, batches: Sequence[Sequence[Key]], ready_s: float, depth: dict[str, int]) -> float:
        """All of a rollout that nothing holds up."""
        each = [self.away_s(batch, depth) for batch in batches]
        return -1.0 if any(one < 0 for one in each) else sum(each) + ready_s * len(batches)


def _mean(old: float, new: float) -> float:
    return new if old < 0 else old + WEIGHT * (new - old)
