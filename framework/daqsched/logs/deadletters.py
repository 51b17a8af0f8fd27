"""Dead letters: lines that Elasticsearch refused, kept whole in indices of our own; looked at, and sent again.

Sending again creates the document in the index that refused it, under its id, and then deletes the dead form. Between the
two a line can be there in both forms; whoever is interrupted there calls it again: the first step then finds the line (409)
and the second is made. So a line is never lost, and in the end there once.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Optional

import msgspec

from daqsched.errors import Refused, Unreachable, UserError
from daqsched.logs.answers import Hit, short
from daqsched.logs.elastic import Elastic, pages
from daqsched.logs.query import Wanted, query, sorting
from daqsched_executor.contract.forwarding import DEAD_LETTER_FILE
from daqsched_executor.contract.template import template

#: `event.dataset` of a dead letter.
DATASET = "daqsched.deadletter"

#: So many are sent again together.
PAGE = 500


class StoredLetter(NamedTuple):
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


class ReplayCounts(NamedTuple):
    """What became of dead letters that were sent again."""

    stored: int = 0
    #: Those that were there already, in full: an earlier replay was interrupted.
    found: int = 0
    refused: int = 0
    #: Those of which the whole text is on their machine alone.
    elsewhere: int = 0


def letters(client: Elastic, prefix: str, wanted: Wanted) -> Iterator[StoredLetter]:
    """Those in the indices, oldest first. Raises `Unreachable`, `Refused`, `UserError`."""
    what = {"bool": {"filter": [query(wanted), {"term": {"event.dataset": DATASET}}]}}
    for found in pages(client, f"{prefix}-deadletter", None, PAGE, query=what, sort=sorting("asc")):
        yield from map(_letter, found.hits.hits)


def _letter(hit: Hit) -> StoredLetter:
    text = _texts(hit.get("_source"))
    return StoredLetter(
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


def _texts(source: Any) -> Callable[..., str]:
    """Fields of a document as texts; empty where there is none."""

    def text(*path: str) -> str:
        value: Any = source
        for name in path:
            value = value.get(name) if isinstance(value, Mapping) else None
        return "" if value is None else str(value)

    return text


class _Row(msgspec.Struct):
    id: str
    index: str
    reason: str
    document: dict[str, Any]


def kept_there(says: str) -> str:
    """The part of a forwarder's words that tells of refused lines which are on its machine alone; empty: it tells of none."""
    return next((part for part in says.split("; ") if DEAD_LETTER_FILE in part), "")


def rows(lines: Iterable[str], path: str) -> Iterator[StoredLetter]:
    """Those of a machine's local file (``forward/deadletter.ndjson``); raises `UserError` at the first row that is none."""
    for number, line in enumerate(lines, 1):
        try:
            row = msgspec.json.decode(line, type=_Row)
        except (msgspec.MsgspecError, RecursionError, UnicodeError) as error:
            raise UserError(f"{path}:{number}: this is not a dead letter of a forwarder: {error}") from error
        text = _texts(row.document)
        names = text("host", "name"), text("service", "name"), text("daqsched", "stream")
        original = json.dumps(row.document)
        yield StoredLetter(row.id, text("@timestamp"), *names, row.index, row.reason, text("message"), "", original)


