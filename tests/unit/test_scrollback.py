"""What was printed at a terminal, through messages that are lost and come twice: an executor's end and the daemon's, at random."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from daqsched.serve import scrollback
from daqsched.serve.scrollback import Scrollback
from daqsched_executor.contract import ContractError
from daqsched_executor.contract.console import LAST, PIECE_BYTES, ConsoleAsk, ConsoleSaid
from daqsched_executor.run.console import Console


class Printed:
    """A program's terminal, of which little is kept."""

    def __init__(self, most: int) -> None:
        self.whole, self._most = b"", most
        self.heard: Callable[[], None] = lambda: None
        self.typed: list[bytes] = []

    @property
    def printed(self) -> int:
        return len(self.whole)

    @property
    def kept(self) -> int:
        return max(0, len(self.whole) - self._most)

    def since(self, at: int) -> tuple[int, bytes]:
        at = min(max(at, self.kept), self.printed)
        return at, self.whole[at:]

    def resize(self, rows: int, columns: int) -> None:
        pass

    def type(self, keys: bytes) -> int:
        self.typed.append(keys)
        return len(keys)

    def add(self, text: bytes) -> None:
        self.whole += text
        self.heard()


class Clock:
    """A loop, as far as the executor's end needs one."""

    def __init__(self) -> None:
        self.time = 100.0

    def now(self) -> float:
        return self.time


class Between:
    """Both ends, and what is between them: messages in order, of which some are lost and some come twice."""

    def __init__(self, seed: int, kept: int) -> None:
        self.random, self.clock, self.terminal = random.Random(seed), Clock(), Printed(kept)
        self.screen = Scrollback("task", "agent", whole=False)
        self.reliable = False
        self._under_way: list[tuple[bytes, Callable[[str], None]]] = []
        clock: Any = self.clock
        terminal: Any = self.terminal
        self.executor = Console(clock, self._send, lambda sentence: None, lambda: terminal, lambda: (1, True))

    def _send(self, data: bytes, done: Callable[[str], None]) -> bool:
        if not self.reliable and self.random.random() < 0.05:
            return False  # the agent is away
        self._under_way.append((data, done))
        return True

    def _arrives(self) -> int:
        return 1 if self.reliable else self.random.choice([0, 1, 1, 1, 2])

    def ask(self, at: int) -> None:
        for _ in range(self._arrives()):
            self.executor.ask(ConsoleAsk("d", at).to_json())

    def step(self) -> None:
        """A moment: what is sent arrives, or does not; a time that is over."""
        self.clock.time += 0.02
        if self.executor.wake_at is not None and self.clock.time >= self.executor.wake_at:
            self.executor.wake()
        for data, done in self._under_way[:]:
            self._under_way.pop(0)
            done("" if self.reliable or self.random.random() < 0.9 else "lost")
            for _ in range(self._arrives()):
                again = self.screen.hear(ConsoleSaid.from_json(data))
                if again is not None:
                    self.ask(again)


@pytest.mark.parametrize("seed", range(40))
def test_each_byte_is_read_once_at_its_place_or_counted_as_gone(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a reader who comes late and looks now and then, whatever is lost between the two; in the end he has the end."""
    monkeypatch.setattr(scrollback, "KEPT_BYTES", 3000)
    monkeypatch.setattr(scrollback, "LAST_BYTES", 50)
    world = Between(seed, kept=random.Random(seed).choice([100, 2000, 65536]))
    offset: int | None = None

    def read(most: int) -> None:
        nonlocal offset
        at, data, skipped = world.screen.read(offset, most)
        if offset is not None:
            assert at == offset + skipped + len(data)
        assert world.terminal.whole[at - len(data) : at] == data
        if data:
            offset = at

    for turn in range(400):
        if world.random.random() < 0.3:
            world.terminal.add(world.random.randbytes(world.random.choice([1, 10, 200])))
        world.step()
        if turn % 50 == 0:
            world.ask(world.screen.wanted)
        if world.random.random() < 0.2:
            read(world.random.choice([1, 100, 10_000]))
        assert len(world.screen._data) <= 3000
    world.reliable = True
    for _ in range(10):
        world.ask(world.screen.wanted)
        for _ in range(20):
            world.step()
    while offset != world.screen.end:
        read(500)
    assert offset == world.terminal.printed


def test_a_daemon_that_has_just_begun_sends_nobody_back() -> None:
    """Who reads on from where he was waits until it has heard so far."""
    screen = Scrollback("task", "agent", whole=False)
    assert screen.wanted == LAST and screen.read(500, 100) == (500, b"", 0)
    screen.hear(ConsoleSaid("d", at=450, data=b"x" * 100, kept=450))
    assert screen.read(500, 100) == (550, b"x" * 50, 0)
    assert screen.read(100, 1000) == (550, b"x" * 100, 350)


@pytest.mark.parametrize(
    "fields",
    [
        {"at": -1},
        {"at": 2**60},
        {"at": True},
        {"data": "?"},
        {"data": "A" * (2 * PIECE_BYTES)},
        {"id": 7},
        {"id": "x" * 300},
        {"runs": 1},
        {"kept": 1.5},
        {"refused": -1},
    ],
)
def test_an_executor_that_lies_is_not_understood(fields: dict[str, object]) -> None:
    """Whatever it says: it may be a program that speaks for one."""
    import json

    whole = {"id": "d", "at": 0, "data": "", "kept": 0, "number": 0, "refused": 0, "start": 1, "runs": True, **fields}
    with pytest.raises(ContractError):
        ConsoleSaid.from_json(json.dumps({"console": whole, "version": 1}))


def test_the_last_lines_of_a_flood_are_known_when_as_much_as_is_kept_went_by() -> None:
    """Each message is full then, and what is between them nobody has."""
    screen = Scrollback("t", "a", whole=False)
    for number in range(3):
        at = number * 100_000
        assert screen.known == (number == 2)
        screen.hear(ConsoleSaid("x", at, b"x" * PIECE_BYTES, at, start=1, runs=True))
    assert screen.read(None, 100_000)[2] == 0
