"""Whose a hold, a lease, a borrow and a rollout is: of who rules know, and not of who is shown by that name."""

from __future__ import annotations

from typing import Any, Callable, NamedTuple, Optional

import msgspec
import pytest

from builders import World, job, turn
from daqsched.confirm import NotConfirmed
from daqsched.engine import commands, events
from daqsched.engine.control_steps import known_as
from daqsched.engine.job_owners import passed_on
from daqsched.engine.verdict import Accepted
from daqsched.errors import Refused
from daqsched.rights.grants import Grants
from daqsched.rights.principal import Principal
from daqsched.rights.rules import Rights, Rule
from daqsched.rollout import Rollout, Strategy
from daqsched.spec import Spec
from daqsched.task import Hold, Owned, Record

HERE = ("readout", "hlt01")
RIGHTS = Rights(
    version=1,
    people={"alice": ("unix:alice", "oidc:alice.miller@lab.example")},
    rules=(Rule(to="known", role="admin"),),
)


class Asker(NamedTuple):
    """Who asks: as it is shown, and by which identity; none: a daemon before kept none, or a farm has no rules."""

    shown: str
    identity: str
    #: `Principal.token_mark`, and the account that the token is for.
    mark: str = ""
    whose: str = ""

    @property
    def grants(self) -> Optional[Grants]:
        known = frozenset(filter(None, [self.identity, self.whose]))
        return Grants(RIGHTS, Principal(self.shown, known, token_mark=self.mark)) if self.identity else None


ACCOUNT = Asker("alice", "unix:alice")
BROWSER = Asker("alice.miller@lab.example", "oidc:alice.miller@lab.example")
PROXY = Asker("alice", "proxy:alice")
BARE = Asker("alice", "")
BOB = Asker("bob", "unix:bob")
WALL, WALL_ANEW = (Asker("token:wall", "token:wall", mark) for mark in ("11aa", "22bb"))
WALL_OF_ALICE, WALL_OF_BOB = (Asker(one, "token:wall", f"of-{one}", f"unix:{one}") for one in ("alice", "bob"))

#: Who has it, who comes, whether that is one person.
PAIRS = [
    (ACCOUNT, ACCOUNT, True),
    (ACCOUNT, BOB, False),
    (ACCOUNT, PROXY, False),
    (PROXY, ACCOUNT, False),
    (ACCOUNT, BROWSER, True),
    (BROWSER, ACCOUNT, True),
    (BROWSER, PROXY, False),
    (BARE, ACCOUNT, True),
    (ACCOUNT, BARE, True),
    (BARE, PROXY, False),
    (BARE, BOB, False),
    (WALL, WALL, True),
    (WALL, WALL_ANEW, False),
    (WALL, WALL_OF_BOB, False),
    (WALL_OF_ALICE, WALL_OF_BOB, False),
    (WALL_OF_ALICE, WALL, False),
    (WALL_OF_ALICE, ACCOUNT, True),
    (WALL_OF_ALICE, BROWSER, True),
    (BOB, WALL_OF_BOB, True),
]


def farm() -> World:
    world = World()
    world.machines = {"hlt01": {}, "hlt02": {}}
    world.start(job(hosts="hlt[01-02]"))
    return world


def held(world: World, one: Asker) -> None:
    world.say(events.Held((HERE,), one.shown, stops=9), grants=one.grants)
    turn(world)


def held_nowhere(world: World, one: Asker) -> None:
    held(world, one)
    world.apply(job("other", "hlt01"))
    turn(world)
    assert HERE in world.engine.holds


def start_refused(world: World, other: Asker) -> bool:
    world.say(events.Released((HERE,), other.shown), grants=other.grants)
    return isinstance(world.verdict, Refused)


def stop_refused(world: World, other: Asker) -> bool:
    world.say(events.Held((HERE,), other.shown, "mine", stops=9), grants=other.grants)
    return isinstance(world.verdict, Refused)


def aside(world: World, one: Asker) -> None:
    world.say(events.PutAside(("hlt01",), one.shown, 1e6, stops=9), grants=one.grants)
    for task in list(world.tasks):
        if task.startswith("readout@hlt01"):
            world.report(task, "TASK_KILLED")
    assert "hlt01" in world.engine.aside


def aside_refused(world: World, other: Asker) -> bool:
    world.say(events.PutAside(("hlt01",), other.shown, 2e6, stops=9), grants=other.grants)
    return isinstance(world.verdict, Refused)


def return_refused(world: World, other: Asker) -> bool:
    world.say(events.Returned(("hlt01",), other.shown, stops=9), grants=other.grants)
    return isinstance(world.verdict, Refused)


