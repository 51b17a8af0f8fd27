"""What was in which state when: the chronicle as the daemon writes it, and what it answers."""

from __future__ import annotations

from pathlib import Path

from builders import World, job
from daqsched.engine import events
from daqsched.serve.chronicle import Chronicle


def states(chronicle: Chronicle, time: float) -> tuple[dict[str, str], str]:
    rows, doubt = chronicle.at(time)
    return {f"{row.job}@{row.host}": row.state for row in rows}, doubt


def follow(world: World, chronicle: Chronicle) -> None:
    """As the daemon does after each round."""
    chronicle.note(world.engine, world.changes, world.now)
    world.changes.clear()


def test_it_tells_how_it_was(tmp_path: Path) -> None:
    """At any time between two changes; what came later, and what is gone, is not in it."""
    world = World(["hlt01", "hlt02"])
    chronicle = Chronicle(tmp_path / "c.sqlite", world.engine, world.now)
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


def test_it_says_where_it_does_not_know(tmp_path: Path) -> None:
    """Before its first word, and while no daemon ran; what changed meanwhile is caught up with."""
    world = World()
    world.start(job())
    chronicle = Chronicle(tmp_path / "c.sqlite", world.engine, 1000.0)
    assert states(chronicle, 500.0) == (
        {},
        "nothing is known of a time before this daemon's first day, or longer ago than it keeps",
    )
    chronicle.close(1100.0)
    world.report(world.task_of("readout"), "TASK_UNREACHABLE")
    world.now = 5000.0
    again = Chronicle(tmp_path / "c.sqlite", world.engine, 5000.0)
    known, doubt = states(again, 3000.0)
    assert known == {"readout@hlt01": "RUNNING"} and doubt.startswith("this daemon did not run then")
    assert states(again, 5001.0) == ({"readout@hlt01": "UNREACHABLE"}, "")
    again.close(5001.0)


def test_a_file_that_can_not_be_written_holds_nothing_up(tmp_path: Path) -> None:
    """The farm is more than its history."""
    world = World()
    world.start(job())
    chronicle = Chronicle(tmp_path / "nowhere" / "c.sqlite", world.engine, 1000.0)
    follow(world, chronicle)
    assert chronicle.at(1000.0) == ([], "there is no chronicle: see the daemon's log")
    chronicle.close(1000.0)


def test_what_is_old_is_forgotten_but_for_the_last_word(tmp_path: Path) -> None:
    """After five weeks, looked at once an hour."""
    world = World()
    world.start(job())
    chronicle = Chronicle(tmp_path / "c.sqlite", world.engine, 1000.0)
    world.now = 2000.0
    world.changes.clear()
    world.report(world.task_of("readout"), "TASK_UNREACHABLE")
    follow(world, chronicle)
    chronicle.note(world.engine, [], 2000.0 + 40 * 86400.0)
    assert states(chronicle, 1500.0)[0] == {} and states(chronicle, 9e9)[0] == {"readout@hlt01": "UNREACHABLE"}
    chronicle.close(1e9)
