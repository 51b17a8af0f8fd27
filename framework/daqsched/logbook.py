"""The crew's logbook: sentences that people write beside what the farm does, kept with its state."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

#: So many are kept, the newest, and of these so many letters: all of them are saved with each.
MOST, MOST_LETTERS = 1000, 200_000


class LogbookEntry(msgspec.Struct, frozen=True):
    """What somebody wrote."""

    #: Counts up over the life of the farm.
    number: int
    time: float
    user: str
    message: str


def kept(entries: Sequence[LogbookEntry]) -> list[LogbookEntry]:
    """Those of them, the oldest first, that there is room for; the last one always."""
    left = MOST_LETTERS
    found: list[LogbookEntry] = []
    for one in reversed(entries[-MOST:]):
        left -= len(one.message) + len(one.user)
        if left < 0 and found:
            break
        found.append(one)
    return found[::-1]


def between(begins: Iterable[float], entries: Sequence[LogbookEntry]) -> list[list[LogbookEntry]]:
    """What was written from each of these moments on, the newest first, until the next one; in each the newest first."""
    found, end = [], float("inf")
    for begin in begins:
        found.append([one for one in reversed(entries) if begin <= one.time < end])
        end = begin
    return found
