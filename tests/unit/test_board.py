"""The live board: whoever applied what was told of it has what a fresh answer says, whatever happened, was cut off or missed."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Iterable
from typing import Any, Callable, Optional, TypeVar, cast, get_args

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import rule
from msgspec.structs import replace

from board_page import Page, events
from builders import World
from daqsched.confirm import ALL
from daqsched.engine import events as events_of
from daqsched.engine.changes import Changed
from daqsched.engine.engine import Engine
from daqsched.engine.instance import Key
from daqsched.rights.grants import Grants
from daqsched.rights.principal import Principal
from daqsched.rights.rules import read
from daqsched.rights.unsaid import AWAITED, ENDING, OTHER
from daqsched.rollout import AT_ONCE
from daqsched.serve.board_table import MOST_BEHIND, MOST_BYTES, MOST_VERSIONS, PIECE, TOPICS, BoardTable
from daqsched.serve.board_view import BoardView
from daqsched.serve.daemon import Daemon
from daqsched.serve.live_board import LiveBoard
from daqsched.serve.visibility import Visibility
from daqsched.spec import FORWARDER, Spec
from daqsched.states import Shown
from daqsched.views.board import BLOCKED, GONE, LETTERS, STATES, BoardCell, cells, unplaced_cells
from daqsched.views.rows import FarmHead, as_desired
from daqsched.views.status import all_keys, rows
from examples import examples
from random_farm import RandomFarm

Answer = TypeVar("Answer")


def truth(engine: Engine, now: float) -> dict[Key, BoardCell]:
    """Every cell, as it is."""
    found = {key: cell for key, cell in cells(engine, engine.instances, now) if cell is not None}
    return {**found, **unplaced_cells(engine)}


# ------------------------------------------------------------------------------------------------ a table

CELLS = st.builds(
    BoardCell,
    st.sampled_from(list(STATES)),
    st.integers(0, 2_000_000_000),
    st.integers(0, 9),
    st.sampled_from(["", "why", 'ö "\n\x1b\u2028</script>', "x" * 300]),
    st.sampled_from(["", "r1", "why"]),
    st.integers(0, 15),
)
KEYS = st.tuples(st.sampled_from(["a", "b", FORWARDER, "\u202e"]), st.sampled_from(["h1", "h2", "h3", ""]))
HEADS = st.builds(FarmHead, revision=st.integers(0, 2), read_only=st.sampled_from(["", "no room"]))
STEPS = st.lists(st.tuples(st.dictionaries(KEYS, st.none() | CELLS, max_size=6), HEADS), max_size=30)


@settings(max_examples=examples(150), deadline=None)
@given(first=st.dictionaries(KEYS, CELLS), steps=STEPS, cuts=st.lists(st.integers(0, 40), max_size=3))
def test_whoever_applies_the_events_has_what_a_fresh_answer_says(
    first: dict[Key, BoardCell], steps: list[tuple[dict[Key, Optional[BoardCell]], FarmHead]], cuts: list[int]
) -> None:
    """From any version on, in any number of pieces; what changes nothing makes no version."""
    table = BoardTable("0" * 12, first, FarmHead())
    known = dict(first)

    def fresh() -> Page:
        return Page(json.loads(as_json(table)))

    pages = [fresh()]
    for at, (changes, head) in enumerate(steps):
        before, v = (dict(known), table.head), table.v
        known.update({key: cell for key, cell in changes.items() if cell is not None})
        for key in [key for key, cell in changes.items() if cell is None]:
            known.pop(key, None)
        changed = table.step(changes, head, 1.0)
        assert changed == (table.v == v + 1) == ((known, table.head) != before)
        if at in cuts:
            pages.append(fresh())
    for page in pages:
        while page.v < table.v:
            found = table.since(page.v, TOPICS)
            assert found is not None
            for event in events(found[1]):
                page.take(event)
            assert page.v == found[0]
        assert page.rows() == known == fresh().rows()
        assert page.farm == fresh().farm
    assert table.head.total == len(known) and sum(table.head.states.values()) == len(known)
    assert table.head.as_desired == sum(cell.as_desired for cell in known.values())


def as_json(table: BoardTable) -> bytes:
    view = BoardView(None)
    view.table = table
    return view.encoded(1.0)


def test_what_is_kept_is_bounded_in_versions_and_bytes_and_who_is_too_far_behind_begins_anew() -> None:
    """Nothing else is lost: who is near enough goes on."""
    table, key = BoardTable("0" * 12, {("a", "h"): BoardCell("R", 1)}, FarmHead()), ("a", "h")
    for at in range(MOST_VERSIONS + 100):
        assert table.step({key: BoardCell("R", at + 2)}, FarmHead(), 1.0)
    assert table.kept == (MOST_VERSIONS, table.kept[1]) and table.kept[1] <= MOST_BYTES
    assert table.since(0, TOPICS) is None and table.since(table.v, TOPICS) == (table.v, b"")
    assert table.since(table.v + 1, TOPICS) is None and table.since(-1, TOPICS) is None
    for at in range(500):
        table.step({key: BoardCell("B", at, 0, f"{at} " + "x" * 5000)}, FarmHead(), 1.0)
    assert table.kept[1] <= MOST_BYTES
    nearest = next(v for v in range(table.v, 0, -1) if not table.follows(v))
    assert 0.9 * MOST_BEHIND < (table.v - nearest) * 5100 < 1.1 * MOST_BEHIND
    found = table.since(nearest + 1, TOPICS)
    assert found is not None and PIECE <= len(found[1]) < PIECE + 6000


def test_a_version_larger_than_all_that_is_kept_is_kept_by_nobody() -> None:
    """As where another spec shows somebody a large farm at once: whoever looks begins anew, and so it goes on."""
    table = BoardTable("0" * 12, {}, FarmHead())
    new = {("readout", f"hlt{at}"): BoardCell("F", at, 1, f"exit code {at}") for at in range(20_000)}
    assert table.step(new, FarmHead(), 1.0) and table.kept == (0, 0) and table.since(0, TOPICS) is None
    assert table.step({("readout", "hlt1"): BoardCell("R", 5)}, FarmHead(), 2.0)
    assert table.since(1, TOPICS) is not None and table.since(0, TOPICS) is None


def test_numbers_of_what_is_gone_come_to_an_end() -> None:
    """A farm whose jobs have another name each week does not grow for ever."""
    table = BoardTable("0" * 12, {}, FarmHead())
    for at in range(1001):
        assert not table.worn
        table.step({(f"j{at}", "h"): BoardCell("R", 1), (f"j{at - 1}", "h"): None}, FarmHead(), 1.0)
    table.step({("j", "h"): BoardCell("R", 1), ("j1000", "h"): None}, FarmHead(), 1.0)
    assert table.worn


def test_each_state_has_a_letter() -> None:
    """And what is gone has none of these."""
    assert set(LETTERS) == set(get_args(Shown)) and len(STATES) == len(LETTERS) and GONE not in STATES


# ------------------------------------------------------------------------------------------------ a random farm

RULES = [
    '{to: token:x, role: viewer, on: ["*"]}',
    '{to: token:x, role: viewer, on: ["a", "b@h1", "f"]}',
    '{to: token:x, role: viewer, on: ["*"]}\n  - {to: token:x, deny: [see], on: ["c", "*@h2"]}',
    '{to: token:x, role: viewer, on: ["*"]}\n  - {to: token:x, deny: ["*"], part: hlt}',
    "{to: token:x, role: viewer, part: hlt}",
    "{to: token:x, role: viewer, owner: daqsched}",
    "{to: token:y, role: viewer}",
]


def grants(rules: str) -> Grants:
    return Grants(read(f"version: 1\nrules:\n  - {rules}\n", "r"), Principal("x", frozenset(["token:x"])))


class Follower:
    """A page of somebody, which looks when it likes."""

    def __init__(self, board: LiveBoard, may: Optional[Grants]) -> None:
        self.board, self.may = board, may
        self.view: Optional[BoardView] = None
        self.epochs: set[str] = set()

    async def begin(self) -> None:
        self.view = await self.board.view(self.may)
        self.table, self.page = self.view.table, Page(json.loads(self.view.encoded(1.0)))
        self.epochs.add(self.page.epoch)

    async def follow(self, pieces: int = 1 << 30) -> None:
        """As the stream tells; a reset, and it begins anew."""
        view = await self.board.view(self.may)
        for _ in range(pieces):
            found = self.table.since(self.page.v, TOPICS) if view is self.view and view.table is self.table else None
            if found is None:
                return await self.begin()
            for event in events(found[1]):
                self.page.take(event)
            if self.page.v == self.table.v:
                return None
        return None


class Feed:
    """In a daemon's place."""

    read_only = ""

    def __init__(self, world: World) -> None:
        self._world = world
        self.touched: set[Key] = set()

    @property
    def engine(self) -> Engine:
        return self._world.engine


