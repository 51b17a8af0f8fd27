"""The pieces of a line's document in Elasticsearch: ECS field names, levels, ids, indices."""

from __future__ import annotations

import json
import sys
from array import array
from binascii import hexlify
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

from ...contract import Stream
from ...contract.levels import SPELLINGS, named
from ..journal.position import LOST_BECAUSE, Drop, Loss

try:
    from orjson import dumps as _orjson_dumps

    quote: Callable[[str], bytes] = _orjson_dumps
    _list: Callable[[list[int]], bytes] = _orjson_dumps
except ImportError:  # a farm machine without orjson: 1.5 times the CPU per line, nothing else

    def quote(text: str) -> bytes:
        """The text as a JSON string."""
        return json.dumps(text).encode()

    def _list(numbers: list[int]) -> bytes:
        return json.dumps(numbers, separators=(",", ":")).encode()


ECS_VERSION = "8.11.0"

#: Of the reason for a dead letter so many characters are kept.
LONGEST_REASON = 500

#: Of a document that reports how many lines were dropped.
DROPPED_DATASET = "daqsched.dropped"

_FRAGMENTS = {spelling: f',"level":"{level}"'.encode() for spelling, level in SPELLINGS.items()}


def level_fragment(line: bytes) -> bytes:
    """``,"level":"error"`` for a line that names its level near the beginning, else nothing."""
    return _FRAGMENTS.get(named(line), b"")


#: How an index's name ends, by how often a new one begins.
_ENDINGS = {"month": "%Y.%m", "day": "%Y.%m.%d", "hour": "%Y.%m.%d.%H", "minute": "%Y.%m.%d.%H%M"}


def index_of(prefix: str, micros: int, period: str = "day") -> str:
    """The index of a line that was seen then: ``daqsched-logs-2026.11.23`` (UTC).

    It follows from the time that the journal keeps, never from the clock at sending: a second attempt after
    midnight must meet the documents of the first, or their ids dedupe nothing.
    """
    return f"{prefix}-{utc(micros // 1_000_000):{_ENDINGS[period]}}"


def generation_id(stream_id: str, generation: int) -> str:
    """What stands before the offset in a document's id.

    A stream whose file was emptied begins again at offset 0 as its next generation: ``ID.1``, ``ID.2``, ….
    """
    return f"{stream_id}.{generation}" if generation else stream_id


def flag_fragment(flag: str) -> bytes:
    """The piece of JSON for ``log.flags``."""
    return f',"flags":["{flag}"]'.encode() if flag else b""


def as_text(name: str) -> str:
    """A file's name as documents have it. It may be any bytes but noughts and slashes: those that are not text, which neither
    JSON nor Elasticsearch can hold, are written as ``\\udcff``."""
    return name if name.isascii() else name.encode("utf-8", "backslashreplace").decode()


def constant(stream: Stream, run: str = "", number: int = 0) -> bytes:
    """The fields that all lines of a stream have in one run, of one start, as the inner part of a JSON object that goes
    on after a comma."""
    return b"," + json.dumps(fields_of(stream, run, number), separators=(",", ":"))[1:-1].encode()


def fields_of(stream: Stream, run: str = "", number: int = 0) -> dict[str, Any]:
    """The same as values, by their ECS names."""
    service: dict[str, Any] = {"name": stream.job, "node": {"name": f"{stream.job}@{stream.host}"}}
    if stream.release:
        service["version"] = stream.release
    fields: dict[str, Any] = {"host": {"name": stream.host}, "service": service}
    if stream.task_id:
        fields["orchestrator"] = {"type": "daqsched", "resource": {"type": "task", "id": stream.task_id}}
    fields["daqsched"] = {"stream": as_text(stream.name), **({"start": number} if number else {})}
    fields["event"] = {"dataset": stream.dataset}
    fields["ecs"] = {"version": ECS_VERSION}
    labels = {**stream.labels, **({"run": run} if run else {})}
    if labels:
        fields["labels"] = labels
    return fields


