"""The daemon's door: HTTP and JSON over a Unix socket that only its owner and group may open.

Who is at the other end is not asked but looked up: the kernel tells the uid of the process that connected (unix(7),
SO_PEERCRED), and that name goes into the revision and the log.
"""

from __future__ import annotations

import asyncio
import logging
import os
import pwd
import secrets
import socket
import stat
import struct
import threading
from pathlib import Path
from typing import Any, Awaitable, Callable, Optional, TypeVar

import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from daqsched import __version__, events, preflight, view
from daqsched.conflicts import check
from daqsched.daemon import Daemon
from daqsched.engine import Engine
from daqsched.engine.asked import why_not
from daqsched.engine.surveys import why_waiting
from daqsched.errors import DaqschedError, Refused, Unreachable, UserError
from daqsched.match import by_attributes
from daqsched.plan import Plan, plan
from daqsched.protocol import (
    API,
    Applied,
    ApplyRequest,
    Info,
    OrderAnswer,
    OrderRequest,
    PlanRequest,
    PreflightAnswer,
    PreflightBegun,
    PreflightRequest,
    Problem,
    ProgressAnswer,
    Selected,
    SelectRequest,
    StatusAnswer,
)
from daqsched.select import selection
from daqsched.spec import EMPTY, Spec, refuse_unknown
from daqsched_executor.contract import ORDER_KINDS, Order

logger = logging.getLogger(__name__)

#: The largest request: a spec of ten thousand jobs is some megabytes.
MOST_BYTES = 64 * 1024 * 1024

#: The longest that a progress request may be kept waiting for a change.
MOST_WAIT_S = 30.0

Body = TypeVar("Body")


