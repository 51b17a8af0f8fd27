"""When which bytes of a stream were seen, so that a line keeps the time of its printing however late it is stored.

A mark says: up to this byte the file was seen at that time. The line that begins at a byte has the time of the first mark
behind it. While lines wait, marks grow fewer instead of more: the longer the queue, the coarser the times.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterable
from typing import NamedTuple

#: So many marks a stream keeps at most.
MOST = 128


class Mark(NamedTuple):
    """The file was ``offset`` bytes long at ``micros`` (microseconds since the epoch), in the run of that number."""

    offset: int
    micros: int
    run: str = ""


class Marks:
    """The marks of one generation of a stream, oldest first."""

    def __init__(self, marks: Iterable[Mark] = ()) -> None:
        self._marks = list(marks)

    def see(self, offset: int, micros: int, run: str, ends: Collection[int] = ()) -> None:
        """The file has grown; all that is new was seen now. At ``ends`` pieces of backlog end, and what lies behind
        may have been read: lines before them must not become later than it."""
        self._marks.append(Mark(offset, micros, run))
        if len(self._marks) > MOST:
            # the older half loses every second mark: its lines are then as late as the next one
            half = MOST // 2
            offsets = [mark.offset for mark in self._marks]
            kept = {bisect_right(offsets, end) - 1 for end in ends}
            self._marks[:half] = [
                mark for at, mark in enumerate(self._marks[:half]) if at % 2 or at in kept or self._turns(at)
            ]

    def at(self, offset: int) -> Mark | None:
        """The mark of the line that begins there; None: those bytes were not seen yet."""
        for mark in self._marks:
            if mark.offset > offset:
                return mark
        return None

    def forget(self, before: int) -> None:
        """Nobody will ask for bytes before this one."""
        keep = 0
        while keep < len(self._marks) and self._marks[keep].offset <= before:
            keep += 1
        del self._marks[:keep]

    @property
    def edge(self) -> int:
        """Where the bytes begin that the last look saw; 0: there was no look before it."""
        return self._marks[-2].offset if len(self._marks) > 1 else 0

    @property
    def latest(self) -> int:
        """The time of the last mark; 0: there is none."""
        return self._marks[-1].micros if self._marks else 0

    def all(self) -> list[Mark]:
        """For the journal."""
        return list(self._marks)

    def _turns(self, at: int) -> bool:
        """Whether the run changes behind this mark: that does not depend on how late lines are."""
        return self._marks[at].run != self._marks[at + 1].run
