"""The backlog: what waits for long is sent beside new lines, so that these do not wait for it."""

from __future__ import annotations

from ..documents.batch import BODY
from .source import Source

#: Where so much waits, seen so long ago, new lines go first and what waits becomes backlog, which is caught up beside them.
BACKLOG_BYTES, BACKLOG_MICROS = 2 * BODY, 2_000_000

#: So many pieces of backlog a stream has at most; then new lines wait for them.
MOST_BACKLOGS = 8


def backlog_from(source: Source, clock: int) -> int | None:
    """Where to go on at the front, if what waits there is much and old at that time (microseconds); None: where it is.

    Raises OSError where the file can't be read.
    """
    front = source.front.position.offset
    if source.size - front < BACKLOG_BYTES or source.foreign or source.sparse or len(source.backlog) >= MOST_BACKLOGS:
        return None
    mark = source.marks.at(front)
    if mark is None or clock - mark.micros < BACKLOG_MICROS:
        return None
    # to the first line that the last look found: what it saw has one time, and is not taken apart
    edge = source.marks.edge - 1
    to = edge + source.read(edge).find(b"\n") + 1 if edge > front else edge
    return to if edge < to < source.size else None
