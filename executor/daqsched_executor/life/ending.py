"""The last report, which is given exactly once, and the wait for the agent's word that it has it.

Each function is one step of `lifecycle`: the state before, an event, and now; the state after, and what to do.
"""

from __future__ import annotations

from dataclasses import replace

from daqsched_executor.life.commands import Command, Leave, Say, Tell
from daqsched_executor.life.events import Acknowledged, Delivered, Moment, StopAsked, Ticked
from daqsched_executor.life.state import ACKNOWLEDGE_S, ENDED, State, leave_at, nothing_runs, report_of


def end(state: State, task_state: str, message: str, now: Moment) -> tuple[State, list[Command]]:
    """The last report, exactly once; from here on only the agent's word is waited for."""
    state = replace(nothing_runs(state, ENDED), deadline=leave_at(state, now), until=Moment())
    told = Tell(task_state, report_of(state, "exited"), message, final=True)
    return state, [told, Say(f"{task_state}: {message}")]


def stop_ended(state: State, event: StopAsked, now: Moment) -> tuple[State, list[Command]]:
    if state.leave_s is None and state.deadline is None:
        return state, []  # the agent is away: it shall still learn how this ended
    at = leave_at(state, now)
    return replace(state, deadline=at if state.deadline is None else min(state.deadline, at)), []


def delivered(state: State, event: Delivered, now: Moment) -> tuple[State, list[Command]]:
    return replace(state, deadline=min(leave_at(state, now), now.mono + ACKNOWLEDGE_S)), []


def acknowledged(state: State, event: Acknowledged, now: Moment) -> tuple[State, list[Command]]:
    return replace(state, deadline=None, alone_until=None), [Leave()]


def not_acknowledged(state: State, event: Ticked, now: Moment) -> tuple[State, list[Command]]:
    if not state.connected and state.alone_until is not None and state.leave_s is None:
        return replace(state, deadline=None), []  # the agent is away: it shall still learn how this ended
    said = Say("leaves, though the agent has not acknowledged the last report")
    return replace(state, deadline=None), [said, Leave()]
