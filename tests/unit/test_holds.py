"""What was stopped by hand: whose it is, and for how long it stays."""

from __future__ import annotations

import pytest

from builders import World, job, rows, turn
from daqsched.engine import commands, events
from daqsched.engine.farm import MOST_HOLDS
from daqsched.engine.verdict import Accepted
from daqsched.errors import Refused
from daqsched.task import Hold
from daqsched_executor.contract import Report

HERE, THERE = ("readout", "hlt01"), ("readout", "hlt02")


def farm() -> World:
    """Alice has stopped one of two."""
    world = World()
    world.machines = {"hlt01": {}, "hlt02": {}}
    world.start(job(hosts="hlt[01-02]"))
    world.say(events.Held((HERE,), "alice", "cabling"))
    turn(world)
    return world


def test_a_second_person_s_stop_leaves_the_first_one_s() -> None:
    """Whose it is is told; the other instance is stopped."""
    world = farm()
    world.say(events.Held((HERE, THERE), "bob", "beam"))
    verdict = world.verdict
    assert isinstance(verdict, Accepted)
    assert (verdict.keys, verdict.rejected) == ((THERE,), ((*HERE, "was stopped by alice: cabling"),))
    assert world.engine.instances[HERE].record.hold == Hold("alice", world.now, "cabling") or (
        world.engine.instances[HERE].record.hold is not None
        and world.engine.instances[HERE].record.hold.user == "alice"
    )
    world.say(events.Held((HERE,), "alice", "still"))
    hold = world.engine.instances[HERE].record.hold
    assert hold is not None and hold.message == "still"


def test_a_second_person_s_start_lifts_no_hold_of_the_first_one_unless_that_is_said() -> None:
    """Of several, those that nobody else has stopped are started; where there is none, it is refused."""
    world = farm()
    world.say(events.Held((THERE,), "bob"))
    world.say(events.Released((HERE, THERE), "bob"))
    verdict = world.verdict
    assert isinstance(verdict, Accepted) and verdict.others == 1
    assert (verdict.keys, verdict.rejected) == ((THERE,), ((*HERE, "was stopped by alice: cabling"),))
    world.say(events.Released((HERE,), "bob"))
    assert isinstance(world.verdict, Refused) and "readout@hlt01 was stopped by alice: cabling" in str(world.verdict)
    world.say(events.Released((HERE,), "bob", everyones=True))
    assert isinstance(world.verdict, Accepted) and world.engine.instances[HERE].record.hold is None


@pytest.mark.parametrize("restart", [False, True])
def test_what_was_stopped_stays_so_over_an_apply_that_does_not_name_it(restart: bool) -> None:
    """And one that names it again; who stopped it may start it then."""
    world = farm()
    world.apply(job("other", "hlt01"))
    turn(world)
    assert HERE not in world.engine.instances
    if restart:
        world.die()
    world.apply(job(hosts="hlt[01-02]"))
    turn(world)
    assert [task.partition(".")[0] for task in world.tasks] == ["readout@hlt02"]
    if restart:
        world.die()
    world.say(events.Released((HERE,), "alice"))
    turn(world)
    assert sorted(task.partition(".")[0] for task in world.tasks) == ["readout@hlt01", "readout@hlt02"]
    assert not world.engine.holds and "holds" not in world.disk.documents


def test_so_many_holds_outside_of_the_farm_are_remembered() -> None:
    """The oldest go."""
    world = farm()
    world.engine.holds = {("gone", f"h{at}"): Hold("eve", 1.0) for at in range(MOST_HOLDS)}
    world.apply(job("other", "hlt01"))
    turn(world)
    assert len(world.engine.holds) == MOST_HOLDS and HERE in world.engine.holds


def test_who_stops_a_job_is_told_what_depends_on_it() -> None:
    """Directly or not, unless it is stopped, too."""
    world = World()
    world.machines = {"hlt01": {}}
    world.register()
    world.apply(job("a", "hlt01"), job("b", "hlt01", after=("a",)), job("c", "hlt01", after=("b",)), job("d", "hlt01"))
    for _ in range(4):
        turn(world)
    world.say(events.Held((("a", "hlt01"),), "bob"))
    assert isinstance(world.verdict, Accepted) and world.verdict.dependents == ("b", "c")
    world.say(events.Held((("a", "hlt01"), ("b", "hlt01")), "bob"))
    assert isinstance(world.verdict, Accepted) and world.verdict.dependents == ("c",)


def held(world: World, host: str = "hlt01") -> Hold | None:
    return world.engine.instances["readout", host].record.hold


