"""What befalls a program, with its executor or its host, is not put down to it: whatever its policy, it comes back."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from builders import World, job
from daqsched.engine import commands
from daqsched.engine.unasked_ends import GONE, LIMITS, MEMORY, WITH_EXECUTOR
from daqsched.spec import JobSpec
from daqsched.task import ENDED
from daqsched.views.why import LATELY_S
from daqsched_executor.contract import Exit, Report, Restart

KEY = ("readout", "hlt01")

#: What Mesos says of an end that is none of the job's wishes; a success is one, and nobody asked for a kill.
STATES = sorted(ENDED - {"TASK_FINISHED", "TASK_KILLED"})

REASONS = [
    "",
    GONE,
    MEMORY,
    f"{LIMITS}_DISK",
    "REASON_RECONCILIATION",
    "REASON_AGENT_REMOVED",
    "REASON_EXECUTOR_REREGISTRATION_TIMEOUT",
]

#: How far the task was: its executor had spoken or not, and whether its host was known to be away.
BEFORE = ["launched", "spoke", "spoke, then away", "launched, then away", "spoke, then unknown"]

POLICIES = {
    "always": Restart(),
    "never": Restart(policy="never"),
    "given up": Restart(give_up=1),
    "never, given up": Restart(policy="never", give_up=1),
}


def begun(before: str, made: JobSpec) -> World:
    """A job whose task is so far."""
    world = World(["hlt01"])
    world.register()
    world.apply(made)
    world.offers()
    task = world.task_of(*KEY)
    if "spoke" in before:
        world.report(task, data=Report("running", 7, since=world.now).to_json(), by_executor=True)
    if "away" in before or "unknown" in before:
        world.report(task, "TASK_UNREACHABLE" if "away" in before else "TASK_UNKNOWN", message="health check timed out")
    return world


def state(world: World) -> str:
    """As `status` shows it."""
    (row,) = world.rows()
    return row.state


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("before", BEFORE)
def test_an_end_that_the_program_did_not_make_is_never_its_last(policy: str, before: str) -> None:
    """All that Mesos says, by whom, with which reason: what is the program's own goes by its policy, what befell it does not."""
    for said, reason, by_executor in itertools.product(STATES, REASONS, (False, True)):
        if by_executor and said != "TASK_FAILED":
            continue  # no executor of ours says it
        world = begun(before, job(restart=POLICIES[policy]))
        last = Report("exited", last_exit=Exit(world.now, 1.0, code=3)).to_json() if by_executor else b""
        world.report(world.task_of(*KEY), said, message="SAID", reason=reason, by_executor=by_executor, data=last)
        own = by_executor or reason.startswith(LIMITS)
        # one that never spoke was never there: that is to be seen to
        lost = "away" in before or "unknown" in before or said in ("TASK_LOST", "TASK_GONE", "TASK_GONE_BY_OPERATOR")
        befell = not own and (lost or "spoke" in before)
        ends = "given up" in policy or ("never" in policy and said == "TASK_FAILED")
        where = f"{said} {reason} {by_executor}"
        if befell or not ends:
            assert state(world) in ("WAITING", "BACKOFF"), where
            world.offers()
            assert state(world) == "STARTING", where
        else:
            assert state(world) == "FAILED", where
        assert bool(world.engine.incidents.known()) == (
            not (befell and lost) and said in ("TASK_FAILED", "TASK_ERROR")
        ), where


@pytest.mark.parametrize("befell", range(5))
@pytest.mark.parametrize("how", ["its executor", "its host"])
def test_a_program_is_given_up_for_what_it_did_itself(befell: int, how: str) -> None:
    """However often it was taken down with others in between."""
    world = World(["hlt01"])
    world.register()
    world.apply(job(restart=Restart(give_up=2)))

    def again() -> None:
        world.wait(70.0)
        world.offers()
        world.report(world.task_of(*KEY), data=Report("running", 7, since=world.now).to_json(), by_executor=True)

    def falls() -> None:
        again()
        if how == "its host":
            world.report(world.task_of(*KEY), "TASK_UNREACHABLE")
        world.report(world.task_of(*KEY), "TASK_FAILED", message="Executor terminated", reason=GONE)

    def dies() -> None:
        again()
        last = Report("exited", last_exit=Exit(world.now, 1.0, code=3)).to_json()
        world.report(world.task_of(*KEY), "TASK_FAILED", message="exit code 3", by_executor=True, data=last)

    for _ in range(befell):
        falls()
        assert state(world) in ("WAITING", "BACKOFF")
    dies()
    assert state(world) != "FAILED"
    for _ in range(befell):
        falls()
    world.restart()
    world.register()
    dies()
    assert state(world) == "FAILED" and "failed 2 times in a row" in world.rows()[0].reason


