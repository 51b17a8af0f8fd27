"""The clock set back: what was due in ten seconds is still due in ten seconds, and nothing waits for an hour to come again.

All that the engine remembers of moments moves with the clock. What it reads out of the store may have been written by a clock
that went differently: nothing of that lies further ahead than it could.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import msgspec

from daqsched.control import MOST_S
from daqsched.engine import commands, job_owners
from daqsched.engine.backoff import CAP_S
from daqsched.engine.commands import ASIDE, CONTROL, HOLDS, PROPOSALS, ROLLOUT
from daqsched.engine.farm import Farm
from daqsched.engine.instance import Instance
from daqsched.proposals import KEPT_S, Proposals
from daqsched.task import Hold

#: So far back is no more than the unevenness of a clock that is kept right.
TOLERANCE_S = 1.0


def set_back(farm: Farm, by: float) -> None:
    """The clock shows ``by`` seconds less than it should: move everything that was remembered of it."""
    farm.note(f"the clock was set back by {by:.0f} s; what was due stays due after as long as before")
    farm.out += [commands.SaveDocument(name) for name in (ASIDE, ROLLOUT)]
    job_owners.set_back(farm)
    farm.registered_at -= by
    farm.reconciling.set_back(by)
    farm.demand.set_back(by)
    farm.starts.set_back(by)
    farm.namesakes.set_back(by)
    farm.seen = {host: at - by for host, at in farm.seen.items()}
    farm.timers = [(at - by, key) for at, key in farm.timers]  # still a heap
    farm.aside = {
        host: msgspec.structs.replace(one, at=one.at - by, until=one.until - by) for host, one in farm.aside.items()
    }
    if farm.controls:
        farm.controls = {
            part: msgspec.structs.replace(one, since=one.since - by, until=one.until - by)
            for part, one in farm.controls.items()
        }
        farm.out.append(commands.SaveDocument(CONTROL))
    if farm.proposals.waiting:
        farm.proposals = _proposals(farm, lambda at: at - by)
        farm.out.append(commands.SaveDocument(PROPOSALS))
    if farm.holds:
        farm.holds = {key: _made(one, one.at - by) for key, one in farm.holds.items()}
        farm.out.append(commands.SaveDocument(HOLDS))
    for preflight in farm.preflights.made.values():
        preflight.began -= by
        preflight.until -= by
    rolling = farm.rolling
    rolling.due -= by
    rolling.asked = earlier(rolling.asked, by)
    if rolling.rollout is not None:
        for name in ("began", "changed", "batch_began", "ready_since", "ended"):
            setattr(rolling.rollout, name, earlier(getattr(rolling.rollout, name), by))
    farm.began -= by
    for incident in farm.incidents.known():
        incident.first, incident.last, incident.applied = incident.first - by, incident.last - by, incident.applied - by
    for instance in farm.instances.values():
        farm.touch(instance.key)
        _set_back(farm, instance, by)


def _set_back(farm: Farm, instance: Instance, by: float) -> None:
    record, task = instance.record, instance.record.task
    instance.ending = earlier(instance.ending, by)
    if instance.key in farm.reminders:
        reminders = farm.reminders[instance.key]
        reminders.hold_due = reminders.rules_due = 0.0
    record.ended_at = earlier(record.ended_at, by)
    if task is not None:
        task.launched, task.since, task.heard = task.launched - by, task.since - by, task.heard - by
        task.killed = earlier(task.killed, by)
    if record.since or record.due or record.hold or record.snoozes:
        farm.dirty[instance.key] = None
    record.since = earlier(record.since, by)
    if record.due:
        record.due = earlier(record.due, by)
        if record.due > farm.last - by:  # by rounding, what was just over may be about to be over
            farm.arm(record.due, instance)
    if record.hold is not None:
        record.hold = _made(record.hold, record.hold.at - by)
    if record.snoozes:
        record.snoozes = {name: replace(one, until=one.until - by) for name, one in record.snoozes.items()}


def _proposals(farm: Farm, moved: Callable[[float], float]) -> Proposals:
    waiting = (
        msgspec.structs.replace(one, time=moved(one.time), until=moved(one.until)) for one in farm.proposals.waiting
    )
    return msgspec.structs.replace(farm.proposals, waiting=tuple(waiting))


def earlier(at: float, by: float) -> float:
    """A moment by a clock that shows so much less: 0 is none and stays so, and no moment becomes none."""
    return (at - by or -TOLERANCE_S) if at else 0.0


def _made(hold: Hold, at: float) -> Hold:
    return msgspec.structs.replace(hold, at=at)


def read_back(farm: Farm, now: float) -> None:
    """Of what the store gave nothing lies further ahead than it could; what was before something else still is."""
    past = _Past(farm, now)
    farm.aside = {
        host: one if one.at <= now else msgspec.structs.replace(one, at=past(one.at), until=now + one.until - one.at)
        for host, one in farm.aside.items()
    }
    farm.controls = {
        part: msgspec.structs.replace(
            one, since=past(one.since), until=min(one.until - max(0.0, one.since - now), now + MOST_S)
        )
        for part, one in farm.controls.items()
    }
    farm.proposals = _proposals(farm, lambda at: min(at, now + KEPT_S))
    farm.holds = {key: _made(one, past(one.at)) for key, one in farm.holds.items()}
    rollout = farm.rolling.rollout
    if rollout is not None:
        for name in ("began", "changed", "batch_began", "ready_since"):
            setattr(rollout, name, past(getattr(rollout, name)))
    for instance in farm.instances.values():
        record, task = instance.record, instance.record.task
        if record.due > now + CAP_S:
            record.due = now + CAP_S
            farm.dirty[instance.key] = None
        if record.hold is not None and record.hold.at > now:
            record.hold = _made(record.hold, past(record.hold.at))
            farm.dirty[instance.key] = None
        record.ended_at, record.since = past(record.ended_at), past(record.since)
        instance.ending = past(instance.ending)
        if task is not None:
            task.launched, task.since = past(task.launched), past(task.since)
            task.heard, task.killed = past(task.heard), past(task.killed)
    farm.timers = sorted((min(at, now + CAP_S), key) for at, key in farm.timers)


class _Past:
    """Where moments that are over lie by a clock that shows less: those ahead of it come to lie in the second before now, in
    their order. None of them is now, which is after all of them: a registration in this step, say."""

    def __init__(self, farm: Farm, now: float) -> None:
        self._now = now
        rollout = farm.rolling.rollout
        known = [] if rollout is None else [rollout.began, rollout.changed, rollout.batch_began, rollout.ready_since]
        known += [one.at for one in farm.aside.values()] + [one.at for one in farm.holds.values()]
        known += [one.since for one in farm.controls.values()]
        for instance in farm.instances.values():
            record, task = instance.record, instance.record.task
            known += [record.ended_at, record.since, instance.ending]
            known += [record.hold.at] if record.hold is not None else []
            known += [task.launched, task.since, task.heard, task.killed] if task is not None else []
        self._ahead = max(known, default=now) - now

    def __call__(self, at: float) -> float:
        if at <= self._now:
            return at
        return self._now - TOLERANCE_S * (1.0 - (at - self._now) / (2 * self._ahead))
