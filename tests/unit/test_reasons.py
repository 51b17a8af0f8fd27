"""What people are told of what does not run: rollouts that missed a host, jobs without a machine, what never fits."""

from __future__ import annotations

from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from builders import World, job
from daqsched.engine import events
from daqsched.engine.events import OffersArrived
from daqsched.engine.time_format import TimeFormat
from daqsched.preflight import questions
from daqsched.protocol import StatusAnswer, WhyAnswer
from daqsched.rollout import Strategy, words
from daqsched.select import selection
from daqsched.serve.rollout_answer import rollout_of
from daqsched.spec import Spec
from daqsched.states import Shown
from daqsched.terminal.show import status_table
from daqsched.terminal.show_changes import story_lines, why_lines
from daqsched.views.rows import Row, Story
from daqsched.views.status import Tally, all_keys, rollout_mark, rows, still_away
from daqsched.views.why import explanations, untold
from daqsched_executor.contract import Report


def printed(what: Any, width: int = 250) -> list[str]:
    console = Console(width=width, record=True, file=StringIO())
    console.print(what)
    return [line.rstrip() for line in console.export_text().splitlines()]


def hosts(world: World) -> World:
    world.start(job(hosts="hlt[01-02]", release="r1"))
    return world


def test_a_rollout_that_missed_a_host_says_which_and_is_not_done() -> None:
    """Nor is the farm's status silent about it, until the host is back."""
    world = hosts(World(["hlt01", "hlt02"]))
    world.report(world.task_of("readout", "hlt02"), "TASK_UNREACHABLE")
    world.apply(job(hosts="hlt[01-02]", release="r2"), strategy=Strategy(batches=(1,), ready_s=0.0), stops=2)
    for _ in range(6):
        for task in list(world.tasks):
            if task not in world.running or task.startswith("readout@hlt01"):
                kind = "TASK_KILLED" if world.engine.by_task[task].ending else "TASK_RUNNING"
                if not task.startswith("readout@hlt02"):
                    world.report(task, kind)
        world.offers()
    rollout = world.engine.rolling.rollout
    assert rollout is not None and rollout.over and rollout.unreached == ("hlt02",)
    assert "is done" not in words(rollout) and "but not on hlt02, of which nobody answered" in words(rollout)
    assert rollout_mark(world.engine) == words(rollout)
    answer = StatusAnswer(list(rows(world.engine, all_keys(world.engine), world.now)), 2, "d", "a", 0.0, "m", True, 1.0)
    answer.rollout = rollout_mark(world.engine)
    assert any("but not on hlt02" in line for line in printed(status_table(answer)))
    world.report(world.task_of("readout", "hlt02"))
    assert rollout_mark(world.engine) == "" and still_away(world.engine) == ()
    answered = rollout_of(world.engine, 0, world.now).rollout
    assert answered is not None and words(answered).startswith("rollout 1 of revision 2 is done, after ")


def test_a_paused_or_aborted_rollout_leaves_a_mark_and_one_that_is_done_does_not() -> None:
    """With what is to be done about it."""
    world = hosts(World(["hlt01", "hlt02"]))
    world.apply(job(hosts="hlt[01-02]", release="r2"), strategy=Strategy(batches=(1,), ready_s=99.0), stops=2)
    mark = rollout_mark(world.engine)
    assert mark.startswith(
        "rollout 1 of revision 2: batch 1 of 2; it pauses at the first failure, and what is not ready at 1970"
    )
    world.say(events.RolloutSteered("pause", "bob", "beam"))
    assert (
        "is paused in batch 1 of 2 (1 of 2 instances changed), by bob: beam; `daqsched rollout resume`"
        in rollout_mark(world.engine)
    )
    world.say(events.RolloutSteered("abort", "bob", "no beam"))
    mark = rollout_mark(world.engine)
    assert mark == (
        "1 instance still has what it had before: rollout 1 of revision 2 was aborted in batch 1 of 2 (1 of 2 instances changed), "
        "by bob: no beam; `daqsched apply FILE` brings the others there; `daqsched rollback 1` goes back to revision 1"
    )
    world.apply(job(hosts="hlt[01-02]", release="r2"), stops=2)
    assert rollout_mark(world.engine) == ""


