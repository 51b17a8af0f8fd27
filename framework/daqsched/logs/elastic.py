"""The one way to Elasticsearch: each request, each answer, bounded in bytes and time, and what its failures are called.

The official client asks, through nodes of ours that bound what it reads (`node`). Importing it takes 0.3 s and more: who may do
without imports this module where it is needed. What is asked for is typed here (`answers`), so nothing behind this module meets
a strange form.
"""

from __future__ import annotations

import contextlib
import copy
import json
import ssl
import time
import urllib.parse
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Optional, TypeVar, Union

import msgspec
from elasticsearch import ApiError, Elasticsearch, TransportError, UnsupportedProductError

from daqsched.errors import DaqschedError, Refused, Unreachable, UserError
from daqsched.logs import node
from daqsched.logs.answers import (
    NAMED,
    NOTHING,
    TYPES,
    FieldCaps,
    LineRefusal,
    SearchFound,
    away,
    failed,
    foreign,
    foreign_words,
    short,
)
from daqsched.logs.bounded_search import NotWithin, Within, bounded, shown
from daqsched.logs.retention import indices_of
from daqsched_executor.contract.forwarding import NO_ACCESS, Access

Kind = TypeVar("Kind")

#: How long a search waits for an index so new that its shards do not answer yet; with some of several, only so long.
SHARDS_S, SOME_SHARDS_S = 5.0, 1.5

#: The client's words for what `authorization` begins with.
_WAYS = {"Basic": "basic_auth", "ApiKey": "api_key"}


class TooLarge(Unreachable):
    """An answer of more than `node.MOST_BYTES`: ask for less at a time."""


class Answer(NamedTuple):
    """A status and the body with it; ``why`` is its reason in short, where it is an error."""

    status: int
    body: bytes
    why: str = ""


