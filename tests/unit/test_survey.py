"""A survey's course through the executor's core: what is looked at when, what is told, and that it always ends."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daqsched_executor.contract import Findings, Payload, Probe, Survey, task_of
from daqsched_executor.life.commands import Command, Leave, LeaveLook, Look, Tell
from daqsched_executor.life.events import (
    Acknowledged,
    Connected,
    Event,
    LookEnded,
    LookReached,
    Moment,
    StopAsked,
    SurveyAsked,
    Ticked,
)
from daqsched_executor.life.lifecycle import handle
from daqsched_executor.life.state import ENDED, IDLE, LOOKING, begin
from daqsched_executor.life.survey import AT_ONCE, SENTENCE, WHOLE_S


def survey(count: int, timeout_s: float = 5.0) -> Survey:
    """One of ``count`` probes: p0, p1, ..."""
    probes = (Probe(f"p{n}", f"/cvmfs/x/bin/p{n}", needs=("/cvmfs/x",), timeout_s=timeout_s) for n in range(count))
    return Survey("preflight-1@hlt01.7", "hlt01", tuple(probes))


class Story:
    """An executor that was handed a survey."""

    def __init__(self, asked: Survey) -> None:
        self.time = 100.0
        self.state = begin(Moment(self.time), 900.0)
        self.told: list[Tell] = []
        self.happen(Connected())
        self.first = self.happen(SurveyAsked(asked))

    def happen(self, *events: Event, after: float = 0.0) -> list[Command]:
        """Let time pass, then the events happen; returns what they command."""
        self.time += after
        commanded: list[Command] = []
        for event in events:
            self.state, commands = handle(self.state, event, Moment(self.time))
            commanded += commands
        self.told += [command for command in commanded if isinstance(command, Tell)]
        return commanded

    def due(self) -> list[Command]:
        """Time passes until the core wants to be woken."""
        assert self.state.wake_at is not None
        self.time = max(self.time, self.state.wake_at)
        return self.happen(Ticked())

    @property
    def found(self) -> dict[str, str]:
        """What the one and last report says."""
        (told,) = self.told
        assert told.final and isinstance(told.report, Findings)
        return dict(told.report.found)


def looks(commands: list[Command]) -> list[int]:
    """The looks that are begun."""
    return [command.look for command in commands if isinstance(command, Look)]


def test_all_is_looked_at_and_told_once() -> None:
    """Good and bad probes in one last report; the executor leaves when the agent has it."""
    story = Story(survey(2))
    assert looks(story.first) == [0, 1] and story.state.phase == LOOKING
    story.happen(LookReached(0, "/cvmfs/x/bin/p0"), LookReached(0, ""), LookEnded(0, ""))
    assert story.told == []
    story.happen(LookEnded(1, "/cvmfs/x/bin/p1 is missing: is the version published?"))
    assert story.found == {"p0": "", "p1": "/cvmfs/x/bin/p1 is missing: is the version published?"}
    assert story.told[0].task_state == "TASK_FINISHED"
    assert story.told[0].message.startswith("survey: 1 of 2 could start; p1: /cvmfs/x/bin/p1 is missing")
    assert story.happen(Acknowledged()) == [Leave()] and story.state.phase == ENDED


def test_what_a_look_is_given_is_what_a_start_would_be_given() -> None:
    """The same program, needs, account and limits: the child's code is that of a start."""
    probe = Probe("p", "bin/p", {"A": "1"}, ("/need",), "/work", "daq", {"nofile": 10}, False, 2.0, True)
    (look,) = [command for command in Story(Survey("t", "hlt01", (probe,))).first if isinstance(command, Look)]
    expected = Payload(
        task_id="t",
        job="preflight",
        host="hlt01",
        argv=("bin/p",),
        env={"A": "1"},
        needs=("/need",),
        cwd="/work",
        user="daq",
        limits={"nofile": 10},
        libraries=False,
        new_privileges=True,
        probe_timeout_s=2.0,
    )
    assert look.payload == expected


def test_only_a_few_look_at_a_time() -> None:
    """The next one begins when one ends."""
    story = Story(survey(AT_ONCE + 2))
    assert looks(story.first) == list(range(AT_ONCE))
    assert looks(story.happen(LookEnded(3, ""))) == [AT_ONCE]
    assert looks(story.happen(LookReached(4, "/cvmfs/x"))) == []


def test_a_path_that_hangs_is_told_and_its_child_left() -> None:
    """The limit counts from each path anew; what is heard after it changes nothing."""
    story = Story(survey(1))
    story.happen(LookReached(0, "/cvmfs/x/bin/p0"), after=4.0)
    assert story.happen(Ticked(), after=4.9) == []
    assert LeaveLook(0) in story.happen(Ticked(), after=0.1)
    assert story.found == {"p0": "/cvmfs/x/bin/p0 does not answer within 5.0 s (cvmfs hangs?)"}
    assert story.happen(LookEnded(0, ""), LookReached(0, "/x")) == []


