"""An identity provider, as the daemon asks it: what it says of itself, its keys, and whom it names for a code.

Each question has an end in bytes and in time, and none is asked on the thread that owns the engine. What it said of itself and its
keys are believed for some minutes; a key that is not among them is looked for once more, but not again and again.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
from collections.abc import Awaitable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Optional, TypeVar
from urllib.parse import quote_plus, urlencode, urlsplit

import msgspec

from daqsched.bounded import Asking, BoundedAnswer, NoAnswer, typed
from daqsched.errors import Refused, Unreachable, UserError
from daqsched.limits import shown
from daqsched.remote import secret_of
from daqsched.rights.identity_provider import (
    Begun,
    ProvidedIdentity,
    ProviderSettings,
    challenge_of,
    named_by,
    nonce_of,
    read,
    verifier_of,
)
from daqsched.serve.id_token import UnknownKey, WrongToken, claims_of

logger = logging.getLogger(__name__)

#: How long each answer may take, all that a log-in waits for, and how many bytes an answer may have.
ANSWER_S, LOGIN_S, MOST = 5.0, 12.0, 256 << 10

#: How long what it says of itself is believed, when its keys may be asked for anew, and how soon one that did not answer is asked
#: again.
BELIEVED_S, KEYS_AGAIN_S, AWAY_S = 600.0, 30.0, 3.0

#: So many questions are under way at once.
AT_ONCE = 8

Found = TypeVar("Found")

#: Where the provider says what it has (OpenID Connect Discovery 1.0).
WELL_KNOWN = "/.well-known/openid-configuration"


class _Described(msgspec.Struct):
    """What of that matters here."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    #: Without a word it is the first of them.
    token_endpoint_auth_methods_supported: tuple[str, ...] = ("client_secret_basic",)


class _Keys(msgspec.Struct):
    keys: list[dict[str, Any]]


class _Tokens(msgspec.Struct):
    id_token: str


class _Denied(msgspec.Struct):
    error: str = ""


class _Known(NamedTuple):
    described: _Described
    keys: tuple[Mapping[str, Any], ...]
    until: float
    keys_at: float


