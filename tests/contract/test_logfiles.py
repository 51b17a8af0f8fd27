"""Log files of services: the forwarder as a process, files that are rotated by the real logrotate, kills at any moment."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

import pytest

from daqsched_executor.contract import FORWARDING_VARIABLE, Forwarding, LogFiles
from fake_elastic import FakeElastic
from forwarding import EXECUTOR
from waiting import until

#: Debian's package logrotate (tests/apt-packages.txt) puts it where only root's PATH looks.
LOGROTATE = shutil.which("logrotate", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


@pytest.fixture
def elastic() -> Iterator[FakeElastic]:
    """An empty server, healthy until told otherwise."""
    made = FakeElastic()
    yield made
    made.close()


class Machine:
    """A machine with a folder of log files and a forwarder that is told to follow them."""

    def __init__(self, folder: Path, elastic: FakeElastic) -> None:
        self.logs = folder / "log"
        self.logs.mkdir()
        self.spool = folder / "spool"
        self.files = self.spool / "forward" / "files"
        self.elastic = elastic
        self.log = self.logs / "nsmd2.log"
        #: What forwarders have in their environment besides.
        self.environ: dict[str, str] = {}
        self._errors = folder / "stderr"
        self._started: list[subprocess.Popen[bytes]] = []

    def start(self, **options: Any) -> subprocess.Popen[bytes]:
        """A forwarder that follows the folder's log files."""
        files = LogFiles(**{"name": "nsmd2", "paths": (str(self.logs / "*.log"),), **options})
        told = Forwarding(
            elasticsearch=self.elastic.url, index="logs", spool=str(self.spool), host="hlt01", files=(files,)
        )
        with self._errors.open("ab") as errors:
            process = subprocess.Popen(
                [sys.executable, "-m", "daqsched_executor.forward"],
                env={
                    **os.environ,
                    "PYTHONPATH": str(EXECUTOR),
                    FORWARDING_VARIABLE: told.to_json(),
                    "TZ": "UTC",
                    **self.environ,
                },
                stdout=subprocess.DEVNULL,
                stderr=errors,
            )
        self._started.append(process)
        # What is written before its first look is the past.
        until(lambda: (self.files / "patterns").exists(), "it has looked")
        return process

    @property
    def errors(self) -> str:
        """What forwarders wrote to stderr."""
        return self._errors.read_text()

    def counts(self) -> dict[str, Any]:
        """What the forwarder says of itself."""
        path = self.spool / "forward" / "status.json"
        found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {"read": 0}
        return found

    def followed(self, count: int = 1) -> Callable[[], bool]:
        """A condition: so many files are registered."""
        return lambda: len(list(self.files.glob("*.json"))) == count

    def append(self, text: str, path: Path | None = None) -> None:
        """As a service writes: opened to append, and closed."""
        with (path or self.log).open("a", encoding="utf-8") as file:
            file.write(text)

    def stored(self, *texts: str) -> Callable[[], bool]:
        """A condition: exactly these messages, whatever their order."""
        return lambda: sorted(self.elastic.messages()) == sorted(texts)

    def end(self) -> None:
        """Every forwarder that still runs is told to stop, and does so well."""
        self.elastic.open.set()
        for process in self._started:
            if process.poll() is None:
                process.terminate()
                assert process.wait(20) == 0
        assert "Traceback" not in self.errors


@pytest.fixture
def machine(tmp_path: Path, elastic: FakeElastic) -> Iterator[Machine]:
    """See `Machine`."""
    made = Machine(tmp_path, elastic)
    yield made
    made.end()


def test_a_file_that_was_there_is_read_from_its_end_and_a_new_one_from_its_beginning(machine: Machine) -> None:
    """A first start does not send the past; what comes later is whole, also if it came while no forwarder ran."""
    machine.append("past\nhalf")
    process = machine.start()
    until(machine.followed(), "it is followed")
    machine.append(" a line\nnew\n")
    machine.append("other\n", machine.logs / "other.log")
    until(machine.stored("half a line", "new", "other"), "stored")
    process.kill()
    process.wait()
    machine.append("third\n", machine.logs / "third.log")
    machine.append("newer\n")
    machine.start()
    until(machine.stored("half a line", "new", "other", "third", "newer"), "stored, too")
    (document,) = [one for one in machine.elastic.documents.values() if one["message"] == "newer"]
    assert document["log"] == {"offset": 21, "file": {"path": str(machine.log)}}
    assert document["service"] == {"name": "nsmd2", "node": {"name": "nsmd2@hlt01"}}
    assert document["event"]["dataset"] == "daqsched.file" and "orchestrator" not in document


