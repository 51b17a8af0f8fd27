"""One stream as its forwarder sees it: whose it is, its file, and the places in it that are read from."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import time
from collections.abc import Iterable
from dataclasses import replace

from ...contract import STDERR, STDOUT, Stream, labels_path, starts_path
from ...machine.spool import check_regular, open_regular
from ..documents.lines import CHUNK
from ..forms import Form, form_of
from ..journal.marks import Marks
from ..journal.position import Position, Stretch
from .sections import NEVER, Labels, Starts


class Cursor:
    """A place in a stream that is read from: the foremost, or one in the backlog."""

    def __init__(self, position: Position, end: int | None = None) -> None:
        """``end``: where that piece of backlog ends; None: the foremost place, which has no end."""
        self.position = position
        self.end = end
        #: The file's size at the last read that found no whole line.
        self.tried = position.offset

    def move(self, position: Position) -> None:
        """Go on from there."""
        self.position = position
        self.tried = position.offset


class Source:
    """One stream: its registration, its file, and the places that are read from.

    An input may have sources of another kind, whose files are looked at, read and removed in another way.
    """

    #: Whether the file is somebody else's: nothing in it may be changed, and it takes no room of ours.
    foreign = False

    def __init__(self, stream: Stream, link: str, registration: str, position: Position) -> None:
        self.stream = stream
        self.link = link
        self.registration = registration
        self.front = Cursor(position)
        #: The pieces of backlog, oldest first.
        self.backlog: list[Cursor] = []
        self.marks = Marks()
        #: The file's size at the last look.
        self.size = position.offset
        #: So much of the file takes room on the disk.
        self.allocated = 0
        #: Batches with lines of this stream that have no reply yet.
        self.under_way = 0
        #: Nobody will write any more: a last line without newline may be sent.
        self.final = False
        #: When (monotonic) the size last changed, and when the lock was first found free since.
        self.changed = time.monotonic()
        #: Whether its file was looked at.
        self.looked = False
        self.probed = 0.0
        self.free_since = 0.0
        #: Up to here the bytes were given back to the disk; -1: not known; None: that can't be done.
        self.punched: int | None = -1
        #: Up to here lines of a low level were dropped.
        self.squeezed = 0
        #: What was found lost of it and is not in the journal yet: a word of `position.LOST_BECAUSE`, and more to say of it.
        self.lost: list[tuple[str, str]] = []
        self._starts = Starts(starts_path(registration)) if stream.name in (STDOUT, STDERR) else None
        self._labels = Labels(labels_path(registration)) if stream.task_id else None
        self._made: tuple[int, str, int, tuple[int, int]] = (-1, "", 0, (0, 0))
        self._form: Form | None = None

    @property
    def instance(self) -> str:
        """``job@host stdout``, for people."""
        return f"{self.stream.job}@{self.stream.host} {self.stream.name}"

    @property
    def generation(self) -> int:
        """How often the file was emptied."""
        return self.front.position.generation

    @property
    def waiting(self) -> int:
        """Bytes that have not been read."""
        left = sum(cursor.end - cursor.position.offset for cursor in self.backlog if cursor.end is not None)
        return max(0, self.size - self.front.position.offset) + left

    @property
    def room(self) -> int:
        """How much of the disk it takes that something waits: holes take none."""
        return min(self.waiting, self.allocated)

    @property
    def sparse(self) -> bool:
        """Whether there may be a hole in what waits: somebody gave the file a size without writing so much."""
        return self.allocated < self.size - self.front.position.offset

    def next_data(self) -> int:
        """The first byte at the front or behind it that is in no hole; the file's end where there is none. Raises OSError."""
        file = self.open()
        try:
            return os.lseek(file, self.front.position.offset, os.SEEK_DATA)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            return self.size
        finally:
            os.close(file)

    @property
    def readable(self) -> bool:
        """Whether a read at the front may find something to send."""
        return self.size > self.front.tried or (self.final and self.size > self.front.position.offset)

    @property
    def oldest(self) -> Cursor:
        """The first place that has not been read."""
        return self.backlog[0] if self.backlog else self.front

    @property
    def waits_since(self) -> int | None:
        """When the first bytes that were not read were seen, in microseconds since the epoch; None: nothing waits."""
        if not self.waiting:
            return None
        mark = self.marks.at(self.oldest.position.offset)
        return mark.micros if mark is not None else None

    def set_places(self, position: Position, left: Iterable[Stretch]) -> None:
        """Read from there on; a place that is the same stays, with what is known of it."""
        known = {(cursor.position, cursor.end): cursor for cursor in [*self.backlog, self.front]}
        self.front = known.get((position, None)) or Cursor(position)
        places = [(Position(position.generation, start, cut, latest), end) for start, end, cut, latest in left]
        self.backlog = [known.get(place) or Cursor(*place) for place in places]

    def empty(self) -> Position:
        """Somebody emptied the file: where to go on. What was not read of it is gone."""
        self.front = Cursor(Position(self.generation + 1, 0))
        self.backlog, self.marks = [], Marks()
        self.punched, self.squeezed = -1, 0
        return self.front.position

    def let_go(self) -> None:
        """Nothing of it can be read any more."""
        self.backlog = []
        self.size = self.front.tried = self.front.position.offset

    def form(self, position: Position, run: str, number: int) -> tuple[Form, int]:
        """What makes documents of its bytes from there on, in that run, printed by that start of the program; and the byte from
        which on its lines carry other labels."""
        which, labels, end = self._labels.at(position) if self._labels is not None else ((0, 0), None, NEVER)
        made = (position.generation, run, number, which)
        if self._form is None or self._made != made:
            stream = self.stream if labels is None else replace(self.stream, labels=labels)
            self._form = form_of(stream, position.generation, run, number)
            self._made = made
        return self._form, end

    def start_at(self, offset: int) -> tuple[int, int]:
        """Which start of the program printed the byte (0: not known, or no program's), and where the next one's begin."""
        return self._starts.at(offset) if self._starts is not None else (0, NEVER)

    def look(self, now: float) -> os.stat_result | None:
        """What the file system says of the file, where it has another size than at the last look (``now`` is monotonic)."""
        try:
            status = os.lstat(self.link)
            check_regular(status, self.link, self.stream.inode)
        except FileNotFoundError:
            # The executor registers first and links then; one that died in between printed nothing.
            if self.waiting and not self.lost:
                self.lost.append(("vanished", ""))
            elif not self.waiting:
                self.let_go()
            return None
        if status.st_size == self.size:
            return None
        end = self._labels.end() if self._labels is not None else NEVER
        status = sized(status, min(status.st_size, max(end, self.front.position.offset)))
        return status if status.st_size != self.size else None

    def open(self, flags: int = os.O_RDONLY) -> int:
        """A descriptor of the file that was registered, and of no other. Raises OSError."""
        return open_regular(self.link, None, flags, self.stream.inode)

    def read(self, offset: int, size: int = CHUNK) -> bytes:
        """Bytes from there on; fewer only at the file's end."""
        file = self.open()
        try:
            return os.pread(file, size, offset)
        finally:
            os.close(file)

    def lines_before(self, chunk: bytes, limit: int) -> bytes:
        """The lines that begin within so many bytes and end there; if there is none, the first line, or all."""
        if limit >= len(chunk):
            return chunk
        end = chunk.rfind(b"\n", 0, limit)
        if end < 0:
            end = chunk.find(b"\n")
            return chunk if end < 0 else chunk[: end + 1]
        return chunk[: end + 1]

    def abandoned(self) -> bool:
        """Whether no executor holds the registration's lock (any more)."""
        file = open_regular(self.registration, None)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        finally:
            os.close(file)
        return True

    def is_written(self) -> bool:
        """Whether an executor may still write to it; true where that can't be told."""
        try:
            return not self.abandoned()
        except FileNotFoundError:
            return False
        except OSError:
            return True

    def remove(self) -> None:
        """Take link and registration away, in this order: a registration without link is taken up again, and ends."""
        for path in (self.link, starts_path(self.registration), labels_path(self.registration), self.registration):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)


def sized(status: os.stat_result, size: int) -> os.stat_result:
    """The same of a file that has that size."""
    if status.st_size == size:
        return status
    return os.stat_result(
        (*status[:6], size, *status[7:10]), {"st_mtime_ns": status.st_mtime_ns, "st_blocks": status.st_blocks}
    )
