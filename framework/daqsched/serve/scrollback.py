"""What one program's terminal printed, as far as the daemon keeps it for who is attached: bytes with their place in all of it.

An executor's messages may be lost, come twice, or tell of what was asked for before: `Scrollback.hear` says from where on it is
to be asked again. Whoever reads too slowly is told how much is kept no more, and costs nobody else anything.
"""

from __future__ import annotations

from typing import Optional

from daqsched_executor.contract.console import KEPT_BYTES as KEPT_BY_EXECUTOR
from daqsched_executor.contract.console import LAST, PIECE_BYTES, ConsoleSaid

#: So much is kept of each.
KEPT_BYTES = 256 * 1024
#: Who attaches sees so much of what was printed before.
LAST_BYTES = 4096


class Scrollback:
    """Of one task."""

    def __init__(self, task_id: str, agent_id: str, whole: bool) -> None:
        """``whole``: from its beginning; else from what its executor has kept."""
        self.task_id, self.agent_id = task_id, agent_id
        self._data = bytearray()
        self._begin = self._first = 0
        #: From where on its executor is to be asked.
        self.wanted = 0 if whole else LAST
        self.start, self.runs = 0, False
        #: Its executor has nothing older that we lack; in a flood as much as it keeps is enough.
        self._caught_up = whole

    @property
    def known(self) -> bool:
        """Whether its last lines are: of a program that had begun before us, its executor tells what it has kept piece by piece."""
        return self._caught_up

    @property
    def end(self) -> int:
        """How much was printed in all, as far as we know."""
        return self._begin + len(self._data)

    def hear(self, said: ConsoleSaid) -> Optional[int]:
        """Take in what the executor says; from where on to ask again, where something is missing."""
        self.start, self.runs = said.start, said.runs
        if self.wanted == LAST:
            self.wanted = self._begin = self._first = said.at
        if said.at > self.end:
            if said.kept > self.end:  # nobody has it any more
                self._begin, self._data = min(said.kept, said.at), bytearray()
            if said.at > self.end:
                return self.end
        self._data += said.data[self.end - said.at :]
        gone = max(0, len(self._data) - KEPT_BYTES)
        del self._data[:gone]
        self._begin += gone
        self.wanted = self.end
        self._caught_up |= len(said.data) < PIECE_BYTES or self.end - self._first >= KEPT_BY_EXECUTOR
        return None

    def read(self, offset: Optional[int], most: int) -> tuple[int, bytes, int]:
        """What follows a place, None: the last lines; with the place to read on from, and how much before is kept no more."""
        if offset is not None and offset > self.end:  # a daemon that has just begun has not heard so far
            return offset, b"", 0
        at = max(self._begin, self.end - LAST_BYTES if offset is None else offset)
        data = bytes(self._data[at - self._begin : at - self._begin + most])
        return at + len(data), data, max(0, at - offset) if offset is not None else 0
