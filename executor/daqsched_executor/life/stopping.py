"""The way out: a stop with its signal, grace and SIGKILL, for good or so that the program starts again.

Each function is one step of `lifecycle`: the state before, an event, and now; the state after, and what to do.
"""

from __future__ import annotations

from dataclasses import replace

from daqsched_executor.life import words
from daqsched_executor.life.ending import end
from daqsched_executor.life.events import (
    TASK_KILLED,
    TASK_KILLING,
    TASK_RUNNING,
    Command,
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
from daqsched_executor.life.starting import decide
from daqsched_executor.life.state import (
    ENDED,
    KILL_S,
    STOPPING,
    State,
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
    return _ask_to_end(replace(state, stopped_by=event.why), f"stopped by {event.why}", event.grace_s, now)


def end_to_restart(state: State, why: str, now: Moment) -> tuple[State, list[Command]]:
    """End the running program by the rules of `Stop`, then go on by those of `Restart`: it counts as a death that
    ``why`` is the reason of (`Exit.why`)."""
    return _ask_to_end(replace(state, again=why), why, None, now)


def _ask_to_end(state: State, why: str, patience_s: float | None, now: Moment) -> tuple[State, list[Command]]:
    assert state.payload is not None
    rule = state.payload.stop
    grace_s = rule.grace_s if patience_s is None else min(rule.grace_s, patience_s)
    state = replace(state, phase=STOPPING, killed=False, deadline=now.mono + grace_s)
    message = words.stopping(why, rule.signal, state.pid, grace_s)
    return state, [Tell(task_state(state), report_of(state, "stopping"), message), Say(message), Signal(rule.signal)]


def task_state(state: State) -> str:
    """What Mesos is told of a program that is being ended."""
    return TASK_KILLING if state.killing and not state.again else TASK_RUNNING


def stop_clearing(state: State, event: StopAsked, now: Moment) -> tuple[State, list[Command]]:
    state = replace(state, phase=STOPPING, stopped_by=event.why, killed=True, deadline=now.mono + KILL_S)
    return state, [Say(f"stopped by {event.why}")]


def stop_again(state: State, event: StopAsked, now: Moment) -> tuple[State, list[Command]]:
    """A second order changes nothing, except that it may have less patience; one after an end that would be followed by a
    start makes it an end for good."""
    if state.again:
        state = replace(state, again="", stopped_by=event.why)
        told = Tell(
            task_state(state),
            report_of(state, "stopping"),
            f"stopped by {event.why}, while it was ended to start again",
        )
        state, commands = stop_again(state, event, now)
        return state, [told, *commands]
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
    told = Tell(task_state(state), report_of(state, "stopping"), problem)
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
    if state.again:
        return decide(state, now)
    return end(state, TASK_KILLED, words.stopped(state.last_exit, state.killed, state.payload, state.program), now)
