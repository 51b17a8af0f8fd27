"""Why something is not as desired, and which deaths are alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Optional

import pytest
from msgspec.structs import replace

import story
from builders import World, job
from daqsched.engine import events
from daqsched.engine.incidents import MOST, QUIET_S, Incidents
from daqsched.engine.unasked_ends import GONE, MEMORY
from daqsched.protocol import IncidentsAnswer
from daqsched.rollout import Strategy
from daqsched.spec import FORWARDER, Spec
from daqsched.terminal.show_changes import incidents_table
from daqsched.views.rows import Story, as_desired
from daqsched.views.why import LATELY, LATELY_S, explanations, troubled
from daqsched_executor.contract import NOT_STARTED, Exit, Report, Restart
from daqsched_executor.life.events import Spawned, StartFailed


def end(*lines: str, code: int | None = 3, signal: str | None = None, at: float = 1.0, **more: Any) -> Exit:
    return Exit(at, 2.0, code=code if signal is None else None, signal=signal, lines=lines, **more)


def told(world: World, *words: str) -> dict[str, Story]:
    found = explanations(
        world.engine, [key for key in world.engine.instances if not words or key[0] in words], world.now
    )
    return {f"{one.job}@{one.host}": one for one, _ in found}


def dies(world: World, name: str, host: str, last: Exit, restarts: int = 1) -> None:
    report = Report("backoff", restarts=restarts, last_exit=last, until=world.now + 5.0)
    world.report(world.task_of(name, host), "TASK_STARTING", data=report.to_json(), by_executor=True)


def test_deaths_that_differ_in_numbers_alone_are_one_incident() -> None:
    """Over jobs and hosts; another signal, or another last line, is another one."""
    table = Incidents()
    table.add("readout", "hlt01", end("event 12: lost /dev/pcie40"), 10.0, 7, 4.0, "r2")
    one = table.add("rcd", "hlt02", end("event 9: lost /dev/pcie40", "  "), 12.0, 8, 11.0, "r3")
    assert (one.how, one.count, one.jobs, one.hosts) == ("exit code 3", 2, ["readout", "rcd"], ["hlt01", "hlt02"])
    assert (one.first, one.last, one.revision, one.release) == (10.0, 12.0, 7, "r2")
    assert table.add("rcd", "hlt02", end("bus error"), 13.0).count == 1
    assert table.add("rcd", "hlt02", end("event 9: lost /dev/pcie40", signal="SIGSEGV"), 13.0).count == 1
    assert [found.last for found in table.known()][-1] == 12.0


def test_a_program_that_says_nothing_is_alike_to_its_own_kind_only() -> None:
    """An exit code alone says little."""
    table = Incidents()
    table.add("a", "h1", end(), 1.0)
    assert table.add("b", "h1", end(), 1.0).count == 1 and table.add("a", "h2", end(), 1.0).count == 2


def test_an_incident_ends_when_it_has_been_quiet_and_the_table_is_bounded() -> None:
    """The next death of the kind is a new one."""
    table = Incidents()
    table.add("a", "h1", end("x"), 1.0)
    assert table.add("a", "h1", end("x"), 2.0 + QUIET_S).count == 1
    for number in range(MOST + 10):
        table.add(f"job{number}", "h1", end(), 5000.0 + number)
    assert len(table.known()) == MOST and table.of("a", end("x")) is None


def test_how_a_death_came_is_told_without_its_numbers() -> None:
    """What we ended for a check's sake, and what the kernel killed."""
    table = Incidents()
    assert (
        table.add("a", "h", end("x", why="check port failed 3 times: refused"), 1.0).how == "check port failed 3 times"
    )
    assert table.add("a", "h", end("x", signal="SIGKILL", out_of_memory=True), 1.0).how == "out of memory"


