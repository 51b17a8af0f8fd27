"""Ends that nobody asked for: what the program is to blame for, and what happened to it with its executor or its host.

Mesos has one word for most of them, TASK_FAILED. A program that died is counted, waits longer each time, and is given up where
its job says so. One whose machine lost its power did nothing: it runs again as soon as the machine is back, whatever its policy.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, Optional

from daqsched.engine import events
from daqsched.engine.incidents import no_start
from daqsched.limits import brief
from daqsched.task import Task
from daqsched_executor.contract import Exit, Report, duration

#: What an end comes of.
Culprit = Literal["program", "executor", "host"]

#: Why an agent ended a container: for what the program took.
LIMITS, MEMORY = "REASON_CONTAINER_LIMITATION", "REASON_CONTAINER_LIMITATION_MEMORY"

#: Why an agent says so: its executor is there no more.
GONE = "REASON_EXECUTOR_TERMINATED"

#: The master has an agent back that it had given up, and knows of its tasks that they ended. How, the agent says itself, next.
REREGISTERED = "REASON_AGENT_REREGISTERED"

#: What is said of tasks because their agent is gone.
_WITH_AGENT = frozenset(["TASK_LOST", "TASK_GONE", "TASK_GONE_BY_OPERATOR"])

#: Of an executor that ended without a word, which its agent says.
SPOKE_NEVER = (
    "daqsched-executor ended before it spoke: is it at the path of `serve --executor` on this machine, whole, and may the job's "
    "account read and run it?"
)

#: `Exit.why` where the executor ended, and the program with it; the agent's words are its line.
WITH_EXECUTOR = "its executor ended: killed, or its host was restarted"


def culprit(task: Task, event: events.TaskReported) -> Culprit:
    """What an end comes of that nobody asked for, and that its executor does not tell of itself."""
    if event.reason.startswith(LIMITS):
        return "program"
    if event.state in _WITH_AGENT or task.state in ("unreachable", "unknown"):
        return "host"
    # one that never spoke may not be there, or may not be started: that is to be seen to before it is tried for ever
    return "program" if task.report is None else "executor"


def sentence(task: Task, event: events.TaskReported, of: Culprit, host: str, now: float) -> str:
    """How it ended, for people."""
    said = said_of(event)
    if event.state in ("TASK_FINISHED", "TASK_KILLED"):  # whoever says it, it is no failure
        return said
    if of == "executor":
        return f"{WITH_EXECUTOR} ({said})"
    if of == "host" and event.state not in _WITH_AGENT:
        return f"ended while {host} did not answer the master, for {duration(now - task.since)}"
    return f"{SPOKE_NEVER} ({said})" if spoke_never(task, event) else said


def spoke_never(task: Task, event: events.TaskReported) -> bool:
    """Whether its executor ended before its first word."""
    return event.reason == GONE and task.report is None


def report_of(task: Task, event: events.TaskReported, of: Culprit, now: float) -> Optional[Report]:
    """What the last report would be, had its executor lived to give it; of a host that went away nobody says more."""
    if event.state not in ("TASK_FAILED", "TASK_ERROR") or of == "host":
        return None
    said = brief(said_of(event))
    if event.reason == MEMORY:
        end = Exit(now, ran_s(task, None, now), signal="SIGKILL", out_of_memory=True, lines=(said,), printed=False)
    elif task.report is None:
        end = no_start(f"{SPOKE_NEVER} ({said})" if spoke_never(task, event) else said, now)
    else:
        end = Exit(now, ran_s(task, None, now), why=WITH_EXECUTOR, lines=(said,), printed=False)
    return replace(task.report or Report("exited"), activity="exited", last_exit=end)


def ran_s(task: Task, last: Optional[Report], now: float) -> float:
    """How long the program ran last: a task may be old because its executor tried again and again."""
    if last is not None and last.last_exit is not None:
        return min(last.last_exit.ran_s, now - task.launched)  # whatever its executor says
    if task.report is not None and task.report.activity == "running":
        return now - task.report.since
    return now - task.launched


def said_of(event: events.TaskReported) -> str:
    """The message, or Mesos' own words."""
    return event.message or words(event)


def words(event: events.TaskReported) -> str:
    """Mesos' own."""
    reason = event.reason.replace("REASON_", "").replace("_", " ").lower()
    return f"{event.state.replace('TASK_', '').replace('_', ' ').lower()}{' (' + reason + ')' if reason else ''}"
