"""The daemon's answers about what shifters may set: what there is, what setting it would change, and setting it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import NamedTuple

from msgspec.structs import replace
from starlette.requests import Request
from starlette.routing import Route

from daqsched import farm_parts
from daqsched.choices import ANOTHER, in_force, settings_of
from daqsched.engine import events, permission
from daqsched.engine.choice_steps import as_apply
from daqsched.engine.engine import Engine
from daqsched.errors import UserError
from daqsched.merge import Merged, Scope
from daqsched.protocol import (
    Applied,
    ChoicesAnswer,
    PartChoices,
    SetRequest,
    SettableVariable,
)
from daqsched.saved_choices import SavedChoices, whose
from daqsched.serve import http
from daqsched.serve.change_api import ChangeRoutes
from daqsched.serve.daemon import Ask
from daqsched.serve.http import route, user_of
from daqsched.serve.planning import Deadline, Planning
from daqsched.serve.plans import Plans
from daqsched.serve.request_body import body_of, part_of
from daqsched.serve.visibility import remember, unsaying, visibility_then
from daqsched.spec import EMPTY, Spec
from daqsched.views.plan import Plan


class _Asked(NamedTuple):
    """What somebody wants to set, and the apply that this is."""

    event: events.VariablesSet
    apply: events.JobsApplied


class ChoiceRoutes:
    """Routes; ``ask`` puts a question to the engine."""

    def __init__(self, ask: Ask, plans: Plans, changes: ChangeRoutes, planning: Planning) -> None:
        self._ask, self._plans, self._changes, self._planning = ask, plans, changes, planning

    @property
    def routes(self) -> list[Route]:
        """For the application."""
        return [
            route("GET", "/choices", self.choices),
            route("POST", "/choices/plan", unsaying(self.plan, self._ask)),
            route("POST", "/set", unsaying(self.set, self._ask)),
        ]

    async def choices(self, request: Request) -> ChoicesAnswer:
        part = part_of(request)
        spec, kept = await self._seen(request)

        def work(deadline: Deadline) -> list[PartChoices]:
            found = sorted(one.part for one in kept if part in (None, one.part))
            by_part = {one.part: one for one in kept}
            return [_told(spec, by_part[name]) for name in found]

        return ChoicesAnswer(await self._planning.do(http.whose(request), work))

    async def plan(self, request: Request) -> Plan:
        asked = await self._asked(request, await body_of(request, SetRequest))

        def needs(old: Spec, change: Merged, account: str) -> Iterator[permission.Need]:
            yield from permission.of_set(old, change)

        return await self._plans.shown(request, asked.apply.spec, Scope(), None, needs)

    async def set(self, request: Request) -> Applied:
        body = await body_of(request, SetRequest)
        http.permit_some(request, "set")
        async with self._changes.turn(request):
            asked = await self._asked(request, body)
            did = await self._changes.carried_out(request, asked.apply, body.no_look, asked.event)
            return replace(did, part=asked.event.part)

    async def _asked(self, request: Request, body: SetRequest) -> _Asked:
        settings = settings_of(body.settings)
        if not settings:
            raise UserError("nothing is set: write NAME=VALUE; `daqsched variables` shows what may be set")
        part = farm_parts.read(body.part) if body.part is not None else None
        spec, kept = await self._seen(request)

        def work(deadline: Deadline) -> _Asked:
            found = whose(kept, settings, part)
            event = events.VariablesSet(
                found.part, settings, user_of(request), body.message, body.if_unchanged, body.stops
            )
            return _Asked(event, as_apply(spec, kept, event)[0])

        return await self._planning.do(http.whose(request), work)

    async def _seen(self, request: Request) -> tuple[Spec, tuple[SavedChoices, ...]]:
        """What is in force, and what may be set that who asks may see."""

        def look(engine: Engine, now: float) -> tuple[Spec, tuple[SavedChoices, ...]]:
            remember(request, engine.spec)
            spec = engine.revision.spec if engine.revision is not None else EMPTY
            return spec, tuple(one for one in engine.choices if not one.until)

        spec, kept = await self._ask(look)
        visibility = await visibility_then(request, self._ask)
        if visibility is None:
            return spec, kept
        return spec, await asyncio.to_thread(lambda: tuple(filter(visibility.sees_choices, kept)))


def _told(spec: Spec, kept: SavedChoices) -> PartChoices:
    now = in_force(farm_parts.of_part(spec, kept.part), kept.choices, kept.now)
    values = now.values if now is not None else ("",) * len(kept.choices.variables)
    return PartChoices(
        kept.part,
        [
            SettableVariable(one.name, list(one.values), value, one.kind)
            for one, value in zip(kept.choices.variables, values)
        ],
        kept.by,
        kept.revision,
        kept.set_by,
        kept.set_in,
        "" if now is not None else ANOTHER,
    )
