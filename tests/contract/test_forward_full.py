"""A disk that is really full, as a small file system of its own: the forwarder lives, and no line is lost or doubled."""

from __future__ import annotations

import errno
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from daqsched_executor.contract import Forwarding, JsonLines, LogFiles
from fake_elastic import FakeElastic
from forwarding import EXECUTOR, ForwarderProcess, Printer
from waiting import until


@pytest.fixture
def elastic() -> Iterator[FakeElastic]:
    """An empty server."""
    made = FakeElastic()
    yield made
    made.close()


class SmallDisk:
    """A file system of 16 MiB."""

    def __init__(self, path: Path) -> None:
        if os.geteuid() != 0:
            pytest.fail("only root can mount a small file system")
        path.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(path)], check=True, timeout=20)
        self.path = path
        self._filler = path / "filler"

    def fill(self) -> None:
        """Somebody writes to it until there is no room for a byte, also where something was removed meanwhile."""
        file = os.open(self._filler, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        for size in (64 * 1024, 1):
            try:
                while True:
                    os.write(file, b"x" * size)
            except OSError as error:
                assert error.errno == errno.ENOSPC
        os.close(file)

    def free(self) -> None:
        """Somebody makes room."""
        self._filler.unlink()

    def end(self) -> None:
        """Nothing is left of it."""
        subprocess.run(["umount", "--lazy", str(self.path)], check=True, timeout=20)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    """See `SmallDisk`."""
    made = SmallDisk(tmp_path / "disk")
    yield made
    made.end()


def status_of(spool: Path) -> dict[str, Any]:
    """The status, where there is one and it says what is so now: it is written within two seconds."""
    path = spool / "forward" / "status.json"
    found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    return found


def arrived(spool: Path) -> int:
    """How many lines were stored; one that was killed may have had no time to note the last of them."""
    status = status_of(spool)
    return int(status["stored"]) + int(status["duplicates"])


def sentences(spool: Path) -> list[str]:
    """What `--status` says."""
    done = subprocess.run(
        [sys.executable, "-m", "daqsched_executor.forward", "--status", "--spool", str(spool)],
        env={**os.environ, "PYTHONPATH": str(EXECUTOR)},
        capture_output=True,
        text=True,
        timeout=30,
    )
    return done.stdout.splitlines()


def test_lines_are_sent_while_the_disk_is_full(elastic: FakeElastic, disk: SmallDisk, tmp_path: Path) -> None:
    """What the forwarder has set aside is enough, also for one that is started then; one sentence says how it is."""
    log = tmp_path / "nsmd2.log"
    log.touch()
    spool = disk.path / "daqsched"
    config = Forwarding(files=(LogFiles("nsmd2", (str(log),)),))
    process = ForwarderProcess(spool, elastic.url, "logs", config=config)
    until(lambda: list(spool.glob("forward/files/*.json")), "it is followed")
    until(lambda: status_of(spool), "it has a status")
    disk.fill()
    printed: list[str] = []
    for part in range(3):
        lines = [f"{part} {number}" for number in range(500)]
        printed += lines
        with log.open("a") as file:
            file.write("\n".join(lines) + "\n")
        until(elastic.counts(500 * (part + 1)), "stored")
        if part == 1:
            process.kill()
            disk.fill()
            process = ForwarderProcess(spool, elastic.url, "logs", config=config)
    until(lambda: arrived(spool) == 1500 and status_of(spool)["troubles"], "the status tells")
    (told,) = [sentence for sentence in sentences(spool) if "is full" in sentence]
    assert told.startswith("Trouble since ") and f"the disk of {spool}/forward is full (0 KiB are left)" in told
    disk.free()
    with log.open("a") as file:
        file.write("last\n")
    until(lambda: sorted(elastic.messages()) == sorted([*printed, "last"]), "the last")
    assert process.process.poll() is None and process.stop() == 0
    assert process.counts()["read"] == arrived(spool) == 1501


def test_a_program_that_fills_the_disk_while_elasticsearch_is_away(elastic: FakeElastic, disk: SmallDisk) -> None:
    """What it could print arrives once, after a kill too; what is stored is given back, and the program can go on."""
    elastic.open.clear()
    spool = disk.path / "daqsched"
    printer = Printer(spool)
    config = Forwarding(keep=1.0)
    process = ForwarderProcess(spool, elastic.url, "logs", config=config)
    until(lambda: status_of(spool), "it has a status")
    number = 0
    with pytest.raises(OSError, match="No space left"):
        while True:
            printer.print("".join(f"{at:09d} {'x' * 1013}\n" for at in range(number, number + 4)))
            number += 4
    disk.fill()
    whole = printer.path.stat().st_size // 1024
    until(lambda: any("is full" in one["sentence"] for one in status_of(spool)["troubles"]), "the status tells")
    process.kill()
    process = ForwarderProcess(spool, elastic.url, "logs", config=config)
    elastic.open.set()
    until(lambda: len(elastic.documents) >= whole, "all that was printed", 60)
    until(lambda: printer.path.stat().st_blocks * 512 < 4 * 1024 * 1024, "room")
    printer.print("\nlast\n")
    until(lambda: "last" in elastic.messages(), "the last")
    assert process.stop() == 0
    numbers = [int(text[:9]) for text in elastic.messages() if len(text) == 1023]
    assert sorted(numbers) == list(range(whole))
    assert process.counts()["dropped"] == 0 and process.counts()["under_way"] == 0


def test_lines_are_given_up_by_the_bound_on_a_full_disk_too(elastic: FakeElastic, disk: SmallDisk) -> None:
    """Each is counted, though no file can be written anew, and what was not given up is stored once."""
    elastic.open.clear()
    spool = disk.path / "daqsched"
    printer = Printer(spool)
    config = Forwarding(keep=1.0, disk=2.0)

    def stored() -> list[int]:
        return [int(text[:9]) for text in elastic.messages() if len(text) == 1023]

    process = ForwarderProcess(spool, elastic.url, "logs", config=config)
    until(lambda: status_of(spool), "it has a status")
    printer.print("".join(f"{number:09d} {'x' * 1013}\n" for number in range(12 * 1024)))
    disk.fill()
    until(lambda: status_of(spool)["dropped"] > 1024, "lines are given up")
    process.kill()
    process = ForwarderProcess(spool, elastic.url, "logs", config=config)
    elastic.open.set()
    until(lambda: len(stored()) + status_of(spool)["dropped"] == 12 * 1024, "all else is stored")
    until(lambda: status_of(spool)["under_way"] == status_of(spool)["waiting_bytes"] == 0, "none is under way")
    assert process.process.poll() is None and process.stop() == 0
    assert len(set(stored())) == 12 * 1024 - process.counts()["dropped"]
    told = [one for one in elastic.documents.values() if one["event"]["dataset"] == "daqsched.dropped"]
    assert sum(one["daqsched"]["dropped"]["lines"] for one in told) == process.counts()["dropped"]


def test_a_forwarder_that_finds_no_room_at_all_waits_for_it(
    elastic: FakeElastic, disk: SmallDisk, tmp_path: Path
) -> None:
    """It can't even begin its journal: nothing is sent, nothing given up, and it says so; with room all is sent, once."""
    spool = disk.path / "daqsched"
    printer = Printer(spool)
    printer.print("".join(f"{number}\n" for number in range(5000)))
    disk.fill()
    process = ForwarderProcess(spool, elastic.url, "logs", errors=tmp_path / "stderr")
    until(lambda: "cannot write" in process.errors and "is full (0 KiB are left)" in process.errors, "it says so")
    process.kill()
    process = ForwarderProcess(spool, elastic.url, "logs", errors=tmp_path / "stderr")
    assert not elastic.documents
    disk.free()
    until(lambda: len(elastic.documents) == 5000, "all lines")
    assert process.process.poll() is None and process.stop() == 0
    assert [int(text) for text in elastic.messages()] == list(range(5000))
    assert (process.counts()["read"], arrived(spool)) == (5000, 5000)
    assert "Traceback" not in process.errors


def test_what_comes_by_network_to_a_full_disk_is_counted(elastic: FakeElastic, disk: SmallDisk) -> None:
    """A datagram can't wait: what there is no room for is counted as not received, and what is written is stored."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    spool = disk.path / "daqsched"
    config = Forwarding(json=JsonLines(udp=port, address="127.0.0.1"))
    elastic.open.clear()
    process = ForwarderProcess(spool, elastic.url, "logs", config=config)
    until(lambda: status_of(spool), "it has a status")
    sent = 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:

        def send() -> bool:
            nonlocal sent
            sender.sendto(json.dumps({"message": f"number {sent} {'x' * 1000}"}).encode(), ("127.0.0.1", port))
            sent += 1
            return bool(list((spool / "links").glob("*")))

        until(send, "the first is written")
        disk.fill()
        until(lambda: bool(send()) and status_of(spool).get("not_received", 0) > 0, "one finds no room")
        disk.free()
        elastic.open.set()
        later = sent
        until(lambda: bool(send()) and numbers(elastic)[-1:] > [later], "one is stored")
    until(lambda: status_of(spool)["not_received"] + len(numbers(elastic)) == sent, "each is accounted for")
    assert process.process.poll() is None and process.stop() == 0


def numbers(elastic: FakeElastic) -> list[int]:
    """The numbers that are stored, each once."""
    found = sorted(int(text.split()[1]) for text in elastic.messages() if text.startswith("number "))
    assert len(set(found)) == len(found)
    return found
