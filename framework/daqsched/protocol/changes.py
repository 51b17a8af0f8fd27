"""Changes of the farm: plans, applies, revisions, restarts, rollouts."""

from __future__ import annotations

from typing import Literal, Optional

import msgspec

from daqsched.choices import ChoiceSet
from daqsched.logbook import LogbookEntry
from daqsched.rollout import ONE_BY_ONE, Rollout, RolloutOutcome, Strategy
from daqsched.spec import Spec
from daqsched.views.plan import Plan


class PlanRequest(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """POST /v1/plan -> `Plan`."""

    spec: Spec
    #: Words as in `daqsched.select`: only these are changed. Empty: everything.
    only: list[str] = []
    #: How it would go over the farm; null: as the spec says.
    strategy: Optional[Strategy] = None
    #: Words that select jobs of other parts of the farm, which become the spec's.
    take: list[str] = []
    #: As of `ApplyRequest`.
    choices: Optional[ChoiceSet] = None


class ApplyRequest(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """POST /v1/apply -> `Applied`."""

    spec: Spec
    message: str = ""
    #: A spec without a job stops the whole farm: it must be meant.
    allow_empty: bool = False
    only: list[str] = []
    strategy: Optional[Strategy] = None
    #: `Plan.base` of a plan that was looked at before: refused where another spec is in force by now.
    if_unchanged: str = ""
    #: So many running programs may end for it at once, and no more; null: as many as end unasked (`confirm`).
    stops: Optional[int] = None
    #: Words that select jobs of other parts of the farm, which become the spec's.
    take: list[str] = []
    #: Do not ask the first hosts before whether they could start what takes the place of what runs there.
    no_look: bool = False
    #: What shifters may set from now on; null: nothing. Of an apply of some of a part (``only``) there is none, and what they may
    #: stays as it is.
    choices: Optional[ChoiceSet] = None


class Applied(msgspec.Struct):
    """What an apply did."""

    plan: Plan
    #: The revision that is in force; the same as before where nothing changed.
    revision: int
    #: The rollout that it began; 0: none, all that changes was replaced at once.
    rollout: int = 0
    #: What the engine made of it, which the plan can't know: tasks that end and do not come back, programs that are ended to be
    #: started anew (at once, or when their batch begins), instances that are new. Of what the file says: forwarders are not
    #: counted. null: a daemon that does not say.
    stops: Optional[int] = None
    restarts: Optional[int] = None
    starts: Optional[int] = None
    #: That revision's. The plan's is of the look before it. Empty: a daemon that does not say.
    digest: str = ""
    #: What the look before it found against single hosts, and hosts that gave no answer, a sentence each.
    doubts: tuple[str, ...] = ()
    #: Of a set, or of a proposal: of which part of the farm.
    part: str = ""
    #: Of a proposal that was approved: which, and who proposed it.
    proposal: int = 0
    proposed_by: str = ""


class RevisionHead(msgspec.Struct):
    """One applied spec, without the spec."""

    number: int
    digest: str
    user: str
    time: float
    message: str
    #: The part of the farm that it was about; empty: the one without a name, or all.
    part: str = ""
    #: The job file, with what was set of its variables; of an apply of a part all of what the farm was then.
    source: str = ""
    #: How many instances it began, ended, changed, as `Applied` has it, without forwarders: what did not run did not end, and how
    #: many of them a rollout reached is its own to say. By `Plan.instances`, where that is not known, or for who sees not all of
    #: the farm. Empty in the answer about one revision.
    changes: dict[str, int] = {}
    #: What people wrote after it and before the next one that is told of, the newest first; empty in the answer about one revision.
    notes: list[LogbookEntry] = []
    #: How far its rollout has come, or how it ended; null: it had none, or that is forgotten.
    rollout: Optional[RolloutOutcome] = None
    #: The same as a sentence.
    went: str = ""


class HistoryAnswer(msgspec.Struct):
    """GET /v1/history?most=N&part=NAME&before=NUMBER: the newest first; with ``part`` those of that one, ``-``:
    of the one without a name."""

    revisions: list[RevisionHead]
    #: The ``before`` that goes on with older ones; 0: there are none, or a daemon before does not say.
    next: int = 0


class RevisionAnswer(msgspec.Struct):
    """GET /v1/revisions/NUMBER; 0 is the one in force. Values of environment variables are hidden (`redaction`) from all but
    admins; without rights, root and the daemon's own account."""

    head: RevisionHead
    spec: Spec
    #: Of the one in force, for who sees all: jobs whose names others had before, and since when they are their owners'.
    taken: dict[str, float] = {}


class HideRequest(msgspec.Struct, forbid_unknown_fields=True):
    """POST /v1/plan/hidden -> `HiddenAnswer`."""

    spec: Spec


class HiddenAnswer(msgspec.Struct):
    """What stands in the place of values of environment variables (`redaction`) where whoever may not see them is told a revision:
    where they differ from what is told there can be seen by that."""

    #: By job, and by variable.
    marks: dict[str, dict[str, str]]


class RollbackRequest(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """POST /v1/rollback -> `Applied`: what a revision said is applied anew."""

    revision: int
    message: str = ""
    strategy: Optional[Strategy] = None
    #: As of `ApplyRequest`.
    stops: Optional[int] = None
    #: Of this part of the farm, ``-``: of the one without a name. null: of a farm without parts.
    part: Optional[str] = None
    #: Of all parts.
    everyones: bool = False
    no_look: bool = False


class RolloutAnswer(msgspec.Struct):
    """GET /v1/rollout?number=N: the one under way, or the last, or the one before that if it is N; null: there was none."""

    rollout: Optional[Rollout]
    #: The hosts of the batch in work that are not ready, and why: ``(job, host, why)``.
    lagging: list[tuple[str, str, str]]
    now: float
    #: Of a restart: what was named and is not started anew, as it is stopped, held or does not run, and why: ``(job, host, why)``.
    rejected: list[tuple[str, str, str]] = []
    #: How it is, as a sentence with the next step; empty: there was none.
    words: str = ""


class SteerRequest(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """POST /v1/rollout -> `RolloutAnswer`: ``pause``, ``resume``, ``abort`` or ``rollback``."""

    what: Literal["pause", "resume", "abort", "rollback"]
    message: str = ""
    #: As of `ApplyRequest`.
    stops: Optional[int] = None


class RestartRequest(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """POST /v1/restart -> `RolloutAnswer`: the same programs anew, batch by batch."""

    select: list[str]
    message: str = ""
    strategy: Strategy = ONE_BY_ONE
    #: As of `ApplyRequest`.
    stops: Optional[int] = None
