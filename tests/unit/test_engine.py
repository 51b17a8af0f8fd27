"""The engine as what it is: events in, commands out. Time is a number, the world is a value."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings

from builders import World, job, of, offer, progress, rows, turn
from daqsched.confirm import ALL
from daqsched.engine import commands, events
from daqsched.engine.backoff import CAP_S
from daqsched.engine.farm import ASK_S, KILL_AGAIN_S
from daqsched.engine.operator_commands import why_not
from daqsched.engine.reconciling_state import RECONCILE_S
from daqsched.engine.resources import Offer
from daqsched.rollout import Strategy
from daqsched.spec import CheckSpec, Spec
from daqsched.views.rows import Row
from daqsched_executor.contract import Exit, OperatorCommand, Report, Restart
from examples import examples
from random_farm import RandomFarm


def row(world: World, name: str = "readout", host: str = "hlt01") -> Row:
    (found,) = rows(world.engine, lambda a, b: (a, b) == (name, host), world.now)
    return found


def test_a_job_is_launched_on_its_host_and_nowhere_else() -> None:
    """An offer from the job's host is used, the others are declined for long."""
    world = World(["hlt01", "hlt02"])
    world.register()
    world.apply(job())
    todo = world.offers()
    (launch,) = of(todo, commands.Launch)
    (decline,) = of(todo, commands.Decline)
    assert launch.offer_id == "offer-hlt01" and decline.offer_ids == ("offer-hlt02",)
    assert decline.refuse_s >= 3600


def test_the_attribute_hostname_pins_as_well_as_the_offers_own() -> None:
    """Either name of a machine will do."""
    world = World()
    world.register()
    world.apply(job())
    named = Offer("o", "a", ("node17.example.org", "hlt01"), 8.0, 8192.0, 0.0)
    assert of(world.say(events.OffersArrived((named,))), commands.Launch)


def test_an_operator_command_goes_to_every_living_executor_that_is_meant() -> None:
    """By its task and agent; one that was told to end gets none."""
    world = World(["hlt01", "hlt02"])
    world.start(job(hosts="hlt[01-02]", actions={"dump": ("/bin/true",)}))
    world.say(events.Held((("readout", "hlt02"),), "bob"))
    order = OperatorCommand("1", "act", "alice", "dump")
    sent = of(
        world.say(events.OperatorCommanded((("readout", "hlt01"), ("readout", "hlt02"), ("no", "where")), order)),
        commands.Send,
    )
    assert [(one.task_id, one.order) for one in sent] == [(world.task_of("readout"), order)]


def test_who_can_not_hear_an_operator_command_has_a_reason() -> None:
    """Each case has its own."""
    world = World()
    world.register()
    world.apply(job(actions={"dump": ("/bin/true",)}))

    def why(kind: str = "act", name: str = "dump") -> str:
        return why_not(world.engine.instances["readout", "hlt01"], OperatorCommand("1", kind, "alice", name), world.now)

    assert (why(), why("retry")) == ("does not run", "does not run, and no back-off is under way")
    world.offers()
    assert why() == "can't be reached yet: its executor is not up"
    task = world.task_of("readout")
    world.report(task)
    assert (why(), why("retry"), why("snooze")) == ("", "", "has no checks")
    assert why(name="nosuch") == "has no action 'nosuch' (it has: dump)"
    world.report(task, "TASK_UNREACHABLE")
    assert why() == "can't be reached: hlt01 does not answer the master"
    world.report(task)
    world.say(events.Held((("readout", "hlt01"),), "bob"))
    assert why() == "is being stopped"
    world.apply()
    assert why() == "is no longer desired"


def test_only_a_check_that_there_is_can_rest() -> None:
    """The reason names those that there are."""
    world = World()
    world.start(job(checks=(CheckSpec(kind="tcp", name="port"), CheckSpec(kind="tcp", name="control"))))
    instance = world.engine.instances["readout", "hlt01"]
    assert why_not(instance, OperatorCommand("1", "wake", "alice", "port"), world.now) == ""
    assert why_not(instance, OperatorCommand("1", "snooze", "alice"), world.now) == ""
    why = why_not(instance, OperatorCommand("1", "snooze", "alice", "prot"), world.now)
    assert why == "has no check 'prot' (it has: port, control)"


