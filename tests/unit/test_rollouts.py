"""Rollouts, ends in order, hosts set aside, parts of a farm: events in, commands out."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from builders import World, job, of, rows, turn
from daqsched.batches import depths, divide, sizes
from daqsched.confirm import NotConfirmed
from daqsched.engine import commands, events
from daqsched.engine.reasons import reason_of
from daqsched.engine.rollout_steps import outcome_of
from daqsched.engine.shown import state_of
from daqsched.engine.stop_order import LONGEST_S
from daqsched.engine.time_format import TimeFormat
from daqsched.engine.verdict import Accepted
from daqsched.errors import JobError, Refused
from daqsched.merge import Scope, change_of
from daqsched.protocol import RevisionHead
from daqsched.rollout import (
    AT_ONCE,
    Rollout,
    RolloutOutcome,
    Strategy,
    batches_words,
    check,
    limit_words,
    parse_batches,
    words,
)
from daqsched.spec import Spec
from daqsched.task import Task
from daqsched.terminal.show_changes import history_table
from daqsched.views.estimate import with_times
from daqsched.views.plan import plan
from daqsched.views.snapshot import had, snapshot
from daqsched_executor.contract import Exit, Report

HOSTS = ["hlt01", "hlt02", "hlt03", "hlt04"]

A_ROLLOUT = Rollout(3, "apply", "bob", "", 5.0, 7, 6, Strategy(), 4, 9, 4, batch_began=10.0)


def farm(*, after: bool = False) -> World:
    """Four hosts with release r1 of readout, all up; with ``after`` also a monitor that comes after it on each."""
    world = World(HOSTS)
    jobs = [job(hosts="hlt[01-04]", release="r1")]
    if after:
        jobs.append(job("monitor", hosts="hlt[01-04]", release="r1", after=("readout",)))
    world.start(*jobs)
    world.offers()
    for task in sorted(world.tasks):
        world.report(task)
    return world


def change(world: World, strategy: Strategy, release: str = "r2", only: Iterable[str] = ()) -> None:
    """The same jobs with another release."""
    jobs = [job(one.name, one.hosts[0], release=release, after=one.after) for one in world.engine.spec.jobs]
    world.apply(*jobs, strategy=strategy, only=only, stops=len(world.tasks))


def releases(world: World, name: str = "readout") -> str:
    """The release of what runs on each host in turn, - where nothing does: ``r1 r2 - r1``."""
    hosts = {world.payloads[task].host for task in world.running.intersection(world.tasks) if task.startswith(name)}
    jobs = {host: world.engine.instances[name, host].job for host in hosts}
    return " ".join(one.release if (one := jobs.get(host)) else "-" for host in HOSTS)


def test_a_batch_changes_only_when_the_one_before_is_ready_and_has_been_for_a_time() -> None:
    """Kill first, then start, host by host; a gate of ten seconds between batches."""
    world = farm()
    change(world, Strategy(batches=(1, 2), ready_s=10.0))
    assert [c.task_id.partition(".")[0] for c in of(world.done, commands.Kill)] == ["readout@hlt01"]
    turn(world)
    assert releases(world) == "r2 r1 r1 r1"
    world.now += 9.0
    world.say(events.Ticked())
    assert releases(world) == "r2 r1 r1 r1"
    world.now += 1.1
    world.say(events.Ticked())
    turn(world)
    assert releases(world) == "r2 r2 r2 r1"
    world.now += 10.1
    world.say(events.Ticked())
    turn(world)
    world.now += 10.1
    world.say(events.Ticked())
    assert releases(world) == "r2 r2 r2 r2"
    rollout = world.engine.rolling.rollout
    assert rollout is not None and rollout.state == "done" and not world.engine.mixed


def test_a_failure_pauses_and_resume_goes_on() -> None:
    """What was not reached goes on as it is; a dead program of another host does not count."""
    world = farm()
    change(world, Strategy(batches=(1,), ready_s=5.0))
    world.report(world.task_of("readout", "hlt04"), "TASK_FAILED")
    turn(world)
    rollout = world.engine.rolling.active
    assert rollout is not None and rollout.state == "running" and not rollout.failed
    turn(world, fail=["readout@hlt01"])
    last = Report("running", restarts=1, last_exit=Exit(1.0, 2.0, code=3))
    world.report(world.task_of("readout", "hlt01"), data=last.to_json(), by_executor=True)
    rollout = world.engine.rolling.active
    assert rollout is not None and rollout.state == "paused"
    assert rollout.why == "1 failure, the last of readout@hlt01: exit code 3 after 2.0 s"
    world.now += 100.0
    world.say(events.Ticked())
    turn(world)
    assert releases(world) == "r2 r1 r1 r1"
    world.say(events.RolloutSteered("resume", "bob"))
    for _ in range(8):
        world.now += 5.1
        world.say(events.Ticked())
        turn(world)
    assert releases(world) == "r2 r2 r2 r2" and world.engine.rolling.active is None


def test_a_failure_rolls_back_where_the_file_says_so() -> None:
    """A new revision with the old jobs: only what was changed is started again."""
    world = farm()
    before = {task for task in world.tasks if "hlt01" not in task}
    change(world, Strategy(batches=(1,), on_failure="rollback"))
    turn(world, fail=["readout@hlt01"])
    turn(world)
    assert releases(world) == "r1 r1 r1 r1" and before < set(world.tasks)
    assert world.engine.revision is not None and world.engine.revision.number == 3
    assert world.engine.revision.message.startswith("rollback of revision 2 to 1: 1 failure, the last of readout@hlt01")
    assert not world.engine.mixed


@pytest.mark.parametrize("by", ["itself", "hand", "itself, after a daemon's death"])
@pytest.mark.parametrize("batches", [(1,), (2,), (1, 3)])
@pytest.mark.parametrize("reached", [0, 1, 2])
def test_a_rollback_brings_back_what_it_changed_to_what_ran_there_before(
    by: str, batches: tuple[int, ...], reached: int
) -> None:
    """r2 was aborted before its first batch, or after some hosts; r3 fails in its first batch, or its second: what that changed
    goes back to what each host had, batch by batch; nobody else is started anew, or becomes what never ran there."""
    world = farm()
    change(world, Strategy(batches=(1,), guard="run-stopped", ready_s=0.0), "r2")
    for at in range(reached):
        world.say(events.GuardAnswered(1, at, True))
        turn(world)
        world.say(events.Ticked())
    world.say(events.RolloutSteered("abort", "bob"))
    had = releases(world).split()
    assert had == ["r2"] * reached + ["r1"] * (4 - reached)
    before = {host: world.task_of("readout", host) for host in HOSTS}
    change(world, Strategy(batches=batches, ready_s=0.0, on_failure="pause" if by == "hand" else "rollback"), "r3")
    failed = 1 if len(batches) > 1 else 0
    for _ in range(failed):  # the first batch is well
        turn(world)
        world.say(events.Ticked())
    if "death" in by:
        world.die()
    turn(world, fail=[f"readout@{HOSTS[failed]}"])
    if by == "hand":
        world.say(events.RolloutSteered("rollback", "alice", stops=9))
    assert world.engine.revision is not None and world.engine.revision.message.startswith("rollback of revision 3 to 2")
    changed = sum(batches) if failed else batches[0]
    most = 0
    for _ in range(8):
        down = [host for host in HOSTS if any(task.killed for task in tasks_of(world, host))]
        most = max(most, len(down))
        assert set(down) <= set(HOSTS[:changed]), "who was not changed is left alone"
        turn(world)
        world.say(events.Ticked())
    assert releases(world).split() == had and world.engine.rolling.active is None
    assert most <= max(batches)
    for host in HOSTS[changed:]:
        assert world.task_of("readout", host) == before[host]


def tasks_of(world: World, host: str) -> list[Task]:
    return [task for one in world.engine.instances.values() if one.host == host and (task := one.record.task)]


@pytest.mark.parametrize("why", ["", "check port failed 3 times", "restarted by alice", "restarted by alice: noisy"])
def test_what_somebody_restarts_in_a_batch_is_no_failure_of_the_rollout(why: str) -> None:
    """A program that ends by itself, or is ill, is one."""
    world = farm()
    change(world, Strategy(batches=(1,), ready_s=10.0, on_failure="rollback"))
    turn(world)
    report = Report("running", 7, restarts=1, last_exit=Exit(world.now, 1.0, signal="SIGTERM", why=why))
    world.report(world.task_of("readout", "hlt01"), data=report.to_json(), by_executor=True)
    assert world.engine.revision is not None
    assert world.engine.revision.message.startswith("rollback") == ("alice" not in why)


def test_what_is_not_ready_in_time_is_a_failure() -> None:
    """Where none counts as too many, the rollout goes on without it."""
    world = farm()
    change(world, Strategy(batches=(1,), timeout_s=60.0, ready_s=0.0, failures=0))
    world.report(world.task_of("readout", "hlt01"), "TASK_KILLED")
    del world.machines["hlt01"]
    world.now += 60.1
    world.say(events.Ticked())
    waits = kept_reason(world, "hlt01")
    turn(world)
    rollout = world.engine.rolling.rollout
    assert rollout is not None and [(one.host, one.why) for one in rollout.failures] == [
        ("hlt01", f"not ready after 1 min: WAITING: {waits}")
    ]
    assert releases(world).startswith("- r2")


def kept_reason(world: World, host: str) -> str:
    """What the status of readout there says, as it is kept."""
    one = world.engine.instances["readout", host]
    return reason_of(world.engine, one, state_of(world.engine, one, world.now), TimeFormat(world.now, absolute=True))


def never_ready(strategy: Strategy) -> World:
    """Of a rollout's first batch nothing becomes ready, as its executor says why."""
    world = farm()
    change(world, strategy)
    world.report(world.task_of("readout", "hlt01"), "TASK_KILLED")
    world.offers()
    said, missing = Report("probing").to_json(), "/cvmfs/x/release-77 is missing: is the version published?"
    world.report(world.task_of("readout", "hlt01"), "TASK_STARTING", data=said, message=missing, by_executor=True)
    world.wait(6.1)
    return world


