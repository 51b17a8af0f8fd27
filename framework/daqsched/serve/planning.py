"""What takes its time and changes nothing (plans, selections, looking through a spec): beside the loops, with an end.

The thread that owns the engine gives a snapshot, the thread that answers everybody goes on answering, and a few threads think,
each for another caller. They can't be ended from outside; they look at the time wherever they go through instances.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Hashable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Callable, Optional, TypeVar

from daqsched.errors import UserError
from daqsched.limits import PLANNING

Answer = TypeVar("Answer")
Each = TypeVar("Each")

#: How many instances are gone through between two looks at the time.
STRIDE = 256


class Deadline:
    """When whoever thinks has to be done; raises `UserError` afterwards."""

    def __init__(self, seconds: float = PLANNING.most, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds, self._clock, self._until = seconds, clock, clock() + seconds
        self._steps = 0

    def look(self) -> None:
        """Go on, or give up."""
        if self._clock() > self._until:
            raise UserError(
                f"it took more than {self._seconds:g} s to work out, and was given up: ask for a part (--only), or for less"
            )

    def within(self, chosen: Callable[[str, str], bool]) -> Callable[[str, str], bool]:
        """The same choice, for as long as there is time."""

        def test(job: str, host: str) -> bool:
            self._step()
            return chosen(job, host)

        return test

    def each(self, values: Iterable[Each]) -> Iterator[Each]:
        """The same values, for as long as there is time."""
        for value in values:
            self._step()
            yield value

    def _step(self) -> None:
        self._steps += 1
        if self._steps % STRIDE == 0:
            self.look()


class Turns:
    """Who may work, of many who want to: so many at once, and so many of one caller; the callers take turns.

    Whoever asks for a hundred things at once waits for them one after the other, and holds nobody else up. For one event loop.
    """

    def __init__(self, most: int, each: int = 1) -> None:
        self._most, self._each = most, each
        self._under_way: Counter[Hashable] = Counter()
        #: Those who wait, by caller; whose turn is next comes first.
        self._waiting: dict[Hashable, deque[asyncio.Future[None]]] = {}

    def under_way(self, whose: Hashable) -> int:
        """How many of this caller's are."""
        return self._under_way[whose]

    def waiting(self, whose: Hashable) -> int:
        """How many turns this caller waits for."""
        return len(self._waiting.get(whose, ()))

    @asynccontextmanager
    async def of(self, whose: Hashable) -> AsyncIterator[None]:
        """While one turn of this caller lasts."""
        await self.take(whose)
        try:
            yield
        finally:
            self.end(whose)

    async def take(self, whose: Hashable, wait_s: Optional[float] = None) -> bool:
        """Begin one when it has come, to be ended by `end`; False: it has not within ``wait_s`` (None: however long)."""
        if not self._full(whose):
            self._under_way[whose] += 1
            return True
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(whose, deque()).append(turn)
        try:
            await asyncio.wait({turn}, timeout=wait_s)
        except asyncio.CancelledError:
            if turn.done():
                self.end(whose)  # it had just come
            turn.cancel()
            raise
        if turn.done():
            return True
        turn.cancel()
        self._forget(whose)
        return False

    def end(self, whose: Hashable) -> None:
        """One turn of this caller is over."""
        self._under_way[whose] -= 1
        if not self._under_way[whose]:
            del self._under_way[whose]
        for other in list(self._waiting):
            self._forget(other)
            if other not in self._waiting or self._full(other):
                continue
            turns = self._waiting.pop(other)
            self._under_way[other] += 1
            turns.popleft().set_result(None)
            if turns:
                self._waiting[other] = turns  # behind the others

    def _full(self, whose: Hashable) -> bool:
        return self._under_way[whose] >= self._each or sum(self._under_way.values()) >= self._most

    def _forget(self, whose: Hashable) -> None:
        """Those that did not wait so long."""
        turns = deque(turn for turn in self._waiting.get(whose, ()) if not turn.done())
        if turns:
            self._waiting[whose] = turns
        else:
            self._waiting.pop(whose, None)


class Planning:
    """Threads for what takes long, for one event loop: as many at once, and one of each caller."""

    def __init__(self, name: str = "planning", threads: int = 3) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._turns = Turns(threads)

    async def do(
        self, whose: Hashable, work: Callable[[Deadline], Answer], deadline: Optional[Deadline] = None
    ) -> Answer:
        """What the work comes to; its time counts from now, or from where its deadline began: also while the caller's other
        work is done first."""
        until = deadline or Deadline()
        async with self._turns.of(whose):
            until.look()
            return await asyncio.get_running_loop().run_in_executor(self._pool, work, until)
