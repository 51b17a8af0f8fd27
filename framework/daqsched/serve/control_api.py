"""The daemon's answers about who is in control: told of, taken, given."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Optional

from msgspec.structs import replace
from starlette.requests import Request
from starlette.routing import Route

from daqsched import control, farm_parts
from daqsched.control import ControlAnswer, Controls, GiveRequest, TakeRequest
from daqsched.engine import events
from daqsched.engine.control_steps import known_as, parts_of
from daqsched.engine.engine import Engine
from daqsched.engine.permission import Need, for_control
from daqsched.errors import Refused, UserError
from daqsched.limits import shown as shown_text
from daqsched.rights.tokens import Token, living
from daqsched.serve.accounts import Accounts
from daqsched.serve.daemon import Ask, Daemon
from daqsched.serve.http import grants_now, grants_of, permit_some, route, user_of
from daqsched.serve.request_body import body_of, part_of
from daqsched.serve.requested import requested
from daqsched.serve.rights_api import somebody
from daqsched.serve.rights_in_force import RightsInForce
from daqsched.serve.visibility import UNSAID, Visibility, unsaying, visibility_of
from daqsched.views.plan import Plan


class ControlRoutes:
    """Routes; ``ask`` puts a question to the engine."""

    def __init__(self, daemon: Daemon, ask: Ask) -> None:
        self._daemon, self._ask = daemon, ask

    @property
    def routes(self) -> list[Route]:
        """For the application."""
        return [
            route("GET", "/control", self.control),
            route("POST", "/take", unsaying(self.take, self._ask)),
            route("POST", "/give", unsaying(self.give, self._ask)),
        ]

    async def control(self, request: Request) -> ControlAnswer:
        part = part_of(request)
        return await self._told(request, part)

    async def take(self, request: Request) -> ControlAnswer:
        body = await body_of(request, TakeRequest)
        part = await self._part(request, body.part)
        mine = known_as(user_of(request), await grants_now(request))
        event = events.ControlTaken(part, user_of(request), mine, body.for_s, body.message, body.force)
        await requested(self._daemon, request, event)
        return await self._told(request, None)

    async def give(self, request: Request) -> ControlAnswer:
        body = await body_of(request, GiveRequest)
        part = await self._part(request, body.part)
        name, theirs = await self._whom(request, body.to, part) if body.to else ("", ())
        mine = known_as(user_of(request), await grants_now(request))
        event = events.ControlGiven(part, user_of(request), mine, name, theirs, body.message)
        await requested(self._daemon, request, event)
        return await self._told(request, None)

    async def _part(self, request: Request, word: Optional[str]) -> Optional[str]:
        """One that who asks sees something of; None: the farm."""
        permit_some(request, "control")
        if word is None:
            return None
        part, visibility = farm_parts.read(word), await visibility_of(request, self._ask)
        if visibility is not None and part not in await asyncio.to_thread(lambda: visibility.parts):
            raise UserError(control.NO_SUCH_PART)
        return part

    async def _whom(self, request: Request, word: str, part: Optional[str]) -> tuple[str, tuple[str, ...]]:
        """Who that is, and all that rules call him; raises where there is no such person, or he may not be in control."""
        in_force: Optional[RightsInForce] = request.scope.get("rights")
        accounts: Accounts = request.scope["accounts"]
        if in_force is None:
            name = word[len("unix:") :] if word.startswith("unix:") else word
            if await accounts.number(name) is None:
                raise UserError(f"there is no account {name!r} on the daemon's machine")
            return name, (f"unix:{name}",)
        # of groups that a log-in tells of it is judged when he asks himself
        who = replace(await somebody(word, in_force.rights, accounts), unasked=frozenset())
        grants = in_force.grants(who)
        targets = await self._ask(lambda engine, now: for_control(engine, part))
        if grants.refusal("control", targets):
            raise Refused(
                f"{word} may not be in control of {control.scope(part)}: ask who runs the farm for the right to"
            )
        # the present token of that name, and as he is called where he asks himself
        who = replace(who, token_mark=await self._token_mark(word))
        name = who.name if who.name.startswith("token:") else who.name.partition(":")[2] or who.name
        return name, known_as(who.name, in_force.grants(who))

    async def _token_mark(self, word: str) -> str:
        """Of a token; empty: it is none. Raises `UserError` where none of that name counts."""
        kind, _, name = word.partition(":")
        if kind != "token":
            return ""
        found: Optional[Token] = await self._ask(lambda engine, now: living(engine.credentials, name, now))
        if found is None:
            raise UserError(f"there is no token {shown_text(name)} that counts: `daqsched token list` has them")
        return found.mark

    async def _told(self, request: Request, part: Optional[str]) -> ControlAnswer:
        visibility = await visibility_of(request, self._ask)
        return await controls_of(request, self._ask, part, visibility)


async def controls_of(
    request: Request, ask: Ask, part: Optional[str], visibility: Optional[Visibility]
) -> ControlAnswer:
    """Who is in control of what who asks may see: of the farm first; with ``part`` only what is about that."""

    def look(engine: Engine, now: float) -> tuple[Controls, float]:
        return engine.controls, now

    controls, now = await ask(look)
    if not controls:
        return ControlAnswer([], now)
    mine = known_as(user_of(request), grants_of(request))
    seen = await asyncio.to_thread(lambda: visibility.parts) if visibility is not None else None
    shown = [
        one for one in controls.values() if one.until > now and (seen is None or one.part is None or one.part in seen)
    ]
    found = [control.told(one, mine) for one in sorted(shown, key=lambda one: (one.part is not None, one.part or ""))]
    return ControlAnswer([one for one in found if part is None or one.part in (None, part)], now)


async def with_control(
    request: Request, controls: Controls, plan: Plan, needs: Iterable[Need], visibility: Optional[Visibility]
) -> Plan:
    """With who is in control of what it changes, and why it would be refused for that; ``needs``: what it takes."""
    if not controls:
        return plan
    mine = known_as(user_of(request), grants_of(request))
    now = 0.0  # whose time is up the engine has taken out

    def work() -> Plan:
        parts = list(dict.fromkeys(parts_of(needs)))
        holders = dict.fromkeys(filter(None, (control.holder(controls, part, now) for part in parts)))
        hidden = [
            one
            for one in holders
            if visibility is not None and one.part is not None and one.part not in visibility.parts
        ]
        other = control.in_the_way(controls, parts, mine, now)
        why = "" if other is None else UNSAID if other in hidden else control.refusal(other)
        told = tuple(control.told(one, mine) for one in holders if one not in hidden)
        return replace(plan, control=told, refused=plan.refused or why)

    return await asyncio.to_thread(work)