def orders(world: World) -> list[tuple[str, str]]:
    """What executors were told of holds, by task."""
    sent = [one for one in world.done if isinstance(one, commands.Send)]
    return [(one.task_id.partition(".")[0], one.order.kind) for one in sent if one.order.kind in ("hold", "release")]


def running() -> World:
    world = World()
    world.machines = {"hlt01": {}, "hlt02": {}}
    world.start(job(hosts="hlt[01-02]"))
    return world


def says(world: World, state: str = "TASK_RUNNING", **fields: object) -> None:
    report = Report("running" if state == "TASK_RUNNING" else "exited", **fields)  # type: ignore[arg-type]
    world.report(world.task_of("readout", "hlt01"), state, by_executor=True, data=report.to_json())


def test_what_is_held_runs_on_and_is_left_dead() -> None:
    """Its executor is told until it confirms that; when it has ended it is stopped, with how it ended, until somebody starts it."""
    world = running()
    world.say(events.Held((HERE,), "alice", "looking", spares=True))
    assert orders(world) == [("readout@hlt01", "hold")] and not world.engine.instances[HERE].ending
    for _ in range(3):
        world.wait(6.0)
    assert orders(world) == [("readout@hlt01", "hold")] * 4
    says(world, held=True)
    world.wait(60.0)
    assert len(orders(world)) == 4
    (row,) = rows(world.engine, lambda name, host: (name, host) == HERE, world.now)
    assert (row.state, row.reason.partition(";")[0]) == ("RUNNING", "held by alice, so it is not started again")
    world.die()
    says(world, "TASK_FAILED")
    turn(world)
    (row,) = rows(world.engine, lambda name, host: (name, host) == HERE, world.now)
    assert (row.state, row.reason.partition(";")[0]) == ("STOPPED", "held by alice: looking") and not row.wanted
    assert [task.partition(".")[0] for task in world.tasks] == ["readout@hlt02"]
    world.say(events.Released((HERE,), "alice"))
    turn(world)
    assert sorted(task.partition(".")[0] for task in world.tasks) == ["readout@hlt01", "readout@hlt02"]


def test_a_hold_that_is_lifted_before_the_end_leaves_no_trace() -> None:
    """The executor is told that, too, until it confirms it."""
    world = running()
    world.say(events.Held((HERE,), "alice", spares=True))
    says(world, held=True)
    world.say(events.Released((HERE,), "bob"))
    assert isinstance(world.verdict, Refused) and "is held by alice" in str(world.verdict)
    world.say(events.Released((HERE,), "alice"))
    assert orders(world)[-1] == ("readout@hlt01", "release")
    world.wait(6.0)
    assert orders(world)[-2:] == [("readout@hlt01", "release")] * 2
    says(world)
    count = len(orders(world))
    world.wait(60.0)
    assert len(orders(world)) == count and held(world) is None
    says(world, "TASK_FAILED")
    turn(world)
    assert sorted(task.partition(".")[0] for task in world.tasks) == ["readout@hlt01", "readout@hlt02"]


def test_a_rolling_restart_leaves_what_is_held_alone() -> None:
    """And is refused where there is nothing else."""
    world = running()
    world.say(events.Held((HERE,), "alice", spares=True))
    world.say(events.RestartAsked((HERE,), "bob"))
    assert isinstance(world.verdict, Refused) and "what is held is left alone" in str(world.verdict)
    world.say(events.RestartAsked((HERE, THERE), "bob"))
    assert isinstance(world.verdict, Accepted) and world.verdict.keys == (THERE,)


def test_a_job_may_wait_for_its_first_start_by_hand() -> None:
    """Anybody's; on each host for itself; not again, whatever it dies of, also not with a daemon that is another one."""
    world = World()
    world.machines = {"hlt01": {}, "hlt02": {}}
    world.register()
    world.apply(job(hosts="hlt[01-02]", start="manual"))
    turn(world)
    found = held(world)
    assert not world.tasks and found is not None and (found.user, found.spares) == ("", False)
    world.die()
    turn(world)
    (row,) = rows(world.engine, lambda name, host: (name, host) == HERE, world.now)
    assert (row.state, row.reason) == ("STOPPED", "waits for its first start by hand: `daqsched start readout@hlt01`")
    world.say(events.Released((HERE,), "bob"))
    turn(world)
    says(world, "TASK_FAILED")
    turn(world)
    world.die()
    world.apply(job(hosts="hlt[01-02]", start="manual", release="r2"))
    turn(world)
    assert [task.partition(".")[0] for task in world.tasks] == ["readout@hlt01"]
