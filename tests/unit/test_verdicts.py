"""The engine answers whoever asks: accepted with what it comes to, or the one reason why not, and then nothing is changed."""

from __future__ import annotations

import typing
from typing import Callable

import msgspec
import pytest

from builders import HAPPENED, World, job, offer
from daqsched.digests import digest
from daqsched.engine import commands, events
from daqsched.engine.engine import _HANDLERS
from daqsched.engine.verdict import Accepted
from daqsched.errors import DaqschedError, PreconditionFailed, Refused, UserError
from daqsched.preflight import UNDER_WAY
from daqsched.rights.tokens import Token
from daqsched.rollout import ONE_BY_ONE, Strategy
from daqsched.spec import EMPTY, Spec
from daqsched_executor.contract import ORDER_KINDS, OperatorCommand

HERE = ("readout", "hlt01")
NOWHERE = ("nothing", "hlt01")
FAR = 1e9
BOB = ("unix:bob",)


def farm() -> World:
    """Two hosts with a job each, up."""
    world = World(["hlt01", "hlt02"])
    world.start(job(hosts="hlt[01-02]", release="r1", actions={"dump": ("/bin/dump",)}))
    world.now += 60.0
    return world


def ask(world: World, event: events.Event) -> typing.Union[Accepted, DaqschedError]:
    """The verdict, of an apply without its digest, which is that in force; `World.say` sees that a refusal changes nothing."""
    world.say(event)
    verdict = world.verdict
    if isinstance(event, events.JobsApplied) and isinstance(verdict, Accepted):
        there = world.engine.revision
        assert verdict.digest == (there.digest if there is not None else digest(EMPTY))
        return msgspec.structs.replace(verdict, digest="")
    return verdict


def aside(world: World) -> None:
    """A host is set aside, and its job has ended."""
    world.say(events.PutAside(("hlt01",), "bob", FAR))
    world.report(world.task_of("readout"), "TASK_KILLED")


def ending(world: World) -> None:
    """A host is set aside, and its job has not ended."""
    world.say(events.PutAside(("hlt01",), "bob", FAR))


def borrowed(world: World) -> None:
    aside(world)
    world.say(events.Borrowed(*HERE, "eve"))


def rolling(world: World) -> None:
    """An apply goes host by host."""
    world.apply(job(hosts="hlt[01-02]", release="r2"), strategy=Strategy(batches=(1,)))


def restarting(world: World) -> None:
    world.say(events.RestartAsked((HERE,), "bob"))


def stopped(world: World) -> None:
    """By eve; it has not ended yet."""
    world.say(events.Held((HERE,), "eve"))


def gone(world: World) -> None:
    """An apply took the job out."""
    world.apply(job("other", hosts="hlt02"))
    for task in list(world.tasks):
        world.report(task, "TASK_KILLED")


def namesake(world: World, agent: str = "agent-2") -> None:
    """Another agent calls itself so."""
    world.say(events.OffersArrived((offer(agent=agent, place=f"10.0.0.{agent[-1]}:5051"),)))


def namesakes(world: World) -> None:
    """Two others."""
    namesake(world)
    namesake(world, "agent-3")


def eve_in_control(world: World) -> None:
    world.say(events.ControlTaken(None, "eve", ("unix:eve",), 3600.0))


def proposed(world: World) -> None:
    """By eve, that all be stopped."""
    world.say(events.ProposalMade(EMPTY, "eve", ("unix:eve",), allow_empty=True))


def away(world: World) -> None:
    world.report(world.task_of("readout"), "TASK_UNREACHABLE")


def as_it_is(world: World) -> None:
    """Nothing happened."""


def asked_much(world: World) -> None:
    for at in range(UNDER_WAY):
        world.say(events.PreflightAsked(str(at), "bob", {"hlt01": ()}, 60.0))


def command(kind: str = "act", name: str = "", key: tuple[str, str] = HERE) -> events.OperatorCommanded:
    return events.OperatorCommanded((key,), OperatorCommand("1", kind, "bob", name, 0.0, ""))


