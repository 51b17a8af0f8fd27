"""The one way to Elasticsearch: each request, each answer, bounded in bytes and time, and what its failures are called.

Not the official client: it reads answers of any size and for any time, and takes what is no answer of Elasticsearch's for
a bug. What is asked for is typed here (`answers`), so nothing behind this module meets a strange form.
"""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import threading
import time
import urllib.parse
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Optional, TypeVar, Union

import httpx
import msgspec

from daqsched.errors import DaqschedError, Refused, Unreachable, UserError
from daqsched.logs.answers import (
    NAMED,
    NOTHING,
    TYPES,
    FieldCaps,
    Found,
    Refusal,
    away,
    failed,
    foreign,
    foreign_words,
    short,
)
from daqsched_executor.contract.forwarding import NO_ACCESS, Access

Kind = TypeVar("Kind")

#: An answer has at most so many bytes (a page of lines that has more is asked for in smaller ones), and is read for at
#: most so long.
MOST_BYTES = 64 << 20
LONGEST_S = 60.0

#: How long a search bears with an index so new that its shards do not answer yet; with some of several, only so long.
SHARDS_S, SOME_SHARDS_S = 5.0, 1.5


class TooLarge(Unreachable):
    """An answer of more than `MOST_BYTES`: ask for less at a time."""


class Answer(NamedTuple):
    """A status and the body with it; ``why`` is its reason in short, where it is an error."""

    status: int
    body: bytes
    why: str = ""


class Elastic:
    """Asks whichever node answers."""

    def __init__(self, urls: Union[str, Sequence[str]], access: Access = NO_ACCESS, timeout_s: float = 10.0) -> None:
        """Nothing is sent yet. Raises `UserError` where a file of ``access`` can't be used."""
        from daqsched_executor.contract.access import authorization

        self._nodes = [_node(url) for url in (urls.split(",") if isinstance(urls, str) else urls)]
        #: For people.
        self.nodes = ", ".join(f"{node.scheme}://{node.netloc.decode()}{node.path.rstrip('/')}" for node in self._nodes)
        #: Indices without a copy for longer than a new one needs.
        self._away: frozenset[str] = frozenset()
        #: Why what was answered so far is not all: a sentence for each index. People must be told.
        self.lacks: dict[str, str] = {}
        try:
            secret = authorization(access)
            verify: Union[bool, ssl.SSLContext] = False
            if any(node.scheme == "https" for node in self._nodes):
                verify = ssl.create_default_context(cafile=access.ca_file or None)
        except OSError as error:
            what = f"{error.filename}: {error.strerror}" if error.filename else f"{access.ca_file}: {error}"
            raise UserError(f"cannot use what Elasticsearch is to be asked with: {what}") from error
        except ValueError as error:
            raise UserError(str(error)) from error
        headers = {"accept": "application/json", "accept-encoding": "identity"}
        if secret:
            headers["authorization"] = secret
        self._http = httpx.Client(headers=headers, verify=verify, timeout=timeout_s, trust_env=False)
        #: The last connections that were made.
        self._made: deque[Any] = deque(maxlen=8)

    def close(self) -> None:
        """Let the connections go."""
        self._http.close()

    def ask(self, method: str, path: str, body: Any = None) -> Answer:
        """One request. A ``body`` that is a list is a bulk request's rows.

        Raises `Unreachable` where there is no answer or none of substance, `Refused` where we are not known (401).
        """
        content, kind = None, "application/json"
        if isinstance(body, list):
            content, kind = "".join(f"{row}\n" for row in body).encode(), "application/x-ndjson"
        elif body is not None:
            content = json.dumps(body).encode()
        for at in range(len(self._nodes)):
            node = self._nodes[0]
            try:
                status, answer = self._exchange(node, method, path, content, kind)
                break
            except httpx.HTTPError as error:
                # the next request begins with a node that answers
                self._nodes.append(self._nodes.pop(0))
                if at == len(self._nodes) - 1:
                    words = short(str(error)) or type(error).__name__
                    raise Unreachable(f"Elasticsearch at {self.nodes} does not answer: {words}") from error
        if status < 300:
            return Answer(status, answer)
        why = _why(answer)
        if status == 401:
            raise Refused(f"Elasticsearch at {self.nodes} does not know us: {why}")
        if status == 429 or status >= 500:
            raise _Busy(f"Elasticsearch at {self.nodes} has no time: {why or f'status {status}'}", status)
        if status < 400:
            raise Unreachable(f"what answers at {self.nodes} is no Elasticsearch: status {status}")
        return Answer(status, answer, f"{status} {why}")

    def _exchange(self, node: httpx.URL, method: str, path: str, content: Any, kind: str) -> tuple[int, bytes]:
        raw = urllib.parse.quote(path, safe="/?&=*,:@%")
        url = node.copy_with(raw_path=node.raw_path.rstrip(b"/") + raw.encode())
        until = time.monotonic() + LONGEST_S
        headers, extensions = {"content-type": kind}, {"trace": self._note}
        with (
            self._ended_at(LONGEST_S + 1.0),
            self._http.stream(method, url, content=content, headers=headers, extensions=extensions) as response,
        ):
            pieces, size = [], 0
            for piece in response.iter_raw():
                pieces.append(piece)
                size += len(piece)
                if size > MOST_BYTES:
                    raise TooLarge(f"an answer of Elasticsearch at {self.nodes} has more than {MOST_BYTES >> 20} MiB")
                if time.monotonic() > until:
                    raise Unreachable(
                        f"Elasticsearch at {self.nodes} does not answer: {size} bytes came within {LONGEST_S:.0f} s, and no end"
                    )
        return response.status_code, b"".join(pieces)

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

    def read(self, body: bytes, kind: type[Kind]) -> Kind:
        """The body of an answer, typed. Raises `Unreachable` where it is nothing of Elasticsearch's."""
        with self.understood():
            return msgspec.json.decode(body, type=kind)

    @contextlib.contextmanager
    def understood(self) -> Iterator[None]:
        """What is read within is typed (msgspec); what does not fit is a failure of who answered, told in a sentence."""
        try:
            yield
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
            raise Unreachable(f"what answers at {self.nodes} is no Elasticsearch: {short(str(error))}") from error

    # ------------------------------------------------------------------ searching

    def search(self, prefix: str, **body: Any) -> Found:
        """One search in all indices of the prefix; without any, an answer without hits and aggregations.

        Why it is not all is in its ``lacks``, and kept in ours. Raises `Unreachable`, `Refused` or `UserError`.
        """
        body.setdefault("track_total_hits", False)
        preference = body.pop("preference", "")
        path = f"/{prefix}-*/_search?ignore_unavailable=true&allow_no_indices=true"
        path += f"&preference={preference}" if preference else ""
        began = time.monotonic()
        while True:
            try:
                answer = self.ask("POST", path, {name: value for name, value in body.items() if value is not None})
            except Refused as error:
                raise Refused(f"Elasticsearch does not let us read {prefix}-*: {error}") from error
            except _Busy as error:
                # An index's first lines make it; for a moment it is known and has no shard that could be asked.
                if error.status != 503 or time.monotonic() - began > SHARDS_S:
                    raise Unreachable(f"Elasticsearch cannot search now: {error}") from error
                time.sleep(0.1)
                continue
            if answer.status == 404:
                return NOTHING
            if answer.status >= 300:
                raise self._refusal(prefix, answer)
            found = self.read(answer.body, Found)
            waiting = away(found) - self._away
            if not waiting:
                break
            if time.monotonic() - began > SOME_SHARDS_S:
                self._away |= waiting
                break
            time.sleep(0.1)
        self.lacks.update(found.lacks)
        return found

    def _refusal(self, prefix: str, answer: Answer) -> DaqschedError:
        if answer.status == 403:
            return Refused(
                f"Elasticsearch does not let us read {prefix}-*: {answer.why}; readers need the right `read` on it "
                "(docs/reference/elasticsearch.md, Rights)"
            )
        with contextlib.suppress(DaqschedError):
            wrong = self.foreign(prefix)
            if wrong:
                return Refused(f"Elasticsearch can't search {prefix}-*: {foreign_words(wrong)}")
        return UserError(f"Elasticsearch does not understand the search: {answer.why}")

    def foreign(self, prefix: str) -> dict[str, list[str]]:
        """The indices of the prefix whose fields are not ours, with what is wrong; none where we may not look."""
        fields = ",".join(TYPES)
        options = "include_unmapped=true&ignore_unavailable=true&allow_no_indices=true"
        answer = self.ask("GET", f"/{prefix}-*/_field_caps?fields={fields}&{options}")
        return foreign(self.read(answer.body, FieldCaps)) if answer.status == 200 else {}


