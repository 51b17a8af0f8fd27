"""The audit file on the disk: opened, appended to, set aside when it is large, and its chain carried on whatever happened.

Every failure is an `OSError`, and leaves of what was to be written nothing.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Callable, Optional

from daqsched import times
from daqsched.serve.audit_chain import (
    BEGINS,
    END,
    START,
    ChainEnd,
    end_of,
    last_of,
    line_of,
    link,
    mark,
    mark_path,
    marked,
    parse,
)

logger = logging.getLogger(__name__)

#: So many bytes more than its own fields a line has at most, by its number and hashes.
_MORE = 256

_FLAGS = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


class ChainedFile:
    """Appends lines; who calls sees to it that one does at a time."""

    def __init__(self, path: Path, now: Callable[[], float], most_bytes: int, kept: int) -> None:
        self._path, self._now, self._most_bytes, self._kept = path, now, most_bytes, kept
        self._file, self._mark = -1, -1
        #: How large we left it.
        self._size = 0
        self._last: Optional[ChainEnd] = None
        #: The hash of what is before the chain in a file that had none.
        self._before = START
        #: Lines about the file itself that are still to be written, each once.
        self._say: dict[str, Mapping[str, Any]] = {}
        self._unmarked = False

    def open(self) -> None:
        """Have it open, and say in it what was wrong with it."""
        self._ready(0)
        if self._say:
            self.write([])

    def write(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """On the disk when this returns: all of them."""
        self._ready(sum(len(line_of(row)) + _MORE for row in rows))
        data, last, first = b"", self._last, self._size == 0
        for row in [*self._say.values(), *rows]:
            before = last.hash if last is not None else self._before
            line, last = link(row, last.seq + 1 if last is not None else 1, before, first or last is None)
            data, first = data + line, False
        self._append(data)
        self._last, self._say = last, {}
        self._set_mark()

    def close(self) -> None:
        """It is opened again where something is written."""
        for file in (self._file, self._mark):
            if file >= 0:
                os.close(file)
        self._file = self._mark = -1

    def _ready(self, more: int) -> None:
        """Have the file open that is at our path, with room in it, and know where its chain stands."""
        if self._file >= 0:
            ours = os.fstat(self._file)
            try:
                there = os.lstat(self._path)
            except FileNotFoundError:
                there = None
            if there is None or (there.st_dev, there.st_ino) != (ours.st_dev, ours.st_ino):
                self.close()  # somebody put it aside
            elif ours.st_size != self._size:
                self._tell("somebody else than this daemon changed it")
                self._resume(self._file, ours.st_size)
        if self._file < 0:
            self._open()
        if self._size and self._size + more > self._most_bytes:
            self._put_aside()
            self._open()

    def _put_aside(self) -> None:
        self.close()
        # as many may be kept as anybody likes, and few are there
        there = set(os.listdir(self._path.parent))
        for number in range(self._kept - 1, 0, -1):
            if f"{self._path.name}.{number}" in there:
                with contextlib.suppress(FileNotFoundError):
                    os.replace(f"{self._path}.{number}", f"{self._path}.{number + 1}")
        os.replace(self._path, f"{self._path}.1")

    def _open(self) -> None:
        file = _opened(self._path, os.O_APPEND)
        try:
            self._resume(file, os.fstat(file).st_size)
            folder = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError:
            os.close(file)
            raise
        self._file = file

    def _append(self, data: bytes) -> None:
        try:
            written = os.write(self._file, data)
            if written < len(data):
                raise OSError(0, "No space left on device")
            os.fdatasync(self._file)
        except OSError:
            os.ftruncate(self._file, self._size)  # what is there of it is half a line
            raise
        self._size += len(data)

    # ------------------------------------------------------------------ where the chain stands

    def _resume(self, file: int, size: int) -> None:
        """Find that out of the end of the file, of what we knew before, and of what stands beside it."""
        end = end_of(file, size)
        if end.half and len(end.half) < END:
            size -= len(end.half)
            os.ftruncate(file, size)
            self._tell(f"half a line was at its end, of when the machine died: {end.half.decode('ascii', 'replace')}")
        elif end.half:
            size += os.write(file, b"\n")
        self._size, self._before = size, START
        known = self._last or marked(self._path) or last_of(Path(f"{self._path}.1"))
        there = parse(end.line)
        if there is not None and (known is None or there.seq > known.seq):
            known = ChainEnd(there.seq, there.hash)
        elif known is not None and end.line and (there is None or (there.seq, there.hash) != known):
            self._tell(f"its last line is not the one that was written last, which is number {known.seq}")
        elif known is None and (size or os.path.exists(f"{self._path}.1")):
            self._before = _sha256(file, size) if size else START
            self._tell(BEGINS, "done")
        self._last = known

    def _tell(self, why: str, result: str = "failed") -> None:
        if why not in self._say:
            logger.warning("%s: %s", self._path, why)
        self._say[why] = {"time": times.iso(self._now()), "operation": "audit", "result": result, "why": why[:500]}

    def _set_mark(self) -> None:
        """Not on the disk when this returns: it may be behind the file, never before it."""
        try:
            if self._mark < 0:
                self._mark = _opened(mark_path(self._path), 0)
            if self._last is not None:
                os.pwrite(self._mark, mark(self._last), 0)
            self._unmarked = False
        except OSError as error:
            if not self._unmarked:
                logger.warning("%s can't be written: %s", mark_path(self._path), error.strerror or error)
            self._unmarked = True


def _opened(path: Path, flags: int) -> int:
    """A regular file of our own, for our account alone."""
    file = os.open(path, _FLAGS | flags, 0o600)
    try:
        found = os.fstat(file)
        if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid() or found.st_nlink != 1:
            raise OSError(0, "it is not a regular file of our own")
        os.fchmod(file, 0o600)
    except OSError:
        os.close(file)
        raise
    return file


def _sha256(file: int, size: int) -> str:
    found, at = hashlib.sha256(), 0
    while at < size:
        piece = os.pread(file, min(1 << 20, size - at), at)
        if not piece:
            break
        found.update(piece)
        at += len(piece)
    return found.hexdigest()
