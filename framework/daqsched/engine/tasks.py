"""What becomes of tasks: they live, end, are lost, turn up again."""

from __future__ import annotations

from typing import Optional

from daqsched.engine import (
    backoff,
    commands,
    events,
    job_owners,
    leases,
    operator_commands,
    preflight_steps,
    reconciling,
    rollout_steps,
    unasked_ends,
)
from daqsched.engine.commands import DURATIONS
from daqsched.engine.desired import unassign
from daqsched.engine.farm import Farm
from daqsched.engine.incidents import no_start
from daqsched.engine.instance import Instance
from daqsched.engine.namesakes import GONE_S
from daqsched.engine.reasons import times
from daqsched.task import ENDED, LIVE, Task
from daqsched_executor.contract import ContractError, Report, duration


def reported(farm: Farm, event: events.TaskReported, now: float) -> None:
    """Somebody said something of a task."""
    instance = farm.by_task.get(event.task_id)
    if instance is None:
        theirs = farm.namesakes.answered(event.task_id, event.state, now)
        if not theirs and not preflight_steps.reported(farm, event):
            _stranger(farm, event, now)
    elif _lies(instance.task, event):
        farm.note(f"{instance}: {event.agent_id} says {event.state} of {event.task_id}, which is not its own; ignored")
    elif event.state in LIVE:
        _alive(farm, instance, event, now)
    elif event.reason == unasked_ends.REREGISTERED and event.state in ENDED:
        farm.note(f"{instance}: {instance.host} is back, and it has ended; how, its agent says")
    elif event.state in ENDED:
        _ended(farm, instance, event, now)
    else:
        farm.note(f"{instance}: Mesos says {event.state!r}, which this daqsched does not know; ignored")
    if event.by_executor and instance is not None and instance.host in farm.reconciling.silent:
        reconciling.neighbours(farm, instance.host)
    if event.uuid:
        farm.out.append(commands.Acknowledge(event.task_id, event.agent_id, event.uuid))


def _lies(task: Task, event: events.TaskReported) -> bool:
    """Whether an executor speaks of a task that is not its own: on another agent, or beside the task's own executor, which
    has the task's id."""
    elsewhere = bool(event.agent_id and task.agent_id) and event.agent_id != task.agent_id
    return event.by_executor and (elsewhere or event.executor_id not in ("", task.id))


def look_for_lost(farm: Farm, host: str, agent_id: str, now: float) -> None:
    """A host with tasks that nobody could confirm makes an offer: its agent is back, or another has its name."""
    silent = []
    for instance in list(farm.lost[host].values()):
        task = instance.task
        if task.agent_id == agent_id:
            silent.append((task.id, task.agent_id))
        elif now >= task.since + GONE_S:
            replaced(farm, instance, f"{host} came back as a new agent", now)
    if silent:
        farm.out.append(commands.Reconcile(tuple(silent)))


def replaced(farm: Farm, instance: Instance, why: str, now: float) -> None:
    """The agent that its task is on is not coming back, whatever it ran: the task is over."""
    task = instance.task
    farm.note(f"{instance}: {instance.host} has a new agent, {task.id} ended with the old one")
    _ended(farm, instance, events.TaskReported(task.id, task.agent_id, "TASK_GONE", why), now)


def _alive(farm: Farm, instance: Instance, event: events.TaskReported, now: float) -> None:
    task = instance.task
    report, problem = _understood(task, event)
    state = LIVE[event.state]
    if state == "running" and report is not None and not report.ready:
        state = "starting"
    task.heard = now
    farm.touch(instance.key)
    first = report is None or not report.restarts  # later starts are not counted from the launch
    if state == "running" and task.state in ("launching", "staging", "starting") and event.by_executor and first:
        if farm.durations.started(instance.name, now - task.launched):
            farm.out.append(commands.SaveDocument(DURATIONS))
    if state != task.state:
        if instance.lost:
            farm.note(f"{instance}: {instance.host} is back, it is {state}")
        task.state, task.since = state, now
        farm.dirty[instance.key] = None
        farm.ends.over(instance)  # nobody waits for one that does not answer
        if state == "unreachable":
            farm.note(f"{instance}: {instance.host} does not answer the master; waiting for it, no second copy")
        if task.killed and state in ("staging", "starting", "running"):
            farm.out.append(commands.Kill(task.id, task.agent_id))
        farm.settle(instance, now)
    if event.by_executor:
        _spoken(farm, instance, event, report, problem, now)