def test_a_snooze_outlives_the_executor_that_was_told_of_it() -> None:
    """Also the daemon; the next task's executor hears of it with its first words, until it says that it knows."""
    world = World()
    key = ("readout", "hlt01")
    world.start(job(checks=(CheckSpec(kind="tcp", name="port"), CheckSpec(kind="tcp", name="control"))))

    def told(report: Report) -> list[tuple[str, str]]:
        event = events.TaskReported(
            world.task_of("readout"), "agent-hlt01", "TASK_RUNNING", data=report.to_json(), by_executor=True
        )
        return [(one.order.name, one.order.kind) for one in of(world.say(event), commands.Send)]

    world.say(events.OperatorCommanded((key,), OperatorCommand("1", "snooze", "alice", until=world.now + 500.0)))
    assert told(Report("running", snoozed=world.now + 500.0)) == []
    world.report(world.task_of("readout"), "TASK_FAILED")
    world.restart()
    world.register()
    world.offers()
    assert told(Report("starting")) == [("port", "snooze"), ("control", "snooze")]
    assert told(Report("running", snoozed=world.now + 400.0)) == []
    world.say(events.OperatorCommanded((key,), OperatorCommand("2", "wake", "alice", "port")))
    assert told(Report("running")) == [("control", "snooze")]
    world.now += 501.0
    assert told(Report("running")) == []


def test_a_start_now_also_ends_the_schedulers_own_back_off() -> None:
    """It waits for an offer at once, and the next back-off begins anew; nothing else is changed by an order."""
    world = World()
    world.start(job())
    key = ("readout", "hlt01")
    record = world.engine.record(key)
    assert record is not None
    while record.due <= world.now:
        world.report(world.task_of("readout"), "TASK_FAILED")
        world.offers()
    world.say(events.OperatorCommanded((key,), OperatorCommand("1", "snooze", "alice")))
    assert world.engine.record(key) == record and record.due > world.now
    world.say(events.OperatorCommanded((key,), OperatorCommand("2", "retry", "alice")))
    assert record.due == 0.0 and record.failures == 0
    world.offers()
    assert world.task_of("readout")


def test_the_last_words_of_a_job_outlive_its_task_and_the_daemon() -> None:
    """Who looks at what has failed wants to know what it printed."""
    world = World()
    world.start(job(restart=Restart("never")))
    last = Report("exited", last_exit=Exit(1.0, 2.0, code=2, lines=("cannot open /dev/pcie40",)))
    world.report(world.task_of("readout"), "TASK_FAILED", message="exit code 2", data=last.to_json(), by_executor=True)
    world.restart()
    world.register()
    found = row(world)
    assert found.state == "FAILED" and found.report == last and found.restarts == 0 and not found.task_id


def test_offers_are_suppressed_when_nothing_waits_and_revived_when_something_does() -> None:
    """Other users' frameworks get the machines while all jobs run."""
    world = World()
    world.register()
    assert world.offers_suppressed(), "nothing was applied: no offers are needed"
    world.apply(job())
    assert not world.offers_suppressed()
    world.offers()
    assert world.offers_suppressed(), "all is launched"
    world.now += 100
    world.report(world.task_of("readout"), "TASK_FAILED")
    assert not world.offers_suppressed()


def test_an_offer_that_is_too_small_says_what_is_missing() -> None:
    """The reason names what the job needs and what there is."""
    world = World()
    world.register()
    world.apply(job(mem=512.0))
    world.say(events.OffersArrived((offer(mem=300.0),)))
    assert row(world).state == "WAITING"
    assert row(world).reason.startswith("not enough memory: needs 544 MiB, 300 MiB free; it never fits hlt01, ")