#: What was so, what is asked, and why that is refused. Every kind of event that somebody asks for is in it.
REFUSED: list[tuple[Callable[[World], None], events.Event, type[DaqschedError], str]] = [
    (as_it_is, events.JobsApplied(EMPTY, "bob", base="123456789abc"), PreconditionFailed, "since revision 1 by alice"),
    (as_it_is, events.JobsApplied(EMPTY, "bob"), Refused, "the file has no jobs, which would stop the whole farm"),
    (rolling, events.JobsApplied(EMPTY, "bob", "", None, ("readout",)), Refused, "if that is meant, give --allow-empty"),
    (restarting, events.RestartAsked((HERE,), "bob"), Refused, "rollout 1 by bob is under way"),
    (rolling, events.RestartAsked((HERE,), "bob"), Refused, "rollout 1 by alice is under way"),
    (gone, events.RestartAsked((HERE,), "bob"), UserError, "none of these runs any more"),
    (as_it_is, events.RolloutSteered("pause", "bob"), Refused, "no rollout is under way"),
    (as_it_is, events.RolloutSteered("resume", "bob"), Refused, "no rollout is under way"),
    (as_it_is, events.RolloutSteered("abort", "bob"), Refused, "no rollout is under way"),
    (as_it_is, events.RolloutSteered("rollback", "bob"), Refused, "no rollout is under way"),
    (rolling, events.RolloutSteered("resume", "bob"), Refused, "rollout 1 is not paused"),
    (restarting, events.RolloutSteered("rollback", "bob"), Refused, "a rolling restart has nothing to go back to"),
    (as_it_is, events.PutAside(("hlt01",), "bob", 10.0), UserError, "must end in the future"),
    (as_it_is, events.PutAside(("hlt01", "hlt09"), "bob", FAR), UserError, "hlt09: no job names it"),
    (as_it_is, events.PutAside(("hlt09",), "bob", FAR), UserError, "hlt09: no job names it"),
    (as_it_is, events.Returned(("hlt01",), "bob"), UserError, "hlt01: not set aside"),
    (as_it_is, events.AgentChosen("hlt01", "bob"), Refused, "no other agent has made an offer as hlt01"),
    (namesake, events.AgentChosen("hlt01", "bob", "agent-x"), UserError, "agent-x has made an offer as hlt01; agent-2"),
    (namesakes, events.AgentChosen("hlt01", "bob"), UserError, "add the id of the right one: agent-2 (10.0.0.2:5051); agent-3"),
    (aside, events.Returned(("hlt01", "hlt02"), "bob"), UserError, "hlt02: not set aside"),
    (aside, events.Returned(("hlt01",), "eve"), Refused, "hlt01 is set aside by bob for"),
    (aside, events.PutAside(("hlt02", "hlt01"), "eve", FAR), Refused, "sets aside what is set aside by others, too"),
    (as_it_is, events.Borrowed(*HERE, "bob"), Refused, "hlt01 is not set aside"),
    (as_it_is, events.Borrowed(*NOWHERE, "bob"), Refused, "nothing is not a job of hlt01"),
    (gone, events.Borrowed(*HERE, "bob"), Refused, "readout is not a job of hlt01"),
    (borrowed, events.Borrowed(*HERE, "bob"), Refused, "is run by hand already, by eve"),
    (ending, events.Borrowed(*HERE, "bob"), Refused, "has not ended yet"),
    (aside, events.Borrowed(*HERE, "bob", ("{nonsense}",)), UserError, "command: "),
    (borrowed, events.BorrowEnded(*NOWHERE, "bob"), Refused, "nothing is not a job of hlt01"),
    (as_it_is, events.Held((NOWHERE,), "bob"), Refused, "none of these is desired any more"),
    (gone, events.Held((HERE,), "bob"), Refused, "none of these is desired any more"),
    (stopped, events.Held((HERE, NOWHERE), "bob"), Refused, "nothing was stopped: readout@hlt01 was stopped by eve: `"),
    (stopped, events.Held((HERE,), "bob", spares=True), Refused, "nothing was held: readout@hlt01 was stopped by eve"),
    (stopped, events.Released((HERE, NOWHERE), "bob"), Refused, "readout@hlt01 was stopped by eve: `daqsched start --all"),
    (stopped, events.RestartAsked((HERE, NOWHERE), "bob"), Refused, "nothing was restarted: readout@hlt01 was stopped by eve, and"),
    (gone, command("retry"), Refused, "none of these is desired any more"),
    (as_it_is, events.NoteWritten("bob", " "), UserError, "a note says something"),
    (as_it_is, events.TokenMade(Token("a b", "0" * 64, "viewer", "", "bob", 0.0, 1e5)), UserError, "a token's name has"),
    (as_it_is, events.VariablesSet("", {"v": "2"}, "bob"), UserError, "no variable of the part without a name"),
    (as_it_is, events.TokenRevoked("a", "bob"), UserError, "there is no token a"),
    (as_it_is, events.ControlTaken("nowhere", "bob", BOB, 3600.0), UserError, "no job is of a part of that name"),
    (as_it_is, events.ControlTaken(None, "bob", BOB, 1.0), UserError, "control is taken for 1m to 24h"),
    (eve_in_control, events.ControlTaken(None, "bob", BOB, 3600.0), Refused, "eve is in control of the farm"),
    (eve_in_control, events.ControlTaken(None, "bob", BOB, 3600.0, force=True), UserError, "say why it is taken over"),
    (as_it_is, events.ControlGiven(None, "bob", BOB), Refused, "nobody is in control of the farm"),
    (eve_in_control, events.ControlGiven(None, "bob", BOB), Refused, "not yours to give"),
    (eve_in_control, events.Held((HERE,), "bob"), Refused, "eve is in control of the farm"),
    (as_it_is, events.ProposalMade(EMPTY, "bob", BOB), Refused, "the file has no jobs"),
    (as_it_is, events.ProposalApproved(1, "bob", "1", "2"), UserError, "no such proposal waits"),
    (proposed, events.ProposalApproved(1, "bob", "1", "2"), PreconditionFailed, "and not 1: `daqsched proposals 1` shows it"),
    (proposed, events.ProposalApproved(1, "bob", digest(EMPTY), "2"), PreconditionFailed, "since revision 1 by alice"),
    (as_it_is, events.ProposalClosed(1, "bob", BOB, "rejected"), UserError, "no such proposal waits"),
    (proposed, events.ProposalClosed(1, "bob", BOB, "withdrawn"), Refused, "proposal 1 is of eve, who may withdraw it"),
    (gone, events.Released((HERE,), "bob"), Refused, "none of these is desired any more"),
    (as_it_is, command(name="dumb"), UserError, "there is no action 'dumb', nothing was asked for: readout has dump"),
    (as_it_is, events.PreflightAsked("p", "bob", {"hlt01": ()}, 600.5), UserError, "a preflight may take up to 600 s, not 600.5 s"),
    (as_it_is, events.PreflightAsked("p", "bob", {"hlt01": ()}, 0.0), UserError, "a preflight may take up to 600 s, not 0 s"),
    (asked_much, events.PreflightAsked("more", "bob", {"hlt01": ()}, 60.0), Refused, "preflights are under way"),
]  # fmt: skip


