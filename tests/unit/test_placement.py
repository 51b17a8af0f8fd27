"""Where and when jobs start: attributes, ports, what comes after what, and when there is no further attempt."""

from __future__ import annotations

from typing import Any

import pytest

from builders import World, job, of, offer, progress, rows
from daqsched.engine import commands, events
from daqsched.spec import FORWARDER, Spec
from daqsched.views.plan import plan
from daqsched.views.rows import Row
from daqsched_executor.contract import Exit, Report, Restart


def shown(world: World) -> dict[str, Row]:
    return {f"{row.job}@{row.host}": row for row in rows(world.engine, lambda a, b: True, world.now)}


def states(world: World) -> dict[str, str]:
    return {name: row.state for name, row in shown(world).items()}


def quiet(world: World, passed: float = 1000.0) -> int:
    """Time passes and nothing happens; how often offers were revived meanwhile."""
    before = len(of(world.done, commands.Revive))
    for _ in range(10):
        world.now += passed / 10
        world.say(events.Ticked())
    return len(of(world.done, commands.Revive)) - before


EVERYWHERE = job("probe", hosts="", attributes={"rack": "r1"})


# ---------------------------------------------------------------------- attributes


def test_a_named_host_must_have_the_attributes_as_well() -> None:
    """It waits, and says what is missing."""
    world = World(["hlt01", "hlt02"])
    world.machines["hlt01"] = {"gpu": "yes"}
    world.start(job(hosts="hlt[01-02]", attributes={"gpu": "yes"}))
    assert states(world) == {"readout@hlt01": "RUNNING", "readout@hlt02": "WAITING"}
    assert shown(world)["readout@hlt02"].reason == "hlt02 lacks the attribute gpu=yes (it has none)"


def test_a_job_with_attributes_alone_runs_once_on_each_machine_that_has_them() -> None:
    """All of the attributes, and nowhere else."""
    world = World(["hlt01", "hlt02", "hlt03"])
    world.machines.update(hlt01={"rack": "r1"}, hlt02={"rack": "r2"}, hlt03={"rack": "r1", "gpu": "yes"})
    world.start(EVERYWHERE)
    assert states(world) == {"probe@hlt01": "RUNNING", "probe@hlt03": "RUNNING"}
    world.filtered.clear()
    world.offers()
    assert len(world.tasks) == 2


def test_a_job_that_found_no_machine_says_so_and_is_not_complete() -> None:
    """An apply waits for it; it is not all well because there is nothing."""
    world = World()
    world.register()
    world.apply(EVERYWHERE)
    world.offers()
    (row,) = shown(world).values()
    assert (row.host, row.state) == ("", "WAITING")
    assert row.reason == "no machine has rack=r1 yet; it starts when one does"
    assert not progress(world.engine, lambda a, b: True, world.now, 9).complete


def test_a_new_machine_is_found_while_all_is_quiet_and_nothing_is_revived_for_it() -> None:
    """Offers are not suppressed while a new machine could be of use; those that were declined stay declined."""
    world = World(["hlt01", "hlt02"])
    world.machines["hlt01"] = {"rack": "r1"}
    world.start(EVERYWHERE)
    assert world.offers_suppressed() and quiet(world) == 0, "each was declined"
    assert world.filtered == {"hlt01", "hlt02"}, "the master keeps quiet of what is known"
    world.machines["hlt03"] = {"rack": "r1"}
    world.offers()
    assert world.task_of("probe", "hlt03")
    assert quiet(world, 10.0) == 0


def test_offers_are_asked_for_once_when_such_a_job_is_applied() -> None:
    """Machines that were declined an hour for nothing may have what it wants."""
    world = World(["hlt01"])
    world.start(job("a"))
    assert world.offers_suppressed()
    world.machines["hlt01"] = {"rack": "r1"}
    world.apply(job("a"), EVERYWHERE)
    world.offers()
    assert world.task_of("probe")
    world.report(world.task_of("probe"))
    world.apply(job("a"))
    world.report(world.task_of("probe"), "TASK_KILLED")
    assert world.offers_suppressed() or not of(world.offers(), commands.Launch)