def test_starts_that_fail_alike_are_one_incident_with_the_reason() -> None:
    """As an executor reports them: by the reason, as others by a program's last line."""
    table = Incidents()
    for number, (name, host) in enumerate([("readout", "hlt01"), ("readout", "hlt02"), ("rcd", "hlt02")]):
        program = story.Story(story.payload())
        program.happen(Spawned(1), StartFailed("/opt/daq/bin/daq is no program that this machine can execute"))
        ended = program.state.last_exit
        assert ended is not None
        one = table.add(name, host, ended, 1.0 + number)
    assert (one.how, one.count, one.hosts) == ("could not be started", 3, ["hlt01", "hlt02"])
    assert one.line == "/opt/daq/bin/daq is no program that this machine can execute"


def printed_by(**more: Any) -> Callable[[World], None]:
    return lambda world: dies(world, "readout", "hlt01", end("SAID", at=world.now, **more))


def ended_by(reason: str, *reports: Report, state: str = "TASK_FAILED") -> Callable[[World], None]:
    """Its agent says so, after these reports of its executor."""

    def happens(world: World) -> None:
        task = world.task_of("readout", "hlt01")
        for report in reports:
            world.report(task, "TASK_STARTING", data=report.to_json(), by_executor=True)
        world.report(task, state, message="SAID", reason=reason)

    return happens


def waits(world: World) -> None:
    data = Report("probing").to_json()
    world.report(world.task_of("readout", "hlt01"), "TASK_STARTING", data=data, by_executor=True, message="SAID")


def not_started(world: World) -> None:
    program = story.Story(story.payload())
    program.happen(Spawned(1), StartFailed("SAID"))
    assert program.state.last_exit is not None
    dies(world, "readout", "hlt01", program.state.last_exit)


@pytest.mark.parametrize(
    ("happens", "how", "printed"),
    [
        (printed_by(), "exit code 3", True),
        (printed_by(code=0, left=2), "went to the background", True),
        (printed_by(signal="SIGSEGV"), "killed by SIGSEGV", True),
        (printed_by(signal="SIGKILL", out_of_memory=True), "out of memory", True),
        (printed_by(why="check port failed 3 times: refused"), "check port failed 3 times", True),
        (printed_by(code=127, why=NOT_STARTED), "could not be started", False),  # an executor before the field
        (not_started, "could not be started", False),
        (waits, "could not be started", False),
        (ended_by("REASON_CONTAINER_LAUNCH_FAILED"), "could not be started", False),
        (ended_by(MEMORY), "out of memory", False),
        (ended_by(MEMORY, Report("running", 7)), "out of memory", False),
        (ended_by("REASON_EXECUTOR_TERMINATED", Report("running", 7)), "its executor ended", False),
    ],
)
@pytest.mark.parametrize("restart", [False, True])
def test_the_last_line_of_an_incident_is_what_the_program_printed(
    happens: Callable[[World], None], how: str, printed: bool, restart: bool
) -> None:
    """What we or Mesos say of an end stands with how it ended; a new daemon knows which it is, too."""
    world = World(["hlt01"])
    world.register()
    world.apply(job())
    world.offers()
    happens(world)
    if restart and happens is not waits:
        world.restart()
    (one,) = world.engine.incidents.known()
    assert (one.how, one.line, one.printed) == (how, "SAID", printed)
    table: Any = incidents_table(IncidentsAnswer([one], world.now))
    cells = {column.header: str(*column.cells) for column in table.columns}
    assert (cells["HOW"], cells["LAST LINE"]) == ((how, "SAID") if printed else (f"{how}: SAID", ""))


def test_what_we_ended_for_a_reason_is_an_incident_however_well_it_ended() -> None:
    """A program that a check found ill, and that ends by SIGTERM with exit code 0."""
    world = World(["hlt01"])
    world.start(job())
    dies(world, "readout", "hlt01", end(code=0, at=world.now))
    assert world.engine.incidents.known() == []
    dies(world, "readout", "hlt01", end(code=0, at=world.now + 1.0, why="check port failed 3 times in a row: refused"))
    assert [one.how for one in world.engine.incidents.known()] == ["check port failed 3 times in a row"]


def runs_after(world: World, last: Exit) -> None:
    """Its executor starts it again in place."""
    dies(world, "readout", "hlt01", last)
    report = Report("running", 7, restarts=1, last_exit=last)
    world.report(world.task_of("readout", "hlt01"), "TASK_RUNNING", data=report.to_json(), by_executor=True)


