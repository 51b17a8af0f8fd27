"""Whom an identity provider names (OpenID Connect): what the farm is told of it, and how a log-in there is begun and tied to a
browser. Pure.

What ties it is a cookie that we sign, so that any daemon of the farm ends what another began. Of the verifier of PKCE (RFC 7636)
and of the nonce nothing is kept: both are made of the state and of the key that signs sessions.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping
from typing import Any, Optional

import msgspec

from daqsched.errors import UserError
from daqsched.limits import did_you_mean, shown
from daqsched.rights.marked_values import values_of
from daqsched.rights.principal import MOST_GROUPS, can_be_name, possible_groups
from daqsched.rights.rules import Rights, words_of
from daqsched.rights.sessions import opened, signed

#: How long somebody may take to log in there.
BEGUN_S = 600.0

#: The longest file.
MOST_TEXT = 1 << 16

#: As what a log-in that has begun is signed.
_BEGUN = "oidc begun"

_REQUIRED = ("issuer", "client", "secret")
_SCOPE = re.compile(r"[!#-\[\]-~]{1,100}\Z")


class ProviderSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What `serve --oidc FILE` says."""

    #: As it names itself: ``https://login.example/realms/daq``.
    issuer: str
    #: What it calls us.
    client: str
    #: The file whose first line is the secret that it gave us.
    secret: str
    #: What the log-in page calls it; empty: the host of its issuer.
    name: str = ""
    #: The claim that names people, and the one that names their groups.
    user: str = "preferred_username"
    groups: str = "groups"
    scopes: tuple[str, ...] = ("openid", "profile")
    #: The authority that signed its certificate, a file; empty: one that this machine knows.
    ca: str = ""

    @property
    def called(self) -> str:
        """What people call it."""
        return self.name or self.issuer.partition("://")[2].partition("/")[0]


class Begun(msgspec.Struct, frozen=True):
    """A log-in that a browser has begun."""

    state: str
    until: float
    #: The address that the provider leads back to, and where the browser goes then.
    redirect: str
    back: str


class ProvidedIdentity(msgspec.Struct, frozen=True):
    """Whom the provider named."""

    name: str
    groups: tuple[str, ...]
    #: So many more it named that can't be names, and whether any of these is no text: which group that means nobody knows.
    left_out: int = 0
    nameless: bool = False


def read(text: str, source: str) -> ProviderSettings:
    """What such a file says; raises `UserError` with the line of the first mistake."""
    if len(text) > MOST_TEXT:
        raise UserError(f"{source}: it has {len(text):,} characters, and at most {MOST_TEXT:,} are read")
    raw, places = values_of(text, source)
    if not isinstance(raw, dict):
        raise UserError(f"{source}:1: it is not a mapping: begin with 'issuer: https://...'")

    def wrong(field: str, sentence: str) -> UserError:
        return UserError(f"{source}:{places.get((field,), 1)}: {field}: {sentence}")

    fields = ProviderSettings.__struct_fields__
    for field in raw:
        if field not in fields:
            raise wrong(field, f"there is no such field{did_you_mean(field, fields)}")
    for field in _REQUIRED:
        if not raw.get(field):
            raise UserError(f"{source}:1: {field} is missing: what the identity provider is, and who we are to it")
    for field, value in raw.items():
        if field == "scopes":
            if not isinstance(value, list) or not all(isinstance(one, str) and _SCOPE.match(one) for one in value):
                raise wrong(field, "it is a list of words: [openid, profile]")
            if "openid" not in value or len(value) > 20:
                raise wrong(field, "openid is one of them, and 20 are the most")
        elif not isinstance(value, str) or not value or len(value) > 1000 or not value.isprintable():
            raise wrong(field, "it is a word in quotes" if not isinstance(value, str) else "it is a line of text")
    found: ProviderSettings = msgspec.convert(raw, ProviderSettings)
    if not re.match(r"https://[^/?#@\s]+(?:/[^?#\s]*)?\Z", found.issuer):
        raise wrong("issuer", f"it begins with https:// and has no ? or #, not {shown(found.issuer)}")
    return found


def sign(key: bytes, begun: Begun) -> str:
    """The value of the cookie."""
    return signed(key, _BEGUN, begun)


def begun_of(key: bytes, value: str, state: str, now: float) -> Optional[Begun]:
    """What this browser has begun, if it did, by the state that came back; None: it did not, or too long ago."""
    found = opened(key, _BEGUN, value, Begun)
    if found is None or not hmac.compare_digest(found.state.encode(), state.encode("utf-8", "replace")):
        return None
    return found if now < found.until else None


def verifier_of(key: bytes, state: str) -> str:
    """The secret of a log-in's own, which its code is worth nothing without (PKCE)."""
    return _made(key, "verifier", state)


def challenge_of(verifier: str) -> str:
    """What is told of it before (S256)."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def nonce_of(key: bytes, state: str) -> str:
    """What the provider's answer has to repeat."""
    return _made(key, "nonce", state)


def named_by(claims: Mapping[str, Any], settings: ProviderSettings) -> ProvidedIdentity:
    """The name and the groups that the claims say; raises `UserError` where they are none."""
    who = settings.called
    name = _claim(claims, settings.user)
    if not isinstance(name, str) or not can_be_name(name):
        raise UserError(f"{who} names nobody in {shown(settings.user)} that can be a name: which claim does it use?")
    if settings.user == "email" and claims.get("email_verified") is not True:
        raise UserError(
            f"{who} does not say that the address {shown(name)} was verified: have it do so, or name people by another claim"
        )
    groups = _claim(claims, settings.groups)
    found = [] if groups is None else [groups] if isinstance(groups, str) else groups
    if not isinstance(found, list):
        raise UserError(f"{who} names groups in {shown(settings.groups)} that can't be names")
    if len(found) > MOST_GROUPS:
        raise UserError(f"{who} names {len(found):,} groups, and at most {MOST_GROUPS:,} are taken: have it name fewer")
    return ProvidedIdentity(name, *possible_groups(found), nameless=not all(isinstance(one, str) for one in found))


def known_groups(rights: Rights) -> frozenset[str]:
    """The provider's groups that the farm's rights name."""
    begin = "oidc-group:"
    words = [*(word for rule in rights.rules for word in words_of(rule.to))]
    words += [word for members in (*rights.groups.values(), *rights.people.values()) for word in members]
    return frozenset(word[len(begin) :] for word in words if word.startswith(begin))


def basis(settings: ProviderSettings, known: Optional[frozenset[str]], left_out: int = 0) -> str:
    """What a session stands on; with another one it counts no more. ``known``: the groups that the rights named then, where the
    session has but these; None: it has all. With ``left_out`` it is none to a daemon that would not heed that."""
    words = [settings.issuer, settings.client, *(sorted(known) if known is not None else ["*"])]
    return "\0".join([*words, *(["but some"] if left_out else [])])


def _claim(claims: Mapping[str, Any], name: str) -> Any:
    """``groups``, or a claim within others: ``resource_access.daqsched.roles``."""
    if name in claims:
        return claims[name]
    found: Any = claims
    for step in name.split("."):
        found = found.get(step) if isinstance(found, Mapping) else None
    return found


def _made(key: bytes, what: str, text: str) -> str:
    made = hmac.new(key, f"oidc {what}\0{text}".encode("utf-8", "replace"), hashlib.sha256).digest()
    return base64.urlsafe_b64encode(made).rstrip(b"=").decode()
