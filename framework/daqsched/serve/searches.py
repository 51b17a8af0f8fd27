"""Searches in Elasticsearch for whoever asks the daemon: on threads of their own, so many at once, and each with an end.

Of one caller two are under way, of all four; who has more waits for a while and is then told to come again, so nobody's searches
keep others from theirs. A search that is under way keeps its place until it has ended, also where nobody waits for it any more.
"""

from __future__ import annotations

import asyncio
import os
import queue
import time
from collections import Counter
from collections.abc import Awaitable, Hashable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Callable, NamedTuple, Optional, TypeVar

from daqsched.serve.planning import Turns
from daqsched.serve.refusals import RefusedWith
from daqsched_executor.contract.forwarding import NO_ACCESS, Access

if TYPE_CHECKING:
    from daqsched.logs.elastic import Elastic

Answer = TypeVar("Answer")

#: So many at once, and so many of one caller.
MOST, EACH = 4, 2

#: So many of one caller may wait, and so long; of all together so many.
WAITING, WAIT_S, ALL_WAITING = 8, 8.0, 200

#: So long Elasticsearch works at a search, which then answers with what it has; so long we wait for an answer; and so long
#: all that a request asks may take. A caller waits 30 s in all.
SEARCH_S, ANSWER_S, WHOLE_S = 8.0, 10.0, 15.0

#: An answer of Elasticsearch's is at most so long: what is larger would keep the daemon from its work while it is read.
MOST_BYTES = 8 << 20
#: So much all answers to a request may be.
MOST_WHOLE = 32 << 20


class SearchAccount(NamedTuple):
    """Where the daemon searches, and as whom."""

    url: str
    access: Access = NO_ACCESS


class Searches:
    """For one event loop; clients are made when they are needed, as importing them takes its time and 38 MB."""

    def __init__(self, account: Optional[SearchAccount], most: int = MOST, each: int = EACH) -> None:
        self.account = account
        self._pool = ThreadPoolExecutor(most, thread_name_prefix="searching")
        self._turns = Turns(most, each)
        self._waiting = 0
        self._clients: queue.SimpleQueue[tuple[Hashable, Elastic]] = queue.SimpleQueue()
        #: How often what happened since the daemon began: ``asked``, ``waited``, ``refused``, ``failed``.
        self.counts: Counter[str] = Counter()
        self._closed = False

    async def _turn(self, whose: Hashable) -> None:
        self.counts["asked"] += 1
        if self._turns.waiting(whose) >= WAITING or self._waiting >= ALL_WAITING:
            self._refuse(whose)
        self._waiting += 1
        began = time.monotonic()
        try:
            come = await self._turns.take(whose, WAIT_S)
        finally:
            self._waiting -= 1
        self.counts["waited"] += time.monotonic() - began > 0.05
        if not come:
            self._refuse(whose)

    def _refuse(self, whose: Hashable) -> None:
        self.counts["refused"] += 1
        if not self._turns.under_way(whose):
            raise RefusedWith("busy", "others' searches take all places that there are: ask again in a while")
        raise RefusedWith(
            "too-many-searches",
            f"{EACH} searches of yours are under way, and others wait: one of yours has to end first, ask again in a while",
        )

    async def run(self, whose: Hashable, begin: Callable[[], Awaitable[Callable[[Elastic], Answer]]]) -> Answer:
        """What the work comes to that ``begin`` gives when this caller's turn has come; raises what either raises."""
        await self._turn(whose)
        try:
            work = await begin()
            job = asyncio.get_running_loop().run_in_executor(self._pool, self._work, work)
        except BaseException:
            self._turns.end(whose)
            raise
        job.add_done_callback(lambda done: self._ended(whose, done))
        return await asyncio.shield(job)

    def _ended(self, whose: Hashable, done: asyncio.Future[Answer]) -> None:
        self._turns.end(whose)
        if not done.cancelled() and done.exception() is not None:
            self.counts["failed"] += 1

    def _work(self, work: Callable[[Elastic], Answer]) -> Answer:
        stamp, client = self._client()
        try:
            return work(client)
        finally:
            if self._closed:
                client.close()
            else:
                self._clients.put((stamp, client))

    def _client(self) -> tuple[Hashable, Elastic]:
        """One that nobody uses now, with the files as they are."""
        assert self.account is not None, "who asks was told before"
        stamp = _stamp(self.account.access)
        while True:
            try:
                known, found = self._clients.get_nowait()
            except queue.Empty:
                break
            if known == stamp:
                return stamp, found
            found.close()
        from daqsched.logs.elastic import Elastic

        return stamp, Elastic(self.account.url, self.account.access, ANSWER_S, MOST_BYTES)

    def close(self) -> None:
        """No more of it; one that is under way ends by itself."""
        self._closed = True
        self._pool.shutdown(wait=False)
        while True:
            try:
                self._clients.get_nowait()[1].close()
            except queue.Empty:
                return


def _stamp(access: Access) -> Hashable:
    """Another one once a file was changed."""
    found: list[Hashable] = []
    for path in filter(None, access):
        try:
            told = os.stat(path)
        except OSError:
            found.append(None)
        else:
            found.append((told.st_ino, told.st_size, told.st_mtime_ns))
    return tuple(found)
