"""The choices that the state has, by part: those that count now, and those of earlier revisions, for whoever goes back. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Optional

import msgspec
from msgspec import structs

from daqsched.choices import ChoiceSet, check
from daqsched.errors import UserError
from daqsched.farm_parts import NO_PART, words
from daqsched.limits import brief, some

#: The most that is kept of the choices of all parts, those of earlier revisions included, in bytes; and how many sets.
MOST_BYTES, MOST_KEPT = 8 << 20, 40


class SavedChoices(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A set of them as the state has it."""

    part: str
    choices: ChoiceSet
    #: Who sent it, with which revision; and the one that ended it, 0: it counts.
    by: str
    revision: int
    until: int = 0
    #: The values of the last apply or set, and who has set them with which revision; 0: nobody has.
    now: tuple[str, ...] = ()
    set_by: str = ""
    set_in: int = 0


def current(kept: Iterable[SavedChoices], part: str) -> Optional[SavedChoices]:
    """Those that count for a part."""
    return next((one for one in kept if one.part == part and not one.until), None)


def of_revision(kept: Iterable[SavedChoices], part: str, number: int) -> Optional[SavedChoices]:
    """Those that counted for a part while a revision was in force; None: there were none, or they are forgotten."""
    found = [
        one for one in kept if one.part == part and one.revision <= number and (not one.until or number < one.until)
    ]
    return found[-1] if found else None


def whose(kept: Iterable[SavedChoices], settings: Mapping[str, str], part: Optional[str]) -> SavedChoices:
    """The choices that these settings are of; raises `UserError` where that can't be told. ``part`` None: any."""
    there = [one for one in kept if not one.until and part in (None, one.part)]
    fits = [one for one in there if set(settings) <= {variable.name for variable in one.choices.variables}]
    if len(fits) == 1:
        return fits[0]
    names = some(sorted(settings))
    if fits:
        parts = [one.part or NO_PART for one in fits]
        raise UserError(f"several parts of the farm let {names} be set: say which with --part, one of {some(parts)}")
    known = sorted({variable.name for one in there for variable in one.choices.variables})
    where = f" of {words(part)}" if part is not None else ""
    if not known:
        raise UserError(
            f"no variable{where} is for a shifter to set: a job file lists what is, as in "
            'variable("version", "r1", shifter=["r1", "r2"])'
        )
    raise UserError(f"{names} is not for a shifter to set: {some(known)} may be set{where}")


def renewed(
    kept: Sequence[SavedChoices],
    sent: Mapping[str, ChoiceSet],
    parts: Optional[Collection[str]],
    number: int,
    user: str,
) -> tuple[SavedChoices, ...]:
    """What is kept after an apply of these ``parts`` (None: of all), which leaves to shifters what was ``sent`` with it."""
    left: list[SavedChoices] = []
    goes_on = set()
    for one in kept:
        if one.until or (parts is not None and one.part not in parts):
            left.append(one)
        elif sent.get(one.part) == one.choices:
            goes_on.add(one.part)
            left.append(structs.replace(one, now=one.choices.given.values, set_by="", set_in=0))
        elif one.revision != number:
            left.append(structs.replace(one, until=number))
    new = [
        SavedChoices(part=part, choices=found, by=user, revision=number, now=found.given.values)
        for part, found in sent.items()
        if part not in goes_on
    ]
    return trimmed([*left, *new]) if new else tuple(left)


def trimmed(kept: Sequence[SavedChoices]) -> tuple[SavedChoices, ...]:
    """Without the oldest that do not count any more, as far as there is no room; raises `UserError` where those that do are too
    much."""
    sizes = [len(msgspec.msgpack.encode(one)) for one in kept]
    left, total, count = list(kept), sum(sizes), len(kept)
    for one, size in zip(kept, sizes):
        if one.until and (total > MOST_BYTES or count > MOST_KEPT):
            left.remove(one)
            total, count = total - size, count - 1
    if total > MOST_BYTES:
        raise UserError(
            f"what shifters may set would take {total / (1 << 20):.1f} MiB of the state, at most {MOST_BYTES >> 20} MiB are kept: "
            "list fewer values"
        )
    return tuple(left)


def restored(saved: Optional[bytes]) -> tuple[tuple[SavedChoices, ...], str]:
    """What the state has, and why it can't be read: then nobody may set anything."""
    if saved is None:
        return (), ""
    try:
        kept = msgspec.msgpack.decode(saved, type=tuple[SavedChoices, ...])
        for one in kept:
            check(one.choices)
    except (msgspec.MsgspecError, ValueError, UserError) as error:
        return (), brief(str(error))
    return kept, ""