FAILED = (
    "1 failure, the last of readout@hlt01: not ready after 6.0 s: STARTING: /cvmfs/x/release-77 is missing: is the version "
    "published?"
)


def test_why_a_rollout_failed_is_told_with_it_ever_after() -> None:
    """What the status had at that moment: later it has something else. In the rollout, the history, the way back's message."""
    world = never_ready(Strategy(batches=(1,), timeout_s=6.0, ready_s=0.0, on_failure="rollback"))
    assert outcome(world) == f"rollout 1 went back in batch 1 of 4 (1 of 4 instances changed): {FAILED}"
    assert world.engine.revision is not None
    assert world.engine.revision.message == f"rollback of revision 2 to 1: {FAILED}"


@pytest.mark.parametrize("what", ["abort", "rollback"])
def test_a_rollout_that_failures_had_paused_is_not_ended_for_a_person_s_whim(what: str) -> None:
    """Whoever ended it did so for these."""
    world = never_ready(Strategy(batches=(1,), timeout_s=6.0, ready_s=0.0))
    steer(world, what, "not tonight")
    assert outcome(world).endswith(f"{FAILED}; then by bob: not tonight"), outcome(world)


@pytest.mark.parametrize("before", ["", "pause"])
def test_what_a_person_ends_is_that_person_s(before: str) -> None:
    """Nothing had failed."""
    world = farm()
    change(world, Strategy(batches=(1,)))
    if before:
        steer(world, before, "beam")
    steer(world, "abort", "not tonight")
    assert outcome(world).endswith(" by bob: not tonight") and "then" not in outcome(world)


