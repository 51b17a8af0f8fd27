"""The token with which a standby says who asks, and what exactly is asked: signed, fresh, and good for one time.

It names the daemon that it is for, the method, the target, and the digest of the body. So what somebody has heard of it is
worth nothing: neither elsewhere, nor later, nor again, nor for another request. Pure: the time comes in.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence
from typing import Optional

import msgspec

from daqsched.protocol import AuditCopied

#: The header that it stands in.
HEADER = "x-daqsched-word"

#: The same for whoever came to a standby over the network: a daemon that knows nothing of them finds no word at all, and refuses.
WEB_HEADER = "x-daqsched-web-word"

#: The same where groups were left out for their names: a daemon that would not heed it refuses.
PART_HEADER = "x-daqsched-web-word-in-part"

#: How old a token may be, by the clocks of both machines.
FRESH_S = 30.0

#: How many tokens are remembered, so that none counts twice: more than this within a minute no crew asks.
REMEMBERED = 100_000


_HEADERS = frozenset(one.encode() for one in (HEADER, WEB_HEADER, PART_HEADER))


class Untrusted(Exception):
    """Why a request is not believed, in one sentence."""


class PeerToken(msgspec.Struct, frozen=True):
    """Who asks, through whom, and what."""

    #: `Serving.token` of the daemon that it is for.
    to: str
    name: str
    uid: int
    gid: int
    pid: int
    #: The standby's host and pid.
    via: str
    method: str
    #: Path and query, as they go over the wire.
    target: str
    #: SHA-256 of the body.
    digest: str
    time: float
    nonce: str
    #: All that rules may call who asks (`daqsched.rights`).
    known_as: tuple[str, ...] = ()
    doubt: bool = False
    #: Of who came over the network: the address, and what was shown. The leader judges it, who has the tokens.
    address: str = ""
    bearer: str = ""
    session: str = ""
    #: Whom a proxy names that the standby trusts.
    user: str = ""
    groups: tuple[str, ...] = ()
    left_out: int = 0
    #: Of who logs in by an identity provider: what of it has begun, and by which name the standby was asked.
    begun: str = ""
    host: str = ""
    #: The nonce of a request of before that waits: nothing is asked but that this is who asks that, from now on.
    renews: str = ""
    #: Nothing is asked but that this is how far the copy of the standby's own audit file is.
    copied: Optional[AuditCopied] = None

    @property
    def header(self) -> str:
        """Where it stands."""
        if self.left_out:
            return PART_HEADER
        return WEB_HEADER if self.address else HEADER


def digest_of(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def sign(key: bytes, token: PeerToken) -> str:
    """As it stands in the header."""
    text = base64.urlsafe_b64encode(msgspec.json.encode(token)).decode()
    return f"{text}.{_signature(key, text)}"


def read(key: bytes, headers: Sequence[tuple[bytes, bytes]]) -> PeerToken:
    """The token in a request's headers; raises `Untrusted` where there is none, more than one, or none of ours."""
    found = [(name.lower(), value) for name, value in headers if name.lower() in _HEADERS]
    if len(found) != 1:
        raise Untrusted(f"the request has {len(found)} tokens that say who asks, not one")
    text, _, signature = found[0][1].decode("latin-1").partition(".")
    if not hmac.compare_digest(signature.encode("latin-1"), _signature(key, text).encode()):
        raise Untrusted("the token that says who asks is not signed with our key: do both daemons have the same file?")
    try:
        word = msgspec.json.decode(base64.urlsafe_b64decode(text), type=PeerToken)
    except (msgspec.MsgspecError, binascii.Error) as error:
        raise Untrusted(f"the token that says who asks is not understood: {error}") from error
    if word.header.encode() != found[0][0]:
        raise Untrusted("the token that says who asks stands where that of another listener would")
    return word


class TokenJudge:
    """Whether tokens are for us, fresh and new; ``me`` is what they are to name."""

    def __init__(self, me: str) -> None:
        self._me = me
        #: What was heard, the oldest first, and when it may be forgotten.
        self._heard: dict[str, float] = {}

    def hear(self, token: PeerToken, method: str, target: str, body: bytes, now: float) -> None:
        """Raises `Untrusted` where it is not."""
        if token.to != self._me:
            raise Untrusted("the token is for another daemon")
        if (token.method, token.target) != (method, target):
            raise Untrusted(f"the token is for {token.method} {token.target}, not for {method} {target}")
        if token.digest != digest_of(body):
            raise Untrusted("the body is not the one that the token is for")
        # a NaN is not fresh, either
        if not abs(now - token.time) <= FRESH_S:
            raise Untrusted(
                f"the token is {now - token.time:.0f} s old, and {FRESH_S:g} s are allowed: do the clocks of both machines agree?"
            )
        while self._heard and next(iter(self._heard.values())) < now:
            del self._heard[next(iter(self._heard))]
        if token.nonce in self._heard:
            raise Untrusted("the token was used before")
        if len(self._heard) >= REMEMBERED:
            raise Untrusted(f"{REMEMBERED} tokens were used within a minute, which is as many as are remembered")
        # a token from a clock that is ahead stays fresh for as long as its time says
        self._heard[token.nonce] = now + 2 * FRESH_S + 1.0


def _signature(key: bytes, text: str) -> str:
    return hmac.new(key, text.encode("latin-1"), hashlib.sha256).hexdigest()
