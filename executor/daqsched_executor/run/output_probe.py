"""The output probe: whether a program printed something since the last look, by its files, or by a pattern in what is new in them.

A program that opens /dev/stderr anew with a shell's ``>`` empties the file with each line (`machine.death.OutputPlace`); it prints
all the same.
"""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Sequence
from typing import Any

from daqsched_executor.machine.death import OutputPlace

#: At most so much of what is new is searched in one look, the end of it: a program may print 100 MB in a second.
WINDOW_BYTES = 65536
#: A search that takes longer is abandoned: it would hold up the executor's loop.
SEARCH_S = 0.1
#: So much before a place is compared.
MARK_BYTES = 64


class OutputProbe:
    """For one check. Looks at open files (by number), from the byte on that each has at the time of making it."""

    def __init__(self, files: Sequence[int], pattern: str) -> None:
        self._places = {file: OutputPlace.of(os.fstat(file)) for file in files}
        #: What stood before the place, while a pattern is searched: what stands there now may be the line of another time.
        self._before = {file: _end(file, place.size) for file, place in self._places.items()} if pattern else {}
        self._pattern = pattern.encode()

    def look(self) -> tuple[bool, str]:
        """Whether there is something new, and what stands against knowing it."""
        found, problem = False, ""
        for file, before in self._places.items():
            now = OutputPlace.of(os.fstat(file))
            begin = 0 if now.emptied(before) else before.size
            if self._pattern:
                if now.size > begin > 0 and _end(file, begin) not in (self._before[file], bytes(MARK_BYTES)):
                    begin = 0  # emptied, and filled beyond the place since
                if now.size > begin:
                    try:
                        new, end = _new_lines(file, begin, now.size)
                        found = found or _search(self._pattern, new)
                        now = now._replace(size=end)
                    except (OSError, re.error, _TooLong) as error:
                        problem = f"pattern {self._pattern.decode()!r}: {error}"
                self._before[file] = _end(file, now.size)
            elif now.size > before.size or now.emptied(before):
                found = True
            self._places[file] = now
        return found, problem


def _end(file: int, place: int) -> bytes:
    """The last bytes before a place; noughts where the forwarder has made a hole of them."""
    begin = max(0, place - MARK_BYTES)
    try:
        return _read(file, place - begin, begin)
    except OSError:
        return b""


def _read(file: int, size: int, begin: int) -> bytes:
    again = os.open(f"/proc/self/fd/{file}", os.O_RDONLY | os.O_CLOEXEC)  # ours is for writing
    try:
        return os.pread(again, size, begin)
    finally:
        os.close(again)


def _new_lines(file: int, place: int, size: int) -> tuple[list[bytes], int]:
    """The whole lines between two bytes, at most the last `WINDOW_BYTES`, and where the next one begins."""
    begin = max(place, size - WINDOW_BYTES)
    text = _read(file, size - begin, begin)
    *lines, rest = text.split(b"\n")
    if not lines and begin > place:  # one line that is longer than what we read
        return [], size
    return lines[1:] if begin > place else lines, begin + len(text) - len(rest)


class _TooLong(Exception):
    pass


def _search(pattern: bytes, lines: list[bytes]) -> bool:
    """Whether it is found in one of them. SIGVTALRM breaks off a pattern that goes wild: Python's engine looks for signals.

    The time is that of the processor: on a machine that is busy a search waits, and that is no fault of the pattern.
    """
    search = re.compile(pattern).search  # its module may be loaded here: not while the alarm runs
    searching = True

    def too_long(number: int, frame: Any) -> None:
        if searching:
            raise _TooLong(f"the search takes more than {SEARCH_S} s of a processor")

    old = signal.signal(signal.SIGVTALRM, too_long)
    try:
        signal.setitimer(signal.ITIMER_VIRTUAL, SEARCH_S)
        return any(map(search, lines))
    finally:
        searching = False
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, old)
