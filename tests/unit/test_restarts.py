"""How often a program was started again, as `status` and the board show it: over launches, since somebody had it started."""

from __future__ import annotations

from typing import Any, Callable

import pytest

from builders import World, job, turn
from daqsched.engine import events
from daqsched.rollout import AT_ONCE, Strategy
from daqsched.spec import JobSpec
from daqsched.task import MOST_RESTARTS
from daqsched.views.board import cells
from daqsched_executor.contract import Exit, OperatorCommand, Report, Restart

KEY = ("readout", "hlt01")

#: What happens, and the number that is shown after it.
Way = list[tuple[Callable[[World], Any], int]]


def reports(world: World, activity: str, restarts: int, state: str = "TASK_STARTING") -> None:
    """Its executor speaks."""
    last = Exit(world.now, 2.0, code=3) if restarts else None
    said = Report(activity, restarts=restarts, last_exit=last)
    world.report(world.task_of(*KEY), state, data=said.to_json(), by_executor=True)


def died(restarts: int) -> Callable[[World], None]:
    """In place, and waits for its next start; so often it was started again before."""
    return lambda world: reports(world, "backoff", restarts)


def runs(restarts: int) -> Callable[[World], None]:
    """Started by its executor once more, or for the first time."""
    return lambda world: reports(world, "running", restarts, "TASK_RUNNING")


def ends(restarts: int, state: str = "TASK_FAILED") -> Callable[[World], None]:
    """Its executor gave up, or it did what it should."""
    return lambda world: reports(world, "exited", restarts, state)


def launched(world: World) -> None:
    """Anew, when it may be."""
    world.wait(6.0)
    world.offers()
    world.runs(world.task_of(*KEY))


def goes(world: World) -> None:
    """All that is under way comes to its end."""
    for _ in range(3):
        world.wait(6.0)
        turn(world)


def applied(*others: JobSpec, strategy: Strategy = AT_ONCE, **fields: Any) -> Callable[[World], Any]:
    """The job with these fields from now on."""
    return lambda world: world.apply(job(**fields), *others, strategy=strategy, stops=9)


def asked(kind: str) -> Callable[[World], None]:
    """An order to the executor; nobody knows when it says that it did so."""
    return lambda world: said(events.OperatorCommanded((KEY,), OperatorCommand(world.new_id(), kind, "bob"), 9))(world)


def said(*orders: events.Event) -> Callable[[World], None]:
    """People say these."""

    def say(world: World) -> None:
        for one in orders:
            world.say(one)
            assert not isinstance(world.verdict, Exception), world.verdict

    return say


def lost(world: World) -> None:
    """Its host does not answer the master."""
    world.report(world.task_of(*KEY), "TASK_UNREACHABLE")


def gone(world: World) -> None:
    """Its agent does not come back, and what ran there ended with it."""
    world.report(world.task_of(*KEY), "TASK_GONE")


def killed(world: World) -> None:
    """As it was told."""
    world.report(world.task_of(*KEY), "TASK_KILLED")


HELD, LET_RUN = events.Held((KEY,), "bob", stops=9), events.Released((KEY,), "bob")
ASIDE, BACK = events.PutAside((KEY[1],), "bob", 9e9, stops=9), events.Returned((KEY[1],), "bob", 9)
BORROWED = events.Borrowed(*KEY, "bob", ("/bin/try",))
ONE_BY_ONE = Strategy(batches=(1,), failures=1, on_failure="rollback")

#: A launch that ended after 2 restarts in place, and the next one.
TWICE: Way = [(runs(2), 2), (ends(3), 3), (launched, 4)]

