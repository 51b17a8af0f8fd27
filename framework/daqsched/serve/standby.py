"""What a `daqsched serve` answers while another leads: what that one answers, asked in the caller's name.

Nothing is decided here. A request goes to the leader as it came, with a token that says who asks (`peer_token`); the answer comes
back as it is, and as it comes. Where the leader changes before the answer begins, what can't have been carried out is asked of
the next one.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import AsyncIterator
from typing import Any, Optional

import httpx
import msgspec
from starlette.requests import Request
from starlette.responses import Response

from daqsched.protocol import API, AuditCopied, Problem, RightsAnswer
from daqsched.serve import peer_token
from daqsched.serve.audit_copied import CopyWatch
from daqsched.serve.connections import SOCKET
from daqsched.serve.http import RIGHTS_S, Caller, caller_of, grants_now
from daqsched.serve.passed_answer import PassedAnswer
from daqsched.serve.peers import Identity
from daqsched.serve.refusals import refused
from daqsched.serve.streams import EVENTS, Streams
from daqsched.store.coordination import Card

logger = logging.getLogger(__name__)

#: How long a request waits for somebody to lead; a takeover takes less.
PATIENCE_S = 15.0
#: How long the leader may be silent: it keeps a long poll for 30 s.
ANSWER_S = 60.0
#: How often it is looked at who has a stream open, or waits for an answer.
WHO_S = 0.5
#: How often it is looked at whether the leader is still the same one.
LOOK_S = 0.2
#: How long the leader has to hear what we say.
TELL_S = 2.0
#: How often the leader is told how far the copy of our audit file is.
COPY_S = 30.0
#: The status that says: I do not lead. (RFC 9110, 15.5.20: misdirected request.)
NOT_HERE = 421
#: How many requests may be under way to the leader: as many as a socket takes (`connection_budget.Limits`).
AT_ONCE = 256
#: Why one of two daemons can't ask the other.
CLOSED = "leads, and can't be asked from here without serve --peers-certificate FILE on both machines"

#: What of a request the leader wants to know besides our word: all that its routes read of headers.
ASKED = frozenset(b"accept content-type idempotency-key if-match if-none-match last-event-id".split())
#: What of an answer is about the connection that it came over, and not about the answer.
_OF_THE_HOP = frozenset(
    "connection date keep-alive proxy-authenticate proxy-connection server te trailer transfer-encoding upgrade".split()
)


class Standby:
    """An ASGI application; ``leader`` is set as the election goes, ``name`` is what the leader is told of who asks it."""

    def __init__(self, identity: Optional[Identity] = None, name: str = "", copied: Optional[CopyWatch] = None) -> None:
        self.leader: Optional[Card] = None
        #: Why nobody leads, where that is known.
        self.why = "the election has not ended yet"
        #: Why whoever is elected does not lead either, where that is known.
        self.hopeless = ""
        self._identity, self._name = identity, name
        self._copied = copied
        self._http: Optional[httpx.AsyncClient] = None

    async def tell_of_copy(self) -> None:
        """How far the copy of our audit file is, to whoever leads; into the log once when it is behind, once when it is no more.
        For ever; while we lead `status` tells it."""
        is_behind = False
        while self._copied is not None:
            await asyncio.sleep(COPY_S)
            leader = self.leader
            if leader is not None and leader.name == self._name:
                is_behind = False
                continue
            found = await self._copied.told()
            trouble = found.trouble if found is not None else ""
            if trouble and not is_behind:
                logger.warning("of this daemon, which does not lead: %s", trouble)
            elif is_behind and not trouble:
                logger.info("the copy of this daemon's audit file is behind no more")
            is_behind = bool(trouble)
            if found is not None and leader is not None and leader.address and self._identity is not None:
                await self._says(leader, Caller("", -1, -1, -1, SOCKET), copied=found)

    async def close(self) -> None:
        """Give the connections to the leader free."""
        if self._http is not None:
            await self._http.aclose()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        request = Request(scope, receive)
        if request.scope["whose"].peer:
            # it thinks that we lead: never round in a circle
            response = refused("not-leading", f"{self._name or 'this daemon'} does not lead")
        else:
            response = await self._answer(request)
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        body = await request.body()
        until = time.monotonic() + PATIENCE_S
        safe, nonce = request.method == "GET", ""
        while True:
            leader = self.leader
            why = self.why if leader is None else f"{leader.name} led and does not answer"
            if leader is not None and (leader.why or (leader.address and self._identity is None)):
                return refused("unavailable", f"{leader.name} {leader.why or CLOSED}: ask on that machine")
            if leader is not None and not leader.address:
                why = f"{leader.name} is at work on the state"
            elif leader is not None:
                try:
                    nonce = secrets.token_urlsafe(16)
                    found = await self._while_it_leads(leader, request, body, safe, nonce)
                    if found is None:
                        until = time.monotonic() + PATIENCE_S
                        if not safe:
                            return _lost(f"{leader.name} led, and was followed by another before it answered")
                    elif found.status_code == 401 and "www-authenticate" not in found.headers:
                        why = f"{leader.name} leads and rejected the request: {await _sentence(found)}"
                    elif found.status_code == NOT_HERE:
                        await found.aclose()
                        why = self.hopeless or f"{leader.name} is about to lead"
                    else:
                        return self._passed_on(leader, found, request, nonce)
                except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
                    # it has not heard of it
                    if "certificate" in str(error).lower():
                        why = f"{leader.name} leads and has another --peers-certificate than this one ({error})"
                except httpx.HTTPError as error:
                    if not safe:
                        return _lost(
                            f"{leader.name}, which leads, went away with the question ({error or type(error).__name__})"
                        )
            if time.monotonic() > until:
                return refused(
                    "unavailable",
                    f"no daqsched serve leads now: {why}. Jobs run on, nothing is started or stopped; ask again",
                )
            await asyncio.sleep(0.1)

    async def may_send_much(self, caller: Caller) -> bool:
        """Whether the leader would take a request of more than 1 MiB from this caller; no where it does not say so."""
        leader = self.leader
        if leader is None or not leader.address or self._identity is None:
            return False
        try:
            found = await self._ask(leader, _small(caller), b"")
            answer = await found.aread()
            await found.aclose()
            return found.status_code == 200 and msgspec.json.decode(answer, type=RightsAnswer).large
        except (httpx.HTTPError, msgspec.MsgspecError):
            return False

    def _passed_on(self, leader: Card, found: httpx.Response, request: Request, nonce: str) -> Response:
        """Its answer as it comes: no more of it is in memory here than one piece."""
        goes_on = found.headers.get("content-type", "").startswith(EVENTS)

        async def pieces() -> AsyncIterator[bytes]:
            ended = False
            try:
                source = found.aiter_raw()
                async for piece in self._while_told(leader, source, request, nonce) if goes_on else source:
                    yield piece
                ended = True
            except httpx.HTTPError as error:
                # what began can't become a sentence any more; the broken connection says that it is not whole
                logger.warning("the answer of %s ended early: %s", leader.name, error or type(error).__name__)
                raise ConnectionError(f"the answer of {leader.name} ended early") from error
            finally:
                if not ended:
                    logger.debug("the client left before the end of an answer of %s", leader.name)
                await found.aclose()

        passed = PassedAnswer(pieces(), found.status_code)
        # one by one: a header may be there twice
        passed.raw_headers = [
            (name.lower(), value)
            for name, value in found.headers.raw
            if name.decode("latin-1").lower() not in _OF_THE_HOP
        ]
        return passed

    async def _while_told(
        self, leader: Card, source: AsyncIterator[bytes], request: Request, nonce: str
    ) -> AsyncIterator[bytes]:
        """A stream of events of one that leads, until another does, we end, or it does not hear who its caller is by now."""
        streams: Streams = request.scope["streams"]
        stream = streams.passed_on()
        coming: Optional[asyncio.Future[bytes]] = None
        looked = time.monotonic()
        try:
            while not stream.over and self.leader in (leader, None):
                if time.monotonic() - looked >= WHO_S:
                    looked = time.monotonic()
                    if await _is_another(request):
                        if not await self._says(leader, caller_of(request), RIGHTS_S, renews=nonce):
                            return
                coming = coming or asyncio.ensure_future(source.__anext__())
                await asyncio.wait({coming}, timeout=LOOK_S)
                if coming.done():
                    done, coming = coming, None
                    yield done.result()
        except StopAsyncIteration:
            pass
        finally:
            stream.close()
            if coming is not None:
                coming.cancel()
                await asyncio.wait({coming})

    async def _while_it_leads(
        self, leader: Card, request: Request, body: bytes, safe: bool, nonce: str
    ) -> Optional[httpx.Response]:
        """Its answer, of which nothing is read yet; None: another leads by now, or it has to be asked anew. One that hangs or was
        cut off takes questions and never answers. What waits there is judged by the groups that its caller has by now."""
        who, looked = caller_of(request).who, time.monotonic()
        asked = asyncio.ensure_future(self._ask(leader, request, body, nonce))
        try:
            while True:
                await asyncio.wait({asked}, timeout=LOOK_S)
                if asked.done():
                    return await asked
                if self.leader not in (leader, None):
                    return None
                if time.monotonic() - looked >= WHO_S:
                    await _is_another(request)
                    if caller_of(request).who != who:
                        if await self._says(leader, caller_of(request), renews=nonce):
                            who = caller_of(request).who
                        elif safe:
                            return None
                    looked = time.monotonic()
        finally:
            asked.cancel()

    async def _says(self, leader: Card, caller: Caller, within_s: float = TELL_S, **what: Any) -> bool:
        """Something of ours, and asks nothing; False: it did not hear, or is of a version that does not listen."""
        try:
            found = await asyncio.wait_for(self._ask(leader, _small(caller), b"", **what), within_s)
            await found.aclose()
            return found.status_code == 204
        except (httpx.HTTPError, asyncio.TimeoutError):
            return False

    async def _ask(
        self,
        leader: Card,
        request: Request,
        body: bytes,
        nonce: str = "",
        renews: str = "",
        copied: Optional[AuditCopied] = None,
    ) -> httpx.Response:
        assert self._identity is not None, "who asks has one"
        if self._http is None:
            self._http = httpx.AsyncClient(
                timeout=httpx.Timeout(ANSWER_S, connect=2.0, pool=PATIENCE_S),
                limits=httpx.Limits(max_connections=AT_ONCE, max_keepalive_connections=20),
                verify=self._identity.client,
                trust_env=False,
                follow_redirects=False,
            )
        # as it came, byte for byte: the token is for that
        target = request.scope["raw_path"]
        if request.scope["query_string"]:
            target += b"?" + request.scope["query_string"]
        asked = self._http.build_request(
            request.method,
            f"https://{leader.address}",
            content=body,
            headers=[(name, value) for name, value in request.headers.raw if name in ASKED],
            extensions={"target": target},
        )
        caller = caller_of(request)
        word = peer_token.PeerToken(
            to=leader.token,
            name=caller.name,
            uid=caller.uid,
            gid=caller.gid,
            pid=caller.pid,
            via=self._name,
            method=request.method,
            target=target.decode("latin-1"),
            digest=peer_token.digest_of(body),
            time=time.time(),
            nonce=nonce or secrets.token_urlsafe(16),
            known_as=tuple(sorted(caller.who.known_as)),
            doubt=caller.who.doubt,
            address=caller.address,
            bearer=caller.presented.bearer,
            session=caller.presented.session,
            user=caller.presented.user,
            groups=caller.presented.groups,
            left_out=caller.presented.left_out,
            begun=caller.presented.begun,
            host=caller.presented.host,
            renews=renews,
            copied=copied,
        )
        asked.headers[word.header] = peer_token.sign(self._identity.key, word)
        return await self._http.send(asked, stream=True)


def _small(caller: Caller) -> Request:
    """What costs the leader next to nothing, asked for somebody."""
    path = f"{API}/rights"
    scope = {
        "type": "http",
        "method": "GET",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [],
    }
    return Request({**scope, "caller": caller})


async def _is_another(request: Request) -> bool:
    """Whether the account that asks on our socket is in other groups by now: these are the request's then, to be told."""
    caller = caller_of(request)
    if caller.door != SOCKET or request.scope.get("rights") is None:
        return False
    await grants_now(request)
    return caller_of(request).who != caller.who


async def _sentence(found: httpx.Response) -> str:
    """The error that an answer is; it comes from a peer, and is short."""
    try:
        async for piece in found.aiter_bytes(4096):
            return msgspec.json.decode(piece, type=Problem).error
    except (httpx.HTTPError, msgspec.MsgspecError):
        pass
    finally:
        await found.aclose()
    return "it does not say why"


def _lost(why: str) -> Response:
    return refused("unsure", f"{why}: look with `daqsched status` whether it was taken in, and ask again")