class _Busy(Unreachable):
    """Later, perhaps."""

    def __init__(self, sentence: str, status: int) -> None:
        super().__init__(sentence)
        self.status = status


def pages(
    elastic: Elastic, prefix: str, most: Optional[int], page: int, after: Any = None, **body: Any
) -> Iterator[Found]:
    """The answers that have the first ``most`` hits behind ``after`` (None: all), page by page, however large documents are."""
    left, size = most, page
    while left is None or left > 0:
        asked = size if left is None else min(size, left)
        try:
            found = elastic.search(prefix, size=asked, search_after=after, **body)
        except TooLarge:
            if asked == 1:
                raise
            size = max(1, asked // 4)
            continue
        yield found
        hits = found.hits.hits
        if len(hits) < asked:
            return
        left = None if left is None else left - len(hits)
        last = hits[-1].get("sort")
        if not last or last == after:
            raise Unreachable(f"what answers at {elastic.nodes} is no Elasticsearch: its pages do not go on")
        after = last


def _node(url: str) -> httpx.URL:
    try:
        node = httpx.URL(url.strip())
    except (httpx.InvalidURL, ValueError, TypeError) as error:
        raise UserError(f"{url!r} is no address of Elasticsearch: {error}") from error
    if node.scheme not in ("http", "https") or not node.host:
        raise UserError(f"{url!r} is no address of Elasticsearch: write for example http://es1:9200")
    return node if node.port or node.scheme == "https" else node.copy_with(port=9200)


def _why(body: bytes) -> str:
    """The reason that a refusal gives, or how a page that is none of Elasticsearch's begins."""
    try:
        refusal = msgspec.json.decode(body, type=Refusal)
    except (msgspec.MsgspecError, RecursionError):
        return short(body[:400].decode("utf-8", "replace"))
    return "; ".join(filter(None, [refusal.words, *list(failed(refusal.shards).values())[:NAMED]]))
