"""Sessions: what the cookie of somebody says who has logged in, signed, until when. Pure.

The key is in the state, so a session outlives restart and takeover. It names a digest of what is kept of the password: with another
password it does not count any more.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from typing import Optional

import msgspec

from daqsched.rights.tokens import Credentials

#: How long one counts.
LIFE_S = 12 * 3600.0


class LoginSession(msgspec.Struct, frozen=True):
    """Somebody who has logged in."""

    id: str
    name: str
    until: float
    #: `tag_of` what was kept of the password then.
    tag: str


def tag_of(kept: str) -> str:
    """What tells one password from the next without telling either."""
    return hashlib.sha256(b"daqsched session\0" + kept.encode()).hexdigest()[:16]


def sign(key: bytes, session: LoginSession) -> str:
    """The cookie's value."""
    text = base64.urlsafe_b64encode(msgspec.json.encode(session)).rstrip(b"=").decode()
    return f"{text}.{_signature(key, text)}"


def read(key: bytes, value: str) -> Optional[LoginSession]:
    """The session in a cookie that we have signed; None: we have not."""
    text, _, signature = value.partition(".")
    if not key or not hmac.compare_digest(signature.encode("utf-8", "replace"), _signature(key, text).encode()):
        return None
    try:
        return msgspec.json.decode(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)), type=LoginSession)
    except (msgspec.MsgspecError, binascii.Error, ValueError):
        return None


def ended(session: LoginSession, credentials: Credentials, kept: Optional[str], now: float) -> str:
    """Why it counts no more; empty: it does. ``kept``: of the password of that name now; None: there is none."""
    if not now < session.until:
        return f"the session of {session.name} is over"
    if session.until <= credentials.over_until:
        return f"the session of {session.name} has ended with many others"
    if session.id in credentials.logged_out:
        return f"{session.name} has logged out"
    if kept is None:
        return f"{session.name} has no password any more"
    return "" if tag_of(kept) == session.tag else f"the password of {session.name} is another since"


def _signature(key: bytes, text: str) -> str:
    return hmac.new(key, b"session\0" + text.encode("utf-8", "replace"), hashlib.sha256).hexdigest()
