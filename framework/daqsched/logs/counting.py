"""Counting lines and finding new messages in Elasticsearch: runs the questions of `daqsched.logs.count`, page by page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from daqsched.logs.count import (
    FIELDS,
    MOST_GROUPS,
    Counted,
    Group,
    Novelty,
    detail_buckets,
    details_asked,
    groups_asked,
    groups_of,
    known_asked,
    known_of,
)
from daqsched.logs.lines import line_of
from daqsched.logs.query import Wanted, query, sorting
from daqsched.logs.search import ask
from daqsched.logs.sources import New

if TYPE_CHECKING:
    from elasticsearch import Elasticsearch

#: So many fingerprints are asked for at a time.
PIECE = 500

#: How far back is looked for a message, step by step: what is frequent is found in a short time, and cheaply.
BACK_S = (3600.0, 86400.0, None)


def count(client: Elasticsearch, wanted: Wanted, by: Sequence[str], every_s: float, prefix: str) -> Counted:
    """The wanted lines, by ``by`` and, with ``every_s``, by intervals of time."""
    groups: list[Group] = []
    total, after = -1, None
    if not by and not every_s:
        total = int(ask(client, prefix, query=query(wanted), size=0, track_total_hits=True)["hits"]["total"]["value"])
        return Counted((), (Group((), total),), total)
    while total < 0 or (after is not None and len(groups) < MOST_GROUPS):
        aggs = groups_asked(by, every_s, after)
        answer = ask(client, prefix, query=query(wanted), size=0, aggs=aggs, track_total_hits=total < 0)
        if total < 0:
            total = int(answer["hits"]["total"]["value"])
        found, after = groups_of(by, answer)
        groups += found
    return Counted(tuple(by), tuple(groups), max(total, sum(group.count for group in groups)))


def examples(client: Elasticsearch, wanted: Wanted, fingerprints: Iterable[str], prefix: str) -> dict[str, str]:
    """The newest message of each fingerprint."""
    found: dict[str, str] = {}
    for piece in _pieces([one for one in fingerprints if one != "-"]):
        answer = ask(
            client,
            prefix,
            query=_also(wanted, {"terms": {FIELDS["message"]: piece}}),
            collapse={"field": FIELDS["message"]},
            sort=sorting("desc"),
            size=len(piece),
        )
        for line in map(line_of, answer["hits"]["hits"]):
            found[line.fingerprint] = line.message
    return found


def new(client: Elasticsearch, wanted: Wanted, since: float, prefix: str) -> New:
    """Messages of the wanted lines from ``since`` on whose fingerprint none of the same jobs and hosts had before."""
    now = replace(wanted, since=since)
    counted = count(client, now, ["message"], 0.0, prefix)
    counts = {group.values[0]: group.count for group in counted.groups}
    without = counts.pop("-", 0)
    unknown = set(counts)
    for back_s in BACK_S:
        before = replace(wanted, since=None if back_s is None else since - back_s, until=since, text="", levels=())
        for piece in _pieces(sorted(unknown)):
            what = _also(before, {"terms": {FIELDS["message"]: piece}})
            unknown -= known_of(ask(client, prefix, query=what, size=0, aggs=known_asked(piece)))
    messages = []
    for piece in _pieces(sorted(unknown)):
        what = _also(now, {"terms": {FIELDS["message"]: piece}})
        answer = ask(client, prefix, query=what, size=0, aggs=details_asked(piece, sorting("asc")))
        for bucket in detail_buckets(answer):
            first = line_of(bucket["first"]["hits"]["hits"][0])
            hosts = tuple(sorted(host["key"] for host in bucket["hosts"]["buckets"]))
            messages.append(Novelty(first, int(bucket["doc_count"]), hosts, int(bucket["host_count"]["value"])))
    messages.sort(key=lambda novelty: (novelty.first.time, novelty.first.id))
    return New(messages, counted.total, without, counted.cut)


def _also(wanted: Wanted, condition: Mapping[str, Any]) -> dict[str, Any]:
    return {"bool": {"filter": [query(wanted), condition]}}


def _pieces(values: Sequence[str]) -> Iterable[list[str]]:
    for at in range(0, len(values), PIECE):
        yield list(values[at : at + PIECE])
