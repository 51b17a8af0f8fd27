"""Several agents with one host name: which has it, who says so, and that nothing runs twice."""

from __future__ import annotations

import re
from io import StringIO

import pytest
from msgspec.structs import replace
from rich.console import Console

from builders import World, job, of, offer, rows
from daqsched.engine import commands, events
from daqsched.engine.namesakes import FORMER, GONE_S, LOOK_S, PROBE
from daqsched.engine.verdict import Accepted
from daqsched.errors import UserError
from daqsched.spec import JobSpec, Spec
from daqsched.terminal.show_changes import plan_lines
from daqsched.views.plan import plan, shared_names
from daqsched.views.snapshot import snapshot
from daqsched.views.why import explanations


def other(agent: str = "agent-2", place: str = "10.0.0.2:5051") -> events.OffersArrived:
    """What another agent called hlt01 offers."""
    return events.OffersArrived((offer(id=f"of-{agent}", agent=agent, place=place),))


def running() -> World:
    """readout runs on the agent-hlt01, which listens at 10.0.0.1:5051."""
    world = World()
    world.start(job())
    world.say(events.OffersArrived((offer(place="10.0.0.1:5051"),)))
    return world


def reason(world: World) -> str:
    """Of readout@hlt01."""
    (row,) = rows(world.engine, lambda name, host: True, world.now)
    return row.reason


def looks(world: World) -> None:
    """The master is asked about the agents, and answers."""
    world.now += LOOK_S
    world.say(events.Ticked())
    world.answer()
    world.say(events.Ticked())


def test_nothing_moves_to_another_agent_of_the_name_and_all_are_told() -> None:
    """Also what an apply changes: it ends where it ran, and starts there."""
    world = running()
    assert not of(world.say(other()), commands.Launch)
    looks(world)
    told = (
        "2 agents call themselves hlt01: agent-hlt01 (10.0.0.1:5051) has the name, agent-2 (10.0.0.2:5051) is given "
        "nothing; end the wrong one, or `daqsched replace hlt01` if it is right"
    )
    assert reason(world) == told
    assert [one.why for one, _ in explanations(world.engine, list(world.engine.instances), world.now)] == [told]
    assert [note.sentence for note in of(world.done, commands.Note)].count(told) == 1
    task = world.task_of("readout")
    world.apply(job(release="r2"))
    world.report(task, "TASK_KILLED")
    assert not of(world.say(other()), commands.Launch) and told in reason(world)
    (launch,) = of(world.offers(), commands.Launch)
    assert launch.agent_id == "agent-hlt01"


def test_another_agent_is_noticed_while_nothing_waits() -> None:
    """Neither revived nor suppressed: what was declined keeps quiet, and an agent that is new is heard."""
    world = running()
    world.say(events.TaskReported(world.task_of("readout"), "agent-hlt01", "TASK_RUNNING", uuid="u"))
    before = len(world.done)
    for _ in range(5):
        world.wait(700.0)
        world.offers()
    assert not of(world.done[before:], commands.Revive) and not of(world.done, commands.Suppress)[1:]
    assert not world._suppressed, "the master tells of a new agent"
    world.say(other())
    looks(world)
    assert reason(world).startswith("2 agents call themselves hlt01")
    world.apply()
    world.report(world.task_of("readout"), "TASK_KILLED")
    assert world._suppressed, "there is nothing that one could be a second one of"


def test_what_goes_by_attributes_comes_to_the_machine_that_is_right_at_once() -> None:
    """Nothing waits there yet, and the master tells of its offers, which were declined, no more unless it is asked."""
    world = World()
    world.register()
    world.apply(job("gpu", "", attributes={"rack": "r1"}))
    world.say(other())
    world.machines["hlt01"] = {"rack": "r1"}
    assert not of(world.offers(), commands.Launch)
    world.filtered.add("hlt01")
    world.replace("hlt01", "agent-hlt01")
    (launch,) = of([*world.offers(), *world.offers()], commands.Launch)
    assert launch.agent_id == "agent-hlt01"


