"""Elasticsearch over plain HTTP: one connection per thread, and a batch delivered whatever it takes.

Not the official client: importing it costs 0.3 s and 38 MB, on each farm machine, to send one kind of request.
"""

from __future__ import annotations

import base64
import http.client
import json
import random
import ssl
import threading
from collections.abc import Callable, Sequence
from typing import NamedTuple
from urllib.parse import urlsplit

from .batch import REPLY_FILTER, Batch, Documents, judge, pause_s
from .record import minimal
from .template import template

Complain = Callable[[str, str], None]

#: How long a request may take before it is sent again.
TIMEOUT_S = 30.0

#: Answers to a whole request that mean "later"; other refusals mean that somebody must change something.
_LATER = (408, 429, 500, 502, 503, 504)


class Reply(NamedTuple):
    """An answer to one request."""

    status: int
    body: bytes


class Outcome(NamedTuple):
    """What became of a batch; ``complete`` is false where the forwarder was told to give up."""

    number: int
    complete: bool
    stored: int = 0
    duplicates: int = 0
    dead: int = 0
    retries: int = 0


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
            raise ValueError(f"{url!r} is no address of Elasticsearch: write for example http://es1:9200")
        if parts.username or parts.password:
            raise ValueError("user and password do not belong into an address that `ps` shows: use --user-file")
        secure = parts.scheme == "https"
        found.append(Address(secure, parts.hostname, parts.port or (443 if secure else 9200), parts.path.rstrip("/")))
    if not found:
        raise ValueError("no address of Elasticsearch is given")
    return found


def user_of(path: str) -> str:
    """``NAME:PASSWORD``, the file's first line; empty: no file. Raises OSError, or ValueError with a sentence."""
    if not path:
        return ""
    with open(path) as file:
        user = file.readline().strip()
    if ":" not in user:
        raise ValueError(f"{path} does not begin with NAME:PASSWORD")
    return user


class Connection:
    """One kept-alive connection to whichever node answers."""

    def __init__(self, nodes: Sequence[Address], user: str = "", timeout_s: float = TIMEOUT_S, first: int = 0) -> None:
        """``user`` is ``NAME:PASSWORD``; ``first`` is the node that is tried first."""
        self._nodes = nodes
        self._at = first % len(nodes)
        self._timeout_s = timeout_s
        self._headers = {"Content-Type": "application/json"}
        if user:
            self._headers["Authorization"] = "Basic " + base64.b64encode(user.encode()).decode()
        self._http: http.client.HTTPConnection | None = None

    @property
    def node(self) -> Address:
        """The node that the next request goes to."""
        return self._nodes[self._at]

    def request(self, method: str, path: str, body: bytes | None = None, kind: str = "application/json") -> Reply:
        """One answer. Raises OSError or HTTPException where there is none; the next request tries the next node."""
        reused = self._http is not None
        try:
            return self._exchange(method, path, body, kind)
        except (OSError, http.client.HTTPException) as error:
            self.close()
            # A server may end an idle connection at any time: that is no failure, and all our requests may be repeated.
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

    def _exchange(self, method: str, path: str, body: bytes | None, kind: str) -> Reply:
        if self._http is None:
            self._http = _open(self.node, self._timeout_s)
        self._http.request(method, self.node.path + path, body, {**self._headers, "Content-Type": kind})
        response = self._http.getresponse()
        return Reply(response.status, response.read())


