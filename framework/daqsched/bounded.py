"""What others answer over HTTP, with an end: so many bytes within so long, from where it was asked, as it was sent.

Agents, masters and guards may be broken or hostile. Whatever they do, who asks gets an answer or a sentence in time, and no
more memory is used than was meant: the time is that of all of it, headers too; nothing is unpacked and no redirect followed.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from typing import Any, NamedTuple, Optional, TypeVar

import httpx
import msgspec

Kind = TypeVar("Kind")


class NoAnswer(Exception):
    """Why there is none, to follow the name of who was asked: ``did not answer within 3 s``."""


class BoundedAnswer(NamedTuple):
    """A status that is no redirect, and the body with it."""

    status: int
    body: bytes

    @property
    def words(self) -> str:
        """How the body begins, for people."""
        return " ".join(self.body[:2000].decode("utf-8", "replace").split())[:200]


class Asking:
    """Connections to many; for one event loop."""

    def __init__(
        self, at_once: int = 100, connect_s: float = 5.0, verify: Optional[ssl.SSLContext] = None, keep: bool = True
    ) -> None:
        """So many requests are under way at a time; the others wait, and their time has not begun. ``verify``: whose certificates
        are believed; None: those that this machine knows. Without ``keep`` each connection ends with its answer."""
        self._connect_s = connect_s
        self._room = asyncio.Semaphore(at_once)
        self._http = httpx.AsyncClient(
            limits=httpx.Limits(max_connections=at_once, max_keepalive_connections=at_once if keep else 0),
            headers={"accept-encoding": "identity"},
            verify=verify if verify is not None else True,
            trust_env=False,
            follow_redirects=False,
        )

    async def get(
        self,
        url: str,
        params: Optional[Mapping[str, Any]] = None,
        *,
        most: int,
        longest_s: float,
        user: Optional[tuple[str, str]] = None,
    ) -> BoundedAnswer:
        """The answer; raises `NoAnswer` where there is none of at most ``most`` bytes within ``longest_s``."""
        return await self._bounded("GET", url, most, longest_s, params=params, auth=_auth(user))

    async def post(
        self,
        url: str,
        form: Mapping[str, str],
        *,
        most: int,
        longest_s: float,
        user: Optional[tuple[str, str]] = None,
    ) -> BoundedAnswer:
        """The same of a form that is sent."""
        return await self._bounded("POST", url, most, longest_s, data=dict(form), auth=_auth(user))

    async def _bounded(self, method: str, url: str, most: int, longest_s: float, **more: Any) -> BoundedAnswer:
        async with self._room:
            try:
                return await asyncio.wait_for(self._ask(method, url, most, longest_s, **more), longest_s)
            except (asyncio.TimeoutError, httpx.TimeoutException) as error:
                raise NoAnswer(f"did not answer within {longest_s:g} s") from error
            except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
                raise NoAnswer(f"does not answer: {_words(error)}") from error

    async def _ask(self, method: str, url: str, most: int, longest_s: float, **more: Any) -> BoundedAnswer:
        port = httpx.URL(url).port
        if port is not None and not 0 < port < 65536:
            raise NoAnswer(f"does not answer: {port} is not a port")
        timeout = httpx.Timeout(longest_s, connect=min(self._connect_s, longest_s))
        async with self._http.stream(method, url, timeout=timeout, **more) as response:
            if response.is_redirect or response.has_redirect_location:
                raise NoAnswer(f"redirects to another place (status {response.status_code}), which is not followed")
            if response.headers.get("content-encoding", "identity").lower() != "identity":
                raise NoAnswer("answers compressed, which was not asked for")
            body = bytearray()
            async for piece in response.aiter_raw():
                body += piece
                if len(body) > most:
                    raise NoAnswer(f"answers with more than {_size(most)}")
            return BoundedAnswer(response.status_code, bytes(body))

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()


def typed(answer: BoundedAnswer, kind: type[Kind], latin: bool = False) -> Kind:
    """The JSON of an answer; with ``latin`` each byte of it is a character. Raises `NoAnswer` where it is something else."""
    body = answer.body.decode("latin-1").encode() if latin else answer.body
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise NoAnswer(f"gives an answer that is not understood: {_words(error)}") from error


def _auth(user: Optional[tuple[str, str]]) -> Optional[httpx.BasicAuth]:
    return httpx.BasicAuth(*user) if user is not None else None


def _words(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


def _size(count: int) -> str:
    return f"{count >> 20} MiB" if count >= 1 << 20 else f"{count >> 10} KiB"
