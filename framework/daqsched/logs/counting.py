"""Counting lines and finding new messages in Elasticsearch: runs the questions of `daqsched.logs.count`, page by page."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
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
    total = number(client, wanted, prefix)
    if not by and not every_s:
        return Counted((), (Group((), total),), total)
    groups: dict[tuple[tuple[str, ...], float], int] = {}
    every = every_s or SHORTEST_S / 2  # without intervals it is one stretch
    for begin, end, offset_s in stretches(wanted.since, wanted.until, every, time.time(), zone):
        within = replace(wanted, since=begin, until=end)
        for group in stretch(client, within, by, every_s, offset_s, prefix, MOST_GROUPS - len(groups)):
            key = group.values, whole_interval(group.time, begin, every_s, zone)
            groups[key] = groups.get(key, 0) + group.count
    rows = tuple(Group(values, number, moment) for (values, moment), number in groups.items())
    return Counted(tuple(by), rows, max(total, sum(row.count for row in rows)))


def whole_interval(moment: float, begin: Optional[float], every_s: float, zone: Zone = None) -> float:
    """When the interval begins of a group in a stretch from ``begin`` on: one that clocks were changed in comes in two parts."""
    return start(max(moment, moment if begin is None else begin), every_s, zone) if every_s else moment


def stretch(
    client: Elastic, wanted: Wanted, by: Sequence[str], every_s: float, offset_s: float, prefix: str, most: int
) -> Iterator[Group]:
    """The groups of a time within which local time is ``offset_s`` ahead of UTC, until there are ``most``."""
    what, after, count = query(wanted), None, 0
    while count < most:
        answer = client.search(prefix, query=what, size=0, aggs=groups_asked(by, every_s, after, offset_s))
        with client.understood():
            found, after = groups_of(by, {"aggregations": answer.aggregations})
        yield from found
        count += len(found)
        if after is None:
            break


def number(client: Elastic, wanted: Wanted, prefix: str) -> int:
    """How many of the wanted lines there are."""
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