def test_two_jobs_share_an_offer_as_far_as_it_goes() -> None:
    """What one job takes is not there for the next."""
    world = World()
    world.register()
    world.apply(job("a", cpus=1.0), job("b", cpus=1.0), job("c", cpus=1.0))
    (launch,) = of(world.say(events.OffersArrived((offer(cpus=2.5),))), commands.Launch)
    assert [task.payload.job for task in launch.tasks] == ["a", "b"]
    assert "not enough cores" in row(world, "c").reason


def test_a_waiting_job_says_that_its_host_is_silent() -> None:
    """Each waiting job has a reason."""
    world = World()
    world.register()
    world.apply(job(hosts="hlt09"))
    assert row(world, host="hlt09").reason == "no offer from hlt09 (none since this daemon started): is its agent up?"


def test_a_failed_task_is_started_again_at_once_and_then_ever_later() -> None:
    """The first attempt is immediate, later ones back off up to the cap, for ever."""
    world = World()
    world.start(job())
    waits = []
    for _ in range(12):
        world.report(world.task_of("readout"), "TASK_FAILED", message="exit code 1")
        record = world.engine.record(("readout", "hlt01"))
        assert record is not None
        waits.append(max(0.0, record.due - world.now))
        if waits[-1]:
            assert row(world).state == "BACKOFF" and "exit code 1" in row(world).reason
            assert not of(world.offers(), commands.Launch), "not before its time"
        world.now = max(world.now, record.due) + 1.0
        world.say(events.Ticked())
        world.offers()
        assert world.task_of("readout")
    assert waits[:4] == [0.0, 1.0, 2.0, 4.0] and waits[-1] == CAP_S


def test_a_long_run_clears_the_count_of_failures() -> None:
    """A job that was well for a minute is started at once."""
    world = World()
    world.start(job())
    for _ in range(3):
        world.now += 100.0
        world.report(world.task_of("readout"), "TASK_FAILED")
        assert row(world).state == "WAITING"
        world.offers()


def test_a_finished_task_is_not_started_again_until_it_changes() -> None:
    """A job that may end and did is left alone."""
    world = World()
    world.start(job())
    world.report(world.task_of("readout"), "TASK_FINISHED", message="exit code 0")
    assert not of(world.offers(), commands.Launch)
    assert row(world).state == "FINISHED" and world.offers_suppressed()
    world.apply(job(release="r2"))
    world.offers()
    assert world.task_of("readout")


def test_a_changed_job_is_killed_first_and_then_started() -> None:
    """Kill, wait for the end, launch: never two at a time."""
    world = World()
    world.start(job(release="r1"))
    old = world.task_of("readout")
    (kill,) = of(world.apply(job(release="r2")), commands.Kill)
    assert kill.task_id == old and row(world).state == "STOPPING" and row(world).outdated
    assert not of(world.say(events.OffersArrived((offer(),))), commands.Launch)
    world.report(old, "TASK_KILLED")
    world.offers()
    assert world.payloads[world.task_of("readout")].release == "r2"


def test_a_change_that_no_program_can_see_restarts_nothing() -> None:
    """A new owner is no reason for an outage."""
    world = World()
    world.start(job())
    assert not of(world.apply(job(owner="bob", critical=False)), commands.Kill)


def test_a_removed_job_is_killed_and_forgotten() -> None:
    """When its task has ended nothing is left of it."""
    world = World()
    world.start(job("a"), job("b"))
    (kill,) = of(world.apply(job("a")), commands.Kill)
    world.report(kill.task_id, "TASK_KILLED")
    assert set(world.engine.instances) == {("a", "hlt01")} and set(world.disk.records) == {("a", "hlt01")}


def test_a_kill_that_nobody_answers_is_repeated() -> None:
    """A lost kill is asked for again after the job's grace."""
    world = World()
    world.start(job())
    world.apply(job(release="r2"))
    world.now += 10.0 + KILL_AGAIN_S + 0.1
    assert of(world.say(events.Ticked()), commands.Kill)