def launched_again(world: World) -> None:
    """Another task, as its host offers enough."""
    world.wait(6.0)
    world.offers()
    running = Report("running", 8)
    world.report(world.task_of("readout", "hlt01"), data=running.to_json(), by_executor=True)


def whole_ends(world: World, state: str, message: str, last: Optional[Exit] = None, **more: Any) -> None:
    """Its task ends, by its executor's word where there is a ``last`` exit of it."""
    task = world.task_of("readout", "hlt01")
    if not any(one.task.report for one in world.engine.instances.values()):
        world.report(task, data=Report("running", 7).to_json(), by_executor=True)
    data = b"" if last is None else Report("exited", last_exit=last).to_json()
    world.report(task, state, message=message, data=data, by_executor=last is not None, **more)


def stopped_and_started(world: World) -> None:
    world.say(events.Held((("readout", "hlt01"),), "eve", "cabling"))
    whole_ends(world, "TASK_KILLED", "stopped", end(signal="SIGTERM", at=world.now))
    world.say(events.Released((("readout", "hlt01"),), "eve"))


#: How a program that runs again has ended -> what is told of it; empty: nothing, as somebody asked for that, or all was well.
ENDS: dict[str, tuple[Callable[[World], None], str]] = {
    "an exit code": (lambda world: runs_after(world, end("no link", at=world.now)), "exit code 3 after 2.0 s"),
    "a signal": (lambda world: runs_after(world, end(signal="SIGSEGV", at=world.now)), "killed by SIGSEGV"),
    "a check": (
        lambda world: runs_after(world, end(code=0, at=world.now, why="check port failed: refused")),
        "check port failed: refused: exit code 0",
    ),
    "the background": (
        lambda world: runs_after(world, end(code=0, at=world.now, left=2)),
        "2 processes it left behind",
    ),
    "success": (lambda world: runs_after(world, end(code=0, at=world.now)), ""),
    "by hand": (lambda world: runs_after(world, end(code=0, at=world.now, why="restarted by alice")), ""),
    "by hand, and killed": (
        lambda world: runs_after(world, end(signal="SIGKILL", at=world.now, why="restarted by alice: noisy")),
        "",
    ),
    "by hand, with a word that is none of ours": (
        lambda world: runs_after(world, end("check", at=world.now, why="restarted by check: failed 3 times")),
        "",
    ),
    "the budget": (
        lambda world: whole_ends(world, "TASK_FAILED", "gave up after 3 restarts", end("no link", at=world.now)),
        "gave up after 3 restarts",
    ),
    "memory": (
        lambda world: whole_ends(world, "TASK_FAILED", "out of memory: used 95 MiB", reason=MEMORY),
        "out of memory: used 95 MiB",
    ),
    "kill -9 of its executor": (
        lambda world: whole_ends(world, "TASK_FAILED", "Executor terminated", reason=GONE),
        "Executor terminated",
    ),
    "its agent": (lambda world: whole_ends(world, "TASK_GONE", "hlt01 has a new agent"), "hlt01 has a new agent"),
    "a stop and a start": (stopped_and_started, ""),
}


@pytest.mark.parametrize("how", ENDS)
def test_what_runs_and_died_lately_is_told_of_besides(how: str) -> None:
    """A program that does not stay up is RUNNING at most times that somebody looks. Not one that ended well, or long ago, or that
    somebody had restarted; nor is that a death of an incident. However many others have died since."""
    ends, said = ENDS[how]
    world = World(["hlt01"])
    world.start(job())
    key = ("readout", "hlt01")
    ends(world)
    if not world.tasks:
        launched_again(world)

    def found() -> list[str]:
        looks: list[str] = [state for state, _ in troubled(world.engine, [key], world.now)]
        assert [one.lately for one in explanations(world.engine, [key], world.now)] == [True] * len(looks)
        return looks

    assert world.rows()[0].state == "RUNNING" and as_desired(world.rows()[0])
    assert found() == ([LATELY] if said else [])
    # of a machine that is gone no program died
    assert len(world.engine.incidents.known()) == (1 if said and how != "its agent" else 0)
    if said:
        (one,) = told(world).values()
        (line,) = (line for line in one.evidence if line.startswith("its last end, "))
        assert one.state == "RUNNING" and said in line, one
        assert ("  | no link" in one.evidence) == (how in ("an exit code", "the budget"))
    for number in range(MOST + 1):
        world.engine.incidents.add(f"other{number}", "hlt01", end(), world.now)
    assert found() == ([LATELY] if said else []), "who died since makes no difference"
    world.restart()
    world.register()
    world.report(world.task_of(*key))
    assert found() == ([LATELY] if said else []), "nor does another daemon"
    assert len(world.engine.incidents.known()) == (1 if said and how != "its agent" else 0)
    world.wait(LATELY_S + 1.0)
    assert found() == [] and not told(world)


