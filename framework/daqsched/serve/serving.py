"""The sockets of `daqsched serve`, and the thread that answers on them by whatever application is behind the `ingress`.

The crew comes through a Unix socket. Where two or more serve one farm, those that do not lead come over TCP, with a certificate
that only the farm's daemons have (`peers`). Where there are rights, anybody may come over the network, too. What comes in is
bounded: `admission`, `connections`.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import socket
import threading
import time
from collections.abc import Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Awaitable, Callable, Optional

import uvicorn

from daqsched.errors import DaqschedError
from daqsched.serve import peer_token
from daqsched.serve.accounts import Accounts
from daqsched.serve.admission import Reception, descriptors
from daqsched.serve.audit import REFUSED, Audit, Entry
from daqsched.serve.authentication import Authentication
from daqsched.serve.callers import Callers
from daqsched.serve.connections import PEER, SOCKET, WEB, ConnectionTimes, Protocol
from daqsched.serve.ingress import App, Ingress, WebPort
from daqsched.serve.peers import Identity
from daqsched.serve.rights_in_force import RightsInForce
from daqsched.serve.socketfile import BACKLOG, SocketFile

logger = logging.getLogger(__name__)

#: How long answers may take that are under way when we end; and who does not go although nothing is, which with TLS takes a word of
#: the other end.
LEAVE_S, RESTING_LEAVE_S = 4.0, 0.3

#: How often the socket's file is looked at.
WATCH_S = 5.0


class Serving:
    """Answers on ``path`` from the beginning, with ``app`` as it is when a request comes in; for peers at the address
    ``peers``, where there is an ``identity``."""

    def __init__(
        self,
        path: Path,
        group: str,
        app: App,
        peers: Optional[tuple[str, int]] = None,
        identity: Optional[Identity] = None,
        accounts: Optional[Accounts] = None,
        times: Optional[ConnectionTimes] = None,
        watch_s: float = WATCH_S,
        ended: Optional[Callable[[], Awaitable[None]]] = None,
        beside: Optional[Callable[[], Awaitable[None]]] = None,
        audit: Optional[Audit] = None,
        rights: Optional[RightsInForce] = None,
        web: Optional[WebPort] = None,
        authentication: Optional[Authentication] = None,
    ) -> None:
        """``ended`` is called when nobody is answered any more, in the loop that did; ``beside`` goes on in it until then.
        ``audit`` is told of changes and refusals, and closed with us. ``rights``: without them whoever gets in may all, and
        ``web`` must not be there. ``authentication``: who comes over the network, as of `app`."""
        assert web is None or rights is not None, "who comes over the network has rights, or none"
        #: What a token for this daemon names.
        self.token = secrets.token_urlsafe(32)
        #: Where standbys reach us, as ``HOST:PORT``.
        self.address = ""
        self._watch_s = watch_s
        self._file = SocketFile(path, group)
        #: Where those reach us who come over the network, as ``HOST:PORT``.
        self.web_address = ""
        listener = web_listener = None
        try:
            if peers is not None and identity is not None:
                listener, self.address = _listen(peers)
            if web is not None:
                web_listener, self.web_address = _listen(web.address)
        except DaqschedError:
            self._file.close()
            if listener is not None:
                listener.close()
            raise
        times = times or ConnectionTimes()
        judge, proxy = peer_token.TokenJudge(self.token), web.proxy if web is not None else None
        callers = Callers(accounts or Accounts(), judge, identity, rights, proxy)
        self._ingress = ingress = Ingress(app, authentication, callers, times.unread_s, web, audit)
        config = uvicorn.Config(
            ingress,
            http=Protocol,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            loop="asyncio",
            interface="asgi3",  # it would take a method for the second
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=int(times.idle_s),
        )
        config.load()  # what it imports it has then, whatever comes
        self._server = uvicorn.Server(config)
        options: dict[str, Any] = {"config": config, "server_state": self._server.server_state, "app_state": {}}
        limits = descriptors(2 if web is None else 3)
        self._crew = ingress.receptions[SOCKET] = Reception(self._file.socket, limits, times, options)
        self._ended, self._beside, self._audit = ended, beside, audit
        self._noting: Optional[Future[None]] = None
        if listener is not None:
            ingress.receptions[PEER] = Reception(listener, limits, times, options, identity, self._note_strangers)
        if web_listener is not None and web is not None:
            ingress.receptions[WEB] = Reception(web_listener, limits, times, options, web=web.certificate)
        self._closing: Callable[[], object] = lambda: None
        ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main(ready)), name="api", daemon=True)
        self._thread.start()
        ready.wait()

    async def _main(self, ready: threading.Event) -> None:
        loop, closing = asyncio.get_running_loop(), asyncio.Event()
        receptions = self._ingress.receptions.values()
        for reception in receptions:
            reception.begin()
        self._closing = lambda: loop.call_soon_threadsafe(closing.set)
        ready.set()
        watching = [loop.create_task(self._watch())]
        if self._beside is not None:
            watching.append(asyncio.ensure_future(self._beside()))
        # it takes nobody in itself: it keeps the time for answers, and ends in good order
        answering = loop.create_task(self._server.serve(sockets=[]))
        await closing.wait()
        for one in watching:
            one.cancel()
        for reception in receptions:
            reception.close()
        self._ingress.streams.end()
        self._server.should_exit = True
        leaving = loop.create_task(self._let_go())
        await answering
        leaving.cancel()
        if self._ended is not None:
            await self._ended()

    async def _let_go(self) -> None:
        """Nobody keeps us from ending: not who only holds a connection, nor, after a while, whose answer does not come."""
        began = time.monotonic()
        while True:
            waited_s = time.monotonic() - began
            for one in list(self._server.server_state.connections):
                if isinstance(one, Protocol) and waited_s > (RESTING_LEAVE_S if one.rests else LEAVE_S):
                    one.transport.abort()
            # what is still worked at is for nobody any more
            self._server.force_exit = waited_s > LEAVE_S + RESTING_LEAVE_S
            await asyncio.sleep(0.05)

    def answer_by(self, app: App, authentication: Optional[Authentication] = None) -> None:
        """See `Ingress.answer_by`."""
        self._ingress.answer_by(app, authentication)

    def close(self) -> None:
        """Answer what is being answered, then no more."""
        if self._thread.is_alive():
            self._closing()
        self._thread.join(5.0)
        self._file.close()
        if self._audit is not None:
            self._audit.close()

    async def _watch(self) -> None:
        """Make the socket again where somebody removed it (systemd-tmpfiles, an `rm` too many)."""
        told = ""
        while True:
            await asyncio.sleep(self._watch_s)
            trouble = await asyncio.to_thread(self._file.trouble)
            if not trouble:
                told = ""
                continue
            try:
                listener = await asyncio.to_thread(self._file.make)
            except DaqschedError as error:
                if told != str(error):
                    told = str(error)
                    logger.error("the socket %s %s, and can't be made again: %s", self._file.path, trouble, error)
                continue
            self._crew.listen(listener)
            logger.warning("the socket %s %s: made again", self._file.path, trouble)

    def _note_strangers(self, counts: Mapping[tuple[str, str], int]) -> bool:
        """Those who could not show that they are peers, into the audit file, unless it is still busy with those before."""
        audit = self._audit
        if audit is None or (self._noting is not None and not self._noting.done()):
            return audit is None

        def write() -> None:
            for (address, why), count in counts.items():
                about = {"count": count} if count > 1 else {}
                audit.note(Entry("", -1, -1, -1, "peer", address, "handshake", REFUSED, about, why))

        self._noting = audit.thread.submit(write)
        return True


def _listen(place: tuple[str, int]) -> tuple[socket.socket, str]:
    """A socket that is connected to there, and its name."""
    try:
        family = socket.AF_INET6 if ":" in place[0] else socket.AF_INET
        listener = socket.create_server(place, family=family, backlog=BACKLOG)
    except OSError as error:
        raise DaqschedError(f"{place[0]}:{place[1]} can't be listened on: {error.strerror or error}") from error
    listener.setblocking(False)
    host = f"[{place[0]}]" if ":" in place[0] else place[0]
    return listener, f"{host}:{listener.getsockname()[1]}"