def _spoken(
    farm: Farm, instance: Instance, event: events.TaskReported, report: Optional[Report], problem: str, now: float
) -> None:
    """Its executor says how the program is; ``problem``: what is wrong with how it says so."""
    task = instance.task
    before, said = task.report, task.message
    task.report = report
    task.message = f"{event.message}; {problem}".lstrip("; ") if problem else event.message
    if problem and task.message != said:
        farm.note(f"{instance}: {task.message}")
    _note_death(farm, instance, before, task.report, now)
    _note_missing(farm, instance, ("" if before is None else before.activity, said), task.report, now)
    if (
        task.report is not None
        and task.report.snoozed > now
        and (before is None or before.snoozed != task.report.snoozed)
    ):
        farm.arm(task.report.snoozed, instance)  # its checks count again then
    if task.report is not None and task.report.authenticated is False and not farm.said_unauthenticated:
        farm.said_unauthenticated = True
        farm.note(
            f"executors are not authenticated, first seen on {instance.host}: whoever reaches its agent's port can "
            "speak for a task there; start agents with --authenticate_http_executors and --jwt_secret_key"
        )
    if instance.key in farm.rolling.keys:
        rollout_steps.heard(farm, instance, before, now)
    operator_commands.remind(farm, instance, task.report, now)
    operator_commands.tell_hold(farm, instance, now)
    operator_commands.tell_rules(farm, instance, now)
    farm.dirty[instance.key] = None


def _understood(task: Task, event: events.TaskReported) -> tuple[Optional[Report], str]:
    """The last that its executor reported, with this event, and what is wrong with that; empty: nothing."""
    if not event.by_executor or not event.data:
        return task.report, ""
    try:
        return Report.from_json(event.data), ""
    except ContractError as error:
        # an executor of another make, or one that lies: its words are shown, what it said before is not true any more
        return None, f"what its executor reports is not understood: {error}"


def _note_death(farm: Farm, instance: Instance, before: Optional[Report], report: Optional[Report], now: float) -> None:
    """Take note of a death that was not known yet."""
    end = report.last_exit if report is not None else None
    if end is not None and (before is None or before.last_exit is None or before.last_exit.at != end.at):
        if not end.by_hand and end.why != unasked_ends.WITH_EXECUTOR:
            farm.cause = farm.touched[instance.key] = "death"
        # what its executor started again before this daemon heard of it
        known = before.restarts if before is not None else 0
        first = instance.task.launched >= farm.began or report is None or report.restarts <= known + 1
        farm.note_end(instance, end, now, first)


def _note_missing(
    farm: Farm, instance: Instance, before: tuple[str, str], report: Optional[Report], now: float
) -> None:
    """Take note of a start that waits for something that is missing: alike on many hosts, it is as much an incident as a death.
    ``before``: what was last said, and while doing what."""
    said = instance.task.message
    if report is not None and report.activity == "probing" and before != ("probing", said):
        farm.note_end(instance, no_start(said, now), now)


def _ended(farm: Farm, instance: Instance, event: events.TaskReported, now: float) -> None:
    """Keep what is known of its end, and go on without it."""
    task, record, asked_for, report = instance.task, instance.record, bool(instance.ending), _report(event.data)
    culprit: unasked_ends.Culprit = "program" if event.by_executor else unasked_ends.culprit(task, event)
    ran_s = unasked_ends.ran_s(task, report, now)
    said = event.message or unasked_ends.words(event)
    if not asked_for:
        if not event.by_executor:
            report = unasked_ends.report_of(task, event, culprit, now) or report
            said = unasked_ends.sentence(task, event, culprit, instance.host, now)
        _note_death(farm, instance, task.report, report, now)
    if task.killed and event.state == "TASK_KILLED" and farm.durations.ended(instance.name, now - task.killed):
        farm.out.append(commands.SaveDocument(DURATIONS))
    record.ended, record.ended_at = task.id, now
    formers = job_owners.is_formers(farm, instance)  # what it said is nothing to who has the name now
    record.last_end = said if not formers else unasked_ends.words(event)
    task.report = report or task.report
    record.last_report = None if formers else task.report
    record.starts_before = 0 if formers else record.restarts + 1
    farm.forget_task(instance)
    _follow(farm, instance, event, task, culprit, asked_for, ran_s, now)


