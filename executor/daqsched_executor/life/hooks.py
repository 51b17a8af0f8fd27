"""The commands of a job that run before its program is stopped, and after it has ended.

They hold nothing up: one that fails is told, one that takes too long is ended.
"""

from __future__ import annotations

from dataclasses import replace

from daqsched_executor.life.commands import Command, RunSideCommand, Say
from daqsched_executor.life.events import Moment, SideCommandEnded
from daqsched_executor.life.state import State

#: Their keys.
BEFORE, AFTER = "before", "after"
#: A hook ends by its own time limit; after this much more nobody waits for its outcome any longer.
MARGIN_S = 6.0
#: Who is in a hurry gives a hook this share of the time that is left, and at least that much.
HURRY_SHARE, HURRY_LEAST_S = 0.25, 0.5


def begin(state: State, which: str, now: Moment) -> tuple[State, list[Command]]:
    """Run the hook, which there must be; its `SideCommandEnded`, or the phase's deadline, goes on from there."""
    assert state.payload is not None
    rule = state.payload.stop
    timeout_s = rule.hook_timeout_s
    if state.hurry_at is not None:
        timeout_s = min(timeout_s, max(HURRY_LEAST_S, (state.hurry_at - now.mono) * HURRY_SHARE))
    argv = rule.before if which == BEFORE else rule.after
    state = replace(state, hook=which, deadline=now.mono + timeout_s + MARGIN_S)
    return state, [RunSideCommand(which, argv, timeout_s, aloud=True)]


def told(event: SideCommandEnded) -> list[Command]:
    """How it went, for executor.log."""
    return [Say(f"hook {event.key}: {event.words}")]