def planned(world: World, *jobs: JobSpec) -> list[str]:
    """What `plan` prints, where it says how many agents there are."""
    known, spec = snapshot(world.engine), Spec(jobs=jobs)
    found = plan(known.spec, spec, known.hosts_of)
    told = shared_names(found, (*known.spec.jobs, *jobs), known.hosts_of, known.namesakes)
    console = Console(width=250, record=True, file=StringIO())
    console.print(plan_lines(replace(found, namesakes=told)))
    return [line.rstrip() for line in console.export_text().splitlines() if "agent" in line]


def test_a_plan_says_which_agent_has_the_name_where_it_changes_something() -> None:
    """A job that comes, another version, one that goes; of no other host, and not where nothing changes."""
    world = running()
    assert planned(world) == []
    world.say(other())
    told = (
        "2 agents call themselves hlt01: agent-hlt01 (10.0.0.1:5051) has the name, agent-2 (10.0.0.2:5051) is given "
        "nothing; end the wrong one, or `daqsched replace hlt01` if it is right."
    )
    changes: tuple[list[JobSpec], ...] = ([job(release="r2")], [], [job(), job("more")], [job(hosts="hlt[01-02]")])
    assert [planned(world, *jobs) for jobs in changes] == [[told]] * 4
    assert planned(world, job()) == planned(world, job(), job("more", "hlt02")) == []


def test_a_person_says_that_the_other_is_right() -> None:
    """What runs on the first ends before it starts on the other; the daemon may die in between."""
    world = running()
    world.say(other())
    (kill,) = of(world.say(events.AgentChosen("hlt01", "bob", message="new board")), commands.Kill)
    assert (kill.task_id, kill.agent_id) == (world.task_of("readout"), "agent-hlt01")
    world.names["hlt01"] = "agent-2"
    assert not of(world.say(other()), commands.Launch)
    world.die()
    world.report(kill.task_id, "TASK_KILLED")
    assert not of(world.say(events.OffersArrived((offer(),))), commands.Launch)
    (launch,) = of(world.say(other()), commands.Launch)
    assert launch.agent_id == "agent-2"


def test_a_person_says_that_the_first_is_right() -> None:
    """Nothing ends; that there are two is still told."""
    world = running()
    world.say(other())
    assert not of(world.say(events.AgentChosen("hlt01", "bob", "10.0.0.1:5051")), commands.Kill)
    assert isinstance(world.verdict, Accepted) and "2 agents call themselves hlt01" in reason(world)


def test_the_same_said_twice_does_not_give_the_name_back() -> None:
    """Whoever names no agent means another than that which a person named before: nothing moves until its id is said."""
    world = running()
    world.say(other())
    world.say(events.AgentChosen("hlt01", "bob", message="new board"))
    verdict = world.verdict
    assert isinstance(verdict, Accepted)
    assert (verdict.agent, verdict.agent_before) == ("agent-2 (10.0.0.2:5051)", "agent-hlt01 (10.0.0.1:5051)")
    refusal = (
        "agent-2 (10.0.0.2:5051) has the name hlt01 by somebody's word already, nothing was changed; where it is to go to "
        "another, add its id: agent-hlt01 (10.0.0.1:5051)"
    )
    for again in (False, True):
        if again:  # also by another daemon
            world.restart()
            world.register()
            world.say(other())
            world.say(events.OffersArrived((offer(place="10.0.0.1:5051"),)))
        assert not of(world.say(events.AgentChosen("hlt01", "bob")), commands.Kill)
        assert isinstance(world.verdict, UserError) and str(world.verdict) == refusal
        assert "`daqsched replace hlt01 agent-hlt01` if it is right" in reason(world)
    world.say(events.AgentChosen("hlt01", "bob", "agent-hlt01"))
    assert isinstance(world.verdict, Accepted) and world.engine.namesakes.agents["hlt01"] == "agent-hlt01"


