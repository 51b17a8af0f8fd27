"""The daemon's answers about changes: plan, apply, revisions, rollouts, hosts put aside."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any, Callable, Optional

import msgspec
from starlette.requests import Request
from starlette.routing import Route

from daqsched.engine import events
from daqsched.engine.commands import Revision
from daqsched.engine.engine import Engine
from daqsched.errors import Refused, Unreachable, UserError
from daqsched.jobfile.conflicts import check
from daqsched.mesos.agents import Agents
from daqsched.protocol import (
    API,
    Applied,
    ApplyRequest,
    HistoryAnswer,
    PlanRequest,
    RevisionAnswer,
    RevisionHead,
    RollbackRequest,
)
from daqsched.rollout import Strategy
from daqsched.select import selection
from daqsched.serve.daemon import Daemon
from daqsched.serve.door import answering, body_of, number_of, user_of
from daqsched.spec import EMPTY, FORWARDER, Spec, digest
from daqsched.views.foresight import placed, starting, with_times
from daqsched.views.plan import Plan, plan

Ask = Callable[[Callable[[Engine, float], Any]], Awaitable[Any]]


class Changes:
    """The routes; ``complete`` adds to a spec what is the framework's."""

    def __init__(
        self,
        daemon: Daemon,
        complete: Callable[[Spec], Spec],
        ask: Ask,
        credentials: Optional[tuple[str, str]] = None,
    ) -> None:
        self._daemon, self._complete, self._ask, self._credentials = daemon, complete, ask, credentials
        self._made: Optional[Agents] = None
        #: One apply at a time, from its look at what is in force to its own revision.
        self._turn: Optional[asyncio.Lock] = None

    @property
    def routes(self) -> list[Route]:
        """For the application."""
        return [
            Route(f"{API}/plan", answering(self.plan), methods=["POST"]),
            Route(f"{API}/apply", answering(self.apply), methods=["POST"]),
            Route(f"{API}/rollback", answering(self.rollback), methods=["POST"]),
            Route(f"{API}/history", answering(self.history)),
            Route(f"{API}/revisions/{{number:int}}", answering(self.revision)),
        ]

    # ------------------------------------------------------------------ plan and apply

    async def plan(self, request: Request) -> Plan:
        body = await body_of(request, PlanRequest)
        check(body.spec)
        found = await self._plan(body.spec, body.only, body.strategy)
        return await self._with_placement(found, body.spec, body.only) if found.changes else found

    async def _plan(self, spec: Spec, only: list[str], strategy: Optional[Strategy]) -> Plan:
        chosen = selection(only)
        completed = self._complete(spec)

        def answer(engine: Engine, now: float) -> Plan:
            found = plan(engine.spec, completed, engine.hosts_of, engine.behind(), _with_forwarder(chosen))
            # the digests are those of the crew's own file, not of what the framework adds to it
            base = engine.revision.digest if engine.revision else digest(EMPTY)
            found = msgspec.structs.replace(found, digest=digest(spec), base=base)
            return with_times(engine, found, completed, chosen, strategy if strategy is not None else spec.rollout)

        found: Plan = await self._ask(answer)
        return found

    async def _with_placement(self, found: Plan, spec: Spec, only: list[str]) -> Plan:
        """What would not start on the machines as they are now."""
        completed, chosen = self._complete(spec), _with_forwarder(selection(only))

        def known(engine: Engine, now: float) -> Any:
            return (
                engine.master,
                engine.connected,
                list(starting(engine, completed, found, chosen)),
                engine.fixed_ports,
            )

        master, connected, begun, fixed = await self._ask(known)
        if not connected:
            return msgspec.structs.replace(found, not_looked=f"no connection to the master {master}".rstrip())
        if self._made is None:  # in the loop that serves
            self._made = Agents(self._credentials)
        try:
            machines = await self._made.machines(master)
        except Unreachable as error:
            return msgspec.structs.replace(found, not_looked=str(error))
        return await asyncio.to_thread(placed, found, machines, begun, fixed)

    async def apply(self, request: Request) -> Applied:
        body = await body_of(request, ApplyRequest)
        check(body.spec)
        if not body.spec.jobs and not body.allow_empty:
            raise Refused("the file has no jobs, which would stop the whole farm: if that is meant, give --allow-empty")
        async with self._one():
            return await self._apply_to(body, user_of(request))

    def _one(self) -> asyncio.Lock:
        if self._turn is None:  # in the loop that serves
            self._turn = asyncio.Lock()
        return self._turn

    async def _apply_to(self, body: ApplyRequest, user: str) -> Applied:
        found = await self._plan(body.spec, body.only, body.strategy)
        if body.if_unchanged and body.if_unchanged != found.base:
            last = await self._head(0)
            raise Refused(
                f"not applied: {found.base} is in force and not {body.if_unchanged}, since revision {last.number} by "
                f"{last.user}{': ' + last.message if last.message else ''}; `daqsched plan` shows what would change now"
            )
        event = events.JobsApplied(body.spec, user, body.message, body.strategy, tuple(body.only))
        return await self._apply(found, event)

    async def _apply(self, found: Plan, event: events.JobsApplied) -> Applied:
        if found.changes or found.digest != found.base:
            before = await self._rollout_number()
            await asyncio.wrap_future(self._daemon.request(event))
            number = await self._rollout_number()
            return Applied(found, (await self._head(0)).number, number if number != before else 0)
        return Applied(found, (await self._head(0)).number)

    async def rollback(self, request: Request) -> Applied:
        """A revision's spec, applied anew."""
        body = await body_of(request, RollbackRequest)
        old = await self._revision(body.revision)
        message = f"rollback to revision {old.number}{': ' + body.message if body.message else ''}"
        async with self._one():
            found = await self._plan(old.spec, [], body.strategy)
            return await self._apply(found, events.JobsApplied(old.spec, user_of(request), message, body.strategy))

    async def _rollout_number(self) -> int:
        number: int = await self._ask(
            lambda engine, now: engine.rolling.rollout.number if engine.rolling.rollout else 0
        )
        return number

    # ------------------------------------------------------------------ revisions

    async def history(self, request: Request) -> HistoryAnswer:
        most = int(number_of(request, "most", 20))
        found = await self._ask(lambda engine, now: self._daemon.history(max(1, min(10_000, most))))
        return HistoryAnswer([_head(one) for one in found])

    async def revision(self, request: Request) -> RevisionAnswer:
        found = await self._revision(request.path_params["number"])
        return RevisionAnswer(_head(found), found.spec)

    async def _revision(self, number: int) -> Revision:
        found: Optional[Revision] = await self._ask(
            lambda engine, now: self._daemon.revision(number) if number else engine.revision
        )
        if found is None:
            raise UserError(f"there is no revision {number}: `daqsched history` lists them")
        return found

    async def _head(self, number: int) -> RevisionHead:
        found = await self._ask(lambda engine, now: engine.revision)
        return _head(found) if found is not None else RevisionHead(0, "", "", 0.0, "")


def _head(revision: Revision) -> RevisionHead:
    return RevisionHead(revision.number, revision.digest, revision.user, revision.time, revision.message)


def _with_forwarder(chosen: Callable[[str, str], bool]) -> Callable[[str, str], bool]:
    """The forwarder goes along with whatever part is meant."""
    return lambda job, host: job == FORWARDER or chosen(job, host)
