"""Of what does not run: how many a plan says will start where nothing is restarted, and how many do."""

from __future__ import annotations

from typing import Any, Optional

import pytest
from msgspec.structs import replace

from builders import World, job, turn
from daqsched.engine import events
from daqsched.engine.verdict import Accepted
from daqsched.merge import Scope, change_of
from daqsched.protocol import Applied
from daqsched.rollout import Strategy
from daqsched.spec import FORWARDER, ForwarderSpec, JobSpec, Spec
from daqsched.terminal.canvas import Canvas
from daqsched.terminal.show_changes import plan_lines, verdict_line
from daqsched.views.estimate import silent, with_starts
from daqsched.views.plan import Plan, plan
from daqsched.views.snapshot import had, snapshot
from daqsched_executor.contract import MANUAL, Restart
from daqsched_executor.contract.forwarding import Forwarding


def made(**fields: Any) -> JobSpec:
    """On four hosts, of which one has a name of another kind."""
    return replace(job(**fields), hosts=("ctl", "hlt[01-03]"))


def planned(world: World, *to_be: JobSpec) -> Plan:
    """As `serve.plans` makes it."""
    spec = Spec(jobs=to_be)
    known = snapshot(world.engine)
    change = change_of(known.applied, spec, Scope(), known.hosts_of, known.behind)
    found = plan(known.spec, change.spec, known.hosts_of, known.behind, change.jobs)
    for name in silent(found):
        known.instances.update(had(world.engine, name))
    return with_starts(known, found, change.spec)


def farm(was: JobSpec) -> World:
    """On ctl it is stopped by somebody; hlt01 was started by hand where that is needed; on hlt02 it ended, in failure on hlt03."""
    world = World(["ctl", "hlt01", "hlt02", "hlt03"])
    world.register()
    world.apply(was)
    world.say(events.Held((("readout", "ctl"),), "eve"))
    if was.start == MANUAL:
        world.say(events.Released((("readout", "hlt01"),), "eve"))
    turn(world)
    for task in list(world.tasks):
        state = {"hlt02": "TASK_FINISHED", "hlt03": "TASK_FAILED"}.get(task.partition("@")[2].partition(".")[0])
        if state is not None:
            world.report(task, state)
    return world


@pytest.mark.parametrize(
    ("was", "to_be", "starts"),
    [
        (made(start=MANUAL), made(), 2),
        (made(start=MANUAL), made(start=MANUAL, owner="bob"), 0),
        (made(restart=Restart(give_up=1)), made(restart=Restart(give_up=1), owner="bob"), 0),
        (made(restart=Restart(give_up=1)), made(restart=Restart(give_up=2)), 1),
        (made(restart=Restart(give_up=1)), made(restart=Restart(give_up=1, cap_s=30.0)), 1),
        (made(restart=Restart(give_up=1)), made(restart=Restart(give_up=1), labels={"a": "b"}), 0),
        (made(restart=Restart(give_up=1)), made(restart=Restart(give_up=1), start=MANUAL), 0),
    ],
)
def test_a_plan_says_how_many_start_where_nothing_is_restarted(was: JobSpec, to_be: JobSpec, starts: int) -> None:
    """As many as do then."""
    world = farm(was)
    before = set(world.tasks)
    (change,) = planned(world, to_be).changes
    assert (change.what, change.count, change.starts) == ("silent", 4, starts)
    world.apply(to_be)
    for _ in range(3):
        turn(world)
    assert before <= set(world.tasks) and len(set(world.tasks) - before) == starts


A, B = job("a", "hlt[01-02]"), job("b", "hlt[03-04]")
RACK = job("w", "", attributes={"rack": "r1"})


def lines(hosts: str = "", argv: str = "x") -> ForwarderSpec:
    """The forwarders, as the framework adds them to a file; with no hosts where its jobs name none."""
    return ForwarderSpec(name=FORWARDER, argv=(argv,), hosts=(hosts,) if hosts else (), forwarding=Forwarding())


@pytest.mark.parametrize("strategy", [None, Strategy(batches=(1,))])
@pytest.mark.parametrize(
    ("was", "to_be", "figures"),
    [
        ((), (A, B, lines("hlt[01-04]")), {"add": 4}),
        ((A, lines("hlt[01-02]")), (A, B, lines("hlt[01-04]")), {"add": 2}),
        ((A, B, lines("hlt[01-04]")), (A, lines("hlt[01-02]")), {"remove": 2}),
        ((A, B, lines("hlt[01-04]")), (A, B, lines("hlt[01-04]", "y")), {}),
        ((A, B, lines("hlt[01-04]")), (replace(A, release="r2"), B, lines("hlt[01-04]", "y")), {"restart": 2}),
        ((A, lines("hlt[01-02]")), (job("b", "hlt[02-03]"), lines("hlt[02-03]")), {"add": 2, "remove": 2}),
        ((A, lines("hlt[01-02]")), (A,), {}),
        ((A,), (A, lines("hlt[01-02]")), {}),
        ((RACK, lines()), (RACK, A, lines("hlt[01-02]")), {"add": 2}),
        ((RACK, lines()), (A, lines("hlt[01-02]")), {"add": 2, "remove": 2}),
        ((RACK, lines()), (RACK, lines(argv="y")), {}),
        ((RACK, A, lines("hlt[01-02]")), (replace(RACK, release="r2"), A, lines("hlt[01-02]", "y")), {"restart": 2}),
        ((A, lines("hlt[01-02]")), (RACK, A, lines("hlt[01-02]")), {"add": 2}),
        ((RACK, A, lines("hlt[01-02]")), (A, lines("hlt[01-02]")), {"remove": 2}),
    ],
)
def test_plan_apply_and_history_count_the_same(
    was: tuple[JobSpec, ...], to_be: tuple[JobSpec, ...], figures: dict[str, int], strategy: Optional[Strategy]
) -> None:
    """What the file says; a forwarder goes where that goes."""
    world = World(["hlt01", "hlt02", "hlt03", "hlt04"])
    world.machines["hlt02"] = world.machines["hlt03"] = {"rack": "r1"}
    world.start(*was)
    turn(world)
    found = planned(world, *to_be)
    assert {what: count for what, count in found.instances.items() if what != "silent"} == figures
    world.apply(*to_be, strategy=strategy)
    verdict = world.verdict
    assert isinstance(verdict, Accepted)
    for made in (verdict, world.engine.effects.counts[verdict.revision]):
        counts = {"add": made.starts, "remove": made.stops, "restart": made.restarts}
        assert {what: count for what, count in counts.items() if count} == figures
    assert not verdict_line(Applied(found, 2, 0, verdict.stops, verdict.restarts, verdict.starts))


def test_it_is_said_in_the_line_of_the_job_and_in_the_count(capsys: pytest.CaptureFixture[str]) -> None:
    """Not where nothing starts."""
    world = farm(made(start=MANUAL))
    Canvas(width=200).print(plan_lines(planned(world, made())))
    said = capsys.readouterr().out
    assert "no restart, start 2" in said and "4 changed without a restart, of which 2 that do not run start." in said
    Canvas(width=200).print(plan_lines(planned(world, made(start=MANUAL, owner="bob"))))
    said = capsys.readouterr().out
    assert "no restart" in said and "4 changed without a restart." in said and "start 2" not in said