def test_a_launch_that_nobody_speaks_of_is_asked_about() -> None:
    """The accept may have been lost: the master knows."""
    world = World()
    world.register()
    world.apply(job())
    world.offers()
    world.now += ASK_S + 0.1
    (asked,) = of(world.say(events.Ticked()), commands.Reconcile)
    assert asked.tasks == ((world.task_of("readout"), "agent-hlt01"),)


def test_everything_is_reconciled_every_so_often() -> None:
    """What was missed is found by asking."""
    world = World()
    world.start(job())
    world.now += RECONCILE_S + 0.1
    assert len(of(world.say(events.Ticked()), commands.Reconcile)) == 2


@pytest.mark.once
def test_a_large_farm_is_reconciled_part_by_part() -> None:
    """No step asks about more than a thousand tasks, and each has had its turn after ten minutes."""
    hosts = [f"h{number:04d}" for number in range(2500)]
    world = World([])
    world.register()
    world.engine.handle(events.JobsApplied(Spec(jobs=(job(hosts="h[0000-2499]"),)), "alice"), world.now)
    offers = tuple(offer(host) for host in hosts)
    for launch in of(world.engine.handle(events.OffersArrived(offers), world.now).commands, commands.Launch):
        for task_id in launch.task_ids:
            event = events.TaskReported(task_id, launch.agent_id, "TASK_RUNNING")
            world.engine.handle(event, world.now)
    asked: list[str] = []
    while len(asked) < 2500:
        world.now = max(world.now, world.engine.next_tick(world.now))
        assert world.now <= 1000.0 + 2 * RECONCILE_S
        sizes = [
            command.tasks
            for command in of(world.engine.handle(events.Ticked(), world.now).commands, commands.Reconcile)
        ]
        assert all(len(tasks) <= 1000 for tasks in sizes)
        asked += [task_id for tasks in sizes for task_id, _ in tasks]
    assert len(asked) == len(set(asked)) == 2500


def test_a_task_on_an_unreachable_host_blocks_its_job() -> None:
    """No second copy while the first may be alive; when the host is back the job is simply running."""
    world = World()
    world.start(job())
    task = world.task_of("readout")
    world.report(task, "TASK_UNREACHABLE")
    told = row(world)
    # not since when: of that only the master's patience is known
    assert told.reason == "hlt01 stopped answering the master, which said so 0.00 s ago; waiting for it"
    assert row(world).state == "UNREACHABLE"
    assert not of(world.offers(), commands.Launch)
    world.report(task)
    assert row(world).state == "RUNNING"


def test_the_same_agent_is_asked_about_a_task_that_was_unknown() -> None:
    """The agent is back, so the master can tell now."""
    world = World()
    world.start(job())
    task = world.task_of("readout")
    world.report(task, "TASK_UNKNOWN")
    (asked,) = of(world.say(events.OffersArrived((offer(),))), commands.Reconcile)
    assert asked.tasks == ((task, "agent-hlt01"),)


def test_a_stopped_job_stays_stopped_and_says_by_whom() -> None:
    """Neither an apply nor an offer starts what someone stopped."""
    world = World()
    world.start(job())
    task = world.task_of("readout")
    world.say(events.Held((("readout", "hlt01"),), "bob", "cabling"))
    world.report(task, "TASK_KILLED")
    world.apply(job(release="r2"))
    world.offers()
    assert not world.tasks and row(world).state == "STOPPED" and row(world).reason == "by bob: cabling"
    world.say(events.Released((("readout", "hlt01"),), "bob"))
    world.now += 1.0
    world.say(events.Ticked())
    world.offers()
    assert world.task_of("readout")


def test_a_restarted_daemon_finds_its_tasks_and_starts_none_twice() -> None:
    """What the store says runs is asked about, not launched."""
    world = World(["hlt01", "hlt02"])
    world.start(job(hosts="hlt[01-02]"))
    tasks = dict(world.tasks)
    world.restart()
    todo = world.register()
    assert sum(len(c.tasks) for c in of(todo, commands.Reconcile)) == 2
    world.say(events.OffersArrived((offer("hlt01"), offer("hlt02"))))
    assert world.tasks == tasks


