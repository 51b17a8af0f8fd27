"""No request ends more running programs at once than may end unasked, or than whoever asks has agreed to: none of any kind."""

from __future__ import annotations

import inspect
import typing
from copy import deepcopy
from functools import cache
from typing import Any, Callable

import msgspec
import pytest

from builders import HAPPENED, World, job, of, offer
from daqsched import protocol
from daqsched.choices import ChoiceVariable, made
from daqsched.confirm import ALL, Ending, EndLimit, NotConfirmed, check, parse
from daqsched.digests import digest
from daqsched.engine import commands, events
from daqsched.engine.verdict import Accepted
from daqsched.errors import JobError, Refused
from daqsched.preflight import Question
from daqsched.rights.tokens import Token
from daqsched.rollout import AT_ONCE, ONE_BY_ONE, Strategy
from daqsched.select import selection
from daqsched.spec import EMPTY, FORWARDER, ForwarderSpec, JobSpec, Spec
from daqsched_executor.contract import OperatorCommand, Probe, Report

FAR = 1e9
HOSTS = tuple(f"hlt{number:02d}" for number in range(1, 13))
READOUT = tuple(("readout", host) for host in HOSTS)
TWO = Strategy(batches=(2, "100%"), ready_s=0.0)


def jobs(release: str = "r1", hosts: str = "hlt[01-12]") -> tuple[JobSpec, ...]:
    return (job(hosts=hosts, release=release, actions={"dump": ("/bin/dump",)}),)


def farm() -> World:
    """Twelve programs that run, of which five may end unasked, and a forwarder on each host, which counts for nothing."""
    return deepcopy(started())


@cache
def started() -> World:
    world = World(HOSTS)
    forwarder = ForwarderSpec(name=FORWARDER, argv=("x",), hosts=("hlt[01-12]",))
    world.start(*jobs(), forwarder)
    assert len(world.running) == 24
    return world


def with_forwarder(*these: JobSpec) -> Spec:
    return Spec(jobs=(*these, ForwarderSpec(name=FORWARDER, argv=("x",), hosts=("hlt[01-12]",))))


def as_it_is(world: World) -> None:
    """Nothing happened."""


def rolled(world: World) -> None:
    """A rollout has changed the first two, and is through with them."""
    world.say(
        events.JobsApplied(with_forwarder(*jobs("r2")), "alice", "", Strategy(batches=(2, "100%"), pause_after=(1,)))
    )
    for key in READOUT[:2]:
        world.report(world.task_of(*key), "TASK_KILLED")
    world.offers()
    for key in READOUT[:2]:
        world.report(world.task_of(*key))
    world.wait(60.0)
    assert world.engine.rolling.active is not None and world.engine.rolling.active.state == "paused"


def gone_through(world: World) -> None:
    """A rollout has changed all, and waits."""
    way = Strategy(batches=(12,), pause_after=(), ready_s=100.0)
    world.say(events.JobsApplied(with_forwarder(*jobs("r2")), "alice", "", way, stops=12))
    for key in READOUT:
        world.report(world.task_of(*key), "TASK_KILLED")
    world.offers()
    for key in READOUT:
        world.report(world.task_of(*key))


def borrowed(world: World) -> None:
    """All hosts are set aside, and a job is run by hand on each."""
    world.say(events.PutAside(HOSTS, "bob", FAR, stops=12))
    for key in READOUT:
        world.report(world.task_of(*key), "TASK_KILLED")
        world.say(events.Borrowed(*key, "eve"))
    world.offers()
    for key in READOUT:
        world.report(world.task_of(*key))


def first_aside(world: World) -> None:
    """One host is set aside."""
    world.say(events.PutAside(("hlt01",), "eve", FAR))


def borrowed_and_careful(world: World) -> None:
    """The same where nothing may end unasked."""
    borrowed(world)
    world.engine.end_limit = EndLimit(programs=0)


def twin_and_careful(world: World) -> None:
    """Another agent calls itself as the first host, and nothing may end unasked."""
    world.say(events.OffersArrived((offer("hlt01", agent="agent-other"),)))
    world.engine.end_limit = EndLimit(programs=0)


