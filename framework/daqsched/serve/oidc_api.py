"""The daemon's answers to somebody who logs in by the farm's identity provider (OpenID Connect, by a code, with PKCE).

The log-in page asks where to go (`begin`), and the provider leads back to the page, which hands over what came with that (`end`).
In between a cookie says which browser it was. What comes of it is a session as of a password.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Optional

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from daqsched.errors import Refused, UserError
from daqsched.limits import LOGIN_BODY, shown
from daqsched.protocol import LoginAnswer, LoginBegun, OidcLoginRequest, OidcRequest
from daqsched.rights.identity_provider import BEGUN_S, Begun, ProvidedIdentity, basis, begun_of, known_groups, sign
from daqsched.rights.login_pace import LoginPace
from daqsched.rights.rules import Rights
from daqsched.rights.sessions import LIFE_S, OIDC, LoginSession, tag_of
from daqsched.rights.sessions import sign as sign_session
from daqsched.serve.authentication import Authentication
from daqsched.serve.connections import WEB
from daqsched.serve.http import caller_of, route
from daqsched.serve.login_api import cookie, key_of, try_once
from daqsched.serve.request_body import body_of
from daqsched.serve.web_rules import BEGUN_COOKIE, COOKIE, LOGIN, MOST_COOKIE, is_place

if TYPE_CHECKING:
    from daqsched.serve.provider import Provider

#: So many log-ins that have ended are remembered, so that none ends twice.
MOST_ENDED = 10_000

ELSEWHERE = "this log-in was not begun in this browser, or too long ago: begin anew"


class OidcRoutes:
    """Two routes."""

    def __init__(self) -> None:
        self._pace = LoginPace()
        #: Log-ins that have ended, and when they would have been too old.
        self._ended: dict[str, float] = {}

    @property
    def routes(self) -> list[Route]:
        """For the application."""
        return [route("POST", "/oidc", self.begin), route("POST", "/oidc-login", self.end)]

    async def begin(self, request: Request) -> Response:
        body = await body_of(request, OidcRequest, LOGIN_BODY)
        found, provider, key = _ready(request)
        back = body.back if is_place(body.back) else "/"
        host = caller_of(request).presented.host
        begun = Begun(secrets.token_urlsafe(24), found.now() + BEGUN_S, f"https://{host}{LOGIN}", back)
        address = await provider.address(key, begun)
        response = Response(msgspec.json.encode(LoginBegun(address)), media_type="application/json")
        response.headers["set-cookie"] = cookie(BEGUN_COOKIE, sign(key, begun), int(BEGUN_S))
        return response

    async def end(self, request: Request) -> Response:
        body = await body_of(request, OidcLoginRequest, LOGIN_BODY)
        found, provider, key = _ready(request)
        caller = caller_of(request)
        try_once(self._pace, body.state, caller.address, "log-ins that came to nothing")
        begun = begun_of(key, caller.presented.begun, body.state, found.now())
        if begun is None or begun.state in self._ended:
            raise Refused(ELSEWHERE)
        self._over(begun, found.now())
        who = provider.settings.called
        if body.error:
            raise Refused(f"{who} says no ({shown(body.error)}): begin anew, or ask there")
        if body.iss and body.iss != provider.settings.issuer:
            raise Refused(f"what came back is of {shown(body.iss)}, and not of {who}: begin anew")
        named = await provider.named(key, begun, body.code)
        request.state.asked = named  # for the audit file: whom it is about, and no code
        self._pace.right(body.state, caller.address)
        session = session_of(provider, named, request.scope["rights"].rights, found.now())
        value = sign_session(key, session)
        if len(value) > MOST_COOKIE:
            raise Refused(
                f"{who} names {len(named.groups)} groups, and those that the farm's rights are about are more than a browser "
                "keeps: have it name fewer to this client"
            )
        answer = LoginAnswer(session.name, session.until, begun.back)
        response = Response(msgspec.json.encode(answer), media_type="application/json")
        response.headers.append("set-cookie", cookie(COOKIE, value, int(LIFE_S)))
        response.headers.append("set-cookie", cookie(BEGUN_COOKIE, "", 0))
        return response

    def _over(self, begun: Begun, now: float) -> None:
        """This one ends now, whatever comes of it: a code is good for once."""
        while self._ended and (len(self._ended) >= MOST_ENDED or next(iter(self._ended.values())) < now):
            del self._ended[next(iter(self._ended))]
        self._ended[begun.state] = begun.until


def session_of(provider: Provider, named: ProvidedIdentity, rights: Rights, now: float) -> LoginSession:
    """All groups are in it where a browser keeps so many; else those that the rights name now: it ends when they name others."""
    whole = sum(len(one) + 3 for one in named.groups) * 4 // 3 < MOST_COOKIE - 600
    known = None if whole else known_groups(rights)
    groups = named.groups if known is None else tuple(one for one in named.groups if one in known)
    tag = tag_of(basis(provider.settings, known, named.left_out))
    return LoginSession(
        secrets.token_urlsafe(16),
        named.name,
        now + LIFE_S,
        tag,
        OIDC,
        groups,
        not whole,
        named.left_out,
        named.nameless,
    )


def _ready(request: Request) -> tuple[Authentication, Provider, bytes]:
    """Raises where nobody logs in so."""
    found: Optional[Authentication] = request.scope.get("authentication")
    if found is None or found.provider is None or caller_of(request).door != WEB:
        raise UserError("nobody logs in here by an identity provider: that is for `daqsched serve --web` with --oidc")
    return found, found.provider, key_of(found)
