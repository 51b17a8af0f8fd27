"""The way to a running program, and back to it after it ended by itself: checks, exec, back-off, budget.

Each function is one step of `lifecycle`: the state before, an event, and now; the state after, and what to do.
"""

from __future__ import annotations

from dataclasses import replace

from daqsched_executor.contract import NOT_STARTED, Exit, Report, Restart, duration
from daqsched_executor.life import hooks, words
from daqsched_executor.life.commands import Claim, Command, EndSideCommand, KillTree, Say, Spawn, Tell
from daqsched_executor.life.ending import end
from daqsched_executor.life.events import (
    TASK_FAILED,
    TASK_FINISHED,
    TASK_RUNNING,
    TASK_STARTING,
    Claimed,
    Died,
    Launched,
    Moment,
    Occupied,
    PathFailed,
    Reached,
    Refused,
    SandboxGone,
    SideCommandEnded,
    SignalRefused,
    StartFailed,
    Ticked,
    TreeGone,
)
from daqsched_executor.life.state import (
    CLAIM_RETRY_S,
    CLAIMING,
    CLEARING,
    DYING_RETRY_S,
    KILL_S,
    PROBE_RETRY_CAP_S,
    STARTING,
    WAITING,
    State,
    after,
    nothing_runs,
    report_of,
    with_exit,
)

#: Most programs run before this, and an update costs agent, master and daemon as much as a third of all that is ours in a start.
UNSAID_S = 0.25


def launched(state: State, event: Launched, now: Moment) -> tuple[State, list[Command]]:
    payload = event.payload
    state = replace(state, phase=CLAIMING, payload=payload, note=event.note, since=now, deadline=None)
    report = Report(activity="starting")
    told = Tell(TASK_STARTING, report, words.starting(payload), wait_s=UNSAID_S)
    return state, [told, Claim(payload)]


def occupied(state: State, event: Occupied, now: Moment) -> tuple[State, list[Command]]:
    """Another copy is there: never two. What only needs a moment to die is told when it takes longer than that."""
    assert state.payload is not None
    instance = state.payload.instance
    if event.dying and now.mono - state.since.mono < KILL_S:
        return replace(state, deadline=now.mono + DYING_RETRY_S), []
    state = replace(state, deadline=now.mono + CLAIM_RETRY_S)
    if event.dying:
        return tell_problem(state, words.still_dying(instance, event.dying))
    # what that copy leaves behind has its time to die from here on
    return tell_problem(replace(state, since=now), words.occupied(instance, event.pid, event.since))


def claim_again(state: State, event: Ticked, now: Moment) -> tuple[State, list[Command]]:
    assert state.payload is not None
    return replace(state, deadline=None), [Claim(state.payload)]


def claimed(state: State, event: Claimed, now: Moment) -> tuple[State, list[Command]]:
    said: list[Command] = [Say(words.left_behind(event.ended))] if event.ended else []
    if event.problem:
        said.append(Say(event.problem))
        state = replace(state, note=words.both(state.note, event.problem))
    state, commands = spawn(replace(state, problem=""), now)
    return state, said + commands


def refused(state: State, event: Refused, now: Moment) -> tuple[State, list[Command]]:
    return end(state, TASK_FAILED, event.problem, now)


def spawn(state: State, now: Moment) -> tuple[State, list[Command]]:
    assert state.payload is not None
    payload = state.payload
    state = replace(nothing_runs(state, STARTING), program=False, since=now, until=Moment(), early=())
    return replace(state, deadline=now.mono + payload.probe_timeout_s), [Spawn(payload)]


def reached(state: State, event: Reached, now: Moment) -> tuple[State, list[Command]]:
    assert state.payload is not None
    deadline = state.deadline if state.hung else now.mono + state.payload.probe_timeout_s
    return replace(state, path=event.path, account=event.account, deadline=deadline), []


def start_hangs(state: State, event: Ticked, now: Moment) -> tuple[State, list[Command]]:
    """The child makes no progress: say which path it is, and try to get rid of it. No second one is started while
    it lives: it may be stuck in the kernel, and each further one would be stuck as well."""
    payload = state.payload
    assert payload is not None
    if state.account and not state.hung:  # a second one would ask the same directory
        state = replace(state, deadline=now.mono + PROBE_RETRY_CAP_S)
        return tell_problem(state, words.looked_up(state.path, payload))
    problem = words.hangs(state.path, payload)
    again: list[Command] = [KillTree()]
    state, told = tell_problem(replace(state, hung=True, deadline=now.mono + PROBE_RETRY_CAP_S), problem)
    return state, told + again


def told_running(state: State) -> Tell:
    """For a program without checks."""
    message = words.running(state.pid, state.since.clock, state.restarts, state.last_exit, state.note)
    return Tell(TASK_RUNNING, report_of(state, "running"), message)


def path_failed(state: State, event: PathFailed, now: Moment) -> tuple[State, list[Command]]:
    wait_s = min(PROBE_RETRY_CAP_S, 2.0 ** min(state.retries, 10))
    if state.held:
        return end(state, TASK_FAILED, words.not_started_again(event.problem, state.held), now)
    hung = state.hung
    state = nothing_runs(state, WAITING)
    state = replace(state, retries=state.retries + 1, until=after(now, wait_s), deadline=now.mono + wait_s)
    if hung:  # what was told when it hung is still the better sentence
        return state, []
    return tell_problem(state, words.tries_again(event.problem, PROBE_RETRY_CAP_S))


