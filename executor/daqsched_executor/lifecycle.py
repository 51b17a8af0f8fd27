"""What an executor does with its program, as a pure function: ``handle(state, event, now) -> (state, commands)``.

No socket, clock, process or Mesos type is in here, so each story of a program (it dies, cvmfs hangs, the agent
goes away in the middle of a stop) is a list of events that a test can write down. Events are what happened, in
the past tense; commands are imperative and `run` performs them; a command that fails comes back as an event.
There are no timers to set or to forget: `State.wake_at` says when the next `Ticked` is wanted.

The phases, and what is alive in each:

========  =========================================================================================
idle      no task yet; nothing runs
starting  a child is forked and checks the paths, then becomes the program (`Reached`, `Started`)
waiting   nothing runs; the next start is due at `State.until` (back-off, or a path is unreadable)
running   the program
clearing  the program ended by itself, but left processes behind, which are killed before it starts again
stopping  the program was told to end; its tree may still live
ended     nothing runs, the last report is out; the executor leaves when the agent has it
========  =========================================================================================
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from daqsched_executor import words
from daqsched_executor.contract import Exit, Payload, Report, Restart, duration
from daqsched_executor.events import (
    TASK_FAILED,
    TASK_FINISHED,
    TASK_KILLED,
    TASK_KILLING,
    TASK_RUNNING,
    TASK_STARTING,
    Acknowledged,
    Command,
    Connected,
    Delivered,
    Died,
    Disconnected,
    Event,
    KillTree,
    Launched,
    Leave,
    Moment,
    PathFailed,
    Reached,
    Refused,
    Say,
    Signal,
    Spawn,
    Spawned,
    Started,
    StartFailed,
    StopAsked,
    Tell,
    Ticked,
    TreeGone,
)

IDLE, STARTING, WAITING, RUNNING = "idle", "starting", "waiting", "running"
CLEARING, STOPPING, ENDED = "clearing", "stopping", "ended"
PHASES = (IDLE, STARTING, WAITING, RUNNING, CLEARING, STOPPING, ENDED)

#: A path that can't be read is tried again after 1, 2, 4, 8 and then every 10 seconds.
PROBE_RETRY_CAP_S = 10.0
#: How long the executor waits for the agent's acknowledgement of the last report, once the agent took it. Before that
#: it has as much patience as with an agent that is away: one that has just restarted refuses reports for a while.
ACKNOWLEDGE_S = 10.0
#: SIGKILL ends a process at once unless it hangs in the kernel; after this we say so.
KILL_S = 5.0
#: How long to wait for the very first subscription; the agent itself gives an executor 1 minute to register.
FIRST_CONTACT_S = 60.0


# ------------------------------------------------------------------------------------------------- state


@dataclass(frozen=True)
class State:
    """All that the executor knows. Only `handle` makes a new one from an old one."""

    phase: str = IDLE
    payload: Payload | None = None
    #: `Launched.note`.
    note: str = ""
    #: The child or program; 0 in idle, waiting and ended.
    pid: int = 0
    #: exec worked: the child is the program.
    program: bool = False
    #: When the present child was forked; after `Started`, when the program began.
    since: Moment = Moment()
    #: The path that the child is looking at; empty when all were fine.
    path: str = ""
    #: The child did not get on within the payload's limit and was sent SIGKILL.
    hung: bool = False
    #: Why the last attempt could not start, as last told; empty after a start that worked.
    problem: str = ""
    #: Starts that a path prevented, in a row.
    retries: int = 0
    #: Deaths since the last good run: what the back-off grows with.
    deaths: int = 0
    #: Starts after the first one, all told.
    restarts: int = 0
    #: The last restarts (monotonic), at most ``budget`` of them.
    recent: tuple[float, ...] = ()
    last_exit: Exit | None = None
    #: How many processes the last death left behind.
    left: int = 0
    #: When the next start is due, in waiting.
    until: Moment = Moment()
    #: Who stopped the program; empty while nobody has.
    stopped_by: str = ""
    #: In stopping: SIGKILL was sent, so the next tick only says that it does not help.
    killed: bool = False
    #: The phase's own deadline (monotonic).
    deadline: float | None = None
    connected: bool = False
    #: While not connected: until when we go on alone (monotonic).
    alone_until: float | None = None
    #: How long the program may go on without an agent (MESOS_RECOVERY_TIMEOUT; 0 without checkpoints).
    patience_s: float = 0.0
    #: Whether TASK_KILLING may be sent.
    killing: bool = False
    #: How long to wait at the end where somebody is in a hurry.
    leave_s: float | None = None

    @property
    def wake_at(self) -> float | None:
        """When the next `Ticked` is wanted (monotonic), or None."""
        times = [time for time in (self.deadline, self.alone_until) if time is not None]
        return min(times) if times else None


def begin(now: Moment, patience_s: float) -> State:
    """An executor that has just been started and has not spoken with its agent yet."""
    return State(patience_s=patience_s, alone_until=now.mono + FIRST_CONTACT_S)


def handle(state: State, event: Event, now: Moment) -> tuple[State, list[Command]]:
    """The one entrance: what is so after ``event``, and what is to be done. Every event is taken in every phase."""
    if isinstance(event, Connected):
        state = replace(state, connected=True, alone_until=None, killing=event.killing)
        return (replace(state, deadline=_leave_at(state, now)) if state.phase == ENDED else state), []
    if isinstance(event, Disconnected):
        return _disconnected(state, now)
    if isinstance(event, Ticked) and state.alone_until is not None and now.mono >= state.alone_until:
        return _abandoned(state, now)
    if isinstance(event, Ticked) and (state.deadline is None or now.mono < state.deadline):
        return state, []
    if isinstance(event, StopAsked) and event.leave_s is not None:
        state = replace(state, leave_s=event.leave_s)
    step = _STEPS.get((state.phase, type(event)))
    if step is None:
        return state, [Say(f"ignored: {type(event).__name__} while {state.phase}")]
    return step(state, event, now)


# ----------------------------------------------------------------------------------- the way to a program


def _launched(state: State, event: Launched, now: Moment) -> tuple[State, list[Command]]:
    payload = event.payload
    state = replace(state, payload=payload, note=event.note)
    started, commands = _spawn(state, now)
    report = Report(activity="starting")
    return started, [Tell(TASK_STARTING, report, words.starting(payload)), *commands]


def _refused(state: State, event: Refused, now: Moment) -> tuple[State, list[Command]]:
    return _end(state, TASK_FAILED, event.problem, now)


def _spawn(state: State, now: Moment) -> tuple[State, list[Command]]:
    assert state.payload is not None
    payload = state.payload
    state = replace(_nothing_runs(state, STARTING), program=False, since=now, until=Moment())
    return replace(state, deadline=now.mono + payload.probe_timeout_s), [Spawn(payload)]


def _reached(state: State, event: Reached, now: Moment) -> tuple[State, list[Command]]:
    assert state.payload is not None
    deadline = state.deadline if state.hung else now.mono + state.payload.probe_timeout_s
    return replace(state, path=event.path, deadline=deadline), []


def _start_hangs(state: State, event: Ticked, now: Moment) -> tuple[State, list[Command]]:
    """The child makes no progress: say which path it is, and try to get rid of it. No second one is started while
    it lives: it may be stuck in the kernel, and each further one would be stuck as well."""
    assert state.payload is not None
    problem = words.hangs(state.path, state.payload)
    again: list[Command] = [KillTree()]
    state, told = _tell_problem(replace(state, hung=True, deadline=now.mono + PROBE_RETRY_CAP_S), problem)
    return state, told + again


def _started(state: State, event: Started, now: Moment) -> tuple[State, list[Command]]:
    state = replace(state, phase=RUNNING, program=True, since=now, hung=False, path="", deadline=None)
    state = replace(state, problem="", retries=0)
    message = words.running(state.pid, now.clock, state.restarts, state.last_exit, state.note)
    return state, [Tell(TASK_RUNNING, _report(state, "running"), message), Say(f"runs: {message}")]


def _path_failed(state: State, event: PathFailed, now: Moment) -> tuple[State, list[Command]]:
    wait_s = min(PROBE_RETRY_CAP_S, 2.0 ** min(state.retries, 10))
    hung = state.hung
    state = _nothing_runs(state, WAITING)
    state = replace(state, retries=state.retries + 1, until=_after(now, wait_s), deadline=now.mono + wait_s)
    if hung:  # what was told when it hung is still the better sentence
        return state, []
    return _tell_problem(state, f"{event.problem}; trying again every {PROBE_RETRY_CAP_S:.0f} s")


def _tell_problem(state: State, problem: str) -> tuple[State, list[Command]]:
    """Tell why there is no start, once for each different sentence: a path that stays away makes no traffic."""
    if problem == state.problem:
        return state, []
    report = _report(replace(state, pid=0), "probing")
    return replace(state, problem=problem), [Tell(TASK_STARTING, report, problem), Say(problem)]


def _start_failed(state: State, event: StartFailed, now: Moment) -> tuple[State, list[Command]]:
    if state.hung:
        return _path_failed(state, PathFailed(event.problem), now)
    state = replace(state, problem=event.problem, last_exit=Exit(at=now.wall, ran_s=0.0, code=127))
    state, commands = _decide(state, now, failed_start=True)
    return state, [Say(event.problem), *commands]


# ---------------------------------------------------------------------------------- the end of a program


def _died(state: State, event: Died, now: Moment) -> tuple[State, list[Command]]:
    state = _with_exit(state, event, now)
    assert state.last_exit is not None and state.payload is not None
    said: list[Command] = [Say(words.ended(state.last_exit, event.left))]
    if state.last_exit.ran_s >= state.payload.restart.reset_s:
        state = replace(state, deaths=0)
    if event.left:
        return replace(state, phase=CLEARING, deadline=now.mono + KILL_S), [*said, KillTree()]
    state, commands = _decide(state, now)
    return state, said + commands


def _with_exit(state: State, event: Died, now: Moment) -> State:
    ended = Exit(now.wall, max(0.0, now.mono - state.since.mono), event.code, event.signal, event.core)
    return replace(state, last_exit=ended, left=event.left, pid=0)


def _cleared(state: State, event: TreeGone, now: Moment) -> tuple[State, list[Command]]:
    return _decide(state, now)


def _clearing_hangs(state: State, event: Ticked, now: Moment) -> tuple[State, list[Command]]:
    problem = words.unkillable("what the program left behind") + "; the program starts again when it is gone"
    state, told = _tell_problem(replace(state, deadline=now.mono + KILL_S), problem)
    return state, [*told, KillTree()]


def _decide(state: State, now: Moment, failed_start: bool = False) -> tuple[State, list[Command]]:
    """After an end by itself: again at once, again later, or over, as the job's policy has it."""
    assert state.payload is not None and state.last_exit is not None
    rule, last = state.payload.restart, state.last_exit
    how = state.problem if failed_start else words.ended(last, state.left)
    success = not failed_start and last.signal is None and last.code in rule.success_codes
    if rule.policy != "always" and success:
        return _end(state, TASK_FINISHED, how, now)
    if rule.policy == "never":
        return _end(state, TASK_FAILED, how, now)
    recent = tuple(time for time in state.recent if now.mono - time < rule.window_s)
    if rule.budget and len(recent) >= rule.budget:
        return _end(state, TASK_FAILED, words.gave_up(rule, how), now)
    wait_s = backoff(rule, state.deaths)
    state = replace(_nothing_runs(state, WAITING), deaths=state.deaths + 1)
    if rule.budget:
        state = replace(state, recent=(*recent, now.mono + wait_s)[-rule.budget :])
    if wait_s <= 0:
        return _restart(state, now)
    state = replace(state, until=_after(now, wait_s), deadline=now.mono + wait_s)
    message = words.waits(how, wait_s, state.restarts)
    report = _report(state, "backoff")
    return state, [Tell(TASK_STARTING, report, message), Say(f"starts again in {duration(wait_s)}")]


