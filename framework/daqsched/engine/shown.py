"""The state of an instance as people see it: its name, and since when (`reasons` says why).

The names belong to the core: the engine gives each instance one after every step that touched it (`Instance.shown`) and says
what changed (`changes`). Whoever looks is shown that one; the reason is made when it is asked for. What time alone changes
comes by a timer of the engine's, so that no look is ahead of it.
"""

from __future__ import annotations

from daqsched.engine.farm import Farm
from daqsched.engine.instance import Instance
from daqsched.engine.reconciling_state import SILENCE_S
from daqsched.states import Shown

#: The states of which the record keeps since when: nothing else in it says so, or not of every way into them.
KEPT: frozenset[Shown] = frozenset({"WAITING", "BACKOFF", "STOPPING", "UNHEALTHY", "UNKNOWN", "FAILED", "FINISHED"})


def state_of(farm: Farm, instance: Instance, now: float) -> Shown:
    """What it is at ``now``; for `Engine.handle`, others look at `Instance.shown`."""
    record, task = instance.record, instance.record.task
    if task is None:
        if record.hold is not None:
            return "STOPPED"
        if instance.aside and instance.job is not None:
            return "ASIDE"
        if record.unread:
            return "UNKNOWN"
        if record.done:
            return "FINISHED" if record.succeeded else "FAILED"
        return "BACKOFF" if record.due > now else "WAITING"
    if task.state == "unreachable":
        return "UNREACHABLE"
    if task.state == "unknown" or (task.confirmed < farm.registered_at and now - farm.registered_at >= SILENCE_S):
        return "UNKNOWN"
    if instance.ending:
        return "STOPPING"
    report = task.report
    if report is not None and report.activity == "backoff":
        return "BACKOFF"
    if task.state != "running":
        return "STARTING"
    return "UNHEALTHY" if report is not None and report.healthy is False and report.snoozed <= now else "RUNNING"


def since_of(farm: Farm, instance: Instance, state: Shown) -> float:
    """When it came into this state, which is the one that it is in; 0: nobody knows, as of what an older daemon wrote."""
    record, task = instance.record, instance.record.task
    if state == "STOPPED" and record.hold is not None:
        return record.hold.at
    if state == "ASIDE" and instance.host in farm.aside:
        return farm.aside[instance.host].at
    if state == "WAITING":  # a back-off may have ended while no daemon ran
        return max(filter(None, (record.since, record.due)), default=0.0)
    if state in KEPT and record.since:
        return record.since
    if task is None:
        return record.ended_at if state != "UNKNOWN" else 0.0
    if state == "STARTING":
        return task.launched
    if state == "UNREACHABLE" or (state == "UNKNOWN" and task.state == "unknown"):
        return task.since
    report = task.report
    if state == "RUNNING":
        return (report.since if report is not None else 0.0) or task.since
    return report.last_exit.at if state == "BACKOFF" and report is not None and report.last_exit is not None else 0.0


def keep_since(farm: Farm, instance: Instance, state: Shown, now: float) -> None:
    """It comes into this state: what a new daemon can't find out from the rest of the record is kept in it."""
    record, task = instance.record, instance.record.task
    if state == "WAITING" and instance.shown == "BACKOFF" and record.due:
        return  # the back-off is over, which the record says
    record.since = now if state in KEPT else 0.0
    # of what is new, and of a silent task, which a new daemon doubts anew, there may be as many as tasks: not worth a save
    silent = state == "UNKNOWN" and task is not None and task.state != "unknown"
    if record.since and instance.shown and not silent:
        farm.dirty[instance.key] = None
