"""Who is in control: what the engine refuses to all others, and a tiny model of taking, giving, forcing, time and restarts."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple, Optional

import msgspec
import pytest

from builders import World, job
from daqsched.control import CONTROLLED, LEAST_S, MOST_S, lease
from daqsched.engine import events
from daqsched.engine.commands import CONTROL
from daqsched.engine.control_steps import known_as
from daqsched.engine.permission import NEEDS
from daqsched.engine.verdict import Accepted
from daqsched.errors import Refused, UserError
from daqsched.rights.grants import Grants
from daqsched.rights.principal import Principal
from daqsched.rights.rules import Rights, Rule, read
from daqsched.rights.tokens import Token
from daqsched.rights.verbs import VERBS
from daqsched.rollout import Strategy
from daqsched.spec import Spec
from daqsched_executor.contract import OperatorCommand

PEOPLE = ["alice", "bob", "carol"]
PARTS = ["", "hlt", "calo"]
#: The farm, its parts, and one that it does not have.
SCOPES: list[Optional[str]] = [None, *PARTS, "none"]


def farm(release: str = "1") -> Spec:
    """One job of each part, ``hlt09`` has some of two of them."""
    return Spec(
        jobs=(
            job("main", "hlt01", release=release),
            job("trigger", "hlt[02,09]", part="hlt", release=release),
            job("readout", "hlt[03,09]", part="calo", release=release),
        )
    )


def world(hosts: Sequence[str] = ("hlt01", "hlt02", "hlt03", "hlt09", "empty")) -> World:
    made = World(hosts)
    made.now = 1e9  # clocks are set back by hours here, and no moment is before 1970
    made.register()
    made.say(events.JobsApplied(farm(), "root", everyones=True))
    assert isinstance(made.verdict, Accepted), made.verdict
    made.offers()
    return made


def take(
    world: World, user: str, part: Optional[str] = None, for_s: float = 3600.0, message: str = "", force: bool = False
) -> Any:
    """The verdict."""
    world.say(events.ControlTaken(part, user, known_as(user, None), for_s, message, force))
    return world.verdict


def give(world: World, user: str, part: Optional[str] = None, to: str = "") -> Any:
    """The same."""
    world.say(events.ControlGiven(part, user, known_as(user, None), to, known_as(to, None) if to else ()))
    return world.verdict


def apply_of(part: str, user: str, release: str) -> events.JobsApplied:
    jobs = tuple(msgspec.structs.replace(one, part="") for one in farm(release).jobs if one.part == part)
    return events.JobsApplied(Spec(jobs=jobs, part=part), user, stops=99)


# ---------------------------------------------------------------------- the model


class Held(NamedTuple):
    user: str
    until: float


class Model:
    """Who is in control, as said in docs/operate/control.md, in as few words as there can be."""

    def __init__(self) -> None:
        self.held: dict[Optional[str], Held] = {}

    def of(self, part: Optional[str], now: float) -> Optional[Held]:
        counting = {where: one for where, one in self.held.items() if one.until > now}
        return counting.get(part) or counting.get(None)

    def take(self, part: Optional[str], user: str, until: float, force: bool, now: float) -> bool:
        there = list(self.held.values()) if part is None else [self.of(part, now)]
        others = [one for one in there if one is not None and one.until > now and one.user != user]
        if part == "none" or (others and not force):
            return False
        if part is None:
            self.held = {}
        self.held[part] = Held(user, until)
        return True

    def give(self, part: Optional[str], user: str, to: str, now: float) -> bool:
        counts = self.of(part, now)
        own = self.held.get(part)
        if part == "none" or counts is None or counts.user != user or (not to and (own is None or own.until <= now)):
            return False
        self.held.pop(part, None)
        if to:
            self.held[part] = Held(to, counts.until)
        return True

    def may(self, part: str, user: str, now: float) -> bool:
        counts = self.of(part, now)
        return counts is None or counts.user == user


@pytest.mark.parametrize("seed", range(12))
def test_random_sequences_agree_with_the_model(seed: int) -> None:
    """Taken, given, forced, over by time, through restarts and clocks that are set back: who may is who the model says."""
    chance, model, there = random.Random(seed), Model(), world(())
    seen: Counter[str] = Counter()
    for turn in range(150):
        user, part = chance.choice(PEOPLE), chance.choice(SCOPES)
        what = chance.choice(
            ["take", "take", "force", "give", "give to", "wait", "restart", "back", "change", "change", "change"]
        )
        if what in ("take", "force"):
            for_s = chance.choice([LEAST_S, 1800.0, MOST_S])
            done = model.take(part, user, there.now + for_s, what == "force", there.now)
            found = take(there, user, part, for_s, "why" if what == "force" else "", what == "force")
        elif what in ("give", "give to"):
            to = chance.choice(PEOPLE) if what == "give to" else ""
            holders = [(where, one.user) for where, one in model.held.items() if one.until > there.now]
            if holders and chance.random() < 0.6:
                part, user = chance.choice(holders)
            done = model.give(part, user, to, there.now)
            found = give(there, user, part, to)
        elif what == "change":
            part = chance.choice(PARTS)
            done = model.may(part, user, there.now)
            there.say(apply_of(part, user, f"r{turn}"))
            found = there.verdict
        else:
            if what == "wait":
                there.wait(chance.choice([1.0, LEAST_S, 1800.0, 9000.0]))
            elif what == "restart":
                there.restart()
                there.register()
            else:
                there.now -= 7200.0
                there.say(events.Ticked())
                model.held = {where: Held(one.user, one.until - 7200.0) for where, one in model.held.items()}
            done, found = True, Accepted()
        about = (seed, turn, what, user, part, found)
        assert isinstance(found, Accepted) == done, about
        seen[f"{what} {done}"] += 1
        assert {one.part: one.user for one in there.engine.controls.values() if one.until > there.now} == {
            where: one.user for where, one in model.held.items() if one.until > there.now
        }, about
    assert not {f"{what} {done}" for what in ("take", "give", "change") for done in (True, False)} - set(seen), seen


# ---------------------------------------------------------------------- every event


def changes(user: str) -> list[tuple[str, set[Optional[str]], events.Event]]:
    """Each event that people cause and that takes control, with the parts that it is about."""
    of = {"": ("main", "hlt01"), "hlt": ("trigger", "hlt02"), "calo": ("readout", "hlt03")}
    found: list[tuple[str, set[Optional[str]], events.Event]] = []
    for part, key in of.items():
        found += [
            ("stop", {part}, events.Held((key,), user, stops=99)),
            ("hold", {part}, events.Held((key,), user, spares=True)),
            ("start", {part}, events.Released((key,), user, everyones=True)),
            ("restart", {part}, events.RestartAsked((key,), user, stops=99)),
            ("apply", {part}, apply_of(part, user, "2")),
            ("aside", {part}, events.PutAside((key[1],), user, 9e9, stops=99)),
            ("return", {part}, events.Returned((key[1],), user)),
            ("replace", {part}, events.AgentChosen(key[1], user, "agent")),
            ("borrow", {part}, events.Borrowed(*key, user)),
            ("end of a borrow", {part}, events.BorrowEnded(*key, user)),
        ]
        found += [
            (kind, {part}, events.OperatorCommanded((key,), OperatorCommand("x", kind, user, "dump", 9e9), 99))
            for kind in ("retry", "restart", "snooze", "wake", "act")
        ]
    found += [
        ("stop of two", {"hlt", "calo"}, events.Held((of["hlt"], of["calo"]), user, stops=99)),
        ("aside of two", {"hlt", "calo"}, events.PutAside(("hlt09",), user, 9e9, stops=99)),
        ("aside of none", {None}, events.PutAside(("empty",), user, 9e9)),
        ("apply of all", {"", "hlt", "calo"}, events.JobsApplied(farm("2"), user, everyones=True, stops=99)),
        ("apply of nothing", {"hlt"}, events.JobsApplied(Spec(part="hlt"), user, allow_empty=True, stops=99)),
        ("taken", {"", "hlt"}, msgspec.structs.replace(_taking(user), take=("trigger",))),
    ]
    return found


def _taking(user: str) -> events.JobsApplied:
    mine = [msgspec.structs.replace(one, part="") for one in farm().jobs if one.part in ("", "hlt")]
    return events.JobsApplied(Spec(jobs=tuple(mine)), user, stops=99)


@pytest.mark.once
@pytest.mark.parametrize("held", [None, *PARTS], ids=str)
@pytest.mark.parametrize("who", ["mine", "another's", "nobody's"])
def test_each_change_is_refused_where_another_is_in_control_of_what_it_is_about_and_nowhere_else(
    held: Optional[str], who: str
) -> None:
    """In control, another in control, nobody; of the farm, of the same part, of one of several, of none of them."""
    counts: Counter[bool] = Counter()
    for name, parts, event in changes("bob"):
        there = world()
        if who != "nobody's":
            assert isinstance(take(there, "bob" if who == "mine" else "alice", held), Accepted)
        there.say(event)
        refused = isinstance(there.verdict, Refused) and "is in control of" in str(there.verdict)
        wanted = who == "another's" and (held is None or held in parts)
        assert refused == wanted, (name, held, who, there.verdict)
        counts[refused] += 1
        if refused:
            scope = "" if held is None else f" --part {held or '-'}"
            assert f"`daqsched control take{scope} --force -m MESSAGE`" in str(there.verdict)
            assert "alice is in control of" in str(there.verdict)
    assert bool(counts[True]) == (who == "another's"), counts


def test_every_verb_and_every_event_of_people_is_decided() -> None:
    """A new one takes control, or this says why it does not."""
    reading = {"see", "lines", "sandbox", "environment", "backup", "log", "audit", "rights"}
    # asks a machine, or writes what people say; who may come at all
    changing_no_job = {"preflight", "note", "propose", "control", "take-over", "tokens"}
    beside_another = {"account", "guard"}
    assert set(VERBS) == CONTROLLED | reading | changing_no_job | beside_another
    asked = {type(event) for _, _, event in changes("bob")}
    # looked at in test_proposals, test_choices and below; in the serving half (test_control_api)
    elsewhere = {events.VariablesSet, events.RolloutSteered, events.ProposalApproved}
    free = {events.TokenMade, events.TokenRevoked, events.NoteWritten, events.PreflightAsked}
    free |= {events.ControlTaken, events.ControlGiven, events.ProposalMade, events.ProposalClosed}
    assert set(NEEDS) == asked | elsewhere | free


def test_what_changes_no_job_is_free_for_all() -> None:
    there = world()
    take(there, "alice")
    token = Token("wall", "d" * 64, "viewer", "", "bob", 0.0, there.now + 9.0)
    free = (
        events.NoteWritten("bob", "beam is back"),
        events.TokenMade(token),
        events.TokenRevoked("wall", "bob"),
        events.PreflightAsked("x", "bob", {}, 5.0),
        events.LoggedOut("x", "bob", 2e9),
        events.SessionKeyMade(b"k" * 32),
        events.GuardAnswered(1, 0, True),
        events.Ticked(),
    )
    for event in free:
        there.say(event)
        assert isinstance(there.verdict, Accepted), there.verdict


def test_a_rollout_is_steered_by_who_is_in_control_of_what_it_is_about() -> None:
    there = world()
    change = msgspec.structs.replace(apply_of("hlt", "carol", "2"), strategy=Strategy(batches=(1,)))
    there.say(change)
    assert isinstance(there.verdict, Accepted) and there.verdict.rollout
    take(there, "alice", "hlt")
    there.say(events.RolloutSteered("pause", "carol"))
    assert "alice is in control of part hlt" in str(there.verdict)
    there.say(events.RolloutSteered("pause", "alice"))
    assert isinstance(there.verdict, Accepted)
    # what an apply of another part would not touch it may be applied beside
    there.say(apply_of("calo", "carol", "2"))
    assert isinstance(there.verdict, Accepted), there.verdict


def test_who_runs_something_by_hand_may_end_it_whoever_took_control_since() -> None:
    there = world()
    there.say(events.PutAside(("hlt02",), "bob", there.now + 3600, stops=99))
    for task in list(there.tasks):
        if "hlt02" in task:
            there.report(task, "TASK_FINISHED")
    there.say(events.Borrowed("trigger", "hlt02", "bob", ("/bin/x",)))
    assert isinstance(there.verdict, Accepted), there.verdict
    take(there, "alice")
    there.say(events.BorrowEnded("trigger", "hlt02", "carol", 99))
    assert "is in control" in str(there.verdict)
    there.say(events.BorrowEnded("trigger", "hlt02", "bob", 99))
    assert isinstance(there.verdict, Accepted)


@pytest.mark.parametrize(
    ("began", "ends", "own"),
    [
        (("unix:bob",), ("unix:bob",), True),
        (("unix:bob",), ("password:bob",), False),
        (("unix:bob",), ("token:bob",), False),
        (("bob", "unix:bob"), ("bob", "proxy:bob"), True),
        (("unix:bob", "token:t1"), ("unix:bob", "token:t2"), True),
        ((), ("password:bob",), True),  # of a daemon that knew the name alone
    ],
)
def test_who_is_shown_by_the_same_name_ends_nothing_of_anothers(
    began: tuple[str, ...], ends: tuple[str, ...], own: bool
) -> None:
    """A person is known by identities; equal names of two doors are two people, also after a restart."""
    there = world()
    there.say(events.PutAside(("hlt02",), "bob", there.now + 3600, stops=99))
    for task in list(there.tasks):
        if "hlt02" in task:
            there.report(task, "TASK_FINISHED")
    there.say(events.Borrowed("trigger", "hlt02", "bob", ("/bin/x",), began))
    take(there, "alice")
    there.restart()
    names = frozenset(one for one in ends if ":" in one)
    people = {one: tuple({*began, *ends} - {one}) for one in ends if ":" not in one}
    who = Grants(Rights(version=1, people=people, rules=(Rule(to="known", role="admin"),)), Principal("bob", names))
    there.say(events.BorrowEnded("trigger", "hlt02", "bob", 99), grants=who)
    assert isinstance(there.verdict, Accepted) == own, there.verdict
    assert own or "alice is in control of the farm" in str(there.verdict)


# ---------------------------------------------------------------------- sentences and details


def test_taken_again_it_is_longer_and_still_the_same() -> None:
    there = world()
    take(there, "alice", "hlt", 3600.0, "tests")
    first = there.engine.controls["hlt"]
    there.wait(1800.0)
    take(there, "alice", "hlt", 7200.0)
    again = there.engine.controls["hlt"]
    assert (again.since, again.until, again.message) == (first.since, there.now + 7200.0, "tests")


def test_who_lost_it_reads_why() -> None:
    there = world()
    take(there, "alice", "hlt")
    assert isinstance(take(there, "bob", "hlt", force=True), UserError)
    assert isinstance(take(there, "bob", "hlt", message="magnet", force=True), Accepted)
    there.say(apply_of("hlt", "alice", "2"))
    assert "bob is in control of part hlt" in str(there.verdict) and "(taken over from alice; magnet)" in str(
        there.verdict
    )


def test_what_is_free_or_ones_own_is_taken_with_force_as_without() -> None:
    there = world()
    assert isinstance(take(there, "alice", "hlt", force=True), Accepted)
    assert isinstance(take(there, "alice", "hlt", force=True), Accepted)
    assert not there.engine.controls["hlt"].forced


def test_given_for_a_while_it_comes_back_to_who_is_in_control_of_the_farm() -> None:
    there = world()
    take(there, "alice")
    assert isinstance(give(there, "alice", "hlt", "bob"), Accepted)
    there.say(apply_of("hlt", "alice", "2"))
    assert "bob is in control of part hlt" in str(there.verdict) and "(given by alice)" in str(there.verdict)
    assert isinstance(give(there, "bob", "hlt"), Accepted)
    there.say(apply_of("hlt", "alice", "2"))
    assert isinstance(there.verdict, Accepted)
    assert "as you are of the farm" in str(give(there, "alice", "hlt"))
    assert "nobody is in control of the farm" in str(give(world(), "alice"))


@pytest.mark.parametrize("for_s", [0.0, -1.0, LEAST_S - 1, MOST_S + 1, float("inf"), float("nan"), 1e300])
def test_nobody_is_in_control_for_ever(for_s: float) -> None:
    there = world()
    assert "1m to 24h" in str(take(there, "alice", None, for_s)) and not there.engine.controls


@pytest.mark.parametrize("text", ["8h", "1m", "24h", "1d"])
def test_how_long_is_written_as_elsewhere(text: str) -> None:
    assert LEAST_S <= lease(text) <= MOST_S
    with pytest.raises(UserError):
        lease("2d")


def test_the_end_comes_by_itself_and_is_due() -> None:
    there = world()
    take(there, "alice", None, 3600.0)
    assert there.engine.next_tick(there.now) <= there.now + 3600.0
    there.now += 3601.0
    there.say(events.Ticked())
    assert not there.engine.controls and CONTROL not in there.disk.documents


def test_a_clock_that_went_differently_makes_nobody_be_in_control_for_longer_than_could_be() -> None:
    there = world()
    take(there, "alice", None, MOST_S)
    there.now -= 10 * 86400.0
    there.restart()
    there.register()
    one = there.engine.controls[None]
    assert one.since <= there.now and there.now < one.until <= there.now + MOST_S


@pytest.mark.parametrize(
    "saved", [b"", b"\xc1", msgspec.msgpack.encode([{"part": 1}]), msgspec.msgpack.encode({"a": 1})]
)
def test_what_can_not_be_read_lets_nobody_be_in_control_and_is_told(saved: bytes) -> None:
    there = world()
    take(there, "alice")
    there.disk.documents[CONTROL] = saved
    there.restart()
    assert not there.engine.controls
    assert any("who is in control can't be read" in one for one in there.engine.troubles)


RIGHTS = read(
    """
