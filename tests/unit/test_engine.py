"""The engine as what it is: events in, commands out. Time is a number, the world is a value."""

from __future__ import annotations

import itertools
import os
from typing import Literal, Optional

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, rule
from msgspec.structs import replace

from builders import World, job, of, offer, progress, rows
from daqsched.confirm import ALL, EndCount, EndLimit, NotConfirmed
from daqsched.digests import rules_digest
from daqsched.engine import commands, events
from daqsched.engine.applying import way_of
from daqsched.engine.backoff import CAP_S
from daqsched.engine.confirming import end_count
from daqsched.engine.endings import endings
from daqsched.engine.farm import ASK_S, KILL_AGAIN_S, RECONCILE_S
from daqsched.engine.instance import Key
from daqsched.engine.operator_commands import why_not
from daqsched.engine.verdict import Accepted
from daqsched.errors import UserError
from daqsched.merge import change_of
from daqsched.preflight import Question
from daqsched.rollout import AT_ONCE, ONE_BY_ONE, Strategy
from daqsched.select import selection
from daqsched.spec import EMPTY, FORWARDER, CheckSpec, ForwarderSpec, Spec
from daqsched.task import Hold
from daqsched.views.status import Row
from daqsched_executor.contract import MANUAL, Exit, Findings, OperatorCommand, Probe, Report, Restart


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
    named = events.Offer("o", "a", ("node17.example.org", "hlt01"), 8.0, 8192.0, 0.0)
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


def test_progress_is_complete_only_when_all_run_what_was_applied() -> None:
    """An old version that still runs is not what was asked for."""
    world = World()
    world.start(job(release="r1"))
    assert progress(world.engine, lambda a, b: True, world.now, 10).complete
    world.apply(job(release="r2"))
    found = progress(world.engine, lambda a, b: True, world.now, 10)
    assert not found.complete and found.lagging[0].state == "STOPPING"


#: None: as a job file says that has no word for it.
STRATEGIES = (
    None,
    AT_ONCE,
    Strategy(batches=(1,), ready_s=5.0),
    Strategy(batches=(1, "50%"), pause_after=(1,), failures=0, timeout_s=60.0),
    Strategy(batches=(1,), on_failure="rollback", guard="run-stopped"),
)


#: How many programs whoever asks lets end; None: they say nothing of it.
AGREED = st.sampled_from([None, None, 0, 1, 3, ALL])


