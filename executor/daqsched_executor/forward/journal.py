"""Where the forwarder's place is kept: a file of records that survives a kill at any moment.

Before a batch is sent its plan is on the disk (which bytes of which streams, and the time that their lines carry);
after the reply one short record says that it is done. What was planned and not done is sent again after a restart,
as the same documents to the same index, where a second copy of a line is refused by its id. So a line is read
at the latest plan's end, and nothing is read twice or skipped.

Each record is a line: the CRC-32 of the text, a space, the text as JSON. A torn last record was never acted upon
and is left out. The file is written anew, by rename, when it has grown.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterator, Sequence

from .position import Position, Range

#: The file is written anew when it is larger than this.
COMPACT_ABOVE = 256 * 1024


class Journal:
    """The positions of all streams and the batches under way; changed by one thread."""

    def __init__(self, path: str) -> None:
        """Read what is there, and begin a clean file."""
        self.path = path
        self.positions: dict[str, Position] = {}
        #: Planned, sent or not, without a reply so far.
        self.outstanding: dict[int, tuple[Range, ...]] = {}
        #: The latest time that a line was given.
        self.micros = 0
        self._number = 0
        self._file = -1
        self._size = 0
        #: The file ends with half a record that could not be taken back.
        self._torn = False
        if os.path.exists(path):
            with open(path, "rb") as file:
                for record in _records(file.read()):
                    self._apply(record)
        self.compact()

    def plan(self, ranges: Sequence[Range], micros: int) -> int:
        """Put a batch on the disk before it is sent; its number. ``micros`` is the time of its last line.

        Raises OSError (a full disk), and then the batch must not be sent.
        """
        number = self._number + 1
        self._append({"plan": number, "ranges": [list(entry) for entry in ranges], "micros": micros}, sync=True)
        return number

    def done(self, number: int) -> None:
        """All lines of the batch are stored or dead-lettered.

        Not synced: should the record be lost with the machine's power, the batch is sent again and dedupes.
        """
        self._note({"done": number}, sync=False)
        if self._size > COMPACT_ABOVE:
            self.compact()

    def place(self, stream: str, position: Position) -> None:
        """The stream goes on from there, for a reason that no plan tells: its first sight, or an emptied file."""
        self._note({"place": stream, "position": list(position)}, sync=True)

    def forget(self, stream: str) -> None:
        """The stream has ended and its registration is gone."""
        self._note({"forget": stream}, sync=False)

    def compact(self) -> None:
        """Write the present state as a new file that replaces the old one."""
        records: list[dict[str, object]] = [{"number": self._number, "micros": self.micros}]
        records += [{"place": stream, "position": list(position)} for stream, position in self.positions.items()]
        records += [
            {"again": number, "ranges": [list(entry) for entry in ranges]}
            for number, ranges in self.outstanding.items()
        ]
        text = b"".join(map(_row, records))
        fresh = self.path + ".new"
        file = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            _write(file, text)
            os.fsync(file)
            os.rename(fresh, self.path)
            _sync_folder(os.path.dirname(self.path))
        except OSError:
            os.close(file)
            raise
        self.close()
        self._file, self._size, self._torn = file, len(text), False

    def close(self) -> None:
        """Let go of the file."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

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
        self._apply(record)

    def _note(self, record: dict[str, object], sync: bool) -> None:
        """Append what is true whether or not it can be written; without it, something is sent twice and dedupes."""
        try:
            self._append(record, sync)
        except OSError:
            self._apply(record)
            raise

    def _tear_off(self) -> None:
        """Half a record must not stand before the next one, where it would hide it."""
        try:
            os.ftruncate(self._file, self._size)
            os.lseek(self._file, self._size, os.SEEK_SET)
        except OSError:
            self._torn = True

    def _apply(self, record: dict[str, object]) -> None:
        if "plan" in record or "again" in record:
            number = _whole(record.get("plan", record.get("again")))
            ranges = tuple(Range(*entry) for entry in record["ranges"])  # type: ignore[attr-defined]
            self.outstanding[number] = ranges
            self._number = max(self._number, number)
            if "plan" in record:
                for entry in ranges:
                    self.positions[entry.stream] = Position(entry.generation, entry.end, entry.cut_after)
        elif "done" in record:
            self.outstanding.pop(_whole(record["done"]), None)
        elif "place" in record:
            self.positions[str(record["place"])] = Position(*record["position"])  # type: ignore[misc]
        elif "forget" in record:
            self.positions.pop(str(record["forget"]), None)
        elif "number" in record:
            self._number = _whole(record["number"])
        if "micros" in record:
            self.micros = max(self.micros, _whole(record["micros"]))


def _whole(value: object) -> int:
    assert isinstance(value, int)
    return value


def _row(record: dict[str, object]) -> bytes:
    text = json.dumps(record, separators=(",", ":")).encode()
    return b"%08x %b\n" % (zlib.crc32(text), text)


def _records(data: bytes) -> Iterator[dict[str, object]]:
    """The records up to the first that is torn or damaged."""
    for row in data.split(b"\n"):
        text = row[9:]
        try:
            if len(row) < 10 or int(row[:8], 16) != zlib.crc32(text):
                return
            yield json.loads(text)
        except ValueError:
            return


def _write(file: int, data: bytes) -> None:
    while data:
        data = data[os.write(file, data) :]


def _sync_folder(path: str) -> None:
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
