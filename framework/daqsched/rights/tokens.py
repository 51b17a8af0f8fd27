"""Tokens, and what else proves who comes over the network: what of them is saved. Pure.

Of a token its digest is kept, never the token: it has 256 bits of chance, so one round of SHA-256 is enough. Time and chance
come in as arguments.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Optional

import msgspec

from daqsched.errors import UserError
from daqsched.rights.principal import PREFIXES
from daqsched.rights.verbs import Role
from daqsched.times import utc_day

#: What a token begins with, so that it is known where somebody finds one.
BEGIN = "daqsched_"

#: Bytes of chance in it.
CHANCE = 32

#: How long one may live, and what is remembered of one that has ended.
LONGEST_S, REMEMBERED_S = 5 * 366 * 86400.0, 90 * 86400.0

#: So many are kept, and so many sessions that were logged out.
MOST, MOST_LOGGED_OUT = 1000, 10_000

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}\Z")


class Token(msgspec.Struct, frozen=True):
    """What is saved of one."""

    name: str
    #: SHA-256, in hexadecimal digits.
    digest: str
    #: The role that it gives at most.
    role: str
    #: The person or the identity that it is for; empty: only for itself, ``token:NAME``.
    whose: str
    by: str
    made: float
    until: float
    #: When it was revoked, and by whom; 0: it was not.
    revoked: float = 0.0
    revoked_by: str = ""
    #: Of which token it was made, by its digest: it does not outlive that one. Empty: by a person.
    made_with: str = ""

    @property
    def mark(self) -> str:
        """What tells it from each other one, also from one that had its name before."""
        return self.digest[:16]

    def ended(self, now: float) -> str:
        """Why it counts no more, as a sentence; empty: it does."""
        if self.revoked:
            return f"the token {self.name} was revoked by {self.revoked_by} on {utc_day(self.revoked)}"
        return f"the token {self.name} expired on {utc_day(self.until)}" if not now < self.until else ""


class Credentials(msgspec.Struct, frozen=True):
    """All that is saved about callers over the network."""

    tokens: tuple[Token, ...] = ()
    #: Signs sessions, and what people are told of digests (`digests.signature`); empty: there is none yet.
    session_key: bytes = b""
    #: Sessions that were logged out, and when they would have ended.
    logged_out: Mapping[str, float] = {}
    #: Sessions that would end by then count no more: so many were logged out that not each of them is remembered.
    over_until: float = 0.0


def text_of(chance: bytes) -> str:
    """A token, as it is shown once."""
    return BEGIN + base64.urlsafe_b64encode(chance).rstrip(b"=").decode()


def digest_of_token(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def by_digest(credentials: Credentials) -> dict[str, Token]:
    return {one.digest: one for one in credentials.tokens}


def check(token: Token, known: Sequence[Token], now: float) -> None:
    """Raise `UserError` where there can't be such a token."""
    if not _NAME.match(token.name):
        raise UserError(
            "a token's name has letters, digits, _, . and -, at most 64, and begins with a letter or a digit"
        )
    if token.role not in Role.__members__:
        raise UserError(f"a token's role is one of {', '.join(Role.__members__)}")
    prefix, colon, rest = token.whose.partition(":")
    if len(token.whose) > 200 or (colon and (prefix not in PREFIXES or prefix.endswith("-group") or not rest)):
        people = ", ".join(one for one in PREFIXES if not one.endswith("-group"))
        raise UserError(
            f"a token is for a person of the rights, an account, or an identity that begins with one of {people}"
        )
    if prefix == "token":
        raise UserError("a token is not for another token")
    if not 0 < token.until - now <= LONGEST_S:
        raise UserError(f"a token lives at least a moment and at most {LONGEST_S / 86400:.0f} days")
    if len(token.digest) != 64 or set(token.digest) - set("0123456789abcdef"):
        raise UserError("a token's digest is SHA-256, in hexadecimal digits")
    maker = next((one for one in known if one.digest == token.made_with), None)
    if token.made_with and (maker is None or maker.ended(now)):
        raise UserError("the token that this is made with does not count any more")
    if maker is not None and token.until > maker.until:
        raise UserError(
            f"a token that is made with a token ends with it at the latest: {maker.name} expires on {utc_day(maker.until)}"
        )
    living = [one for one in known if not one.ended(now)]
    if any(one.name == token.name for one in living):
        raise UserError(f"there is a token {token.name}: revoke it first, or name this one otherwise")
    if len(living) >= MOST:
        raise UserError(f"there are {len(living)} tokens, which is as many as there may be: revoke some")


def with_token(credentials: Credentials, token: Token, now: float) -> Credentials:
    """And one more; those that ended long ago are forgotten."""
    kept = [one for one in credentials.tokens if now < (one.revoked or one.until) + REMEMBERED_S]
    while len(kept) >= MOST:
        kept.remove(next(one for one in kept if one.ended(now)))
    return msgspec.structs.replace(credentials, tokens=(*kept, token))


def without_token(credentials: Credentials, name: str, by: str, now: float) -> Credentials:
    """With this one revoked, and those that were made with it; raises `UserError` where there is none that counts."""
    found = living(credentials, name, now)
    if found is None:
        ended = [one.ended(now) for one in credentials.tokens if one.name == name]
        raise UserError(ended[-1] if ended else f"there is no token {name}: `daqsched token list` has them")
    gone = {found.digest}
    while True:
        more = {one.digest for one in credentials.tokens if one.made_with in gone} - gone
        if not more:
            break
        gone |= more
    return msgspec.structs.replace(
        credentials,
        tokens=tuple(
            msgspec.structs.replace(one, revoked=now, revoked_by=by)
            if one.digest in gone and not one.ended(now)
            else one
            for one in credentials.tokens
        ),
    )


def living(credentials: Credentials, name: str, now: float) -> Optional[Token]:
    return next((one for one in credentials.tokens if one.name == name and not one.ended(now)), None)


def with_log_out(credentials: Credentials, session: str, until: float, now: float) -> Credentials:
    """And one session that counts no more; those that would have ended by now are forgotten."""
    over = credentials.over_until
    kept = {one: end for one, end in credentials.logged_out.items() if max(now, over) < end}
    kept[session] = until
    if len(kept) > MOST_LOGGED_OUT:
        # none of them counts again: rather all that began as early end, too
        over = max(over, sorted(kept.values())[len(kept) // 2])
        kept = {one: end for one, end in kept.items() if over < end}
    return msgspec.structs.replace(credentials, logged_out=kept, over_until=over)
