"""The crew's notes among the lines of jobs: the daemon has them, no forwarder and no Elasticsearch is needed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from daqsched.logbook import LogbookEntry
from daqsched.logs.count import Counted, New
from daqsched.logs.grep import matcher
from daqsched.logs.lines import NOTE, Line
from daqsched.logs.query import Wanted
from daqsched.logs.sources import Source
from daqsched_executor.contract.globs import fits as fits_pattern

#: The level that notes have.
_LEVEL = "notice"


def fits(wanted: Wanted) -> bool:
    """Whether any note can be among the lines that somebody wants: it is no job's, no host's and no run's."""
    streams = not wanted.streams or any(fits_pattern(NOTE, one) for one in wanted.streams)
    levels = not wanted.levels or _LEVEL in wanted.levels
    return streams and levels and not (wanted.words or wanted.hosts or wanted.runs)


def lines(entries: Iterable[LogbookEntry], wanted: Wanted) -> list[Line]:
    """Those of the notes that are wanted, the oldest first."""
    if not fits(wanted):
        return []
    holds = matcher(wanted.text)
    since, until = wanted.since or 0.0, float("inf") if wanted.until is None else wanted.until
    found = [
        Line(
            one.time,
            "-",
            NOTE,
            NOTE,
            _LEVEL,
            f"{one.user}: {one.message}",
            f"{NOTE}-{one.number}",
            dataset="daqsched.note",
        )
        for one in entries
        if since <= one.time < until and (not wanted.text or holds(f"{one.user}: {one.message}"))
    ]
    return sorted(found, key=lambda line: line.time)


class NotedSource:
    """Another source, with notes in `tail` and `around`; all else is of lines alone."""

    def __init__(self, source: Source, notes: Sequence[Line]) -> None:
        self._source, self._notes = source, notes

    def tail(self, most: int) -> list[Line]:
        """As `Source.tail`. Lines without a time stay where they are, before the notes."""
        found = self._source.tail(most)
        notes = self._notes[-most:] if most > 0 else []
        if not all(line.time for line in found):
            return [*found, *notes]
        # out of sandboxes come more than these
        return sorted([*found, *notes], key=_time)[-max(most, len(found)) :] if notes else found

    def follow(self, most: int) -> Iterator[Line]:
        """As `Source.follow`."""
        return self._source.follow(most)

    def around(self, moment: float, most: int) -> tuple[list[Line], list[Line]]:
        """As `Source.around`."""
        before, after = self._source.around(moment, most)
        before = sorted([*before, *(one for one in self._notes if one.time < moment)], key=_time)
        after = sorted([*after, *(one for one in self._notes if one.time >= moment)], key=_time)
        return before[-(most // 2) :] if most > 1 else [], after[: most - most // 2]

    def around_line(self, name: str, scope: str, most: int) -> tuple[list[Line], Line, list[Line]]:
        """As `Source.around_line`."""
        return self._source.around_line(name, scope, most)

    def count(self, by: Sequence[str], every_s: float, begin: float, end: float) -> Counted:
        """As `Source.count`."""
        return self._source.count(by, every_s, begin, end)

    def examples(self, fingerprints: Iterable[str], begin: float, end: float) -> dict[str, str]:
        """As `Source.examples`."""
        return self._source.examples(fingerprints, begin, end)

    def new(self, since: float) -> New:
        """As `Source.new`."""
        return self._source.new(since)

    def nothing(self) -> str:
        """As `Source.nothing`."""
        return self._source.nothing()

    def lacking(self, begin: float | None = None) -> list[str]:
        """As `Source.lacking`."""
        return self._source.lacking(begin)

    def close(self) -> None:
        """As `Source.close`."""
        self._source.close()


def _time(line: Line) -> float:
    return line.time
