"""Who may do what, and how he shows who he is; what was asked for."""

from __future__ import annotations

from typing import Any

import msgspec


class RightsAnswer(msgspec.Struct):
    """GET /v1/rights?job=JOB&host=HOST&user=WHO&variable=NAME&part=NAME: what who asks may do to that, or
    to the farm as a whole; of somebody else admins are told."""

    name: str
    #: All that rules may call this person.
    called: list[str]
    #: Each verb, and why it may not be asked for; empty: it may.
    verbs: dict[str, str]
    #: Whether there are rights at all: without, whoever may use the socket may all.
    in_force: bool
    #: The file, and why that is not in force as it is now.
    file: str = ""
    trouble: str = ""
    #: Whether requests of more than 1 MiB are taken of whoever asks, over the network, too.
    large: bool = False


class TokenRequest(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """POST /v1/token -> `NewToken`: make one."""

    name: str
    #: The role that it gives at most.
    role: str
    #: When it expires, in seconds since the epoch.
    until: float
    #: The person, account or identity that it is for; empty: rules name the token itself.
    whose: str = ""


class KnownToken(msgspec.Struct):
    """What there is to know of one; never the token itself."""

    name: str
    role: str
    whose: str
    by: str
    made: float
    until: float
    #: Why it does not count; empty: it does.
    ended: str = ""


class NewToken(msgspec.Struct):
    """The token: nobody is told of it again."""

    token: str
    made: KnownToken


class AuditAnswer(msgspec.Struct):
    """GET /v1/audit?since=TIME&user=NAME&operation=WORD&refused=1&until=SEQ&most=N: lines of the audit file, the newest first."""

    lines: list[dict[str, Any]]
    #: The ``until`` that goes on with older ones; 0: there are none.
    next: int = 0


class TokensAnswer(msgspec.Struct):
    """GET /v1/tokens: all of them, and those that ended within 90 days."""

    tokens: list[KnownToken]


class RevokeRequest(msgspec.Struct, forbid_unknown_fields=True):
    """POST /v1/revoke -> `TokensAnswer`: revoke the token of this name."""

    name: str


#: The cookie of a session; a browser takes one of this name only as we send it: over TLS, for this host alone.
SESSION_COOKIE = "__Host-daqsched"


class LoginRequest(msgspec.Struct, forbid_unknown_fields=True):
    """POST /v1/login -> `LoginAnswer`, and a cookie; over the network alone."""

    name: str
    password: str


class LogoutRequest(msgspec.Struct, forbid_unknown_fields=True):
    """POST /v1/logout -> `LoginAnswer`, of nobody: end the session."""


class LoginAnswer(msgspec.Struct, omit_defaults=True):
    """Who has logged in, and until when; by an identity provider also the place of ours that it was begun for."""

    name: str
    until: float
    back: str = ""


class LoginWays(msgspec.Struct):
    """GET /v1/login: how one logs in here: by a password, or by an identity provider, which is called so (empty: there is none)."""

    passwords: bool
    provider: str


class OidcRequest(msgspec.Struct, forbid_unknown_fields=True):
    """POST /v1/oidc -> `LoginBegun`, and a cookie: log in by the identity provider, and come back to this place of ours."""

    back: str = "/"


class LoginBegun(msgspec.Struct):
    """Where somebody logs in."""

    address: str


class OidcLoginRequest(msgspec.Struct, forbid_unknown_fields=True):
    """POST /v1/oidc-login -> `LoginAnswer`, and a cookie: what the identity provider gave back to the browser that had begun."""

    state: str
    code: str = ""
    error: str = ""
    iss: str = ""
