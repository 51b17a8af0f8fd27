"""A search for somebody: it finds what he may read, and takes no more time and room than he has."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Any, Callable, NamedTuple, Optional

from daqsched.errors import UserError
from daqsched.logs.answers import Hit

logger = logging.getLogger(__name__)

#: What a search for somebody may consist of, and what may be counted: none of it looks beyond the query.
_ASKED = frozenset("query sort size search_after aggs collapse track_total_hits _source preference".split())
_AGGREGATIONS = frozenset("terms composite max top_hits cardinality".split())


class Within(NamedTuple):
    """What is asked for somebody: he is told of the documents that the filter lets through, whatever the question."""

    #: None: of all.
    filter: Optional[Mapping[str, Any]]
    #: The same as a test of a document that was found.
    permits: Callable[[Mapping[str, Any]], bool]
    #: When the last answer must be there, by `time.monotonic`, and after how many seconds Elasticsearch ends a search itself.
    until: float
    search_s: float
    #: So long all answers together may be.
    most_bytes: int


class NotWithin(UserError):
    """What was asked for takes more time or room than there is; nothing of Elasticsearch's is in the sentence."""


def bounded(within: Within, body: dict[str, Any]) -> dict[str, Any]:
    """The search with the filter beside its query; raises `NotWithin` where the time is up."""
    assert not set(body) - _ASKED, body
    assert _aggregations(body.get("aggs") or {}) <= _AGGREGATIONS, body
    if time.monotonic() > within.until:
        raise NotWithin("the search took too long and was given up: ask for less time, or for fewer jobs")
    asked = {**body, "timeout": f"{round(within.search_s * 1000)}ms"}
    if within.filter is not None:
        asked["query"] = {"bool": {"filter": [body.get("query") or {"match_all": {}}, within.filter]}}
    return asked


def _aggregations(aggs: Mapping[str, Any]) -> set[str]:
    kinds: set[str] = set()
    for one in aggs.values():
        kinds |= set(one) - {"aggs"}
        kinds |= _aggregations(one.get("aggs", {}))
    return kinds


def shown(within: Within, hit: Hit) -> bool:
    """Whether what was found is for who asks. Nothing else comes through the filter: else that is a bug, and not told."""
    if within.filter is None or "_source" not in hit or within.permits(hit["_source"]):
        return True
    logger.error("a line that was not to be seen came through the filter, and was left out: please report this")
    return False
