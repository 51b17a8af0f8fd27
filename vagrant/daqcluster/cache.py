"""Where what was fetched and built is kept: once per user, safe to use from two processes, never half there."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from pathlib import Path
from typing import Callable


def folder() -> Path:
    """DAQSCHED_CACHE; else /var/cache/daqsched for root (Elasticsearch runs as another account and must be able to read
    it), and ``$XDG_CACHE_HOME/daqsched`` for others."""
    named = os.environ.get("DAQSCHED_CACHE")
    if named:
        return Path(named)
    if os.geteuid() == 0:
        return Path("/var/cache/daqsched")
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "daqsched"


def made(name: str, make: Callable[[Path], None]) -> Path:
    """The folder ``name`` of the cache, made by ``make(FOLDER)`` if it is not there.

    It appears by a rename, so it is whole or not there, whenever this is interrupted; two who want it at once make it
    once.
    """
    root = folder()
    root.mkdir(parents=True, exist_ok=True)
    final = root / name
    if final.is_dir():
        return final
    with open(root / f".{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not final.is_dir():
            building = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=root))
            try:
                make(building)
                building.chmod(0o755)
                building.rename(final)
            finally:
                shutil.rmtree(building, ignore_errors=True)
    return final
