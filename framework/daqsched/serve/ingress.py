"""A request's way in: what it has to be, how much of it is taken, who asks, whose turn it is; then an application answers it.

How a request over the network must be is said by `web_rules`, who asks by `callers`. What is refused here is in the audit file,
as is what routes refuse.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING, Any, Awaitable, Callable, NamedTuple, Optional, Union

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from daqsched.protocol import API
from daqsched.serve import peer_token
from daqsched.serve.admission import Reception
from daqsched.serve.audit import REFUSED, Audit
from daqsched.serve.audit_note import note
from daqsched.serve.authentication import NOTHING_SHOWN, Authentication
from daqsched.serve.callers import Callers
from daqsched.serve.connection_budget import MOST_BYTES, SMALL_BYTES, ConnectionBudget, Seat
from daqsched.serve.connections import SOCKET, WEB, Whose
from daqsched.serve.http import Caller, bug, share_of
from daqsched.serve.pages import page
from daqsched.serve.planning import Planning
from daqsched.serve.read_pace import Unread, paced
from daqsched.serve.refusals import RefusedWith, Unauthenticated, refused, refused_by
from daqsched.serve.streams import Streams
from daqsched.serve.trusted_proxy import TrustedProxy
from daqsched.serve.web_rules import PresentedCredentials, answered, is_visit, login_place, refusal, without_words

if TYPE_CHECKING:
    from daqsched.serve.web_certificate import WebCertificate

#: An ASGI application.
App = Callable[[Any, Any, Any], Awaitable[None]]

#: The largest request over the network of who may apply nothing.
WEB_BYTES = 1 << 20


class WebPort(NamedTuple):
    """Where those come in who come over the network."""

    address: tuple[str, int]
    certificate: WebCertificate
    #: One that is trusted to say who asks; None: there is none.
    proxy: Optional[TrustedProxy] = None


class _Behind(NamedTuple):
    """What answers; and, where it leads, what knows those who come over the network."""

    app: App
    authentication: Optional[Authentication]


class _Incoming:
    """A request's body as it comes, and whether all of it has: who asked and hears nothing yet sends nothing more then."""

    def __init__(self, receive: Any) -> None:
        self._receive, self.whole = receive, False

    async def __call__(self) -> Any:
        message = await self._receive()
        self.whole = not message.get("more_body", False)
        return message


class _Came(NamedTuple):
    """A request whose head is here."""

    scope: Any
    receive: _Incoming
    reception: Reception
    behind: _Behind

    @property
    def seat(self) -> Seat:
        """Of its connection."""
        seat: Seat = self.scope["seat"]
        return seat

    @property
    def whose(self) -> Whose:
        """Who is at the other end of that."""
        whose: Whose = self.scope["whose"]
        return whose


class _Admitted(NamedTuple):
    """The whole of one that is answered: its turn has begun."""

    app: App
    headers: Any
    body: bytes
    caller: Caller
    #: Whose share of what there is room for it takes.
    share: Hashable


