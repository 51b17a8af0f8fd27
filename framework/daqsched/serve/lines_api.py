"""The daemon's answers about stored lines: it searches Elasticsearch with an account of its own, for those who have none.

What somebody may read is a filter beside whatever he asks for (`logs.permitted`, `Elastic.within`), made of the rights and of the
farm of the moment at which his turn comes. A question is one of our own (`logs.query`): nobody sends Elasticsearch's language,
and there are no regular expressions. Where Elasticsearch says why it can't search, it may name what is not for everybody:
that is for those who may read the daemon's log.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Hashable
from typing import TYPE_CHECKING, Any, Callable, Optional, TypeVar

from starlette.requests import Request
from starlette.routing import Route

from daqsched.errors import DaqschedError, Refused, Unreachable, UserError
from daqsched.limits import MOMENT, number, some
from daqsched.logs import permitted
from daqsched.logs.count import names_from
from daqsched.logs.query import ORDER, Wanted, query
from daqsched.protocol import (
    CountLinesAnswer,
    CountLinesRequest,
    LineGroup,
    LinesAnswer,
    LinesRequest,
    LinesWanted,
    StoredLine,
)
from daqsched.rights.grants import Grants
from daqsched.select import ensure_patterns, selection
from daqsched.serve.http import caller_of, grants_of, route, still_permitted
from daqsched.serve.refusals import RefusedWith
from daqsched.serve.request_body import body_of
from daqsched.serve.searches import MOST_WHOLE, SEARCH_S, WHOLE_S, Searches
from daqsched.spec import Spec

if TYPE_CHECKING:
    from daqsched.logs.elastic import Elastic
    from daqsched.logs.lines import Line
    from daqsched.logs.sources import StoredSource

Answer = TypeVar("Answer")
Ask = Callable[[Callable[[Any, float], Any]], Awaitable[Any]]

logger = logging.getLogger(__name__)

#: So many lines, and groups of lines, an answer has at most.
MOST_LINES, MOST_GROUPS = 1000, 10_000

#: What is said in the place of what Elasticsearch says, to who may not read logs.
UNSAID = "Elasticsearch can't search now, or not everywhere: the daemon's log says why, ask who runs the farm"


class Lines:
    """The routes; ``ask`` puts a question to the engine, ``index`` is the first part of the indices' names where the job file says
    no other."""

    def __init__(self, ask: Ask, searches: Searches, index: str) -> None:
        self._ask, self._searches, self._index = ask, searches, index

    @property
    def routes(self) -> list[Route]:
        """For the application."""
        return [route("POST", "/lines", self.lines), route("POST", "/lines/count", self.count)]

    async def lines(self, request: Request) -> LinesAnswer:
        body = await body_of(request, LinesRequest)
        most = _most(body.most)

        def work(source: StoredSource) -> LinesAnswer:
            found = source.tail(most)
            begin = found[0].time if found and len(found) >= most else None
            return LinesAnswer(
                list(map(_told, found)), source.lacking(begin), "" if found or not most else source.nothing()
            )

        return await self._search(request, wanted_of(body), work)

    async def count(self, request: Request) -> CountLinesAnswer:
        body = await body_of(request, CountLinesRequest)
        by = names_from(",".join(body.by))
        if body.every_s and not 1.0 <= body.every_s <= 1e8:
            raise UserError(f"every_s={body.every_s:g}: intervals have one second or more")
        if not abs(body.offset_s) <= 86400.0:
            raise UserError(f"offset_s={body.offset_s:g}: no time is off by more than a day")

        def work(source: StoredSource) -> CountLinesAnswer:
            found, total = source.stretch(by, body.every_s, body.offset_s, MOST_GROUPS)
            groups = [LineGroup(one.values, one.count, one.time) for one in found]
            return CountLinesAnswer(groups, total, source.lacking())

        return await self._search(request, wanted_of(body), work)

    async def _search(self, request: Request, wanted: Wanted, work: Callable[[StoredSource], Answer]) -> Answer:
        """What the work comes to, for who asks."""
        if self._searches.account is None:
            raise UserError(
                "this daemon searches no lines: `serve --elasticsearch URL` or `--search URL` says where; "
                "with an account of your own in it: `daqsched logs --elasticsearch https://es1:9200`"
            )
        told = Told()

        async def begin() -> Callable[[Elastic], Answer]:
            await still_permitted(request, "lines")
            grants = grants_of(request)
            spec: Spec = await self._ask(lambda engine, now: engine.spec)
            told.all = grants is None or not grants.why_not("log")
            return lambda client: self._asked(client, grants, spec, wanted, work)

        try:
            answer = await self._searches.run(share_of(request), begin)
        except DaqschedError as error:
            raise told.error(error) from None
        if getattr(answer, "lacks", None):
            answer.lacks = told.lacks(answer.lacks)  # type: ignore[attr-defined]  # it has them
        return answer

    def _asked(
        self,
        client: Elastic,
        grants: Optional[Grants],
        spec: Spec,
        wanted: Wanted,
        work: Callable[[StoredSource], Answer],
    ) -> Answer:
        from daqsched.logs.elastic import Within
        from daqsched.logs.sources import StoredSource

        until = time.monotonic() + WHOLE_S
        within = Within(None, lambda source: True, until, SEARCH_S, MOST_WHOLE)
        if grants is not None:
            found = permitted.filter_of(grants, spec)
            within = within._replace(filter=found, permits=permitted.test_of(grants, spec))
        index = spec.logging.index or self._index
        if any(letter in index for letter in '*?,/<>| \\"#:%'):
            raise UserError(f"{index!r} is not the first part of an index's name")
        return work(StoredSource(client.within(within), index, wanted, lambda sentence: None))


class Told:
    """What is told of what Elasticsearch says."""

    all = False

    def error(self, error: DaqschedError) -> DaqschedError:
        """The same failure; without what it says of Elasticsearch, where that is not for who asks."""
        from daqsched.logs.elastic import NotWithin

        ours = isinstance(error, (NotWithin, RefusedWith)) or (isinstance(error, Refused) and error.verb)
        if self.all or ours or not isinstance(error, (Unreachable, Refused, UserError)):
            return error
        logger.warning("a search failed: %s", error)
        return Unreachable(UNSAID)

    def lacks(self, lacks: list[str]) -> list[str]:
        """Why an answer is not all."""
        if self.all:
            return lacks
        logger.warning("a search was not whole: %s", "; ".join(lacks))
        return [UNSAID]


def share_of(request: Request) -> Hashable:
    """Whose share of searches a request takes: of a person of the rights one, by whatever door."""
    caller = caller_of(request)
    if caller.grants is None:
        return caller.name, caller.uid
    return caller.grants.person


def wanted_of(body: LinesWanted) -> Wanted:
    """What is asked for; raises `UserError` where that can't be meant."""
    selection(body.select)
    selection([f"@{host}" for host in body.hosts])
    ensure_patterns(body.streams)
    strange = sorted(set(body.levels).difference(ORDER))
    if strange:
        raise UserError(f"{some(strange)}: not a level; there are {', '.join(ORDER)}")
    for name in ("since", "until"):
        wrong = number(getattr(body, name) or 0.0, MOMENT)
        if wrong:
            raise UserError(f"{name}: {wrong}")
    wanted = Wanted(
        words=tuple(body.select),
        hosts=tuple(body.hosts),
        streams=tuple(body.streams),
        levels=tuple(body.levels),
        runs=tuple(body.runs),
        since=None if body.since is None else max(0.0, body.since),
        until=None if body.until is None else max(0.0, body.until),
        text=body.grep,
    )
    query(wanted)
    return wanted


def _told(line: Line) -> StoredLine:
    return StoredLine(**vars(line))


def _most(most: int) -> int:
    if not 0 <= most <= MOST_LINES:
        raise UserError(
            f"most={most}: an answer has 0 to {MOST_LINES:,} lines; with an account of your own in Elasticsearch more"
        )
    return most