def test_a_job_without_a_machine_has_a_story() -> None:
    """Which attribute is missing, and on how many machines."""
    world = World(["hlt01"])
    world.machines["hlt01"] = {"rack": "r1"}
    world.register()
    world.apply(job("gpu", hosts="", attributes={"rack": "r1", "gpu": "yes"}))
    world.offers()
    ((story, _),) = explanations(world.engine, all_keys(world.engine), world.now)
    assert (story.job, story.host, story.state) == ("gpu", "", "WAITING")
    assert story.evidence[-1] == "gpu=yes: 0 of 1 machines that have made an offer have it"
    assert printed(why_lines(WhyAnswer([story], 1, "")))[0].startswith("gpu  WAITING  no machine has ")
    (line,) = printed(story_lines(list(untold(world.engine, all_keys(world.engine), world.now))))
    assert line == "gpu  WAITING  no machine has rack=r1, gpu=yes yet; it starts when one does"


def test_what_is_not_as_desired_has_a_story_though_nothing_has_changed() -> None:
    """It waits since it was applied: nothing of it has been as desired. What runs has none."""
    world = hosts(World(["hlt01", "hlt02"]))
    world.apply(job(hosts="hlt[01-02]", release="r1"), job("big", "hlt01", mem=1e6))
    world.offers()
    assert world.engine.stories.keys() == ()
    (line,) = printed(story_lines(list(untold(world.engine, all_keys(world.engine), world.now))))
    assert line.startswith("big@hlt01  WAITING  not enough memory")


