"""What is to be done: the only things that the engine asks of the world. Imperative; the daemon performs them.

The saves of one step are made durable together before anything else of it leaves the machine: a launch that
was sent but not saved could be sent again, an acknowledged report that was not saved would be lost.
"""

from __future__ import annotations

from typing import Union

import msgspec

from daqsched.engine.resources import Portion
from daqsched.spec import Spec
from daqsched_executor.contract import OperatorCommand, Payload, Survey
from daqsched_executor.contract.console import ConsoleAsk

#: The documents in the store, beside revisions and records.
ROLLOUT, BATCHES, BEFORE, ASIDE = "rollout", "batches", "before", "aside"
DURATIONS, HOLDS, PARTS, STARTED = "paces", "holds", "parts", "started"
#: Which agent people said a host is, and what they wrote.
NAMES, LOGBOOK, OUTCOMES = "names", "logbook", "outcomes"
#: What proves who comes over the network.
CREDENTIALS = "credentials"
#: Of requests that have a key.
KEYS = "requests"
#: What shifters may set.
CHOICES = "choices"
#: Who is in control.
CONTROL = "control"
#: Since when each job has its owner and its part.
OWNERS = "owners"
#: What waits to be approved.
PROPOSALS = "proposals"
#: What applies came to.
EFFECTS = "effects"


class Revision(msgspec.Struct, frozen=True):
    """One applied spec: who asked for it, when and why."""

    number: int
    digest: str
    user: str
    time: float
    message: str
    spec: Spec


class SaveFrameworkId(msgspec.Struct, frozen=True, tag=True):
    """Remember what the master calls us."""

    framework_id: str


class SaveRevision(msgspec.Struct, frozen=True, tag=True):
    """Remember what was applied."""

    revision: Revision


class SaveDocument(msgspec.Struct, frozen=True, tag=True):
    """Remember this under its name (the engine is asked for it, see `Engine.document`); one that is None is forgotten."""

    name: str


class SaveRecords(msgspec.Struct, frozen=True, tag=True):
    """Remember these instances as they are now (the engine is asked for each); one that is gone is forgotten."""

    keys: tuple[tuple[str, str], ...]


class TaskToLaunch(msgspec.Struct, frozen=True):
    """One task of a launch; the payload's ports are resources, too."""

    payload: Payload
    cpus: float
    mem: float
    disk: float
    #: For whoever looks at it in Mesos: whose job it was, and in which revision, when it was launched.
    owner: str = ""
    revision: int = 0


class SurveyToLaunch(msgspec.Struct, frozen=True):
    """A task that only looks (`daqsched preflight`); nothing of it is saved."""

    survey: Survey
    cpus: float
    mem: float


class Launch(msgspec.Struct, frozen=True, tag=True):
    """Accept the offer for these tasks; what is left of it is declined for ``refuse_s``."""

    offer_id: str
    agent_id: str
    tasks: tuple[TaskToLaunch, ...]
    refuse_s: float
    surveys: tuple[SurveyToLaunch, ...] = ()
    #: What the offer is made of, see `resources.Offer`.
    portions: tuple[Portion, ...] = ()

    @property
    def task_ids(self) -> tuple[str, ...]:
        """All that it would begin."""
        return tuple([task.payload.task_id for task in self.tasks] + [survey.survey.task_id for survey in self.surveys])


class Decline(msgspec.Struct, frozen=True, tag=True):
    """Give the offers back and do not ask again for ``refuse_s``, unless offers are revived."""

    offer_ids: tuple[str, ...]
    refuse_s: float


class Kill(msgspec.Struct, frozen=True, tag=True):
    """End the task the way its payload says."""

    task_id: str
    agent_id: str


class Send(msgspec.Struct, frozen=True, tag=True):
    """Hand an order to a task's executor. It may be lost on the way."""

    task_id: str
    agent_id: str
    order: OperatorCommand


class Type(msgspec.Struct, frozen=True, tag=True):
    """Ask a task's executor about its program's terminal, or type there: people do, and no step of the engine's. It may be lost on
    the way, and must not come late."""

    task_id: str
    agent_id: str
    ask: ConsoleAsk


class Acknowledge(msgspec.Struct, frozen=True, tag=True):
    """Tell the agent that the report has been dealt with."""

    task_id: str
    agent_id: str
    uuid: str


class AskGuard(msgspec.Struct, frozen=True, tag=True):
    """Ask a rollout's guard whether its next batch may begin; `events.GuardAnswered` is the answer."""

    rollout: int
    batch: int
    guard: str
    revision: int


class Reconcile(msgspec.Struct, frozen=True, tag=True):
    """Ask the master what it knows of these (task, agent); of all that it knows where there are none."""

    tasks: tuple[tuple[str, str], ...]


class Revive(msgspec.Struct, frozen=True, tag=True):
    """Ask for offers: something waits."""


class Suppress(msgspec.Struct, frozen=True, tag=True):
    """Ask for no offers: nothing waits, the machines are for others."""


class Note(msgspec.Struct, frozen=True, tag=True):
    """Write this sentence into the daemon's log: what happened and what is done about it."""

    sentence: str


#: What the store carries out.
SAVES = (SaveFrameworkId, SaveRevision, SaveDocument, SaveRecords)

Command = Union[
    SaveFrameworkId,
    SaveRevision,
    SaveDocument,
    SaveRecords,
    AskGuard,
    Launch,
    Decline,
    Kill,
    Send,
    Type,
    Acknowledge,
    Reconcile,
    Revive,
    Suppress,
    Note,
]
