"""What is received goes to files of the spool that are streams as any other: from there on all lines take the same way."""

from __future__ import annotations

import errno
import fcntl
import os
import time

from ...contract import LINKS_DIR, STREAMS_DIR, Stream
from ...machine.spool import new_id

#: A new file begins when one is larger than this; the old one goes when all of it is stored.
MOST_BYTES = 64 * 1024 * 1024


class SpoolFile:
    """A stream of our own making that is appended to; its registration is locked for as long as we live."""

    def __init__(self, spool: str, format: str, host: str, job: str) -> None:
        """``format`` is that of the stream; ``host`` and ``job`` are those of lines that name none."""
        self._spool, self._format, self._host, self._job = spool, format, host, job
        self._file = self._lock = -1
        self._size = 0
        self.dirty = False

    def append(self, rows: bytes) -> None:
        """Whole rows. Raises OSError, and then none of them is there."""
        if self._file < 0 or self._size > MOST_BYTES:
            self._begin()
        view = memoryview(rows)
        try:
            while view:
                view = view[os.write(self._file, view) :]
        except OSError:
            os.ftruncate(self._file, self._size)
            raise
        self._size += len(rows)
        self.dirty = True

    def sync(self) -> None:
        """What was appended survives the machine's power."""
        if self.dirty:
            os.fdatasync(self._file)
            self.dirty = False

    def close(self) -> None:
        """Nothing more will come: the stream ends when all of it is stored."""
        for file in (self._file, self._lock):
            if file >= 0:
                os.close(file)
        self._file = self._lock = -1

    def _begin(self) -> None:
        """The file first, its registration after it, whole and locked, as an executor does it."""
        stream_id = new_id()
        path = os.path.join(self._spool, LINKS_DIR, stream_id)
        file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        stream = Stream(
            id=stream_id,
            name=self._format,
            path="",
            start=0,
            task_id="",
            job=self._job,
            host=self._host,
            created=time.time(),
            format=self._format,
            dataset=f"daqsched.{self._format}",
            inode=os.fstat(file).st_ino,
        )
        try:
            lock = self._register(stream)
        except OSError:
            os.close(file)
            os.unlink(path)
            raise
        self.close()
        self._file, self._lock, self._size = file, lock, 0

    def _register(self, stream: Stream) -> int:
        folder = os.path.join(self._spool, STREAMS_DIR)
        hidden = os.path.join(folder, f".{stream.id}.new")
        lock = os.open(hidden, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            text = stream.to_json()
            if os.write(lock, text) < len(text):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(lock)
            fcntl.flock(lock, fcntl.LOCK_SH)
            os.rename(hidden, os.path.join(folder, f"{stream.id}.json"))
        except OSError:
            os.close(lock)
            os.unlink(hidden)
            raise
        return lock
