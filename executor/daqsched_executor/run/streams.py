"""The files that a job's lines go to, and their registration for the machine's forwarder (see `contract.Stream`).

The program writes to plain files that are opened to append: no pipe that could fill up and block it, nothing that a
dead executor takes with it, and the Mesos web UI shows them as they are.
"""

from __future__ import annotations

import base64
import fcntl
import os
from typing import NamedTuple

from daqsched_executor.contract import (
    EXECUTOR,
    LINKS_DIR,
    SANDBOX_FILES,
    STREAMS_DIR,
    Payload,
    Stream,
    start_row,
    starts_path,
)
from daqsched_executor.machine.spool import shared_folder


class Files(NamedTuple):
    """The open files of one job, all of them opened to append."""

    stdout: int
    stderr: int
    executor: int


def open_files(sandbox: str) -> Files:
    """Open, or create, the three files."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
    return Files(*(os.open(os.path.join(sandbox, name), flags, 0o644) for name in SANDBOX_FILES.values()))


#: A file of starts is halved when it is larger: some thousand rows.
STARTS_BYTES = 64 * 1024


class Registered(NamedTuple):
    """The job's streams as the forwarder knows them: whose lines are whose start."""

    #: Held for life.
    locks: list[int]
    #: Of stdout and stderr: the open file, and where its starts are written.
    starts: list[tuple[int, str]]

    def started(self, number: int) -> None:
        """The program starts for the ``number``th time: what stands in its files is of the starts before. Raises OSError."""
        for file, path in self.starts:
            size = os.fstat(file).st_size
            rows = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                os.write(rows, start_row(size, number))
                if os.fstat(rows).st_size > STARTS_BYTES:
                    _halve(rows, path)
            finally:
                os.close(rows)


def _halve(rows: int, path: str) -> None:
    """Forget the older half: lines so old have been stored long since."""
    text = os.pread(rows, 2 * STARTS_BYTES, 0)
    fresh = path + ".new"
    file = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
    try:
        os.write(file, text[text.index(b"\n", len(text) // 2) + 1 :])
    finally:
        os.close(file)
    os.rename(fresh, path)


def register(spool: str, sandbox: str, files: Files, payload: Payload, created: float) -> Registered:
    """Register the job's streams. Raises OSError where that can't be.

    Link first, registration after it, whole and locked: the forwarder never meets one without its file or its lock.
    """
    streams, links = os.path.join(spool, STREAMS_DIR), os.path.join(spool, LINKS_DIR)
    for folder in (spool, streams, links):
        shared_folder(folder)
    locks, starts = [], []
    for name, file in zip(SANDBOX_FILES, files):
        path = os.path.join(sandbox, SANDBOX_FILES[name])
        stream = Stream(
            id=base64.urlsafe_b64encode(os.urandom(8)).rstrip(b"=").decode(),
            name=name,
            path=path,
            start=os.fstat(file).st_size,
            task_id=payload.task_id,
            job=payload.job,
            host=payload.host,
            release=payload.release,
            labels=payload.labels,
            created=created,
        )
        os.link(path, os.path.join(links, stream.id))
        locks.append(_publish(streams, stream))
        if name != EXECUTOR:
            starts.append((file, starts_path(os.path.join(streams, f"{stream.id}.json"))))
    _sync_folder(streams)
    return Registered(locks, starts)


def _publish(folder: str, stream: Stream) -> int:
    final = os.path.join(folder, f"{stream.id}.json")
    hidden = os.path.join(folder, f".{stream.id}.new")
    lock = os.open(hidden, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    os.write(lock, stream.to_json())
    os.fsync(lock)
    fcntl.flock(lock, fcntl.LOCK_SH)
    os.rename(hidden, final)
    return lock


def _sync_folder(path: str) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
