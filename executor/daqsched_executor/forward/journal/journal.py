"""Where the forwarder has its place: a file of records that survives a kill at any moment.

Before a batch is sent its plan is on the disk (which bytes of which streams, and the time that their lines carry);
after the reply one short record says that it is done. What was planned and not done is sent again after a restart,
as the same documents to the same index, where a second copy of a line is refused by its id. So a line is read
at the latest plan's end, and nothing is read twice or skipped. The totals go with the same records: they are as exact.

Each record is a line: the CRC-32 of the text, a space, the text as JSON. A torn last record was never acted upon
and is left out. A damaged one, and what follows it, is not believed: the file is kept beside as ``journal.bad``, and the places
before it count. No line is lost by that; those that were sent since are read again, and where their day's index is another one
than at their first reading they are stored twice. The file is written anew, by rename, when it has grown. Room for that much is set
aside: on a full disk lines are still sent, for hours.
"""

from __future__ import annotations

import contextlib
import json
import os
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..disk.holes import preallocate
from .ledger import Ledger
from .marks import Mark
from .position import Drop, Loss, Position, Range

#: The file is written anew when it is larger than this, and than twice what it was when it was last written anew.
COMPACT_ABOVE = 256 * 1024

#: No journal of ours is larger.
MOST_BYTES = 256 * 1024 * 1024

#: What a damaged journal is kept as.
BAD = ".bad"

#: So much is set aside beyond that, for where the disk is full and it can't be written anew.
HEADROOM = 256 * 1024


