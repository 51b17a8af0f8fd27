"""What an operator asks of a running executor (`contract.OperatorCommand`), by kind.

An order may come twice, late, or to a program that is in no state for it: then it changes nothing, and says so.
"""

from __future__ import annotations

from dataclasses import replace

from daqsched_executor.contract import (
    BY_HAND,
    HOLD,
    OBEY,
    RELEASE,
    RULES,
    ContractError,
    Done,
    OperatorCommand,
    Payload,
)
from daqsched_executor.life import starting, stopping, words
from daqsched_executor.life.commands import Command, Obey, RunSideCommand, Say
from daqsched_executor.life.ending import end
from daqsched_executor.life.events import TASK_FAILED, Moment, SideCommandEnded, Ticked
from daqsched_executor.life.state import CLAIMING, ENDED, IDLE, LOOKING, RUNNING, WAITING, State, retell

#: The key of an action.
ACT = "act"
#: How many orders are remembered, so that one that comes twice is known.
MEMORY = 32


def take(state: State, order: OperatorCommand, now: Moment) -> tuple[State, list[Command]]:
    """One order."""
    if order.id in state.orders or state.phase in (IDLE, LOOKING, ENDED):
        return state, []
    state = replace(state, orders=(*state.orders, order.id)[-MEMORY:])
    if order.kind == "act":
        return _act(state, order, now)
    if order.kind == "retry":
        return _retry(state, order, now)
    if order.kind == "restart":
        return _restart(state, order, now)
    if order.kind in (HOLD, RELEASE):
        return _hold(state, order, now)
    if order.kind == OBEY:
        return _obey(state, order, now)
    if order.kind in ("snooze", "wake"):
        from daqsched_executor.life import checks  # many jobs have none

        return checks.ordered(state, order, now)
    return state, [Say(f"ignored: {order.kind}, asked for by {order.user}")]


def by_whom(order: OperatorCommand) -> str:
    """``alice: noisy since the crate was moved``, or the name alone."""
    return f"{order.user}: {order.message}" if order.message else order.user


def _retry(state: State, order: OperatorCommand, now: Moment) -> tuple[State, list[Command]]:
    said = Say(f"{by_whom(order)} asks for a start now")
    if state.phase == CLAIMING:
        return replace(state, deadline=now.mono), [said]
    if state.phase == WAITING:
        state, commands = starting.waited(replace(state, deaths=0), Ticked(), now)
        return state, [said, *commands]
    return state, [Say(f"ignored: a start now, asked for by {by_whom(order)}: the program is {state.phase}")]


def _hold(state: State, order: OperatorCommand, now: Moment) -> tuple[State, list[Command]]:
    """What runs is left alone, and when it has ended, too; what waits for its next start has ended."""
    if order.kind == RELEASE:
        state = replace(state, held="")
        return state, [Say(f"started again when it ends, as {order.user} wants"), *retell(state)]
    state = replace(state, held=by_whom(order))
    if state.phase == WAITING:
        how = state.last_exit.words() if state.last_exit is not None else state.problem
        return end(state, TASK_FAILED, words.not_started_again(how, state.held), now)
    return state, [Say(f"not started again when it ends, as {by_whom(order)} wants"), *retell(state)]


def _obey(state: State, order: OperatorCommand, now: Moment) -> tuple[State, list[Command]]:
    """The next death, stop, start, action, question goes by these rules; what is under way goes on."""
    assert state.payload is not None
    try:
        told = Payload.from_json(order.payload)
    except ContractError as error:
        return state, [Say(f"ignored: rules that can't be read: {error}")]
    changed = {
        name: getattr(told, name) for name in sorted(RULES) if getattr(told, name) != getattr(state.payload, name)
    }
    before = state.payload
    state = replace(state, payload=replace(before, **changed, rules=told.rules))
    said: list[Command] = [Say(f"goes by other rules from now on: {', '.join(changed) or 'the same'}")]
    assert state.payload is not None
    if {"checks", "lock", "labels", "forward"}.intersection(changed):
        said.append(Obey(state.payload, "checks" in changed))
    if "checks" not in changed or state.phase != RUNNING:
        return state, [*said, *retell(state)]
    if not state.payload.checks:
        told_now = starting.told_running(state := replace(state, health=None, deadline=None))
        return state, [*said, told_now]
    from daqsched_executor.life import checks  # many jobs have none

    state, commands = checks.renewed(state, before.checks, now)
    return state, [*said, *commands]


def _restart(state: State, order: OperatorCommand, now: Moment) -> tuple[State, list[Command]]:
    if state.phase == RUNNING:
        return stopping.end_to_restart(state, f"{BY_HAND}{by_whom(order)}", now, ill=False)
    return _retry(state, order, now)


def _act(state: State, order: OperatorCommand, now: Moment) -> tuple[State, list[Command]]:
    assert state.payload is not None
    argv = state.payload.actions.get(order.name)
    if argv is None:
        known = ", ".join(state.payload.actions) or "none"
        return _done(state, order, now, False, f"the job has no action {order.name!r} (it has: {known})")
    if state.acting is not None:
        return _done(state, order, now, False, f"{state.acting.name} of {state.acting.user} is still running")
    said = Say(f"action {order.name}, asked for by {by_whom(order)}: {' '.join(argv)}")
    return replace(state, acting=order), [said, RunSideCommand(ACT, argv, state.payload.action_timeout_s, aloud=True)]


def acted(state: State, event: SideCommandEnded, now: Moment) -> tuple[State, list[Command]]:
    """The action has ended."""
    order = state.acting
    if order is None:
        return state, []
    return _done(replace(state, acting=None), order, now, event.ok, event.words, event.lines)


def _done(
    state: State, order: OperatorCommand, now: Moment, ok: bool, words: str, lines: tuple[str, ...] = ()
) -> tuple[State, list[Command]]:
    state = replace(state, done=Done(order.id, order.name, now.wall, ok, words, lines))
    # after the task's last report there is nobody to tell: the line stays in the executor's stream
    return state, [Say(f"action {order.name}: {words}"), *(retell(state) if state.phase != ENDED else ())]
