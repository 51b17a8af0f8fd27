"""The sockets of `daqsched serve`, and the thread that answers on them by whatever application is behind.

The crew comes through a Unix socket, and who they are the kernel says. Where two or more serve one farm, those that do not
lead come over TCP, with a certificate that only the farm's daemons have (`peers`), and give a token that says for whom they ask
(`peer_token`). Where there are rights, anybody may come over the network, too, and has to show who he is: `web_rules` says how a
request must be, `authentication` who is behind it. What comes in is bounded: `admission`, `connections`.
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
from typing import TYPE_CHECKING, Any, Awaitable, Callable, NamedTuple, Optional

import uvicorn
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from daqsched.errors import DaqschedError
from daqsched.protocol import API
from daqsched.rights.grants import Grants
from daqsched.rights.principal import NOBODY, Principal
from daqsched.serve import peer_token
from daqsched.serve.accounts import Accounts
from daqsched.serve.admission import Reception, descriptors
from daqsched.serve.audit import REFUSED, Audit, Entry
from daqsched.serve.audit_note import note
from daqsched.serve.authentication import NOTHING_SHOWN, WRONG, Authentication
from daqsched.serve.connection_budget import MOST_BYTES, SMALL_BYTES, ConnectionBudget, Seat
from daqsched.serve.connections import PEER, SOCKET, WEB, ConnectionTimes, Protocol, Whose
from daqsched.serve.http import Caller, bug, is_owner
from daqsched.serve.pages import page
from daqsched.serve.peers import Identity
from daqsched.serve.planning import Planning
from daqsched.serve.read_pace import Unread, paced
from daqsched.serve.refusals import Unauthenticated, refused
from daqsched.serve.rights_in_force import RightsInForce
from daqsched.serve.socketfile import BACKLOG, SocketFile
from daqsched.serve.streams import Streams
from daqsched.serve.trusted_proxy import TrustedProxy
from daqsched.serve.web_rules import Shown, answered, is_visit, login_place, refusal, shown_in, without_words

if TYPE_CHECKING:
    from daqsched.serve.web_certificate import WebCertificate

logger = logging.getLogger(__name__)

#: An ASGI application.
App = Callable[[Any, Any, Any], Awaitable[None]]

#: How often the socket's file is looked at.
WATCH_S = 5.0


#: The largest request over the network of who may apply nothing, and where somebody may come who shows nothing.
WEB_BYTES, OPEN = 1 << 20, frozenset([f"{API}/login"])


class WebPort(NamedTuple):
    """Where those come in who come over the network."""

    address: tuple[str, int]
    certificate: WebCertificate
    #: One that is trusted to say who asks; None: there is none.
    proxy: Optional[TrustedProxy] = None


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
        audit: Optional[Audit] = None,
        rights: Optional[RightsInForce] = None,
        web: Optional[WebPort] = None,
        authentication: Optional[Authentication] = None,
    ) -> None:
        """``ended`` is called when nobody is answered any more, in the loop that did; ``audit`` is told of changes and
        refusals, and closed with us. ``rights``: without them whoever gets in may all, and ``web`` must not be there.
        ``authentication``: who comes over the network, as of `app`."""
        assert web is None or rights is not None, "who comes over the network has rights, or none"
        self.app, self.authentication = app, authentication
        #: What a token for this daemon names.
        self.token = secrets.token_urlsafe(32)
        #: Where standbys reach us, as ``HOST:PORT``.
        self.address = ""
        self._identity, self._accounts = identity, accounts or Accounts()
        self._watch_s = watch_s
        self._judge = peer_token.TokenJudge(self.token)
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
        self._unread_s = times.unread_s
        config = uvicorn.Config(
            self._answer,
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
        self._crew = Reception(self._file.socket, limits, times, options)
        self._ended, self._audit, self._rights = ended, audit, rights
        self._noting: Optional[Future[None]] = None
        self._peers = None
        if listener is not None:
            self._peers = Reception(listener, limits, times, options, identity, self._note_strangers)
        self._web = web
        self._crowd = None
        if web_listener is not None and web is not None:
            self._crowd = Reception(web_listener, limits, times, options, web=web.certificate)
        self._streams = Streams()
        #: For bodies that take long to read.
        self._reading = Planning("reading", 2)
        self._closing: Callable[[], object] = lambda: None
        ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main(ready)), name="api", daemon=True)
        self._thread.start()
        ready.wait()

    async def _main(self, ready: threading.Event) -> None:
        loop, closing = asyncio.get_running_loop(), asyncio.Event()
        receptions = [one for one in (self._crew, self._peers, self._crowd) if one is not None]
        for reception in receptions:
            reception.begin()
        self._closing = lambda: loop.call_soon_threadsafe(closing.set)
        ready.set()
        watching = loop.create_task(self._watch())
        # it takes nobody in itself: it keeps the time for answers, and ends in good order
        answering = loop.create_task(self._server.serve(sockets=[]))
        await closing.wait()
        watching.cancel()
        for reception in receptions:
            reception.close()
        self._streams.end()
        self._server.should_exit = True
        await answering
        if self._ended is not None:
            await self._ended()

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

    # ------------------------------------------------------------------ a request

    async def _answer(self, scope: Any, receive: Any, send: Any) -> None:
        seat, whose = scope["seat"], scope["whose"]
        reception = {PEER: self._peers, WEB: self._crowd}.get(whose.door) or self._crew
        if whose.door == WEB:
            visited = is_visit(scope["method"], scope["headers"])
            send = _with_answers(send, login_place(scope["raw_path"], scope["query_string"]) if visited else "")
        held = _Held(reception.room, seat.caller)
        send = _Begun(send, paced(send, self._unread_s, lambda: reception.slow(seat)), scope["method"] == "HEAD")
        try:
            response = await self._take(scope, receive, send, reception, seat, whose, held)
            if response is not None:
                if whose.door == WEB:
                    await _rest(Request(scope, receive))
                await self._note(scope, whose, response)
                await response(scope, receive, send)
        except ClientDisconnect:
            pass
        except Exception:
            if send.begun:  # what began can't become a sentence any more
                raise
            await bug(f"{scope['method']} {scope['path']}")(scope, receive, send)
        finally:
            held.give_back()

    async def _take(
        self, scope: Any, receive: Any, send: Any, reception: Reception, seat: Seat, whose: Whose, held: _Held
    ) -> Optional[HttpRefusal]:
        """Answer it, or say why not."""
        room = reception.room
        came: Optional[Caller] = None
        answering = self.app
        most = MOST_BYTES
        if whose.door == WEB:
            assert self._web is not None, "who comes in by a door comes where there is one"
            wrong = refusal(scope["method"], scope["headers"], self._web.certificate.names)
            if wrong is not None:
                return HttpRefusal(wrong.code, wrong.why)
            shown = shown_in(scope["headers"])
            if self._web.proxy is not None and not shown.bearer:
                proxied = self._web.proxy.proxied(whose.address, scope["headers"])
                if proxied is not None and proxied.wrong:
                    return _unauthenticated(Unauthenticated(WRONG, proxied.wrong))
                shown = Shown(user=proxied.user, groups=proxied.groups) if proxied is not None else shown
            scope = {**scope, "headers": without_words(scope["headers"])}
            found = page(scope["method"], scope["path"])
            if found is not None:
                answering, came = found, Caller("", -1, -1, -1, WEB, whose.address, NOBODY, self._grants(NOBODY))
            else:
                try:
                    came = await self._over_the_network(scope["path"], shown, whose.address)
                except Unauthenticated as error:
                    return _unauthenticated(error)
            most = WEB_BYTES
        body = bytearray()
        async for part in Request(scope, receive).stream():
            body += part
            if came is not None and most < len(body):
                most = await self._most(came)
            if len(body) > most:
                return HttpRefusal("too-large", f"the request is larger than {most >> 20} MiB")
            why = held.more(len(part)) if len(body) > SMALL_BYTES else ""
            if why:
                return HttpRefusal("busy", why)
        room.leave(seat)
        if whose.peer:
            assert self._identity is not None, "peers come where there is one"
            target = scope["raw_path"].decode("latin-1")
            if scope["query_string"]:
                target += f"?{scope['query_string'].decode('latin-1')}"
            try:
                heard = peer_token.read(self._identity.key, scope["headers"])
                self._judge.hear(heard, scope["method"], target, bytes(body), time.time())
            except peer_token.Untrusted as error:
                reception.tell("refused what the peer at %s asked: %s", whose.address, error)
                return HttpRefusal("untrusted", str(error))
            via = f"{heard.via} at {whose.address}"
            if heard.address:
                if self._rights is None:
                    return HttpRefusal(
                        "refused", "the daemon that leads has no --rights: nobody asks it over the network"
                    )
                try:
                    caller = await self._over_the_network(
                        scope["path"],
                        Shown(heard.bearer, heard.session, heard.user, heard.groups),
                        heard.address,
                        f", through {via}",
                    )
                except Unauthenticated as error:
                    return _unauthenticated(error)
            else:
                who = Principal(heard.name, frozenset(heard.known_as), is_owner(heard.uid), doubt=heard.doubt)
                caller = Caller(heard.name, heard.uid, heard.gid, heard.pid, PEER, via, who, self._grants(who))
        elif came is not None:
            caller = came
        else:
            who = await self._account(whose.uid)
            caller = Caller(who.name, whose.uid, whose.gid, whose.pid, SOCKET, "", who, self._grants(who))
        # of a peer it is the user who has a share
        share = f"{caller.name} at {whose.address}" if whose.door != SOCKET else seat.caller
        why = room.begin(share)
        if why:
            reception.tell("not all requests are answered: %s (%s)", why, share)
            return HttpRefusal("busy", why)

        async def refuse(why: str) -> None:
            reception.tell("not all answers are given: %s (%s)", why, share)
            await HttpRefusal("busy", why)(scope, receive, send)

        unread = Unread(send, room, share, refuse)
        try:
            await answering(
                {
                    **scope,
                    "caller": caller,
                    "audit": self._audit,
                    "reading": self._reading,
                    "rights": self._rights,
                    "accounts": self._accounts,
                    "authentication": self.authentication,
                    "streams": self._streams,
                },
                _again(bytes(body), receive),
                unread,
            )
        finally:
            unread.over()
            room.end(share)
        return None

    async def _over_the_network(self, path: str, shown: Shown, address: str, through: str = "") -> Caller:
        """Who that is; of one that does not lead: what its leader is to judge. Raises `Unauthenticated`."""
        if self.authentication is None:
            return Caller("", -1, -1, -1, WEB, address, NOBODY, self._grants(NOBODY), address, shown)
        assert self._rights is not None, "who comes over the network comes where there are rights"
        if path in OPEN and not shown.bearer:
            return Caller("", -1, -1, -1, WEB, f"{address}{through}", NOBODY, self._grants(NOBODY), address, shown)
        who, by = await self.authentication.arrival(shown, self._rights.rights, self._accounts)
        return Caller(who.name, -1, -1, -1, WEB, f"{address} ({by}){through}", who, self._grants(who), address, shown)

    async def _most(self, caller: Caller) -> int:
        """The largest request that is taken of who came over the network."""
        if caller.grants is not None and not caller.grants.somewhere("apply"):
            return MOST_BYTES
        # whoever leads knows
        asks = getattr(self.app, "may_send_much", None) if self.authentication is None else None
        return MOST_BYTES if asks is not None and caller.shown != Shown() and await asks(caller) else WEB_BYTES

    async def _account(self, uid: int) -> Principal:
        """Who an account is; of its groups nobody asks where there are no rights."""
        name, groups, doubt = await self._accounts.account(uid)
        known = frozenset([f"unix:{name}", *(f"unix-group:{one}" for one in groups)])
        return Principal(name, known, is_owner(uid), doubt=doubt)

    def _grants(self, who: Principal) -> Optional[Grants]:
        return self._rights.grants(who) if self._rights is not None else None

    async def _note(self, scope: Any, whose: Whose, refusal: HttpRefusal) -> None:
        """What did not get as far as the routes, which note their own (`http`)."""
        if self._audit is not None and not (refusal.why == NOTHING_SHOWN and _asks_who_he_is(scope)):
            name = refusal.name if whose.door != SOCKET else await self._accounts.name(whose.uid)
            caller = Caller(name, whose.uid, whose.gid, whose.pid, whose.door, whose.address)
            request = Request({**scope, "caller": caller, "audit": self._audit})
            await note(request, REFUSED, refusal.why)

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


class _Begun:
    """Passes an answer on, and knows whether it began. One without a body is whole in the moment in which its head goes out:
    whoever has that may send the next request at once."""

    def __init__(self, at_once: Any, send: Any, bare: bool) -> None:
        self._at_once, self._send, self._bare = at_once, send, bare
        self.begun = False
        self._head: Any = None

    async def __call__(self, message: Any) -> None:
        self.begun = True
        if message["type"] == "http.response.start" and (self._bare or message["status"] in (204, 304)):
            self._head = message
        elif self._head is not None and not message.get("more_body", False):
            head, self._head = self._head, None
            await self._at_once(head)
            await self._at_once({**message, "body": b"" if not self._bare else message.get("body", b"")})
        elif self._head is None:
            await self._send(message)


def _with_answers(send: Any, login: str) -> Callable[[Any], Awaitable[None]]:
    """What each answer over the network says; who is not known, and could log in, is led to ``login``, if that is a place."""
    words = b""

    async def told(message: Any) -> None:
        nonlocal words
        if message["type"] == "http.response.start":
            headers = message.get("headers", ())
            if login and message["status"] == 401:
                words = f"Log in at {login}\n".encode()
                headers = [(b"location", login.encode()), (b"content-length", str(len(words)).encode())]
                message = {**message, "status": 303}
            message = {**message, "headers": answered(headers)}
        elif words:
            if message.get("more_body", False):
                return
            message = {**message, "body": words}
        await send(message)

    return told


async def _rest(request: Request) -> None:
    """Let the rest of a refused request go by, as who sends it hears no answer before; what never ends is ended by its time."""
    left = MOST_BYTES
    async for part in request.stream():
        left -= len(part)
        if left < 0:
            return


class _Held:
    """A request's bytes in memory."""

    def __init__(self, room: ConnectionBudget, caller: Any) -> None:
        self._room, self._caller, self._count = room, caller, 0

    def more(self, count: int) -> str:
        """So many came; or why they can't be kept."""
        why = self._room.hold(self._caller, count)
        self._count += 0 if why else count
        return why

    def give_back(self) -> None:
        self._room.give_back(self._caller, self._count)
        self._count = 0


def _again(body: bytes, receive: Any) -> Callable[[], Awaitable[Any]]:
    """What came in, once more, and then what still comes: that the caller went away."""
    whole = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Any:
        return whole.pop() if whole else await receive()

    return again


class HttpRefusal(Response):
    """Why a request is not looked at."""

    def __init__(self, code: str, sentence: str, why: str = "", name: str = "", **headers: str) -> None:
        #: For the audit file, which is told more than who asked.
        self.why, self.name = why or sentence, name
        answer = refused(code, sentence, headers)
        super().__init__(answer.body, answer.status_code, answer.headers)


def _asks_who_he_is(scope: Any) -> bool:
    """What each of our pages asks to know whether its browser is known here: that is no try of anything."""
    asked = scope.get("method"), scope.get("path"), scope.get("query_string")  # what is no HTTP has no method
    return asked == ("GET", f"{API}/rights", b"")


def _unauthenticated(error: Unauthenticated) -> HttpRefusal:
    """Nobody is known behind it."""
    return HttpRefusal("unauthenticated", str(error), error.why, error.name, **error.headers)
