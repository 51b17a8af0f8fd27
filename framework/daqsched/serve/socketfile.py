"""The Unix socket in the file system: made, looked after, and made again where somebody removed it.

A socket that a living daemon listens on is never taken away from it: ours is put in place by a link, which fails where
there is something, and what is dead is moved aside first and looked at again there.
"""

from __future__ import annotations

import errno
import logging
import os
import secrets
import socket
import stat
from pathlib import Path

from daqsched.errors import DaqschedError
from daqsched.serve.accounts import group_id

logger = logging.getLogger(__name__)

#: How many may wait to be taken in.
BACKLOG = 4096

#: How long one that may be alive has to take a connection.
PROBE_S = 2.0


class SocketFile:
    """``path`` with a socket of mode 0660, also of ``group`` if given; `socket` listens."""

    def __init__(self, path: Path, group: str = "") -> None:
        self.path = path
        self._gid = group_id(group) if group else -1
        self._group = group
        self._identity = (0, 0)
        self.socket = self.make()

    def make(self) -> socket.socket:
        """Listen at ``path``; raises `DaqschedError` where that is not possible, or another daemon's place."""
        try:
            self.path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        except OSError as error:
            raise DaqschedError(
                f"the socket {self.path} can't be made: {error.strerror}; give another --socket"
            ) from error
        _look_at_folder(self.path.parent)
        # short names: a socket's path has at most 107 bytes
        mine = self.path.with_name(f".{secrets.token_urlsafe(2)}")
        sock = socket.socket(socket.AF_UNIX)
        try:
            sock.bind(str(mine))
            try:
                # until it listens nobody can connect to it; a umask would be that of all threads
                os.chmod(mine, 0o660)
                if self._group:
                    os.chown(mine, -1, self._gid)
                sock.listen(BACKLOG)
                sock.setblocking(False)
                self._place(mine)
                found = os.lstat(self.path)
                self._identity = (found.st_dev, found.st_ino)
            finally:
                os.unlink(mine)
        except PermissionError as error:
            sock.close()
            what = f"be given to the group {self._group!r}" if self._group else "be made"
            raise DaqschedError(f"the socket {self.path} can't {what}: {error.strerror}") from error
        except OSError as error:
            sock.close()
            raise DaqschedError(f"the socket {self.path} can't be made: {error.strerror or error}") from error
        except DaqschedError:
            sock.close()
            raise
        self.socket = sock
        return sock

    def trouble(self) -> str:
        """What has become of it, in words; empty: it is in its place."""
        try:
            found = os.lstat(self.path)
        except FileNotFoundError:
            return "was removed"
        except OSError as error:
            return f"can't be looked at ({error.strerror})"
        return "" if (found.st_dev, found.st_ino) == self._identity else "was replaced"

    def close(self) -> None:
        """Listen no more, and take it away if it is still ours."""
        self.socket.close()
        if not self.trouble():
            os.unlink(self.path)

    def _place(self, mine: Path) -> None:
        try:
            os.link(mine, self.path)
            return
        except FileExistsError:
            pass
        before = os.lstat(self.path)
        if not stat.S_ISSOCK(before.st_mode):
            raise DaqschedError(f"{self.path} is in the way: it is not a socket; move it or give another --socket")
        _refuse_a_living_one(self.path, self.path)
        aside = self.path.with_name(f".{secrets.token_urlsafe(2)}")
        os.rename(self.path, aside)
        try:
            # whoever was quicker than we has put a living one there meanwhile
            _refuse_a_living_one(aside, self.path)
        except DaqschedError:
            os.link(aside, self.path)
            raise
        finally:
            os.unlink(aside)
        try:
            os.link(mine, self.path)
        except FileExistsError as error:
            raise DaqschedError(f"another program has just made {self.path}: give another --socket") from error


def _refuse_a_living_one(path: Path, name: Path) -> None:
    """Only a refused connection says that nobody listens; one that is too busy, or not ours to open, is alive."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(PROBE_S)
        found = probe.connect_ex(str(path))
    if found in (errno.ECONNREFUSED, errno.ENOENT):
        return
    if found in (errno.EACCES, errno.EPERM):
        raise DaqschedError(f"{name} is somebody else's socket: give another --socket")
    raise DaqschedError(f"another daqsched serve answers on {name}: stop it, or give another --socket")


def _look_at_folder(folder: Path) -> None:
    """Who may write a folder may put a socket of their own into the place of ours, and hear what people ask."""
    found = folder.stat()
    if found.st_mode & stat.S_ISVTX:
        return
    if found.st_mode & stat.S_IWOTH:
        raise DaqschedError(
            f"anybody may write {folder} (mode {stat.S_IMODE(found.st_mode):o}) and so replace the socket: chmod o-w {folder}, "
            "or give a --socket elsewhere"
        )
    if found.st_mode & stat.S_IWGRP:
        logger.warning(
            "the group of %s may write it (mode %o) and so replace the socket: chmod g-w %s",
            folder,
            stat.S_IMODE(found.st_mode),
            folder,
        )
    if found.st_uid not in (0, os.geteuid()):
        logger.warning("%s belongs to uid %d, who may replace the socket", folder, found.st_uid)
