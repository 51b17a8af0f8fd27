"""The daemon's answers about preflights: hosts are asked whether they could start something, and what they say is told."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Collection, Iterator
from typing import Any, Callable

from msgspec.structs import replace
from starlette.requests import Request
from starlette.routing import Route

from daqsched import preflight
from daqsched.engine import events
from daqsched.engine.control_steps import known_as
from daqsched.engine.engine import Engine
from daqsched.engine.instance import Key
from daqsched.engine.match import by_attributes
from daqsched.engine.preflight_steps import why_waiting
from daqsched.errors import Forgotten, UserError
from daqsched.hosts import expand
from daqsched.jobfile.conflicts import check
from daqsched.limits import some
from daqsched.protocol import PreflightAnswer, PreflightBegun, PreflightRequest
from daqsched.select import Idle, hint, selection
from daqsched.serve.daemon import Ask, Daemon
from daqsched.serve.http import grants_now, grants_of, route, user_of, whose
from daqsched.serve.news import News
from daqsched.serve.only import ensure_means
from daqsched.serve.planning import Deadline, Planning
from daqsched.serve.plans import Plans
from daqsched.serve.request_body import body_of
from daqsched.serve.requested import requested
from daqsched.serve.visibility import visibility_of
from daqsched.spec import JobSpec
from daqsched.views.snapshot import snapshot

#: Also of one that is not for who asks to see.
_UNKNOWN = "this preflight is unknown, the daemon was restarted: ask again"


def look_at_words(body: PreflightRequest, hosts_of: Callable[[JobSpec], Collection[str]], deadline: Deadline) -> None:
    """Raise `UserError` where a word of those that are not to be asked fits nothing that the file names: it was mistyped, and who
    is meant is asked."""
    fits, idle = selection(body.without), Idle(body.without)

    def named() -> Iterator[tuple[str, str]]:
        return ((job.name, host) for job in body.spec.jobs for host in expand(job.hosts) or hosts_of(job) or ("",))

    for key in deadline.each(named() if body.without else ()):
        if fits(*key):
            idle.see(*key)
    if idle:
        meant = hint(idle.words, list(named()))
        raise UserError(
            f"nothing was asked: --except {some(idle.words, ' ')} matches no job and no host of the file{meant}"
        )


class PreflightRoutes:
    """Routes; ``ask`` puts a question to the engine, ``news`` waits for what a request does not know."""

    def __init__(
        self,
        daemon: Daemon,
        ask: Ask,
        planning: Planning,
        plans: Plans,
        news: News,
    ) -> None:
        self._daemon, self._ask, self._planning, self._plans, self._news = daemon, ask, planning, plans, news

    @property
    def routes(self) -> list[Route]:
        """For the application."""
        return [
            route("POST", "/preflight", self.begin),
            route("GET", "/preflight/{id}", self.answer),
        ]

    async def begin(self, request: Request) -> PreflightBegun:
        body = await body_of(request, PreflightRequest)
        await ensure_means(request, self._ask, self._planning, body.spec, body.select)
        known = await self._ask(lambda engine, now: snapshot(engine))

        def hosts_of(job: JobSpec) -> Collection[str]:
            return known.hosts_of(job) if by_attributes(job) else ()

        def work(deadline: Deadline) -> tuple[Any, dict[str, str]]:
            check(body.spec)
            look_at_words(body, hosts_of, deadline)
            meant, left_out = selection(body.select), selection(body.without) if body.without else None
            chosen = deadline.within(
                meant if left_out is None else lambda job, host: meant(job, host) and not left_out(job, host)
            )
            return preflight.questions(body.spec, chosen, hosts_of), preflight.not_asked(body.spec, chosen, hosts_of)

        asked, not_asked = await self._planning.do(whose(request), work)
        if not asked and not not_asked:
            raise UserError("there is no host to ask: the file has no job, or none that matches --only")
        absent = frozenset(asked).difference(await self._plans.machines(known) or asked)
        id = secrets.token_hex(4)
        mine = known_as(user_of(request), await grants_now(request))
        event = events.PreflightAsked(id, user_of(request), asked, body.timeout_s, not_asked, absent, mine)
        await requested(self._daemon, request, event)
        return PreflightBegun(id, len(asked))

    async def answer(self, request: Request) -> PreflightAnswer:
        return await self._news.told(
            request, lambda: self._found(request), lambda found, version: replace(found, version=version)
        )

    async def _found(self, request: Request) -> tuple[PreflightAnswer, int]:
        id = request.path_params["id"]

        def look(engine: Engine, now: float) -> tuple[PreflightAnswer, int, frozenset[Key], tuple[str, ...]]:
            found = engine.preflights.made.get(id)
            if found is None:
                raise Forgotten(_UNKNOWN)
            answer = PreflightAnswer(0, found.answer(lambda ask: why_waiting(engine, ask)))
            return answer, engine.version, found.about, found.known_as

        answer, version, about, whose = await self._ask(look)
        visibility = await visibility_of(request, self._ask)
        mine = known_as(user_of(request), grants_of(request))
        if visibility is not None and set(whose).isdisjoint(mine):
            if len(await asyncio.to_thread(visibility.keys, tuple(about))) < len(about):
                raise Forgotten(_UNKNOWN)
        return answer, version
