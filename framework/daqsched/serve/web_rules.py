"""What a request from the network must be like before anybody looks at it, and what each answer to one says. Pure.

A browser is the other end for some of them, and whoever it shows a page of may have it send requests: so the name that was
asked for is looked at (DNS rebinding), a change has to be JSON (which no form sends) and of no foreign page. What a proxy would
say of itself (``X-Forwarded-*``) counts for nobody, nor what daemons say to each other.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection, Sequence
from typing import NamedTuple, Optional

from daqsched.limits import shown
from daqsched.protocol import SESSION_COOKIE

Headers = Sequence[tuple[bytes, bytes]]

#: What each answer has, besides its policy.
ANSWERS: Headers = (
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
)

#: What a browser may do with an answer: nothing; and with a page: load our own files, ask us, and make no markup of a text.
POLICY = b"default-src 'none'; frame-ancestors 'none'"
PAGE_POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
    b"form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)

#: The type of a page.
PAGE = "text/html; charset=utf-8"

#: Where somebody logs in, and the longest address that is come back to.
LOGIN, MOST_BACK = "/login", 2000

COOKIE = SESSION_COOKIE

#: An address of IPv6, or a name or address; a port.
_HOST = re.compile(r"(?:\[([0-9a-f:.]+)\]|([a-z0-9._-]+))(?::[0-9]{1,5})?")

#: The cookie of a log-in by an identity provider that has begun, and the longest value of one: browsers keep 4,096 bytes.
BEGUN_COOKIE, MOST_COOKIE = f"{SESSION_COOKIE}-begun", 3800

#: The longest token or session that is looked at.
MOST_SHOWN = 4096


class WebRefusal(NamedTuple):
    """A request that is not looked at."""

    #: Of `problems.CODES`.
    code: str
    why: str


class PresentedCredentials(NamedTuple):
    """What a request presents to say who asks; empty: nothing."""

    bearer: str = ""
    session: str = ""
    #: Whom a trusted proxy names, and the groups.
    user: str = ""
    groups: tuple[str, ...] = ()
    #: So many more groups the proxy names that can't be names.
    left_out: int = 0
    #: Of who logs in by an identity provider: the log-in that this browser has begun, and the name that this port was asked by.
    begun: str = ""
    host: str = ""


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
    """The name in a Host header, without the port; empty where it is no name with or without a port (RFC 9110, 7.2)."""
    found = _HOST.fullmatch(text.strip().lower())
    return (found[1] or found[2].rstrip(".")) if found else ""


def is_named(host: str, names: Collection[str]) -> bool:
    """Whether one of these is that name; ``*.`` stands for one label."""
    if not host:
        return False
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host in names or f"*.{host.partition('.')[2]}" in names
    return str(address) in names


def presented_in(headers: Headers) -> PresentedCredentials:
    """What proves who asks: a token before a session. Two of a kind, or one that is none, count as a wrong one."""
    given = values(headers, b"authorization")
    if given:
        kind, _, text = given[0].partition(" ")
        right = len(given) == 1 and kind.lower() == "bearer" and 0 < len(text.strip()) <= MOST_SHOWN
        return PresentedCredentials(bearer=text.strip() if right else "?")
    session = cookie_in(headers, COOKIE)
    return PresentedCredentials() if session is None else PresentedCredentials(session=session)


def login_presented(headers: Headers) -> PresentedCredentials:
    """What of a request matters to logging in by an identity provider: nothing in it says who asks."""
    return PresentedCredentials(begun=cookie_in(headers, BEGUN_COOKIE) or "", host=values(headers, b"host")[0].lower())


def cookie_in(headers: Headers, name: str) -> Optional[str]:
    """The value of this cookie; None: it is not there. Two of them, or one that can't be ours, count as a wrong one."""
    pairs = [one.strip().partition("=") for value in values(headers, b"cookie") for one in value.split(";")]
    found = [value for one, _, value in pairs if one == name]
    if not found:
        return None
    return found[0] if len(found) == 1 and 0 < len(found[0]) <= MOST_SHOWN else "?"


def without_words(headers: Headers) -> list[tuple[bytes, bytes]]:
    """Without what only a daemon or a trusted proxy may say."""
    return [
        (name, value)
        for name, value in headers
        if not name.lower().startswith((b"x-daqsched-", b"x-forwarded-", b"x-real-ip", b"forwarded"))
    ]


def answered(headers: Headers) -> list[tuple[bytes, bytes]]:
    """The headers of an answer with what each has."""
    ours = {name for name, _ in ANSWERS} | {b"content-security-policy"}
    policy = PAGE_POLICY if values(headers, b"content-type") == [PAGE] else POLICY
    theirs = [(name, value) for name, value in headers if name.lower() not in ours]
    return [*theirs, *ANSWERS, (b"content-security-policy", policy)]


def is_visit(method: str, headers: Headers) -> bool:
    """Whether a browser wants to show the answer to somebody, who can log in then."""
    kinds = [one.partition(";")[0].strip().lower() for value in values(headers, b"accept") for one in value.split(",")]
    aims = values(headers, b"sec-fetch-dest")
    return method == "GET" and "text/html" in kinds and aims in ([], ["document"])


def login_place(path: bytes, query: bytes) -> str:
    """What leads to logging in and back to there, if that is a place of ours."""
    place = (path + (b"?" + query if query else b"")).decode("latin-1")
    if not is_place(place) or place.partition("?")[0] in ("/", LOGIN):
        return LOGIN
    return f"{LOGIN}?back={''.join(one if one.isalnum() or one in '/-._~' else f'%{ord(one):02X}' for one in place)}"


def is_place(text: str) -> bool:
    """Whether a browser that is led there stays with us, whatever it makes of the text."""
    return len(text) <= MOST_BACK and bool(re.match(r"/(?![/\\])[!-\[\]-~]*\Z", text))
