"""What is blocked, so that nobody waits for it; and which version is shown of what can't be reached."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from builders import World, job, progress
from daqsched.engine import events
from daqsched.engine.farm import Farm
from daqsched.spec import JobSpec
from daqsched.views.blocked import BlockedJobs
from daqsched.views.rows import Row
from daqsched_executor.contract import MANUAL, Restart

#: `a` on two hosts, what comes after it beside it and elsewhere, and what comes after that.
JOBS = (
    job("a", "hlt[01-02]", restart=Restart(give_up=1)),
    job("b", "hlt01", after=("a",)),
    job("c", "hlt02", after=("a",)),
    job("d", "hlt03", after=("a",)),
    job("e", "hlt03", after=("d",)),
    job("f", "hlt03"),
)
HOSTS = ("hlt01", "hlt02", "hlt03")


def by_name(world: World) -> dict[str, Row]:
    """Of jobs of one host."""
    return {row.job: row for row in world.rows() if row.job != "a"}


def blocked(world: World) -> set[str]:
    return {name for name, row in by_name(world).items() if row.blocked}


def given_up(world: World) -> bool:
    return progress(world.engine, lambda job, host: True, world.now, 10).given_up


def failed(world: World) -> None:
    """`a` runs on hlt02, and has FAILED for good on hlt01."""
    world.start(*JOBS)
    world.report(world.task_of("a"), "TASK_FAILED", message="exit code 1")


def all_run(world: World) -> None:
    """All that is launched runs, until nothing more is."""
    for _ in range(4):
        world.offers()
        for task in list(world.tasks):
            world.report(task)


def test_what_comes_after_a_job_that_has_failed_for_good_is_blocked() -> None:
    """On its host, and where all of it is waited for; what comes after these, too. Of the others nothing is said."""
    world = World(HOSTS)
    failed(world)
    all_run(world)
    assert {name: row.state for name, row in by_name(world).items()} == {
        "b": "WAITING", "c": "RUNNING", "d": "WAITING", "e": "WAITING", "f": "RUNNING",
    }  # fmt: skip
    assert blocked(world) == {"b", "d", "e"} and given_up(world)


def test_what_did_what_it_should_blocks_nobody_when_it_is_stopped() -> None:
    """What comes after it may start, and starts."""
    world = World(HOSTS)
    world.start(job("a", "hlt01"), job("b", "hlt02", after=("a",)))
    world.report(world.task_of("a", "hlt01"), "TASK_FINISHED")
    world.say(events.Held((("a", "hlt01"),), "bob"))
    assert {row.job: (row.state, row.blocked) for row in world.rows()} == {
        "a": ("STOPPED", False),
        "b": ("WAITING", False),
    }
    world.offers()
    assert world.task_of("b", "hlt02")


def test_a_start_by_hand_gives_hope_again() -> None:
    """And then all run."""
    world = World(HOSTS)
    failed(world)
    world.say(events.Released((("a", "hlt01"),), "bob"))
    assert blocked(world) == set() and not given_up(world)
    all_run(world)
    assert {row.state for row in world.rows()} == {"RUNNING"}


@pytest.mark.parametrize(
    ("first", "vain"),
    [
        (job("a", restart=Restart(give_up=1)), True),
        (job("a", restart=Restart("never")), True),
        (job("a", start=MANUAL), True),
        (job("a"), False),
        (job("a", restart=Restart(give_up=2)), False),
    ],
    ids=["given up", "not restarted", "by hand", "restarted", "tried again"],
)
def test_only_what_nothing_comes_of_by_itself_is_no_use_waiting_for(first: JobSpec, vain: bool) -> None:
    """A back-off ends, and somebody who stopped a job has to start it."""
    world = World()
    world.start(first, job("b", after=("a",)))
    for task in list(world.tasks):
        world.report(task, "TASK_FAILED", message="exit code 1")
    assert (by_name(world)["b"].blocked, given_up(world)) == (vain, vain)


def test_a_job_that_is_stopped_by_hand_blocks_what_comes_after_it_and_one_that_is_set_aside_is_not() -> None:
    """A host comes back by itself."""
    world = World(HOSTS)
    world.register()
    world.apply(*JOBS)
    world.say(events.Held((("a", "hlt01"), ("a", "hlt02")), "bob", ""))
    assert blocked(world) == {"b", "c", "d", "e"}
    world.say(events.Released((("a", "hlt01"), ("a", "hlt02")), "bob"))
    world.say(events.PutAside(("hlt01", "hlt02"), "bob", world.now + 600.0, ""))
    assert blocked(world) == set()


def test_a_long_chain_and_a_circle_are_gone_through() -> None:
    """A circle there may be while a rollout is under way, between what jobs were and what they are to be."""
    world = World()
    world.register()
    chain = [job(f"j{n}", after=(f"j{n - 1}",) if n else ()) for n in range(60)]
    world.apply(*chain)
    farm: Farm = world.engine
    first, last = farm.instances["j0", "hlt01"], ("j59", "hlt01")
    assert first.job is not None
    first.job = replace(first.job, after=("j59",))
    assert not BlockedJobs(world.engine, world.now).blocked(last)
    first.shown = "FAILED"
    assert BlockedJobs(world.engine, world.now).blocked(last)


def test_the_version_that_is_shown_is_that_of_what_runs() -> None:
    """Of a host that can't be reached the old one, until what ran there is known to have ended; over a restart of the daemon."""
    world = World()
    world.start(job(release="r1"))
    task = world.task_of("readout")
    world.report(task, "TASK_UNREACHABLE")
    world.apply(job(release="r2"))
    for _ in range(2):
        (row,) = world.rows()
        assert (row.state, row.release, row.outdated) == ("UNREACHABLE", "r1", True)
        world.restart()
        world.register()
        world.report(task, "TASK_UNREACHABLE")
    world.report(task, "TASK_GONE")
    assert world.rows()[0].release == "r2"
