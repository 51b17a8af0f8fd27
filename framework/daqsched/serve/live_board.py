"""One board for all who look at it: the engine is asked for what has changed, four times a second at most, however many they are.

On the engine's thread it is only noted which instances were touched (`note`). The loop that answers asks for these, some at once
(`_taken`), and puts them into the tables of numbers, one for all who see the same (`Grants.visibility`): each change is JSON
once. What nothing touches and changes all the same, as a reason that tells of another job, is found by going round.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import islice
from typing import Callable, NamedTuple, Optional

from msgspec.structs import replace

from daqsched import control
from daqsched.engine.changes import Changed
from daqsched.engine.engine import Engine
from daqsched.engine.instance import Key
from daqsched.errors import DaqschedError
from daqsched.rights.grants import Grants
from daqsched.serve.board_view import BoardView, Owed
from daqsched.serve.daemon import Ask, Daemon
from daqsched.serve.refusals import RefusedWith
from daqsched.serve.streams import EventStream
from daqsched.spec import Spec
from daqsched.views.board import BoardCell, cells, farm_head, unplaced_cells
from daqsched.views.rows import FarmHead

logger = logging.getLogger(__name__)


#: Changes are put together for so long, and so often the head is looked at where nothing changes, in seconds.
TOGETHER_S, LOOK_S = 0.25, 1.0

#: So many instances are looked at between two steps of the engine; and in each look so many that nothing has touched, of those
#: that wait for others and of all.
SOME, ROUND_WAITING, ROUND_ALL = 500, 200, 100

#: So many touched ones are remembered while nobody looks, beyond twice as many as there are.
MOST_TOUCHED = 10_000

#: So many different views of the farm there are at once; one that nobody looks at is kept for so long.
MOST_VIEWS, KEPT_S = 64, 300.0


class _Taken(NamedTuple):
    """What the engine says."""

    found: Sequence[tuple[Key, Optional[BoardCell]]]
    unplaced: Mapping[Key, BoardCell]
    head: FarmHead
    spec: Spec
    now: float
    #: Whether there is more to look at.
    more: bool
    #: All that there is, where the look begins anew.
    there: Optional[Collection[Key]]


class LiveBoard:
    """See the module; `note` is called by the thread that owns the engine, all else by the loop that answers."""

    def __init__(self, daemon: Daemon, ask: Ask, leader: str = "", audit: Callable[[], str] = lambda: "") -> None:
        """``audit`` says why changes are not in the audit file."""
        self._daemon, self._ask, self._leader, self._audit = daemon, ask, leader, audit
        # of the engine's thread
        self._touched: set[Key] = set()
        #: Those of them that are looked at next.
        self._queue: list[Key] = []
        #: Whether somebody looks at all; whether all is to be looked at anew; whether the loop was told.
        self._asked = self._anew = self._told = False
        # of the loop
        self._loop: Optional[asyncio.AbstractEventLoop] = None
        self._woken: Optional[asyncio.Event] = None
        self._turn: Optional[asyncio.Lock] = None
        self._going: Optional[asyncio.Task[None]] = None
        self._cells: dict[Key, BoardCell] = {}
        #: How many cells each job has.
        self._jobs: Counter[str] = Counter()
        self._unplaced: Mapping[Key, BoardCell] = {}
        self._spec: Optional[Spec] = None
        self._head = FarmHead()
        self._views: dict[Hashable, BoardView] = {}
        #: Those that wait for others; and whose turn it is next, of these and of all.
        self._waiting: dict[Key, None] = {}
        self._rounds: list[Iterator[Key]] = [iter(()), iter(())]
        #: Whether something that the engine has told may not have come here.
        self._unsure = False
        #: When the engine last answered, by our clock and by its own.
        self._heard = self._heard_now = float("-inf")

    # ------------------------------------------------------------------ the engine's thread

    def note(self, changes: Sequence[Changed]) -> None:
        """For `Daemon.subscribers`: remember what was touched."""
        if not self._asked:
            return
        self._touched.update(self._daemon.touched)
        if len(self._touched) > MOST_TOUCHED + 2 * len(self._daemon.engine.instances):
            self._touched, self._anew = set(), True
        loop, woken = self._loop, self._woken
        if not self._told and loop is not None and woken is not None and not loop.is_closed():
            self._told = True
            loop.call_soon_threadsafe(woken.set)

    def _taken(self, also: Iterable[Key], anew: bool, engine: Engine, now: float) -> _Taken:
        there = None
        if anew or self._anew or not self._asked:
            self._asked, self._anew = True, False
            self._queue, self._touched = list(engine.instances), set()
            there = frozenset(engine.instances)
        if not self._queue:
            self._queue, self._touched = list(self._touched), set()
        keys = self._queue[-SOME:]
        del self._queue[-SOME:]
        self._told = more = bool(self._queue or self._touched)
        # of those without a machine `unplaced_cells` tells
        found = list(cells(engine, dict.fromkeys([*keys, *(key for key in also if key[1])]), now))
        controls = sorted(engine.controls.values(), key=lambda one: (one.part is not None, one.part or ""))
        head = farm_head(engine, [control.told(one, ()) for one in controls if one.until > now])
        head = replace(head, leader=self._leader, read_only=self._daemon.read_only)
        return _Taken(found, unplaced_cells(engine), head, engine.spec, now, more, there)

    # ------------------------------------------------------------------ the loop that answers

    @property
    def quiet_s(self) -> float:
        """For how long the engine has not answered."""
        return time.monotonic() - self._heard

    @property
    def now(self) -> float:
        """The daemon's time."""
        return self._heard_now + self.quiet_s

    async def view(self, grants: Optional[Grants]) -> BoardView:
        """What somebody with these rights sees, as things are now (`TOGETHER_S` ago)."""
        async with self._turns():
            found = await self._view(grants)
        # one that takes its time holds nobody else up
        await found.caught_up()
        if found.broken:
            raise RefusedWith("busy", "the board can't be kept now: try again")
        return found

    async def answer(self, grants: Optional[Grants]) -> tuple[bytes, str]:
        """`BoardAnswer` in JSON, and its tag."""
        view = await self.view(grants)
        async with view.turn:
            # a large farm's takes its time, in which nothing must change, also if nobody waits for it any more
            encoding = asyncio.get_running_loop().run_in_executor(None, view.columns)
            try:
                await asyncio.shield(encoding)
            finally:
                await asyncio.wait({encoding})
            return view.encoded(self.now), f'W/"{view.table.epoch}.{view.table.v}"'

    def _turns(self) -> asyncio.Lock:
        if self._turn is None:
            self._loop, self._woken, self._turn = asyncio.get_running_loop(), asyncio.Event(), asyncio.Lock()
        return self._turn

    async def _view(self, grants: Optional[Grants]) -> BoardView:
        if self.quiet_s > TOGETHER_S:
            await self._look()
        which = grants.visibility if grants is not None else None
        found = self._views.get(which)
        if found is None or found.broken:
            self._views.pop(which, None)
            self._forget()
            if len(self._views) >= MOST_VIEWS and not self._longest_unused_goes():
                raise RefusedWith("busy", f"the farm is looked at in {MOST_VIEWS} ways: try again in a while")
            found = self._views[which] = BoardView(grants if which is not None else None)
            assert self._spec is not None, "there was a look"
            found.owe(self._owed({}, self._heard_now, self._spec))
        found.used = time.monotonic()
        return found

    @contextmanager
    def watched(self, view: BoardView, stream: EventStream) -> Iterator[None]:
        """While this stream tells of it."""
        view.streams.add(stream)
        if self._going is None or self._going.done():
            self._going = asyncio.get_running_loop().create_task(self._go_on())
        try:
            yield
        finally:
            view.streams.discard(stream)
            view.used = time.monotonic()

    def shows(self, view: BoardView, grants: Optional[Grants]) -> bool:
        """Whether that is still what somebody with these rights sees."""
        return self._views.get(grants.visibility if grants is not None else None) is view and not view.broken

    def _watched(self) -> bool:
        return any(view.streams for view in self._views.values())

    async def _go_on(self) -> None:
        """Look again and again while somebody watches."""
        assert self._woken is not None and self._turn is not None, "made by `view`"
        try:
            while self._watched():
                try:
                    await asyncio.wait_for(self._woken.wait(), LOOK_S)
                except asyncio.TimeoutError:
                    pass
                self._woken.clear()
                async with self._turn:
                    await self._look(self._going_round())
                await asyncio.sleep(TOGETHER_S)
        except DaqschedError as error:
            logger.debug("the board ends: %s", error)
            self._begin_anew()
        except Exception:
            logger.exception("the board can't be kept: whoever looks at it begins anew")
            self._begin_anew()

    def _begin_anew(self) -> None:
        """Nobody is left with what may not be true any more."""
        for view in self._views.values():
            for stream in view.streams:
                stream.end()
        self._views, self._heard = {}, float("-inf")

    async def _look(self, also: Sequence[Key] = ()) -> None:
        more = True
        while more:
            # what it tells it tells once: if that is lost on the way, all is asked for anew
            anew, self._unsure = self._unsure, True
            taken: _Taken = await self._ask(partial(self._taken, also, anew))
            also, more = (), taken.more
            changes: dict[Key, Optional[BoardCell]] = {
                key: cell for key, cell in taken.found if self._cells.get(key) != cell
            }
            if taken.there is not None:
                changes.update((key, None) for key in self._cells if key not in taken.there and key[1])
            changes.update((key, None) for key in self._unplaced if key not in taken.unplaced)
            changes.update((key, cell) for key, cell in taken.unplaced.items() if self._cells.get(key) != cell)
            try:
                self._take_in(changes, taken)
            except BaseException:
                self._begin_anew()
                raise
            self._unsure = False
            self._heard, self._heard_now = time.monotonic(), taken.now

    def _take_in(self, changes: Mapping[Key, Optional[BoardCell]], taken: _Taken) -> None:
        for key, cell in changes.items():
            if cell is not None:
                self._jobs[key[0]] += key not in self._cells
                self._cells[key] = cell
            elif self._cells.pop(key, None) is not None:
                self._jobs[key[0]] -= 1
                if not self._jobs[key[0]]:
                    del self._jobs[key[0]]
            if cell is not None and cell.letter in "WP":
                self._waiting[key] = None
            else:
                self._waiting.pop(key, None)
        self._unplaced, self._head = taken.unplaced, replace(taken.head, audit=self._audit())
        other = self._spec is not None and taken.spec is not self._spec
        self._spec = taken.spec
        self._forget()
        for view in self._views.values():
            view.owe(self._owed(changes, taken.now, taken.spec if other else None))

    def _owed(self, changes: Mapping[Key, Optional[BoardCell]], now: float, spec: Optional[Spec]) -> Owed:
        return Owed(changes, self._cells, self._jobs, self._head, now, spec)

    def _forget(self) -> None:
        until = time.monotonic() - KEPT_S
        for which in [which for which, view in self._views.items() if not view.streams and view.used < until]:
            del self._views[which]

    def _longest_unused_goes(self) -> bool:
        """Gives one place free; whether there was one that nobody watches."""
        unwatched = [which for which, view in self._views.items() if not view.streams]
        if unwatched:
            del self._views[min(unwatched, key=lambda which: self._views[which].used)]
        return bool(unwatched)

    def _going_round(self) -> Sequence[Key]:
        """Those that are looked at though nothing has touched them."""
        found: list[Key] = []
        for at, (keys, most) in enumerate(((self._waiting.keys(), ROUND_WAITING), (self._cells.keys(), ROUND_ALL))):
            some = list(islice(self._rounds[at], most))
            if len(some) < most:
                self._rounds[at] = iter(list(keys))
            found += some
        return found