#: A message of sd_notify(3) that ends a program, as a row of its own.
FORGED = "WATCHDOG=trigger"


def test_a_name_of_any_bytes_is_followed_and_told_and_forges_no_message(machine: Machine, tmp_path: Path) -> None:
    """What is no text, newlines, what is no file: lines are stored, and the forwarder says to its executor what it means to."""
    heard = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    heard.bind(str(tmp_path / "notify"))
    heard.setblocking(False)
    machine.environ["NOTIFY_SOCKET"] = str(tmp_path / "notify")
    odd = [b"\xff\xfe.log", b"\xed\xa0\x80.log", f"a\n{FORGED}\n.log".encode(), 'b\u202e\x1b[2J\\".log'.encode()]
    for number, name in enumerate(odd):
        machine.append(f"{number}\n", machine.logs / os.fsdecode(name))
    os.mkfifo(machine.logs / os.fsdecode(b"\xff\n" + FORGED.encode() + b"\n.log"))
    process = machine.start(from_start=True)
    until(machine.stored(*map(str, range(len(odd)))), "stored")
    streams = {one["daqsched"]["stream"] for one in machine.elastic.documents.values()}
    assert {r"\udcff\udcfe.log", r"\udced\udca0\udc80.log"} < streams
    rows: list[str] = []

    def told() -> bool:
        with contextlib.suppress(BlockingIOError):
            while True:
                rows.extend(heard.recv(65536).decode().split("\n"))
        return any(row.startswith("STATUS=") for row in rows)

    until(told, "it says what is set aside")
    heard.close()
    assert process.poll() is None and FORGED not in rows
    assert {row.partition("=")[0] for row in rows} <= {"READY", "STATUS", "WATCHDOG"}
    process.kill()
    process.wait()
    for name in odd:
        machine.append("more\n", machine.logs / os.fsdecode(name))
    machine.start(from_start=True)
    until(lambda: machine.elastic.messages().count("more") == len(odd), "the next one goes on")


def test_the_past_is_sent_where_it_is_asked_for(machine: Machine) -> None:
    """With from_start."""
    machine.append("past\n")
    machine.start(from_start=True)
    until(machine.stored("past"), "stored")


def test_a_renamed_file_is_read_to_its_end_also_by_the_next_forwarder(machine: Machine) -> None:
    """A program writes to the old file until it is told of the new one; nothing of either is sent twice."""
    process = machine.start()
    machine.append("one\n")
    until(machine.stored("one"), "stored")
    old = machine.logs / "nsmd2.log.1"
    machine.log.rename(old)
    machine.append("two\n")
    machine.append("late\n", old)
    until(machine.stored("one", "two", "late"), "both stored")
    process.kill()
    process.wait()
    machine.append("later\n", old)
    old.rename(machine.logs / "nsmd2.log.2")
    machine.log.rename(old)
    machine.append("while away\n", old)
    machine.append("three\n")
    machine.start()
    until(machine.stored("one", "two", "late", "later", "while away", "three"), "all stored")


def test_a_deleted_file_is_read_to_its_end_also_by_the_next_forwarder(machine: Machine) -> None:
    """Elasticsearch is away when it is deleted: its rest is kept in the spool."""
    process = machine.start()
    machine.elastic.refuse_request = lambda path, body: 503
    machine.append("".join(f"line {at}\n" for at in range(5000)))
    until(machine.followed(), "it is followed")
    until(lambda: machine.counts()["read"] > 0, "it is read")
    machine.log.unlink()
    until(lambda: list(machine.files.glob("*.rest")), "its rest is kept")
    process.kill()
    process.wait()
    machine.elastic.refuse_request = lambda path, body: None
    machine.start()
    until(lambda: len(machine.elastic.messages()) >= 5000, "stored")
    assert sorted(machine.elastic.messages()) == sorted(f"line {at}" for at in range(5000))


