"""Zeros in log files: what a program has set aside and not written yet, and holes. They are no lines, whatever their size."""

from __future__ import annotations

import errno
import os

#: So many zeros in a row, which no line has, are a gap.
GAP = 4096
ZEROS = bytes(GAP)

#: How much is read at a time, how many times in one call that looks for what was written, and how much one call goes through.
_PIECE, _PIECES, _MOST = 256 * 1024, 16, 8 * 1024 * 1024


def may_have(file: int, status: os.stat_result) -> bool:
    """Whether there may be zeros behind what was written, or holes in it."""
    if not status.st_size:
        return False
    return status.st_blocks * 512 < status.st_size or not os.pread(file, 1, status.st_size - 1).strip(b"\0")


def written_to(file: int, start: int, size: int, unit: int = 1) -> int:
    """Where that ends which was written from a byte on: at a gap, at the zeros that the file ends with, or at its end.

    ``unit``: how many bytes a character has. At most so much is looked at, and the next call goes on.
    """
    if not os.pread(file, unit, start).strip(b"\0"):
        return start
    at, until = start, min(size, start + _MOST)
    while at < until:
        piece = os.pread(file, min(_PIECE, size - at), at)
        gap = piece.find(ZEROS)
        if gap >= 0:
            return _aligned(at + gap, unit)
        kept = piece.rstrip(b"\0")
        if len(kept) == len(piece) > 0:
            at += len(piece)
        elif not kept or at + len(piece) >= size:
            return _aligned(at + len(kept), unit)
        else:
            at += len(kept)
    return at


def next_written(file: int, start: int, size: int, unit: int = 1) -> tuple[int, int]:
    """Where something was written again behind a gap, -1: not found; and from where to look on, the size: there is no more."""
    at = start
    for _ in range(_PIECES):
        try:
            at = os.lseek(file, at, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:
                return -1, size
        piece = os.pread(file, _PIECE, at)
        if not piece:
            return -1, size
        kept = piece.lstrip(b"\0")
        if kept:
            found = at + len(piece) - len(kept)
            return found - found % unit, at
        at += len(piece)
    return -1, at


def end_of(file: int, size: int, unit: int = 1) -> int:
    """Where the zeros begin that a file ends with, as a program leaves them that has set more aside than it has written."""
    low, high = 0, size
    while high - low > GAP:
        middle = (low + high) // 2
        if os.pread(file, GAP, middle).strip(b"\0"):
            low = middle
        else:
            high = middle
    return _aligned(low + len(os.pread(file, high - low, low).rstrip(b"\0")), unit)


def _aligned(at: int, unit: int) -> int:
    return at + -at % unit
