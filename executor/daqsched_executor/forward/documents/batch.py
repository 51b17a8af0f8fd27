"""What is sent together: documents in one body, and what a reply to it means."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

loads: Callable[[bytes], Any] = json.loads
try:
    from orjson import loads
except ImportError:
    pass  # slower where something was refused

#: A bulk request's body is kept at or below this, where so much waits. Larger ones are not faster; 1 MiB takes a sixth more
#: CPU of us for each line, 4 MiB an eighth less, and memory follows it.
BODY = 2 * 1024 * 1024

#: A body is sent in at most so many pieces.
MOST_PARTS = 16


class Documents:
    """What a bulk request's body is made of: two rows for each document, the action with the id and the document itself.

    Most are made, sent and forgotten many in one piece; only who needs to know takes them apart.
    """

    __slots__ = ("_count", "_pieces", "aside", "size")

    def __init__(
        self, pieces: Iterable[bytes] = (), count: int | None = None, aside: Sequence[tuple[int, str]] = ()
    ) -> None:
        """Each piece is one document, unless ``count`` says how many all are together."""
        self._pieces = list(pieces)
        self._count = len(self._pieces) if count is None else count
        #: In bytes.
        self.size = sum(map(len, self._pieces))
        #: Those of records that could not be read: by position, with the reason. They are dead letters from the beginning.
        self.aside = list(aside)

    def __len__(self) -> int:
        return self._count

    def __iadd__(self, others: Documents) -> Documents:
        if others.aside:
            self.aside += [(self._count + at, reason) for at, reason in others.aside]
        self._pieces += others._pieces
        self._count += others._count
        self.size += others.size
        return self

    def __iter__(self) -> Iterator[bytes]:
        """The documents one by one."""
        return iter(self.at(range(self._count)))

    def at(self, positions: Iterable[int]) -> list[bytes]:
        """Some of the documents."""
        rows = self.body().split(b"\n")
        return [b"%b\n%b\n" % (rows[2 * position], rows[2 * position + 1]) for position in positions]

    def body(self) -> bytes:
        """All of them."""
        return b"".join(self._pieces)

    def parts(self) -> Sequence[bytes]:
        """All of them in a few pieces, each worth a system call: they are sent as they were made, not copied together."""
        return self._pieces if len(self._pieces) <= MOST_PARTS else [self.body()]

    def shorten(self, room: int, least: int) -> None:
        """Leave out the last ones until the others take no more than ``room`` bytes, or until ``least`` are left."""
        while self.size > room and self._count > least:
            piece = self._pieces.pop()
            end = len(piece)
            while end and self.size > room and self._count > least:
                # two rows, each with its newline
                first = piece.rfind(b"\n", 0, max(0, piece.rfind(b"\n", 0, end - 1))) + 1
                self._count -= 1
                self.size -= end - first
                end = first
            if end:
                self._pieces.append(piece[:end])
        if self.aside:
            self.aside = [one for one in self.aside if one[0] < self._count]

    def parted(self) -> tuple[Documents, list[tuple[bytes, str]]]:
        """Those to be sent, and those of records that could not be read, each with the reason."""
        if not self.aside:
            return self, []
        reasons = dict(self.aside)
        each = list(self)
        kept = Documents(one for at, one in enumerate(each) if at not in reasons)
        return kept, [(each[at], reason) for at, reason in sorted(reasons.items())]


class Batch(NamedTuple):
    """A planned request."""

    number: int
    #: The index.
    target: str
    documents: Documents


class Verdict(NamedTuple):
    """What a reply to a bulk request says about its documents, by their position."""

    stored: int = 0
    duplicates: int = 0
    #: Those that the server had no time for: send them again, later.
    later: Sequence[int] = ()
    #: Those that it will never take, each with the reason.
    refused: Sequence[tuple[int, str]] = ()
    #: Those that it would take if somebody changed its or our configuration.
    denied: Sequence[int] = ()
    #: The first reason among ``later`` and ``denied``, for people.
    reason: str = ""


#: Asks for what `judge` reads. A status is always there, so positions are kept.
REPLY_FILTER = "filter_path=errors,items.*.status,items.*.error.type,items.*.error.reason"

_CONFIGURATION = (401, 403, 404)

#: Refusals with status 400 that say nothing of the document: a closed index, no room for another shard, a name that no
#: index may have, an alias without an index to write to.
_OF_THE_INDEX = (
    "index_closed_exception",
    "validation_exception",
    "action_request_validation_exception",
    "cluster_block_exception",
    "invalid_index_name_exception",
    "invalid_alias_name_exception",
)
_NO_WRITE_INDEX = "no write index is defined"

#: What the reply says of most documents, also of those among which one was refused: it is read as `_SHORT`, in a third of
#: the time.
_CREATED, _SHORT = b'{"create":{"status":201}}', b"201"


def judge(reply: bytes, count: int) -> Verdict:
    """Read the body of a bulk request that was answered with 200; raises `ValueError` if it is no such reply."""
    if reply.startswith(b'{"errors":false'):
        return Verdict(stored=count)
    try:
        answer = loads(reply.replace(_CREATED, _SHORT))
    except RecursionError as deep:
        raise ValueError("the reply is nested without end") from deep
    items = answer.get("items") if isinstance(answer, dict) else None
    if not isinstance(items, list) or len(items) != count:
        raise ValueError("the reply does not name each document")
    others = [(position, item) for position, item in enumerate(items) if item != 201]
    stored, duplicates = count - len(others), 0
    later: list[int] = []
    denied: list[int] = []
    refused: list[tuple[int, str]] = []
    reason = ""
    for position, item in others:
        result = _object(item, "create") if isinstance(item, dict) else None
        status = result.get("status", 500) if result is not None else None
        if result is None or type(status) is not int or not 200 <= status < 600:
            raise ValueError("the reply does not say what became of each document")
        if status < 300:
            stored += 1
        elif status == 409:
            duplicates += 1
        else:
            error = _object(result, "error") or {}
            kind, why = str(error.get("type", "error")), str(error.get("reason", ""))
            words = f"{kind}: {why} ({status})"
            if status == 429 or status >= 500 or status == 408:
                later.append(position)
                reason = reason or words
            elif status in _CONFIGURATION or kind in _OF_THE_INDEX or _NO_WRITE_INDEX in why:
                denied.append(position)
                reason = reason or words
            else:
                refused.append((position, words))
    return Verdict(stored, duplicates, later, refused, denied, reason)


def _object(value: dict[str, Any], name: str) -> dict[str, Any] | None:
    """What stands there, if it is an object or nothing."""
    inner = value.get(name) or {}
    return inner if isinstance(inner, dict) else None


def pause_s(attempt: int, chance: float) -> float:
    """How long to wait before attempt ``attempt`` (from 1): 0.2 s doubling to 30 s, of which ``chance`` takes up to half.

    ``chance`` is between 0 and 1 and random, so that the machines of a farm do not come back in step.
    """
    return min(30.0, 0.2 * 2.0 ** min(attempt - 1, 16)) * (1 - chance / 2)
