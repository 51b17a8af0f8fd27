"""Reading lines back: what `daqsched logs` asks Elasticsearch.

The query is built by a pure function; `tail` and `follow` run it. The Elasticsearch client is imported where it is
used: no other command pays its 0.3 s.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from daqsched.errors import JobError, Refused, Unreachable, UserError
from daqsched.hosts import expand
from daqsched.lines import Line, format_line, iso, json_line, line_of
from daqsched_executor.contract.forwarding import NO_ACCESS, Access

if TYPE_CHECKING:
    from elasticsearch import Elasticsearch

__all__ = [
    "Line",
    "Wanted",
    "connect",
    "follow",
    "format_line",
    "json_line",
    "query",
    "tail",
]

#: Where the forwarder puts lines: the indices ``<prefix>-YYYY.MM.DD``.
DEFAULT_PREFIX = "daqsched-logs"

#: How many lines are fetched at a time.
PAGE = 1000

#: How often `follow` asks, and how far back it asks again for lines that were stored late.
POLL_S = 0.3
LOOK_BACK_S = 10.0

#: How long `follow` bears with an Elasticsearch that has answered before.
PATIENCE_S = 60.0

#: How long a search bears with an index so new that its shards do not answer yet.
SHARDS_S = 5.0


@dataclass(frozen=True)
class Wanted:
    """Which lines someone means; an empty field means all."""

    #: Words as everywhere: ``readout``, ``readout@hlt01``, ``rcd_*@hlt[01-10]``, ``@hlt01``; one must fit.
    words: tuple[str, ...] = ()
    #: Hosts, as names, ranges or with ``*`` and ``?``; one must fit.
    hosts: tuple[str, ...] = ()
    #: ``stdout``, ``stderr``, ``executor``.
    streams: tuple[str, ...] = ()
    #: As they stand in ``log.level``.
    levels: tuple[str, ...] = ()
    #: Lines from then on (seconds since the epoch), and before then.
    since: float | None = None
    until: float | None = None
    #: Words that a line must hold; ``"in this order"``, ``begin*``, ``-without`` work, too.
    text: str = ""


# -- the query -------------------------------------------------------------------------------------------------------


def query(wanted: Wanted) -> dict[str, Any]:
    """The wish as an Elasticsearch query; raises `UserError` for a word that can't be read."""
    filters: list[dict[str, Any]] = []
    if wanted.words:
        filters.append(_any([_word(word) for word in wanted.words]))
    if wanted.hosts:
        filters.append(_any([_hosts(host) for host in wanted.hosts]))
    for field, values in (
        ("daqsched.stream", wanted.streams),
        ("log.level", wanted.levels),
    ):
        if values:
            filters.append({"terms": {field: list(values)}})
    bounds = {}
    if wanted.since is not None:
        bounds["gte"] = iso(wanted.since)
    if wanted.until is not None:
        bounds["lt"] = iso(wanted.until)
    if bounds:
        filters.append({"range": {"@timestamp": bounds}})
    if wanted.text:
        filters.append(
            {
                "simple_query_string": {
                    "query": wanted.text,
                    "fields": ["message"],
                    "default_operator": "and",
                }
            }
        )
    return {"bool": {"filter": filters}} if filters else {"match_all": {}}


def sorting(order: str) -> list[dict[str, Any]]:
    """By time, then so that lines of one stream stay in their order and no two lines are equal.

    Nothing is ever null here, so that a page can go on after any line.
    """
    return [
        {
            "@timestamp": {
                "order": order,
                "unmapped_type": "date_nanos",
                "numeric_type": "date_nanos",
                "format": "strict_date_optional_time_nanos",
            }
        },
        {
            "service.node.name": {
                "order": order,
                "unmapped_type": "keyword",
                "missing": "",
            }
        },
        {
            "daqsched.stream": {
                "order": order,
                "unmapped_type": "keyword",
                "missing": "",
            }
        },
        {"log.offset": {"order": order, "unmapped_type": "long", "missing": 0}},
    ]


def _word(word: str) -> dict[str, Any]:
    job, _, host = word.partition("@")
    if not job and not host:
        raise UserError(f"{word!r} selects nothing: write JOB, JOB@HOST or @HOST, for example 'readout@hlt[01-10]'")
    both = [_pattern("service.name", job)] if job else []
    both += [_hosts(host)] if host else []
    return both[0] if len(both) == 1 else {"bool": {"filter": both}}


def _hosts(text: str) -> dict[str, Any]:
    if "[" not in text or "*" in text or "?" in text:
        return _pattern("host.name", text)
    try:
        return {"terms": {"host.name": list(expand(text))}}
    except JobError as error:
        raise UserError(str(error)) from error


def _pattern(field: str, text: str) -> dict[str, Any]:
    if "*" in text or "?" in text:
        return {"wildcard": {field: {"value": text.replace("\\", "\\\\")}}}
    return {"term": {field: text}}


def _any(tests: list[dict[str, Any]]) -> dict[str, Any]:
    return tests[0] if len(tests) == 1 else {"bool": {"should": tests, "minimum_should_match": 1}}


# -- asking ----------------------------------------------------------------------------------------------------------


