"""All that an executor knows of its program: the phases, the state as one value, and small steps between values.

The phases, and what is alive in each:

========  =========================================================================================
idle      no task yet; nothing runs
claiming  another copy of the instance may live on this machine; nothing runs until it is gone
starting  a child is forked and checks the paths, then becomes the program (`Reached`, `Started`)
waiting   nothing runs; the next start is due at `State.until` (back-off, or a path is unreadable)
running   the program
clearing  the program ended by itself, but left processes behind, which are killed before it starts again
stopping  the program was told to end; its tree may still live
looking   children that look whether jobs could start here; the task is a survey and no job
ended     nothing runs, the last report is out; the executor leaves when the agent has it
========  =========================================================================================
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from daqsched_executor.contract import Done, Exit, OperatorCommand, Payload, Report, Survey
from daqsched_executor.life.commands import Command, Tell
from daqsched_executor.life.events import Died, Moment, Notified

if TYPE_CHECKING:
    from daqsched_executor.life.health import Health, Snooze

IDLE, CLAIMING, STARTING, WAITING, RUNNING = "idle", "claiming", "starting", "waiting", "running"
CLEARING, STOPPING, LOOKING, ENDED = "clearing", "stopping", "looking", "ended"
#: From which phase it can come into which in one step. What is not here is a bug of ours, see `lifecycle.handle`.
MOVES: dict[str, tuple[str, ...]] = {
    IDLE: (CLAIMING, LOOKING, ENDED),
    CLAIMING: (STARTING, ENDED),
    STARTING: (WAITING, RUNNING, CLEARING, STOPPING, ENDED),
    WAITING: (STARTING, ENDED),
    RUNNING: (STARTING, WAITING, CLEARING, STOPPING, ENDED),
    CLEARING: (STARTING, WAITING, STOPPING, ENDED),
    STOPPING: (STARTING, WAITING, ENDED),
    LOOKING: (ENDED,),
    ENDED: (),
}
#: All there are. A survey's are idle, looking and ended; a job's are all but looking.
PHASES = tuple(MOVES)

#: So many of its last moves are in a state.
STORY = 10

#: A path that can't be read is tried again after 1, 2, 4, 8 and then every 10 seconds.
PROBE_RETRY_CAP_S = 10.0
#: How often the instance's lock is tried again, and whether what gets SIGKILL is gone.
CLAIM_RETRY_S, DYING_RETRY_S = 0.5, 0.02
#: How long the executor waits for the agent's acknowledgement of the last report, once the agent took it. Before that
#: it has as much patience as with an agent that is away: one that has just restarted refuses reports for a while.
ACKNOWLEDGE_S = 10.0
#: So many messages are kept of a program that is not known to run yet.
EARLY = 16
#: SIGKILL ends a process at once unless it hangs in the kernel; after this we say so.
KILL_S = 5.0
#: How long to wait for the very first subscription; the agent itself gives an executor 1 minute to register.
FIRST_CONTACT_S = 60.0


@dataclass(frozen=True)
class Course:
    """How far a survey has come. A look is known by the place of its probe in the survey."""

    survey: Survey
    #: Nothing is waited for any longer (monotonic).
    until: float
    #: How many looks were begun.
    begun: int = 0
    #: What each look is at now, and until when that may take (monotonic).
    running: Mapping[int, tuple[str, float]] = field(default_factory=dict)
    #: `Findings.found`, so far.
    found: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class State:
    """All that the executor knows. Only `handle` makes a new one from an old one."""

    phase: str = IDLE
    #: The last moves from phase to phase, each with the event that led to it.
    story: tuple[str, ...] = ()
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
    #: It looks an account up instead, for which there is no time limit.
    account: bool = False
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
    #: When the next start is due, in waiting.
    until: Moment = Moment()
    #: Who stopped the program; empty while nobody has.
    stopped_by: str = ""
    #: Whom our account may not signal (`SignalRefused`); empty: nobody.
    refused: str = ""
    #: In stopping: why the program is ended and then started again; empty: it ends for good.
    again: str = ""
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
    #: In starting: messages of a program that is quicker than the word that it runs (a container's, whose runner says it).
    early: tuple[Notified, ...] = ()
    #: What the checks know, while a program with checks runs.
    health: Health | None = None
    #: By the check's name; what is over stays until somebody looks.
    snoozes: Mapping[str, Snooze] = field(default_factory=dict)
    #: Who wants it not started again when it has ended; empty: nobody.
    held: str = ""
    #: `Report.authenticated`.
    authenticated: bool | None = None
    #: In looking.
    course: Course | None = None
    #: Whether that counts as a death (the program is ill), or not (somebody wishes it).
    ill: bool = False
    #: In stopping and clearing: the hook that runs now.
    hook: str = ""
    #: In stopping: the second signal was sent.
    second: bool = False
    #: In stopping: SIGKILL at the latest then (monotonic), where the one who asked has less patience than the job.
    hurry_at: float | None = None
    #: The ids of the last orders: one that comes twice changes nothing.
    orders: tuple[str, ...] = ()
    #: The order whose action runs.
    acting: OperatorCommand | None = None
    #: The outcome of the last action.
    done: Done | None = None
    #: The last report, for when only what is beside the program has changed.
    told: Tell | None = None

    @property
    def ready(self) -> bool:
        """Each check has passed once since the program's start."""
        return self.health is None or self.health.ready

    @property
    def wake_at(self) -> float | None:
        """When the next `Ticked` is wanted (monotonic), or None."""
        times = [time for time in (self.deadline, self.alone_until) if time is not None]
        return min(times) if times else None


