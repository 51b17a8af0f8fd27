"""The daemon's answers about changes: plan, apply, revisions, rollouts, hosts set aside."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Callable, NamedTuple, Optional, Union

import msgspec
from starlette.requests import Request
from starlette.routing import Route

from daqsched import farm_parts
from daqsched.choices import ChoiceSet, of_revision
from daqsched.choices import check as check_choices
from daqsched.choices import ensure as ensure_choice
from daqsched.choices import words_of as words_of_choice
from daqsched.confirm import EndCount
from daqsched.digests import digest
from daqsched.engine import control_steps, events, permission
from daqsched.engine.applying import outcome, way_of
from daqsched.engine.commands import Revision
from daqsched.engine.confirming import end_count
from daqsched.engine.endings import endings
from daqsched.engine.engine import Engine
from daqsched.engine.events import Offer
from daqsched.engine.instance import Key
from daqsched.engine.permission import targets_of
from daqsched.engine.rollout_steps import outcome_of
from daqsched.errors import JobError, Unreachable, UserError
from daqsched.jobfile.conflicts import check
from daqsched.logbook import between
from daqsched.merge import Merged, Scope, change_of
from daqsched.mesos.agents import Agents
from daqsched.preflight import Question
from daqsched.protocol import (
    Applied,
    ApplyRequest,
    HistoryAnswer,
    PlanRequest,
    RevisionAnswer,
    RevisionHead,
    RollbackRequest,
)
from daqsched.redaction import veiled, veiled_source
from daqsched.rights.grants import Grants
from daqsched.rollout import Strategy, in_the_way
from daqsched.rollout import check as check_strategy
from daqsched.serve.control_api import with_control
from daqsched.serve.daemon import Daemon
from daqsched.serve.http import Caller, caller_of, grants_now, grants_of, route, user_of, whose
from daqsched.serve.idempotency import terms_of
from daqsched.serve.looking import Looking, Newer
from daqsched.serve.planning import Deadline, Planning, Turns
from daqsched.serve.request_body import body_of, count_of, part_of, which_of
from daqsched.serve.sight import Sight, sight_of, unsaying
from daqsched.spec import EMPTY, JobSpec, Spec
from daqsched.views.estimate import placed, silent, started, starting, with_starts, with_times
from daqsched.views.look import questions
from daqsched.views.moves import moves
from daqsched.views.needed import needed
from daqsched.views.plan import Plan, plan, shared_names
from daqsched.views.snapshot import Had, Snapshot, had, snapshot

#: What an apply needs the right for: given what is in force, what it makes of that, and the account of jobs that name none.
Needs = Callable[[Spec, Merged, str], Iterable[permission.Need]]

Ask = Callable[[Callable[[Engine, float], Any]], Awaitable[Any]]


#: So many revisions an answer tells of.
MOST_REVISIONS = 10_000

#: Of so many, what began and ended with them.
MOST_COMPARED = 50


class Planned(NamedTuple):
    """What an apply would change, what that was seen from, and the farm that it leads to: complete, and as it was asked for."""

    plan: Plan
    known: Snapshot
    complete: Spec
    change: Merged


class Changes:
    """The routes; ``complete`` adds to a spec what is the framework's."""

    def __init__(
        self,
        daemon: Daemon,
        complete: Callable[[Spec], Spec],
        ask: Ask,
        planning: Planning,
        may_see: Callable[[Caller], bool],
        newer: Newer,
        agents: Callable[[], Agents] = Agents,
    ) -> None:
        self._daemon, self._complete, self._ask, self._agents = daemon, complete, ask, agents
        self._planning, self._may_see = planning, may_see
        self._made: Optional[Agents] = None
        self._looking = Looking(daemon, ask, newer)
        #: One apply at a time, from its look at what is in force to its own revision.
        self.turns = Turns(1)

    @property
    def routes(self) -> list[Route]:
        """For the application."""
        return [
            route("POST", "/plan", unsaying(self.plan, self._ask)),
            route("POST", "/apply", unsaying(self.apply, self._ask)),
            route("POST", "/rollback", unsaying(self.rollback, self._ask)),
            route("GET", "/history", self.history),
            route("GET", "/revisions/{number}", self.revision),
        ]

    # ------------------------------------------------------------------ plan and apply

    async def plan(self, request: Request) -> Plan:
        body = await body_of(request, PlanRequest)
        check_way(body.strategy)
        scope = Scope(tuple(body.only), take=tuple(body.take))
        sent = _sent(body.choices, body.spec, scope)

        def needs(old: Spec, change: Merged, account: str) -> Iterator[permission.Need]:
            yield from permission.of_apply(old, change, body.spec, body.strategy, account)
            for part, found in (sent or {}).items():
                yield from permission.of_choices(found, part, account)

        return await self.shown(request, body.spec, scope, body.strategy, needs, sent)

    async def shown(
        self,
        request: Request,
        spec: Spec,
        scope: Scope,
        strategy: Optional[Strategy],
        needs: Needs,
        sent: Optional[Mapping[str, ChoiceSet]] = None,
    ) -> Plan:
        """A plan as whoever asks is shown it: with the rights that it ``needs``, and without what is hidden."""
        deadline = Deadline()
        found, known, complete, change = await self.planned(whose(request), spec, scope, strategy, deadline, sent=sent)
        grants = grants_of(request)
        if grants is not None:
            found = await self._with_rights(whose(request), found, grants, known.applied, change, needs, deadline)
        sight = await sight_of(request, self._ask)
        if sight is not None:
            found = await self._planning.do(whose(request), lambda deadline: sight.plan(found, change.spec), deadline)
        asked = permission.of_apply(known.applied, change, spec, strategy, "")
        found = await with_control(request, known.controls, found, asked, sight)
        if not found.changes:
            return found
        way = way_of(strategy, spec)
        count: EndCount = await self._ask(lambda engine, now: end_count(engine, *endings(engine, change, way)))
        found = msgspec.structs.replace(found, ends=count if count.stops else None)
        found = await self._with_placement(whose(request), found, known, complete, deadline)
        return found if sight is None else sight.plan(found, change.spec)

    async def planned(
        self,
        caller: Hashable,
        spec: Spec,
        scope: Scope,
        strategy: Optional[Strategy],
        until: Optional[Deadline] = None,
        at_once: bool = False,
        sent: Optional[Mapping[str, ChoiceSet]] = None,
    ) -> Planned:
        """Raises `UserError` where the spec, or one of the choices that were ``sent`` with it, can't be applied.

        ``at_once``: the engine is looked at once, for what is applied then: that takes longer in one piece than this look.
        """
        until = until or Deadline()
        jobs = await self._planning.do(caller, lambda deadline: self._complete(spec).jobs, until) if at_once else ()
        known: Snapshot = await self._ask(lambda engine, now: snapshot(engine, jobs))

        way = strategy if strategy is not None else spec.rollout

        def compared(deadline: Deadline) -> tuple[Plan, Spec, Merged]:
            check(spec)
            change = change_of(known.applied, spec, scope, known.hosts_of, known.behind, deadline.within)
            if not change.everything:
                check(change.spec)
            for part, choices in (sent or {}).items():
                _check_choices(farm_parts.of_part(change.spec, part), choices, known, deadline)
            complete = self._complete(change.spec)
            found = plan(known.spec, complete, known.hosts_of, known.behind, change.jobs)
            # the digests are those of the crews' own files, not of what the framework adds to them
            found = msgspec.structs.replace(found, digest=digest(change.spec), base=known.base)
            found = msgspec.structs.replace(
                found, parts=farm_parts.others(known.applied, spec, change.spec) if not scope.everyones else ""
            )
            found = msgspec.structs.replace(
                found, moves=moves(known.applied, change.spec, known.hosts_of, known.behind, known.seen)
            )
            both = (*known.spec.jobs, *complete.jobs)
            shared = shared_names(found, both, known.hosts_of, known.namesakes)
            found = msgspec.structs.replace(found, namesakes=shared)
            return msgspec.structs.replace(found, rollout=_of_rollout(known, change, way)), complete, change

        def timed(deadline: Deadline) -> Plan:
            return with_times(known, with_starts(known, found, complete), complete, way)

        found, complete, change = await self._planning.do(caller, compared, until)
        for name in {*started(found, complete), *silent(found)} if not at_once else ():
            known.instances.update(await self._had(name))
        return Planned(await self._planning.do(caller, timed, until), known, complete, change)

    async def _had(self, name: str) -> dict[Key, Had]:
        found: dict[Key, Had] = await self._ask(lambda engine, now: had(engine, name))
        return found

    async def _with_rights(
        self,
        caller: Hashable,
        found: Plan,
        grants: Grants,
        old: Spec,
        change: Merged,
        needs: Needs,
        until: Deadline,
    ) -> Plan:
        """Which rights an apply of it needs, and whether whoever asked has them."""
        account: str = await self._ask(lambda engine, now: engine.account)

        def work(deadline: Deadline) -> Plan:
            refused, rights = needed(grants, deadline.each(needs(old, change, account)))
            return msgspec.structs.replace(found, needs=rights, refused=refused)

        return await self._planning.do(caller, work, until)

    async def _with_placement(
        self, caller: Hashable, found: Plan, known: Snapshot, complete: Spec, until: Deadline
    ) -> Plan:
        """What would not start on the machines as they are now."""
        try:
            machines = await self._machines(known)
        except Unreachable as error:
            return msgspec.structs.replace(found, not_looked=str(error))

        def work(deadline: Deadline) -> Plan:
            begun = list(starting(known, complete, found))
            return placed(found, machines, begun, known.fixed_ports, deadline.each)

        return await self._planning.do(caller, work, until)

    async def _machines(self, known: Snapshot) -> dict[str, Offer]:
        if not known.connected:
            raise Unreachable(f"no connection to the master {known.master}".rstrip())
        if self._made is None:  # in the loop that serves
            self._made = self._agents()
        return await self._made.machines(known.master)

    async def machines(self, known: Snapshot) -> Optional[Collection[str]]:
        """The names of all that are registered with the master; None: it does not say."""
        try:
            return frozenset(await self._machines(known))
        except Unreachable:
            return None

    async def apply(self, request: Request) -> Applied:
        body = await body_of(request, ApplyRequest)
        check_way(body.strategy)
        deadline = Deadline()
        async with self.turns.of(whose(request)):
            deadline.look()
            return await self._apply_to(body, request)

    async def _apply_to(self, body: ApplyRequest, request: Request) -> Applied:
        event = events.JobsApplied(
            body.spec,
            user_of(request),
            body.message,
            body.strategy,
            tuple(body.only),
            body.if_unchanged,
            body.allow_empty,
            agreed=body.stops,
            take=tuple(body.take),
        )
        event = msgspec.structs.replace(event, choices=_sent(body.choices, body.spec, event.scope))
        planned = await self.planned(
            whose(request), body.spec, event.scope, body.strategy, at_once=True, sent=event.choices
        )
        return await self.carried_out(request, planned, event, body.no_look)

    async def carried_out(
        self,
        request: Request,
        planned: Planned,
        event: events.JobsApplied,
        no_look: bool,
        asked: Union[events.VariablesSet, events.ProposalApproved, None] = None,
    ) -> Applied:
        """The plan is of a look before; what came of it is the engine's word. ``asked``: what the apply stands for."""
        doubts = () if no_look else await self._look(request, planned, event, asked or event)
        grants = await grants_now(request)
        did = await asyncio.wrap_future(self._daemon.request(asked or event, grants, terms_of(request)))
        found = planned.plan
        sight = await sight_of(request, self._ask)
        needs = permission.of_apply(planned.known.applied, planned.change, event.spec, event.strategy, "")
        found = await with_control(request, planned.known.controls, found, needs, sight)
        if sight is not None:
            found = await asyncio.to_thread(sight.plan, found, planned.change.spec)
            doubts = tuple(one for one in doubts if not sight.names(one))
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
            permission.ensure(engine, asked, grants_of(request))
            control_steps.ensure(engine, asked, grants_of(request), now)
            outcome(engine, event)

        await self._ask(refused)
        return await self._looking.look(user_of(request), about)

    async def rollback(self, request: Request) -> Applied:
        """What a revision said of a part, or of all parts, applied anew."""
        body = await body_of(request, RollbackRequest)
        check_way(body.strategy)
        old = await self._revision(body.revision)
        there = await self._ask(lambda engine, now: farm_parts.named(engine.spec))
        spec = _to_roll_back(old, there, body)
        if body.part is not None and not body.everyones:
            spec = msgspec.structs.replace(spec, source=await self._source_of(spec.part, old.number))
        what = (
            f"rollback of {farm_parts.words(spec.part)} to revision"
            if body.part is not None
            else "rollback to revision"
        )
        message = f"{what} {old.number}{': ' + body.message if body.message else ''}"
        deadline = Deadline()
        async with self.turns.of(whose(request)):
            deadline.look()
            choices, lost = await self._choices_of(request, spec, body)
            event = events.JobsApplied(
                spec,
                user_of(request),
                message,
                body.strategy,
                allow_empty=True,
                agreed=body.stops,
                everyones=body.everyones,
                back=True,
                choices=choices,
            )
            planned = await self.planned(whose(request), spec, event.scope, body.strategy, at_once=True)
            applied = await self.carried_out(request, planned, event, body.no_look)
            return msgspec.structs.replace(applied, doubts=(*applied.doubts, *lost))

    async def _choices_of(
        self, request: Request, spec: Spec, body: RollbackRequest
    ) -> tuple[dict[str, ChoiceSet], list[str]]:
        """What shifters might set while that revision was in force, as far as who asks may leave it to them; else why not."""
        kept, account = await self._ask(lambda engine, now: (engine.choices, engine.account))
        parts = ["", *farm_parts.named(spec)] if body.everyones else [spec.part]
        grants = grants_of(request)

        def work(deadline: Deadline) -> tuple[dict[str, ChoiceSet], list[str]]:
            found: dict[str, ChoiceSet] = {}
            lost: list[str] = []
            for part in parts:
                one = of_revision(kept, part, body.revision)
                if one is None:
                    continue
                needs = deadline.each(permission.of_choices(one.choices, part, account))
                why = needed(grants, needs)[0] if grants is not None else ""
                if why:
                    lost.append(f"what shifters might set then of {farm_parts.words(part)} does not come back: {why}")
                else:
                    found[part] = one.choices
            return found, lost

        return await self._planning.do(whose(request), work)

    async def _source_of(self, part: str, number: int) -> str:
        """Where that revision has this part from: an apply of another one left it as it was."""

        def look(engine: Engine, now: float) -> int:
            found = (one.number for one in self._daemon.history(MOST_REVISIONS) if one.number <= number)
            return next((one for one in found if engine.parts.get(one, "") == part), 0)

        found = await self._ask(look)
        return (await self._revision(found)).spec.source if found else ""

    # ------------------------------------------------------------------ revisions

    async def history(self, request: Request) -> HistoryAnswer:
        most = count_of(request, "most", 20, MOST_REVISIONS)
        part, sees, before = part_of(request), self._may_see(caller_of(request)), which_of(request, "before")

        def look(engine: Engine, now: float) -> list[tuple[RevisionHead, int]]:
            found = self._daemon.history(most + 2 if part is None and not before else MOST_REVISIONS)
            olders = [*(one.number for one in found[1:]), 0]
            heads = ((_head(one, engine, sees), older) for one, older in zip(found, olders))
            wanted = ((head, older) for head, older in heads if part in (None, head.part))
            return [(head, older) for head, older in wanted if not before or head.number < before][: most + 1]

        sight = await sight_of(request, self._ask)
        heads: list[RevisionHead] = []
        specs: dict[int, Spec] = {0: EMPTY}
        found = await self._ask(look)
        for head, older in found[:most]:
            if len(heads) < MOST_COMPARED:
                for number in {head.number, older}.difference(specs):
                    specs[number] = (await self._revision(number)).spec
                old, new = specs[older], specs.pop(head.number)
                counts = await self._planning.do(whose(request), partial(_counts, old, new, sight))
                source = new.source if sees else veiled_source(new.source)
                head = msgspec.structs.replace(head, source=source, changes=counts)
            heads.append(head if sight is None else sight.head(head))
        notes = await self._ask(lambda engine, now: between([head.time for head in heads], engine.logbook))
        heads = [msgspec.structs.replace(head, notes=its) for head, its in zip(heads, notes)]
        return HistoryAnswer(heads, heads[-1].number if len(found) > most else 0)

    async def revision(self, request: Request) -> RevisionAnswer:
        number = request.path_params["number"]
        if not number.isdecimal() or len(number) > 15:
            raise UserError("there is no such revision: `daqsched history` lists them")
        found = await self._revision(int(number))
        sees = self._may_see(caller_of(request))
        head = await self._ask(lambda engine, now: _head(found, engine, sees))
        sight = await sight_of(request, self._ask)
        head = head if sight is None else sight.head(head)
        return RevisionAnswer(head, await self.seen_spec(request, found.spec, head.source, sight))

    def seen_source(self, request: Request, source: str) -> str:
        """A job file, with what was set of its variables as far as whoever asks may see that."""
        return source if self._may_see(caller_of(request)) else veiled_source(source)

    async def seen_spec(self, request: Request, spec: Spec, source: str, sight: Optional[Sight]) -> Spec:
        """What of it whoever asks may see; ``source`` is told where not all of it is."""
        sees, grants = self._may_see(caller_of(request)), grants_of(request)
        if sight is not None:
            spec = msgspec.structs.replace(await asyncio.to_thread(sight.spec, spec), source=source)

        def told(job: JobSpec) -> bool:
            return grants is not None and not any(grants.why_not("environment", one) for one in targets_of(job))

        return spec if sees else await asyncio.to_thread(veiled, spec, told)

    async def _revision(self, number: int) -> Revision:
        found: Optional[Revision] = await self._ask(
            lambda engine, now: self._daemon.revision(number) if number else engine.revision
        )
        if found is None:
            raise UserError(f"there is no revision {number}: `daqsched history` lists them")
        return found


