"""Places in streams: how far one has been read, which bytes were planned together, which were dropped or lost."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple, TypeVar, get_type_hints

_Place = TypeVar("_Place", bound=NamedTuple)

#: No number of a place is negative, or more than a file's offset can be.
_MOST = 1 << 63

_types = lru_cache(maxsize=None)(get_type_hints)


def typed(kind: type[_Place], values: Any) -> _Place:
    """One of the places below (or a mark) out of what a file says; raises ValueError where that is none.

    What a newer version has added at the end is ignored.
    """
    types, names = _types(kind), kind._fields
    if not isinstance(values, (list, tuple)) or len(values) < len(names) - len(kind._field_defaults):
        raise ValueError(f"{str(values)[:100]} is not a {kind.__name__}")
    for name, value in zip(names, values):
        if type(value) is not types[name] or (type(value) is int and not 0 <= value < _MOST):
            raise ValueError(f"{str(value)[:100]} is not a valid {name} of a {kind.__name__}")
    return kind(*values[: len(names)])


class Position(NamedTuple):
    """How far a stream has been read."""

    generation: int
    offset: int
    #: Whether the piece before this offset was cut off a line that goes on here.
    cut: bool = False
    #: The latest time that a line before it was given, in microseconds since the epoch: those behind it are later.
    latest: int = 0


class Stretch(NamedTuple):
    """A piece of backlog: bytes before a stream's position, for which new lines need not wait."""

    start: int
    end: int
    #: See `Position`.
    cut: bool = False
    latest: int = 0


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
    #: The number of the run, empty: none; and of the program's start, 0: not known or no program.
    run: str = ""
    number: int = 0
    lines: int = 1

    @property
    def latest(self) -> int:
        """The time of the last line."""
        return self.micros + self.lines - 1


class Drop(NamedTuple):
    """Lines that were dropped; one document reports them."""

    stream: str
    generation: int
    #: They lay between these bytes; not all that did, where only those of a low level were dropped.
    start: int
    end: int
    lines: int
    size: int
    #: When the first of them was seen, in microseconds since the epoch.
    micros: int
    #: Only lines of the levels debug and trace.
    debug: bool = False


class Loss(NamedTuple):
    """What nobody can read any more; one document reports it."""

    stream: str
    generation: int
    #: From this byte on, at least so many.
    start: int
    size: int
    #: When it was found out, in microseconds since the epoch.
    micros: int
    #: A word of `LOST_BECAUSE`, and what is to be said of this one beyond that.
    why: str
    more: str = ""
    #: Lines that were read before, and that may have been stored; they count as dropped, too.
    lines: int = 0


#: Why something is lost, for people.
LOST_BECAUSE = {
    "emptied": "the file was emptied before it was read to its end",
    "vanished": "the file was gone before it was read to its end",
    "packed": "the file was compressed before it was read to its end, and can't be decompressed",
    "sent": "the file was gone before Elasticsearch had said whether it had stored them",
}


class Plan(NamedTuple):
    """What is sent together."""

    ranges: tuple[Range, ...]
    drops: tuple[Drop, ...]
    #: How many documents that are, and of which index: a second attempt must meet the first, whatever is configured then.
    lines: int
    target: str
    losses: tuple[Loss, ...] = ()
