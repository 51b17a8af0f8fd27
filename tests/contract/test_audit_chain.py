"""The chain of the audit file: what was changed, removed, inserted or cut off is found, and what a crash leaves goes on whole."""

from __future__ import annotations

import hashlib
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Optional

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from daqsched.cli import main
from daqsched.serve.audit import Audit, Entry
from daqsched.serve.audit_chain import BEGINS, mark_path
from daqsched.serve.audit_verify import Verified, those_of, verify

ROOT = Path(__file__).resolve().parent.parent.parent


def stop(number: int) -> Entry:
    """One of many changes."""
    return Entry("alice", 1000, 100, number, "socket", "", "stop", "done", {"message": "cabling \n\x1b"})


def written(path: Path, count: int, begin: int = 0, most_bytes: int = 1500, kept: int = 10) -> None:
    """So many lines of one daemon, by which files are set aside."""
    audit = Audit(path, most_bytes=most_bytes, kept=kept)
    for number in range(begin, begin + count):
        audit.note(stop(number))
    audit.close()


def looked(path: Path) -> Verified:
    """What `verify` says of the file and those set aside."""
    return verify(those_of(path), path)


def rows(path: Path) -> list[dict[str, Any]]:
    """Each line of all of them."""
    return [json.loads(line) for file in those_of(path) for line in file.read_text().splitlines()]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where it is."""
    return tmp_path / "audit.ndjson"


def test_a_chain_goes_over_files_and_daemons(path: Path) -> None:
    """Each goes on where the one before it ended, also where somebody has put the file aside in between."""
    written(path, 10)
    written(path, 10, 10)
    assert len(those_of(path)) > 3
    found = looked(path)
    assert (found.broken, found.lines, found.first, found.last) == (None, 20, 1, 20)
    assert [row["pid"] for row in rows(path)] == list(range(20))
    path.rename(path.with_name("aside"))
    written(path, 2, 20)
    assert verify([*those_of(path)[:-1], path.with_name("aside"), path], path).last == 22
    broken = looked(path).broken
    assert broken is not None and broken.kind == "missing" and "are missing" in broken.why


def test_what_is_deleted_for_age_is_not_missed(path: Path) -> None:
    """The first line of each file tells the hash before it."""
    written(path, 60, kept=3)
    found = looked(path)
    assert found.broken is None and found.first > 1 and found.last == 60 and found.lines == 61 - found.first


def test_the_script_of_the_page_finds_the_same(path: Path) -> None:
    """Of docs/operate/audit.md, to the letter."""
    page = (ROOT / "docs" / "operate" / "audit.md").read_text()
    (script,) = re.findall(r"```python program\n(.*?)```", page, re.S)
    assert len(script.splitlines()) <= 12
    written(path, 12)
    run = [sys.executable, "-c", script, *map(str, those_of(path))]
    assert subprocess.run(run, capture_output=True, text=True, check=True).stdout == "12 lines are whole\n"
    path.write_bytes(path.read_bytes().replace(b"alice", b"carol", 1))
    assert subprocess.run(run, capture_output=True, check=False).returncode == 1


BASE: dict[str, bytes] = {}


def base() -> dict[str, bytes]:
    """A chain of several files, made once."""
    if not BASE:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "audit.ndjson"
            written(path, 17)
            BASE.update({one.name: one.read_bytes() for one in path.parent.iterdir()})
    return BASE


#: Of lines of all files, as one list; each gives other lines, or None where it would change nothing.
def changed(lines: list[bytes], way: str, at: int, to: int, byte: int) -> Optional[list[bytes]]:
    """The lines after somebody had his way with them."""
    at, to, lines = at % len(lines), to % len(lines), list(lines)
    if way == "change":
        place = byte % len(lines[at])
        other = (lines[at][place] + 1 + byte % 255) % 256
        lines[at] = lines[at][:place] + bytes([other]) + lines[at][place + 1 :]
    elif way == "cut":
        place = byte % len(lines[at])
        lines[at] = lines[at][:place] + lines[at][place + 1 :]
    elif way == "add":
        place = byte % len(lines[at])
        lines[at] = lines[at][:place] + b"x" + lines[at][place:]
    elif way == "remove":
        del lines[at]
    elif way == "insert":
        lines.insert(to, lines[at])
    elif way == "forge":
        lines.insert(at, b'{"user": "bob", "operation": "stop", "result": "done"}\n')
    elif way == "swap":
        if at == to:
            return None
        lines[at], lines[to] = lines[to], lines[at]
    elif way == "truncate":
        place = byte % len(lines[at])
        lines = [*lines[:at], *([lines[at][:place]] if place else [])]
    return lines


WAYS = ["change", "cut", "add", "remove", "insert", "forge", "swap", "truncate"]


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(WAYS), st.integers(0, 1000), st.integers(0, 1000), st.integers(0, 1 << 20))
def test_whatever_is_done_to_a_line_is_found(way: str, at: int, to: int, byte: int) -> None:
    """Any byte or line of any file."""
    files = base()
    names = sorted((name for name in files if not name.endswith(".last")), key=lambda name: -int(name[13:] or 0))
    told = [(name, line) for name in names for line in files[name].splitlines(keepends=True)]
    lines = changed([line for _, line in told], way, at, to, byte)
    if lines is None:
        return
    counts = [len(files[name].splitlines()) for name in names]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "audit.ndjson"
        mark_path(path).write_bytes(files["audit.ndjson.last"])
        left = list(lines)
        for name, count in zip(names, counts):
            mine, left = (left[:count], left[count:]) if name != names[-1] else (left, [])
            (path.parent / name).write_bytes(b"".join(mine))
        found = looked(path)
        assert found.broken is not None, (way, at, to, byte)
        assert found.lines <= min(at % len(told), len(told)) + (to % len(told) if way in ("insert", "swap") else 0) + 1


def test_the_first_place_is_named(path: Path) -> None:
    """By its file, its line, and what is wrong there."""
    written(path, 6, most_bytes=1 << 20)
    whole = path.read_bytes().splitlines(keepends=True)

    def kind(lines: list[bytes]) -> tuple[str, int]:
        path.write_bytes(b"".join(lines))
        broken = looked(path).broken
        assert broken is not None and broken.file == str(path)
        return broken.kind, broken.line

    assert kind([whole[0], whole[1].replace(b"alice", b"carol"), *whole[2:]]) == ("changed", 2)
    assert kind([*whole[:3], *whole[4:]]) == ("missing", 4)
    assert kind([*whole[:3], whole[0], *whole[3:]]) == ("inserted", 4)
    assert kind([*whole[:3], b"{}\n", *whole[3:]]) == ("inserted", 4)
    assert kind(whole[:4]) == ("missing", 0)
    assert kind(whole[1:]) == ("missing", 1)
    assert kind([*whole[:5], whole[5][:20]]) == ("changed", 6)


def test_lines_that_were_cut_off_are_missed_by_the_next_daemon_too(path: Path) -> None:
    """It says so in the file, and the chain does not close over the place."""
    written(path, 6, most_bytes=1 << 20)
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:4]))
    written(path, 1, 6, most_bytes=1 << 20)
    assert [row["operation"] for row in rows(path)] == ["stop"] * 4 + ["audit", "stop"]
    assert "which is number 6" in rows(path)[4]["why"]
    broken = looked(path).broken
    assert broken is not None and broken.why == "lines 5 to 6 are missing"


def test_a_chain_begins_in_a_file_that_had_none(path: Path) -> None:
    """Said by a line, which is bound to what was there; without a change nobody's chain begins."""
    old = b'{"user": "alice", "operation": "stop"}\n' * 3
    path.write_bytes(old)
    written(path, 2, most_bytes=1 << 20)
    began, first = rows(path)[3:5]
    assert (began["why"], began["seq"], began["before"]) == (BEGINS, 1, hashlib.sha256(old).hexdigest())
    assert first["seq"] == 2 and "before" not in first
    found = looked(path)
    assert (found.broken, found.without, found.lines) == (None, 3, 3)
    path.write_bytes(path.read_bytes().replace(b"alice", b"carol", 1))
    assert looked(path).broken is not None