def backoff(rule: Restart, deaths: int) -> float:
    """Seconds to wait after a death that ``deaths`` others came before: none at first, then growing to the cap."""
    if deaths == 0:
        return 0.0
    try:
        return min(rule.cap_s, rule.delay_s * rule.factor ** (deaths - 1))
    except OverflowError:
        return rule.cap_s


def _waited(state: State, event: Ticked, now: Moment) -> tuple[State, list[Command]]:
    # a start that a path prevented is tried again: it was counted when it was first due
    return _spawn(state, now) if state.retries else _restart(state, now)


def _restart(state: State, now: Moment) -> tuple[State, list[Command]]:
    return _spawn(replace(state, restarts=state.restarts + 1), now)


# ------------------------------------------------------------------------------------------------- stop


def _stop_idle(state: State, event: StopAsked, now: Moment) -> tuple[State, list[Command]]:
    return replace(state, phase=ENDED, deadline=None), [Say(f"stopped by {event.why} before a task came"), Leave()]


def _stop_waiting(state: State, event: StopAsked, now: Moment) -> tuple[State, list[Command]]:
    state = replace(state, stopped_by=event.why)
    return _end(state, TASK_KILLED, words.stopped_waiting(state.last_exit, state.problem), now)


def _stop_start(state: State, event: StopAsked, now: Moment) -> tuple[State, list[Command]]:
    """The program does not run yet, so SIGKILL at once; a child that hangs in the kernel dies before exec returns."""
    state = replace(state, phase=STOPPING, stopped_by=event.why, killed=True, deadline=now.mono + KILL_S)
    return state, [Say(f"stopped by {event.why} while it started"), KillTree()]