def test_an_emptied_file_is_read_from_its_beginning(machine: Machine) -> None:
    """What is in it now is another stream, also where it grew beyond the old place at once, or while no forwarder ran."""
    process = machine.start()
    machine.append("one\ntwo\n")
    until(machine.stored("one", "two"), "stored")
    machine.log.write_text("new one\nnew two\nnew three\n")
    until(machine.stored("one", "two", "new one", "new two", "new three"), "stored, too")
    assert "somebody emptied it, of which 8 bytes were read" in machine.errors
    until(
        lambda: machine.counts().get("stored") == 5,
        "the replies have come: else lines may have been lost with the file",
    )
    process.kill()
    process.wait()
    machine.log.write_text("x\n")
    machine.start()
    until(machine.stored("one", "two", "new one", "new two", "new three", "x"), "after a restart")


def test_what_had_not_been_read_of_an_emptied_file_is_found_in_its_copy(machine: Machine) -> None:
    """copytruncate while Elasticsearch is away: the copy has it, whatever it is called; also with a kill in between."""
    process = machine.start()
    machine.append("one\n")
    until(machine.stored("one"), "stored")
    machine.elastic.refuse_request = lambda path, body: 503
    lines = [f"line {at} {'x' * 1000}" for at in range(8000)]
    machine.append("\n".join(lines) + "\n")
    until(lambda: "503" in machine.errors, "some of it is read")
    shutil.copy(machine.log, machine.logs / "nsmd2.log-20261123")
    os.truncate(machine.log, 0)
    machine.append("after\n")
    until(machine.followed(2), "both are followed")
    process.kill()
    process.wait()
    machine.elastic.refuse_request = lambda path, body: None
    machine.start()
    until(machine.stored("one", "after", *lines), "all stored")


@pytest.mark.parametrize("killed", [False, True])
@pytest.mark.parametrize("there", [0, 4096, 100_000])
def test_a_copy_that_is_seen_while_it_is_made_is_no_new_file(machine: Machine, there: int, killed: bool) -> None:
    """copytruncate under a name that the pattern matches, too: so much of it is there when the forwarder looks."""
    process = machine.start()
    lines = [f"line {at} {'x' * 200}" for at in range(1000)]
    machine.append("\n".join(lines) + "\n")
    until(machine.stored(*lines), "stored")
    whole = machine.log.read_bytes()
    copy = machine.logs / "nsmd2-20261123.log"
    with copy.open("wb", buffering=0) as file:
        file.write(whole[:there])
        machine.append("its own\n", machine.logs / "other.log")
        until(machine.stored(*lines, "its own"), "a look has seen both")
        if killed:
            process.kill()
            process.wait()
        file.write(whole[there:])
    machine.log.write_text("after\n")
    if killed:
        machine.start()
    until(machine.stored(*lines, "its own", "after"), "what came into the old file is stored")
    machine.append("more\n", machine.logs / "other.log")
    until(machine.stored(*lines, "its own", "after", "more"), "after another look no line is there twice")


def test_files_that_came_and_were_packed_while_nobody_looked_are_read_once(machine: Machine) -> None:
    """Their names and their times tell; also by a forwarder that comes when what they held is stored and forgotten."""
    process = machine.start()
    machine.append("one\n")
    until(machine.stored("one"), "stored")
    process.kill()
    process.wait()
    lines = [f"{text} {'x' * 2000}" for text in ("two", "three", "four", "five")]
    for number, line in enumerate(lines[:3]):
        machine.append(line + "\n")
        with gzip.open(machine.logs / f"nsmd2.log.{number}.gz", "wb") as file:
            file.write(machine.log.read_bytes())
        machine.log.unlink()
    machine.append(lines[3] + "\n", machine.logs / "nsmd2.log-20261123")
    machine.append("another service's\n", machine.logs / "nsmd2-hlt01.log.1")
    process = machine.start()
    until(machine.stored("one", *lines), "stored, too")
    until(lambda: not list(machine.files.glob("*.rest")), "what was unpacked is taken away")
    process.kill()
    process.wait()
    machine.start()
    machine.append("six\n")
    until(machine.stored("one", *lines, "six"), "the new line is stored")