@pytest.mark.parametrize(
    ("said", "then"),
    [
        (events.Held((("readout", "hlt01"),), "bob", "cabling"), "it ends then and does not start, as it was stopped by bob"),
        (events.Held((("readout", "hlt01"),), "bob", spares=True), "it is not started again, as it is held by bob"),
        (events.PutAside(("hlt01",), "eve", 9e9, "fan"), "it ends then and does not start, as hlt01 is set aside by eve"),
        (events.JobsApplied(Spec(), "eve", allow_empty=True), "it ends then, as it is no longer desired"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("state", ["TASK_UNREACHABLE", "TASK_UNKNOWN"])
def test_what_waits_for_a_dead_host_says_what_a_person_has_said_of_it(
    state: str, said: events.Event, then: str
) -> None:
    """Whoever waits for the host would wait for a start that does not come."""
    world = hosts(World(["hlt01", "hlt02"]))
    world.report(world.task_of("readout", "hlt01"), state)
    (before,) = [one.reason for one in rows(world.engine, [("readout", "hlt01")], world.now)]
    world.say(said)
    (row,) = rows(world.engine, [("readout", "hlt01")], world.now)
    assert row.reason.startswith(f"{before}; {then}"), row.reason


def test_a_job_without_a_machine_can_be_stopped_and_stays_so_where_one_comes() -> None:
    """Over a new daemon, too; `start` lets it run, there and elsewhere."""
    world = World(["hlt01", "hlt02"])
    world.register()
    world.apply(job("gpu", hosts="", attributes={"gpu": "yes"}))
    world.offers()
    world.say(events.Held((("gpu", ""),), "bob", "cooling"))
    (row,) = rows(world.engine, all_keys(world.engine), world.now)
    assert (row.state, row.desired) == ("STOPPED", False) and row.reason.startswith("by bob: cooling; no machine has ")
    world.restart()
    world.register()
    world.machines["hlt01"] = {"gpu": "yes"}
    world.say(OffersArrived((world.offer("hlt01"),)))
    assert world.engine.instances["gpu", "hlt01"].record.hold is not None and not world.tasks
    world.say(events.Released((("gpu", "hlt01"),), "bob"))
    world.machines["hlt02"] = {"gpu": "yes"}
    world.say(OffersArrived((world.offer("hlt01"), world.offer("hlt02"))))
    assert sorted(task.partition(".")[0] for task in world.tasks) == ["gpu@hlt01", "gpu@hlt02"]


@pytest.mark.parametrize(("cpus", "never"), [(7.0, False), (9.0, True)])
def test_what_never_fits_is_told_from_what_has_to_wait(cpus: float, never: bool) -> None:
    """By what the farm's own jobs hold there: to stop them would be of use, or not."""
    world = World(["hlt01"])
    world.start(job("small", cpus=2.0))
    world.apply(job("small", cpus=2.0), job("large", cpus=cpus))
    free = world.offer("hlt01")
    world.say(OffersArrived((type(free)(free.id, free.agent_id, free.names, 8.0 - 2.01, free.mem, free.disk),)))
    (row,) = [one for one in rows(world.engine, all_keys(world.engine), world.now) if one.job == "large"]
    assert (
        row.reason.startswith("not enough cores: needs ")
        and ("it never fits hlt01, which has 8 " in row.reason) == never
    )


def test_deaths_that_are_alike_are_one_entry() -> None:
    """Though each has its own times."""
    told = [
        Story(
            "a", f"hlt{n:02d}", "BACKOFF", f"exit code 3 after {n}.0 s; starts again in {n}.5 s ({n} restarts so far)"
        )
        for n in range(1, 61)
    ]
    told.append(Story("a", "hlt61", "BACKOFF", "exit code 4 after 1.0 s; starts again in 2.0 s"))
    lines = printed(why_lines(WhyAnswer(told, 61, "")))
    assert [line.split()[0] for line in lines] == ["a@hlt[01-60]", "a@hlt61"]
    assert printed(why_lines(WhyAnswer(told, 61, ""), 1))[-1] == "... and 1 more; -n 2 tells of all"


def test_nothing_is_waited_for_where_all_that_is_missing_has_failed_for_good() -> None:
    """One that still tries is waited for."""
    world = World(["hlt01", "hlt02"])
    world.start(job(hosts="hlt[01-02]"))
    found = rows(world.engine, all_keys(world.engine), world.now)
    cases: list[tuple[tuple[Shown, Shown], bool]] = [
        (("FAILED", "RUNNING"), True),
        (("FAILED", "BACKOFF"), False),
        (("RUNNING", "RUNNING"), False),
    ]
    for states, given_up in cases:
        tally = Tally(10)
        tally.add([Row(row.job, row.host, state) for row, state in zip(found, states)])
        assert tally.progress(1).given_up == given_up, states


def test_a_preflight_answers_at_once_for_a_host_without_an_agent() -> None:
    """Nobody waits for it, and the others are asked."""
    world = World(["hlt01"])
    world.register()
    asked = questions(Spec(jobs=(job(hosts="hlt[01-02]"),)), selection(()), lambda job: ())
    world.say(events.PreflightAsked("p", "alice", asked, 60.0, absent=frozenset({"hlt02"})))
    made = world.engine.preflights.made["p"]
    assert (made.asks["hlt02"].over, made.asks["hlt01"].over) == (True, False)
    assert made.asks["hlt02"].reason == "hlt02 is not registered with the master: is its agent up?"


def test_a_silence_has_a_length_for_whoever_looks_now_and_a_beginning_where_it_is_kept() -> None:
    """``since 31 s`` is no English."""
    assert TimeFormat(131.0).since(100.0) == "for 31.0 s"
    assert TimeFormat(131.0, absolute=True).since(100.0) == "since 1970-01-01 00:01:40 UTC"


def test_what_is_launched_anew_again_and_again_shows_how_it_ended() -> None:
    """As what its executor starts again in place does: it runs, but is not well."""
    world = World()
    world.start(job())
    for number in range(1, 4):
        world.report(world.task_of("readout"), "TASK_FAILED", message="more memory than 64 MiB")
        while not world.tasks:
            world.wait(5.0)
            world.offers()
        begins = Report("running", since=world.now).to_json()
        world.report(world.task_of("readout"), by_executor=True, data=begins)
        (row,) = rows(world.engine, all_keys(world.engine), world.now)
        again = f" ({number} in a row)" if number > 1 else ""
        assert row.state == "RUNNING" and row.reason.startswith("last end: ") and row.reason.endswith(again), row
        assert "more memory than 64 MiB" in row.reason
    world.say(events.Released((("readout", "hlt01"),), "bob"))
    (row,) = rows(world.engine, all_keys(world.engine), world.now)
    assert "last end" not in row.reason, "somebody has seen it"