def test_what_changes_between_two_looks_stands_where_it_belongs_by_then() -> None:
    """One that was down runs again, another the other way round: each is told of once, as it is at the moment of the telling."""
    world = World(["hlt01"])
    world.start(job())
    key = ("readout", "hlt01")
    last = end("no link", at=world.now)
    dies(world, *key, last)
    assert [state for state, _ in troubled(world.engine, [key], world.now)] == ["BACKOFF"]
    runs_after(world, last)
    assert [(one.story.state, one.lately) for one in explanations(world.engine, [key], world.now)] == [
        ("RUNNING", True)
    ]
    dies(world, *key, end("no link", at=world.now + 1.0), 2)
    assert [(one.story.state, one.lately) for one in explanations(world.engine, [key], world.now)] == [
        ("BACKOFF", False)
    ]


def test_a_restart_by_hand_is_no_death_in_a_story_either() -> None:
    """Its executor ends it and starts it again, in as many reports as it may be."""
    world = World(["hlt01"])
    world.start(job())
    for report in (
        Report("stopping", 7),
        Report("starting", 8, restarts=1, last_exit=end(signal="SIGTERM", at=world.now, why="restarted by alice")),
    ):
        world.report(world.task_of("readout"), "TASK_STARTING", data=report.to_json(), by_executor=True)
    assert [one.cause for one in world.changes if one.after == "STARTING"][-1] == "its executor"


def test_the_same_death_elsewhere_and_the_change_before_it_are_evidence() -> None:
    """The last lines, too; also for a daemon that has just been started."""
    world = World(["hlt01", "hlt02"])
    world.start(job(hosts="hlt[01-02]", release="r2"))
    for host in ("hlt01", "hlt02"):
        dies(world, "readout", host, end(f"cannot open /dev/pcie40_{host}", at=world.now))
    found = told(world)["readout@hlt01"]
    assert found.state == "BACKOFF" and found.why.startswith("exit code 3 after 2.0 s; starts again in 5.0 s")
    assert "  | cannot open /dev/pcie40_hlt01" in found.evidence
    same = "this death: 2 times, on 2 hosts (hlt[01-02]), all at once, the first 0.20 s after revision 1 (version r2)"
    assert found.evidence[-1] == same
    world.restart()
    world.wait(60.0)
    world.register()
    assert [one.count for one in world.engine.incidents.known()] == [2]
    assert (
        told(world)["readout@hlt01"]
        .evidence[-1]
        .startswith(
            "this death: 2 times, on 2 hosts (hlt[01-02]), all at once, as far as this daemon knows, which began "
        )
    )


def test_a_revision_of_other_jobs_is_not_to_blame_for_a_death() -> None:
    """Nor is what a job was changed to before it is known by another daemon."""
    world = World(["hlt01", "hlt02"])
    world.start(job(release="r1"), job("other", "hlt02"))
    world.apply(job(release="r1"), job("other", "hlt02", release="r9"))
    world.say(events.JobsApplied(Spec(jobs=(job("other", "hlt02"),)), "eve", only=("other",)))
    for daemon in ("the first", "another"):
        world.now += 5.0
        dies(world, "readout", "hlt01", end(f"no link, says {daemon}", at=world.now))
        one = world.engine.incidents.known()[0]
        assert (one.revision, one.earlier) == (1, False), "of this one each death is known"
        world.die()
        assert world.engine.incidents.known()[0].earlier and not world.engine.incidents.known()[0].revision
    report = Report("backoff", restarts=9, last_exit=end("another one", at=world.now), until=world.now + 5.0)
    world.report(world.task_of("readout"), "TASK_STARTING", data=report.to_json(), by_executor=True)
    assert world.engine.incidents.known()[0].earlier, "its executor had started it more often than was heard of"