def test_a_launch_that_was_saved_and_never_sent_is_made_again() -> None:
    """kill -9 between the save and the accept: the master says gone, the job starts once."""
    world = World()
    world.register()
    world.apply(job())
    world.say(events.OffersArrived((offer(),)), perform=False)
    world.restart()
    world.register()
    (task,) = [t.task.id for t in (i.record for i in world.engine.instances.values()) if t.task]
    world.report(task, "TASK_GONE", reason="REASON_RECONCILIATION")
    world.now += 1.0
    world.offers()
    assert len(world.tasks) == 1


def test_a_launch_that_was_refused_waits_for_the_next_offer() -> None:
    """Not connected, or the master said no: the task does not exist."""
    world = World()
    world.register()
    world.apply(job())
    (launch,) = of(world.say(events.OffersArrived((offer(),)), perform=False), commands.Launch)
    world.say(events.LaunchRefused((launch.tasks[0].payload.task_id,), "not connected"))
    world.now += 1.0
    world.say(events.Ticked())
    world.offers()
    assert len(world.tasks) == 1


def test_a_task_that_the_store_does_not_know_is_adopted_where_it_fills_a_gap() -> None:
    """After a restore from an old backup the job is running already."""
    world = World()
    world.register()
    world.apply(job())
    world.tasks["readout@hlt01.old"] = "agent-hlt01"
    world.report("readout@hlt01.old")
    world.offers()
    assert set(world.tasks) == {"readout@hlt01.old"} and row(world).state == "RUNNING"


def test_a_task_that_nothing_asks_for_is_stopped() -> None:
    """An orphan is ended, not shown as well."""
    world = World()
    world.register()
    (kill,) = of(world.report("ghost@hlt01.x"), commands.Kill)
    assert kill.task_id == "ghost@hlt01.x"


@pytest.mark.parametrize("state", ["TASK_RUNNING", "TASK_FAILED", "TASK_LOST", "TASK_KILLED"])
def test_every_report_is_acknowledged_once_it_is_saved(state: str) -> None:
    """Also those of tasks that nobody knows: the agent would repeat them for ever."""
    world = World()
    world.start(job())
    for task in (world.task_of("readout"), "nobody@nowhere.1"):
        assert of(world.report(task, state), commands.Acknowledge)


def test_a_task_that_the_master_does_not_confirm_is_shown_as_in_doubt() -> None:
    """After a new registration silence is no sign of life; a word of it is."""
    world = World()
    world.start(job())
    task = world.task_of("readout")
    world.now += 100.0
    world.say(events.Disconnected())
    world.register()
    assert row(world).state == "RUNNING", "it was asked a moment ago"
    world.wait(6.0)
    assert row(world).state == "UNKNOWN" and "is hlt01's agent up?" in row(world).reason
    assert not of(world.offers(), commands.Launch)
    world.report(task)
    assert row(world).state == "RUNNING"


def test_a_task_that_nobody_confirms_is_asked_about_until_somebody_does() -> None:
    """A master that was started anew says nothing of an agent that is not back yet, and nothing when it is."""
    world = World()
    world.start(job())
    task = world.task_of("readout")
    world.now += 100.0
    world.say(events.Disconnected())
    world.register()
    asked = []
    for _ in range(200):
        world.now += 1.0
        asked += [world.now] * len(of(world.say(events.Ticked()), commands.Reconcile))
    gaps = [later - earlier for earlier, later in zip(asked, asked[1:])]
    assert gaps == [4.0, 8.0, 16.0, 32.0, 60.0, 60.0]
    world.report(task)
    world.now += 100.0
    assert not of(world.say(events.Ticked()), commands.Reconcile)
    assert world.engine.next_tick(world.now) > world.now + 100.0


