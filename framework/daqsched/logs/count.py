"""Counting lines in groups and in time, and finding messages that are new: questions to Elasticsearch and their answers.

All numbers are exact: groups are asked for page by page (composite aggregation), never as "the largest ones" only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Optional, Union

import msgspec

from daqsched.errors import UserError
from daqsched.foreign import paint
from daqsched.logs.answers import Hits
from daqsched.logs.lines import Line, json_text, line_of
from daqsched.plural import plural
from daqsched.times import iso

#: What lines can be counted by, and the field that says it.
FIELDS = {
    "host": "host.name",
    "job": "service.name",
    "level": "log.level",
    "stream": "daqsched.stream",
    "run": "labels.run",
    "version": "service.version",
    "start": "daqsched.start",
    "task": "orchestrator.resource.id",
    "dataset": "event.dataset",
    "message": "daqsched.fingerprint",
}

#: Other names of the same.
SYNONYMS = {"fingerprint": "message", "release": "version"}

#: So many groups are kept at most, and so many are asked for at a time.
MOST_GROUPS, PAGE = 50_000, 2000

#: What stands for a field that a line has not.
NONE = "-"


@dataclass(frozen=True)
class Group:
    """So many lines with these values; ``time`` is the begin of their interval in seconds since the epoch, without one 0."""

    values: tuple[str, ...]
    count: int
    time: float = 0.0


@dataclass(frozen=True)
class Counted:
    """All groups, in no order, and the number of all lines; what the groups lack of it was cut after `MOST_GROUPS`."""

    by: tuple[str, ...]
    groups: tuple[Group, ...]
    total: int
    #: How many groups were kept at most.
    most: int = MOST_GROUPS

    @property
    def cut(self) -> int:
        """How many lines are in no group here."""
        return self.total - sum(group.count for group in self.groups)


# -- what Elasticsearch answers ---------------------------------------------------------------------------------------


class _Bucket(msgspec.Struct):
    key: dict[str, Union[str, int, float, None]]
    doc_count: int


class _Page(msgspec.Struct):
    buckets: list[_Bucket] = []
    after_key: Optional[dict[str, Any]] = None


class _Groups(msgspec.Struct):
    groups: _Page = msgspec.field(default_factory=_Page)


class _Answer(msgspec.Struct):
    aggregations: _Groups = msgspec.field(default_factory=_Groups)


class _Term(msgspec.Struct):
    key: str
    doc_count: int


class _Terms(msgspec.Struct):
    buckets: list[_Term] = []


class _Known(msgspec.Struct):
    known: _Terms = msgspec.field(default_factory=_Terms)


class _First(msgspec.Struct):
    hits: Hits


class _Value(msgspec.Struct):
    value: int


class _Message(msgspec.Struct):
    doc_count: int
    first: _First
    hosts: _Terms
    host_count: _Value


class _Messages(msgspec.Struct):
    buckets: list[_Message] = []


class _New(msgspec.Struct):
    new: _Messages = msgspec.field(default_factory=_Messages)


# -- groups -----------------------------------------------------------------------------------------------------------


def names_from(text: str) -> tuple[str, ...]:
    """What ``--by`` names; raises `UserError` for what lines can't be counted by."""
    names = tuple(SYNONYMS.get(name.strip(), name.strip()) for name in text.split(",") if name.strip())
    for name in names:
        if name not in FIELDS:
            raise UserError(f"lines can't be counted by {name!r}: there are {', '.join(FIELDS)}")
    return tuple(dict.fromkeys(names))


def groups_asked(
    by: Sequence[str], every_s: float, after: Optional[Mapping[str, Any]], offset_s: float = 0.0
) -> dict[str, Any]:
    """The aggregation for one page of groups, those behind ``after``; local time is ``offset_s`` ahead of UTC."""
    sources: list[dict[str, Any]] = [{name: {"terms": {"field": FIELDS[name], "missing_bucket": True}}} for name in by]
    if every_s:
        histogram = {"field": "@timestamp", "fixed_interval": f"{round(every_s * 1000)}ms"}
        ahead_s = -offset_s % every_s
        if ahead_s:
            histogram["offset"] = f"+{round(ahead_s * 1000)}ms"
        sources.append({"time": {"date_histogram": histogram}})
    composite: dict[str, Any] = {"size": PAGE, "sources": sources}
    if after:
        composite["after"] = dict(after)
    return {"groups": {"composite": composite}}


def groups_of(by: Sequence[str], answer: Mapping[str, Any]) -> tuple[list[Group], Optional[Mapping[str, Any]]]:
    """A page of groups, and the key of the next page; None behind the last one. Raises `msgspec.ValidationError`."""
    found = msgspec.convert(answer, _Answer).aggregations.groups
    groups = []
    for bucket in found.buckets:
        values = [bucket.key.get(name) for name in by]
        time = bucket.key.get("time") or 0
        if isinstance(time, str):
            raise msgspec.ValidationError(f"{time!r} is not a time")
        groups.append(Group(tuple(NONE if one is None else str(one) for one in values), bucket.doc_count, time / 1000))
    return groups, found.after_key if len(groups) == PAGE else None


