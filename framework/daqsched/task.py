"""A job on a host and the Mesos task that runs it: the values that the engine keeps and the store saves."""

from __future__ import annotations

import re
from collections.abc import Collection
from math import ceil
from typing import Literal, Mapping, Optional

import msgspec

from daqsched.identity import is_one
from daqsched.spec import JobSpec
from daqsched_executor.contract import OperatorCommand, Report

#: How far a task is, by what is known of it. `launching` was saved and sent; `unreachable` and `unknown` mean that nobody
#: can say now, and no second copy is started meanwhile.
TaskState = Literal["launching", "staging", "starting", "running", "unreachable", "unknown"]

#: What Mesos' words (mesos.proto, TaskState) mean to us; what is not here ends the task.
LIVE: dict[str, TaskState] = {
    "TASK_STAGING": "staging",
    "TASK_STARTING": "starting",
    "TASK_RUNNING": "running",
    "TASK_KILLING": "running",
    "TASK_UNREACHABLE": "unreachable",
    "TASK_UNKNOWN": "unknown",
}

#: Mesos' words for the end of a task.
ENDED = frozenset(
    [
        "TASK_FINISHED",
        "TASK_FAILED",
        "TASK_KILLED",
        "TASK_ERROR",
        "TASK_LOST",
        "TASK_DROPPED",
        "TASK_GONE",
        "TASK_GONE_BY_OPERATOR",
    ]
)


#: Nobody counts further, and what an executor says may be a lie: what is saved stays a number that can be reckoned with.
MOST_RESTARTS = 10**12

#: Why what was stopped, and has left the farm since then, does not start when it is let run.
ABSENT = "is not in the farm: it starts when a job file names it again"

_LAUNCHED = re.compile(r"\.([0-9a-f]{9,13})-[0-9a-f]{8}\Z")


def launch_mark(now: float, chance: str) -> str:
    """What a task's id ends with: when it was launched, in milliseconds and never too early, and 8 hexadecimal digits of chance."""
    return f"{ceil(now * 1000):x}-{chance}"


def launched_at(task_id: str) -> float:
    """When that task was launched, by its id; 0: it does not say."""
    found = _LAUNCHED.search(task_id)
    return int(found[1], 16) / 1000 if found is not None else 0.0


class Task(msgspec.Struct, omit_defaults=True, gc=False):
    """One launch of a job on a host."""

    id: str
    agent_id: str
    #: `digests.run_digest` of what was launched; empty where that is not known.
    digest: str
    launched: float
    state: TaskState = "launching"
    #: When it came to its present state.
    since: float = 0.0
    #: When the kill was (last) asked for; 0: it may live.
    killed: float = 0.0
    #: What was last said of it, as a sentence, and by its executor as values.
    message: str = ""
    report: Optional[Report] = None
    #: When anybody last spoke of it. Not worth a save of its own: a new daemon asks anyway.
    heard: float = 0.0
    #: The ports that it was given, by name: nobody else's until it ends.
    ports: Mapping[str, int] = {}
    #: The version of the software that was launched; None: a daemon launched it that did not keep it.
    release: Optional[str] = None
    #: `digests.CARRIED` of what was launched, where a daemon launched it whose name for it had that in it (`older_run_digests`).
    carried: str = ""

    @property
    def confirmed(self) -> float:
        """Until when somebody is known to have known of it: what was launched a moment ago need not be spoken of yet."""
        return max(self.heard, self.launched)


class Hold(msgspec.Struct, frozen=True, omit_defaults=True):
    """It is not started (again) before somebody says so."""

    #: Whose it is; empty: nobody's, it waits for a first start by hand.
    user: str
    at: float
    message: str = ""
    #: What ran may live until it ends by itself, `daqsched hold`; else it was ended, `daqsched stop`.
    spares: bool = False
    #: As of `Borrow`.
    known_as: tuple[str, ...] = ()

    def is_of(self, user: str, known_as: Collection[str]) -> bool:
        """Whether that is whose it is."""
        return is_one(self.user, self.known_as, user, known_as)

    def __str__(self) -> str:
        """Whose it is: ``was stopped by alice: cabling``."""
        return (
            f"{'is held' if self.spares else 'was stopped'} by {self.user}{': ' + self.message if self.message else ''}"
        )


