"""What is sent together: ranges of streams as one body, and what a reply to it means."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import NamedTuple

from .lines import TRUNCATED, split
from .record import Template, flag_fragment, level_fragment, quote

#: A bulk request's body is kept at or below this; larger ones were not faster, and memory follows it.
BODY = 1024 * 1024


class Position(NamedTuple):
    """How far a stream has been read."""

    generation: int
    offset: int
    #: Whether the piece before this offset was cut off a line that goes on here.
    cut: bool = False


class Range(NamedTuple):
    """Bytes of one stream as they stand in the journal: enough to make the very same documents again."""

    stream: str
    generation: int
    start: int
    end: int
    #: Whether the first and the last line go on beyond the range (see `Position.cut`).
    cut: bool
    cut_after: bool
    #: The time of the first line in microseconds since the epoch; each further line is one microsecond later.
    micros: int


class Batch(NamedTuple):
    """A planned request."""

    number: int
    #: The index.
    target: str
    #: Two rows per line: the action with the id, and the document.
    documents: list[bytes]


class Encoded(NamedTuple):
    """Documents made of a chunk, and where the next one begins."""

    documents: list[bytes]
    size: int
    end: int
    cut: bool


def encode(
    template: Template, chunk: bytes, at: Position, micros: int, final: bool, room: int, oversize: bool = False
) -> Encoded:
    """As many of the chunk's lines as fit into ``room`` bytes, as documents.

    With ``oversize`` at least one, however large it is: a line must fit into some body.
    """
    lines, gap, flag = split(chunk, final)
    documents: list[bytes] = []
    offset, size = at.offset, 0
    second, micro = divmod(micros, 1_000_000)
    form = template.form(second)
    extra = flag_fragment(flag or (TRUNCATED if at.cut else ""))
    returns = b"\r" in chunk
    for line in lines:
        length = len(line) + gap
        if returns and line[-1:] == b"\r":
            line = line[:-1]
        document = form % (offset, micro, quote(line.decode("utf-8", "replace")), offset, extra + level_fragment(line))
        if size + len(document) > room and (documents or not oversize):
            return Encoded(documents, size, offset, at.cut and not documents)
        documents.append(document)
        size += len(document)
        offset += length
        extra = b""
        micro += 1
        if micro == 1_000_000:
            second, micro = second + 1, 0
            form = template.form(second)
    return Encoded(documents, size, offset, flag == TRUNCATED or (at.cut and not documents))


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


def judge(reply: bytes, count: int) -> Verdict:
    """Read the body of a bulk request that was answered with 200; raises `ValueError` if it is no such reply."""
    if reply.startswith(b'{"errors":false'):
        return Verdict(stored=count)
    answer = json.loads(reply)
    items = answer.get("items") if isinstance(answer, dict) else None
    if not isinstance(items, list) or len(items) != count:
        raise ValueError("the reply does not name each document")
    stored = duplicates = 0
    later: list[int] = []
    denied: list[int] = []
    refused: list[tuple[int, str]] = []
    reason = ""
    for position, item in enumerate(items):
        result = item.get("create") or {}
        status = result.get("status", 500)
        if status < 300:
            stored += 1
        elif status == 409:
            duplicates += 1
        else:
            error = result.get("error") or {}
            words = f"{error.get('type', 'error')}: {error.get('reason', '')} ({status})"
            if status == 429 or status >= 500 or status == 408:
                later.append(position)
                reason = reason or words
            elif status in _CONFIGURATION:
                denied.append(position)
                reason = reason or words
            else:
                refused.append((position, words))
    return Verdict(stored, duplicates, later, refused, denied, reason)


def pause_s(attempt: int, chance: float) -> float:
    """How long to wait before attempt ``attempt`` (from 1): 0.2 s doubling to 30 s, of which ``chance`` takes up to half.

    ``chance`` is between 0 and 1 and random, so that the machines of a farm do not come back in step.
    """
    return min(30.0, 0.2 * 2.0 ** min(attempt - 1, 16)) * (1 - chance / 2)
