"""Files that a program leaves with its executor, for the next start of the program in its place: FDSTORE=1 of sd_notify(3).

A socket that is kept so goes on to queue what is sent to it while the program is dead.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

#: So many are kept of a program; systemd lets its owner say how many (FileDescriptorStoreMax=).
MOST = 16


class FileStore:
    """In the order in which they came; each has a name, which others may have, too."""

    def __init__(self) -> None:
        self._kept: list[tuple[str, int]] = []

    def keep(self, name: str, files: Sequence[int]) -> int:
        """Ours from now on; how many of them were closed because there are too many."""
        room = max(0, MOST - len(self._kept))
        self._kept += [(name, file) for file in files[:room]]
        close_all(files[room:])
        return len(files[room:])

    def remove(self, name: str) -> None:
        """Close those of that name."""
        close_all([file for known, file in self._kept if known == name])
        self._kept = [(known, file) for known, file in self._kept if known != name]

    @property
    def kept(self) -> tuple[tuple[str, int], ...]:
        """Name and number of each."""
        return tuple(self._kept)


def close_all(files: Sequence[int]) -> None:
    """Each of them is open."""
    for file in files:
        os.close(file)