def listed(world: World) -> None:
    """A shifter may set the version."""
    specs: dict[tuple[str, ...], Spec] = {("1",): with_forwarder(*jobs()), ("2",): with_forwarder(*jobs("r2"))}
    found = made(specs["1",], [ChoiceVariable(name="v", values=("1", "2"))], ["1"], specs)
    world.say(events.JobsApplied(specs["1",], "alice", choices={"": found}))


def proposed(world: World) -> None:
    """An empty file is proposed."""
    world.say(events.ProposalMade(EMPTY, "eve", ("unix:eve",), allow_empty=True))


def in_control(world: World) -> None:
    world.say(events.ControlTaken(None, "bob", ("unix:bob",), 3600.0))


def applied(spec: Spec, **more: Any) -> events.JobsApplied:
    return events.JobsApplied(spec, "bob", allow_empty=True, **more)


def command(kind: str) -> events.OperatorCommanded:
    return events.OperatorCommanded(
        READOUT, OperatorCommand("1", kind, "bob", "dump" if kind == "act" else "", FAR, "")
    )


#: What was so, what is asked for, how many running programs that ends at once, and how many of them are started anew.
ENDS: list[tuple[str, Callable[[World], None], events.Event, int, int]] = [
    ("an empty file", as_it_is, applied(EMPTY), 12, 0),
    ("an empty file, approved", proposed, events.ProposalApproved(1, "bob", digest(EMPTY), digest(with_forwarder(*jobs()))), 12, 0),
    ("some hosts fewer", as_it_is, applied(with_forwarder(*jobs(hosts="hlt[01-06]"))), 6, 0),
    ("another job", as_it_is, applied(with_forwarder(job("other", "hlt01"))), 12, 0),
    ("another version at once", as_it_is, applied(with_forwarder(*jobs("r2"))), 12, 12),
    ("a part", as_it_is, applied(with_forwarder(*jobs("r2")), only=("@hlt[01-07]",)), 7, 7),
    ("the first batch", as_it_is, applied(with_forwarder(*jobs("r2")), strategy=Strategy(batches=(7, 1))), 7, 7),
    ("no failure counts", as_it_is, applied(with_forwarder(*jobs("r2")), strategy=Strategy(batches=(1,), failures=0)), 12, 12),
    ("fewer hosts, in batches", as_it_is, applied(with_forwarder(*jobs("r2", "hlt[01-06]")), strategy=TWO), 8, 2),
    ("a variable", listed, events.VariablesSet("", {"v": "2"}, "bob"), 12, 12),
    ("during a rollout", rolled, applied(with_forwarder(*jobs("r3"))), 12, 12),
    ("a stop", as_it_is, events.Held(READOUT, "bob"), 12, 0),
    ("a restart at once", as_it_is, events.RestartAsked(READOUT, "bob", "", AT_ONCE), 12, 12),
    ("a restart, first batch", as_it_is, events.RestartAsked(READOUT, "bob", "", Strategy(batches=("50%",))), 6, 6),
    ("hosts aside", as_it_is, events.PutAside(HOSTS, "bob", FAR), 12, 0),
    ("the next batch", rolled, events.RolloutSteered("resume", "bob"), 10, 10),
    ("back", gone_through, events.RolloutSteered("rollback", "bob"), 12, 12),
    ("hosts returned", borrowed, events.Returned(HOSTS, "bob"), 12, 0),
    ("an end by hand", borrowed_and_careful, events.BorrowEnded(*READOUT[0], "bob"), 1, 0),
    ("another agent", twin_and_careful, events.AgentChosen("hlt01", "bob"), 1, 0),
    ("a restart in place", as_it_is, command("restart"), 12, 12),
]  # fmt: skip

