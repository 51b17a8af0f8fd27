"""A batch in the making: lines of several streams, all of one index, with the ranges that make them again."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from ..documents.batch import BODY, Documents
from ..documents.lines import CHUNK
from ..documents.record import index_of
from ..journal.position import Drop, Loss, Position, Range
from .source import Cursor, Source


class BatchBuilder:
    """What would be sent, up to a body's size; nothing is moved until `move`."""

    def __init__(self, prefix: str, period: str) -> None:
        self.documents = Documents()
        self.ranges: list[Range] = []
        self.drops: list[Drop] = []
        self.losses: list[Loss] = []
        self.room = BODY
        #: The latest time of a line.
        self.latest = 0
        self._index_of = (prefix, period)
        #: Of all its lines; empty as long as there is none.
        self.index = ""
        self._moves: list[tuple[Source, Cursor, Position]] = []

    def tell(self, drops: Sequence[Drop], losses: Sequence[Loss], documents: Documents) -> None:
        """Documents that report lines which were dropped or lost; they fit into any index."""
        self.drops += drops
        self.losses += losses
        self.documents += documents
        self.room -= documents.size

    def read(self, source: Source, cursor: Cursor) -> None:
        """As many of the lines from the place on as there is room for. Raises OSError where the file can't be read."""
        position = cursor.position
        documents = Documents()
        ranges: list[Range] = []
        room = self.room
        try:
            while room > 0 and (cursor.end is None or position.offset < cursor.end):
                most = CHUNK if cursor.end is None else min(CHUNK, cursor.end - position.offset)
                chunk = source.read(position.offset, most)
                mark = source.marks.at(position.offset)
                if mark is None or not chunk:
                    break  # written since the last look
                number, next_start = source.start_at(position.offset)
                micros = max(mark.micros, position.latest + 1)
                if not self._fits(micros):
                    break
                form, next_labels = source.form(position, mark.run, number)
                piece = source.lines_before(chunk, min(mark.offset, next_start, next_labels) - position.offset)
                oversize = not self.documents and not documents
                made = form.encode(piece, position, micros, source.final, room, oversize)
                if not made.documents and len(piece) < len(chunk):
                    # A record of several lines goes on with lines that were seen later.
                    piece = chunk
                    made = form.encode(piece, position, micros, source.final, 1, True)
                    if made.size > room and not oversize:
                        break
                if not made.documents:
                    if oversize and cursor.end is None:
                        # It was not for lack of space: there is no whole line, until the file has grown.
                        cursor.tried = position.offset + len(piece)
                    break
                entry = Range(
                    source.stream.id,
                    position.generation,
                    position.offset,
                    made.end,
                    position.cut,
                    made.cut,
                    micros,
                    mark.run,
                    number,
                    len(made.documents),
                )
                if ranges and _goes_on(ranges[-1], entry):
                    before = ranges[-1]
                    ranges[-1] = before._replace(
                        end=entry.end, cut_after=entry.cut_after, lines=before.lines + entry.lines
                    )
                else:
                    ranges.append(entry)
                documents += made.documents
                room -= made.size
                position = Position(position.generation, made.end, made.cut, entry.latest)
                if cursor.end is None and position.offset >= source.size:
                    break
        finally:
            # what was read before an error is whole
            if documents:
                self._moves.append((source, cursor, position))
                self.documents += documents
                self.ranges += ranges
                self.room = room
                self.latest = max(self.latest, position.latest)

    def move(self) -> None:
        """It is planned: the places are behind what was read."""
        for source, cursor, position in self._moves:
            cursor.move(position)
            if cursor.end is not None and position.offset >= cursor.end:
                source.backlog.remove(cursor)
            source.marks.forget(source.oldest.position.offset)

    def _fits(self, micros: int) -> bool:
        index = index_of(self._index_of[0], micros, self._index_of[1])
        if not self.index:
            self.index = index
        return index == self.index


def reread(source: Source, entry: Range) -> tuple[Documents, int]:
    """The documents of a range as they were planned, and where they end: before the range's end where bytes are gone."""
    documents = Documents()
    position = Position(entry.generation, entry.start, entry.cut)
    if source.generation != entry.generation:
        return Documents(), entry.start
    final = False
    while position.offset < entry.end:
        form, next_labels = source.form(position, entry.run, entry.number)
        chunk = source.lines_before(source.read(position.offset), next_labels - position.offset)
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
    return documents, position.offset


def _goes_on(before: Range, entry: Range) -> bool:
    """Whether two ranges that follow each other are one: their times do, too."""
    return (
        before.end == entry.start
        and before.latest + 1 == entry.micros
        and (before.run, before.number) == (entry.run, entry.number)
        and not before.cut_after
    )
