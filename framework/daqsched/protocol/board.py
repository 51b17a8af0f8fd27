"""The live board: all cells at once, and then what changes of them, for pages."""

from __future__ import annotations

from typing import Optional

import msgspec

from daqsched.views.rows import FarmHead

#: Cell, letter, since, restarts, reason, release, marks. Reason and release are numbers in the same message's ``words``, -1: none.
CellRow = tuple[int, str, int, int, int, int, int]


class BoardAnswer(msgspec.Struct):
    """GET /v1/board: every cell by its number, in columns. Times are whole seconds since the epoch; 0: nobody knows."""

    #: Of this daemon's time as the one that leads, and of what who asks may see; in another one all numbers mean something else.
    epoch: str
    #: Grows with every change: ``EPOCH.V`` is the ``since`` of GET /v1/events.
    v: int
    now: float
    #: What each letter means; ``-`` is gone.
    states: dict[str, str]
    #: Names by number; a host without a name: no machine of the job is known yet.
    jobs: list[str]
    hosts: list[str]
    #: Of each cell the numbers of its job and its host.
    job: list[int]
    host: list[int]
    #: One letter a cell.
    s: str
    #: Since when it is in that state.
    t: list[int]
    #: Of cells that have any: how many restarts.
    restarts: list[tuple[int, int]]
    #: Of cells that have one: the number of the reason in ``words``.
    why: list[tuple[int, int]]
    #: The version of what runs there, in ``words``; -1: none.
    release: list[int]
    #: One hexadecimal digit a cell: 1 not desired, 2 outdated or behind, 4 held, 8 blocked.
    marks: str
    words: list[str]
    farm: FarmHead


class BoardDelta(msgspec.Struct, omit_defaults=True):
    """An event ``delta`` of GET /v1/events: names and cells that are new behind those that there are, then rows, each of which is
    all that there is of its cell."""

    v: int
    now: float
    jobs: list[str] = []
    hosts: list[str] = []
    job: list[int] = []
    host: list[int] = []
    words: list[str] = []
    c: list[CellRow] = []
    farm: Optional[FarmHead] = None


class BoardReset(msgspec.Struct):
    """An event ``reset`` of GET /v1/events, the last of its stream: ask GET /v1/board again."""

    why: str
