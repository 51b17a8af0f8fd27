"""The systemd journal: real journal files across boots and vacuums, and a journalctl that is none."""

from __future__ import annotations

import os
import struct
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from daqsched_executor.contract import Forwarding, Journal
from daqsched_executor.forward.inputs.journald import JournalReader
from fake_elastic import FakeElastic
from forwarding import ForwarderProcess
from waiting import alive, until

BEGAN = time.time_ns() // 1000 - 60_000_000


@pytest.fixture
def elastic() -> Iterator[FakeElastic]:
    """An empty server."""
    made = FakeElastic()
    yield made
    made.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where journal files lie."""
    made = tmp_path / "journal"
    made.mkdir()
    return made


def write(path: Path, *entries: tuple[int, str, bytes, bytes]) -> None:
    """A real journal file: (second, boot, message, blob) each."""
    text = b""
    for second, boot, message, blob in entries:
        micros = second * 1_000_000
        text += (
            f"__REALTIME_TIMESTAMP={BEGAN + micros}\n__MONOTONIC_TIMESTAMP={1000 + micros}\n_BOOT_ID={boot * 32}\n"
            "PRIORITY=3\n_HOSTNAME=hlt05\nSYSLOG_IDENTIFIER=nsmd2\n"
        ).encode()
        for name, value in ((b"MESSAGE", message), (b"BLOB", blob)):
            text += name + b"\n" + struct.pack("<Q", len(value)) + value + b"\n"
        text += b"\n"
    subprocess.run(
        ["/lib/systemd/systemd-journal-remote", f"--output={path}", "-"],
        input=text,
        check=True,
        timeout=20,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def entries(first: int, count: int, boot: str) -> list[tuple[int, str, bytes, bytes]]:
    """Some entries of a boot, a second each."""
    return [(number, boot, b"entry %d" % number, b"") for number in range(first, first + count)]


def messages(elastic: FakeElastic) -> list[str]:
    """All that is stored."""
    return sorted(str(one["message"]) for one in list(elastic.documents.values()))


def arrives(elastic: FakeElastic, count: int) -> None:
    """Each entry is stored once."""
    until(lambda: len(elastic.documents) >= count, f"{count} entries", 30)
    assert messages(elastic) == sorted(f"entry {number}" for number in range(count))


def test_a_journalctl_that_hangs_is_killed_and_started_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While it reads what is there, which never takes so long; people are told."""
    program = tmp_path / "bin" / "journalctl"
    program.parent.mkdir()
    (tmp_path / "pids").touch()
    program.write_text(f"#!/bin/sh\necho $$ >> {tmp_path}/pids\nexec sleep 1000\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    spool, forward = tmp_path / "spool", tmp_path / "spool" / "forward"
    for made in (spool / "streams", spool / "links", forward):
        made.mkdir(parents=True)
    told: list[str] = []
    reader = JournalReader(
        Journal(enabled=True), str(spool), str(forward), "hlt01", lambda about, text: told.append(text), stalled_s=0.3
    )
    try:
        pids = until(lambda: len(found := (tmp_path / "pids").read_text().split()) > 1 and found, "it is tried again")
        assert not alive(int(pids[0]))
        assert told[0] == "cannot read the journal: journalctl has printed nothing for 0.3 s; it is tried again"
    finally:
        reader.close()
    until(lambda: not any(alive(int(pid)) for pid in (tmp_path / "pids").read_text().split()), "none is left")


def test_no_boot_and_no_vacuum_hides_an_entry(elastic: FakeElastic, folder: Path, tmp_path: Path) -> None:
    """Boots before the first start, the last words before a crash, what follows a vacuum, a boot that comes while we follow."""
    config = Forwarding(journal=Journal(enabled=True, directory=str(folder)))
    write(folder / "a.journal", *entries(0, 3, "a"), *entries(3, 3, "b"))
    process = ForwarderProcess(tmp_path / "spool", elastic.url, "logs", config=config)
    arrives(elastic, 6)
    process.kill()
    write(folder / "a.journal", *entries(6, 2, "b"), *entries(8, 3, "c"))
    process = ForwarderProcess(tmp_path / "spool", elastic.url, "logs", config=config)
    arrives(elastic, 11)
    process.kill()
    (folder / "a.journal").unlink()
    write(folder / "b.journal", *entries(11, 3, "c"))
    process = ForwarderProcess(tmp_path / "spool", elastic.url, "logs", config=config)
    arrives(elastic, 14)
    write(folder / "b.journal", *entries(14, 2, "d"))
    arrives(elastic, 16)
    assert process.stop() == 0


def test_a_field_of_megabytes_takes_no_memory(elastic: FakeElastic, folder: Path, tmp_path: Path) -> None:
    """A core dump in an entry: its message is stored, and its neighbours."""
    config = Forwarding(journal=Journal(enabled=True, directory=str(folder)))
    write(
        folder / "a.journal",
        (0, "a", b"entry 0", b""),
        (1, "a", b"entry 1", os.urandom(6_000_000)),
        *entries(2, 1, "a"),
    )
    process = ForwarderProcess(tmp_path / "spool", elastic.url, "logs", config=config)
    arrives(elastic, 3)
    status = Path(f"/proc/{process.process.pid}/status").read_text()
    peak_kb = next(int(row.split()[1]) for row in status.splitlines() if row.startswith("VmHWM"))
    assert peak_kb < 60_000
    assert process.stop() == 0


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("echo no such unit >&2; exit 3", "journalctl ended with status 3: no such unit"),
        ("while echo '<html>'; do :; done", "is not a field's name"),
        ("echo MESSAGE=x; echo; sleep 1000", "an entry has no __CURSOR"),
        ("head -c 300000 /dev/zero", "is not a field's name"),
    ],
)
def test_a_journalctl_that_is_none_is_told_of(
    script: str, words: str, elastic: FakeElastic, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It dies, or prints what is no journal: one sentence, and all else goes on."""
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "journalctl").write_text(f"#!/bin/sh\n{script}\n")
    (tools / "journalctl").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    process = ForwarderProcess(
        tmp_path / "spool", elastic.url, "logs", config=Forwarding(journal=Journal(enabled=True))
    )
    until(lambda: words in process.errors, "the sentence")
    assert process.stop() == 0