def test_one_that_is_gone_is_no_namesake_any_more() -> None:
    """The master does not know the second: nothing is told of it."""
    world = running()
    world.say(other())
    world.absent["agent-2"] = "TASK_UNREACHABLE"
    looks(world)
    assert reason(world) == "" and not [one for one in world.engine.namesakes.questions() if one]


@pytest.mark.parametrize("said", ["TASK_UNKNOWN", "TASK_GONE_BY_OPERATOR"])
def test_another_takes_over_where_the_master_has_removed_the_first(said: str) -> None:
    """Its tasks are gone, and the master says that it is; at once, with nobody's word."""
    world = running()
    world.absent["agent-hlt01"] = said
    world.report(world.task_of("readout"), "TASK_GONE")
    world.wait(60.0)
    assert not of(world.say(other()), commands.Launch)
    looks(world)
    (launch,) = of(world.say(other()), commands.Launch)
    assert launch.agent_id == "agent-2"


def test_a_machine_whose_work_folder_was_removed_is_the_same_machine() -> None:
    """Its agent has another id, and listens where the first did: the locks on the machine keep a second copy away."""
    world = running()
    task = world.task_of("readout")
    world.report(task, "TASK_UNREACHABLE")
    del world.tasks[task]
    world.departed.add("hlt01")
    (launch,) = of(world.say(other(place="10.0.0.1:5051")), commands.Launch)
    assert launch.agent_id == "agent-2"


def test_while_the_first_is_silent_another_waits_for_so_long_as_its_programs_may_live() -> None:
    """And that is told, with the way to end it."""
    world = running()
    task = world.task_of("readout")
    world.report(task, "TASK_UNREACHABLE")
    world.now += 200.0
    assert not of(world.say(other()), commands.Launch)
    world.absent["agent-hlt01"] = "TASK_UNREACHABLE"
    looks(world)
    told = reason(world)
    assert (
        "another agent calls itself hlt01, agent-2 (10.0.0.2:5051), and agent-hlt01 (10.0.0.1:5051) is silent: " in told
    )
    assert re.search(r"starts there in 16 min 2[45] s, or at once by `daqsched replace hlt01`", told)
    assert "waiting for it" in told
    world.now += GONE_S - 300.0
    assert not of(world.say(other()), commands.Launch)
    world.now += 300.0
    world.say(events.Ticked())
    (launch,) = of(world.say(other()), commands.Launch)
    assert launch.agent_id == "agent-2"


def test_a_person_need_not_wait_for_that() -> None:
    """And what the first ran is one too many when it is back."""
    world = running()
    task = world.task_of("readout")
    world.report(task, "TASK_UNREACHABLE")
    world.say(other())
    del world.tasks[task]
    world.say(events.AgentChosen("hlt01", "bob"))
    world.names["hlt01"] = "agent-2"
    (launch,) = of(world.say(other()), commands.Launch)
    assert launch.agent_id == "agent-2"
    back = events.TaskReported(task, "agent-hlt01", "TASK_RUNNING", by_executor=True, uuid="u")
    (kill,) = of(world.say(back), commands.Kill)
    assert (kill.task_id, kill.agent_id) == (task, "agent-hlt01")


def test_a_task_on_another_agent_is_not_adopted() -> None:
    """What the store does not know and runs beside the cables is ended."""
    world = running()
    world.report(world.task_of("readout"), "TASK_FAILED")
    strange = events.TaskReported("readout@hlt01.x", "agent-2", "TASK_RUNNING", by_executor=True, uuid="u")
    (kill,) = of(world.say(strange), commands.Kill)
    assert kill.task_id == "readout@hlt01.x"