@pytest.mark.parametrize("how", ["copytruncate", "rename"])
@pytest.mark.parametrize("killed", [False, True])
def test_a_file_behind_a_link_is_rotated_in_its_own_folder(machine: Machine, how: str, killed: bool) -> None:
    """Elasticsearch is away, or no forwarder runs: what had not been read is found there."""
    folder = machine.logs.parent / "real"
    folder.mkdir()
    target = folder / "app.log"
    machine.append("one\n", target)
    machine.log.symlink_to(target)
    process = machine.start(follow_links=True, from_start=True)
    until(machine.stored("one"), "stored")
    machine.elastic.refuse_request = lambda path, body: 503
    lines = [f"line {at} {'x' * 1000}" for at in range(8000)]
    machine.append("\n".join(lines) + "\n", target)
    until(lambda: "503" in machine.errors, "some of it is read")
    if killed:
        process.kill()
        process.wait()
    if how == "rename":
        target.rename(folder / "app.log.1")
    else:
        shutil.copy(target, folder / "app.log.1")
        os.truncate(target, 0)
    machine.append("after\n", target)
    if killed:
        process = machine.start(follow_links=True, from_start=True)
    until(machine.followed(2), "both are followed")
    process.kill()
    process.wait()
    machine.elastic.refuse_request = lambda path, body: None
    machine.start(follow_links=True, from_start=True)
    until(machine.stored("one", "after", *lines), "all stored")
    paths = {one["log"]["file"]["path"] for one in list(machine.elastic.documents.values())}
    assert str(machine.log) in paths


def test_what_is_no_log_file_is_put_aside_and_the_others_are_read(machine: Machine) -> None:
    """A link that nobody asked to follow, a FIFO: named once, and nobody waits for them."""
    secret = machine.logs.parent / "secret"
    secret.write_text("root's\n")
    (machine.logs / "a.log").symlink_to(secret)
    os.mkfifo(machine.logs / "b.log")
    machine.start(from_start=True)
    machine.append("one\n")
    until(machine.stored("one"), "stored")
    assert "it is a symbolic link, not a file (and 1 more); it is not followed" in machine.errors or (
        "it is a FIFO, not a file (and 1 more); it is not followed" in machine.errors
    )


