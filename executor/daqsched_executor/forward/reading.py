"""From files to planned batches: the streams, the journal, and what has no reply yet, owned by one thread.

A batch leaves here only after its plan is on the disk, and a stream leaves only after every batch with its lines has
come back. All that decides whether a line is stored once is in this module and in `journal`.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator

from .batch import BODY, Batch
from .forms import form_of
from .journal import Journal
from .lines import CHUNK
from .position import Position, Range
from .record import index_of
from .sources import Source, Spool

#: A clock that was set back by less than this keeps its lines in order by going on from the latest time.
CLOCK_BACK_MICROS = 60_000_000

Complain = Callable[[str, str], None]


class Reader:
    """Makes batches of what is new in a spool's streams."""

    def __init__(self, spool: str, journal: Journal, prefix: str, complain: Complain) -> None:
        self._journal = journal
        self._spool = Spool(spool, journal.positions, complain)
        self._prefix = prefix
        self._complain = complain
        #: The ranges of batches that were handed out and have not come back.
        self._under_way: dict[int, tuple[Range, ...]] = {}
        #: All streams; those at the front are read first.
        self._rotation: list[Source] = []
        self._discover()
        for stream in list(journal.positions):
            if not self._spool.knows(stream) and not any(
                entry.stream == stream for ranges in journal.outstanding.values() for entry in ranges
            ):
                self._record(journal.forget, stream)

    @property
    def under_way(self) -> int:
        """How many batches were handed out and have not come back."""
        return len(self._under_way)

    def waiting(self) -> int:
        """How many bytes of the streams have not been read."""
        return sum(source.waiting for source in self._spool.sources.values())

    def look(self) -> None:
        """See what changed in the files, and take away the streams that have ended."""
        now = time.monotonic()
        try:
            self._discover()
        except OSError as error:
            self._complain("streams", f"cannot read the spool: {error}")
        for source in self._spool.look(now):
            before = source.position
            self._place(source, Position(before.generation + 1, 0))
            self._complain(
                source.link,
                f"{source.instance}: somebody emptied its file, of which {before.offset} bytes were read; going on from 0",
            )
        for source in self._spool.ended(now):
            if self._spool.remove(source):
                self._rotation.remove(source)
                self._record(self._journal.forget, source.stream.id)

    def again(self) -> Iterator[Batch]:
        """What was planned before a restart and has no reply: the same documents, for the same index."""
        for number, ranges in list(self._journal.outstanding.items()):
            documents: list[bytes] = []
            try:
                for entry in ranges:
                    documents += self._reread(entry)
            except OSError as error:
                # Not given up: it stays in the journal, and the next start tries again.
                self._complain("again", f"cannot read again what may not have been stored: {error}")
                continue
            if documents:
                yield self._hand_out(number, ranges, documents)
            else:
                self._record(self._journal.done, number)

    def next(self) -> Batch | None:
        """New lines of the streams in turn, up to a body's size; None where there are none (or no plan can be kept)."""
        latest, now = self._journal.micros, time.time_ns() // 1000
        # After every line before, also where the clock is not: lines are sorted by this time.
        micros = latest + 1 if now <= latest < now + CLOCK_BACK_MICROS else now
        documents: list[bytes] = []
        ranges = []
        room = BODY
        served = 0
        for source in self._rotation:
            served += 1
            if not source.readable:
                continue
            made, end, size = self._read(source, micros + len(documents), room, oversize=not documents)
            if made:
                start = source.position
                ranges.append(
                    Range(
                        source.stream.id,
                        start.generation,
                        start.offset,
                        end.offset,
                        start.cut,
                        end.cut,
                        micros + len(documents),
                    )
                )
                documents += made
                room -= size
            if room < BODY // 64:
                break
        if not documents:
            return None
        # Whoever was read comes last next time, so that a chatty stream does not keep the others waiting.
        self._rotation = self._rotation[served:] + self._rotation[:served]
        try:
            number = self._journal.plan(ranges, micros + len(documents) - 1)
        except OSError as error:
            self._complain("journal", f"cannot write {self._journal.path}: {error}; lines wait on disk")
            return None
        for entry in ranges:
            self._spool.sources[entry.stream].move(self._journal.positions[entry.stream])
        return self._hand_out(number, tuple(ranges), documents)

    def came_back(self, number: int, complete: bool) -> None:
        """A batch's lines are all stored or dead-lettered, or (not ``complete``) that will be tried after a restart."""
        ranges = self._under_way.pop(number)
        if not complete:
            return
        self._record(self._journal.done, number)
        for entry in ranges:
            source = self._spool.sources.get(entry.stream)
            if source is not None:
                source.under_way -= 1

    def close(self) -> None:
        """Leave a short journal behind."""
        self._record(self._journal.compact)
        self._journal.close()

    def _hand_out(self, number: int, ranges: tuple[Range, ...], documents: list[bytes]) -> Batch:
        self._under_way[number] = ranges
        for entry in ranges:
            source = self._spool.sources.get(entry.stream)
            if source is not None:
                source.under_way += 1
        return Batch(number, index_of(self._prefix, ranges[0].micros), documents)

    def _read(self, source: Source, micros: int, room: int, oversize: bool) -> tuple[list[bytes], Position, int]:
        """Documents of one stream's new lines, where they end, and how large they are."""
        position = source.position
        documents: list[bytes] = []
        size = 0
        while size < room:
            try:
                chunk = source.read(position.offset)
            except OSError as error:
                self._complain(source.link, f"cannot read {source.instance}: {error}")
                break
            made = source.form.encode(
                chunk,
                position,
                micros + len(documents),
                source.final,
                room - size,
                oversize and not documents,
            )
            if not made.documents:
                if oversize and not documents:
                    # It was not for want of room: there is no whole line, until the file has grown.
                    source.tried = position.offset + len(chunk)
                break
            documents += made.documents
            size += made.size
            position = Position(position.generation, made.end, made.cut)
            if len(chunk) < CHUNK:
                break
        return documents, position, size

    def _reread(self, entry: Range) -> list[bytes]:
        """The documents of a range as they were planned; fewer, with a complaint, where its bytes are gone."""
        source = self._spool.sources.get(entry.stream)
        if source is None and self._spool.knows(entry.stream):
            raise OSError(f"the registration of {entry.stream} cannot be used")
        documents: list[bytes] = []
        position = Position(entry.generation, entry.start, entry.cut)
        if source is not None and source.position.generation == entry.generation:
            form = form_of(source.stream, entry.generation)
            final = False
            while position.offset < entry.end:
                chunk = source.read(position.offset)
                whole = chunk[: entry.end - position.offset]
                # A piece without newline is recognised by what follows it, so that is left in place.
                if b"\n" in whole:
                    chunk = whole
                made = form.encode(chunk, position, entry.micros + len(documents), final, sys.maxsize)
                if made.documents:
                    documents += made.documents
                    position = Position(entry.generation, made.end, made.cut)
                elif final:
                    break
                final = not made.documents
        if position.offset < entry.end:
            self._complain(
                entry.stream,
                f"bytes {position.offset} to {entry.end} of the stream {entry.stream} are gone; "
                "whether they were stored before the last forwarder ended is not known",
            )
        return documents

    def _discover(self) -> None:
        for source in self._spool.discover(time.monotonic()):
            if source.stream.id not in self._journal.positions:
                self._place(source, source.position)
            self._rotation.append(source)

    def _place(self, source: Source, position: Position) -> None:
        source.move(position)
        self._record(self._journal.place, source.stream.id, position)

    def _record(self, write: Callable[..., None], *arguments: object) -> None:
        """Write to the journal what may be lost at the price of sending something twice to an index that dedupes."""
        try:
            write(*arguments)
        except OSError as error:
            self._complain("journal", f"cannot write {self._journal.path}: {error}")
