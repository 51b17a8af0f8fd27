"""What was stopped by hand: whose it is, and for how long it stays."""

from __future__ import annotations

import pytest

from builders import World, job, turn
from daqsched.engine import events
from daqsched.engine.farm import MOST_HOLDS
from daqsched.engine.verdict import Accepted
from daqsched.errors import Refused
from daqsched.task import Hold

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
