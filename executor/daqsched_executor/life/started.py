"""The program has started: it runs, or its checks say from now on whether it does. `starting` is what leads there."""

from __future__ import annotations

from dataclasses import replace

from daqsched_executor.life.commands import Command, Say
from daqsched_executor.life.events import Moment, Started
from daqsched_executor.life.starting import told_running
from daqsched_executor.life.state import RUNNING, State


def started(state: State, event: Started, now: Moment) -> tuple[State, list[Command]]:
    state = replace(state, phase=RUNNING, program=True, since=now, hung=False, path="", deadline=None)
    state = replace(state, problem="", retries=0)
    assert state.payload is not None
    if state.payload.checks:
        from daqsched_executor.life import checks  # only here: many jobs have none

        early, (state, commands) = state.early, checks.begin(replace(state, early=()), now)
        for notice in early:
            if state.phase == RUNNING:
                state, more = checks.step(state, notice, now)
                commands = [*commands, *more]
        return state, commands
    told = told_running(state)
    return state, [told, Say(f"runs: {told.message}")]
