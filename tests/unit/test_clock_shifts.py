"""The clock set back by an hour while all kinds of things are under way: nothing waits for that hour, nothing runs twice."""

from __future__ import annotations

import pytest

from builders import World, job, of, rows
from daqsched.engine import commands, events
from daqsched.engine.clock_shifts import earlier
from daqsched.rollout import AT_ONCE, Strategy
from daqsched.spec import CheckSpec
from daqsched.views.why import explanations
from daqsched_executor.contract import OperatorCommand, Restart

HOUR = 3600.0


def state(world: World, name: str = "readout", host: str = "hlt01") -> str:
    return rows(world.engine, lambda a, b: (a, b) == (name, host), world.now)[0].state


def jump(world: World, dies: bool) -> None:
    """The clock shows an hour less; the daemon notices, or is killed and started again."""
    world.now -= HOUR
    if dies:
        world.die()
    else:
        assert world.engine.next_tick(world.now) == world.now, "it does not wait for a tick that is an hour away"
        world.say(events.Ticked())


def world_at(now: float = 100_000.0) -> World:
    world = World(["hlt01", "hlt02"])
    world.now = now
    return world


@pytest.mark.parametrize("dies", [False, True])
def test_a_back_off_ends_in_its_time(dies: bool) -> None:
    """Ten seconds are ten seconds."""
    world = world_at()
    world.start(job())
    for _ in range(5):
        world.now += 1.0
        for task in list(world.tasks):
            world.report(task, "TASK_FAILED")
        world.offers()
    assert state(world) == "BACKOFF"
    jump(world, dies)
    assert state(world) == "BACKOFF"
    world.now += 61.0
    world.say(events.Ticked())
    world.offers()
    assert state(world) == "STARTING"


@pytest.mark.parametrize("dies", [False, True])
def test_a_host_put_aside_comes_back_after_as_long_as_was_said(dies: bool) -> None:
    """Its two minutes are not an hour and two minutes."""
    world = world_at()
    world.start(job())
    world.say(events.PutAside(("hlt01",), "eve", world.now + 120.0))
    world.report(world.task_of("readout"), "TASK_KILLED")
    jump(world, dies)
    assert state(world) == "ASIDE"
    world.now += 121.0
    world.say(events.Ticked())
    assert state(world) == "WAITING"


@pytest.mark.parametrize("dies", [False, True])
def test_a_rollout_goes_on(dies: bool) -> None:
    """Its gate and its time-out are as long as they were."""
    world = world_at()
    world.start(job(hosts="hlt[01-02]", release="r1"))
    world.apply(job(hosts="hlt[01-02]", release="r2"), strategy=Strategy(batches=(1,), ready_s=10.0))
    world.report(world.task_of("readout"), "TASK_KILLED")
    world.offers()
    world.report(world.task_of("readout"))
    jump(world, dies)
    world.now += 11.0
    world.say(events.Ticked())
    rollout = world.engine.rolling.active
    assert rollout is not None and rollout.at == 1 and not rollout.failures


@pytest.mark.parametrize("dies", [False, True])
def test_a_kill_is_repeated_and_a_launch_is_asked_about(dies: bool) -> None:
    """As if nothing had happened."""
    world = world_at()
    world.start(job(), job("b", "hlt02"))
    world.say(events.Held((("readout", "hlt01"),), "eve"))
    world.apply(job(), job("b", "hlt02", release="r2"), strategy=AT_ONCE)
    world.report(world.task_of("b", "hlt02"), "TASK_KILLED")
    world.offers()
    launched = world.task_of("b", "hlt02")
    jump(world, dies)
    world.done.clear()
    world.now += 40.0
    world.say(events.Ticked())
    assert any(c.task_id.startswith("readout@") for c in of(world.done, commands.Kill))
    asked = [task for c in of(world.done, commands.Reconcile) for task, _ in c.tasks]
    assert dies or launched in asked


def test_nothing_is_started_twice_when_the_clock_goes_to_and_fro() -> None:
    """An hour back, an hour forth, with a program that dies meanwhile; the world counts copies at every step."""
    world = world_at()
    world.start(job(restart=Restart()))
    for by in (-HOUR, HOUR, -2 * HOUR, 3 * HOUR):
        world.now += by
        world.say(events.Ticked())
        world.report(world.task_of("readout"), "TASK_FAILED")
        for _ in range(4):
            world.now += 30.0
            world.say(events.Ticked())
            world.offers()
        world.report(world.task_of("readout"))
    assert state(world) == "RUNNING"


