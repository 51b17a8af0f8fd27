"""The daemon's answers about tokens: made, told of, revoked. Each is known here for a moment, and goes to who asked."""

from __future__ import annotations

import secrets
from typing import Optional

from starlette.requests import Request
from starlette.routing import Route

from daqsched.engine import events
from daqsched.engine.engine import Engine
from daqsched.protocol import KnownToken, NewToken, RevokeRequest, TokenRequest, TokensAnswer
from daqsched.rights.tokens import CHANCE, Token, digest_of_token, text_of
from daqsched.serve.authentication import Authentication
from daqsched.serve.daemon import Ask, Daemon
from daqsched.serve.http import caller_of, permit, route, user_of
from daqsched.serve.request_body import body_of
from daqsched.serve.requested import requested
from daqsched.serve.rights_in_force import RightsInForce


class TokenRoutes:
    """Routes; ``ask`` puts a question to the engine."""

    def __init__(self, daemon: Daemon, ask: Ask) -> None:
        self._daemon, self._ask = daemon, ask

    @property
    def routes(self) -> list[Route]:
        """For the application."""
        return [
            route("GET", "/tokens", self.tokens),
            route("POST", "/token", self.make),
            route("POST", "/revoke", self.revoke),
        ]

    async def tokens(self, request: Request) -> TokensAnswer:
        permit(request, "tokens")
        return TokensAnswer(await self._ask(_known))

    async def make(self, request: Request) -> NewToken:
        body = await body_of(request, TokenRequest)
        text = text_of(secrets.token_bytes(CHANCE))
        now = await self._ask(lambda engine, now: now)
        token = Token(
            body.name,
            digest_of_token(text),
            body.role,
            _identity(body.whose, request),
            user_of(request),
            now,
            body.until,
            made_with=_shown_by(request),
        )
        await requested(self._daemon, request, events.TokenMade(token))
        return NewToken(text, _told(token, now))

    async def revoke(self, request: Request) -> TokensAnswer:
        body = await body_of(request, RevokeRequest)
        event = events.TokenRevoked(body.name, user_of(request))
        await requested(self._daemon, request, event)
        return TokensAnswer(await self._ask(_known))


def _identity(whose: str, request: Request) -> str:
    """Whom a word means that has no prefix, where there are rights: a person of theirs; else the account, also where a person of
    that name is entered later."""
    in_force: Optional[RightsInForce] = request.scope.get("rights")
    if not whose or ":" in whose or in_force is None or whose in in_force.rights.people:
        return whose
    return f"unix:{whose}"


def _shown_by(request: Request) -> str:
    """The digest of the token that a request came with; empty: it came with none."""
    found: Optional[Authentication] = request.scope.get("authentication")
    token = found.token(caller_of(request).presented) if found is not None else None
    return token.digest if token is not None else ""


def _known(engine: Engine, now: float) -> list[KnownToken]:
    return [_told(one, now) for one in engine.credentials.tokens]


def _told(one: Token, now: float) -> KnownToken:
    return KnownToken(one.name, one.role, one.whose, one.by, one.made, one.until, one.ended(now))
