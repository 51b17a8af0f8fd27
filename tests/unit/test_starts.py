"""So many programs start at once on a machine as it bears: the first runs at once, and none is launched again for lack of time."""

from __future__ import annotations

from typing import Any

import pytest

from builders import World, job, of
from daqsched.engine import commands, events
from daqsched.engine.starts import FIRST, HUNG_S, QUICK_S, SLOW_S, Pace
from daqsched_executor.contract import Report

RUNS = Report("running", pid=1).to_json()


def launched(todo: list[commands.Command]) -> list[str]:
    return [task.payload.instance for launch in of(todo, commands.Launch) for task in launch.tasks]


def many(count: int, hosts: str = "hlt01", **fields: Any) -> World:
    """So many jobs that wait for their first offer."""
    world = World(["hlt01", "hlt02"])
    world.register()
    world.apply(*(job(f"j{number:03d}", hosts, **fields) for number in range(count)))
    return world


def says_run(world: World, task: str, state: str = "TASK_RUNNING", data: bytes = RUNS) -> None:
    agent = world.tasks[task]
    world.say(events.TaskReported(task, agent, state, by_executor=True, data=data, uuid="u"))


def reason(world: World, name: str) -> str:
    return next(row.reason for row in world.rows() if row.job == name)


def test_the_first_ones_start_at_once_and_the_others_say_that_they_wait_for_their_turn() -> None:
    """In the order in which they wait."""
    world = many(10)
    assert launched(world.offers()) == [f"j{number:03d}@hlt01" for number in range(FIRST)]
    assert reason(world, "j009") == "waits for its turn: 4 of 4 starts at once on hlt01"


def test_an_executor_that_speaks_frees_its_place_and_an_offer_is_asked_for() -> None:
    """Also where its program is not ready for long, or can't be started: that is the job's own matter."""
    world = many(10)
    world.offers()
    world.now += SLOW_S * 0.6  # neither quick nor slow
    says_run(world, world.task_of("j000"), "TASK_STARTING", Report("starting").to_json())
    assert launched(world.offers()) == ["j004@hlt01"]
    says_run(world, world.task_of("j001"), "TASK_STARTING", Report("probing").to_json())
    assert launched(world.offers()) == ["j005@hlt01"]
    world.report(world.task_of("j002"), "TASK_STAGING")
    assert not launched(world.offers()), "that is the agent's word"


@pytest.mark.parametrize("state", ["TASK_FAILED", "TASK_UNREACHABLE", "TASK_GONE"])
def test_a_start_that_came_to_nothing_frees_its_place(state: str) -> None:
    """Whoever says so."""
    world = many(10)
    world.offers()
    world.now += 1.0
    world.report(world.task_of("j000"), state)
    assert "j004@hlt01" in launched(world.offers())


def test_a_start_that_hangs_holds_nobody_up_for_ever() -> None:
    """It is not launched again for that: it may come yet."""
    world = many(10)
    world.offers()
    began = world.now
    while world.now < began + HUNG_S - 2.0:
        world.wait(1.0)
        assert not launched(world.offers())
    world.now = began + HUNG_S
    assert len(launched(world.offers())) == FIRST // 2, "four that hung together were too many"
    assert len(world.tasks) == FIRST + FIRST // 2


def test_hosts_do_not_wait_for_each_other() -> None:
    """One whose starts hang is no matter to the next."""
    world = many(20, "hlt[01-02]")
    world.offers()
    for _ in range(20):
        for task in [task for task in world.tasks if "@hlt02" in task and task not in world.running]:
            says_run(world, task)
        world.offers()
    assert sum("@hlt02" in task for task in world.running) == 20
    assert sum("@hlt01" in task for task in world.tasks) == FIRST


@pytest.mark.once
def test_quick_starts_make_more_of_them_up_to_what_the_cores_bear() -> None:
    """Ever more each time, and no more than eight for each core."""
    world = many(200)
    world.cores = {"hlt01": 4.0}
    sizes = []
    for _ in range(6):
        begun = launched(world.offers())
        sizes.append(len(begun))
        for name in begun:
            says_run(world, world.task_of(name.partition("@")[0]))
    assert sizes[0] == FIRST and sizes == sorted(sizes) and sizes[-1] == 32, sizes


@pytest.mark.parametrize(("cores", "most"), [(0.1, 1), (0.25, 2), (0.4, 3), (2.0, FIRST), (64.0, FIRST)])
def test_a_small_machine_starts_few(cores: float, most: int) -> None:
    """One at least."""
    pace = Pace()
    pace.offered(cores)
    assert pace.most == most


def test_slow_starts_make_fewer_of_them_once_for_all_that_were_launched_together() -> None:
    """Until one alone is slow: that is the machine's own speed."""
    pace = Pace()
    pace.offered(64.0)
    for at_once in range(1, 5):
        pace.took(at_once, launched=100.0, seconds=SLOW_S + 1.0, now=107.0)
    assert pace.most == 2
    for launch in (108.0, 120.0, 140.0):
        pace.took(1, launch, SLOW_S * 2, launch + SLOW_S * 2)
    assert pace.most == 1


def test_a_quick_start_alone_says_nothing_of_many() -> None:
    """A restart now and then is no reason to begin with a hundred tomorrow."""
    pace = Pace()
    pace.offered(64.0)
    for number in range(100):
        pace.took(1, float(number), QUICK_S / 2, number + QUICK_S / 2)
    assert pace.most == FIRST


def test_where_each_start_takes_long_twice_that_is_quick() -> None:
    """An installation on a far disk is no load; but nothing is quick that is half of what is too slow."""
    pace = Pace()
    pace.offered(64.0)
    pace.took(1, 0.0, 1.0, 1.0)
    pace.took(4, 2.0, 1.9, 3.9)
    assert pace.most == FIRST + 1
    pace.took(5, 4.0, 2.1, 6.1)
    assert pace.most == FIRST + 1
    for _ in range(9):
        pace.took(5, 7.0, SLOW_S * 0.6, 10.0)
    assert pace.most == FIRST + 1


def test_a_new_daemon_counts_what_the_last_one_launched() -> None:
    """And judges the machine by none of these: it does not know how long they took."""
    world = many(10)
    world.offers()
    world.restart()
    world.register()
    assert not launched(world.offers())
    world.now += 20.0
    for task in list(world.tasks):
        says_run(world, task)
    assert len(launched(world.offers())) == FIRST


@pytest.mark.once
def test_nothing_is_launched_twice_on_a_machine_on_which_many_starts_at_once_take_a_minute() -> None:
    """Agents that claim 32 cores each, and share one on which a start takes half a second: Mesos waits 60 s for an executor."""
    world = World([f"h{number}" for number in range(10)])
    world.cores = dict.fromkeys(world.machines, 32.0)
    world.register()
    world.apply(*(job(f"j{number:02d}", "h[0-9]") for number in range(20)))
    work: dict[str, float] = {}
    begun: dict[str, float] = {}
    while len(world.running) < 200:
        world.offers()
        for task in sorted(set(world.tasks) - set(begun)):
            begun[task], work[task] = world.now, 0.5
        for task in list(work):
            work[task] -= 0.2 / len(work)  # since the last look, shared by all
        for task in [task for task, left in work.items() if left <= 0.0]:
            del work[task]
            assert world.now - begun[task] < 60.0
            says_run(world, task)
    assert len(begun) == 200
    assert world.now < 1000.0 + 200 * 0.5 * 1.2, "the machine was idle"