def test_found_machines_survive_a_restart_of_the_daemon() -> None:
    """Nothing is touched and nothing started twice, though no machine has made an offer to the new daemon."""
    world = World(["hlt01"])
    world.machines["hlt01"] = {"rack": "r1"}
    world.start(EVERYWHERE)
    task = world.task_of("probe")
    world.restart()
    todo = world.register()
    assert not of(todo, commands.Kill)
    world.report(task)
    assert states(world) == {"probe@hlt01": "RUNNING"}
    world.offers()
    assert world.task_of("probe") == task


def test_a_machine_that_lost_the_attribute_loses_the_job_at_its_next_offer() -> None:
    """It is ended there, and forgotten when it has."""
    world = World(["hlt01"])
    world.machines["hlt01"] = {"rack": "r1"}
    world.start(EVERYWHERE)
    (kill,) = of(world.say(events.OffersArrived((offer("hlt01", rack="r2"),))), commands.Kill)
    assert shown(world)["probe@hlt01"].state == "STOPPING"
    world.report(kill.task_id, "TASK_KILLED")
    assert states(world) == {"probe@": "WAITING"} and not world.disk.records


def test_a_machine_that_was_taken_out_for_good_is_forgotten() -> None:
    """TASK_GONE_BY_OPERATOR: there is nothing to wait for."""
    world = World(["hlt01"])
    world.machines["hlt01"] = {"rack": "r1"}
    world.start(EVERYWHERE)
    world.report(world.task_of("probe"), "TASK_GONE_BY_OPERATOR")
    assert not world.engine.instances


def test_changed_attributes_keep_what_still_fits() -> None:
    """A narrower job leaves the machines that it does not fit any more, and is not restarted on the others."""
    world = World(["hlt01", "hlt02"])
    world.machines.update(hlt01={"rack": "r1"}, hlt02={"rack": "r1", "gpu": "yes"})
    world.start(EVERYWHERE)
    kills = of(world.apply(job("probe", hosts="", attributes={"rack": "r1", "gpu": "yes"})), commands.Kill)
    assert [kill.task_id for kill in kills] == [world.task_of("probe", "hlt01")]


def test_a_job_that_names_its_hosts_now_goes_on_there() -> None:
    """From found to named and back: the program is left alone."""
    world = World(["hlt01"])
    world.machines["hlt01"] = {"rack": "r1"}
    world.start(EVERYWHERE)
    assert not of(world.apply(job("probe", "hlt01")), commands.Kill)
    assert not of(world.apply(EVERYWHERE), commands.Kill)
    assert states(world) == {"probe@hlt01": "RUNNING"}


def test_the_forwarder_goes_where_jobs_are_found_and_leaves_with_the_last() -> None:
    """Lines of a machine that no file names are forwarded, too."""
    world = World(["hlt01", "hlt02"])
    world.machines["hlt02"] = {"rack": "r1"}
    forwarder = job(FORWARDER, "hlt01")
    world.start(job("a"), EVERYWHERE, forwarder)
    assert set(states(world)) == {"a@hlt01", "probe@hlt02", f"{FORWARDER}@hlt01", f"{FORWARDER}@hlt02"}
    killed = {kill.task_id for kill in of(world.apply(job("a"), forwarder), commands.Kill)}
    assert killed == {world.task_of("probe", "hlt02"), world.task_of(FORWARDER, "hlt02")}


def test_a_plan_names_the_machines_that_are_known() -> None:
    """And says where none is."""
    world = World(["hlt01", "hlt02", "hlt03"])
    world.machines.update(hlt01={"rack": "r1"}, hlt02={"rack": "r1"})
    world.register()
    none = plan(Spec(), Spec(jobs=(EVERYWHERE,)), world.engine.hosts_of).changes
    assert [(change.what, change.hosts, change.count) for change in none] == [
        ("add", "where rack=r1: no machine is known yet", 0)
    ]
    world.start(job("a"), EVERYWHERE)
    changed = job("probe", hosts="", attributes={"rack": "r1"}, release="r2")
    (change,) = plan(Spec(jobs=(EVERYWHERE,)), Spec(jobs=(changed,)), world.engine.hosts_of).changes
    assert (change.what, change.hosts, change.count) == ("restart", "where rack=r1: hlt[01-02]", 2)


# ---------------------------------------------------------------------- ports


