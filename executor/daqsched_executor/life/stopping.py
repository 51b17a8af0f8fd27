"""The way out: a stop with its hooks, its signals and SIGKILL; for good, or to start again.

Each function is one step of `lifecycle`: the state before, an event, and now; the state after, and what to do.
"""

from __future__ import annotations

from dataclasses import replace

from daqsched_executor.life import hooks, starting, words
from daqsched_executor.life.commands import Command, EndSideCommand, KillTree, Leave, Say, Signal, Tell
from daqsched_executor.life.ending import end
from daqsched_executor.life.events import (
    TASK_KILLED,
    TASK_KILLING,
    TASK_RUNNING,
    TASK_STARTING,
    Died,
    Event,
    Moment,
    Reached,
    SideCommandEnded,
    SignalRefused,
    Started,
    StopAsked,
    Ticked,
    TreeGone,
)
from daqsched_executor.life.state import ENDED, KILL_S, STOPPING, State, report_of, with_exit


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
    state = replace(state, stopped_by=event.why, hurry_at=_hurry_at(state, event, now))
    return _begin(state, f"stopped by {event.why}", now)


def end_to_restart(state: State, why: str, now: Moment, ill: bool = True) -> tuple[State, list[Command]]:
    """End the running program by the rules of `Stop` and start it again; ``why`` is the reason (`Exit.why`). Where it is
    ``ill`` that is a death, and the rules of `Restart` say what follows; else it starts again at once."""
    return _begin(replace(state, again=why, ill=ill), why, now)


def _begin(state: State, why: str, now: Moment) -> tuple[State, list[Command]]:
    assert state.payload is not None
    rule = state.payload.stop
    state = replace(state, phase=STOPPING, killed=False, second=False)
    if not rule.before:
        return _first_signal(state, why, now)
    state, commands = hooks.begin(state, hooks.BEFORE, now)
    message = words.stopping_first(why, rule)
    return state, [_tell(state, message), Say(message), *commands]


def _first_signal(state: State, why: str, now: Moment) -> tuple[State, list[Command]]:
    assert state.payload is not None
    rule = state.payload.stop
    deadline = _at_most(now.mono + rule.grace_s, state.hurry_at)
    message = words.stopping(why, rule, state.pid, deadline - now.mono)
    state = replace(state, deadline=deadline)
    return state, [_tell(state, message), Say(message), Signal(rule.signal)]


def _tell(state: State, message: str) -> Tell:
    ending = TASK_KILLING if state.killing else TASK_RUNNING if state.ready else TASK_STARTING
    return Tell(TASK_STARTING if state.again else ending, report_of(state, "stopping"), message)


def _why(state: State) -> str:
    return state.again or f"stopped by {state.stopped_by}"


def stop_clearing(state: State, event: StopAsked, now: Moment) -> tuple[State, list[Command]]:
    state = replace(state, phase=STOPPING, stopped_by=event.why, hurry_at=_hurry_at(state, event, now))
    if not state.hook:
        state = replace(state, killed=True, deadline=now.mono + KILL_S)
    elif state.deadline is not None:
        state = replace(state, killed=False, deadline=_at_most(state.deadline, state.hurry_at))
    return state, [Say(f"stopped by {event.why}")]


def stop_again(state: State, event: StopAsked, now: Moment) -> tuple[State, list[Command]]:
    """A second order may have less patience; and a stop that was to be a restart is now for good."""
    said: list[Command] = []
    if state.again:
        state = replace(state, again="", ill=False, stopped_by=event.why)
        said.append(_tell(state, f"stopped by {event.why}, while it was ended to start again"))
    hurry_at = _hurry_at(state, event, now)
    if hurry_at is None:
        return state, said
    state = replace(state, hurry_at=_at_most(hurry_at, state.hurry_at))
    if (state.hook or not state.killed) and state.deadline is not None:
        state = replace(state, deadline=_at_most(state.deadline, state.hurry_at))
    return state, said


def _hurry_at(state: State, event: StopAsked, now: Moment) -> float | None:
    """None where there is time for all that the rules ask for."""
    assert state.payload is not None
    if event.grace_s is None or event.grace_s >= state.payload.stop.longest_s:
        return None
    return now.mono + event.grace_s


