"""The files that a job's lines go to, and their registration for the machine's forwarder (see `contract.Stream`).

The lines end in plain files that are opened to append, whether the program writes to them itself or `machine.relay` does:
nothing that a dead executor takes with it, and the Mesos web UI shows them as they are.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Mapping
from typing import NamedTuple, Optional

from daqsched_executor.contract import (
    EXECUTOR,
    LINKS_DIR,
    SANDBOX_FILES,
    STREAMS_DIR,
    LabelRow,
    Payload,
    Stream,
    labels_path,
    labels_text,
    start_row,
    starts_path,
)
from daqsched_executor.contract.stream import MOST_ROWS
from daqsched_executor.machine.spool import folder, new_id, open_ours, spool_folder


class Files(NamedTuple):
    """The open files of one job, all of them opened to append."""

    stdout: int
    stderr: int
    executor: int


def open_files(sandbox: str) -> Files:
    """Open, or create, the three files."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
    return Files(*(os.open(os.path.join(sandbox, name), flags, 0o644) for name in SANDBOX_FILES.values()))


#: Of a job without any.
NO_LABELS: Mapping[str, str] = {}

#: A file of starts is halved when it is larger: some thousand rows.
STARTS_BYTES = 64 * 1024


class Registered:
    """The job's streams as the forwarder knows them: whose lines are whose start, and what they carry."""

    def __init__(self, folder: int = -1, labels: Mapping[str, str] = NO_LABELS) -> None:
        """``folder``: that of registrations."""
        self._folder = folder
        #: Held for life, or until nothing is forwarded any more.
        self._locks: list[int] = []
        #: Of stdout and stderr: the open file, and the name of the file there that its starts are written to.
        self._starts: list[tuple[int, str]] = []
        #: Of all: the open file, the name of the file that its labels are written to, and what stands there.
        self._labels: list[tuple[int, str, list[LabelRow]]] = []
        self._carried = labels
        self._on_disk = False

    def add(self, file: int, name: str, registration: str, lock: int = -1) -> None:
        """A stream: its open file, its name, that of its registration, whose lock is held."""
        self._locks += [lock] * (lock >= 0)
        self._labels.append((file, labels_path(registration), []))
        if name != EXECUTOR:
            self._starts.append((file, starts_path(registration)))

    def __bool__(self) -> bool:
        return bool(self._labels)

    def settle(self) -> None:
        """Have the kernel write to the disk what it has of the registrations, for when the machine loses power: once, and not in
        the way of a start, as a disk may take its time. Raises OSError."""
        if self and not self._on_disk:
            self._on_disk = True
            for file in (*self._locks, self._folder):
                os.fsync(file)

    def carry(self, labels: Mapping[str, str]) -> None:
        """What is printed from now on carries these. Raises OSError."""
        if labels != self._carried:
            self._carried = labels
            self._row(labels)

    def end(self) -> None:
        """What is printed from now on is not forwarded. Raises OSError; all is as before then."""
        self._row(None)
        for file in [*self._locks, self._folder]:
            os.close(file)
        self._locks, self._starts, self._labels, self._folder = [], [], [], -1

    def _row(self, labels: Optional[Mapping[str, str]]) -> None:
        for file, name, rows in self._labels:
            rows.append(LabelRow(os.fstat(file).st_size, labels))
            text, fresh = labels_text(rows), name + ".new"
            written = open_ours(fresh, self._folder, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            try:
                if os.write(written, text) < len(text):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), fresh)
            finally:
                os.close(written)
            os.rename(fresh, name, src_dir_fd=self._folder, dst_dir_fd=self._folder)
            del rows[:-MOST_ROWS]

    def started(self, number: int) -> None:
        """The program starts for the ``number``th time: what stands in its files is of the starts before. Raises OSError."""
        for file, name in self._starts:
            size = os.fstat(file).st_size
            rows = open_ours(name, self._folder, os.O_RDWR | os.O_APPEND | os.O_CREAT)
            try:
                os.write(rows, start_row(size, number))
                if os.fstat(rows).st_size > STARTS_BYTES:
                    _halve(rows, name, self._folder)
            finally:
                os.close(rows)


def _halve(rows: int, name: str, folder: int) -> None:
    """Forget the older half: lines so old have been stored long since."""
    text = os.pread(rows, 2 * STARTS_BYTES, 0)
    fresh = name + ".new"
    file = open_ours(fresh, folder, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    try:
        os.write(file, text[text.index(b"\n", len(text) // 2) + 1 :])
    finally:
        os.close(file)
    os.rename(fresh, name, src_dir_fd=folder, dst_dir_fd=folder)


def register(spool: str, sandbox: str, files: Files, payload: Payload, created: float) -> Registered:
    """Register the job's streams. Raises OSError where that can't be, or where others could write to the spool.

    Link first, registration after it, whole and locked: the forwarder never meets one without its file or its lock.
    """
    top = spool_folder(spool)
    streams = links = -1
    try:
        streams, links = folder(STREAMS_DIR, within=top), folder(LINKS_DIR, within=top)
        registered = Registered(streams, payload.labels)
        for name, file in zip(SANDBOX_FILES, files):
            found = os.fstat(file)
            stream = Stream(
                id=new_id(),
                name=name,
                path=os.path.join(sandbox, SANDBOX_FILES[name]),
                start=found.st_size,
                task_id=payload.task_id,
                job=payload.job,
                host=payload.host,
                release=payload.release,
                labels=payload.labels,
                created=created,
                inode=found.st_ino,
            )
            # the open file, whatever bears its name by now; with a folder's descriptor, the link of /proc is followed
            os.link(f"/proc/self/fd/{file}", stream.id, src_dir_fd=streams, dst_dir_fd=links)
            registered.add(file, name, f"{stream.id}.json", _publish(streams, stream))
        return registered
    except OSError:
        if streams >= 0:
            os.close(streams)
        raise
    finally:
        for opened in (top, links):
            if opened >= 0:
                os.close(opened)


def _publish(streams: int, stream: Stream) -> int:
    hidden = f".{stream.id}.new"
    lock = open_ours(hidden, streams, os.O_RDWR | os.O_CREAT | os.O_EXCL)
    os.write(lock, stream.to_json())
    fcntl.flock(lock, fcntl.LOCK_SH)
    os.rename(hidden, f"{stream.id}.json", src_dir_fd=streams, dst_dir_fd=streams)
    return lock
