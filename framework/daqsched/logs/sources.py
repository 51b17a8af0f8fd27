"""Where lines come from: Elasticsearch, or the sandboxes that jobs print to. `daqsched logs` asks either the same things."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Optional, Protocol

from daqsched import times
from daqsched.logs.count import Counted, Group, New
from daqsched.logs.lines import Line
from daqsched.logs.query import Wanted

if TYPE_CHECKING:
    from daqsched.client import Client
    from daqsched.logs.deadletters import StoredLetter
    from daqsched.logs.elastic import Elastic
    from daqsched.logs.follow import Follower

Warn = Callable[[str], None]


#: How it begins that nothing is stored.
NEVER = "no line was ever stored"


class Source(Protocol):
    """The lines that somebody wants, by whatever way."""

    def tail(self, most: int) -> list[Line]:
        """The last ones."""

    def follow(self, most: int) -> Iterator[Line]:
        """The last ones, and those that come, for ever."""

    def around(self, moment: float, most: int) -> tuple[list[Line], list[Line]]:
        """The last before a moment and the first from then on, together ``most``."""

    def around_line(self, name: str, scope: str, most: int) -> tuple[list[Line], Line, list[Line]]:
        """The lines before one, it, and those after it; ``name`` is its id, ``scope`` is ``stream``, ``host`` or ``farm``.

        Raises `UserError` where there is no such line.
        """

    def count(self, by: Sequence[str], every_s: float, begin: float, end: float) -> Counted:
        """Those of a time in groups, and by intervals where ``every_s`` is not 0."""

    def examples(self, fingerprints: Iterable[str], begin: float, end: float) -> dict[str, str]:
        """A message of each of these kinds."""

    def new(self, since: float) -> New:
        """Messages of kinds that were not there before."""

    def nothing(self) -> str:
        """Where no line was found: whether there are any, and what to do."""

    def lacking(self, begin: Optional[float] = None) -> list[str]:
        """Why what was answered is not all, for people; ``begin``: nothing earlier was asked for. Empty: it is all."""

    def close(self) -> None:
        """Let connections go."""


def _seen(line: Line) -> str:
    when = times.clock(line.time)
    return f"{when}, {line.host} {line.job}"


class StoredSource:
    """Out of Elasticsearch."""

    def __init__(self, client: Elastic, index: str, wanted: Wanted, warn: Warn) -> None:
        """The client is closed with it."""
        self._client = client
        self._index, self._wanted, self._warn = index, wanted, warn

    def tail(self, most: int) -> list[Line]:
        """As `Source.tail`."""
        from daqsched.logs import search

        return search.tail(self._client, self._wanted, most, self._index)

    def follow(self, most: int) -> Iterator[Line]:
        """As `Source.follow`."""
        from daqsched.logs.follow import Follower

        follower = Follower(self._client, self._wanted, self._index, self._warn)
        lines = follower.tail(most)
        yield from lines
        for sentence in self.lacking(lines[0].time if len(lines) >= most and lines else None):
            self._warn(f"this is not all: {sentence}")
        yield from follower.follow()

    def around(self, moment: float, most: int) -> tuple[list[Line], list[Line]]:
        """As `Source.around`."""
        from daqsched.logs import search

        return search.around(self._client, self._wanted, moment, most, self._index)

    def around_line(self, name: str, scope: str, most: int) -> tuple[list[Line], Line, list[Line]]:
        """As `Source.around_line`."""
        from daqsched.logs import search

        return search.around_line(self._client, self._wanted, name, scope, most, self._index)

    def count(self, by: Sequence[str], every_s: float, begin: float, end: float) -> Counted:
        """As `Source.count`."""
        from daqsched.logs import counting

        return counting.count(self._client, self._within(begin, end), by, every_s, self._index)

    def stretch(self, by: Sequence[str], every_s: float, offset_s: float, most: int) -> tuple[list[Group], int]:
        """The groups of all wanted lines, ``most`` or a page more, where local time is ``offset_s`` ahead of UTC; and how many
        lines there are."""
        from daqsched.logs import counting

        total = counting.number(self._client, self._wanted, self._index)
        if not by and not every_s:
            return [Group((), total)], total
        return list(counting.stretch(self._client, self._wanted, by, every_s, offset_s, self._index, most)), total

    def examples(self, fingerprints: Iterable[str], begin: float, end: float) -> dict[str, str]:
        """As `Source.examples`: the newest of each."""
        from daqsched.logs import counting

        return counting.examples(self._client, self._within(begin, end), fingerprints, self._index)

    def examples_of(self, fingerprints: Iterable[str]) -> dict[str, str]:
        """The newest message of each, whenever it is wanted of."""
        from daqsched.logs import counting

        return counting.examples(self._client, self._wanted, fingerprints, self._index)

    def follower(self, warn: Warn, most_given: int) -> Follower:
        """For `look`, from now on; so many lines that it gave it knows, and twice as many for a moment."""
        from daqsched.logs.follow import Follower

        return Follower(self._client, self._wanted, self._index, warn, most_given=most_given)

    def look(self, follower: Follower, warn: Warn, most: int) -> tuple[list[Line], bool]:
        """What was stored since that one looked, ``most`` lines of it, and whether there is more."""
        follower.ask_by(self._client, warn)
        found: list[Line] = []
        with closing(follower.look()) as lines:
            for line in lines:
                found.append(line)
                if len(found) >= most:
                    return found, True
        return found, False

    def dead(self, most: int) -> list[StoredLetter]:
        """Lines that were refused, the oldest first."""
        from daqsched.logs import deadletters

        return list(islice(deadletters.letters(self._client, self._index, self._wanted), most))

    def new(self, since: float) -> New:
        """As `Source.new`."""
        from daqsched.logs import counting

        return counting.new(self._client, self._wanted, since, self._index)

    def nothing(self) -> str:
        """As `Source.nothing`."""
        from daqsched.logs import search

        if self.lacking():
            return "no line matches among those that Elasticsearch could look at"
        words, hosts = self._wanted.words, self._wanted.hosts
        names = shlex.join([*words, *(word for host in hosts for word in ("--host", host))])
        newest = search.tail(self._client, Wanted(words=words, hosts=hosts), 1, self._index)
        if newest:
            of = f"of {names}" if names else "of all"
            return f"no line matches; the newest {of} is of {_seen(newest[0])} (daqsched logs {names}{' ' * bool(names)}-n 1)"
        newest = search.tail(self._client, Wanted(), 1, self._index) if names else []
        if newest:
            return (
                f"no line matches: nothing of {names} is stored, daqsched status lists the jobs; the newest of others is of "
                f"{_seen(newest[0])}"
            )
        return (
            f"{NEVER} in {self._index}-*: does a forwarder run on the hosts? daqsched status shows its job; "
            "daqsched logs --sandbox reads what jobs print where it lies"
        )

    def close(self) -> None:
        """As `Source.close`."""
        self._client.close()

    def lacking(self, begin: Optional[float] = None) -> list[str]:
        """As `Source.lacking`: shards that failed, and indices that a search passes over or that are not ours."""
        from daqsched.logs.indices import passed_over

        since = self._wanted.since if begin is None else begin
        return [*self._client.lacks.values(), *passed_over(self._client, self._index, since)]

    def _within(self, begin: float, end: float) -> Wanted:
        return replace(self._wanted, since=begin, until=end)


class SandboxSource:
    """Out of the sandboxes, through the daemon and the agents. What has no time of its own can't be placed in time."""

    def __init__(self, client: Client, wanted: Wanted, warn: Warn) -> None:
        from daqsched.logs.sandboxes import SandboxReader

        self._reader = SandboxReader(client, wanted, warn)
        self._examples: dict[str, str] = {}

    def tail(self, most: int) -> list[Line]:
        """As `Source.tail`, of each job, host and stream."""
        return self._reader.tail(most)

    def follow(self, most: int) -> Iterator[Line]:
        """As `Source.follow`."""
        yield from self._reader.tail(most)
        yield from self._reader.follow()

    def around(self, moment: float, most: int) -> tuple[list[Line], list[Line]]:
        """As `Source.around`."""
        from daqsched.logs import sandbox_search

        return sandbox_search.around(self._reader, moment, most)

    def around_line(self, name: str, scope: str, most: int) -> tuple[list[Line], Line, list[Line]]:
        """As `Source.around_line`."""
        from daqsched.logs import sandbox_search

        return sandbox_search.around_line(self._reader, name, scope, most)

    def count(self, by: Sequence[str], every_s: float, begin: float, end: float) -> Counted:
        """As `Source.count`."""
        from daqsched.logs import sandbox_search

        counted, self._examples = sandbox_search.count(self._reader, by, every_s, begin, end)
        return counted

    def examples(self, fingerprints: Iterable[str], begin: float, end: float) -> dict[str, str]:
        """As `Source.examples`, of what `count` saw."""
        return {one: self._examples[one] for one in fingerprints if one in self._examples}

    def new(self, since: float) -> New:
        """As `Source.new`: against what the same sandboxes still have."""
        from daqsched.logs import sandbox_search

        return New(*sandbox_search.new(self._reader, since))

    def nothing(self) -> str:
        """As `Source.nothing`."""
        return "no line matches: daqsched status shows which jobs run; what Mesos has collected is gone"

    def lacking(self, begin: Optional[float] = None) -> list[str]:
        """As `Source.lacking`: what could not be read was told at once."""
        return []

    def close(self) -> None:
        """As `Source.close`."""
