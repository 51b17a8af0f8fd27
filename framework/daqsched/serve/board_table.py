"""The cells of one board by their numbers, its versions, and what brings whoever has an older one up to date.

There is one for all who see the same. A number is of one instance for as long as the epoch lasts, also after that is gone.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple, Optional

import msgspec
from msgspec.structs import replace

from daqsched.engine.instance import Key
from daqsched.protocol import BoardAnswer, BoardDelta, BoardReset, CellRow
from daqsched.spec import FORWARDER
from daqsched.views.board import GONE, LETTERS, STATES, BoardCell
from daqsched.views.rows import FarmHead

#: So many versions and bytes of them are kept for those who come back; who is so many bytes behind begins anew.
MOST_VERSIONS, MOST_BYTES, MOST_BEHIND = 4096, 1 << 20, 256 << 10

#: So much is handed over at once.
PIECE = 64 << 10

#: So many numbers of what is gone are kept; more only where there are more of what is there.
MOST_GONE = 1000

#: What events may be about.
CELLS, FARM = "board", "farm"
TOPICS = frozenset({CELLS, FARM})

_NOTHING = BoardCell(GONE, 0)


class _Version(NamedTuple):
    v: int
    #: Events, for whoever wants one of the topics or both; empty: nothing in it is of that topic.
    by_topics: Mapping[frozenset[str], bytes]
    #: Bytes of all versions so far, with this one.
    total: int


class BoardTable:
    """See the module."""

    def __init__(self, epoch: str, cells: Mapping[Key, BoardCell], head: FarmHead) -> None:
        self.epoch, self.v = epoch, 0
        self._jobs: dict[str, int] = {}
        self._hosts: dict[str, int] = {}
        self._numbers: dict[Key, int] = {}
        self._cells: list[BoardCell] = []
        self._states: Counter[str] = Counter()
        self._as_desired = self._total = 0
        #: How many forward lines, and those that do not as they should.
        self._forwarders = 0
        self._failing: dict[str, BoardCell] = {}
        self._ring: deque[_Version] = deque()
        self._bytes = 0
        self._number(sorted(cells), cells)
        self.head = self._head(head)

    @property
    def worn(self) -> bool:
        """Whether most of its numbers are of what is gone, so that another epoch is due."""
        return len(self._cells) - self._total > max(MOST_GONE, self._total)

    @property
    def keys(self) -> Collection[Key]:
        """All that have a number."""
        return self._numbers

    @property
    def kept(self) -> tuple[int, int]:
        """How many versions are kept, and their bytes."""
        return len(self._ring), self._bytes_at(self._ring[0]) if self._ring else 0

    def step(self, changes: Mapping[Key, Optional[BoardCell]], head: FarmHead, now: float) -> bool:
        """Take in what has changed; whether that made another version."""
        changed = {key: cell for key, cell in changes.items() if self._cell(key) != cell}
        new = sorted(key for key, cell in changed.items() if cell is not None and key not in self._numbers)
        jobs, hosts, count = len(self._jobs), len(self._hosts), len(self._cells)
        self._number(new, changed)
        for key, cell in changed.items():
            if key in self._numbers and self._numbers[key] < count:
                self._put(key, cell or _NOTHING)
        numbers = sorted(self._numbers[key] for key in changed if key in self._numbers)
        head, before = self._head(head), self.head
        if not numbers and head == before:
            return False
        self.head, self.v = head, self.v + 1
        words = _Words()
        of_cells = BoardDelta(
            self.v,
            now,
            list(self._jobs)[jobs:],
            list(self._hosts)[hosts:],
            [self._jobs[job] for job, _ in new],
            [self._hosts[host] for _, host in new],
            words.all,
            [self._row(number, words) for number in numbers],
        )
        farm = head if head != before else None
        of_farm = BoardDelta(self.v, now, farm=farm)
        self._keep(
            {
                TOPICS: self._event(replace(of_cells, farm=farm)),
                frozenset({CELLS}): self._event(of_cells) if numbers else b"",
                frozenset({FARM}): self._event(of_farm) if farm is not None else b"",
            }
        )
        return True

    def since(self, v: int, topics: frozenset[str]) -> Optional[tuple[int, bytes]]:
        """Events for whoever has that version, as much as is handed over at once, and the version that it is then; None: it is
        too far behind, or there is no such one."""
        if not self.follows(v):
            return None
        found, size = [], 0
        while v < self.v and size < PIECE:
            one = self._ring[v - self.v].by_topics[topics]
            v, size = v + 1, size + len(one)
            found.append(one)
        return v, b"".join(found)

    def follows(self, v: int) -> bool:
        """Whether one who has that version can be brought up to date."""
        behind = self.v - v
        if behind == 0:
            return True
        if not 0 < behind <= len(self._ring):
            return False
        first = self._ring[-behind]
        return self._bytes_at(first) <= MOST_BEHIND

    def whole_head(self, now: float) -> bytes:
        """An event with the head alone, for who has none."""
        return self._event(BoardDelta(self.v, now, farm=self.head))

    def answer(self, now: float) -> BoardAnswer:
        """All of it."""
        words, keys = _Words(), list(self._numbers)
        cells = self._cells
        return BoardAnswer(
            self.epoch,
            self.v,
            now,
            dict(STATES),
            list(self._jobs),
            list(self._hosts),
            [self._jobs[job] for job, _ in keys],
            [self._hosts[host] for _, host in keys],
            "".join(cell.letter for cell in cells),
            [cell.since for cell in cells],
            [(at, cell.restarts) for at, cell in enumerate(cells) if cell.restarts],
            [(at, words.number(cell.reason)) for at, cell in enumerate(cells) if cell.reason],
            [words.number(cell.release) for cell in cells],
            "".join(f"{cell.marks:x}" for cell in cells),
            words.all,
            self.head,
        )

    # ------------------------------------------------------------------ numbers

    def _number(self, keys: Iterable[Key], cells: Mapping[Key, Optional[BoardCell]]) -> None:
        for job, host in keys:
            self._jobs.setdefault(job, len(self._jobs))
            self._hosts.setdefault(host, len(self._hosts))
            self._numbers[job, host] = len(self._cells)
            self._cells.append(_NOTHING)
            self._put((job, host), cells[job, host] or _NOTHING)

    def _cell(self, key: Key) -> Optional[BoardCell]:
        number = self._numbers.get(key)
        cell = self._cells[number] if number is not None else None
        return None if cell is None or cell.letter == GONE else cell

    def _put(self, key: Key, cell: BoardCell) -> None:
        number = self._numbers[key]
        for one, by in ((self._cells[number], -1), (cell, 1)):
            if one.letter != GONE:
                self._states[one.letter] += by
                self._total += by
                self._as_desired += by * one.as_desired
                self._forwarders += by * (key[0] == FORWARDER)
        self._cells[number] = cell
        if key[0] == FORWARDER:
            self._failing.pop(key[1], None)
            if cell.letter in "FUKHB":
                self._failing[key[1]] = cell

    def _row(self, number: int, words: _Words) -> CellRow:
        cell = self._cells[number]
        why, release = words.number(cell.reason), words.number(cell.release)
        return number, cell.letter, cell.since, cell.restarts, why, release, cell.marks

    # ------------------------------------------------------------------ the head

    def _head(self, head: FarmHead) -> FarmHead:
        states: dict[str, int] = {state: self._states[letter] for state, letter in LETTERS.items()}
        return replace(
            head,
            states={state: count for state, count in states.items() if count},
            total=self._total,
            as_desired=self._as_desired,
            elasticsearch=self._lines(),
        )

    def _lines(self) -> str:
        if not self._failing:
            return ""
        host, cell = min(self._failing.items())
        of = f"{len(self._failing)} of {self._forwarders} forwarders of lines are not as they should be"
        return f"{of}: {host} is {STATES[cell.letter]}{': ' + cell.reason if cell.reason else ''}"

    # ------------------------------------------------------------------ versions

    def _event(self, delta: BoardDelta) -> bytes:
        return b"id: %b.%d\nevent: delta\ndata: %b\n\n" % (self.epoch.encode(), self.v, msgspec.json.encode(delta))

    def _keep(self, by_topics: Mapping[frozenset[str], bytes]) -> None:
        self._bytes += len(by_topics[TOPICS])
        self._ring.append(_Version(self.v, by_topics, self._bytes))
        # one that is larger than that is kept by nobody: all begin anew
        while self._ring and (len(self._ring) > MOST_VERSIONS or self._bytes_at(self._ring[0]) > MOST_BYTES):
            self._ring.popleft()

    def _bytes_at(self, version: _Version) -> int:
        """Bytes from this version on."""
        return self._bytes - version.total + len(version.by_topics[TOPICS])


class _Words:
    """Texts by numbers, for one message."""

    def __init__(self) -> None:
        self.all: list[str] = []
        self._numbers: dict[str, int] = {}

    def number(self, text: str) -> int:
        """-1: there is none."""
        if not text:
            return -1
        found = self._numbers.setdefault(text, len(self.all))
        if found == len(self.all):
            self.all.append(text)
        return found


def reset(why: str) -> bytes:
    """The last event of a stream whose reader has to begin anew."""
    return b"event: reset\ndata: %b\n\n" % msgspec.json.encode(BoardReset(why))
