"""Counting lines and finding new messages in Elasticsearch: runs the questions of `daqsched.logs.count`, page by page."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Optional

from daqsched.errors import Unreachable
from daqsched.logs.count import (
    FIELDS,
    MOST_GROUPS,
    NONE,
    Counted,
    Group,
    New,
    Novelty,
    details_asked,
    groups_asked,
    groups_of,
    known_asked,
    known_of,
    novelties_of,
)
from daqsched.logs.elastic import Elastic
from daqsched.logs.intervals import SHORTEST_S, Zone, start, stretches
from daqsched.logs.lines import line_of
from daqsched.logs.query import Wanted, query, sorting

#: So many fingerprints are asked for at a time.
PIECE = 500

#: How far back is looked for a message, step by step: what is frequent is found in a short time, and cheaply.
BACK_S = (3600.0, 86400.0, None)


def count(
    client: Elastic, wanted: Wanted, by: Sequence[str], every_s: float, prefix: str, zone: Zone = None
) -> Counted:
    """The wanted lines, by ``by`` and, with ``every_s``, by intervals of local time."""
    total = _total(client, wanted, prefix)
    if not by and not every_s:
        return Counted((), (Group((), total),), total)
    groups: dict[tuple[tuple[str, ...], float], int] = {}
    every = every_s or SHORTEST_S / 2  # without intervals it is one stretch
    for begin, end, offset_s in stretches(wanted.since, wanted.until, every, time.time(), zone):
        what = query(replace(wanted, since=begin, until=end))
        after: Optional[Mapping[str, Any]] = None
        while len(groups) < MOST_GROUPS:
            aggs = groups_asked(by, every_s, after, offset_s)
            answer = client.search(prefix, query=what, size=0, aggs=aggs)
            with client.understood():
                found, after = groups_of(by, {"aggregations": answer.aggregations})
            for group in found:
                moment = group.time
                if every_s:  # an interval that the clocks were changed in is asked for in two parts
                    moment = start(max(moment, moment if begin is None else begin), every_s, zone)
                key = group.values, moment
                groups[key] = groups.get(key, 0) + group.count
            if after is None:
                break
    rows = tuple(Group(values, number, moment) for (values, moment), number in groups.items())
    return Counted(tuple(by), rows, max(total, sum(row.count for row in rows)))


def _total(client: Elastic, wanted: Wanted, prefix: str) -> int:
    answer = client.search(prefix, query=query(wanted), size=0, track_total_hits=True)
    if answer.hits.total is None:
        raise Unreachable(f"what answers at {client.nodes} is not Elasticsearch: it counts no lines")
    return answer.hits.total.value


def examples(client: Elastic, wanted: Wanted, fingerprints: Iterable[str], prefix: str) -> dict[str, str]:
    """The newest message of each fingerprint."""
    found: dict[str, str] = {}
    for piece in _pieces([one for one in fingerprints if one != NONE]):
        answer = client.search(
            prefix,
            query=_also(wanted, {"terms": {FIELDS["message"]: piece}}),
            collapse={"field": FIELDS["message"]},
            sort=sorting("desc"),
            size=len(piece),
        )
        for line in map(line_of, answer.hits.hits):
            found[line.fingerprint] = line.message
    return found


def new(client: Elastic, wanted: Wanted, since: float, prefix: str) -> New:
    """Messages of the wanted lines from ``since`` on whose fingerprint none of the same jobs and hosts had before."""
    now = replace(wanted, since=since)
    counted = count(client, now, ["message"], 0.0, prefix)
    counts = {group.values[0]: group.count for group in counted.groups}
    without = counts.pop(NONE, 0)
    unknown = set(counts)
    for back_s in BACK_S:
        before = replace(wanted, since=None if back_s is None else since - back_s, until=since, text="", levels=())
        for piece in _pieces(sorted(unknown)):
            what = _also(before, {"terms": {FIELDS["message"]: piece}})
            answer = client.search(prefix, query=what, size=0, aggs=known_asked(piece))
            with client.understood():
                unknown -= known_of(answer.aggregations)
    messages: list[Novelty] = []
    for piece in _pieces(sorted(unknown)):
        what = _also(now, {"terms": {FIELDS["message"]: piece}})
        answer = client.search(prefix, query=what, size=0, aggs=details_asked(piece, sorting("asc")))
        with client.understood():
            messages += novelties_of(answer.aggregations)
    messages.sort(key=lambda novelty: (novelty.first.time, novelty.first.id))
    return New(messages, counted.total, without, counted.cut)


def _also(wanted: Wanted, condition: Mapping[str, Any]) -> dict[str, Any]:
    return {"bool": {"filter": [query(wanted), condition]}}


def _pieces(values: Sequence[str]) -> Iterable[list[str]]:
    for at in range(0, len(values), PIECE):
        yield list(values[at : at + PIECE])
