"""The way to the daemon: through its socket or its web port, JSON both ways, each refusal as an error of ours."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Optional, TypeVar

import msgspec

from daqsched import exchange, protocol, remote
from daqsched.confirm import NotConfirmed
from daqsched.errors import DaqschedError, Forgotten, NotRunning, Refused, Unreachable, UserError
from daqsched.settings import Server, Where

Answer = TypeVar("Answer")

#: How long the daemon may take for an answer: its loop can be busy with a large farm, or with a master that hangs.
TIMEOUT_S = 30.0

_JSON = {"content-type": "application/json"}

_ERRORS: dict[int, type[DaqschedError]] = {
    kind.exit_code: kind for kind in (UserError, Unreachable, NotRunning, Refused)
}


class DaemonConnection:
    """To the daemon that is there; every method raises a `DaqschedError` with one sentence."""

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
            self.http = remote.client(where, TIMEOUT_S)
            return
        self._path, self._name = where, f"on {where}"
        self.http = exchange.over_unix(where, protocol.API, TIMEOUT_S)

    def close(self) -> None:
        """Close the connection."""
        self.http.close()

    def log_in(self, name: str, password: str) -> tuple[protocol.LoginAnswer, str]:
        """Who that is, until when, and the session; from now on it is shown with each question."""
        body = msgspec.json.encode(protocol.LoginRequest(name, password))
        response = self._exchange("POST", "/login", content=body, headers=_JSON)
        session = remote.session_of(response)
        if response.status != 200 or not session:
            raise problem(response)
        self.http.headers["cookie"] = remote.shown(session)
        try:
            return msgspec.json.decode(response.content, type=protocol.LoginAnswer), session
        except msgspec.MsgspecError as error:
            raise _not_understood(error) from error

    def get(self, path: str, kind: type[Answer], **params: Any) -> Answer:
        """A question's answer."""
        return self._send(kind, "GET", path, params=params)

    def post(self, path: str, body: Any, kind: type[Answer]) -> Answer:
        """What came of a change, or of a question that has a body."""
        return self._send(kind, "POST", path, content=msgspec.json.encode(body), headers=_JSON)

    def content(self, path: str) -> bytes:
        """An answer that is no JSON."""
        response = self._response("GET", path)
        if response.status != 200:
            raise problem(response)
        return response.content

    def _send(self, kind: type[Answer], method: str, path: str, **what: Any) -> Answer:
        response = self._response(method, path, **what)
        try:
            if response.status == 200:
                return msgspec.json.decode(response.content, type=kind)
        except msgspec.MsgspecError as error:
            raise _not_understood(error) from error
        raise problem(response)

    def _response(self, method: str, path: str, **what: Any) -> exchange.HttpAnswer:
        if self._login is None:
            return self._exchange(method, path, **what)
        fresh = not self._logged_in
        if fresh:
            self._enter(self._login)
        response = self._exchange(method, path, **what)
        if response.status == 401 and not fresh:
            # the session is over, and nothing was done
            self._enter(self._login)
            response = self._exchange(method, path, **what)
        return response

    def _enter(self, login: protocol.LoginRequest) -> None:
        self.http.headers.pop("cookie", None)
        self.log_in(login.name, login.password)
        self._logged_in = True

    def _exchange(self, method: str, path: str, **what: Any) -> exchange.HttpAnswer:
        try:
            return self.http.request(method, path, **what)
        except exchange.NotReached as error:
            if self._path is not None:
                raise _no_daemon(self._path, error.cause) from error
            raise remote.not_reached(self._name, error.cause) from error
        except exchange.NotAnswered as error:
            raise Unreachable(f"the daemon {self._name} did not answer within {TIMEOUT_S:g} s: see its log") from error
        except exchange.BrokenAnswer as error:
            raise Unreachable(f"the daemon {self._name} went away: {error}") from error


def _no_daemon(path: Path, error: OSError) -> DaqschedError:
    """Why nobody answers on a socket."""
    if isinstance(error, BlockingIOError):
        return Unreachable(f"the daemon on {path} accepted no connection within {TIMEOUT_S:g} s: see its log")
    if isinstance(error, PermissionError):
        return Refused(f"you may not open {path}: ask to be put into its group (ls -l {path})")
    return Unreachable(
        f"no daemon answers on {path}: is `daqsched serve` running? (--socket or DAQSCHED_SOCKET names another)"
    )


def problem(response: exchange.HttpAnswer) -> DaqschedError:
    """Why it was not answered as it was meant to be."""
    if response.status == 404:
        return UserError(
            f"this daemon is older than this command, or newer, and has no {response.method} {response.path}:"
            " bring both up to date"
        )
    try:
        problem = msgspec.json.decode(response.content, type=protocol.UnconfirmedProblem)
    except msgspec.MsgspecError as error:
        return _not_understood(error)
    if problem.stops or problem.paused:
        return NotConfirmed(problem.error, problem.stops, problem.running, problem.endings, problem.paused)
    if problem.code == "gone":  # whoever asked goes on anew
        return Forgotten(problem.error)
    return _ERRORS.get(problem.exit_code, DaqschedError)(problem.error)


def is_of_another_version(error: UserError) -> bool:
    """Whether a daemon refused a request for a field or path that it does not know."""
    return "same version" in str(error) or "bring both up to date" in str(error)


def _not_understood(error: msgspec.MsgspecError) -> DaqschedError:
    return Unreachable(f"the daemon's answer is not understood ({error}): is it of another version?")
