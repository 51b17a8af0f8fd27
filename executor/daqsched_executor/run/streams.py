"""The files that a job's lines go to, and their registration for the machine's forwarder (see `contract.Stream`).

The lines end in plain files that are opened to append, whether the program writes to them itself or `machine.relay` does:
nothing that a dead executor takes with it, and the Mesos web UI shows them as they are.
"""

from __future__ import annotations

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


#: A file of starts is halved when it is larger: some thousand rows.
STARTS_BYTES = 64 * 1024


class Registered(NamedTuple):
    """The job's streams as the forwarder knows them: whose lines are whose start."""

    #: Held for life.
    locks: list[int]
    #: The folder of registrations.
    folder: int
    #: Of stdout and stderr: the open file, and the name of the file there that its starts are written to.
    starts: list[tuple[int, str]]

    def started(self, number: int) -> None:
        """The program starts for the ``number``th time: what stands in its files is of the starts before. Raises OSError."""
        for file, name in self.starts:
            size = os.fstat(file).st_size
            rows = open_ours(name, self.folder, os.O_RDWR | os.O_APPEND | os.O_CREAT)
            try:
                os.write(rows, start_row(size, number))
                if os.fstat(rows).st_size > STARTS_BYTES:
                    _halve(rows, name, self.folder)
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
        registered = Registered([], streams, [])
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
            registered.locks.append(_publish(streams, stream))
            if name != EXECUTOR:
                registered.starts.append((file, starts_path(f"{stream.id}.json")))
        os.fsync(streams)
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
    os.fsync(lock)
    fcntl.flock(lock, fcntl.LOCK_SH)
    os.rename(hidden, f"{stream.id}.json", src_dir_fd=streams, dst_dir_fd=streams)
    return lock
