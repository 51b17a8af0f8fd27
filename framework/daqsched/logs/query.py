"""Which lines someone means, and how Elasticsearch is asked for them: `Wanted`, its query, the order of lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from daqsched.errors import JobError, UserError
from daqsched.hosts import expand
from daqsched.logs.grep import clause
from daqsched.logs.lines import Line
from daqsched.times import iso
from daqsched_executor.contract.levels import LEVELS

#: So many indices can be asked with a condition of each: Elasticsearch allows about a thousand clauses.
MOST_INDICES = 500

#: From the least to the worst.
ORDER = ("trace", "debug", "info", "notice", "warning", "error", "critical")


@dataclass(frozen=True)
class Wanted:
    """Which lines someone means; an empty field means all."""

    #: Words as everywhere: ``readout``, ``readout@hlt01``, ``rcd_*@hlt[01-10]``, ``@hlt01``; one must fit.
    words: tuple[str, ...] = ()
    #: Hosts, as names, ranges or with ``*`` and ``?``; one must fit.
    hosts: tuple[str, ...] = ()
    #: ``stdout``, ``stderr``, ``executor``, or the name of a service's log file; with ``*`` and ``?``.
    streams: tuple[str, ...] = ()
    #: As they stand in ``log.level``.
    levels: tuple[str, ...] = ()
    #: Runs of the detector, as they stand in ``labels.run``.
    runs: tuple[str, ...] = ()
    #: Lines from then on (seconds since the epoch), and before then.
    since: float | None = None
    until: float | None = None
    #: Words that a line must hold, see `grep`.
    text: str = ""


def levels_from(words: Sequence[str]) -> tuple[str, ...]:
    """What ``--level`` names: ``warning`` is that and all that is worse, ``=warning`` that alone; a list, exactly those.

    Raises `UserError` for what is no level.
    """
    names = [name.strip() for word in words for name in word.split(",")]
    levels = []
    for name in names:
        plain = name[1:] if name.startswith("=") else name
        level = LEVELS.get(plain.upper(), plain.lower())
        if level not in ORDER:
            raise UserError(f"{plain!r} is not a level: there are {', '.join(ORDER)}")
        levels.append(level)
    if len(names) == 1 and not names[0].startswith("="):
        return ORDER[ORDER.index(levels[0]) :]
    return tuple(dict.fromkeys(levels))


def query(wanted: Wanted) -> dict[str, Any]:
    """The wish as an Elasticsearch query; raises `UserError` for a word that can't be read."""
    filters: list[dict[str, Any]] = []
    if wanted.words:
        filters.append(_any([_word(word) for word in wanted.words]))
    if wanted.hosts:
        filters.append(_any([_hosts(host) for host in wanted.hosts]))
    if wanted.streams:
        filters.append(_any([_pattern("daqsched.stream", stream) for stream in wanted.streams]))
    for field, values in (("log.level", wanted.levels), ("labels.run", wanted.runs)):
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
        filters.append(clause(wanted.text))
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


def seen_last() -> list[dict[str, Any]]:
    """The newest first by when they were seen: for lines whose own time is wrong. Those that say no other come by that."""
    seen = {"order": "desc", "unmapped_type": "date", "missing": "_last", "format": "strict_date_optional_time"}
    return [{"event.created": seen}, *sorting("desc")]


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


def same_stream(line: Line) -> dict[str, Any]:
    """The lines of the same stream of the same task."""
    fields = {
        "host.name": line.host,
        "service.name": line.job,
        "daqsched.stream": line.stream,
        "orchestrator.resource.id": line.task_id,
    }
    return {"bool": {"filter": [{"term": {field: value}} for field, value in fields.items() if value]}}


def stored_since(floors: Mapping[str, int]) -> dict[str, Any]:
    """What was stored after these sequence numbers of these indices, and all that other indices have.

    Elasticsearch numbers what it does in an index (``_seq_no``, per shard; our indices have one). That is the order of
    storing, however old a line is. Where there are more than `MOST_INDICES`, only the newest by name are asked.
    """
    news: list[dict[str, Any]] = [
        {"bool": {"filter": [{"term": {"_index": index}}, {"range": {"_seq_no": {"gt": floor}}}]}}
        for index, floor in sorted(floors.items())[-MOST_INDICES:]
    ]
    if floors:
        news.append({"bool": {"must_not": {"terms": {"_index": list(floors)}}}})
    return _any(news) if news else {"match_all": {}}