def test_who_has_the_name_is_known_after_a_restart() -> None:
    """Also where nothing runs at that moment."""
    world = running()
    world.report(world.task_of("readout"), "TASK_FAILED")
    world.restart()
    world.register()
    world.wait(60.0)
    assert not of(world.say(other()), commands.Launch)
    assert of(world.say(events.OffersArrived((offer(),))), commands.Launch)


def test_attributes_are_those_of_the_machine_that_has_the_name() -> None:
    """A job that runs wherever they are does not come and go with whoever offers."""
    world = World()
    world.machines["hlt01"] = {"rack": "r1"}
    world.start(job(hosts="", attributes={"rack": "r1"}))
    for rack in ("r2", "r1"):
        strange = offer(agent="agent-2", rack=rack)
        todo = world.say(events.OffersArrived((strange,)))
        assert not of(todo, commands.Launch) and not of(todo, commands.Kill)
    assert ("readout", "hlt01") in world.engine.instances


@pytest.mark.parametrize("name", ["HLT01", "hlt01.example.org", "Hlt01.Example.Org"])
def test_a_name_that_is_nearly_the_host_s_is_told(name: str) -> None:
    """In other letters, or with its domain: it is another name, and nothing starts there."""
    world = World([name])
    world.register()
    world.apply(job())
    world.offers()
    assert not world.tasks and f"is its agent up? One calls itself {name}" in reason(world)


def test_the_master_is_asked_while_two_have_a_name_and_no_longer() -> None:
    """Nor where no master listens."""
    world = running()
    assert not [one for one in of(world.done, commands.Reconcile) if any(PROBE in task for task, _ in one.tasks)]
    world.say(other())
    world.absent["agent-2"] = "TASK_UNKNOWN"
    looks(world)
    world.done.clear()
    for _ in range(5):
        looks(world)
    assert not [one for one in of(world.done, commands.Reconcile) if any(PROBE in task for task, _ in one.tasks)]


def test_the_change_is_told_with_who_asked_for_it() -> None:
    """In the stories."""
    world = running()
    world.say(other())
    world.say(events.AgentChosen("hlt01", "bob", message="new board"))
    assert world.engine.stories.of(("readout", "hlt01"))[-1].cause == "replace by bob: new board"


def test_after_a_restart_a_name_is_where_something_runs_not_where_something_ended() -> None:
    """A job that was stopped long ago remembers the agent of before."""
    world = World()
    world.start(job("a"), job("b"))
    first = world.task_of("a")
    world.say(events.Held((("a", "hlt01"),), "alice"))
    world.report(first, "TASK_KILLED")
    world.report(world.task_of("b"), "TASK_UNREACHABLE")
    world.say(other())
    world.wait(GONE_S + 100.0)
    world.absent["agent-hlt01"] = "TASK_UNREACHABLE"
    looks(world)
    world.say(other())
    world.report(world.task_of("b"))
    assert world.engine.namesakes.agents["hlt01"] == "agent-2"
    world.die()
    assert world.engine.namesakes.agents["hlt01"] == "agent-2"


@pytest.mark.once
def test_where_agents_listen_is_forgotten_of_those_that_have_no_name_any_more() -> None:
    """A machine whose agent starts anew each minute fills no memory, and a name's own agent and its namesake keep their places."""
    world = running()
    world.say(other("agent-of-hlt01", "10.0.0.2:5051"))
    for number in range(3 * FORMER):
        world.say(events.OffersArrived((offer("hlt02", agent=f"agent-{number}", place="10.0.0.3:5051"),)))
    names = world.engine.namesakes
    assert len(names.places) <= 2 * len(names.agents) + FORMER + 1
    assert names.agents["hlt02"] == f"agent-{3 * FORMER - 1}"
    told = [names.named(one) for one in ("agent-hlt01", "agent-of-hlt01", names.agents["hlt02"])]
    assert [one.partition(" ")[2] for one in told] == ["(10.0.0.1:5051)", "(10.0.0.2:5051)", "(10.0.0.3:5051)"]
