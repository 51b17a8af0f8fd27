"""A folder of this process's own for sockets, with a short path: a socket's has 108 bytes at most (unix(7)), a sandbox's is longer.

Others may go through it, and neither list it nor change what is in it: who may connect to a socket there says the
socket's own mode. The folder is locked (flock) for as long as its process lives; what a killed one left behind is removed by the
next one of its account.
"""

from __future__ import annotations

import fcntl
import os
import stat
from itertools import islice
from typing import NamedTuple

#: Tried in this order: root's, and where everybody may make one (systemd-tmpfiles spares what is locked).
PLACES = ("/run", "/tmp")
PREFIX = "daqsched-notify-"
#: So many names in a place are looked at: where everybody may make one, somebody may make a million.
MOST_NAMES = 10_000
#: So many of our kind, which have to be opened.
MOST_LEFT = 1000


class OwnPlace(NamedTuple):
    """The folder, and the open file that locks it."""

    path: str
    handle: int

    def remove(self) -> None:
        """With the sockets in it."""
        _empty(self.path, self.handle)
        os.close(self.handle)


def own_place(places: tuple[str, ...] = PLACES) -> OwnPlace:
    """Make one. Raises OSError where there can be none."""
    problem = OSError("there is no place for a socket")
    for place in places:
        clear_away(place)
        for _ in range(10):
            path = f"{place}/{PREFIX}{os.urandom(8).hex()}"
            try:
                os.mkdir(path, 0o700)
            except OSError as error:
                problem = error
                break
            try:
                handle = _locked(path)
            except OSError:  # somebody who clears away was quicker
                continue
            os.fchmod(handle, 0o711)
            return OwnPlace(path, handle)
    raise problem


def clear_away(place: str) -> None:
    """Remove what dead processes of our account left."""
    try:
        with os.scandir(place) as entries:
            some = (entry.name for entry in islice(entries, MOST_NAMES))
            names = list(islice((name for name in some if name.startswith(PREFIX)), MOST_LEFT))
    except OSError:
        return
    for name in names:
        path = os.path.join(place, name)
        try:
            handle = _locked(path)
        except OSError:  # another account's, or one that lives
            continue
        _empty(path, handle)
        os.close(handle)


def _locked(path: str) -> int:
    """Open our own folder and lock it; raises OSError where it is none, is locked, or is not there any more."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        found, there = os.fstat(handle), os.lstat(path)
        if found.st_uid != os.geteuid() or (found.st_dev, found.st_ino) != (there.st_dev, there.st_ino):
            raise PermissionError(f"{path} is not ours")
    except OSError:
        os.close(handle)
        raise
    return handle


def _empty(path: str, handle: int) -> None:
    try:
        for name in os.listdir(handle):
            if stat.S_ISSOCK(os.stat(name, dir_fd=handle, follow_symlinks=False).st_mode):
                os.unlink(name, dir_fd=handle)
        os.rmdir(path)
    except OSError:  # it stays: nothing in it can be reached
        pass