def test_a_host_that_does_not_answer_holds_nothing_up_and_changes_when_it_is_back() -> None:
    """Its program is ended then, and started as what everybody has by then."""
    world = farm()
    world.report(world.task_of("readout", "hlt02"), "TASK_UNREACHABLE")
    change(world, Strategy(batches=(1,), ready_s=0.0))
    for _ in range(8):
        for instance in list(world.engine.instances.values()):
            task = instance.record.task
            if task is not None and task.killed and not instance.lost:
                world.report(task.id, "TASK_KILLED")
        world.offers()
        for task_id in sorted(set(world.tasks) - world.running):
            if "hlt02" not in task_id:
                world.report(task_id)
    rollout = world.engine.rolling.rollout
    assert rollout is not None and rollout.state == "done"
    assert outcome(world).startswith("rollout 1 of 4 instances done after ") and outcome(world).endswith(
        ", but not on hlt02"
    )
    assert not world.engine.mixed and world.engine.instances["readout", "hlt02"].ending
    world.report(world.task_of("readout", "hlt02"))
    turn(world)
    turn(world)
    assert releases(world) == "r2 r2 r2 r2"


def test_it_pauses_where_it_is_told_to() -> None:
    """After the first batch, and by hand."""
    world = farm()
    change(world, Strategy(batches=(1,), ready_s=0.0, pause_after=(1,)))
    turn(world)
    turn(world)
    rollout = world.engine.rolling.active
    assert rollout is not None and rollout.state == "paused" and rollout.why == "after batch 1, as asked for"
    assert releases(world) == "r2 r1 r1 r1"
    world.say(events.RolloutSteered("resume", "bob"))
    turn(world)
    assert releases(world).startswith("r2 r2")
    world.say(events.RolloutSteered("pause", "bob", "beam"))
    assert rollout.state == "paused" and rollout.why == "by bob: beam"


def test_why_a_rollout_was_paused_stays_told_whoever_pauses_it_again() -> None:
    """However often; and a restart says that it is paused, as to wait for its end would be to wait for ever."""
    world = farm()
    change(world, Strategy(batches=(1,), ready_s=0.0, pause_after=(1,)))
    turn(world)
    turn(world)
    rollout = world.engine.rolling.active
    assert rollout is not None and rollout.why == "after batch 1, as asked for"
    for name in ("bob", "carol", "dave"):
        world.say(events.RolloutSteered("pause", name, "beam"))
        assert rollout.why == f"after batch 1, as asked for; then by {name}: beam"
    world.say(events.RestartAsked((("readout", "hlt04"),), "dave", stops=99))
    assert isinstance(world.verdict, Refused)
    assert re.search(
        "is paused, after batch 1, .*first `daqsched rollout resume`, `rollback` or `abort`", str(world.verdict)
    )


@pytest.mark.parametrize(
    "message", ["", "x; then by eve", "x, as asked for", "by eve", "after batch 1; then by eve: y"]
)
def test_a_message_is_not_taken_for_who_paused_a_rollout_or_why(message: str) -> None:
    """Whose pause it is and why it paused are kept beside the sentence."""
    world = farm()
    change(world, Strategy(batches=(1,), ready_s=0.0))
    turn(world)
    rollout = world.engine.rolling.active
    assert rollout is not None
    for name, another in (("alice", False), ("bob", True), ("alice", False)):
        world.say(events.RolloutSteered("pause", name, message))
        assert (rollout.paused_by, rollout.cause, rollout.as_asked) == (name, "", False)
        assert rollout.user == "alice" and rollout.holds_for_another("alice", ("unix:alice",)) == another
        assert rollout.why == f"by {name}{': ' + message if message else ''}"
    world.say(events.RolloutSteered("abort", "bob"))
    assert rollout.why == "by bob" and rollout.state == "aborted"


@pytest.mark.parametrize(
    ("why", "known"),
    [
        ("after batch 1, as asked for", ("after batch 1, as asked for", "", True)),
        ("2 failures; then by bob: beam", ("2 failures", "bob", False)),
        ("by bob: beam", ("", "bob", False)),
        ("by alice; then by bob", ("", "bob", False)),
    ],
)
def test_a_pause_that_the_version_before_has_saved_is_known_by_its_sentence(
    why: str, known: tuple[str, str, bool]
) -> None:
    """Which is all that it has."""
    world = farm()
    change(world, Strategy(batches=(1,), ready_s=0.0))
    saved = msgspec.json.decode(msgspec.json.encode(world.engine.rolling.rollout))
    for field in ("cause", "paused_by", "as_asked"):
        del saved[field]
    read = msgspec.convert({**saved, "state": "paused", "why": why}, Rollout)
    assert (read.cause, read.paused_by, read.as_asked) == known