class RandomFarm(RuleBasedStateMachine):
    """Anything may happen in any order, the daemon may die at any step; the world checks what must always hold."""

    jobs = Bundle("jobs")

    @initialize()
    def begin(self) -> None:
        self.world = World(["h1", "h2", "h3"])
        self.world.cores = {"h1": 0.3, "h2": 0.5}
        self.world.register()
        self.specs = [
            job("a", "h1"),
            job("b", "h[1-2]", after=("a", "c")),
            job("c", "h2", ports={"http": 31000}),
            job("d", hosts="", attributes={"rack": "r1"}, ports={"any": 0}, after=("a",)),
            job("e", "h[2-3]", attributes={"rack": "r1"}, restart=Restart(give_up=2), ports={"x": 0, "y": 0}),
            ForwarderSpec(name=FORWARDER, argv=("x",), hosts=("h[1-2]",)),
            # c by another name, and elsewhere than it was
            job("f", "h[2-3]", replaces=("c", "f")),
            job("f", "h1", replaces=("c", "f", "b")),
            job("g", "h[1-2]", start=MANUAL),
        ]

    @rule(
        chosen=st.sets(st.integers(0, 8)).filter(lambda found: not found >= {6, 7}),
        release=st.sampled_from(["", "r1", "r2"]),
        rack=st.sampled_from(["r1", "r1", "r2"]),
        strategy=st.sampled_from(STRATEGIES),
        only=st.sampled_from([(), (), ("@h1",), ("b", "d@h2")]),
        order=st.sampled_from([True, True, False]),
        needs=st.sampled_from([(), (), ("/data",)]),
        agreed=AGREED,
        confirm=st.sampled_from([None, None, None, EndLimit(programs=1)]),
        part=st.sampled_from(["", "", "hlt"]),
        take=st.booleans(),
    )
    def apply(
        self,
        chosen: set[int],
        release: str,
        rack: str,
        strategy: Optional[Strategy],
        only: tuple[str, ...],
        order: bool,
        needs: tuple[str, ...],
        agreed: Optional[int],
        confirm: Optional[EndLimit],
        part: str,
        take: bool,
    ) -> None:
        """By one of two teams, of the whole of its part or of some of it."""
        names = {self.specs[n].name for n in chosen} if order else set()
        meant, engine = selection(only), self.world.engine
        others = {
            key: (one.digest, bool(one.ending))
            for key, one in engine.instances.items()
            if key[0] != FORWARDER and one.job is not None and one.record.borrow is None
            # what a rollout has not reached is whose it is in the farm that is in force
            if not meant(*key)
            or ((engine.desired(*key) or one.job).part != part and key[0] not in (self.specs[n].name for n in chosen))
        }
        before = engine.revision
        found = tuple(
            replace(
                self.specs[n],
                release=release,
                needs=needs,
                after=tuple(name for name in self.specs[n].after if name in names),
                attributes={"rack": rack} if self.specs[n].attributes else {},
                **({"hosts": ("h1",)} if self.specs[n].name == FORWARDER and rack == "r2" else {}),
            )
            for n in sorted(chosen)
        )
        holds = self._holds()
        taken = ("*",) if take else ()
        event = events.JobsApplied(
            Spec(jobs=found, part=part, confirm=confirm),
            "alice",
            "",
            strategy,
            only,
            allow_empty=True,
            take=taken,
            agreed=agreed,
        )
        planned = self._planned(event)
        self.world.say(event)
        verdict = self.world.verdict
        if isinstance(verdict, NotConfirmed):
            assert planned is not None and (planned.stops, planned.running) == (verdict.stops, verdict.running), planned
            assert planned.asks or agreed is not None, "it was refused, and the plan did not say so"
        elif isinstance(verdict, Accepted) and engine.revision is not before and agreed is None:
            assert planned is not None and not planned.asks, f"{planned} was said, and nobody was asked"
        assert self._holds() == holds, "an apply lifted or made a hold"
        if engine.revision is not before:
            there = {key: (one.digest, bool(one.ending)) for key, one in engine.instances.items() if key in others}
            assert there == others, "an apply changed what it did not name, or what is another part's"

    def _planned(self, event: events.JobsApplied) -> Optional[EndCount]:
        """What a plan of it would say of what ends; None: that it can't be applied."""
        engine = self.world.engine
        try:
            old = engine.revision.spec if engine.revision is not None else EMPTY
            change = change_of(old, event.spec, event.scope, engine.hosts_of, engine.behind())
        except UserError:
            return None
        return end_count(engine, *endings(engine, change, way_of(event.strategy, event.spec)))

    def _holds(self) -> dict[Key, Hold]:
        """What somebody has stopped, in the farm and outside."""
        there = {
            key: one.record.hold
            for key, one in self.world.engine.instances.items()
            if one.record.hold is not None and one.record.hold.user
        }
        return {**self.world.engine.holds, **there}

    def _first_starts(self) -> dict[Key, bool]:
        """What begins with a first start by hand, and whether it still waits for it."""
        there = self.world.engine.instances.items()
        return {
            key: one.record.hold is not None and not one.record.hold.user
            for key, one in there
            if one.job is not None and one.job.start == MANUAL and one.record.borrow is None
        }

    @rule(gone=st.booleans(), dies=st.booleans(), turns=st.integers(0, 1))
    def there_and_back(self, gone: bool, dies: bool, turns: int) -> None:
        """Whatever an apply did, a rollback to the revision before it has all that waits for a first start wait, and no more."""
        world = self.world
        if world.engine.revision is None or world.engine.mixed or world.engine.rolling.active is not None:
            return
        was, before = world.engine.revision.spec, self._first_starts()
        moved = tuple(replace(one, hosts=("h3",)) for one in was.jobs if one.name == "g")
        other = tuple(one for one in was.jobs if one.name != "g") + (() if gone else moved)
        world.say(events.JobsApplied(Spec(jobs=other), "alice", "", AT_ONCE, (), "", True, agreed=ALL, everyones=True))
        assert isinstance(world.verdict, Accepted), world.verdict
        for _ in range(turns):
            world.offers()
        if dies:
            self.dies()
        world.say(events.JobsApplied(was, "alice", "", AT_ONCE, (), "", True, agreed=ALL, everyones=True, back=True))
        assert isinstance(world.verdict, Accepted), world.verdict
        assert self._first_starts() == before, "a rollback forgot, or made up, a first start by hand"

    @rule(what=st.sampled_from(["pause", "resume", "resume", "abort", "rollback"]), agreed=AGREED)
    def steers(self, what: Literal["pause", "resume", "abort", "rollback"], agreed: Optional[int]) -> None:
        """Somebody has a say in the rollout that may be under way."""
        self.world.say(events.RolloutSteered(what, "carol", agreed=agreed))

    @rule(names=st.sets(st.sampled_from("abcdefg")), strategy=st.sampled_from(STRATEGIES), agreed=AGREED)
    def restarts(self, names: set[str], strategy: Optional[Strategy], agreed: Optional[int]) -> None:
        """The same programs anew, host by host."""
        keys = tuple(key for key in self.world.engine.instances if key[0] in names)
        self.world.say(events.RestartAsked(keys, "dave", "", strategy or ONE_BY_ONE, agreed))

    @rule(yes=st.booleans(), late=st.booleans())
    def guard(self, yes: bool, late: bool) -> None:
        """It answers what it was asked, perhaps long ago."""
        asked = of(self.world.done, commands.AskGuard)
        if asked:
            one = asked[0 if late else -1]
            self.world.say(events.GuardAnswered(one.rollout, one.batch, yes, "" if yes else "run 1234"))

    @rule(name=st.sampled_from("abcdefg"), host=st.sampled_from(["h1", "h2", "h3"]), end=st.booleans())
    def borrows(self, name: str, host: str, end: bool) -> None:
        """Somebody tries something by hand on a machine that is set aside."""
        begin = events.Borrowed(name, host, "fred", ("/bin/try",))
        self.world.say(events.BorrowEnded(name, host, "fred") if end else begin)

    @rule(message=st.sampled_from(["", "beam is back", "x" * 1000]))
    def notes(self, message: str) -> None:
        """Somebody has something to say; nothing of the farm follows from it, and it outlives the daemon."""
        engine = self.world.engine
        before, there = [one.message for one in engine.logbook], dict(engine.instances)
        self.world.say(events.NoteWritten("gina", message))
        assert [one.message for one in engine.logbook] == before + [message] * bool(message)
        assert engine.instances == there
        assert self.world.disk.engine(self.world.new_id).logbook == engine.logbook

    @rule(host=st.sampled_from(["h1", "h2", "h3"]), back=st.booleans(), time=st.floats(1.0, 5000.0), agreed=AGREED)
    def aside(self, host: str, back: bool, time: float, agreed: Optional[int]) -> None:
        """Somebody needs the machine, or gives it back."""
        lease = events.PutAside((host,), "erin", self.world.now + time, agreed=agreed)
        self.world.say(events.Returned((host,), "erin", agreed) if back else lease)

    @rule(host=st.sampled_from(["h1", "h2", "h3"]), rack=st.sampled_from(["", "r1", "r2"]))
    def gets_attributes(self, host: str, rack: str) -> None:
        """Its agent comes back with others; the master lets it offer anew."""
        self.world.machines[host] = {"rack": rack} if rack else {}
        self.world.filtered.discard(host)

    @rule(needs=st.sampled_from([(), ("/data",)]))
    def other_rules(self, needs: tuple[str, ...]) -> None:
        """What only executors obey, of all that is desired: nothing may end for it."""
        engine = self.world.engine
        whole = tuple(replace(one, needs=needs) for one in engine.spec.jobs if one.name != FORWARDER)
        if whole and not engine.mixed and engine.rolling.active is None:
            farm = Spec(jobs=tuple(one for one in engine.spec.jobs if one.name == FORWARDER) + whole)
            self.world.say(events.JobsApplied(farm, "alice", "", None, agreed=0, everyones=True))
            assert isinstance(self.world.verdict, Accepted), self.world.verdict

    @rule()
    def offers(self) -> None:
        self.world.offers()

    @rule(
        state=st.sampled_from(
            [
                "TASK_STARTING",
                "TASK_RUNNING",
                "TASK_UNREACHABLE",
                "TASK_UNKNOWN",
                "TASK_FAILED",
                "TASK_KILLED",
                "TASK_FINISHED",
                "TASK_GONE",
            ]
        ),
        which=st.integers(0, 9),
    )
    def report(self, state: str, which: int) -> None:
        if self.world.tasks:
            self.world.report(sorted(self.world.tasks)[which % len(self.world.tasks)], state)

    @rule(which=st.integers(0, 9))
    def late(self, which: int) -> None:
        """A report of a task that ended long ago comes once more."""
        known = sorted(self.world.payloads)
        gone = [task for task in known if task not in self.world.tasks]
        if gone:
            self.world.say(events.TaskReported(gone[which % len(gone)], "agent-x", "TASK_FAILED", uuid="u"))

    @rule(
        names=st.sets(st.sampled_from([*"abcdefg", FORWARDER]), min_size=1),
        host=st.sampled_from(["h1", "h2", "h3"]),
        what=st.sampled_from(["stop", "hold", "start"]),
        user=st.sampled_from(["bob", "judy"]),
        everyones=st.booleans(),
        anyway=st.booleans(),
    )
    def by_hand(self, names: set[str], host: str, what: str, user: str, everyones: bool, anyway: bool) -> None:
        """Two people stop and start; what one has stopped the other neither takes over nor lifts, unless that is said."""
        keys = tuple((name, host) for name in sorted(names))
        hold = what != "start"
        living = [
            one for key in keys if (one := self.world.engine.instances.get(key)) and one.record.task and not one.ending
        ]
        others = {key: one for key, one in self._holds().items() if one.user != user}
        self.world.say(
            events.Held(keys, user, spares=what == "hold") if hold else events.Released(keys, user, everyones, anyway)
        )
        after = self._holds()
        kept = {key: one for key, one in others.items() if hold or not everyones or key not in keys}
        assert {key: after.get(key) for key in kept} == kept, "a hold of somebody else's was lifted"
        if what == "hold":
            assert not [one for one in living if one.record.task is None or one.ending], "what runs is left alone"

    @rule(message=st.sampled_from(["", "looking"]), host=st.sampled_from(["h1", "h2", "h3"]), lost=st.booleans())
    def hold_and_again(self, message: str, host: str, lost: bool) -> None:
        """Held, let go and held in one moment, and an order may be lost: each executor comes to know the last word."""
        world, keys = self.world, tuple((name, host) for name in "abcdefg")
        for event in (
            events.Held(keys, "bob", "first", spares=True),
            events.Released(keys, "bob"),
            events.Held(keys, "bob", message, spares=True),
        ):
            world.say(event)
            for task in list(world.tasks):
                world.runs(task)
            world.deaf = set(world.tasks) if lost else set()

    @rule()
    def preflight(self) -> None:
        """Hosts are asked as well; whatever becomes of that, no job notices."""
        one = (Question(("a",), "", Probe("a", "/bin/true")),)
        self.world.say(events.PreflightAsked(self.world.new_id(), "eve", {"h1": one, "h2": one}, 60.0))

    @rule(state=st.sampled_from(["TASK_STAGING", "TASK_UNREACHABLE", "TASK_FINISHED", "TASK_DROPPED"]))
    def survey(self, state: str) -> None:
        """Somebody speaks of one that is out, or of one that a daemon before this one sent."""
        sent = [one for c in of(self.world.done, commands.Launch) for one in c.surveys]
        if sent:
            data = Findings({"a": ""}).to_json()
            task_id = sent[-1].survey.task_id
            self.world.say(events.TaskReported(task_id, "agent-h1", state, by_executor=True, data=data, uuid="u"))

    @rule(passed=st.floats(0.0, 700.0))
    def time_passes(self, passed: float) -> None:
        self.world.now += passed
        self.world.say(events.Ticked())

    @rule(by=st.floats(2.0, 5000.0), dies=st.booleans())
    def clock_is_set_back(self, by: float, dies: bool) -> None:
        """While the daemon runs, or while it does not."""
        self.world.now -= min(by, self.world.now - 10.0)
        if dies:
            self.dies()
        self.world.say(events.Ticked())

    @rule()
    def dies(self) -> None:
        self.world.restart()
        self.world.register()
        for task in self.world.tasks:
            self.world.say(
                events.TaskReported(task, self.world.tasks[task], "TASK_RUNNING", reason="REASON_RECONCILIATION")
            )

    @rule(host=st.sampled_from(["h1", "h2", "h3"]), place=st.sampled_from(["", "", "there"]))
    def namesake(self, host: str, place: str) -> None:
        """Another machine calls itself so, and offers the same."""
        one = self.world.offer(host)
        self.world.say(events.OffersArrived((replace(one, id=f"twin-{host}", agent_id=f"twin-{host}", place=place),)))

    @rule(host=st.sampled_from(["h1", "h2", "h3"]), agent=st.sampled_from(["", "", "agent-", "twin-"]))
    def replaces(self, host: str, agent: str) -> None:
        """Somebody says which is right."""
        self.world.replace(host, f"{agent}{host}" if agent else "")

    @rule(host=st.sampled_from(["h1", "h2", "h3"]), which=st.sampled_from(["agent-", "twin-"]), there=st.booleans())
    def agent_goes(self, host: str, which: str, there: bool) -> None:
        """It is removed by the master, and all that it ran; or it is there again."""
        agent = f"{which}{host}"
        if there:
            self.world.absent.pop(agent, None)
            return
        for task in [task for task, at in self.world.tasks.items() if at == agent]:
            self.world.report(task, "TASK_GONE")
        self.world.absent[agent] = "TASK_UNKNOWN"

    @rule()
    def master_answers(self) -> None:
        """What it was asked about agents."""
        self.world.answer()

    @rule()
    def loses_the_master(self) -> None:
        self.world.say(events.Disconnected())
        self.world.register()

    def teardown(self) -> None:
        """Left in peace, a rollout comes to its end, and everything that is desired and not held comes to run."""
        if not hasattr(self, "world"):
            return
        world = self.world
        world.say(events.Returned(("h1", "h2", "h3"), "erin", ALL))
        for host in ("h1", "h2", "h3"):
            if world.engine.namesakes.agents.get(host, f"agent-{host}") != f"agent-{host}":
                world.say(events.OffersArrived((world.offer(host),)))  # the machine that stays is the one that offers
                world.replace(host, f"agent-{host}")
                assert isinstance(world.verdict, Accepted), world.verdict
        world.absent = {f"twin-{host}": "TASK_UNKNOWN" for host in ("h1", "h2", "h3")}
        for _ in range(12):
            self._peace()
        rolling = world.engine.rolling
        shown = rows(world.engine, lambda job, host: (job, host) in rolling.keys, world.now)
        # for what an apply left out, or for a machine that does not have what the job needs any more: a person ends that
        waits = [one for one in shown if one.reason.startswith("waits for") or "lacks the attribute" in one.reason]
        assert rolling.active is None or waits, f"{rolling.active} does not end: {rolling.due - world.now:g} s"
        farm = Spec(jobs=world.engine.spec.jobs)
        world.say(events.JobsApplied(farm, "alice", "", AT_ONCE, allow_empty=True, agreed=ALL, everyones=True))
        assert not world.engine.mixed, f"an apply of all leaves {world.engine.mixed} behind"
        for _ in range(8):
            self._peace()
        self._all_run()

    def _peace(self) -> None:
        """Time passes, and whatever waits for somebody gets its answer."""
        world = self.world
        world.now += 700.0
        world.say(events.Ticked())
        world.say(events.RolloutSteered("resume", "carol", agreed=ALL))
        rolling = world.engine.rolling
        if rolling.active is not None and rolling.asked:
            world.say(events.GuardAnswered(rolling.active.number, rolling.active.at + 1, True))
        for instance in list(world.engine.instances.values()):
            task = instance.record.task
            if task is None:
                continue
            if task.id not in world.tasks:
                world.report(task.id, "TASK_GONE")
            elif task.killed:
                world.report(task.id, "TASK_KILLED")
            else:
                world.runs(task.id)
        world.answer()
        world.offers()

    def _all_run(self) -> None:
        world = self.world
        shown = list(rows(world.engine, lambda a, b: True, world.now))
        not_up = {found.job for found in shown if found.state not in ("RUNNING", "FINISHED")}
        jobs = {job.name: job for job in world.engine.spec.jobs}
        for found in shown:
            wants = jobs[found.job].attributes
            excused = (
                found.state in ("STOPPED", "FINISHED")
                or (found.state == "FAILED" and jobs[found.job].restart.give_up)
                or (found.reason.startswith("waits for") and not_up.intersection(jobs[found.job].after))
                or ("lacks the attribute" in found.reason and world.machines[found.host] != wants)
                or (not found.host and wants not in world.machines.values())
                # given to another while nobody asked for it by number: a person starts that one anew
                or (
                    set(jobs[found.job].ports.values()) & world.ports_of(found.host)
                    and found.reason.startswith("port ")
                )
            )
            assert found.state == "RUNNING" or excused, f"{found} never comes up"
            if found.state == "RUNNING":
                rules = world.payloads[found.task_id].rules
                desired = world.engine.instances[found.job, found.host].job
                assert desired is not None and rules == rules_digest(desired), f"{found} was not told"
                spared = world.engine.instances[found.job, found.host].spared
                assert world.held.get(found.task_id, False) == spared, f"{found}: its executor does not know"
        for job_, host in itertools.product(jobs.values(), world.machines):
            if job_.attributes and not job_.hosts:
                belongs = world.machines[host] == job_.attributes
                assert belongs == ((job_.name, host) in world.engine.instances), f"{job_.name}@{host}: {belongs}"


RandomFarm.TestCase.settings = settings(
    max_examples=int(os.environ.get("DAQSCHED_EXAMPLES", "100")),
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
    farm.aside("h2", False, 1000.0, ALL)
    farm.apply({5}, "", "r1", None, (), True, (), ALL, None, "", False)
    farm.aside("h2", True, 1000.0, ALL)
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
