"""What can't be read any more is counted, with the true reason, and a document tells of it: at least so much."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from daqsched_executor.contract import Forwarding, LogFiles
from fake_elastic import FakeElastic
from forwarding import EXECUTOR, ForwarderProcess, Printer
from waiting import until


@cache
def lines() -> str:
    """Made when a test needs them: each worker reads this file."""
    return "".join(f"line {number:05}\n" for number in range(200_000))


@pytest.fixture
def elastic() -> Iterator[FakeElastic]:
    """A server that takes nothing until it is told to."""
    made = FakeElastic()
    made.refuse_request = lambda path, body: 503
    yield made
    made.close()


class Machine:
    """A folder with one log file, and a forwarder."""

    def __init__(self, folder: Path, elastic: FakeElastic) -> None:
        self.log, self.spool, self.elastic = folder / "app.log", folder / "spool", elastic
        files = LogFiles("app", (str(self.log),), from_start=True)
        self.config = Forwarding(host="hlt01", files=(files,))

    def start(self) -> ForwarderProcess:
        """A forwarder that follows the file."""
        return ForwarderProcess(self.spool, self.elastic.url, "logs", config=self.config)

    def heal(self) -> None:
        """Elasticsearch takes lines."""
        self.elastic.refuse_request = lambda path, body: None

    def told(self) -> list[dict[str, Any]]:
        """The documents that tell of what is lost."""
        found = list(self.elastic.documents.values())
        return [one for one in found if one["event"]["dataset"] == "daqsched.dropped"]

    def status(self) -> str:
        """What `--status` says."""
        argv = [sys.executable, "-m", "daqsched_executor.forward", "--status", "--spool", str(self.spool)]
        done = subprocess.run(
            argv,
            env={**os.environ, "PYTHONPATH": str(EXECUTOR)},
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
        return done.stdout

    def accounts(self, process: ForwarderProcess, why: str, least: int) -> None:
        """One document, one count and one sentence."""
        (told,) = until(self.told, "a document", 30)
        size = told["daqsched"]["dropped"]["bytes"]
        assert size >= least and told["log"]["level"] == "warning"
        assert told["message"].startswith("at least ") and why in told["message"]
        until(lambda: process.counts()["losses"] == 1 and process.counts()["under_way"] == 0, "it is counted")
        assert process.counts()["lost_bytes"] == size
        assert why in self.status() and "the disk limit was reached" not in self.status()
        kept = [one for one in list(self.elastic.documents.values()) if one["event"]["dataset"] != "daqsched.dropped"]
        assert sum(len(one["message"]) + 1 for one in kept) + size == len(lines())


@pytest.fixture
def machine(tmp_path: Path, elastic: FakeElastic) -> Machine:
    """See `Machine`."""
    return Machine(tmp_path, elastic)


def test_a_log_file_that_was_emptied_before_it_was_read(machine: Machine) -> None:
    """Elasticsearch is away, and somebody wants room."""
    machine.log.write_text(lines())
    process = machine.start()
    until(lambda: (machine.spool / "forward" / "status.json").exists() and process.counts()["read"], "some is read")
    until(lambda: process.counts()["waiting_bytes"], "some waits")
    os.truncate(machine.log, 0)
    until(lambda: "emptied" in process.errors, "noticed")
    machine.heal()
    machine.accounts(process, "the file was emptied before it was read to its end", 1000)
    assert process.stop() == 0


def test_a_log_file_that_vanished_while_no_forwarder_ran(machine: Machine) -> None:
    """What had been seen of it is the least that is lost; nothing is counted twice by those that come later."""
    machine.log.write_text(lines())
    process = machine.start()
    until(lambda: (machine.spool / "forward" / "status.json").exists() and process.counts()["read"], "some is read")
    assert process.stop() == 0  # what waits is in its journal
    machine.log.unlink()
    process = machine.start()
    until(lambda: process.counts()["losses"] >= 1, "it is counted")
    process.kill()
    machine.heal()
    process = machine.start()
    until(machine.told, "a document", 30)
    until(lambda: not list((machine.spool / "forward" / "files").glob("*.json")), "the stream is let go", 30)
    assert [one["message"].count("the file was gone before") for one in machine.told()].count(1) == len(machine.told())
    until(lambda: not process.counts()["under_way"], "all is stored")
    counts = process.counts()
    assert counts["losses"] == len(machine.told())
    lost = sum(one["daqsched"]["dropped"]["bytes"] for one in machine.told())
    assert lost == counts["lost_bytes"] == len(lines())
    assert "the disk limit was reached" not in machine.status() and "the file was gone" in machine.status()
    assert process.stop() == 0


def test_a_jobs_output_that_was_emptied_before_it_was_read(machine: Machine) -> None:
    """By the program itself, or by somebody who wants room."""
    printer = Printer(machine.spool)
    printer.print(lines())
    process = machine.start()
    until(lambda: (machine.spool / "forward" / "status.json").exists() and process.counts()["read"], "some is read")
    until(lambda: process.counts()["waiting_bytes"], "some waits")
    os.truncate(printer.path, 0)
    until(lambda: "emptied" in process.errors, "noticed")
    machine.heal()
    machine.accounts(process, "the file was emptied before it was read to its end", 1000)
    printer.die()
    assert process.stop() == 0
