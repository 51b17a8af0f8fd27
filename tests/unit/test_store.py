"""The SQLite file: what was saved is there for the next daemon, and for one daemon only."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from builders import job
from children import child
from daqsched.engine.commands import Revision
from daqsched.errors import DaqschedError
from daqsched.spec import Spec, encode
from daqsched.store.sqlite import SqliteStore
from daqsched.task import Hold, Record, Task
from daqsched_executor.contract import Exit, Report

RECORD = Record(
    task=Task(
        "a@h.1", "agent", "d", 1.5, "running", 2.5, 0.0, "fine", Report("running", 7, last_exit=Exit(1.0, 2.0, code=3))
    ),
    failures=2,
    due=9.0,
    last_end="exit code 1",
    hold=Hold("bob", 3.0, "why"),
)


def revision(number: int) -> Revision:
    return Revision(number, f"d{number}", "alice", 1.0, "", Spec(jobs=(job(),)))


def test_everything_comes_back(tmp_path: Path) -> None:
    """What one daemon saved the next one knows."""
    store = SqliteStore(tmp_path)
    assert store.framework_id() == "" and store.revision() is None and list(store.records()) == []
    store.save("fw", [revision(1), revision(2)], [(("a", "h"), RECORD), (("b", "h"), RECORD)])
    store.save(records=[(("b", "h"), None)])
    store.close()
    again = SqliteStore(tmp_path)
    assert again.framework_id() == "fw" and again.revision() == revision(2) and again.revision(1) == revision(1)
    assert list(again.records()) == [(("a", "h"), RECORD)]
    again.close()


#: The tables of format 1 (daqsched before documents).
TABLES_1 = """
CREATE TABLE setting (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE revision (
    number INTEGER PRIMARY KEY, digest TEXT NOT NULL, user TEXT NOT NULL, time REAL NOT NULL, message TEXT NOT NULL,
    spec BLOB NOT NULL);
CREATE TABLE instance (
    job TEXT NOT NULL, host TEXT NOT NULL, record BLOB NOT NULL, PRIMARY KEY (job, host)) WITHOUT ROWID;
PRAGMA user_version = 1;
"""


def test_a_file_of_the_format_before_is_taken_over(tmp_path: Path) -> None:
    """An upgrade finds all that was there, and saves into it."""
    db = sqlite3.connect(str(tmp_path / "state.sqlite"))
    db.executescript(TABLES_1)
    db.execute("INSERT INTO setting VALUES ('framework_id', 'fw')")
    row = (1, "d1", "alice", 1.0, "", encode(revision(1).spec))
    db.execute("INSERT INTO revision VALUES (?, ?, ?, ?, ?, ?)", row)
    db.execute("INSERT INTO instance VALUES ('a', 'h', ?)", (msgspec.msgpack.encode(RECORD),))
    db.commit()
    db.close()
    store = SqliteStore(tmp_path)
    assert store.framework_id() == "fw" and store.revision() == revision(1)
    assert list(store.records()) == [(("a", "h"), RECORD)]
    store.save(revisions=[revision(2)], documents={"rollout": b"1"})
    store.close()
    again = SqliteStore(tmp_path)
    assert again.revision(1) == revision(1) and again.revision() == revision(2) and again.document("rollout") == b"1"
    again.close()


def test_a_save_that_fails_leaves_nothing_of_itself(tmp_path: Path) -> None:
    """All of it or none."""
    store = SqliteStore(tmp_path)
    store.save(revisions=[revision(1)])
    with pytest.raises(sqlite3.IntegrityError):
        store.save("fw", [revision(2), revision(1)])
    assert store.framework_id() == "" and store.revision() == revision(1)
    store.close()


def test_two_daemons_can_not_share_a_state(tmp_path: Path) -> None:
    """The second is told why it can't."""
    store = SqliteStore(tmp_path)
    store.save("fw")
    with pytest.raises(DaqschedError, match="is another `daqsched serve` running"):
        SqliteStore(tmp_path)
    store.close()


def test_a_newer_or_damaged_file_is_refused_in_a_sentence(tmp_path: Path) -> None:
    """Nothing is guessed at, nothing is overwritten."""
    store = SqliteStore(tmp_path)
    store.close()
    with sqlite3.connect(str(tmp_path / "state.sqlite")) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(DaqschedError, match="newer daqsched"):
        SqliteStore(tmp_path)
    (tmp_path / "state.sqlite").write_bytes(b"no database" * 1000)
    with pytest.raises(DaqschedError, match="damaged"):
        SqliteStore(tmp_path)


#: Saves for ever, and says the number of each save that came back.
SAVES = """
import sys
from itertools import count
from pathlib import Path
from daqsched.store.sqlite import SqliteStore
from daqsched.task import Record
store = SqliteStore(Path(sys.argv[1]))
for number in count(1):
    store.save(records=[(("a", "h"), Record(failures=number)), (("b", "h"), Record(failures=number))])
    print(number, flush=True)
"""


def test_what_was_saved_survives_a_kill(tmp_path: Path) -> None:
    """kill -9 in the middle of saving: the last completed save is there, whole."""
    with child([sys.executable, "-c", SAVES, str(tmp_path)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        said = [process.stdout.readline() for _ in range(50)]
        process.kill()
        said += process.stdout.readlines()
    assert process.returncode == -signal.SIGKILL
    # the last line may have been cut off
    last = max(int(line) for line in said if line.endswith(b"\n"))
    store = SqliteStore(tmp_path)
    failures = [record.failures for _, record in store.records()]
    assert len(set(failures)) == 1 and failures[0] in (last, last + 1)
    store.close()
