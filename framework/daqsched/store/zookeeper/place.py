"""Where in ZooKeeper a state is, and with what password."""

from __future__ import annotations

import re
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from daqsched.errors import UserError


@dataclass(frozen=True)
class ZooKeeperPlace:
    """``zk://HOST:PORT,HOST:PORT/PATH``"""

    servers: str
    path: str
    #: ``NAME:PASSWORD``; empty: whoever reaches ZooKeeper may read and change the state.
    credentials: str = ""

    def __str__(self) -> str:
        return f"zk://{self.servers}{self.path}"

    # what a dataclass would print
    __repr__ = __str__


def place_of(state: str, credentials: Optional[Path] = None) -> ZooKeeperPlace:
    """The place that ``--state`` and ``--state-credentials`` name; raises `UserError` where they do not."""
    found = re.fullmatch(r"zk://([^/@\s]+:\d+)((?:/[^/\s]+)+)/?", state)
    if not found:
        raise UserError(
            f"{state!r} is not a place in ZooKeeper: write zk://HOST:PORT,HOST:PORT/PATH, e.g. .../daqsched"
        )
    return ZooKeeperPlace(found[1], found[2], read_user(credentials) if credentials else "")


def read_user(path: Path) -> str:
    """``NAME:PASSWORD`` out of the first line of a file that nobody else can read; raises `UserError` otherwise."""
    try:
        mode, line = path.stat().st_mode, path.read_text(encoding="utf-8").partition("\n")[0].strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} can't be read: {error}") from error
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise UserError(f"{path} holds a secret and can be read by others: chmod 600 {path}")
    if not all(line.partition(":")[::2]):
        raise UserError(f"the first line of {path} must be NAME:PASSWORD")
    return line
