"""The master comes and goes, and is asked what it knows of tasks: of all when it takes us, of a part every now and then, of those
that are silent."""

from __future__ import annotations

from daqsched.engine import commands, events
from daqsched.engine.farm import CONFIRM_CAP_S, CONFIRM_S, RECONCILE_S, RECONCILE_SOME, SILENCE_S, Farm


def registered(farm: Farm, event: events.Registered, now: float) -> None:
    """It has taken us (again)."""
    farm.connected, farm.master, farm.registered_at = True, event.master, now
    farm.demand.registered(*farm.wants_offers)
    if event.framework_id != farm.framework_id:
        farm.framework_id = event.framework_id
        farm.out.append(commands.SaveFrameworkId(event.framework_id))
    farm.note(f"registered with {event.master} as {event.framework_id}")
    all_tasks(farm, now)
    farm.confirm_at, farm.confirm_gap, farm.doubt_at = now + CONFIRM_S, CONFIRM_S, now + SILENCE_S
    for instance in farm.by_task.values():
        if instance.shown == "UNKNOWN":
            farm.touch(instance.key)
        if instance.task.killed:
            farm.out.append(commands.Kill(instance.task.id, instance.task.agent_id))


def disconnected(farm: Farm, event: events.Disconnected, now: float) -> None:
    """Nobody listens to us."""
    if farm.connected:
        farm.note(f"lost the connection to {farm.master}; running jobs go on")
    farm.connected = False
    farm.reconcile_at = farm.confirm_at = float("inf")


def all_tasks(farm: Farm, now: float) -> None:
    """Ask about all tasks, those that we know and those that we might not."""
    farm.reconcile_at = now + RECONCILE_S
    farm.unasked = []
    known = tuple((instance.task.id, instance.task.agent_id) for instance in farm.by_task.values())
    if known:
        farm.out.append(commands.Reconcile(known))
    farm.out.append(commands.Reconcile(()))
    farm.silent = {}
    for instance in farm.by_task.values():
        farm.silent.setdefault(instance.host, []).append(instance.task.id)


def neighbours(farm: Farm, host: str) -> None:
    """Somebody speaks of the host who was not asked: its agent is back at the master, which can say by now what it knows of
    those there that nobody has confirmed, and says it to nobody who does not ask."""
    known = [farm.by_task[task_id].task for task_id in farm.silent.pop(host, ()) if task_id in farm.by_task]
    silent = tuple((task.id, task.agent_id) for task in known if task.confirmed < farm.registered_at)
    if silent:
        farm.out.append(commands.Reconcile(silent))


def some_tasks(farm: Farm, now: float) -> None:
    """Ask about the next tasks, so that all have had their turn after `RECONCILE_S` and no step is long; with the first
    of them, about those that we might not know."""
    if not farm.unasked:
        farm.unasked = list(farm.by_task)
        farm.out.append(commands.Reconcile(()))
    turns = -(-len(farm.by_task) // RECONCILE_SOME) or 1
    some = [farm.by_task[task_id].task for task_id in farm.unasked[-RECONCILE_SOME:] if task_id in farm.by_task]
    del farm.unasked[-RECONCILE_SOME:]
    farm.reconcile_at = now + RECONCILE_S / turns
    if some:
        farm.out.append(commands.Reconcile(tuple((task.id, task.agent_id) for task in some)))


def silent_tasks(farm: Farm, now: float) -> None:
    """Ask about the tasks that nobody has spoken of since the master took us, if there are any."""
    silent = [
        (task.id, task.agent_id)
        for task in (instance.task for instance in farm.by_task.values())
        if task.confirmed < farm.registered_at
    ]
    farm.confirm_gap = min(CONFIRM_CAP_S, farm.confirm_gap * 2)
    farm.confirm_at = now + farm.confirm_gap if silent else float("inf")
    if silent:
        farm.out.append(commands.Reconcile(tuple(silent)))
