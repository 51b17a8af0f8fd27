"""How the official client reaches a node of Elasticsearch: one exchange over HTTP, bounded in bytes and time.

The client's own nodes read answers of any size and for any time, and unpack them. All else is the client's: which node is
asked, which is asked next, who we are, what an error is (`elastic`).
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any, Optional, Union

import httpx
from elastic_transport import (
    ApiResponseMeta,
    BaseNode,
    ConnectionError,
    ConnectionTimeout,
    HttpHeaders,
    NodeConfig,
    Serializer,
    TransportError,
)
from elastic_transport._node import NodeApiResponse  # what a node must return is not among the public names
from elastic_transport.client_utils import DEFAULT, DefaultType

from daqsched.errors import UserError

#: An answer has at most so many bytes (a page of lines that has more is asked for in smaller ones), and is read for at
#: most so long.
MOST_BYTES = 64 << 20
LONGEST_S = 60.0

#: By which the client knows Elasticsearch. Of the others it would only make warnings and choose a serializer.
_PRODUCT = "x-elastic-product"
#: Where the name and password of an address are kept: of two nodes' headers the client sends one's to the other.
_USER = "_daqsched_user"
#: And how long an answer may be.
_MOST = "_daqsched_most"


class Oversized(TransportError):
    """More than `MOST_BYTES`. No failure of the connection: no other node is asked for the same."""


class Endless(TransportError):
    """More than `LONGEST_S`: as above."""


class BoundedNode(BaseNode):
    """A node, with connections of its own that are kept."""

    def __init__(self, config: NodeConfig) -> None:
        super().__init__(config)
        self._url = httpx.URL(self.base_url)
        verify: Union[bool, ssl.SSLContext] = config.ssl_context or config.scheme == "https"
        user = config._extras.get(_USER)
        self._http = httpx.Client(auth=user, verify=verify, timeout=config.request_timeout, trust_env=False)
        self._most_bytes = config._extras.get(_MOST, 0)
        #: The last connections that were made.
        self._made: deque[Any] = deque(maxlen=8)

    def close(self) -> None:
        """Let the connections go."""
        self._http.close()

    def perform_request(
        self,
        method: str,
        target: str,
        body: Optional[bytes] = None,
        headers: Optional[HttpHeaders] = None,
        request_timeout: Union[DefaultType, Optional[float]] = DEFAULT,
    ) -> NodeApiResponse:
        """One exchange. Raises ConnectionError or ConnectionTimeout, `Oversized` or `Endless`."""
        sent = {**self.headers, **(headers or {}), "accept-encoding": "identity"}
        limit = self.config.request_timeout if isinstance(request_timeout, DefaultType) else request_timeout
        began = time.monotonic()
        try:
            response, content = self._exchange(method, target, body, sent, limit)
        except httpx.TimeoutException as error:
            raise ConnectionTimeout(_words(error), (error,)) from error
        except httpx.HTTPError as error:
            raise ConnectionError(_words(error), (error,)) from error
        meta = ApiResponseMeta(
            status=response.status_code,
            http_version=response.http_version.partition("/")[2],
            headers=HttpHeaders({_PRODUCT: response.headers.get(_PRODUCT, "")}),
            duration=time.monotonic() - began,
            node=self.config,
        )
        return NodeApiResponse(meta, content)

    def _exchange(
        self, method: str, target: str, body: Optional[bytes], headers: Mapping[str, str], limit: Optional[float]
    ) -> tuple[httpx.Response, bytes]:
        url = self._url.copy_with(raw_path=self._url.raw_path.rstrip(b"/") + target.encode())
        until = time.monotonic() + LONGEST_S
        more: dict[str, Any] = {"timeout": limit, "extensions": {"trace": self._note}}
        with (
            self._ended_at(LONGEST_S + 1.0),
            self._http.stream(method, url, content=body, headers=headers, **more) as response,
        ):
            pieces, size = [], 0
            for piece in response.iter_raw():
                pieces.append(piece)
                size += len(piece)
                if size > (self._most_bytes or MOST_BYTES):
                    raise Oversized(f"more than {(self._most_bytes or MOST_BYTES) >> 20} MiB")
                if time.monotonic() > until:
                    raise Endless(f"{size} bytes came within {LONGEST_S:.0f} s, and no end")
        return response, b"".join(pieces)

    def _note(self, what: str, told: Mapping[str, Any]) -> None:
        """httpcore's `trace`: what happens on a request's way."""
        if what in ("connection.connect_tcp.complete", "connection.start_tls.complete"):
            self._made.append(told["return_value"])

    @contextlib.contextmanager
    def _ended_at(self, limit_s: float) -> Iterator[None]:
        """Whatever is read within ends in time, also a header that drips: a time limit of httpx' is that of each piece."""

        def end() -> None:
            for stream in list(self._made):
                with contextlib.suppress(OSError):
                    # past what TLS would do to it, which somebody is reading from
                    socket.socket.shutdown(stream.get_extra_info("socket"), socket.SHUT_RDWR)

        timer = threading.Timer(limit_s, end)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()


class _Body(bytes):
    """A body as it came. The client puts an answer's text into its errors: no second copy of 64 MiB, four times as long."""

    def __str__(self) -> str:
        return ""


class Raw(Serializer):
    """Bodies stay bytes: who asks makes them, and reads them typed."""

    mimetype = "application/json"

    def loads(self, data: bytes) -> bytes:
        return _Body(data)

    def dumps(self, data: bytes) -> bytes:
        return data


def node_config(url: str, timeout_s: float, most_bytes: int = 0) -> NodeConfig:
    """An address as people write it, for the client; an answer has at most so many bytes (0: `MOST_BYTES`). Raises `UserError`."""
    try:
        node = httpx.URL(url.strip())
    except (httpx.InvalidURL, ValueError, TypeError) as error:
        raise UserError(f"{url!r} is not an address of Elasticsearch: {error}") from error
    if node.scheme not in ("http", "https") or not node.host:
        raise UserError(f"{url!r} is not an address of Elasticsearch: write for example http://es1:9200")
    return NodeConfig(
        node.scheme,
        node.host,
        node.port or (443 if node.scheme == "https" else 9200),
        path_prefix=node.raw_path.decode().rstrip("/"),
        request_timeout=timeout_s,
        _extras={_MOST: most_bytes, **({_USER: (node.username, node.password)} if node.userinfo else {})},
    )


def named(config: NodeConfig) -> str:
    """An address for people, without name and password."""
    url = httpx.URL(BaseNode(config).base_url)
    return f"{url.scheme}://{url.netloc.decode()}{url.path.rstrip('/')}"


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__
