"""What an executor does with its program, as a pure function: ``handle(state, event, now) -> (state, commands)``.

No socket, clock, process or Mesos type is in here, so each story of a program (it dies, cvmfs hangs, the agent
goes away in the middle of a stop) is a list of events that a test can write down. Events are what happened, in
the past tense; commands are imperative and `run` performs them; a command that fails comes back as an event.
There are no timers to set or to forget: `State.wake_at` says when the next `Ticked` is wanted.

What a step does is in `starting`, `started`, `checks`, `stopping` and `ending`, in `operator_commands` and in `survey`; what the
phases are in `state`. Here is which step comes when.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from daqsched_executor.contract import duration
from daqsched_executor.life import ending, operator_commands, started, starting, stopping, words
from daqsched_executor.life.commands import Command, Leave, Say, Tell
from daqsched_executor.life.events import (
    Acknowledged,
    Answered,
    Claimed,
    Connected,
    Delivered,
    Died,
    Disconnected,
    Emptied,
    Event,
    Launched,
    LookEnded,
    LookReached,
    Moment,
    Notified,
    Occupied,
    OperatorAsked,
    PathFailed,
    Reached,
    Refused,
    SandboxGone,
    SideCommandEnded,
    SignalRefused,
    Spawned,
    Started,
    StartFailed,
    StopAsked,
    SurveyAsked,
    Ticked,
    TreeGone,
)
from daqsched_executor.life.state import (
    CLAIMING,
    CLEARING,
    EARLY,
    ENDED,
    IDLE,
    LOOKING,
    MOVES,
    RUNNING,
    STARTING,
    STOPPING,
    STORY,
    WAITING,
    State,
    leave_at,
)


class IllegalMove(Exception):
    """One phase does not follow the other: which, by which event, and the moves before."""


def handle(state: State, event: Event, now: Moment) -> tuple[State, list[Command]]:
    """The one entrance: what is so after ``event``, and what is to be done. Every event is taken in every phase.

    Raises `IllegalMove` where the phase that it comes to can't follow: a bug of ours, after which nobody knows what runs. The
    executor then ends the program by its rules, and the job is started anew (`run.executor`).
    """
    after, commands = _handle(state, event, now)
    if after.phase != state.phase:
        move = f"{state.phase} to {after.phase} by {type(event).__name__}"
        if after.phase not in MOVES[state.phase]:
            raise IllegalMove(f"{move} is an illegal move; before: {'; '.join(state.story) or 'nothing'}")
        after = replace(after, story=(*state.story, move)[-STORY:])
    if state.health is not None and state.phase == RUNNING and after.phase != RUNNING:
        commands = [*commands, *(after.health or state.health).ends]  # no check outlives the program
    return after, commands


def _handle(state: State, event: Event, now: Moment) -> tuple[State, list[Command]]:
    if isinstance(event, Connected):
        state = replace(state, connected=True, alone_until=None, killing=event.killing)
        return (replace(state, deadline=leave_at(state, now)) if state.phase == ENDED else state), []
    if isinstance(event, Disconnected):
        return _disconnected(state, now)
    if isinstance(event, Ticked) and state.alone_until is not None and now.mono >= state.alone_until:
        return _abandoned(state, now)
    if isinstance(event, Ticked) and (state.deadline is None or now.mono < state.deadline):
        return state, []
    if isinstance(event, StopAsked) and event.leave_s is not None:
        state = replace(state, leave_s=event.leave_s)
    state, commands = _step(state, event, now)
    for command in commands:
        if isinstance(command, Tell):
            state = replace(state, told=command)
    return state, commands


def _step(state: State, event: Event, now: Moment) -> tuple[State, list[Command]]:
    if isinstance(event, OperatorAsked):
        return operator_commands.take(state, event.order, now)
    if isinstance(event, SideCommandEnded) and event.key == operator_commands.ACT:
        return operator_commands.acted(state, event, now)
    if isinstance(event, Emptied):
        return _emptied(state, event, now)
    if isinstance(event, Notified) and state.phase == STARTING:
        return replace(state, early=(*state.early, event)[-EARLY:]), []
    if isinstance(event, (Answered, Notified)) and (state.phase != RUNNING or state.health is None):
        return state, []  # said or sent before the program ended
    step = _STEPS.get((state.phase, type(event)))
    if step is None:
        return state, [Say(f"ignored: {type(event).__name__} while {state.phase}")]
    return step(state, event, now)


def _disconnected(state: State, now: Moment) -> tuple[State, list[Command]]:
    if state.alone_until is not None:
        return state, []
    state = replace(state, connected=False, alone_until=now.mono + state.patience_s)
    if state.patience_s <= 0:
        return _abandoned(state, now)
    if state.phase == ENDED and state.leave_s is None:
        state = replace(state, deadline=None)
    return state, [Say(f"the agent is away; the program runs on, for at most {duration(state.patience_s)}")]


def _abandoned(state: State, now: Moment) -> tuple[State, list[Command]]:
    """The agent did not come back: Mesos calls the task lost by now, so the program must not run any longer."""
    state = replace(state, alone_until=None)
    if state.phase == ENDED:
        return replace(state, deadline=None), [Say("leaves: the agent is away and does not come back"), Leave()]
    step = _STEPS[state.phase, StopAsked]
    return step(state, StopAsked(words.away(state.patience_s)), now)


def _pid_known(state: State, event: Spawned, now: Moment) -> tuple[State, list[Command]]:
    return replace(state, pid=event.pid), []


def _nothing_to_do(state: State, event: Event, now: Moment) -> tuple[State, list[Command]]:
    return state, []


#: Which of its streams a program may have emptied, as `_emptied` tells it.
_OUTPUTS: tuple[tuple[str, ...], ...] = (("stdout",), ("stderr",), ("stdout", "stderr"))


def _emptied(state: State, event: Emptied, now: Moment) -> tuple[State, list[Command]]:
    """Told once of each stream: it happens with each line, or not at all."""
    known = next((some for some in _OUTPUTS if words.emptied(some) in state.note), ())
    if set(known).issuperset(event.streams):
        return state, []
    sentence = words.emptied(tuple(name for name in _OUTPUTS[-1] if name in known or name in event.streams))
    note = (
        state.note.replace(words.emptied(known), sentence) if known else "; ".join(filter(None, (state.note, sentence)))
    )
    state = replace(state, note=note)
    said: list[Command] = [Say(sentence)]
    if state.phase != RUNNING:
        return state, said
    if state.health is None:
        return state, [*said, starting.told_running(state)]
    from daqsched_executor.life import checks

    state, told = checks.retold(state, now)
    return state, [*said, *told]


def _checked(state: State, event: Answered | Notified | Ticked, now: Moment) -> tuple[State, list[Command]]:
    from daqsched_executor.life import checks

    return checks.step(state, event, now)


def _survey(state: State, event: Event, now: Moment) -> tuple[State, list[Command]]:
    from daqsched_executor.life import survey  # few executors are there for one

    return survey.step(state, event, now)


Step = Callable[[State, Any, Moment], "tuple[State, list[Command]]"]

#: What happens where. A pair that is not here cannot be unless an edge is wrong; it is said and changes nothing.
_STEPS: dict[tuple[str, type], Step] = {
    (IDLE, Launched): starting.launched,
    (IDLE, Refused): starting.refused,
    (IDLE, SurveyAsked): _survey,
    (IDLE, StopAsked): stopping.stop_idle,
    (CLAIMING, Occupied): starting.occupied,
    (CLAIMING, Claimed): starting.claimed,
    (CLAIMING, Ticked): starting.claim_again,
    (CLAIMING, StopAsked): stopping.stop_waiting,
    (STARTING, Spawned): _pid_known,
    (STARTING, Reached): starting.reached,
    (STARTING, Started): started.started,
    (STARTING, PathFailed): starting.path_failed,
    (STARTING, StartFailed): starting.start_failed,
    (STARTING, SandboxGone): starting.sandbox_gone,
    (STARTING, Died): starting.died,
    (STARTING, Ticked): starting.start_hangs,
    (STARTING, StopAsked): stopping.stop_start,
    (WAITING, Ticked): starting.waited,
    (WAITING, StopAsked): stopping.stop_waiting,
    (RUNNING, Died): starting.died,
    (RUNNING, StopAsked): stopping.stop_running,
    (RUNNING, Ticked): _checked,
    (RUNNING, Answered): _checked,
    (RUNNING, Notified): _checked,
    (CLEARING, TreeGone): starting.cleared,
    (CLEARING, Ticked): starting.clearing_hangs,
    (CLEARING, SignalRefused): starting.signal_refused,
    (CLEARING, SideCommandEnded): starting.hook_ended,
    (CLEARING, StopAsked): stopping.stop_clearing,
    (STOPPING, Spawned): _pid_known,
    (STOPPING, Reached): stopping.reached_stopping,
    (STOPPING, Started): stopping.started_stopping,
    (STOPPING, PathFailed): stopping.start_failed_stopping,
    (STOPPING, StartFailed): stopping.start_failed_stopping,
    (STOPPING, SandboxGone): stopping.start_failed_stopping,
    (STOPPING, Died): stopping.died_stopping,
    (STOPPING, TreeGone): stopping.tree_gone_stopping,
    (STOPPING, Ticked): stopping.time_over,
    (STOPPING, SignalRefused): stopping.signal_refused,
    (STOPPING, SideCommandEnded): stopping.hook_ended,
    (STOPPING, StopAsked): stopping.stop_again,
    (LOOKING, LookReached): _survey,
    (LOOKING, LookEnded): _survey,
    (LOOKING, Ticked): _survey,
    (LOOKING, StopAsked): _survey,
    (ENDED, Delivered): ending.delivered,
    (ENDED, Acknowledged): ending.acknowledged,
    (ENDED, Ticked): ending.not_acknowledged,
    (ENDED, StopAsked): ending.stop_ended,
    (ENDED, SideCommandEnded): _nothing_to_do,
    (STARTING, SideCommandEnded): _nothing_to_do,
    (WAITING, SideCommandEnded): _nothing_to_do,
    (RUNNING, SideCommandEnded): _nothing_to_do,
    # what our account may not signal ended by itself meanwhile
    (STARTING, SignalRefused): _nothing_to_do,
    (WAITING, SignalRefused): _nothing_to_do,
    (RUNNING, SignalRefused): _nothing_to_do,
    (ENDED, SignalRefused): _nothing_to_do,
    # a child that hung in the kernel was given up, and ends later
    # and so may an answer to `Claim`
    (ENDED, Claimed): _nothing_to_do,
    (ENDED, Occupied): _nothing_to_do,
    (ENDED, Reached): _nothing_to_do,
    (ENDED, PathFailed): _nothing_to_do,
    (ENDED, StartFailed): _nothing_to_do,
    (ENDED, SandboxGone): _nothing_to_do,
    # said before the survey's time was over, heard after it
    (ENDED, LookReached): _nothing_to_do,
    (ENDED, LookEnded): _nothing_to_do,
}
