"""Whether a program printed something since the last look: by the size of its files, or by a pattern in what is new."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Sequence
from typing import Any

#: At most so much of what is new is searched in one look, the end of it: a program may print 100 MB in a second.
WINDOW_BYTES = 65536
#: A search that takes longer is given up: it would hold up the executor's loop.
SEARCH_S = 0.1


class Printed:
    """For one check. Looks at open files (by number), from the byte on that each has at the time of making it."""

    def __init__(self, files: Sequence[int], pattern: str) -> None:
        self._places = {file: os.fstat(file).st_size for file in files}
        self._pattern = pattern.encode()

    def look(self) -> tuple[bool, str]:
        """Whether there is something new, and what stands against knowing it."""
        found, problem = False, ""
        for file, place in self._places.items():
            size = os.fstat(file).st_size
            if size < place:  # the program, or somebody, cut it
                place = 0
            if size > place and self._pattern:
                try:
                    new, size = _new_lines(file, place, size)
                    found = found or _search(self._pattern, new)
                except (OSError, re.error, _TooLong) as error:
                    problem = f"pattern {self._pattern.decode()!r}: {error}"
            elif size > place:
                found = True
            self._places[file] = size
        return found, problem


def _new_lines(file: int, place: int, size: int) -> tuple[list[bytes], int]:
    """The whole lines between two bytes, at most the last `WINDOW_BYTES`, and where the next one begins."""
    begin = max(place, size - WINDOW_BYTES)
    again = os.open(f"/proc/self/fd/{file}", os.O_RDONLY | os.O_CLOEXEC)  # ours is for writing
    try:
        text = os.pread(again, size - begin, begin)
    finally:
        os.close(again)
    *lines, rest = text.split(b"\n")
    if not lines and begin > place:  # one line that is longer than what we read
        return [], size
    return lines[1:] if begin > place else lines, begin + len(text) - len(rest)


class _TooLong(Exception):
    pass


def _search(pattern: bytes, lines: list[bytes]) -> bool:
    """Whether it is found in one of them. SIGALRM breaks off a pattern that goes wild: Python's engine looks for signals."""
    compiled = re.compile(pattern)
    searching = True

    def too_long(number: int, frame: Any) -> None:
        if searching:
            raise _TooLong(f"the search takes more than {SEARCH_S} s")

    old = signal.signal(signal.SIGALRM, too_long)
    try:
        signal.setitimer(signal.ITIMER_REAL, SEARCH_S)
        return any(compiled.search(line) for line in lines)
    finally:
        searching = False
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)
