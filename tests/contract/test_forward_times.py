"""Which time, run and start a line carries, and that new lines do not wait behind old ones."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from daqsched_executor.contract import Forwarding, LabelRow, LogFiles, labels_path, labels_text, start_row, starts_path
from fake_elastic import FakeElastic
from forwarding import ForwarderProcess, Printer
from waiting import until


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


def document(elastic: FakeElastic, message: str) -> dict[str, Any]:
    """The one with this text."""
    (found,) = [one for one in list(elastic.documents.values()) if one["message"] == message]
    return found


def seconds(found: dict[str, Any]) -> float:
    """A document's time."""
    text = found["@timestamp"].rstrip("Z")
    return datetime.fromisoformat(text).replace(tzinfo=timezone.utc).timestamp()


def test_lines_that_waited_have_the_time_of_their_printing(elastic: FakeElastic, spool: Path) -> None:
    """Not of their storing: also what was seen before the forwarder was killed, to the time of its last note."""
    elastic.open.clear()
    printer = Printer(spool)
    process = ForwarderProcess(spool, elastic.url, "logs")
    until((spool / "forward" / "status.json").exists, "its beginning")
    printed = {}
    # the first plans fill the senders, the others wait in the file
    for number in range(8):
        began = time.time()
        printer.print(f"line {number}\n")
        time.sleep(0.25)  # two looks are no further apart, but on a machine that is busy
        printed[f"line {number}"] = began, time.time()
    opened = time.time()
    elastic.open.set()
    until(lambda: len(elastic.documents) == 8, "all lines")
    late = 0
    for message, (began, looked) in printed.items():
        # a file's own time is a clock tick behind
        found = seconds(document(elastic, message))
        assert began - 0.02 < found < opened, message
        late += found > looked
    assert late < 4, "a look may be late, but not all of them"
    assert process.stop() == 0


@pytest.mark.parametrize("service", [False, True])
@pytest.mark.parametrize(("hours", "expected"), [(3, 3), (23, 23), (240, 24)])
def test_what_was_there_before_has_its_files_time_to_a_day_before_it_was_found(
    elastic: FakeElastic, spool: Path, service: bool, hours: int, expected: int
) -> None:
    """Whoever owns a file can give it any time, and a line's time decides its index; also of a service's log file."""
    now = time.time()
    if service:
        path = spool.parent / "log" / "nsmd2.log"
        path.parent.mkdir()
        path.write_text("old\n")
        files = LogFiles("nsmd2", (str(path),), from_start=True)
        config = Forwarding(files=(files,))
    else:
        printer = Printer(spool)
        printer.print("old\n")
        path, config = printer.path, Forwarding()
    os.utime(path, (now, now - hours * 3600))
    process = ForwarderProcess(spool, elastic.url, "logs", config=config)
    until(lambda: elastic.documents, "it is stored")
    assert abs(seconds(document(elastic, "old")) - (now - expected * 3600)) < 60
    assert process.stop() == 0


@pytest.mark.once
def test_new_lines_do_not_wait_for_a_backlog(elastic: FakeElastic, spool: Path) -> None:
    """40 MB wait and each request takes 0.4 s: lines printed now arrive long before the last of them, in order by offset."""
    elastic.open.clear()
    printer = Printer(spool)
    process = ForwarderProcess(spool, elastic.url, "logs")
    until((spool / "forward" / "status.json").exists, "its beginning")
    for part in range(4):
        printer.print("".join(f"old {part} {number:06d} {'x' * 386}\n" for number in range(25_000)))
        time.sleep(0.25)  # a look
    time.sleep(2.2)  # what waits is old only then
    elastic.refuse_request = lambda path, body: time.sleep(0.4)
    elastic.open.set()
    until(lambda: len(elastic.documents) > 4000, "some of it")
    printer.print("new line\n")
    until(elastic.holds("new line"), "the new line", 60)
    assert len(elastic.documents) < 75_000, "most of what waited still waits"
    process.kill()
    elastic.refuse_request = lambda path, body: None
    process = ForwarderProcess(spool, elastic.url, "logs")
    until(lambda: len(elastic.documents) == 100_001, "all of it", 60)
    in_order = sorted(dict(elastic.documents).items(), key=lambda item: item[0][1])
    times = [one["@timestamp"] for _, one in in_order]
    assert times == sorted(times)
    assert process.stop() == 0 and process.counts()["read"] == 100_001


