"""Stored lines by way of the daemon, which searches for those who have no account in Elasticsearch, as a `sources.Source`."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Callable, Optional

from msgspec import structs

from daqsched import protocol
from daqsched.errors import Forgotten, Unreachable, UserError
from daqsched.logs.count import Counted, Group, New, Novelty
from daqsched.logs.counting import whole_interval
from daqsched.logs.intervals import SHORTEST_S, stretches
from daqsched.logs.lines import Line
from daqsched.logs.query import Wanted

if TYPE_CHECKING:
    from daqsched.client import Client

Warn = Callable[[str], None]

#: How often a daemon is asked for new lines, and one that has just not answered.
POLL_S, AWAY_S = 0.5, 2.0

#: So many lines that were given are known, should following begin anew.
MOST_GIVEN = 100_000

#: Following that begins anew looks so far back for what was stored late.
BACK_S = 60.0

#: So many fingerprints are asked for at a time.
PIECE = 500


class DaemonSource:
    """The lines that the daemon lets us read."""

    def __init__(self, client: Client, wanted: Wanted, warn: Warn, sleep: Callable[[float], None] = time.sleep) -> None:
        self._client, self._wanted, self._warn, self._sleep = client, wanted, warn, sleep
        self._lacks: list[str] = []
        self._says = ""

    def tail(self, most: int) -> list[Line]:
        """As `Source.tail`."""
        if most > protocol.MOST_LINES:
            raise UserError(
                f"-n {most}: the daemon gives {protocol.MOST_LINES:,} lines at a time; for more it takes an account of your own in "
                "Elasticsearch (--elasticsearch), or ask in pieces, with --since and --until"
            )
        found = self._client.lines(protocol.LinesRequest(**self._asked(), most=most))
        self._lacks, self._says = found.lacks, found.says
        return list(map(_line, found.lines))

    def around(self, moment: float, most: int) -> tuple[list[Line], list[Line]]:
        """As `Source.around`."""
        before, _, after = self._context(at=moment, most=most)
        return before, after

    def around_line(self, name: str, scope: str, most: int) -> tuple[list[Line], Line, list[Line]]:
        """As `Source.around_line`."""
        before, line, after = self._context(line=name, scope=scope, most=most)
        if line is None:
            raise Unreachable("the daemon's answer has no line: is it of another version?")
        return before, line, after

    def _context(self, **more: Any) -> tuple[list[Line], Optional[Line], list[Line]]:
        found = self._client.lines_context(protocol.LinesContextRequest(**self._asked(), **more))
        self._lacks, self._says = found.lacks, found.says
        line = _line(found.line) if found.line is not None else None
        return list(map(_line, found.before)), line, list(map(_line, found.after))

    def count(self, by: Sequence[str], every_s: float, begin: float, end: float) -> Counted:
        """As `Source.count`."""
        groups: dict[tuple[tuple[str, ...], float], int] = {}
        total, self._lacks = 0, []
        every = every_s or SHORTEST_S / 2  # without intervals it is one stretch
        for since, until, offset_s in stretches(begin, end, every, time.time()):
            asked = {**self._asked(), "since": since, "until": until}
            more = protocol.CountLinesRequest(**asked, by=list(by), every_s=every_s, offset_s=offset_s)
            found = self._client.count_lines(more)
            total += found.total
            self._lacks += [one for one in found.lacks if one not in self._lacks]
            for one in found.groups:
                key = one.values, whole_interval(one.time, since, every_s)
                groups[key] = groups.get(key, 0) + one.count
        rows = tuple(Group(values, number, moment) for (values, moment), number in groups.items())
        return Counted(tuple(by), rows, max(total, sum(row.count for row in rows)), protocol.MOST_GROUPS)

    def examples(self, fingerprints: Iterable[str], begin: float, end: float) -> dict[str, str]:
        """As `Source.examples`."""
        asked = {**self._asked(), "since": begin, "until": end}
        wanted, found = list(fingerprints), {}
        for at in range(0, len(wanted), PIECE):
            body = protocol.LineExamplesRequest(**asked, fingerprints=wanted[at : at + PIECE])
            found.update(self._client.line_examples(body).examples)
        return found

    def new(self, since: float) -> New:
        """As `Source.new`."""
        found = self._client.new_lines(protocol.NewLinesRequest(**self._asked(), after=since))
        self._lacks = found.lacks
        messages = [Novelty(_line(one.first), one.count, one.hosts, one.host_count) for one in found.messages]
        return New(messages, found.lines, found.without, found.cut)

    def follow(self, most: int) -> Iterator[Line]:
        """As `Source.follow`: whoever is away, daemon or Elasticsearch, may be so as long as he likes."""
        if most > protocol.MOST_LINES:
            raise UserError(
                f"-n {most}: while following the daemon gives the last {protocol.MOST_LINES:,} lines; for more it takes an account "
                "of your own in Elasticsearch (--elasticsearch)"
            )
        given: OrderedDict[str, None] = OrderedDict()
        asked = protocol.FollowLinesRequest(**self._asked(), most=most)
        newest, away, first = time.time(), False, True
        while True:
            try:
                found = self._client.follow_lines(asked)
            except Forgotten:
                # another daemon leads by now, or this one was restarted
                since = newest - BACK_S
                since = since if self._wanted.since is None else max(since, self._wanted.since)
                asked = protocol.FollowLinesRequest(**{**self._asked(), "since": since}, most=protocol.MOST_LINES)
                continue
            except Unreachable as error:
                if first:
                    raise
                if not away:
                    self._warn(f"{error}; lines are shown as soon as it does")
                away = True
                self._sleep(AWAY_S)
                continue
            if away:
                self._warn("the daemon answers again; lines that were stored late are marked")
            away = first = False
            for sentence in found.says:
                self._warn(sentence)
            for one in found.lines:
                if one.id not in given:
                    given[one.id] = None
                    newest = max(newest, one.time)
                    yield _line(one)
            while len(given) > MOST_GIVEN:
                given.popitem(last=False)
            asked = structs.replace(asked, follow=found.follow)
            if not found.more:
                self._sleep(POLL_S)

    def nothing(self) -> str:
        """As `Source.nothing`."""
        return self._says or "no line matches among those that you may read"

    def lacking(self, begin: Optional[float] = None) -> list[str]:
        """As `Source.lacking`."""
        return self._lacks

    def close(self) -> None:
        """As `Source.close`: the client is its giver's."""

    def _asked(self) -> dict[str, Any]:
        wanted = self._wanted
        return {
            "select": list(wanted.words),
            "hosts": list(wanted.hosts),
            "streams": list(wanted.streams),
            "levels": list(wanted.levels),
            "runs": list(wanted.runs),
            "since": wanted.since,
            "until": wanted.until,
            "grep": wanted.text,
        }


def _line(told: protocol.StoredLine) -> Line:
    return replace(_NO_LINE, **structs.asdict(told))


_NO_LINE = Line(0.0, "", "", "", "", "", "")