class Elastic:
    """Stores batches, one at a time; each sender thread has its own."""

    def __init__(
        self,
        connection: Connection,
        complain: Complain,
        give_up: threading.Event,
        dead_letter: Callable[[str, bytes, str], None],
        chance: Callable[[], float] = random.random,
    ) -> None:
        """``dead_letter(index, document, reason)`` keeps what Elasticsearch takes in no form; it may raise OSError."""
        self._connection = connection
        self._complain = complain
        self._give_up = give_up
        self._dead_letter = dead_letter
        self._chance = chance

    def install_template(self, prefix: str) -> bool:
        """See that new indices get our field types, before the first line makes one.

        An older template is replaced, a newer one is left alone. One that may not be written is a sentence and no
        reason to hold lines back. False where the forwarder was told to give up.
        """
        wanted = template(prefix)
        attempt = 0
        while True:
            reply = self._ask("GET", f"/_index_template/{prefix}")
            if (
                reply is not None
                and reply.status == 200
                and _template_version(reply.body) >= wanted["_meta"]["version"]
            ):
                return True
            if reply is not None and reply.status in (200, 404):
                reply = self._ask("PUT", f"/_index_template/{prefix}", json.dumps(wanted).encode())
            if reply is not None and reply.status not in _LATER:
                if reply.status != 200:
                    self._complain(
                        "template",
                        f"cannot see to the index template {prefix} ({_words(reply)}); "
                        "new indices get what Elasticsearch guesses unless somebody installs it",
                    )
                return True
            attempt += 1
            if self._give_up.wait(pause_s(attempt, self._chance())):
                return False

    def deliver(self, batch: Batch) -> Outcome:
        """Store every line of the batch, in full or as a dead letter, however long that takes."""
        work = [batch.documents]
        stored = duplicates = dead = retries = attempt = 0
        while work:
            documents = work[-1]
            reply = self._ask("POST", f"/{batch.target}/_bulk?{REPLY_FILTER}", documents.body(), "application/x-ndjson")
            verdict = None
            if reply is not None and reply.status == 200:
                try:
                    verdict = judge(reply.body, len(documents))
                except ValueError as error:
                    self._complain("reply", f"{self._connection.node} answers a bulk request strangely: {error}")
            elif reply is not None and reply.status == 413 and len(documents) > 1:
                each, middle = list(documents), len(documents) // 2
                work[-1:] = [Documents(each[middle:]), Documents(each[:middle])]
                continue
            elif reply is not None and reply.status == 413:
                work.pop()
                if not self._keep(batch.target, documents.body(), _words(reply)):
                    return Outcome(batch.number, False)
                dead += 1
                continue
            elif reply is not None and reply.status not in _LATER:
                self._complain("request", f"{self._connection.node} takes no lines: {_words(reply)}; they wait on disk")
            if verdict is not None:
                work.pop()
                stored += verdict.stored
                duplicates += verdict.duplicates
                if verdict.refused:
                    refused = documents.at(at for at, _ in verdict.refused)
                    reasons = [why for _, why in verdict.refused]
                    done = self._second_form(batch.target, list(zip(refused, reasons)))
                    if done is None:
                        return Outcome(batch.number, False)
                    dead += done
                left = sorted([*verdict.later, *verdict.denied])
                if not left:
                    attempt = 0
                    continue
                again = Documents(documents.at(left))
                work.append(again)
                self._complain("items", f"{self._connection.node} does not take {len(again)} lines: {verdict.reason}")
            attempt += 1
            retries += 1
            if self._give_up.wait(pause_s(attempt, self._chance())):
                return Outcome(batch.number, False)
        return Outcome(batch.number, True, stored, duplicates, dead, retries)

    def _second_form(self, index: str, refused: Sequence[tuple[bytes, str]]) -> int | None:
        """Store refused lines in the form that fits anywhere, or in the local file; None if told to give up."""
        todo = [(minimal(document, why), document, why) for document, why in refused]
        attempt = 0
        while todo:
            body = b"".join(small for small, _, _ in todo)
            reply = self._ask("POST", f"/{index}/_bulk?{REPLY_FILTER}", body, "application/x-ndjson")
            if reply is not None and reply.status == 200:
                try:
                    verdict = judge(reply.body, len(todo))
                except ValueError:
                    verdict = None
                if verdict is not None:
                    for at, _ in verdict.refused:
                        if not self._keep(index, todo[at][1], todo[at][2]):
                            return None
                    todo = [todo[at] for at in sorted([*verdict.later, *verdict.denied])]
                    if not todo:
                        break
            attempt += 1
            if self._give_up.wait(pause_s(attempt, self._chance())):
                return None
        return len(refused)

    def _keep(self, index: str, document: bytes, reason: str) -> bool:
        attempt = 0
        while True:
            try:
                self._dead_letter(index, document, reason)
                return True
            except OSError as error:
                self._complain("deadletter", f"cannot write a dead letter: {error}")
            attempt += 1
            if self._give_up.wait(pause_s(attempt, self._chance())):
                return False

    def _ask(self, method: str, path: str, body: bytes | None = None, kind: str = "application/json") -> Reply | None:
        node = self._connection.node
        try:
            reply = self._connection.request(method, path, body, kind)
            if reply.status in _LATER:
                self._complain("busy", f"{node} has no time: {_words(reply)}; lines wait on disk")
            return reply
        except (OSError, http.client.HTTPException) as error:
            self._complain(
                "unreachable", f"{node} does not answer: {error or type(error).__name__}; lines wait on disk"
            )
            return None


def _open(node: Address, timeout_s: float) -> http.client.HTTPConnection:
    if node.secure:
        return http.client.HTTPSConnection(
            node.host, node.port, timeout=timeout_s, context=ssl.create_default_context()
        )
    return http.client.HTTPConnection(node.host, node.port, timeout=timeout_s)


def _words(reply: Reply) -> str:
    """The reason that an error reply gives, short."""
    try:
        error = json.loads(reply.body)["error"]
        words = f"{error['type']}: {error['reason']}" if isinstance(error, dict) else str(error)
    except (ValueError, KeyError, TypeError):
        words = reply.body[:200].decode("utf-8", "replace").strip() or http.client.responses.get(reply.status, "")
    return f"{reply.status} {' '.join(words.split())[:300]}"


def _template_version(body: bytes) -> int:
    try:
        version = json.loads(body)["index_templates"][0]["index_template"]["_meta"]["version"]
        return version if isinstance(version, int) else 0
    except (ValueError, KeyError, IndexError, TypeError):
        return 0