def test_an_abort_leaves_the_rest_behind_until_the_next_apply() -> None:
    """Also over the daemon's death; the same file once more takes all along."""
    world = farm()
    change(world, Strategy(batches=(1,)))
    turn(world)
    world.say(events.RolloutSteered("abort", "bob"))
    world.die()
    turn(world)
    assert releases(world) == "r2 r1 r1 r1"
    behind = {one.host: one.behind for one in rows(world.engine, lambda job, host: True, world.now)}
    assert behind == {"hlt01": 0, "hlt02": 1, "hlt03": 1, "hlt04": 1}
    # Mesos is told in which revision a task was launched
    world.report(world.task_of("readout", "hlt03"), "TASK_FAILED")
    turn(world)
    launches = [task for one in of(world.done, commands.Launch) for task in one.tasks]
    again = {task.payload.host: task.revision for task in launches}
    assert again["hlt03"] == 1 and again["hlt01"] == 2
    change(world, AT_ONCE)
    turn(world)
    assert releases(world) == "r2 r2 r2 r2"


def test_a_guard_is_asked_before_each_batch() -> None:
    """Its no is shown and asked again; silence, too."""
    world = farm()
    change(world, Strategy(batches=(1,), ready_s=0.0, guard="run-stopped"))
    (ask,) = of(world.done, commands.AskGuard)
    assert (ask.batch, ask.guard) == (0, "run-stopped") and releases(world) == "r1 r1 r1 r1"
    world.say(events.GuardAnswered(1, 0, False, "run 1234 is under way"))
    rollout = world.engine.rolling.active
    assert rollout is not None and rollout.guard == "run 1234 is under way"
    world.now += 10.1
    world.say(events.Ticked())
    assert len(of(world.done, commands.AskGuard)) == 2
    world.say(events.GuardAnswered(1, 0, True))
    turn(world)
    assert releases(world) == "r2 r1 r1 r1" and not rollout.guard
    assert len(of(world.done, commands.AskGuard)) == 3
    world.now += 61.0
    world.say(events.Ticked())
    assert len(of(world.done, commands.AskGuard)) == 4


def test_a_daemon_that_dies_in_a_batch_goes_on_with_it() -> None:
    """The batches are those of the begin, and nothing is started twice."""
    world = farm()
    change(world, Strategy(batches=(1, 2), ready_s=10.0))
    world.die()
    turn(world)
    assert releases(world) == "r2 r1 r1 r1"
    for _ in range(3):
        world.now += 10.1
        world.say(events.Ticked())
        turn(world)
    assert releases(world) == "r2 r2 r2 r2"


def outcome(world: World, revision: int = 2) -> str:
    """What the history says; another daemon says the same."""
    said = [outcome_of(engine, revision) for engine in (world.engine, world.disk.engine(world.new_id))]
    assert said[0] == said[1]
    return said[0].words() if said[0] is not None else ""


def steer(world: World, what: Any, message: str = "") -> None:
    world.say(events.RolloutSteered(what, "bob", message, stops=99))


def test_how_each_rollout_ended_is_known_when_others_have_followed() -> None:
    """Under way, paused, aborted, replaced, gone back, done; not of a revision that had none, nor of a restart."""
    one_by_one = Strategy(batches=(1,), ready_s=0.0, failures=1)
    world = farm()
    assert outcome(world, 1) == ""
    change(world, one_by_one)
    assert outcome(world) == "rollout 1: batch 1 of 4"
    steer(world, "pause", "beam")
    assert outcome(world) == "rollout 1 is paused in batch 1 of 4 (1 of 4 instances changed): by bob: beam"
    steer(world, "abort", "enough")
    turn(world)
    world.say(events.RestartAsked((("readout", "hlt04"),), "dave", stops=99))
    steer(world, "abort")
    for _ in range(2):
        turn(world)
    change(world, one_by_one, "r3")
    turn(world)
    assert outcome(world, 3) == "rollout 3: batch 2 of 4"
    change(world, one_by_one, "r4")
    steer(world, "rollback", "slow")
    for _ in range(3):
        turn(world)
    assert world.engine.revision is not None and world.engine.revision.number == 5
    change(world, one_by_one, "r6")
    for _ in range(6):
        turn(world)
    assert [outcome(world, number) for number in (2, 3, 4)] == [
        "rollout 1 aborted in batch 1 of 4 (1 of 4 instances changed) by bob: enough",
        "rollout 3 was replaced by revision 4 in batch 2 of 4 (2 of 4 instances changed)",
        "rollout 4 went back in batch 1 of 3 (1 of 3 instances changed): by bob: slow",
    ]
    assert outcome(world, 6).startswith("rollout 5 of 4 instances done after ")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, "it pauses at the first failure"),
        ({"at": 0}, "it pauses at the first failure, and what is not ready at 1970-01-01 00:05:10 UTC is one"),
        ({"at": 0, "ready_since": 20.0}, "it pauses at the first failure"),
        ({"failed": 1, "strategy": Strategy(failures=3)}, "it pauses after 2 more failures"),
        ({"failed": 2, "strategy": Strategy(failures=3)}, "it pauses at the next failure"),
        ({"strategy": Strategy(on_failure="rollback")}, "it goes back at the first failure"),
        ({"strategy": Strategy(failures=0)}, "no failure holds it up"),
    ],
)
def test_when_a_rollout_gives_up_is_said_while_it_runs(fields: dict[str, Any], said: str) -> None:
    """By the clock: whoever looks sees how long that is."""
    assert limit_words(replace(A_ROLLOUT, **fields)) == said


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"state": "aborted"}, "was aborted before its first batch, by bob; `daqsched apply FILE` brings all there; `daqsched "
         "rollback 6` goes back to revision 6"),
        ({"state": "aborted", "at": 1, "reached": 4}, "was aborted in batch 2 of 4 (4 of 9 instances changed), by bob; `daqsched "
         "apply FILE` brings the others there; `daqsched rollback 6` goes back to revision 6"),
        ({"state": "aborted", "at": 3, "reached": 9, "part": "hlt"}, "was aborted in batch 4 of 4 (9 of 9 instances changed), by "
         "bob; `daqsched rollback 6 --part hlt` goes back to revision 6"),
        ({"state": "aborted", "at": 3, "reached": 9, "part": "-"}, "was aborted in batch 4 of 4 (9 of 9 instances changed), by "
         "bob; `daqsched rollback 6 --part -` goes back to revision 6"),
        ({"state": "aborted", "at": 3, "reached": 8, "before": 0}, "was aborted in batch 4 of 4 (8 of 9 instances changed), by "
         "bob; `daqsched apply FILE` brings the others there"),
        ({"state": "aborted", "at": 1, "reached": 4, "replaced_by": 8}, "was replaced by revision 8 in batch 2 of 4 (4 of 9 "
         "instances changed)"),
        ({"state": "rolled-back", "at": 1, "reached": 4}, "went back in batch 2 of 4 (4 of 9 instances changed), by bob; what "
         "it changed is to be what ran at revision 6"),
        ({"state": "aborted", "at": 1, "reached": 4, "kind": "restart"}, "was aborted in batch 2 of 4 (4 of 9 instances started "
         "anew), by bob; 5 instances run on as before"),
        ({"state": "paused", "at": 1}, "is paused in batch 2 of 4, by bob; `daqsched rollout resume`, `abort` or `rollback`"),
    ],
)  # fmt: skip
def test_a_rollout_that_was_cut_short_says_how_much_it_changed_and_what_follows(
    fields: dict[str, Any], said: str
) -> None:
    """The plan's numbers are of what it would have been; one that an older daemon began has not counted."""
    rollout = replace(A_ROLLOUT, why="by bob", **fields)
    head = "rollout 3 of a restart " if rollout.kind == "restart" else "rollout 3 of revision 7 "
    assert words(rollout) == f"{head}{'of part hlt ' if rollout.part == 'hlt' else ''}{said}"


