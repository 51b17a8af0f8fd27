"""The pieces of a line's document in Elasticsearch: ECS field names, levels, ids, indices."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timezone

from ..contract import Stream
from ..contract.levels import SPELLINGS, named

try:
    from orjson import dumps as _orjson_dumps

    quote: Callable[[str], bytes] = _orjson_dumps
except ImportError:  # a farm machine without orjson: 1.5 times the CPU per line, nothing else

    def quote(text: str) -> bytes:
        """The text as a JSON string."""
        return json.dumps(text).encode()


ECS_VERSION = "8.11.0"

#: ``event.dataset`` of a line that a job printed, and of one that Elasticsearch refused in its full form.
TASK_DATASET, DEADLETTER_DATASET = "daqsched.task", "daqsched.deadletter"

_FRAGMENTS = {spelling: f',"level":"{level}"'.encode() for spelling, level in SPELLINGS.items()}


def level_fragment(line: bytes) -> bytes:
    """``,"level":"error"`` for a line that names its level near the beginning, else nothing."""
    return _FRAGMENTS.get(named(line), b"")


def index_of(prefix: str, micros: int) -> str:
    """The index of a batch that was read then: ``daqsched-logs-2026.11.23`` (UTC).

    It follows from the time that the journal keeps, never from the clock at sending: a second attempt after
    midnight must meet the documents of the first, or their ids dedupe nothing.
    """
    return f"{prefix}-{utc(micros // 1_000_000):%Y.%m.%d}"


def generation_id(stream_id: str, generation: int) -> str:
    """What stands before the offset in a document's id.

    A stream whose file was emptied begins again at offset 0 as its next generation: ``ID.1``, ``ID.2``, ….
    """
    return f"{stream_id}.{generation}" if generation else stream_id


def flag_fragment(flag: str) -> bytes:
    """The piece of JSON for ``log.flags``."""
    return f',"flags":["{flag}"]'.encode() if flag else b""


def minimal(document: bytes, reason: str) -> bytes:
    """A refused line's two rows in a form that fits any sane index: text, time, the reason and whence it came.

    It keeps the id, so that the line exists once in either form.
    """
    action, source = document.split(b"\n", 2)[:2]
    full = json.loads(source)
    origin = f"{full['service']['node']['name']} {full['daqsched']['stream']} at byte {full['log']['offset']}"
    small = {
        "@timestamp": full["@timestamp"],
        "message": full["message"],
        "error": {"message": f"{origin}: {reason}"},
        "event": {"dataset": DEADLETTER_DATASET},
    }
    return action + b"\n" + json.dumps(small).encode() + b"\n"


def constant(stream: Stream) -> bytes:
    """The fields that all lines of a stream have, as the inner part of a JSON object that goes on after a comma."""
    service = {"name": stream.job, "node": {"name": f"{stream.job}@{stream.host}"}}
    if stream.release:
        service["version"] = stream.release
    fields: dict[str, object] = {
        "host": {"name": stream.host},
        "service": service,
        "orchestrator": {"type": "daqsched", "resource": {"type": "task", "id": stream.task_id}},
        "daqsched": {"stream": stream.name},
        "event": {"dataset": TASK_DATASET},
        "ecs": {"version": ECS_VERSION},
    }
    if stream.labels:
        fields["labels"] = dict(stream.labels)
    return b"," + json.dumps(fields, separators=(",", ":"))[1:-1].encode()


def escaped(text: bytes) -> bytes:
    """The text as ``%`` gives it back."""
    return text.replace(b"%", b"%%")


def utc(second: int) -> datetime:
    """A second since the epoch as a date."""
    return datetime.fromtimestamp(second, timezone.utc)
