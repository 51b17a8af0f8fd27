"""What was stopped by hand: whose it is, and for how long it stays."""

from __future__ import annotations

from typing import Any

import pytest

from builders import World, job, rows, turn
from daqsched.confirm import ALL
from daqsched.engine import commands, events
from daqsched.engine.farm import MOST_HOLDS
from daqsched.engine.verdict import Accepted
from daqsched.errors import Refused
from daqsched.rollout import Strategy
from daqsched.spec import JobSpec
from daqsched.task import Hold
from daqsched.views.rows import as_desired
from daqsched.views.why import explanations
from daqsched_executor.contract import OperatorCommand, Report

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
    hold = world.engine.instances[HERE].record.hold
    assert hold is not None and (hold.user, hold.message) == ("alice", "cabling")
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
    for keys, dependents in (((("a", "hlt01"),), ("b", "c")), ((("a", "hlt01"), ("b", "hlt01")), ("c",))):
        world.say(events.Held(keys, "bob"))
        assert isinstance(world.verdict, Accepted) and world.verdict.dependents == dependents


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


def says(world: World, state: str = "TASK_RUNNING", **fields: Any) -> None:
    report = Report("running" if state == "TASK_RUNNING" else "exited", **fields)
    world.report(world.task_of("readout", "hlt01"), state, by_executor=True, data=report.to_json())


def test_what_is_held_runs_on_and_is_not_started_again() -> None:
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
    assert row.held and as_desired(row), "nobody who applies something has to wait for it"
    assert [one.host for one, _ in explanations(world.engine, [HERE], world.now)] == ["hlt01"], "and why tells of it"
    world.die()
    says(world, "TASK_FAILED")
    turn(world)
    (row,) = rows(world.engine, lambda name, host: (name, host) == HERE, world.now)
    assert (row.state, row.reason.partition(";")[0]) == ("STOPPED", "held by alice: looking") and not row.desired
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


def test_what_somebody_has_stopped_that_has_no_machine_yet_stays_theirs() -> None:
    """As what has one; it is told beside what is done, and refused alone, and whoever says that it is for all ends it."""
    world = running()
    world.apply(job(hosts="hlt[01-02]"), job("probe", "", attributes={"rack": "r1"}))
    nowhere = ("probe", "")
    world.say(events.Held((nowhere,), "alice", "cabling"))
    theirs = ((*nowhere, "was stopped by alice: cabling"),)
    for event in (events.Held((nowhere, HERE), "bob"), events.Released((nowhere, HERE), "bob")):
        world.say(event)
        assert isinstance(world.verdict, Accepted) and (world.verdict.keys, world.verdict.rejected) == ((HERE,), theirs)
    for event in (events.Held((nowhere,), "bob"), events.Released((nowhere,), "bob")):
        world.say(event)
        assert isinstance(
            world.verdict, Refused
        ) and "probe was stopped by alice: cabling: `daqsched start --all probe`" in str(world.verdict)
    assert world.engine.holds[nowhere].user == "alice"
    world.say(events.OperatorCommanded((nowhere, HERE), OperatorCommand("1", "retry", "bob")))
    assert isinstance(world.verdict, Accepted) and (*nowhere, "has found no machine yet") in world.verdict.rejected
    world.say(events.Released((nowhere,), "bob", everyones=True))
    assert isinstance(world.verdict, Accepted) and nowhere not in world.engine.holds


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


def manual(*hosts: str, **fields: Any) -> JobSpec:
    return job(hosts=f"hlt[{','.join(hosts)}]", start="manual", **fields)


def back_to(world: World, number: int) -> None:
    """`daqsched rollback NUMBER`."""
    spec = world.disk.revisions[number].spec
    world.say(events.JobsApplied(spec, "alice", "", None, allow_empty=True, stops=ALL, everyones=True, back=True))
    assert isinstance(world.verdict, Accepted), world.verdict