def table(counted: Counted, most: int, examples: Mapping[str, str], width: int) -> list[str]:
    """The largest groups as rows of text, the largest first, each with its number, and what is not shown."""
    ranked = ranks(counted)
    shown = ranked[:most]
    rows = [(*map(paint, values), f"{count:,}") for values, count in shown]
    heads = (*counted.by, "lines")
    widths = [max(len(row[at]) for row in [heads, *rows]) for at in range(len(heads))]
    text = []
    for row in [heads, *rows]:
        cells = [cell.ljust(size) for cell, size in zip(row[:-1], widths)] + [row[-1].rjust(widths[-1])]
        example = paint(examples.get(row[counted.by.index("message")], "")) if "message" in counted.by else ""
        text.append(f"{'  '.join(cells)}  {example}".rstrip()[:width])
    return text + rest(counted, ranked[len(shown) :])


def rest(counted: Counted, hidden: Sequence[tuple[tuple[str, ...], int]]) -> list[str]:
    """What is not shown, in words; nothing where all is."""
    said = []
    if hidden:
        lines = sum(count for _, count in hidden)
        said.append(f"... and {plural(lines, 'line')} in {plural(len(hidden), 'smaller group')} (--lines N shows more)")
    if counted.cut > 0:
        said.append(
            f"... and {plural(counted.cut, 'line')} in groups beyond the first {counted.most:,}: ask for less time or fewer"
        )
    return said


def ranks(counted: Counted) -> list[tuple[tuple[str, ...], int]]:
    """The groups without their times, with the number of their lines, the largest first."""
    sums: dict[tuple[str, ...], int] = {}
    for group in counted.groups:
        sums[group.values] = sums.get(group.values, 0) + group.count
    return sorted(sums.items(), key=lambda item: (-item[1], item[0]))


def json_rows(counted: Counted, every_s: float, examples: Mapping[str, str]) -> list[str]:
    """Each group as one JSON object, by time and then the largest first; the last object has the totals."""
    rows = []
    for group in sorted(counted.groups, key=lambda group: (group.time, -group.count, group.values)):
        row: dict[str, Any] = {"time": iso(group.time)} if every_s else {}
        row.update((name, None if value == NONE else value) for name, value in zip(counted.by, group.values))
        if "message" in row:
            row["fingerprint"] = row.pop("message")
            row["message"] = examples.get(row["fingerprint"] or "")
        rows.append(json_text({**row, "lines": group.count}))
    return [*rows, json_text({"total": counted.total, "cut": counted.cut})]


# -- messages that are new -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Novelty:
    """A message of a kind that was not seen before: how often, where, and the first line of it."""

    first: Line
    count: int
    hosts: tuple[str, ...]
    #: How many hosts; there may be more than are named.
    host_count: int


class New(NamedTuple):
    """Messages that are new, the first seen first; how many lines there are since then, how many of them have no fingerprint,
    and how many are of too many kinds to be looked at."""

    messages: list[Novelty]
    lines: int
    without: int = 0
    cut: int = 0


def known_asked(fingerprints: Sequence[str]) -> dict[str, Any]:
    """The aggregation that tells which of these fingerprints are there."""
    return {"known": {"terms": {"field": FIELDS["message"], "size": len(fingerprints)}}}


def known_of(aggregations: Mapping[str, Any]) -> set[str]:
    """The fingerprints that are there. Raises `msgspec.ValidationError`."""
    return {bucket.key for bucket in msgspec.convert(aggregations, _Known).known.buckets}


def details_asked(fingerprints: Sequence[str], sorting: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The aggregation for the first line and the hosts of each of these fingerprints."""
    details = {
        "first": {"top_hits": {"size": 1, "sort": list(sorting)}},
        "hosts": {"terms": {"field": FIELDS["host"], "size": 4}},
        "host_count": {"cardinality": {"field": FIELDS["host"]}},
    }
    return {"new": {"terms": {"field": FIELDS["message"], "size": len(fingerprints)}, "aggs": details}}


def novelties_of(aggregations: Mapping[str, Any]) -> list[Novelty]:
    """The messages, one for each fingerprint. Raises `msgspec.ValidationError`."""
    found = []
    for bucket in msgspec.convert(aggregations, _New).new.buckets:
        hosts = tuple(sorted(host.key for host in bucket.hosts.buckets))
        for hit in bucket.first.hits.hits[:1]:
            found.append(Novelty(line_of(hit), bucket.doc_count, hosts, bucket.host_count.value))
    return found


def novelty_hosts(novelty: Novelty) -> str:
    """``hlt01, hlt02 and 3 more``."""
    more = novelty.host_count - len(novelty.hosts)
    return ", ".join(novelty.hosts) + (f" and {more} more" if more > 0 else "")
