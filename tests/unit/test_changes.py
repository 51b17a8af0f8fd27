"""Each change of a state with what did it, stories of what went wrong, and moves that there are not. `World` sees at every
step that the changes come to exactly the states that a look finds."""

from __future__ import annotations

from typing import Any, Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import World, job
from daqsched.engine import commands, events
from daqsched.engine.changes import GONE, MOST_CHANGES, MOST_STORIES, TRANSITIONS, Changed, Stories, shortened
from daqsched.engine.demand import REVIVE_EVERY_S
from daqsched.engine.engine import Engine
from daqsched.engine.shown import state_of
from daqsched.rollout import Strategy
from daqsched.terminal.show import ago
from daqsched_executor.contract import Exit, OperatorCommand, Report, Restart

KEY = ("readout", "hlt01")


def farm(**fields: Any) -> World:
    """One host with a job that runs; what came before is forgotten."""
    world = World()
    world.start(job(release="r1", **fields))
    world.now += 60.0
    world.changes.clear()
    return world


def told(world: World) -> list[tuple[str, str, str]]:
    return [(one.before, one.after, one.cause) for one in world.changes]


def report(world: World, state: str = "TASK_RUNNING", said: Report | None = None) -> None:
    world.report(world.task_of("readout"), state, data=said.to_json() if said else b"", by_executor=True)


def test_each_change_names_what_did_it() -> None:
    """Who, which revision, a death, the host, time."""
    world = farm(restart=Restart("always"))
    world.say(events.Held((KEY,), "bob", "cabling"))
    report(world, "TASK_KILLED")
    world.say(events.Released((KEY,), "eve", True))
    world.offers()
    report(world)
    report(world, said=Report("running", pid=1, healthy=False, ailment="http: status 503"))
    report(world, said=Report("backoff", restarts=1, last_exit=Exit(world.now, 1.0, code=3), until=world.now + 5.0))
    world.report(world.task_of("readout"), "TASK_UNREACHABLE")
    report(world)
    world.apply(job(release="r2"))
    assert told(world) == [
        ("RUNNING", "STOPPING", "stop by bob: cabling"),
        ("STOPPING", "STOPPED", "its end"),
        ("STOPPED", "WAITING", "start by eve"),
        ("WAITING", "STARTING", "an offer"),
        ("STARTING", "RUNNING", "its executor"),
        ("RUNNING", "UNHEALTHY", "its executor"),
        ("UNHEALTHY", "BACKOFF", "death"),
        ("BACKOFF", "UNREACHABLE", "loss of the host"),
        ("UNREACHABLE", "BACKOFF", "return of the host"),
        ("BACKOFF", "STOPPING", "revision 2 by alice"),
    ]
    assert [one.at for one in world.changes] == sorted(one.at for one in world.changes)
    assert world.changes[1].reason == "by bob: cabling" and world.changes[5].reason == "http: status 503"


def test_time_and_rollouts_are_causes() -> None:
    """A back-off that is over, a lease that ends, a master that says nothing, a batch."""
    world = farm()
    report(world, "TASK_FAILED")
    world.offers()
    report(world, "TASK_FAILED")
    world.wait(120.0)
    assert told(world)[-1] == ("BACKOFF", "WAITING", "time")
    world.offers()
    report(world)
    world.say(events.PutAside(("hlt01",), "bob", world.now + 30.0, "new disk"))
    report(world, "TASK_KILLED")
    world.wait(31.0)
    assert told(world)[-3:] == [
        ("RUNNING", "STOPPING", "aside by bob: new disk"),
        ("STOPPING", "ASIDE", "its end"),
        ("ASIDE", "WAITING", "the end of a lease"),
    ]
    world.offers()
    report(world)
    world.now += 60.0
    world.say(events.Disconnected())
    world.register()
    world.wait(5.0)
    assert told(world)[-1] == ("RUNNING", "UNKNOWN", "no message from the master")
    report(world)
    world.apply(job(release="r2"), strategy=Strategy(batches=(1,)))
    assert told(world)[-1] == ("RUNNING", "STOPPING", "rollout 1, batch 1")


def test_every_state_knows_since_when() -> None:
    """Also after a restart of the daemon, as far as the records tell."""
    world = farm(restart=Restart("never"))
    world.now = 2000.0
    report(world, "TASK_FAILED")
    for _ in range(2):
        (row,) = world.rows()
        assert (row.state, row.since) == ("FAILED", 2000.0)
        world.now = 3000.0
        world.restart()
        world.register()
    world = farm()
    report(world, "TASK_FAILED")
    world.offers()
    report(world, "TASK_FAILED")
    (row,) = world.rows()
    assert (row.state, row.since) == ("BACKOFF", world.now)
    began, due = world.now, world.engine.instances[KEY].record.due
    world.restart()
    world.register()
    assert [one.since for one in world.rows()] == [began]
    world.wait(due - world.now)
    assert [(one.state, one.since) for one in world.rows()] == [("WAITING", due)]


