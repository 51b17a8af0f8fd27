"""Where in a file of lines a moment lies, and the lines from there on. Pure: the caller reads.

Lines are taken to be printed in the order of their times; one without a time of its own has that of the line before it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Optional

from daqsched.logs.file_tails import MOST, PAGE, PIECE, Forwards, Found, own_time, split

#: After so many pieces without a single time the search looks further left.
PROBES = 16


class TimeBisect:
    """The byte at which the first line begins that is of ``moment`` or later: give it what it `wants` until that is nothing.

    By halves, so that a file of 16 MiB costs some ten pieces.
    """

    def __init__(self, size: int, moment: float) -> None:
        self._size, self._moment = size, moment
        #: What is known: a line of the moment begins nowhere before `_low`, and the first one found so far at `offset`;
        #: between `_high` and there is none.
        self._low, self._high = 0, size
        #: The file's size where all lines are earlier.
        self.offset = size
        #: Whether any line has a time.
        self.timed = False
        self._probes = 0
        self._at = self._next()

    def wants(self) -> Optional[tuple[int, int]]:
        """Offset and length of the piece to read next; None: it is found."""
        return (self._at, min(PIECE, self._size - self._at)) if self._low < self._high else None

    def feed(self, data: bytes) -> None:
        """What was read there."""
        last = self._at == self._low
        cut = 0 if last else data.find(b"\n") + 1
        times = [(offset, own_time(line)) for offset, line in split(data[cut:], self._at + cut)] if cut or last else []
        times = [one for one in times if one[1]]
        self.timed |= bool(times)
        if last:
            later = [offset for offset, time in times if time >= self._moment and offset < self._high]
            self.offset = min([self.offset, *later])
            self._high = self._low
            return
        if data and not data.strip(
            b"\0"
        ):  # a hole is what was stored, and given back to the disk: all of it is earlier
            self._low = self._at + len(data)
        elif not times and data and self._at + len(data) < self._high and self._probes < PROBES:
            self._probes += 1
            self._at += len(data)
            return
        elif times and times[0][1] < self._moment:
            self._low = times[0][0]
        else:
            self.offset = min([self.offset, *(offset for offset, _ in times[:1])])
            self._high = self._middle + 1  # a line that begins at the middle itself was taken for the rest of another
        self._at = self._next()

    def stop(self) -> None:
        """The file can't be read (any more)."""
        self._low = self._high

    def _next(self) -> int:
        """The middle of where it may be; its begin, where one piece holds all of that, with the last line's time."""
        self._probes = 0
        self._middle = self._low if self._high - self._low <= PIECE - PAGE else (self._low + self._high) // 2
        return self._middle


class Ahead:
    """The lines from a byte on that pass a test, ``most`` at most: give it what it `wants` until that is nothing.

    ``test`` gets each line in order, with its time (0: none was seen yet); False: it is not kept.
    """

    def __init__(self, offset: int, size: int, most: int, test: Callable[[float, Found], bool]) -> None:
        self._begin, self._size, self._most, self._test = offset, size, most, test
        self._file = Forwards(offset)
        self._time = 0.0
        #: With their times.
        self.lines: list[tuple[float, Found]] = []
        self._done = most <= 0

    @property
    def given_up(self) -> bool:
        """Whether there is more in the file than is looked through."""
        return not self._done and self._file.offset - self._begin >= MOST

    def wants(self) -> Optional[tuple[int, int]]:
        """Offset and length of the piece to read next; None: it has all."""
        if self._done or self._file.offset >= self._size or self.given_up:
            return None
        return self._file.offset, min(PIECE, self._size - self._file.offset)

    def feed(self, data: bytes) -> None:
        """What was read there; a last line without newline counts where the file ends."""
        found = self._file.feed(data)
        if not data or self._file.offset >= self._size:
            found += self._file.close()
            self._size = min(self._size, self._file.offset)
        for one in found:
            self._time = own_time(one[1]) or self._time
            if not self._done and self._test(self._time, one):
                self.lines.append((self._time, one))
                self._done = len(self.lines) >= self._most

    def stop(self) -> None:
        """Nothing more is wanted; the test may say so."""
        self._done = True
