"""Answers that are waited for: until there is another one than who asks has.

Which one that is a version says. To whoever sees all it is the engine's, which grows with what happens; to whoever does not it is
made of what he is told, and so says nothing of what else happens.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from functools import partial
from typing import Callable, Optional, TypeVar

import msgspec
from starlette.requests import Request

from daqsched.engine.engine import Engine
from daqsched.serve.daemon import Ask
from daqsched.serve.http import RIGHTS_S, encoded, grants_of, still_permitted
from daqsched.serve.request_body import number_of

#: The longest that a request may be kept waiting for a change.
MOST_WAIT_S = 30.0

#: Between two looks at what is told to whoever does not see all is waited for so long at least.
TOGETHER_S = 0.25

Answer = TypeVar("Answer", bound=msgspec.Struct)


async def _anyhow() -> None:
    """Who waits for a moment of our own."""


class News:
    """See the module; ``ask`` puts a question to the engine."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._loop: Optional[asyncio.AbstractEventLoop] = None
        self._changed: Optional[asyncio.Event] = None

    def wake(self) -> None:
        """Something has changed. For any thread."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._renew)

    async def newer(self, seen: float, wait_s: float, still: Callable[[], Awaitable[None]] = _anyhow) -> None:
        """Until the engine has another version than this, for so long at most. ``still`` is asked every now and then, and raises
        where nobody is to wait any more."""
        if self._changed is None:
            self._loop, self._changed = asyncio.get_running_loop(), asyncio.Event()
        # taken before the question: a change right after its answer is not missed
        changed = self._changed
        if wait_s > 0 and await self._version() == seen:
            until = asyncio.get_running_loop().time() + wait_s
            while not changed.is_set() and until > asyncio.get_running_loop().time():
                try:
                    await asyncio.wait_for(changed.wait(), min(RIGHTS_S, until - asyncio.get_running_loop().time()))
                except asyncio.TimeoutError:
                    pass
                await still()

    async def told(
        self,
        request: Request,
        look: Callable[[], Awaitable[tuple[Answer, int]]],
        versioned: Callable[[Answer, int], Answer],
    ) -> Answer:
        """What ``look`` finds, with its version, when that is not ``seen`` or the time is over. ``look`` says, too, with which of
        the engine's versions it began."""
        seen, wait_s = number_of(request, "seen", -1), max(0.0, min(MOST_WAIT_S, number_of(request, "wait_s", 0)))
        clock, still = asyncio.get_running_loop().time, partial(still_permitted, request, "see")
        ends = clock() + wait_s
        # of whoever sees not all it is none of the engine's
        await self.newer(seen, wait_s, still)
        while True:
            began = clock()
            found, version = await look()
            grants = grants_of(request)
            if grants is None or grants.everywhere("see"):
                return versioned(found, version)
            own = _version_of(versioned(found, 0))
            if own != seen or clock() >= ends:
                return versioned(found, own)
            await asyncio.sleep(max(0.0, min(began + TOGETHER_S, ends) - clock()))
            await self.newer(version, ends - clock(), still)

    async def _version(self) -> int:
        def look(engine: Engine, now: float) -> int:
            return engine.version

        version: int = await self._ask(look)
        return version

    def _renew(self) -> None:
        assert self._changed is not None, "made before anybody could wake it"
        self._changed.set()
        self._changed = asyncio.Event()


def _version_of(found: msgspec.Struct) -> int:
    """That of an answer, but for its time: larger than the engine's are, and no larger than `number_of` takes them."""
    return 1 << 36 | int(encoded(found)[1].strip('W/"')[:9], 16)