def drop_document(stream: Stream, drop: Drop, why: str) -> bytes:
    """The two rows of the document that reports lines which were dropped."""
    fields = fields_of(stream)
    which = (
        f"{drop.lines:,} {'lines of the levels debug and trace' if drop.debug else 'lines'} ({_megabytes(drop.size)})"
    )
    where = f"{fields['service']['node']['name']} {fields['daqsched']['stream']}, bytes {drop.start} to {drop.end}"
    fields["@timestamp"] = _timestamp(drop.micros)
    fields["message"] = f"{which} of {where}, were dropped: {why}"
    fields["log"] = {"level": "warning", "offset": drop.start}
    fields["daqsched"]["dropped"] = {"lines": drop.lines, "bytes": drop.size}
    fields["event"] = {"dataset": DROPPED_DATASET}
    kind = "debug" if drop.debug else "all"
    action = {"create": {"_id": f"{generation_id(stream.id, drop.generation)}-{drop.start:010x}-dropped-{kind}"}}
    return b"".join(json.dumps(row, separators=(",", ":")).encode() + b"\n" for row in (action, fields))


def as_dead_letter(
    stream: Stream, generation: int, offset: int, micros: int, data: bytes, error: Exception
) -> tuple[bytes, str]:
    """The two rows of a record that its form could not read, seen then, and why: it is a dead letter with all its bytes.

    Whatever goes wrong with one record is a bug of ours, and concerns that record alone. This can't go wrong.
    """
    fields = fields_of(stream)
    fields["@timestamp"] = _timestamp(micros)
    fields["message"] = data.decode("utf-8", "backslashreplace")
    fields["log"] = {"offset": offset}
    action = {"create": {"_id": f"{generation_id(stream.id, generation)}-{offset:010x}"}}
    rows = b"".join(json.dumps(row, separators=(",", ":")).encode() + b"\n" for row in (action, fields))
    return rows, f"the forwarder could not read this record: {type(error).__name__}: {error}"[:LONGEST_REASON]


def loss_document(stream: Stream, loss: Loss) -> bytes:
    """The two rows of the document that reports what was lost."""
    fields = fields_of(stream)
    whose = f"{fields['service']['node']['name']} {as_text(stream.path or stream.name)}"
    if loss.lines:
        what = (
            f"up to {loss.lines:,} lines ({_megabytes(loss.size)}) of {whose}, from byte {loss.start} on, may be lost"
        )
    else:
        what = f"at least {_megabytes(loss.size)} of {whose}, from byte {loss.start} on, are lost"
    more = f" ({as_text(loss.more)})" if loss.more else ""
    fields["@timestamp"] = _timestamp(loss.micros)
    fields["message"] = f"{what}: {LOST_BECAUSE.get(loss.why, loss.why)}{more}"
    fields["log"] = {"level": "warning", "offset": loss.start}
    fields["daqsched"]["dropped"] = {"lines": loss.lines, "bytes": loss.size}
    fields["event"] = {"dataset": DROPPED_DATASET}
    action = {"create": {"_id": f"{generation_id(stream.id, loss.generation)}-{loss.start:010x}-lost"}}
    return b"".join(json.dumps(row, separators=(",", ":")).encode() + b"\n" for row in (action, fields))


def _timestamp(micros: int) -> str:
    return f"{utc(micros // 1_000_000):%Y-%m-%dT%H:%M:%S}.{micros % 1_000_000:06}Z"


def _megabytes(size: int) -> str:
    if size < 1000:
        return f"{size} bytes"
    return f"{size / 1e6:,.1f} MB" if size >= 100_000 else f"{size / 1e3:,.1f} kB"


def decimals(numbers: list[int]) -> list[bytes]:
    """The numbers as text; there must be one."""
    return _list(numbers)[1:-1].split(b",")


def hexadecimals(numbers: list[int]) -> tuple[bytes, list[bytes]]:
    """Rising numbers with ten digits: the zeros that all of them begin with, and what follows these; there must be one."""
    if numbers[-1] >> 32:
        return b"", [b"%010x" % number for number in numbers]
    words = array("I", numbers)
    if sys.byteorder == "little":
        words.byteswap()
    return b"00", hexlify(words, b"-", words.itemsize).split(b"-")


def utc(second: int) -> datetime:
    """A second since the epoch as a date."""
    return datetime.fromtimestamp(second, timezone.utc)
