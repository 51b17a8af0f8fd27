"""What operators ask of running executors, and the part of it that is the scheduler's own."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from typing import Optional

from daqsched.engine import commands, events
from daqsched.engine.confirming import confirm_ends
from daqsched.engine.executor_rules import rules_for, unconfirmed
from daqsched.engine.farm import Farm
from daqsched.engine.instance import Instance, Key, Reminders
from daqsched.engine.verdict import Accepted
from daqsched.errors import Refused, UserError
from daqsched.fill import payload
from daqsched.limits import shown, some
from daqsched.plural import plural
from daqsched.task import Record, Task
from daqsched_executor.contract import HOLD, OBEY, RELEASE, OperatorCommand, Report

#: How soon an order about a hold is sent again that nobody has confirmed.
TOLD_S = 5.0


def given(farm: Farm, event: events.OperatorCommanded, now: float) -> Accepted:
    """To every executor that is meant and can hear it; where a start is asked for and there is none, our own back-off is
    over. Raises `UserError` where none has such an action, `Refused` where none is desired any more."""
    order = event.order
    nowhere = unplaced_of(farm, event.keys)
    there, gone = desired_of(farm, event.keys, nowhere)
    _look_for_action(there, order)
    accepted, rejected = [], [*gone, *((*key, "has found no machine yet") for key in nowhere)]
    reached: list[Instance] = []
    for instance in there:
        why = why_not(instance, order, now)
        if why:
            rejected.append((*instance.key, why))
        else:
            reached.append(instance)
    confirm_ends(farm, event.stops, (), reached if order.kind == "restart" else ())
    for instance in reached:
        accepted.append(instance.key)
        record = instance.record
        farm.dirty[instance.key] = None
        if record.task is not None:
            _remember(instance, order, now)
            _count_anew(record.task, record, order)
            farm.out.append(commands.Send(record.task.id, record.task.agent_id, order))
        else:
            record.forget_failures()
            farm.settle(instance, now)
    what = f"{order.kind} {order.name}".rstrip()
    why = f": {order.message}" if order.message else ""
    farm.note(f"{what} asked for by {order.user} of {plural(len(accepted), 'job')}{why}")
    return Accepted(keys=tuple(accepted), rejected=tuple(rejected))


def _look_for_action(there: Sequence[Instance], order: OperatorCommand) -> None:
    """A name that no job has is a slip of the finger, and nothing was meant to happen."""
    if order.kind != "act" or not there or not all(no_action(one, order) for one in there):
        return
    has = {one.name: list(one.job.actions) for one in there if one.job is not None}
    words = [f"{job} has {some(names) or 'none'}" for job, names in sorted(has.items())]
    raise UserError(f"there is no action {shown(order.name)}, nothing was asked for: {some(words, '; ')}")


def _remember(instance: Instance, order: OperatorCommand, now: float) -> None:
    """A snooze outlives the executor that was told of it, and this daemon."""
    if order.kind not in ("snooze", "wake") or instance.job is None:
        return
    names = [check.name for check in instance.job.checks if order.name in ("", check.name)]
    kept = {name: one for name, one in (instance.record.snoozes or {}).items() if one.until > now and name not in names}
    if order.kind == "snooze":
        # an executor does not hear the same id twice
        kept.update((name, replace(order, id=f"{order.id}.{name}", name=name)) for name in names)
    instance.record.snoozes = kept or None


def _count_anew(task: Task, record: Record, order: OperatorCommand) -> None:
    """What its executor starts because somebody asks for that is no restart of its own: see `Record.restarts`. Its report may come
    after the next death, so it is not waited for."""
    waits = task.report is not None and task.report.activity == "backoff"
    if order.kind == "restart" or (order.kind == "retry" and waits):
        record.starts_before = -1 - (max(0, task.report.restarts) if task.report is not None else 0)


def remind(farm: Farm, instance: Instance, report: Optional[Report], now: float) -> None:
    """Tell an executor whose checks should rest and do not: it is a new one, or never got the message."""
    task = instance.task
    if not instance.record.snoozes or instance.ending or (report is not None and report.snoozed > now):
        return
    for order in instance.record.snoozes.values():
        if order.until > now:
            farm.out.append(commands.Send(task.id, task.agent_id, order))


def tell_hold(farm: Farm, instance: Instance, now: float) -> None:
    """Tell an executor whether its program is not to be started again when it ends, where it does not know; and look again soon."""
    task, hold = instance.record.task, instance.record.hold
    reminders = farm.reminders.get(instance.key)
    if task is None or instance.ending or (reminders is not None and now < reminders.hold_due):
        return
    if (task.report is not None and task.report.held) == instance.spared:
        return
    # no moment is in it: two holds may be of one, and a clock that was set back comes to each again
    reminders = farm.reminders.setdefault(instance.key, Reminders())
    reminders.hold_order = reminders.hold_order or farm.new_id()
    if hold is not None and hold.spares:
        order = OperatorCommand(f"{HOLD}.{reminders.hold_order}", HOLD, hold.user, message=hold.message)
    else:
        order = OperatorCommand(f"{RELEASE}.{reminders.hold_order}", RELEASE, "daqsched start")
    reminders.hold_due = now + TOLD_S
    if task.state in ("starting", "running"):
        farm.out.append(commands.Send(task.id, task.agent_id, order))
    farm.arm(reminders.hold_due, instance)


def tell_rules(farm: Farm, instance: Instance, now: float) -> None:
    """Tell an executor the rules that changed while its program ran; and look again soon."""
    reminders = farm.reminders.get(instance.key)
    if reminders is not None and now < reminders.rules_due:
        return
    if not unconfirmed(farm.desired, instance) or instance.job is None:
        return
    task = instance.task
    reminders = farm.reminders.setdefault(instance.key, Reminders())
    reminders.rules_due = now + TOLD_S
    if task.state in ("starting", "running"):
        rules = rules_for(farm.desired, instance)
        told = payload(instance.job, instance.host, task.id, task.ports, rules)
        order = OperatorCommand(f"{OBEY}.{farm.new_id()}", OBEY, "daqsched apply", payload=told.to_json().decode())
        farm.out.append(commands.Send(task.id, task.agent_id, order))
    farm.arm(reminders.rules_due, instance)


def unplaced_of(farm: Farm, keys: Iterable[Key]) -> tuple[Key, ...]:
    """Those that mean a job which has found no machine yet: what is said of it is for those that it finds."""
    unplaced = {(job.name, "") for job in farm.unplaced()}
    return tuple(key for key in dict.fromkeys(keys) if key in unplaced)


def desired_of(
    farm: Farm, keys: Iterable[Key], nowhere: Collection[Key]
) -> tuple[list[Instance], tuple[tuple[str, str, str], ...]]:
    """Those of them that are desired, and the others; raises `Refused` where none is, as after an apply in between."""
    found, gone = [], []
    for key in keys:
        if key in nowhere:
            continue
        instance = farm.instances.get(key)
        if instance is None or instance.job is None:
            gone.append((*key, "is no longer desired"))
        else:
            found.append(instance)
    if not found and not nowhere:
        raise Refused("none of these is desired any more: `daqsched status` lists what is")
    return found, tuple(gone)


def no_action(instance: Instance, order: OperatorCommand) -> bool:
    """Whether it has no such action; of a program that is an older one than the job file's, its executor knows alone."""
    if order.kind != "act" or instance.job is None or order.name in instance.job.actions:
        return False
    return instance.record.task is None or instance.record.task.digest == instance.digest


def why_not(instance: Instance, order: OperatorCommand, now: float) -> str:
    """Why the order can't be given to this instance, for people; empty: it can. What the executor would answer itself
    (its program may be an older one than the job file's) is left to it."""
    task = instance.record.task
    if instance.job is None:
        return "is no longer desired"
    if no_action(instance, order):
        return f"has no action {order.name!r} (it has: {', '.join(instance.job.actions) or 'none'})"
    if order.kind in ("snooze", "wake"):
        checks = [check.name for check in instance.job.checks]
        if not checks:
            return "has no checks"
        if order.name and order.name not in checks:
            return f"has no check {order.name!r} (it has: {', '.join(checks)})"
    if task is None:
        if order.kind == "retry":
            waits = instance.startable and instance.record.due > now
            return "" if waits else "does not run, and no back-off is under way"
        return "does not run"
    if instance.ending:
        return "is being stopped"
    if instance.lost:
        return f"can't be reached: {instance.host} does not answer the master"
    return "" if task.state in ("starting", "running") else "can't be reached yet: its executor is not up"
