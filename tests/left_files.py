"""What tests leave in the system's temporary folder. A session of them has one of its own, for it and all that it begins."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import MutableMapping
from pathlib import Path

#: What a path of a socket in it has left is not much (unix(7)): a short name.
PREFIX = "dq-"


def own_folder(environ: MutableMapping[str, str]) -> Path:
    """Make it, and have all that asks for a temporary file use it from now on; any account of the machine may, as in the system's.
    pytest's own folders stay where they were."""
    environ.setdefault("PYTEST_DEBUG_TEMPROOT", tempfile.gettempdir())
    folder = Path(tempfile.mkdtemp(prefix=PREFIX))
    folder.chmod(0o1777)
    environ["TMPDIR"] = str(folder)
    tempfile.tempdir = None  # it is looked for again
    return folder


def left_in(folder: Path) -> list[str]:
    """The names of all that is there, with how much each is; a session that cleans up after itself leaves none."""
    return [f"{one.name} ({_size(one)})" for one in sorted(folder.iterdir())]


def _size(path: Path) -> str:
    if path.is_dir() and not path.is_symlink():
        return f"{len(list(path.iterdir()))} in it" if os.access(path, os.R_OK) else "a folder"
    return f"{path.lstat().st_size} bytes"


def remove(folder: Path) -> None:
    """As far as that can be: of another account's something may stay."""
    shutil.rmtree(folder, ignore_errors=True)
