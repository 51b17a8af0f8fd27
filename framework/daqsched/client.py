"""What the daemon is asked, a method for each operation."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Optional, Sequence
from urllib.parse import quote

from msgspec import structs

from daqsched import protocol
from daqsched.choices import ChoiceSet
from daqsched.control import ControlAnswer, GiveRequest, TakeRequest
from daqsched.daemon_connection import DaemonConnection
from daqsched.errors import UserError
from daqsched.limits import some
from daqsched.protocol import (
    ApproveRequest,
    CloseRequest,
    ProposalAnswer,
    ProposalsAnswer,
    ProposeRequest,
)
from daqsched.rollout import Strategy
from daqsched.settings import Where
from daqsched.spec import Spec
from daqsched.views.names import Kind
from daqsched.views.plan import Plan


class Client:
    """Talks to the daemon that is there; every method raises a `DaqschedError` with one sentence."""

    def __init__(self, where: Where) -> None:
        self._daemon = DaemonConnection(where)

    def close(self) -> None:
        """Close the connection."""
        self._daemon.close()

    def log_in(self, name: str, password: str) -> tuple[protocol.LoginAnswer, str]:
        """Who that is, until when, and the session; from now on it is this client's."""
        return self._daemon.log_in(name, password)

    def log_out(self) -> None:
        """End the session that is shown."""
        self._daemon.post("/logout", protocol.LogoutRequest(), protocol.LoginAnswer)

    def info(self) -> protocol.Info:
        return self._daemon.get("/info", protocol.Info)

    def status(
        self, select: Sequence[str] = (), at: float = 0.0, part: Optional[str] = None, states: Sequence[str] = ()
    ) -> protocol.StatusAnswer:
        asked = {"select": list(select), "at": at, "state": list(states)}
        return self._daemon.get("/status", protocol.StatusAnswer, **asked, **_given(part=part))

    def progress(
        self,
        select: Sequence[str] = (),
        most: int = 20,
        seen: int = -1,
        wait_s: float = 0.0,
        revision: int = 0,
        part: Optional[str] = None,
    ) -> protocol.ProgressAnswer:
        found = protocol.ProgressAnswer
        asked = {"select": list(select), "most": most, "seen": seen, "wait_s": wait_s, **_given(part=part)}
        return self._daemon.get("/progress", found, **asked, **({"revision": revision} if revision else {}))

    def plan(
        self,
        spec: Spec,
        only: Sequence[str] = (),
        strategy: Optional[Strategy] = None,
        take: Sequence[str] = (),
        choices: Optional[ChoiceSet] = None,
    ) -> Plan:
        with _of_older(choices):
            return self._daemon.post(
                "/plan", protocol.PlanRequest(spec, list(only), strategy, list(take), choices), Plan
            )

    def apply(
        self,
        spec: Spec,
        message: str = "",
        allow_empty: bool = False,
        only: Sequence[str] = (),
        strategy: Optional[Strategy] = None,
        if_unchanged: str = "",
        stops: Optional[int] = None,
        take: Sequence[str] = (),
        no_look: bool = False,
        choices: Optional[ChoiceSet] = None,
    ) -> protocol.Applied:
        only_, take_ = list(only), list(take)
        body = protocol.ApplyRequest(
            spec, message, allow_empty, only_, strategy, if_unchanged, stops, take_, no_look=no_look, choices=choices
        )
        with _of_older(choices):
            return self._daemon.post("/apply", body, protocol.Applied)

    def choices(self, part: Optional[str] = None) -> list[protocol.PartChoices]:
        """What shifters may set."""
        return self._daemon.get("/choices", protocol.ChoicesAnswer, **_given(part=part)).parts

    def plan_set(self, settings: Sequence[str], part: Optional[str] = None) -> Plan:
        return self._daemon.post("/choices/plan", protocol.SetRequest(list(settings), part), Plan)

    def set(
        self,
        settings: Sequence[str],
        part: Optional[str] = None,
        message: str = "",
        if_unchanged: str = "",
        stops: Optional[int] = None,
        no_look: bool = False,
    ) -> protocol.Applied:
        """Apply what a part's file is with these values."""
        body = protocol.SetRequest(list(settings), part, message, if_unchanged, stops, no_look)
        return self._daemon.post("/set", body, protocol.Applied)

    def propose(
        self,
        spec: Spec,
        message: str = "",
        only: Sequence[str] = (),
        take: Sequence[str] = (),
        strategy: Optional[Strategy] = None,
        allow_empty: bool = False,
    ) -> ProposalAnswer:
        """What somebody else is to apply."""
        body = ProposeRequest(spec, message, list(only), list(take), strategy, allow_empty)
        return self._daemon.post("/propose", body, ProposalAnswer)

    def proposals(self) -> ProposalsAnswer:
        return self._daemon.get("/proposals", ProposalsAnswer)

    def proposal(self, number: int) -> ProposalAnswer:
        return self._daemon.get(f"/proposals/{number}", ProposalAnswer)

    def approve(
        self,
        number: int,
        digest: str,
        base: str,
        message: str = "",
        strategy: Optional[Strategy] = None,
        stops: Optional[int] = None,
        no_look: bool = False,
    ) -> protocol.Applied:
        """Apply it; ``digest`` and ``base`` are those that were seen."""
        body = ApproveRequest(number, digest, base, message, strategy, stops, no_look)
        return self._daemon.post("/approve", body, protocol.Applied)

    def reject(self, number: int, message: str = "") -> ProposalsAnswer:
        return self._daemon.post("/reject", CloseRequest(number, message), ProposalsAnswer)

    def withdraw(self, number: int, message: str = "") -> ProposalsAnswer:
        return self._daemon.post("/withdraw", CloseRequest(number, message), ProposalsAnswer)

    def control(self, part: Optional[str] = None) -> ControlAnswer:
        """Who is in control."""
        return self._daemon.get("/control", ControlAnswer, **_given(part=part))

    def take(self, part: Optional[str], for_s: float, message: str = "", force: bool = False) -> ControlAnswer:
        return self._daemon.post("/take", TakeRequest(part, for_s, message, force), ControlAnswer)

    def give(self, part: Optional[str], to: str = "", message: str = "") -> ControlAnswer:
        return self._daemon.post("/give", GiveRequest(part, to, message), ControlAnswer)

    def why(self, select: Sequence[str] = (), most: int = 20) -> protocol.WhyAnswer:
        return self._daemon.get("/why", protocol.WhyAnswer, select=list(select), most=most)

    def stories(self, select: Sequence[str] = (), most: int = 20) -> protocol.StoriesAnswer:
        return self._daemon.get("/stories", protocol.StoriesAnswer, select=list(select), most=most)

    def incidents(self) -> protocol.IncidentsAnswer:
        return self._daemon.get("/incidents", protocol.IncidentsAnswer)

    def names(self, kind: Kind, begin: str) -> list[protocol.KnownName]:
        return self._daemon.get("/names", protocol.NamesAnswer, of=kind, begin=begin).names

    def history(self, most: int = 20, part: Optional[str] = None, before: int = 0) -> list[protocol.RevisionHead]:
        """The newest first; those ``before`` a number, where it is one."""
        given = _given(part=part, before=str(before) if before else None)
        return self._daemon.get("/history", protocol.HistoryAnswer, most=most, **given).revisions

    def revision(self, number: int) -> protocol.RevisionAnswer:
        return self._daemon.get(f"/revisions/{number}", protocol.RevisionAnswer)

    def hidden(self, spec: Spec) -> Spec:
        """With its values of environment variables hidden as the daemon hides those of a revision. What a revision alone has, as
        variants, stays as it was told."""
        asked = structs.replace(spec, variants=(), parts={}, logging_part="")
        try:
            answer = self._daemon.post("/plan/hidden", protocol.HideRequest(asked), protocol.HiddenAnswer)
        except UserError as error:
            if "/plan/hidden" not in str(error):
                raise
            raise UserError(
                "this daemon is older than this command and can't say whether hidden values differ: bring it up to date, or ask "
                "for `daqsched plan`"
            ) from error
        jobs = (structs.replace(job, env=answer.marks.get(job.name, {})) if job.env else job for job in spec.jobs)
        return structs.replace(spec, jobs=tuple(jobs))

    def rollback(
        self,
        number: int,
        message: str = "",
        strategy: Optional[Strategy] = None,
        stops: Optional[int] = None,
        part: Optional[str] = None,
        everyones: bool = False,
        no_look: bool = False,
    ) -> protocol.Applied:
        body = protocol.RollbackRequest(number, message, strategy, stops, part, everyones, no_look)
        return self._daemon.post("/rollback", body, protocol.Applied)

    def rollout(self, number: int = 0) -> protocol.RolloutAnswer:
        return self._daemon.get("/rollout", protocol.RolloutAnswer, **({"number": number} if number else {}))

    def steer(self, what: Any, message: str = "", stops: Optional[int] = None) -> protocol.RolloutAnswer:
        return self._daemon.post("/rollout", protocol.SteerRequest(what, message, stops), protocol.RolloutAnswer)

    def restart(
        self, select: Sequence[str], message: str, strategy: Strategy, stops: Optional[int] = None
    ) -> protocol.RolloutAnswer:
        body = protocol.RestartRequest(list(select), message, strategy, stops)
        return self._daemon.post("/restart", body, protocol.RolloutAnswer)

    def leases(self) -> protocol.AsideAnswer:
        return self._daemon.get("/aside", protocol.AsideAnswer)

    def aside(
        self, hosts: Sequence[str], until: float, message: str, stops: Optional[int] = None, everyones: bool = False
    ) -> protocol.AsideAnswer:
        body = protocol.AsideRequest(list(hosts), until, message, stops, everyones)
        return self._daemon.post("/aside", body, protocol.AsideAnswer)

    def replace(self, host: str, agent: str = "", message: str = "", stops: Optional[int] = None) -> protocol.Selected:
        """Say which of several agents is the host."""
        return self._daemon.post("/replace", protocol.ReplaceRequest(host, agent, message, stops), protocol.Selected)

    def borrow(self, job: str, host: str, argv: Sequence[str] = (), end: bool = False) -> protocol.BorrowAnswer:
        return self._daemon.post("/borrow", protocol.BorrowRequest(job, host, list(argv), end), protocol.BorrowAnswer)

    def rights(
        self, user: str = "", job: str = "", host: str = "", variable: str = "", part: Optional[str] = None
    ) -> protocol.RightsAnswer:
        """What somebody may do, to that job, or to all that a variable is for; without ``user``: who asks."""
        asked = {"user": user, "job": job, "host": host, **({"variable": variable} if variable else {})}
        return self._daemon.get("/rights", protocol.RightsAnswer, **asked, **_given(part=part))

    def tokens(self) -> list[protocol.KnownToken]:
        """All tokens that count, or did within 90 days."""
        return self._daemon.get("/tokens", protocol.TokensAnswer).tokens

    def make_token(self, name: str, role: str, until: float, whose: str = "") -> protocol.NewToken:
        return self._daemon.post("/token", protocol.TokenRequest(name, role, until, whose), protocol.NewToken)

    def revoke_token(self, name: str) -> list[protocol.KnownToken]:
        return self._daemon.post("/revoke", protocol.RevokeRequest(name), protocol.TokensAnswer).tokens

    def audit(
        self,
        since: float = 0.0,
        user: str = "",
        operation: str = "",
        refused: bool = False,
        until: int = 0,
        most: int = 100,
    ) -> protocol.AuditAnswer:
        """Lines of the audit file, the newest first."""
        asked = {"since": since, "user": user, "operation": operation, "until": until, "most": most}
        return self._daemon.get("/audit", protocol.AuditAnswer, **asked, **({"refused": 1} if refused else {}))

    def note(self, message: str) -> protocol.NoteAnswer:
        """Write into the logbook."""
        return self._daemon.post("/note", protocol.NoteRequest(message), protocol.NoteAnswer)

    def notes(self, most: int = 20) -> protocol.NoteAnswer:
        """The logbook, the newest first."""
        return self._daemon.get("/note", protocol.NoteAnswer, most=most)

    def give_back(
        self, hosts: Sequence[str], stops: Optional[int] = None, everyones: bool = False
    ) -> protocol.AsideAnswer:
        body = protocol.AsideRequest(list(hosts), stops=stops, everyones=everyones)
        return self._daemon.post("/return", body, protocol.AsideAnswer)

    def stop(self, select: Sequence[str], message: str = "", stops: Optional[int] = None) -> protocol.Selected:
        return self._daemon.post("/stop", protocol.SelectRequest(list(select), message, stops=stops), protocol.Selected)

    def hold(self, select: Sequence[str], message: str = "") -> protocol.Selected:
        return self._daemon.post("/hold", protocol.SelectRequest(list(select), message), protocol.Selected)

    def start(
        self, select: Sequence[str], message: str = "", everyones: bool = False, anyway: bool = False
    ) -> protocol.Selected:
        body = protocol.SelectRequest(list(select), message, everyones, anyway)
        return self._daemon.post("/start", body, protocol.Selected)

    def order(
        self, select: Sequence[str], kind: str, name: str = "", until: float = 0.0, message: str = "", id: str = ""
    ) -> protocol.OrderAnswer:
        body = protocol.OrderRequest(list(select), kind, name, until, message, id)
        return self._daemon.post("/order", body, protocol.OrderAnswer)

    def preflight(
        self, spec: Spec, select: Sequence[str] = (), timeout_s: float = 60.0, without: Sequence[str] = ()
    ) -> protocol.PreflightBegun:
        body = protocol.PreflightRequest(spec, list(select), timeout_s, list(without))
        return self._daemon.post("/preflight", body, protocol.PreflightBegun)

    def preflight_answer(self, id: str, seen: int = -1, wait_s: float = 0.0) -> protocol.PreflightAnswer:
        return self._daemon.get(f"/preflight/{quote(id, safe='')}", protocol.PreflightAnswer, seen=seen, wait_s=wait_s)

    def sandboxes(self, select: Sequence[str] = (), finished: bool = True) -> protocol.SandboxesAnswer:
        return self._daemon.post(
            "/sandboxes", protocol.SandboxesRequest(list(select), finished), protocol.SandboxesAnswer
        )

    def read(self, pieces: Sequence[protocol.Piece]) -> protocol.ReadAnswer:
        return self._daemon.post("/sandboxes/read", protocol.ReadRequest(list(pieces)), protocol.ReadAnswer)

    def lines(self, asked: protocol.LinesRequest) -> protocol.LinesAnswer:
        """Stored lines that one may read."""
        return self._daemon.post("/lines", asked, protocol.LinesAnswer)

    def count_lines(self, asked: protocol.CountLinesRequest) -> protocol.CountLinesAnswer:
        return self._daemon.post("/lines/count", asked, protocol.CountLinesAnswer)

    def line_examples(self, asked: protocol.LineExamplesRequest) -> protocol.LineExamplesAnswer:
        return self._daemon.post("/lines/examples", asked, protocol.LineExamplesAnswer)

    def lines_context(self, asked: protocol.LinesContextRequest) -> protocol.LinesContextAnswer:
        return self._daemon.post("/lines/context", asked, protocol.LinesContextAnswer)

    def new_lines(self, asked: protocol.NewLinesRequest) -> protocol.NewLinesAnswer:
        return self._daemon.post("/lines/new", asked, protocol.NewLinesAnswer)

    def follow_lines(self, asked: protocol.FollowLinesRequest) -> protocol.FollowLinesAnswer:
        return self._daemon.post("/lines/follow", asked, protocol.FollowLinesAnswer)

    def dead_letters(self, asked: protocol.DeadLettersRequest) -> protocol.DeadLettersAnswer:
        return self._daemon.post("/lines/dead", asked, protocol.DeadLettersAnswer)

    def attach(
        self, job: str, host: str, write: bool, take: bool, message: str, again: str = "", wrote: bool = False
    ) -> protocol.ConsoleAttached:
        return self._daemon.post(
            "/console",
            protocol.ConsoleRequest(job, host, write, take, message, again, wrote),
            protocol.ConsoleAttached,
        )

    def console(self, id: str, asked: protocol.ConsoleRead) -> protocol.ConsoleOutput:
        return self._daemon.post(f"/consoles/{quote(id, safe='')}/read", asked, protocol.ConsoleOutput)

    def keys(self, id: str, keys: protocol.ConsoleKeys) -> protocol.ConsoleTyped:
        return self._daemon.post(f"/consoles/{quote(id, safe='')}/keys", keys, protocol.ConsoleTyped)

    def detach(self, id: str) -> protocol.ConsoleTyped:
        return self._daemon.post(
            f"/consoles/{quote(id, safe='')}/leave", protocol.ConsoleLeave(), protocol.ConsoleTyped
        )

    def log(self) -> list[str]:
        """The last lines of the daemon's own log."""
        return self._daemon.get("/log", protocol.LogAnswer).lines

    def agent_log(self, host: str) -> list[str]:
        """Of the log of that host's Mesos agent."""
        return self._daemon.get(f"/log/{quote(host, safe='')}", protocol.LogAnswer).lines

    def backup(self) -> bytes:
        """The state as a file, see `store.backup`."""
        return self._daemon.content("/backup")


@contextmanager
def _of_older(choices: Optional[ChoiceSet]) -> Iterator[None]:
    """A daemon that knows of no choices says so in words of its own."""
    try:
        yield
    except UserError as error:
        if choices is None or "unknown field `choices`" not in str(error):
            raise
        names = some([variable.name for variable in choices.variables])
        raise UserError(
            f"this daemon is older than this command and can't let shifters set {names}: bring it up to date, or take shifter= "
            "out of the job file"
        ) from error


def _given(**params: Optional[str]) -> dict[str, Any]:
    return {name: value for name, value in params.items() if value is not None}