def test_so_many_ends_of_rollouts_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest go; what can't be read is told."""
    monkeypatch.setattr("daqsched.engine.rollout_steps.MOST_OUTCOMES", 2)
    world = farm()
    for release in ("r2", "r3", "r4"):
        change(world, Strategy(batches=(1,)), release)
        steer(world, "abort")
    assert list(world.engine.outcomes) == [3, 4]
    world.disk.documents["outcomes"] = b"?"
    engine = world.disk.engine(world.new_id)
    assert not engine.outcomes and "how rollouts ended can't be read" in engine.troubles[0]


def test_history_shows_how_a_rollout_ended() -> None:
    """Below what the apply was."""
    head = RevisionHead(3, "abc", "bob", 10.0, "why", rollout=RolloutOutcome(2, "done", "after 9 s", 4, 4, 20.0))
    table: Any = history_table([head])
    assert str(list(table.columns[-1].cells)[0]) == "why\nrollout 2 done after 9 s"


def test_a_restart_goes_host_by_host() -> None:
    """The same programs anew, also when the daemon dies in between."""
    world = farm()
    before = set(world.tasks)
    world.say(events.RestartAsked(tuple(world.engine.instances), "bob"))
    turn(world)
    assert len(before & set(world.tasks)) in (2, 3)
    world.die()
    for _ in range(8):
        turn(world)
    assert not before & set(world.tasks) and releases(world) == "r1 r1 r1 r1"


def test_a_second_apply_takes_over_from_a_rollout() -> None:
    """All go to the newest, whatever they have; what is back at what it has goes on untouched."""
    world = farm()
    old = {task for task in world.tasks if "hlt01" not in task}
    change(world, Strategy(batches=(1,)))
    turn(world)
    change(world, AT_ONCE, "r1")
    turn(world)
    assert releases(world) == "r1 r1 r1 r1" and old < set(world.tasks)
    first = world.engine.rolling.rollout
    assert first is not None and first.state == "aborted" and first.why == "by revision 3"


@pytest.mark.parametrize(
    ("user", "pauses", "asked"),
    [
        ("alice", "alice", False),
        ("alice", "bob", True),
        ("bob", "alice", True),
        ("bob", "bob", True),
        ("alice", "", False),
    ],
)
def test_an_apply_that_ends_what_is_paused_for_somebody_else_is_asked_about(
    user: str, pauses: str, asked: bool
) -> None:
    """However few programs end: it is told whose it is, and why it is paused; who said a number has seen that."""
    world = farm()
    way = Strategy(batches=(1,), ready_s=0.0, pause_after=() if pauses else (1,))
    world.say(
        events.JobsApplied(replace(world.engine.spec, jobs=(job(hosts="hlt[01-04]", release="r2"),)), "alice", "", way)
    )
    if pauses:
        world.say(events.RolloutSteered("pause", pauses, "beam"))
    else:
        turn(world)
    spec = replace(world.engine.spec, jobs=(job(hosts="hlt[01-04]", release="r3"),))
    world.say(events.JobsApplied(spec, user, "", way))
    why = f"by {pauses}: beam" if pauses else "after batch 1, as asked for"
    sentence = f"this ends rollout 1 of alice, paused in batch 1 of 4 (1 of 4 instances changed), {why}"
    assert isinstance(world.verdict, NotConfirmed) == asked
    if isinstance(world.verdict, NotConfirmed):
        assert (
            world.verdict.paused == sentence
            and str(world.verdict) == f"not done: {sentence}; if that is meant, give --yes"
        )
        assert world.engine.revision is not None and world.engine.revision.number == 2, "nothing was changed"
        world.say(events.JobsApplied(spec, user, "", way, stops=world.verdict.stops))
    assert isinstance(world.verdict, Accepted) and world.verdict.rollout == 2


