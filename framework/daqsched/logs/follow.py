"""`daqsched logs --follow`: lines as they are stored, each once, also those that come late.

Lines are asked for by the order in which Elasticsearch stored them (`query.stored_since`), not by their time: a host
whose lines waited for an hour is not missed. A sequence number may be found before a smaller one, for a moment, where
several forwarders store at once; so each second `Follower` looks again at what was stored in the last seconds. What a look
could not see (Elasticsearch is away, a shard fails) is looked for until it was seen. An index that is made anew counts from 0
again: it is known by its uuid.
"""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import replace
from typing import Any, Optional

import msgspec

from daqsched.errors import DaqschedError
from daqsched.logs.answers import SearchFound, named
from daqsched.logs.elastic import Elastic, pages
from daqsched.logs.lines import Line, line_of
from daqsched.logs.query import Wanted, query, sorting, stored_since
from daqsched.logs.retention import indices_of
from daqsched.logs.search import DEFAULT_PREFIX, PAGE, tail

#: How often to look for the newest, and how often for what was stored meanwhile with a smaller number.
POLL_S, AGAIN_S = 0.2, 1.0

#: How long after it got its number a line can be found at the latest (the refresh interval, and a slow copy's delay).
LAG_S = 6.0

#: So much older than the newest line shown is one that was stored late, of whatever stream.
LATE_S = 30.0

#: So many streams' newest times are remembered.
MOST_STREAMS = 10_000

#: How long, and at most how many, lines that were given are known, should an index be made anew and they be stored again.
REMEMBER_S, MOST_GIVEN = 600.0, 100_000

#: What is said when all is well again, which names nothing.
ANSWERS_AGAIN = "Elasticsearch answers again; lines that were stored late are marked"
WHOLE_AGAIN = "Elasticsearch answers in full again; what was missed is shown"

#: While looks do not see all, for hours it may be, so many of them are told apart.
MOST_BEFORE = 600

#: So many looks in a row are not whole before somebody is told: a shard may be away for a moment.
PATIENCE = 3


class StoredLines:
    """How far each index was known to be filled, and since when: pure."""

    def __init__(self) -> None:
        #: The newest number that was found in each index.
        self.newest: dict[str, int] = {}
        self._before: deque[tuple[float, dict[str, int]]] = deque()

    def note(self, numbers: Mapping[str, int], now: float, looked: Optional[float] = None) -> None:
        """These numbers were found now; an index that is not named may be away for a moment, and keeps its own.

        ``looked``: when the last look at what had not settled was made that saw all of it; None: now.
        """
        for index, number in numbers.items():
            self.newest[index] = max(number, self.newest.get(index, -1))
        self._before.append((now, dict(self.newest)))
        settled = (now if looked is None else looked) - LAG_S
        while len(self._before) > 1 and self._before[1][0] <= settled:
            self._before.popleft()
        if len(self._before) > MOST_BEFORE:
            del self._before[1]  # the first says from where on to look again

    def settled(self) -> dict[str, int]:
        """The numbers up to which all was found: those known `LAG_S` before the last look, or at the beginning."""
        return self._before[0][1] if self._before else {}

    def forget(self, index: str) -> None:
        """It was made anew: nothing of it is known."""
        for numbers in (self.newest, *(numbers for _, numbers in self._before)):
            numbers.pop(index, None)


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


class _Settings(msgspec.Struct):
    settings: dict[str, str] = {}


class _Newest(msgspec.Struct):
    value: Optional[float] = None


class _Index(msgspec.Struct):
    key: str
    newest: Optional[_Newest] = None


class _Buckets(msgspec.Struct):
    buckets: list[_Index] = []


class _Indices(msgspec.Struct):
    indices: _Buckets = msgspec.field(default_factory=_Buckets)


