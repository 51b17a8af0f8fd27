"""The forwarder's place on disk, torn at every byte."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from daqsched_executor.forward.journal import journal as module
from daqsched_executor.forward.journal.journal import Journal
from daqsched_executor.forward.journal.ledger import Ledger, Lost
from daqsched_executor.forward.journal.marks import Mark
from daqsched_executor.forward.journal.position import Drop, Loss, Plan, Position, Range, Stretch


def piece(stream: str, start: int, end: int, micros: int = 5) -> Range:
    """A range of whole lines."""
    return Range(stream, 0, start, end, False, False, micros)


def places(journal: Journal) -> dict[str, Position]:
    """Without the times, which are as late as the lines before them."""
    return {stream: position._replace(latest=0) for stream, position in journal.positions.items()}


def left(journal: Journal) -> dict[str, list[Stretch]]:
    """Without the times."""
    return {stream: [one._replace(latest=0) for one in found] for stream, found in journal.stretches.items()}


def state(journal: Journal) -> tuple[dict[str, Position], dict[int, tuple[Range, ...]]]:
    """Places and what is under way; the totals go with them."""
    totals = journal.totals
    assert totals.read == totals.stored + totals.duplicates + totals.dead + totals.dropped + journal.under_way
    return places(journal), {number: plan.ranges for number, plan in journal.outstanding.items()}


def everything(journal: Ledger) -> object:
    """All that a journal remembers."""
    tables = (journal.positions, journal.stretches, journal.marks, journal.outstanding, journal.drops)
    return tuple(map(repr, (*tables, journal.squeezing, journal.totals, journal.micros)))


def test_plans_move_the_place_and_stay_until_they_are_done(tmp_path: Path) -> None:
    """After a restart reading goes on behind the last plan, and what had no reply is known."""
    path = str(tmp_path / "journal")
    journal = Journal(path)
    journal.place("s", Position(1, 7))
    journal.place("t", Position(0, 3))
    first = journal.plan([piece("s", 7, 10), piece("t", 3, 9)], 2, 50)
    second = journal.plan([Range("s", 1, 10, 30, False, True, 60)], 2, 60)
    journal.done(first)
    expected = ({"s": Position(1, 30, True), "t": Position(0, 9)}, {second: (Range("s", 1, 10, 30, False, True, 60),)})
    assert state(journal) == expected
    journal.close()
    again = Journal(path)
    assert state(again) == expected
    assert again.micros == 60
    assert again.plan([piece("t", 9, 10)], 1, 61) > second
    again.close()


def test_a_forgotten_stream_leaves_nothing(tmp_path: Path) -> None:
    """An ended stream costs no byte any more."""
    journal = Journal(str(tmp_path / "journal"))
    journal.done(journal.plan([piece("s", 0, 10)], 2, 5))
    journal.forget("s")
    assert state(journal) == ({}, {})
    journal.close()


@pytest.mark.once
def test_a_journal_torn_at_any_byte_is_one_of_its_own_past_states(tmp_path: Path) -> None:
    """A kill or a power cut in the midst of a record loses that record and nothing else."""
    path = tmp_path / "journal"
    journal = Journal(str(path))
    past = {path.stat().st_size: state(journal)}
    numbers = []
    for at in range(2):
        numbers.append(journal.plan([piece("s", at * 10, at * 10 + 10), piece("t", at, at + 1)], 2, at))
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
            number = read.plan([piece("new", 0, 1)], 1, 1)
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
    journal.plan([piece("s", 5, 10)], 2, 1)
    journal.close()
    damaged = bytearray(path.read_bytes())
    damaged[size + 20] ^= 1
    path.write_bytes(damaged)
    read = Journal(str(path))
    assert state(read) == ({"s": Position(0, 5)}, {})
    read.close()


@pytest.mark.once
def test_a_long_journal_is_written_anew(tmp_path: Path) -> None:
    """It stays small however many batches were sent, and keeps what is under way."""
    path = tmp_path / "journal"
    journal = Journal(str(path))
    kept = journal.plan([piece("slow", 0, 9)], 2, 1)
    largest = 0
    for at in range(3000):
        journal.done(journal.plan([piece("s", at, at + 1)], 2, 1))
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
    journal.plan([piece("s", 0, 1)], 2, 1)
    before = state(journal)
    good = os.dup(journal._file)
    with full.open("wb", buffering=0) as no_room:
        os.dup2(no_room.fileno(), journal._file)
    with pytest.raises(OSError):
        journal.plan([piece("s", 1, 2)], 2, 1)
    os.dup2(good, journal._file)
    os.close(good)
    assert state(journal) == before
    journal.plan([piece("s", 1, 3)], 2, 1)
    expected = state(journal)
    journal.close()
    read = Journal(str(tmp_path / "journal"))
    assert state(read) == expected
    read.close()


def test_totals_survive_and_add_up_at_every_byte(tmp_path: Path) -> None:
    """What is read is stored, refused, given up or under way, whatever record was the last."""
    path = tmp_path / "journal"
    journal = Journal(str(path))
    first = journal.plan([piece("s", 0, 50)], 5, 1)
    second = journal.plan([piece("s", 50, 90)], 4, 2)
    journal.done(first, 3, 1, 1)
    journal.drop(Drop("s", 0, 90, 200, 11, 110, 3))
    journal.plan([piece("t", 0, 9)], 2, 4, journal.drops)
    journal.done(second, 2)
    totals = journal.totals
    assert (totals.read, totals.stored, totals.duplicates, totals.dead) == (22, 5, 1, 1)
    assert (totals.dropped, journal.under_way) == (13, 2), "what could not be read again counts as dropped"
    journal.close()
    whole = path.read_bytes()
    for length in range(len(whole) + 1):
        (tmp_path / "torn").write_bytes(whole[:length])
        read = Journal(str(tmp_path / "torn"))
        state(read)
        read.close()


def test_what_is_left_for_later_is_read_beside_the_front(tmp_path: Path) -> None:
    """A plan moves the place that it begins at; two jumps without a read between them leave one stretch."""
    path = str(tmp_path / "journal")
    journal = Journal(path)
    journal.place("s", Position(0, 10, True))
    journal.jump("s", 100)
    journal.jump("s", 150)
    assert left(journal) == {"s": [Stretch(10, 150, True)]} and places(journal)["s"] == Position(0, 150)
    journal.plan([piece("s", 150, 170), piece("s", 10, 60)], 2, 1)
    journal.jump("s", 200)
    expected = {"s": [Stretch(60, 150), Stretch(170, 200)]}
    assert left(journal) == expected and places(journal)["s"] == Position(0, 200)
    journal.close()
    journal = Journal(path)
    assert left(journal) == expected and places(journal)["s"] == Position(0, 200)
    journal.plan([piece("s", 60, 150)], 1, 1)
    journal.drop(Drop("s", 0, 170, 200, 1, 30, 1))
    assert left(journal) == {} and places(journal)["s"] == Position(0, 200)
    journal.place("s", Position(1, 0))
    assert places(journal)["s"] == Position(1, 0)
    journal.close()


def test_a_squeeze_keeps_what_lies_before_and_behind_it(tmp_path: Path) -> None:
    """In what was left, in the front, at its beginning and in its midst."""
    journal = Journal(str(tmp_path / "journal"))
    journal.place("s", Position(0, 0))
    journal.jump("s", 100)
    journal.squeeze(Drop("s", 0, 20, 60, 3, 30, 7, True))
    assert left(journal)["s"] == [Stretch(0, 20), Stretch(50, 100)]
    assert journal.squeezing is not None
    journal.squeezed()
    journal.squeeze(Drop("s", 0, 0, 20, 1, 20, 7, True))
    assert left(journal)["s"] == [Stretch(50, 100)], "nothing of it was kept"
    journal.squeeze(Drop("s", 0, 150, 200, 3, 30, 7, True))
    assert left(journal)["s"] == [Stretch(50, 100), Stretch(100, 150)] and places(journal)["s"] == Position(0, 180)
    journal.squeeze(Drop("s", 0, 200, 240, 3, 10, 7, True))
    assert left(journal)["s"][2:] == [Stretch(180, 200)] and places(journal)["s"] == Position(0, 210)
    assert [(drop.start, drop.end, drop.lines) for drop in journal.drops] == [(20, 60, 3), (0, 20, 1), (150, 240, 6)]
    before = everything(journal)
    journal.close()
    read = Journal(str(tmp_path / "journal"))
    assert everything(read) == before
    read.close()


def test_what_a_journal_remembers_is_the_same_after_it_was_written_anew(tmp_path: Path) -> None:
    """All of it, times and all."""
    path = str(tmp_path / "journal")
    journal = Journal(path)
    journal.place("s", Position(2, 5, True))
    journal.jump("s", 90)
    journal.seen({"s": [Mark(7, 1, "12"), Mark(99, 2, "13")], "t": [Mark(1, 1)]})
    journal.seen({"t": []})
    journal.drop(Drop("t", 0, 0, 10, 1, 10, 3))
    journal.plan([Range("s", 2, 90, 95, False, True, 5, "12", 3)], 1, 5, journal.drops)
    before = everything(journal)
    journal.compact()
    journal.close()
    read = Journal(path)
    assert everything(read) == before and read.marks == {"s": [Mark(7, 1, "12"), Mark(99, 2, "13")]}
    read.forget("s")
    assert (places(read), left(read), read.marks) == ({"t": Position(0, 10)}, {}, {})
    read.close()


def test_what_is_lost_is_counted_and_told_once(tmp_path: Path) -> None:
    """However often it is found, whatever the last byte of the journal is; what an older reader does not know hurts it not."""
    path = tmp_path / "journal"
    journal = Journal(str(path))
    journal.place("s", Position(0, 10))
    journal.jump("s", 90)
    journal.seen({"s": [Mark(120, 1)]})
    loss = Loss("s", 0, 10, 110, 7, "emptied")
    sent = Loss("t", 2, 5, 40, 8, "sent", "", 3)
    for _ in range(2):
        journal.lose(loss, True, True)
        journal.lose(sent, False, False)
    assert journal.losses == [loss] and left(journal) == {} and journal.marks == {}
    assert journal.lost == {"emptied": Lost(1, 0, 110), "sent": Lost(1, 3, 40)}
    journal.lose(Loss("s", 1, 0, 5, 9, "emptied"), True, True)
    journal.plan([], 1, 9, (), "i", [loss])
    before = everything(journal), journal.losses, journal.lost
    assert [one.generation for one in journal.losses] == [1] and journal.lost["emptied"] == Lost(2, 0, 115)
    journal.compact()
    journal.close()
    journal = Journal(str(path))
    assert (everything(journal), journal.losses, journal.lost) == before
    assert [plan.losses for plan in journal.outstanding.values()] == [(loss,)]
    journal.lose(loss, True, True)
    assert journal.lost["emptied"].times == 2, "it was known"
    journal.close()


def test_a_part_of_a_plan_is_one_of_its_own_from_then_on(tmp_path: Path) -> None:
    """Also after a new start; the next plan has another number."""
    path = tmp_path / "journal"
    journal = Journal(str(path))
    ranges = [Range(stream, 0, 0, 10, False, False, 5, lines=2) for stream in "abc"]
    drop = Drop("a", 0, 10, 20, 1, 10, 5)
    number = journal.plan(ranges, 7, 9, [drop], "i")
    journal.part(number, [ranges[1]])
    for _ in range(2):
        assert journal.outstanding == {
            number: Plan((ranges[0], ranges[2]), (drop,), 5, "i", ()),
            number + 1: Plan((ranges[1],), (), 2, "i", ()),
        }
        journal.close()
        journal = Journal(str(path))
    journal.done(number, 5)
    assert journal.plan([], 1, 9, (), "i") == number + 2 and journal.under_way == 3
    journal.close()


#: Of each kind of record one, as a journal has them.
RECORDS: list[dict[str, Any]] = [
    {"number": 7, "micros": 5, "totals": {"read": 3, "stored": 3}, "told": [["s", 0, 0, 5, 1, 5, 3, False]]},
    {"place": "s", "position": [0, 50, False, 4], "left": [[0, 10, False, 1]]},
    {"marks": {"s": [[60, 5, "12"]]}},
    {"again": 6, "ranges": [["s", 0, 40, 50, False, False, 4, "12", 1, 2]], "drops": [], "lines": 2, "index": "logs-1"},
    {"plan": 8, "ranges": [["s", 0, 50, 60, False, False, 5]], "lines": 1, "micros": 5, "index": "logs-1"},
    {
        "again": 6,
        "ranges": [["s", 0, 40, 45, False, False, 4, "12", 1, 1]],
        "lines": 1,
        "index": "logs-1",
        "rest": {"again": 9, "ranges": [["s", 0, 45, 50, False, False, 5, "12", 1, 1]], "lines": 1, "index": "logs-1"},
    },
    {"done": 6, "as": [1, 0, 0]},
    {"jump": "s", "to": 80},
    {"drop": ["s", 0, 80, 90, 1, 10, 5, False]},
    {"squeeze": ["s", 0, 90, 100, 1, 5, 5, True]},
    {"squeezing": ["s", 0, 90, 100, 1, 5, 5, True]},
    {"squeezed": True},
    {"lost": ["s", 0, 5, 10, 7, "emptied", "", 1], "over": False, "tell": True},
    {"losses": [["s", 0, 5, 10, 7, "emptied"]], "lost_before": {"emptied": [1, 1, 10]}, "places": {"s": [[0, 5]]}},
    {"forget": "t"},
]


def rows(*records: Any) -> bytes:
    """As a journal's file has them."""
    return b"".join(map(module._row, records))