def borrowed(world: World, one: Asker) -> None:
    aside(world, one)
    world.say(events.Borrowed(*HERE, one.shown, (), known_as(one.shown, one.grants)), grants=one.grants)
    assert isinstance(world.verdict, Accepted), world.verdict
    turn(world)


def return_asked(world: World, other: Asker) -> bool:
    world.say(events.Returned(("hlt01",), other.shown, everyones=True), grants=other.grants)
    return isinstance(world.verdict, NotConfirmed)


def paused(world: World, one: Asker) -> None:
    way = Strategy(batches=(1,), ready_s=0.0)
    new = events.JobsApplied(Spec(jobs=(job(hosts="hlt[01-02]", argv=("new",)),)), one.shown, strategy=way, stops=9)
    world.say(new, grants=one.grants)
    assert world.engine.rolling.active is not None, world.verdict
    world.say(events.RolloutSteered("pause", one.shown), grants=one.grants)


def end_asked(world: World, other: Asker) -> bool:
    newer = events.JobsApplied(Spec(jobs=(job(hosts="hlt[01-02]", argv=("newer",)),)), other.shown)
    world.say(newer, grants=other.grants)
    return isinstance(world.verdict, NotConfirmed)


WAYS: list[tuple[Callable[[World, Asker], None], Callable[[World, Asker], bool]]] = [
    (held, start_refused),
    (held, stop_refused),
    (held_nowhere, start_refused),
    (aside, aside_refused),
    (aside, return_refused),
    (borrowed, return_asked),
    (paused, end_asked),
]


@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize(("one", "other", "same"), PAIRS)
@pytest.mark.parametrize(("does", "refused"), WAYS)
def test_it_is_of_who_rules_know_by_whatever_name_that_is_shown(
    does: Callable[[World, Asker], None],
    refused: Callable[[World, Asker], bool],
    one: Asker,
    other: Asker,
    same: bool,
    restart: bool,
) -> None:
    """Two who are shown alike are two, and one person is one by each door; after a restart of the daemon, too."""
    world = farm()
    does(world, one)
    if restart:
        world.die()
    assert refused(world, other) is not same


@pytest.mark.parametrize(("one", "other"), [(ACCOUNT, PROXY), (ACCOUNT, BROWSER), (ACCOUNT, BOB), (PROXY, ACCOUNT)])
@pytest.mark.parametrize(("does", "refused"), WAYS)
def test_what_a_daemon_before_kept_without_identities_is_of_who_is_shown_by_that_name(
    does: Callable[[World, Asker], None], refused: Callable[[World, Asker], bool], one: Asker, other: Asker
) -> None:
    """As that daemon had it."""
    world = farm()
    does(world, one)
    engine = world.engine
    engine.holds = {key: _older(hold) for key, hold in engine.holds.items()}
    engine.aside = {host: _older(lease) for host, lease in engine.aside.items()}
    record = engine.instances[HERE].record if HERE in engine.instances else Record()
    record.hold, record.borrow = _older(record.hold), _older(record.borrow)
    engine.rolling.rollout = _older(engine.rolling.rollout)
    saves = [commands.SaveDocument(name) for name in (commands.HOLDS, commands.ASIDE, commands.ROLLOUT)]
    world.disk.save([commands.SaveRecords(tuple(engine.instances)), *saves], engine)
    world.die()
    assert refused(world, other) is (one.shown != other.shown)


def _older(one: Any) -> Any:
    """As it is read from a file without the fields."""
    if one is None:
        return None
    fields = {name: value for name, value in msgspec.to_builtins(one).items() if not name.endswith("known_as")}
    return msgspec.convert(fields, type(one))


def test_who_rules_know_is_not_told_to_whoever_looks_at_a_rollout() -> None:
    """The name is."""
    world = farm()
    paused(world, ACCOUNT)
    rollout = world.engine.rolling.rollout
    assert rollout is not None and rollout.known_as and rollout.pauser_known_as
    told = rollout.told()
    assert told.user == "alice" and type(told) is Rollout and b"known_as" not in msgspec.json.encode(told)
    assert b"unix:alice" in msgspec.json.encode(rollout)


def test_a_stop_of_whoever_had_the_job_before_is_of_no_identity_any_more() -> None:
    """As it is of no name: whoever stopped it then gets nothing of the present owner's by that."""
    hold = Hold("alice", 1.0, known_as=("unix:alice",))
    told = passed_on({"readout": Owned(2.0, "mark")}, "readout", hold)
    assert hold.is_of("alice", ("unix:alice",)) and not told.is_of("alice", ("unix:alice",))
