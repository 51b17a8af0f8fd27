"""Reading lines back: the questions of `daqsched logs` to Elasticsearch, and the answers' errors in words.

The queries are made by `daqsched.logs.query`. The Elasticsearch client is imported where it is used: no other command pays its
0.3 s.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from daqsched.errors import Refused, Unreachable, UserError
from daqsched.logs.lines import Line, line_of
from daqsched.logs.query import Wanted, query, same_stream, sorting
from daqsched_executor.contract.forwarding import NO_ACCESS, Access

if TYPE_CHECKING:
    from elasticsearch import Elasticsearch

#: Where the forwarder puts lines: the indices ``<prefix>-YYYY.MM.DD``.
DEFAULT_PREFIX = "daqsched-logs"

#: How many lines are fetched at a time.
PAGE = 1000

#: How long a search bears with an index so new that its shards do not answer yet.
SHARDS_S = 5.0


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
    found = _lines(client, prefix, query(wanted), "desc", most)
    found.reverse()
    return found


def around(
    client: Elasticsearch, wanted: Wanted, moment: float, most: int, prefix: str = DEFAULT_PREFIX
) -> tuple[list[Line], list[Line]]:
    """Of the wanted lines the last before a moment and the first from then on, together ``most``."""
    where = query(wanted)
    # what sorts before the first line of the moment itself, and after: names and offsets are never below these
    place = [round(moment * 1_000_000) * 1000 - 1, "\U0010ffff", "\U0010ffff", 2**63 - 1]
    before = _lines(client, prefix, where, "desc", most // 2, place)
    return before[::-1], _lines(client, prefix, where, "asc", most - most // 2, place)


def around_line(
    client: Elasticsearch, wanted: Wanted, name: str, scope: str, most: int, prefix: str = DEFAULT_PREFIX
) -> tuple[list[Line], Line, list[Line]]:
    """The lines before one, it, and those after it. ``name`` is its id; ``scope`` is ``stream``, ``host`` or ``farm``.

    Raises `UserError` where no line has that id.
    """
    hits = ask(client, prefix, query={"ids": {"values": [name]}}, sort=sorting("asc"), size=1)["hits"]["hits"]
    if not hits:
        raise UserError(
            f"no line has the id {name!r}: `daqsched logs --id` shows the ids of lines; "
            "it may also be that its index is gone already"
        )
    line, place = line_of(hits[0]), hits[0]["sort"]
    near: list[dict[str, Any]] = [query(wanted)]
    if scope == "stream":
        near.append(same_stream(line))
    elif scope == "host":
        near.append({"term": {"host.name": line.host}})
    where = {"bool": {"filter": near}}
    before = _lines(client, prefix, where, "desc", most // 2, place)
    return before[::-1], line, _lines(client, prefix, where, "asc", most // 2, place)


def _lines(
    client: Elasticsearch, prefix: str, what: Mapping[str, Any], order: str, most: int, after: Any = None
) -> list[Line]:
    found: list[Line] = []
    while len(found) < most:
        size = min(PAGE, most - len(found))
        hits = ask(client, prefix, query=what, sort=sorting(order), size=size, search_after=after)["hits"]["hits"]
        found += map(line_of, hits)
        if len(hits) < size:
            break
        after = hits[-1]["sort"]
    return found


def ask(client: Elasticsearch, prefix: str, **body: Any) -> Mapping[str, Any]:
    """One search in all indices of the prefix; without any, an answer without hits and aggregations.

    Raises `Unreachable`, `Refused` or `UserError`, each with a sentence.
    """
    from elasticsearch import ApiError, NotFoundError, TransportError

    deadline = time.monotonic() + SHARDS_S
    body.setdefault("track_total_hits", False)
    try:
        answer = _once_shards_are_there(
            deadline, client.search, index=f"{prefix}-*", ignore_unavailable=True, allow_no_indices=True, **body
        )
    except NotFoundError:
        return {"hits": {"hits": [], "total": {"value": 0}}}
    except TransportError as error:
        nodes = ", ".join(node.base_url for node in client.transport.node_pool.all())
        raise Unreachable(f"Elasticsearch at {nodes} does not answer: {_first(error)}") from error
    except ApiError as error:
        if error.status_code in (401, 403):
            raise Refused(f"Elasticsearch does not let us read {prefix}-*: {_first(error)}") from error
        if error.status_code == 400:
            raise UserError(f"Elasticsearch does not understand the search: {_first(error)}") from error
        raise Unreachable(f"Elasticsearch cannot search now: {_first(error)}") from error
    found: Mapping[str, Any] = answer.body
    return found


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
