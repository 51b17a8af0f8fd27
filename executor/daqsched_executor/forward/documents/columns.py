"""Many lines at once: what each line's document says, as lists that are made without a step of Python per line.

That is where a forwarder's time goes. Each function gives for each line what its counterpart gives for one
(`record.level_fragment`, `contract.fingerprint`): that is tested, also for bytes that nobody would print.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import repeat
from operator import itemgetter
from typing import Dict, TypeVar
from zlib import crc32

from ...contract.fingerprint import IGNORED, TIME_WITHIN, named_time
from ...contract.levels import LEVEL_WITHIN
from .record import level_fragment, quote

#: How many beginnings of lines and how many messages without their numbers are remembered, if they are at most so long:
#: a program prints the same few again and again. Together below 2 MB, and some 100 kB with what programs print.
REMEMBERED, LONGEST_REMEMBERED = 2048, 512

_head = itemgetter(slice(max(LEVEL_WITHIN, TIME_WITHIN)))

#: For level and time one digit is as good as another, so that there are few beginnings.
_SAME_DIGITS = bytes(ord("0") if byte in b"0123456789" else byte for byte in range(256))

_IGNORED_IN_LINE = IGNORED.replace(b"\n", b"")


_T = TypeVar("_T")


class Memory(Dict[bytes, _T]):
    """What a function gave for what it was asked before; begun anew when it is full, which is cheaper than to choose."""

    def __init__(self, function: Callable[[bytes], _T]) -> None:
        super().__init__()
        self._function = function

    def __missing__(self, key: bytes) -> _T:
        value = self._function(key)
        if len(key) <= LONGEST_REMEMBERED:
            if len(self) >= REMEMBERED:
                self.clear()
            self[key] = value
        return value


def quoted(text: str, lines: list[bytes], size: int) -> list[bytes]:
    """The lines of a text, ``size`` bytes together, as JSON strings without their quotation marks."""
    whole = quote(text)
    if len(whole) == size + len(lines) + 1:
        return lines  # nothing had to be escaped but the newlines between them
    if "\\" in text:  # a newline is not to be told from a backslash before an n
        return [quote(line)[1:-1] for line in text.split("\n")]
    return whole[1:-1].split(b"\\n")


def joined(constants: Sequence[bytes], *columns: list[bytes]) -> bytes:
    """All rows as one text, each with the columns' values between the constants (of which there is one more)."""
    row = [b""] * (2 * len(columns) + 1)
    row[::2] = constants
    parts = row * len(columns[0])
    for at, column in enumerate(columns):
        parts[2 * at + 1 :: len(row)] = column
    return b"".join(parts)


def levels_and_fingerprints(text: bytes, lines: list[bytes]) -> tuple[list[bytes], list[bytes]]:
    """`level_fragment` and `fingerprint` of each line of a text in UTF-8."""
    heads = map(bytes.translate, map(_head, lines), repeat(_SAME_DIGITS))
    found = list(map(_heads.__getitem__, heads))
    if any(map(_time, found)):
        text = b"\n".join([line[time:] for line, (_, time) in zip(lines, found)])
    rests = text.translate(None, _IGNORED_IN_LINE).split(b"\n")
    return list(map(_level, found)), list(map(_rests.__getitem__, rests))


def _level_and_time(head: bytes) -> tuple[bytes, int]:
    time = named_time(head)
    # Where no name stands before the first letter, nothing needs to be cut off: that is ignored anyway.
    return level_fragment(head), time if head[:time].translate(None, IGNORED) else 0


def _fingerprint(rest: bytes) -> bytes:
    return b"%08x" % crc32(rest)


_level, _time = itemgetter(0), itemgetter(1)
_heads, _rests = Memory(_level_and_time), Memory(_fingerprint)
