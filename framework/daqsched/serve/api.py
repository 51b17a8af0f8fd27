"""What the daemon answers: HTTP and JSON over a Unix socket that only its owner and group may open."""

from __future__ import annotations

import asyncio
import logging
import os
from functools import cache
from typing import Callable, Optional, TypeVar

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from daqsched import __version__, openapi
from daqsched.engine.engine import Engine
from daqsched.mesos.agents import Agents
from daqsched.protocol import Info, LogAnswer
from daqsched.serve.audit_api import AuditRoutes
from daqsched.serve.board_api import BoardRoutes
from daqsched.serve.change_api import ChangeRoutes
from daqsched.serve.choices_api import ChoiceRoutes
from daqsched.serve.console_api import ConsoleRoutes
from daqsched.serve.control_api import ControlRoutes
from daqsched.serve.daemon import Daemon
from daqsched.serve.guess_pace import GuessPace
from daqsched.serve.http import (
    Caller,
    caller_of,
    ensure_insider,
    no_such_thing,
    permit_of_all,
    route,
    sees_all,
)
from daqsched.serve.idempotency import Repeats
from daqsched.serve.lines_api import LineRoutes
from daqsched.serve.log import RECENT
from daqsched.serve.login_api import LoginRoutes
from daqsched.serve.news import News
from daqsched.serve.oidc_api import OidcRoutes
from daqsched.serve.operator_api import OperatorRoutes
from daqsched.serve.planning import Planning
from daqsched.serve.plans import Plans
from daqsched.serve.preflight_api import PreflightRoutes
from daqsched.serve.proposals_api import ProposalRoutes
from daqsched.serve.query_api import QueryRoutes
from daqsched.serve.revisions_api import RevisionRoutes
from daqsched.serve.rights_api import RightsRoutes
from daqsched.serve.sandbox_api import SandboxRoutes
from daqsched.serve.searches import SearchAccount, Searches
from daqsched.serve.shared_terminals import SharedTerminals
from daqsched.serve.token_api import TokenRoutes
from daqsched.spec import Spec
from daqsched.store.backup import pack

logger = logging.getLogger(__name__)

#: The document, made once: the types are what they are.
_openapi = cache(lambda: openapi.text().encode())

#: What the log of a daemon or an agent is, to whom it is refused.
_LOGS = "a log of daemon or agents may hold what is not for everybody"

Body = TypeVar("Body")


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
        news = News(self._ask)
        daemon.changed = news.wake
        #: Selections have threads of their own: a plan takes long, a stop must not.
        planning, choosing = Planning(), Planning("choosing")
        self._may_see = may_see
        self.looks = QueryRoutes(daemon, self._ask, choosing, news, leader)
        plans = Plans(self._ask, complete, planning, agents)
        self.guesses = GuessPace(may_see)
        revisions = RevisionRoutes(daemon, self._ask, planning, may_see, self.guesses)
        changes = ChangeRoutes(daemon, self._ask, planning, plans, news.newer, self.guesses)
        self._sandboxes = SandboxRoutes(self._ask, agents)
        self.terminals = SharedTerminals(daemon, self._ask)
        self.searches = Searches(account)
        self.app = Starlette(
            routes=[
                route("GET", "/info", self.info),
                route("GET", "/openapi.json", self.openapi),
                route("GET", "/backup", self.backup),
                route("GET", "/log", self.log),
                route("GET", "/log/{host}", self.agent_log),
                *PreflightRoutes(daemon, self._ask, planning, plans, news).routes,
                *changes.routes,
                *revisions.routes,
                *ChoiceRoutes(self._ask, plans, changes, planning).routes,
                *self.looks.routes,
                *BoardRoutes(daemon, self._ask, leader, self.looks.audit_trouble).routes,
                *OperatorRoutes(daemon, self._ask, choosing).routes,
                *ConsoleRoutes(self.terminals, self._ask).routes,
                *ControlRoutes(daemon, self._ask).routes,
                *ProposalRoutes(daemon, self._ask, planning, plans, changes, revisions).routes,
                *RightsRoutes(self._ask).routes,
                *AuditRoutes().routes,
                *TokenRoutes(daemon, self._ask).routes,
                *LoginRoutes(daemon).routes,
                *OidcRoutes().routes,
                *LineRoutes(self._ask, self.searches, index).routes,
                *self._sandboxes.routes,
            ],
            exception_handlers={HTTPException: no_such_thing},
        )
        self.app.state.repeats, self.app.state.told = Repeats(), daemon.engine.told
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
        self._ensure_insider(request, "a backup holds the environment of all jobs, which may be secret")
        found = await self._ask(lambda engine, now: (self._daemon.contents(), now))
        return Response(await asyncio.to_thread(pack, *found), media_type="application/octet-stream")

    async def log(self, request: Request) -> LogAnswer:
        self._ensure_insider(request, _LOGS)
        return LogAnswer(RECENT.lines())

    async def agent_log(self, request: Request) -> LogAnswer:
        self._ensure_insider(request, _LOGS)
        return LogAnswer(await self._sandboxes.agent_log(request.path_params["host"]))

    def _ensure_insider(self, request: Request, what: str) -> None:
        caller = caller_of(request)
        ensure_insider(caller, self._may_see(caller), what)
        permit_of_all(request, "environment")  # it is in there, and names of all

    async def _ask(self, question: Callable[[Engine, float], Body]) -> Body:
        return await asyncio.wrap_future(self._daemon.ask(question))
