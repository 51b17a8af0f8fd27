"""The pieces of a line's document in Elasticsearch: ECS field names, levels, ids, indices."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import datetime, timezone

from ..contract import Stream

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

#: Words that programs use for a level, and the one that stands in ``log.level``.
LEVELS = {
    "TRACE": "trace",
    "DEBUG": "debug",
    "INFO": "info",
    "NOTICE": "notice",
    "WARN": "warning",
    "WARNING": "warning",
    "ERR": "error",
    "ERROR": "error",
    "CRIT": "critical",
    "CRITICAL": "critical",
    "ALERT": "critical",
    "EMERG": "critical",
    "FATAL": "critical",
    "PANIC": "critical",
}

#: How far into a line a level is looked for: behind a time, a host and a logger's name.
LEVEL_WITHIN = 96

# In capitals the word may stand anywhere near the beginning; in small letters only where it cannot be prose:
# `[warning]`, `<error>`, `level=info`, `"level":"info"`, or `error:` as the first word. The pattern begins with a set
# of single characters because `re` then skips ahead to one of them: 0.3 to 0.5 CPU-s per million lines instead of 3.
_WORDS = "|".join(sorted(LEVELS, key=len, reverse=True))
_FIRSTS = "".join(sorted({word[0] for word in LEVELS}))
_RESTS = "|".join(sorted({word[1:] for word in LEVELS}, key=len, reverse=True))
_LEVEL = re.compile(
    rf"""[{_FIRSTS}\[<="](?:(?<![A-Za-z0-9_][A-Z])(?:{_RESTS})\b|(?<=[\[<="])(?:{_WORDS.lower()})\b)""".encode()
)
_FIRST_WORD = re.compile(rf"(?:{_WORDS})\b(?=:)".encode(), re.IGNORECASE)

#: From each spelling that may be met to the piece of JSON that it becomes.
_FRAGMENTS = {
    (before + spelling).encode(): f',"level":"{level}"'.encode()
    for word, level in LEVELS.items()
    for before, spellings in (
        ("", (word, word.lower(), word.capitalize())),
        *((sign, (word.lower(),)) for sign in '[<="'),
    )
    for spelling in spellings
}


def level_fragment(line: bytes) -> bytes:
    """``,"level":"error"`` for a line that names its level near the beginning, else nothing."""
    found = _LEVEL.search(line, 0, LEVEL_WITHIN) or _FIRST_WORD.match(line)
    return _FRAGMENTS.get(found.group(), b"") if found else b""


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
