"""The daemon's answers to pages that stay open: the board, and the stream of what changes of it.

A stream is bounded in what it may lag behind, and ends with the right to it: every `RIGHTS_S` it is looked at who is behind it.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections.abc import AsyncIterator
from typing import Callable

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from daqsched.errors import DaqschedError, UserError
from daqsched.limits import brief, shown, some
from daqsched.serve.board_table import FARM, TOPICS, reset
from daqsched.serve.board_view import BoardView
from daqsched.serve.daemon import Ask, Daemon
from daqsched.serve.http import RIGHTS_S, answered, grants_of, route, still_permitted, whose
from daqsched.serve.live_board import LiveBoard
from daqsched.serve.request_body import text_of, texts_of
from daqsched.serve.streams import EVENTS, EventStream, Streams

#: How often a stream says that it is alive, and how long it goes on, in seconds: whoever asks again then shows anew who that is.
ALIVE_S, LONGEST_S = 10.0, 600.0

#: What a browser waits before it asks again, in milliseconds.
_BEGIN = b"retry: 2000\n\n"

#: What keeps proxies from holding a stream back.
_HEADERS = {"cache-control": "no-store", "x-accel-buffering": "no"}

_SINCE = re.compile(r"([0-9a-f]{12})\.([0-9]{1,15})\Z")


class BoardRoutes:
    """The routes; ``ask`` puts a question to the engine."""

    def __init__(self, daemon: Daemon, ask: Ask, leader: str, audit: Callable[[], str]) -> None:
        self._board = LiveBoard(daemon, ask, leader, audit)
        daemon.subscribers.append(self._board.note)

    @property
    def routes(self) -> list[Route]:
        """For the application."""
        return [route("GET", "/board", self.board), route("GET", "/events", self.events)]

    async def board(self, request: Request) -> Response:
        return answered(request, *await self._board.answer(grants_of(request)))

    async def events(self, request: Request) -> Response:
        topics = frozenset(texts_of(request, "topics")) or TOPICS
        if not topics <= TOPICS:
            strange = some(sorted(shown(one) for one in topics - TOPICS))
            raise UserError(f"topics={strange}: there are {', '.join(sorted(TOPICS))}; without any both are meant")
        since, view = _since(request), await self._board.view(grants_of(request))
        if request.method == "HEAD":
            return Response(headers=_HEADERS, media_type=EVENTS)
        streams: Streams = request.scope["streams"]
        stream = streams.opened(whose(request))
        return _Events(self._told(request, view, stream, since, topics), stream)

    async def _told(
        self, request: Request, view: BoardView, stream: EventStream, since: tuple[str, int], topics: frozenset[str]
    ) -> AsyncIterator[bytes]:
        """The events of one stream."""
        table, (epoch, v) = view.table, since
        first, alone = _BEGIN, topics == frozenset({FARM})
        if epoch != table.epoch or not table.follows(v):
            if not alone:
                yield first + reset("there is no way from that version to the present one: ask GET /v1/board")
                return
            v, first = table.v, first + table.whole_head(self._board.now)
        with self._board.watched(view, stream):
            yield first
            ends = time.monotonic() + LONGEST_S
            alive, looked = time.monotonic(), time.monotonic()
            while not stream.over and time.monotonic() < ends:
                stream.woken.clear()
                found = table.since(v, topics) if view.table is table else None
                if found is None and alone:  # the head is all that there is to know
                    table = view.table
                    found = table.v, table.whole_head(self._board.now)
                if found is None:
                    yield reset("the events were not read as fast as they came, or cells have other numbers now")
                    return
                if time.monotonic() - looked >= RIGHTS_S:
                    looked = time.monotonic()
                    why = await self._ended(request, view)
                    if why:
                        yield reset(why)
                        return
                v, events = found
                if events:
                    yield events
                    alive = time.monotonic()
                if time.monotonic() - alive >= ALIVE_S and self._board.quiet_s < ALIVE_S:
                    yield b": all that is known is told\n\n"
                    alive = time.monotonic()
                if v == table.v and view.table is table:
                    with contextlib.suppress(asyncio.TimeoutError):
                        await asyncio.wait_for(stream.woken.wait(), RIGHTS_S)

    async def _ended(self, request: Request, view: BoardView) -> str:
        """Why who watches is not to be told any more; empty: all is as before."""
        try:
            await still_permitted(request, "see")
        except DaqschedError as error:
            return brief(str(error))
        return "" if self._board.shows(view, grants_of(request)) else "you may see something else now"


class _Events(StreamingResponse):
    """Gives its place free however it ends."""

    def __init__(self, events: AsyncIterator[bytes], stream: EventStream) -> None:
        super().__init__(events, headers=_HEADERS, media_type=EVENTS)
        self._stream = stream

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._stream.close()


def _since(request: Request) -> tuple[str, int]:
    """The epoch and the version that who asks has; none of ours: there is none. What a browser says of itself, as it comes back,
    is newer than the address."""
    text = request.headers.get("last-event-id", "") or text_of(request, "since")
    found = _SINCE.match(text)
    if found is None and text_of(request, "since") == text != "":
        raise UserError(f"since={shown(text)} is not EPOCH.V, as GET /v1/board has them (`epoch`, `v`)")
    return (found[1], int(found[2])) if found is not None else ("", 0)
