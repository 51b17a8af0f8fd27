"""The machine's spool: folders that one account alone may write to, and how what lies in them is opened.

What an executor writes there is believed by a forwarder that may be root, and by the executors after it. So each folder
belongs to the account that works in it and is closed to all others, and so is every way to it; each file is opened as what
it must be, a regular file of that account, and never followed, waited for, or read without a bound. Other accounts can
neither plant, replace, hold nor read anything.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from binascii import b2a_base64
from collections.abc import Mapping

from daqsched_executor.contract import LINKS_DIR, LOCKS_DIR, SPOOL_VARIABLE, STREAMS_DIR, spool_of

#: What others may do in the spool itself and in the forwarder's folder (they may see its counts), and in all others.
SEEN, CLOSED = 0o755, 0o700

#: No file that is read as a whole is longer; registrations have some hundred bytes.
LONGEST = 1024 * 1024

#: What another account had put in our place has this and a number behind its name.
FOREIGN = ".foreign-"

#: The forwarder's own folder in the spool: lock, journal, status, dead letters.
FORWARD_DIR = "forward"

#: What is in a spool.
_FOLDERS = frozenset((STREAMS_DIR, LINKS_DIR, LOCKS_DIR, FORWARD_DIR))

_WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def choose(environ: Mapping[str, str]) -> str:
    """The spool of our account on this machine; empty outside of Mesos.

    That which is named (DAQSCHED_SPOOL), or the agent's; where that is another account's, or can't be made because the
    agent's work_dir is root's, the one beside it that bears our uid, which root can make for us.
    """
    path = spool_of(environ) or ""
    if not path or environ.get(SPOOL_VARIABLE) or _may_be_ours(path):
        return path
    return f"{path}.{os.geteuid()}"


def _may_be_ours(path: str) -> bool:
    try:
        return os.lstat(path).st_uid == os.geteuid()
    except FileNotFoundError:
        return os.access(os.path.dirname(path), os.W_OK, effective_ids=True)


def new_id() -> str:
    """A stream's id that no other has had: see `Stream.id`."""
    return b2a_base64(os.urandom(8)).rstrip(b"=\n").decode().replace("+", "-").replace("/", "_")


def spool_folder(path: str) -> int:
    """The spool's descriptor, made where it is not there. Raises OSError, with a path and a sentence, where it can't be
    trusted: it must be ours, and no other account may exchange a folder on the way to it."""
    way = os.path.dirname(os.path.realpath(path))
    while True:
        found = os.lstat(way)
        if found.st_uid not in (0, os.geteuid()):
            raise OSError(errno.EPERM, f"belongs to uid {found.st_uid}, who could exchange what is below it", way)
        if found.st_mode & _WRITABLE_BY_OTHERS and not found.st_mode & stat.S_ISVTX:
            raise OSError(errno.EPERM, "is writable by other accounts, who could exchange what is below it", way)
        if way == os.path.dirname(way):
            break
        way = os.path.dirname(way)
    _look_for_others(path)
    try:
        return folder(path, SEEN)
    except PermissionError as error:
        if error.filename != path or os.geteuid() == 0:
            raise
        uid = os.geteuid()
        made = f"install -d -o {uid} -m 755 {path}"
        raise OSError(errno.EPERM, f"can't be made or used by uid {uid}; as root, once: {made}", path) from error


def _look_for_others(path: str) -> None:
    """Raise OSError where a folder that is open to all has more in it than a spool: it is /tmp or the like, and nobody but us
    could use it once it was closed."""
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if stat.S_ISDIR(mode) and mode & _WRITABLE_BY_OTHERS:
        others = [name for name in os.listdir(path) if name not in _FOLDERS and FOREIGN not in name]
        if others:
            raise OSError(errno.EPERM, f"is for all accounts and has {others[0]} in it: name a folder of its own", path)


def folder(path: str, mode: int = CLOSED, within: int | None = None) -> int:
    """A folder's descriptor; it is made where it is not there, and closed to others where it was open. Raises OSError
    where it is another account's, or none.

    ``within``: the folder of ours that ``path`` is in. What another account made there, in the days when it was open to all,
    goes out of the way: it gets the name `FOREIGN`.
    """
    for last in (within is None, True):
        made = True
        try:
            os.mkdir(path, CLOSED, dir_fd=within)
        except FileExistsError:
            made = False
        try:
            return _folder_of_ours(path, mode, within, made)
        except OSError as error:
            if last or error.errno not in (errno.ELOOP, errno.ENOTDIR, errno.EACCES):
                raise
            os.rename(path, f"{path}{FOREIGN}{time.time_ns()}", src_dir_fd=within, dst_dir_fd=within)
    raise AssertionError("unreachable: the last try returns or raises")


def _folder_of_ours(path: str, mode: int, within: int | None, made: bool) -> int:
    try:
        opened = os.open(path, _FOLDER, dir_fd=within)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            raise OSError(error.errno, "is not a folder (a symbolic link is not followed)", path) from error
        raise
    try:
        found = os.fstat(opened)
        if found.st_uid != os.geteuid():
            raise OSError(errno.EACCES, f"belongs to uid {found.st_uid}, not to uid {os.geteuid()}", path)
        if made or stat.S_IMODE(found.st_mode) & ~mode:
            os.fchmod(opened, mode)
    except OSError:
        os.close(opened)
        raise
    return opened


def open_regular(name: str, within: int | None, flags: int = os.O_RDONLY, inode: int = 0) -> int:
    """A regular file's descriptor; ``inode``: which one it must be, if that is known. Never waits, never follows a link.
    Raises OSError."""
    file = os.open(name, flags | _FILE, 0o600, dir_fd=within)
    try:
        check_regular(os.fstat(file), name, inode)
    except OSError:
        os.close(file)
        raise
    return file


def check_regular(found: os.stat_result, name: str, inode: int = 0) -> None:
    """Raises OSError where that is not a regular file, or not the one that it must be."""
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "is not a regular file", name)
    if inode and found.st_ino != inode:
        raise OSError(errno.ESTALE, "is another file than the one that was handed over", name)


def open_ours(name: str, within: int | None, flags: int = os.O_RDONLY) -> int:
    """A regular file of our account's. Raises OSError."""
    file = open_regular(name, within, flags)
    owner = os.fstat(file).st_uid
    if owner != os.geteuid():
        os.close(file)
        raise OSError(errno.EACCES, f"belongs to uid {owner}, not to uid {os.geteuid()}", name)
    return file


def read_ours(name: str, within: int | None = None, most: int = LONGEST) -> bytes:
    """What a file of our account's holds. Raises OSError, also where it holds more than ``most`` bytes."""
    file = open_ours(name, within)
    try:
        text = b""
        while len(text) <= most:
            piece = os.read(file, most + 1 - len(text))
            if not piece:
                return text
            text += piece
        raise OSError(errno.EFBIG, f"holds more than {most} bytes", name)
    finally:
        os.close(file)