@pytest.mark.parametrize(("program", "end"), [("zstd", ".zst"), ("lz4", ".lz4")])
def test_what_the_machine_packs_with_another_program_is_unpacked_by_it_or_told_as_lost(
    machine: Machine, program: str, end: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anybody looked: read, where the program is there; a count and a document where it is not."""
    process = machine.start()
    machine.append("one\n")
    until(machine.stored("one"), "stored")
    process.kill()
    process.wait()

    def packs(text: str) -> int:
        machine.append(text)
        path = machine.logs / f"nsmd2.log.1{end}"
        with machine.log.open("rb") as file, path.open("wb") as packed:
            subprocess.run([program, "-cq"], stdin=file, stdout=packed, check=True, timeout=60)
        shutil.copystat(machine.log, path)
        machine.log.unlink()
        return path.stat().st_size

    packs("two\n")
    machine.start()
    until(machine.stored("one", "two"), "unpacked")
    monkeypatch.setenv("PATH", str(machine.logs))  # no programs there
    process.kill()
    machine.end()
    monkeypatch.undo()
    size = packs("three\n")
    monkeypatch.setenv("PATH", str(machine.logs))
    machine.start()
    told = until(lambda: [text for text in machine.elastic.messages() if "lost" in text], "it is told", 30)
    assert told == [
        f"at least {size} bytes of nsmd2@hlt01 {machine.log}.1{end}, from byte 0 on, are lost: the file was compressed before it "
        f"was read to its end, and can't be decompressed (nothing on this machine decompresses {end})"
    ]
    machine.append("four\n")
    until(machine.stored("one", "two", "four", *told), "and all goes on")
    until(lambda: machine.counts().get("losses") == 1 and machine.counts()["lost_bytes"] == size, "it is counted")


def test_a_file_that_is_replaced_by_one_that_goes_on_is_the_same_stream(machine: Machine) -> None:
    """As rsync and editors do; also while no forwarder runs. Another beginning is another file."""
    lines = [f"line {at} {'x' * 60}\n" for at in range(160)]
    machine.log.write_text("".join(lines[:100]))
    process = machine.start(from_start=True)
    fresh = machine.logs / ".fresh"

    def replace(count: int) -> None:
        fresh.write_text("".join(lines[:count]))
        fresh.rename(machine.log)
        until(lambda: len(machine.elastic.messages()) >= count, f"{count} lines")

    until(lambda: len(machine.elastic.messages()) == 100, "what was there")
    for count in (110, 120, 130):
        replace(count)
    process.kill()
    process.wait()
    fresh.write_text("".join(lines[:150]))
    fresh.rename(machine.log)
    machine.start(from_start=True)
    replace(160)
    assert machine.stored(*(line[:-1] for line in lines))()
    lines[0] = "changed\n"
    fresh.write_text("".join(lines[:50]))
    fresh.rename(machine.log)
    until(lambda: machine.elastic.messages().count("changed") == 1, "another file")
    until(lambda: len(machine.elastic.messages()) == 210, "all of it")


def test_files_that_begin_alike_are_different_files(machine: Machine) -> None:
    """The same first kilobytes, and a file that is shorter than a fingerprint."""
    head = "".join(f"# header {at}\n" for at in range(200))
    machine.append(head + "a\n", machine.logs / "a.log")
    machine.append(head + "b\n", machine.logs / "b.log")
    machine.append("#", machine.logs / "c.log")
    machine.start(from_start=True)
    until(lambda: len(machine.elastic.messages()) == 402, "the whole lines are stored")
    machine.append(" header 0\n", machine.logs / "c.log")
    until(lambda: machine.elastic.messages().count("# header 0") == 3, "and the short one's")
    assert {"a", "b"} <= set(machine.elastic.messages())


def test_a_number_that_was_used_again_is_another_file(machine: Machine) -> None:
    """A file removed while no forwarder runs gives its inode to the next one, which is read from its beginning."""
    process = machine.start()
    machine.append("one\n")
    until(machine.stored("one"), "stored")
    until(lambda: machine.counts().get("stored") == 1, "its reply has come: else it may have been lost with the file")
    process.kill()
    process.wait()
    inode = machine.log.stat().st_ino
    machine.log.unlink()
    machine.append("new one\n")
    for number in range(50):  # not every file system gives it at once
        if machine.log.stat().st_ino == inode:
            break
        machine.log.rename(machine.logs / f"{number}.other")
        machine.append("new one\n")
    machine.start()
    until(machine.stored("one", "new one"), "stored, too")


def test_what_cannot_be_read_is_said_and_tried_again(machine: Machine) -> None:
    """A link that leads nowhere yet, a packed file, a folder and a FIFO of such a name stop nobody."""
    target = machine.logs / "elsewhere"
    (machine.logs / "link.log").symlink_to(target)
    (machine.logs / "folder.log").mkdir()
    os.mkfifo(machine.logs / "fifo.log")
    (machine.logs / "packed.log.gz").write_bytes(b"\x1f\x8b")
    process = machine.start(paths=(str(machine.logs / "*"),))
    machine.append("by its link\n", target)
    machine.append("x\n")
    until(machine.stored("by its link", "x"), "stored once")
    assert process.poll() is None


@pytest.mark.skipif(os.geteuid() != 0, reason="takes another account, which only root can")
def test_a_file_that_may_not_be_read_is_one_sentence(machine: Machine) -> None:
    """Said once, and read when it may be. As root nothing is forbidden: a lost device stands for it."""
    machine.append("x\n")
    machine.start(paths=(str(machine.logs / "nsmd2.log"), "/proc/self/mem/x.log"))
    until(lambda: "cannot look at /proc/self/mem/x.log: [Errno 20]" in machine.errors, "said")
    until(machine.followed(), "followed")
    machine.append("y\n")
    until(machine.stored("y"), "stored")
    assert machine.errors.count("/proc/self/mem/x.log: ") == 1


def test_records_of_several_lines_are_complete_after_a_second(machine: Machine) -> None:
    """Across two writes, and though no other line follows; what comes after that is a record of its own."""
    machine.start(multiline="indented", time="iso")
    machine.append("2026-11-23T05:06:02Z one\n")
    time.sleep(0.4)  # less than a second: the rest of the record is written later
    machine.append("  more\n")
    until(machine.stored("2026-11-23T05:06:02Z one\n  more"), "stored")
    machine.append("  too late\n")
    until(machine.stored("2026-11-23T05:06:02Z one\n  more", "  too late"), "stored, too")
    first = machine.elastic.documents[min(machine.elastic.documents)]
    assert first["@timestamp"] == "2026-11-23T05:06:02.000000Z" and first["event"]["created"] > first["@timestamp"]


def test_a_file_in_utf_16_is_read_by_its_byte_order_mark(machine: Machine) -> None:
    """As programs of Windows write their logs."""
    machine.start(charset="utf-16")
    with machine.log.open("wb") as file:
        file.write("\ufeffHöhe\r\n".encode("utf-16-be"))
        file.flush()
        until(machine.stored("Höhe"), "stored")
        file.write("Länge\r\nhalb".encode("utf-16-be"))
        file.flush()
        until(machine.stored("Höhe", "Länge"), "stored, too")
        file.write("e Breite\n".encode("utf-16-be"))
    until(machine.stored("Höhe", "Länge", "halbe Breite"), "the rest")


class Service(threading.Thread):
    """Writes numbered lines, as fast as a service under trouble, into a file that it opens anew when it was renamed."""

    def __init__(self, path: Path, seed: int) -> None:
        super().__init__(daemon=True)
        self.path = path
        self.lines = 0
        self.rotated = 0.0
        self.ending = threading.Event()
        #: Held while logrotate works with copytruncate: what is written between its copy and its cut is lost to everybody.
        self.writes = threading.Lock()
        self._chance = random.Random(seed)

    def run(self) -> None:
        while not self.ending.is_set():
            with self.writes, self.path.open("a") as file:
                for _ in range(self._chance.choice((1, 10, 100))):
                    self.lines += 1
                    file.write(f"{self.path.stem} {self.lines} {'x' * self._chance.choice((0, 20, 200))}\n")
            time.sleep(self._chance.uniform(0, 0.06))


#: What logrotate is told of each service.
ROTATIONS = {
    "renamed": ("create 0644",),
    "copied": ("copytruncate",),
    "packed": ("create 0644", "compress"),
    "later": ("create 0644", "compress", "delaycompress"),
    "emptied": ("copytruncate", "compress"),
    "dated": ("create 0644", "dateext", "dateformat .%s"),
    "between": ("copytruncate", "dateext", "dateformat -%s", "extension .log"),
}


def rotate(machine: Machine, service: Service) -> None:
    """What logrotate does in a night, now; at most once a second where it makes names by the second."""
    assert LOGROTATE is not None, "no logrotate: scripts/setup --tests installs it"
    options = ROTATIONS[service.path.stem]
    config, state = machine.spool.parent / "logrotate.conf", machine.spool.parent / "logrotate.state"
    config.write_text("\n ".join([f"{service.path} {{", "rotate 50", *options]) + "\n}\n")
    config.chmod(0o644)
    if "dateext" in options and time.time() < service.rotated + 1.1:
        return
    with service.writes:
        service.rotated = time.time()
        done = subprocess.run(
            [LOGROTATE, "-f", "-s", str(state), str(config)], capture_output=True, text=True, timeout=60
        )
    assert done.returncode == 0, done.stderr


def test_logrotate_and_kills_lose_no_line_and_double_none(machine: Machine) -> None:
    """Rotated more often than the forwarder looks, under load, while it is killed at random: each line is there exactly once.

    In all ways that logrotate has, side by side. It works in no folder that others may write to.
    """
    seed = random.randrange(1 << 30)
    chance = random.Random(seed)
    machine.logs.chmod(0o755)
    services = [Service(machine.logs / f"{name}.log", seed) for name in ROTATIONS]
    for service in services:
        service.path.touch(mode=0o644)
    process = machine.start()
    until(machine.followed(len(services)), "they are followed")
    for service in services:
        service.start()
    end = time.monotonic() + 5
    while time.monotonic() < end:
        time.sleep(chance.uniform(0, 0.1))
        if chance.random() < 0.1:
            process.kill()
            process.wait()
            time.sleep(chance.choice((0, 0.3)))
            process = machine.start()
        rotate(machine, chance.choice(services))
    for service in services:
        service.ending.set()
        service.join()
    with contextlib.suppress(AssertionError):
        until(lambda: len(machine.elastic.documents) >= sum(service.lines for service in services), "all is there", 120)
    counts = Counter(tuple(message.split()[:2]) for message in machine.elastic.messages())
    wanted = {(service.path.stem, str(number)) for service in services for number in range(1, service.lines + 1)}
    missing, doubled = wanted - counts.keys(), [line for line, count in counts.items() if count > 1]
    assert (sorted(missing), doubled) == ([], []), f"seed {seed}: {machine.errors}"