class Api:
    """The routes, and the thread that serves them."""

    def __init__(self, daemon: Daemon, complete: Callable[[Spec], Spec], elasticsearch: str, index: str) -> None:
        self._daemon = daemon
        self._complete = complete
        self._elasticsearch, self._index = elasticsearch, index
        self._loop: Optional[asyncio.AbstractEventLoop] = None
        self._changed: Optional[asyncio.Event] = None
        self._server: Optional[uvicorn.Server] = None
        self._thread: Optional[threading.Thread] = None
        daemon.changed = self._wake
        self.app = Starlette(
            routes=[
                Route(f"{API}/info", _answering(self.info)),
                Route(f"{API}/status", _answering(self.status)),
                Route(f"{API}/progress", _answering(self.progress)),
                Route(f"{API}/plan", _answering(self.plan), methods=["POST"]),
                Route(f"{API}/preflight", _answering(self.preflight), methods=["POST"]),
                Route(f"{API}/preflight/{{id}}", _answering(self.preflight_answer)),
                Route(f"{API}/apply", _answering(self.apply), methods=["POST"]),
                Route(f"{API}/stop", _answering(self.stop), methods=["POST"]),
                Route(f"{API}/start", _answering(self.start), methods=["POST"]),
                Route(f"{API}/order", _answering(self.order), methods=["POST"]),
            ],
            exception_handlers={HTTPException: _no_such_thing},
        )

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
            )
        )

    async def status(self, request: Request) -> StatusAnswer:
        chosen = selection(request.query_params.getlist("select"))

        def answer(engine: Engine, now: float) -> StatusAnswer:
            applied = engine.revision
            return StatusAnswer(
                list(view.rows(engine, chosen, now)),
                applied.number if applied else 0,
                applied.digest if applied else "",
                applied.user if applied else "",
                applied.time if applied else 0.0,
                engine.master,
                engine.connected,
                now,
            )

        return await self._ask(answer)

    async def progress(self, request: Request) -> ProgressAnswer:
        chosen = selection(request.query_params.getlist("select"))
        most = _number(request, "most", 20)

        def answer(engine: Engine, now: float) -> ProgressAnswer:
            found = view.progress(engine, chosen, now, int(most))
            return ProgressAnswer(found, engine.connected, engine.master, now)

        await self._news(request)
        return await self._ask(answer)

    async def _news(self, request: Request) -> None:
        """Wait for a change after the version that was seen, for as long as the request may wait."""
        seen, wait_s = _number(request, "seen", -1), min(MOST_WAIT_S, _number(request, "wait_s", 0))
        if wait_s and await self._ask(lambda engine, now: engine.version) == seen:
            assert self._changed is not None, "the loop runs while it serves"
            try:
                await asyncio.wait_for(self._changed.wait(), wait_s)
            except asyncio.TimeoutError:
                pass

    async def plan(self, request: Request) -> Plan:
        body = await _body(request, PlanRequest)
        check(body.spec)
        return await self._ask(lambda engine, now: self._plan(engine, body.spec))

    def _plan(self, engine: Engine, spec: Spec) -> Plan:
        now_wanted = engine.revision.spec if engine.revision else EMPTY
        found = plan(engine.spec, self._complete(spec), engine.hosts_of)
        # the digests are those of the crew's own file, not of what the framework adds to it
        ours = plan(now_wanted, spec)
        return msgspec.structs.replace(found, digest=ours.digest, base=ours.base)

    async def preflight(self, request: Request) -> PreflightBegun:
        body = await _body(request, PreflightRequest)
        check(body.spec)
        if not 0 < body.timeout_s <= preflight.LONGEST_S:
            raise UserError(f"a preflight may take up to {preflight.LONGEST_S:g} s, not {body.timeout_s:g} s")
        chosen = selection(body.select)
        where = await self._ask(
            lambda engine, now: {job.name: engine.hosts_of(job) for job in body.spec.jobs if by_attributes(job)}
        )
        # on another thread: thirty jobs on two hundred hosts take most of a second
        asked = await asyncio.to_thread(preflight.questions, body.spec, chosen, lambda job: where.get(job.name, ()))
        not_asked = preflight.not_asked(body.spec, chosen, lambda job: where.get(job.name, ()))
        if not asked and not not_asked:
            raise UserError("there is no host to ask: the file has no job, or none that fits --only")
        running = await self._ask(lambda engine, now: sum(not one.over for one in engine.preflights.made.values()))
        if running >= preflight.UNDER_WAY:
            raise Refused(f"{running} preflights are under way: wait until one of them has ended")
        id = secrets.token_hex(4)
        event = events.PreflightAsked(id, _user(request), asked, body.timeout_s, not_asked)
        await asyncio.wrap_future(self._daemon.request(event))
        return PreflightBegun(id, len(asked))

    async def preflight_answer(self, request: Request) -> PreflightAnswer:
        id = request.path_params["id"]

        def answer(engine: Engine, now: float) -> PreflightAnswer:
            found = engine.preflights.made.get(id)
            if found is None:
                raise Unreachable("this preflight is not known (any more), the daemon was started anew: ask again")
            return PreflightAnswer(engine.version, found.answer(lambda ask: why_waiting(engine, ask)))

        await self._news(request)
        return await self._ask(answer)

    async def apply(self, request: Request) -> Applied:
        body = await _body(request, ApplyRequest)
        check(body.spec)
        if not body.spec.jobs and not body.allow_empty:
            raise Refused("the file has no jobs, which would stop the whole farm: if that is meant, give --allow-empty")
        found = await self._ask(lambda engine, now: self._plan(engine, body.spec))
        if found.changes or found.digest != found.base:
            user = _user(request)
            await asyncio.wrap_future(self._daemon.request(events.JobsApplied(body.spec, user, body.message)))
        number = await self._ask(lambda engine, now: engine.revision.number if engine.revision else 0)
        return Applied(found, number)

    async def stop(self, request: Request) -> Selected:
        return await self._select(request, lambda keys, user, text: events.Held(keys, user, text))

    async def start(self, request: Request) -> Selected:
        return await self._select(request, lambda keys, user, text: events.Released(keys, user))

    async def _select(
        self, request: Request, event: Callable[[tuple[tuple[str, str], ...], str, str], events.Event]
    ) -> Selected:
        body = await _body(request, SelectRequest)
        keys = await self._chosen(body.select)
        await asyncio.wrap_future(self._daemon.request(event(keys, _user(request), body.message)))
        return Selected(len(keys))

    async def _chosen(self, select: list[str]) -> tuple[tuple[str, str], ...]:
        if not select:
            raise UserError("nothing is selected: name jobs, or '*' for all")
        chosen = selection(select)
        keys = await self._ask(lambda engine, now: tuple(key for key in engine.instances if chosen(*key)))
        if not keys:
            raise UserError(f"no job fits {' '.join(select)}: `daqsched status` lists them")
        return keys

    async def order(self, request: Request) -> OrderAnswer:
        body = await _body(request, OrderRequest)
        if body.kind not in ORDER_KINDS:
            raise UserError(f"{body.kind!r} is nothing to ask for: one of {', '.join(ORDER_KINDS)}")
        keys = await self._chosen(body.select)
        id = body.id or secrets.token_hex(4)
        order = Order(id, body.kind, _user(request), body.name, body.until, body.message)
        found = await self._ask(
            lambda engine, now: [
                (*key, why_not(engine.instances[key], order, now)) for key in keys if key in engine.instances
            ]
        )
        await asyncio.wrap_future(self._daemon.request(events.Ordered(keys, order)))
        return OrderAnswer(id, [(job, host) for job, host, why in found if not why], [one for one in found if one[2]])

    async def _ask(self, question: Callable[[Engine, float], Body]) -> Body:
        return await asyncio.wrap_future(self._daemon.ask(question))

    # ------------------------------------------------------------------ serving

    def serve(self, path: Path, group: str = "") -> None:
        """Open the socket and answer on a thread of its own; raises `DaqschedError` where that can't be."""
        sock = listen(path, group)
        config = uvicorn.Config(
            self.app, http=_Protocol, ws="none", lifespan="off", log_config=None, access_log=False, loop="asyncio"
        )
        self._server = uvicorn.Server(config)
        ready = threading.Event()

        async def main() -> None:
            self._loop, self._changed = asyncio.get_running_loop(), asyncio.Event()
            ready.set()
            assert self._server is not None
            await self._server.serve(sockets=[sock])

        self._thread = threading.Thread(target=lambda: asyncio.run(main()), name="api", daemon=True)
        self._thread.start()
        ready.wait()

    def close(self) -> None:
        """Answer what is being answered, then no more."""
        if self._server is not None and self._thread is not None:
            self._server.should_exit = True
            self._thread.join(5.0)

    def _wake(self) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._renew)

    def _renew(self) -> None:
        assert self._changed is not None, "made with the loop"
        self._changed.set()
        self._changed = asyncio.Event()


