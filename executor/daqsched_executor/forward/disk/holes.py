"""Give the bytes of a file back to the disk without moving those behind them, and have room for what will follow:
fallocate(2), FALLOC_FL_PUNCH_HOLE and FALLOC_FL_KEEP_SIZE."""

from __future__ import annotations

import ctypes
import os

#: linux/falloc.h; a hole keeps the file's size.
_KEEP_SIZE, _PUNCH_HOLE = 0x01, 0x02

#: Holes begin and end at multiples of this: no file system has larger blocks, and smaller pieces are not given back.
BLOCK = 64 * 1024


class _Fallocate:
    """The C function, looked for when it is first used."""

    call: ctypes._NamedFuncPointer | None = None


def punch(file: int, start: int, end: int) -> None:
    """The whole blocks between two bytes read as zeros from now on and take no room. Raises OSError."""
    start, end = (start + BLOCK - 1) // BLOCK * BLOCK, end // BLOCK * BLOCK
    if start < end:
        _fallocate(file, _KEEP_SIZE | _PUNCH_HOLE, start, end)


def preallocate(file: int, size: int) -> None:
    """Whatever is written within the file's first so many bytes finds room from now on. Raises OSError."""
    _fallocate(file, _KEEP_SIZE, 0, size)


def _fallocate(file: int, mode: int, start: int, end: int) -> None:
    if _Fallocate.call is None:
        found = ctypes.CDLL(None, use_errno=True).fallocate
        found.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
        _Fallocate.call = found
    if _Fallocate.call(file, mode, start, end - start) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def first_data(file: int) -> int:
    """Where the first byte is that no hole hides; the file's end where there is none, or 0 where nobody can tell."""
    try:
        return os.lseek(file, 0, os.SEEK_DATA)
    except OSError:
        return 0 if os.fstat(file).st_blocks else os.fstat(file).st_size