def _stop_running(state: State, event: StopAsked, now: Moment) -> tuple[State, list[Command]]:
    assert state.payload is not None
    rule = state.payload.stop
    grace_s = rule.grace_s if event.grace_s is None else min(rule.grace_s, event.grace_s)
    state = replace(state, phase=STOPPING, stopped_by=event.why, deadline=now.mono + grace_s)
    message = words.stopping(event.why, rule.signal, state.pid, grace_s)
    told = Tell(TASK_KILLING if state.killing else TASK_RUNNING, _report(state, "stopping"), message)
    return state, [told, Say(message), Signal(rule.signal)]


def _stop_clearing(state: State, event: StopAsked, now: Moment) -> tuple[State, list[Command]]:
    state = replace(state, phase=STOPPING, stopped_by=event.why, killed=True, deadline=now.mono + KILL_S)
    return state, [Say(f"stopped by {event.why}")]


def _stop_again(state: State, event: StopAsked, now: Moment) -> tuple[State, list[Command]]:
    """A second order changes nothing, except that it may have less patience."""
    if state.killed or event.grace_s is None or state.deadline is None:
        return state, []
    return replace(state, deadline=min(state.deadline, now.mono + event.grace_s)), []


def _grace_over(state: State, event: Ticked, now: Moment) -> tuple[State, list[Command]]:
    state = replace(state, deadline=now.mono + KILL_S)
    if not state.killed:
        return replace(state, killed=True), [Say("the grace is over: SIGKILL to the whole tree"), KillTree()]
    if state.pid and not state.program:  # SIGKILL waits for it at the end of its system call: it never execs
        return _stopped(replace(state, pid=0), now)
    problem = words.unkillable(f"pid {state.pid}" if state.pid else "what the program left behind")
    told = Tell(TASK_KILLING if state.killing else TASK_RUNNING, _report(state, "stopping"), problem)
    first: list[Command] = [told, Say(problem)] if problem != state.problem else []
    return replace(state, problem=problem), [*first, KillTree()]


