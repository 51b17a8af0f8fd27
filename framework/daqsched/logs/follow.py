"""`daqsched logs --follow`: lines as they are stored, each once, also those that come late.

Lines are asked for by the order in which Elasticsearch stored them (`query.stored_since`), not by their time: a host
whose lines waited for an hour is not missed. A sequence number may be found before a smaller one, for a moment, where
several forwarders store at once; so each second `Follower` looks again at what was stored in the last seconds.
"""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from daqsched.errors import Unreachable
from daqsched.logs.lines import Line, line_of
from daqsched.logs.query import Wanted, query, sorting, stored_since
from daqsched.logs.search import DEFAULT_PREFIX, PAGE, ask, tail

if TYPE_CHECKING:
    from elasticsearch import Elasticsearch

#: How often to look for the newest, and how often for what was stored meanwhile with a smaller number.
POLL_S, AGAIN_S = 0.2, 1.0

#: How long after it got its number a line can be found at the latest (the refresh interval, and a slow copy's delay).
LAG_S = 6.0

#: So much older than the newest line shown is one that was stored late, of whatever stream.
LATE_S = 30.0

#: So many streams' newest times are remembered.
MOST_STREAMS = 10_000


class Stored:
    """How far each index was known to be filled, and since when: pure."""

    def __init__(self) -> None:
        #: The newest number that was found in each index.
        self.newest: dict[str, int] = {}
        self._before: deque[tuple[float, dict[str, int]]] = deque()

    def note(self, numbers: Mapping[str, int], now: float) -> None:
        """These numbers were found now; an index that is not named may be away for a moment, and keeps its own."""
        for index, number in numbers.items():
            self.newest[index] = max(number, self.newest.get(index, -1))
        self._before.append((now, dict(self.newest)))
        while len(self._before) > 1 and self._before[1][0] <= now - LAG_S:
            self._before.popleft()

    def settled(self) -> dict[str, int]:
        """The numbers up to which all was to be found: those known `LAG_S` ago, or at the beginning."""
        return self._before[0][1] if self._before else {}


class Lateness:
    """Which of the lines that are given one after the other were stored late: pure."""

    def __init__(self) -> None:
        self._streams: OrderedDict[tuple[str, str, str, str], float] = OrderedDict()
        self._latest = 0.0

    def late(self, line: Line, now: float) -> bool:
        """Whether newer lines of its stream were given before it, or much newer ones of any.

        A line that was seen later than ``now`` comes from a host whose clock is ahead: it makes no other one late.
        """
        stream = (line.host, line.job, line.stream, line.task_id)
        newest = self._streams.get(stream, 0.0)
        late = line.seen < newest or line.seen < self._latest - LATE_S
        seen = min(line.seen, now)
        self._streams[stream] = max(newest, seen)
        self._streams.move_to_end(stream)
        if len(self._streams) > MOST_STREAMS:
            self._streams.popitem(last=False)
        self._latest = max(self._latest, seen)
        return late


class Follower:
    """Reads what ``wanted`` names; `tail` first, then `follow`. ``complain`` gets a sentence for each change of luck."""

    def __init__(
        self,
        client: Elasticsearch,
        wanted: Wanted,
        prefix: str = DEFAULT_PREFIX,
        complain: Callable[[str], None] = lambda sentence: None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Asks how far the indices are filled: what is stored from now on is followed. Raises as `search.ask`."""
        self._client, self._wanted, self._prefix = client, wanted, prefix
        self._complain, self._sleep = complain, sleep
        #: Ids of lines that were given, with the moment when they were last found.
        self._given: OrderedDict[str, float] = OrderedDict()
        self._lateness = Lateness()
        #: What was stored while `tail` asked, and is older than what it gave, was left out by its limit.
        self._begin = 0.0
        self._stored = Stored()
        self._stored.note(self._filled(), time.monotonic())

    def tail(self, most: int) -> list[Line]:
        """The last lines, oldest first; `follow` does not give them again."""
        began = time.time()
        lines = tail(self._client, self._wanted, most, self._prefix)
        for line in lines:
            self._new(line)
        if len(lines) >= most:
            self._begin = min(lines[0].time, began) if lines else time.time() - POLL_S
        return lines

    def follow(self) -> Iterator[Line]:
        """Lines as they are stored, for ever; an Elasticsearch that has answered may be away as long as it likes.

        Lines that are found together come by time. One that is older than what was given of its stream is ``late``.
        """
        looked_again, away = 0.0, False
        while True:
            began = time.monotonic()
            try:
                if began - looked_again >= AGAIN_S:
                    self._stored.note(self._numbers(), began)
                    yield from self._news(self._stored.settled())
                    looked_again, self._begin = began, 0.0
                else:
                    yield from self._news(self._stored.newest)
                if away:
                    self._complain("Elasticsearch answers again; lines that were stored late are marked")
                away = False
            except Unreachable as error:
                if not away:
                    self._complain(f"{error}; lines are shown as soon as it does")
                away = True
            # A search that takes long is a search that costs Elasticsearch much: ask at half time at most.
            self._sleep(max(POLL_S, time.monotonic() - began))

    # ------------------------------------------------------------------------------------------------ what is new

    def _news(self, floors: Mapping[str, int]) -> Iterator[Line]:
        what = {"bool": {"filter": [query(self._wanted), stored_since(dict(floors))]}}
        after = None
        while True:
            answer = self._ask(query=what, sort=sorting("asc"), size=PAGE, search_after=after)
            hits = answer["hits"]["hits"]
            for hit in hits:
                line = self._new(line_of(hit))
                if line is not None:
                    yield line
            if len(hits) < PAGE:
                break
            after = hits[-1]["sort"]
        before = time.monotonic() - 3 * LAG_S
        while self._given and next(iter(self._given.values())) < before:
            self._given.popitem(last=False)

    def _new(self, line: Line) -> Line | None:
        """The line, marked where it comes late; None where it was given before."""
        known = line.id in self._given
        self._given[line.id] = time.monotonic()
        self._given.move_to_end(line.id)
        if known or line.time < self._begin:
            return None
        return replace(line, late=True) if self._lateness.late(line, time.time()) else line

    # ------------------------------------------------------------------------------------- how far indices are filled

    def _filled(self) -> dict[str, int]:
        """The newest number of each index, whatever it holds."""
        answer = self._ask(size=0, aggs={"indices": {"terms": {"field": "_index", "size": 10_000}}})
        found = {}
        for bucket in answer.get("aggregations", {}).get("indices", {}).get("buckets", []):
            where = {"term": {"_index": bucket["key"]}}
            hits = self._ask(query=where, size=1, sort=[{"_seq_no": "desc"}], source=False)["hits"]["hits"]
            found[bucket["key"]] = int(hits[0]["sort"][0]) if hits else -1
        return found

    def _numbers(self) -> dict[str, int]:
        """The newest number of each index that was written to since the last time."""
        newest = {"newest": {"max": {"field": "_seq_no"}}}
        answer = self._ask(
            query=stored_since(self._stored.newest),
            size=0,
            aggs={"indices": {"terms": {"field": "_index", "size": 10_000}, "aggs": newest}},
        )
        buckets = answer.get("aggregations", {}).get("indices", {}).get("buckets", [])
        return {bucket["key"]: int(bucket["newest"]["value"]) for bucket in buckets}

    def _ask(self, **body: Any) -> Mapping[str, Any]:
        # always the same copy of a shard: another one may be a moment behind
        return ask(self._client, self._prefix, preference=f"daqsched-{id(self)}", **body)