def ill(world: World) -> None:
    report(world, said=Report("running", pid=1, since=1500.0, healthy=False, ailment="no answer"))


def snoozed(world: World) -> None:
    """Until then the checks count for nothing; it is over when somebody looks."""
    said = Report("running", pid=1, since=1500.0, healthy=False, ailment="no answer", snoozed=world.now + 10.0)
    report(world, said=said)
    world.wait(10.0)


def twice_ill(world: World) -> None:
    """Since the second time."""
    ill(world)
    world.now += 50.0
    report(world, said=Report("running", pid=1, since=1500.0, healthy=True))
    world.now += 50.0
    ill(world)


def not_known(world: World) -> None:
    world.report(world.task_of("readout"), "TASK_UNKNOWN")


def failing(world: World) -> None:
    report(world, "TASK_FAILED")
    world.offers()
    report(world, "TASK_FAILED")


def waiting(world: World) -> None:
    """A back-off is over."""
    failing(world)
    world.wait(world.engine.instances[KEY].record.due - world.now)


def released(world: World) -> None:
    """It ended long before."""
    world.say(events.Held((KEY,), "bob"))
    report(world, "TASK_KILLED")
    world.now += 500.0
    world.say(events.Released((KEY,), "bob"))


def back(world: World) -> None:
    """From a host that was set aside; it had failed long before."""
    failing(world)
    world.now += 500.0
    world.say(events.PutAside(("hlt01",), "bob", world.now + 30.0))
    world.wait(30.0)


def returned(world: World) -> None:
    """Its executor waits since before its host was away."""
    last = Exit(world.now, 1.0, code=3)
    report(world, said=Report("backoff", restarts=1, last_exit=last, until=world.now + 900.0))
    world.now += 50.0
    world.report(world.task_of("readout"), "TASK_UNREACHABLE")
    world.now += 50.0
    world.report(world.task_of("readout"))


SINCE = [
    (ill, "UNHEALTHY"),
    (snoozed, "UNHEALTHY"),
    (twice_ill, "UNHEALTHY"),
    (not_known, "UNKNOWN"),
    (failing, "BACKOFF"),
    (waiting, "WAITING"),
    (released, "WAITING"),
    (back, "WAITING"),
    (returned, "BACKOFF"),
]


@pytest.mark.parametrize(("how", "state"), SINCE, ids=[one.__name__ for one, _ in SINCE])
@pytest.mark.parametrize("downtime", [5.0, 5000.0])
def test_a_new_daemon_knows_since_when_as_the_last_one_did(
    how: Callable[[World], None], state: str, downtime: float
) -> None:
    """Not since its own start, nor since something before that state."""
    world = farm()
    world.now = 2000.0
    how(world)
    at = world.now
    assert [(one.state, one.since) for one in world.rows()] == [(state, at)]
    due = world.engine.instances[KEY].record.due
    for _ in range(2):
        world.now += downtime
        world.restart()
        world.say(events.Ticked())
        over = state == "BACKOFF" and 0 < due <= world.now
        assert [(one.state, one.since) for one in world.rows()] == [("WAITING", due) if over else (state, at)]


@pytest.mark.parametrize(
    ("how", "since"),
    [(ill, 0.0), (not_known, 2000.0), (failing, 2000.0 + REVIVE_EVERY_S), (released, 0.0)],
    ids=lambda one: getattr(one, "__name__", ""),
)
def test_of_what_an_older_daemon_wrote_it_is_told_since_when_where_that_says_so(
    how: Callable[[World], None], since: float
) -> None:
    """0 is not known, and shown as nothing: of one that waits the end of its last task is not since when it does."""
    world = farm()
    world.now = 2000.0
    how(world)
    world.disk.records = {
        key: {name: value for name, value in raw.items() if name != "since"} for key, raw in world.disk.records.items()
    }
    world.now += 0.1
    world.restart()
    (row,) = world.rows()
    assert row.since == since and (ago(row.since, world.now) == "") == (since == 0.0)


def test_what_is_said_of_masses_is_no_save_of_its_own() -> None:
    """New instances, and tasks that a master does not speak of: there may be as many as tasks."""
    world = World([f"hlt{at:02d}" for at in range(1, 9)])
    world.register()
    saved = [one for one in world.apply(job(hosts="hlt[01-08]")) if isinstance(one, commands.SaveRecords)]
    assert not saved
    world.offers()
    for task in list(world.tasks):
        world.report(task, by_executor=True)
    world.now += 60.0
    world.say(events.Disconnected())
    world.register()
    world.now += 5.0
    todo = world.say(events.Ticked())
    assert {row.state for row in world.rows()} == {"UNKNOWN"}
    assert not [one for one in todo if isinstance(one, commands.SaveRecords)]


