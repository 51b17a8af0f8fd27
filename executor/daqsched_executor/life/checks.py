"""The alive checks of a running program as pure steps: who is asked when, what an answer or a silence means.

What the checks promise stands at `contract.Check`. `begin` is called when the program has started; `State.deadline` is,
while it runs, when the next check has something due. A job without checks never comes here.

How one is judged follows from `CheckType.way`; nothing here knows a type by its name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import List, Tuple

from daqsched_executor.contract import Check, OperatorCommand, Payload, duration
from daqsched_executor.contract.checks import ASKED, HEARD, LOOKED
from daqsched_executor.life import check_words, words
from daqsched_executor.life.commands import Ask, Command, EndAsk, Say, Tell
from daqsched_executor.life.events import TASK_RUNNING, TASK_STARTING, Answered, Moment, Notified, Ticked
from daqsched_executor.life.health import FIRST_ASK_S, Health, Pulse, Snooze
from daqsched_executor.life.state import RUNNING, State, lacks, report_of, retell
from daqsched_executor.life.stopping import end_to_restart

#: A silence is looked into so often within ``silence_s``, but not more often than this, and at least every interval.
LOOKS, LOOK_S = 4.0, 0.2
#: With a pattern at least so often: only so much of what was printed since the last look is searched.
PATTERN_LOOK_S = 1.0
#: The times of files are taken from a clock that is behind by as much.
CLOCK_S = 0.02
#: A change of words alone (STATUS=, another reason of the same failure) is told at most so often.
WORDS_S = 10.0


Step = Tuple[State, List[Command]]


def step(state: State, event: Answered | Notified | Ticked, now: Moment) -> Step:
    """What happens to a program with checks while it runs."""
    if isinstance(event, Answered):
        return answered(state, event, now)
    if isinstance(event, Notified):
        return notified(state, event, now)
    return time_passed(state, event, now)


def begin(state: State, now: Moment) -> Step:
    """The program has started."""
    assert state.payload is not None
    return _settle(replace(state, health=Health(tuple(_first(check, now) for check in state.payload.checks))), [], now)


def renewed(state: State, before: Sequence[Check], now: Moment) -> Step:
    """While the program runs it goes by other checks than ``before``: what is known of one that stays is known on, a new one has to
    pass first, and counts from now."""
    assert state.payload is not None
    health = state.health or Health(())
    known = dict(zip(before, health.pulses))
    last = max((pulse.ask for pulse in health.pulses), default=0)  # what is answered late is an answer to none of these
    pulses = []
    for check in state.payload.checks:
        pulse = known.get(check) or _first(check, now)
        asked = pulse.until is not None
        pulses.append(replace(pulse, ask=last, until=None, due=now.mono if asked else pulse.due))
    names = {check.name for check in state.payload.checks}
    snoozes = {name: snooze for name, snooze in state.snoozes.items() if name in names}
    state = replace(state, health=replace(health, pulses=tuple(pulses), gist=()), snoozes=snoozes)
    return _settle(state, [], now)


def _first(check: Check, now: Moment) -> Pulse:
    """Nothing is known of it."""
    way = check.type.way
    due = None if way == HEARD else now.mono + _pause(check, FIRST_ASK_S)
    silent_s = check.grace_s if way == HEARD else max(check.grace_s, check.silence_s)
    return Pulse(due=due, silent_at=None if way == ASKED else now.mono + silent_s, silence_s=silent_s)


def time_passed(state: State, event: Ticked, now: Moment) -> Step:
    """Something is due: a question, an answer that has not come, the end of a silence or of a snooze."""
    payload, health = _checked(state)
    commands: list[Command] = []
    for number, (check, pulse) in enumerate(zip(payload.checks, health.pulses)):
        overdue = pulse.silent_at is not None and now.mono >= pulse.silent_at
        if pulse.until is not None:
            if now.mono >= pulse.until:
                pulse, said = _failed(state, check, pulse, check_words.no_answer(check), now)
                commands += [EndAsk(number), *said]
        elif overdue and check.type.way != LOOKED:
            pulse = _fell_silent(check, pulse)
        elif overdue or (pulse.due is not None and now.mono >= pulse.due):
            until = now.mono + check.timeout_s + check.type.margin_s
            pulse = replace(pulse, due=None, until=until, ask=pulse.ask + 1, begun=now.mono)
            since = max(now.wall - check.silence_s, state.since.wall - CLOCK_S) if check.type.way == LOOKED else 0.0
            commands.append(Ask(number, pulse.ask, check, since))
        state = _with(state, number, pulse)
    return _settle(state, commands, now)


def answered(state: State, event: Answered, now: Moment) -> Step:
    """What was asked is known now; one that came too late is not heard."""
    payload, health = _checked(state)
    if event.number >= len(health.pulses):
        return state, []  # of a check that is none any more
    pulse = health.pulses[event.number]
    if pulse.until is None or pulse.ask != event.ask:
        return state, []
    check = payload.checks[event.number]
    commands: list[Command] = []
    if event.ok is None:
        pulse, commands = _not_asked(check, pulse, event.problem, now)
    elif not event.ok:
        pulse, commands = _failed(state, check, replace(pulse, unasked=""), event.problem, now)
    else:
        pulse = replace(pulse, unasked="")
        if pulse.fails and not pulse.ailment:
            commands.append(Say(f"check {check.name} passes again"))
        pulse = _passed(check, pulse, now)
    return _settle(_with(state, event.number, pulse), commands, now)


def notified(state: State, event: Notified, now: Moment) -> Step:
    """The program spoke (sd_notify(3))."""
    payload, health = _checked(state)
    notice = event.notice
    says = health.says if notice.status is None else notice.status
    if notice.status is None and (notice.reloading or notice.stopping):
        says = "reloading" if notice.reloading else "stopping"
    elif notice.status is None and notice.ready and says == "reloading":
        says = ""
    state = replace(state, health=replace(health, says=says))
    for number, (check, pulse) in enumerate(zip(payload.checks, health.pulses)):
        if check.type.way == HEARD:
            state = _with(state, number, _heard(payload, check, pulse, event, now))
    return _settle(state, [], now)


def _heard(payload: Payload, check: Check, pulse: Pulse, event: Notified, now: Moment) -> Pulse:
    """What a message means for a check that hears. Until READY=1 only that, and more time for it, counts."""
    notice = event.notice
    beat_s = notice.watchdog_s or (pulse.silence_s if pulse.passed else check.silence_s)
    if notice.ready or pulse.passed and (notice.watchdog or notice.watchdog_s):
        pulse = replace(pulse, passed=True, ailment="", silence_s=beat_s)
        pulse = replace(pulse, silent_at=now.mono + beat_s if beat_s else None)
    if notice.extend_s and not pulse.ailment and pulse.silent_at is not None:
        more = max(pulse.silent_at, now.mono + notice.extend_s)
        pulse = replace(pulse, silent_at=more, silence_s=pulse.silence_s + more - pulse.silent_at)
    if notice.stopping:  # it ends by itself: no heartbeat is due any more, but an end is
        pulse = replace(pulse, silent_at=now.mono + payload.stop.grace_s, problem="it said STOPPING=1 and did not end")
    if notice.trigger:
        pulse = replace(
            pulse, ailment=check_words.ailment(check, "the program sent WATCHDOG=trigger", 1), silent_at=None
        )
    return pulse


def ordered(state: State, order: OperatorCommand, now: Moment) -> Step:
    """``snooze`` or ``wake``, of one check or of all; in any phase, since a snooze outlives a run of the program."""
    known = [check.name for check in (state.payload.checks if state.payload else ())]
    names = [name for name in known if order.name in ("", name)]
    who = order.user or "somebody"
    if not names:
        why = f"there is no check {order.name!r}" if known else "the job has no checks"
        return state, [Say(f"{order.kind} by {who}: {why}")]
    left_s = order.until - now.wall
    snoozes = {name: snooze for name, snooze in state.snoozes.items() if name not in names}
    if order.kind == "wake":
        said = f"check{'s' if len(names) > 1 else ''} {', '.join(names)} woken by {who}"
    elif left_s <= 0:
        return state, [Say(f"snooze by {who}: it would have ended {duration(-left_s)} ago")]
    else:
        until = Moment(now.mono + left_s, order.until)
        said = check_words.snoozed(names, who, check_words.clock_after(now.clock, left_s), order.message)
        snoozes.update((name, Snooze(until, said)) for name in names)
    state = replace(state, snoozes=snoozes)
    if state.phase != RUNNING:
        return state, [Say(said), *retell(state)]
    return _settle(state, [Say(said)], now)


# ------------------------------------------------------------------------------------------ one check


def _passed(check: Check, pulse: Pulse, now: Moment) -> Pulse:
    silent_at = None if check.type.way == ASKED else now.mono + check.silence_s
    due = _again(check, pulse, check.interval_s, now)
    pulse = replace(pulse, passed=True, fails=0, problem="", ailment="", until=None, due=due)
    return replace(pulse, silent_at=silent_at, silence_s=check.silence_s)


def _failed(state: State, check: Check, pulse: Pulse, problem: str, now: Moment) -> tuple[Pulse, list[Command]]:
    """One answer was no. For a silence it is the time that counts, and the answer only says why."""
    too_late = pulse.silent_at is not None and pulse.begun >= pulse.silent_at
    in_grace = not pulse.passed and now.mono < state.since.mono + check.grace_s
    pause_s = min(check.interval_s, pulse.pause_s * 2) if in_grace else check.interval_s
    due = _again(check, pulse, pause_s, now)
    pulse = replace(pulse, problem=problem, until=None, due=due, pause_s=pause_s)
    if check.type.way == LOOKED:
        return _fell_silent(check, pulse) if too_late else pulse, []
    if in_grace:
        return pulse, []
    pulse = replace(pulse, fails=pulse.fails + 1)
    if pulse.fails >= check.failures:
        return replace(pulse, ailment=check_words.ailment(check, problem, check.failures)), []
    return pulse, [Say(check_words.fails(check, pulse.fails, problem))] if pulse.fails == 1 else []


def retold(state: State, now: Moment) -> Step:
    """Something to be told beside the checks has changed."""
    return _settle(state, [], now)


def _not_asked(check: Check, pulse: Pulse, problem: str, now: Moment) -> tuple[Pulse, list[Command]]:
    """That says nothing of the program: no failure, and no silence that goes on."""
    silent_at = None if pulse.silent_at is None else max(pulse.silent_at, now.mono + check.interval_s)
    said: list[Command] = [Say(f"check {check.name} could not be asked: {problem}")] if problem != pulse.problem else []
    due = _again(check, pulse, check.interval_s, now)
    return replace(pulse, until=None, due=due, problem=problem, unasked=problem, silent_at=silent_at), said


def _fell_silent(check: Check, pulse: Pulse) -> Pulse:
    what = check_words.silent(check, pulse.passed, pulse.silence_s, pulse.problem)
    return replace(pulse, ailment=check_words.ailment(check, what, 1), silent_at=None)


def _again(check: Check, pulse: Pulse, pause_s: float, now: Moment) -> float:
    """When to ask again: so long after the last question, not after its answer."""
    return max(now.mono, pulse.begun + _pause(check, pause_s))


def _pause(check: Check, pause_s: float) -> float:
    """How long until it is asked (again)."""
    pause_s = min(check.interval_s, pause_s)
    if check.type.way == LOOKED:
        most_s = PATTERN_LOOK_S if check.pattern else check.interval_s
        return max(LOOK_S, min(most_s, pause_s, check.silence_s / LOOKS))
    return pause_s


# ------------------------------------------------------------------------------------- all of them


def _checked(state: State) -> tuple[Payload, Health]:
    assert state.payload is not None and state.health is not None, "a program with checks runs"
    return state.payload, state.health


def _with(state: State, number: int, pulse: Pulse) -> State:
    _, health = _checked(state)
    return replace(state, health=replace(health, pulses=(*health.pulses[:number], pulse, *health.pulses[number + 1 :])))


def _settle(state: State, commands: list[Command], now: Moment) -> Step:
    """What follows from all that is known: an end, a report, and when to look again."""
    payload, health = _checked(state)
    snoozes = {name: snooze for name, snooze in state.snoozes.items() if now.mono < snooze.until.mono}
    over = [Say(f"the snooze of check {name} is over") for name in state.snoozes if name not in snoozes]
    state = replace(state, snoozes=snoozes)
    for check, pulse in zip(payload.checks, health.pulses):
        if pulse.ailment and check.unhealthy == "restart" and check.name not in snoozes:
            state, ending = end_to_restart(state, pulse.ailment, now)
            return state, [*over, *commands, *ending]
    state, told = _tell(state, now)
    return replace(state, deadline=_next(state)), [*over, *commands, *told]


def _tell(state: State, now: Moment) -> Step:
    payload, health = _checked(state)
    pairs = list(zip(payload.checks, health.pulses))
    ill = tuple(check.name for check, pulse in pairs if pulse.ailment)
    waiting = [(check, pulse.problem) for check, pulse in pairs if not pulse.passed]
    unasked = tuple(check.name for check, pulse in pairs if pulse.unasked)
    gist = (ill, tuple(check.name for check, _ in waiting), tuple(sorted(state.snoozes)), unasked)
    if waiting:
        message = check_words.not_ready(state.pid, waiting) + words.before(state.restarts, state.last_exit)
    else:
        message = words.running(state.pid, state.since.clock, state.restarts, state.last_exit, lacks(state))
    sentences = list(dict.fromkeys(snooze.sentence for snooze in state.snoozes.values()))
    ailments = [pulse.ailment for pulse in health.pulses if pulse.ailment]
    message = check_words.well(message, ailments, sentences, health.says)
    if gist == health.gist and (message == health.message or now.mono < health.told_at + WORDS_S):
        return replace(state, health=replace(health, unsaid=message != health.message)), []
    said = _news(health, ill, not waiting, now.mono - state.since.mono) + message
    state = replace(state, health=replace(health, gist=gist, message=message, told_at=now.mono, unsaid=False))
    activity, task_state = ("starting", TASK_STARTING) if waiting else ("running", TASK_RUNNING)
    return state, [Tell(task_state, report_of(state, activity), message), Say(said)]


def _news(health: Health, ill: tuple[str, ...], ready: bool, ran_s: float) -> str:
    """What changed, as the first words of the line in the log."""
    if not health.gist:
        return ""
    before, waiting, *_ = health.gist
    if ready and waiting:
        return f"ready after {duration(ran_s)}: "
    if before and not ill:
        return "recovered: "
    return ""


def _next(state: State) -> float | None:
    """When something is due."""
    _, health = _checked(state)
    times: list[float | None] = []
    for pulse in health.pulses:
        times += [pulse.until] if pulse.until is not None else [pulse.due, pulse.silent_at]
    times += [snooze.until.mono for snooze in state.snoozes.values()]
    times.append(health.told_at + WORDS_S if health.unsaid else None)
    return min((time for time in times if time is not None), default=None)
