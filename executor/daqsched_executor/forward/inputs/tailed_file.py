"""One log file of a service, read by a descriptor that is kept: renamed, deleted or emptied, it is read to its end."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import time
from collections.abc import Callable

from ...contract import Stream, can_be_path
from ..disk.replace import replace
from ..documents.lines import CHUNK
from ..forms.records import charset_of
from ..journal.position import Position
from ..streams.source import Source, sized
from .identity import BEGINNING, identity_of
from .zeros import ZEROS, may_have, next_written, written_to

#: After so long without a new line the last record is complete, though no other follows.
RECORD_S = 1.0

#: After so long without a new byte, a last line without newline in a file that was rotated away is sent as it is.
PARTIAL_S = 5.0

#: How long a file is tailed after its last byte when it was deleted, and when it has only another name: there are programs
#: that write to it until a signal tells them.
DELETED_S, RENAMED_S = 60.0, 3600.0

#: What waits of a deleted file for so long is copied into the spool, so that it does not depend on this process.
KEEP_S = 2.0

#: How often a file with zeros behind what was written is searched for more behind them.
SEARCH_EVERY_S = 30.0

#: So much is compared at both ends of what was read to know a file that was replaced by another that goes on.
COMPARED = 4 * 1024 * 1024

#: How many of the last bytes are remembered to know a copy of the file by.
REMEMBERED = 256


#: The option of a registration that has the size of a file that was read to its end after it had been deleted.
_WHOLE = "whole"


class TailedFile(Source):
    """See `Source`; the registration has the file's identity, and its lines are made by `forms.records`."""

    foreign = True

    def __init__(
        self, stream: Stream, registration: str, position: Position, file: int, forget: Callable[[TailedFile], None]
    ) -> None:
        """``file``: the open descriptor, or -1 where what was not read is lost; ``forget`` is called at its end."""
        super().__init__(stream, "", registration, position)
        self.file = file
        #: Where it is, as far as is known, or was: the same as the stream's but for links.
        real = stream.options.get("real")
        self.path = real if isinstance(real, str) and can_be_path(real) else stream.path
        self.identity = identity_of(stream.options["identity"])
        #: No name that we look for leads to it any more, since then (monotonic).
        self.away = False
        self.away_since = 0.0
        #: Its file is the `salvage`.
        self.ours = False
        #: It is not what it was: the place that was read to is not in it.
        self.emptied = False
        #: All that was made of it so far was found: what comes up of it later is known by its age.
        self.settled = False
        #: It is not open, and may be later.
        self.sought = False
        self._charset = charset_of(stream.options["charset"])
        self._gathers = bool(stream.options["multiline"])
        #: Whether nothing will be written to the last line.
        self._over = False
        self._forget = forget
        #: The last bytes that were read, and where they end.
        self._last, self._last_end = b"", 0
        #: When it was last written to (nanoseconds, by the file system).
        self._written = 0
        #: The file's size, with what was not written yet, and whether there is such; see `_seen`.
        self._raw, self._gapped = -1, False
        #: Since when nothing was written where that is expected, how far was looked behind it, when that is done again.
        self._gap_since, self._searched, self._next_search = 0.0, 0, 0.0
        #: The size that the last record was taken as complete at.
        self._settled = -1

    @property
    def salvage(self) -> str:
        """Where the salvage of the file is, once there is one."""
        return self.registration[: -len(".json")] + ".rest"

    @property
    def deleted(self) -> bool:
        """Whether it was deleted some time ago: what it holds, only this process can read."""
        away = self.away and self.file >= 0 and time.monotonic() - self.away_since > KEEP_S
        return away and os.fstat(self.file).st_nlink == 0

    @property
    def was_whole(self) -> bool:
        """Whether it was read to its end after it had been deleted."""
        end = self.stream.options.get(_WHOLE)
        return isinstance(end, int) and self.front.position.offset >= end

    def note_whole(self) -> None:
        """It was deleted and nothing waits: a forwarder that does not find it any more misses nothing."""
        if self.stream.options.get(_WHOLE) != self.size:
            self.stream = dataclasses.replace(self.stream, options={**self.stream.options, _WHOLE: self.size})
            with contextlib.suppress(OSError):  # it is reported as lost then
                self.write()

    @property
    def instance(self) -> str:
        """The service and the file, for people."""
        return f"{self.stream.job}@{self.stream.host} {self.path}"

    @property
    def written(self) -> int:
        """When it was last written to, in nanoseconds by the file system, as of the last look."""
        return self._written

    def beginning(self) -> bytes:
        """The file's first bytes."""
        return os.pread(self.file, BEGINNING, 0) if self.file >= 0 else b""

    def look(self, now: float) -> os.stat_result | None:
        """See `Source.look`. A file that was emptied is not seen to grow any more: see `emptied`."""
        if self.file < 0 or self.emptied:
            return None
        status = os.fstat(self.file)
        changed = status.st_size != self._raw or status.st_mtime_ns != self._written
        if changed:
            self._raw, self._written = status.st_size, status.st_mtime_ns
            beginning = self.beginning()
            if self._raw < self.front.position.offset or not self.identity.begins(beginning):
                self.emptied = True
                return None
            self._grow(beginning)
            self._gapped = self._gapped or may_have(self.file, status)
        size = self._raw if not self._gapped else self._seen(now, changed)
        if size != self.size:
            return sized(status, size)
        if size > self.front.position.offset and not self.final:
            quiet_s = now - self.changed
            if self.away and quiet_s >= PARTIAL_S:
                self.final = self._over = True
            elif self._gathers and quiet_s >= RECORD_S and self._settled != size:
                self.final, self._over, self._settled = True, False, size
        return None

    def _seen(self, now: float, changed: bool) -> int:
        """Up to where something was written, in a file with zeros behind or amidst it; what was not written yet costs nothing."""
        offset, unit = self.front.position.offset, self._charset.unit
        start = min(max(self.size, offset), self._raw)
        end = written_to(self.file, start, self._raw, unit)
        if end > start or end >= self._raw:
            self._gap_since, self._gapped = 0.0, end < self._raw
            return end
        if changed:
            self._next_search = min(self._next_search, now + RECORD_S)
        if not self._gap_since:
            self._gap_since, self._searched = now, start
        if now < self._next_search:
            return start
        found, self._searched = next_written(self.file, max(start, self._searched), self._raw, unit)
        if found < 0:
            if self._searched >= self._raw:
                self._searched, self._next_search = start, now + SEARCH_EVERY_S
        elif now - self._gap_since < PARTIAL_S:
            self._searched = start  # what lies before it may only be late
            self._next_search = now + RECORD_S
        elif offset < start:
            self.final = self._over = True  # nothing will be written to the line before the gap
        else:
            self.front.move(self.front.position._replace(offset=found, cut=False))
            self._gap_since = 0.0
            return written_to(self.file, found, self._raw, unit)
        return start

    def read(self, offset: int, size: int = CHUNK) -> bytes:
        """Bytes from there on, unless the file was emptied and written again beyond that place."""
        if self.file < 0 and not self.sought:
            return b""  # what was not read is lost
        if self.file < 0 or self.emptied:
            raise OSError(f"{self.path} {'was emptied' if self.emptied else 'is not decompressed yet'}")
        data = os.pread(self.file, size, offset)
        if offset >= self.front.position.offset:
            data = self._before_gap(data, offset)
        # Looked at after the read: what was read is the old file's if its beginning still stands there.
        beginning = self.beginning()
        if not self.identity.begins(beginning):
            self.emptied = True
            return b""
        self._grow(beginning)
        if data:
            self._last, self._last_end = data[-REMEMBERED:], offset + len(data)
        if self.final and not self._over:
            data = self._charset.whole(data)
            self.final = bool(data)
        return data

    def _before_gap(self, data: bytes, offset: int) -> bytes:
        """What was written of that."""
        if self._gapped and self.size > self.front.position.offset:
            data = data[: max(0, self.size - offset)]
        gap = data.find(ZEROS)
        if gap >= 0:
            self._gapped = True
            data = data[: gap + -gap % self._charset.unit]
        return data

    def lines_before(self, chunk: bytes, limit: int) -> bytes:
        """See `Source.lines_before`; a newline has the charset's width."""
        if self._charset.unit == 1 or limit >= len(chunk):
            return super().lines_before(chunk, limit)
        return chunk[: self._charset.end(chunk[: max(0, limit)])] or chunk

    def begin_in(self, file: int) -> None:
        """It is read by this descriptor, which it was found again by."""
        self.file = file
        self.ours = os.path.exists(self.salvage) and os.path.samestat(os.stat(self.salvage), os.fstat(file))
        self._last_end = self.front.position.offset
        first = max(0, self._last_end - REMEMBERED)
        self._last = os.pread(file, self._last_end - first, first)
        self._written = os.fstat(file).st_mtime_ns
        self._is(file)

    def same_as(self, file: int) -> bool:
        """Whether an open file holds what was read of this one, and so is a copy of it."""
        long_enough = os.fstat(file).st_size >= max(self.front.position.offset, self._last_end)
        return long_enough and self.alike(file)

    @property
    def well_known(self) -> bool:
        """Whether so much of it was read that another file that begins so is this one, written anew."""
        return self.front.position.offset >= BEGINNING

    def goes_on_in(self, file: int) -> bool:
        """Whether an open file holds all that was read of this one, which was replaced by it: as rsync and editors do."""
        if not self.well_known or self.ours or self.emptied or self.file < 0 or os.fstat(self.file).st_nlink:
            return False
        return self.same_as(file) and _alike(self.file, file, self.front.position.offset)

    def begins(self, beginning: bytes) -> bool:
        """Whether this file has lines and may begin so; also one that was empty at the last look."""
        if not self.identity.size:
            self._grow(self.beginning())
        return self.identity.size > 0 and self.identity.begins(beginning)

    def alike(self, file: int) -> bool:
        """Whether an open file may be (or become) a copy of this one, as far as it goes."""
        if not self.begins(os.pread(file, BEGINNING, 0)):
            return False
        last = os.pread(file, len(self._last), self._last_end - len(self._last))
        return os.fstat(file).st_size < self._last_end or last == self._last

    def go_on_in(self, file: int, ours: bool = False) -> None:
        """What was not read is read from a copy, which may be ours; -1: there is none, and it is lost."""
        self.ours, self.settled = ours, False
        if self.file >= 0:
            os.close(self.file)
        self.file, self.emptied, self.away, self.changed = file, False, True, time.monotonic()
        if file >= 0:
            self.size = self.front.tried = self.front.position.offset
            self._raw, self._gapped = -1, False
            self._is(file)

    def write(self, sync: bool = False) -> None:
        """Write the registration; what is there is replaced whole."""
        self.stream = dataclasses.replace(self.stream, options={**self.stream.options, "identity": list(self.identity)})
        replace(self.registration, self.stream.to_json(), sync)

    def abandoned(self) -> bool:
        """Whether nobody can be expected to write to it any more."""
        if not self.settled or self.sought:
            return False
        if self.file < 0 or self.ours:
            return True
        if not self.away:
            return False
        left_s = RENAMED_S if os.fstat(self.file).st_nlink else DELETED_S
        return time.monotonic() - self.changed >= left_s

    def remove(self) -> None:
        """Let go of the file, and take the registration away."""
        self._forget(self)
        for path in (self.registration, self.salvage):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
        if self.file >= 0:
            os.close(self.file)
            self.file = -1

    def _grow(self, beginning: bytes) -> None:
        grown = self.identity.grown(beginning)
        if grown is not self.identity:
            self.identity = grown
            with contextlib.suppress(OSError):  # a shorter fingerprint serves, too
                self.write()

    def _is(self, file: int) -> None:
        """Its identity has that file's number."""
        status = os.fstat(file)
        if self.identity.key != (status.st_dev, status.st_ino):
            self.identity = self.identity._replace(device=status.st_dev, inode=status.st_ino)
            with contextlib.suppress(OSError):  # it is found again by what it begins with
                self.write(sync=True)


def _alike(one: int, other: int, size: int) -> bool:
    """Whether two files have the same first bytes; of many, those at both ends."""
    starts = [*range(0, min(size, COMPARED), CHUNK), *range(max(0, size - COMPARED), size, CHUNK)]
    return all(
        os.pread(one, min(CHUNK, size - start), start) == os.pread(other, min(CHUNK, size - start), start)
        for start in starts
    )
