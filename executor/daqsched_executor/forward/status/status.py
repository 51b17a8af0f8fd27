"""What the forwarder says about itself: its counts, in two files and a line now and then, and its warnings."""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import TextIO

from ...contract.forwarding import DEAD_LETTER_FILE
from ...out import say
from ..disk.replace import replace
from . import last_end
from .report import clock, metrics
from .sd_notify import Notifier

#: The same warning is made this often at most.
WARN_EVERY_S = 30.0

#: How often a line with the counts is printed and the status file is written, where something changed.
PRINT_EVERY_S = 30.0
WRITE_EVERY_S = 2.0

#: Why the process before ended is reported until this one has run for so long, in which Elasticsearch took lines.
WELL_S = 600.0


@dataclass(frozen=True)
class Counts:
    """Lines since this spool was made; ``read = stored + duplicates + dead + dropped + under_way`` holds at any time."""

    read: int = 0
    stored: int = 0
    #: Those that a former attempt had stored already.
    duplicates: int = 0
    #: Those that Elasticsearch refused in their full form.
    dead: int = 0
    #: Of these, those that are kept in ``deadletter.ndjson`` here, and those for which there was no room left in it.
    dead_here: int = 0
    dead_lost: int = 0
    #: Those that were dropped because the disk limit was reached, and those that were lost after they had been read.
    dropped: int = 0
    #: Of these, those that were lost.
    lost: int = 0
    #: How often something was lost that can't be read any more, and how many bytes that were, at least.
    losses: int = 0
    lost_bytes: int = 0
    #: Those that have no reply yet.
    under_way: int = 0
    #: Requests that had to be made again, since this process began.
    retries: int = 0
    #: Messages that others sent and that the kernel or a full disk dropped before they were read, since then.
    not_received: int = 0
    #: What was not read yet, in bytes, and since when the oldest of it waits (seconds since the epoch, 0: nothing waits).
    waiting_bytes: int = 0
    waiting_since: float = 0.0


#: A trouble that nobody warned of for so long is over.
OVER_S = 2 * WARN_EVERY_S

#: What is said of Elasticsearch while it takes no lines: over as soon as it has stored some.
ELASTIC = ("unreachable", "busy", "request", "items", "reply")