def spoilt(value: Any) -> Iterator[Any]:
    """The same with each of its parts in turn as something else."""
    yield from (None, "x", -1, 1 << 70, 1.5, [], {}, [[]], True)
    if isinstance(value, dict):
        for name, inner in value.items():
            yield {key: found for key, found in value.items() if key != name}
            yield from ({**value, name: wrong} for wrong in spoilt(inner))
    elif isinstance(value, list):
        for at, inner in enumerate(value):
            yield value[:at]
            yield from (value[:at] + [wrong] + value[at + 1 :] for wrong in spoilt(inner))


@pytest.mark.parametrize("at", range(len(RECORDS)))
def test_a_record_is_taken_whole_or_refused(at: int) -> None:
    """Whatever stands in it: what is taken can be written and read again, and used."""
    refused = 0
    for wrong in spoilt(RECORDS[at]):
        ledger = Ledger()
        for record in RECORDS[:at]:
            ledger.apply(json.loads(json.dumps(record)))
        try:
            ledger.apply(wrong)
        except (LookupError, TypeError, ValueError, AttributeError):
            refused += 1
            continue
        ledger.apply({"plan": 9, "ranges": [["new", 0, 1, 2, False, False, 5]], "lines": 1, "index": "logs-1"})
        ledger.apply({"done": 9, "as": [1, 0, 0]})
        again = Ledger()
        for record in json.loads(json.dumps(ledger.snapshot())):
            again.apply(record)
        assert everything(again) == everything(ledger) and again.under_way >= 0
    assert refused > 5


