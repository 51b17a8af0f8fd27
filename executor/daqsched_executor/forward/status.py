"""What the forwarder says about itself: counts, complaints, and the lines that Elasticsearch took in no form."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TextIO

#: The same complaint is made this often at most.
COMPLAIN_EVERY_S = 30.0

#: How often a line with the counts is printed and the status file is written, where something changed.
PRINT_EVERY_S = 30.0
WRITE_EVERY_S = 2.0


@dataclass(frozen=True)
class Counts:
    """Lines since this spool was made; ``read = stored + duplicates + dead + dropped + under_way`` holds at any time."""

    read: int = 0
    stored: int = 0
    #: Those that a former attempt had stored already.
    duplicates: int = 0
    #: Those that Elasticsearch refused in their full form.
    dead: int = 0
    #: Those that were given up, for want of disk.
    dropped: int = 0
    #: Those that have no reply yet.
    under_way: int = 0
    #: Requests that had to be made again, since this process began.
    retries: int = 0
    #: What was not read yet, in bytes, and since when the oldest of it waits (seconds since the epoch, 0: nothing waits).
    waiting_bytes: int = 0
    waiting_since: float = 0.0


class Complaints:
    """One clear sentence per trouble on stderr, and not again for a while; called by any thread."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._last: dict[str, float] = {}
        self._lock = threading.Lock()
        #: How many lines were printed: they come back as lines to forward.
        self.printed = 0

    def __call__(self, about: str, sentence: str) -> None:
        """``about`` names the trouble: two sentences about the same count as one."""
        now = time.monotonic()
        with self._lock:
            if now - self._last.get(about, -COMPLAIN_EVERY_S) >= COMPLAIN_EVERY_S:
                self._last[about] = now
                self.printed += 1
                print(f"daqsched-executor forward: {sentence}", file=self._out, flush=True)


class Status:
    """The counts, for people on stdout and for programs in ``forward/status.json``."""

    def __init__(self, folder: str, counts: Callable[[], Counts], complaints: Complaints) -> None:
        self._path = os.path.join(folder, "status.json")
        self._counts = counts
        self._complaints = complaints
        self._printed_lines = 0
        self._printed = counts()
        self._written: Counts | None = None
        self._next_write = 0.0
        self._next_print = time.monotonic() + PRINT_EVERY_S

    def show(self, now: float) -> None:
        """Print and write if it is time and something changed (``now`` is monotonic)."""
        if now >= self._next_write:
            self._next_write = now + WRITE_EVERY_S
            if self._written != self._counts():
                self.write()
        if now >= self._next_print:
            self._next_print = now + PRINT_EVERY_S
            self._print()

    def write(self) -> None:
        """Replace the status file."""
        counts = self._counts()
        state = {**asdict(counts), "pid": os.getpid(), "time": time.time()}
        fresh = self._path + ".new"
        try:
            with open(fresh, "w") as file:
                json.dump(state, file)
            os.rename(fresh, self._path)
        except OSError as error:
            self._complaints("status", f"cannot write {self._path}: {error}")
        self._written = counts

    def _print(self) -> None:
        """One line with the counts, unless nothing was forwarded but our own lines since the last one."""
        counts, last = self._counts(), self._printed
        own = self._complaints.printed + self._printed_lines
        seldom = (counts.dead, counts.dropped, counts.retries)
        if counts.read - last.read <= own and seldom == (last.dead, last.dropped, last.retries):
            return
        print(
            f"read {counts.read}, stored {counts.stored}, duplicates {counts.duplicates}, dead {counts.dead}, "
            f"dropped {counts.dropped}, under way {counts.under_way}, waiting {counts.waiting_bytes} bytes",
            flush=True,
        )
        self._printed = counts
        self._printed_lines = 1
        self._complaints.printed = 0


class DeadLetters:
    """A file of lines that Elasticsearch took in no form; called by any thread."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._lock = threading.Lock()

    def keep(self, index: str, document: bytes, reason: str) -> None:
        """Append one as a JSON object with the index, the id, the document and the reason; on the disk when it returns."""
        action, source = document.split(b"\n", 2)[:2]
        row = {
            "index": index,
            "id": json.loads(action)["create"]["_id"],
            "reason": reason,
            "document": json.loads(source),
        }
        with self._lock, open(self.path, "ab") as file:
            file.write(json.dumps(row).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
