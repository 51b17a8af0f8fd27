"""The daemon's answers about programs' terminals, which are shared by whoever is attached (`shared_terminals`)."""

from __future__ import annotations

import asyncio

from starlette.requests import Request
from starlette.routing import Route

from daqsched.control import in_the_way, refusal
from daqsched.engine.control_steps import known_as, part_of
from daqsched.engine.engine import Engine
from daqsched.engine.instance import Key
from daqsched.engine.job_owners import is_formers
from daqsched.engine.permission import target
from daqsched.errors import DaqschedError, Refused, UserError
from daqsched.protocol import (
    ConsoleAttached,
    ConsoleKeys,
    ConsoleLeave,
    ConsoleOutput,
    ConsoleRead,
    ConsoleRequest,
    ConsoleTyped,
)
from daqsched.rights.grants import Target
from daqsched.serve.daemon import Ask
from daqsched.serve.http import RIGHTS_S, caller_of, grants_now, route
from daqsched.serve.request_body import body_of
from daqsched.serve.shared_terminals import Attached, SharedTerminals
from daqsched_executor.contract.console import KEYS_BYTES, MOST_CELLS

#: How long a read may wait.
MOST_WAIT_S = 10.0


class ConsoleRoutes:
    """Routes; ``ask`` puts a question to the engine."""

    def __init__(self, terminals: SharedTerminals, ask: Ask) -> None:
        self._terminals, self._ask = terminals, ask

    @property
    def routes(self) -> list[Route]:
        """For the application."""
        return [
            route("POST", "/console", self.attach),
            route("POST", "/consoles/{id}/read", self.read),
            route("POST", "/consoles/{id}/keys", self.keys),
            route("POST", "/consoles/{id}/leave", self.leave),
        ]

    async def attach(self, request: Request) -> ConsoleAttached:
        body = await body_of(request, ConsoleRequest)
        key = (body.job, body.host)
        await self._permit(request, key)
        await self._terminals.task_of(key)
        if body.write:
            await self._uncontrolled(request, key)
        id, writes = await self._terminals.attach(caller_of(request), request.scope.get("audit"), body)
        return ConsoleAttached(id, writes)

    async def read(self, request: Request) -> ConsoleOutput:
        body = await body_of(request, ConsoleRead)
        id, one = self._of(request)
        console = one.console
        wait_s = max(0.0, min(MOST_WAIT_S, body.wait_s))
        until = asyncio.get_running_loop().time() + wait_s
        while True:
            await self._still(request, id, console.key)
            changed = console.changed
            left = until - asyncio.get_running_loop().time()
            if console.has_for(body) or left <= 0:
                break
            try:
                await asyncio.wait_for(changed.wait(), min(left, RIGHTS_S))
            except asyncio.TimeoutError:
                pass
        self._terminals.heard_of(id)  # who left meanwhile does not look at the answer
        return console.output(id, body)

    async def keys(self, request: Request) -> ConsoleTyped:
        body = await body_of(request, ConsoleKeys)
        id, one = self._of(request)
        console = one.console
        if len(body.keys) > KEYS_BYTES or min(body.rows, body.columns) < 0 or max(body.rows, body.columns) > MOST_CELLS:
            raise UserError(
                f"at most {KEYS_BYTES} bytes are typed at once, and no window has more than {MOST_CELLS} rows"
            )
        async with console.typing:
            await self._still(request, id, console.key)
            if body.keys:
                await self._uncontrolled(request, console.key)
            return await self._terminals.type(id, one, body)

    async def leave(self, request: Request) -> ConsoleTyped:
        await body_of(request, ConsoleLeave)
        id, _ = self._of(request)
        await self._terminals.leave(id, "left")
        return ConsoleTyped(True)

    async def _permit(self, request: Request, key: Key) -> None:
        """Raise where the caller has no right to this terminal, by the rights as they are now."""
        grants = await grants_now(request)
        if grants is None:
            return
        for it in await self._ask(lambda engine, now: _targets(engine, key)):
            if grants.why_not("see", it):
                raise UserError(f"there is no {key[0]}@{key[1]}: `daqsched status` lists what there is")
            if grants.why_not("console", it):
                raise Refused(grants.why_not("console", it), "console")

    async def _uncontrolled(self, request: Request, key: Key) -> None:
        """Raise where somebody else is in control: what is typed may change anything."""
        mine = known_as(caller_of(request).name, caller_of(request).grants)
        found = await self._ask(
            lambda engine, now: in_the_way(engine.controls, [part_of(target(engine, key))], mine, now)
        )
        if found is not None:
            raise Refused(f"nothing is typed here: {refusal(found)}; with --read-only you may look")

    async def _still(self, request: Request, id: str, key: Key) -> None:
        """The same of whoever is attached: without the right it is over."""
        try:
            await self._permit(request, key)
        except DaqschedError:
            await self._terminals.leave(id, "no right any more")
            raise

    def _of(self, request: Request) -> tuple[str, Attached]:
        id = request.path_params["id"]
        return id, self._terminals.of(id, caller_of(request))


def _targets(engine: Engine, key: Key) -> list[Target]:
    """Whose that terminal is: while the program of another, who had the job of that name, has still to end, nobody knows."""
    instance = engine.instances.get(key)
    formers = instance is not None and is_formers(engine, instance)
    return [target(engine, key), *([Target(*key, forgotten=True)] if formers else [])]