class Journal(Ledger):
    """The positions of all streams and the batches under way; changed by one thread."""

    def __init__(self, path: str) -> None:
        """Read what is there, and begin a clean file."""
        super().__init__()
        self.path = path
        self._file = -1
        self._size = self._compact_size = 0
        #: The file ends with half a record that could not be taken back.
        self._torn = False
        #: Whether a part of the file that was found could not be believed.
        self.damaged = False
        whole = self._take_over()
        try:
            self.compact()
        except OSError:
            self._go_on(whole)

    def plan(
        self,
        ranges: Sequence[Range],
        lines: int,
        micros: int,
        drops: Sequence[Drop] = (),
        index: str = "",
        losses: Sequence[Loss] = (),
    ) -> int:
        """Put a batch on the disk before it is sent; its number. ``micros`` is the latest time of its lines.

        Raises OSError (a full disk), and then the batch must not be sent.
        """
        number = self._number + 1
        record: dict[str, object] = {"plan": number, "ranges": ranges, "lines": lines, "micros": micros}
        record["index"] = index
        if drops:
            record["drops"] = drops
        if losses:
            record["told_losses"] = losses
        self._append(record, sync=True)
        return number

    def part(self, number: int, aside: Sequence[Range]) -> None:
        """Make these ranges of a batch one of their own, which comes back later. Raises OSError, and then they are not."""
        plan, lines = self.outstanding[number], sum(entry.lines for entry in aside)
        kept = [entry for entry in plan.ranges if entry not in aside]
        rest = {"again": self._number + 1, "ranges": aside, "lines": lines, "index": plan.target}
        record = {"again": number, "ranges": kept, "lines": plan.lines - lines, "index": plan.target, "rest": rest}
        self._append({**record, "drops": plan.drops, "told_losses": plan.losses}, sync=True)

    def done(self, number: int, stored: int = 0, duplicates: int = 0, dead: int = 0) -> None:
        """Each line of the batch is stored or dead-lettered; one that is neither could not be read again.

        Not synced: should the record be lost with the machine's power, the batch is sent again and dedupes.
        """
        self._note({"done": number, "as": [stored, duplicates, dead]}, sync=False)
        if self._size > max(COMPACT_ABOVE, 2 * self._compact_size):
            self.compact()

    def place(self, stream: str, position: Position) -> None:
        """The stream goes on from there, for a reason that no plan has: it is new, or its file was emptied."""
        self._note({"place": stream, "position": position}, sync=True)

    def jump(self, stream: str, offset: int) -> None:
        """What lies before ``offset``, where a line begins, is backlog. Raises OSError, and then it is not."""
        self._append({"jump": stream, "to": offset}, sync=True)

    def drop(self, drop: Drop) -> None:
        """Lines are dropped. Raises OSError, and then they are not."""
        self._append({"drop": drop}, sync=True)

    def squeeze(self, drop: Drop) -> None:
        """Drop some of the lines between two bytes: the others are written to their end, and then `squeezed` is called.

        Raises OSError, and then nothing was dropped.
        """
        self._append({"squeeze": drop}, sync=True)

    def squeezed(self) -> None:
        """What `squeeze` did not drop is where it belongs, on the disk."""
        self._append({"squeezed": True}, sync=True)

    def lose(self, loss: Loss, over: bool, tell: bool) -> None:
        """Something is lost; ``over``: all of the stream's backlog, too; ``tell``: a document can report it."""
        self._note({"lost": loss, "over": over, "tell": tell}, sync=True)

    def seen(self, marks: Mapping[str, Sequence[Mark]]) -> None:
        """The times of what waits: without them lines are as late as the next forwarder finds them."""
        self._note({"marks": marks}, sync=False)

    def forget(self, stream: str) -> None:
        """The stream has ended and its registration is gone."""
        self._note({"forget": stream}, sync=False)

    def sync(self) -> None:
        """Whatever was noted is on the disk when this returns. Raises OSError."""
        os.fdatasync(self._file)

    def compact(self) -> None:
        """Write the present state as a new file that replaces the old one."""
        text = b"".join(map(_row, self.snapshot()))
        fresh = self.path + ".new"
        file = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            _write(file, text)
            with contextlib.suppress(OSError):  # a file system without that, or a full one
                preallocate(file, max(COMPACT_ABOVE, 2 * len(text)) + HEADROOM)
            os.fsync(file)
            os.rename(fresh, self.path)
            _sync_folder(os.path.dirname(self.path))
        except OSError:
            os.close(file)
            with contextlib.suppress(OSError):
                os.unlink(fresh)
            raise
        self.close()
        self._file, self._size, self._torn = file, len(text), False
        self._compact_size = len(text)

    def close(self) -> None:
        """Let go of the file."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    @property
    def trouble(self) -> str:
        """A sentence where a damaged journal is kept; it is over when somebody has taken that away."""
        bad = self.path + BAD
        if not os.path.exists(bad):
            return ""
        return (
            "a part of the journal could not be read; the lines that it told of were read again: none is lost, some may be "
            f"stored twice; look at {bad}, and remove it"
        )

    # ------------------------------------------------------------------ reading

    def _take_over(self) -> int:
        """Take over what is there and can be believed; where that ends."""
        try:
            with open(self.path, "rb") as file:
                data = file.read(MOST_BYTES)
        except FileNotFoundError:
            return 0
        records = list(_records(data))
        for at, (record, _) in enumerate(records):
            try:
                self.apply(record)
            except (LookupError, TypeError, ValueError, AttributeError, OverflowError):
                # what it changed already is not to be trusted either
                del records[at:]
                Ledger.__init__(self)
                for before, _ in records:
                    self.apply(before)
                break
        whole = records[-1][1] if records else 0
        # half a record at the end is what a kill leaves, and zeros are what a power cut does
        self.damaged = b"\n" in data[whole:].strip(b"\0")
        if self.damaged:
            self._keep_beside()
        return whole

    def _keep_beside(self) -> None:
        """The file as it was found stays beside the new one, for people; without room for a name it goes."""
        with contextlib.suppress(OSError):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.path + BAD)
            os.link(self.path, self.path + BAD)

    # ------------------------------------------------------------------ writing

    def _go_on(self, whole: int) -> None:
        """No new file can be written: the old one goes on behind its last whole record, if there is one."""
        try:
            self._file, self._size = os.open(self.path, os.O_RDWR | os.O_CLOEXEC), whole
            if os.fstat(self._file).st_size > whole:  # this takes the room that is set aside
                os.ftruncate(self._file, whole)
            os.lseek(self._file, whole, os.SEEK_SET)
        except OSError:
            self._torn = True

    def _append(self, record: dict[str, object], sync: bool) -> None:
        if self._torn:
            self.compact()
        row = _row(record)
        try:
            _write(self._file, row)
            if sync:
                os.fdatasync(self._file)
        except OSError:
            self._tear_off()
            raise
        self._size += len(row)
        self.apply(json.loads(row[9:]))

    def _note(self, record: dict[str, object], sync: bool) -> None:
        """Append what is true whether or not it can be written; without it, something is sent twice and dedupes."""
        try:
            self._append(record, sync)
        except OSError:
            self.apply(json.loads(_row(record)[9:]))
            raise

    def _tear_off(self) -> None:
        """Half a record must not stand before the next one, where it would hide it."""
        try:
            os.ftruncate(self._file, self._size)
            os.lseek(self._file, self._size, os.SEEK_SET)
        except OSError:
            self._torn = True


def _row(record: dict[str, object]) -> bytes:
    text = json.dumps(record, separators=(",", ":")).encode()
    return b"%08x %b\n" % (zlib.crc32(text), text)


def _records(data: bytes) -> Iterator[tuple[dict[str, Any], int]]:
    """The records up to the first that is torn or damaged, each with the byte behind it."""
    end = 0
    for row in data.split(b"\n"):
        text = row[9:]
        try:
            if len(row) < 10 or int(row[:8], 16) != zlib.crc32(text):
                return
            record = json.loads(text)
        except (ValueError, RecursionError):
            return
        if not isinstance(record, dict):
            return
        end += len(row) + 1
        yield record, end


def _write(file: int, data: bytes) -> None:
    while data:
        data = data[os.write(file, data) :]


def _sync_folder(path: str) -> None:
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
