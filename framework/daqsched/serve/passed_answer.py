"""The leader's answer as a standby passes it on: as it is, and as it comes."""

from __future__ import annotations

from starlette.responses import StreamingResponse
from starlette.types import Send

from daqsched.limits import whole


class PassedAnswer(StreamingResponse):
    """Complete with the last byte that it announces, and not a moment later: who has read it may ask the next at once."""

    async def stream_response(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        left = whole(self.headers.get("content-length", "")) or -1
        async for piece in self.body_iterator:
            left -= len(piece)
            await send({"type": "http.response.body", "body": piece, "more_body": left != 0})
        if left != 0:
            await send({"type": "http.response.body", "body": b"", "more_body": False})
