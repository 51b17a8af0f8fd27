"""The way out: a stop with its signal, grace and SIGKILL, and the last report, which is given exactly once.

Each function is one step of `lifecycle`: the state before, an event, and now; the state after, and what to do.
"""

from __future__ import annotations

from dataclasses import replace

from daqsched_executor.life import words
from daqsched_executor.life.events import (
    TASK_KILLED,
    TASK_KILLING,
    TASK_RUNNING,
    Acknowledged,
    Command,
    Delivered,
    Died,
    Event,
    KillTree,
    Leave,
    Moment,
    Reached,
    Say,
    Signal,
    Started,
    StopAsked,
    Tell,
    Ticked,
    TreeGone,
)
from daqsched_executor.life.state import (
    ACKNOWLEDGE_S,
    ENDED,
    KILL_S,
    STOPPING,
    State,
    leave_at,
    nothing_runs,
    report_of,
    with_exit,
)


def stop_idle(state: State, event: StopAsked, now: Moment) -> tuple[State, list[Command]]:
    return replace(state, phase=ENDED, deadline=None), [Say(f"stopped by {event.why} before a task came"), Leave()]


def stop_waiting(state: State, event: StopAsked, now: Moment) -> tuple[State, list[Command]]:
    state = replace(state, stopped_by=event.why)
    return end(state, TASK_KILLED, words.stopped_waiting(state.last_exit, state.problem), now)


def stop_start(state: State, event: StopAsked, now: Moment) -> tuple[State, list[Command]]:
    """The program does not run yet, so SIGKILL at once; a child that hangs in the kernel dies before exec returns."""
    state = replace(state, phase=STOPPING, stopped_by=event.why, killed=True, deadline=now.mono + KILL_S)
    return state, [Say(f"stopped by {event.why} while it started"), KillTree()]


def stop_running(state: State, event: StopAsked, now: Moment) -> tuple[State, list[Command]]:
    assert state.payload is not None
    rule = state.payload.stop
    grace_s = rule.grace_s if event.grace_s is None else min(rule.grace_s, event.grace_s)
    state = replace(state, phase=STOPPING, stopped_by=event.why, deadline=now.mono + grace_s)
    message = words.stopping(event.why, rule.signal, state.pid, grace_s)
    told = Tell(TASK_KILLING if state.killing else TASK_RUNNING, report_of(state, "stopping"), message)
    return state, [told, Say(message), Signal(rule.signal)]


def stop_clearing(state: State, event: StopAsked, now: Moment) -> tuple[State, list[Command]]:
    state = replace(state, phase=STOPPING, stopped_by=event.why, killed=True, deadline=now.mono + KILL_S)
    return state, [Say(f"stopped by {event.why}")]


def stop_again(state: State, event: StopAsked, now: Moment) -> tuple[State, list[Command]]:
    """A second order changes nothing, except that it may have less patience."""
    if state.killed or event.grace_s is None or state.deadline is None:
        return state, []
    return replace(state, deadline=min(state.deadline, now.mono + event.grace_s)), []


def grace_over(state: State, event: Ticked, now: Moment) -> tuple[State, list[Command]]:
    state = replace(state, deadline=now.mono + KILL_S)
    if not state.killed:
        return replace(state, killed=True), [Say("the grace is over: SIGKILL to the whole tree"), KillTree()]
    if state.pid and not state.program:  # SIGKILL waits for it at the end of its system call: it never execs
        return stopped(replace(state, pid=0), now)
    problem = words.unkillable(f"pid {state.pid}" if state.pid else "what the program left behind")
    told = Tell(TASK_KILLING if state.killing else TASK_RUNNING, report_of(state, "stopping"), problem)
    first: list[Command] = [told, Say(problem)] if problem != state.problem else []
    return replace(state, problem=problem), [*first, KillTree()]


def died_stopping(state: State, event: Died, now: Moment) -> tuple[State, list[Command]]:
    state = with_exit(state, event, now)
    if event.left:
        return state, []
    return stopped(state, now)


def tree_gone_stopping(state: State, event: TreeGone, now: Moment) -> tuple[State, list[Command]]:
    return stopped(state, now)


def start_failed_stopping(state: State, event: Event, now: Moment) -> tuple[State, list[Command]]:
    return stopped(replace(state, pid=0, path=""), now)


def started_stopping(state: State, event: Started, now: Moment) -> tuple[State, list[Command]]:
    return replace(state, program=True, since=now), [KillTree()]


def reached_stopping(state: State, event: Reached, now: Moment) -> tuple[State, list[Command]]:
    return state, []


def stopped(state: State, now: Moment) -> tuple[State, list[Command]]:
    return end(state, TASK_KILLED, words.stopped(state.last_exit, state.killed, state.payload, state.program), now)


def end(state: State, task_state: str, message: str, now: Moment) -> tuple[State, list[Command]]:
    """The last report, exactly once; from here on only the agent's word is waited for."""
    state = replace(nothing_runs(state, ENDED), deadline=leave_at(state, now), until=Moment())
    told = Tell(task_state, report_of(state, "exited"), message, final=True)
    return state, [told, Say(f"{task_state}: {message}")]


def stop_ended(state: State, event: StopAsked, now: Moment) -> tuple[State, list[Command]]:
    if state.deadline is None:
        return state, []
    return replace(state, deadline=min(state.deadline, leave_at(state, now))), []


def delivered(state: State, event: Delivered, now: Moment) -> tuple[State, list[Command]]:
    return replace(state, deadline=min(leave_at(state, now), now.mono + ACKNOWLEDGE_S)), []


def acknowledged(state: State, event: Acknowledged, now: Moment) -> tuple[State, list[Command]]:
    return replace(state, deadline=None, alone_until=None), [Leave()]


def not_acknowledged(state: State, event: Ticked, now: Moment) -> tuple[State, list[Command]]:
    if not state.connected and state.alone_until is not None and state.leave_s is None:
        return replace(state, deadline=None), []  # the agent is away: it shall still learn how this ended
    said = Say("leaves, though the agent has not acknowledged the last report")
    return replace(state, deadline=None), [said, Leave()]