def tell_problem(state: State, problem: str) -> tuple[State, list[Command]]:
    """Tell why there is no start, once for each different sentence: a path that stays away makes no traffic."""
    if problem == state.problem:
        return state, []
    report = report_of(replace(state, pid=0), "probing")
    return replace(state, problem=problem), [Tell(TASK_STARTING, report, problem), Say(problem)]


def sandbox_gone(state: State, event: SandboxGone, now: Moment) -> tuple[State, list[Command]]:
    """Given up, so that the framework launches a task that has one."""
    return end(state, TASK_FAILED, event.problem, now)


def start_failed(state: State, event: StartFailed, now: Moment) -> tuple[State, list[Command]]:
    if state.hung:
        return path_failed(state, PathFailed(event.problem), now)
    ended = Exit(at=now.wall, ran_s=0.0, code=127, why=NOT_STARTED, lines=(event.problem,), printed=False)
    state = replace(state, problem=event.problem, last_exit=ended)
    state, commands = decide(state, now, failed_start=True)
    return state, [Say(event.problem), *commands]


def died(state: State, event: Died, now: Moment) -> tuple[State, list[Command]]:
    state = with_exit(state, event, now, event.left)
    assert state.last_exit is not None
    said: list[Command] = [Say(state.last_exit.words())]
    if event.left:
        return replace(state, phase=CLEARING, deadline=now.mono + KILL_S), [*said, KillTree()]
    state, commands = gone(state, now)
    return state, said + commands


def cleared(state: State, event: TreeGone, now: Moment) -> tuple[State, list[Command]]:
    return gone(state, now)


def gone(state: State, now: Moment) -> tuple[State, list[Command]]:
    """The program ended by itself, and nothing of it is left."""
    assert state.payload is not None
    if state.program and state.payload.stop.after:
        return hooks.begin(replace(state, phase=CLEARING), hooks.AFTER, now)
    return decide(state, now)


def hook_ended(state: State, event: SideCommandEnded, now: Moment) -> tuple[State, list[Command]]:
    if event.key != state.hook:
        return state, []
    state, commands = decide(replace(state, hook=""), now)
    return state, [*hooks.told(event), *commands]


def clearing_hangs(state: State, event: Ticked, now: Moment) -> tuple[State, list[Command]]:
    if state.hook:
        hook = state.hook
        state, commands = decide(replace(state, hook=""), now)
        return state, [Say(words.hook_hangs(hook)), EndSideCommand(hook), *commands]
    state, told = _uncleared(replace(state, deadline=now.mono + KILL_S))
    return state, [*told, KillTree()]


def signal_refused(state: State, event: SignalRefused, now: Moment) -> tuple[State, list[Command]]:
    return _uncleared(replace(state, refused=event.problem))


def _uncleared(state: State) -> tuple[State, list[Command]]:
    problem = words.unkillable("what the program left behind", state.payload, state.refused)
    return tell_problem(state, f"{problem}; the program starts again when it is gone")


def decide(state: State, now: Moment, failed_start: bool = False) -> tuple[State, list[Command]]:
    """After an end by itself, or one for a restart: again at once, again later, or over, as the job's policy has it."""
    assert state.payload is not None and state.last_exit is not None
    rule, last = state.payload.restart, state.last_exit
    how = state.problem if failed_start else last.words()
    success = not failed_start and not last.why and last.signal is None and last.code in rule.success_codes
    if state.held:
        return end(state, TASK_FAILED, words.not_started_again(how, state.held), now)
    if rule.policy != "always" and success:
        return end(state, TASK_FINISHED, how, now)
    if rule.policy == "never":
        return end(state, TASK_FAILED, how, now)
    recent = tuple(time for time in state.recent if now.mono - time < rule.window_s)
    if rule.budget and len(recent) >= rule.budget:
        return end(state, TASK_FAILED, words.gave_up(rule, how), now)
    wait_s = backoff(rule, state.deaths)
    state = replace(nothing_runs(state, WAITING), deaths=state.deaths + 1)
    if rule.budget:
        state = replace(state, recent=(*recent, now.mono + wait_s)[-rule.budget :])
    if wait_s <= 0:
        return restart(state, now)
    state = replace(state, until=after(now, wait_s), deadline=now.mono + wait_s)
    message = words.waits(how, wait_s, state.restarts)
    report = report_of(state, "backoff")
    return state, [Tell(TASK_STARTING, report, message), Say(f"starts again in {duration(wait_s)}")]


def backoff(rule: Restart, deaths: int) -> float:
    """Seconds to wait after a death that ``deaths`` others came before: none at first, then growing to the cap."""
    if deaths == 0 or not rule.delay_s:
        return 0.0
    try:
        return min(rule.cap_s, rule.delay_s * rule.factor ** (deaths - 1))
    except OverflowError:
        return rule.cap_s


def waited(state: State, event: Ticked, now: Moment) -> tuple[State, list[Command]]:
    # a start that a path prevented is tried again: it was counted when it was first due
    return spawn(state, now) if state.retries else restart(state, now)


def restart(state: State, now: Moment) -> tuple[State, list[Command]]:
    return spawn(replace(state, restarts=state.restarts + 1), now)
