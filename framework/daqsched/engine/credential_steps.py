"""What proves who comes over the network: tokens, and what signs sessions. Nothing of the farm follows from it."""

from __future__ import annotations

from typing import Optional

import msgspec

from daqsched.engine import commands, events
from daqsched.engine.commands import CREDENTIALS
from daqsched.engine.farm import Farm
from daqsched.engine.verdict import Accepted
from daqsched.errors import UserError
from daqsched.limits import brief
from daqsched.rights.tokens import Credentials, check, with_log_out, with_token, without_token

#: The least of a key that signs.
KEY_BYTES = 32

_decode = msgspec.msgpack.Decoder(Credentials).decode


def restored(farm: Farm, saved: Optional[bytes]) -> None:
    """As the last daemon had it. What can't be read lets nobody in, and is told."""
    if saved is None:
        return
    try:
        farm.credentials = _decode(saved)
    except (msgspec.MsgspecError, ValueError) as error:
        farm.troubles.append(f"the tokens can't be read ({brief(str(error))}): none counts, make new ones")


def made(farm: Farm, event: events.TokenMade, now: float) -> Accepted:
    """One more."""
    token = event.token
    check(token, farm.credentials.tokens, now)
    _keep(farm, with_token(farm.credentials, token, now))
    farm.note(f"token {token.name} ({token.role}{f', for {token.whose}' if token.whose else ''}) made by {token.by}")
    return Accepted()


def revoked(farm: Farm, event: events.TokenRevoked, now: float) -> Accepted:
    """One that counts no more, from this moment on."""
    _keep(farm, without_token(farm.credentials, event.name, event.user, now))
    farm.note(f"token {event.name} revoked by {event.user}")
    return Accepted()


def key_made(farm: Farm, event: events.SessionKeyMade, now: float) -> Optional[Accepted]:
    """The first one stays: another would end all sessions, and no digest would be what people were told."""
    if len(event.key) < KEY_BYTES:
        raise UserError(f"a key has at least {KEY_BYTES} bytes")
    if not farm.credentials.session_key:
        _keep(farm, msgspec.structs.replace(farm.credentials, session_key=event.key))
    return None


def logged_out(farm: Farm, event: events.LoggedOut, now: float) -> Accepted:
    """A session that is not believed any more."""
    if event.until > now:
        _keep(farm, with_log_out(farm.credentials, event.session, event.until, now))
    return Accepted()


def _keep(farm: Farm, credentials: Credentials) -> None:
    farm.credentials = credentials
    farm.out.append(commands.SaveDocument(CREDENTIALS))
