"""Where a path leads, for one who may read more than those who can write there.

A forwarder that is root's tails the files of other accounts. So each part of a path is opened without following it, and a
symbolic link is followed only where nobody else can have made it: it is root's or ours, and so is the folder that it lies in.
Where links are asked for, another account's link is followed to a file of that account. Only regular files are ever opened.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import NamedTuple

from daqsched_executor.contract import can_be_path

#: As many as the kernel follows.
MOST_LINKS = 40

#: Said of what `may_be_planted`.
PLANTED = "it has a second name (a hard link), which another account can have given to somebody's file"

_LOOK = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC


class PathRefused(OSError):
    """It is there, and is not gone to."""


class Place(NamedTuple):
    """A file or folder that was reached; whoever asked for it closes the descriptor (O_PATH)."""

    handle: int
    #: Its path without links.
    real: str
    status: os.stat_result


def opened(path: str, links: bool = False) -> int:
    """A descriptor to read a regular file by. Raises OSError, also for all else that may have the name.

    ``links``: whether other accounts' links are followed, and any that stands last.
    """
    place = reached(path, links, last=links)
    try:
        return reopened(place, path)
    finally:
        os.close(place.handle)


def reopened(place: Place, path: str) -> int:
    """The same for a place that was reached; nothing happens to what is no file."""
    if not stat.S_ISREG(place.status.st_mode):
        raise PathRefused(errno.EINVAL, f"it is {kind_of(place.status)}, not a file", path)
    return os.open(f"/proc/self/fd/{place.handle}", os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)


def reached(path: str, links: bool, last: bool) -> Place:
    """Go there, part by part; ``last``: also where the last part is a link. Raises OSError."""
    if not can_be_path(path):
        raise PathRefused(errno.EINVAL, "no file can be called so", path)
    parts = path.split("/")[::-1]
    real: list[str] = []
    owners: set[int] = set()
    count = 0
    handle, status = _root()
    folder = status
    try:
        while parts:
            name = parts.pop()
            if name in ("", "."):
                continue
            here = os.open(name, _LOOK, dir_fd=handle)
            found = os.fstat(here)
            if not stat.S_ISLNK(found.st_mode):
                folder = status
                os.close(handle)
                handle, status = here, found
                real = real[:-1] if name == ".." else [*real, name]
                continue
            try:
                target = os.readlink("", dir_fd=here)
            finally:
                os.close(here)
            count += 1
            if count > MOST_LINKS:
                raise PathRefused(errno.ELOOP, os.strerror(errno.ELOOP), path)
            if not last and not any(parts):
                raise PathRefused(errno.ELOOP, "it is a symbolic link", path)
            if not _ours(found) or not _ours(status):
                if not links:
                    whose = f"{name!r} in it is a symbolic link that another account (number {found.st_uid}) can change"
                    raise PathRefused(errno.ELOOP, whose, path)
                owners.add(found.st_uid)
            parts += target.split("/")[::-1]
            if target.startswith("/"):
                os.close(handle)
                handle, status = _root()
                real = []
        if may_be_planted(status, folder):
            raise PathRefused(errno.EPERM, PLANTED, path)
        if owners - {status.st_uid}:
            raise PathRefused(
                errno.EPERM, "another account's symbolic link leads to it, and it is not that account's", path
            )
        return Place(handle, "/" + "/".join(real), status)
    except BaseException:
        os.close(handle)
        raise


def _root() -> tuple[int, os.stat_result]:
    handle = os.open("/", _LOOK)
    return handle, os.fstat(handle)


def may_be_planted(status: os.stat_result, folder: os.stat_result) -> bool:
    """Whether another account can have given somebody's file this name: a second one, which the kernel may allow it.

    Where fs.protected_hardlinks is on nobody can do so to files that are not his own; it may be off.
    """
    if not stat.S_ISREG(status.st_mode) or status.st_nlink < 2:
        return False
    writable = folder.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    return bool(writable) or (not _ours(folder) and status.st_uid != folder.st_uid)


def kind_of(status: os.stat_result) -> str:
    """What it is, for people."""
    kinds = {
        stat.S_IFDIR: "a folder",
        stat.S_IFIFO: "a FIFO",
        stat.S_IFSOCK: "a socket",
        stat.S_IFLNK: "a symbolic link",
    }
    return kinds.get(stat.S_IFMT(status.st_mode), "a device")


def _ours(status: os.stat_result) -> bool:
    return status.st_uid in (0, os.geteuid())
