"""How fast an answer has to be read: each piece of it within a time, so that it has an end however slow its reader is.

A caller that reads a byte now and then would keep all of its answer in memory, and its place, for days; one that asks again and
again and reads nothing would have as many answers there as connections.
"""

from __future__ import annotations

import asyncio
from collections.abc import Hashable
from typing import Any, Awaitable, Callable

from daqsched.serve.connection_budget import SMALL_BYTES, ConnectionBudget

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


class Unread:
    """``send`` of one request, for an answer that there is room for; else ``refuse`` says why in its place."""

    def __init__(
        self, send: Send, room: ConnectionBudget, caller: Hashable, refuse: Callable[[str], Awaitable[None]]
    ) -> None:
        self._send, self._room, self._caller, self._refuse = send, room, caller, refuse
        self._count = 0
        self._refused = False

    async def __call__(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            size = next((int(value) for name, value in message["headers"] if name.lower() == b"content-length"), 0)
            if size > SMALL_BYTES:
                why = self._room.tell(self._caller, size)
                if why:
                    self._refused = True
                    await self._refuse(why)
                else:
                    self._count = size
        if not self._refused:
            await self._send(message)

    def over(self) -> None:
        """It was sent, or its caller went away."""
        if self._count:
            self._room.told(self._caller, self._count)
            self._count = 0