WAYS: dict[str, Way] = {
    "its executor starts it again": [(runs(0), 0), (died(0), 0), (runs(1), 1), (died(1), 1), (runs(2), 2)],
    "its task ends twice": [*TWICE, (runs(1), 5), (ends(1), 5), (launched, 6), (runs(0), 6), (runs(7), 13)],
    "a launch that never ran": [*TWICE, (gone, 4), (launched, 5)],
    "given up": [
        (applied(restart=Restart(give_up=2)), 0),
        *TWICE,
        (ends(1), 5),
        (goes, 5),
        (said(LET_RUN), 5),
        (launched, 0),
    ],
    "it did what it should": [
        *TWICE,
        (ends(2, "TASK_FINISHED"), 6),
        (goes, 6),
        (applied(release="r2"), 6),
        (launched, 0),
    ],
    "stopped and started": [*TWICE, (said(HELD), 4), (killed, 4), (said(LET_RUN), 4), (launched, 0), (runs(1), 1)],
    "started while it waits": [(ends(3), 3), (said(LET_RUN), 3), (launched, 0)],
    "started where it runs": [*TWICE, (said(LET_RUN), 4), (runs(1), 5), (ends(1), 5), (launched, 6)],
    "tried now while it waits": [*TWICE, (ends(1), 5), (asked("retry"), 5), (launched, 0)],
    "tried now in place": [
        *TWICE,
        (died(1), 5),
        (asked("retry"), 0),
        (runs(2), 0),
        (runs(3), 1),
        (ends(3), 1),
        (launched, 2),
    ],
    "tried now where it runs": [*TWICE, (asked("retry"), 4), (runs(1), 5)],
    "restarted in place": [
        *TWICE,
        (runs(5), 9),
        (asked("restart"), 0),
        (runs(6), 0),
        (runs(8), 2),
        (ends(8), 2),
        (launched, 3),
    ],
    "restarted, and nobody heard that": [
        (runs(2), 2),
        (asked("restart"), 0),
        (ends(2), 0),
        (launched, 1),
        (runs(1), 2),
    ],
    "restarted host by host": [
        *TWICE,
        (goes, 4),
        (said(events.RestartAsked((KEY,), "bob", "", AT_ONCE, 9)), 4),
        (goes, 0),
    ],
    "a change of the program": [*TWICE, (applied(release="r2"), 4), (goes, 0), (runs(1), 1)],
    "the same while it waits": [*TWICE, (ends(1), 5), (applied(release="r2"), 5), (launched, 0)],
    "a change of a label": [*TWICE, (applied(labels={"run": "7"}), 4), (goes, 4), (runs(1), 5)],
    "the same while it waits for its next launch": [
        *TWICE,
        (ends(1), 5),
        (applied(labels={"run": "7"}), 5),
        (launched, 6),
    ],
    "an apply of something else": [*TWICE, (applied(job("evb")), 4), (goes, 4)],
    "a rollback": [
        *TWICE,
        (applied(release="r2"), 4),
        (goes, 0),
        (runs(1), 1),
        (applied(), 1),
        (goes, 0),
        (runs(1), 1),
    ],
    "its host is lost and back": [*TWICE, (lost, 4), (launched, 4), (lost, 4), (gone, 4), (launched, 5)],
    "its host set aside and given back": [*TWICE, (said(ASIDE), 4), (killed, 4), (said(BACK), 4), (launched, 0)],
    "borrowed": [
        *TWICE,
        (said(ASIDE), 4),
        (killed, 4),
        (said(BORROWED), 4),
        (launched, 0),
        (ends(0), 0),
        (said(BACK), 0),
    ],
    "an executor that lies": [
        (runs(10**12 - 1), 10**12 - 1),
        (ends(10**12 - 1), 10**12 - 1),
        (launched, MOST_RESTARTS),
    ],
    "and another": [(runs(-(10**12) + 1), 0), (ends(-5), 0), (launched, 1), (runs(1), 2)],
}


def shown(world: World) -> int:
    """The number, of which all views agree, and which a new daemon would say, too."""
    again = world.disk.engine(world.new_id)
    (cell,) = [cell for key, cell in cells(world.engine, [KEY], world.now) if cell is not None]
    (row,) = [one for one in world.rows() if (one.job, one.host) == KEY]
    assert cell.restarts == row.restarts == again.instances[KEY].record.restarts
    return row.restarts


@pytest.mark.parametrize("dies", [False, True], ids=["", "daemon"])
@pytest.mark.parametrize("way", WAYS)
def test_the_number_of_restarts_goes_over_launches(way: str, dies: bool) -> None:
    """It is 0 where a person or an apply has the program started, and else never less; ``dies``: the daemon, after each step."""
    world = World([KEY[1]])
    world.start(job())
    for at, (happens, number) in enumerate(WAYS[way]):
        happens(world)
        assert shown(world) == number, f"step {at}"
        if dies:
            world.die()


def test_a_state_of_before_says_what_its_executor_said() -> None:
    """The field is new: where it is not there nothing is known of launches before."""
    world = World([KEY[1]])
    world.start(job())
    for happens, _ in TWICE:
        happens(world)
    runs(3)(world)
    del world.disk.records[KEY]["starts_before"]
    world.counted.clear()
    world.restart()
    assert world.engine.instances[KEY].record.restarts == 3
    ends(3)(world)
    launched(world)
    assert shown(world) == 4


def test_a_back_off_in_place_says_the_same_number() -> None:
    """The sentence is beside the column."""
    world = World([KEY[1]])
    world.start(job())
    for happens, _ in TWICE:
        happens(world)
    died(1)(world)
    (row,) = world.rows()
    assert row.restarts == 5 and "(5 restarts so far)" in row.reason, row


def test_a_rollout_judges_by_the_present_launch_alone() -> None:
    """What was before it, many times as it may be, is no failure of the rollout's."""
    world = World([KEY[1]])
    world.start(job())
    for happens, _ in TWICE:
        happens(world)
    applied(job("evb"), strategy=ONE_BY_ONE, release="r2")(world)
    goes(world)
    rollout = world.engine.rolling.rollout
    assert rollout is not None and (rollout.state, rollout.failed) == ("done", 0), rollout
