"""A change that a request asks for."""

from __future__ import annotations

import asyncio

from starlette.requests import Request

from daqsched.engine import events
from daqsched.engine.verdict import Accepted
from daqsched.serve.daemon import Daemon
from daqsched.serve.http import grants_now
from daqsched.serve.idempotency import terms_of


async def requested(daemon: Daemon, request: Request, event: events.Event) -> Accepted:
    """The engine's verdict, when all that follows is durable; its refusal is raised. What the caller may is asked for now: the
    request may have waited."""
    return await asyncio.wrap_future(daemon.request(event, await grants_now(request), terms_of(request)))
