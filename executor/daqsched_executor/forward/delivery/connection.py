"""HTTP to Elasticsearch: one kept-alive connection to whichever node answers, with TLS and a secret where these are configured.

Not the official client: importing it costs 0.3 s and 38 MB, on each farm machine, to send one kind of request.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple, Union
from urllib.parse import urlsplit

from ...contract.access import authorization, too_open
from ...contract.forwarding import Access

if TYPE_CHECKING:
    import ssl

# http.client takes ssl with it, 1.4 MB that a farm with plain HTTP has no use for; it copes with its absence.
_absent = "ssl" not in sys.modules
if _absent:
    sys.modules["ssl"] = None  # type: ignore[assignment]  # then its import fails
import http.client  # noqa: E402

if _absent:
    del sys.modules["ssl"]

HTTPException = http.client.HTTPException

#: How long a request may take before it is sent again.
TIMEOUT_S = 30.0

Warn = Callable[[str, str], None]

#: What a request carries: a text, or pieces of one that are sent one after the other.
Body = Union[bytes, Sequence[bytes]]


class Reply(NamedTuple):
    """An answer to one request."""

    status: int
    body: bytes


class Address(NamedTuple):
    """One of Elasticsearch's nodes."""

    secure: bool
    host: str
    port: int
    path: str

    def __str__(self) -> str:
        return f"{'https' if self.secure else 'http'}://{self.host}:{self.port}{self.path}"


def addresses(text: str) -> list[Address]:
    """Read ``URL[,URL…]``; raises ValueError with a sentence for people."""
    found = []
    for url in filter(None, (part.strip() for part in text.split(","))):
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{url!r} is not an address of Elasticsearch: write for example http://es1:9200")
        if parts.username or parts.password:
            raise ValueError("user and password must not be in an address that `ps` shows: use --user-file")
        secure = parts.scheme == "https"
        found.append(Address(secure, parts.hostname, parts.port or (443 if secure else 9200), parts.path.rstrip("/")))
    if not found:
        raise ValueError("no address of Elasticsearch is given")
    return found


class Keys:
    """What the files of an `Access` say now: each is read again when it has changed; one thread's own.

    A file that can't be read at the moment (it is being replaced) leaves what it said before.
    """

    def __init__(self, access: Access, warn: Warn) -> None:
        self._access = access
        self._warn = warn
        self._header = ""
        self._context: ssl.SSLContext | None = None
        self._read: dict[str, tuple[int, ...]] = {}

    def header(self) -> str:
        """The value of ``Authorization``, empty: none."""
        path = self._access.user_file or self._access.api_key_file
        if path and self._changed(path):
            try:
                self._header = authorization(self._access)
            except (OSError, ValueError) as error:
                self._warn("secret", f"cannot use a changed secret, the former one stays in use: {error}")
            open_to = too_open(self._access)
            if open_to:
                self._warn("mode", open_to)
        return self._header

    def context(self) -> ssl.SSLContext:
        """How a connection is secured: the server's name and its certificate's chain are always looked at. Raises OSError."""
        import ssl

        path = self._access.ca_file
        if self._context is None or (path and self._changed(path)):
            try:
                self._context = ssl.create_default_context(cafile=path or None)
            except OSError as error:  # ssl's own errors are some
                words = f"{path} can't be used as authority of certificates: {error.strerror or error}"
                if self._context is None:
                    self._read.pop(path, None)
                    raise OSError(words) from error
                self._warn("secret", f"{words}; the former one stays in use")
        return self._context

    def _changed(self, path: str) -> bool:
        try:
            status = os.stat(path)
        except OSError:
            return path not in self._read
        is_now = status.st_mtime_ns, status.st_ino, status.st_size, status.st_mode
        if self._read.get(path) == is_now:
            return False
        self._read[path] = is_now
        return True


class Connection:
    """One kept-alive connection to whichever node answers."""

    def __init__(self, nodes: Sequence[Address], keys: Keys, timeout_s: float = TIMEOUT_S, first: int = 0) -> None:
        """``first`` is the node that is tried first."""
        self._nodes = nodes
        self._at = first % len(nodes)
        self._timeout_s = timeout_s
        self._keys = keys
        self._http: http.client.HTTPConnection | None = None

    @property
    def node(self) -> Address:
        """The node that the next request goes to."""
        return self._nodes[self._at]

    def request(self, method: str, path: str, body: Body | None = None, kind: str = "application/json") -> Reply:
        """One answer. Raises OSError or HTTPException where there is none; the next request tries the next node."""
        reused = self._http is not None
        try:
            return self._exchange(method, path, body, kind)
        except (OSError, http.client.HTTPException) as error:
            self.close()
            # A server may end an idle connection at any time: that is not a failure, and all our requests may be repeated.
            if reused and isinstance(error, (ConnectionError, http.client.RemoteDisconnected)):
                try:
                    return self._exchange(method, path, body, kind)
                except (OSError, http.client.HTTPException):
                    self.close()
                    self._at = (self._at + 1) % len(self._nodes)
                    raise
            self._at = (self._at + 1) % len(self._nodes)
            raise

    def close(self) -> None:
        """Let go of the connection; the next request makes a new one."""
        if self._http is not None:
            self._http.close()
            self._http = None

    def _exchange(self, method: str, path: str, body: Body | None, kind: str) -> Reply:
        headers = {"Content-Type": kind}
        if body is not None and not isinstance(body, bytes):
            headers["Content-Length"] = str(sum(map(len, body)))
        secret = self._keys.header()
        if secret:
            headers["Authorization"] = secret
        if self._http is None:
            self._http = self._open()
        self._http.request(method, self.node.path + path, body, headers)
        response = self._http.getresponse()
        return Reply(response.status, response.read())

    def _open(self) -> http.client.HTTPConnection:
        made = http.client.HTTPConnection(self.node.host, self.node.port, timeout=self._timeout_s)
        if self.node.secure:
            context = self._keys.context()
            made.connect()
            try:
                made.sock = context.wrap_socket(made.sock, server_hostname=self.node.host)
            except OSError:
                made.close()
                raise
        return made
