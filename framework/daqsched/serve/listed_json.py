"""A long list in JSON, of a farm's many instances, which no other thread has to wait for."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec


class ListedJson:
    """A list in JSON, encoded as it comes: the encoder lets no other thread work before it is done."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    async def add(self, values: list[Any]) -> None:
        """Some more."""
        if values:
            self._parts.append((await asyncio.to_thread(msgspec.json.encode, values))[1:-1])

    def whole(self) -> Any:
        """What stands in the list's place, in what is encoded."""
        return msgspec.Raw(b"[" + b",".join(self._parts) + b"]")
