"""The master comes and goes, and is asked what it knows of tasks: of all when it takes us, of a part every now and then, of those
that are silent."""

from __future__ import annotations

from daqsched.engine import commands, events
from daqsched.engine.farm import Farm
from daqsched.engine.reconciling_state import CONFIRM_CAP_S, RECONCILE_S, RECONCILE_SOME


def registered(farm: Farm, event: events.Registered, now: float) -> None:
    """It has taken us (again)."""
    farm.connected, farm.master, farm.registered_at = True, event.master, now
    farm.demand.registered(*farm.wants_offers)
    if event.framework_id != farm.framework_id:
        farm.framework_id = event.framework_id
        farm.out.append(commands.SaveFrameworkId(event.framework_id))
    farm.note(f"registered with {event.master} as {event.framework_id}")
    all_tasks(farm, now)
    farm.reconciling.registered(now)
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
    farm.reconciling.disconnected()


def ticked(farm: Farm, now: float) -> None:
    """Ask about those whose turn it is; those are in doubt by now of whom the master has said nothing."""
    asking = farm.reconciling
    if now >= asking.turn_at:
        some_tasks(farm, now)
    if now >= asking.confirm_at:
        silent_tasks(farm, now)
    if now >= asking.doubt_at:
        asking.doubt_at = float("inf")
        for one in farm.by_task.values():
            if one.task.confirmed < farm.registered_at:
                farm.touched[one.key] = "no message from the master"


def all_tasks(farm: Farm, now: float) -> None:
    """Ask about all tasks, those that we know and those that we might not."""
    asking = farm.reconciling
    asking.turn_at, asking.unasked, asking.silent = now + RECONCILE_S, [], {}
    known = tuple((instance.task.id, instance.task.agent_id) for instance in farm.by_task.values())
    if known:
        farm.out.append(commands.Reconcile(known))
    farm.out.append(commands.Reconcile(()))
    for instance in farm.by_task.values():
        asking.silent.setdefault(instance.host, []).append(instance.task.id)


def neighbours(farm: Farm, host: str) -> None:
    """Somebody speaks of the host who was not asked: its agent is back at the master, which can say by now what it knows of
    those there that nobody has confirmed, and says it to nobody who does not ask."""
    known = [farm.by_task[task_id].task for task_id in farm.reconciling.silent.pop(host, ()) if task_id in farm.by_task]
    silent = tuple((task.id, task.agent_id) for task in known if task.confirmed < farm.registered_at)
    if silent:
        farm.out.append(commands.Reconcile(silent))


def some_tasks(farm: Farm, now: float) -> None:
    """Ask about the next tasks, so that all have had their turn after `RECONCILE_S` and no step is long; with the first
    of them, about those that we might not know."""
    asking = farm.reconciling
    if not asking.unasked:
        asking.unasked = list(farm.by_task)
        farm.out.append(commands.Reconcile(()))
    turns = -(-len(farm.by_task) // RECONCILE_SOME) or 1
    some = [farm.by_task[task_id].task for task_id in asking.unasked[-RECONCILE_SOME:] if task_id in farm.by_task]
    del asking.unasked[-RECONCILE_SOME:]
    asking.turn_at = now + RECONCILE_S / turns
    if some:
        farm.out.append(commands.Reconcile(tuple((task.id, task.agent_id) for task in some)))


def silent_tasks(farm: Farm, now: float) -> None:
    """Ask about the tasks that nobody has spoken of since the master took us, if there are any."""
    silent = [
        (task.id, task.agent_id)
        for task in (instance.task for instance in farm.by_task.values())
        if task.confirmed < farm.registered_at
    ]
    asking = farm.reconciling
    asking.confirm_gap = min(CONFIRM_CAP_S, asking.confirm_gap * 2)
    asking.confirm_at = now + asking.confirm_gap if silent else float("inf")
    if silent:
        farm.out.append(commands.Reconcile(tuple(silent)))
