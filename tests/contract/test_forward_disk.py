"""The disk of a machine whose lines wait: what is stored is given back, and what waits has a bound, each drop told of."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from daqsched_executor.contract import Forwarding
from daqsched_executor.forward.streams.disk_limit import MIB
from fake_elastic import FakeElastic
from forwarding import ForwarderProcess, Printer
from waiting import until

#: 400 bytes; the number stands first.
LINE = "%09d {level} {text}\n"


def lines(count: int, first: int = 0, level: str = "INFO") -> str:
    """Lines of 400 bytes each."""
    form = LINE.format(level=level, text="x" * (400 - 12 - len(level)))
    return "".join(form % number for number in range(first, first + count))


@pytest.fixture
def elastic() -> Iterator[FakeElastic]:
    """An empty server."""
    made = FakeElastic()
    yield made
    made.close()


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    """An empty spool."""
    return tmp_path / "spool"


def blocks(path: Path) -> float:
    """How many MiB a file takes on the disk."""
    return path.stat().st_blocks * 512 / MIB


def drops(elastic: FakeElastic) -> list[dict[str, Any]]:
    """The documents that tell of dropped lines."""
    return [one for one in list(elastic.documents.values()) if one["event"]["dataset"] == "daqsched.dropped"]


def kept(elastic: FakeElastic) -> list[str]:
    """The messages of all other documents, by stream and offset."""
    found = sorted(dict(elastic.documents).items(), key=lambda item: item[0][1])
    return [one["message"] for _, one in found if one["event"]["dataset"] != "daqsched.dropped"]


def test_what_is_stored_is_given_back_and_the_last_of_it_stays_readable(elastic: FakeElastic, spool: Path) -> None:
    """However much a program prints its file stays small, also across kill -9, and no line is lost or doubled."""
    config = Forwarding(keep=2.0)
    printer = Printer(spool)
    process = ForwarderProcess(spool, elastic.url, "logs", config=config)
    total = 0
    for burst in range(3):
        printer.print(lines(25_000, total))
        total += 25_000
        if burst in (0, 1):
            process.kill()
            process = ForwarderProcess(spool, elastic.url, "logs", config=config)
        until(elastic.counts(total), "all lines", 60)
        until(lambda: blocks(printer.path) < 4.5, "room", 20)
    assert printer.path.stat().st_size == total * 400
    with printer.path.open("rb") as file:
        file.seek(-400_000, os.SEEK_END)
        assert file.read().decode() == lines(1000, total - 1000)
    assert [int(text[:9]) for text in kept(elastic)] == list(range(total))
    assert process.stop() == 0 and process.counts()["dropped"] == 0


def test_what_is_given_back_in_pieces_leaves_nothing_between_them(elastic: FakeElastic, spool: Path) -> None:
    """A piece ends within a block: that goes with the next one, or a file that grows for years keeps a part of each."""
    printer = Printer(spool)
    process = ForwarderProcess(spool, elastic.url, "logs", config=Forwarding(keep=0))
    for piece in range(8):
        printer.print(lines(2800, piece * 2800))  # 1.07 MiB; from 1 MiB on it is given back
        until(elastic.counts((piece + 1) * 2800), "all lines", 60)
        until(lambda: blocks(printer.path) < 2.5, "room", 20)
    with printer.path.open("rb") as file:
        begins = os.lseek(file.fileno(), 0, os.SEEK_DATA)
        assert begins > 6 * MIB
        with pytest.raises(OSError, match="No such device or address"):
            os.lseek(file.fileno(), os.lseek(file.fileno(), begins, os.SEEK_HOLE), os.SEEK_DATA)
    assert process.stop() == 0


def test_the_oldest_lines_go_where_the_bound_is_reached(elastic: FakeElastic, spool: Path) -> None:
    """Of all streams the oldest; the counts are exact, the documents name job, bytes and number, and new lines arrive."""
    elastic.open.clear()
    old, young = Printer(spool, "old"), Printer(spool, "young")
    old.print(lines(25_000))
    config = Forwarding(disk=12.0, keep=1.0)
    process = ForwarderProcess(spool, elastic.url, "logs", config=config)
    until((spool / "forward" / "status.json").exists, "a look")
    young.print(lines(15_000))
    until(lambda: process.counts()["dropped"] > 0, "a drop", 30)
    until(lambda: blocks(old.path) + blocks(young.path) < 13.5, "room", 20)
    dropped = process.counts()["dropped"]
    process.kill()
    elastic.open.set()
    process = ForwarderProcess(spool, elastic.url, "logs", config=config)
    until(lambda: len(kept(elastic)) == 40_000 - dropped, "all that is left", 60)
    (told,) = drops(elastic)
    assert told["daqsched"]["dropped"] == {"lines": dropped, "bytes": dropped * 400}
    assert (told["service"]["name"], told["log"]["level"]) == ("old", "warning")
    assert f"{dropped:,} lines (" in told["message"] and "12 MiB" in told["message"]
    numbers = [int(text[:9]) for text in kept(elastic) if text]
    assert sorted(numbers)[-1] == 24_999 and numbers.count(14_999) == 2, "the young ones are all there"
    young.print("0 new\n")
    until(lambda: "0 new" in elastic.messages(), "a new line")
    assert process.stop() == 0
    counts = process.counts()
    assert (counts["dropped"], counts["read"], counts["under_way"]) == (dropped, 40_002, 0)


def test_a_noisy_job_pushes_no_line_of_a_quiet_neighbour_out(elastic: FakeElastic, spool: Path) -> None:
    """Nor does one that starts many programs; though the neighbour's lines are the oldest."""
    elastic.open.clear()
    quiet = Printer(spool, "quiet")
    quiet.print(lines(5_000))
    config = Forwarding(disk=8.0, keep=1.0)
    process = ForwarderProcess(spool, elastic.url, "logs", config=config)
    until(lambda: (spool / "forward" / "status.json").exists() and process.counts()["read"], "a look")
    quiet.print(lines(5_000, 5_000))
    noisy = [Printer(spool, "noisy") for _ in range(8)]
    for printer in noisy:
        printer.print(lines(10_000))
    until(lambda: process.counts()["dropped"] > 0, "a drop", 30)
    until(lambda: process.counts()["waiting_bytes"] < 8.0 * 1024 * 1024, "it is enough", 30)
    elastic.open.set()
    until(lambda: process.counts()["under_way"] == process.counts()["waiting_bytes"] == 0, "the end", 60)
    assert {one["service"]["name"] for one in drops(elastic)} == {"noisy"}
    kept_of_quiet = [one for one in list(elastic.documents.values()) if one["service"]["name"] == "quiet"]
    assert len(kept_of_quiet) == 10_000
    assert process.stop() == 0


