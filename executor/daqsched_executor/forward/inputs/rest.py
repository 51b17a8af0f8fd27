"""What is left of a file that is gone: out of what rotation packed, or by the descriptor that is still held.

The rest is a file of our own with the same offsets; what was read long ago is a hole in it.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import IO, Callable

from .identity import BEGINNING
from .places import opened

#: So much before the place that was read to is kept, too: it may be under way. Three bodies are less.
BEFORE = 8 * 1024 * 1024

#: How much is moved at a time.
PIECE = 1024 * 1024

#: How packed files are opened that Python can read, by the end of their names.
PACKED = (".gz", ".bz2", ".xz")


def unpacked(path: str, target: str, begins: Callable[[bytes], bool], offset: int) -> int:
    """A descriptor of the rest of a packed file, written to ``target``; -1 where it is another file's.

    Raises OSError, also for what is no such file (and EOFError, or another of the unpacker's own, for a torn one).
    """
    with os.fdopen(opened(path), "rb") as file, _open(path, file) as packed:
        first = packed.read(BEGINNING)
        if not begins(first):
            return -1
        at = len(first)
        while at < offset - BEFORE:
            piece = packed.read(min(PIECE, offset - BEFORE - at))
            if not piece:
                return -1
            at += len(piece)
        return _written(target, first, at, iter(lambda: packed.read(PIECE), b""), offset)


def kept(file: int, target: str, offset: int) -> int:
    """A descriptor of the rest of an open file, written to ``target``. Raises OSError."""
    first = os.pread(file, BEGINNING, 0)
    start = max(len(first), offset - BEFORE)
    return _written(target, first, start, _pieces(file, start), offset)


def _open(path: str, file: IO[bytes]) -> IO[bytes]:
    # Imported here: a machine may never need them, and they cost memory.
    if path.endswith(".gz"):
        import gzip

        return gzip.open(file, "rb")  # type: ignore[return-value]
    if path.endswith(".bz2"):
        import bz2

        return bz2.open(file, "rb")
    import lzma

    return lzma.open(file, "rb")


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
