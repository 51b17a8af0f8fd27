"""audit.ndjson: who changed what and who was refused, one line of JSON in ASCII each, on the disk before the answer leaves.

The table of its fields is in docs/operate/audit.md; how the file is written, a chain, is in `audit_file`. It is this daemon's
own, for its account alone. Whoever can make it full or unwritable must not thereby keep a crew from
stopping a program: then the change is made, the line goes into the daemon's log, `status` says so, and the file itself counts
what it lacks as soon as it can be written again.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Hashable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable, Optional

from daqsched import times
from daqsched.rights.login_pace import network_of
from daqsched.serve.audit_chain import line_of
from daqsched.serve.audit_file import ChainedFile

logger = logging.getLogger(__name__)

#: A file larger than this is set aside as ``audit.ndjson.1``; so many are kept besides.
MOST_BYTES, KEPT = 16 << 20, 10

#: The longest text; the most words of a list, and the longest of these. A line has less than 64 KiB then, all of it escapes.
MOST_TEXT, MOST_WORDS, MOST_WORD = 500, 20, 100

#: In so many seconds as many refusals of one account are written one by one; more of them are one line with their number.
WINDOW_S, MOST_REFUSALS = 10.0, 20

#: The same of who comes over the network: of each account, and of who has shown nothing of each network (`network_of`); and of all
#: the latter together.
MOST_UNKNOWN = 200

#: So many such lines there are at most, each for an account and an operation; what is left is one more.
MOST_KINDS = 50

#: What became of it.
DONE, REFUSED, FAILED = "done", "refused", "failed"


@dataclass(frozen=True)
class Entry:
    """One line, but for its time."""

    user: str
    uid: int
    gid: int
    pid: int
    #: ``socket``, or ``peer`` with the standby's name and address in ``via``, or only the address of who could not show to be one.
    door: str
    via: str
    operation: str
    result: str
    #: What it was about: words of a selection, hosts, a digest, a message, numbers.
    about: Mapping[str, Any] = field(default_factory=dict)
    #: Why it was refused, or failed.
    why: str = ""
    #: Where the farm has rights: who that is to them, and of a refusal by them the verb.
    known_as: Sequence[str] = ()
    verb: str = ""


class Audit:
    """Appends; any thread may. Trouble with the file is told by `trouble`, and raises nothing."""

    def __init__(
        self, path: Path, now: Callable[[], float] = time.time, most_bytes: int = MOST_BYTES, kept: int = KEPT
    ) -> None:
        self.path, self._now = path, now
        self._lock = threading.Lock()
        #: For whoever must not wait for the disk.
        self.thread = ThreadPoolExecutor(1, thread_name_prefix="audit")
        self._file = ChainedFile(path, now, most_bytes, kept)
        self._missed, self._since, self._why = 0, 0.0, ""
        self._window = 0.0
        #: Refusals of this window, by who it was, and those that were not written, by all that they have in common.
        self._refused: dict[Hashable, int] = {}
        self._held_back: dict[tuple[Any, ...], list[Any]] = {}
        self._timer: Optional[threading.Timer] = None
        with self._lock:
            try:
                self._file.open()
            except OSError as error:
                self._lacks(error, 0)
                logger.error("the audit file %s can't be written: %s", path, self._why)

    def note(self, entry: Entry) -> None:
        """Write it, or count it among too many refusals; on the disk when this returns."""
        with self._lock:
            now = self._now()
            if now - self._window >= WINDOW_S:
                self._next_window(now)
            if entry.result == REFUSED:
                if self._too_many(entry):
                    self._hold_back(entry, now)
                    return
            self._write([_fields(entry, now)])

    @property
    def trouble(self) -> str:
        """Why changes are not in the file, as a sentence; empty: all are."""
        if not self._why:
            return ""
        since = times.clock(self._since)
        return (
            f"{self.path} has not been writable since {since} ({self._why}); changes and refusals since then ({self._missed}) are "
            "in the daemon's log alone"
        )

    def close(self) -> None:
        """Write what was held back, and no more."""
        with self._lock:
            self._next_window(self._now())
            self._file.close()

    # ------------------------------------------------------------------ too many refusals

    def _too_many(self, entry: Entry) -> bool:
        """Count it; whether there were as many in this window that it is not written by itself."""
        known = entry.uid >= 0 or bool(entry.user)
        network = "" if known else network_of(entry.via.split(",")[0])
        who: Hashable = entry.uid if entry.uid >= 0 else (entry.door, entry.user, network)
        whose = [(who, MOST_REFUSALS), *([] if known else [("", MOST_UNKNOWN)])]
        over = any(self._refused.get(one, 0) >= most for one, most in whose)
        # what is over already makes no new count: who comes from many networks fills nothing
        for one, _ in whose if not over else ():
            self._refused[one] = self._refused.get(one, 0) + 1
        return over

    def _hold_back(self, entry: Entry, now: float) -> None:
        key: tuple[Any, ...] = (entry.user, entry.uid, entry.gid, entry.door, entry.via, entry.operation)
        if key not in self._held_back and len(self._held_back) >= MOST_KINDS:
            key, entry = (), Entry("", -1, -1, -1, "", "", "other", REFUSED, why="many kinds of refusals")
        held = self._held_back.setdefault(key, [now, 0, entry])
        held[1], held[2] = held[1] + entry.about.get("count", 1), entry
        if self._timer is None:
            self._timer = threading.Timer(WINDOW_S, self._time_is_over)
            self._timer.daemon = True
            self._timer.start()

    def _time_is_over(self) -> None:
        with self._lock:
            self._timer = None
            self._next_window(self._now())

    def _next_window(self, now: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        rows = [
            {**_fields(entry, now), "count": count, "since": times.iso(since)}
            for since, count, entry in self._held_back.values()
        ]
        self._window, self._refused, self._held_back = now, {}, {}
        if rows:
            self._write(rows)

    # ------------------------------------------------------------------ the file

    def _write(self, rows: Sequence[Mapping[str, Any]]) -> None:
        try:
            self._file.write([*self._gap(), *rows])
        except OSError as error:
            self._lacks(error, len(rows))
            for row in rows:
                logger.error("not in the audit file: %s", line_of(row))
            return
        if self._why:
            logger.warning("%s can be written again; it lacks %d lines, which are in this log", self.path, self._missed)
        self._missed, self._since, self._why = 0, 0.0, ""

    def _gap(self) -> list[Mapping[str, Any]]:
        if not self._missed:
            return []
        fields = {"time": times.iso(self._now()), "operation": "audit", "result": FAILED, "why": self._why}
        return [{**fields, "count": self._missed, "since": times.iso(self._since)}]

    def _lacks(self, error: OSError, count: int) -> None:
        self._missed += count
        self._since = self._since or self._now()
        self._why = error.strerror or str(error)
        self._file.close()


def _fields(entry: Entry, now: float) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "time": times.iso(now),
        "user": entry.user,
        "uid": entry.uid,
        "gid": entry.gid,
        "pid": entry.pid,
    }
    fields.update(
        door=entry.door, via=entry.via, operation=entry.operation, result=entry.result, **entry.about, why=entry.why
    )
    fields.update(known_as=entry.known_as, verb=entry.verb)
    return {name: _bounded(value) for name, value in fields.items() if value not in ("", None, [], ())}


def _bounded(value: Any, most: int = MOST_TEXT) -> Any:
    if isinstance(value, str):
        return value if len(value) <= most else f"{value[: most - 3]}..."
    if isinstance(value, (list, tuple)):
        more = len(value) - MOST_WORDS
        return [
            *(_bounded(one, MOST_WORD) for one in value[:MOST_WORDS]),
            *([f"... and {more} more"] if more > 0 else []),
        ]
    return value