class Aside(msgspec.Struct, frozen=True, omit_defaults=True):
    """A host that someone set aside."""

    user: str
    at: float
    #: It comes back by itself then.
    until: float
    message: str = ""
    #: As of `Borrow`.
    known_as: tuple[str, ...] = ()

    def is_of(self, user: str, known_as: Collection[str]) -> bool:
        """Whether that is who set it aside."""
        return is_one(self.user, self.known_as, user, known_as)


class Owned(msgspec.Struct, frozen=True):
    """Whose a job is, and since when."""

    #: Seconds since the epoch.
    since: float
    #: A digest of its owner and its part, on all of its hosts.
    mark: str
    #: Others are known to have had a job of that name before.
    taken: bool = False


class Borrow(msgspec.Struct, frozen=True):
    """Someone runs a job by hand on a host that is set aside: once, as this."""

    user: str
    at: float
    job: JobSpec
    #: All that rules call this person, as `Control.known_as`; empty: a daemon before there was this had it run.
    known_as: tuple[str, ...] = ()

    def is_of(self, user: str, known_as: Collection[str]) -> bool:
        """Whether that is who runs it."""
        return is_one(self.user, self.known_as, user, known_as)


class Record(msgspec.Struct, omit_defaults=True, gc=False):
    """What the store keeps of an instance, so that a new daemon goes on where the last one was."""

    task: Optional[Task] = None
    #: Ends in a row that nobody asked for.
    failures: int = 0
    #: How many of these befell the program, with its executor or its host: it is not given up for them.
    befallen: int = 0
    #: How often the program was started in the launches before that of `task`, or before the next one, since a person or an apply
    #: last started it. Negative: somebody has its executor start it anew, and what that counts up to there does not count here.
    starts_before: int = 0
    #: No launch before this time.
    due: float = 0.0
    #: The last task that ended: what is still said of it comes late and means nothing.
    ended: str = ""
    #: The agent that it ran on.
    agent: str = ""
    #: When it ended, seconds since the epoch; 0: none has.
    ended_at: float = 0.0
    #: When it came into the state that people see, where that does not follow from the rest (`engine.shown.KEPT`); 0: it does,
    #: or nobody knows.
    since: float = 0.0
    #: How the last task ended, as its sentence; for people.
    last_end: str = ""
    #: What its executor last said of it: the last lines of the program are in it, which are needed when it is not tried again.
    last_report: Optional[Report] = None
    #: The job did what it should (or must not be tried again) and is not started again while its digest is this.
    done: str = ""
    #: Whether `done` was an end in success.
    succeeded: bool = False
    hold: Optional[Hold] = None
    #: By check, the order that makes it rest: told again to an executor that does not know it.
    #: None: no check rests; most instances have none, and there are as many as tasks.
    snoozes: Optional[Mapping[str, OperatorCommand]] = None
    #: Somebody said that its next start need not wait for the end of what it replaces.
    regardless: bool = False
    #: Of what is no longer desired: what it had replaced, which waits for its end where it comes back.
    replaced: tuple[str, ...] = ()
    #: The revision whose job it still has, while a rollout has not reached it or an apply left it out; 0: the one in force.
    behind: int = 0
    #: The spec names it, and an apply of a part of the farm left it out: it is not desired yet.
    left_out: bool = False
    #: What runs here by hand, in the place of the job.
    borrow: Optional[Borrow] = None
    #: For the forwarder: nothing else is desired on this host, and it stays until all that is left there is stored.
    leaving: bool = False
    #: Why what the state says of it can't be read; empty: it can. Whether it runs, and whether it may, is not known then: it is
    #: not started before a task of it turns up or somebody says so, so that nothing runs twice.
    unread: str = ""
    #: For a job that runs wherever its attributes are: those of this machine at its last offer. None: the job file names it.
    attributes: Optional[Mapping[str, tuple[str, ...]]] = None

    @property
    def own_failures(self) -> int:
        """Those of `failures` that the program is to blame for."""
        return self.failures - self.befallen

    def forget_failures(self) -> None:
        """What ends next is the first in a row, and nothing is waited for."""
        self.failures = self.befallen = 0
        self.due = 0.0

    @property
    def restarts(self) -> int:
        """How often it was started again since a person or an apply last started it: by its executor, and as a new task."""
        report = self.task.report if self.task is not None else None
        here = -1 if self.task is None else report.restarts if report is not None else 0
        restarts = self.starts_before + here
        return (
            0 if restarts < 0 else restarts if restarts < MOST_RESTARTS else MOST_RESTARTS
        )  # calls of none: a step asks
