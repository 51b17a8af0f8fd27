"""What the indices of lines are like: which a search passes over without a word, and which are not ours."""

from __future__ import annotations

from typing import Optional

import msgspec

from daqsched.errors import DaqschedError
from daqsched.logs.answers import Resolution, foreign_words, named
from daqsched.logs.elastic import Elastic
from daqsched.logs.retention import ended, indices_of

#: What a search over ``PREFIX-*`` leaves out in silence.
_PASSED_OVER = ("closed", "frozen", "hidden")


class _Bucket(msgspec.Struct):
    key: str


class _Buckets(msgspec.Struct):
    buckets: list[_Bucket] = []


class _Filled(msgspec.Struct):
    filled: _Buckets = msgspec.field(default_factory=_Buckets)


def _filled(client: Elastic, prefix: str, names: list[str]) -> list[str]:
    """Those of these indices that hold any document: an empty one hides none."""
    aggs = {"filled": {"terms": {"field": "_index", "size": len(names)}}}
    found = client.search(prefix, query={"terms": {"_index": names}}, size=0, aggs=aggs)
    with client.understood():
        filled = {one.key for one in msgspec.convert(found.aggregations, _Filled).filled.buckets}
    return [name for name in names if name in filled]


def passed_over(client: Elastic, prefix: str, since: Optional[float]) -> list[str]:
    """Sentences about indices that may hold lines from ``since`` on (None: any) and are not searched, or not rightly.

    Of indices about which an answer has told already nothing is said again. None where we may not look: the right
    ``view_index_metadata`` is missing, or Elasticsearch has no time for it any more.
    """
    told = set(client.lacks)

    def matters(name: str) -> bool:
        end = ended(name, prefix)
        return name not in told and (since is None or end is None or end > since)

    sentences = []
    try:
        answer = client.ask("GET", f"/_resolve/index/{indices_of(prefix)}?expand_wildcards=all")
        found = client.read(answer.body, Resolution).indices if answer.status == 200 else []
        for kind in _PASSED_OVER:
            names = [one.name for one in found if kind in one.attributes and matters(one.name)]
            if names:
                several = "are" if len(names) > 1 else "is"
                sentences.append(
                    f"{named(names)} {several} {kind} and was not searched: "
                    + ("`POST INDEX/_open` opens it" if kind == "closed" else "ask Elasticsearch's administrator")
                )
        wrong = {name: why for name, why in client.foreign(prefix).items() if matters(name)}
        wrong = {name: wrong[name] for name in _filled(client, prefix, list(wrong))} if wrong else {}
        if wrong:
            sentences.append(foreign_words(wrong))
    except DaqschedError as error:
        sentences.append(f"it is unknown whether all indices could be searched: {error}")
    return sentences
