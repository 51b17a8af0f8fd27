"""The forwarder's place on disk, torn at every byte."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from daqsched_executor.forward import journal as module
from daqsched_executor.forward.journal import Journal
from daqsched_executor.forward.position import Position, Range


def piece(stream: str, start: int, end: int, micros: int = 5) -> Range:
    """A range of whole lines."""
    return Range(stream, 0, start, end, False, False, micros)


def state(journal: Journal) -> tuple[dict[str, Position], dict[int, tuple[Range, ...]]]:
    """All that matters."""
    return dict(journal.positions), dict(journal.outstanding)


def test_plans_move_the_place_and_stay_until_they_are_done(tmp_path: Path) -> None:
    """After a restart reading goes on behind the last plan, and what had no reply is known."""
    path = str(tmp_path / "journal")
    journal = Journal(path)
    journal.place("s", Position(1, 7))
    journal.place("t", Position(0, 3))
    first = journal.plan([piece("s", 7, 10), piece("t", 3, 9)], 50)
    second = journal.plan([Range("s", 1, 10, 30, False, True, 60)], 60)
    journal.done(first)
    expected = ({"s": Position(1, 30, True), "t": Position(0, 9)}, {second: (Range("s", 1, 10, 30, False, True, 60),)})
    assert state(journal) == expected
    journal.close()
    again = Journal(path)
    assert state(again) == expected
    assert again.micros == 60
    assert again.plan([piece("t", 9, 10)], 61) > second
    again.close()


def test_a_forgotten_stream_leaves_nothing(tmp_path: Path) -> None:
    """An ended stream costs no byte any more."""
    journal = Journal(str(tmp_path / "journal"))
    journal.done(journal.plan([piece("s", 0, 10)], 5))
    journal.forget("s")
    assert state(journal) == ({}, {})
    journal.close()


def test_a_journal_torn_at_any_byte_is_one_of_its_own_past_states(tmp_path: Path) -> None:
    """A kill or a power cut in the midst of a record loses that record and nothing else."""
    path = tmp_path / "journal"
    journal = Journal(str(path))
    past = {path.stat().st_size: state(journal)}
    numbers = []
    for at in range(4):
        numbers.append(journal.plan([piece("s", at * 10, at * 10 + 10), piece("t", at, at + 1)], at))
        past[path.stat().st_size] = state(journal)
        if at % 2:
            journal.done(numbers[at - 1])
            past[path.stat().st_size] = state(journal)
    journal.close()
    whole = path.read_bytes()
    for length in range(len(whole) + 1):
        torn = tmp_path / "torn"
        for rest in (b"", b"\0\0\0", b"garbage\n"):
            torn.write_bytes(whole[:length] + rest)
            read = Journal(str(torn))
            # A record that lacks but its newline is whole.
            best = max((size for size in past if size <= (length if rest else length + 1)), default=0)
            assert state(read) == past.get(best, ({}, {}))
            number = read.plan([piece("new", 0, 1)], 1)
            read.close()
            reread = Journal(str(torn))
            assert number in reread.outstanding
            reread.close()


def test_a_flipped_bit_is_noticed(tmp_path: Path) -> None:
    """A damaged record and all after it are left out rather than believed."""
    path = tmp_path / "journal"
    journal = Journal(str(path))
    journal.place("s", Position(0, 5))
    size = path.stat().st_size
    journal.plan([piece("s", 5, 10)], 1)
    journal.close()
    damaged = bytearray(path.read_bytes())
    damaged[size + 20] ^= 1
    path.write_bytes(damaged)
    read = Journal(str(path))
    assert state(read) == ({"s": Position(0, 5)}, {})
    read.close()


def test_a_long_journal_is_written_anew(tmp_path: Path) -> None:
    """It stays small however many batches were sent, and keeps what is under way."""
    path = tmp_path / "journal"
    journal = Journal(str(path))
    kept = journal.plan([piece("slow", 0, 9)], 1)
    largest = 0
    for at in range(3000):
        journal.done(journal.plan([piece("s", at, at + 1)], 1))
        largest = max(largest, path.stat().st_size)
    expected = state(journal)
    journal.close()
    assert largest < module.COMPACT_ABOVE + 1000
    read = Journal(str(path))
    assert state(read) == expected and kept in expected[1]
    read.close()


def test_a_full_disk_refuses_the_plan_and_hides_nothing(tmp_path: Path) -> None:
    """A plan that could not be written is no plan; what comes after the disk has room again is read back."""
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("no /dev/full here")
    journal = Journal(str(tmp_path / "journal"))
    journal.plan([piece("s", 0, 1)], 1)
    before = state(journal)
    good = os.dup(journal._file)
    with full.open("wb", buffering=0) as no_room:
        os.dup2(no_room.fileno(), journal._file)
    with pytest.raises(OSError):
        journal.plan([piece("s", 1, 2)], 1)
    os.dup2(good, journal._file)
    os.close(good)
    assert state(journal) == before
    journal.plan([piece("s", 1, 3)], 1)
    expected = state(journal)
    journal.close()
    read = Journal(str(tmp_path / "journal"))
    assert state(read) == expected
    read.close()
