"""Dead letters: lines that Elasticsearch refused, kept whole in indices of our own; looked at, and sent again.

Sending again creates the document in the index that refused it, under its id, and then deletes the dead form. Between the
two a line can be there in both forms; whoever is interrupted there calls it again: the first step then finds the line (409)
and the second is made. So a line is never lost, and in the end there once.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Optional

from daqsched.errors import Refused, Unreachable, UserError
from daqsched.logs.elastic import ask
from daqsched.logs.query import Wanted, query, sorting

if TYPE_CHECKING:
    from elasticsearch import Elasticsearch

#: `event.dataset` of a dead letter.
DATASET = "daqsched.deadletter"

#: So many are sent again together.
PAGE = 500


class Letter(NamedTuple):
    """One line that was refused."""

    id: str
    time: str
    host: str
    job: str
    stream: str
    #: The index that refused it, why, and the text (of a line that was too large: its beginning).
    target: str
    reason: str
    message: str
    #: The dead form's own index; empty: it is a row of a machine's local file.
    place: str
    #: The document as it was refused, JSON; empty where all of it is on its machine alone.
    original: str


class Counts(NamedTuple):
    """What became of dead letters that were sent again."""

    stored: int = 0
    #: Those that were there already, in full: an earlier replay was interrupted.
    found: int = 0
    refused: int = 0
    #: Those of which the whole text is on their machine alone.
    elsewhere: int = 0


def letters(client: Elasticsearch, prefix: str, wanted: Wanted) -> Iterator[Letter]:
    """Those in the indices, oldest first. Raises `Unreachable`, `Refused`, `UserError`."""
    after = None
    while True:
        body = {
            "size": PAGE,
            "query": {"bool": {"filter": [query(wanted), {"term": {"event.dataset": DATASET}}]}},
            "sort": sorting("asc"),
            **({"search_after": after} if after else {}),
        }
        options = "ignore_unavailable=true&allow_no_indices=true"
        answer = ask(client, "POST", f"/{prefix}-deadletter-*/_search?{options}", body)
        if answer.status == 403:
            raise Refused(f"Elasticsearch does not let us read {prefix}-deadletter-*: {answer.why}")
        if answer.status != 200:
            raise UserError(f"Elasticsearch does not understand the search: {answer.why}")
        hits = answer.body["hits"]["hits"]
        yield from map(_letter, hits)
        if len(hits) < PAGE:
            return
        after = hits[-1]["sort"]


def _letter(hit: Mapping[str, Any]) -> Letter:
    source = hit["_source"]

    def text(*path: str) -> str:
        value: Any = source
        for name in path:
            value = value.get(name) if isinstance(value, Mapping) else None
        return "" if value is None else str(value)

    return Letter(
        hit["_id"],
        text("@timestamp"),
        text("host", "name"),
        text("service", "name"),
        text("daqsched", "stream"),
        text("daqsched", "deadletter", "index"),
        text("error", "message"),
        text("message"),
        hit["_index"],
        text("event", "original"),
    )


def rows(lines: Iterable[str], path: str) -> Iterator[Letter]:
    """Those of a machine's local file (``forward/deadletter.ndjson``); raises `UserError` at the first row that is none."""
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line)
            document = row["document"]
            host, job = document.get("host", {}).get("name", ""), document.get("service", {}).get("name", "")
            stream = document.get("daqsched", {}).get("stream", "")
            yield Letter(
                row["id"],
                document["@timestamp"],
                host,
                job,
                stream,
                row["index"],
                row["reason"],
                document["message"],
                "",
                json.dumps(document),
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError(f"{path}:{number}: this is no dead letter of a forwarder: {error!r}") from error


def replay(client: Elasticsearch, found: Sequence[Letter], prefix: str) -> tuple[Counts, list[tuple[Letter, str]]]:
    """Send some again; what became of them, and those that are refused still, with the reason.

    Raises `Unreachable`, `Refused`: then those that were stored are stored, and calling it again goes on.
    """
    whole = [one for one in found if one.original and one.target]
    if not whole:
        return Counts(elsewhere=len(found)), []
    body: list[str] = []
    for one in whole:
        body += [json.dumps({"create": {"_index": one.target, "_id": one.id}}), one.original]
    stored = there = 0
    again: list[tuple[Letter, str]] = []
    settled: list[Letter] = []
    for one, status, why in zip(whole, *_bulk(client, body, "create")):
        if status == 409 or status < 300:
            there, stored = there + (status == 409), stored + (status != 409)
            settled.append(one)
        elif status == 429 or status >= 500:
            raise Unreachable(f"Elasticsearch has no time: {why}; call it again")
        else:
            again.append((one, why))
    dead = [json.dumps({"delete": {"_index": one.place, "_id": one.id}}) for one in settled if one.place]
    # a line that was too large has a short dead form beside its row in the local file
    months = {one.id: f"{prefix}-deadletter-{one.time[:7].replace('-', '.')}" for one in settled if not one.place}
    dead += [json.dumps({"delete": {"_index": index, "_id": id}}) for id, index in months.items()]
    if dead:
        for status, why in zip(*_bulk(client, dead, "delete")):
            if status >= 300 and status != 404:
                raise Refused(
                    f"the dead form of a line that is stored can't be deleted: {why}; mend it and call it again"
                )
    return Counts(stored, there, len(again), len(found) - len(whole)), again


def _bulk(client: Elasticsearch, body: list[str], verb: str) -> tuple[list[int], list[str]]:
    answer = ask(client, "POST", "/_bulk", body)
    if answer.status != 200:
        raise Refused(f"Elasticsearch takes nothing: {answer.why}")
    items = [item[verb] for item in answer.body["items"]]
    reasons = [item.get("error") or {} for item in items]
    return (
        [item["status"] for item in items],
        [f"{why.get('type', '')}: {why.get('reason', '')} ({item['status']})" for why, item in zip(reasons, items)],
    )


def total(counts: Iterable[Counts]) -> Counts:
    """The sum."""
    return Counts(*map(sum, zip(Counts(), *counts)))


def wanted(hosts: Sequence[str], since: Optional[float]) -> Wanted:
    """Which dead letters somebody means."""
    return Wanted(hosts=tuple(hosts), since=since)