def test_what_applies_came_to_survives_a_daemon_and_what_is_not_known_is_no_revision() -> None:
    """A state of before, or one that can't be read: nobody is blamed."""
    world = World(["hlt01"])
    world.start(job())
    world.restart()
    assert world.engine.effects.changed["readout"] == [(1, world.engine.effects.changed["readout"][0][1])]
    assert world.engine.effects.counts[1].starts == 1
    for saved in (b"?", None):
        world.disk.documents.pop("effects", None)
        world.disk.documents.update({} if saved is None else {"effects": saved})
        engine = world.disk.engine(world.new_id)
        assert not engine.effects.changed
        assert [one for one in engine.troubles if "what applies came to can't be read" in one] == (
            [] if saved is None else engine.troubles
        )


def test_a_new_daemon_counts_the_last_end_of_each_and_tells_no_story() -> None:
    """Which is what the executors and the records know; the deaths before that one are in the chronicle and the lines."""
    world = World(["hlt01", "hlt02"])
    world.start(job(hosts="hlt[01-02]"))
    for restarts in (1, 2, 3):
        for host in ("hlt01", "hlt02"):
            dies(world, "readout", host, end("no link", at=world.now), restarts)
            world.report(world.task_of("readout", host))
        world.now += 10.0
    assert [one.count for one in world.engine.incidents.known()] == [6] and world.engine.stories.keys()
    for host in ("hlt01", "hlt02"):
        dies(world, "readout", host, end("no link", at=world.now), 4)
    world.restart()
    world.register()
    assert [one.count for one in world.engine.incidents.known()] == [2] and not world.engine.stories.keys()


def test_a_new_daemon_takes_no_end_for_a_death_that_was_none() -> None:
    """One by hand, one in success; and what is in force now is not to blame for one of before."""
    world = World(["hlt01", "hlt02", "hlt03"])
    world.start(job(hosts="hlt[01-03]"))
    world.say(events.Held((("readout", "hlt01"),), "eve", "cabling"))
    last = Report("ended", last_exit=end(signal="SIGTERM", at=world.now)).to_json()
    world.report(world.task_of("readout", "hlt01"), "TASK_KILLED", data=last, by_executor=True)
    dies(world, "readout", "hlt02", end(code=0, at=world.now))
    dies(world, "readout", "hlt03", end("no link", at=world.now))
    world.now += 60.0
    world.apply(job(hosts="hlt[01-03]", owner="eve"))
    world.restart()
    world.register()
    assert [(one.hosts, one.revision) for one in world.engine.incidents.known()] == [(["hlt03"], 0)]


def test_a_chain_of_waiting_is_followed_to_its_cause() -> None:
    """evb waits for the monitor, which waits for the readout, which backs off."""
    world = World(["hlt01", "evb01"])
    world.start(job(), job("monitor", after=("readout",)), job("evb", "evb01", after=("monitor",)))
    dies(world, "readout", "hlt01", end("no link", at=world.now))
    found = told(world, "evb")["evb@evb01"]
    assert found.why == "waits for monitor (0 of 1 running)"
    assert found.evidence[0] == "monitor@hlt01 is WAITING: waits for readout on hlt01 (BACKOFF)"
    assert found.evidence[1].startswith("readout@hlt01 is BACKOFF: exit code 3 after 2.0 s; starts again in 5.0 s")