#: What ends nothing that anybody asked to be kept, whatever it is said of.
ENDS_NOTHING: list[tuple[Callable[[World], None], events.Event]] = [
    (as_it_is, events.Released(READOUT, "bob")),
    (as_it_is, command("act")),
    (as_it_is, command("retry")),
    (as_it_is, events.NoteWritten("bob", "beam is back")),
    (as_it_is, events.TokenMade(Token("a", "0" * 64, "viewer", "", "bob", 0.0, 1e5))),
    (as_it_is, events.TokenRevoked("a", "bob")),
    (as_it_is, events.ControlTaken(None, "bob", ("unix:bob",), 3600.0)),
    (in_control, events.ControlGiven(None, "bob", ("unix:bob",))),
    (as_it_is, events.ProposalMade(EMPTY, "eve", ("unix:eve",), allow_empty=True)),
    (proposed, events.ProposalClosed(1, "bob", ("unix:bob",), "rejected")),
    (as_it_is, events.PreflightAsked("p", "bob", {"hlt01": (Question(("a",), "", Probe("a", "/bin/a")),)}, 60.0)),
    (rolled, events.RolloutSteered("abort", "bob")),
    (gone_through, events.RolloutSteered("pause", "bob")),
    (as_it_is, applied(with_forwarder(*jobs(), job("more", "hlt[01-12]")))),
    (as_it_is, applied(with_forwarder(*jobs("r2")), strategy=TWO)),
    (as_it_is, events.RestartAsked(READOUT, "bob", "", ONE_BY_ONE)),
    (first_aside, events.Borrowed(*READOUT[0], "bob")),
]  # fmt: skip


def names(case: tuple[object, ...]) -> str:
    return str(case[0])


@pytest.mark.parametrize("case", ENDS, ids=names)
def test_a_request_that_ends_more_than_agreed_is_refused_with_the_number(
    case: tuple[str, Callable[[World], None], events.Event, int, int],
) -> None:
    """And changes nothing (`World.say` looks); with the number it is done, and with one less it is not."""
    _, before, event, count, again = case
    for agreed in (None, count - 1):
        world = farm()
        before(world)
        world.say(msgspec.structs.replace(event, stops=agreed))
        verdict = world.verdict
        assert isinstance(verdict, NotConfirmed), verdict
        running = 12
        assert f"this ends {count} of {running} running programs at once" in str(verdict)
        assert f"--stops {count}, or --yes" in str(verdict)
        assert (verdict.stops, verdict.running, verdict.exit_code) == (count, running, Refused.exit_code)
        assert sum(one.count for one in verdict.endings) == count
        assert sum(one.count for one in verdict.endings if one.again) == again
        assert {one.job for one in verdict.endings} == {"readout"}, "lines are nobody's program"
    for agreed in (count, ALL):
        world = farm()
        before(world)
        world.say(msgspec.structs.replace(event, stops=agreed))
        assert isinstance(world.verdict, Accepted), world.verdict


@pytest.mark.parametrize("case", ENDS_NOTHING, ids=lambda case: type(case[1]).__name__)
def test_what_ends_little_is_done_unasked(case: tuple[Callable[[World], None], events.Event]) -> None:
    """It is refused for no number; that it ends nothing beyond it is looked at by `World.say`."""
    before, event = case
    world = farm()
    before(world)
    world.say(event)
    assert not isinstance(world.verdict, NotConfirmed)


def test_each_event_that_somebody_asks_for_is_looked_at() -> None:
    """A new one needs its rows above: those that end programs say how many, with ``stops`` in the event."""
    ends = {type(case[2]) for case in ENDS}
    asked = set(typing.get_args(events.Event)) - HAPPENED
    assert ends | {type(case[1]) for case in ENDS_NOTHING} == asked
    for kind in asked:
        assert ("stops" in kind.__struct_fields__) == (kind in ends), f"{kind} ends programs, or it does not"


