"""A change that a request asks for."""

from __future__ import annotations

import asyncio
from typing import Callable, Optional

from starlette.requests import Request

from daqsched.engine import events
from daqsched.engine.engine import Engine
from daqsched.engine.verdict import Accepted
from daqsched.serve.daemon import Daemon
from daqsched.serve.http import grants_now, latest_grants
from daqsched.serve.idempotency import terms_of
from daqsched.serve.visibility import remember


async def requested(
    daemon: Daemon,
    request: Request,
    event: events.Event,
    after: Optional[Callable[[Engine, float], None]] = None,
) -> Accepted:
    """The engine's verdict, when all that follows is durable; its refusal is raised. What the caller may is asked for now, as the
    request may have waited, and looked at again when its turn comes. ``after`` looks at the engine in the same visit, see
    `Daemon.request`."""

    def look(engine: Engine, now: float) -> None:
        remember(request, engine.spec)  # what is hidden is told by what is in force then
        if after is not None:
            after(engine, now)

    await grants_now(request)
    return await asyncio.wrap_future(daemon.request(event, latest_grants(request), terms_of(request), after=look))
