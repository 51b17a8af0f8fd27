"""What all see of the board who see the same: its table of numbers, kept by a task of its own.

Whoever's rules take long to be looked at waits for that alone: what a view is owed meanwhile is put together, and taken in at once.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Collection, Mapping
from typing import NamedTuple, Optional

import msgspec
from msgspec.structs import replace

from daqsched.engine.instance import Key
from daqsched.rights.grants import Grants
from daqsched.rights.unsaid import WORD
from daqsched.serve.board_table import BoardTable
from daqsched.serve.streams import EventStream
from daqsched.serve.visibility import Visibility
from daqsched.spec import Spec
from daqsched.views.board import BoardCell
from daqsched.views.rows import FarmHead

logger = logging.getLogger(__name__)

#: So many reasons that name nothing hidden are remembered.
MOST_SAYABLE = 10_000


class Owed(NamedTuple):
    """What a view has not taken in yet."""

    changes: Mapping[Key, Optional[BoardCell]]
    #: All that there is, and the jobs of that; they go on changing.
    cells: Mapping[Key, BoardCell]
    jobs: Collection[str]
    head: FarmHead
    now: float
    #: Where another spec is in force, which says whose each job is.
    spec: Optional[Spec] = None


class BoardView:
    """See the module; for the loop that answers."""

    def __init__(self, grants: Optional[Grants]) -> None:
        """``grants``: of somebody who sees that; None: all is seen."""
        self._grants = grants
        self.visibility: Optional[Visibility] = None
        self.table = BoardTable("", {}, FarmHead())
        self.streams: set[EventStream] = set()
        self.used = time.monotonic()
        #: It could not be kept: nobody is to look at it any more.
        self.broken = False
        self._owed: Optional[Owed] = None
        self._changes: dict[Key, Optional[BoardCell]] = {}
        self._going: Optional[asyncio.Task[None]] = None
        #: How often something was owed, and how much of that was taken in; what is set with the next of it.
        self._asked = self._told = 0
        self._moved: Optional[asyncio.Event] = None
        self._turn: Optional[asyncio.Lock] = None
        self._shown: dict[Key, bool] = {}
        self._shown_jobs: set[str] = set()
        #: Reasons that name nothing that is hidden.
        self._sayable: set[str] = set()
        #: The answer without its time, and of which version it is.
        self._encoded: tuple[str, int, bytes] = ("", -1, b"")

    # ------------------------------------------------------------------ keeping it

    @property
    def turn(self) -> asyncio.Lock:
        """Held while the table changes, and by whoever reads all of it."""
        self._turn = self._turn or asyncio.Lock()
        return self._turn

    def owe(self, owed: Owed) -> None:
        """To be taken in, when what came before is."""
        self._changes.update(owed.changes)
        before = self._owed.spec if self._owed is not None else None
        self._owed = owed._replace(changes=self._changes, spec=owed.spec or before)
        self._asked += 1
        if self._going is None or self._going.done():
            self._going = asyncio.get_running_loop().create_task(self._catch_up())

    async def caught_up(self) -> None:
        """Until all is taken in that is owed now."""
        until = self._asked
        while self._told < until and not self.broken:
            self._moved = self._moved or asyncio.Event()
            await self._moved.wait()

    async def _catch_up(self) -> None:
        try:
            while self._owed is not None:
                owed, self._owed, asked = self._owed, None, self._asked
                self._changes = {}
                async with self.turn:
                    changed = await self._take_in(owed)
                self._told = asked
                self._move()
                if changed:
                    self.wake()
        except Exception:
            logger.exception("a view of the board can't be kept: whoever looks at it begins anew")
            self.broken = True
            for stream in self.streams:
                stream.end()
        finally:
            self._move()

    def _move(self) -> None:
        moved, self._moved = self._moved, None
        if moved is not None:
            moved.set()

    async def _take_in(self, owed: Owed) -> bool:
        """Whether that changed something."""
        changes, new = owed.changes, not self.table.epoch
        if owed.spec is not None and self._grants is not None:
            self._look_anew(await asyncio.to_thread(_visibility, self._grants, owed.spec))
            if not new:
                changes = {**changes, **owed.cells}
        if new:
            self.table = await self._made(owed)
            return True
        # to look at each by the rules takes its time
        visible = changes if self.visibility is None else await asyncio.to_thread(self._visible, changes, owed.jobs)
        changed = self.table.step(visible, self._head(owed.head), owed.now)
        if self.table.worn or (owed.spec is not None and await asyncio.to_thread(self._names_hidden)):
            self.table, changed = await self._made(owed), True
        return changed

    async def _made(self, owed: Owed) -> BoardTable:
        cells = dict(owed.cells)  # a copy: the farm goes on

        def make() -> BoardTable:
            shown = {key: cell for key, cell in self._visible(cells, owed.jobs).items() if cell is not None}
            return BoardTable(secrets.token_hex(6), shown, self._head(owed.head))

        return await asyncio.to_thread(make)

    # ------------------------------------------------------------------ what is shown

    def _visible(
        self, changes: Mapping[Key, Optional[BoardCell]], jobs: Collection[str]
    ) -> Mapping[Key, Optional[BoardCell]]:
        """What is shown of these; what is not is as what is gone. ``jobs``: all that there are."""
        if self.visibility is None:
            return changes
        for key, cell in changes.items():
            if cell is None:
                self._shown.pop(key, None)
            elif key not in self._shown:
                self._shown[key] = self.visibility.sees(*key)
                if self._shown[key]:
                    self._shown_jobs.add(key[0])
        return {key: self._as_shown(key, cell, jobs) for key, cell in changes.items()}

    def _look_anew(self, visibility: Visibility) -> None:
        self.visibility = visibility
        self._shown.clear()
        self._shown_jobs.clear()
        self._sayable.clear()

    def _names_hidden(self) -> bool:
        """Whether the table has names of what is not shown any more: whoever looks from now on is not to read them."""
        visibility = self.visibility
        if visibility is None:
            return False
        return not all(self._shown[key] if key in self._shown else visibility.sees(*key) for key in self.table.keys)

    def _as_shown(self, key: Key, cell: Optional[BoardCell], jobs: Collection[str]) -> Optional[BoardCell]:
        assert self.visibility is not None, "looked at by the caller"
        if cell is None or not self._shown[key]:
            return None
        if not cell.reason or cell.reason in self._sayable:
            return cell
        # also of what is in the spec no more, and has still to end
        others = {word for word in WORD.findall(cell.reason) if word in jobs and word not in self._shown_jobs}
        reason = self.visibility.told(cell.reason, others)
        if reason != cell.reason:
            return cell._replace(reason=reason)
        if len(self._sayable) > MOST_SAYABLE:
            self._sayable.clear()
        self._sayable.add(cell.reason)
        return cell

    def _head(self, head: FarmHead) -> FarmHead:
        """What is shown of the head."""
        if self.visibility is None:
            return head
        parts = self.visibility.parts
        return replace(head, rollout="", control=[one for one in head.control if one.part is None or one.part in parts])

    # ------------------------------------------------------------------ telling it

    def encoded(self, now: float) -> bytes:
        """`BoardAnswer` in JSON."""
        # nothing that others wrote comes before it
        return self.columns().replace(b'"now":0.0', b'"now":%b' % msgspec.json.encode(round(now, 3)), 1)

    def columns(self) -> bytes:
        """The same without its time: what takes long is done once for a version."""
        epoch, v, body = self._encoded
        table = self.table
        if (epoch, v) != (table.epoch, table.v):
            epoch, v = table.epoch, table.v
            body = msgspec.json.encode(table.answer(0.0))
            self._encoded = epoch, v, body
        return body

    def wake(self) -> None:
        """There is something to be sent."""
        for stream in self.streams:
            stream.woken.set()


def _visibility(grants: Grants, spec: Spec) -> Visibility:
    """With what takes long to find out, so that it is known."""
    found = Visibility(grants, spec)
    assert found.parts, "there is one without a name"
    return found