@pytest.mark.parametrize(("before", "event", "kind", "why"), REFUSED, ids=lambda one: getattr(one, "__name__", "")[:40])
def test_a_refusal_has_its_reason_and_changes_nothing(
    before: Callable[[World], None], event: events.Event, kind: type[DaqschedError], why: str
) -> None:
    """Also where the state changed between the look of whoever asks and the event: nobody hears a yes with nothing done."""
    world = farm()
    before(world)
    verdict = ask(world, event)
    assert type(verdict) is kind and why in str(verdict), verdict


def test_each_event_has_a_handler_but_the_one_that_ends_the_daemon() -> None:
    """Which its loop takes before the engine is told."""
    assert set(_HANDLERS) == set(typing.get_args(events.Event)) - {events.Rejected}


def test_each_event_that_somebody_asks_for_is_refused_somewhere() -> None:
    """A new one needs its rows above."""
    assert {type(event) for _, event, _, _ in REFUSED} == set(typing.get_args(events.Event)) - HAPPENED


def test_what_is_accepted_says_what_it_comes_to() -> None:
    """Numbers, instances, and of an apply how many tasks it ends."""
    world = farm()
    assert ask(world, events.Held((HERE, NOWHERE), "bob")) == Accepted(
        keys=(HERE,), rejected=((*NOWHERE, "is no longer desired"),), stops=1
    )
    assert ask(world, events.Released((HERE,), "bob")) == Accepted(keys=(HERE,))
    world.report(world.task_of("readout"), "TASK_KILLED")
    world.offers()
    world.report(world.task_of("readout"))
    assert ask(world, command(name="dump")) == Accepted(keys=(HERE,))
    assert world.engine.revision is not None
    base = digest(world.engine.revision.spec)
    jobs = (job(hosts="hlt[02-03]", release="r2"), job("new"))
    found = ask(world, events.JobsApplied(Spec(jobs=jobs), "bob", base=base))
    assert found == Accepted(revision=2, stops=1, restarts=1, starts=2)
    batches = (job(hosts="hlt[02-03]", release="r3"), job("new", release="r3"))
    assert ask(world, events.JobsApplied(Spec(jobs=batches), "bob", strategy=Strategy(batches=(1,)))) == Accepted(
        revision=3
    )
    assert ask(world, events.JobsApplied(Spec(jobs=batches), "eve")) == Accepted(revision=3), "it is so already"
    assert ask(world, events.PutAside(("hlt03",), "bob", FAR)) == Accepted(keys=(("readout", "hlt03"),))
    assert ask(world, events.Returned(("hlt03",), "bob")) == Accepted(keys=(("readout", "hlt03"),))