class Provider:
    """See the module; for the loop that answers, but for `settings`, which never change."""

    def __init__(self, settings: ProviderSettings) -> None:
        """Raises `UserError` where its authority or the secret are none."""
        self.settings = settings
        secret_of(Path(settings.secret), "secret")
        try:
            self._context = ssl.create_default_context(cafile=settings.ca or None)
        except (OSError, ssl.SSLError) as error:
            raise UserError(f"the authority in {settings.ca} can't be read: {error}") from error
        self._asking: Optional[Asking] = None
        self._turn: Optional[asyncio.Lock] = None
        self._known: Optional[_Known] = None
        #: Why it did not answer, and until when that is taken for its answer.
        self._away, self._away_until = "", float("-inf")

    async def address(self, key: bytes, begun: Begun) -> str:
        """Where somebody logs in; raises `Unreachable`."""
        known = await self._in_time(self._look(), ANSWER_S * 2 + 1)
        settings = self.settings
        asked = {
            "response_type": "code",
            "client_id": settings.client,
            "redirect_uri": begun.redirect,
            "scope": " ".join(settings.scopes),
            "state": begun.state,
            "nonce": nonce_of(key, begun.state),
            "code_challenge": challenge_of(verifier_of(key, begun.state)),
            "code_challenge_method": "S256",
        }
        place = known.described.authorization_endpoint
        return f"{place}{'&' if '?' in place else '?'}{urlencode(asked)}"

    async def named(self, key: bytes, begun: Begun, code: str) -> ProvidedIdentity:
        """Whom it names for this code; raises `Unreachable` where it does not answer, `Refused` where it names nobody."""
        return await self._in_time(self._named(key, begun, code), LOGIN_S)

    async def _in_time(self, asked: Awaitable[Found], longest_s: float) -> Found:
        try:
            return await asyncio.wait_for(asked, longest_s)
        except asyncio.TimeoutError as error:
            raise self._unreachable(f"did not answer within {longest_s:g} s") from error

    async def _named(self, key: bytes, begun: Begun, code: str) -> ProvidedIdentity:
        settings = self.settings
        known = await self._look()
        try:
            secret = await asyncio.to_thread(secret_of, Path(settings.secret), "secret")
        except UserError as error:  # whoever logs in is not known yet, and is told no path of ours
            logger.warning("nobody can log in by %s: %s", settings.called, error)
            raise self._unreachable("can't be asked: see the log of daqsched serve") from error
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": begun.redirect,
            "code_verifier": verifier_of(key, begun.state),
        }
        user: Optional[tuple[str, str]] = None
        if "client_secret_basic" in known.described.token_endpoint_auth_methods_supported:
            user = quote_plus(settings.client), quote_plus(secret)  # RFC 6749, 2.3.1
        else:
            form.update(client_id=settings.client, client_secret=secret)
        try:
            answer = await self._ready().post(
                known.described.token_endpoint, form, most=MOST, longest_s=ANSWER_S, user=user
            )
            if answer.status != 200:
                raise self._denied(answer)
            token = typed(answer, _Tokens).id_token
        except NoAnswer as error:
            raise self._unreachable(str(error)) from error
        nonce = nonce_of(key, begun.state)
        try:
            try:
                claims = await asyncio.to_thread(claims_of, token, known.keys, settings.issuer, settings.client, nonce)
            except UnknownKey:
                known = await self._look(known)
                claims = await asyncio.to_thread(claims_of, token, known.keys, settings.issuer, settings.client, nonce)
            return named_by(claims, settings)
        except WrongToken as error:
            raise Refused(f"{settings.called} {error}, so nobody is logged in: ask who runs the farm") from error

    def _denied(self, answer: BoundedAnswer) -> Exception:
        """What its refusal of a code means."""
        try:
            why = typed(answer, _Denied).error
        except NoAnswer:
            why = ""
        if why == "invalid_grant":
            return Refused(
                f"{self.settings.called} does not take this log-in: it was used before, or took too long: begin anew"
            )
        if answer.status >= 500:
            return self._unreachable(f"answers with status {answer.status}")
        told = f" ({shown(why)})" if why else ""
        return Refused(
            f"{self.settings.called} does not take what this farm shows of itself, status {answer.status}{told}: ask who runs the "
            "farm whether client and secret are right"
        )

    async def _look(self, before: Optional[_Known] = None) -> _Known:
        """What it says of itself. ``before`` was not enough: its keys are asked for anew, if they were not just now."""
        if self._turn is None:
            self._turn = asyncio.Lock()
        async with self._turn:
            now, known = time.monotonic(), self._known
            if known is not None and known is not before and now < known.until:
                return known
            if known is not None and known is before and now < known.keys_at + KEYS_AGAIN_S:
                return known
            if now < self._away_until:
                raise self._unreachable(self._away)
            try:
                self._known = known = await self._asked()
            except NoAnswer as error:
                self._away, self._away_until = str(error), time.monotonic() + AWAY_S
                raise self._unreachable(str(error)) from error
            return known

    async def _asked(self) -> _Known:
        asking, issuer = self._ready(), self.settings.issuer
        found = await asking.get(f"{issuer.rstrip('/')}{WELL_KNOWN}", most=MOST, longest_s=ANSWER_S)
        described = _whole(found, _Described)
        if described.issuer != issuer:
            raise NoAnswer(f"calls itself {shown(described.issuer)}, and not as the file of --oidc does")
        for place in (described.authorization_endpoint, described.token_endpoint, described.jwks_uri):
            if not _is_place(place):
                raise NoAnswer(f"names an address that does not begin with https://: {shown(place)}")
        keys = _whole(await asking.get(described.jwks_uri, most=MOST, longest_s=ANSWER_S), _Keys).keys
        now = time.monotonic()
        return _Known(described, tuple(keys), now + BELIEVED_S, now)

    def _ready(self) -> Asking:
        if self._asking is None:
            self._asking = Asking(AT_ONCE, ANSWER_S, self._context, keep=False)
        return self._asking

    def _unreachable(self, why: str) -> Unreachable:
        return Unreachable(
            f"nobody can log in by {self.settings.called} now, which {why}: try again, or log in with a password of this farm's own"
        )


def provider_of(file: Path) -> Provider:
    """The one that a file is about; raises `UserError` where it says something else, or the extra `oidc` is not installed."""
    try:
        text = file.read_bytes()[: 1 << 20].decode()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{file} can't be read: {getattr(error, 'strerror', None) or error}") from error
    return Provider(read(text, str(file)))


def _whole(answer: BoundedAnswer, kind: Any) -> Any:
    if answer.status != 200:
        raise NoAnswer(f"answers with status {answer.status}")
    return typed(answer, kind)


def _is_place(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme == "https" and bool(parts.hostname) and not parts.fragment and text.isprintable()
    except ValueError:
        return False