def listen(path: Path, group: str = "") -> socket.socket:
    """A listening Unix socket with mode 0660, also of ``group`` if given; takes the place of one that nobody serves."""
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    if path.exists():
        if not stat.S_ISSOCK(path.stat().st_mode):
            raise DaqschedError(f"{path} is in the way: it is no socket; move it or give another --socket")
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(2.0)
            if probe.connect_ex(str(path)) == 0:
                raise DaqschedError(f"another daqsched serve answers on {path}: stop it, or give another --socket")
        path.unlink()
    sock = socket.socket(socket.AF_UNIX)
    before = os.umask(0o117)
    try:
        sock.bind(str(path))
    except OSError as error:
        raise DaqschedError(f"the socket {path} can't be made: {error.strerror or error}") from error
    finally:
        os.umask(before)
    if group:
        try:
            import grp

            os.chown(path, -1, grp.getgrnam(group).gr_gid)
        except (KeyError, PermissionError) as error:
            raise DaqschedError(f"the socket {path} can't be given to the group {group!r}: {error}") from error
    return sock


class _Protocol(HttpToolsProtocol):
    """uvicorn's protocol, with the caller's user in the place of the address that a Unix socket does not have."""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        peer = transport.get_extra_info("socket").getsockopt(
            socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")
        )
        _, uid, _ = struct.unpack("3i", peer)
        try:
            self.client = (pwd.getpwuid(uid).pw_name, uid)
        except KeyError:
            self.client = (f"uid {uid}", uid)


def _user(request: Request) -> str:
    return request.client.host if request.client is not None else "unknown"


def _answering(route: Callable[[Request], Awaitable[Any]]) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        try:
            return _json(200, await route(request))
        except DaqschedError as error:
            status = 403 if isinstance(error, Refused) else 400
            logger.info("%s %s of %s refused: %s", request.method, request.url.path, _user(request), error)
            return _json(status, Problem(str(error), error.exit_code))
        except Exception as error:
            logger.exception("%s %s of %s failed", request.method, request.url.path, _user(request))
            return _json(500, Problem(f"a bug in daqsched: {type(error).__name__}: {error}; see the daemon's log"))

    return answer


async def _no_such_thing(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    return _json(
        status, Problem(f"there is no {request.method} {request.url.path} here; docs/reference/api.md lists what is")
    )


def _json(status: int, value: Any) -> Response:
    return Response(msgspec.json.encode(value), status, media_type="application/json")


async def _body(request: Request, kind: type[Body]) -> Body:
    data = bytearray()
    async for part in request.stream():
        data += part
        if len(data) > MOST_BYTES:
            raise UserError(f"the request is larger than {MOST_BYTES >> 20} MiB")
    try:
        body = msgspec.json.decode(data, type=kind)
        refuse_unknown(msgspec.json.decode(data).get("spec", {}))
        return body
    except msgspec.MsgspecError as error:
        raise UserError(f"not understood: {error}; are daqsched and its daemon of the same version?") from error


def _number(request: Request, name: str, default: float) -> float:
    text = request.query_params.get(name)
    try:
        return default if text is None else float(text)
    except ValueError as error:
        raise UserError(f"{name}={text!r} is no number") from error
