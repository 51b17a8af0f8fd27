"""The room on the forwarder's disk: how much is left, and some that is set aside for where none is."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable

#: A file beside the journal that is given up where the disk is full, so that the journal can be written.
RESERVE = 1024 * 1024

#: How often the room is looked at, and below what it is said to be none.
LOOK_EVERY_S, FULL = 1.0, 256 * 1024


class Reserve:
    """See the module; ``folder`` is the forwarder's own."""

    def __init__(self, folder: str, warn: Callable[[str, str], None]) -> None:
        self._folder = folder
        self._warn = warn
        self._reserve = os.path.join(folder, "reserve")
        self._next = 0.0

    def left(self) -> int:
        """Bytes that we may still write."""
        statistics = os.statvfs(self._folder)
        return statistics.f_bavail * statistics.f_frsize

    def look(self, now: float) -> None:
        """Say it where the disk is full (``now`` is monotonic)."""
        if now < self._next:
            return
        self._next = now + LOOK_EVERY_S
        left = self.left()
        if left < FULL:
            self._warn(
                "disk",
                f"the disk of {self._folder} is full ({left // 1024} KiB are left): programs can write nothing there until "
                "somebody makes room; lines that wait are sent with the room that the forwarder has set aside",
            )

    def hold(self) -> None:
        """Have the reserve; where there is no room for it, the next call tries again."""
        if os.path.exists(self._reserve):
            return
        with contextlib.suppress(OSError):
            file = os.open(self._reserve, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.posix_fallocate(file, 0, RESERVE)
            except OSError:
                os.unlink(self._reserve)
            finally:
                os.close(file)

    def take(self) -> bool:
        """Give the reserve up; False where it is gone already."""
        try:
            os.unlink(self._reserve)
        except OSError:
            return False
        return True
