"""One line that a job printed: out of a document of Elasticsearch's, and how it looks in a terminal and as JSON."""

from __future__ import annotations

import datetime
import json
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from daqsched.foreign import Painted, as_printed, joined, paint
from daqsched.logs.file_tails import own_time
from daqsched.times import in_calendar, iso

#: What people wrote into the logbook (`daqsched note`): the stream, and in the place of a job.
NOTE = "note"

#: One sign between the job and its text: whose words these are, also without colours. By stream, else by dataset.
MARKS = {
    "stdout": "|",
    "stderr": "!",
    "executor": "*",
    NOTE: "#",
    "daqsched.file": ":",
    "daqsched.syslog": "%",
    "daqsched.json": "%",
    "daqsched.journald": "%",
    "daqsched.dropped": "-",
    "daqsched.deadletter": "?",
}

_LEVEL_COLOURS = {"critical": "1;31", "error": "31", "warning": "33", "notice": "36", "debug": "2", "trace": "2"}
_HOST_COLOURS = ("32", "34", "35", "36", "92", "94", "95", "96")


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
    #: ``daqsched.task`` for what a job printed; services' files, syslog and the journal have others.
    dataset: str = ""
    #: The run of the detector, and which start of the program within its task (from 1; 0: unknown).
    run: str = ""
    start: int = 0
    fingerprint: str = ""
    #: When it was seen, where `time` is the one that the line names; else 0.
    created: float = 0.0
    #: While following: it was stored after newer lines of its stream.
    late: bool = False

    @property
    def seen(self) -> float:
        """When the forwarder saw it."""
        return self.created or self.time

    @property
    def mark(self) -> str:
        """The sign that says whose words these are."""
        return MARKS.get(self.dataset if self.dataset == "daqsched.dropped" else self.stream) or MARKS.get(
            self.dataset, "?"
        )


def line_of(hit: Mapping[str, Any]) -> Line:
    """A search hit as a line; fields that somebody else's document lacks are empty."""
    source = hit.get("_source")

    def text(*path: str) -> str:
        value: Any = source
        for name in path:
            value = value.get(name) if isinstance(value, Mapping) else None
        return "" if value is None else str(value)

    log = source.get("log") if isinstance(source, Mapping) else None
    log = log if isinstance(log, Mapping) else {}
    offset, flags, start = log.get("offset"), log.get("flags") or (), text("daqsched", "start")
    return Line(
        time=seconds(text("@timestamp")),
        host=text("host", "name"),
        job=text("service", "name"),
        stream=text("daqsched", "stream"),
        level=text("log", "level"),
        message=text("message"),
        id=str(hit["_id"]),
        offset=offset if isinstance(offset, int) else 0,
        release=text("service", "version"),
        task_id=text("orchestrator", "resource", "id"),
        flags=tuple(map(str, flags if isinstance(flags, (list, tuple)) else [flags])),
        dead=text("error", "message"),
        dataset=text("event", "dataset"),
        run=text("labels", "run"),
        start=int(start) if start.isdecimal() and len(start) < 10 else 0,
        fingerprint=text("daqsched", "fingerprint"),
        created=seconds(text("event", "created")),
    )


def format_line(
    line: Line,
    colours: bool,
    host_width: int = 0,
    job_width: int = 0,
    today: str = "",
    ids: bool = False,
    chosen: bool = False,
    raw: bool = False,
) -> Painted:
    """``14:05:09.123 hlt01 readout | text``, in local time; widths pad the names into columns.

    ``today`` (``2026-11-23``) puts the date before lines of other days; ``ids`` shows the document's id before the text;
    the ``chosen`` line is marked; ``raw``: the text as it was printed. What the executor says begins with its own time: that
    one is shown, once.
    """
    seconds, message = line.time, line.message
    if line.stream == "executor":
        seconds, message = _own_time(seconds, message)
    when = datetime.datetime.fromtimestamp(in_calendar(seconds))
    # a line that was read in a sandbox has no time, unless it says one itself
    clock = f"{when:%H:%M:%S}.{when.microsecond // 1000:03d}" if seconds else " " * 12
    if today and seconds and f"{when:%Y-%m-%d}" != today:
        clock = f"{when:%Y-%m-%d} {clock}"
    host, job = paint(line.host).ljust(host_width), paint(line.job).ljust(job_width)
    words = as_printed(message) if raw else paint(message, tabs=True)
    parts = [">>>"] * chosen + [line.id] * ids + [words]
    parts += [f" [kept in its smallest form: {line.dead}]"] if line.dead else []
    text = joined(*parts, *[" [stored late]"] * line.late)
    if not colours:
        return joined(clock, host, job, line.mark, text)
    host_colour = _HOST_COLOURS[zlib.crc32(line.host.encode("utf-8", "surrogatepass")) % len(_HOST_COLOURS)]
    level = "7" if chosen else _LEVEL_COLOURS.get(line.level, "2" if line.stream == "executor" else "")
    mark_colour = "31" if line.stream == "stderr" else "2"
    return joined(paint(clock, "2"), paint(host, host_colour), job, paint(line.mark, mark_colour), paint(text, level))


_STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:?\d\d) ")


def _own_time(seconds: float, message: str) -> tuple[float, str]:
    """The time that a line of the executor's begins with, and its text without it; the given ones where it has none."""
    found = _STAMP.match(message)
    return (own_time(found.group().encode()) or seconds, message[found.end() :]) if found else (seconds, message)


def json_line(line: Line) -> str:
    """The line as one JSON object, for programs; empty fields are left out."""
    return json_text(line_fields(line))


def line_fields(line: Line) -> dict[str, Any]:
    """The line's fields as they are named in JSON, without the empty ones."""
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
        "dataset": line.dataset,
        "run": line.run,
        "start": line.start,
        "fingerprint": line.fingerprint,
        "seen": iso(line.created) if line.created else None,
        "late": line.late,
    }
    always = ("time", "host", "job", "stream", "message", "id", "offset")
    return {name: value for name, value in fields.items() if value or name in always}


def json_text(value: Mapping[str, Any]) -> str:
    """An object as JSON on one line."""
    return json.dumps(value, ensure_ascii=False)


def seconds(text: str) -> float:
    """A document's ``@timestamp``; digits after the microsecond are left out (Python 3.9 reads at most six)."""
    match = re.match(r"(.{19})(?:\.(\d{1,9}))?", text)
    try:
        if match is None:
            return 0.0
        whole = datetime.datetime.fromisoformat(match.group(1) + "+00:00").timestamp()
        return whole + int((match.group(2) or "0").ljust(6, "0")[:6]) / 1_000_000
    except ValueError:
        return 0.0
