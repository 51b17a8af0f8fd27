"""What the CLI and the daemon say to each other: JSON values over HTTP, on a Unix socket. Paths begin with the version."""

from __future__ import annotations

from typing import Any, Literal, Optional

import msgspec

from daqsched.choices import ChoiceSet
from daqsched.confirm import Ending
from daqsched.control import InControl
from daqsched.engine.incidents import Incident
from daqsched.logbook import LogbookEntry
from daqsched.preflight import PreflightFindings
from daqsched.rollout import ONE_BY_ONE, Rollout, RolloutOutcome, Strategy
from daqsched.spec import Spec
from daqsched.views.plan import Plan
from daqsched.views.status import Progress, Row
from daqsched.views.why import Story

#: First part of every path; raised when an older CLI could misunderstand the daemon.
API = "/v1"


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
    #: started anew (at once, or when their batch begins), instances that are new. null: a daemon that does not say.
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
    #: How many instances began, ended, changed with it: by `Plan.instances`; empty in the answer about one revision.
    changes: dict[str, int] = {}
    #: What people wrote after it and before the next one that is told of, the newest first; empty in the answer about one revision.
    notes: list[LogbookEntry] = []
    #: How far its rollout has come, or how it ended; null: it had none, or that is forgotten.
    rollout: Optional[RolloutOutcome] = None


class HistoryAnswer(msgspec.Struct):
    """GET /v1/history?most=N&part=NAME&before=NUMBER: the newest first; with ``part`` those of that one, ``-``:
    of the one without a name."""

    revisions: list[RevisionHead]
    #: The ``before`` that goes on with older ones; 0: there are none, or a daemon before does not say.
    next: int = 0


class RevisionAnswer(msgspec.Struct):
    """GET /v1/revisions/NUMBER; 0 is the one in force. Values of environment variables are hidden (`redaction`) from all but root
    and the daemon's own account."""

    head: RevisionHead
    spec: Spec


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


