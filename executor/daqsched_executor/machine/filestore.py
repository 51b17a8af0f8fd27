"""Files that a program leaves with its executor, for the next start of the program in its place: FDSTORE=1 of sd_notify(3).

A socket that is kept so goes on to queue what is sent to it while the program is dead.
"""

from __future__ import annotations

from collections.abc import Sequence

#: So many are kept of a program; systemd lets its owner say how many (FileDescriptorStoreMax=).
MOST = 16


class FileStore:
    """In the order in which they came; each has a name, which others may have, too. Closes none itself."""

    def __init__(self) -> None:
        self._kept: list[tuple[str, int]] = []

    def keep(self, name: str, files: Sequence[int]) -> Sequence[int]:
        """Ours from now on, but for those that are too many: they are returned, to be closed."""
        room = max(0, MOST - len(self._kept))
        self._kept += [(name, file) for file in files[:room]]
        return files[room:]

    def remove(self, name: str) -> list[int]:
        """Those of that name, to be closed."""
        removed = [file for known, file in self._kept if known == name]
        self._kept = [(known, file) for known, file in self._kept if known != name]
        return removed

    @property
    def kept(self) -> tuple[tuple[str, int], ...]:
        """Name and number of each."""
        return tuple(self._kept)