version: 1
people: {alice: [unix:alice, "proxy:alice@DAQ"]}
rules:
  - {to: known, role: viewer}
  - {to: ["unix:shifter", "unix:bob"], role: shifter}
  - {to: ["unix:expert", "alice", "token:wall", "proxy:bob"], role: expert}
  - {to: unix:own, role: expert, part: hlt}
""",
    "rights.yaml",
)


def who(*identities: str) -> Grants:
    return Grants(RIGHTS, Principal(identities[0].partition(":")[2], frozenset(identities)))


def asked(there: World, grants: Grants, part: Optional[str] = None, force: bool = False) -> Any:
    name = grants.who.name
    there.say(events.ControlTaken(part, name, known_as(name, grants), 3600.0, "why", force), grants=grants)
    return there.verdict


def test_a_shifter_takes_and_an_expert_takes_over() -> None:
    """Of all that it is; a viewer none of it."""
    there = world()
    assert "viewer" in str(asked(there, who("unix:nobody")))
    assert isinstance(asked(there, who("unix:shifter")), Accepted)
    assert "it takes an expert" in str(asked(there, who("unix:bob"), force=True))
    assert isinstance(asked(there, who("unix:expert"), force=True), Accepted)
    there = world()
    assert isinstance(asked(there, who("unix:own"), "hlt"), Accepted)
    assert isinstance(asked(there, who("unix:own")), Refused)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (("unix:alice",), ("proxy:alice@DAQ",), True),
        (("unix:bob",), ("proxy:bob",), False),
        (("unix:bob", "unix-group:shift"), ("unix:shifter", "unix-group:shift"), False),
        (("token:wall", "unix:alice"), ("unix:alice",), True),
        (("token:wall",), ("unix:expert",), False),
    ],
)
def test_somebody_is_who_the_rules_say_at_each_door(one: tuple[str, ...], other: tuple[str, ...], same: bool) -> None:
    """Equal names with two prefixes are two people, and a group in common makes nobody the same."""
    there = world()
    assert isinstance(asked(there, who(*one)), Accepted)
    there.say(events.Held((("trigger", "hlt02"),), other[0].partition(":")[2], stops=9), grants=who(*other))
    assert isinstance(there.verdict, Accepted) == same, there.verdict


def test_who_runs_a_part_with_no_jobs_left_is_taken_over_as_it_is_said() -> None:
    """Else its next jobs would wait for the end of his time; what has no jobs is nobody's of some of the farm."""
    there = world()
    take(there, "alice", "hlt")
    there.say(events.JobsApplied(Spec(part="hlt"), "alice", allow_empty=True, stops=9))
    assert isinstance(there.verdict, Accepted)
    there.say(apply_of("hlt", "bob", "2"))
    assert "take --part hlt --force" in str(there.verdict)
    assert isinstance(asked(there, who("unix:own"), "hlt", force=True), Accepted)
    there.say(apply_of("hlt", "own", "2"), grants=who("unix:own"))
    assert isinstance(there.verdict, Accepted)
    empty = World(["hlt01"])
    empty.register()
    assert isinstance(asked(empty, who("unix:own")), Refused)
    assert isinstance(asked(empty, who("unix:shifter")), Accepted)
    assert "it takes an expert" in str(asked(empty, who("unix:bob"), force=True))


def test_nobody_is_exempt() -> None:
    """Not root either: it is an agreement, and taking it over is one command."""
    there = world()
    take(there, "alice")
    there.say(apply_of("hlt", "root", "2"))
    assert isinstance(there.verdict, Refused)