def _died_stopping(state: State, event: Died, now: Moment) -> tuple[State, list[Command]]:
    state = _with_exit(state, event, now)
    if event.left:
        return state, []
    return _stopped(state, now)


def _tree_gone_stopping(state: State, event: TreeGone, now: Moment) -> tuple[State, list[Command]]:
    return _stopped(state, now)


def _start_failed_stopping(state: State, event: Event, now: Moment) -> tuple[State, list[Command]]:
    return _stopped(replace(state, pid=0, path=""), now)


def _started_stopping(state: State, event: Started, now: Moment) -> tuple[State, list[Command]]:
    return replace(state, program=True, since=now), [KillTree()]


def _reached_stopping(state: State, event: Reached, now: Moment) -> tuple[State, list[Command]]:
    return state, []


def _stopped(state: State, now: Moment) -> tuple[State, list[Command]]:
    return _end(state, TASK_KILLED, words.stopped(state.last_exit, state.killed, state.payload, state.program), now)


def _end(state: State, task_state: str, message: str, now: Moment) -> tuple[State, list[Command]]:
    """The last report, exactly once; from here on only the agent's word is waited for."""
    state = replace(_nothing_runs(state, ENDED), deadline=_leave_at(state, now), until=Moment())
    told = Tell(task_state, _report(state, "exited"), message, final=True)
    return state, [told, Say(f"{task_state}: {message}")]


