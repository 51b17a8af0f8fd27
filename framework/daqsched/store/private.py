"""Files for the eyes of one account: the state, its journal, the chronicle; whatever the umask, whoever made the folder."""

from __future__ import annotations

import logging
import os
import stat
from pathlib import Path

from daqsched.errors import DaqschedError

logger = logging.getLogger(__name__)

#: What SQLite puts beside a file.
BESIDE = ("-wal", "-shm", "-journal")


def folder(path: Path, most: int = 0o700) -> None:
    """A folder that is there, ours, and open to nobody beyond ``most``; raises `DaqschedError` where it can't be."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = path.stat()  # it may be a link of root's to another disk
    except OSError as error:
        raise DaqschedError(
            f"{path} can't be the folder of the state ({error.strerror}): give another --state"
        ) from error
    _ours(path, found.st_uid)
    mode = stat.S_IMODE(found.st_mode)
    if mode & stat.S_ISVTX:
        raise DaqschedError(
            f"{path} is for all accounts, as /tmp is, and would be closed to them: give a folder of its own"
        )
    if mode & ~most & 0o777:
        path.chmod(mode & most | 0o700)
        logger.warning("%s could be opened by others (mode %04o): now %04o", path, mode, mode & most | 0o700)


def database(path: Path) -> None:
    """A file for SQLite that is there, and it and what is beside it is ours, no link, and open to nobody else. To be called
    before SQLite opens it: what it makes then has the same mode."""
    _private(path, os.O_CREAT)
    for end in BESIDE:
        beside = Path(f"{path}{end}")
        if os.path.lexists(beside):
            _private(beside)


def _private(path: Path, create: int = 0) -> None:
    flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY
    if path.is_symlink():
        raise DaqschedError(f"{path} is a symbolic link: move the file that it names to its place")
    file = os.open(path, flags | create, 0o600)
    try:
        found = os.fstat(file)
        if not stat.S_ISREG(found.st_mode):
            raise DaqschedError(f"{path} is in the way: it is not a file; move it away")
        _ours(path, found.st_uid)
        if found.st_nlink > 1:
            raise DaqschedError(f"{path} has another name, by which others may read it: copy it and remove the link")
        if stat.S_IMODE(found.st_mode) != 0o600:
            os.fchmod(file, 0o600)
            if found.st_mode & 0o077:
                logger.warning("%s could be opened by others (mode %04o): now 0600", path, stat.S_IMODE(found.st_mode))
    finally:
        os.close(file)


def _ours(path: Path, uid: int) -> None:
    """Root may work on another's state: `daqsched backup --offline`."""
    if uid != os.geteuid() != 0:
        raise DaqschedError(f"{path} belongs to uid {uid} and not to uid {os.geteuid()}, as which this runs: chown it")