def connect(urls: str | Sequence[str], access: Access = NO_ACCESS, timeout_s: float = 10.0) -> Elasticsearch:
    """A client; nothing is sent yet. Raises `UserError` where a file of ``access`` can't be used."""
    from elasticsearch import Elasticsearch

    from daqsched_executor.contract.access import authorization

    nodes = [url.strip() for url in urls.split(",")] if isinstance(urls, str) else list(urls)
    try:
        secret = authorization(access)
        options: dict[str, Any] = {"headers": {"Authorization": secret}} if secret else {}
        if access.ca_file:
            options["ca_certs"] = access.ca_file
        return Elasticsearch(
            nodes,
            request_timeout=timeout_s,
            retry_on_timeout=False,
            **options,
        )
    except OSError as error:
        what = f"{error.filename}: {error.strerror}" if error.filename else f"{access.ca_file}: {error}"
        raise UserError(f"cannot use what Elasticsearch is to be asked with: {what}") from error
    except ValueError as error:
        raise UserError(str(error)) from error


def tail(client: Elasticsearch, wanted: Wanted, most: int, prefix: str = DEFAULT_PREFIX) -> list[Line]:
    """The last ``most`` of the wanted lines, oldest first; none where nothing was ever stored."""
    found: list[Line] = []
    after = None
    while len(found) < most:
        hits = _search(client, prefix, query(wanted), "desc", min(PAGE, most - len(found)), after)
        found += map(line_of, hits)
        if len(hits) < PAGE:
            break
        after = hits[-1]["sort"]
    found.reverse()
    return found


def follow(
    client: Elasticsearch,
    wanted: Wanted,
    shown: Iterable[Line] = (),
    prefix: str = DEFAULT_PREFIX,
    look_back_s: float = LOOK_BACK_S,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[Line]:
    """Lines as they arrive, for ever: those after the ``shown`` ones (from `tail`), or after now where none were.

    Hosts store at different moments, so each look goes back over the last seconds before the newest line and
    leaves out what it gave before. A line that is later than ``look_back_s`` is not given. Elasticsearch may be away for
    `PATIENCE_S` once it has answered.
    """
    seen: OrderedDict[str, float] = OrderedDict((line.id, line.time) for line in shown)
    newest = max(seen.values(), default=time.time())
    # `tail` gave all lines from the oldest shown one on: any other from there on is news, however it is timed.
    begin = min(seen.values(), default=newest - POLL_S)
    answered = None
    while True:
        asked = time.monotonic()
        floor = max(begin, newest - look_back_s)
        try:
            for line in _since(client, prefix, wanted, floor):
                if line.id not in seen:
                    seen[line.id] = line.time
                    newest = max(newest, line.time)
                    yield line
            answered = asked
        except Unreachable:
            if answered is None or asked - answered > PATIENCE_S:
                raise
        while seen and next(iter(seen.values())) < newest - 2 * look_back_s:
            seen.popitem(last=False)
        # A search that takes long is a search that costs Elasticsearch much: ask at half time at most.
        sleep(max(POLL_S, time.monotonic() - asked))


def _since(client: Elasticsearch, prefix: str, wanted: Wanted, floor: float) -> Iterator[Line]:
    since = {"bool": {"filter": [query(wanted), {"range": {"@timestamp": {"gte": iso(floor)}}}]}}
    after = None
    while True:
        hits = _search(client, prefix, since, "asc", PAGE, after)
        yield from map(line_of, hits)
        if len(hits) < PAGE:
            return
        after = hits[-1]["sort"]


def _search(
    client: Elasticsearch,
    prefix: str,
    what: Mapping[str, Any],
    order: str,
    size: int,
    after: Any,
) -> list[Mapping[str, Any]]:
    from elasticsearch import ApiError, NotFoundError, TransportError

    deadline = time.monotonic() + SHARDS_S
    try:
        answer = _once_shards_are_there(
            deadline,
            client.search,
            index=f"{prefix}-*",
            query=what,
            sort=sorting(order),
            size=size,
            search_after=after,
            track_total_hits=False,
            ignore_unavailable=True,
            allow_no_indices=True,
        )
    except NotFoundError:
        return []
    except TransportError as error:
        nodes = ", ".join(node.base_url for node in client.transport.node_pool.all())
        raise Unreachable(f"Elasticsearch at {nodes} does not answer: {_first(error)}") from error
    except ApiError as error:
        if error.status_code in (401, 403):
            raise Refused(f"Elasticsearch does not let us read {prefix}-*: {_first(error)}") from error
        if error.status_code == 400:
            raise UserError(f"Elasticsearch does not understand the search: {_first(error)}") from error
        raise Unreachable(f"Elasticsearch cannot search now: {_first(error)}") from error
    hits: list[Mapping[str, Any]] = answer["hits"]["hits"]
    return hits


def _once_shards_are_there(deadline: float, search: Callable[..., Any], **what: Any) -> Any:
    """An index's first lines make it; for a moment it is known and has no shard that could be asked (503)."""
    from elasticsearch import ApiError

    while True:
        try:
            return search(**what)
        except ApiError as error:
            if error.status_code != 503 or time.monotonic() > deadline:
                raise
        time.sleep(0.1)


def _first(error: Exception) -> str:
    """The error's text on one line, without the client's own nested causes."""
    return " ".join(str(getattr(error, "message", "") or error).split())[:300] or type(error).__name__