def test_half_a_line_is_taken_off_and_said(path: Path) -> None:
    """As a machine leaves it that died."""
    written(path, 3)
    with path.open("ab") as file:
        file.write(b'{"time": "20')
    broken = looked(path).broken
    assert broken is not None and broken.kind == "changed" and "has no end" in broken.why
    Audit(path).close()
    assert rows(path)[-1]["why"].endswith('half a line was at its end, of when the machine died: {"time": "20')
    assert (looked(path).broken, looked(path).lines) == (None, 4)


def test_a_gap_is_in_the_chain(path: Path) -> None:
    """Of a full disk; its lines are counted, and `verify` says how many."""
    audit = Audit(path)
    audit.note(stop(1))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 50, hard))
    try:
        for number in range(5):
            audit.note(stop(number))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    audit.note(stop(2))
    audit.close()
    found = looked(path)
    assert (found.broken, found.lines, found.gaps) == (None, 3, 5)


def test_a_mark_that_can_not_be_written_holds_nothing_up(path: Path) -> None:
    """The line is what counts."""
    mark_path(path).mkdir()
    audit = Audit(path)
    audit.note(stop(1))
    assert audit.trouble == "" and len(rows(path)) == 1
    audit.close()


def test_a_line_costs_one_write_to_the_disk_and_one_hash(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As before there was a chain."""
    audit = Audit(path)
    audit.note(stop(1))
    counted: list[str] = []
    sync, sha256 = os.fdatasync, hashlib.sha256

    def synced(file: int) -> None:
        counted.append("sync")
        sync(file)

    def hashed(data: bytes) -> Any:
        counted.append("hash")
        return sha256(data)

    monkeypatch.setattr(os, "fdatasync", synced)
    monkeypatch.setattr(hashlib, "sha256", hashed)
    audit.note(stop(2))
    assert sorted(counted) == ["hash", "sync"]
    audit.close()


#: A daemon that ends like `kill -9` at its N-th call of the kernel's that changes a file, before or in the midst of it.
#: In a process for each; what was answered is in a file beside the audit.
KILLED = """
import os, signal, sys
from pathlib import Path
from daqsched.serve.audit import Audit, Entry
def dies(name):
    call = getattr(os, name)
    def called(*words):
        left[0] -= 1
        if left[0] == 0:
            if name == "write":
                call(words[0], words[1][: len(words[1]) // 2])
            os.kill(os.getpid(), signal.SIGKILL)
        return call(*words)
    setattr(os, name, called)
for at in map(int, sys.argv[2:]):
    pid = os.fork()
    if pid:
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
        continue
    folder, left = Path(sys.argv[1], str(at)), [at]
    os.dup2(os.open(folder / "answered", os.O_WRONLY | os.O_CREAT), 1)
    for name in ("write", "pwrite", "replace", "fdatasync", "ftruncate", "open"):
        dies(name)
    audit = Audit(folder / "audit.ndjson", most_bytes=1500)
    for number in range(12):
        audit.note(Entry("alice", 1000, 100, number, "socket", "", "stop", "done"))
        print(number, flush=True)
    os._exit(0)
"""


@pytest.mark.parametrize("begin", range(1, 65, 8))
def test_killed_at_each_write_it_is_whole_after_the_next_start(tmp_path: Path, begin: int) -> None:
    """Each line that was answered is there; what was half is taken off and said."""
    places = {at: tmp_path / str(at) / "audit.ndjson" for at in range(begin, begin + 8)}
    for path in places.values():
        path.parent.mkdir()
    run = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path), *map(str, places)], capture_output=True, text=True, check=True
    )
    statuses = run.stdout.split()
    assert len(statuses) == len(places), run.stderr
    for status, (at, path) in zip(statuses, places.items()):
        answered = len((path.parent / "answered").read_text().split())
        assert status == "-9" or answered == 12, run.stderr
        written(path, 2, 100)
        found = looked(path)
        assert found.broken is None, (at, found.broken)
        pids = [row["pid"] for row in rows(path) if "pid" in row]
        assert pids[:answered] == list(range(answered)) and pids[-2:] == [100, 101] and len(pids) <= answered + 3


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of a daemon that does not run."""
    monkeypatch.setenv("DAQSCHED_STATE", str(tmp_path))
    yield tmp_path


def test_verify_says_it_at_a_terminal(state: Path) -> None:
    """Without a daemon; status 1 where something is wrong, 2 where there is no file."""
    run, path = CliRunner(), state / "audit.ndjson"
    asked = run.invoke(main, ["audit", "verify"])
    assert asked.exit_code == 2 and "there is no" in asked.output
    written(path, 12)
    asked = run.invoke(main, ["audit", "verify"])
    assert asked.exit_code == 0 and asked.output.startswith("12 lines are whole: 1 to 12, from 20")
    hash = rows(path)[4]["hash"]
    assert run.invoke(main, ["audit", "verify", "--hash", hash]).exit_code == 0
    assert run.invoke(main, ["audit", "verify", "--hash", "0" * 64]).exit_code == 1
    asked = run.invoke(main, ["audit", "verify", "--json"])
    assert json.loads(asked.output)["broken"] is None and json.loads(asked.output)["hash"] == rows(path)[-1]["hash"]
    files = [str(one) for one in those_of(path)]
    assert run.invoke(main, ["audit", "verify", *files]).exit_code == 0
    path.write_bytes(path.read_bytes().replace(b"alice", b"\x1b[2J", 1))
    asked = run.invoke(main, ["audit", "verify"])
    assert asked.exit_code == 1 and f"{path}:1: changed: " in asked.output and "\x1b" not in asked.output