def test_a_back_off_in_place_shows_the_time_that_is_left_now() -> None:
    """Not what was left when the executor said it, with the reason that it gave."""
    world = World()
    world.start(job())
    report = Report("backoff", restarts=4, until=world.now + 8.0, last_exit=Exit(world.now, 0.5, code=1))
    data = report.to_json()
    task = world.task_of("readout")
    world.say(events.TaskReported(task, "agent-hlt01", "TASK_STARTING", "said then", by_executor=True, data=data))
    world.now += 5.0
    assert row(world).state == "BACKOFF"
    assert row(world).reason == "exit code 1 after 0.50 s; starts again in 3.0 s (4 restarts so far)"
    why = "user 'nosuch' is unknown on this machine"
    said = f"{why}; starts again in 8.0 s (4 restarts so far)"
    world.say(events.TaskReported(task, "agent-hlt01", "TASK_STARTING", said, by_executor=True, data=data))
    assert row(world).reason == f"{why}; starts again in 3.0 s (4 restarts so far)"
    never = Report("backoff", restarts=4, until=report.until).to_json()
    world.say(events.TaskReported(task, "agent-hlt01", "TASK_STARTING", said, by_executor=True, data=never))
    assert row(world).reason == f"{why}; starts again in 3.0 s (4 restarts so far)"


def test_a_back_off_in_place_that_is_overdue_says_that_nothing_is_heard_of_it() -> None:
    """Its host died, which the master says a minute later; and what backs off beside what is lost starts when the host is back."""
    world = World()
    world.start(job(), job("evb"))
    report = Report("backoff", restarts=1, until=world.now + 8.0, last_exit=Exit(world.now, 0.5, code=1))
    task = world.task_of("readout")
    world.say(events.TaskReported(task, "agent-hlt01", "TASK_STARTING", "", by_executor=True, data=report.to_json()))
    assert "starts again in 8.0 s" in row(world).reason
    world.now += 18.0
    assert "starts again in 0.00 s" in row(world).reason, "a message may be under way"
    world.now += 20.0
    due = (
        "exit code 1 after 0.50 s; a start was due 30.0 s ago (1 restart so far), and its executor says nothing of it: "
    )
    assert row(world).reason == f"{due}is hlt01 up?"
    world.say(events.Disconnected())
    assert row(world).reason.startswith(f"{due}no connection to the master")
    world.register()
    world.report(task, "TASK_UNREACHABLE")
    for _ in range(9):
        if row(world, "evb").state != "BACKOFF":
            world.offers()
            world.report(world.task_of("evb"), "TASK_FAILED", message="exit code 1")
    back = "; starts again when hlt01 is back, as hlt01 has not answered the master for "
    assert row(world, "evb").state == "BACKOFF" and back in row(world, "evb").reason


def test_progress_is_complete_only_when_all_run_what_was_applied() -> None:
    """An old version that still runs is not what was asked for."""
    world = World()
    world.start(job(release="r1"))
    assert progress(world.engine, lambda a, b: True, world.now, 10).complete
    world.apply(job(release="r2"))
    found = progress(world.engine, lambda a, b: True, world.now, 10)
    assert not found.complete and found.lagging[0].state == "STOPPING"


@pytest.mark.parametrize("lost", ["TASK_UNREACHABLE", "TASK_UNKNOWN"])
@pytest.mark.parametrize("then", ["another release", "another daemon", "out of the file", "a rollout"])
def test_a_lost_agent_s_version_is_what_runs_there_and_not_what_is_desired(lost: str, then: str) -> None:
    """The program may well run on, whatever was applied meanwhile; when the host is back it is replaced."""
    world = World(["hlt01", "hlt02"])
    both = job(hosts="hlt[01-02]", release="r1")
    world.start(both)
    away = world.task_of("readout", "hlt02")
    world.report(away, lost)
    if then == "out of the file":
        world.apply(job(hosts="hlt01", release="r2"), stops=9)
    else:
        strategy = Strategy(batches=(1,), ready_s=0.0) if then == "a rollout" else None
        world.apply(job(hosts="hlt[01-02]", release="r2"), stops=9, strategy=strategy)
    for _ in range(3):
        task = world.engine.instances["readout", "hlt01"].record.task
        if task is not None and task.killed:
            world.report(task.id, "TASK_KILLED")
        world.filtered.add("hlt02")
        world.offers()
        for started in set(world.tasks) - world.running - {away}:
            world.report(started)
        world.say(events.Ticked())
    if then == "another daemon":
        world.restart()
        world.register()
        world.report(away, lost)
    assert row(world).release == "r2"
    there = row(world, host="hlt02")
    assert (there.release, there.state) == ("r1", lost.partition("_")[2])
    world.report(away)
    for _ in range(4):
        turn(world)
        world.say(events.Ticked())
    assert ("readout", "hlt02") not in world.engine.instances or row(world, host="hlt02").release == "r2"


