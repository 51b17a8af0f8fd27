"""Which bytes of a stream carry which labels, and which start of its program printed them, as its executor wrote beside the
registration."""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Mapping

from ...contract import ContractError, LabelRow, labels_of, starts_of
from ...machine.spool import LONGEST, open_regular, read_ours
from ..journal.position import Position

#: A byte that no file has.
NEVER = 1 << 62


class Labels:
    """Which labels a stream's lines carry from which byte on, where they have changed: see `contract.labels_path`."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._known = (-1, -1)
        self._rows: list[LabelRow] = []
        #: How often they were read: what was made of other rows is made anew.
        self._version = 0

    def at(self, position: Position) -> tuple[tuple[int, int], Mapping[str, str] | None, int]:
        """Of the bytes from there on: what differs where the labels do; the labels, None: as they were registered; and the byte
        that the next ones begin at."""
        self._look()
        if position.generation:  # the file was emptied, and its bytes are counted anew
            at = len(self._rows)
        else:
            at = bisect_right([row.offset for row in self._rows], position.offset)
        labels = self._rows[at - 1].labels if at else None
        end = self._rows[at].offset if at < len(self._rows) else NEVER
        return (self._version, at), labels, end

    def end(self) -> int:
        """The byte from which on nothing is forwarded; NEVER: all is."""
        self._look()
        return self._rows[-1].offset if self._rows and self._rows[-1].labels is None else NEVER

    def _look(self) -> None:
        try:
            status = os.lstat(self._path)
            known = (status.st_ino, status.st_mtime_ns)
            if known != self._known:
                self._rows = labels_of(read_ours(self._path))
                self._known = known
                self._version += 1
        except (OSError, ContractError):
            return  # there is none, or nothing of ours: as before


class Starts:
    """Which bytes of a stream are of which start of its program: see `contract.starts_path`."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._known = (-1, -1)
        self._rows: list[tuple[int, int]] = []

    def at(self, offset: int) -> tuple[int, int]:
        """The start that printed the byte, and the byte that the next one begins at."""
        self._look()
        at = bisect_right(self._rows, (offset, NEVER))
        number = self._rows[at - 1][1] if at else (self._rows[0][1] - 1 if self._rows else 1)
        # rows are halved in time: what lies before the first may be of any start before it
        if at == 0 and number > 1:
            number = 0
        return number, self._rows[at][0] if at < len(self._rows) else NEVER

    def _look(self) -> None:
        try:
            status = os.lstat(self._path)
        except FileNotFoundError:
            return
        known = (status.st_ino, status.st_size)
        if known != self._known:
            self._known = known
            try:
                file = open_regular(self._path, None)
            except OSError:
                return  # nothing of ours: the lines are of no start that is known
            try:
                self._rows = starts_of(os.pread(file, LONGEST, 0))
            finally:
                os.close(file)