@pytest.mark.parametrize(
    "away",
    [
        [manual("01", "02", release="r2")],
        [],
        [job("other", "hlt01")],
        [manual("03")],
        [job("readout", "hlt03")],
        [job(hosts="hlt[01-02]", release="r2", start="manual", after=("other",)), job("other", "hlt03")],
    ],
)
@pytest.mark.parametrize("turns", [0, 1, 3])
@pytest.mark.parametrize("dies", [False, True])
def test_a_rollback_brings_back_what_had_its_first_start_as_it_was(away: list[JobSpec], turns: int, dies: bool) -> None:
    """One of two was started by hand: it runs again; the other one waits, as it did. However the apply changed the job, and
    whether what it ended has ended by then."""
    world = World(["hlt01", "hlt02", "hlt03"])
    world.register()
    world.apply(manual("01", "02"))
    world.say(events.Released((HERE,), "bob"))
    turn(world)
    world.apply(*away, stops=ALL)
    for _ in range(turns):
        turn(world)
    if dies:
        world.die()
    back_to(world, 1)
    for _ in range(4):
        turn(world)
    assert [task.partition(".")[0] for task in world.tasks] == ["readout@hlt01"]
    waits = held(world, "hlt02")
    assert held(world) is None and waits is not None and not waits.user
    assert not world.engine.started and "started" not in world.disk.documents


def test_a_rollout_that_goes_back_does_so_too() -> None:
    """By itself: the job was taken from one host to another."""
    world = World(["hlt01", "hlt02", "hlt03"])
    world.register()
    world.apply(manual("01"), job("other", "hlt02"))
    world.say(events.Released((HERE,), "bob"))
    turn(world)
    way = Strategy(batches=(1,), ready_s=5.0)
    world.apply(manual("03"), job("other", "hlt02", release="r2"), strategy=way, stops=ALL)
    turn(world)
    assert not [task for task in world.tasks if task.startswith("readout")]
    world.say(events.RolloutSteered("rollback", "carol", stops=ALL))
    for _ in range(3):
        turn(world)
    assert "readout@hlt01" in [task.partition(".")[0] for task in world.tasks]


@pytest.mark.parametrize("turns", [0, 3])
def test_a_job_that_an_apply_brings_back_waits_anew(turns: int) -> None:
    """Whether or not what runs has ended by then: what an apply comes to does not depend on how fast a program ends."""
    world = World(["hlt01", "hlt02"])
    world.register()
    world.apply(manual("01", "02"))
    world.say(events.Released((HERE,), "bob"))
    turn(world)
    world.apply(stops=ALL)
    for _ in range(turns):
        turn(world)
    world.apply(manual("01", "02"))
    for _ in range(3):
        turn(world)
    found = held(world)
    assert not world.tasks and found is not None and not found.user and not world.engine.started


@pytest.mark.parametrize("gone", [False, True])
def test_a_job_that_need_not_be_started_by_hand_any_more_waits_for_nobody(gone: bool) -> None:
    """Where it never was, also where it had left the farm meanwhile."""
    world = World(["hlt01", "hlt02"])
    world.register()
    world.apply(manual("01", "02"))
    turn(world)
    if gone:
        world.apply()
    assert not world.engine.holds
    world.apply(job(hosts="hlt[01-02]"))
    turn(world)
    assert len(world.tasks) == 2


def test_who_holds_what_has_ended_is_told_once() -> None:
    """The executor's own words of it say the same."""
    world = running()
    world.say(events.Held((HERE,), "alice", "looking", spares=True))
    report = Report("exited").to_json()
    words = "exit code 3 after 2.0 s; not started again: held by alice: looking"
    world.report(world.task_of("readout", "hlt01"), "TASK_FAILED", message=words, by_executor=True, data=report)
    (row,) = [row for row in world.rows() if (row.job, row.host) == HERE]
    assert row.reason == "held by alice: looking; exit code 3 after 2.0 s"


