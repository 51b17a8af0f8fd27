"""The CLI's end of the daemon's socket, or of its web port."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Optional, Sequence, TypeVar
from urllib.parse import quote

import httpx
import msgspec

from daqsched import protocol, remote
from daqsched.choices import ChoiceSet
from daqsched.confirm import NotConfirmed
from daqsched.control import ControlAnswer, GiveRequest, TakeRequest
from daqsched.errors import DaqschedError, Forgotten, NotRunning, Refused, Unreachable, UserError
from daqsched.limits import some
from daqsched.protocol import (
    ApproveRequest,
    CloseRequest,
    ProposalAnswer,
    ProposalsAnswer,
    ProposeRequest,
)
from daqsched.rollout import Strategy
from daqsched.settings import Server, Where
from daqsched.spec import Spec
from daqsched.views.names import Kind
from daqsched.views.plan import Plan

Answer = TypeVar("Answer")

#: How long the daemon may take for an answer: its loop can be busy with a large farm, or with a master that hangs.
TIMEOUT_S = 30.0

_JSON = {"content-type": "application/json"}

_ERRORS: dict[int, type[DaqschedError]] = {
    kind.exit_code: kind for kind in (UserError, Unreachable, NotRunning, Refused)
}


class Client:
    """Talks to the daemon that is there; every method raises a `DaqschedError` with one sentence."""

    def __init__(self, where: Where) -> None:
        #: Who logs in before the first question, and by what; None: nobody.
        self._login: Optional[protocol.LoginRequest] = None
        self._logged_in = False
        if isinstance(where, Server):
            self._path, self._name = None, where.url
            if where.password is not None and where.token is None:
                if not where.user:
                    raise UserError("--password-file is for --user NAME: say whose password it is")
                self._login = protocol.LoginRequest(where.user, remote.password_of(where.password))
            self._http = remote.client(where, TIMEOUT_S)
            return
        self._path, self._name = where, f"on {where}"
        # no TLS on a Unix socket: reading its authorities would cost each command 20 ms
        transport = httpx.HTTPTransport(uds=str(where), verify=False, retries=3)
        self._http = httpx.Client(transport=transport, base_url=f"http://daqsched{protocol.API}", timeout=TIMEOUT_S)

    def close(self) -> None:
        """Give the connection free."""
        self._http.close()

    def log_in(self, name: str, password: str) -> tuple[protocol.LoginAnswer, str]:
        """Who that is, until when, and the session; from now on it is this client's."""
        body = msgspec.json.encode(protocol.LoginRequest(name, password))
        response = self._exchange("POST", "/login", content=body, headers=_JSON)
        session = response.cookies.get(protocol.SESSION_COOKIE)
        if response.status_code != 200 or not session:
            raise _problem(response)
        try:
            return msgspec.json.decode(response.content, type=protocol.LoginAnswer), session
        except msgspec.MsgspecError as error:
            raise _not_understood(error) from error

    def log_out(self) -> None:
        """End the session that is shown."""
        self._post("/logout", protocol.LogoutRequest(), protocol.LoginAnswer)

    def info(self) -> protocol.Info:
        return self._get("/info", protocol.Info)

    def status(
        self, select: Sequence[str] = (), at: float = 0.0, part: Optional[str] = None, states: Sequence[str] = ()
    ) -> protocol.StatusAnswer:
        asked = {"select": list(select), "at": at, "state": list(states)}
        return self._get("/status", protocol.StatusAnswer, **asked, **_given(part=part))

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
        return self._get("/progress", found, **asked, **({"revision": revision} if revision else {}))

    def plan(
        self,
        spec: Spec,
        only: Sequence[str] = (),
        strategy: Optional[Strategy] = None,
        take: Sequence[str] = (),
        choices: Optional[ChoiceSet] = None,
    ) -> Plan:
        with _of_older(choices):
            return self._post("/plan", protocol.PlanRequest(spec, list(only), strategy, list(take), choices), Plan)

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
            return self._post("/apply", body, protocol.Applied)

    def choices(self, part: Optional[str] = None) -> list[protocol.PartChoices]:
        """What shifters may set."""
        return self._get("/choices", protocol.ChoicesAnswer, **_given(part=part)).parts

    def plan_set(self, settings: Sequence[str], part: Optional[str] = None) -> Plan:
        return self._post("/choices/plan", protocol.SetRequest(list(settings), part), Plan)

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
        return self._post("/set", body, protocol.Applied)

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
        return self._post("/propose", body, ProposalAnswer)

    def proposals(self) -> ProposalsAnswer:
        return self._get("/proposals", ProposalsAnswer)

    def proposal(self, number: int) -> ProposalAnswer:
        return self._get(f"/proposals/{number}", ProposalAnswer)

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
        return self._post("/approve", body, protocol.Applied)

    def reject(self, number: int, message: str = "") -> ProposalsAnswer:
        return self._post("/reject", CloseRequest(number, message), ProposalsAnswer)

    def withdraw(self, number: int, message: str = "") -> ProposalsAnswer:
        return self._post("/withdraw", CloseRequest(number, message), ProposalsAnswer)

    def control(self, part: Optional[str] = None) -> ControlAnswer:
        """Who is in control."""
        return self._get("/control", ControlAnswer, **_given(part=part))

    def take(self, part: Optional[str], for_s: float, message: str = "", force: bool = False) -> ControlAnswer:
        return self._post("/take", TakeRequest(part, for_s, message, force), ControlAnswer)

    def give(self, part: Optional[str], to: str = "", message: str = "") -> ControlAnswer:
        return self._post("/give", GiveRequest(part, to, message), ControlAnswer)

    def why(self, select: Sequence[str] = (), most: int = 20) -> protocol.WhyAnswer:
        return self._get("/why", protocol.WhyAnswer, select=list(select), most=most)

    def stories(self, select: Sequence[str] = (), most: int = 20) -> protocol.StoriesAnswer:
        return self._get("/stories", protocol.StoriesAnswer, select=list(select), most=most)

    def incidents(self) -> protocol.IncidentsAnswer:
        return self._get("/incidents", protocol.IncidentsAnswer)

    def names(self, kind: Kind, begin: str) -> list[protocol.KnownName]:
        return self._get("/names", protocol.NamesAnswer, of=kind, begin=begin).names

    def history(self, most: int = 20, part: Optional[str] = None) -> list[protocol.RevisionHead]:
        return self._get("/history", protocol.HistoryAnswer, most=most, **_given(part=part)).revisions

    def revision(self, number: int) -> protocol.RevisionAnswer:
        return self._get(f"/revisions/{number}", protocol.RevisionAnswer)

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
        return self._post("/rollback", body, protocol.Applied)

    def rollout(self, number: int = 0) -> protocol.RolloutAnswer:
        return self._get("/rollout", protocol.RolloutAnswer, **({"number": number} if number else {}))

    def steer(self, what: Any, message: str = "", stops: Optional[int] = None) -> protocol.RolloutAnswer:
        return self._post("/rollout", protocol.SteerRequest(what, message, stops), protocol.RolloutAnswer)

    def restart(
        self, select: Sequence[str], message: str, strategy: Strategy, stops: Optional[int] = None
    ) -> protocol.RolloutAnswer:
        body = protocol.RestartRequest(list(select), message, strategy, stops)
        return self._post("/restart", body, protocol.RolloutAnswer)

    def leases(self) -> protocol.AsideAnswer:
        return self._get("/aside", protocol.AsideAnswer)

    def aside(
        self, hosts: Sequence[str], until: float, message: str, stops: Optional[int] = None
    ) -> protocol.AsideAnswer:
        return self._post("/aside", protocol.AsideRequest(list(hosts), until, message, stops), protocol.AsideAnswer)

    def replace(self, host: str, agent: str = "", message: str = "", stops: Optional[int] = None) -> protocol.Selected:
        """Say which of several agents is the host."""
        return self._post("/replace", protocol.ReplaceRequest(host, agent, message, stops), protocol.Selected)

    def borrow(self, job: str, host: str, argv: Sequence[str] = (), end: bool = False) -> protocol.BorrowAnswer:
        return self._post("/borrow", protocol.BorrowRequest(job, host, list(argv), end), protocol.BorrowAnswer)

    def rights(
        self, user: str = "", job: str = "", host: str = "", variable: str = "", part: Optional[str] = None
    ) -> protocol.RightsAnswer:
        """What somebody may do, to that job, or to all that a variable is for; without ``user``: who asks."""
        asked = {"user": user, "job": job, "host": host, **({"variable": variable} if variable else {})}
        return self._get("/rights", protocol.RightsAnswer, **asked, **_given(part=part))

    def tokens(self) -> list[protocol.KnownToken]:
        """All tokens that count, or did within 90 days."""
        return self._get("/tokens", protocol.TokensAnswer).tokens

    def make_token(self, name: str, role: str, until: float, whose: str = "") -> protocol.NewToken:
        return self._post("/token", protocol.TokenRequest(name, role, until, whose), protocol.NewToken)

    def revoke_token(self, name: str) -> list[protocol.KnownToken]:
        return self._post("/revoke", protocol.RevokeRequest(name), protocol.TokensAnswer).tokens

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
        return self._get("/audit", protocol.AuditAnswer, **asked, **({"refused": 1} if refused else {}))

    def note(self, message: str) -> protocol.NoteAnswer:
        """Write into the logbook."""
        return self._post("/note", protocol.NoteRequest(message), protocol.NoteAnswer)

    def notes(self, most: int = 20) -> protocol.NoteAnswer:
        """The logbook, the newest first."""
        return self._get("/note", protocol.NoteAnswer, most=most)

    def give_back(self, hosts: Sequence[str], stops: Optional[int] = None) -> protocol.AsideAnswer:
        return self._post("/return", protocol.AsideRequest(list(hosts), stops=stops), protocol.AsideAnswer)

    def stop(self, select: Sequence[str], message: str = "", stops: Optional[int] = None) -> protocol.Selected:
        return self._post("/stop", protocol.SelectRequest(list(select), message, stops=stops), protocol.Selected)

    def hold(self, select: Sequence[str], message: str = "") -> protocol.Selected:
        return self._post("/hold", protocol.SelectRequest(list(select), message), protocol.Selected)

    def start(
        self, select: Sequence[str], message: str = "", everyones: bool = False, anyway: bool = False
    ) -> protocol.Selected:
        body = protocol.SelectRequest(list(select), message, everyones, anyway)
        return self._post("/start", body, protocol.Selected)

    def order(
        self, select: Sequence[str], kind: str, name: str = "", until: float = 0.0, message: str = "", id: str = ""
    ) -> protocol.OrderAnswer:
        body = protocol.OrderRequest(list(select), kind, name, until, message, id)
        return self._post("/order", body, protocol.OrderAnswer)

    def preflight(
        self, spec: Spec, select: Sequence[str] = (), timeout_s: float = 60.0, without: Sequence[str] = ()
    ) -> protocol.PreflightBegun:
        body = protocol.PreflightRequest(spec, list(select), timeout_s, list(without))
        return self._post("/preflight", body, protocol.PreflightBegun)

    def preflight_answer(self, id: str, seen: int = -1, wait_s: float = 0.0) -> protocol.PreflightAnswer:
        return self._get(f"/preflight/{quote(id, safe='')}", protocol.PreflightAnswer, seen=seen, wait_s=wait_s)

    def sandboxes(self, select: Sequence[str] = (), finished: bool = True) -> protocol.SandboxesAnswer:
        return self._post("/sandboxes", protocol.SandboxesRequest(list(select), finished), protocol.SandboxesAnswer)

    def read(self, pieces: Sequence[protocol.Piece]) -> protocol.ReadAnswer:
        return self._post("/sandboxes/read", protocol.ReadRequest(list(pieces)), protocol.ReadAnswer)

    def lines(self, asked: protocol.LinesRequest) -> protocol.LinesAnswer:
        """Stored lines that one may read."""
        return self._post("/lines", asked, protocol.LinesAnswer)

    def count_lines(self, asked: protocol.CountLinesRequest) -> protocol.CountLinesAnswer:
        return self._post("/lines/count", asked, protocol.CountLinesAnswer)

    def line_examples(self, asked: protocol.LineExamplesRequest) -> protocol.LineExamplesAnswer:
        return self._post("/lines/examples", asked, protocol.LineExamplesAnswer)

    def lines_context(self, asked: protocol.LinesContextRequest) -> protocol.LinesContextAnswer:
        return self._post("/lines/context", asked, protocol.LinesContextAnswer)

    def new_lines(self, asked: protocol.NewLinesRequest) -> protocol.NewLinesAnswer:
        return self._post("/lines/new", asked, protocol.NewLinesAnswer)

    def follow_lines(self, asked: protocol.FollowLinesRequest) -> protocol.FollowLinesAnswer:
        return self._post("/lines/follow", asked, protocol.FollowLinesAnswer)

    def dead_letters(self, asked: protocol.DeadLettersRequest) -> protocol.DeadLettersAnswer:
        return self._post("/lines/dead", asked, protocol.DeadLettersAnswer)

    def attach(
        self, job: str, host: str, write: bool, take: bool, message: str, again: str = "", wrote: bool = False
    ) -> protocol.ConsoleAttached:
        return self._post(
            "/console",
            protocol.ConsoleRequest(job, host, write, take, message, again, wrote),
            protocol.ConsoleAttached,
        )

    def console(self, id: str, asked: protocol.ConsoleRead) -> protocol.ConsoleOutput:
        return self._post(f"/consoles/{quote(id, safe='')}/read", asked, protocol.ConsoleOutput)

    def keys(self, id: str, keys: protocol.ConsoleKeys) -> protocol.ConsoleTyped:
        return self._post(f"/consoles/{quote(id, safe='')}/keys", keys, protocol.ConsoleTyped)

    def detach(self, id: str) -> protocol.ConsoleTyped:
        return self._post(f"/consoles/{quote(id, safe='')}/leave", protocol.ConsoleLeave(), protocol.ConsoleTyped)

    def log(self) -> list[str]:
        """The last lines of the daemon's own log."""
        return self._get("/log", protocol.LogAnswer).lines

    def agent_log(self, host: str) -> list[str]:
        """Of the log of that host's Mesos agent."""
        return self._get(f"/log/{quote(host, safe='')}", protocol.LogAnswer).lines

    def backup(self) -> bytes:
        """The state as a file, see `store.backup`."""
        response = self._response("GET", "/backup")
        if response.status_code != 200:
            raise _problem(response)
        return response.content

    def _get(self, path: str, kind: type[Answer], **params: Any) -> Answer:
        return self._send(kind, "GET", path, params=params)

    def _post(self, path: str, body: Any, kind: type[Answer]) -> Answer:
        return self._send(kind, "POST", path, content=msgspec.json.encode(body), headers=_JSON)

    def _send(self, kind: type[Answer], method: str, path: str, **what: Any) -> Answer:
        response = self._response(method, path, **what)
        try:
            if response.status_code == 200:
                return msgspec.json.decode(response.content, type=kind)
        except msgspec.MsgspecError as error:
            raise _not_understood(error) from error
        raise _problem(response)

    def _response(self, method: str, path: str, **what: Any) -> httpx.Response:
        if self._login is None:
            return self._exchange(method, path, **what)
        fresh = not self._logged_in
        if fresh:
            self._enter(self._login)
        response = self._exchange(method, path, **what)
        if response.status_code == 401 and not fresh:
            # the session is over, and nothing was done
            self._enter(self._login)
            response = self._exchange(method, path, **what)
        return response

    def _enter(self, login: protocol.LoginRequest) -> None:
        self._http.cookies.clear()
        self.log_in(login.name, login.password)
        self._logged_in = True

    def _exchange(self, method: str, path: str, **what: Any) -> httpx.Response:
        if self._path is not None:
            self._reach(self._path)
        try:
            return self._http.request(method, path, **what)
        except httpx.ConnectError as error:
            raise remote.not_reached(self._name, error) from error
        except httpx.TimeoutException as error:
            raise Unreachable(f"the daemon {self._name} did not answer within {TIMEOUT_S:g} s: see its log") from error
        except httpx.TransportError as error:
            raise Unreachable(f"the daemon {self._name} went away: {error}") from error

    def _reach(self, path: Path) -> None:
        """Find out why not before httpx does: it tells less, and leaves its socket open."""
        with socket.socket(socket.AF_UNIX) as probe:
            # a time limit of Python's own would not wait for a place in a full queue
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", int(TIMEOUT_S), 0))
            try:
                probe.connect(str(path))
            except BlockingIOError as error:
                raise Unreachable(
                    f"the daemon on {path} accepted no connection within {TIMEOUT_S:g} s: see its log"
                ) from error
            except PermissionError as error:
                raise Refused(f"you may not open {path}: ask to be put into its group (ls -l {path})") from error
            except OSError as error:
                raise Unreachable(
                    f"no daemon answers on {path}: is `daqsched serve` running?"
                    " (--socket or DAQSCHED_SOCKET names another)"
                ) from error


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


def _problem(response: httpx.Response) -> DaqschedError:
    if response.status_code == 404:
        method, path = response.request.method, response.request.url.path
        return UserError(
            f"this daemon is older than this command, or newer, and has no {method} {path}: bring both up to date"
        )
    try:
        problem = msgspec.json.decode(response.content, type=protocol.UnconfirmedProblem)
    except msgspec.MsgspecError as error:
        return _not_understood(error)
    if problem.stops:
        return NotConfirmed(problem.error, problem.stops, problem.running, problem.endings)
    if problem.code == "gone":  # whoever asked goes on anew
        return Forgotten(problem.error)
    return _ERRORS.get(problem.exit_code, DaqschedError)(problem.error)


def _not_understood(error: msgspec.MsgspecError) -> DaqschedError:
    return Unreachable(f"the daemon's answer is not understood ({error}): is it of another version?")
