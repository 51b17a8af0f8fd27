"""The daemon's answers about changes: plan, apply, rollback; and how everything that stands for an apply is carried out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import NamedTuple, Optional, Union

import msgspec
from starlette.requests import Request
from starlette.routing import Route

from daqsched import farm_parts
from daqsched.choices import ChoiceSet
from daqsched.engine import events, permission
from daqsched.engine.applying import ensure_part, outcome
from daqsched.engine.commands import Revision
from daqsched.engine.control_steps import known_as
from daqsched.engine.engine import Engine
from daqsched.errors import UserError
from daqsched.merge import Merged, Scope
from daqsched.preflight import Question
from daqsched.protocol import Applied, ApplyRequest, PlanRequest, RollbackRequest
from daqsched.saved_choices import SavedChoices, of_revision
from daqsched.serve.control_api import with_control
from daqsched.serve.daemon import Ask, Daemon
from daqsched.serve.guess_pace import GuessPace
from daqsched.serve.http import grants_of, route, user_of, whose
from daqsched.serve.idempotency import terms_of
from daqsched.serve.looking import Looking, Newer
from daqsched.serve.only import ensure_means
from daqsched.serve.planning import Deadline, Planning, Turns
from daqsched.serve.plans import Planned, Plans, check_way
from daqsched.serve.request_body import body_of
from daqsched.serve.requested import requested
from daqsched.serve.revisions_api import MOST_REVISIONS, no_revision
from daqsched.serve.visibility import asked_of, remember, unsaying, visibility_in
from daqsched.spec import EMPTY, Spec
from daqsched.views.look import questions
from daqsched.views.needed import needed
from daqsched.views.plan import Plan


class _Then(NamedTuple):
    """A revision to go back to, and what else is looked at for that: what is in force, where its part was from, what shifters
    may set and might, and the account of jobs that name none."""

    revision: Revision
    spec: Spec
    source: str
    choices: tuple[SavedChoices, ...]
    account: str


class ChangeRoutes:
    """Routes; ``ask`` puts a question to the engine, ``newer`` waits for another version of it."""

    def __init__(
        self, daemon: Daemon, ask: Ask, planning: Planning, plans: Plans, newer: Newer, guesses: GuessPace
    ) -> None:
        self._daemon, self._ask, self._planning = daemon, ask, planning
        self._plans, self.guesses = plans, guesses
        self._looking = Looking(daemon, ask, newer)
        self._turns = Turns(1)

    @property
    def routes(self) -> list[Route]:
        """For the application."""
        return [
            route("POST", "/plan", unsaying(self.plan, self._ask)),
            route("POST", "/apply", unsaying(self.apply, self._ask)),
            route("POST", "/rollback", unsaying(self.rollback, self._ask)),
        ]

    async def plan(self, request: Request) -> Plan:
        body = await body_of(request, PlanRequest)
        self.guesses.guess(request, body.spec)
        check_way(body.strategy)
        await ensure_means(request, self._ask, self._planning, body.spec, body.only)
        body.spec = await asked_of(request, self._ask, body.spec)
        await self._ensure_part(request, body)
        scope = Scope(tuple(body.only), take=tuple(body.take))
        sent = _sent(body.choices, body.spec, scope)

        def needs(old: Spec, change: Merged, account: str) -> Iterator[permission.Need]:
            yield from permission.of_apply(old, change, body.spec, body.strategy, account)
            for part, found in (sent or {}).items():
                yield from permission.of_choices(found, part, account)

        return await self._plans.shown(request, body.spec, scope, body.strategy, needs, sent)

    async def apply(self, request: Request) -> Applied:
        body = await body_of(request, ApplyRequest)
        self.guesses.guess(request, body.spec)
        check_way(body.strategy)
        async with self.turn(request):
            await ensure_means(request, self._ask, self._planning, body.spec, body.only)
            body.spec = await asked_of(request, self._ask, body.spec)
            await self._ensure_part(request, body)
            event = events.JobsApplied(
                body.spec,
                user_of(request),
                body.message,
                body.strategy,
                tuple(body.only),
                body.if_unchanged,
                body.allow_empty,
                stops=body.stops,
                take=tuple(body.take),
            )
            event = msgspec.structs.replace(event, choices=_sent(body.choices, body.spec, event.scope))
            applied = await self.carried_out(request, event, body.no_look, sent=event.choices)
            self.guesses.did(request, body.spec)
            return applied

    async def _ensure_part(self, request: Request, body: Union[PlanRequest, ApplyRequest]) -> None:
        """As the engine does, by what whoever asks may see of the farm: a part of which that is nothing is not there."""
        if not body.spec.jobs and not body.only:
            there = await self._ask(_in_force)
            visibility = await visibility_in(request, there)
            seen = None if visibility is None else await asyncio.to_thread(visibility.spec, there)
            ensure_part(there, body.spec, body.only, seen)

    @asynccontextmanager
    async def turn(self, request: Request) -> AsyncIterator[None]:
        """For one apply at a time, up to its revision; raises `UserError` where its turn comes late."""
        deadline = Deadline()
        async with self._turns.of(whose(request)):
            deadline.look()
            yield

    async def carried_out(
        self,
        request: Request,
        event: events.JobsApplied,
        no_look: bool,
        asked: Union[events.VariablesSet, events.ProposalApproved, None] = None,
        sent: Optional[Mapping[str, ChoiceSet]] = None,
    ) -> Applied:
        """The plan is of a look before; what came of it is the engine's word. ``asked``: what the apply stands for; ``sent``:
        choices that came with it, which are tried."""
        planned = await self._plans.planned(request, event.spec, event.scope, event.strategy, at_once=True, sent=sent)
        doubts = () if no_look else await self._look(request, planned, event, asked or event)
        visibility = await visibility_in(
            request, planned.known.spec
        )  # as it was: what is gone by this is named in the plan
        did = await requested(self._daemon, request, asked or event)
        found = planned.plan
        needs = permission.of_apply(planned.known.applied, planned.change, event.spec, event.strategy, "")
        found = await with_control(request, planned.known.controls, found, needs, visibility)
        if visibility is not None:
            found = await asyncio.to_thread(visibility.plan, found, planned.change.spec)
            doubts = tuple(one for one in doubts if not visibility.names(one))
        return Applied(found, did.revision, did.rollout, did.stops, did.restarts, did.starts, did.digest, doubts)

    async def _look(
        self, request: Request, planned: Planned, event: events.JobsApplied, asked: events.Event
    ) -> tuple[str, ...]:
        """Whether what takes the place of what runs could start; raises `Refused` where it could not anywhere."""
        found, known, complete, _ = planned
        if not any(change.what == "restart" for change in found.changes):
            return ()
        way = event.strategy if event.strategy is not None else event.spec.rollout

        def work(deadline: Deadline) -> dict[str, tuple[Question, ...]]:
            return questions(known, complete, found, way)

        about = await self._planning.do(whose(request), work)
        if not about:
            return ()
        if not known.connected:
            return ("whether it could start was not looked at before: no connection to the master",)

        # what would be refused anyway is, before anybody looks
        def refused(engine: Engine, now: float) -> None:
            remember(request, engine.spec)
            engine.ensure_may_ask(asked, grants_of(request), terms_of(request), now)
            outcome(engine, event, known_as(event.user, grants_of(request)))

        return await self._looking.look(user_of(request), about, refused)

    async def rollback(self, request: Request) -> Applied:
        """What a revision said of a part, or of all parts, applied anew."""
        body = await body_of(request, RollbackRequest)
        check_way(body.strategy)
        async with self.turn(request):
            then = await self._ask(lambda engine, now: self._then(request, engine, body)) if body.revision else None
            if then is None:
                raise UserError(no_revision(body.revision))
            spec = _to_roll_back(then.revision, farm_parts.named(then.spec), body)
            if body.part is not None and not body.everyones:
                spec = msgspec.structs.replace(spec, source=then.source)
            what = (
                f"rollback of {farm_parts.words(spec.part)} to revision"
                if body.part is not None
                else "rollback to revision"
            )
            choices, lost = await self._choices_of(request, spec, body, then)
            event = events.JobsApplied(
                spec,
                user_of(request),
                f"{what} {then.revision.number}{': ' + body.message if body.message else ''}",
                body.strategy,
                allow_empty=True,
                stops=body.stops,
                everyones=body.everyones,
                back=True,
                choices=choices,
            )
            applied = await self.carried_out(request, event, body.no_look)
            return msgspec.structs.replace(applied, doubts=(*applied.doubts, *lost))

    def _then(self, request: Request, engine: Engine, body: RollbackRequest) -> Optional[_Then]:
        """All that a rollback needs to know, in one visit; None: there is no such revision."""
        remember(request, engine.spec)
        revision = self._daemon.revision(body.revision)
        if revision is None:
            return None
        source = ""
        if body.part is not None and not body.everyones:
            source = self._source_of(engine, farm_parts.read(body.part), revision.number)
        return _Then(revision, engine.spec, source, engine.choices, engine.account)

    async def _choices_of(
        self, request: Request, spec: Spec, body: RollbackRequest, then: _Then
    ) -> tuple[dict[str, ChoiceSet], list[str]]:
        """What shifters might set while that revision was in force, as far as who asks may leave it to them; else why not."""
        parts = ["", *farm_parts.named(spec)] if body.everyones else [spec.part]
        grants = grants_of(request)

        def work(deadline: Deadline) -> tuple[dict[str, ChoiceSet], list[str]]:
            found: dict[str, ChoiceSet] = {}
            lost: list[str] = []
            for part in parts:
                one = of_revision(then.choices, part, body.revision)
                if one is None:
                    continue
                needs = deadline.each(permission.of_choices(one.choices, part, then.account))
                why = needed(grants, needs)[0] if grants is not None else ""
                if why:
                    lost.append(f"what shifters might set then of {farm_parts.words(part)} does not come back: {why}")
                else:
                    found[part] = one.choices
            return found, lost

        return await self._planning.do(whose(request), work)

    def _source_of(self, engine: Engine, part: str, number: int) -> str:
        """Where that revision has this part from: an apply of another one left it as it was."""
        found = (one.number for one in self._daemon.history(MOST_REVISIONS) if one.number <= number)
        own = next((one for one in found if engine.parts.get(one, "") == part), 0)
        revision = self._daemon.revision(own) if own else None
        return revision.spec.source if revision is not None else ""


def _in_force(engine: Engine, now: float) -> Spec:
    return engine.revision.spec if engine.revision is not None else EMPTY


def _sent(choices: Optional[ChoiceSet], spec: Spec, scope: Scope) -> Optional[dict[str, ChoiceSet]]:
    """What an apply leaves to shifters, by part; None: what it was before, as it is not of all of its part."""
    if scope.is_some:
        if choices is not None:
            raise UserError("what shifters may set is sent with all of a file, and not with some of it (--only)")
        return None
    return {spec.part: choices} if choices is not None else {}


def _to_roll_back(old: Revision, there: Sequence[str], body: RollbackRequest) -> Spec:
    """What is to be applied. Nobody goes back with what is another team's without saying so."""
    if body.everyones:
        return old.spec
    if body.part is None:
        known = sorted({*there, *farm_parts.named(old.spec)})
        if known:
            raise UserError(
                f"the farm has parts ({', '.join(known)}): say which goes back with --part NAME, that without a name with "
                f"--part {farm_parts.NO_PART}, or all of them with --all"
            )
    part = farm_parts.read(body.part) if body.part is not None else ""
    if body.part is not None and part not in {job.part for job in old.spec.jobs}:
        raise UserError(
            f"revision {old.number} has no job of {farm_parts.words(part)}: all of it would end; `daqsched history --part "
            f"{body.part}` lists those that have, --all goes back with all parts"
        )
    return farm_parts.of_part(old.spec, part)
