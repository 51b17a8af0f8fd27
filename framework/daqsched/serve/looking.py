"""Has the look made that an apply begins with (`views.look`), by the executor's survey, within a time that nobody notices."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable
from typing import Callable

from daqsched.engine import events
from daqsched.engine.engine import Engine
from daqsched.engine.preflight_steps import why_waiting
from daqsched.errors import Refused
from daqsched.preflight import Question
from daqsched.serve.daemon import Ask, Daemon
from daqsched.views.look import Looked, looked

#: So long it takes at most; what has not been heard by then is not waited for.
LOOK_S = 3.0

#: So much longer where a survey is under way: its executor tells of a path that hangs after `Probe.timeout_s`, 5 s.
GRACE_S = 7.0

#: Waits until the engine's version is another one, for so many seconds at most.
Newer = Callable[[int, float], Awaitable[None]]


class Looking:
    """See the module."""

    def __init__(self, daemon: Daemon, ask: Ask, newer: Newer) -> None:
        self._daemon, self._ask, self._newer = daemon, ask, newer

    async def look(
        self, user: str, asked: dict[str, tuple[Question, ...]], ensure: Callable[[Engine, float], None]
    ) -> tuple[str, ...]:
        """What is doubtful, a sentence each; raises `Refused` where something could start on none of the hosts, and what
        ``ensure`` raises, which looks at the engine before anybody is asked."""
        id = secrets.token_hex(4)
        seen: list[tuple[Looked, int]] = []  # nothing, where it was not even asked
        event = events.PreflightAsked(id, user, asked, LOOK_S, grace_s=GRACE_S)
        try:
            await asyncio.wrap_future(
                self._daemon.request(
                    event, None, before=ensure, after=lambda engine, now: seen.append(_answer(engine, id))
                )
            )
        except Refused as error:
            if not seen:
                raise
            return (f"whether it could start was not looked at before: {error}",)
        found, version = seen[0]
        while not found.decided:
            await self._newer(version, LOOK_S + GRACE_S)
            found, version = await self._ask(lambda engine, now: _answer(engine, id))
        if found.bad:
            raise Refused(found.refusal())
        return found.doubts


def _answer(engine: Engine, id: str) -> tuple[Looked, int]:
    made = engine.preflights.made.get(id)
    asks = made.asks.values() if made is not None else ()  # so many others came that it is forgotten
    return looked(asks, lambda ask: why_waiting(engine, ask)), engine.version
