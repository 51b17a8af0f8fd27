"""What time alone leads to, and when that is next."""

from __future__ import annotations

import heapq

from daqsched.engine import (
    commands,
    control_steps,
    events,
    leases,
    namesake_steps,
    operator_commands,
    preflight_steps,
    proposal_steps,
    reconciling,
)
from daqsched.engine.farm import ASK_S, Farm, patience
from daqsched.engine.stop_order import LONGEST_S


def due(farm: Farm) -> float:
    """When `ticked` has something to do, at the latest; inf: never."""
    at = min(
        farm.reconciling.due,
        farm.preflights.due(),
        farm.rolling.due,
        leases.due(farm),
        control_steps.due(farm),
        proposal_steps.due(farm),
    )
    if farm.timers:
        at = min(at, farm.timers[0][0])
    if farm.connected:
        at = min(at, farm.namesakes.due)
    if farm.connected and any(farm.wants_offers):
        at = min(at, farm.demand.due(*farm.wants_offers))
    return at


def ticked(farm: Farm, event: events.Ticked, now: float) -> None:
    """Look at everything whose time has come."""
    preflight_steps.ticked(farm, now)
    leases.ticked(farm, now)
    control_steps.ticked(farm, now)
    proposal_steps.ticked(farm, now)
    namesake_steps.ticked(farm, now)
    reconciling.ticked(farm, now)
    asked = []
    while farm.timers and farm.timers[0][0] <= now:
        _, key = heapq.heappop(farm.timers)
        instance = farm.instances.get(key)
        if instance is None:
            continue
        task = instance.record.task
        farm.touch(key)
        farm.file_start(instance, now)
        if task is None:
            farm.settle(instance, now)
        elif task.killed and now >= task.killed + patience(instance):
            task.killed = now
            farm.out.append(commands.Kill(task.id, task.agent_id))
            farm.arm(now + patience(instance), instance)
        elif instance.ending and not task.killed:
            farm.ends.look(instance)
            farm.arm(now + LONGEST_S, instance)
        elif task.state == "launching" and now >= task.launched + ASK_S:
            asked.append((task.id, task.agent_id))
            farm.arm(now + ASK_S, instance)
        else:
            if task.report is not None and task.report.snoozed > now:
                farm.arm(task.report.snoozed, instance)  # the clock was set back, or the timer came early
            operator_commands.tell_hold(farm, instance, now)
            operator_commands.tell_rules(farm, instance, now)
    if asked and farm.connected:
        farm.out.append(commands.Reconcile(tuple(asked)))
