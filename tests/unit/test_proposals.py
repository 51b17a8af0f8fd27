"""Proposals in the engine: bounded, kept, applied by whoever may for the farm that he saw, and what becomes of them."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any, Optional

import msgspec
import pytest

from builders import World, job
from daqsched import proposals as proposals_module
from daqsched.digests import digest
from daqsched.engine import events
from daqsched.engine.commands import PROPOSALS
from daqsched.engine.control_steps import known_as
from daqsched.engine.proposal_steps import as_apply
from daqsched.engine.verdict import Accepted
from daqsched.errors import PreconditionFailed, Refused, UserError
from daqsched.proposals import KEPT_S, MOST_ENDED, MOST_OF_ONE, MOST_WAITING
from daqsched.rights.grants import Grants
from daqsched.rights.principal import Principal
from daqsched.rights.rules import read
from daqsched.rollout import Strategy
from daqsched.spec import EMPTY, Spec

PEOPLE = [f"person{number}" for number in range(6)]


def world() -> World:
    made = World(())
    made.now = 1e9
    made.register()
    made.say(events.JobsApplied(spec("1"), "root"))
    return made


def spec(release: str, **fields: Any) -> Spec:
    return Spec(jobs=(job(release=release, owner="trigger", **fields), job("hv", owner="power")))


def propose(there: World, user: str, what: Spec, grants: Optional[Grants] = None, **more: Any) -> Any:
    there.say(events.ProposalMade(what, user, known_as(user, grants), **more), grants=grants)
    return there.verdict


def base_of(there: World) -> str:
    return digest(there.engine.revision.spec if there.engine.revision is not None else EMPTY)


def approve(there: World, user: str, number: int, grants: Optional[Grants] = None, **more: Any) -> Any:
    waiting = [one for one in there.engine.proposals.waiting if one.number == number]
    fields = {"digest": digest(waiting[0].spec) if waiting else "", "base": base_of(there), "stops": 99, **more}
    there.say(events.ProposalApproved(number, user, **fields), grants=grants)
    return there.verdict


def close(there: World, user: str, number: int, outcome: Any, grants: Optional[Grants] = None) -> Any:
    there.say(events.ProposalClosed(number, user, known_as(user, grants), outcome, "why"), grants=grants)
    return there.verdict


@pytest.mark.parametrize("seed", range(10))
def test_random_sequences_agree_with_a_model(seed: int) -> None:
    """Proposed, approved, rejected, withdrawn, over by time, through restarts and clocks that are set back."""
    chance, there = random.Random(seed), world()
    waiting: dict[int, tuple[str, float, Spec]] = {}
    ended: dict[int, str] = {}
    number, seen = 0, Counter[str]()
    for turn in range(160):
        user, what = (
            chance.choice(PEOPLE),
            chance.choice("propose propose propose approve reject withdraw wait restart back".split()),
        )
        waiting = {
            one: it for one, it in waiting.items() if it[1] > there.now or ended.setdefault(one, "expired") == ""
        }
        meant = chance.choice([*waiting, number + 1, 0]) if what in ("approve", "reject", "withdraw") else 0
        if meant in waiting and what == "withdraw" and chance.random() < 0.7:
            user = waiting[meant][0]
        if what == "propose":
            wanted = spec(f"r{turn}")
            done = sum(it[0] == user for it in waiting.values()) < MOST_OF_ONE and len(waiting) < MOST_WAITING
            found = propose(there, user, wanted)
            if done:
                number += 1
                assert found.proposal == number
                waiting[number] = (user, there.now + KEPT_S, wanted)
        elif what == "approve":
            done = meant in waiting
            found = approve(there, user, meant)
            if done:
                ended[meant] = "approved"
                wanted = waiting.pop(meant)[2]
                assert base_of(there) == digest(wanted) and there.engine.revision is not None
                assert (there.engine.revision.user, f"proposal {meant} by ") == (
                    user,
                    there.engine.revision.message[: len(f"proposal {meant} by ")],
                )
        elif what in ("reject", "withdraw"):
            done = meant in waiting and (what == "reject" or waiting[meant][0] == user)
            found = close(there, user, meant, "rejected" if what == "reject" else "withdrawn")
            if done:
                del waiting[meant]
                ended[meant] = "rejected" if what == "reject" else "withdrawn"
        else:
            done, found = True, Accepted()
            if what == "wait":
                there.wait(chance.choice([60.0, 86_400.0]))
            elif what == "restart":
                there.restart()
                there.register()
            else:
                there.now -= 7200.0
                there.say(events.Ticked())
                waiting = {one: (it[0], it[1] - 7200.0, it[2]) for one, it in waiting.items()}
        about = (seed, turn, what, user, meant, found)
        assert isinstance(found, Accepted) == done, about
        seen[f"{what} {done}"] += 1
        kept = there.engine.proposals
        assert [one.number for one in kept.waiting if one.until > there.now] == [
            one for one, it in waiting.items() if it[1] > there.now
        ], about
        told = {one.number: one.outcome for one in kept.ended}
        assert all(ended.get(one, "expired") == outcome for one, outcome in told.items()) and len(told) <= MOST_ENDED, (
            about
        )
    assert {"propose True", "approve True", "approve False", "reject True", "withdraw True", "withdraw False"} <= set(
        seen
    ), seen


def test_it_changes_nothing_and_is_due_by_itself() -> None:
    there = world()
    before = there.engine.revision
    propose(there, "bob", spec("2"))
    assert there.engine.revision is before and there.engine.next_tick(there.now) <= there.now + KEPT_S
    there.now += KEPT_S + 1
    there.say(events.Ticked())
    assert [one.outcome for one in there.engine.proposals.ended] == ["expired"]


def test_what_is_too_large_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proposals_module, "MOST_BYTES", 50)
    there = world()
    assert "a proposal has at most" in str(propose(there, "bob", spec("2"))) and PROPOSALS not in there.disk.documents


def test_where_the_farm_changed_since_it_is_refused_and_waits_on() -> None:
    """With who changed it since, and when."""
    there = world()
    propose(there, "bob", spec("2"))
    seen = base_of(there)
    there.say(events.JobsApplied(spec("3"), "carol", "in between", stops=99))
    found = approve(there, "alice", 1, base=seen)
    assert isinstance(found, PreconditionFailed) and "since revision 2 by carol: in between" in str(found)
    assert isinstance(approve(there, "alice", 1, base=""), UserError)
    assert isinstance(approve(there, "alice", 1, digest="another"), PreconditionFailed)
    assert [one.number for one in there.engine.proposals.waiting] == [1]
    assert isinstance(approve(there, "alice", 1), Accepted)


def test_how_it_goes_over_the_farm_travels_with_it_unless_the_approver_says_otherwise() -> None:
    there = world()
    for said, batches in ((None, (1,)), (Strategy(batches=(2,)), (2,))):
        wanted = spec(f"r{batches}", hosts="hlt[01-04]")
        propose(there, "bob", spec("1", hosts="hlt[01-04]"))
        event = events.ProposalApproved(1, "alice", "", "", strategy=said)
        one = there.engine.proposals.waiting[-1]
        proposed = msgspec.structs.replace(one, spec=wanted, strategy=Strategy(batches=(1,)))

        way = as_apply(proposed, event).strategy
        assert way is not None and way.batches == batches


def test_what_shifters_may_set_is_no_part_of_it() -> None:
    """A plan would not show what could come of it."""

    there = world()
    propose(there, "bob", spec("2"))
    event = as_apply(there.engine.proposals.waiting[0], events.ProposalApproved(1, "alice", "", ""))
    assert event.choices is None and "choices" not in {
        field.name for field in msgspec.structs.fields(events.ProposalMade)
    }


@pytest.mark.parametrize("saved", [b"", b"\xc1", msgspec.msgpack.encode({"next": "x"})])
def test_what_can_not_be_read_is_forgotten_and_told(saved: bytes) -> None:
    there = world()
    propose(there, "bob", spec("2"))
    there.disk.documents[PROPOSALS] = saved
    there.restart()
    assert not there.engine.proposals.waiting
    assert any("what was proposed can't be read" in one for one in there.engine.troubles)


RIGHTS = read(
    """
