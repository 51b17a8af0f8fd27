"""What a request from the network must be like before anybody looks at it, and what each answer to one says. Pure.

A browser is the other end for some of them, and whoever it shows a page of may have it send requests: so the name that was
asked for is looked at (DNS rebinding), a change has to be JSON (which no form sends) and of no foreign page. What a proxy would
say of itself (``X-Forwarded-*``) counts for nobody, nor what daemons say to each other.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Sequence
from typing import NamedTuple, Optional

from daqsched.limits import shown

Headers = Sequence[tuple[bytes, bytes]]

#: What each answer has.
ANSWERS: Headers = (
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
)

#: The cookie of a session; a browser takes one of this name only as we send it: over TLS, for this host alone.
COOKIE = "__Host-daqsched"

#: The longest token or session that is looked at.
MOST_SHOWN = 4096


class WebRefusal(NamedTuple):
    """A request that is not looked at."""

    #: Of `problems.CODES`.
    code: str
    why: str


class Shown(NamedTuple):
    """What a request shows of who asks; empty: nothing."""

    bearer: str = ""
    session: str = ""
    #: Whom a trusted proxy names, and the groups.
    user: str = ""
    groups: tuple[str, ...] = ()


def values(headers: Headers, name: bytes) -> list[str]:
    return [value.decode("latin-1").strip() for one, value in headers if one.lower() == name]


def refusal(method: str, headers: Headers, names: Collection[str]) -> Optional[WebRefusal]:
    """Why it is not looked at; None: it is. ``names`` are those that this port goes by."""
    hosts = values(headers, b"host")
    if len(hosts) != 1 or not is_named(host_of(hosts[0]), names):
        asked = shown(hosts[0] if hosts else "")
        return WebRefusal("not-here", f"this is not {asked}: `daqsched serve --web-name` gives it further names")
    if method in ("GET", "HEAD"):
        return None
    if method != "POST":
        return WebRefusal("wrong-method", f"{shown(method)} is not used here")
    kinds = values(headers, b"content-type")
    if len(kinds) != 1 or kinds[0].partition(";")[0].strip().lower() != "application/json":
        return WebRefusal(
            "foreign", "a change is asked for as application/json, which no form of another page can send"
        )
    if any(one.lower() not in ("same-origin", "none") for one in values(headers, b"sec-fetch-site")):
        return WebRefusal("foreign", "this was sent by a page of another site")
    for origin in values(headers, b"origin"):
        if origin.lower() != f"https://{hosts[0].lower()}":
            return WebRefusal("foreign", f"this was sent by a page of {shown(origin)}, which is not this one")
    return None


def host_of(text: str) -> str:
    """The name in a Host header, without the port."""
    text = text.strip().lower()
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0].rstrip(".")


def is_named(host: str, names: Collection[str]) -> bool:
    """Whether one of these is that name; ``*.`` stands for one label."""
    if not host:
        return False
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host in names or f"*.{host.partition('.')[2]}" in names
    return str(address) in names


def shown_in(headers: Headers) -> Shown:
    """What proves who asks: a token before a session. Two of a kind, or one that is none, count as a wrong one."""
    given = values(headers, b"authorization")
    if given:
        kind, _, text = given[0].partition(" ")
        right = len(given) == 1 and kind.lower() == "bearer" and 0 < len(text.strip()) <= MOST_SHOWN
        return Shown(bearer=text.strip() if right else "?")
    pairs = [one.strip().partition("=") for value in values(headers, b"cookie") for one in value.split(";")]
    sessions = [value for name, _, value in pairs if name == COOKIE]
    if not sessions:
        return Shown()
    return Shown(session=sessions[0] if len(sessions) == 1 and 0 < len(sessions[0]) <= MOST_SHOWN else "?")


def without_words(headers: Headers) -> list[tuple[bytes, bytes]]:
    """Without what only a daemon or a trusted proxy may say."""
    return [
        (name, value)
        for name, value in headers
        if not name.lower().startswith((b"x-daqsched-", b"x-forwarded-", b"x-real-ip", b"forwarded"))
    ]


def answered(headers: Headers) -> list[tuple[bytes, bytes]]:
    """The headers of an answer with what each has."""
    ours = {name for name, _ in ANSWERS}
    return [*((name, value) for name, value in headers if name.lower() not in ours), *ANSWERS]