@pytest.mark.parametrize("killed", [False, True])
def test_lines_of_a_low_level_go_first(elastic: FakeElastic, spool: Path, killed: bool) -> None:
    """Nine of ten are DEBUG: with when_full=debug no other is lost, their order stays, and offsets rise."""
    elastic.open.clear()
    printer = Printer(spool)
    for part in range(200):
        printer.print(lines(225, part * 250, "DEBUG") + lines(25, part * 250 + 225))
    config = Forwarding(disk=10.0, keep=1.0, when_full="debug")
    process = ForwarderProcess(spool, elastic.url, "logs", config=config)
    until(lambda: (spool / "forward" / "status.json").exists() and process.counts()["dropped"] > 0, "a drop", 30)
    until(lambda: blocks(printer.path) < 12.0, "room", 20)
    if killed:
        process.kill()
        process = ForwarderProcess(spool, elastic.url, "logs", config=config)
    elastic.open.set()
    until(lambda: process.counts()["under_way"] == process.counts()["waiting_bytes"] == 0, "the end", 60)
    texts = kept(elastic)
    assert [text for text in texts if "INFO" in text] == lines_of_info()
    assert [int(text[:9]) for text in texts] == sorted(int(text[:9]) for text in texts)
    assert process.stop() == 0
    counts = process.counts()
    assert counts["dropped"] == 50_000 - len(texts) > 10_000
    assert sum(one["daqsched"]["dropped"]["lines"] for one in drops(elastic)) == counts["dropped"]
    assert all("debug and trace" in one["message"] for one in drops(elastic))


def lines_of_info() -> list[str]:
    """What must not be dropped of the lines above."""
    return [text for part in range(200) for text in lines(25, part * 250 + 225).splitlines()]


def test_a_file_that_may_not_be_written_is_left_as_it_is_and_said(elastic: FakeElastic, spool: Path) -> None:
    """No hole is no failure: the lines arrive, and one sentence says why the disk is not given back."""
    if os.geteuid() != 0:
        pytest.fail("only root can make a file that root may not write")
    printer = Printer(spool)
    printer.print(lines(8_000))
    os.system(f"chattr +i {printer.path}")  # noqa: S605 - a path of our own
    try:
        process = ForwarderProcess(spool, elastic.url, "logs", config=Forwarding(keep=0.0))
        until(lambda: len(elastic.documents) == 8_000, "all lines")
        until(lambda: "can't be given back" in process.errors, "the sentence", 20)
        assert process.errors.count("can't be given back") == 1
    finally:
        os.system(f"chattr -i {printer.path}")  # noqa: S605
    assert process.stop() == 0
    assert json.loads((spool / "forward" / "status.json").read_text())["stored"] == 8_000
