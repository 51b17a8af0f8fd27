"""What the daemon answers: HTTP and JSON over a Unix socket that only its owner and group may open."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
from collections.abc import Awaitable, Collection
from functools import cache, partial
from typing import Any, Callable, Optional, TypeVar

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from daqsched import __version__, openapi, preflight
from daqsched.engine import events
from daqsched.engine.engine import Engine
from daqsched.engine.match import by_attributes
from daqsched.engine.preflight_steps import why_waiting
from daqsched.errors import Forgotten, Refused, UserError
from daqsched.jobfile.conflicts import check
from daqsched.limits import some
from daqsched.mesos.agents import Agents
from daqsched.protocol import (
    Info,
    LogAnswer,
    OrderAnswer,
    OrderRequest,
    PreflightAnswer,
    PreflightBegun,
    PreflightRequest,
    Selected,
    SelectRequest,
)
from daqsched.select import as_hosts, selection
from daqsched.serve.audit_api import AuditQuestions
from daqsched.serve.board_api import BoardRoutes
from daqsched.serve.change_api import Changes
from daqsched.serve.choices_api import Choices
from daqsched.serve.console_api import Consoles
from daqsched.serve.control_api import ControlRoutes
from daqsched.serve.daemon import Daemon
from daqsched.serve.http import (
    Caller,
    caller_of,
    grants_now,
    no_such_thing,
    route,
    sees_all,
    still_permitted,
    user_of,
    whose,
)
from daqsched.serve.idempotency import Repeats, terms_of
from daqsched.serve.lines_api import Lines
from daqsched.serve.log import RECENT
from daqsched.serve.login_api import Logins
from daqsched.serve.operations_api import Operations, chosen_of
from daqsched.serve.planning import Deadline, Planning
from daqsched.serve.plans import Plans
from daqsched.serve.proposals_api import ProposalRoutes
from daqsched.serve.query_api import Queries
from daqsched.serve.request_body import body_of, number_of
from daqsched.serve.revisions_api import Revisions
from daqsched.serve.rights_api import RightsQuestions
from daqsched.serve.sandbox_api import Sandboxes
from daqsched.serve.searches import SearchAccount, Searches
from daqsched.serve.shared_terminals import SharedTerminals
from daqsched.serve.sight import seen_of, sight_of
from daqsched.serve.token_api import Tokens
from daqsched.spec import JobSpec, Spec
from daqsched.store.backup import pack
from daqsched.views.snapshot import snapshot
from daqsched.views.status import all_keys
from daqsched_executor.contract import ORDER_KINDS, OperatorCommand

logger = logging.getLogger(__name__)

#: The document, made once: the types are what they are.
_openapi = cache(lambda: openapi.text().encode())

#: The longest that a progress request may be kept waiting for a change.
MOST_WAIT_S = 30.0

#: How often whoever waits is looked at for the right to what is waited for.
RIGHTS_S = 2.0

Body = TypeVar("Body")


async def _anyhow() -> None:
    """Who waits for a moment of our own."""


class Api:
    """The routes; `serving` answers by them."""

    def __init__(
        self,
        daemon: Daemon,
        complete: Callable[[Spec], Spec],
        elasticsearch: str,
        index: str,
        agents: Callable[[], Agents] = Agents,
        leader: str = "",
        may_see: Callable[[Caller], bool] = sees_all,
        account: Optional[SearchAccount] = None,
    ) -> None:
        self._daemon = daemon
        self._elasticsearch, self._index = elasticsearch, index
        self._loop: Optional[asyncio.AbstractEventLoop] = None
        self._changed: Optional[asyncio.Event] = None
        daemon.changed = self._wake
        #: Selections have threads of their own: a plan takes long, a stop must not.
        self._planning, self._choosing, self._may_see = Planning(), Planning("choosing"), may_see
        self.looks = Queries(daemon, self._ask, self._choosing, self._news, leader)
        self._plans = plans = Plans(self._ask, complete, self._planning, agents)
        revisions = Revisions(daemon, self._ask, self._planning, may_see)
        changes = Changes(daemon, self._ask, self._planning, plans, revisions, self._newer)
        self._sandboxes = sandboxes = Sandboxes(self._ask, agents)
        self.terminals = SharedTerminals(daemon, self._ask)
        self.searches = Searches(account)
        self.app = Starlette(
            routes=[
                route("GET", "/info", self.info),
                route("GET", "/openapi.json", self.openapi),
                route("GET", "/backup", self.backup),
                route("GET", "/log", self.log),
                route("GET", "/log/{host}", self.agent_log),
                route("POST", "/preflight", self.preflight),
                route("GET", "/preflight/{id}", self.preflight_answer),
                route("POST", "/stop", self.stop),
                route("POST", "/hold", self.hold),
                route("POST", "/start", self.start),
                route("POST", "/order", self.order),
                *changes.routes,
                *revisions.routes,
                *Choices(self._ask, plans, changes, self._planning).routes,
                *self.looks.routes,
                *BoardRoutes(daemon, self._ask, leader, self.looks.audit_trouble).routes,
                *Operations(daemon, self._ask, self._choosing).routes,
                *Consoles(self.terminals, self._ask).routes,
                *ControlRoutes(daemon, self._ask).routes,
                *ProposalRoutes(daemon, self._ask, plans, changes, revisions).routes,
                *RightsQuestions(self._ask).routes,
                *AuditQuestions().routes,
                *Tokens(daemon, self._ask).routes,
                *Logins(daemon).routes,
                *Lines(self._ask, self.searches, index).routes,
                route("POST", "/sandboxes", sandboxes.find),
                route("POST", "/sandboxes/read", sandboxes.read),
            ],
            exception_handlers={HTTPException: no_such_thing},
        )
        self.app.state.repeats = Repeats()
        self.app.router.redirect_slashes = False  # to whatever the Host header says

    # ------------------------------------------------------------------ routes

    async def info(self, request: Request) -> Info:
        return await self._ask(
            lambda engine, now: Info(
                __version__,
                os.getpid(),
                engine.framework_id,
                engine.master,
                engine.connected,
                engine.revision.number if engine.revision else 0,
                engine.spec.logging.elasticsearch or self._elasticsearch,
                engine.spec.logging.index or self._index,
                self.searches.account is not None,
            )
        )

    async def openapi(self, request: Request) -> Response:
        return Response(await asyncio.to_thread(_openapi), media_type="application/json")

    async def backup(self, request: Request) -> Response:
        if not self._may_see(caller_of(request)):
            raise Refused(
                "a backup holds the environment of all jobs, which may be secret: only root and the account of this daqsched "
                f"serve (uid {os.geteuid()}) are given one"
            )
        found = await self._ask(lambda engine, now: (self._daemon.contents(), now))
        return Response(await asyncio.to_thread(pack, *found), media_type="application/octet-stream")

    async def log(self, request: Request) -> LogAnswer:
        self._may_read_logs(request)
        return LogAnswer(RECENT.lines())

    async def agent_log(self, request: Request) -> LogAnswer:
        self._may_read_logs(request)
        return LogAnswer(await self._sandboxes.agent_log(request.path_params["host"]))

    def _may_read_logs(self, request: Request) -> None:
        if not self._may_see(caller_of(request)):
            raise Refused(
                "logs of daemon and agents may hold what is not for everybody: only root and the account of this daqsched "
                f"serve (uid {os.geteuid()}) are given them"
            )

    async def _news(self, request: Request) -> None:
        """Wait for a change after the version that was seen, for as long as the request may wait."""
        seen, wait_s = number_of(request, "seen", -1), max(0.0, min(MOST_WAIT_S, number_of(request, "wait_s", 0)))
        await self._newer(seen, wait_s, partial(still_permitted, request, "see"))

    async def _newer(self, seen: float, wait_s: float, still: Callable[[], Awaitable[None]] = _anyhow) -> None:
        """``still`` is asked every now and then, and raises where nobody is to wait any more."""
        if self._changed is None:
            self._loop, self._changed = asyncio.get_running_loop(), asyncio.Event()
        # taken before the question: a change right after its answer is not missed
        changed = self._changed
        if wait_s and await self._ask(lambda engine, now: engine.version) == seen:
            until = asyncio.get_running_loop().time() + wait_s
            while not changed.is_set() and until > asyncio.get_running_loop().time():
                try:
                    await asyncio.wait_for(changed.wait(), min(RIGHTS_S, until - asyncio.get_running_loop().time()))
                except asyncio.TimeoutError:
                    pass
                await still()

    async def preflight(self, request: Request) -> PreflightBegun:
        body = await body_of(request, PreflightRequest)
        if not 0 < body.timeout_s <= preflight.LONGEST_S:
            raise UserError(f"a preflight may take up to {preflight.LONGEST_S:g} s, not {body.timeout_s:g} s")
        known = await self._ask(lambda engine, now: snapshot(engine))

        def hosts_of(job: JobSpec) -> Collection[str]:
            return known.hosts_of(job) if by_attributes(job) else ()

        def work(deadline: Deadline) -> tuple[Any, dict[str, str]]:
            check(body.spec)
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
        event = events.PreflightAsked(id, user_of(request), asked, body.timeout_s, not_asked, absent)
        await asyncio.wrap_future(self._daemon.request(event, await grants_now(request), terms_of(request)))
        return PreflightBegun(id, len(asked))

    async def preflight_answer(self, request: Request) -> PreflightAnswer:
        id = request.path_params["id"]

        def answer(engine: Engine, now: float) -> PreflightAnswer:
            found = engine.preflights.made.get(id)
            if found is None:
                raise Forgotten("this preflight is unknown, the daemon was restarted: ask again")
            return PreflightAnswer(engine.version, found.answer(lambda ask: why_waiting(engine, ask)))

        await self._news(request)
        return await self._ask(answer)

    async def stop(self, request: Request) -> Selected:
        return await self._select(request, lambda keys, user, body: events.Held(keys, user, body.message, body.stops))

    async def hold(self, request: Request) -> Selected:
        return await self._select(request, lambda keys, user, body: events.Held(keys, user, body.message, spares=True))

    async def start(self, request: Request) -> Selected:
        return await self._select(
            request, lambda keys, user, body: events.Released(keys, user, body.everyones, body.anyway)
        )

    async def _select(
        self, request: Request, event: Callable[[tuple[tuple[str, str], ...], str, SelectRequest], events.Event]
    ) -> Selected:
        body = await body_of(request, SelectRequest)
        keys = await self._chosen(request, body.select)
        accepted = await asyncio.wrap_future(
            self._daemon.request(event(keys, user_of(request), body), await grants_now(request), terms_of(request))
        )
        sight = await sight_of(request, self._ask)
        dependents = [name for name in accepted.dependents if sight is None or sight.sees_some(name)]
        return Selected(
            len(accepted.keys),
            list(accepted.rejected),
            dependents,
            accepted.others,
            waiting=list(accepted.waiting),
        )

    async def _chosen(self, request: Request, select: list[str]) -> tuple[tuple[str, str], ...]:
        if not select:
            raise UserError("nothing is selected: name jobs, or '*' for all")
        known = await seen_of(request, self._ask, await self._ask(lambda engine, now: all_keys(engine)))
        keys = await chosen_of(self._choosing, whose(request), select, known, each=True)
        if not keys:
            meant = as_hosts(select, known)
            raise UserError(f"no job matches {some(select, ' ')}: `daqsched status` lists them{meant}")
        return keys

    async def order(self, request: Request) -> OrderAnswer:
        body = await body_of(request, OrderRequest)
        if body.kind not in ORDER_KINDS:
            raise UserError(f"{body.kind!r} can't be asked for: one of {', '.join(ORDER_KINDS)}")
        keys = await self._chosen(request, body.select)
        id = body.id or secrets.token_hex(4)
        order = OperatorCommand(id, body.kind, user_of(request), body.name, body.until, body.message)
        event = events.OperatorCommanded(keys, order, body.stops)
        accepted = await asyncio.wrap_future(self._daemon.request(event, await grants_now(request), terms_of(request)))
        return OrderAnswer(id, [*accepted.keys], [*accepted.rejected])

    async def _ask(self, question: Callable[[Engine, float], Body]) -> Body:
        return await asyncio.wrap_future(self._daemon.ask(question))

    # ------------------------------------------------------------------ news

    def _wake(self) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._renew)

    def _renew(self) -> None:
        assert self._changed is not None, "made before anybody could wake it"
        self._changed.set()
        self._changed = asyncio.Event()