class Elastic:
    """Asks the nodes in turn, and of one that does not answer the next."""

    def __init__(
        self,
        urls: Union[str, Sequence[str]],
        access: Access = NO_ACCESS,
        timeout_s: float = 10.0,
        most_bytes: int = 0,
    ) -> None:
        """Nothing is sent yet. Raises `UserError` where a file of ``access`` can't be used."""
        from daqsched_executor.contract.access import authorization

        # an address that is named twice is one node
        configs = list(dict.fromkeys(node.node_config(url, timeout_s, most_bytes) for url in _listed(urls)))
        self._within: Optional[Within] = None
        #: How much was answered.
        self._bytes = 0
        #: For people.
        self.nodes = ", ".join(node.named(config) for config in configs)
        #: Indices without a copy for longer than a new one needs.
        self._away: frozenset[str] = frozenset()
        #: Why what was answered so far is not all: a sentence for each index. People must be told.
        self.lacks: dict[str, str] = {}
        try:
            way, _, secret = authorization(access).partition(" ")
            if any(config.scheme == "https" for config in configs):
                context = ssl.create_default_context(cafile=access.ca_file or None)
                configs = [one.replace(ssl_context=context) if one.scheme == "https" else one for one in configs]
        except OSError as error:
            what = f"{error.filename}: {error.strerror}" if error.filename else f"{access.ca_file}: {error}"
            raise UserError(f"cannot use what Elasticsearch is to be asked with: {what}") from error
        except ValueError as error:
            raise UserError(str(error)) from error
        known: dict[str, Any] = {_WAYS[way]: secret} if way else {}
        # so long a node that failed is passed over: as long as one request may take with all, which so asks each once
        rest_s = len(configs) * (node.LONGEST_S + timeout_s)
        self._client = Elasticsearch(
            configs,
            node_class=node.BoundedNode,
            randomize_nodes_in_pool=False,
            dead_node_backoff_factor=rest_s,
            max_dead_node_backoff=rest_s,
            # where one can't be reached; what a node answers is the answer
            max_retries=len(configs) - 1,
            retry_on_timeout=True,
            retry_on_status=(),
            serializers={"application/json": node.Raw(), "application/x-ndjson": node.Raw()},
            meta_header=False,
            **known,
        )

    def within(self, within: Within) -> Elastic:
        """The same server, asked for somebody; `close` is of the original alone."""
        made = copy.copy(self)
        made._within, made._bytes, made.lacks = within, 0, {}
        return made

    def close(self) -> None:
        """Let the connections go."""
        self._client.close()

    def ask(self, method: str, path: str, body: Any = None) -> Answer:
        """One request. A ``body`` that is a list is a bulk request's rows.

        Raises `Unreachable` where there is no answer or none of substance, `Refused` where we are not known (401).
        """
        content, headers = None, {"accept": "application/json"}
        if isinstance(body, list):
            content, headers["content-type"] = "".join(f"{row}\n" for row in body).encode(), "application/x-ndjson"
        elif body is not None:
            content, headers["content-type"] = json.dumps(body).encode(), "application/json"
        target = urllib.parse.quote(path, safe="/?&=*,:@%")
        try:
            response = self._client.perform_request(method, target, headers=headers, body=content)
            return Answer(response.meta.status, response.body)
        except UnsupportedProductError as error:
            raise Unreachable(
                f"what answers at {self.nodes} is not Elasticsearch: it does not say that it is"
            ) from error
        except ApiError as error:
            status, answer = error.meta.status, error.body
        except node.Oversized as error:
            raise TooLarge(f"an answer of Elasticsearch at {self.nodes} has {error.message}") from error
        except TransportError as error:
            words = short(str(error.message))
            raise Unreachable(f"Elasticsearch at {self.nodes} does not answer: {words}") from error
        why = _why(answer)
        if status == 401:
            raise Refused(f"Elasticsearch at {self.nodes} rejects our credentials: {why}")
        if status == 429 or status >= 500:
            raise _Busy(f"Elasticsearch at {self.nodes} is too busy: {why or f'status {status}'}", status)
        if status < 400:
            raise Unreachable(f"what answers at {self.nodes} is not Elasticsearch: status {status}")
        return Answer(status, answer, f"{status} {why}")

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
            raise Unreachable(f"what answers at {self.nodes} is not Elasticsearch: {short(str(error))}") from error

    # ------------------------------------------------------------------ searching

    def search(self, prefix: str, **body: Any) -> SearchFound:
        """One search in all indices of the prefix; without any, an answer without hits and aggregations.

        Why it is not all is in its ``lacks``, and kept in ours. Raises `Unreachable`, `Refused` or `UserError`.
        """
        body.setdefault("track_total_hits", False)
        if self._within is not None:
            body = bounded(self._within, body)
        preference = body.pop("preference", "")
        path = f"/{indices_of(prefix)}/_search?ignore_unavailable=true&allow_no_indices=true"
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
            found = self.read(answer.body, SearchFound)
            if self._within is not None:
                self._bytes += len(answer.body)
                if self._bytes > self._within.most_bytes:
                    raise NotWithin(f"that is more than {self._within.most_bytes >> 20} MiB: ask for fewer lines")
                found.hits.hits = [hit for hit in found.hits.hits if shown(self._within, hit)]
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
        answer = self.ask("GET", f"/{indices_of(prefix)}/_field_caps?fields={fields}&{options}")
        return foreign(self.read(answer.body, FieldCaps)) if answer.status == 200 else {}


class _Busy(Unreachable):
    """Later, perhaps."""

    def __init__(self, sentence: str, status: int) -> None:
        super().__init__(sentence)
        self.status = status


def pages(
    elastic: Elastic, prefix: str, most: Optional[int], page: int, after: Any = None, **body: Any
) -> Iterator[SearchFound]:
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
            raise Unreachable(f"what answers at {elastic.nodes} is not Elasticsearch: its pages do not go on")
        after = last


def _listed(urls: Union[str, Sequence[str]]) -> Sequence[str]:
    return urls.split(",") if isinstance(urls, str) else urls


def _why(body: bytes) -> str:
    """The reason that a refusal gives, or how a page that is none of Elasticsearch's begins."""
    try:
        refusal = msgspec.json.decode(body, type=LineRefusal)
    except (msgspec.MsgspecError, RecursionError):
        return short(body[:400].decode("utf-8", "replace"))
    return "; ".join(filter(None, [refusal.words, *list(failed(refusal.shards).values())[:NAMED]]))