def test_only_a_part_is_changed_and_the_rest_stays_as_it_is() -> None:
    """Changed, new and removed jobs alike; a later apply of everything takes all along."""
    world = farm()
    spec = [job(hosts="hlt[01-04]", release="r2"), job("new", "hlt[01-02]")]
    world.apply(*spec, only=("@hlt01",))
    turn(world)
    assert releases(world) == "r2 r1 r1 r1"
    assert ("new", "hlt01") in world.engine.instances and ("new", "hlt02") not in world.engine.instances
    world.die()
    turn(world)
    assert releases(world) == "r2 r1 r1 r1" and ("new", "hlt02") not in world.engine.instances
    world.apply(only=("@hlt02",))
    turn(world)
    assert releases(world) == "r2 - r1 r1"
    world.apply(*spec)
    turn(world)
    assert releases(world) == "r2 r2 r2 r2" and ("new", "hlt02") in world.engine.instances


def test_what_others_come_after_ends_last() -> None:
    """At a stop of all, at a rollout's batch, at a removal."""
    world = farm(after=True)
    monitor, readout = world.task_of("monitor", "hlt02"), world.task_of("readout", "hlt02")
    world.say(events.Held((("readout", "hlt02"), ("monitor", "hlt02")), "bob"))
    assert [c.task_id for c in of(world.done, commands.Kill)] == [monitor]
    (shown,) = rows(world.engine, lambda job, host: (job, host) == ("readout", "hlt02"), world.now)
    assert (shown.state, shown.reason) == ("STOPPING", "stopped; waits for the end of monitor@hlt02")
    world.report(monitor, "TASK_KILLED")
    assert [c.task_id for c in of(world.done, commands.Kill)] == [monitor, readout]


#: What ends a readout and a monitor that came after it.
ENDS: dict[str, Callable[[World], object]] = {
    "a stop": lambda world: world.say(events.Held((("readout", "hlt02"), ("monitor", "hlt02")), "bob")),
    "a host put aside": lambda world: world.say(
        events.PutAside(("hlt02",), "bob", world.now + 600.0, "cabling", stops=9)
    ),
    "another release": lambda world: world.apply(
        *(replace(one, release="r2") for one in world.engine.spec.jobs), stops=len(world.tasks)
    ),
    "the end of the farm": lambda world: world.apply(job("other"), stops=len(world.tasks)),
}


#: When its order is lost, beside what ends it.
LOST = [
    *(("before", how) for how in ENDS),
    ("in the change that ends it", "another release"),
    *(("while it ends", how) for how in ENDS if how != "the end of the farm"),
]


@pytest.mark.parametrize("ended", [False, True])
@pytest.mark.parametrize("loses, how", LOST)
def test_a_job_whose_successor_in_the_order_lost_its_after_ends_at_once(loses: str, how: str, ended: bool) -> None:
    """Without a word of the successor, which may be long about its own end: an order that somebody took out of the file holds
    nothing up. Also where it was one in an end before (``ended``)."""
    world = farm(after=True)
    keys = (("readout", "hlt02"), ("monitor", "hlt02"))
    if ended:
        world.say(events.Held(keys, "bob"))
        for _ in range(2):
            turn(world)
        world.say(events.Released(keys, "bob"))
        for _ in range(3):
            turn(world)
    readout = world.task_of("readout", "hlt02")

    def lose(release: str = "") -> None:
        free = [replace(one, after=(), release=release or one.release) for one in world.engine.spec.jobs]
        world.apply(*free, stops=len(world.tasks))

    if loses == "while it ends":
        ENDS[how](world)
        assert readout not in [one.task_id for one in of(world.done, commands.Kill)]
        lose()
    elif loses == "before":
        lose()
        ENDS[how](world)
    else:
        lose("r2")
    assert readout in [one.task_id for one in of(world.done, commands.Kill)]


def test_who_is_not_to_end_or_can_not_answer_holds_up_no_end() -> None:
    """Nor does anybody for longer than five minutes."""
    world = farm(after=True)
    world.say(events.Held((("readout", "hlt01"),), "bob"))
    assert world.engine.instances["readout", "hlt01"].task.killed
    keys = (("readout", "hlt02"), ("monitor", "hlt02"), ("readout", "hlt03"), ("monitor", "hlt03"))
    world.say(events.Held(keys, "bob"))
    world.report(world.task_of("monitor", "hlt02"), "TASK_UNREACHABLE")
    assert world.engine.instances["readout", "hlt02"].task.killed
    assert not world.engine.instances["readout", "hlt03"].task.killed
    world.now += LONGEST_S
    world.say(events.Ticked())
    assert world.engine.instances["readout", "hlt03"].task.killed


def test_a_changed_pair_starts_again_in_order() -> None:
    """The monitor ends before the readout and starts after it, with everything at once, too."""
    world = farm(after=True)
    world.done.clear()
    change(world, AT_ONCE)
    killed = [c.task_id.partition("@")[0] for c in of(world.done, commands.Kill)]
    assert killed == ["monitor"] * 4
    turn(world)  # the monitors have ended
    assert releases(world, "monitor") == "- - - -" and releases(world) == "r1 r1 r1 r1".replace("r1", "r2")
    turn(world)
    turn(world)
    assert releases(world, "monitor") == "r2 r2 r2 r2"