def test_what_a_new_daemon_finds_changed_is_a_change_of_its_own_cause() -> None:
    """Against what was last seen; what time did meanwhile is among it, and no way from there to here is a wrong one."""
    world = farm(hosts="hlt01")
    report(world, "TASK_FAILED")
    world.offers()
    report(world, "TASK_FAILED")
    assert told(world)[-1][:2] == ("STARTING", "BACKOFF")
    world.changes.clear()
    world.restart()
    world.wait(1000.0)
    assert told(world) == [("BACKOFF", "WAITING", "restart of the daemon")], "and not by time, too"
    for known, found in {
        "FINISHED": ("FINISHED", "WAITING"),  # as out of an older backup
        GONE: (GONE, "WAITING"),
        "WAITING": None,
    }.items():
        world.restart()
        world.changes.clear()
        world.known = {KEY: known} if known else {}
        world.engine.transitions.recall(dict(world.known))
        world.register()
        assert told(world) == ([(*found, "restart of the daemon")] if found else [])
    world.restart()
    world.known = {KEY: "WAITING", ("former", "hlt07"): "RUNNING", ("former", "hlt08"): GONE}
    world.engine.transitions.recall(dict(world.known))
    del world.known["former", "hlt08"]
    world.register()
    assert told(world)[-1] == ("RUNNING", GONE, "restart of the daemon")


def test_a_story_goes_on_over_a_restart_where_something_is_wrong_by_then() -> None:
    """What the new daemon finds as the last one saw it has none: since when and why is in `status`."""
    world = World(["hlt01", "hlt02"])
    world.start(job(hosts="hlt[01-02]"))
    world.say(events.Held((KEY,), "bob", "cabling"))
    report(world, "TASK_KILLED")
    known = {KEY: "RUNNING", ("readout", "hlt02"): "RUNNING"}
    world.restart()
    world.known = dict(known)
    world.engine.transitions.recall(known)
    world.register()
    ((one,), others) = (world.engine.stories.of(KEY), world.engine.stories.of(("readout", "hlt02")))
    assert (one.after, one.cause, one.reason) == (
        "STOPPED",
        "restart of the daemon",
        "by bob: cabling",
    ) and others == ()


def test_a_story_begins_where_something_is_not_as_desired_and_goes_on() -> None:
    """What always ran has none."""
    world = farm()
    assert world.engine.stories.of(KEY) == ()
    report(world, "TASK_FAILED")
    world.offers()
    report(world)
    assert world.engine.stories.of(KEY) == ()  # it was started anew at once
    world.say(events.Held((KEY,), "bob"))
    report(world, "TASK_KILLED")
    world.say(events.Released((KEY,), "bob"))
    world.offers()
    report(world)
    assert [one.after for one in world.engine.stories.of(KEY)] == [
        "STOPPING",
        "STOPPED",
        "WAITING",
        "STARTING",
        "RUNNING",
    ]
    world.apply()
    report(world, "TASK_KILLED")
    assert [one.after for one in world.engine.stories.of(KEY)][-2:] == ["STOPPING", GONE]


def test_stories_have_a_bound() -> None:
    """The latest are kept, of each the latest changes."""
    stories = Stories()
    for at in range(MOST_STORIES + 10):
        stories.note([Changed(("job", f"h{at}"), "RUNNING", "UNKNOWN", "", "time", float(at))])
    assert len(stories.keys()) == MOST_STORIES and not stories.of(("job", "h9")) and stories.of(("job", "h10"))
    for at in range(2 * MOST_CHANGES):
        stories.note([Changed(("job", "h10"), "UNKNOWN", "RUNNING", "", "time", float(at))])
    assert len(stories.of(("job", "h10"))) == MOST_CHANGES and stories.keys()[-1] == ("job", "h10")


def test_an_illegal_transition_is_said_with_its_story_and_the_farm_runs_on() -> None:
    """In production: a line in the log, and a count. (`World` raises it.)"""
    world = farm()
    world.say(events.Held((KEY,), "bob", "cabling"))
    report(world, "TASK_KILLED")
    engine = world.engine
    said: list[str] = []
    engine.transitions.illegal = said.append
    engine.instances[KEY].shown = "FINISHED"  # as a bug of ours could have it
    step = engine.handle(events.OperatorCommanded((KEY,), OperatorCommand("1", "retry", "bob")), world.now)
    assert not step.changes, "it was not touched"
    engine.settle(engine.instances[KEY], world.now)
    engine.touched = {KEY: "a bug"}
    engine.instances[KEY].shown = "STOPPED"
    engine.instances[KEY].record.hold = None
    engine.instances[KEY].record.done, engine.instances[KEY].record.succeeded = "x", True
    (change,) = engine.transitions.of_step(world.now)
    assert (change.before, change.after) == ("STOPPED", "FINISHED") and engine.transitions.illegal_transitions == 1
    assert said == [
        "readout@hlt01: STOPPED to FINISHED by a bug is an illegal transition: a bug, please report it; before: "
        "RUNNING to STOPPING by stop by bob: cabling; STOPPING to STOPPED by its end"
    ]
    assert isinstance(Engine(str), Engine)


