"""The audit file: what is in it whatever is written, how large it gets, and what happens when it can't be written."""

from __future__ import annotations

import json
import os
import resource
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from daqsched.serve.audit import MOST_KINDS, MOST_REFUSALS, MOST_UNKNOWN, REFUSED, WINDOW_S, Audit, Entry
from daqsched.serve.audit_chain import START, mark_path
from foreign import HOSTILE, look

STOP = Entry(
    "alice", 1000, 100, 4711, "socket", "", "stop", "done", {"select": ["readout@hlt01"], "message": "cabling"}
)
REFUSAL = replace(STOP, result="refused", why="no job matches")


class Clock:
    """Seconds since the epoch, as a test says."""

    now = 1_795_393_425.5

    def __call__(self) -> float:
        return self.now


def rows(path: Path) -> list[dict[str, Any]]:
    """Each line of it as what it says; all lines are whole."""
    data = path.read_bytes()
    assert data.endswith(b"\n") and data.isascii()
    return [json.loads(line) for line in data.decode().splitlines()]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where it is."""
    return tmp_path / "audit.ndjson"


def test_a_line_says_who_did_what_when(path: Path) -> None:
    """And nobody else may read it."""
    audit = Audit(path, Clock())
    audit.note(STOP)
    assert rows(path) == [
        {
            "time": "2026-11-23T00:23:45.500000Z",
            "user": "alice",
            "uid": 1000,
            "gid": 100,
            "pid": 4711,
            "door": "socket",
            "operation": "stop",
            "result": "done",
            "select": ["readout@hlt01"],
            "message": "cabling",
            "before": START,
            "seq": 1,
            "hash": rows(path)[0]["hash"],
        }
    ]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    audit.close()


def test_nothing_that_is_said_forges_a_line(path: Path) -> None:
    """Hostile text in every field, and more of it than a line holds."""
    audit = Audit(path)
    about = dict.fromkeys(("message", "digest", "job", "host"), HOSTILE)
    words = (HOSTILE, 1, 1, 1, HOSTILE, HOSTILE, HOSTILE)
    audit.note(Entry(*words, "refused", {**about, "select": [HOSTILE] * 10_000}, HOSTILE * 10_000))
    audit.note(replace(STOP, about={"message": "\ud800\n" + '{"user": "root"}\n'}))
    first, second = rows(path)
    assert (first["user"], second["user"]) == (HOSTILE, "alice") and look(path.read_bytes(), terminal=False) == []
    assert len(first["select"]) == 21 and first["select"][-1] == "... and 9980 more" and len(first["why"]) == 500
    assert max(map(len, path.read_bytes().splitlines())) < 65536
    audit.close()


def test_a_flood_of_refusals_is_a_number_and_hides_nobody_elses(path: Path) -> None:
    """Twenty of an account in ten seconds are written; of the others how many there were, and the last reason."""
    clock = Clock()
    audit = Audit(path, clock)
    for at in range(1000):
        audit.note(replace(REFUSAL, why=f"reason {at}"))
    audit.note(replace(REFUSAL, user="bob", uid=1001))
    audit.note(STOP)
    assert len(rows(path)) == MOST_REFUSALS + 2
    clock.now += WINDOW_S
    audit.note(replace(STOP, operation="start"))
    summary, last = rows(path)[-2:]
    assert (summary["user"], summary["count"], summary["why"], summary["since"]) == (
        "alice",
        980,
        "reason 999",
        "2026-11-23T00:23:45.500000Z",
    )
    assert last["operation"] == "start"
    for _ in range(MOST_REFUSALS + 5):
        audit.note(REFUSAL)
    audit.close()
    assert rows(path)[-1]["count"] == 5


def test_a_flood_of_many_kinds_is_bounded_too(path: Path) -> None:
    """Whatever there is to make each refusal another one."""
    clock = Clock()
    audit = Audit(path, clock)
    for at in range(1000):
        audit.note(replace(REFUSAL, via=f"127.0.0.1:{at}"))
    clock.now += WINDOW_S
    audit.note(STOP)
    assert len(rows(path)) == MOST_REFUSALS + MOST_KINDS + 2
    assert sum(row.get("count", 0) for row in rows(path)) == 1000 - MOST_REFUSALS
    audit.close()


def test_a_flood_from_the_network_folds_nobody_elses_refusals(path: Path) -> None:
    """Each account has its own twenty, and so has each network of those who have shown nothing; these have an end together."""
    clock = Clock()
    audit = Audit(path, clock)
    unknown = Entry("", -1, -1, -1, "web", "10.0.0.1", "status", REFUSED, why="who are you?")
    for at in range(1000):
        audit.note(replace(unknown, via=f"2001:db8:0:1::{at:x}"))
    assert len(rows(path)) == MOST_REFUSALS
    audit.note(replace(unknown, via="10.0.0.2, through ctl2"))
    audit.note(replace(unknown, user="alice", via="10.0.0.3 (token a)"))
    assert [row["via"] for row in rows(path)[-2:]] == ["10.0.0.2, through ctl2", "10.0.0.3 (token a)"]
    for at in range(1000):
        audit.note(replace(unknown, via=f"10.1.{at >> 8}.{at & 255}"))
    audit.note(replace(unknown, user="bob", via="10.0.0.4 (token b)"))
    found = rows(path)
    assert len([row for row in found if "user" not in row]) == MOST_UNKNOWN and found[-1]["user"] == "bob"
    clock.now += WINDOW_S
    audit.note(STOP)
    assert len(rows(path)) <= MOST_UNKNOWN + 2 + MOST_KINDS + 2
    assert sum(row.get("count", 1) for row in rows(path)) == 2004
    audit.close()


def test_it_is_put_aside_when_it_is_large(path: Path) -> None:
    """So many are kept, and no line is torn or lost between two."""
    audit = Audit(path, most_bytes=2000, kept=3)
    for at in range(100):
        audit.note(replace(STOP, pid=at))
    audit.close()
    names = sorted(one.name for one in path.parent.iterdir() if one != mark_path(path))
    assert names == ["audit.ndjson", "audit.ndjson.1", "audit.ndjson.2", "audit.ndjson.3"]
    files = [path.parent / name for name in names]
    found = [row["pid"] for file in reversed(files) for row in rows(file)]
    assert found == list(range(found[0], 100)) and len(found) > 20
    assert all(file.stat().st_size <= 2000 and stat.S_IMODE(file.stat().st_mode) == 0o600 for file in files)


def test_who_puts_it_aside_himself_gets_a_new_one(path: Path) -> None:
    """As logrotate does, or an `rm` too many."""
    audit = Audit(path)
    audit.note(STOP)
    path.rename(path.with_name("old"))
    audit.note(replace(STOP, operation="start"))
    path.unlink()
    audit.note(replace(STOP, operation="retry"))
    assert [row["operation"] for row in rows(path)] == ["retry"] and len(rows(path.with_name("old"))) == 1
    audit.close()


def test_half_a_line_of_a_machine_that_died_is_said(path: Path) -> None:
    """It was never answered; what is written after it is whole."""
    path.write_text('{"time": "20')
    audit = Audit(path)
    audit.note(STOP)
    half, stop = rows(path)
    assert half["why"].endswith('{"time": "20') and half["result"] == "failed" and stop["user"] == "alice"
    audit.close()


@pytest.mark.parametrize("way", ["folder", "link", "fifo", "hardlink"])
def test_what_is_no_file_of_ours_is_not_written(path: Path, way: str, caplog: pytest.LogCaptureFixture) -> None:
    """Then the line is in the log, the trouble has a sentence, and the gap stands in the file once it can be written."""
    target = path.with_name("target")
    target.write_text("")
    if way == "folder":
        path.mkdir()
    elif way == "link":
        path.symlink_to(target)
    elif way == "fifo":
        os.mkfifo(path)
    else:
        os.link(target, path)
    audit = Audit(path, Clock())
    assert "has not been writable since" in audit.trouble and "the audit file" in caplog.text
    audit.note(STOP)
    audit.note(REFUSAL)
    assert "since then (2) are in the daemon's log alone" in audit.trouble
    assert target.read_text() == "" and "readout@hlt01" in caplog.text
    path.rmdir() if way == "folder" else path.unlink()
    audit.note(replace(STOP, operation="start"))
    gap, start = rows(path)
    assert (gap["operation"], gap["result"], gap["count"], start["operation"]) == ("audit", "failed", 2, "start")
    assert audit.trouble == ""
    audit.close()


def test_a_full_disk_tears_no_line_and_is_told(path: Path) -> None:
    """What does not fit is taken back whole; the change itself was made."""
    audit = Audit(path)
    audit.note(STOP)
    whole = path.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(whole) + 50, hard))
    try:
        audit.note(STOP)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == whole and "since then (1)" in audit.trouble
    audit.note(STOP)
    assert [row["operation"] for row in rows(path)] == ["stop", "audit", "stop"] and audit.trouble == ""
    audit.close()
