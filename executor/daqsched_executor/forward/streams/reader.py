"""From files to planned batches: the streams, the journal, and what has no reply yet, owned by one thread.

A batch leaves here only after its plan is on the disk, and a stream leaves only after every batch with its lines has
come back. All that decides whether a line is stored once is in this module, in `journal`, `batch_builder` and `replay`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from typing import Union

from ...contract import Forwarding
from ..documents.batch import BODY, Batch, Documents
from ..documents.record import index_of
from ..journal.journal import Journal
from ..journal.marks import Mark, Marks
from ..journal.position import Drop, Loss, Plan
from .backlog import MOST_BACKLOGS, backlog_from
from .batch_builder import BatchBuilder
from .disk_limit import DiskLimit
from .losses import Losses, Warn
from .replay import Replay
from .run_number import RunNumber
from .source import Cursor, Source
from .spool import Input, Spool, of_farm

#: A clock that was set back by less than this keeps its lines in order by going on from the latest time.
CLOCK_BACK_MICROS = 60_000_000

#: Of so many batches one begins with backlog, also where new lines alone would fill it.
CATCH_UP_EVERY = 4

#: The times of what waits are noted this often.
NOTE_EVERY_S = 10.0

#: So long before a stream was registered its lines can have been printed at most: an index follows from that time, and
#: whoever owns the file may give it any date.
OLDEST_MICROS = 86_400_000_000

#: So many documents of what was dropped or lost go with one batch.
MOST_REPORTED = 500


class Reader:
    """Makes batches of what is new in a spool's streams."""

    def __init__(self, config: Forwarding, journal: Journal, warn: Warn, inputs: Sequence[Input] = ()) -> None:
        self.journal = journal
        self._config = config
        self._spool = Spool(config.spool, journal.positions, warn, inputs)
        self._warn = warn
        self._run = RunNumber(config.run_file, warn)
        self._disk = DiskLimit(config, journal, self._spool.sources, warn)
        self._losses = Losses(journal, self._spool, warn, self._disk.why)
        #: The numbers of batches that were handed out and have not come back.
        self._out: set[int] = set()
        #: All streams; those at the front are read first.
        self._rotation: list[Source] = []
        self._turn = 0
        self._next_note = 0.0
        self._seen = journal.micros
        self._noted: dict[str, list[Mark]] = dict(journal.marks)
        self._discover()
        self._disk.resume()
        for stream in list(journal.positions):
            if not self._spool.knows(stream) and not any(
                stream in _streams(plan) for plan in journal.outstanding.values()
            ):
                self._losses.record(journal.forget, stream)

    @property
    def under_way(self) -> int:
        """How many batches were handed out and have not come back."""
        return len(self._out)

    def waiting(self) -> int:
        """How many bytes of the streams have not been read."""
        return sum(source.waiting for source in self._spool.sources.values())

    @property
    def lost(self) -> int:
        """How many messages were lost before they were in a stream, see `spool.Input`."""
        return self._spool.lost

    def waits_since(self) -> int | None:
        """When the oldest of them were seen, in microseconds since the epoch; None: nothing waits."""
        times = (source.waits_since for source in self._spool.sources.values())
        return min((micros for micros in times if micros is not None), default=None)

    def empty(self, but: str) -> bool:
        """Whether no stream is left but those of this task, of which all is stored. Another farm's on the machine don't count
        while somebody writes to them: its forwarder stands by until our end, and goes on with them."""
        sources = self._spool.sources.values()
        is_mine = of_farm([one.stream for one in sources], but)
        theirs = {one.stream.id: one for one in sources if not is_mine(one.stream)}
        if any(one.stream.task_id != but or one.waiting for one in sources if one.stream.id not in theirs):
            return False
        if any(not theirs.keys() >= set(_streams(plan) or [""]) for plan in self.journal.outstanding.values()):
            return False
        return all(one.is_written() for one in theirs.values())

    def look(self) -> None:
        """See what changed in the files, and take away the streams that have ended."""
        now = time.monotonic()
        try:
            self._discover()
        except OSError as error:
            self._warn("streams", f"cannot read the spool: {error}")
        for source, status in self._spool.look(now):
            self._grown(source, status, now)
        for source in self._spool.sources.values():
            if source.lost:
                self._losses.report_lost(source)
        for source in self._spool.ended(now):
            if not self._losses.unreported(source.stream.id) and self._spool.remove(source):
                self._rotation.remove(source)
                self._losses.record(self.journal.forget, source.stream.id)
        self._disk.tidy(now)
        if now >= self._next_note:
            self._next_note = now + NOTE_EVERY_S
            if self.journal.trouble:
                self._warn("damaged", self.journal.trouble)
            self.note()

    def again(self) -> Iterator[Batch]:
        """What was planned before a restart and has no reply."""
        for number, documents in Replay(self.journal, self._spool, self._losses, self._warn).batches():
            yield self._hand_out(number, documents)

    def next(self) -> Batch | None:
        """New lines of the streams in turn, up to a body's size; None where there are none (or no plan can be kept)."""
        draft = BatchBuilder(self._config.index, self._config.period)
        drops, losses = self.journal.drops[:MOST_REPORTED], self.journal.losses[:MOST_REPORTED]
        draft.tell(drops, losses, self._losses.documents(drops, losses))
        self._turn += 1
        passes = (self._read_fronts, self._read_left)
        for fill in passes if self._turn % CATCH_UP_EVERY else reversed(passes):
            if draft.room >= BODY // 64 or not draft.documents:
                fill(draft)
        if not draft.documents:
            return None
        try:
            number = self.journal.plan(
                draft.ranges,
                len(draft.documents),
                draft.latest,
                draft.drops,
                draft.index or self._index_of([*draft.drops, *draft.losses]),
                draft.losses,
            )
        except OSError as error:
            self._warn("journal", f"cannot write {self.journal.path}: {error}; lines wait on disk")
            self._disk.full()
            return None
        draft.move()
        return self._hand_out(number, draft.documents)

    def came_back(self, number: int, stored: int, duplicates: int, dead: int) -> None:
        """Each of a batch's lines is stored or dead-lettered."""
        self._left_us(number)
        self._losses.record(self.journal.done, number, stored, duplicates, dead)

    def gave_up(self, number: int) -> None:
        """A batch will be tried again by the next forwarder."""
        self._left_us(number)

    def note(self) -> None:
        """Keep the times of what waits."""
        marks = {stream: source.marks.all() if source.waiting else [] for stream, source in self._spool.sources.items()}
        changed = {stream: found for stream, found in marks.items() if found != self._noted.get(stream, [])}
        if changed:
            self._noted.update(changed)
            self._losses.record(self.journal.seen, changed)

    def close_inputs(self) -> None:
        """Nothing more comes in, but what is in the files."""
        self._spool.close()

    def close(self) -> None:
        """Leave a short journal behind."""
        self.note()
        self._losses.record(self.journal.compact)
        self.journal.close()

    # ------------------------------------------------------------------ reading

    def _read_fronts(self, draft: BatchBuilder) -> None:
        served = 0
        for source in self._rotation:
            served += 1
            if source.readable:
                if source.sparse and not source.foreign:
                    self._skip_hole(source)
                self._jump(source)
                self._read(source, source.front, draft)
            if draft.room < BODY // 64:
                break
        # Whoever was read comes last next time, so that a chatty stream does not keep the others waiting.
        if draft.documents:
            self._rotation = self._rotation[served:] + self._rotation[:served]

    def _read_left(self, draft: BatchBuilder) -> None:
        waiting = [source for source in self._rotation if source.backlog]
        for source in sorted(waiting, key=lambda source: source.waits_since or 0):
            self._read(source, source.backlog[0], draft)
            if draft.room < BODY // 64:
                break

    def _read(self, source: Source, cursor: Cursor, draft: BatchBuilder) -> None:
        try:
            draft.read(source, cursor)
        except OSError as error:
            self._warn(source.link, f"cannot read {source.instance}: {error}")
        except Exception as error:  # noqa: BLE001 - this stream waits, the others go on
            self._warn(source.link, _unread(source, error))

    def _skip_hole(self, source: Source) -> None:
        """A hole holds no line, and may be as long as nothing else on the disk."""
        before = source.front.position
        try:
            offset = source.next_data()
        except OSError:
            return  # a file system that knows no holes, or an error that the read will meet, too
        if offset > before.offset:
            self._losses.record(self.journal.place, source.stream.id, before._replace(offset=offset, cut=False))
            self._set_places(source)

    def _jump(self, source: Source) -> None:
        """Make backlog of what waits, if it is much and old."""
        try:
            to = backlog_from(source, time.time_ns() // 1000)
            if to is None:
                return
            # a forwarder that is killed must not give what waits a later time than what went before it
            self.journal.seen({source.stream.id: source.marks.all()})
            self.journal.jump(source.stream.id, to)
        except OSError as error:
            self._warn("jump", f"cannot leave what waits of {source.instance} for later: {error}")
            return
        self._set_places(source)

    # ------------------------------------------------------------------ streams and batches

    def _discover(self) -> None:
        for source in self._spool.discover(time.monotonic()):
            stream = source.stream.id
            if stream not in self.journal.positions:
                self._losses.record(self.journal.place, stream, source.front.position)
            source.marks = Marks(self.journal.marks.get(stream, ()))
            self._set_places(source)
            self._rotation.append(source)

    def _set_places(self, source: Source) -> None:
        stream = source.stream.id
        source.set_places(self.journal.positions[stream], self.journal.stretches.get(stream, ()))

    def _grown(self, source: Source, status: os.stat_result, now: float) -> None:
        """A file has another size than at the last look."""
        if status.st_size < source.front.position.offset:
            before = source.front.position.offset
            if source.waiting:
                self._losses.lose(
                    source.stream.id, source.generation, source.oldest.position.offset, source.waiting, "emptied"
                )
            self._losses.record(self.journal.place, source.stream.id, source.empty())
            self._warn(
                source.link,
                f"{source.instance}: somebody emptied its file, of which {before} bytes were read; going on from 0",
            )
        elif status.st_size < source.size:
            size = source.size - status.st_size
            self._losses.lose(source.stream.id, source.generation, status.st_size, size, "emptied", over=False)
        source.size, source.allocated, source.changed = status.st_size, 512 * status.st_blocks, now
        source.free_since, source.final = 0.0, False
        clock = time.time_ns() // 1000
        # After every mark before, also where the clock is not: lines are sorted by this time.
        micros = self._seen + 1 if clock <= self._seen < clock + CLOCK_BACK_MICROS else clock
        self._seen = micros
        if not source.looked:
            # it was printed while nobody looked
            micros = max(min(micros, _changed(source, status, micros)), source.marks.latest)
            source.looked = True
        ends = [cursor.end for cursor in source.backlog[-2 * MOST_BACKLOGS :] if cursor.end is not None]
        source.marks.see(status.st_size, micros, self._run.now(), ends)

    def _hand_out(self, number: int, documents: Documents) -> Batch:
        plan = self.journal.outstanding[number]
        self._out.add(number)
        for stream in _streams(plan) & self._spool.sources.keys():
            self._spool.sources[stream].under_way += 1
        return Batch(number, plan.target, documents)

    def _index_of(self, drops: Sequence[Union[Drop, Loss]]) -> str:
        """Where documents go that come without lines."""
        return index_of(self._config.index, drops[0].micros, self._config.period)

    def _left_us(self, number: int) -> None:
        self._out.remove(number)
        plan = self.journal.outstanding[number]
        for stream in _streams(plan) & self._spool.sources.keys():
            self._spool.sources[stream].under_way -= 1


def _changed(source: Source, status: os.stat_result, clock: int) -> int:
    """When the file was changed last, as far as that can be believed."""
    created = source.stream.created * 1e6
    known = created if 0 < created < clock else clock
    return max(status.st_mtime_ns // 1000, int(known) - OLDEST_MICROS)


def _unread(source: Source, error: Exception) -> str:
    """A form of ours fails beyond a single record, or an option of the registration is none."""
    where = f"byte {source.front.position.offset} of {source.link}"
    return (
        f"cannot make documents of {source.instance} at {where} ({type(error).__name__}: {error}): it waits, all other streams "
        "are forwarded; please report this"
    )


def _streams(plan: Plan) -> set[str]:
    """Those that the plan's documents are of."""
    return (
        {entry.stream for entry in plan.ranges}
        | {drop.stream for drop in plan.drops}
        | {loss.stream for loss in plan.losses}
    )