#: Requests, and parts of some, that end no program: they ask, look, or let run. What is typed at a program's terminal it
#: answers itself: one person writes to one program.
HARMLESS = {
    protocol.PlanRequest,
    protocol.PreflightRequest,
    protocol.SandboxesRequest,
    protocol.ReadRequest,
    protocol.Piece,
    protocol.ConsoleRequest,
    protocol.HideRequest,
    protocol.ConsoleRead,
    protocol.ConsoleKeys,
    protocol.ConsoleLeave,
    protocol.NoteRequest,
    protocol.TokenRequest,
    protocol.RevokeRequest,
    protocol.LoginRequest,
    protocol.LogoutRequest,
    protocol.OidcLoginRequest,
    protocol.OidcRequest,
    protocol.LinesRequest,
    protocol.CountLinesRequest,
    protocol.LinesContextRequest,
    protocol.LineExamplesRequest,
    protocol.NewLinesRequest,
    protocol.FollowLinesRequest,
    protocol.DeadLettersRequest,
    protocol.ProposeRequest,
    protocol.CloseRequest,
}


def test_each_request_says_how_many_may_end_or_ends_none() -> None:
    """A new one has ``stops``, or is entered above; a request is what is sent to us, of which no field may be unknown."""
    requests = {
        kind
        for _, kind in inspect.getmembers(protocol, inspect.isclass)
        if issubclass(kind, msgspec.Struct)
        and kind.__module__.startswith(f"{protocol.__name__}.")
        and kind is not protocol.LinesWanted  # what questions about lines have in common
        and kind.__struct_config__.forbid_unknown_fields
    }
    assert {kind for kind in requests if "stops" not in kind.__struct_fields__} == HARMLESS
    assert protocol.ApplyRequest in requests and protocol.SelectRequest in requests


@pytest.mark.parametrize(
    ("limit", "running", "most"),
    [
        (EndLimit(), 0, 5),
        (EndLimit(), 15, 5),
        (EndLimit(), 16, 6),
        (EndLimit(), 60, 20),
        (EndLimit(), 250_000, 20),
        (EndLimit(programs=3), 60, 3),
        (EndLimit(programs=0), 60, 0),
        (EndLimit(programs=500, share="10%"), 1000, 100),
        (EndLimit(programs=ALL, share="100%"), 1000, 1000),
    ],
)
def test_the_bound_is_a_number_or_a_share_whichever_is_less(limit: EndLimit, running: int, most: int) -> None:
    """A share is at least five: three hosts of a tutorial ask nobody at each step."""
    assert limit.most(running) == most


def test_where_nothing_is_said_the_job_file_counts_and_then_the_daemon() -> None:
    """What is in force counts, not what the apply brings: a wrong file does not lift the bound by itself."""
    world = farm()
    world.engine.end_limit = EndLimit(programs=2)
    world.say(events.Held(READOUT[:3], "bob"))
    assert isinstance(world.verdict, NotConfirmed)
    generous = msgspec.structs.replace(with_forwarder(*jobs("r2")), confirm=EndLimit(programs=ALL, share="100%"))
    world.say(applied(generous))
    assert isinstance(world.verdict, NotConfirmed)
    world.say(applied(msgspec.structs.replace(with_forwarder(*jobs()), confirm=generous.confirm)))
    assert not of(world.done, commands.Kill)
    world.say(events.Held(READOUT, "bob"))
    assert isinstance(world.verdict, Accepted) and len(of(world.done, commands.Kill)) == 12


def test_a_part_leaves_the_bound_as_it_is() -> None:
    """As it does the rollout's way: both are the whole farm's."""
    world = farm()
    world.apply(*jobs(), confirm=EndLimit(programs=1))
    world.apply(*jobs("r2"), only=("@hlt01",), confirm=EndLimit(programs=100))
    assert world.engine.spec.confirm == EndLimit(programs=1)


def test_what_does_not_run_ends_nothing() -> None:
    """What is stopped, or has been told to end, is not counted twice."""
    world = farm()
    world.say(events.Held(READOUT, "bob", stops=12))
    world.say(applied(EMPTY))
    assert isinstance(world.verdict, Accepted)


def test_a_host_that_does_not_answer_is_no_first_batch() -> None:
    """Nobody waits for it, so the batch after it begins at once: that one is counted."""
    world = farm()
    world.report(world.task_of("readout", "hlt01"), "TASK_UNREACHABLE")
    way = Strategy(batches=(1, 11), ready_s=0.0)
    world.say(applied(with_forwarder(*jobs("r2")), strategy=way))
    assert isinstance(world.verdict, NotConfirmed) and world.verdict.stops == 12


