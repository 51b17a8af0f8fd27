"""Of what does not run: how many a plan says will start where nothing is restarted, and how many do."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from builders import World, job, turn
from daqsched.engine import events
from daqsched.merge import Scope, change_of
from daqsched.spec import JobSpec, Spec
from daqsched.terminal.canvas import Canvas
from daqsched.terminal.show_changes import plan_lines
from daqsched.views.estimate import silent, with_starts
from daqsched.views.plan import Plan, plan
from daqsched.views.snapshot import had, snapshot
from daqsched_executor.contract import MANUAL, Restart


def made(**fields: Any) -> JobSpec:
    """On four hosts, of which one has a name of another kind."""
    return replace(job(**fields), hosts=("ctl", "hlt[01-03]"))


def planned(world: World, to_be: JobSpec) -> Plan:
    """As `serve.plans` makes it."""
    spec = Spec(jobs=(to_be,))
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


def test_it_is_said_in_the_line_of_the_job_and_in_the_count(capsys: pytest.CaptureFixture[str]) -> None:
    """Not where nothing starts."""
    world = farm(made(start=MANUAL))
    Canvas(width=200).print(plan_lines(planned(world, made())))
    said = capsys.readouterr().out
    assert "no restart, start 2" in said and "4 changed without a restart, of which 2 that do not run start." in said
    Canvas(width=200).print(plan_lines(planned(world, made(start=MANUAL, owner="bob"))))
    said = capsys.readouterr().out
    assert "no restart" in said and "4 changed without a restart." in said and "start 2" not in said