def test_no_state_is_its_own_successor() -> None:
    """And each is known."""
    assert all(before not in after and after <= set(TRANSITIONS) for before, after in TRANSITIONS.items())


def test_what_time_alone_changes_comes_by_a_tick_and_no_look_is_ahead_of_it() -> None:
    """A snooze that ends; the engine wants to be woken then."""
    world = farm()
    report(world, said=Report("running", pid=1, healthy=False, ailment="no answer", snoozed=world.now + 90.0))
    assert world.rows()[0].state == "RUNNING" and world.engine.next_tick(world.now) <= world.now + 90.0
    world.now += 91.0
    assert state_of(world.engine, world.engine.instances[KEY], world.now) == "UNHEALTHY"
    assert world.rows()[0].state == "RUNNING", "until the tick"
    world.wait(0.0)
    assert world.rows()[0].state == "UNHEALTHY" and told(world)[-1] == ("RUNNING", "UNHEALTHY", "time")


@pytest.mark.parametrize("state", ["TASK_UNREACHABLE", "TASK_UNKNOWN"])
def test_a_registration_makes_no_doubt_a_certainty(state: str) -> None:
    """What nobody knew is not known because the master took us again."""
    world = farm()
    world.report(world.task_of("readout"), state)
    before = told(world)
    world.register()
    world.wait(10.0)
    assert told(world) == before


def test_an_illegal_transition_is_in_the_daemons_log_once() -> None:
    """The engine's own default, as `daqsched serve` runs it: the note is among the commands of that step."""
    world = farm()
    engine = world.engine
    engine.transitions.illegal = engine.note  # the default; `World` raises
    said = []
    for _ in range(2):
        engine.instances[KEY].shown = "STOPPED"  # as a bug of ours could have it
        engine.touched = {}
        data = Report("running", pid=1).to_json()
        event = events.TaskReported(
            world.task_of("readout"), "agent-hlt01", "TASK_RUNNING", by_executor=True, data=data
        )
        step = engine.handle(event, world.now)
        assert [(one.before, one.after) for one in step.changes] == [("STOPPED", "RUNNING")]
        said += [one.sentence for one in step.commands if isinstance(one, commands.Note)]
    assert engine.transitions.illegal_transitions == 2
    assert len(said) == 1 and said[0].startswith("readout@hlt01: STOPPED to RUNNING by its executor is an illegal")


@pytest.mark.parametrize("meanwhile", ["nothing", "restart", "clock set back"])
def test_a_snooze_ends_by_a_tick_whatever_happened_meanwhile(meanwhile: str) -> None:
    """No look is ahead of the engine: ticked when it wants to be, it says UNHEALTHY as soon as the snooze is over."""
    world = farm()
    until = world.now + 3000.0
    report(world, said=Report("running", pid=1, healthy=False, ailment="no answer", snoozed=until))
    if meanwhile == "restart":
        world.die()
    elif meanwhile == "clock set back":
        world.now -= 600.0
        world.say(events.Ticked())
    while (due := world.engine.next_tick(world.now)) <= until:
        world.now = max(world.now, due)
        world.say(events.Ticked())
    world.now = until
    world.say(events.Ticked())
    assert world.rows()[0].state == "UNHEALTHY" and told(world)[-1] == ("RUNNING", "UNHEALTHY", "time")


@given(st.text("ab`;. ", max_size=60), st.integers(8, 60))
def test_a_sentence_that_is_cut_ends_with_a_whole_word_and_no_half_of_a_next_step(sentence: str, most: int) -> None:
    """Whatever is in it; one that there is room for is as it was."""
    short = shortened(sentence, most)
    assert len(short) <= most and (short == sentence or (len(sentence) > most and short.endswith(" ...")))
    if short != sentence:
        left = short[:-4]
        assert sentence.startswith(left)
        assert left.count("`") % 2 == 0 or "`" not in sentence[len(left) :]


def test_a_sentence_is_cut_between_its_clauses() -> None:
    """As the chronicle keeps it, and `story` shows it."""
    sentence = "failed 3 times in a row, last: exit code 3; given up; `daqsched start readout@hlt01` tries again"
    assert shortened(sentence, 80) == "failed 3 times in a row, last: exit code 3; given up ..."
    assert shortened("one two three four five six seven", 20) == "one two three ..."
