"""Who is in control: while somebody is, of the farm or of a part of it, only he changes jobs of it. Pure.

It is an agreement among people, on top of what each has the right to, and ends by itself. Where nobody is in control, everything
is as the rights say. Who is in control of a part is so also where somebody else is of the farm: the farm's means all other parts.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Optional

import msgspec

from daqsched.errors import UserError
from daqsched.farm_parts import NO_PART
from daqsched.farm_parts import words as words_of_part
from daqsched.times import clock
from daqsched.times import span as span_of

#: For how long, in seconds: at least, at most, and where nothing is said: as long as a shift.
LEAST_S, MOST_S, USUAL_S = 60.0, 24 * 3600.0, 8 * 3600.0

#: The verbs that take control of what they are asked of. What else there is reads, or changes no job (notes, tokens, preflights);
#: `account` and `guard` are asked for beside one of these.
CONTROLLED = frozenset(
    "stop hold start restart retry snooze wake set act act-any aside return pause apply steer borrow replace console logging"
    "".split()
)


#: It does not repeat the name: one that is hidden is as one that does not exist.
NO_SUCH_PART = "no job is of a part of that name: `daqsched history` shows which parts there are"


class Control(msgspec.Struct, frozen=True, omit_defaults=True):
    """Somebody is in control until then. Times are seconds since the epoch, by the daemon's clock."""

    #: None: of the farm.
    part: Optional[str]
    user: str
    #: All that rules call this person, but for groups: two who have one of these in common are one.
    known_as: tuple[str, ...]
    since: float
    until: float
    message: str = ""
    #: Who was before, where it was taken over or given; and whether it was taken over.
    before: str = ""
    forced: bool = False

    def is_of(self, known_as: Collection[str]) -> bool:
        """Whether that is who is in control."""
        return not set(self.known_as).isdisjoint(known_as)

    def __str__(self) -> str:
        return f"{self.user} is in control of {scope(self.part)}, {_about(self)}"


#: By part; None: the farm.
Controls = Mapping[Optional[str], Control]


class InControl(msgspec.Struct, frozen=True, omit_defaults=True):
    """What people are told of it."""

    #: The part; null: the farm.
    part: Optional[str]
    user: str
    since: float
    until: float
    message: str = ""
    #: Who was in control before, and whether it was taken from there.
    before: str = ""
    forced: bool = False
    #: Whether it is who asks.
    yours: bool = False

    def words(self) -> str:
        """A line of a header."""
        who = "You are" if self.yours else f"{self.user} is"
        return f"{who} in control of {scope(self.part)}, {_about(self)}."


class ControlAnswer(msgspec.Struct):
    """GET /v1/control?part=NAME: who is in control, of the farm first."""

    control: list[InControl]
    now: float


class TakeRequest(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """POST /v1/take -> `ControlAnswer`: be in control from now on, or for longer or shorter than said before."""

    #: Of this part of the farm, ``-``: of the one without a name; null: of the farm.
    part: Optional[str] = None
    for_s: float = USUAL_S
    message: str = ""
    #: Also where somebody else is; a message tells why.
    force: bool = False


class GiveRequest(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """POST /v1/give -> `ControlAnswer`: hand it back, or to somebody."""

    part: Optional[str] = None
    #: A person of the rights, an account, or an identity with its prefix; empty: nobody.
    to: str = ""
    message: str = ""


def scope(part: Optional[str]) -> str:
    """``the farm``, ``part hlt``."""
    return "the farm" if part is None else words_of_part(part)


def command(verb: str, part: Optional[str], *words: str) -> str:
    """What is typed for it: ``daqsched control take --part hlt --force``."""
    where = () if part is None else ("--part", part or NO_PART)
    return " ".join(("daqsched", "control", verb, *where, *words))


def lease(text: str) -> float:
    """Seconds that people write as ``8h``; raises `UserError` where nobody is in control for so long, or so shortly."""
    seconds = span_of(text)
    check_lease(seconds)
    return seconds


def check_lease(seconds: float) -> None:
    """The same of a number."""
    if not LEAST_S <= seconds <= MOST_S:
        raise UserError("control is taken for 1m to 24h, 8h where nothing is said; taking it again makes it longer")


def holder(controls: Controls, part: Optional[str], now: float) -> Optional[Control]:
    """Who is in control of that; None: nobody is."""
    for one in (controls.get(part), controls.get(None)):
        if one is not None and one.until > now:
            return one
    return None


def in_the_way(
    controls: Controls, parts: Iterable[Optional[str]], known_as: Collection[str], now: float
) -> Optional[Control]:
    """Of those who are in control of these the first who is not who asks; None: nobody is in the way."""
    for part in dict.fromkeys(parts):
        found = holder(controls, part, now)
        if found is not None and not found.is_of(known_as):
            return found
    return None


def refusal(one: Control) -> str:
    """Why somebody else may not, and what to do about it."""
    return (
        f"{one}: ask {one.user} for it (`{command('give', one.part, 'NAME')}`), or take it over with "
        f"`{command('take', one.part, '--force', '-m', 'MESSAGE')}`"
    )


def told(one: Control, known_as: Collection[str]) -> InControl:
    """As whoever asks is told of it."""
    return InControl(one.part, one.user, one.since, one.until, one.message, one.before, one.forced, one.is_of(known_as))


def _about(one: Control | InControl) -> str:
    """``since ... until ... (beam tests; taken over from bob)``."""
    taken = f"{'taken over from' if one.forced else 'given by'} {one.before}" if one.before else ""
    more = "; ".join(filter(None, [taken, one.message]))
    return f"since {clock(one.since)} until {clock(one.until)}{f' ({more})' if more else ''}"
