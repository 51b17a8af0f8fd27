"""What operators ask of running executors, and the part of it that is the scheduler's own."""

from __future__ import annotations

from daqsched import commands, events
from daqsched.engine.farm import Farm


def given(farm: Farm, event: events.Ordered, now: float) -> None:
    """To every executor that is meant and lives; where a start is asked for and none lives, our own back-off is over."""
    order = event.order
    for key in event.keys:
        instance = farm.instances.get(key)
        if instance is None or instance.job is None:
            continue
        record = instance.record
        if record.task is not None:
            if not record.task.killed:
                farm.out.append(commands.Send(record.task.id, record.task.agent_id, order))
        elif order.kind == "retry" and instance.startable:
            record.failures, record.due = 0, 0.0
            farm.dirty[key] = None
            farm.settle(instance, now)
    what = f"{order.kind} {order.name}".rstrip()
    why = f": {order.message}" if order.message else ""
    farm.note(f"{what} asked for by {order.user} of {len(event.keys)} jobs{why}")