def test_each_reason_that_a_host_gives_is_told() -> None:
    """No offer, too little room, aside, stopped, unreachable."""
    world = World(["hlt01", "hlt02", "hlt03", "hlt04"])
    world.start(job(hosts="hlt[01-04]"), job("big", "hlt02", mem=1e6), job("far", "hlt77"), job("b", "hlt04"))
    world.say(events.PutAside(("hlt03",), "bob", world.now + 60.0, "firmware"))
    world.say(events.Held((("readout", "hlt01"),), "eve", "cabling"))
    for name in ("readout", "b"):
        world.report(world.task_of(name, "hlt04"), "TASK_UNREACHABLE")
    for instance in list(world.engine.instances.values()):
        if instance.ending:
            world.report(instance.task.id, "TASK_KILLED")
    found = told(world)
    assert found["readout@hlt03"].why == "hlt03 is set aside by bob for 1 min more: firmware"
    assert found["readout@hlt01"].why == "by eve: cabling"
    assert found["big@hlt02"].why.startswith("not enough memory: needs 1000032 MiB")
    assert found["far@hlt77"].evidence == ("hlt77 has made no offer since this daemon registered 0.20 s ago",)
    assert (
        found["b@hlt04"].evidence[0] == "2 instances on hlt04 in this state: it is the host, its agent, or the network"
    )


def test_what_a_rollout_has_not_reached_says_so() -> None:
    """And why the rollout stands still."""
    world = World(["hlt01", "hlt02"])
    world.start(job(hosts="hlt[01-02]", release="r1"))
    world.apply(job(hosts="hlt[01-02]", release="r2"), strategy=Strategy(batches=(1,), guard="run-stopped"))
    world.say(events.GuardAnswered(1, 0, False, "run 1234"))
    found = told(world)["readout@hlt02"]
    assert found.evidence == (
        "still has the job of revision 1: rollout 1 has not reached it",
        "the next batch waits for run-stopped: run 1234",
    )


def test_what_is_left_as_it_was_names_a_revision_of_its_own() -> None:
    """And not the last one before, which was about another team's jobs."""
    world = World(["hlt01", "hlt02"])
    world.start(job(hosts="hlt[01-02]", release="r1"), job("other", "hlt01"))
    for release in ("r2", "r3"):
        world.apply(job("other", "hlt01", release=release), only=["other"])
    world.apply(job(hosts="hlt[01-02]", release="r2"), strategy=Strategy(batches=(1,)), only=["readout"])
    world.say(events.RolloutSteered("abort", "bob"))
    assert world.engine.instances["readout", "hlt02"].record.behind == 3
    assert told(world)["readout@hlt02"].evidence[0].startswith("still has the job of revision 1: ")


def test_a_forwarder_that_says_what_is_wrong_is_told_of_though_it_runs() -> None:
    """Its lines wait: the program is as desired, and the farm is not. Another job's words are its own business."""
    world = World(["hlt01"])
    world.start(job(FORWARDER, hosts="hlt01"), job("readout", hosts="hlt01"))
    world.offers()
    for name, says in ((FORWARDER, "http://es1 does not answer"), ("readout", "taking data")):
        report = Report("running", pid=7, says=says)
        world.report(world.task_of(name), data=report.to_json(), by_executor=True)
    (story,) = told(world).values()
    assert (story.job, story.state) == (FORWARDER, "RUNNING") and "http://es1 does not answer" in story.why


def test_a_machine_s_maintenance_is_a_reason() -> None:
    """As of the last offer, from which it is known, until it is over."""
    world = World(["hlt01"])
    world.register()
    world.apply(job("readout", cpus=99.0))
    there = replace(world.offer("hlt01"), away=(world.now + 600.0, world.now + 4200.0))
    world.say(events.OffersArrived((there,)))
    evidence = told(world)["readout@hlt01"].evidence
    assert "the master's maintenance schedule has hlt01 unavailable in 10 min, for 1 h" in evidence
    world.now += 1200.0
    assert (
        "the master's maintenance schedule has hlt01 unavailable for 50 min more"
        in told(world)["readout@hlt01"].evidence
    )
    world.apply(job("readout", cpus=1.0))
    why = told(world)["readout@hlt01"].why
    assert why.startswith("no offer from hlt01 (the last ") and why.endswith("unavailable for 50 min more"), why
    world.now += 3000.0
    assert told(world)["readout@hlt01"].why.endswith(": is its agent up?")
    world.say(events.OffersArrived((there,)))
    world.report(world.task_of("readout"))
    world.report(world.task_of("readout"), "TASK_UNREACHABLE")
    assert "maintenance" not in told(world)["readout@hlt01"].why
    world.now -= 3000.0
    world.say(events.Ticked())
    assert "unavailable for" in told(world)["readout@hlt01"].why


