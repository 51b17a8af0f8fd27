"""The room that lines take on this machine: what is stored is given back, and what waits has a bound.

A program never waits for its lines. So where Elasticsearch is away for longer than the disk lasts, lines are dropped: of the
jobs that take most room (`fair_share`), the oldest first, or those of a low level. Each is counted, and a document says how many
of what were dropped.
"""

from __future__ import annotations

import contextlib
import errno
import os
import time
from collections.abc import Callable, Container, Iterable, Iterator, Mapping

from ...contract import Forwarding
from ..disk.fair_share import given_up
from ..disk.holes import BLOCK, first_data, punch
from ..disk.reserve import RESERVE, Reserve
from ..documents.lines import CHUNK
from ..documents.record import level_fragment
from ..journal.journal import Journal
from ..journal.position import Drop
from .source import Source

MIB = 1024 * 1024

#: How often all this is looked after.
EVERY_S = 2.0

#: Smaller pieces are not worth a hole.
PUNCH_LEAST = MIB

#: So much is dropped at a time, and beyond what the limit demands, so that it is not reached again at once.
STEP, SLACK = 4 * MIB, 0.05

Warn = Callable[[str, str], None]


class DiskLimit:
    """See the module. Works on the sources that the reader has, by the journal's word."""

    def __init__(self, config: Forwarding, journal: Journal, sources: Mapping[str, Source], warn: Warn) -> None:
        # never less: the last entry of the journal says where to go on
        self._keep, self._bound = max(MIB, int(config.keep * MIB)), int(config.disk * MIB)
        self._debug_first = config.when_full == "debug"
        self._journal = journal
        self._sources = sources
        self._warn = warn
        self._next = self._next_full = 0.0
        self._reserve = Reserve(os.path.dirname(journal.path), warn)
        self._kept = os.path.join(os.path.dirname(journal.path), "kept")
        #: Why lines are dropped, for the document that reports it.
        self.why = (
            f"what waited for Elasticsearch took more than the {config.disk:g} MiB that the forwarder may use on "
            "this machine, or its disk was full"
        )
        self._reserve.hold()

    def tidy(self, now: float) -> None:
        """Give back what is stored and drop what is too much, if it is time (``now`` is monotonic)."""
        self._reserve.look(now)
        if now < self._next:
            return
        self._next = now + EVERY_S
        self._reserve.hold()
        self._give_back(self._keep)
        excess = sum(source.room for source in self._sources.values() if not source.foreign) - self._bound
        if excess > 0:
            self._give_up(excess, int(self._bound * SLACK))

    def full(self) -> None:
        """The journal could not be written: if that was for lack of space, make some.

        What is set aside goes first, then what is stored. Lines are dropped only where neither has helped, and no
        faster than others may make room.
        """
        if self._reserve.left() >= RESERVE or self._reserve.take():
            return
        self._give_back(MIB)
        now = time.monotonic()
        if self._reserve.left() < RESERVE and now >= self._next_full:
            self._next_full = now + EVERY_S
            self._give_up(STEP)

    def resume(self) -> None:
        """Finish what a forwarder that was killed had begun: what it saved of some bytes is still beside the journal."""
        drop = self._journal.squeezing
        if drop is None:
            return
        source = self._sources.get(drop.stream)
        if source is None or source.generation != drop.generation:
            self._journal.squeezed()
            return
        try:
            with open(self._kept, "rb") as file:
                kept = file.read()
        except FileNotFoundError:
            self._warn("kept", f"{self._kept} is gone: {source.instance} has broken lines before byte {drop.end}")
            self._journal.squeezed()
            return
        self._put(source, drop, kept)

    # ------------------------------------------------------------------ holes

    def _give_back(self, keep: int) -> None:
        """Make holes where lines are stored, but for the last ``keep`` bytes of each stream: people look at them."""
        synced = False
        for source in self._sources.values():
            if source.foreign or source.punched is None or source.size - max(source.punched, 0) < keep + PUNCH_LEAST:
                continue
            end = min(self._stored(source), source.size - keep)
            if end - max(source.punched, 0) < PUNCH_LEAST:
                continue
            try:
                if not synced:
                    # a batch whose end is not on the disk is read again after a power cut: not out of a hole
                    self._journal.sync()
                    synced = True
                self._punch(source, end)
            except OSError as error:
                self._no_holes(source, error)

    def _stored(self, source: Source) -> int:
        """Up to here everything is stored, dead-lettered or dropped."""
        first = source.oldest.position.offset
        if source.under_way:
            for plan in self._journal.outstanding.values():
                for entry in plan.ranges:
                    if entry.stream == source.stream.id and entry.generation == source.generation:
                        first = min(first, entry.start)
        return first

    def _punch(self, source: Source, end: int) -> None:
        """Give back all that lies before ``end``."""
        file = source.open(os.O_RDWR)
        try:
            if source.punched is not None and source.punched < 0:
                source.punched = first_data(file)
            punch(file, source.punched or 0, end)
            source.punched = end // BLOCK * BLOCK  # the block that it ends in goes with the next
        finally:
            os.close(file)

    def _punch_out(self, source: Source, start: int, end: int) -> None:
        """Give back to the disk what was dropped."""
        if source.punched is None:
            return
        try:
            file = source.open(os.O_RDWR)
            try:
                punch(file, start, end)
            finally:
                os.close(file)
        except OSError as error:
            self._no_holes(source, error)

    def _no_holes(self, source: Source, error: OSError) -> None:
        if error.errno in (errno.EOPNOTSUPP, errno.EACCES, errno.EPERM, errno.EROFS):
            source.punched = None
            self._warn(
                "holes",
                f"what is stored of {source.instance} can't be given back to the disk while its program runs: "
                f"{error.strerror}",
            )
        else:
            self._warn("holes", f"cannot make a hole in {source.link}: {error.strerror}")

    # ------------------------------------------------------------------ dropping

    def _give_up(self, excess: int, slack: int = 0) -> None:
        """So many bytes, and some of the slack: of jobs and streams that take more than their share, the oldest lines."""
        stuck: set[str] = set()
        try:
            if self._debug_first:
                excess -= self._squeeze_all(excess + slack)
            while excess > 0:
                source, most = self._next_to_give_up(excess + slack, stuck)
                if source is None:
                    return
                given = 0
                try:
                    given = self._give_up_oldest(source, max(CHUNK, min(most, STEP)))
                except FileNotFoundError:
                    pass  # somebody has taken it away: that is reported when it is looked at
                if not given:
                    stuck.add(source.stream.id)
                excess -= given
        except OSError as error:
            self._warn("full", f"the disk limit is reached, and no line can be dropped: {error}")

    def _next_to_give_up(self, excess: int, stuck: Container[str]) -> tuple[Source | None, int]:
        """The stream whose lines are dropped now, and how many bytes."""
        sources = {source.stream.id: source for source in self._waiting() if source.stream.id not in stuck}
        jobs = given_up(_by_job(sources.values()), excess)
        shares: dict[str, int] = {}
        for job, most in jobs.items():
            its = {stream: source.room for stream, source in sources.items() if source.stream.job == job}
            shares.update(given_up(its, most))
        if not shares:
            return None, 0
        # what is little may be all that one has above the others: a chunk of it would be more than its share
        large = [stream for stream, most in shares.items() if most >= CHUNK] or [max(shares, key=shares.__getitem__)]
        stream = min(large, key=lambda one: sources[one].waits_since or 0)
        return sources[stream], shares[stream]

    def _waiting(self) -> Iterator[Source]:
        return (source for source in self._sources.values() if source.waiting and not source.foreign)

    def _give_up_oldest(self, source: Source, most: int) -> int:
        """The oldest lines of a stream; how many bytes those are, 0: none."""
        cursor = source.oldest
        start = cursor.position.offset
        limit = min(start + most, cursor.end if cursor.end is not None else source.size)
        end, lines = start, 0
        while end < limit:
            chunk = source.read(end, min(CHUNK, limit - end))
            whole = chunk.rfind(b"\n") + 1
            if not whole:
                break
            lines += chunk.count(b"\n", 0, whole)
            end += whole
        if end == start:
            # a line that is longer than that: all of it that is there goes
            end, lines = limit, 1
        mark = source.marks.at(start)
        micros = mark.micros if mark is not None else self._journal.micros
        self._journal.drop(Drop(source.stream.id, source.generation, start, end, lines, end - start, micros))
        self._moved(source)
        self._punch_out(source, start, end)
        return end - start

    def _moved(self, source: Source) -> None:
        """The journal has other places than the source."""
        stream = source.stream.id
        source.set_places(self._journal.positions[stream], self._journal.stretches.get(stream, ()))
        source.marks.forget(source.oldest.position.offset)

    def _squeeze_all(self, excess: int) -> int:
        """Drop lines of a low level, of the jobs that take most first, until that is enough; how many bytes those were."""
        given, taken = 0, _by_job(self._waiting())
        for source in sorted(self._waiting(), key=lambda one: (-taken[one.stream.job], one.waits_since or 0)):
            if source.stream.format == "text" and source.punched is not None:
                for start, end in _unsqueezed(source):
                    if given >= excess:
                        return given
                    given += self._squeeze(source, start, end)
        return given

    def _squeeze(self, source: Source, start: int, end: int) -> int:
        """Lines between two bytes without those of a low level; the bytes won."""
        text = source.read(start, end - start)
        text = text[: text.rfind(b"\n") + 1]
        if not text:
            return 0
        end = start + len(text)
        source.squeezed = max(source.squeezed, end)
        lines = text[:-1].split(b"\n")
        kept = [line for line in lines if level_fragment(line) not in _LOW]
        left = b"".join(line + b"\n" for line in kept)
        if len(text) - len(left) < len(text) // 16:
            return 0
        with open(self._kept, "wb") as file:
            file.write(left)
            file.flush()
            os.fsync(file.fileno())
        mark = source.marks.at(start)
        micros = mark.micros if mark is not None else self._journal.micros
        lost, size = len(lines) - len(kept), len(text) - len(left)
        drop = Drop(source.stream.id, source.generation, start, end, lost, size, micros, True)
        self._journal.squeeze(drop)
        self._put(source, drop, left)
        self._moved(source)
        self._punch_out(source, start, start + size)
        return size

    def _put(self, source: Source, drop: Drop, kept: bytes) -> None:
        """What is not dropped goes to the end of its bytes: offsets stay in order, and none is used twice."""
        file = source.open(os.O_WRONLY)
        try:
            os.pwrite(file, kept, drop.end - len(kept))
            os.fsync(file)
        finally:
            os.close(file)
        self._journal.squeezed()
        with contextlib.suppress(OSError):
            os.unlink(self._kept)


def _by_job(sources: Iterable[Source]) -> dict[str, int]:
    """How many bytes wait of each job."""
    taken: dict[str, int] = {}
    for source in sources:
        taken[source.stream.job] = taken.get(source.stream.job, 0) + source.room
    return taken


def _unsqueezed(source: Source) -> Iterator[tuple[int, int]]:
    """The pieces of what waits that were not looked through for lines of a low level."""
    for cursor in [*source.backlog, source.front]:
        start = cursor.position.offset
        if cursor.position.cut:
            continue
        start = max(start, source.squeezed)
        end = cursor.end if cursor.end is not None else source.size
        while end - start >= PUNCH_LEAST:
            yield start, min(start + STEP, end)
            if source.squeezed <= start:
                break  # a line that is longer than that
            start = source.squeezed


_LOW = (b',"level":"debug"', b',"level":"trace"')
