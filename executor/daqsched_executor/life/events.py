"""What an executor's core hears from its shell, in the past tense; what it answers stands in `commands`.

`lifecycle.handle` turns the first into the second; `run` performs commands, and a command that fails comes back as
an event. All are values that a test can write down and compare.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Union

from daqsched_executor.contract import OperatorCommand, Payload, Survey

#: The states of a task that Mesos knows and we use (TaskState in mesos.proto).
TASK_STARTING, TASK_RUNNING, TASK_KILLING = "TASK_STARTING", "TASK_RUNNING", "TASK_KILLING"
TASK_FINISHED, TASK_FAILED, TASK_KILLED = "TASK_FINISHED", "TASK_FAILED", "TASK_KILLED"


class Moment(NamedTuple):
    """One instant: ``mono`` for waiting (it never jumps), ``wall`` and ``clock`` (local time, with its zone) for people."""

    mono: float = 0.0
    wall: float = 0.0
    clock: str = ""


@dataclass(frozen=True)
class Launched:
    """The agent handed over the task."""

    payload: Payload
    #: What people should know of this run besides, told while the program runs; empty: all is well.
    note: str = ""


@dataclass(frozen=True)
class SurveyAsked:
    """The agent handed over a survey in the place of a job."""

    survey: Survey


@dataclass(frozen=True)
class LookReached:
    """The child of this look is about to look at ``path``; an empty path means that all is fine."""

    look: int
    path: str
    #: As of `Reached`.
    account: bool = False


@dataclass(frozen=True)
class LookEnded:
    """The child of this look found why there could be no start, or nothing that stands against it (empty)."""

    look: int
    problem: str


@dataclass(frozen=True)
class Refused:
    """The agent handed over a task that cannot be understood; ``problem`` says why."""

    problem: str


@dataclass(frozen=True)
class Claimed:
    """Nothing of the instance runs on this machine, and nothing else can begin to."""

    #: How many processes that a dead executor had left behind were ended first.
    ended: int = 0
    #: Why a second copy would not be noticed; empty: it would, or the job does not want it.
    problem: str = ""


@dataclass(frozen=True)
class Occupied:
    """Something of the instance still runs on this machine."""

    #: The executor that has the lock, and since when (local time; an older one did not write its zone); 0 and empty: nobody has.
    pid: int = 0
    since: str = ""
    #: Processes of other tasks of the instance that are being ended, by us or by their own executor.
    dying: int = 0


@dataclass(frozen=True)
class Spawned:
    """A child was forked; it is not the program yet."""

    pid: int


@dataclass(frozen=True)
class Reached:
    """The child is about to look at ``path``; an empty path means that all are fine and it calls exec."""

    path: str
    #: It is no path, but an account that is looked up.
    account: bool = False


@dataclass(frozen=True)
class Started:
    """exec worked: the child is the program."""


@dataclass(frozen=True)
class PathFailed:
    """The child found a path that cannot be read, and is gone."""

    problem: str


@dataclass(frozen=True)
class SandboxGone:
    """The child found that somebody removed the sandbox, and is gone: nothing starts there any more."""

    problem: str


@dataclass(frozen=True)
class StartFailed:
    """The child could not become the program (exec, user, limits), or fork itself failed; it is gone."""

    problem: str


@dataclass(frozen=True)
class Died:
    """The program ended and was reaped; ``left`` processes that it began are still there."""

    code: int | None = None
    signal: str | None = None
    core: bool = False
    left: int = 0
    #: As in `contract.Exit`.
    out_of_memory: bool = False
    peak: float = 0.0
    limit: float = 0.0
    lines: tuple[str, ...] = ()


@dataclass(frozen=True)
class TreeGone:
    """Nothing that the program began is left; comes after a `Died` with ``left``."""


@dataclass(frozen=True)
class Emptied:
    """Somebody emptied files that the program prints to; ``streams`` are their names."""

    streams: tuple[str, ...]


@dataclass(frozen=True)
class SignalRefused:
    """The kernel does not let our account signal a process that the program began; ``problem`` says which."""

    problem: str


@dataclass(frozen=True)
class StopAsked:
    """Somebody wants the program to end for good: ``why`` completes "stopped by ..."."""

    why: str
    #: At most this long until SIGKILL, where the one who asks has less patience than the job.
    grace_s: float | None = None
    #: At most this long for the last report to be acknowledged.
    leave_s: float | None = None


@dataclass(frozen=True)
class OperatorAsked:
    """An operator wants something, see `OperatorCommand`."""

    order: OperatorCommand


@dataclass(frozen=True)
class SideCommandEnded:
    """What `RunSideCommand` with this key began has ended, or could not begin; nothing of it is left."""

    key: str
    ok: bool
    #: ``exit code 0 after 1.2 s``.
    words: str
    #: The last lines that it printed.
    lines: tuple[str, ...] = ()


@dataclass(frozen=True)
class Connected:
    """The agent accepted our subscription."""

    #: Whether the framework knows the state TASK_KILLING (its capability TASK_KILLING_STATE).
    killing: bool = False


@dataclass(frozen=True)
class Disconnected:
    """The connection to the agent broke, or an attempt to make it failed."""


@dataclass(frozen=True)
class Delivered:
    """The agent took the last report; that it is on disk comes later."""


@dataclass(frozen=True)
class Acknowledged:
    """The agent has the last report safely on disk."""


@dataclass(frozen=True)
class Answered:
    """A check that was asked (`Ask`) passed or not; ``problem`` says why not, where there is more to say."""

    number: int
    ask: int
    #: None: the executor could not ask, which says nothing of the program.
    ok: bool | None
    problem: str = ""


@dataclass(frozen=True)
class Notice:
    """One message of sd_notify(3), as far as we know its words; see `notify.parse`."""

    ready: bool = False
    reloading: bool = False
    stopping: bool = False
    watchdog: bool = False
    #: WATCHDOG=trigger: the program itself says that it is not well.
    trigger: bool = False
    #: STATUS=; None: it says nothing of that.
    status: str | None = None
    #: WATCHDOG_USEC= and EXTEND_TIMEOUT_USEC=, in seconds; 0: not in it.
    watchdog_s: float = 0.0
    extend_s: float = 0.0


@dataclass(frozen=True)
class Notified:
    """The program sent a message by the protocol of sd_notify(3)."""

    notice: Notice


@dataclass(frozen=True)
class Ticked:
    """Time passed: `State.wake_at` has come."""


Event = Union[
    Launched, Refused, Claimed, Occupied, Spawned, Reached, Started, PathFailed, StartFailed, Died, TreeGone,
    StopAsked, Connected, Disconnected, Delivered, Acknowledged, Ticked, SurveyAsked, LookReached, LookEnded,
    OperatorAsked, SideCommandEnded, Answered, Notified, SignalRefused, Emptied, SandboxGone,
]  # fmt: skip
