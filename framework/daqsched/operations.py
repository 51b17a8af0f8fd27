"""What can be asked of the daemon over HTTP: one table, for its routes, its documentation and its OpenAPI file.

A route that is not in it is not made (`serve.http.route`), and each entry says which right it takes. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Optional

from daqsched import control, protocol
from daqsched.views.plan import Plan

#: What an operation needs where the engine looks at that, in the step that carries it out (`engine.permission`); and where
#: nothing is needed.
ENGINE, ANYBODY = "", "*"


class Parameter(NamedTuple):
    """One of an address, behind ``?``."""

    name: str
    #: What stands for its value in documentation.
    sample: str
    #: ``text``, ``texts`` (it may be there more than once), ``number`` or ``count``.
    kind: str
    about: str


class Operation(NamedTuple):
    """What can be asked, and what is answered."""

    method: str
    #: Below the version.
    path: str
    #: A verb that has to be the caller's for some of the farm, `ENGINE` or `ANYBODY`.
    needs: str
    about: str
    #: The type of the answer; None: bytes, or a document.
    answer: Optional[type]
    #: The type of the request's body.
    asks: Optional[type] = None
    query: tuple[Parameter, ...] = ()
    #: Where the engine looks: the verbs that it may ask for.
    verbs: tuple[str, ...] = ()
    #: What may be answered besides what may be to everything (`problems.CODES`).
    codes: tuple[str, ...] = ()
    #: Where the answer is a stream of events: the type of each kind of them.
    events: Mapping[str, type] = {}

    @property
    def name(self) -> str:
        """``POST /note``."""
        return f"{self.method} {self.path}"

    @property
    def takes(self) -> tuple[str, ...]:
        """The rights that it may take; empty: none."""
        return self.verbs if self.needs == ENGINE else () if self.needs == ANYBODY else (self.needs,)


SELECT = Parameter("select", "WORD", "texts", "a selection, as on the command line; none: everything")
PART = Parameter("part", "NAME", "text", "only this part of the farm; `-`: the one without a name")
BEFORE = Parameter("before", "NUMBER", "number", "only older ones than this; `next` of the answer goes on")
SEEN = Parameter("seen", "VERSION", "number", "the version of the last answer: wait for another one")
WAIT_S = Parameter("wait_s", "S", "number", "so many seconds at most, 30 at most")


def most(default: int) -> Parameter:
    return Parameter("most", "N", "number", f"so many at most; default {default}")


def _get(
    path: str, needs: str, about: str, answer: Optional[type], *query: Parameter, codes: tuple[str, ...] = ()
) -> Operation:
    return Operation("GET", path, needs, about, answer, query=query, codes=codes)


def _ask(path: str, needs: str, about: str, asks: type, answer: Optional[type], *codes: str) -> Operation:
    """A question that has a body."""
    return Operation("POST", path, needs, about, answer, asks, codes=codes)


def _change(
    path: str,
    verbs: str,
    about: str,
    asks: type,
    answer: Optional[type],
    *query: Parameter,
    codes: tuple[str, ...] = (),
) -> Operation:
    return Operation("POST", path, ENGINE, about, answer, asks, query, tuple(verbs.split()), codes)


_ROLLOUT = Parameter("number", "N", "number", "this one, if it is the one before the last")
_ENDS = ("not-confirmed",)

_ALL = (
    _get(
        "/info",
        ANYBODY,
        "version, pid, framework id, master, whether connected, revision, Elasticsearch and index",
        protocol.Info,
    ),
    _get("/openapi.json", ANYBODY, "this interface as a document of OpenAPI 3.1", None),
    _get("/backup", "backup", "the state as a file: what `daqsched backup FILE` writes, no JSON", None),
    _get(
        "/status",
        "see",
        "one row per job and host, now or as it was then; each row is of the moment at which it was looked at; "
        "`read_only`: why the daemon is read-only, else empty; until the version after 0.1 the same also as `held`",
        protocol.StatusAnswer,
        SELECT,
        PART,
        Parameter("at", "TIME", "number", "as it was then, in seconds since the epoch; not together with `part`"),
        Parameter("state", "STATE", "texts", "only rows in one of these states"),
        Parameter("limit", "N", "number", "so many rows at most, by job and host; `next` of the answer goes on"),
        Parameter("after", "JOB@HOST", "text", "the rows behind this one"),
    ),
    _get(
        "/board",
        "see",
        "all that a page draws of the farm, in columns: each cell is a job on a host; `epoch` and `v` are where `/events` goes on",
        protocol.BoardAnswer,
    ),
    Operation(
        "GET",
        "/events",
        "see",
        "what changes of the board: a stream of server-sent events, `delta` and, at its end, `reset`: ask `/board` "
        "again. It says every 10 s that it is alive, lasts 10 min, and ends with the right to it; a person has 48, and "
        "all together 128, the last 32 for those who have none",
        None,
        query=(
            Parameter("since", "EPOCH.V", "text", "of the board that is there; `Last-Event-ID` goes before it"),
            Parameter("topics", "TOPIC", "texts", "`board` (cells), `farm` (the head alone); default: both"),
        ),
        events={"delta": protocol.BoardDelta, "reset": protocol.BoardReset},
    ),
    _get(
        "/progress",
        "see",
        "counts of states, and some of what is not as desired; with `revision`, in `superseded` what took the place of "
        "that apply, if anything did",
        protocol.ProgressAnswer,
        SELECT,
        PART,
        most(20),
        SEEN,
        WAIT_S,
        Parameter("revision", "N", "number", "the apply that is waited for"),
    ),
    _ask(
        "/plan",
        "see",
        "what an apply would change; to whoever may not do all also which rights it `needs`, each with `why_not`, and why it "
        "would be `refused`",
        protocol.PlanRequest,
        Plan,
        "too-often",
    ),
    _ask(
        "/plan/hidden",
        "see",
        "the `marks` that stand in `/revisions` for the values of `env` of a spec, to be compared with what is hidden there",
        protocol.HideRequest,
        protocol.HiddenAnswer,
        "too-often",
    ),
    _change(
        "/preflight",
        "preflight account",
        "ask the hosts whether they could start it: the id of the answer",
        protocol.PreflightRequest,
        protocol.PreflightBegun,
    ),
    _get("/preflight/{id}", "see", "what is known so far", protocol.PreflightAnswer, SEEN, WAIT_S, codes=("gone",)),
    _change(
        "/apply",
        "apply account logging guard steer",
        "change it; the plan and the revision in force",
        protocol.ApplyRequest,
        protocol.Applied,
        codes=("not-confirmed", "changed", "too-often"),
    ),
    _get(
        "/choices",
        "see",
        "what shifters may set: by part each variable with its `values` and what it is `now`; `why_not`: why nothing can be set",
        protocol.ChoicesAnswer,
        PART,
    ),
    _ask("/choices/plan", "see", "what setting `settings` would change", protocol.SetRequest, Plan),
    _change(
        "/set",
        "set steer",
        "set `settings` (`version=r2`): the plan and the revision in force",
        protocol.SetRequest,
        protocol.Applied,
        codes=("not-confirmed", "changed"),
    ),
    _change(
        "/rollback",
        "apply account logging guard steer",
        "what an earlier revision said, applied anew",
        protocol.RollbackRequest,
        protocol.Applied,
        codes=_ENDS,
    ),
    _get(
        "/history",
        "see",
        "revisions, the newest first, each with its `notes`; `rollout` is how far an apply's rollout is, or how it "
        "ended",
        protocol.HistoryAnswer,
        most(20),
        BEFORE,
        PART,
    ),
    _get(
        "/revisions/{number}",
        "see",
        "one with its spec (0: the one in force), in which values of `env`, and of variables that were set (`--set`), "
        "are hidden from all but who may see them (`environment`)",
        protocol.RevisionAnswer,
    ),
    _get(
        "/rollout",
        "see",
        "how far the rollout is that is under way, or how the last one ended",
        protocol.RolloutAnswer,
        _ROLLOUT,
    ),
    _change(
        "/rollout",
        "pause steer",
        "`pause`, `resume`, `abort`, `rollback`",
        protocol.SteerRequest,
        protocol.RolloutAnswer,
        _ROLLOUT,
        codes=_ENDS,
    ),
    _change(
        "/restart",
        "restart guard",
        "the same programs anew, batch by batch; `rejected`: what is not started anew of what was named, and why",
        protocol.RestartRequest,
        protocol.RolloutAnswer,
        _ROLLOUT,
        codes=_ENDS,
    ),
    _get("/aside", "see", "hosts that are set aside", protocol.AsideAnswer),
    _change(
        "/aside", "aside", "put hosts aside until a time", protocol.AsideRequest, protocol.AsideAnswer, codes=_ENDS
    ),
    _change("/return", "return", "give them back", protocol.AsideRequest, protocol.AsideAnswer, codes=_ENDS),
    _change(
        "/replace",
        "replace",
        "of several agents with one host name: which is the host; `agent` and `agent_before`: which is now, and which "
        "was",
        protocol.ReplaceRequest,
        protocol.Selected,
        codes=_ENDS,
    ),
    _change(
        "/borrow",
        "borrow account",
        "run a job by hand on a host that is set aside; with `end`: end it",
        protocol.BorrowRequest,
        protocol.BorrowAnswer,
        codes=_ENDS,
    ),
    _get(
        "/why",
        "see",
        "a story for each that is not as desired; in `lately`, of what runs and ended by itself within ten minutes",
        protocol.WhyAnswer,
        SELECT,
        most(20),
    ),
    _get(
        "/stories",
        "see",
        "what became of instances that are or were not as desired: each change of state with its time, cause and reason",
        protocol.StoriesAnswer,
        SELECT,
        most(20),
    ),
    _get("/incidents", "see", "deaths that are alike", protocol.IncidentsAnswer),
    _get(
        "/rights",
        ANYBODY,
        "what somebody may do to the farm, or to that job: each verb with why not, or an empty sentence; of others "
        "than oneself admins alone are told. `in_force`: whether the farm has rights",
        protocol.RightsAnswer,
        Parameter("user", "NAME", "text", "of whom; default: who asks"),
        Parameter("job", "JOB", "text", "to this job"),
        Parameter("host", "HOST", "text", "on this host"),
        Parameter("variable", "NAME", "text", "to all jobs that this variable changes"),
        PART,
    ),
    _get("/tokens", "tokens", "all tokens that count, or did within 90 days", protocol.TokensAnswer),
    _change(
        "/token",
        "tokens",
        "make one (`name`, `role`, `until`, `whose`); this answer alone has the `token`",
        protocol.TokenRequest,
        protocol.NewToken,
    ),
    _change("/revoke", "tokens", "revoke the one of that `name`", protocol.RevokeRequest, protocol.TokensAnswer),
    _get(
        "/login",
        ANYBODY,
        "over the network: how one logs in here: by `passwords`, by an identity provider (what it is called)",
        protocol.LoginWays,
    ),
    _ask(
        "/login",
        ANYBODY,
        "over the network: a session for `name` and `password`, in a cookie",
        protocol.LoginRequest,
        protocol.LoginAnswer,
        "wrong-password",
        "too-often",
    ),
    _ask(
        "/oidc",
        ANYBODY,
        "over the network: the `address` at which one logs in by the identity provider, and a cookie; that leads back to /login",
        protocol.OidcRequest,
        protocol.LoginBegun,
    ),
    _ask(
        "/oidc-login",
        ANYBODY,
        "over the network: a session for whom the identity provider names, by what it led back with",
        protocol.OidcLoginRequest,
        protocol.LoginAnswer,
        "too-often",
    ),
    _ask("/logout", ANYBODY, "its end", protocol.LogoutRequest, protocol.LoginAnswer),
    _get(
        "/audit",
        "audit",
        "lines of the audit file and of rotated ones, the newest first, 1,000 at most and 4 MiB; `next`: "
        "the `until` that goes on with older ones (also behind an empty answer), 0 at the end",
        protocol.AuditAnswer,
        Parameter("since", "TIME", "number", "not older"),
        Parameter("user", "NAME", "text", "of this one"),
        Parameter("operation", "WORD", "text", "of this kind"),
        Parameter("refused", "1", "text", "only what was refused"),
        Parameter("until", "SEQ", "number", "before this line"),
        most(100),
    ),
    _get("/note", "see", "the logbook, the newest first", protocol.NoteAnswer, most(20), BEFORE),
    _change(
        "/propose",
        "propose",
        "what an apply would be asked for, by whoever may not: it waits for somebody who may",
        protocol.ProposeRequest,
        protocol.ProposalAnswer,
        codes=("too-often",),
    ),
    _get(
        "/proposals",
        "see",
        "what waits to be approved, and what became of the last ones",
        protocol.ProposalsAnswer,
    ),
    _get(
        "/proposals/{number}",
        "see",
        "one that waits, with the `plan` of it against the farm as it is now, and its `spec` as of a revision",
        protocol.ProposalAnswer,
    ),
    _change(
        "/approve",
        "apply account logging guard steer",
        "apply the one of that `number`, whose `digest` and whose plan's `base` were seen; it takes the rights of an apply",
        protocol.ApproveRequest,
        protocol.Applied,
        codes=("not-confirmed", "changed"),
    ),
    _change("/reject", "apply", "say no to it", protocol.CloseRequest, protocol.ProposalsAnswer),
    _change("/withdraw", "propose", "take one's own back", protocol.CloseRequest, protocol.ProposalsAnswer),
    _get(
        "/control",
        "see",
        "who is in control of the farm (`part`: null) and of parts, since when and until when; empty: nobody is, and "
        "all is as the rights say",
        control.ControlAnswer,
        PART,
    ),
    _change(
        "/take",
        "control take-over",
        "be in control of the farm, or of a part: others change no jobs of it any more; with `force` also where "
        "somebody else is, who is told the `message`",
        control.TakeRequest,
        control.ControlAnswer,
    ),
    _change("/give", "control", "give it back, or to somebody", control.GiveRequest, control.ControlAnswer),
    _change("/note", "note", "write a `message` into it", protocol.NoteRequest, protocol.NoteAnswer),
    _get(
        "/names",
        "see",
        "what a word may become that begins so, 200 at most",
        protocol.NamesAnswer,
        Parameter(
            "of", "KIND", "text", "`selection`, `place` (a selection or a host), `host`, `aside`, `part` or `revision`"
        ),
        Parameter("begin", "TEXT", "text", "how it begins"),
    ),
    _get("/log", "log", "the last lines of the daemon's log", protocol.LogAnswer),
    _get("/log/{host}", "log", "of the log of that host's Mesos agent", protocol.LogAnswer),
    _change("/stop", "stop", "how many were meant", protocol.SelectRequest, protocol.Selected, codes=_ENDS),
    _change(
        "/hold",
        "hold",
        "the same of what is to run on, and not to be started again",
        protocol.SelectRequest,
        protocol.Selected,
    ),
    _change(
        "/start",
        "start",
        "how many were meant; `waiting`: those that wait on until somebody says otherwise, and for what",
        protocol.SelectRequest,
        protocol.Selected,
    ),
    _change(
        "/order",
        "retry restart snooze wake act act-any",
        "something is asked of executors while they run (`retry`, `restart`, `snooze`, `wake`, `act`): the order's "
        "`id`, whom it went to (`accepted`), and whom not and why (`rejected`); until the version after 0.1 the same "
        "also as `told` and `untold`",
        protocol.OrderRequest,
        protocol.OrderAnswer,
        codes=_ENDS,
    ),
    _ask(
        "/console",
        "console",
        "attach to the terminal of `job` on `host`: an `id`, and whether what is typed with it goes to the program "
        "(`write`, `take`)",
        protocol.ConsoleRequest,
        protocol.ConsoleAttached,
    ),
    _ask(
        "/consoles/{id}/read",
        "console",
        "what was printed after `offset` of `task_id`, in base64 (64 KiB at most), who types, how many are attached; "
        "with `wait_s` (10 s at most) once there is something that `seen` does not know. Whoever does not read for 20 "
        "s is not attached any more",
        protocol.ConsoleRead,
        protocol.ConsoleOutput,
        "gone",
    ),
    _ask(
        "/consoles/{id}/keys",
        "console",
        "type (4,096 bytes at most), or tell of a window: whether the executor has confirmed it (within 2 s), and how "
        "many bytes the terminal did not take",
        protocol.ConsoleKeys,
        protocol.ConsoleTyped,
        "gone",
    ),
    _ask("/consoles/{id}/leave", "console", "detach", protocol.ConsoleLeave, protocol.ConsoleTyped, "gone"),
    _ask(
        "/lines",
        "lines",
        "the last `most` (1,000 at most) of the stored lines that are meant and that who asks may read, the oldest "
        "first; `lacks`: why these are not all",
        protocol.LinesRequest,
        protocol.LinesAnswer,
        "too-many-searches",
    ),
    _ask(
        "/lines/count",
        "lines",
        "how many of them there are, in groups `by` what they say and by intervals of `every_s`; 10,000 groups at most",
        protocol.CountLinesRequest,
        protocol.CountLinesAnswer,
        "too-many-searches",
    ),
    _ask(
        "/lines/examples",
        "lines",
        "the newest message of each of these `fingerprints` among them (500 at most)",
        protocol.LineExamplesRequest,
        protocol.LineExamplesAnswer,
        "too-many-searches",
    ),
    _ask(
        "/lines/context",
        "lines",
        "those before and after the moment `at`, or the `line` of that id",
        protocol.LinesContextRequest,
        protocol.LinesContextAnswer,
        "too-many-searches",
    ),
    _ask(
        "/lines/new",
        "lines",
        "kinds of messages from `after` on that the same jobs and hosts did not print before, as far as who asks may read",
        protocol.NewLinesRequest,
        protocol.NewLinesAnswer,
        "too-many-searches",
    ),
    _ask(
        "/lines/follow",
        "lines",
        "the last lines, and, with the `follow` of that answer, those that were stored since, each once; four at once "
        "of one person, which end when nobody asks for 30 s",
        protocol.FollowLinesRequest,
        protocol.FollowLinesAnswer,
        "too-many-searches",
        "gone",
    ),
    _ask(
        "/lines/dead",
        "lines",
        "lines that Elasticsearch refused, and why",
        protocol.DeadLettersRequest,
        protocol.DeadLettersAnswer,
        "too-many-searches",
    ),
    _ask(
        "/sandboxes",
        "sandbox",
        "the sandboxes of the selected jobs, with the size of each file that lines are in; `finished`: also those of "
        "tasks that ended",
        protocol.SandboxesRequest,
        protocol.SandboxesAnswer,
    ),
    _ask(
        "/sandboxes/read",
        "sandbox",
        "bytes of such files, in base64; null and a sentence in `silent` where an agent does not answer (within 3 s, "
        "with 8 MiB at most; the master has 20 s and 96 MiB for its list of agents)",
        protocol.ReadRequest,
        protocol.ReadAnswer,
    ),
)

#: By method and path.
OPERATIONS: Mapping[tuple[str, str], Operation] = {(one.method, one.path): one for one in _ALL}


def codes_of(operation: Operation) -> list[str]:
    """All that may be answered to it that is not 200."""
    found = ["invalid", "unauthenticated"]
    if operation.needs != ANYBODY:
        found.append("no-right")
    found.append("refused")
    if operation.method == "POST":
        found += ["foreign", "too-large"]
    if operation.verbs:
        found += [one for one in ("changed", "done-before", "key-reused") if one not in operation.codes]
    return [*found, *operation.codes, "not-here", "header-too-large", "bug", "failed", "unavailable", "unsure", "busy"]
