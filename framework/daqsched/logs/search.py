"""Reading lines back: the questions of `daqsched logs` to Elasticsearch.

The queries are made by `daqsched.logs.query`; `daqsched.logs.elastic` asks them.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Optional, Union

from daqsched.errors import UserError
from daqsched.logs.elastic import Elastic, pages
from daqsched.logs.future_lines import AHEAD_S, placed
from daqsched.logs.lines import Line, line_of
from daqsched.logs.query import Wanted, query, same_stream, seen_last, sorting
from daqsched_executor.contract.forwarding import NO_ACCESS, Access

#: Where the forwarder puts lines: the indices ``<prefix>-YYYY.MM.DD``.
DEFAULT_PREFIX = "daqsched-logs"


class NoSuchLine(UserError):
    """No line has that id; ``lacks``: why not all were looked at."""

    def __init__(self, sentence: str, lacks: Sequence[str] = ()) -> None:
        super().__init__("; ".join([sentence, *lacks]))
        self.sentence = sentence


#: How many lines are fetched at a time.
PAGE = 1000


def connect(urls: Union[str, Sequence[str]], access: Access = NO_ACCESS, timeout_s: float = 10.0) -> Elastic:
    """A client; nothing is sent yet. Raises `UserError` where a file of ``access`` can't be used."""
    return Elastic(urls, access, timeout_s)


def tail(
    client: Elastic, wanted: Wanted, most: int, prefix: str = DEFAULT_PREFIX, now: Optional[float] = None
) -> list[Line]:
    """The last ``most`` of the wanted lines, oldest first; none where nothing was ever stored.

    Lines that are dated after now (a clock that is wrong) stand where they were seen: see `future_lines`.
    """
    now = time.time() if now is None else now
    if wanted.until is not None:
        return _lines(client, prefix, query(wanted), "desc", most)[::-1]
    found = _lines(client, prefix, query(replace(wanted, until=now + AHEAD_S)), "desc", most)
    later = replace(wanted, since=max(wanted.since or 0.0, now + AHEAD_S))
    ahead = _lines(client, prefix, query(later), "desc", most, sort=seen_last()) if most > 0 else []
    return placed(found[::-1], ahead[::-1], now)[-most:] if ahead else found[::-1]


def around(
    client: Elastic, wanted: Wanted, moment: float, most: int, prefix: str = DEFAULT_PREFIX
) -> tuple[list[Line], list[Line]]:
    """Of the wanted lines the last before a moment and the first from then on, together ``most``."""
    where = query(wanted)
    # what sorts before the first line of the moment itself, and after: names and offsets are never below these
    place = [round(moment * 1_000_000) * 1000 - 1, "\U0010ffff", "\U0010ffff", 2**63 - 1]
    before = _lines(client, prefix, where, "desc", most // 2, place)
    return before[::-1], _lines(client, prefix, where, "asc", most - most // 2, place)


def around_line(
    client: Elastic, wanted: Wanted, name: str, scope: str, most: int, prefix: str = DEFAULT_PREFIX
) -> tuple[list[Line], Line, list[Line]]:
    """The lines before one, it, and those after it. ``name`` is its id; ``scope`` is ``stream``, ``host`` or ``farm``.

    Raises `NoSuchLine` where none has that id.
    """
    hits = client.search(prefix, query={"ids": {"values": [name]}}, sort=sorting("asc"), size=1).hits.hits
    if not hits:
        raise NoSuchLine(
            f"no line has the id {name!r}: `daqsched logs --id` shows the ids of lines; "
            "it may also be that its index is gone already",
            list(client.lacks.values()),
        )
    line, place = line_of(hits[0]), hits[0].get("sort")
    near: list[dict[str, Any]] = [query(wanted)]
    if scope == "stream":
        near.append(same_stream(line))
    elif scope == "host":
        near.append({"term": {"host.name": line.host}})
    where = {"bool": {"filter": near}}
    before = _lines(client, prefix, where, "desc", most // 2, place)
    return before[::-1], line, _lines(client, prefix, where, "asc", most // 2, place)


def _lines(
    client: Elastic,
    prefix: str,
    what: Mapping[str, Any],
    order: str,
    most: int,
    after: Any = None,
    sort: Optional[Sequence[Mapping[str, Any]]] = None,
) -> list[Line]:
    found: list[Line] = []
    for answer in pages(client, prefix, most, PAGE, after, query=what, sort=sort or sorting(order)):
        found += map(line_of, answer.hits.hits)
    return found
