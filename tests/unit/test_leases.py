"""Hosts set aside and what runs there by hand: whose they are, and what a second person may do."""

from __future__ import annotations

from typing import Union

import pytest

from builders import World, job, rows, turn
from daqsched.confirm import ALL, NotConfirmed
from daqsched.engine import events
from daqsched.engine.verdict import Accepted
from daqsched.errors import Refused

FAR = 1e6
HERE, THERE = ("readout", "hlt01"), ("readout", "hlt02")


def farm() -> World:
    """Root has his hands in hlt01, games in hlt02."""
    world = World()
    world.machines = {"hlt01": {}, "hlt02": {}}
    world.start(job(hosts="hlt[01-02]"))
    world.say(events.PutAside(("hlt01",), "root", FAR, "new card"))
    world.say(events.PutAside(("hlt02",), "games", FAR))
    for task in list(world.tasks):
        world.report(task, "TASK_KILLED")
    return world


def asked(what: str, hosts: tuple[str, ...], user: str, everyones: bool) -> Union[events.PutAside, events.Returned]:
    if what == "aside":
        return events.PutAside(hosts, user, FAR / 2, "mine", everyones=everyones)
    return events.Returned(hosts, user, everyones=everyones)


@pytest.mark.parametrize("what", ["aside", "return"])
@pytest.mark.parametrize("hosts", [("hlt01",), ("hlt01", "hlt02"), ("hlt02",)])
@pytest.mark.parametrize("user", ["root", "games", "eve"])
@pytest.mark.parametrize("everyones", [False, True])
def test_a_lease_is_of_whoever_took_it(what: str, hosts: tuple[str, ...], user: str, everyones: bool) -> None:
    """Who has not, and does not say that it is meant, is told whose it is and why, and nothing is done for any of the hosts."""
    world = farm()
    before = dict(world.engine.aside)
    others = [host for host in hosts if before[host].user != user]
    world.say(asked(what, hosts, user, everyones))
    if others and not everyones:
        said = str(world.verdict)
        assert isinstance(world.verdict, Refused) and world.engine.aside == before
        assert f"{others[0]} is set aside by {before[others[0]].user} for " in said
        assert ("new card" in said) == (others[0] == "hlt01")
        meant = "'hlt[01-02]'" if len(others) > 1 else others[0]
        assert f"`daqsched {what} --all {meant}" in said
    else:
        assert isinstance(world.verdict, Accepted)
        after = {host: one for host, one in world.engine.aside.items() if host in hosts}
        assert [one.user for one in after.values()] == ([user] * len(hosts) if what == "aside" else [])


@pytest.mark.parametrize(
    ("user", "agreed", "asks"), [("root", None, False), ("games", None, True), ("games", 1, False)]
)
@pytest.mark.parametrize("running", [False, True])
def test_a_return_that_ends_what_another_one_runs_by_hand_asks_first(
    user: str, agreed: int | None, asks: bool, running: bool
) -> None:
    """However little that is, and also where its program has not begun; who has said that it may end need not be asked."""
    world = farm()
    world.say(events.Borrowed(*HERE, "root"))
    if running:
        world.offers()
        world.runs(world.task_of(*HERE))
    world.say(events.Returned(("hlt01",), user, agreed, everyones=True))
    borrow = world.engine.instances[HERE].record.borrow
    if asks:
        assert isinstance(world.verdict, NotConfirmed) and world.verdict.stops == running
        assert "this ends readout@hlt01, which is run by hand by root" in world.verdict.paused
        assert borrow is not None and "hlt01" in world.engine.aside
        world.say(events.Returned(("hlt01",), user, world.verdict.stops, everyones=True))
    assert isinstance(world.verdict, Accepted) and "hlt01" not in world.engine.aside


def test_what_runs_by_hand_and_was_told_to_end_is_said_to_be_that() -> None:
    """It is not started anew; and a second one hears by which command the first one ends."""
    world = farm()
    world.say(events.Borrowed(*HERE, "root"))
    world.offers()
    world.runs(world.task_of(*HERE))
    (row,) = rows(world.engine, lambda name, host: (name, host) == HERE, world.now)
    assert row.borrowed == "root"
    world.say(events.Borrowed(*HERE, "games"))
    assert (
        str(world.verdict)
        == "readout@hlt01 is run by hand already, by root: `daqsched borrow --end hlt01 readout` ends that"
    )
    world.say(events.BorrowEnded(*HERE, "root", ALL))
    (row,) = rows(world.engine, lambda name, host: (name, host) == HERE, world.now)
    assert (row.state, row.reason) == ("STOPPING", "run by hand by root; was told to end")
    world.report(world.task_of(*HERE), "TASK_KILLED")
    turn(world)
    (row,) = rows(world.engine, lambda name, host: (name, host) == HERE, world.now)
    assert (row.state, row.borrowed) == ("ASIDE", "")
