"""A file in the place of another one, in one step: whoever reads it finds the old one or the new one, whole."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path


def write_whole(path: Path, data: bytes, mode: int = 0o600, for_owner: bool = False) -> None:
    """Raises `OSError`; then the old one is as it was, and nothing lies beside it.

    `mode` is that of the new file, also where the old one had another. ``for_owner``: what root renews belongs to whom the old
    one belonged to, so that a daemon still reads it; not in a folder where others may write, who could have laid it there.
    """
    beside = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    with contextlib.ExitStack() as undo:
        file = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        undo.callback(_remove, beside)
        with open(file, "wb") as out:
            with contextlib.suppress(FileNotFoundError):
                before, folder = path.lstat(), path.parent.stat()
                if for_owner and os.geteuid() == 0 == folder.st_uid and not folder.st_mode & 0o022:
                    os.fchown(file, before.st_uid, before.st_gid)
            os.fchmod(file, mode)
            out.write(data)
            out.flush()
            os.fsync(file)
        os.replace(beside, path)
        undo.pop_all()


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()
