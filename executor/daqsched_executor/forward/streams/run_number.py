"""The number of the run that is taken now, out of a file that run control writes."""

from __future__ import annotations

import os
from collections.abc import Callable

#: A longer word is no run's number.
LONGEST = 64


class RunNumber:
    """Reads the file when it has changed."""

    def __init__(self, path: str, warn: Callable[[str, str], None]) -> None:
        """``path``: its first word is the number; empty: there is none."""
        self._path = path
        self._warn = warn
        self._known: tuple[int, int, int] | None = None
        self._number = ""

    def now(self) -> str:
        """The number; empty where there is no run. One that can't be read is said, and the last one stays."""
        if not self._path:
            return ""
        try:
            status = os.stat(self._path)
            known = (status.st_ino, status.st_size, status.st_mtime_ns)
            if known != self._known:
                with open(self._path, encoding="utf-8", errors="replace") as file:
                    words = file.read(4096).split()
                self._number = words[0][:LONGEST] if words else ""
                self._known = known
        except FileNotFoundError:
            self._number, self._known = "", None
        except OSError as error:
            self._warn("run", f"cannot read the run's number from {self._path}: {error.strerror}")
        return self._number
