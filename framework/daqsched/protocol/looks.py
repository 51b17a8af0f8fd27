"""How the farm is: statuses, progress, explanations, incidents, names, notes, the daemon's log."""

from __future__ import annotations

from typing import Optional

import msgspec

from daqsched.control import InControl
from daqsched.engine.incidents import Incident
from daqsched.logbook import LogbookEntry
from daqsched.views.rows import Progress, Row, Story


class AuditCopied(msgspec.Struct):
    """How far the copy of the audit file in Elasticsearch is behind."""

    #: So many lines are not there.
    lines: int = 0
    #: When the first of them was written, in seconds since the epoch; 0: none waits, or it does not say.
    since: float = 0.0
    #: What is wrong with that, as a sentence; empty: nothing, as a line is copied within two minutes.
    trouble: str = ""


class StandbyCopied(AuditCopied):
    """The same of the file of a daemon that does not lead, as that one said last."""

    #: Host and pid.
    daemon: str = ""
    #: When it said so, in seconds since the epoch.
    told: float = 0.0


class StatusAnswer(msgspec.Struct):
    """GET /v1/status?select=WORD&select=...&part=NAME&at=TIME&limit=N&after=JOB@HOST; ``at`` asks how it was then, in seconds since
    the epoch."""

    rows: list[Row]
    revision: int
    digest: str
    user: str
    applied: float
    master: str
    connected: bool
    now: float
    #: With ``at=TIME``: why that is not the whole truth; empty: it is.
    doubt: str = ""
    #: Which of several daemons leads (host and pid); empty where there is one.
    leader: str = ""
    #: Why nothing can be saved, and so nothing is started or stopped; empty: all goes on.
    read_only: str = ""
    #: Hosts of these rows whose agents take the word of anybody for an executor's (`Report.authenticated`).
    unauthenticated: list[str] = []
    #: Why changes are not in the audit file; empty: they are.
    audit: str = ""
    #: How far their copy is, to who does not see all without numbers; null: nobody makes one.
    audit_copy: Optional[AuditCopied] = None
    #: Of the daemons that do not lead, and have their files copied, too.
    standby_copies: list[StandbyCopied] = []
    #: A rollout that is under way, waits for somebody, or left something as it was; empty: there is none.
    rollout: str = ""
    #: What was stopped by hand and has left the farm since then; empty: nothing, or nothing for who does not see all.
    absent: str = ""
    #: Words of the selection that mean nothing that there is, whatever its state, in their order.
    unmatched: list[str] = []
    #: What was meant by them, for the end of a sentence; empty: nothing is near.
    hint: str = ""
    #: With ``limit``: the ``after`` that goes on; empty: there are no more rows.
    next: str = ""
    #: Who is in control, of what of it who asks may see.
    control: list[InControl] = []
    #: How many transitions between states that can't be this daemon has seen since it leads: each is a bug of ours, and in its
    #: log; 0 for who may not read that.
    illegal_transitions: int = 0
    #: As `read_only` was called in 0.1.
    held: str = ""

    def __post_init__(self) -> None:
        self.read_only = self.held = self.read_only or self.held


class ProgressAnswer(msgspec.Struct):
    """GET /v1/progress?select=WORD&part=NAME&most=N&seen=VERSION&wait_s=S&revision=N: at once if the version is not VERSION,
    else on a change."""

    progress: Progress
    connected: bool
    master: str
    now: float
    #: What took the place of that revision, in words; empty: nothing did, or nobody asked.
    superseded: str = ""


class WhyAnswer(msgspec.Struct):
    """GET /v1/why?select=WORD&most=N: a story for each that is not as desired, the worst first."""

    stories: list[Story]
    #: How many fit the words.
    chosen: int
    #: As in `StatusAnswer`, both.
    read_only: str = ""
    held: str = ""
    #: As there.
    control: list[InControl] = []
    #: What runs as desired and ended by itself within ten minutes: it may not stay up. With the others at most ``most``.
    lately: list[Story] = []
    #: As in `StatusAnswer`, all four.
    unmatched: list[str] = []
    hint: str = ""
    master: str = ""
    connected: bool = True

    def __post_init__(self) -> None:
        self.read_only = self.held = self.read_only or self.held


class StoriesAnswer(msgspec.Struct):
    """GET /v1/stories?select=WORD&most=N: what became of instances that are or were not as desired, the latest first."""

    stories: list[Story]
    #: As in `StatusAnswer`, both.
    unmatched: list[str] = []
    hint: str = ""


class IncidentsAnswer(msgspec.Struct):
    """GET /v1/incidents: deaths that are alike, the latest first."""

    incidents: list[Incident]
    now: float
    #: When the daemon began that knows them; 0: a daemon before does not say.
    daemon: float = 0.0


class NoteRequest(msgspec.Struct, forbid_unknown_fields=True):
    """POST /v1/note -> `NoteAnswer`: write this into the logbook."""

    message: str


class NoteAnswer(msgspec.Struct):
    """GET /v1/note?most=N&before=NUMBER: the logbook, the newest first; of a note that was written: that one."""

    notes: list[LogbookEntry]
    #: As of `HistoryAnswer`.
    next: int = 0


class LogAnswer(msgspec.Struct):
    """GET /v1/log: the last lines of the daemon's own log; GET /v1/log/HOST: of the log of that host's Mesos agent. For root
    and the daemon's own account."""

    lines: list[str]


class KnownName(msgspec.Struct):
    """One that can be typed, and what people are told of it."""

    name: str
    about: str = ""


class NamesAnswer(msgspec.Struct):
    """GET /v1/names?of=KIND&begin=TEXT: what a word that begins so may become (`views.names`)."""

    names: list[KnownName]
