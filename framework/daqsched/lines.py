"""One line that a job printed: out of a document of Elasticsearch's, and how it looks in a terminal and as JSON."""

from __future__ import annotations

import datetime
import json
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

#: One sign between the job and its text: whose words these are, also without colours.
MARKS = {"stdout": "|", "stderr": "!", "executor": "*"}

_LEVEL_COLOURS = {"critical": "1;31", "error": "31", "warning": "33", "notice": "36", "debug": "2", "trace": "2"}
_HOST_COLOURS = ("32", "34", "35", "36", "92", "94", "95", "96")
#: What would move the cursor, ring or recolour is shown as its picture.
_CONTROLS = {**{code: 0x2400 + code for code in range(32) if code != 9}, 127: 0x2421}


@dataclass(frozen=True)
class Line:
    """One line that a job printed."""

    #: When it was read, in seconds since the epoch; microseconds count.
    time: float
    host: str
    job: str
    #: ``stdout``, ``stderr`` or ``executor``.
    stream: str
    #: One of trace, debug, info, notice, warning, error, critical; empty where the line names none.
    level: str
    message: str
    #: The document's id: the same line has the same id for ever.
    id: str
    #: The byte in the stream that it begins at.
    offset: int = 0
    release: str = ""
    task_id: str = ""
    #: ``truncated``, ``partial``; see docs/reference/documents.md.
    flags: tuple[str, ...] = ()
    #: Why Elasticsearch refused the line's full form; empty for all others.
    dead: str = ""


def line_of(hit: Mapping[str, Any]) -> Line:
    """A search hit as a line; fields that somebody else's document lacks are empty."""
    source = hit["_source"]

    def text(*path: str) -> str:
        value: Any = source
        for name in path:
            value = value.get(name) if isinstance(value, Mapping) else None
        return "" if value is None else str(value)

    log = source.get("log") or {}
    return Line(
        time=_seconds(text("@timestamp")),
        host=text("host", "name"),
        job=text("service", "name"),
        stream=text("daqsched", "stream"),
        level=text("log", "level"),
        message=text("message"),
        id=hit["_id"],
        offset=int(log.get("offset") or 0),
        release=text("service", "version"),
        task_id=text("orchestrator", "resource", "id"),
        flags=tuple(log.get("flags") or ()),
        dead=text("error", "message"),
    )


def format_line(line: Line, colours: bool, host_width: int = 0, job_width: int = 0, today: str = "") -> str:
    """``14:05:09.123 hlt01 readout | text``, in local time; widths pad the names into columns.

    ``today`` (``2026-11-23``) puts the date before lines of other days.
    """
    when = datetime.datetime.fromtimestamp(line.time)
    # a line that was read in a sandbox has no time, unless it says one itself
    clock = f"{when:%H:%M:%S}.{when.microsecond // 1000:03d}" if line.time else " " * 12
    if today and line.time and f"{when:%Y-%m-%d}" != today:
        clock = f"{when:%Y-%m-%d} {clock}"
    host, job, mark = line.host.ljust(host_width), line.job.ljust(job_width), MARKS.get(line.stream, "?")
    text = line.message.translate(_CONTROLS)
    if line.dead:
        text += f"  [kept in its smallest form: {line.dead}]"
    if not colours:
        return f"{clock} {host} {job} {mark} {text}"
    host_colour = _HOST_COLOURS[zlib.crc32(line.host.encode()) % len(_HOST_COLOURS)]
    level = _LEVEL_COLOURS.get(line.level, "2" if line.stream == "executor" else "")
    mark_colour = "31" if line.stream == "stderr" else "2"
    return " ".join(
        (_paint(clock, "2"), _paint(host, host_colour), job, _paint(mark, mark_colour), _paint(text, level))
    )


def json_line(line: Line) -> str:
    """The line as one JSON object, for programs; empty fields are left out."""
    fields = {
        "time": iso(line.time) if line.time else None,
        "host": line.host,
        "job": line.job,
        "stream": line.stream,
        "level": line.level,
        "message": line.message,
        "id": line.id,
        "offset": line.offset,
        "release": line.release,
        "task_id": line.task_id,
        "flags": list(line.flags),
        "dead": line.dead,
    }
    always = ("time", "host", "job", "stream", "message", "id", "offset")
    return json.dumps({name: value for name, value in fields.items() if value or name in always}, ensure_ascii=False)


def _paint(text: str, colour: str) -> str:
    return f"\x1b[{colour}m{text}\x1b[0m" if colour else text


def iso(seconds: float) -> str:
    """A time as Elasticsearch and JSON get it: UTC, with microseconds."""
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _seconds(text: str) -> float:
    """A document's ``@timestamp``; digits after the microsecond are left out (Python 3.9 reads at most six)."""
    match = re.match(r"(.{19})(?:\.(\d{1,9}))?", text)
    try:
        if match is None:
            return 0.0
        whole = datetime.datetime.fromisoformat(match.group(1) + "+00:00").timestamp()
        return whole + int((match.group(2) or "0").ljust(6, "0")[:6]) / 1_000_000
    except ValueError:
        return 0.0