def test_a_task_has_the_ports_of_its_offer_and_gives_them_back() -> None:
    """The payload, the record and the row tell which; the next job takes them when it ends."""
    world = World()
    world.start(job("a", ports={"http": 31002, "any": 0}))
    assert world.payloads[world.task_of("a")].ports == {"http": 31002, "any": 31000}
    assert shown(world)["a@hlt01"].ports == {"http": 31002, "any": 31000}
    world.apply(job("a", ports={"http": 31002, "any": 0}), job("b", ports={"http": 31002}))
    world.offers()
    assert shown(world)["b@hlt01"].reason == "port 31002 is taken or not offered on hlt01"
    world.apply(job("b", ports={"http": 31002}))
    world.report(world.task_of("a"), "TASK_KILLED")
    world.offers()
    assert world.payloads[world.task_of("b")].ports == {"http": 31002}


def test_ports_are_remembered_over_a_restart_of_the_daemon() -> None:
    """They are in the store with the task."""
    world = World()
    world.start(job(ports={"any": 0}))
    world.restart()
    assert shown(world)["readout@hlt01"].ports == {"any": 31000}


# ---------------------------------------------------------------------- after


def test_a_job_waits_for_the_one_before_it_on_its_own_host() -> None:
    """Where that one is on this host, too, the others do not matter."""
    world = World(["hlt01", "hlt02"])
    world.register()
    world.apply(job("readout", "hlt[01-02]", after=("evb",)), job("evb", "hlt[01-02]"))
    world.offers()
    assert {task.rpartition(".")[0] for task in world.tasks} == {"evb@hlt01", "evb@hlt02"}
    assert shown(world)["readout@hlt02"].reason == "waits for evb on hlt02 (STARTING)"
    world.report(world.task_of("evb", "hlt02"))
    world.offers()
    assert world.task_of("readout", "hlt02")
    assert shown(world)["readout@hlt01"].reason == "waits for evb on hlt01 (STARTING)"


def test_a_job_waits_for_all_hosts_of_one_that_is_not_on_its_own() -> None:
    """And says how far they are; who waits does not ask for offers."""
    world = World(["hlt01", "hlt02", "hlt03", "ctl"])
    world.register()
    world.apply(job("control", "ctl", after=("evb",)), job("evb", "hlt[01-03]"))
    world.offers()
    for host, done in (("hlt01", 1), ("hlt03", 2)):
        world.report(world.task_of("evb", host))
        assert shown(world)["control@ctl"].reason == f"waits for evb ({done} of 3 running)"
    assert world.offers_suppressed()
    world.report(world.task_of("evb", "hlt02"))
    world.offers()
    assert world.task_of("control", "ctl")


def test_who_was_started_is_not_stopped_when_the_one_before_dies() -> None:
    """But an own death means to wait again."""
    world = World()
    world.register()
    world.apply(job("evb"), job("readout", after=("evb",)))
    for name in ("evb", "readout"):
        world.offers()
        world.report(world.task_of(name))
    assert not of(world.report(world.task_of("evb"), "TASK_FAILED"), commands.Kill)
    assert states(world) == {"evb@hlt01": "WAITING", "readout@hlt01": "RUNNING"}
    world.report(world.task_of("readout"), "TASK_FAILED")
    assert shown(world)["readout@hlt01"].reason == "waits for evb on hlt01 (WAITING)"


def test_a_job_that_waits_for_an_offer_waits_again_when_the_one_before_ends() -> None:
    """What counts is the moment of the launch."""
    world = World(["hlt01", "hlt02"])
    world.start(job("evb", "hlt02"))
    world.apply(job("evb", "hlt02"), job("readout", "hlt01", after=("evb",)))
    assert "no offer" in shown(world)["readout@hlt01"].reason
    world.report(world.task_of("evb", "hlt02"), "TASK_FAILED")
    assert not of(world.say(events.OffersArrived((offer("hlt01"),))), commands.Launch)


def test_a_restarted_daemon_touches_nothing_that_runs_without_the_one_before() -> None:
    """Order is for starting."""
    world = World()
    world.register()
    world.apply(job("evb"), job("readout", after=("evb",)))
    for name in ("evb", "readout"):
        world.offers()
        world.report(world.task_of(name))
    world.report(world.task_of("evb"), "TASK_FAILED")
    world.restart()
    assert not of(world.register(), commands.Kill)
    assert world.task_of("readout")


