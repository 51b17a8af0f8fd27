"""What a change of a job's field does to what runs: nothing, a word to its executor, or a new start; of every field."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from builders import World, job, of
from daqsched import Job
from daqsched.digests import older_rules_digest, older_run_digests, rules_digest, run_digest
from daqsched.engine import commands
from daqsched.engine.executor_rules import NOT_KNOWN
from daqsched.engine.operator_commands import TOLD_S
from daqsched.fill import payload
from daqsched.jobfile.convert import WORDS
from daqsched.spec import EXECUTOR, OF_A_START, OF_WHOM, PROGRAM, SCHEDULER, CheckSpec, JobSpec, Spec
from daqsched.views.estimate import with_starts
from daqsched.views.plan import plan
from daqsched.views.snapshot import had, snapshot
from daqsched.views.why import explanations
from daqsched_executor.contract import MANUAL, OBEY, RULES, Container, OperatorCommand, Payload, Report, Restart, Stop
from daqsched_executor.life.commands import Signal, Spawn
from daqsched_executor.life.events import Died, OperatorAsked, StopAsked
from story import Story, kinds, report_of
from story import payload as story_payload

#: Another value for every field of a job.
OTHER: Mapping[str, Any] = {
    "name": "other",
    "argv": ("/bin/false",),
    "hosts": ("hlt01", "hlt02"),
    "attributes": {"rack": "r1"},
    "release": "r2",
    "env": {"A": "b"},
    "cwd": "/data",
    "user": "daq",
    "cpus": 2.0,
    "mem": 128.0,
    "disk": 10.0,
    "ports": {"http": 31000},
    "limits": {"nofile": 100},
    "needs": ("/data",),
    "restart": Restart("never"),
    "stop": Stop("INT"),
    "owner": "bob",
    "critical": False,
    "forward": False,
    "labels": {"a": "b"},
    "after": ("evb",),
    "checks": (CheckSpec(kind="tcp", name="tcp", port=1),),
    "actions": {"dump": ("/bin/dump",)},
    "action_timeout_s": 5.0,
    "shifter_actions": ("dump",),
    "container": Container("debian"),
    "lock": False,
    "libraries": False,
    "setuid": True,
    "output": "file",
    "console": True,
    "replaces": ("old",),
    "part": "hlt",
    "start": MANUAL,
}


def test_every_field_is_in_the_table() -> None:
    """Whoever adds one says whose it is."""
    assert set(OF_WHOM) == set(OTHER) == set(JobSpec.__struct_fields__)
    assert {name for name, whose in OF_WHOM.items() if whose == EXECUTOR} == RULES


@pytest.mark.parametrize("name", OTHER)
def test_the_table_says_what_an_executor_is_handed(name: str) -> None:
    """What is the scheduler's is in no payload; what only the executor obeys leaves all else in it as it was. (Disk is Mesos'.)"""
    old, new = job("one"), replace(job("one"), **{name: OTHER[name]})
    whose = OF_WHOM[name]
    before, after = (vars(payload(one, "hlt01", "t")) for one in (old, new))
    changed = {field for field in before if before[field] != after[field]} - {"rules"}
    assert (run_digest(old) != run_digest(new)) == (whose == PROGRAM)
    assert (rules_digest(old) != rules_digest(new)) == (before["rules"] != after["rules"]) == (whose == EXECUTOR)
    oldest, older = zip(older_run_digests(old), older_run_digests(new))
    assert (oldest[0] == oldest[1]) == (whose == SCHEDULER)
    assert (older[0] == older[1]) == (whose != PROGRAM and name not in ("labels", "forward"))
    if whose == SCHEDULER:
        assert not changed
    elif whose == EXECUTOR:
        assert changed == {name}
    else:
        assert changed or name == "disk"


def test_a_program_sees_of_its_checks_the_heartbeats_that_are_waited_for() -> None:
    """NOTIFY_SOCKET and WATCHDOG_USEC are in its environment."""

    def run(*checks: CheckSpec) -> str:
        return run_digest(job(checks=checks))

    def beat(silence_s: float, **more: Any) -> CheckSpec:
        return CheckSpec(kind="heartbeat", name="beat", silence_s=silence_s, **more)

    tcp = CheckSpec(kind="tcp", name="tcp", port=1)
    assert run() == run(tcp) != run(beat(5.0)) == run(tcp, beat(5.0, grace_s=60.0, unhealthy="notify"))
    assert run(beat(5.0)) != run(beat(6.0)) != run(beat(0.0)) != run()


def test_the_page_says_of_every_field_what_a_change_does() -> None:
    """In the words of a job file, each in one row of the table."""
    page = (Path(__file__).parents[2] / "docs/reference/jobfile.md").read_text(encoding="utf-8")
    rows = re.findall(
        r"^\| (`.*`) \| (.*) \|$", page.partition("### What a change does")[2].partition("\n\n- ")[0], re.M
    )
    said = {name: what for names, what in rows for name in re.findall(r"`(\w+)`", names)}
    whose = {WORDS.get(name, name).partition(".")[0]: whose for name, whose in OF_WHOM.items()}
    whose["argv"] = whose["command"]
    begins = {SCHEDULER: "restarts nothing", EXECUTOR: "is told to the executor", PROGRAM: "restarts the job"}
    fields = list(inspect.signature(Job).parameters)
    assert sorted(said) == sorted(fields) and sum(len(re.findall("`", names)) for names, _ in rows) == 2 * len(fields)
    for name in fields:
        assert said[name].startswith(begins[whose[name]]), name


def told(world: World) -> list[OperatorCommand]:
    """The rules that were sent since the last look."""
    sent = [one.order for one in of(world.done, commands.Send) if isinstance(one.order, OperatorCommand)]
    world.done.clear()
    return [one for one in sent if one.kind == OBEY]


def says(world: World, rules: str, state: str = "TASK_RUNNING", carries: bool = True) -> None:
    """The executor's report."""
    report = Report("running", rules=rules, carries=carries)
    world.report(world.task_of("readout"), state, message="running", by_executor=True, data=report.to_json())


