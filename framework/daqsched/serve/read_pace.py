"""How fast an answer has to be read: each piece of it within a time, so that it has an end however slow its reader is.

A caller that reads a byte now and then would keep all of its answer in memory, and its place, for days.
"""

from __future__ import annotations

import asyncio
from typing import Any, Awaitable, Callable

Send = Callable[[Any], Awaitable[None]]

#: So much of an answer is handed to the connection at once: while it is not read, no more is.
PIECE = 1 << 20


def paced(send: Send, limit_s: float, late: Callable[[], None]) -> Send:
    """The same, piece by piece; ``late`` is to end the connection: what came before a piece was not read within the time.

    What was handed over last is `connections`' to wait for.
    """

    async def sending(message: Any) -> None:
        body, at = message.get("body", b""), 0
        for at in range(PIECE, len(body), PIECE):
            await within({**message, "body": body[at - PIECE : at], "more_body": True})
        await within({**message, "body": body[at:]} if at else message)

    async def within(message: Any) -> None:
        try:
            await asyncio.wait_for(send(message), limit_s)
        except asyncio.TimeoutError:
            late()

    return sending
