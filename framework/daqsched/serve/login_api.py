"""The daemon's answers to somebody who logs in or out: a session in a cookie, for names of the file of passwords."""

from __future__ import annotations

import asyncio
import math
import secrets
import time
from typing import Optional

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from daqsched.engine import events
from daqsched.errors import Unreachable, UserError
from daqsched.limits import LOGIN_BODY
from daqsched.protocol import LoginAnswer, LoginRequest, LoginWays, LogoutRequest
from daqsched.rights.login_pace import LoginPace
from daqsched.rights.sessions import LIFE_S, LoginSession, sign, tag_of
from daqsched.serve.authentication import Authentication
from daqsched.serve.connections import WEB
from daqsched.serve.daemon import Daemon
from daqsched.serve.http import caller_of, route
from daqsched.serve.refusals import RefusedWith
from daqsched.serve.request_body import body_of
from daqsched.serve.web_rules import COOKIE

#: What is said of a wrong password, and of a name that does not exist.
WRONG = "this name and password do not belong together"


class LoginRoutes:
    """Three routes."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon

    @property
    def routes(self) -> list[Route]:
        """For the application."""
        return [
            route("GET", "/login", self.ways),
            route("POST", "/login", self.log_in),
            route("POST", "/logout", self.log_out),
        ]

    async def ways(self, request: Request) -> LoginWays:
        found: Optional[Authentication] = request.scope.get("authentication")
        if found is None or caller_of(request).door != WEB:
            return LoginWays(False, "")
        provider = found.provider.settings.called if found.provider is not None else ""
        return LoginWays(found.passwords is not None, provider)

    async def log_in(self, request: Request) -> Response:
        body = await body_of(request, LoginRequest, LOGIN_BODY)
        caller = caller_of(request)
        found: Optional[Authentication] = request.scope.get("authentication")
        if found is None or found.passwords is None or caller.door != WEB:
            if found is not None and found.provider is not None:
                raise UserError(
                    "nobody logs in here by a password: people do in a browser, by an identity provider, and commands take a "
                    "token, which an admin makes (`daqsched token create NAME --for oidc:NAME`, with --role)"
                )
            raise UserError("nobody logs in here: that is for `daqsched serve --web` with --passwords")
        try_once(found.pace, body.name, caller.address, "wrong passwords")
        passwords = found.passwords
        loop = asyncio.get_running_loop()
        kept = await loop.run_in_executor(passwords.thread, passwords.check, body.name, body.password)
        if kept is None:
            raise RefusedWith("wrong-password", WRONG, {"www-authenticate": 'Bearer realm="daqsched"'})
        found.pace.right(body.name, caller.address)
        key = key_of(found)
        session = LoginSession(secrets.token_urlsafe(16), body.name, found.now() + LIFE_S, tag_of(kept))
        response = Response(msgspec.json.encode(LoginAnswer(body.name, session.until)), media_type="application/json")
        response.headers["set-cookie"] = cookie(COOKIE, sign(key, session), int(LIFE_S))
        return response

    async def log_out(self, request: Request) -> Response:
        await body_of(request, LogoutRequest, LOGIN_BODY)
        caller = caller_of(request)
        found: Optional[Authentication] = request.scope.get("authentication")
        session = found.session(caller.presented) if found is not None and caller.door == WEB else None
        if session is None:
            raise UserError("there is no session to end: who logged in has one")
        event = events.LoggedOut(session.id, session.name, session.until)
        await asyncio.wrap_future(self._daemon.request(event, None))
        response = Response(msgspec.json.encode(LoginAnswer("", 0.0)), media_type="application/json")
        response.headers["set-cookie"] = cookie(COOKIE, "", 0)
        return response


def try_once(pace: LoginPace, name: str, address: str, what: str) -> None:
    """Count a try; raises `RefusedWith` where there were too many of ``what`` of late."""
    now = time.monotonic()
    wait_s = pace.wait_s(name, address, now)
    if wait_s:
        seconds = math.ceil(wait_s)
        raise RefusedWith("too-often", f"too many {what}: try again in {seconds} s", {"retry-after": str(seconds)})
    pace.tried(name, address, now)


def key_of(found: Authentication) -> bytes:
    """By which sessions are signed; raises `Unreachable` where there is none yet."""
    if not found.credentials.session_key:
        raise Unreachable("the daemon has not begun yet: try again")
    return found.credentials.session_key


def cookie(name: str, value: str, age_s: int) -> str:
    """As a browser keeps it: over TLS, for this host alone, for no script and no other site."""
    return f"{name}={value}; Path=/; Max-Age={age_s}; Secure; HttpOnly; SameSite=Strict"