class BoardFarm(RandomFarm):
    """As anything happens in any order, pages of two people follow: all that the engine touched is enough to know the states."""

    def begin(self, rules: str) -> None:
        super().begin()
        self.loop = asyncio.new_event_loop()
        self.may = grants(rules)
        self.applied({0, 1, 2, 3, 4, 5, 8}, "hlt", "r1")
        self.starts()
        self.lives()

    @rule(
        chosen=st.sets(st.integers(0, 8), min_size=3).filter(lambda found: not found >= {6, 7}),
        part=st.sampled_from(["", "hlt"]),
        release=st.sampled_from(["r1", "r2"]),
    )
    def applied(self, chosen: set[int], part: str, release: str) -> None:
        """All of it is one team's from now on; nobody asks what ends."""
        found = tuple(replace(self.specs[at], release=release) for at in sorted(chosen))
        self.world.say(events_of.JobsApplied(Spec(jobs=found, part=part), "alice", "", AT_ONCE, take=("*",), stops=ALL))

    @rule()
    def starts(self) -> None:
        """What can, runs."""
        self.world.offers()
        for task in sorted(self.world.tasks):
            self.world.report(task)

    def lives(self) -> None:
        """With a daemon, which may be another than before."""
        world = self.world
        feed = Feed(world)

        async def ask(question: Callable[[Engine, float], Any]) -> Any:
            return question(world.engine, world.now)

        board = LiveBoard(cast(Daemon, feed), ask)
        replayed = World.replay.__get__(world)

        def replay(changes: Iterable[Changed]) -> None:
            feed.touched = {*world.engine.touched, *world.engine.dirty}
            board.note(tuple(changes))
            replayed(changes)

        world.replay = replay  # type: ignore[method-assign]  # what was touched is gone with the next step
        self.of, self.board = world.engine, board
        self.pages = [Follower(board, None), Follower(board, self.may)]
        for page in self.pages:
            self.run(page.begin())

    def run(self, what: Awaitable[Answer]) -> Answer:
        return cast(Answer, self.loop.run_until_complete(cast(Any, what)))

    @rule(which=st.integers(0, 1), pieces=st.integers(1, 3))
    def looks(self, which: int, pieces: int) -> None:
        """One of them reads on."""
        if self.world.engine is not self.of:
            return self.lives()
        self.expire()
        self.run(self.pages[which].follow(pieces))
        return None

    def expire(self) -> None:
        """What was looked at is not new enough any more."""
        self.board._heard = float("-inf")

    @rule(all=st.booleans())
    def agrees(self, all: bool) -> None:
        """What was touched is enough for the states; with what nothing touches, when all were looked at, for all there is."""
        if self.world.engine is not self.of:
            return self.lives()
        world = self.world
        if all:
            self.run(self.board._look(list(world.engine.instances)))
        self.expire()
        for page in self.pages:
            self.run(page.follow())
        known = truth(world.engine, world.now)
        assert self.pages[0].page.rows().keys() == known.keys() == set(all_keys(world.engine))
        for key, row in self.pages[0].page.rows().items():
            cell = BoardCell(*row)
            if not all:
                # these are of others, too
                cell = cell._replace(reason=known[key].reason, marks=cell.marks & ~BLOCKED | known[key].marks & BLOCKED)
            assert cell == known[key], (key, cell, known[key])
        for one in rows(world.engine, all_keys(world.engine), world.now):
            assert as_desired(one) == known[one.job, one.host].as_desired, one
        visibility = Visibility(self.may, world.engine.spec)
        assert self.pages[1].page.rows().keys() == {key for key in known if visibility.sees(*key)}
        hidden = {job for job, _ in known if not any(visibility.sees(job, host) for host in ("h1", "h2", "h3", ""))}
        view = self.pages[1].view
        assert view is not None, "it has begun"
        answer = json.loads(view.encoded(1.0))
        # a job may be called as a word of the sentence that stands in a name's place
        words = [
            re.sub(f"{re.escape(AWAITED)}|{re.escape(ENDING)}|{re.escape(OTHER)}", "", one) for one in answer["words"]
        ]
        said = {*answer["jobs"], *(word for one in words for word in re.findall(r"[\w.-]+", one))}
        assert not hidden & said, (hidden & said, answer)
        return None

    def teardown(self) -> None:
        """Whether the farm comes up again is not looked at here."""
        try:
            self.agrees(True)
        finally:
            self.run(self.loop.shutdown_default_executor())
            self.loop.close()


#: What may happen, and what it needs to be told; what makes most of it interesting comes more often.
HAPPENS = [
    (rule, known.arguments)
    for rule in vars(RandomFarm).values()
    for known in [getattr(rule, "hypothesis_stateful_rule", None)]
    if known is not None
]
MORE: tuple[Any, ...] = (BoardFarm.applied, BoardFarm.starts, BoardFarm.looks, BoardFarm.agrees)
OFTEN = [(rule, rule.hypothesis_stateful_rule.arguments) for rule in MORE for _ in range(5)]


@settings(max_examples=examples(15), deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_pages_of_a_random_farm_know_all_that_they_may(data: st.DataObject) -> None:
    """Of a farm that runs, and to which as much happens in each example: a state machine of hypothesis' likes short ones."""
    farm = BoardFarm()
    farm.begin(data.draw(st.sampled_from(RULES)))
    try:
        for _ in range(40):
            rule, arguments = data.draw(st.sampled_from([*HAPPENS, *OFTEN]))
            rule(farm, **{name: data.draw(kind) for name, kind in arguments.items()})
    finally:
        farm.teardown()