def test_a_host_put_aside_is_left_alone_until_its_lease_ends() -> None:
    """Its jobs end and stay away, also over the daemon's death and an apply; the forwarder stays."""
    world = farm()
    world.say(events.PutAside(("hlt02",), "bob", world.now + 3600.0, "new firmware"))
    turn(world)
    assert releases(world) == "r1 - r1 r1"
    world.die()
    change(world, AT_ONCE)
    turn(world)
    turn(world)
    assert releases(world) == "r2 - r2 r2"
    (shown,) = rows(world.engine, lambda job, host: host == "hlt02", world.now)
    assert shown.state == "ASIDE" and shown.reason.startswith("hlt02 is set aside by bob for ")
    assert shown.reason.endswith("more: new firmware")
    world.now += 3600.0
    world.say(events.Ticked())
    turn(world)
    assert releases(world) == "r2 r2 r2 r2" and not world.engine.aside


def test_a_host_is_given_back_before_its_time() -> None:
    """At once, and the same tasks go on where their end was not told yet."""
    world = farm(after=True)
    readout = world.task_of("readout", "hlt02")
    world.say(events.PutAside(("hlt02",), "bob", world.now + 3600.0))
    assert not world.engine.instances["readout", "hlt02"].task.killed
    world.say(events.Returned(("hlt02",), "bob"))
    turn(world)
    turn(world)
    assert world.task_of("readout", "hlt02") == readout and releases(world, "monitor") == "r1 r1 r1 r1"


def test_one_job_is_run_by_hand_on_a_host_put_aside() -> None:
    """As another command, once, with nothing before it; over an apply and the daemon's death; then the host is as before."""
    world = farm(after=True)
    world.say(events.Borrowed("monitor", "hlt02", "eve", ("/bin/try", "--all")))
    assert world.engine.instances["monitor", "hlt02"].record.borrow is None, "it is not set aside"
    world.say(events.PutAside(("hlt02",), "eve", world.now + 3600.0))
    turn(world)
    turn(world)
    world.say(events.Borrowed("monitor", "hlt02", "eve", ("/bin/try", "--all")))
    world.offers()
    task = world.task_of("monitor", "hlt02")
    assert world.payloads[task].argv == ("/bin/try", "--all") and world.payloads[task].restart.policy == "never"
    world.report(task)
    (shown,) = rows(world.engine, lambda job, host: (job, host) == ("monitor", "hlt02"), world.now)
    assert (shown.state, shown.reason) == ("RUNNING", "run by hand by eve")
    change(world, AT_ONCE)
    world.die()
    assert world.task_of("monitor", "hlt02") == task and not world.engine.instances["monitor", "hlt02"].ending
    world.report(task, "TASK_FAILED")
    world.offers()
    (shown,) = rows(world.engine, lambda job, host: (job, host) == ("monitor", "hlt02"), world.now)
    assert (shown.state, shown.release) == ("ASIDE", "r2")
    assert not [one for one in world.tasks if "@hlt02" in one]


def test_what_runs_by_hand_ends_with_the_lease() -> None:
    """Or by hand; the job file's own comes back."""
    world = farm()
    world.say(events.PutAside(("hlt02",), "eve", world.now + 60.0))
    turn(world)
    world.say(events.Borrowed("readout", "hlt02", "eve"))
    turn(world)
    task = world.task_of("readout", "hlt02")
    world.now += 60.0
    world.say(events.Ticked())
    assert world.engine.instances["readout", "hlt02"].task.killed
    turn(world)
    turn(world)
    assert releases(world) == "r1 r1 r1 r1" and world.task_of("readout", "hlt02") != task


def test_who_comes_after_all_of_a_job_does_not_wait_for_hosts_put_aside() -> None:
    """But for one that runs, at least."""
    world = World(["hlt01", "hlt02", "evb01"])
    world.register()
    world.apply(job(hosts="hlt[01-02]"), job("evb", "evb01", after=("readout",)))
    world.say(events.PutAside(("hlt02",), "bob", world.now + 3600.0))
    world.offers()
    world.report(world.task_of("readout", "hlt01"))
    world.offers()
    assert world.task_of("evb", "evb01")


@pytest.mark.parametrize(
    "hosts, said",
    [
        ((1,), "1 batch of 1 host"),
        ((5,), "1 batch of 5 hosts"),
        ((1, 1, 1), "3 batches of 1 host each"),
        ((2, 2), "2 batches of 2 hosts each"),
        ((1, 2), "2 batches of 1, 2 hosts"),
        ((1, 5, 20, 20, 4), "5 batches of 1, 5, 20, 20, ... hosts"),
        ((2000,), "1 batch of 2,000 hosts"),
    ],
)
def test_batches_in_words_are_those_of_the_plan_and_of_the_log(hosts: tuple[int, ...], said: str) -> None:
    """One host is no "1 hosts"."""
    assert batches_words(hosts) == said


def test_batches_are_hosts_and_the_last_is_repeated() -> None:
    """Percent are of all hosts; what others come after goes first."""
    assert sizes(30, (1, 5, "50%")) == [1, 5, 15, 9] and sizes(3, ()) == [3] and sizes(0, (1,)) == []
    keys = [("evb", "evb1"), ("ro", "h10"), ("mon", "h9"), ("ro", "h9")]
    order = depths({"ro": (), "mon": ("ro",), "evb": ("ro",)})
    assert order == {"ro": 0, "mon": 1, "evb": 1}
    assert divide(keys, (1,), order) == [[("mon", "h9"), ("ro", "h9")], [("ro", "h10")], [("evb", "evb1")]]
    assert parse_batches("1, 5,20%") == (1, 5, "20%") and parse_batches("all") == ()