@pytest.mark.parametrize("spares", [False, True], ids=["stop", "hold"])
def test_a_stop_of_what_only_others_have_stopped_is_refused(spares: bool) -> None:
    """Nothing is kept of whoever asks, and a yes would be false; of a job that has no machine yet, too."""
    world = farm()
    world.say(events.Held((HERE,), "bob", "beam", spares=spares))
    said = f"nothing was {'held' if spares else 'stopped'}: readout@hlt01 was stopped by alice: cabling: "
    way = "`daqsched start --all readout@hlt01` lets run what others have stopped, too"
    assert isinstance(world.verdict, Refused) and str(world.verdict) == said + way
    world.apply(job("gpu", "", attributes={"rack": "r9"}))
    world.say(events.Held((("gpu", ""),), "alice"))
    world.say(events.Held((("gpu", ""),), "bob", spares=spares))
    assert isinstance(world.verdict, Refused) and ": gpu was stopped by alice: " in str(world.verdict)
    world.say(events.Released((("gpu", ""),), "bob"))
    assert isinstance(world.verdict, Refused) and world.engine.holds["gpu", ""].user == "alice"
    assert "`daqsched start --all gpu` lets run what others have stopped, too" in str(world.verdict)
    world.say(events.Released((("gpu", ""),), "bob", everyones=True))
    assert isinstance(world.verdict, Accepted) and ("gpu", "") not in world.engine.holds


def test_what_was_stopped_and_has_left_the_farm_may_be_started() -> None:
    """It runs when it is back; by another person only where that is said."""
    world = farm()
    world.apply(job("other", "hlt01"))
    turn(world)
    assert HERE in world.engine.holds
    world.say(events.Released((HERE,), "bob"))
    assert isinstance(world.verdict, Refused) and "was stopped by alice: cabling" in str(world.verdict)
    world.say(events.Released((HERE, ("other", "hlt01")), "alice"))
    verdict = world.verdict
    assert isinstance(verdict, Accepted) and HERE in verdict.keys and HERE not in world.engine.holds
    assert (*HERE, "is not in the farm: it starts when a job file names it again") in verdict.waiting
    world.apply(job(hosts="hlt[01-02]"))
    turn(world)
    assert "readout@hlt01" in [task.partition(".")[0] for task in world.tasks]


def test_a_start_counts_what_begins_and_not_what_runs() -> None:
    """And what waits for its first start by hand begins where its job was named."""
    world = World()
    world.machines = {"hlt01": {}}
    world.start(job("readout"), job("monitor"), job("tune", start="manual"))
    keys = tuple((name, "hlt01") for name in ("readout", "monitor", "tune"))
    tune = keys[2]
    world.say(events.Held((keys[1],), "bob"))
    world.say(events.Released(keys, "bob", unnamed=(tune,)))
    verdict = world.verdict
    assert isinstance(verdict, Accepted) and (verdict.keys, verdict.running) == ((keys[1],), 1)
    assert verdict.rejected == ((*tune, "waits for its first start by hand: `daqsched start tune@hlt01` is that"),)
    world.say(events.Released((tune,), "bob", unnamed=(tune,)))
    assert isinstance(world.verdict, Refused) and "`daqsched start tune@hlt01` is that" in str(world.verdict)
    world.say(events.Released((tune,), "bob"))
    assert isinstance(world.verdict, Accepted) and world.verdict.keys == (tune,)


def test_what_depends_on_a_stopped_one_is_what_would_not_start() -> None:
    """On its host where it has one there; elsewhere all of a job's have to run."""
    world = World()
    world.machines = {"hlt01": {}, "hlt02": {}, "ctl": {}}
    world.register()
    world.apply(job("nsm", "hlt[01-02]"), job("ro", "hlt[01-02]", after=("nsm",)), job("rc", "ctl", after=("ro",)))
    for _ in range(4):
        turn(world)
    for host in ("hlt01", "hlt02"):
        world.say(events.Held((("nsm", host),), "bob"))
        assert isinstance(world.verdict, Accepted) and world.verdict.dependents == ("rc", f"ro@{host}")
    world.say(events.Held((("nsm", "hlt01"), ("nsm", "hlt02")), "bob"))
    assert isinstance(world.verdict, Accepted) and world.verdict.dependents == ("rc", "ro")
