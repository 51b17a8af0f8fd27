"""Answers that go on until somebody ends them: so many of one caller and of all, and each ends when the daemon does."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable
from typing import Callable

from daqsched.serve.connection_budget import places
from daqsched.serve.refusals import RefusedWith

#: The type of such an answer.
EVENTS = "text/event-stream"

#: So many of one person, and of all: each takes one of the places of `connection_budget` for as long as it goes on. A crew's
#: consoles may all be one person; the last quarter is for those who have none yet.
EACH, MOST = 48, 128


class EventStream:
    """One, while it goes on; ``woken`` is set where there is something to be sent, or it is to end."""

    def __init__(self, close: Callable[[], object]) -> None:
        self.woken = asyncio.Event()
        self.over = False
        self._close = close

    def close(self) -> None:
        """It has ended: its place is free."""
        self._close()

    def end(self) -> None:
        """It sends nothing more."""
        self.over = True
        self.woken.set()


class Streams:
    """Those of one daemon's sockets; for one event loop."""

    def __init__(self) -> None:
        self._open: dict[EventStream, Hashable] = {}
        self._ending = False

    def __len__(self) -> int:
        return len(self._open)

    def opened(self, whose: Hashable) -> EventStream:
        """One more of this caller, to be closed; raises `RefusedWith` where there are too many."""
        own = sum(one == whose for one in self._open.values())
        if own >= EACH:
            raise RefusedWith(
                "busy", f"you have {EACH} streams of events open: one for a browser is enough, close some"
            )
        if len(self._open) >= places(MOST, own > 0) or self._ending:
            raise RefusedWith("busy", f"{len(self._open)} streams of events are open: try again in a while")
        return self._made(whose)

    def passed_on(self) -> EventStream:
        """One that comes from the daemon that leads, which counts it."""
        return self._made(None)

    def _made(self, whose: Hashable) -> EventStream:
        made = EventStream(lambda: self._open.pop(made, None))
        self._open[made] = whose
        if self._ending:
            made.end()
        return made

    def end(self) -> None:
        """All of them, and no new one."""
        self._ending = True
        for one in self._open:
            one.end()