def test_a_removed_or_finished_job_keeps_nobody_waiting() -> None:
    """One that did what it should counts as up; one that is no longer desired does not count."""
    world = World(["hlt01", "hlt02", "ctl"])
    jobs = job("setup", "hlt[01-02]"), job("control", "ctl", after=("setup",))
    world.register()
    world.apply(*jobs)
    world.offers()
    world.report(world.task_of("setup", "hlt01"), "TASK_FINISHED")
    assert shown(world)["control@ctl"].reason == "waits for setup (1 of 2 running)"
    world.apply(job("setup", "hlt01"), jobs[1])
    world.offers()
    assert world.task_of("control", "ctl")


def test_a_job_waits_for_one_that_has_found_no_machine() -> None:
    """None of none is not all."""
    world = World()
    world.register()
    world.apply(EVERYWHERE, job("readout", after=("probe",)))
    world.offers()
    assert shown(world)["readout@hlt01"].reason == "waits for probe (it has no machine yet)"


def test_a_chain_starts_from_its_beginning() -> None:
    """Each when the one before runs."""
    world = World()
    world.register()
    chain = [job("c", after=("b",)), job("b", after=("a",)), job("a")]
    world.apply(*chain)
    order = []
    for _ in chain:
        world.offers()
        (started,) = set(world.tasks) - world.running
        order.append(started.partition("@")[0])
        world.report(started)
    assert order == ["a", "b", "c"]


# ---------------------------------------------------------------------- give_up, and what checks say


def fail(world: World, **more: Any) -> None:
    world.report(world.task_of("readout"), "TASK_FAILED", message="exit code 1", **more)


def test_a_job_is_given_up_after_so_many_failures_and_started_by_hand() -> None:
    """FAILED, with what to do; `start` begins the count anew."""
    world = World()
    world.start(job(restart=Restart(give_up=2)))
    fail(world)
    assert states(world) == {"readout@hlt01": "WAITING"}
    world.offers()
    fail(world)
    row = shown(world)["readout@hlt01"]
    assert row.state == "FAILED"
    assert row.reason == (
        "failed 2 times in a row, last: exit code 1; given up; `daqsched start readout@hlt01` tries again"
    )
    world.restart()
    world.register()
    assert not of(world.offers(), commands.Launch) and quiet(world) == 0 and world.offers_suppressed()
    assert states(world) == {"readout@hlt01": "FAILED"}
    world.say(events.Released((("readout", "hlt01"),), "bob"))
    world.offers()
    fail(world)
    assert states(world) == {"readout@hlt01": "WAITING"}


def test_a_changed_job_is_tried_again_with_a_new_count() -> None:
    """Another version is another program."""
    world = World()
    world.start(job(restart=Restart(give_up=1)))
    fail(world)
    assert states(world) == {"readout@hlt01": "FAILED"}
    world.apply(job(restart=Restart(give_up=1), release="r2"))
    world.offers()
    assert world.task_of("readout")


@pytest.mark.parametrize(("give_up", "state"), [(0, "WAITING"), (3, "WAITING"), (2, "FAILED")])
def test_a_job_that_was_given_up_goes_on_when_more_failures_are_allowed(give_up: int, state: str) -> None:
    """The program is the same, so nothing else would start it."""
    world = World()
    world.start(job(restart=Restart(give_up=2)))
    fail(world)
    world.offers()
    fail(world)
    world.apply(job(restart=Restart(give_up=give_up), owner="bob"))
    assert states(world) == {"readout@hlt01": state}


def test_a_task_that_is_old_for_its_many_restarts_has_not_been_well() -> None:
    """What counts is how long the program ran last, not how long its executor tried."""
    world = World()
    world.start(job(restart=Restart(give_up=2)))
    for _ in range(2):
        world.now += 500.0
        data = Report("exited", restarts=9, last_exit=Exit(world.now, 0.2, code=1)).to_json()
        fail(world, data=data)
        world.offers()
    assert states(world) == {"readout@hlt01": "FAILED"}