def test_a_schedule_without_an_end_and_one_that_was_taken_back() -> None:
    """Mesos may leave the duration out; what an offer does not say any more is not so."""
    world = World(["hlt01"])
    world.register()
    world.apply(job("readout", cpus=99.0))
    world.say(events.OffersArrived((replace(world.offer("hlt01"), away=(world.now, float("inf"))),)))
    evidence = told(world)["readout@hlt01"].evidence
    assert "the master's maintenance schedule has hlt01 unavailable" in evidence
    world.say(events.OffersArrived((world.offer("hlt01"),)))
    assert not any("maintenance" in line for line in told(world)["readout@hlt01"].evidence)


def test_what_an_agent_ended_for_memory_is_a_death_and_an_incident() -> None:
    """The executor dies with its container, and says nothing of it; a new daemon knows it, too."""
    world = World(["hlt01"])
    world.start(job())
    said = "out of memory: used 95 MiB of 96 MiB (with its executor), so the agent ended it"
    world.report(world.task_of("readout", "hlt01"), "TASK_FAILED", message=said, reason=MEMORY)
    (one,) = world.engine.incidents.known()
    assert (one.how, one.line, one.jobs, one.hosts) == ("out of memory", said, ["readout"], ["hlt01"])
    world.restart()
    world.register()
    assert [(one.how, one.count) for one in world.engine.incidents.known()] == [("out of memory", 1)]


def test_an_executor_that_never_came_is_a_start_that_failed() -> None:
    """Its path is missing on the host, or the agent could make no container: the agent's word is the reason."""
    world = World(["hlt01"])
    world.register()
    world.apply(job())
    world.offers()
    said = "Failed to create the cgroup: No space left on device"
    world.report(
        world.task_of("readout", "hlt01"), "TASK_FAILED", message=said, reason="REASON_CONTAINER_LAUNCH_FAILED"
    )
    (one,) = world.engine.incidents.known()
    assert (one.how, one.line) == ("could not be started", said)
    assert any(said in line for line in told(world)["readout@hlt01"].evidence)


def test_an_executor_that_ends_without_a_word_is_told_with_where_to_look() -> None:
    """Its path is missing on the host, and all that the agent knows is that it is gone."""
    world = World(["hlt01"])
    world.register()
    world.apply(job(restart=Restart(give_up=1)))
    world.offers()
    world.report(world.task_of("readout", "hlt01"), "TASK_FAILED", message="Executor terminated", reason=GONE)
    (one,) = world.engine.incidents.known()
    story = told(world)["readout@hlt01"]
    assert story.state == "FAILED"
    for words in (one.line, story.why, *story.evidence[:2]):
        assert "daqsched-executor ended before it spoke: is it at the path of `serve --executor`" in words


def test_a_start_that_waits_for_what_is_missing_is_an_incident_once() -> None:
    """On how many hosts is the first thing to know of a release that was not published."""
    world = World(["hlt01", "hlt02"])
    world.register()
    world.apply(job(hosts="hlt[01-02]"))
    world.offers()
    for host in ("hlt01", "hlt02", "hlt01"):
        missing = "/cvmfs/daq/release-09 is missing: is the version published? Trying again every 10 s"
        data = Report("probing").to_json()
        world.report(world.task_of("readout", host), "TASK_STARTING", message=missing, data=data, by_executor=True)
    (one,) = world.engine.incidents.known()
    assert (one.count, one.hosts) == (2, ["hlt01", "hlt02"])
    assert one.line == "/cvmfs/daq/release-09 is missing: is the version published?"
    assert any("this: 2 times, on 2 hosts (hlt[01-02])" in line for line in told(world)["readout@hlt02"].evidence)
