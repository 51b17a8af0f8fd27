"""Which instances are blocked: they wait for a job of which nothing more comes before a person does something."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Optional, cast

from daqsched.engine.engine import Engine
from daqsched.engine.instance import Instance, Key
from daqsched.engine.shown import state_of
from daqsched.states import Shown


def seen(engine: Engine, instance: Instance, now: float) -> Shown:
    """Its state as the engine found it at its last step: a look changes nothing, and is ahead of nothing."""
    return cast(Shown, instance.shown) if instance.shown else state_of(engine, instance, now)


class BlockedJobs:
    """For one look at many: each instance is worked out once, however many wait for it."""

    def __init__(self, engine: Engine, now: float) -> None:
        self._engine, self._now = engine, now
        #: Whether it does not come up by itself; without a host: one of the job's does not.
        self._never_up: dict[Key, bool] = {}

    def blocked(self, key: Key) -> bool:
        """Whether one that is WAITING comes after a job that has FAILED for good or was stopped, or that itself is blocked."""
        asked, open_ = [key], set[Key]()
        while asked:
            at = asked[-1]
            below = self._after(at) if at not in self._never_up else ()
            further = [one for one in below or () if one not in self._never_up and one not in open_]
            if (
                further and at not in open_
            ):  # else all below it is known, or goes round in a circle while a rollout is under way
                open_.add(at)
                asked += further
                continue
            if at not in self._never_up:
                dead = below is None
                self._never_up[at] = dead or any(self._never_up.get(one, False) for one in below or ())
            asked.pop()
        return self._never_up[key]

    def _after(self, key: Key) -> Optional[Sequence[Key]]:
        """Those without which this one does not start; None: it does not come up whatever they do."""
        name, host = key
        there = self._engine.order.desired.get(name, {})
        if not host:
            return [one.key for one in there.values()]
        instance = there.get(host)
        if instance is None or instance.up:  # also one that did what it should, and was stopped after that
            return ()
        state = seen(self._engine, instance, self._now)
        if state in ("FAILED", "STOPPED"):
            return None
        if state != "WAITING" or instance.job is None:
            return ()
        desired = self._engine.order.desired
        return [(other, host if host in desired.get(other, {}) else "") for other in instance.job.after]
