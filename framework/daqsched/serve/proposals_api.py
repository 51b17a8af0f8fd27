"""The daemon's answers about proposals: made, told of, approved, rejected, withdrawn."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Literal, Optional

from msgspec.structs import replace
from starlette.requests import Request
from starlette.routing import Route

from daqsched import farm_parts, proposals
from daqsched.digests import digest
from daqsched.engine import events, permission
from daqsched.engine.control_steps import known_as
from daqsched.engine.engine import Engine
from daqsched.engine.permission import Need
from daqsched.engine.proposal_steps import as_apply
from daqsched.errors import UserError
from daqsched.merge import Merged, Scope
from daqsched.proposals import NO_SUCH, KeptEnding, Proposal, ProposalHead, Proposals, head_of
from daqsched.protocol import (
    Applied,
    ApproveRequest,
    CloseRequest,
    ProposalAnswer,
    ProposalsAnswer,
    ProposeRequest,
)
from daqsched.serve.change_api import ChangeRoutes
from daqsched.serve.daemon import Ask, Daemon
from daqsched.serve.http import grants_now, grants_of, permit_some, route, user_of
from daqsched.serve.only import ensure_means
from daqsched.serve.planning import Planning
from daqsched.serve.plans import Plans, check_way
from daqsched.serve.request_body import body_of
from daqsched.serve.requested import requested
from daqsched.serve.revisions_api import RevisionRoutes
from daqsched.serve.visibility import Visibility, asked_of, remember, unsaying, visibility_of, visibility_then
from daqsched.spec import Spec


class ProposalRoutes:
    """Routes; ``ask`` puts a question to the engine."""

    def __init__(
        self,
        daemon: Daemon,
        ask: Ask,
        planning: Planning,
        plans: Plans,
        changes: ChangeRoutes,
        revisions: RevisionRoutes,
    ) -> None:
        self._daemon, self._ask, self._planning, self._plans = daemon, ask, planning, plans
        self._changes, self._revisions = changes, revisions

    @property
    def routes(self) -> list[Route]:
        """For the application."""
        return [
            route("POST", "/propose", unsaying(self.propose, self._ask)),
            route("GET", "/proposals", self.proposals),
            route("GET", "/proposals/{number}", unsaying(self.proposal, self._ask)),
            route("POST", "/approve", unsaying(self.approve, self._ask)),
            route("POST", "/reject", unsaying(self.reject, self._ask)),
            route("POST", "/withdraw", unsaying(self.withdraw, self._ask)),
        ]

    async def propose(self, request: Request) -> ProposalAnswer:
        body = await body_of(request, ProposeRequest)
        permit_some(request, "propose")
        self._changes.guesses.guess(request, body.spec)
        check_way(body.strategy)
        await ensure_means(request, self._ask, self._planning, body.spec, body.only)
        body.spec = await asked_of(request, self._ask, body.spec)
        event = events.ProposalMade(
            body.spec,
            user_of(request),
            known_as(user_of(request), await grants_now(request)),
            body.message,
            body.strategy,
            tuple(body.only),
            tuple(body.take),
            body.allow_empty,
        )
        # what nobody could apply is not proposed
        scope = Scope(event.only, take=event.take)
        planned = await self._plans.planned(request, body.spec, scope, body.strategy)
        if not planned.plan.changes:
            raise UserError("nothing is proposed: the farm is as this says already")
        event = replace(event, digest=await asyncio.to_thread(digest, body.spec))
        did = await requested(self._daemon, request, event)
        return await self._told(request, await self._found(request, did.proposal))

    async def proposals(self, request: Request) -> ProposalsAnswer:
        return await self._listed(request)

    async def proposal(self, request: Request) -> ProposalAnswer:
        word = request.path_params["number"]
        if not word.isdecimal() or len(word) > 15:
            raise UserError(NO_SUCH)
        return await self._told(request, await self._found(request, int(word)))

    async def approve(self, request: Request) -> Applied:
        body = await body_of(request, ApproveRequest)
        permit_some(request, "apply")
        check_way(body.strategy)
        async with self._changes.turn(request):
            one = await self._found(request, body.number)
            asked = events.ProposalApproved(
                body.number, user_of(request), body.digest, body.base, body.message, body.strategy, body.stops
            )
            event = as_apply(one, asked)
            did = await self._changes.carried_out(request, event, body.no_look, asked)
            return replace(did, part=one.spec.part, proposal=one.number, proposed_by=one.user)

    async def reject(self, request: Request) -> ProposalsAnswer:
        return await self._close(request, "rejected", "apply")

    async def withdraw(self, request: Request) -> ProposalsAnswer:
        return await self._close(request, "withdrawn", "propose")

    async def _close(self, request: Request, outcome: Literal["rejected", "withdrawn"], verb: str) -> ProposalsAnswer:
        body = await body_of(request, CloseRequest)
        permit_some(request, verb)
        await self._found(request, body.number)
        mine = known_as(user_of(request), await grants_now(request))
        event = events.ProposalClosed(body.number, user_of(request), mine, outcome, body.message)
        await requested(self._daemon, request, event)
        return await self._listed(request)

    async def _listed(self, request: Request) -> ProposalsAnswer:
        def look(engine: Engine, now: float) -> tuple[Proposals, float]:
            return engine.proposals, now

        kept, now = await self._ask(look)
        visibility = await visibility_of(request, self._ask)
        mine = known_as(user_of(request), grants_of(request))

        def work() -> ProposalsAnswer:
            waiting = [
                self._head(one, visibility, self._revisions.seen_source(request, one.spec.source))
                for one in kept.waiting
                if one.until > now and _shown(one, visibility, mine)
            ]
            ended = [one.told() for one in reversed(kept.ended) if _is_told(one, visibility, mine)]
            return ProposalsAnswer(waiting, ended, now)

        return await asyncio.to_thread(work)

    async def _found(self, request: Request, number: int) -> Proposal:
        """One that is shown to who asks; raises `UserError` where there is none."""

        def look(engine: Engine, now: float) -> Proposal:
            remember(request, engine.spec)
            return proposals.found(engine.proposals, number, now)

        found: Proposal = await self._ask(look)
        visibility = await visibility_then(request, self._ask)
        mine = known_as(user_of(request), grants_of(request))
        if not await asyncio.to_thread(_shown, found, visibility, mine):
            raise UserError(NO_SUCH)
        return found

    async def _told(self, request: Request, one: Proposal) -> ProposalAnswer:
        def needs(old: Spec, change: Merged, account: str) -> Iterator[Need]:
            yield from permission.of_apply(old, change, one.spec, one.strategy, account)

        scope = Scope(one.only, take=one.take)
        plan = await self._plans.shown(request, one.spec, scope, one.strategy, needs)
        visibility = await visibility_of(request, self._ask)
        source = self._revisions.seen_source(request, one.spec.source)
        spec = await self._revisions.seen_spec(request, farm_parts.as_farm(one.spec), source, visibility)
        return ProposalAnswer(self._head(one, visibility, source), plan, spec)

    def _head(self, one: Proposal, visibility: Optional[Visibility], source: str) -> ProposalHead:
        """As who asks is told of it."""
        head = replace(head_of(one), source=source, digest=self._daemon.engine.told(one.digest))
        if visibility is None:
            return head
        then = [job.name for job in farm_parts.as_farm(one.spec).jobs if not visibility.sees_then(job.name, job)]
        return replace(head, only=visibility.words(head.only, then), take=visibility.words(head.take, then))


def _shown(one: Proposal, visibility: Optional[Visibility], mine: tuple[str, ...]) -> bool:
    """Whether somebody is told of it: who proposed it, and who sees a job that it names, by what it says and by what is so."""
    if visibility is None or one.is_of(mine):
        return True
    if visibility.hides_part(one.spec.part):
        return False
    jobs = farm_parts.as_farm(one.spec).jobs
    return not jobs or any(visibility.sees_then(job.name, job) for job in jobs)


def _is_told(one: KeptEnding, visibility: Optional[Visibility], mine: tuple[str, ...]) -> bool:
    """The same of one that has ended: of its jobs, those that there are."""
    if visibility is None or not set(one.known_as).isdisjoint(mine):
        return True
    return not visibility.hides_part(one.part) and (not one.jobs or any(map(visibility.sees_some, one.jobs)))