def _sent(choices: Optional[ChoiceSet], spec: Spec, scope: Scope) -> Optional[dict[str, ChoiceSet]]:
    """What an apply leaves to shifters, by part; None: what it was before, as it is not of all of its part."""
    if scope.is_some:
        if choices is not None:
            raise UserError("what shifters may set is sent with all of a file, and not with some of it (--only)")
        return None
    return {spec.part: choices} if choices is not None else {}


def _check_choices(part: Spec, found: ChoiceSet, known: Snapshot, deadline: Deadline) -> None:
    """Raise `UserError` where one of them could not be applied; ``part`` is in force after the apply."""
    check_choices(found)
    for choice in (found.given, *found.choices):
        deadline.look()
        try:
            spec = ensure_choice(part, found, choice)
            check(spec)
            change = change_of(known.applied, spec, Scope(), known.hosts_of, known.behind, deadline.within)
            if not change.everything:
                check(change.spec)
        except UserError as error:
            raise UserError(f"with {words_of_choice(found, choice)}: {error}") from error


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


def _of_rollout(known: Snapshot, change: Merged, way: Optional[Strategy]) -> str:
    rollout = known.rollout
    if rollout is None:
        return ""
    whose = f"rollout {rollout.number} of {rollout.user} ({rollout.state}, batch {rollout.at + 1} of {rollout.batches})"
    if change.takes_over(known.rolling):
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


def _counts(old: Spec, new: Spec, sight: Optional[Sight], deadline: Deadline) -> dict[str, int]:
    if sight is not None:
        old, new = sight.spec(old), sight.spec(new)
    return plan(old, new).instances


def _head(revision: Revision, engine: Engine, sees: bool) -> RevisionHead:
    part, source = engine.parts.get(revision.number, ""), revision.spec.source
    source = source if sees else veiled_source(source)
    return RevisionHead(
        revision.number,
        revision.digest,
        revision.user,
        revision.time,
        revision.message,
        part,
        source,
        rollout=outcome_of(engine, revision.number),
    )