def _follow(
    farm: Farm,
    instance: Instance,
    event: events.TaskReported,
    ended: Task,
    culprit: unasked_ends.Culprit,
    asked_for: bool,
    ran_s: float,
    now: float,
) -> None:
    """Where that end puts the instance: an end that somebody asked for, where the asking has put it; the program's own, where the
    job's policy says; one that befell it, on its way back."""
    record = instance.record
    if (instance.found or record.leaving) and instance.job is not None and event.state == "TASK_GONE_BY_OPERATOR":
        farm.note(f"{instance}: {instance.host} was taken out of the cluster")
        farm.machines.pop(instance.host, None)
        unassign(farm, instance, now)
    elif instance.job is None:
        farm.note(f"{instance}: {record.last_end}; no longer desired")
        farm.drop(instance, now)
    elif record.borrow is not None:
        leases.given_back(farm, instance, now)
        return
    elif asked_for:
        record.forget_failures()
        farm.note(f"{instance}: {record.last_end}")
    elif record.hold is not None:
        record.forget_failures()
        farm.note(f"{instance}: {record.last_end}; {record.hold}")
    elif event.state == "TASK_FINISHED" or (
        event.state == "TASK_FAILED" and culprit == "program" and instance.job.restart.policy == "never"
    ):
        record.done, record.succeeded = ended.digest, event.state == "TASK_FINISHED"
        record.forget_failures()
        farm.note(f"{instance}: {record.last_end}; not started again")
        if record.leaving:
            unassign(farm, instance, now)
            return
    else:
        _failed(farm, instance, instance.job.restart.give_up, culprit, ran_s, now)
    farm.settle(instance, now)


def _failed(
    farm: Farm, instance: Instance, give_up: int, culprit: unasked_ends.Culprit, ran_s: float, now: float
) -> None:
    """Nobody asked for that end: another attempt, ever later, or none any more. What befell the program is counted, as a rollout
    and who looks go by that; it is given up for what it did itself."""
    record = instance.record
    rollout_steps.failed(farm, instance, record.last_end, now)
    if ran_s >= backoff.RESET_S:
        record.failures = record.befallen = 0
    record.failures += 1
    if culprit != "program":
        record.befallen += 1
    elif 0 < give_up <= record.own_failures:
        record.done, record.succeeded, record.due = instance.digest, False, 0.0
        farm.note(f"{instance}: {record.last_end}; failed {times(record.own_failures)}, given up")
        return
    wait = 0.0
    if culprit != "host":  # that was away long enough
        wait = backoff.delay_s(record.failures - (record.befallen if culprit == "program" else 0))
    record.due = now + wait
    farm.note(f"{instance}: {record.last_end}; starts again {f'in {duration(wait)}' if wait else 'now'}")


def _stranger(farm: Farm, event: events.TaskReported, now: float) -> None:
    """A task that the store does not know: adopt it where it fills a gap, end it where it would be one too many."""
    if event.state not in LIVE or LIVE[event.state] in ("unreachable", "unknown"):
        return
    name, _, rest = event.task_id.partition("@")
    instance = farm.instances.get((name, rest.rpartition(".")[0]))
    names = farm.namesakes
    gap = instance is not None and instance.job is not None and instance.record.task is None
    # what was taken for ended, as its agent was, is one too many now
    gap = gap and instance is not None and instance.record.ended != event.task_id
    if instance is not None and event.agent_id != names.agents.setdefault(instance.host, event.agent_id):
        gap = False
    if instance is not None and gap and not instance.record.hold and not instance.aside:
        task = Task(event.task_id, event.agent_id, instance.digest, now, LIVE[event.state], now)
        farm.give(instance, task, now)
        farm.note(f"{instance}: found running as {task.id}, which the store did not know; adopted")
    else:
        farm.out.append(commands.Kill(event.task_id, event.agent_id))
        farm.note(f"{event.task_id} runs and nothing asks for it; stopped")


def _report(data: bytes) -> Optional[Report]:
    try:
        return Report.from_json(data) if data else None
    except ContractError:
        return None  # see `_alive`
