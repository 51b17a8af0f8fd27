"""Changes with a key (``Idempotency-Key``): what was done with one is told again, and nothing is done twice.

The answers are kept here for as long as this daemon leads; that something was done is saved with it (`engine.repeats`).
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import Awaitable
from typing import Callable, NamedTuple, Optional

from starlette.requests import Request
from starlette.responses import Response

from daqsched.engine.repeats import REMEMBERED_S, Terms, forgotten
from daqsched.errors import UserError
from daqsched.serve.refusals import refused

#: The longest key, the most digests of an ``If-Match``, and the largest answer that is kept.
KEY_LETTERS, MOST_DIGESTS, KEPT_BYTES = 128, 10, 64 << 10

#: From here on an answer is a refusal, which changed nothing (or nobody knows): who asks again, perhaps with another
#: ``If-Match``, is judged by what is so then. What was done all the same the engine knows by the key.
_REFUSED = 400


class _Answered(NamedTuple):
    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes

    def again(self) -> Response:
        found = Response(self.body, self.status)
        found.raw_headers = list(self.headers)
        return found


class _Repeatable(NamedTuple):
    what: str
    at: float
    answer: asyncio.Future[Optional[_Answered]]


def terms_of(request: Request) -> Terms:
    """On which a change is asked for; raises `UserError`."""
    return Terms(_key_of(request), _digests_of(request.headers.getlist("if-match")))


def _key_of(request: Request) -> str:
    given = request.headers.getlist("idempotency-key")
    if not given:
        return ""
    if len(given) > 1 or not 0 < len(given[0]) <= KEY_LETTERS or not (given[0].isascii() and given[0].isprintable()):
        raise UserError(f"Idempotency-Key is there once, with 1 to {KEY_LETTERS} printable letters")
    who = request.scope["caller"].who
    # nobody's key is another's, and who is in another group meanwhile does nothing twice
    return f"{_digest(repr((who.name, who.identities)).encode())}.{_digest(given[0].encode())}"


def _digests_of(given: list[str]) -> tuple[str, ...]:
    found = tuple(one.strip().strip('"') for value in given for one in value.split(","))
    if len(found) > MOST_DIGESTS or any(not 0 < len(one) <= 100 or not one.isprintable() for one in found):
        raise UserError(f'If-Match names at most {MOST_DIGESTS} digests of specs: If-Match: "1e04a3cf965f"')
    return () if "*" in found else found


class Repeats:
    """For one event loop."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._known: OrderedDict[str, _Repeatable] = OrderedDict()

    async def once(self, request: Request, carry_out: Callable[[], Awaitable[Response]]) -> Response:
        """The answer to a change that has a key: that of the first time, where it is not the first."""
        try:
            key = _key_of(request)
        except UserError as error:
            return refused("invalid", str(error))
        query = request.scope["query_string"]
        what = _digest(request.scope["path"].encode() + b"?" + query + b"\0" + await request.body())
        self._forget(key)
        known = self._known.get(key)
        if known is not None and known.what != what:
            return refused("key-reused", "another request was made with this Idempotency-Key: each has one of its own")
        if known is not None:
            told = await asyncio.shield(known.answer)
            # else: it was not done, or its answer is not kept, and the engine says so
            return told.again() if told is not None else await carry_out()
        first = _Repeatable(what, self._clock(), asyncio.get_running_loop().create_future())
        self._known[key] = first
        try:
            found = await carry_out()
        except BaseException:
            self._known.pop(key, None)
            first.answer.set_result(None)
            raise
        body = bytes(found.body)
        if found.status_code >= _REFUSED or len(body) > KEPT_BYTES or request.scope["path"].endswith("/token"):
            self._known.pop(key, None)
            first.answer.set_result(None)
        else:
            first.answer.set_result(_Answered(found.status_code, list(found.raw_headers), body))
        return found

    def _forget(self, key: str) -> None:
        """What is too old, and what makes room for one that is not known."""
        until = self._clock() - REMEMBERED_S
        while self._known and next(iter(self._known.values())).at < until:
            self._known.popitem(last=False)
        if key not in self._known:
            for one in forgotten(self._known, key):
                del self._known[one]


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:32]