def _stop_ended(state: State, event: StopAsked, now: Moment) -> tuple[State, list[Command]]:
    if state.deadline is None:
        return state, []
    return replace(state, deadline=min(state.deadline, _leave_at(state, now))), []


def _leave_at(state: State, now: Moment) -> float:
    return now.mono + (max(ACKNOWLEDGE_S, state.patience_s) if state.leave_s is None else state.leave_s)


def _delivered(state: State, event: Delivered, now: Moment) -> tuple[State, list[Command]]:
    return replace(state, deadline=min(_leave_at(state, now), now.mono + ACKNOWLEDGE_S)), []


def _acknowledged(state: State, event: Acknowledged, now: Moment) -> tuple[State, list[Command]]:
    return replace(state, deadline=None, alone_until=None), [Leave()]


def _not_acknowledged(state: State, event: Ticked, now: Moment) -> tuple[State, list[Command]]:
    if not state.connected and state.alone_until is not None and state.leave_s is None:
        return replace(state, deadline=None), []  # the agent is away: it shall still learn how this ended
    said = Say("leaves, though the agent has not acknowledged the last report")
    return replace(state, deadline=None), [said, Leave()]


# ---------------------------------------------------------------------------------------------- the agent


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


# ----------------------------------------------------------------------------------------------- helpers


def _nothing_runs(state: State, phase: str) -> State:
    return replace(state, phase=phase, pid=0, path="", hung=False, deadline=None)


def _after(now: Moment, seconds: float) -> Moment:
    return Moment(now.mono + seconds, now.wall + seconds, "")


def _report(state: State, activity: str) -> Report:
    running = state.phase in (RUNNING, STOPPING) and state.pid
    return Report(
        activity=activity,
        pid=state.pid,
        since=state.since.wall if running else 0.0,
        restarts=state.restarts,
        until=state.until.wall,
        last_exit=state.last_exit,
    )


def _pid_known(state: State, event: Spawned, now: Moment) -> tuple[State, list[Command]]:
    return replace(state, pid=event.pid), []


def _nothing_to_do(state: State, event: Event, now: Moment) -> tuple[State, list[Command]]:
    return state, []


Step = Callable[[State, Any, Moment], "tuple[State, list[Command]]"]

#: What happens where. A pair that is not here cannot be unless an edge is wrong; it is said and changes nothing.
_STEPS: dict[tuple[str, type], Step] = {
    (IDLE, Launched): _launched,
    (IDLE, Refused): _refused,
    (IDLE, StopAsked): _stop_idle,
    (STARTING, Spawned): _pid_known,
    (STARTING, Reached): _reached,
    (STARTING, Started): _started,
    (STARTING, PathFailed): _path_failed,
    (STARTING, StartFailed): _start_failed,
    (STARTING, Died): _died,
    (STARTING, Ticked): _start_hangs,
    (STARTING, StopAsked): _stop_start,
    (WAITING, Ticked): _waited,
    (WAITING, StopAsked): _stop_waiting,
    (RUNNING, Died): _died,
    (RUNNING, StopAsked): _stop_running,
    (CLEARING, TreeGone): _cleared,
    (CLEARING, Ticked): _clearing_hangs,
    (CLEARING, StopAsked): _stop_clearing,
    (STOPPING, Spawned): _pid_known,
    (STOPPING, Reached): _reached_stopping,
    (STOPPING, Started): _started_stopping,
    (STOPPING, PathFailed): _start_failed_stopping,
    (STOPPING, StartFailed): _start_failed_stopping,
    (STOPPING, Died): _died_stopping,
    (STOPPING, TreeGone): _tree_gone_stopping,
    (STOPPING, Ticked): _grace_over,
    (STOPPING, StopAsked): _stop_again,
    (ENDED, Delivered): _delivered,
    (ENDED, Acknowledged): _acknowledged,
    (ENDED, Ticked): _not_acknowledged,
    (ENDED, StopAsked): _stop_ended,
    # a child that hung in the kernel was given up, and ends later
    (ENDED, Reached): _nothing_to_do,
    (ENDED, PathFailed): _nothing_to_do,
    (ENDED, StartFailed): _nothing_to_do,
}