def running(one: JobSpec) -> World:
    world = World()
    world.start(one)
    says(world, rules_digest(one))
    assert told(world) == []
    return world


@pytest.mark.parametrize("name", sorted(RULES))
def test_an_executor_is_told_until_it_has_confirmed_and_the_program_runs_on(name: str) -> None:
    """A message may be lost, and a daemon die in between; an apply waits for the word."""
    world = running(job())
    task, new = world.task_of("readout"), job(**{name: OTHER[name]})
    world.apply(new)
    (order,) = told(world)
    assert getattr(Payload.from_json(order.payload), name) == getattr(payload(new, "hlt01", task), name)
    (row,) = world.rows()
    assert (row.state, row.outdated, row.task_id) == ("RUNNING", True, task) and "is being told" in row.reason
    world.wait(TOLD_S)
    assert len(told(world)) == 1
    world.die()
    says(world, rules_digest(job()))
    assert len(told(world)) == 1
    says(world, rules_digest(new))
    world.wait(2 * TOLD_S)
    (row,) = world.rows()
    assert told(world) == [] and not row.outdated and row.reason == "" and world.task_of("readout") == task


@pytest.mark.parametrize("name", ["labels", "forward"])
def test_an_older_executor_that_confirms_labels_and_does_not_go_by_them_is_told_from_one_that_does(name: str) -> None:
    """What else changed it is told; of the labels people are told, while they are others, and an apply waits for nobody."""
    world = World()
    world.start(job())
    says(world, rules_digest(job()), carries=False)
    other = {name: OTHER[name]}
    world.apply(job(**other))
    (row,) = world.rows()
    assert told(world) == [] and not row.outdated and "is too old to be told of other labels" in row.reason
    world.apply(job(restart=Restart("never"), **other))
    (order,) = told(world)
    says(world, Payload.from_json(order.payload).rules, carries=False)
    (row,) = world.rows()
    assert not row.outdated and "is too old" in row.reason and "is being told" not in row.reason
    world.apply(job(restart=Restart("never")))
    (row,) = world.rows()
    assert told(world) == [] and not row.outdated and row.reason == ""


