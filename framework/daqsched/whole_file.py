"""A file in the place of another one, in one step: whoever reads it finds the old one or the new one, whole."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import time
from pathlib import Path

from daqsched.errors import UserError

#: What a killed writer left beside is removed by the next one once it is so old: then nobody writes it any more.
_LEFT_S = 3600.0


def keeps_owner(path: Path) -> bool:
    """Whether what we write there may stay another account's: we are root, and nobody else may write in the folder, who could
    have laid there what is believed or given away."""
    folder = path.parent.stat()
    return os.geteuid() == 0 == folder.st_uid and not folder.st_mode & 0o022


def write_whole(path: Path, data: bytes, mode: int = 0o600, for_owner: bool = False) -> None:
    """Raises `OSError`; then the old one is as it was, and nothing lies beside it.

    `mode` is that of the new file, also where the old one had another. ``for_owner``: what root renews belongs to whom the old
    one belonged to, so that a daemon still reads it; where that can't be (`keeps_owner`), `UserError`, and nothing is changed.
    """
    beside = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    with contextlib.ExitStack() as undo:
        file = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        undo.callback(_remove, beside)
        with open(file, "wb") as out:
            with contextlib.suppress(FileNotFoundError):
                before = path.lstat()
                if for_owner and keeps_owner(path):
                    os.fchown(file, before.st_uid, before.st_gid)
                elif for_owner and before.st_uid != 0 == os.geteuid():
                    raise UserError(
                        f"{path} belongs to uid {before.st_uid}, who could not read one of root's, and others than root may write"
                        f" in its folder: do this as that account, or let root alone write in {path.parent}"
                    )
            os.fchmod(file, mode)
            out.write(data)
            out.flush()
            os.fsync(file)
        os.replace(beside, path)
        undo.pop_all()
    _remove_left(path)


def _remove_left(path: Path) -> None:
    """What earlier writers of ours left beside when they were killed."""
    name = re.compile(rf"\.{re.escape(path.name)}\.[0-9a-f]{{16}}\Z")
    with contextlib.suppress(OSError), os.scandir(path.parent) as found:
        for one in found:
            if name.match(one.name):
                left = one.stat(follow_symlinks=False)
                if left.st_uid == os.geteuid() and time.time() - left.st_mtime > _LEFT_S:
                    _remove(path.with_name(one.name))


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()
