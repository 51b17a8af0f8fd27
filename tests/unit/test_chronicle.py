"""What was in which state when: the chronicle as the daemon writes it, and what it answers."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

import pytest

from builders import World, job
from daqsched.engine import events
from daqsched.engine.changes import GONE
from daqsched.serve.chronicle import Chronicle, remembers
from daqsched.views.status import row_of


def states(chronicle: Chronicle, time: float) -> tuple[dict[str, str], str]:
    rows, doubt = chronicle.at(time)
    return {f"{row.job}@{row.host}": row.state for row in rows}, doubt


KEY = ("readout", "hlt01")

#: The tables of before a line had its place among those of one time.
FORMER = """
CREATE TABLE change (
    job TEXT NOT NULL, host TEXT NOT NULL, time REAL NOT NULL, state TEXT NOT NULL, reason TEXT NOT NULL,
    release TEXT NOT NULL, pid INTEGER NOT NULL, PRIMARY KEY (job, host, time)) WITHOUT ROWID;
CREATE INDEX by_time ON change (time);
CREATE TABLE term (began REAL PRIMARY KEY, ended REAL NOT NULL);
CREATE TABLE place (name TEXT PRIMARY KEY);
"""


def report(world: World, state: str) -> None:
    world.report(world.task_of("readout"), state)


def lines(path: Path, host: str = "hlt01") -> list[tuple[float, str]]:
    """What is written of an instance, in its order."""
    with contextlib.closing(sqlite3.connect(str(path))) as db:
        order = "SELECT time, state FROM change WHERE host = ? ORDER BY time, nth"
        return db.execute(order, (host,)).fetchall()


def follow(world: World, chronicle: Chronicle) -> None:
    """As the daemon does after each round."""
    chronicle.note(world.engine, world.changes, world.now)
    world.changes.clear()


def begin(world: World, path: Path, place: str = "") -> Chronicle:
    """A new daemon on the world's disk, with this chronicle, after its first step."""
    world.restart()
    chronicle = Chronicle(path, world.now, place)
    last = chronicle.states()
    assert last is not None
    world.known = {key: state for key, state in last.items() if state != GONE}
    world.engine.transitions.recall(last)
    assert world.engine.next_tick(world.now) <= world.now, "a daemon looks at once what has changed"
    world.changes.clear()
    world.say(events.Ticked())
    follow(world, chronicle)
    return chronicle


def test_it_tells_how_it_was(tmp_path: Path) -> None:
    """At any time between two changes; what came later, and what is gone, is not in it."""
    world = World(["hlt01", "hlt02"])
    chronicle = Chronicle(tmp_path / "c.sqlite", world.now)
    world.register()
    world.apply(job(hosts="hlt[01-02]"))
    follow(world, chronicle)
    world.offers()
    for task in list(world.tasks):
        world.report(task)
    follow(world, chronicle)
    world.now = 2000.0
    world.say(events.Held((("readout", "hlt02"),), "eve", "cabling"))
    world.report(world.task_of("readout", "hlt02"), "TASK_KILLED")
    follow(world, chronicle)
    assert states(chronicle, 1500.0) == ({"readout@hlt01": "RUNNING", "readout@hlt02": "RUNNING"}, "")
    rows, _ = chronicle.at(2500.0)
    assert {(row.host, row.state, row.reason, row.since) for row in rows} == {
        ("hlt01", "RUNNING", "", 1000.2),
        ("hlt02", "STOPPED", "by eve: cabling", 2000.0),
    }
    world.now = 3000.0
    world.apply()
    world.report(world.task_of("readout", "hlt01"), "TASK_KILLED")
    follow(world, chronicle)
    assert states(chronicle, 3500.0)[0] == {}
    chronicle.close(world.now)