@pytest.mark.parametrize("name", ["labels", "forward"])
@pytest.mark.parametrize("older", [lambda one: rules_digest(one).partition(".")[0], older_rules_digest])
def test_labels_of_an_executor_that_confirms_any_and_names_none_are_not_known(
    older: Callable[[JobSpec], str], name: str
) -> None:
    """Whatever it is told and confirms, and until a newer one is there: it is said, also where nothing changed."""
    world = World()
    world.start(job())
    says(world, older(job()), carries=False)

    def said(outdated: bool = False) -> bool:
        (row,) = world.rows()
        ((story, lately),) = explanations(world.engine, list(world.engine.instances), world.now)
        assert story.why == row.reason and not lately
        return "too old to say which labels its lines carry" in row.reason and row.outdated == outdated

    assert told(world) == [] and said()
    other = {name: OTHER[name]}
    never = {"restart": Restart("never")}
    steps: tuple[dict[str, Any], ...] = ({}, other, {**never, **other}, never, {})
    for rules in steps:
        world.apply(job(**rules))
        for order in told(world):
            assert said(outdated=True)
            told_of = Payload.from_json(order.payload)
            assert told_of.rules.endswith(f".{NOT_KNOWN}")
            says(world, told_of.rules, carries=False)
        world.wait(2 * TOLD_S)
        assert told(world) == [] and said()
    says(world, rules_digest(job()))
    assert [(row.reason, row.outdated) for row in world.rows()] == [("", False)]
    assert not list(explanations(world.engine, list(world.engine.instances), world.now))


@pytest.mark.parametrize("name", ["labels", "forward"])
@pytest.mark.parametrize("which", [0, 1])
def test_labels_that_are_in_an_older_daemon_s_name_for_what_it_launched_are_known(which: int, name: str) -> None:
    """After the upgrade nothing is said of them before they are others; the next daemon knows it, too, and nobody believes what the
    executor confirms."""
    one = job(labels={"run": "1"})
    world = running(one)
    raw: Any = world.disk.records["readout", "hlt01"]
    raw["task"]["digest"] = older_run_digests(one)[which]
    oldest = rules_digest(one).partition(".")[0]
    world.done.clear()
    world.die()
    says(world, oldest, carries=False)
    assert told(world) == [] and [(row.reason, row.outdated) for row in world.rows()] == [("", False)]
    other = replace(one, **{name: OTHER[name], "restart": Restart("never")})
    world.apply(other)
    (order,) = told(world)
    for again in (False, True):
        says(world, Payload.from_json(order.payload).rules, carries=False)
        (row,) = world.rows()
        assert told(world) == [] and not row.outdated and "is too old to be told of other labels" in row.reason
        assert [one.story.why for one in explanations(world.engine, [(row.job, row.host)], world.now)] == [row.reason]
        if not again:
            world.die()
    world.apply(replace(one, restart=Restart("never")))
    assert told(world) == [] and [(row.reason, row.outdated) for row in world.rows()] == [("", False)]


def test_what_an_older_daemon_told_is_not_told_again() -> None:
    """Its digests were others: no storm of words after an upgrade."""
    world = World()
    world.start(job())
    says(world, older_rules_digest(job()))
    world.wait(2 * TOLD_S)
    assert told(world) == [] and [row.outdated for row in world.rows()] == [False]
    world.apply(job(labels={"a": "b"}))
    assert len(told(world)) == 1


def test_an_older_executor_is_not_told_what_it_does_not_understand() -> None:
    """Its program runs on, by the rules of its start."""
    world = World()
    world.start(job())
    says(world, "")
    world.apply(job(restart=Restart("never")))
    world.wait(2 * TOLD_S)
    assert told(world) == [] and [row.outdated for row in world.rows()] == [False]