version: 1
rules:
  - {to: known, role: viewer}
  - {to: unix:shifter, role: shifter, owner: trigger}
  - {to: unix:both, role: shifter}
  - {to: unix:expert, role: expert, owner: trigger}
  - {to: unix:power, role: expert, owner: power}
  - {to: unix:admin, role: admin}
""",
    "rights.yaml",
)


def who(name: str) -> Grants:
    return Grants(RIGHTS, Principal(name, frozenset([f"unix:{name}"])))


def test_who_may_what() -> None:
    """To propose takes a shifter of all that it changes, to approve what an apply takes, to reject an expert of all of it."""
    both = Spec(jobs=(job(release="2", owner="trigger"), job("hv", owner="power", release="2")))
    one = spec("2")
    for what, may in (
        (one, {"shifter", "both", "expert", "admin"}),
        (both, {"both", "admin"}),
        (spec("2", user="root"), {"shifter", "both", "expert", "admin"}),
    ):
        for name in ("nobody", "shifter", "both", "expert", "power", "admin"):
            assert isinstance(propose(world(), name, what, who(name)), Accepted) == (name in may), (name, what)
    for what, may in (
        (one, {"expert", "admin"}),
        (both, {"admin"}),
        (spec("2", user="root"), {"admin"}),
        (spec("1", hosts="hlt02"), {"expert", "admin"}),
    ):
        for name in ("nobody", "shifter", "both", "expert", "power", "admin"):
            there = world()
            propose(there, "both", what, who("both"))
            before = base_of(there)
            assert isinstance(approve(there, name, 1, who(name)), Accepted) == (name in may), (name, what)
            assert (base_of(there) == before) == (name not in may)
    for name in ("nobody", "shifter", "both", "expert", "power", "admin"):
        there = world()
        propose(there, "shifter", one, who("shifter"))
        assert isinstance(close(there, name, 1, "rejected", who(name)), Accepted) == (name == "admin"), name
        there = world()
        propose(there, "shifter", one, who("shifter"))
        assert isinstance(close(there, name, 1, "withdrawn", who(name)), Accepted) == (name == "shifter"), name


def test_it_takes_control_to_approve_or_reject_and_none_to_propose() -> None:
    """And none to take one's own back."""
    there = world()
    there.say(events.ControlTaken(None, "carol", ("unix:carol",), 3600.0))
    assert isinstance(propose(there, "bob", spec("2")), Accepted)
    found = approve(there, "alice", 1)
    assert isinstance(found, Refused) and "carol is in control" in str(found)
    found = close(there, "alice", 1, "rejected")
    assert isinstance(found, Refused) and "carol is in control" in str(found)
    assert isinstance(propose(there, "bob", spec("3")), Accepted)
    assert isinstance(close(there, "bob", 2, "withdrawn"), Accepted)
    assert isinstance(approve(there, "carol", 1), Accepted)
