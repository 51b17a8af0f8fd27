"""Somebody else's files, opened and looked at: never to write, and never to hang."""

from __future__ import annotations

import contextlib
import os

from ..documents.lines import LONGEST
from .zeros import end_of

#: Device and inode: no two files have the same at one time.
Key = tuple[int, int]


def key_of(handle: int) -> Key:
    """Which file that is."""
    status = os.fstat(handle)
    return status.st_dev, status.st_ino


def key_at(path: str) -> Key:
    """Which file has that name; (0, 0): none."""
    try:
        status = os.lstat(path)
    except OSError:
        return 0, 0
    return status.st_dev, status.st_ino


def changed(path: str) -> float:
    """When a file was last written to, or a folder's names last moved (wall clock); 0 where it is not there."""
    try:
        return os.stat(path).st_mtime
    except OSError:
        return 0.0


def last_line(handle: int, unit: int = 1) -> int:
    """Where the last line begins that has no newline yet, or what was written ends. ``unit``: bytes of a character."""
    size = end_of(handle, os.fstat(handle).st_size, unit)
    first = max(0, size - LONGEST)
    at = os.pread(handle, size - first, first).rfind(b"\n")
    return first + at + 1 if at >= 0 else size


def first_byte(handle: int) -> int:
    """0, or behind the zeros that a program leaves which goes on at its old place after its file was emptied."""
    with contextlib.suppress(OSError):
        first = os.lseek(handle, 0, os.SEEK_DATA)
        if first:
            block = os.pread(handle, 64 * 1024, first)
            return first + len(block) - len(block.lstrip(b"\0"))
    return 0
