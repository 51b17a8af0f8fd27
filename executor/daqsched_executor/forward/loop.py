"""The forwarder at work: one thread reads and plans, two send, and every line is stored once.

The reading thread owns the streams and the journal. It looks at all files ten times a second, makes a batch of
what is new, writes its plan down and hands it to a sender; while both senders are busy it makes one more batch at
most, so a slow Elasticsearch costs memory for three bodies, and the rest of the lines wait in their files.
"""

from __future__ import annotations

import os
import queue
import sys
import threading
import time
from collections.abc import Callable, Sequence

from .batch import BODY, Batch, Position, Range, encode
from .elastic import Address, Connection, Elastic, Outcome
from .journal import Journal
from .lines import CHUNK
from .record import Template, index_of
from .sources import Source, Spool
from .status import Complaints, Counts, DeadLetters, Status

#: How often files are looked at while nothing else happens.
LOOK_EVERY_S = 0.1

#: How many requests may be under way; more than two gain nothing on a small Elasticsearch.
SENDERS = 2

#: After SIGTERM, how long lines that were read may take to be stored. They are in the journal anyway.
FLUSH_S = 4.0

#: A clock that was set back by less than this keeps its lines in order by going on from the latest time.
CLOCK_BACK_MICROS = 60_000_000


class Forwarder:
    """One machine's forwarder, from start to SIGTERM."""

    def __init__(self, spool: str, nodes: Sequence[Address], prefix: str, user: str = "") -> None:
        self._folder = os.path.join(spool, "forward")
        os.makedirs(self._folder, exist_ok=True)
        self._complaints = Complaints(sys.stderr)
        self._journal = Journal(os.path.join(self._folder, "journal"))
        self._spool = Spool(spool, self._journal.positions, self._complaints)
        self._counts = Counts()
        self._status = Status(self._folder, self._counts, self._complaints)
        self._dead_letters = DeadLetters(os.path.join(self._folder, "deadletter.ndjson"))
        self._prefix = prefix
        self._nodes, self._user = nodes, user
        self._under_way: dict[int, tuple[Sequence[Range], int]] = {}
        self._rotation: list[Source] = []
        self._todo: queue.Queue[Batch | None] = queue.Queue()
        #: Outcomes of batches; None wakes the reading thread up.
        self._done: queue.SimpleQueue[Outcome | None] = queue.SimpleQueue()
        self._give_up = threading.Event()
        self._stopping = False

    def stop(self) -> None:
        """Come to an end soon; may be called by a signal handler."""
        self._stopping = True
        self._done.put(None)

    def run(self) -> None:
        """Forward until `stop`."""
        senders = [threading.Thread(target=self._send, args=(at,), daemon=True) for at in range(SENDERS)]
        for sender in senders:
            sender.start()
        self._discover()
        self._send_again()
        next_look = 0.0
        while not self._stopping:
            now = time.monotonic()
            if now >= next_look:
                self._look(now)
                next_look = now + LOOK_EVERY_S
            if not self._fill():
                self._settle(max(0.0, next_look - time.monotonic()))
            self._status.show(now, self._waiting_bytes)
        self._finish(senders)

    # -- reading -------------------------------------------------------------------------------------------------

    def _discover(self) -> None:
        for source in self._spool.discover(time.monotonic()):
            if source.stream.id not in self._journal.positions:
                self._place(source, source.position)
            self._rotation.append(source)

    def _look(self, now: float) -> None:
        """See what changed in the files, and take away the streams that have ended."""
        try:
            self._discover()
        except OSError as error:
            self._complaints("streams", f"cannot read the spool: {error}")
        for source in self._spool.look(now):
            before = source.position
            self._place(source, Position(before.generation + 1, 0))
            self._complaints(
                source.link,
                f"{source.instance}: its file was emptied by somebody at {before.offset} bytes or less; going on from 0",
            )
        for source in self._spool.ended(now):
            self._spool.remove(source)
            self._rotation.remove(source)
            self._record(self._journal.forget, source.stream.id)

    def _fill(self) -> bool:
        """Make one more batch, if a sender can use it and there is something to send."""
        if len(self._under_way) > SENDERS:
            return False
        micros = self._next_time()
        number, ranges, documents = self._gather(micros)
        if not documents:
            return False
        self._hand_over(number, ranges, documents)
        return True

    def _gather(self, micros: int) -> tuple[int, list[Range], list[bytes]]:
        """New lines of the streams in turn, up to a body's size, planned."""
        documents: list[bytes] = []
        room = BODY
        ranges = []
        served = 0
        for source in self._rotation:
            if not source.readable:
                served += 1
                continue
            position, added, size = self._encode(source, micros + len(documents), room, not documents)
            if added:
                start = source.position
                ranges.append(
                    Range(
                        source.stream.id,
                        position.generation,
                        start.offset,
                        position.offset,
                        start.cut,
                        position.cut,
                        micros + len(documents),
                    )
                )
                documents += added
                room -= size
            served += 1
            if room < BODY // 64:
                break
        if not documents:
            return 0, [], []
        # The stream that was read last comes last next time, so that a chatty one does not keep the others waiting.
        self._rotation = self._rotation[served:] + self._rotation[:served]
        try:
            number = self._journal.plan(ranges, micros + len(documents) - 1)
        except OSError as error:
            self._complaints("journal", f"cannot write {self._journal.path}: {error}; lines wait on disk")
            return 0, [], []
        for entry in ranges:
            source = self._spool.sources[entry.stream]
            source.move(self._journal.positions[entry.stream])
            source.under_way += 1
        return number, ranges, documents

    def _encode(self, source: Source, micros: int, room: int, first: bool) -> tuple[Position, list[bytes], int]:
        """Documents of one stream's new lines, where they end, and how large they are."""
        position = source.position
        documents: list[bytes] = []
        size = 0
        while room > size:
            try:
                chunk = source.read(position.offset)
            except OSError as error:
                self._complaints(source.link, f"cannot read {source.instance}: {error}")
                break
            made = encode(
                source.template,
                chunk,
                position,
                micros + len(documents),
                source.final,
                room - size,
                oversize=first and not documents,
            )
            if not made.documents:
                if not documents and first:
                    source.tried = max(source.tried, position.offset + len(chunk))
                break
            documents += made.documents
            size += made.size
            position = Position(position.generation, made.end, made.cut)
            if len(chunk) < CHUNK:
                break
        return position, documents, size

    def _next_time(self) -> int:
        """The time of the next line to be read, in microseconds: now, but after every line before it."""
        now, latest = time.time_ns() // 1000, self._journal.micros
        return latest + 1 if now <= latest < now + CLOCK_BACK_MICROS else now

    # -- sending -------------------------------------------------------------------------------------------------

    def _hand_over(self, number: int, ranges: Sequence[Range], documents: list[bytes]) -> None:
        self._counts.read += len(documents)
        self._counts.under_way += len(documents)
        self._under_way[number] = (ranges, len(documents))
        self._todo.put(Batch(number, index_of(self._prefix, ranges[0].micros), documents))

    def _send_again(self) -> None:
        """Hand over what was planned before a restart and has no reply: the same documents, to the same index."""
        for number, ranges in list(self._journal.outstanding.items()):
            documents: list[bytes] = []
            for entry in ranges:
                documents += self._again(entry)
            if documents:
                for entry in ranges:
                    if entry.stream in self._spool.sources:
                        self._spool.sources[entry.stream].under_way += 1
                self._hand_over(number, ranges, documents)
            else:
                self._record(self._journal.done, number)

    def _again(self, entry: Range) -> list[bytes]:
        source = self._spool.sources.get(entry.stream)
        if source is None or source.position.generation != entry.generation:
            self._complaints(
                entry.stream,
                f"bytes {entry.start} to {entry.end} of the stream {entry.stream} are gone; "
                "whether they were stored before the forwarder died is not known",
            )
            return []
        template = Template(source.stream, entry.generation)
        position = Position(entry.generation, entry.start, entry.cut)
        documents: list[bytes] = []
        final = False
        while position.offset < entry.end:
            chunk = source.read(position.offset)
            whole = chunk[: entry.end - position.offset]
            # A piece without newline is recognised by what follows it, so that is left in place.
            if b"\n" in whole:
                chunk = whole
            made = encode(template, chunk, position, entry.micros + len(documents), final, sys.maxsize)
            if not made.documents:
                if final:
                    break
                final = True
                continue
            documents += made.documents
            position = Position(entry.generation, made.end, made.cut)
        return documents

    def _send(self, at: int) -> None:
        """A sender thread: batches in, outcomes out."""
        elastic = Elastic(
            Connection(self._nodes, self._user, first=at), self._complaints, self._give_up, self._dead_letters.keep
        )
        if not elastic.install_template(self._prefix):
            return
        while True:
            batch = self._todo.get()
            if batch is None or self._give_up.is_set():
                return
            try:
                outcome = elastic.deliver(batch)
            except Exception as error:  # noqa: BLE001 - our bug: the lines are in the journal, and a restart sends them again
                self._complaints("bug", f"{type(error).__name__}: {error}")
                os._exit(70)
            self._done.put(outcome)

    def _settle(self, timeout_s: float) -> None:
        """Wait for an outcome, or for the next look's time, and record all outcomes that are there."""
        try:
            outcome = self._done.get(timeout=timeout_s)
            while True:
                if outcome is not None:
                    self._settled(outcome)
                outcome = self._done.get_nowait()
        except queue.Empty:
            pass

    def _settled(self, outcome: Outcome) -> None:
        ranges, lines = self._under_way.pop(outcome.number)
        self._counts.under_way -= lines
        if not outcome.complete:
            return
        self._counts.stored += outcome.stored
        self._counts.duplicates += outcome.duplicates
        self._counts.dead += outcome.dead
        self._counts.retries += outcome.retries
        self._record(self._journal.done, outcome.number)
        for entry in ranges:
            source = self._spool.sources.get(entry.stream)
            if source is not None:
                source.under_way -= 1

    def _finish(self, senders: Sequence[threading.Thread]) -> None:
        """Store what is there, as far as a few seconds allow; what is left is in the journal and the files."""
        until = time.monotonic() + FLUSH_S
        for source in self._spool.look(time.monotonic()):
            source.size = 0
        while time.monotonic() < until:
            if not self._fill() and not self._under_way:
                break
            self._settle(0.05)
        self._give_up.set()
        for _ in senders:
            self._todo.put(None)
        self._settle(0.0)
        self._status.write(self._waiting_bytes)
        self._record(self._journal.compact)
        self._journal.close()

    # -- small things --------------------------------------------------------------------------------------------

    @property
    def _waiting_bytes(self) -> int:
        return sum(source.waiting for source in self._spool.sources.values())

    def _place(self, source: Source, position: Position) -> None:
        source.move(position)
        self._record(self._journal.place, source.stream.id, position)

    def _record(self, write: Callable[..., None], *arguments: object) -> None:
        """Write to the journal what may be lost at the price of sending something twice to an index that dedupes."""
        try:
            write(*arguments)
        except OSError as error:
            self._complaints("journal", f"cannot write {self._journal.path}: {error}")