class Warnings:
    """One clear sentence per trouble on stderr, and not again for a while; notes, too, once. Called by any thread."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._last: dict[str, float] = {}
        self._lock = threading.Lock()
        #: By trouble: when it began (seconds since the epoch), when (monotonic) it was last met, and the sentence.
        self._troubles: dict[str, tuple[float, float, str]] = {}
        self._noted: set[str] = set()
        #: How many lines were printed: they come back as lines to forward.
        self.printed = 0

    def __call__(self, about: str, sentence: str) -> None:
        """``about`` names the trouble: two sentences about the same count as one."""
        now = time.monotonic()
        with self._lock:
            since = self._troubles[about][0] if about in self._troubles else time.time()
            self._troubles[about] = since, now, sentence
            if now - self._last.get(about, -WARN_EVERY_S) >= WARN_EVERY_S:
                self._last[about] = now
                self._print(sentence)

    def note(self, about: str, sentence: str) -> None:
        """What is so and no trouble: printed once."""
        with self._lock:
            if about not in self._noted:
                self._noted.add(about)
                self._print(sentence)

    def _print(self, sentence: str) -> None:
        self.printed += 1
        with contextlib.suppress(OSError):  # the file that it goes to may be on the full disk
            say(f"daqsched-executor forward: {sentence}", file=self._out)

    def stored(self) -> None:
        """Elasticsearch takes lines: what was said of it is over."""
        if self._troubles:
            with self._lock:
                for about in ELASTIC:
                    self._troubles.pop(about, None)

    def troubles(self) -> list[dict[str, object]]:
        """What is wrong at present, the oldest first: ``about``, ``since`` (seconds since the epoch), ``sentence``."""
        now = time.monotonic()
        with self._lock:
            # requests to Elasticsearch become ever more seldom while it is away
            for about, (_, met, _) in list(self._troubles.items()):
                if about not in ELASTIC and now - met > OVER_S:
                    del self._troubles[about]
            found = sorted((since, about, sentence) for about, (since, _, sentence) in self._troubles.items())
        return [{"about": about, "since": since, "sentence": sentence} for since, about, sentence in found]


class Status:
    """The counts, for people on stdout, for programs in ``forward/status.json``, for Prometheus in ``forward/metrics.prom``; and
    what is wrong, for whoever listens to the `Notifier`."""

    def __init__(
        self,
        folder: str,
        counts: Callable[[], Counts],
        warnings: Warnings,
        notifier: Notifier,
        lost: Callable[[], Mapping[str, object]] = dict,
    ) -> None:
        """``lost``: what was lost, by reason (`Ledger.lost`)."""
        self._folder = folder
        self._lost = lost
        self._last_end = last_end.read(folder)
        #: Since when (monotonic) it has run well.
        self._well_since: float | None = None
        self._notifier = notifier
        self._counts = counts
        self._warnings = warnings
        self._printed_lines = 0
        self._printed = counts()
        self._written: object = None
        self._next_write = 0.0
        self._next_print = time.monotonic() + PRINT_EVERY_S

    def show(self, now: float) -> None:
        """Print and write if it is time and something changed (``now`` is monotonic)."""
        if now >= self._next_write:
            self._next_write = now + WRITE_EVERY_S
            self._forget_last_end(now)
            self._notifier.send(now, self._words())
            if self._written != (self._counts(), self._warnings.troubles(), self._last_end):
                self.write()
        if now >= self._next_print:
            self._next_print = now + PRINT_EVERY_S
            self._print()

    def _words(self) -> str:
        """What a crew must know of it, in short; empty: all is well."""
        end, kept = self._last_end, self._counts().dead_here
        told = [f"ended at {clock(end['time'])} because {end['sentence']}"] if end else []
        told += [f"{kept:,} refused lines are on this machine alone ({DEAD_LETTER_FILE})"] if kept else []
        return "; ".join([*told, *(str(one["sentence"]) for one in self._warnings.troubles()[:1])])

    def _forget_last_end(self, now: float) -> None:
        if self._last_end is None:
            return
        if self._well_since is None or any(one["about"] in ELASTIC for one in self._warnings.troubles()):
            self._well_since = now
        elif now - self._well_since >= WELL_S:
            self._last_end = None
            last_end.forget(self._folder)

    def write(self) -> None:
        """Replace both files."""
        counts, troubles = self._counts(), self._warnings.troubles()
        state = {**asdict(counts), "pid": os.getpid(), "time": time.time(), "troubles": troubles}
        state["lost_because"] = dict(self._lost())
        state["last_end"] = self._last_end
        state["trouble_since"] = next((one["since"] for one in troubles if one["about"] in ELASTIC), 0.0)
        spool = os.path.dirname(self._folder)
        for name, text in (("status.json", json.dumps(state)), ("metrics.prom", metrics(state, spool))):
            path = os.path.join(self._folder, name)
            try:
                replace(path, text.encode(), mode=0o644)
            except OSError as error:
                self._warnings("status", f"cannot write {path}: {error}")
        self._written = counts, troubles, self._last_end

    def _print(self) -> None:
        """One line with the counts, unless nothing was forwarded but our own lines since the last one."""
        counts, last = self._counts(), self._printed
        own = self._warnings.printed + self._printed_lines
        seldom = (counts.dead, counts.dropped, counts.retries)
        if counts.read - last.read <= own and seldom == (last.dead, last.dropped, last.retries):
            return
        with contextlib.suppress(OSError):
            say(
                f"read {counts.read}, stored {counts.stored}, duplicates {counts.duplicates}, dead {counts.dead}, "
                f"dropped {counts.dropped}, under way {counts.under_way}, waiting {counts.waiting_bytes} bytes"
            )
        self._printed = counts
        self._printed_lines = 1
        self._warnings.printed = 0