class Follower:
    """Reads what ``wanted`` names; `tail` first, then `follow`. ``warn`` gets a sentence for each change of luck."""

    def __init__(
        self,
        client: Elastic,
        wanted: Wanted,
        prefix: str = DEFAULT_PREFIX,
        warn: Callable[[str], None] = lambda sentence: None,
        sleep: Callable[[float], None] = time.sleep,
        most_given: int = MOST_GIVEN,
    ) -> None:
        """Asks how far the indices are filled: what is stored from now on is followed. Raises as `Elastic.search`."""
        self._client, self._wanted, self._prefix = client, wanted, prefix
        self._warn, self._sleep, self._most_given = warn, sleep, most_given
        #: Ids of lines that were given, with the moment when they were last found.
        self._given: OrderedDict[str, float] = OrderedDict()
        self._lateness = Lateness()
        #: What was stored while `tail` asked, and is older than what it gave, was left out by its limit.
        self._begin = 0.0
        self._started = time.time()
        self._stored = StoredLines()
        #: By name; None: nobody lets us see them.
        self._uuids: Optional[dict[str, str]] = {}
        self._remade()
        self._stored.note(self._filled(), time.monotonic())
        #: When the last look began that saw all.
        self._looked = time.monotonic()
        #: Indices that could not be seen at the beginning: what they had then is not new.
        self._unseen = set(client.lacks)
        self._told: dict[str, str] = {}
        self._partial = 0
        self._looked_again, self._is_away = 0.0, False

    def tail(self, most: int) -> list[Line]:
        """The last lines, oldest first; `follow` does not give them again."""
        lines = tail(self._client, self._wanted, most, self._prefix)
        for line in lines:
            self._new(line)
        if len(lines) >= most:
            self._begin = min((line.time for line in lines), default=time.time() - POLL_S)
        return lines

    def ask_by(self, client: Elastic, warn: Callable[[str], None]) -> None:
        """From now on ask so: each look may be another one's to permit."""
        self._client, self._warn = client, warn

    def look(self) -> Generator[Line, None, None]:
        """What was stored since the last look, by time; one that is older than what was given of its stream is ``late``. What is
        not taken is given by the next look."""
        began = time.monotonic()
        try:
            if began - self._looked_again >= AGAIN_S:
                self._remade()
                self._stored.note(self._numbers(), began, self._looked)
                lacks = yield from self._news(self._stored.settled())
                self._looked_again, self._begin = began, 0.0
                if not lacks:
                    self._looked = began
                self._tell(lacks)
                self._forget()
            else:
                yield from self._news(self._stored.newest)
            if self._is_away:
                self._warn(ANSWERS_AGAIN)
            self._is_away = False
        except DaqschedError as error:
            if not self._is_away:
                self._warn(f"{error}; lines are shown as soon as it does")
            self._is_away = True

    def follow(self) -> Iterator[Line]:
        """Lines as they are stored, for ever; an Elasticsearch that has answered may be away as long as it likes."""
        while True:
            began = time.monotonic()
            yield from self.look()
            # A search that takes long is a search that costs Elasticsearch much: ask at half time at most.
            self._sleep(max(POLL_S, time.monotonic() - began))

    # ------------------------------------------------------------------------------------------------ what is new

    def _news(self, floors: Mapping[str, int]) -> Generator[Line, None, dict[str, str]]:
        """New lines; returns why these are not all."""
        what = {"bool": {"filter": [query(self._wanted), stored_since(dict(floors))]}}
        lacks: dict[str, str] = {}
        options = {"query": what, "sort": sorting("asc"), "preference": self._preference}
        for found in pages(self._client, self._prefix, None, PAGE, **options):
            lacks.update(found.lacks)
            for hit in found.hits.hits:
                line = self._new(line_of(hit), hit["_index"])
                if line is not None:
                    yield line
        return lacks

    def _new(self, line: Line, index: str = "") -> Optional[Line]:
        """The line, marked where it comes late; None where it was given before."""
        known = line.id in self._given
        self._given[line.id] = time.monotonic()
        self._given.move_to_end(line.id)
        if known or line.time < self._begin or (index in self._unseen and line.seen < self._started):
            return None
        return replace(line, late=True) if self._lateness.late(line, time.time()) else line

    def _forget(self) -> None:
        """Lines that a look, which saw all, did not find again: they have settled, and are no longer asked for."""
        while self._given:
            found = next(iter(self._given.values()))
            over = found < self._looked - (3 * LAG_S if len(self._given) > self._most_given else REMEMBER_S)
            # twice as many are too many, whatever was not seen: one of them may come again
            if not over and len(self._given) <= 2 * self._most_given:
                break
            self._given.popitem(last=False)

    def _tell(self, lacks: Mapping[str, str]) -> None:
        """Say once that answers are not whole, and once that they are again."""
        self._client.lacks.clear()
        self._partial = self._partial + 1 if lacks else 0
        if self._partial >= PATIENCE:
            for index, sentence in lacks.items():
                if index not in self._told:
                    self._warn(f"this is not all: {sentence}")
            self._told = dict(lacks)
        elif self._told and not lacks:
            self._warn(WHOLE_AGAIN)
            self._told = {}

    # ------------------------------------------------------------------------------------- how far indices are filled

    def _remade(self) -> None:
        """See which indices were made anew since the last look."""
        if self._uuids is None:
            return
        path = f"/{indices_of(self._prefix)}/_settings/index.uuid,index.number_of_shards"
        options = "flat_settings=true&expand_wildcards=all&ignore_unavailable=true&allow_no_indices=true"
        answer = self._client.ask("GET", f"{path}?{options}")
        if answer.status == 403:
            self._uuids = None
            self._warn(
                "an index that is made anew may go unnoticed: Elasticsearch does not let us see its uuid "
                f"(the right view_index_metadata on {self._prefix}-*)"
            )
            return
        found = self._client.read(answer.body, dict[str, _Settings]) if answer.status == 200 else {}
        uuids = {name: one.settings.get("index.uuid", "") for name, one in found.items()}
        anew = sorted(name for name, uuid in uuids.items() if self._uuids.get(name, uuid) != uuid)
        several = sorted(
            name
            for name, one in found.items()
            if name not in self._uuids and one.settings.get("index.number_of_shards", "1") != "1"
        )
        if several:
            self._warn(
                f"{named(several)} was made without daqsched's template, with more than one shard: lines there may be missed"
            )
        for name in anew:
            self._stored.forget(name)
            self._unseen.discard(name)
        if anew:
            self._warn(f"{named(anew)} was made anew, by a deletion or a restore: all that it has now is new")
        self._uuids.update(uuids)

    def _filled(self) -> dict[str, int]:
        """The newest number of each index, whatever it holds."""
        names = self._buckets(self._search(size=0, aggs={"indices": {"terms": {"field": "_index", "size": 10_000}}}))
        found = {}
        for name in names:
            hits = self._search(
                query={"term": {"_index": name}}, size=1, sort=[{"_seq_no": "desc"}], _source=False
            ).hits.hits
            with self._client.understood():
                found[name] = msgspec.convert(hits[0].get("sort"), tuple[int])[0] if hits else -1
        return found

    def _numbers(self) -> dict[str, int]:
        """The newest number of each index that was written to since the last time."""
        newest = {"newest": {"max": {"field": "_seq_no"}}}
        answer = self._search(
            query=stored_since(self._stored.newest),
            size=0,
            aggs={"indices": {"terms": {"field": "_index", "size": 10_000}, "aggs": newest}},
        )
        return self._buckets(answer)

    def _buckets(self, answer: SearchFound) -> dict[str, int]:
        with self._client.understood():
            buckets = msgspec.convert(answer.aggregations, _Indices).indices.buckets
        return {
            one.key: int(min(one.newest.value, 2.0**62)) if one.newest and one.newest.value else 0 for one in buckets
        }

    @property
    def _preference(self) -> str:
        # always the same copy of a shard: another one may be a moment behind
        return f"daqsched-{id(self)}"

    def _search(self, **body: Any) -> SearchFound:
        return self._client.search(self._prefix, preference=self._preference, **body)