@pytest.mark.parametrize("at", range(len(RECORDS)))
def test_a_record_that_is_none_is_kept_beside_and_ends_nothing(tmp_path: Path, at: int) -> None:
    """With a checksum that is right: what came before it counts, and the journal goes on."""
    (tmp_path / "good").write_bytes(rows(*RECORDS[:at]))
    good = Journal(str(tmp_path / "good"))
    expected = everything(good)
    assert not good.damaged and not good.trouble
    good.close()
    path, bad = tmp_path / "journal", tmp_path / "journal.bad"
    word = next(iter(RECORDS[at]))
    wrong = {**RECORDS[at], word: 1.5} if word != "squeezed" else [RECORDS[at]]
    path.write_bytes(rows(*RECORDS[:at], wrong, *RECORDS[at + 1 :]))
    written = path.read_bytes()
    journal = Journal(str(path))
    assert journal.damaged and everything(journal) == expected
    assert bad.read_bytes() == written and str(bad) in journal.trouble
    journal.done(journal.plan([piece("new", 1, 2)], 1, 1), 1)
    before = everything(journal)
    journal.close()
    again = Journal(str(path))
    assert everything(again) == before and not again.damaged
    again.close()


@pytest.mark.parametrize(
    "damage",
    [b"garbage\n", b"00000000 {}\n", b"\0" * 100 + b"x\n", b"[" * 100_000 + b"\n", rows([1]), rows("x"), rows(None)],
)
def test_a_damaged_journal_is_kept_and_told_until_somebody_has_looked(tmp_path: Path, damage: bytes) -> None:
    """Half a record at the end and zeros are no damage: a kill and a power cut leave them."""
    path = tmp_path / "journal"
    begin = rows({"place": "s", "position": [0, 5]})
    for rest in (b"", b"0123", b"\0" * 5000):
        path.write_bytes(begin + rest)
        journal = Journal(str(path))
        assert not journal.damaged and not journal.trouble and places(journal) == {"s": Position(0, 5)}
        journal.close()
    path.write_bytes(begin + damage + begin)
    journal = Journal(str(path))
    assert journal.damaged and places(journal) == {"s": Position(0, 5)}
    journal.close()
    again = Journal(str(path))
    assert not again.damaged and again.trouble.startswith("a part of the journal could not be read")
    (tmp_path / "journal.bad").unlink()
    assert not again.trouble
    again.close()


def test_what_a_newer_version_adds_is_left_out(tmp_path: Path) -> None:
    """Fields of a record, numbers behind those of a place, records of another kind."""
    path = tmp_path / "journal"
    path.write_bytes(
        rows(
            {"tomorrow": 1},
            {"number": 1, "totals": {"read": 0, "new": 5}},
            {"place": "s", "position": [0, 5, False, 1, 9]},
        )
    )
    journal = Journal(str(path))
    assert not journal.damaged and journal.positions == {"s": Position(0, 5, False, 1)}
    journal.close()