RandomFarm.TestCase.settings = settings(
    max_examples=examples(100),
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
TestRandomFarm = RandomFarm.TestCase


@pytest.mark.parametrize("passed", [9.8, 10.0, 10.8, 11.0])
@pytest.mark.parametrize("dies", [False, True])
def test_what_ends_still_ends_when_the_clock_is_set_back_to_its_beginning(passed: float, dies: bool) -> None:
    """A random farm that failed: moments come to lie at the epoch and before it."""
    farm = RandomFarm()
    farm.begin()
    farm.apply({0}, "", "r1", None, (), True, (), None, None, "", False)
    farm.there_and_back(gone=False, dies=False, turns=1)
    farm.by_hand({"a"}, "h1", "stop", "bob", everyones=False, anyway=False)
    farm.time_passes(passed)
    farm.clock_is_set_back(1001.0, dies=False)
    if dies:
        farm.dies()
    farm.teardown()


def test_who_had_a_name_is_forgotten_with_the_last_that_ran_there() -> None:
    """A random farm that failed: a new daemon finds nothing of an agent, and the first to offer has the name."""
    farm = RandomFarm()
    farm.begin()
    farm.apply({1}, "", "r1", None, (), True, (), None, None, "", False)
    farm.offers()
    farm.report("TASK_GONE", 0)
    farm.apply({0}, "", "r1", None, (), True, (), None, None, "", False)
    farm.dies()
    farm.namesake("h1", "")
    assert [agent for task, agent in farm.world.tasks.items() if task.startswith("a@h1.")] == ["twin-h1"]
    farm.teardown()


def test_a_port_that_another_was_given_is_waited_for() -> None:
    """A random farm that failed: the port that a new job asks for by number is already that of one that takes any."""
    farm = RandomFarm()
    farm.begin()
    farm.gets_attributes("h2", "r1")
    farm.apply({3}, "", "r1", None, (), False, (), None, None, "", False)
    farm.offers()
    farm.apply({2}, "", "r1", None, (), False, (), None, None, "hlt", False)
    farm.offers()
    assert row(farm.world, "c", "h2").reason == "port 31000 is taken or not offered on h2"
    farm.teardown()


def test_what_is_no_longer_desired_is_not_aside_when_its_host_is_back() -> None:
    """A random farm that failed, and a daemon that would have: a rolling restart of what still ends looked for a lease."""
    farm = RandomFarm()
    farm.begin()
    farm.apply({0, 2, 5, 6}, "r2", "r1", None, (), True, (), ALL, None, "", False)
    farm.offers()
    farm.aside("h2", False, 1000.0, ALL, "alice", True)
    farm.apply({5}, "", "r1", None, (), True, (), ALL, None, "", False)
    farm.aside("h2", True, 1000.0, ALL, "alice", True)
    farm.restarts({"f", "c"}, Strategy(batches=(1, 1, 1)), ALL)
    farm.teardown()


@pytest.mark.parametrize("lost", [False, True])
def test_holds_of_one_moment_are_heard_each(lost: bool) -> None:
    """A farm that the random one meets: whoever holds, lets go and holds again within a millisecond is heard by the executor, and
    somebody else after a clock that was set back."""
    farm = RandomFarm()
    farm.begin()
    farm.apply({0, 1}, "", "r1", None, (), False, (), ALL, None, "", False)
    farm.there_and_back(gone=False, dies=False, turns=1)
    for message in ("", "looking"):
        farm.hold_and_again(message, "h1", lost)
    farm.teardown()
    assert farm.world.held
