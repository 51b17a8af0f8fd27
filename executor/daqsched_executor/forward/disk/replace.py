"""Small text files that are replaced as a whole, also where the disk is full."""

from __future__ import annotations

import contextlib
import errno
import json
import os
from typing import Any

#: No such file of ours is larger.
LARGEST = 1024 * 1024


def replace(path: str, text: bytes, sync: bool = False, mode: int = 0o600) -> None:
    """The file has this text, and never half of it. Raises OSError, and then it is as it was.

    Where no other file can be written for lack of space it is overwritten, within the room that it has; newlines follow
    a shorter text then. ``sync``: it is on the disk when this returns. ``mode``: who may read it, whatever the umask is.
    """
    fresh = path + ".new"
    try:
        _write(fresh, os.O_CREAT | os.O_TRUNC, text, sync, mode)
        os.rename(fresh, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            os.unlink(fresh)
        if error.errno not in (errno.ENOSPC, errno.EDQUOT) or not os.path.exists(path):
            raise
        before = os.stat(path)
        if len(text) > before.st_blocks * 512:
            raise
        _write(path, 0, text.ljust(before.st_size, b"\n"), sync, mode)


def _write(path: str, flags: int, text: bytes, sync: bool, mode: int) -> None:
    file = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC | flags, mode)
    try:
        os.fchmod(file, mode)
        if os.write(file, text) < len(text):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
        if sync:
            os.fdatasync(file)
    finally:
        os.close(file)


def read_object(path: str) -> dict[str, Any]:
    """The JSON object that such a file holds; an empty one where it can't be read, is too large or is none."""
    try:
        with open(path, "rb") as file:
            text = file.read(LARGEST + 1)
        found = json.loads(text) if len(text) <= LARGEST else None
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
