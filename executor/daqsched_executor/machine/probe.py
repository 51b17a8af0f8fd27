"""Whether the paths that a program needs can be read: a sentence for each way they can't.

To be called in a child process only: a path below a mount that hangs (cvmfs, NFS, an automounter) never returns.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Mapping

#: Why a path can't be read, by errno; ``{path}`` is filled in. Other errors are reported as the kernel words them.
SENTENCES = {
    errno.ENOENT: "{path} is missing: is the version published?",
    errno.ENOTDIR: "{path} is missing: a part of it is a file, not a folder",
    errno.EACCES: "{path} may not be read by {user}",
    errno.ENOTCONN: "{path} is on a mount whose server died (transport endpoint is not connected): remount it",
    errno.ESTALE: "{path} is on a stale mount: remount it",
    errno.EIO: "{path} cannot be read (input/output error): is its mount (cvmfs?) healthy, its proxy reachable?",
    errno.ELOOP: "{path} is a loop of symbolic links",
    errno.ENODEV: "{path} is on an automount whose file system is not there (no such device)",
    errno.EHOSTDOWN: "{path} is on a mount whose host is down",
    errno.ETIMEDOUT: "{path} does not answer (timed out)",
}


class Unreadable(Exception):
    """A path can't be used; the message is one sentence."""


def resolve(name: str, environment: Mapping[str, str], cwd: str) -> str:
    """The program's full path: one with a slash is taken from ``cwd``, a bare name is looked up in PATH."""
    if "/" in name:
        return os.path.join(cwd, name)
    folders = [folder for folder in environment.get("PATH", "").split(":") if folder]
    for folder in folders:
        candidate = os.path.join(folder, name)
        if os.access(candidate, os.X_OK) and not os.path.isdir(candidate):
            return candidate
    raise Unreadable(f"{name} is not in the job's PATH ({':'.join(folders) or 'which is empty'})")


def check_program(path: str) -> None:
    """Raise `Unreadable` unless ``path`` is a file that we may execute."""
    mode = _stat(path).st_mode
    if not stat.S_ISREG(mode):
        raise Unreadable(f"{path} is not a file, so it cannot be started")
    if not os.access(path, os.X_OK):
        if os.statvfs(path).f_flag & os.ST_NOEXEC:
            raise Unreadable(f"{path} is on a mount with noexec: nothing there may be executed")
        raise Unreadable(f"{path} is not executable for {user_name()} (its mode is {stat.S_IMODE(mode):o})")


def check_path(path: str) -> None:
    """Raise `Unreadable` unless ``path`` can be opened, or listed if it is a folder.

    It is really opened: cvmfs answers a stat from its catalogue while the content can't be fetched.
    """
    try:
        if stat.S_ISDIR(_stat(path).st_mode):
            os.listdir(path)
        else:
            os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC))
    except OSError as error:
        raise Unreadable(sentence(path, error)) from error


def check_all(program: str, needs: tuple[str, ...], reached: Callable[[str], None]) -> None:
    """Check all, calling ``reached`` before each: whoever waits for us knows then which one hangs."""
    reached(program)
    check_program(program)
    for path in needs:
        reached(path)
        check_path(path)


def sentence(path: str, error: OSError) -> str:
    """What is wrong with ``path``, for people."""
    if error.errno == errno.ENOENT:
        path = _first_missing(path)
        if path == "/cvmfs" or os.path.dirname(path) == "/cvmfs":
            return f"{path} is missing: is it mounted on this machine?"
    template = SENTENCES.get(error.errno or 0)
    if template is None:
        return f"{path} cannot be read: {error.strerror}"
    return template.format(path=path, user=user_name())


def _first_missing(path: str) -> str:
    """The part of the path that is not there and whose folder is: ``/cvmfs/x/release-09`` says more than a file deep in it."""
    while True:
        parent = os.path.dirname(path)
        if parent in ("", path) or os.path.lexists(parent):
            return path
        path = parent


def user_name() -> str:
    """The account that we run as, without a look into a directory service that may hang."""
    return "root" if os.geteuid() == 0 else f"uid {os.geteuid()}"


def _stat(path: str) -> os.stat_result:
    try:
        return os.stat(path)
    except OSError as error:
        raise Unreadable(sentence(path, error)) from error
