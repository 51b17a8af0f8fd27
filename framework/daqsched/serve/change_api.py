"""The daemon's answers about changes: plan, apply, revisions, rollouts, hosts set aside."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Hashable
from typing import Any, Callable, Optional

import msgspec
from starlette.requests import Request
from starlette.routing import Route

from daqsched.engine import events
from daqsched.engine.commands import Revision
from daqsched.engine.engine import Engine
from daqsched.engine.instance import Key
from daqsched.errors import JobError, Unreachable, UserError
from daqsched.jobfile.conflicts import check
from daqsched.merge import Merged, Part, change_of
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
from daqsched.redaction import veiled
from daqsched.rollout import Strategy, in_the_way
from daqsched.rollout import check as check_strategy
from daqsched.serve.daemon import Daemon
from daqsched.serve.http import Caller, answering, caller_of, user_of, whose
from daqsched.serve.planning import Deadline, Planning, Turns
from daqsched.serve.request_body import body_of, count_of
from daqsched.spec import Spec, digest
from daqsched.views.estimate import placed, started, starting, with_times
from daqsched.views.plan import Plan, plan
from daqsched.views.snapshot import Had, Snapshot, had, snapshot

Ask = Callable[[Callable[[Engine, float], Any]], Awaitable[Any]]


#: So many revisions an answer tells of.
MOST_REVISIONS = 10_000


class Changes:
    """The routes; ``complete`` adds to a spec what is the framework's."""

    def __init__(
        self,
        daemon: Daemon,
        complete: Callable[[Spec], Spec],
        ask: Ask,
        planning: Planning,
        may_see: Callable[[Caller], bool],
        agents: Callable[[], Agents] = Agents,
    ) -> None:
        self._daemon, self._complete, self._ask, self._agents = daemon, complete, ask, agents
        self._planning, self._may_see = planning, may_see
        self._made: Optional[Agents] = None
        #: One apply at a time, from its look at what is in force to its own revision.
        self._turns = Turns(1)

    @property
    def routes(self) -> list[Route]:
        """For the application."""
        return [
            Route(f"{API}/plan", answering(self.plan), methods=["POST"]),
            Route(f"{API}/apply", answering(self.apply), methods=["POST"]),
            Route(f"{API}/rollback", answering(self.rollback), methods=["POST"]),
            Route(f"{API}/history", answering(self.history)),
            Route(f"{API}/revisions/{{number}}", answering(self.revision)),
        ]

    # ------------------------------------------------------------------ plan and apply

    async def plan(self, request: Request) -> Plan:
        body = await body_of(request, PlanRequest)
        check_way(body.strategy)
        deadline = Deadline()
        found, known, spec = await self._plan(whose(request), body.spec, body.only, body.strategy, deadline)
        if not found.changes:
            return found
        return await self._with_placement(whose(request), found, known, spec, deadline)

    async def _plan(
        self,
        caller: Hashable,
        spec: Spec,
        only: list[str],
        strategy: Optional[Strategy],
        until: Optional[Deadline] = None,
        at_once: bool = False,
    ) -> tuple[Plan, Snapshot, Spec]:
        """What an apply would change, what that was seen from, and the farm that it leads to, complete; raises `UserError`
        where the spec can't be applied.

        ``at_once``: the engine is looked at once, for what is applied then: that takes longer in one piece than this look.
        """
        until = until or Deadline()
        jobs = await self._planning.do(caller, lambda deadline: self._complete(spec).jobs, until) if at_once else ()
        known: Snapshot = await self._ask(lambda engine, now: snapshot(engine, jobs))

        way = strategy if strategy is not None else spec.rollout

        def compared(deadline: Deadline) -> tuple[Plan, Spec]:
            check(spec)
            part = Part(tuple(only))
            change = change_of(known.applied, spec, part, known.hosts_of, known.behind, deadline.within)
            if part.is_part:
                check(change.spec)
            complete = self._complete(change.spec)
            found = plan(known.spec, complete, known.hosts_of, known.behind, change.jobs)
            # the digests are those of the crews' own files, not of what the framework adds to them
            found = msgspec.structs.replace(found, digest=digest(change.spec), base=known.base)
            return msgspec.structs.replace(found, rollout=_of_rollout(known, change, part, way)), complete

        def timed(deadline: Deadline) -> Plan:
            return with_times(known, found, complete, way)

        found, complete = await self._planning.do(caller, compared, until)
        for name in started(found) if not at_once else ():
            known.instances.update(await self._had(name))
        return await self._planning.do(caller, timed, until), known, complete

    async def _had(self, name: str) -> dict[Key, Had]:
        found: dict[Key, Had] = await self._ask(lambda engine, now: had(engine, name))
        return found

    async def _with_placement(
        self, caller: Hashable, found: Plan, known: Snapshot, complete: Spec, until: Deadline
    ) -> Plan:
        """What would not start on the machines as they are now."""
        if not known.connected:
            return msgspec.structs.replace(found, not_looked=f"no connection to the master {known.master}".rstrip())
        if self._made is None:  # in the loop that serves
            self._made = self._agents()
        try:
            machines = await self._made.machines(known.master)
        except Unreachable as error:
            return msgspec.structs.replace(found, not_looked=str(error))

        def work(deadline: Deadline) -> Plan:
            begun = list(starting(known, complete, found))
            return placed(found, machines, begun, known.fixed_ports, deadline.each)

        return await self._planning.do(caller, work, until)

    async def apply(self, request: Request) -> Applied:
        body = await body_of(request, ApplyRequest)
        check_way(body.strategy)
        deadline = Deadline()
        async with self._turns.of(whose(request)):
            deadline.look()
            return await self._apply_to(body, request)

    async def _apply_to(self, body: ApplyRequest, request: Request) -> Applied:
        found, _, _ = await self._plan(whose(request), body.spec, body.only, body.strategy, at_once=True)
        event = events.JobsApplied(
            body.spec,
            user_of(request),
            body.message,
            body.strategy,
            tuple(body.only),
            body.if_unchanged,
            body.allow_empty,
            agreed=body.stops,
        )
        return await self._apply(found, event)

    async def _apply(self, found: Plan, event: events.JobsApplied) -> Applied:
        """The plan is of a look before; what came of it is the engine's word."""
        did = await asyncio.wrap_future(self._daemon.request(event))
        return Applied(found, did.revision, did.rollout, did.stops, did.restarts, did.starts, did.digest)

    async def rollback(self, request: Request) -> Applied:
        """A revision's spec, applied anew."""
        body = await body_of(request, RollbackRequest)
        check_way(body.strategy)
        old = await self._revision(body.revision)
        message = f"rollback to revision {old.number}{': ' + body.message if body.message else ''}"
        deadline = Deadline()
        async with self._turns.of(whose(request)):
            deadline.look()
            found, _, _ = await self._plan(whose(request), old.spec, [], body.strategy, at_once=True)
            event = events.JobsApplied(
                old.spec, user_of(request), message, body.strategy, allow_empty=True, agreed=body.stops
            )
            return await self._apply(found, event)

    # ------------------------------------------------------------------ revisions

    async def history(self, request: Request) -> HistoryAnswer:
        most = count_of(request, "most", 20, MOST_REVISIONS)
        found = await self._ask(lambda engine, now: self._daemon.history(most))
        return HistoryAnswer([_head(one) for one in found])

    async def revision(self, request: Request) -> RevisionAnswer:
        number = request.path_params["number"]
        if not number.isdecimal() or len(number) > 15:
            raise UserError("there is no such revision: `daqsched history` lists them")
        found = await self._revision(int(number))
        return RevisionAnswer(_head(found), found.spec if self._may_see(caller_of(request)) else veiled(found.spec))

    async def _revision(self, number: int) -> Revision:
        found: Optional[Revision] = await self._ask(
            lambda engine, now: self._daemon.revision(number) if number else engine.revision
        )
        if found is None:
            raise UserError(f"there is no revision {number}: `daqsched history` lists them")
        return found


def _of_rollout(known: Snapshot, change: Merged, part: Part, way: Optional[Strategy]) -> str:
    rollout = known.rollout
    if rollout is None:
        return ""
    whose = f"rollout {rollout.number} of {rollout.user} ({rollout.state}, batch {rollout.at + 1} of {rollout.batches})"
    if not part.is_part:
        return f"this ends {whose}"
    why_not = in_the_way(rollout, known.rolling, change.jobs, way if way is not None and way.batches else None)
    return f"this would be refused: {why_not}" if why_not else f"{whose} goes on as it is"


def check_way(strategy: Optional[Strategy]) -> None:
    """Raise `UserError` for a way to go over the farm that is none."""
    if strategy is not None:
        try:
            check_strategy(strategy)
        except JobError as error:
            raise UserError(f"strategy.{error.field}: {error}") from error


def _head(revision: Revision) -> RevisionHead:
    return RevisionHead(revision.number, revision.digest, revision.user, revision.time, revision.message)
