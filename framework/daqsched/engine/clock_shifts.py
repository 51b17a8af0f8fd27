"""The clock set back: what was due in ten seconds is still due in ten seconds, and nothing waits for an hour to come again.

All that the engine remembers of moments moves with the clock. What it reads out of the store may have been written by a clock
that went differently: nothing of that lies further ahead than it could.
"""

from __future__ import annotations

from typing import Optional

from daqsched.engine import commands
from daqsched.engine.backoff import CAP_S
from daqsched.engine.farm import ASIDE, ROLLOUT, Farm
from daqsched.task import Aside, Task

#: So far back is no more than the unevenness of a clock that is kept right.
TOLERANCE_S = 1.0


def set_back(farm: Farm, by: float) -> None:
    """The clock shows ``by`` seconds less than it should: move everything that was remembered of it."""
    farm.note(f"the clock was set back by {by:.0f} s; what was due stays due after as long as before")
    farm.out += [commands.SaveDocument(name) for name in (ASIDE, ROLLOUT)]
    farm.registered_at -= by
    farm.reconcile_at -= by
    farm.confirm_at -= by
    farm.doubt_at -= by
    farm.demand.set_back(by)
    farm.starts.set_back(by)
    farm.namesakes.set_back(by)
    farm.seen = {host: at - by for host, at in farm.seen.items()}
    farm.timers = [(at - by, key) for at, key in farm.timers]  # still a heap
    farm.aside = {host: Aside(one.user, one.at - by, one.until - by, one.message) for host, one in farm.aside.items()}
    for preflight in farm.preflights.made.values():
        preflight.began -= by
        preflight.until -= by
    rolling = farm.rolling
    rolling.due -= by
    rolling.asked -= by if rolling.asked else 0.0
    if rolling.rollout is not None:
        for name in ("began", "changed", "batch_began", "ready_since", "ended"):
            at = getattr(rolling.rollout, name)
            setattr(rolling.rollout, name, at - by if at else 0.0)
    for incident in farm.incidents.known():
        incident.first, incident.last, incident.applied = incident.first - by, incident.last - by, incident.applied - by
    for instance in farm.instances.values():
        farm.touch(instance.key)
        instance.ending -= by if instance.ending else 0.0
        instance.hold_due = 0.0
        record = instance.record
        if record.since:
            record.since -= by
            farm.dirty[instance.key] = None
        record.ended_at -= by if record.ended_at else 0.0
        if record.due:
            record.due -= by
            if record.due > farm.last - by:  # by rounding, what was just over may be about to be over
                farm.arm(record.due, instance)
            farm.dirty[instance.key] = None
        if record.task is not None:
            task = record.task
            task.launched, task.since, task.heard = task.launched - by, task.since - by, task.heard - by
            task.killed -= by if task.killed else 0.0


def read_back(farm: Farm, now: float) -> None:
    """Of what the store gave nothing lies further ahead than it could."""
    farm.aside = {
        host: one if one.at <= now else Aside(one.user, now, one.until - (one.at - now), one.message)
        for host, one in farm.aside.items()
    }
    rollout = farm.rolling.rollout
    if rollout is not None:
        for name in ("began", "changed", "batch_began", "ready_since"):
            setattr(rollout, name, min(getattr(rollout, name), now))
    for instance in farm.instances.values():
        if instance.record.due > now + CAP_S:
            instance.record.due = now + CAP_S
            farm.dirty[instance.key] = None
        instance.record.ended_at = min(instance.record.ended_at, now)
        instance.record.since = min(instance.record.since, now)
        _read_back(instance.record.task, now)
        instance.ending = min(instance.ending, now)
    farm.timers = sorted((min(at, now + CAP_S), key) for at, key in farm.timers)


def _read_back(task: Optional[Task], now: float) -> None:
    if task is not None:
        task.launched, task.since = min(task.launched, now), min(task.since, now)
        task.heard, task.killed = min(task.heard, now), min(task.killed, now)