def ordered(kind: str) -> Callable[[tuple[tuple[str, str], ...]], events.Event]:
    return lambda keys: events.OperatorCommanded(keys, command(kind, "dump").order)


#: Each event that names instances, and may concern some of them alone.
NAMED: list[Callable[[tuple[tuple[str, str], ...]], events.Event]] = [
    lambda keys: events.RestartAsked(keys, "bob"),
    lambda keys: events.Held(keys, "bob"),
    lambda keys: events.Held(keys, "bob", spares=True),
    lambda keys: events.Released(keys, "bob"),
    *(ordered(kind) for kind in ORDER_KINDS),
]


@pytest.mark.parametrize("asked", NAMED)
@pytest.mark.parametrize("before", [as_it_is, stopped, away, gone])
def test_whoever_names_an_instance_hears_of_it(
    before: Callable[[World], None], asked: Callable[[tuple[tuple[str, str], ...]], events.Event]
) -> None:
    """Each is among those that it concerns, or among the others with a reason, or counted as running; or all is refused."""
    world = farm()
    before(world)
    keys = (HERE, ("readout", "hlt02"), NOWHERE)
    verdict = ask(world, asked(keys))
    if isinstance(verdict, Accepted):
        told = {*verdict.keys, *(one[:2] for one in verdict.rejected)}
        up = {key for key in keys if key != NOWHERE and world.engine.instances[key].record.hold is None}
        assert {*keys} - told <= up and len(keys) - len(told) == verdict.running
        assert not {*verdict.keys} & {one[:2] for one in verdict.rejected} and all(one[2] for one in verdict.rejected)
    else:
        assert before is gone and isinstance(verdict, (Refused, UserError))


