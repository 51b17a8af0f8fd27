"""What a `daqsched serve` answers while another leads: what that one answers, asked in the caller's name.

Nothing is decided here. A request goes to the leader as it came, with its token and the name of who asks; the answer comes
back as it is. Where the leader changes meanwhile, what can't have been carried out is asked of the next one.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any, Optional
from urllib.parse import quote

import httpx
import msgspec
from starlette.requests import Request
from starlette.responses import Response

from daqsched.errors import Unreachable
from daqsched.protocol import Problem
from daqsched.serve.door import MOST_BYTES, user_of
from daqsched.serve.serving import USER
from daqsched.store.election import Card

logger = logging.getLogger(__name__)

#: How long a request waits for somebody to lead; a takeover takes less.
PATIENCE_S = 15.0
#: How long the leader may take: it keeps a long poll for 30 s.
ANSWER_S = 60.0
#: The status that says: I do not lead. (RFC 9110, 15.5.20: misdirected request.)
NOT_HERE = 421


class Spare:
    """An ASGI application; ``leader`` is set as the election goes."""

    def __init__(self) -> None:
        self.leader: Optional[Card] = None
        #: Why nobody leads, where that is known.
        self.why = "the election has not ended yet"
        self._http: Optional[httpx.AsyncClient] = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        request = Request(scope, receive)
        if scope.get("by_peer"):
            # it thinks that we lead: never round in a circle
            response = Response(status_code=NOT_HERE)
        else:
            response = await self._answer(request)
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        body = bytearray()
        async for part in request.stream():
            body += part
            if len(body) > MOST_BYTES:
                return _problem(400, f"the request is larger than {MOST_BYTES >> 20} MiB", 2)
        until = time.monotonic() + PATIENCE_S
        safe = request.method == "GET"
        why = self.why
        while True:
            leader = self.leader
            why = self.why if leader is None else f"{leader.name} led and does not answer"
            if leader is not None and not leader.address:
                why = f"{leader.name} is at work on the state"
            elif leader is not None:
                try:
                    found = await self._while_it_leads(leader, request, bytes(body))
                    if found is None:
                        if not safe:
                            return _lost(f"{leader.name} led, and was followed by another before it answered")
                    elif found.status_code == 401:
                        why = f"{leader.name} leads and does not know us"
                    elif found.status_code != NOT_HERE:
                        return Response(found.content, found.status_code, media_type=found.headers["content-type"])
                    else:
                        why = f"{leader.name} is about to lead"
                except (httpx.ConnectError, httpx.ConnectTimeout):
                    pass  # it has not heard of it
                except httpx.HTTPError as error:
                    if not safe:
                        why = (
                            f"{leader.name}, which leads, went away with the question ({error or type(error).__name__})"
                        )
                        return _problem(
                            400, f"{why}: look with `daqsched status` whether it was taken in, and ask again"
                        )
            if time.monotonic() > until:
                return _problem(
                    400, f"no daqsched serve leads now: {why}. Jobs run on, nothing is started or stopped; ask again"
                )
            await asyncio.sleep(0.1)

    async def _while_it_leads(self, leader: Card, request: Request, body: bytes) -> Optional[httpx.Response]:
        """Its answer; None: another leads by now. One that hangs or was cut off takes questions and never answers."""
        asked = asyncio.ensure_future(self._ask(leader, request, body))
        try:
            while True:
                await asyncio.wait({asked}, timeout=0.2)
                if asked.done():
                    return await asked
                if self.leader not in (leader, None):
                    return None
        finally:
            asked.cancel()

    async def _ask(self, leader: Card, request: Request, body: bytes) -> httpx.Response:
        if self._http is None:
            self._http = httpx.AsyncClient(timeout=httpx.Timeout(ANSWER_S, connect=2.0), trust_env=False)
        target = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        headers = {"authorization": f"Bearer {leader.token}", USER: quote(user_of(request))}
        return await self._http.request(
            request.method, f"http://{leader.address}{target}", content=body, headers=headers
        )


def _lost(why: str) -> Response:
    return _problem(400, f"{why}: look with `daqsched status` whether it was taken in, and ask again")


def _problem(status: int, sentence: str, exit_code: int = Unreachable.exit_code) -> Response:
    return Response(msgspec.json.encode(Problem(sentence, exit_code)), status, media_type="application/json")