class SetRequest(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """POST /v1/set -> `Applied`, and /v1/choices/plan -> `Plan`: what a part's file is with these values of its variables."""

    #: ``NAME=VALUE`` each; all others stay as they are.
    settings: list[str]
    #: Of this part of the farm, ``-``: of the one without a name; null: of the only one that has such variables.
    part: Optional[str] = None
    message: str = ""
    #: As of `ApplyRequest`.
    if_unchanged: str = ""
    stops: Optional[int] = None
    no_look: bool = False


class SettableVariable(msgspec.Struct):
    """One that a shifter may set, and to what."""

    name: str
    values: list[str]
    #: What it is; empty also where that can't be told.
    now: str
    #: ``text``, ``whole number``, ``number``, ``truth``.
    kind: str = "text"


class PartChoices(msgspec.Struct):
    """What a shifter may set of a part of the farm."""

    part: str
    variables: list[SettableVariable]
    #: Who has left it to shifters, with which revision.
    by: str
    revision: int
    #: Who has set something last, with which revision; 0: nobody has since.
    set_by: str = ""
    set_in: int = 0
    #: Why nothing can be set; empty: it can.
    why_not: str = ""


class ChoicesAnswer(msgspec.Struct):
    """GET /v1/choices?part=NAME: what shifters may set, to what, and what is set now."""

    parts: list[PartChoices]


class RolloutAnswer(msgspec.Struct):
    """GET /v1/rollout?number=N: the one under way, or the last, or the one before that if it is N; null: there was none."""

    rollout: Optional[Rollout]
    #: The hosts of the batch in work that are not ready, and why: ``(job, host, why)``.
    lagging: list[tuple[str, str, str]]
    now: float


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


class AsideRequest(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """POST /v1/aside and, without an end, /v1/return -> `AsideAnswer`; hosts are names and ranges."""

    hosts: list[str]
    #: Seconds since the epoch.
    until: float = 0.0
    message: str = ""
    #: As of `ApplyRequest`.
    stops: Optional[int] = None


class ReplaceRequest(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """POST /v1/replace -> `Selected`: this agent, or the only other one, is the host."""

    host: str
    #: Its id, or where it listens.
    agent: str = ""
    message: str = ""
    #: As of `ApplyRequest`.
    stops: Optional[int] = None


class BorrowRequest(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """POST /v1/borrow and, with ``end``, its end -> `BorrowAnswer`."""

    job: str
    host: str
    #: The command in the place of the job's own; placeholders are filled in. Empty: the job's.
    argv: list[str] = []
    end: bool = False
    #: As of `ApplyRequest`; null: the one that is ended.
    stops: Optional[int] = None


class BorrowAnswer(msgspec.Struct):
    """What is run; empty where it was ended."""

    argv: list[str]
    #: Whether it has a terminal (``Job(console=True)``).
    console: bool = False


class Lease(msgspec.Struct):
    """A host that somebody set aside."""

    host: str
    user: str
    at: float
    until: float
    message: str


class AsideAnswer(msgspec.Struct):
    """GET /v1/aside: all that are set aside."""

    leases: list[Lease]
    now: float


class SelectRequest(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """POST /v1/stop and /v1/start -> `Selected`; words as in `daqsched.select`."""

    select: list[str]
    message: str = ""
    #: Of a start: also what others have stopped.
    everyones: bool = False
    #: Of a start: without waiting for the end of what they replace.
    anyway: bool = False
    #: As of `ApplyRequest`.
    stops: Optional[int] = None


class Selected(msgspec.Struct):
    """How many instances it was done to."""

    count: int
    #: To which it was not, and why: (job, host, reason).
    rejected: list[tuple[str, str, str]] = []
    #: Jobs that depend on what was stopped and run: they would not start again meanwhile.
    dependents: list[str] = []
    #: Of a start: how many of those somebody else has stopped, so that `SelectRequest.everyones` would let them run.
    others: int = 0
    #: Of those counted the ones of which it is not so yet, and what for, a person's word or their host: (job, host, reason).
    waiting: list[tuple[str, str, str]] = []
    #: Of a replace: which agent is the host now, and which was; empty: a daemon before that does not say.
    agent: str = ""
    agent_before: str = ""


class OrderRequest(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """POST /v1/order -> `OrderAnswer`: something that executors are asked for while they run (`contract.OperatorCommand`)."""

    select: list[str]
    kind: str
    #: The action's or the check's name.
    name: str = ""
    #: When a snooze ends, in seconds since the epoch.
    until: float = 0.0
    message: str = ""
    #: Empty: a new order. Another's: that one again, in case that it was lost; who has it already does nothing.
    id: str = ""
    #: As of `ApplyRequest`.
    stops: Optional[int] = None


class OrderAnswer(msgspec.Struct):
    """What the order is called in `Report.done`, and whom it went to."""

    id: str
    #: ``(job, host)`` of those that it went to.
    accepted: list[tuple[str, str]] = []
    #: ``(job, host, why)`` of those that it could not be given to: ``does not run``.
    rejected: list[tuple[str, str, str]] = []
    #: As the two above were called in 0.1: commands of then ask for them, daemons of then say only these.
    told: Optional[list[tuple[str, str]]] = None
    untold: Optional[list[tuple[str, str, str]]] = None

    def __post_init__(self) -> None:
        self.accepted, self.rejected = self.accepted or self.told or [], self.rejected or self.untold or []
        self.told, self.untold = self.accepted, self.rejected


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
    #: A rollout that waits for somebody, or left something as it was; empty: there is none.
    rollout: str = ""
    #: Words of the selection that mean nothing that there is, whatever its state.
    unmatched: list[str] = []
    #: With ``limit``: the ``after`` that goes on; empty: there are no more rows.
    next: str = ""
    #: Who is in control, of what of it who asks may see.
    control: list[InControl] = []
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


class PreflightRequest(msgspec.Struct, forbid_unknown_fields=True):
    """POST /v1/preflight -> `PreflightBegun`: asks the hosts; words as in `daqsched.select`."""

    spec: Spec
    select: list[str] = []
    #: Who has not answered by then counts as silent.
    timeout_s: float = 60.0
    #: Not asked, though selected; words as those.
    without: list[str] = []


class PreflightBegun(msgspec.Struct):
    """Where the answers are: GET /v1/preflight/ID."""

    id: str
    #: How many hosts are asked.
    hosts: int


class PreflightAnswer(msgspec.Struct):
    """GET /v1/preflight/ID?seen=VERSION&wait_s=S: at once if the version is not VERSION, else on a change."""

    version: int
    answer: PreflightFindings


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

    def __post_init__(self) -> None:
        self.read_only = self.held = self.read_only or self.held


class StoriesAnswer(msgspec.Struct):
    """GET /v1/stories?select=WORD&most=N: what became of instances that are or were not as desired, the latest first."""

    stories: list[Story]


class IncidentsAnswer(msgspec.Struct):
    """GET /v1/incidents: deaths that are alike, the latest first."""

    incidents: list[Incident]
    now: float


class NoteRequest(msgspec.Struct, forbid_unknown_fields=True):
    """POST /v1/note -> `NoteAnswer`: write this into the logbook."""

    message: str


class NoteAnswer(msgspec.Struct):
    """GET /v1/note?most=N&before=NUMBER: the logbook, the newest first; of a note that was written: that one."""

    notes: list[LogbookEntry]
    #: As of `HistoryAnswer`.
    next: int = 0


class RightsAnswer(msgspec.Struct):
    """GET /v1/rights?job=JOB&host=HOST&user=WHO&variable=NAME&part=NAME: what who asks may do to that, or
    to the farm as a whole; of somebody else admins are told."""

    name: str
    #: All that rules may call this person.
    called: list[str]
    #: Each verb, and why it may not be asked for; empty: it may.
    verbs: dict[str, str]
    #: Whether there are rights at all: without, whoever may use the socket may all.
    in_force: bool
    #: The file, and why that is not in force as it is now.
    file: str = ""
    trouble: str = ""
    #: Whether requests of more than 1 MiB are taken of whoever asks, over the network, too.
    large: bool = False


class TokenRequest(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """POST /v1/token -> `NewToken`: make one."""

    name: str
    #: The role that it gives at most.
    role: str
    #: When it expires, in seconds since the epoch.
    until: float
    #: The person, account or identity that it is for; empty: rules name the token itself.
    whose: str = ""


class KnownToken(msgspec.Struct):
    """What there is to know of one; never the token itself."""

    name: str
    role: str
    whose: str
    by: str
    made: float
    until: float
    #: Why it does not count; empty: it does.
    ended: str = ""


class NewToken(msgspec.Struct):
    """The token: nobody is told of it again."""

    token: str
    made: KnownToken


class AuditAnswer(msgspec.Struct):
    """GET /v1/audit?since=TIME&user=NAME&operation=WORD&refused=1&until=SEQ&most=N: lines of the audit file, the newest first."""

    lines: list[dict[str, Any]]
    #: The ``until`` that goes on with older ones; 0: there are none.
    next: int = 0


class TokensAnswer(msgspec.Struct):
    """GET /v1/tokens: all of them, and those that ended within 90 days."""

    tokens: list[KnownToken]


class RevokeRequest(msgspec.Struct, forbid_unknown_fields=True):
    """POST /v1/revoke -> `TokensAnswer`: the token of this name counts no more."""

    name: str


#: The cookie of a session; a browser takes one of this name only as we send it: over TLS, for this host alone.
SESSION_COOKIE = "__Host-daqsched"


class LoginRequest(msgspec.Struct, forbid_unknown_fields=True):
    """POST /v1/login -> `LoginAnswer`, and a cookie; over the network alone."""

    name: str
    password: str


class LogoutRequest(msgspec.Struct, forbid_unknown_fields=True):
    """POST /v1/logout -> `LoginAnswer`, of nobody: the session counts no more."""


class LoginAnswer(msgspec.Struct):
    """Who has logged in, and until when."""

    name: str
    until: float


class LogAnswer(msgspec.Struct):
    """GET /v1/log: the last lines of the daemon's own log; GET /v1/log/HOST: of the log of that host's Mesos agent. For root
    and the daemon's own account."""

    lines: list[str]


#: So many lines, groups of lines, and fingerprints an answer has at most.
MOST_LINES, MOST_GROUPS, MOST_FINGERPRINTS = 1000, 10_000, 500


class LinesWanted(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Which stored lines somebody means; what is empty means all. Of these he is told what he may read."""

    #: Words as in `daqsched.select`: one must fit.
    select: list[str] = []
    #: Hosts: names, ranges, ``*`` and ``?``; one must fit.
    hosts: list[str] = []
    streams: list[str] = []
    #: Exactly these: ``error``, ``critical``.
    levels: list[str] = []
    runs: list[str] = []
    #: In seconds since the epoch: from then on, and before then.
    since: Optional[float] = None
    until: Optional[float] = None
    #: As ``--grep``.
    grep: str = ""


class LinesRequest(LinesWanted, forbid_unknown_fields=True, kw_only=True):
    """POST /v1/lines -> `LinesAnswer`: the last ones."""

    most: int = 50


class StoredLine(msgspec.Struct, omit_defaults=True):
    """A line, as `docs/reference/documents.md` has it; what it does not say is empty."""

    #: In seconds since the epoch.
    time: float
    host: str
    job: str
    stream: str
    level: str
    message: str
    id: str
    offset: int = 0
    release: str = ""
    task_id: str = ""
    flags: tuple[str, ...] = ()
    #: Why Elasticsearch refused the line's full form.
    dead: str = ""
    dataset: str = ""
    run: str = ""
    start: int = 0
    fingerprint: str = ""
    #: When it was seen, where that is not `time`.
    created: float = 0.0
    #: While following: it was stored after newer lines of its stream.
    late: bool = False


class LinesAnswer(msgspec.Struct):
    """Lines, the oldest first."""

    lines: list[StoredLine]
    #: Why these are not all, a sentence each; empty: they are.
    lacks: list[str] = []
    #: Where there is none: whether there are others.
    says: str = ""


class CountLinesRequest(LinesWanted, forbid_unknown_fields=True, kw_only=True):
    """POST /v1/lines/count -> `CountLinesAnswer`: how many in groups, and by intervals of so many seconds (0: not)."""

    #: ``host``, ``job``, ``level``, ``stream``, ``run``, ``version``, ``start``, ``task``, ``dataset``, ``message``.
    by: list[str] = []
    every_s: float = 0.0
    #: By how much the time of the intervals is ahead of UTC: a day begins at midnight of that.
    offset_s: float = 0.0


class LineGroup(msgspec.Struct):
    """So many lines with these values (`-`: without one), and the begin of their interval in seconds since the epoch; 0: of all."""

    values: tuple[str, ...]
    count: int
    time: float = 0.0


class CountLinesAnswer(msgspec.Struct):
    """The groups, in no order."""

    groups: list[LineGroup]
    #: How many lines there are; what the groups lack of it was too much.
    total: int
    lacks: list[str] = []


class LinesContextRequest(LinesWanted, forbid_unknown_fields=True, kw_only=True):
    """POST /v1/lines/context -> `LinesContextAnswer`: those before and after a moment, or a line."""

    #: In seconds since the epoch; without it the id of a `line`, and whose are shown: of its stream, its host, or all.
    at: Optional[float] = None
    line: str = ""
    scope: Literal["stream", "host", "farm"] = "stream"
    most: int = 50


class LinesContextAnswer(msgspec.Struct):
    """Both the oldest first."""

    before: list[StoredLine]
    after: list[StoredLine]
    #: The one that was named.
    line: Optional[StoredLine] = None
    lacks: list[str] = []
    says: str = ""


class LineExamplesRequest(LinesWanted, forbid_unknown_fields=True, kw_only=True):
    """POST /v1/lines/examples -> `LineExamplesAnswer`: the newest message of each of these kinds."""

    fingerprints: list[str]


class LineExamplesAnswer(msgspec.Struct):
    """By fingerprint."""

    examples: dict[str, str]
    lacks: list[str] = []


class NewLinesRequest(LinesWanted, forbid_unknown_fields=True, kw_only=True):
    """POST /v1/lines/new -> `NewLinesAnswer`: kinds of messages from ``after`` on that were not there before."""

    after: float


class NewMessage(msgspec.Struct):
    """A message of a new kind: its first line, how often it came, on which hosts (some of them) and on how many."""

    first: StoredLine
    count: int
    hosts: tuple[str, ...]
    host_count: int


class NewLinesAnswer(msgspec.Struct):
    """The first seen first; how many lines there are since then, how many of them have no fingerprint, and how many are of too many
    kinds to be looked at."""

    messages: list[NewMessage]
    lines: int
    without: int = 0
    cut: int = 0
    lacks: list[str] = []


class FollowLinesRequest(LinesWanted, forbid_unknown_fields=True, kw_only=True):
    """POST /v1/lines/follow -> `FollowLinesAnswer`: the last ones, and with ``follow`` of that answer those that came since.
    Whoever does not ask for 30 s begins anew."""

    follow: str = ""
    most: int = 50


class FollowLinesAnswer(msgspec.Struct):
    """Each line comes once; there may be ``more`` at once. ``says``: what people should know."""

    follow: str
    lines: list[StoredLine]
    more: bool = False
    says: list[str] = []


class DeadLettersRequest(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """POST /v1/lines/dead -> `DeadLettersAnswer`: lines that Elasticsearch refused, the oldest first."""

    hosts: list[str] = []
    since: Optional[float] = None
    most: int = 1000


class DeadLetter(msgspec.Struct):
    """One of them: which index refused it and why; ``whole``: it can be sent again from there."""

    id: str
    time: str
    host: str
    job: str
    stream: str
    index: str
    reason: str
    message: str
    whole: bool


class DeadLettersAnswer(msgspec.Struct):
    """Those that who asks may read."""

    letters: list[DeadLetter]
    lacks: list[str] = []


class KnownName(msgspec.Struct):
    """One that can be typed, and what people are told of it."""

    name: str
    about: str = ""


class NamesAnswer(msgspec.Struct):
    """GET /v1/names?of=KIND&begin=TEXT: what a word that begins so may become (`views.names`)."""

    names: list[KnownName]


class SandboxesRequest(msgspec.Struct, forbid_unknown_fields=True):
    """POST /v1/sandboxes -> `SandboxesAnswer`; words as in `daqsched.select`."""

    select: list[str] = []
    #: Also those of tasks that have ended, as far as the agents still have them.
    finished: bool = True


class Sandbox(msgspec.Struct):
    """What a task has printed so far."""

    job: str
    host: str
    task_id: str
    agent_id: str
    #: Whether it is its instance's present task.
    running: bool
    #: By stream (`contract.SANDBOX_FILES`): bytes, and when it was last written. None where its agent can't be asked.
    files: dict[str, tuple[int, float]]


class SandboxesAnswer(msgspec.Struct):
    """What there is, and a sentence for each agent that could not be asked."""

    sandboxes: list[Sandbox]
    silent: list[str] = []


class Piece(msgspec.Struct, forbid_unknown_fields=True):
    """A part of one file of a sandbox."""

    agent_id: str
    task_id: str
    stream: str
    offset: int
    #: At most 64 KiB are given.
    length: int = 65536


class ReadRequest(msgspec.Struct, forbid_unknown_fields=True):
    """POST /v1/sandboxes/read -> `ReadAnswer`."""

    pieces: list[Piece]


class ReadAnswer(msgspec.Struct):
    """The bytes of each piece (in base64), null where its agent could not be asked; and a sentence for each such agent."""

    data: list[Optional[bytes]]
    silent: list[str] = []


class Info(msgspec.Struct):
    """GET /v1/info"""

    version: str
    pid: int
    framework_id: str
    master: str
    connected: bool
    revision: int
    elasticsearch: str
    index: str
    #: Whether the daemon searches lines for those who ask.
    lines: bool = False


class Problem(msgspec.Struct):
    """The body of every answer that is not 200."""

    error: str
    exit_code: int = 1
    #: For programs: one of `problems.CODES`; and what to do. Empty: a daemon before that does not say.
    code: str = ""
    next: str = ""


class UnconfirmedProblem(Problem):
    """The same where more programs would end than was agreed to."""

    #: The number to agree to, as `stops` of the request, of so many.
    stops: int = 0
    running: int = 0
    endings: tuple[Ending, ...] = ()


class ConsoleRequest(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """POST /v1/console -> `ConsoleAttached`: attach to the terminal of a program."""

    job: str
    host: str
    #: Whether what I type shall go to the program; one person at a time may.
    write: bool = False
    #: Take that over from who has it.
    take: bool = False
    message: str = ""
    #: The id of an attachment of mine that I have lost touch with: this one is in its place, and has what it had. Where it is not
    #: known any more, as after a restart, nobody is taken for who types but who did.
    again: str = ""
    wrote: bool = False


class ConsoleAttached(msgspec.Struct):
    """Somebody is attached, for as long as he reads."""

    id: str
    #: Whether what he types goes to the program.
    writes: bool


class ConsoleRead(msgspec.Struct, forbid_unknown_fields=True):
    """POST /v1/consoles/ID/read -> `ConsoleOutput`: what was printed since."""

    #: Of the last answer; empty: from the last lines on.
    task_id: str = ""
    offset: int = 0
    #: Of the last answer: whoever has seen it waits for another.
    seen: int = 0
    wait_s: float = 0.0


class ConsoleOutput(msgspec.Struct):
    """What a terminal shows from a place on."""

    #: The task that it is of; another one than before: the program was launched anew, and what is told begins with it.
    task_id: str
    #: Where to read on.
    offset: int
    data: bytes
    #: How many bytes before ``data`` are kept no more.
    skipped: int
    #: Which start of the program by its executor this is, and whether it runs.
    start: int
    runs: bool
    #: Why nothing is heard of it; empty: it is.
    silent: str
    #: Who types, whether that is me, and how many are attached.
    writer: str
    writes: bool
    attached: int
    seen: int


class ConsoleKeys(msgspec.Struct, forbid_unknown_fields=True):
    """POST /v1/consoles/ID/keys -> `ConsoleTyped`: type this, or tell of a window. Where nobody types, whoever asked for it when he
    attached does from the first key on."""

    keys: bytes = b""
    rows: int = 0
    columns: int = 0


class ConsoleTyped(msgspec.Struct):
    """What became of it. It is sent once: what is not confirmed may have arrived."""

    confirmed: bool
    #: How many of the bytes the program's terminal did not take, from the end.
    refused: int = 0


class ConsoleLeave(msgspec.Struct, forbid_unknown_fields=True):
    """POST /v1/consoles/ID/leave -> `ConsoleTyped`: be attached no more."""
