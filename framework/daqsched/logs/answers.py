"""What Elasticsearch answers, typed, and in sentences what an answer lacks. Pure.

An answer with status 200 need not be whole: shards fail, a time limit ends a search, an index that fits the pattern is
somebody else's. Whoever reads an answer gets these sentences with it (`SearchFound.lacks`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Optional, TypedDict, Union

import msgspec

#: So many indices are named in a sentence.
NAMED = 3

#: A text of Elasticsearch's is cut after so many characters.
LONGEST = 300


class Reason(msgspec.Struct):
    """Why something failed."""

    type: Optional[str] = None
    reason: Optional[str] = None

    @property
    def words(self) -> str:
        return short(": ".join(filter(None, [self.type, self.reason])) or "no reason is given")


class ShardFailure(msgspec.Struct):
    """A shard that failed."""

    index: Optional[str] = None
    reason: Optional[Reason] = None


class Shards(msgspec.Struct):
    """How many shards were asked; those that failed may be listed."""

    total: int
    failed: int
    failures: list[ShardFailure] = []


class _Named(TypedDict):
    _id: str
    _index: str


class Hit(_Named, total=False):
    """A document that was found."""

    _source: dict[str, Any]
    sort: list[Any]


class Total(msgspec.Struct):
    value: int


class Hits(msgspec.Struct):
    hits: list[Hit]
    total: Optional[Total] = None


class SearchFound(msgspec.Struct, rename={"shards": "_shards"}):
    """The answer to a search."""

    hits: Hits
    shards: Shards
    timed_out: bool
    aggregations: dict[str, Any] = {}

    @property
    def lacks(self) -> dict[str, str]:
        """Why this is not all, a sentence for each index (``""``: as a whole); empty: it is all."""
        lacks = failed(self.shards.failures)
        if self.timed_out:
            lacks[""] = (
                "Elasticsearch ended the search at its time limit (search.default_search_timeout): "
                "ask for less time or fewer jobs"
            )
        elif self.shards.failed > 0 and not lacks:
            lacks[""] = "Elasticsearch does not say which: `GET _cat/shards` shows those that are not STARTED"
        if self.shards.failed > 0:
            first = next(iter(lacks))
            lacks[first] = f"{self.shards.failed} of {self.shards.total} shards failed: {lacks[first]}"
        return lacks


#: Where nothing was ever stored.
NOTHING = SearchFound(Hits([], Total(0)), Shards(0, 0), False)


class Error(msgspec.Struct):
    """The body of a refusal."""

    type: Optional[str] = None
    reason: Optional[str] = None
    failed_shards: list[ShardFailure] = []


class LineRefusal(msgspec.Struct):
    error: Union[Error, str, None] = None

    @property
    def words(self) -> str:
        """In short; empty: it says nothing."""
        if isinstance(self.error, Error):
            return short(": ".join(filter(None, [self.error.type, self.error.reason])))
        return short(self.error or "")

    @property
    def shards(self) -> list[ShardFailure]:
        return self.error.failed_shards if isinstance(self.error, Error) else []


def failed(failures: Iterable[ShardFailure]) -> dict[str, str]:
    """For each index whose shards failed a sentence with what to do."""
    lacks: dict[str, str] = {}
    for failure in failures:
        index = failure.index or ""
        if index not in lacks:
            lacks[index] = f"{index or 'an index'} is left out ({_why(failure.reason or Reason())})"
    return lacks


def away(found: SearchFound) -> frozenset[str]:
    """The indices whose shards are not there: for a moment, while an index is being made, or for longer."""
    failures = found.shards.failures
    return frozenset(
        one.index
        for one in failures
        if one.index and one.reason and one.reason.type == "no_shard_available_action_exception"
    )


def _why(reason: Reason) -> str:
    kind, words = reason.type or "", reason.reason or ""
    if kind == "no_shard_available_action_exception":
        return "none of its copies is there: `GET _cluster/allocation/explain` says why, as a rule a node is away"
    if "ielddata is disabled" in words:
        return f"{words.partition(' in [')[0]}: {FOREIGN}"
    if kind in ("circuit_breaking_exception", "es_rejected_execution_exception", "task_cancelled_exception"):
        return f"Elasticsearch has no room for the search, {reason.words}: ask again, or for less time"
    return f"{reason.words}; ask again, and look into Elasticsearch's log if that lasts"


#: What to do with an index that was made without our template.
FOREIGN = "it was made without daqsched's template; run `daqsched logs setup`, then delete that index or reindex it under its name"


class Cap(msgspec.Struct):
    """A field's type, and the indices that give it this type where there are several types."""

    indices: Optional[list[str]] = None


class FieldCaps(msgspec.Struct):
    """The answer of ``_field_caps``."""

    indices: list[str] = []
    fields: dict[str, dict[str, Cap]] = {}


#: Fields that lines are searched, sorted and counted by, with the types that do for it; the first one is ours.
TYPES: dict[str, tuple[str, ...]] = {
    "@timestamp": ("date_nanos", "date"),
    "message": ("text", "match_only_text"),
    "log.offset": ("long", "integer", "unsigned_long"),
    **dict.fromkeys(
        (
            "log.level",
            "host.name",
            "service.name",
            "service.version",
            "service.node.name",
            "daqsched.stream",
            "daqsched.fingerprint",
            "orchestrator.resource.id",
            "event.dataset",
        ),
        ("keyword", "constant_keyword", "wildcard"),
    ),
}

#: Those that every version of our template had.
_ALWAYS = frozenset(
    ("@timestamp", "message", "log.offset", "log.level", "host.name", "service.name", "daqsched.stream")
)


def foreign(caps: FieldCaps) -> dict[str, list[str]]:
    """Indices whose fields have other types than ours, each with what is wrong: ``host.name is text``."""
    wrong: dict[str, list[str]] = {}
    for field, types in TYPES.items():
        for kind, cap in caps.fields.get(field, {"unmapped": Cap()}).items():
            if kind in types or (kind == "unmapped" and field not in _ALWAYS):
                continue
            for index in caps.indices if cap.indices is None else cap.indices:
                wrong.setdefault(index, []).append(f"{field} is {'not there' if kind == 'unmapped' else kind}")
    return wrong


def foreign_words(wrong: Mapping[str, list[str]]) -> str:
    """One sentence about them."""
    first = next(iter(wrong))
    more = f" and {len(wrong[first]) - NAMED} more" if len(wrong[first]) > NAMED else ""
    return (
        f"{named(wrong)} {'has' if len(wrong) == 1 else 'have'} other fields than lines need "
        f"({', '.join(wrong[first][:NAMED])}{more}), so not all lines are found: {FOREIGN}"
    )


class Resolved(msgspec.Struct):
    """An index, in the answer of ``_resolve/index``."""

    name: str
    attributes: list[str] = []


class Resolution(msgspec.Struct):
    indices: list[Resolved] = []


def named(names: Iterable[str]) -> str:
    """``a, b, c and 4 more``."""
    all_of_them = list(names)
    more = len(all_of_them) - NAMED
    return ", ".join(all_of_them[:NAMED]) + (f" and {more} more" if more > 0 else "")


def short(text: str) -> str:
    """On one line, and not too long: of a long one begin and end, where Elasticsearch names the right that is missing."""
    words = " ".join(text[: 8 * LONGEST].split())
    return words if len(words) <= LONGEST else f"{words[: LONGEST // 2]} ... {words[-LONGEST // 2 :]}"
