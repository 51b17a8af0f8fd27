"""The way to the daemon: through its socket or its web port, JSON both ways, each refusal as an error of ours."""

from __future__ import annotations

import socket
import struct
from pathlib import Path
from typing import Any, Optional, TypeVar

import httpx
import msgspec

from daqsched import protocol, remote
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
        # no TLS on a Unix socket: reading its authorities would cost each command 20 ms
        transport = httpx.HTTPTransport(uds=str(where), verify=False, retries=3)
        self.http = httpx.Client(transport=transport, base_url=f"http://daqsched{protocol.API}", timeout=TIMEOUT_S)

    def close(self) -> None:
        """Close the connection."""
        self.http.close()

    def log_in(self, name: str, password: str) -> tuple[protocol.LoginAnswer, str]:
        """Who that is, until when, and the session; from now on it is shown with each question."""
        body = msgspec.json.encode(protocol.LoginRequest(name, password))
        response = self._exchange("POST", "/login", content=body, headers=_JSON)
        session = response.cookies.get(protocol.SESSION_COOKIE)
        if response.status_code != 200 or not session:
            raise problem(response)
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
        if response.status_code != 200:
            raise problem(response)
        return response.content

    def _send(self, kind: type[Answer], method: str, path: str, **what: Any) -> Answer:
        response = self._response(method, path, **what)
        try:
            if response.status_code == 200:
                return msgspec.json.decode(response.content, type=kind)
        except msgspec.MsgspecError as error:
            raise _not_understood(error) from error
        raise problem(response)

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
        self.http.cookies.clear()
        self.log_in(login.name, login.password)
        self._logged_in = True

    def _exchange(self, method: str, path: str, **what: Any) -> httpx.Response:
        if self._path is not None:
            self._reach(self._path)
        try:
            return self.http.request(method, path, **what)
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


def problem(response: httpx.Response) -> DaqschedError:
    """Why it was not answered as it was meant to be."""
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


def is_of_another_version(error: UserError) -> bool:
    """Whether a daemon refused a request for a field or path that it does not know."""
    return "same version" in str(error) or "bring both up to date" in str(error)


def _not_understood(error: msgspec.MsgspecError) -> DaqschedError:
    return Unreachable(f"the daemon's answer is not understood ({error}): is it of another version?")
