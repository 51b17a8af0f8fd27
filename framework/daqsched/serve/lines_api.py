"""The daemon's answers about stored lines: it searches Elasticsearch with an account of its own, for those who have none.

What somebody may read is a filter beside whatever he asks for (`logs.permitted`, `Elastic.within`), made of the rights and of the
farm of the moment at which his turn comes. A question is one of our own (`logs.query`): nobody sends Elasticsearch's language,
and there are no regular expressions. What Elasticsearch says itself is disclosed to some alone (`disclosure`).
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Callable, Optional, TypeVar

from starlette.requests import Request
from starlette.routing import Route

from daqsched.engine.job_owners import taken
from daqsched.errors import DaqschedError, UserError
from daqsched.limits import MOMENT, number, some
from daqsched.logs import permitted
from daqsched.logs.count import names_from
from daqsched.logs.query import ORDER, Wanted, query
from daqsched.protocol import (
    MOST_FINGERPRINTS,
    MOST_GROUPS,
    MOST_LINES,
    CountLinesAnswer,
    CountLinesRequest,
    DeadLetter,
    DeadLettersAnswer,
    DeadLettersRequest,
    FollowLinesAnswer,
    FollowLinesRequest,
    LineExamplesAnswer,
    LineExamplesRequest,
    LineGroup,
    LinesAnswer,
    LinesContextAnswer,
    LinesContextRequest,
    LinesRequest,
    LinesWanted,
    NewLinesAnswer,
    NewLinesRequest,
    NewMessage,
    StoredLine,
)
from daqsched.rights.grants import Grants
from daqsched.select import ensure_patterns, selection
from daqsched.serve.daemon import Ask
from daqsched.serve.disclosure import Disclosure
from daqsched.serve.follow_sessions import FollowSessions
from daqsched.serve.http import grants_of, route, still_permitted, whose
from daqsched.serve.refusals import RefusedWith
from daqsched.serve.request_body import body_of
from daqsched.serve.searches import MOST_WHOLE, SEARCH_S, WHOLE_S, Searches
from daqsched.spec import Spec
from daqsched.task import Owned

if TYPE_CHECKING:
    from daqsched.logs.elastic import Elastic
    from daqsched.logs.lines import Line
    from daqsched.logs.sources import StoredSource

Answer = TypeVar("Answer")

#: So many lines that it was given are known of a following; of each some 230 bytes, and twice as many for a moment.
MOST_GIVEN = 20_000


class LineRoutes:
    """The routes; ``ask`` puts a question to the engine, ``index`` is the first part of the indices' names where the job file says
    no other."""

    def __init__(self, ask: Ask, searches: Searches, index: str) -> None:
        self._ask, self._searches, self._index = ask, searches, index
        self._follow_sessions = FollowSessions()

    @property
    def routes(self) -> list[Route]:
        """For the application."""
        return [
            route("POST", "/lines", self.lines),
            route("POST", "/lines/count", self.count),
            route("POST", "/lines/examples", self.examples),
            route("POST", "/lines/context", self.context),
            route("POST", "/lines/new", self.new),
            route("POST", "/lines/follow", self.follow),
            route("POST", "/lines/dead", self.dead),
        ]

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

    async def examples(self, request: Request) -> LineExamplesAnswer:
        body = await body_of(request, LineExamplesRequest)
        if len(body.fingerprints) > MOST_FINGERPRINTS:
            raise UserError(f"fingerprints: at most {MOST_FINGERPRINTS} at a time")
        wanted = wanted_of(body)

        def work(source: StoredSource) -> LineExamplesAnswer:
            return LineExamplesAnswer(source.examples_of(body.fingerprints), source.lacking())

        return await self._search(request, wanted, work)

    async def context(self, request: Request) -> LinesContextAnswer:
        body = await body_of(request, LinesContextRequest)
        most, at = _most(body.most), body.at
        if (at is None) == (not body.line):
            raise UserError("lines are asked for around either a moment (at) or a line (line)")

        def work(source: StoredSource) -> LinesContextAnswer:
            if at is None:
                before, line, after = source.around_line(body.line, body.scope, most)
                return LinesContextAnswer(list(map(_told, before)), list(map(_told, after)), _told(line))
            before, after = source.around(max(0.0, at), most)
            begin = before[0].time if before and len(before) >= most // 2 else None
            says = "" if before or after else source.nothing()
            return LinesContextAnswer(
                list(map(_told, before)), list(map(_told, after)), None, source.lacking(begin), says
            )

        return await self._search(request, wanted_of(body), work)

    async def new(self, request: Request) -> NewLinesAnswer:
        body = await body_of(request, NewLinesRequest)
        after = _moment("after", body.after)

        def work(source: StoredSource) -> NewLinesAnswer:
            found = source.new(after)
            messages = [
                NewMessage(_told(one.first), one.count, one.hosts, one.host_count)
                for one in found.messages[:MOST_LINES]
            ]
            return NewLinesAnswer(messages, found.lines, found.without, found.cut, source.lacking())

        return await self._search(request, wanted_of(body), work)

    async def follow(self, request: Request) -> FollowLinesAnswer:
        body = await body_of(request, FollowLinesRequest)
        wanted, caller, most = wanted_of(body), whose(request), _most(body.most)
        self._ensure_account()
        name, session = body.follow, None
        if name:
            session = self._follow_sessions.known(name, caller, wanted)
        else:
            name, session = self._follow_sessions.begin(caller, wanted)

        def work(source: StoredSource) -> FollowLinesAnswer:
            says: list[str] = []
            if not session.lock.acquire(blocking=False):
                raise RefusedWith(
                    "too-many-searches", "these lines are being asked for already: one question at a time"
                )
            try:
                if session.follower is None:
                    session.follower = source.follower(says.append, MOST_GIVEN)
                    lines, more = session.follower.tail(most), False
                    says += [f"this is not all: {one}" for one in source.lacking(lines[0].time if lines else None)]
                else:
                    lines, more = source.look(session.follower, says.append, MOST_LINES)
            finally:
                session.lock.release()
            return FollowLinesAnswer(name, list(map(_told, lines)), more, says)

        try:
            return await self._search(request, wanted, work)
        except DaqschedError:
            if not body.follow:
                self._follow_sessions.end(name)
            raise

    async def dead(self, request: Request) -> DeadLettersAnswer:
        body = await body_of(request, DeadLettersRequest)
        most = _most(body.most)
        wanted = wanted_of(LinesWanted(hosts=body.hosts, since=body.since))

        def work(source: StoredSource) -> DeadLettersAnswer:
            letters = [
                DeadLetter(
                    one.id,
                    one.time,
                    one.host,
                    one.job,
                    one.stream,
                    one.target,
                    one.reason,
                    one.message,
                    bool(one.original),
                )
                for one in source.dead(most)
            ]
            return DeadLettersAnswer(letters, source.lacking())

        return await self._search(request, wanted, work)

    def _ensure_account(self) -> None:
        if self._searches.account is None:
            raise UserError(
                "this daemon searches no lines: `serve --elasticsearch URL` or `--search URL` says where; "
                "with an account of your own in it: `daqsched logs --elasticsearch https://es1:9200`"
            )

    async def _search(self, request: Request, wanted: Wanted, work: Callable[[StoredSource], Answer]) -> Answer:
        """What the work comes to, for who asks."""
        self._ensure_account()
        disclosure = Disclosure()

        async def begin() -> Callable[[Elastic], Answer]:
            await still_permitted(request, "lines")
            grants = grants_of(request)
            found: tuple[Spec, Mapping[str, Owned]] = await self._ask(lambda engine, now: (engine.spec, engine.owned))
            spec, owned = found
            disclosure.all = grants is None or not grants.why_not("log")
            return lambda client: self._asked(client, grants, spec, taken(owned), wanted, work)

        try:
            answer = await self._searches.run(whose(request), begin)
        except DaqschedError as error:
            raise disclosure.error(error) from None
        for field in ("lacks", "says"):
            sentences = getattr(answer, field, None)
            if sentences and isinstance(sentences, list):
                setattr(answer, field, disclosure.lacks(sentences))
            elif sentences:
                setattr(answer, field, disclosure.nothing(sentences))
        return answer

    def _asked(
        self,
        client: Elastic,
        grants: Optional[Grants],
        spec: Spec,
        former: Mapping[str, float],
        wanted: Wanted,
        work: Callable[[StoredSource], Answer],
    ) -> Answer:
        from daqsched.logs.bounded_search import Within
        from daqsched.logs.sources import StoredSource

        until = time.monotonic() + WHOLE_S
        within = Within(None, lambda source: True, until, SEARCH_S, MOST_WHOLE)
        if grants is not None:
            found = permitted.filter_of(grants, spec, former)
            within = within._replace(filter=found, permits=permitted.test_of(grants, spec, former))
        index = spec.logging.index or self._index
        if any(letter in index for letter in '*?,/<>| \\"#:%'):
            raise UserError(f"{index!r} is not the first part of an index's name")
        return work(StoredSource(client.within(within), index, wanted, lambda sentence: None))


def wanted_of(body: LinesWanted) -> Wanted:
    """What is asked for; raises `UserError` where that can't be meant."""
    selection(body.select)
    selection([f"@{host}" for host in body.hosts])
    ensure_patterns(body.streams)
    strange = sorted(set(body.levels).difference(ORDER))
    if strange:
        raise UserError(f"{some(strange)}: not a level; there are {', '.join(ORDER)}")
    wanted = Wanted(
        words=tuple(body.select),
        hosts=tuple(body.hosts),
        streams=tuple(body.streams),
        levels=tuple(body.levels),
        runs=tuple(body.runs),
        since=None if body.since is None else _moment("since", body.since),
        until=None if body.until is None else _moment("until", body.until),
        text=body.grep,
    )
    query(wanted)
    return wanted


def _moment(name: str, value: float) -> float:
    wrong = number(value, MOMENT)
    if wrong:
        raise UserError(f"{name}: {wrong}")
    return max(0.0, value)


def _told(line: Line) -> StoredLine:
    return StoredLine(**vars(line))


def _most(most: int) -> int:
    if not 0 <= most <= MOST_LINES:
        raise UserError(
            f"most={most}: an answer has 0 to {MOST_LINES:,} lines; with an account of your own in Elasticsearch more"
        )
    return most
