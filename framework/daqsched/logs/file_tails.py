"""Lines out of the bytes of a file that a job prints to: from its end backwards, and as it grows.

Such a file has holes where the forwarder gave what is stored back to the disk: they read as zeros and are left out, with
the rest of the line that they end in. Lines carry no time but what a program prints itself.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Optional

from daqsched.logs.grep import matcher as matcher

#: What is asked for at first, and at most (an agent gives no more than 64 KiB at a time: files.cpp, read).
FIRST, PIECE = 16 * 1024, 64 * 1024

#: So much is looked through at most, where few lines are what is looked for.
MOST = 64 * 1024 * 1024

#: A line that is longer ends here, as in the forwarder.
LONGEST = 256 * 1024

#: Holes end where a page does.
PAGE = 4096

#: What Mesos' agent prints into a task's files before anything of ours does (launch.cpp), where it isolates file systems.
HEADING = b"Marked '/' as rslave"

#: A line with the byte that it begins at.
Found = tuple[int, bytes]


class Backwards:
    """The last lines of a file that pass a test: give it what it `wants` until it wants nothing more."""

    def __init__(self, size: int, most: int, test: Callable[[bytes], bool], final: bool = False) -> None:
        """``final``: nobody writes any more, a last line without newline is one."""
        self._begin = size
        self._size, self._most, self._test, self._final = size, most, test, final
        #: From `_begin` on, the end of a line that may begin before it.
        self._head = b""
        #: Newest first.
        self._found: list[Found] = []
        self._done = size == 0 or most <= 0
        self._stopped = False
        #: Where the first line begins that was not there yet, or not whole.
        self.end = size if self._done else -1

    @property
    def looked(self) -> int:
        """How many bytes were looked through."""
        return self._size - self._begin

    @property
    def given_up(self) -> bool:
        """Whether there is more in the file than `MOST`, and not enough was found in that."""
        return not self._done and not self._stopped and self.looked >= MOST

    def wants(self) -> Optional[tuple[int, int]]:
        """Offset and length of the piece to read next; None: it has all."""
        if self._done or self._stopped or self.given_up:
            return None
        length = min(self._begin, PIECE if self._begin < self._size else FIRST)
        return self._begin - length, length

    def feed(self, data: bytes) -> None:
        """What was read there."""
        length = len(data)
        self._begin -= length
        text = data + self._head
        first = self._begin == 0 or not data.strip(b"\0")  # before a piece that is nothing but a hole there is nothing
        cut = 0 if first else text.find(b"\n") + 1
        if not cut and not first and length and len(text) < LONGEST:
            self._head = text
            return
        self._head = text[:cut]
        last = text.rfind(b"\n") + 1
        if self.end < 0:
            self.end = self._size if self._final else self._begin + last
            last = len(text) if self._final else last
        found = [one for one in split(text[cut:last], self._begin + cut) if self._test(one[1])]
        self._found += found[::-1][: self._most - len(self._found)]
        self._done = first or len(self._found) >= self._most or not length

    def stop(self) -> None:
        """Nothing older is wanted; the test may say so."""
        self._stopped = True

    @property
    def lines(self) -> list[Found]:
        """Oldest first."""
        return self._found[::-1]


class Forwards:
    """The lines of a file as it grows."""

    def __init__(self, offset: int) -> None:
        #: Where the next piece begins.
        self.offset = offset
        self._rest = b""

    def feed(self, data: bytes) -> list[Found]:
        """The lines that end in what was read there."""
        text = self._rest + data
        begin = self.offset - len(self._rest)
        self.offset += len(data)
        end = len(text) if len(text) > LONGEST else text.rfind(b"\n") + 1
        self._rest = text[end:]
        return list(split(text[:end], begin))

    def close(self) -> list[Found]:
        """What is left when nobody writes any more: a line without newline."""
        rest, self._rest = self._rest, b""
        return list(split(rest, self.offset - len(rest)))

    def restart(self) -> None:
        """The file was emptied: it begins anew."""
        self.offset, self._rest = 0, b""


def split(text: bytes, offset: int) -> Iterator[Found]:
    """The lines of a text that begins at this byte of its file; what a hole cut is no line, and what Mesos says none of its."""
    for line in text.split(b"\n")[: None if text[-1:] != b"\n" else -1] if text else ():
        begin, offset = offset, offset + len(line) + 1
        zeros = len(line) - len(line.lstrip(b"\0"))
        if (zeros and (begin + zeros) % PAGE == 0) or (begin == 0 and line == HEADING):
            continue
        yield begin, line[:-1] if line[-1:] == b"\r" else line


def without_heading(data: bytes, offset: int) -> bytes:
    """What stands at this byte of a file, without Mesos' own line at its beginning."""
    begins = HEADING + b"\n"
    return data[len(begins) :] if offset == 0 and data.startswith(begins) else data


_TIME = re.compile(rb"\[?(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:[.,](\d{1,9}))?(?: ?(Z|UTC|[+-]\d\d:?\d\d))?(?![\d:])")


def own_time(line: bytes) -> float:
    """The time that the line begins with, where it is an ISO 8601 one, in seconds since the epoch; else 0.

    Without a zone it is local time. The executor's own lines have one.
    """
    found = _TIME.match(line)
    if found is None:
        return 0.0
    day, clock, part, zone = (group.decode() if group else "" for group in found.groups())
    zone = "+00:00" if zone in ("Z", "UTC") else zone if not zone or ":" in zone else f"{zone[:3]}:{zone[3:]}"
    try:
        whole = datetime.datetime.fromisoformat(f"{day}T{clock}{zone}").timestamp()
    except (ValueError, OverflowError):
        return 0.0
    return whole + int(part.ljust(9, "0")) / 1e9 if part else whole


def places(times: Sequence[float], written: float) -> list[float]:
    """For each line of a file a time to sort it by: its own, else that of the line before; ``written`` is the file's, for
    a file in which no line has any."""
    known = next((time for time in times if time), written)
    found = []
    for time in times:
        known = time or known
        found.append(known)
    return found