def test_lines_carry_the_run_in_which_they_were_printed(elastic: FakeElastic, spool: Path, tmp_path: Path) -> None:
    """As run control's file said then; none while there is none."""
    number = tmp_path / "run_number"
    printer = Printer(spool, labels={"shift": "night"})
    process = ForwarderProcess(spool, elastic.url, "logs", config=Forwarding(run_file=str(number)))
    printer.print("before\n")
    until(lambda: len(elastic.documents) == 1, "before")
    for run in ("1201", "1202"):
        number.write_text(f"{run} started by alice\n")
        printer.print(f"in {run}\n")
        until(elastic.holds(f"in {run}"), run)
    assert document(elastic, "before")["labels"] == {"shift": "night"}
    assert document(elastic, "in 1201")["labels"] == {"shift": "night", "run": "1201"}
    assert document(elastic, "in 1202")["labels"] == {"shift": "night", "run": "1202"}
    assert process.stop() == 0


def test_lines_carry_the_start_of_the_program_that_printed_them(elastic: FakeElastic, spool: Path) -> None:
    """As its executor noted; what was printed by two of them in one look is told apart."""
    printer = Printer(spool)
    rows = Path(starts_path(str(printer.registration)))
    printer.print("one\n" * 3)
    rows.write_bytes(start_row(12, 2))
    printer.print("two\n" * 2)
    rows.write_bytes(start_row(12, 2) + start_row(20, 3) + start_row(20, 4))
    printer.print("four\n")
    words = Printer(spool, name="executor")
    words.print("starts\n")
    process = ForwarderProcess(spool, elastic.url, "logs")
    until(lambda: len(elastic.documents) == 7, "all lines")
    found = sorted((one["message"], one["daqsched"].get("start")) for one in elastic.documents.values())
    assert found == [("four", 4), ("one", 1), ("one", 1), ("one", 1), ("starts", None), ("two", 2), ("two", 2)]
    printer.die()
    words.die()
    until(lambda: printer.gone() and not rows.exists(), "the stream's end")
    assert process.stop() == 0


def test_lines_carry_the_labels_that_their_job_had_then(elastic: FakeElastic, spool: Path) -> None:
    """Told apart in one look, also where they are sent again by another forwarder; and nothing behind the end is forwarded."""
    printer = Printer(spool, labels={"shift": "a"})
    rows = Path(labels_path(str(printer.registration)))
    printer.print("".join(f"a{number}\n" for number in range(4)))
    rows.write_bytes(labels_text([LabelRow(12, {"shift": "b"})]))
    printer.print("b0\nb1\n")
    changed = [LabelRow(12, {"shift": "b"}), LabelRow(18, {}), LabelRow(24, None)]
    printer.print("n0\nn1\nout\n")
    rows.write_bytes(labels_text(changed))
    elastic.open.clear()
    process = ForwarderProcess(spool, elastic.url, "logs")
    until(lambda: process.counts()["read"] == 8, "they are planned")
    process.kill()
    elastic.open.set()
    process = ForwarderProcess(spool, elastic.url, "logs")
    until(lambda: len(elastic.documents) == 8, "all lines")
    printer.print("more\n")
    found = {one["message"]: one.get("labels") for one in elastic.documents.values()}
    assert {text: labels and labels["shift"] for text, labels in found.items()} == {
        **{f"a{number}": "a" for number in range(4)}, "b0": "b", "b1": "b", "n0": None, "n1": None
    }  # fmt: skip
    os.close(printer._lock)
    until(lambda: not printer.registration.exists() and not rows.exists(), "the stream's end", 30)
    assert len(elastic.documents) == 8
    assert process.stop() == 0


def test_an_index_holds_the_lines_of_its_own_time(elastic: FakeElastic, spool: Path) -> None:
    """With a new index each minute: what is printed in one minute and stored in the next belongs to the first."""
    if time.time() % 60 > 50:  # the lines must be seen in this minute
        until(lambda: time.time() % 60 < 50, "the next minute")
    elastic.open.clear()
    printer = Printer(spool)
    process = ForwarderProcess(spool, elastic.url, "logs", config=Forwarding(period="minute"))
    until((spool / "forward" / "status.json").exists, "its beginning")
    for number in range(6):
        printer.print(f"{number}\n")
        time.sleep(0.25)  # a look
    elastic.open.set()
    until(lambda: len(elastic.documents) == 6, "all lines")
    for (index, _), one in elastic.documents.items():
        stamp = one["@timestamp"]
        assert index == f"logs-{stamp[:4]}.{stamp[5:7]}.{stamp[8:10]}.{stamp[11:13]}{stamp[14:16]}"
    assert process.stop() == 0
