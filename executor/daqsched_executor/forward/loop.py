"""The forwarder at work: one thread reads and plans, three send, one stores what was refused.

The reading thread looks at all files ten times a second and makes batches of what is new. It keeps one batch more than
there are senders, so a slow Elasticsearch costs memory for four bodies, and all other lines wait in their files.
"""

from __future__ import annotations

import os
import queue
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from ..contract import Forwarding
from ..contract.forwarding import DEAD_LETTER_FILE
from .delivery.connection import Connection, Keys, addresses
from .delivery.dead_letter_file import DeadLetterFile
from .delivery.elastic import Answers, Elastic, Outcome
from .documents.batch import Batch
from .inputs import inputs_of
from .journal.journal import Journal
from .status.sd_notify import Notifier
from .status.status import Counts, Status, Warnings
from .status.threads import start
from .streams.reader import Reader

#: How often files are looked at while nothing else happens.
LOOK_EVERY_S = 0.1

#: How many requests may be under way. Two leave a server of two cores idle for some percent of the time, while it writes to
#: its disk; more than three gain nothing there.
SENDERS = 3

#: So many batches may wait for their refused lines to be dead letters while others are sent: these go together.
MOST_DEAD_LETTERS = 8

#: After SIGTERM, how long lines that were read may take to be stored. They are in the journal anyway.
FLUSH_S = 4.0


class Forwarder:
    """One machine's forwarder, from start to SIGTERM."""

    def __init__(self, config: Forwarding, folder: str) -> None:
        """``folder`` is the forwarder's own in ``config.spool``, see `spool.prepare`; its lock must be ours already."""
        self._config = config
        self._folder = folder
        self._warnings = Warnings(sys.stderr)
        journal = Journal(os.path.join(folder, "journal"))
        inputs = inputs_of(config, folder, journal.positions, self._warnings)
        self._reader = Reader(config, journal, self._warnings, inputs)
        self._retries = 0
        self._dead_letters = DeadLetterFile(os.path.join(folder, DEAD_LETTER_FILE), self._warnings)
        self._notifier = Notifier(os.environ)
        self._status = Status(folder, self.counts, self._warnings, self._notifier, lambda: journal.lost)
        self._nodes = addresses(config.elasticsearch)
        self._todo: queue.Queue[Batch] = queue.Queue()
        #: Outcomes whose refused lines are still to be stored as dead letters.
        self._refused: queue.SimpleQueue[Outcome] = queue.SimpleQueue()
        #: Outcomes of batches; None wakes the reading thread up.
        self._done: queue.SimpleQueue[Outcome | None] = queue.SimpleQueue()
        self._give_up, self._answers = threading.Event(), Answers()
        self._stopping = False

    def stop(self) -> None:
        """Come to an end soon; may be called by a signal handler."""
        self._stopping = True
        self._done.put(None)

    def counts(self) -> Counts:
        """What is so now."""
        journal = self._reader.journal
        since = self._reader.waits_since()
        return Counts(
            **vars(journal.totals),
            under_way=journal.under_way,
            lost=sum(lost.lines for lost in journal.lost.values()),
            losses=sum(lost.times for lost in journal.lost.values()),
            lost_bytes=sum(lost.size for lost in journal.lost.values()),
            retries=self._retries,
            dead_here=self._dead_letters.letters,
            dead_lost=self._dead_letters.lost,
            not_received=self._reader.lost,
            waiting_bytes=self._reader.waiting(),
            waiting_since=since / 1e6 if since is not None else 0.0,
        )

    def run(self) -> None:
        """Forward until `stop`."""
        for at in range(SENDERS):
            start(f"sender {at + 1}", partial(self._deliver, self._send, at), self._folder)
        start("dead letters", partial(self._deliver, self._store_dead_letters, SENDERS), self._folder)
        for batch in self._reader.again():
            self._hand_over(batch)
        next_look = 0.0
        while not self._stopping:
            now = time.monotonic()
            if now >= next_look:
                self._reader.look()
                next_look = now + LOOK_EVERY_S
                if self._config.until_empty and self._reader.empty(os.environ.get("DAQSCHED_TASK_ID", "")):
                    break
            if not self._fill():
                self._settle(max(0.0, next_look - time.monotonic()))
            self._status.show(now)
        self._finish()

    def _fill(self) -> bool:
        """Make one more batch, if a sender can use it soon and there is something to send."""
        if self._todo.qsize() or self._reader.under_way > SENDERS + MOST_DEAD_LETTERS:
            return False
        batch = self._reader.next()
        if batch is None:
            return False
        self._hand_over(batch)
        return True

    def _hand_over(self, batch: Batch) -> None:
        self._todo.put(batch)

    def _settle(self, timeout_s: float) -> None:
        """Wait for an outcome, or for the next look's time, and record all outcomes that are there."""
        try:
            outcome = self._done.get(timeout=timeout_s)
            while True:
                if outcome is not None:
                    self._came_back(outcome)
                outcome = self._done.get_nowait()
        except queue.Empty:
            pass

    def _came_back(self, outcome: Outcome) -> None:
        if outcome.complete:
            self._warnings.stored()
            self._reader.came_back(outcome.number, outcome.stored, outcome.duplicates, outcome.dead)
        else:
            self._reader.gave_up(outcome.number)
        self._retries += outcome.retries

    def _finish(self) -> None:
        """Store what is there, as far as a few seconds allow; what is left is in the journal and the files."""
        until = time.monotonic() + FLUSH_S
        self._reader.close_inputs()
        self._reader.look()
        while time.monotonic() < until:
            if not self._fill():
                if not self._reader.under_way:
                    break
                self._settle(0.05)
        self._give_up.set()
        self._status.write()
        self._notifier.close()
        self._reader.close()

    def _deliver(self, work: Callable[[Elastic], None], at: int) -> None:
        """A thread's work, with a connection of its own."""
        connection = Connection(self._nodes, Keys(self._config.access, self._warnings), first=at)
        keep = self._dead_letters.keep
        warn, note = self._warnings, self._warnings.note
        work(Elastic(connection, self._config.index, warn, note, self._give_up, keep, self._answers))

    def _send(self, elastic: Elastic) -> None:
        """Batches in, outcomes out."""
        if not elastic.install_templates():
            return
        while True:
            batch = self._todo.get()
            if self._give_up.is_set():
                return
            # there is room for another one
            self._done.put(None)
            outcome = elastic.deliver(batch)
            (self._refused if outcome.refused else self._done).put(outcome)

    def _store_dead_letters(self, elastic: Elastic) -> None:
        """What others left to be stored as dead letters, all that is there together."""
        installed = False
        while True:
            outcomes = [self._refused.get()]
            with suppress(queue.Empty):
                while True:
                    outcomes.append(self._refused.get_nowait())
            installed = installed or elastic.install_templates()
            kept = installed and elastic.store_dead_letters([one for outcome in outcomes for one in outcome.refused])
            for outcome in outcomes:
                self._done.put(outcome if kept else Outcome(outcome.number, False, retries=outcome.retries))