def report(world: World, report: Report, state: str = "TASK_RUNNING", message: str = "") -> Row:
    task = world.task_of("readout")
    world.say(events.TaskReported(task, "agent-hlt01", state, message, by_executor=True, data=report.to_json()))
    return shown(world)["readout@hlt01"]


def test_a_program_whose_check_fails_is_unhealthy_and_not_as_desired() -> None:
    """A state of its own: it is counted, sorted to the top, and an apply does not call it well."""
    world = World()
    world.start(job())
    row = report(world, Report("running", pid=7, healthy=False, ailment="http: status 503"))
    assert (row.state, row.reason, row.pid) == ("UNHEALTHY", "http: status 503", 7)
    found = progress(world.engine, lambda a, b: True, world.now, 9)
    assert not found.complete and found.lagging[0].reason == "http: status 503"
    assert report(world, Report("running", pid=7, healthy=True)).state == "RUNNING"


def test_a_snoozed_check_does_not_count_and_is_seen() -> None:
    """Somebody knows; it counts again when the time is over."""
    world = World()
    world.start(job())
    snoozed = Report("running", healthy=False, ailment="http: status 503", snoozed=world.now + 90.0)
    row = report(world, snoozed)
    assert (row.state, row.reason) == ("RUNNING", "its checks are snoozed for 1 min 30 s more; http: status 503")
    world.wait(91.0)
    assert shown(world)["readout@hlt01"].state == "UNHEALTHY"


def test_a_program_that_is_not_ready_is_starting_with_the_executors_words() -> None:
    """An apply waits for it."""
    world = World()
    world.register()
    world.apply(job())
    world.offers()
    row = report(world, Report("starting", pid=7), "TASK_STARTING", "runs, waits for the check http: refused")
    assert (row.state, row.reason) == ("STARTING", "runs, waits for the check http: refused")
    assert not progress(world.engine, lambda a, b: True, world.now, 9).complete


def test_a_task_that_stays_running_while_its_program_starts_again_is_not_running() -> None:
    """Mesos' state is TASK_RUNNING all along; the report says that it is not ready, and what others say of the task does not."""
    world = World()
    world.start(job())
    for again in (
        Report("backoff", restarts=1, until=world.now + 60.0, ready=False),
        Report("starting", pid=8, restarts=1, ready=False),
    ):
        want = again.activity.upper()
        assert report(world, again, "TASK_RUNNING", "not yet").state == want
        (task_id,) = world.tasks
        world.report(task_id)  # the master, asked for what it knows
        assert shown(world)["readout@hlt01"].state == want
        assert not progress(world.engine, lambda a, b: True, world.now, 9).complete
    assert report(world, Report("running", pid=8, restarts=1), "TASK_RUNNING", "pid 8").state == "RUNNING"


def test_only_the_first_start_of_a_task_is_measured_from_its_launch() -> None:
    """A program that starts again after a day took no day to start."""
    world = World()
    world.register()
    world.apply(job())
    world.offers()
    world.now += 2.0
    report(world, Report("running", pid=7), "TASK_RUNNING", "pid 7")
    world.now += 86400.0
    report(world, Report("starting", pid=8, restarts=1, ready=False), "TASK_RUNNING", "not yet")
    report(world, Report("running", pid=8, restarts=1), "TASK_RUNNING", "pid 8")
    assert world.engine.durations.known["readout"].start_s < 60.0


def test_a_new_task_is_no_doubt_however_long_ago_the_master_took_us() -> None:
    """What was launched a moment ago need not have been spoken of."""
    world = World()
    world.register()
    world.now += 1000.0
    world.apply(job())
    world.offers()
    assert shown(world)["readout@hlt01"].state == "STARTING"


def test_a_running_program_shows_what_it_says_and_how_it_last_died() -> None:
    """Pid, time and restarts have columns of their own."""
    world = World()
    world.start(job())
    died = Exit(world.now, 2.1, signal="SIGSEGV", core=True)
    assert report(world, Report("running", pid=7, restarts=1, says="42 events/s", last_exit=died)).reason == (
        "42 events/s; last end: killed by SIGSEGV (core dumped) after 2.1 s"
    )
    assert report(world, Report("running", pid=7, restarts=1)).reason == ""
