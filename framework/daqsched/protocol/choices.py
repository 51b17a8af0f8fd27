"""Variables that a shifter may set."""

from __future__ import annotations

from typing import Optional

import msgspec


class SetRequest(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """POST /v1/set -> `Applied`, and /v1/choices/plan -> `Plan`: what a part's file is with these values of its variables."""

    #: ``NAME=VALUE`` each; all others stay as they are.
    settings: list[str]
    #: Of this part of the farm, ``-``: of the one without a name; null: of the only one that has such variables.
    part: Optional[str] = None
    message: str = ""
    #: As of `ApplyRequest`.
    if_unchanged: str = ""
    stops: Optional[int] = None
    no_look: bool = False


class SettableVariable(msgspec.Struct):
    """One that a shifter may set, and to what."""

    name: str
    values: list[str]
    #: What it is; empty also where that can't be told.
    now: str
    #: ``text``, ``whole number``, ``number``, ``truth``.
    kind: str = "text"


class PartChoices(msgspec.Struct):
    """What a shifter may set of a part of the farm."""

    part: str
    variables: list[SettableVariable]
    #: Who has left it to shifters, with which revision.
    by: str
    revision: int
    #: Who has set something last, with which revision; 0: nobody has since.
    set_by: str = ""
    set_in: int = 0
    #: Why nothing can be set; empty: it can.
    why_not: str = ""


class ChoicesAnswer(msgspec.Struct):
    """GET /v1/choices?part=NAME: what shifters may set, to what, and what is set now."""

    parts: list[PartChoices]
