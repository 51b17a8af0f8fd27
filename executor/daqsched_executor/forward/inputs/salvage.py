"""What is left of a file that is gone: out of what rotation packed, or by the descriptor that is still held.

The salvage is a file of our own with the same offsets; what was read long ago is a hole in it.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from typing import Callable

from .compressed import PIECE, Reads, TooMuch, unpacking
from .identity import BEGINNING

#: So much before the place that was read to is copied, too: it may be under way. Three bodies are less.
BEFORE = 8 * 1024 * 1024

#: How the names of salvage files end.
SUFFIX = ".rest"

#: So much of a disk is left to others, and of a large one no more than the second.
LEFT_SHARE, LEFT_MOST = 0.05, 1024 * 1024 * 1024


class DiskBudget:
    """How much disk all salvage may take together: what waits has a bound, whoever packs a file."""

    def __init__(self, folder: str, disk: float) -> None:
        """``disk``: the bound in bytes."""
        self._folder, self.disk = folder, disk

    def left(self) -> int:
        """For one more."""
        with os.scandir(self._folder) as entries:
            taken = sum(entry.stat().st_blocks * 512 for entry in entries if entry.name.endswith(SUFFIX))
        disk = os.statvfs(self._folder)
        free = disk.f_bavail * disk.f_frsize - min(LEFT_MOST, LEFT_SHARE * disk.f_blocks * disk.f_frsize)
        return int(max(0, min(self.disk - taken, free)))


def unpacked(path: str, target: str, begins: Callable[[bytes], bool], offset: int, budget: DiskBudget) -> int:
    """A descriptor of the salvage of a packed file, written to ``target``; -1 where it is another file's.

    Raises OSError, also for what is no such file and where there is no space for it, and whatever `compressed.unpacking` does.
    """
    with unpacking(path) as packed:
        first = b""
        while len(first) < BEGINNING:
            piece = packed.read(BEGINNING - len(first))
            if not piece:
                break
            first += piece
        if not begins(first):
            return -1
        at = len(first)
        while at < offset - BEFORE:
            piece = packed.read(min(PIECE, offset - BEFORE - at))
            if not piece:
                return -1
            at += len(piece)
        return _written(target, first, at, _bounded(packed, budget), offset)


def _bounded(packed: Reads, budget: DiskBudget) -> Iterator[bytes]:
    left, taken = budget.left(), 0
    while True:
        piece = packed.read(PIECE)
        if not piece:
            return
        taken += len(piece)
        if taken > budget.disk:
            raise TooMuch(f"it holds more than the {budget.disk / 1e6:,.0f} MB that the forwarder may use")
        if taken > left:
            raise OSError(errno.ENOSPC, f"there is no space to decompress it: {left / 1e6:,.0f} MB are free for it")
        yield piece


def copied(file: int, target: str, offset: int, budget: DiskBudget) -> int:
    """A descriptor of the salvage of an open file, written to ``target``. Raises OSError."""
    first = os.pread(file, BEGINNING, 0)
    start = max(len(first), offset - BEFORE)
    if os.fstat(file).st_size - start > budget.left():
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    return _written(target, first, start, _pieces(file, start), offset)


def _pieces(file: int, start: int) -> Iterator[bytes]:
    piece = os.pread(file, PIECE, start)
    while piece:
        yield piece
        start += len(piece)
        piece = os.pread(file, PIECE, start)


def _written(target: str, first: bytes, start: int, pieces: Iterator[bytes], least: int) -> int:
    """The file with its beginning and all from ``start`` on, if it is at least so long, else -1."""
    fresh = target + ".new"
    file = os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.pwrite(file, first, 0)
        at = start
        for piece in pieces:
            done = 0
            while done < len(piece):
                done += os.pwrite(file, piece[done:], at + done)
            at += len(piece)
        if at >= least:
            os.fsync(file)
            os.rename(fresh, target)
            return file
    except BaseException:
        _drop(file, fresh)
        raise
    _drop(file, fresh)
    return -1


def _drop(file: int, path: str) -> None:
    os.close(file)
    with contextlib.suppress(OSError):
        os.unlink(path)