@pytest.mark.parametrize("which", [0, 1])
def test_an_older_daemon_s_name_for_the_same_job_starts_nothing_anew(which: int) -> None:
    """An upgrade; of what has ended for good, too."""
    one = job(restart=Restart("never"), actions={"dump": ("/bin/dump",)}, labels={"a": "b"})
    assert older_run_digests(one)[which] != run_digest(one)
    world = running(one)
    for ended in (False, True):
        if ended:
            world.report(world.task_of("readout"), "TASK_FINISHED")
        raw: Any = world.disk.records["readout", "hlt01"]
        (raw if ended else raw["task"])["done" if ended else "digest"] = older_run_digests(one)[which]
        world.done.clear()
        world.die()
        world.offers()
        (row,) = world.rows()
        assert (row.state, row.outdated) == ("FINISHED" if ended else "RUNNING", False)
        assert not of(world.done, commands.Kill) and not of(world.done, commands.Launch)


@pytest.mark.parametrize("name", OTHER)
@pytest.mark.parametrize("state", ["FINISHED", "FAILED", "BACKOFF"])
def test_what_does_not_run_starts_where_a_change_of_this_field_may_help(name: str, state: str) -> None:
    """What has finished by nothing but another version of what runs; what has failed, or waits for its next try, also by what
    decides whether it comes up. Never by a label, an action, a signal. The plan says the same."""
    if name == "name":
        return  # another job
    old = job(restart=Restart("on-failure" if state == "BACKOFF" else "never"), cpus=0.1)
    new = replace(old, **{name: Restart("always") if name == "restart" else OTHER[name]})
    world = World(["hlt01", "hlt02"])
    world.start(old)
    while world.rows()[0].state != state:
        world.offers()
        world.report(world.task_of("readout"), "TASK_FINISHED" if state == "FINISHED" else "TASK_FAILED")
    before = [(row.state, row.host) for row in world.rows()]
    assert before == [(state, "hlt01")]
    if name == "attributes":
        world.machines = {"hlt01": OTHER[name], "hlt02": OTHER[name]}
    known = snapshot(world.engine)
    found = plan(known.spec, Spec(jobs=(new,)), known.hosts_of, known.behind)
    known.instances.update(had(world.engine, "readout"))
    changes = [one for one in with_starts(known, found, Spec(jobs=(new,))).changes if one.what != "add"]
    world.apply(new)
    started = [task.payload.host for one in of(world.offers(), commands.Launch) for task in one.tasks]
    helps = OF_WHOM[name] == PROGRAM or (state != "FINISHED" and name in OF_A_START)
    assert ("hlt01" in started) == helps
    if state != "BACKOFF":
        assert any(one.what == "restart" or one.starts for one in changes) == helps


def obey(rules: Payload, id: str = "o1") -> OperatorAsked:
    return OperatorAsked(OperatorCommand(id, OBEY, "daqsched apply", payload=rules.to_json().decode()))


def ran(job: Payload) -> Story:
    story = Story(job)
    story.run()
    return story


def test_the_next_death_goes_by_the_new_rules() -> None:
    """And the report names them, at once."""
    story = ran(story_payload("always"))
    story.happen(obey(Payload(**{**vars(story_payload("never")), "rules": "r2"})))
    told = story.state.told
    assert told is not None and report_of(told).rules == "r2", story.told[-1]
    assert Spawn not in kinds(story.happen(Died(code=3), after=1))
    assert story.told[-1][0] == "TASK_FAILED"


def test_the_next_stop_and_no_other_field_is_changed() -> None:
    """What the program is started as stays what it was."""
    story = ran(story_payload("always"))
    before = story.state.payload
    assert before is not None
    story.happen(obey(Payload(**{**vars(before), "stop": Stop("INT"), "argv": ("/bin/other",), "rules": "r2"})))
    after = story.state.payload
    assert after is not None and after.argv == before.argv and after.stop == Stop("INT")
    (signal,) = [one for one in story.happen(StopAsked("x")) if isinstance(one, Signal)]
    assert signal.name == "INT"


def test_rules_that_can_not_be_read_change_nothing() -> None:
    """And end nothing."""
    story = ran(story_payload("always"))
    before = story.state.payload
    story.happen(OperatorAsked(OperatorCommand("o1", OBEY, "daqsched apply", payload='{"task_id": 7}')))
    assert story.state.payload == before and story.state.phase == "running"