def test_an_apply_that_changes_nothing_makes_no_revision_unless_something_is_behind_in_its_part() -> None:
    """The revision in force is the answer, and nothing is saved; what a rollout or an apply of a part left is a change."""
    world = World(["hlt01", "hlt02"])
    assert ask(world, events.JobsApplied(EMPTY, "bob", allow_empty=True)) == Accepted()
    world = farm()
    new = Spec(jobs=(job(hosts="hlt[01-02]", release="r2"),))
    for number, only, there in [
        (1, (), Spec(jobs=(job(hosts="hlt[01-02]", release="r1", actions={"dump": ("/bin/dump",)}),))),
        (2, ("@hlt01",), new),
        (2, ("@hlt01",), new),
        (3, ("@hlt02",), new),
        (3, ("@hlt02",), new),
        (3, (), new),
    ]:
        before = world.engine.revision
        todo = world.say(events.JobsApplied(there, "bob", only=only))
        assert isinstance(world.verdict, Accepted) and world.verdict.revision == number
        saved = [one for one in todo if isinstance(one, commands.SAVES)]
        assert bool(saved) == (world.engine.revision != before)


def test_a_rollout_has_a_number_to_be_asked_for_by() -> None:
    """An apply in batches, a restart, and what is done to them."""
    world = farm()
    jobs = Spec(jobs=(job(hosts="hlt[01-02]", release="r2"),))
    found = ask(world, events.JobsApplied(jobs, "bob", strategy=Strategy(batches=(1,))))
    assert found == Accepted(revision=2, rollout=1, restarts=2)
    assert ask(world, events.RolloutSteered("pause", "bob")) == Accepted(rollout=1)
    assert ask(world, events.RolloutSteered("rollback", "bob")) == Accepted(rollout=1)
    assert world.engine.revision is not None and world.engine.revision.number == 3
    found = ask(world, events.RestartAsked((("readout", "hlt02"),), "bob", strategy=ONE_BY_ONE))
    assert found == Accepted(rollout=2, keys=(("readout", "hlt02"),))


def test_who_borrows_hears_what_is_run_and_may_end_it_twice() -> None:
    """Its program may have ended by itself a moment before."""
    world = farm()
    aside(world)
    assert ask(world, events.Borrowed(*HERE, "eve", ("/bin/try",))) == Accepted(keys=(HERE,), argv=("/bin/try",))
    assert ask(world, events.BorrowEnded(*HERE, "eve")) == Accepted(keys=(HERE,))
    assert ask(world, events.BorrowEnded(*HERE, "eve")) == Accepted()


def test_who_borrows_hears_the_command_as_the_program_is_given_it() -> None:
    """Placeholders filled in; but for a port whose number comes with the offer."""
    world = World(["hlt01"])
    world.register()
    world.apply(job("readout", "hlt01", release="r7", ports={"http": 0, "data": 5000}))
    world.say(events.PutAside(("hlt01",), "eve", FAR))
    argv = ("/sw/{version}/try", "--name={instance}", "{{x}}", "{port:data}", "{port:http}")
    found = ask(world, events.Borrowed("readout", "hlt01", "eve", argv))
    assert found == Accepted(keys=(HERE,), argv=("/sw/r7/try", "--name=readout@hlt01", "{x}", "5000", "{port:http}"))
    noted = [one.sentence for one in world.done if isinstance(one, commands.Note)]
    assert "readout@hlt01 is run by hand by eve: /sw/r7/try --name=readout@hlt01 {x} 5000 {port:http}" in noted


def test_a_command_that_its_executor_cannot_hear_is_told_with_the_reason() -> None:
    """It is for each instance by itself: the others get it."""
    world = farm()
    away(world)
    verdict = ask(world, events.OperatorCommanded((HERE, ("readout", "hlt02"), NOWHERE), command(name="dump").order))
    assert isinstance(verdict, Accepted) and verdict.keys == (("readout", "hlt02"),)
    assert [one[:2] for one in verdict.rejected] == [NOWHERE, HERE]
    assert [one.task_id for one in world.done if isinstance(one, commands.Send)] == [world.task_of("readout", "hlt02")]