def test_an_account_that_takes_long_to_look_up_is_waited_for_as_long_as_there_is_time() -> None:
    """It is no path that hangs; where it is not found by the end, that is the answer."""
    story = Story(survey(1))
    story.happen(LookReached(0, "the account daq", account=True))
    assert story.happen(Ticked(), after=20.0) == []
    story.happen(LookReached(0, "/cvmfs/x/bin/p0"), LookEnded(0, ""))
    assert story.found == {"p0": ""}
    late = Story(survey(1))
    late.happen(LookReached(0, "the account daq", account=True))
    assert LeaveLook(0) in late.happen(Ticked(), after=WHOLE_S)
    assert late.found["p0"].startswith("the account daq was not found within 30.0 s: does this machine's directory")


def test_a_host_where_all_hangs_answers_within_the_whole_time() -> None:
    """Forty that hang are told of one by one, the rest together; nothing is left running."""
    story = Story(survey(100))
    begun, left = set(looks(story.first)), set()
    while not story.told:
        commands = story.due()
        begun |= set(looks(commands))
        left |= {command.look for command in commands if isinstance(command, LeaveLook)}
    assert story.time <= 100.0 + WHOLE_S and begun == left
    assert len(story.found) == 100
    assert sum("does not answer within 5.0 s" in problem for problem in story.found.values()) >= 40
    assert story.found["p99"] == "not looked at within 30.0 s, because too many others hang"


def test_a_survey_that_is_stopped_tells_what_it_knows() -> None:
    """Its children are left, the rest is marked as not looked at."""
    story = Story(survey(3))
    story.happen(LookEnded(1, ""))
    commands = story.happen(StopAsked("the scheduler"))
    assert LeaveLook(0) in commands and LeaveLook(2) in commands
    assert story.told[0].task_state == "TASK_KILLED"
    assert story.found["p1"] == "" and story.found["p2"] == "not looked at: stopped by the scheduler"


def test_a_survey_of_nothing_ends_at_once() -> None:
    """No child, one report."""
    assert Story(survey(0)).found == {}


def test_a_sentence_without_end_is_cut() -> None:
    """Paths may be long; the report goes through the agent and the master."""
    story = Story(survey(1))
    story.happen(LookEnded(0, "x" * 10_000))
    assert len(story.found["p0"]) == SENTENCE


def test_an_executor_whose_agent_stays_away_ends_its_survey() -> None:
    """As it would end a program."""
    from daqsched_executor.life.events import Disconnected

    story = Story(survey(1, timeout_s=1e6))
    story.happen(Disconnected())
    story.happen(Ticked(), after=901.0)
    assert story.state.phase == ENDED and story.told[0].final


def test_a_survey_travels_and_is_told_from_a_job() -> None:
    """What `to_json` writes, `task_of` reads; a job stays a job."""
    asked = survey(2)
    assert task_of(asked.to_json()) == asked
    job = Payload("readout@hlt01.1", "readout", "hlt01", ("/bin/true",))
    assert task_of(job.to_json()) == job


@pytest.mark.parametrize("event", [LookEnded(0, ""), LookReached(0, "")], ids=lambda event: type(event).__name__)
def test_a_look_that_nobody_asked_for_is_said(event: Event) -> None:
    """Before a task came."""
    state, commands = handle(begin(Moment(0.0), 900.0), event, Moment(0.0))
    assert state.phase == IDLE and "ignored" in repr(commands)


@given(
    st.integers(0, 30),
    st.lists(st.tuples(st.integers(0, 40), st.sampled_from(["reach", "good", "bad", "tick"]), st.floats(0, 6))),
)
def test_whatever_happens_every_probe_is_answered_once_and_in_time(
    count: int, happenings: list[tuple[int, str, float]]
) -> None:
    """Children that are there act at random; then they all hang."""
    story = Story(survey(count))
    running = set(looks(story.first))

    def take(commands: list[Command]) -> None:
        nonlocal running
        running |= set(looks(commands))
        running -= {command.look for command in commands if isinstance(command, LeaveLook)}
        assert len(running) <= AT_ONCE

    for number, what, wait in happenings:
        if story.told or story.time + wait > 100.0 + WHOLE_S:
            break
        if what == "tick" or number not in running:
            take(story.happen(Ticked(), after=wait))
        elif what == "reach":
            take(story.happen(LookReached(number, "/a"), after=wait))
        else:
            running.discard(number)
            take(story.happen(LookEnded(number, "" if what == "good" else "bad"), after=wait))
    while not story.told:
        take(story.due())
    assert not running and story.time <= 100.0 + WHOLE_S
    assert set(story.found) == {f"p{n}" for n in range(count)}
