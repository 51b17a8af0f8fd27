"""What an apply would change, worked out beside the loop: of a snapshot, as whoever asks may be told of it."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Mapping
from typing import Callable, NamedTuple, Optional

import msgspec
from starlette.requests import Request

from daqsched import farm_parts
from daqsched.choices import ChoiceSet
from daqsched.choices import check as check_choices
from daqsched.choices import ensure as ensure_choice
from daqsched.choices import words_of as words_of_choice
from daqsched.confirm import EndCount
from daqsched.digests import digest, told
from daqsched.engine import permission
from daqsched.engine.applying import way_of
from daqsched.engine.confirming import end_count
from daqsched.engine.endings import endings
from daqsched.engine.engine import Engine
from daqsched.engine.instance import Key
from daqsched.engine.resources import Offer
from daqsched.errors import JobError, Unreachable, UserError
from daqsched.jobfile.conflicts import check, check_file
from daqsched.merge import Merged, Scope, change_of
from daqsched.mesos.agents import Agents
from daqsched.rights.grants import Grants
from daqsched.rollout import Strategy, in_the_way
from daqsched.rollout import check as check_strategy
from daqsched.rollout import whose as whose_rollout
from daqsched.serve.control_api import with_control
from daqsched.serve.daemon import Ask
from daqsched.serve.http import grants_of, whose
from daqsched.serve.planning import Deadline, Planning
from daqsched.serve.visibility import remember, visibility_in
from daqsched.spec import Spec
from daqsched.views.estimate import placed, silent, started, starting, with_starts, with_times
from daqsched.views.moves import moves
from daqsched.views.needed import needed
from daqsched.views.plan import Plan, in_maintenance, plan, shared_names
from daqsched.views.snapshot import Had, Snapshot, had, snapshot
from daqsched.views.stays import FormersStops, stays

#: What an apply needs the right for: given what is in force, what it makes of that, and the account of jobs that name none.
Needs = Callable[[Spec, Merged, str], Iterable[permission.Need]]


class Planned(NamedTuple):
    """What an apply would change, what that was seen from, and the farm that it leads to: complete, and as it was asked for."""

    plan: Plan
    known: Snapshot
    complete: Spec
    change: Merged


class Plans:
    """``ask`` puts a question to the engine; ``complete`` adds to a spec what is the framework's."""

    def __init__(
        self,
        ask: Ask,
        complete: Callable[[Spec], Spec],
        planning: Planning,
        agents: Callable[[], Agents] = Agents,
    ) -> None:
        self._ask, self._complete, self._planning, self._agents = ask, complete, planning, agents
        self._made: Optional[Agents] = None

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
        found, known, complete, change = await self.planned(request, spec, scope, strategy, deadline, sent=sent)
        grants = grants_of(request)
        if grants is not None:
            found = await self._with_rights(whose(request), found, grants, known, change, needs, deadline)
        refused, visibility = found.refused, await visibility_in(request, known.spec)  # as it may be for what is hidden
        if visibility is not None:
            found = await self._planning.do(
                whose(request), lambda deadline: visibility.plan(found, change.spec), deadline
            )
        asked = permission.of_apply(known.applied, change, spec, strategy, "")
        found = await with_control(request, known.controls, found, asked, visibility)
        if not found.changes:
            return found
        known_ends = visibility is None or not refused
        formers: FormersStops = "all" if visibility is None else "nothing" if found.refused else "that"
        way = way_of(strategy, spec)

        def look(engine: Engine, now: float) -> tuple[EndCount, tuple[tuple[str, str], ...]]:
            return end_count(engine, *endings(engine, change, way)), stays(engine, found.changes, complete, formers)

        count, kept = await self._ask(look)
        found = msgspec.structs.replace(found, ends=count if count.stops and known_ends else None, stays=kept)
        found = await self._with_placement(whose(request), found, known, complete, deadline)
        return found if visibility is None else visibility.plan(found, change.spec)

    async def planned(
        self,
        request: Request,
        spec: Spec,
        scope: Scope,
        strategy: Optional[Strategy],
        until: Optional[Deadline] = None,
        at_once: bool = False,
        sent: Optional[Mapping[str, ChoiceSet]] = None,
    ) -> Planned:
        """What an apply comes to; raises `UserError` where the spec, or one of the choices that were ``sent``, can't be applied.

        ``at_once``: the engine is looked at once, for what is applied then: that takes longer in one piece than this look.
        """
        until, caller = until or Deadline(), whose(request)
        jobs = await self._planning.do(caller, lambda deadline: self._complete(spec).jobs, until) if at_once else ()
        known: Snapshot = await self._ask(lambda engine, now: snapshot(engine, jobs))
        remember(request, known.spec)
        way = strategy if strategy is not None else spec.rollout

        def compared(deadline: Deadline) -> tuple[Plan, Spec, Merged]:
            check_file(spec)
            change = change_of(known.applied, spec, scope, known.hosts_of, known.behind, deadline.within)
            if not change.everything:
                check(change.spec)
            for part, choices in (sent or {}).items():
                _check_choices(farm_parts.of_part(change.spec, part), choices, known, deadline)
            complete = self._complete(change.spec)
            found = plan(known.spec, complete, known.hosts_of, known.behind, change.jobs, known.key)
            # the digests are those of the crews' own files, not of what the framework adds to them
            found = msgspec.structs.replace(found, digest=told(known.key, digest(change.spec)), base=known.base)
            found = msgspec.structs.replace(
                found, parts=farm_parts.others(known.applied, spec, change.spec) if not scope.everyones else ""
            )
            found = msgspec.structs.replace(
                found, moves=moves(known.applied, change.spec, known.hosts_of, known.behind, known.seen)
            )
            both = (*known.spec.jobs, *complete.jobs)
            shared = shared_names(found, both, known.hosts_of, known.namesakes)
            away = in_maintenance(found, known.away, known.now)
            found = msgspec.structs.replace(found, namesakes=shared, maintenance=away)
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
        known: Snapshot,
        change: Merged,
        needs: Needs,
        until: Deadline,
    ) -> Plan:
        """Which rights an apply of it needs, and whether whoever asked has them; who may all needs none."""
        if grants.all:
            return found

        def work(deadline: Deadline) -> Plan:
            refused, rights = needed(grants, deadline.each(needs(known.applied, change, known.account)))
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


def _of_rollout(known: Snapshot, change: Merged, way: Optional[Strategy]) -> str:
    rollout = known.rollout
    if rollout is None:
        return ""
    if change.takes_over(known.rolling):
        return f"this ends {whose_rollout(rollout)}"
    why_not = in_the_way(rollout, known.concerned, change.jobs, way if way is not None and way.batches else None)
    goes_on = f"{whose_rollout(rollout)}{'; it stays so' if rollout.state == 'paused' else ' goes on as it is'}"
    return f"this would be refused: {why_not}" if why_not else goes_on


def check_way(strategy: Optional[Strategy]) -> None:
    """Raise `UserError` for a strategy that can't be used."""
    if strategy is not None:
        try:
            check_strategy(strategy)
        except JobError as error:
            raise UserError(f"strategy.{error.field}: {error}") from error