def test_changes_of_one_instance_at_one_time_are_all_there_in_their_order(tmp_path: Path) -> None:
    """One round may lead to some, and so may two that have the same time; the last one is how it was then."""
    world = World()
    world.start(job())
    chronicle = begin(world, tmp_path / "c.sqlite")
    world.now = 2000.0
    report(world, "TASK_UNREACHABLE")
    report(world, "TASK_RUNNING")
    follow(world, chronicle)
    report(world, "TASK_UNREACHABLE")
    world.say(events.Held((KEY,), "eve", "cabling"))
    report(world, "TASK_KILLED")
    follow(world, chronicle)
    written = ["UNREACHABLE", "RUNNING", "UNREACHABLE", "STOPPED"]
    assert lines(tmp_path / "c.sqlite")[-4:] == [(2000.0, state) for state in written]
    assert states(chronicle, 2000.0) == states(chronicle, 2500.0) == ({"readout@hlt01": "STOPPED"}, "")
    assert states(chronicle, 1999.0) == ({"readout@hlt01": "RUNNING"}, "")
    chronicle.close(world.now)


def test_a_file_from_before_is_read_on_and_written_on(tmp_path: Path) -> None:
    """Its lines had no place among those of one time."""
    path = tmp_path / "c.sqlite"
    with contextlib.closing(sqlite3.connect(str(path), isolation_level=None)) as db:
        db.executescript(FORMER)
        rows = [("readout", f"hlt{at:02d}", 900.0 + at, "RUNNING", "", "r1", 7) for at in range(1, 4)]
        rows.append(("readout", "hlt01", 950.0, "UNREACHABLE", "hlt01 stopped answering the master", "r1", 0))
        db.executemany("INSERT INTO change VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
        db.execute("INSERT INTO term VALUES (900, 990)")
    world = World(["hlt01", "hlt02"])
    world.start(job(hosts="hlt[01-02]"))
    for began in (2000.0, 3000.0):  # the second time it is of the new form
        world.now = began
        chronicle = begin(world, path, "zk://h:1/a")
        assert states(chronicle, 920.0) == ({f"readout@hlt0{at}": "RUNNING" for at in (1, 2, 3)}, "")
        assert states(chronicle, 960.0)[0]["readout@hlt01"] == "UNREACHABLE"
        assert states(chronicle, began)[0] == {"readout@hlt01": "RUNNING", "readout@hlt02": "RUNNING"}
        chronicle.close(began)
    assert remembers(path, "zk://h:1/a") and not remembers(path, "zk://h:1/b")


def test_it_says_where_it_does_not_know(tmp_path: Path) -> None:
    """Before its first word, and while no daemon ran; what changed meanwhile is told by the next one."""
    world = World()
    world.start(job())
    chronicle = begin(world, tmp_path / "c.sqlite")
    assert states(chronicle, 500.0) == (
        {},
        "nothing is known of a time before this daemon's first day, or longer ago than it keeps",
    )
    chronicle.close(1100.0)
    world.report(world.task_of("readout"), "TASK_UNREACHABLE")
    world.now = 5000.0
    again = begin(world, tmp_path / "c.sqlite")
    known, doubt = states(again, 3000.0)
    assert known == {"readout@hlt01": "RUNNING"} and doubt.startswith("this daemon did not run then")
    assert states(again, 5001.0) == ({"readout@hlt01": "UNREACHABLE"}, "")
    again.close(5001.0)


def test_each_line_is_a_change_that_was_told(tmp_path: Path) -> None:
    """Also over restarts: what a new daemon finds as it was is not written again."""
    world = World(["hlt01", "hlt02"])
    world.start(job(hosts="hlt[01-02]"))
    for now in (2000.0, 3000.0, 4000.0):
        world.now = now
        chronicle = begin(world, tmp_path / "c.sqlite")
        if now == 3000.0:
            world.register()
            report(world, "TASK_UNREACHABLE")
            follow(world, chronicle)
        chronicle.close(world.now)
    assert lines(tmp_path / "c.sqlite") == [(2000.0, "RUNNING"), (3000.0, "UNREACHABLE")]
    assert lines(tmp_path / "c.sqlite", "hlt02") == [(2000.0, "RUNNING")]


def test_what_could_not_be_written_is_written_with_its_own_time_later(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Of each instance the last, tried again after a while; the daemon goes on meanwhile."""
    caplog.set_level("INFO")
    world = World(["hlt01", "hlt02"])
    world.start(job(hosts="hlt[01-02]"))
    path = tmp_path / "c.sqlite"
    chronicle = begin(world, path)
    with contextlib.closing(sqlite3.connect(str(path), isolation_level=None)) as db:
        db.execute("BEGIN IMMEDIATE")
        for now, state in ((2000.0, "TASK_UNREACHABLE"), (2001.0, "TASK_RUNNING")):
            world.now = now
            report(world, state)
            follow(world, chronicle)
        db.execute("COMMIT")
    world.now = 2002.0
    report(world, "TASK_UNREACHABLE")
    follow(world, chronicle)
    assert lines(path)[1:] == [], "it is not tried at once"
    world.now = 2030.0
    world.report(world.task_of("readout", "hlt02"), "TASK_UNREACHABLE")
    follow(world, chronicle)
    assert lines(path)[1:] == [(2002.0, "UNREACHABLE")] and lines(path, "hlt02")[1:] == [(2030.0, "UNREACHABLE")]
    assert [one.message.split(",")[0].split(":")[0] for one in caplog.records] == [
        "the chronicle can't be written",
        "the chronicle is written again",
    ]
    world.now = 2031.0
    report(world, "TASK_RUNNING")
    follow(world, chronicle)
    assert lines(path)[2:] == [(2031.0, "RUNNING")]
    chronicle.close(world.now)


def test_a_file_that_can_not_be_written_holds_nothing_up(tmp_path: Path) -> None:
    """The farm is more than its history."""
    world = World()
    world.start(job())
    chronicle = Chronicle(tmp_path / "nowhere" / "c.sqlite", 1000.0)
    assert chronicle.states() is None
    follow(world, chronicle)
    assert chronicle.at(1000.0) == ([], "there is no chronicle: see the daemon's log")
    chronicle.close(1000.0)


def test_what_is_kept_names_times_by_the_clock(tmp_path: Path) -> None:
    """Who reads it does so at another time: "0.00 s ago" and "in 8.0 s" would be wrong; whoever looks now is told from now on."""
    world = World(["hlt01", "hlt02"])
    world.start(job(hosts="hlt[01-02]"))
    chronicle = begin(world, tmp_path / "c.sqlite")
    world.now = 2000.0
    report(world, "TASK_UNREACHABLE")
    world.say(events.PutAside(("hlt02",), "bob", 5600.0, "firmware", stops=9))
    world.report(world.task_of("readout", "hlt02"), "TASK_KILLED")
    follow(world, chronicle)
    world.now = 2060.0
    assert row_of(world.engine, world.engine.instances[KEY], world.now).reason == (
        "hlt01 stopped answering the master, which said so 1 min ago; waiting for it"
    )
    said = {
        "UNREACHABLE": "hlt01 stopped answering the master, which said so at 1970-01-01 00:33:20 UTC; waiting for it",
        "ASIDE": "hlt02 is set aside by bob until 1970-01-01 01:33:20 UTC: firmware",
    }
    assert {row.state: row.reason for row in chronicle.at(2060.0)[0]} == said
    keys = world.engine.stories.keys()
    told = {one.after: one.reason for key in keys for one in world.engine.stories.of(key)}
    assert said.items() <= told.items()
    chronicle.close(world.now)


def test_what_is_old_is_forgotten_but_for_the_last_word(tmp_path: Path) -> None:
    """After five weeks, looked at once an hour."""
    world = World()
    world.start(job())
    chronicle = begin(world, tmp_path / "c.sqlite")
    world.now = 2000.0
    world.report(world.task_of("readout"), "TASK_UNREACHABLE")
    follow(world, chronicle)
    chronicle.note(world.engine, [], 2000.0 + 40 * 86400.0)
    assert states(chronicle, 1500.0)[0] == {} and states(chronicle, 9e9)[0] == {"readout@hlt01": "UNREACHABLE"}
    chronicle.close(1e9)