def test_an_executor_that_ends_over_and_over_is_started_ever_more_slowly() -> None:
    """One of a version that is broken must not keep its machine busy; a machine that is back has had its wait."""
    waits: dict[str, list[float]] = {"executor": [], "host": []}
    for how, found in waits.items():
        world = World(["hlt01"])
        world.start(job())
        for _ in range(5):
            task = world.task_of(*KEY)
            world.report(task, data=Report("running", 7, since=world.now).to_json(), by_executor=True)
            if how == "host":
                world.report(task, "TASK_UNREACHABLE")
            world.report(task, "TASK_FAILED", message="Executor terminated", reason=GONE)
            found.append(max(0.0, world.engine.instances[KEY].record.due - world.now))
            world.wait(70.0)
            world.offers()
    assert waits == {"executor": [0.0, 1.0, 2.0, 4.0, 8.0], "host": [0.0] * 5}


def test_a_machine_that_is_back_tells_itself_how_its_tasks_ended() -> None:
    """The master knows that they did, and says so first; a program that died meanwhile died all the same."""
    for code, policy, expected in ((3, "never", "FAILED"), (3, "always", "WAITING"), (0, "never", "FINISHED")):
        world = begun("spoke, then away", job(restart=Restart(policy=policy)))
        task = world.task_of(*KEY)
        ended: dict[str, Any] = {"reason": "REASON_AGENT_REREGISTERED", "message": ""}
        world.tasks[task] = "agent-hlt01"
        world.report(task, "TASK_FINISHED" if code == 0 else "TASK_FAILED", **ended)
        assert state(world) == "UNREACHABLE", "nobody who saw it has said so yet"
        last = Report("exited", last_exit=Exit(world.now, 1.0, code=code)).to_json()
        said = "TASK_FINISHED" if code == 0 else "TASK_FAILED"
        world.report(task, said, message=f"exit code {code}", by_executor=True, data=last)
        assert state(world) == expected
        assert f"exit code {code}" in world.engine.instances[KEY].record.last_end


@pytest.mark.parametrize("before", BEFORE)
def test_a_success_is_one_whoever_says_it(before: str) -> None:
    """The master, asked by a new daemon, knows no more than that."""
    world = begun(before, job(restart=Restart(policy="never")))
    world.report(world.task_of(*KEY), "TASK_FINISHED", reason="REASON_RECONCILIATION")
    assert state(world) == "FINISHED" and world.engine.instances[KEY].record.last_end == "finished (reconciliation)"


def test_where_the_agent_says_nothing_the_master_is_asked() -> None:
    """Its word was lost with its disk, or is on its way: the next offer of the machine is the moment to ask."""
    world = begun("spoke, then away", job())
    task = world.task_of(*KEY)
    world.report(task, "TASK_FAILED", reason="REASON_AGENT_REREGISTERED")
    todo = world.offers()
    assert [one.tasks for one in todo if isinstance(one, commands.Reconcile)] == [((task, "agent-hlt01"),)]
    world.report(task, "TASK_FAILED", reason="REASON_RECONCILIATION")
    assert state(world) == "WAITING"


def test_the_crew_reads_what_befell_it() -> None:
    """In `why`, while it waits and for a while after it runs again; nobody says that it was killed who did not see it."""
    world = begun("spoke, then away", job())
    world.now += 160.0
    world.report(world.task_of(*KEY), "TASK_FAILED", message="Executor terminated", reason=GONE)
    said = "ended while hlt01 did not answer the master, for 2 min 40 s"
    assert world.engine.instances[KEY].record.last_end == said
    assert [one.cause for one in world.changes][-1] == "loss of the host"
    world.offers()
    world.runs(world.task_of(*KEY))
    assert said in world.rows()[0].reason
    world.wait(LATELY_S + 1.0)
    world = begun("spoke", job())
    world.now += 5.0
    world.report(world.task_of(*KEY), "TASK_FAILED", message="Executor terminated", reason=GONE)
    assert world.engine.instances[KEY].record.last_end == f"{WITH_EXECUTOR} (Executor terminated)"
    (one,) = world.engine.incidents.known()
    assert one.how == "its executor ended" and not one.printed
    assert [one.cause for one in world.changes][-1] == "end of its executor"
