"""Places in streams: how far one has been read, and which bytes were planned together."""

from __future__ import annotations

from typing import NamedTuple


class Position(NamedTuple):
    """How far a stream has been read."""

    generation: int
    offset: int
    #: Whether the piece before this offset was cut off a line that goes on here.
    cut: bool = False


class Range(NamedTuple):
    """Bytes of one stream as they stand in the journal: enough to make the very same documents again."""

    stream: str
    generation: int
    start: int
    end: int
    #: Whether the first and the last line go on beyond the range (see `Position.cut`).
    cut: bool
    cut_after: bool
    #: The time of the first line in microseconds since the epoch; each further line is one microsecond later.
    micros: int