def test_the_unevenness_of_a_clock_that_is_kept_right_is_none() -> None:
    """Half a second back is no word in the log."""
    world = world_at()
    world.start(job())
    world.now -= 0.5
    assert not of(world.say(events.Ticked()), commands.Note)
    world.now -= HOUR
    (note,) = of(world.say(events.Ticked()), commands.Note)
    assert "the clock was set back by 3600 s" in note.sentence


def test_rules_are_told_again_as_soon_as_before() -> None:
    """An executor that has not confirmed what changed is told within seconds, and not after an hour."""
    world = world_at()
    world.start(job())
    world.runs(world.task_of("readout"))
    world.apply(job(needs=("/data",)))
    world.done.clear()
    jump(world, dies=False)
    world.now += 6.0
    world.say(events.Ticked())
    assert [c.order.kind for c in of(world.done, commands.Send)], "nobody tells it"


@pytest.mark.parametrize("dies", [False, True])
def test_a_rolling_restart_leaves_nothing_out(dies: bool) -> None:
    """What waits for others to end before it is started anew is still older than its batch, whoever reads that."""
    world = world_at()
    world.start(job(), job("b", "hlt01", after=("readout",)))
    for _ in range(2):
        world.offers()
        for task in list(world.tasks):
            world.report(task)
    old = world.task_of("readout")
    world.now += 100.0
    world.say(events.RestartAsked((("readout", "hlt01"), ("b", "hlt01")), "dave", "", AT_ONCE))
    assert state(world) == "STOPPING" and not world.engine.by_task[old].task.killed, "it waits for b"
    jump(world, dies)
    world.report(world.task_of("b", "hlt01"), "TASK_KILLED")
    assert world.engine.by_task[old].task.killed, "it is never started anew"


@pytest.mark.parametrize("dies", [False, True])
def test_what_was_held_before_a_batch_began_was_not_taken_from_it(dies: bool) -> None:
    """A rollout of which a part was held anyway goes on when somebody stops the rest."""
    world = world_at()
    world.start(job(hosts="hlt[01-02]"))
    world.say(events.Held((("readout", "hlt01"),), "eve", spares=True))
    world.now += 10.0
    world.apply(job(hosts="hlt[01-02]", release="r2"), strategy=Strategy(batches=(2,)))
    jump(world, dies)
    world.now += 1.0
    world.say(events.Held((("readout", "hlt02"),), "eve"))
    rollout = world.engine.rolling.rollout
    assert rollout is not None and rollout.state != "paused", rollout


def test_a_death_is_of_what_is_in_force() -> None:
    """Also where that was applied later, by a clock that went wrong."""
    world = world_at()
    world.start(job())
    jump(world, dies=False)
    world.report(world.task_of("readout"), "TASK_FAILED")
    (incident,) = world.engine.incidents.known()
    assert incident.revision == 1 and incident.applied <= incident.first


def test_a_snooze_is_as_long_as_it_was() -> None:
    """A new executor is not told to rest for an hour more."""
    world = world_at()
    world.start(job(checks=(CheckSpec(kind="tcp", name="port"),)))
    world.runs(world.task_of("readout"))
    order = OperatorCommand("s1", "snooze", "eve", until=world.now + 120.0)
    world.say(events.OperatorCommanded((("readout", "hlt01"),), order))
    jump(world, dies=False)
    (kept,) = (world.engine.instances["readout", "hlt01"].record.snoozes or {}).values()
    assert kept.until == pytest.approx(world.now + 120.0)


def test_a_silent_task_is_in_doubt_also_where_the_last_daemon_heard_of_it_later_than_now() -> None:
    """It is asked about, and after a while shown as in doubt."""
    world = world_at()
    world.start(job())
    world.now -= HOUR
    world.restart()
    world.register()
    world.now += 6.0
    world.done.clear()
    world.say(events.Ticked())
    assert state(world) == "UNKNOWN" and of(world.done, commands.Reconcile)


@pytest.mark.parametrize("ago", [0.0, 10.0, 100.0])
def test_a_moment_at_the_epoch_is_a_moment(ago: float) -> None:
    """0 says that there is none: no other moment becomes that, and none is lost."""
    assert earlier(0.0, 100.0) == 0.0
    assert earlier(ago + 1.0, ago + 1.0) < 0.0
    assert earlier(ago + 3.0, 2.0) == ago + 1.0


def test_nobody_is_told_of_a_registration_that_there_was_not() -> None:
    """Before the first one, why says that there is no master."""
    world = world_at()
    world.apply(job())
    ((found, _),) = explanations(world.engine, [("readout", "hlt01")], world.now)
    assert not [one for one in found.evidence if "registered" in one], found
