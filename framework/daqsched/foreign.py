"""What others wrote, in lines of ours: the one way to give it a colour, and the rule for the messages of people.

`terminal.out` prints a line as it is only if it is `Painted`; any other text it takes for somebody else's, and escapes it.
"""

from __future__ import annotations

import codecs
import re

from daqsched.errors import UserError
from daqsched_executor.contract.foreign import printable


class Painted(str):
    """A line with colours of ours, in which all that others wrote is escaped; `paint` and `joined` make it."""


def paint(text: str, colour: str = "", tabs: bool = False) -> Painted:
    """The text, escaped and in this colour (the parameters of SGR, ECMA-48); one that is painted stays as it is."""
    shown = text if isinstance(text, Painted) else printable(text, tabs)
    return Painted(f"\x1b[{colour}m{shown}\x1b[0m" if colour else shown)


def joined(*parts: str, between: str = " ") -> Painted:
    """One line of these parts; those that are not painted are escaped."""
    return Painted(between.join(map(paint, parts)))


def as_printed(text: str) -> Painted:
    """The text as its program printed it, escapes and all: only for who asked for that (``--raw``)."""
    return Painted(text)


#: What moves within a line, or on to the next one.
_WITHIN_LINES = re.compile(r"([\n\r\b]+)")


class Printing:
    """What a program prints, as it comes: its lines stay lines, all else is escaped; ``raw``: nothing is.

    ``terminal``: it may go back within its line, as whoever edits one does (carriage return, backspace), and no further.
    """

    def __init__(self, raw: bool = False, terminal: bool = False) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")
        self._raw, self._terminal = raw, terminal
        self._kept = ""

    def take(self, data: bytes) -> Painted:
        """The next bytes of it as text."""
        text = self._kept + self._decoder.decode(data)
        if self._raw:
            return Painted(text)
        if self._terminal:
            parts = _WITHIN_LINES.split(text)
            return Painted("".join(part if _WITHIN_LINES.match(part) else printable(part, tabs=True) for part in parts))
        # half of a line's end may come first
        self._kept = "\r" if text.endswith("\r") else ""
        lines = text[: len(text) - len(self._kept)].replace("\r\n", "\n").split("\n")
        return Painted("\n".join(printable(line, tabs=True) for line in lines))


def check_message(text: str) -> str:
    """A message as it came; raises `UserError` for one that is more than a line of plain text."""
    shown = printable(text)
    if shown != text:
        at = next(at for at, (one, other) in enumerate(zip(text, shown)) if one != other)
        raise UserError(
            f"the message has {_named(text[at])} at its character {at + 1}: write one line, without control characters"
        )
    return text


def _named(one: str) -> str:
    if one in "\n\r\x0b\x0c\x85\u2028\u2029":
        return "a line break"
    return f"a character that can't be shown ({printable(one)})" if printable(one) != one else "too many accents"