def _at_most(deadline: float, hurry_at: float | None) -> float:
    return deadline if hurry_at is None else min(deadline, hurry_at)


def time_over(state: State, event: Ticked, now: Moment) -> tuple[State, list[Command]]:
    """The time of whatever was waited for is over: the next step of the way."""
    assert state.payload is not None
    if state.hook:
        return _hook_over(state, [Say(words.hook_hangs(state.hook)), EndSideCommand(state.hook)], now)
    rule = state.payload.stop
    hurried = state.hurry_at is not None and now.mono >= state.hurry_at
    if rule.second_signal and not state.second and not state.killed and not hurried:
        state = replace(state, second=True, deadline=_at_most(now.mono + rule.second_grace_s, state.hurry_at))
        return state, [Say(f"the grace period is over: SIG{rule.second_signal}"), Signal(rule.second_signal)]
    state = replace(state, deadline=now.mono + KILL_S)
    if not state.killed:
        return replace(state, killed=True), [Say("the grace period is over: SIGKILL to the whole tree"), KillTree()]
    if state.pid and not state.program:  # SIGKILL waits for it at the end of its system call: it never execs
        return stopped(replace(state, pid=0), now)
    state, told = _unkillable(state)
    return state, [*told, KillTree()]


def signal_refused(state: State, event: SignalRefused, now: Moment) -> tuple[State, list[Command]]:
    """Said at once: nothing but a person ends it, unless it does so itself."""
    return _unkillable(replace(state, refused=event.problem))


def _unkillable(state: State) -> tuple[State, list[Command]]:
    what = f"pid {state.pid}" if state.pid else "what the program left behind"
    problem = words.unkillable(what, state.payload, state.refused)
    told: list[Command] = [_tell(state, problem), Say(problem)] if problem != state.problem else []
    return replace(state, problem=problem), told


def hook_ended(state: State, event: SideCommandEnded, now: Moment) -> tuple[State, list[Command]]:
    """One that was given up and ends later changes nothing."""
    if event.key != state.hook:
        return state, []
    return _hook_over(state, hooks.told(event), now)


def _hook_over(state: State, said: list[Command], now: Moment) -> tuple[State, list[Command]]:
    before = state.hook == hooks.BEFORE
    state = replace(state, hook="")
    state, commands = _first_signal(state, _why(state), now) if before else _over(state, now)
    return state, said + commands


def died_stopping(state: State, event: Died, now: Moment) -> tuple[State, list[Command]]:
    state = with_exit(state, event, now)
    said: list[Command] = []
    if state.hook:  # it did not wait for its signal
        said = [EndSideCommand(state.hook), Say(state.last_exit.words())] if state.last_exit else []
        state = replace(state, hook="", killed=True, deadline=now.mono + KILL_S)
        if event.left:
            said.append(KillTree())
    if event.left:
        return state, said
    state, commands = stopped(state, now)
    return state, said + commands


def tree_gone_stopping(state: State, event: TreeGone, now: Moment) -> tuple[State, list[Command]]:
    return stopped(state, now)


def start_failed_stopping(state: State, event: Event, now: Moment) -> tuple[State, list[Command]]:
    return stopped(replace(state, pid=0, path=""), now)


def started_stopping(state: State, event: Started, now: Moment) -> tuple[State, list[Command]]:
    return replace(state, program=True, since=now), [KillTree()]


def reached_stopping(state: State, event: Reached, now: Moment) -> tuple[State, list[Command]]:
    return state, []


def stopped(state: State, now: Moment) -> tuple[State, list[Command]]:
    """Nothing of the program is left."""
    assert state.payload is not None
    if state.program and state.payload.stop.after:
        return hooks.begin(state, hooks.AFTER, now)
    return _over(state, now)


def _over(state: State, now: Moment) -> tuple[State, list[Command]]:
    if not state.again:
        message = words.stopped(state.last_exit, state.killed, state.payload, state.program)
        return end(state, TASK_KILLED, message, now)
    said: list[Command] = [Say(state.last_exit.words())] if state.last_exit else []
    ill, state = state.ill, replace(state, again="", ill=False)
    state, commands = starting.decide(state, now) if ill else starting.restart(state, now)
    return state, said + commands