def test_a_sentence_says_what_ends() -> None:
    """Job by job, hosts in short; many jobs are cut."""
    world = farm()
    world.say(applied(with_forwarder(*jobs(hosts="hlt[01-06]"))))
    assert isinstance(world.verdict, NotConfirmed)
    assert world.verdict.endings == (Ending("readout", "hlt[07-12]", 6),)
    assert str(world.verdict) == (
        "not done: this ends 6 of 12 running programs at once (6 of readout on hlt[07-12]): if that is meant, give --stops 6, "
        "or --yes"
    )
    world.say(events.RestartAsked(READOUT, "bob", "", AT_ONCE, 3))
    assert "more than the 3 agreed to (12 of readout on hlt[01-12], started anew)" in str(world.verdict)


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("20,33%", EndLimit()),
        ("7", EndLimit(programs=7, share="100%")),
        ("25.5%", EndLimit(programs=ALL, share="25.5%")),
        (" 3 , 5% ", EndLimit(programs=3, share="5%")),
    ],
)
def test_a_bound_is_written_as_a_number_a_share_or_both(text: str, limit: EndLimit) -> None:
    """As `serve --confirm-over` takes it."""
    assert parse(text) == limit


@pytest.mark.parametrize("text", ["", "x", "101%", "-1", "1e3", "33 %", "%", "1,2,%"])
def test_what_is_no_bound_is_refused(text: str) -> None:
    """With the field."""
    with pytest.raises(JobError):
        parse(text)
    with pytest.raises(JobError, match="must be 0 or more"):
        check(EndLimit(programs=-1))


def test_what_waits_out_a_back_off_is_no_running_program() -> None:
    """It ends nothing that anybody has, and is not among those that run."""
    world = farm()
    for key in READOUT[:9]:
        backs_off = Report("backoff", until=world.now + 60.0).to_json()
        world.report(world.task_of(*key), by_executor=True, data=backs_off)
    world.say(events.Held(READOUT, "bob", stops=2))
    assert isinstance(world.verdict, NotConfirmed) and (world.verdict.stops, world.verdict.running) == (3, 3)
    world.say(events.RestartAsked(READOUT, "bob", "", AT_ONCE, stops=3))
    assert isinstance(world.verdict, Accepted)


def in_backoff(world: World) -> None:
    """Two have no program now: one waits to be started again, the other's launch failed."""
    world.report(world.task_of(*READOUT[0]), data=Report("backoff", restarts=3).to_json(), by_executor=True)
    world.report(world.task_of(*READOUT[1]), "TASK_KILLED")


def unreachable(world: World) -> None:
    """A host does not answer."""
    world.report(world.task_of(*READOUT[0]), "TASK_UNREACHABLE")


SELECTIONS = ["*", "readout", "@hlt01", "@hlt[01-03]", FORWARDER, "readout@hlt02", "readout@hlt[02-12]"]


@pytest.mark.parametrize("select", SELECTIONS)
@pytest.mark.parametrize("before", [as_it_is, in_backoff, unreachable, rolled, first_aside])
def test_a_stop_ends_as_many_as_the_question_before_it_asked_about(
    before: Callable[[World], None], select: str
) -> None:
    """Forwarders of lines and what has no program count in neither number."""
    world = farm()
    before(world)
    world.engine.end_limit = EndLimit(programs=0)
    named = selection([select])
    keys = tuple(key for key in world.engine.instances if named(*key))
    world.say(events.Held(keys, "bob"))
    asked = world.verdict.stops if isinstance(world.verdict, NotConfirmed) else 0
    if asked:
        world.say(events.Held(keys, "bob", stops=asked))
    told = world.verdict
    assert isinstance(told, Accepted), told
    assert told.stops == asked <= sum(key[0] != FORWARDER for key in told.keys)
    assert (told.stops > 0) == (select != FORWARDER and (before, select) not in NOTHING_RUNS)


#: Where a selection has no program that runs.
NOTHING_RUNS = {(first_aside, "@hlt01"), (in_backoff, "@hlt01"), (in_backoff, "readout@hlt02")}