def begin(now: Moment, patience_s: float, authenticated: bool | None = None) -> State:
    """An executor that has just been started and has not spoken with its agent yet."""
    return State(patience_s=patience_s, alone_until=now.mono + FIRST_CONTACT_S, authenticated=authenticated)


def nothing_runs(state: State, phase: str) -> State:
    return replace(
        state, phase=phase, pid=0, path="", account=False, hung=False, again="", refused="", health=None, deadline=None
    )


def after(now: Moment, seconds: float) -> Moment:
    return Moment(now.mono + seconds, now.wall + seconds, "")


def report_of(state: State, activity: str) -> Report:
    running = state.phase in (RUNNING, STOPPING) and state.pid
    health = state.health
    return Report(
        activity=activity,
        pid=state.pid,
        since=state.since.wall if running else 0.0,
        restarts=state.restarts,
        until=state.until.wall,
        last_exit=state.last_exit,
        done=state.done,
        healthy=None if health is None else health.healthy,
        ailment="" if health is None else health.ailment,
        says="" if health is None else health.says,
        lacks=lacks(state) if running else "",
        snoozed=max((snooze.until.wall for snooze in state.snoozes.values()), default=0.0),
        authenticated=state.authenticated,
        held=bool(state.held),
        rules=state.payload.rules if state.payload is not None else "",
        carries=True,
    )


def lacks(state: State) -> str:
    """What a program that runs has to do without: checks that can't be asked are that, too."""
    pairs = zip(state.payload.checks, state.health.pulses) if state.payload and state.health else ()
    unasked = [f"check {check.name} can't be asked: {pulse.unasked}" for check, pulse in pairs if pulse.unasked]
    return "; ".join(filter(None, [state.note, *unasked]))


def retell(state: State) -> list[Command]:
    """The last report once more, with what has changed beside the program; nothing before the first and after the final."""
    told = state.told
    if told is None or told.final or not isinstance(told.report, Report):
        return []
    return [replace(told, report=report_of(state, told.report.activity))]


def with_exit(state: State, event: Died, now: Moment, left: int = 0) -> State:
    """The program ended; a good run clears what the back-off grows with: a long one, in which it was ready."""
    assert state.payload is not None
    ran_s = max(0.0, now.mono - state.since.mono)
    ended = Exit(
        now.wall,
        ran_s,
        event.code,
        event.signal,
        event.core,
        why=state.again,
        out_of_memory=event.out_of_memory,
        peak=event.peak,
        limit=event.limit,
        lines=event.lines,
        left=left,
    )
    deaths = 0 if state.ready and ran_s >= state.payload.restart.reset_s else state.deaths
    return replace(state, last_exit=ended, pid=0, deaths=deaths)


def leave_at(state: State, now: Moment) -> float:
    return now.mono + (max(ACKNOWLEDGE_S, state.patience_s) if state.leave_s is None else state.leave_s)
