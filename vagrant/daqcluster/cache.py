"""Where what was fetched and built is kept: once per user, safe to use from two processes, never half there."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from pathlib import Path
from typing import Callable

from daqcluster.progress import Say


def folder() -> Path:
    """DAQSCHED_CACHE; else ``$XDG_CACHE_HOME/daqsched``; for root /var/cache/daqsched: Elasticsearch runs as another
    account, which can't come below root's home."""
    named = os.environ.get("DAQSCHED_CACHE")
    if named:
        return Path(named).absolute()
    if os.geteuid() == 0:
        return Path("/var/cache/daqsched")
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "daqsched"


def has(name: str) -> bool:
    """Whether the folder ``name`` is in the cache."""
    return (folder() / name).is_dir()


def made(name: str, make: Callable[[Path], None], say: Say) -> Path:
    """The folder ``name`` of the cache, made by ``make(FOLDER)`` if it is not there.

    It appears by a rename, so it is whole or not there, whenever this is interrupted; two who want it at once make it
    once.
    """
    root = folder()
    final = root / name
    if final.is_dir():
        return final
    root.mkdir(parents=True, exist_ok=True)
    with open(root / f".{name}.lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"waiting for another process that makes {name}")
            fcntl.flock(lock, fcntl.LOCK_EX)
        if not final.is_dir():
            # whoever left one of these was interrupted: nobody else may be here
            for left in root.glob(f".{name}.making-*"):
                shutil.rmtree(left, ignore_errors=True)
            making = Path(tempfile.mkdtemp(prefix=f".{name}.making-", dir=root))
            try:
                make(making)
                making.chmod(0o755)
                making.rename(final)
            finally:
                shutil.rmtree(making, ignore_errors=True)
    return final