def replay(
    client: Elastic, found: Sequence[StoredLetter], prefix: str
) -> tuple[ReplayCounts, list[tuple[StoredLetter, str]]]:
    """Send some again; what became of them, and those that are refused still, with the reason.

    What is no document, or was meant for somebody else's index, is refused here: anybody who may store a line may write one.

    Raises `Unreachable`, `Refused`: then those that were stored are stored, and calling it again goes on.
    """
    whole: list[StoredLetter] = []
    again: list[tuple[StoredLetter, str]] = []
    body: list[str] = []
    for one in found:
        if not one.original or not one.target:
            continue
        document = _document(one.original)
        if document is None or not one.target.startswith(f"{prefix}-"):
            why = (
                "event.original is not a document"
                if document is None
                else f"{one.target} is not an index of {prefix}-*"
            )
            again.append((one, why))
            continue
        whole.append(one)
        body += [json.dumps({"create": {"_index": one.target, "_id": one.id}}), document]
    elsewhere = len(found) - len(whole) - len(again)
    if not whole:
        return ReplayCounts(refused=len(again), elsewhere=elsewhere), again
    for target in dict.fromkeys(one.target for one in whole):
        _make(client, prefix, target)
    stored = there = 0
    settled: list[StoredLetter] = []
    for one, status, why in zip(whole, *_bulk(client, body, "create", len(whole))):
        if status == 409 or status < 300:
            there, stored = there + (status == 409), stored + (status != 409)
            settled.append(one)
        elif status == 429 or status >= 500:
            raise Unreachable(f"Elasticsearch is too busy: {why}; call it again")
        else:
            again.append((one, why))
    dead = [json.dumps({"delete": {"_index": one.place, "_id": one.id}}) for one in settled if one.place]
    # a line that was too large has a short dead form beside its row in the local file
    short_forms = [one.id for one in settled if not one.place]
    if short_forms:
        what = {"bool": {"filter": [{"ids": {"values": short_forms}}, {"term": {"event.dataset": DATASET}}]}}
        hits = client.search(f"{prefix}-deadletter", query=what, size=len(short_forms), _source=False).hits.hits
        dead += [json.dumps({"delete": {"_index": hit["_index"], "_id": hit["_id"]}}) for hit in hits]
    if dead:
        for status, why in zip(*_bulk(client, dead, "delete", len(dead))):
            if status >= 300 and status != 404:
                raise Refused(
                    f"the dead form of a line that is stored can't be deleted: {why}; mend it and call it again"
                )
    return ReplayCounts(stored, there, len(again), elsewhere), again


def _make(client: Elastic, prefix: str, target: str) -> None:
    """An index that is gone is made with our fields, should no template see to it; one that is there refuses (400).

    Who may not make one (403) is told by the answer for each line, where it is needed.
    """
    body = template(prefix)["template"]
    del body["settings"]["index"]["auto_expand_replicas"]  # somebody may have chosen other ones
    client.ask("PUT", f"/{target}", body)


def _document(text: str) -> Optional[str]:
    """The document on one line; None: it is none."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return json.dumps(found) if isinstance(found, dict) else None


class _Item(msgspec.Struct):
    status: int
    error: Any = None


class _Items(msgspec.Struct):
    items: list[dict[str, _Item]]


def _bulk(client: Elastic, body: list[str], verb: str, count: int) -> tuple[list[int], list[str]]:
    answer = client.ask("POST", "/_bulk", body)
    if answer.status == 403:
        raise Refused(
            f"Elasticsearch does not let us send dead letters again: {answer.why}; that needs the rights `read`, `create_doc` "
            "and `delete` on the indices (docs/reference/elasticsearch.md, Rights)"
        )
    if answer.status >= 300:
        raise Refused(f"Elasticsearch accepts nothing: {answer.why}")
    items = [item.get(verb) for item in client.read(answer.body, _Items).items]
    known = [item for item in items if item is not None]
    if len(known) != count:
        raise Unreachable(f"what answers at {client.nodes} is not Elasticsearch: it does not tell of each document")
    return [item.status for item in known], [_why(item) for item in known]


def _why(item: _Item) -> str:
    error = item.error if isinstance(item.error, dict) else {"reason": item.error}
    return short(f"{error.get('type', '')}: {error.get('reason', '')}") + f" ({item.status})"


def total(counts: Iterable[ReplayCounts]) -> ReplayCounts:
    """The sum."""
    return ReplayCounts(*map(sum, zip(ReplayCounts(), *counts)))


def wanted(hosts: Sequence[str], since: Optional[float]) -> Wanted:
    """Which dead letters somebody means."""
    return Wanted(hosts=tuple(hosts), since=since)