class Ingress:
    """An ASGI application in front of the one that answers."""

    def __init__(
        self,
        app: App,
        authentication: Optional[Authentication],
        callers: Callers,
        unread_s: float,
        web: Optional[WebPort] = None,
        audit: Optional[Audit] = None,
    ) -> None:
        """As of `Serving`; ``unread_s`` as of `ConnectionTimes`."""
        self._behind = _Behind(app, authentication)
        self._callers, self._unread_s, self._web, self._audit = callers, unread_s, web, audit
        #: By where a request comes in, who took its connection in.
        self.receptions: dict[str, Reception] = {}
        self.streams = Streams()
        #: For bodies that take long to read.
        self._reading = Planning("reading", 2)

    def answer_by(self, app: App, authentication: Optional[Authentication] = None) -> None:
        """From the next request on; from any thread."""
        self._behind = _Behind(app, authentication)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        came = _Came(scope, _Incoming(receive), self.receptions[scope["whose"].door], self._behind)
        reception, seat = came.reception, came.seat
        if came.whose.door == WEB:
            visited = is_visit(scope["method"], scope["headers"])
            send = _with_answers(send, login_place(scope["raw_path"], scope["query_string"]) if visited else "")
        held = _Held(reception.room, seat.caller)
        send = _Begun(send, paced(send, self._unread_s, lambda: reception.slow(seat)), scope["method"] == "HEAD")
        try:
            try:
                request = await self._admitted(came, held)
            except (RefusedWith, Unauthenticated) as error:
                await self._refuse(came, error, send)
            else:
                await self._passed_on(came, request, send)
        except ClientDisconnect:
            pass
        except Exception:
            if send.begun:  # what began can't become a sentence any more
                raise
            await bug(f"{scope['method']} {scope['path']}")(scope, receive, send)
        finally:
            held.give_back()

    async def _admitted(self, came: _Came, held: _Held) -> _Admitted:
        """The whole request, and who asks; raises `RefusedWith` and `Unauthenticated`."""
        scope, whose, behind, reception = came.scope, came.whose, came.behind, came.reception
        app, headers, most = behind.app, scope["headers"], MOST_BYTES
        caller: Optional[Caller] = None
        if whose.door == WEB:
            assert self._web is not None, "who comes in by a door comes where there is one"
            wrong = refusal(scope["method"], headers, self._web.certificate.names)
            if wrong is not None:
                raise RefusedWith(wrong.code, wrong.why)
            presented = self._callers.presented(scope["path"], headers, whose.address)
            headers, most = without_words(headers), WEB_BYTES
            found = page(scope["method"], scope["path"])
            if found is not None:
                app, caller = found, self._callers.nobody(whose)
            else:
                caller = await self._callers.over_the_network(
                    scope["path"], presented, whose.address, behind.authentication
                )
        body = bytearray()
        async for part in Request(scope, came.receive).stream():
            body += part
            if caller is not None and most < len(body):
                most = await _most(caller, behind)
            if len(body) > most:
                raise RefusedWith("too-large", f"the request is larger than {most >> 20} MiB")
            why = held.more(len(part)) if len(body) > SMALL_BYTES else ""
            if why:
                raise RefusedWith("busy", why)
        reception.room.leave(came.seat)
        if whose.peer:
            try:
                caller = await self._callers.through_a_peer(scope, bytes(body), whose, behind.authentication)
            except peer_token.Untrusted as error:
                reception.tell("refused what the peer at %s asked: %s", whose.address, error)
                raise RefusedWith("untrusted", str(error)) from None
            if caller is None:
                app, caller = Response(status_code=204), self._callers.nobody(whose)
        elif caller is None:
            caller = await self._callers.of_account(whose)
        share = share_of(caller)
        why = reception.room.begin(share)
        if why:
            reception.tell("not all requests are answered: %s (%s)", why, share)
            raise RefusedWith("busy", why)
        return _Admitted(app, headers, bytes(body), caller, share)

    async def _passed_on(self, came: _Came, request: _Admitted, send: Any) -> None:
        """Have it answered, as far as there is room for the answer."""
        reception, share = came.reception, request.share

        async def refuse(why: str) -> None:
            reception.tell("not all answers are given: %s (%s)", why, share)
            await refused("busy", why)(came.scope, came.receive, send)

        unread = Unread(send, reception.room, share, refuse)
        try:
            await request.app(
                {
                    **came.scope,
                    "headers": request.headers,
                    "caller": request.caller,
                    "audit": self._audit,
                    "reading": self._reading,
                    "rights": self._callers.rights,
                    "accounts": self._callers.accounts,
                    "authentication": came.behind.authentication,
                    "streams": self.streams,
                    "standby_copies": self._callers.standby_copies,
                },
                _again(request.body, came.receive),
                unread,
            )
        finally:
            unread.over()
            reception.room.end(share)

    async def _refuse(self, came: _Came, error: Union[RefusedWith, Unauthenticated], send: Any) -> None:
        """Say why not; noted here, as it did not get as far as the routes, which note their own (`http`)."""
        whose = came.whose
        if whose.door == WEB and not came.receive.whole:
            await _rest(Request(came.scope, came.receive))
        why, name = (error.why, error.name) if isinstance(error, Unauthenticated) else (str(error), "")
        if self._audit is not None and not (why == NOTHING_SHOWN and _asks_who_he_is(came.scope)):
            name = name if whose.door != SOCKET else await self._callers.accounts.name(whose.uid)
            caller = Caller(name, whose.uid, whose.gid, whose.pid, whose.door, whose.address)
            await note(Request({**came.scope, "caller": caller, "audit": self._audit}), REFUSED, why)
        await refused_by(error, str(error))(came.scope, came.receive, send)


async def _most(caller: Caller, behind: _Behind) -> int:
    """The largest request that is taken of who came over the network."""
    if caller.grants is not None and not caller.grants.somewhere("apply"):
        return MOST_BYTES
    # whoever leads knows
    asks = getattr(behind.app, "may_send_much", None) if behind.authentication is None else None
    return (
        MOST_BYTES
        if asks is not None and caller.presented != PresentedCredentials() and await asks(caller)
        else WEB_BYTES
    )


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


def _asks_who_he_is(scope: Any) -> bool:
    """What each of our pages asks to know whether its browser is known here: that is no try of anything."""
    asked = scope.get("method"), scope.get("path"), scope.get("query_string")  # what is no HTTP has no method
    return asked == ("GET", f"{API}/rights", b"")