@pytest.mark.parametrize(
    "fields, field",
    [
        ({"batches": (0,)}, "batches"),
        ({"batches": ("0%",)}, "batches"),
        ({"batches": ("5",)}, "batches"),
        ({"ready_s": -1.0}, "ready_s"),
        ({"timeout_s": 5.0}, "timeout_s"),
        ({"pause_after": (0,)}, "pause_after"),
        ({"failures": -1}, "failures"),
        ({"guard": "rm -rf /"}, "guard"),
        ({"guard": "../x"}, "guard"),
    ],
)
def test_what_can_not_be_is_an_error_of_its_field(fields: dict[str, Any], field: str) -> None:
    """With a sentence."""
    with pytest.raises(JobError) as error:
        check(Strategy(**fields))
    assert error.value.field == field and str(error.value)


def test_nothing_to_change_is_no_rollout() -> None:
    """New jobs start at once, whatever the strategy."""
    world = farm()
    world.say(events.JobsApplied(Spec(jobs=(job(hosts="hlt[01-04]", release="r1"), job("x"))), "a", "", Strategy()))
    assert world.engine.rolling.rollout is None
    world.offers()
    assert world.task_of("x")


def test_a_plan_foresees_the_batches_of_what_is_chosen_and_changes() -> None:
    """Hosts that are left out, or whose program stays as it is, are in no batch."""
    world = farm()
    jobs = [job("readout", "hlt[01-04]", release="r2")]
    spec, strategy = Spec(jobs=tuple(jobs)), Strategy(batches=(1, 5), ready_s=10.0)

    def foreseen(*words: str) -> tuple[int, ...]:
        known = snapshot(world.engine)
        change = change_of(known.applied, spec, Scope(words), known.hosts_of, known.behind)
        found = plan(known.spec, change.spec, known.hosts_of, known.behind, change.jobs)
        known.instances.update(had(world.engine, "readout"))
        return with_times(known, found, change.spec, strategy).batches

    assert foreseen() == (1, 3)
    assert foreseen("@hlt[01-02]") == (1, 1)
    change(world, strategy, only=["@hlt01"])
    turn(world)
    assert releases(world) == "r2 r1 r1 r1"
    assert foreseen() == (1, 2)
    assert foreseen("@hlt01") == ()


THIRTY = [f"hlt{number:02d}" for number in range(1, 31)]


@pytest.mark.parametrize("began", [False, True])
@pytest.mark.parametrize("how", ["stop", "aside"])
def test_a_first_batch_that_people_take_away_says_nothing_of_the_others(how: str, began: bool) -> None:
    """It pauses, as nothing of it was seen to run; to go on is to end all the others, which has to be meant."""
    world = World(THIRTY)
    world.start(job("a", "hlt[01-30]"))
    world.apply(job("a", "hlt[01-30]", release="r2"), strategy=Strategy(batches=(1, "100%")))
    if began:
        world.report(world.task_of("a"), "TASK_KILLED")
        world.offers()
        world.report(world.task_of("a"), "TASK_STARTING")
    world.say(
        events.Held((("a", "hlt01"),), "bob")
        if how == "stop"
        else events.PutAside(("hlt01",), "bob", world.now + 3600.0)
    )
    for _ in range(12):
        world.wait(1.0)
    rollout = world.engine.rolling.active
    assert rollout is not None and rollout.state == "paused"
    assert rollout.why == "all of batch 1 was stopped or set aside before it was ready"
    assert not [one for one in world.engine.instances.values() if one.ending and one.host != "hlt01"]
    world.say(events.RolloutSteered("resume", "bob"))
    assert isinstance(world.verdict, NotConfirmed) and world.verdict.stops == 29
    world.say(events.RolloutSteered("resume", "bob", stops=29))
    for _ in range(12):
        world.wait(1.0)
    assert len([one for one in world.engine.instances.values() if one.ending and one.host != "hlt01"]) == 29


def test_a_first_batch_that_is_held_is_not_one_that_others_wait_for() -> None:
    """All of them would end in one step: that many have to be meant."""
    world = World(THIRTY)
    world.start(job("a", "hlt[01-30]"))
    world.say(events.Held((("a", "hlt01"),), "bob", "looking", spares=True))
    world.apply(job("a", "hlt[01-30]", release="r2"), strategy=Strategy(batches=(1, "100%"), ready_s=0.0))
    assert isinstance(world.verdict, NotConfirmed) and world.verdict.stops == 30


def test_a_rollback_that_cannot_be_is_a_pause_with_the_reason() -> None:
    """Something was applied since that comes after a job which only the rollout's apply brought; over a restart as well."""
    world = World(HOSTS)
    world.start(job("a", "hlt[01-02]"))
    way = Strategy(batches=(1,), ready_s=0.0, on_failure="rollback")
    changed = (job("a", "hlt[01-02]", release="r2"), job("b", "hlt03"))
    world.apply(*changed, strategy=way)
    world.say(events.JobsApplied(Spec(jobs=(*changed, job("c", "hlt03", after=("b",)))), "bob", "", None, only=("c",)))
    assert not isinstance(world.verdict, Exception)
    world.report(world.task_of("a"), "TASK_KILLED")
    world.offers()
    failed = world.task_of("a")
    for _ in range(2):
        world.report(failed, "TASK_FAILED")
        rollout = world.engine.rolling.active
        assert rollout is not None and rollout.state == "paused" and "it can't be rolled back: " in rollout.why
        world.restart()
        world.register()
