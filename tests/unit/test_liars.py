"""Executors that lie, or are of another make: what they say hurts at most their own task, and the daemon goes on."""

from __future__ import annotations

import pytest

from builders import World, job, of, rows
from daqsched.engine import commands, events
from daqsched.mesos.incoming import event_of, offer_of, update_of
from daqsched_executor.contract import ContractError, Exit, Report
from examples import some
from hostile import mutated

NONSENSE = [
    b"\xff",
    b"[" * 100_000,
    b'{"version":99,"activity":"running"}',
    b'{"version":1,"activity":"running","pid":true}',
    b'{"version":1,"activity":"running","since":"yesterday"}',
    b'{"version":1,"activity":"running","since":NaN}',
    b'{"version":1,"activity":"running","restarts":' + b"9" * 30 + b"}",
    b'{"version":1,"activity":"running","last_exit":7}',
    b'{"version":1,"activity":"running","last_exit":{"at":1,"ran_s":1,"lines":[1]}}',
    b'{"version":1,"activity":"running","says":"\\ud800"}',
    b'{"version":1,"activity":"running","says":"' + b"x" * (1 << 20) + b'"}',
]


@pytest.mark.parametrize("data", NONSENSE, ids=range(len(NONSENSE)))
def test_nonsense_in_a_report_is_told_and_goes_no_further(data: bytes) -> None:
    """No exception, nothing saved that could not be read again; the sentence says what is wrong, once in the log."""
    with pytest.raises(ContractError):
        Report.from_json(data)
    world = World()
    world.start(job())
    task = world.task_of("readout")
    notes = [of(world.report(task, message="fine", by_executor=True, data=data), commands.Note) for _ in range(2)]
    assert len(notes[0]) == 1 and not notes[1]
    (row,) = rows(world.engine, lambda name, host: True, world.now)
    assert row.state == "RUNNING" and "what its executor reports is not understood: " in row.reason
    world.restart()
    world.register()
    assert world.task_of("readout") == task


def test_fields_of_tomorrow_are_left_out_and_those_of_today_may_be_missing() -> None:
    """An executor that is newer by fields alone, or older."""
    assert Report.from_json(b'{"version":1,"activity":"running","tomorrow":[1]}') == Report("running")
    assert Report.from_json(b'{"version":1,"activity":"backoff","last_exit":{"at":1,"ran_s":2,"code":3}}') == Report(
        "backoff", last_exit=Exit(1, 2, 3)
    )


@pytest.mark.parametrize(("agent", "executor"), [("agent-hlt02", ""), ("agent-hlt01", "other@hlt01.t9")])
@pytest.mark.parametrize("state", ["TASK_FAILED", "TASK_FINISHED", "TASK_RUNNING"])
def test_who_speaks_of_a_task_that_is_not_its_own_is_not_heard(agent: str, executor: str, state: str) -> None:
    """Else it could have a second copy started. Acknowledged all the same."""
    world = World(("hlt01", "hlt02"))
    world.start(job())
    task = world.task_of("readout")
    lie = events.TaskReported(task, agent, state, "dead", by_executor=True, uuid="u", executor_id=executor)
    said = world.say(lie)
    assert of(said, commands.Acknowledge)
    assert any("which is not its own; ignored" in note.sentence for note in of(said, commands.Note))
    world.offers()
    assert world.task_of("readout") == task


def test_updates_twice_late_and_out_of_order_start_nothing_twice() -> None:
    """The end twice, then the beginning."""
    world = World()
    world.start(job())
    old = world.task_of("readout")
    world.report(old, "TASK_FAILED")
    world.report(old, "TASK_FAILED")
    world.report(old, "TASK_RUNNING")
    world.report(old, "TASK_STARTING")
    world.offers()
    new = world.task_of("readout")
    assert new != old
    for state in ("TASK_RUNNING", "TASK_STARTING", "TASK_RUNNING"):
        world.report(new, state)
    world.say(events.TaskReported(old, "agent-hlt01", "TASK_FAILED", uuid="u"))
    world.offers()
    assert world.task_of("readout") == new


OFFER = {
    "id": {"value": "o"},
    "agent_id": {"value": "agent-hlt01"},
    "hostname": "hlt01",
    "resources": [
        {"name": "cpus", "type": "SCALAR", "scalar": {"value": 8}},
        {"name": "mem", "type": "SCALAR", "scalar": {"value": 8000}},
        {"name": "disk", "type": "SCALAR", "scalar": {"value": 8000}},
        {"name": "ports", "type": "RANGES", "ranges": {"range": [{"begin": 31000, "end": 31005}]}},
    ],
    "attributes": [
        {"name": "hostname", "type": "TEXT", "text": {"value": "hlt01"}},
        {"name": "slot", "type": "SCALAR", "scalar": {"value": 7}},
        {"name": "rack", "type": "SET", "set": {"item": ["r1"]}},
    ],
}
STATUS = {
    "task_id": {"value": "readout@hlt01.t9"},
    "agent_id": {"value": "agent-hlt01"},
    "executor_id": {"value": "readout@hlt01.t9"},
    "state": "TASK_RUNNING",
    "source": "SOURCE_EXECUTOR",
    "reason": "REASON_RECONCILIATION",
    "message": "m",
    "data": "e30=",
    "uuid": "dQ==",
}


@pytest.mark.parametrize(
    "event",
    [
        {"type": "OFFERS", "offers": {"offers": [OFFER]}},
        {"type": "UPDATE", "update": {"status": STATUS}},
        {"type": "SUBSCRIBED", "subscribed": {"framework_id": {"value": "F"}, "heartbeat_interval_seconds": 15}},
        {"type": "ERROR", "error": {"message": "m"}},
    ],
    ids=lambda event: event["type"].lower(),
)
def test_no_value_in_an_event_of_a_master_ends_the_daemon(event: dict[str, object]) -> None:
    """Each field of each event with anything in it: refused in a sentence, or something that the engine can count and save."""
    heard = refused = 0
    for path, text in some(mutated(event)):
        world = World()
        world.register()
        world.apply(job(ports={"any": 0}))
        try:
            found, _ = event_of(text)
        except ValueError as error:
            refused += 1
            assert len(str(error)) < 500 and str(error).isprintable(), path
            continue
        heard += 1
        if found["type"] == "OFFERS":
            world.say(events.OffersArrived(tuple(map(offer_of, found["offers"]["offers"]))), perform=False)
        elif found["type"] == "UPDATE":
            world.say(update_of(found["update"]["status"]), perform=False)
    assert heard and refused
