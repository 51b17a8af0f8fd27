"""Sessions: what the cookie of somebody says who has logged in, signed, until when. Pure.

The key is in the state, so a session outlives restart and takeover. It names a digest of what it stands on: with another
password, or another identity provider, it does not count any more.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from typing import Optional, TypeVar

import msgspec

from daqsched.rights.tokens import Credentials

Kept = TypeVar("Kept", bound=msgspec.Struct)

#: How long one counts.
LIFE_S = 12 * 3600.0

#: How somebody has logged in; identities of rules begin so.
PASSWORD, OIDC = "password", "oidc"


class LoginSession(msgspec.Struct, frozen=True):
    """Somebody who has logged in."""

    id: str
    name: str
    until: float
    #: `tag_of` what was kept of the password then, or what the word of the identity provider stands on.
    tag: str
    way: str = PASSWORD
    #: What the identity provider said, and whether these are not all, but those that the rights named then.
    groups: tuple[str, ...] = ()
    cut: bool = False
    #: See `ProvidedIdentity`.
    left_out: int = 0
    nameless: bool = False

    @property
    def itself(self) -> str:
        """What rules call who this is: ``password:alice``."""
        return f"{self.way}:{self.name}"

    @property
    def known_as(self) -> frozenset[str]:
        """The same with the groups."""
        return frozenset([self.itself, *(f"{self.way}-group:{one}" for one in self.groups)])


def tag_of(kept: str) -> str:
    """What tells one password from the next without telling either."""
    return hashlib.sha256(b"daqsched session\0" + kept.encode()).hexdigest()[:16]


def sign(key: bytes, session: LoginSession) -> str:
    """The cookie's value."""
    return signed(key, "session", session)


def read(key: bytes, value: str) -> Optional[LoginSession]:
    """The session in a cookie that we have signed; None: we have not."""
    return opened(key, "session", value, LoginSession)


def ended(session: LoginSession, credentials: Credentials, kept: Optional[str], now: float) -> str:
    """Why it counts no more; empty: it does. ``kept``: what it stands on now; None: on nothing any more."""
    if not now < session.until:
        return f"the session of {session.name} is over"
    if session.until <= credentials.over_until:
        return f"the session of {session.name} has ended with many others"
    if session.id in credentials.logged_out:
        return f"{session.name} has logged out"
    if session.way == OIDC:
        if kept is None:
            return f"the identity provider by which {session.name} has logged in is not asked any more"
        return (
            ""
            if tag_of(kept) == session.tag
            else f"the rights or the identity provider of {session.name} are others since"
        )
    if kept is None:
        return f"{session.name} has no password any more"
    return "" if tag_of(kept) == session.tag else f"the password of {session.name} is another since"


def signed(key: bytes, what: str, value: msgspec.Struct) -> str:
    """Something that a browser keeps for us, which counts as ``what`` and nothing else."""
    text = base64.urlsafe_b64encode(msgspec.json.encode(value)).rstrip(b"=").decode()
    return f"{text}.{_signature(key, what, text)}"


def opened(key: bytes, what: str, value: str, kind: type[Kept]) -> Optional[Kept]:
    """The same as it comes back; None: we have not signed it, or as something else."""
    text, _, signature = value.partition(".")
    if not key or not hmac.compare_digest(signature.encode("utf-8", "replace"), _signature(key, what, text).encode()):
        return None
    try:
        return msgspec.json.decode(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)), type=kind)
    except (msgspec.MsgspecError, binascii.Error, ValueError):
        return None


def _signature(key: bytes, what: str, text: str) -> str:
    return hmac.new(key, f"{what}\0{text}".encode("utf-8", "replace"), hashlib.sha256).hexdigest()
