"""Hosts set aside, borrowed, replaced."""

from __future__ import annotations

from typing import Optional

import msgspec


class AsideRequest(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """POST /v1/aside and, without an end, /v1/return -> `AsideAnswer`; hosts are names and ranges."""

    hosts: list[str]
    #: Seconds since the epoch.
    until: float = 0.0
    message: str = ""
    #: As of `ApplyRequest`.
    stops: Optional[int] = None
    #: Also those that others have set aside.
    everyones: bool = False


class ReplaceRequest(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """POST /v1/replace -> `Selected`: this agent, or the only other one, is the host."""

    host: str
    #: Its id, or where it listens.
    agent: str = ""
    message: str = ""
    #: As of `ApplyRequest`.
    stops: Optional[int] = None


class BorrowRequest(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """POST /v1/borrow and, with ``end``, its end -> `BorrowAnswer`."""

    job: str
    host: str
    #: The command in the place of the job's own; placeholders are filled in. Empty: the job's.
    argv: list[str] = []
    end: bool = False
    #: As of `ApplyRequest`; null: the one that is ended.
    stops: Optional[int] = None


class BorrowAnswer(msgspec.Struct):
    """What is run; empty where it was ended."""

    argv: list[str]
    #: Whether it has a terminal (``Job(console=True)``).
    console: bool = False
    #: Of an end: whether anything ran there by hand.
    ended: bool = True


class Lease(msgspec.Struct):
    """A host that somebody set aside."""

    host: str
    user: str
    at: float
    until: float
    message: str


class AsideAnswer(msgspec.Struct):
    """GET /v1/aside: all that are set aside."""

    leases: list[Lease]
    now: float
