"""After a failover the first word of a host makes the daemon ask about all that is there."""

from __future__ import annotations

from typing import Any

import pytest

from builders import World, job, of
from daqsched.engine import commands, events
from daqsched.engine.reconciling_state import CONFIRM_S


def asked(todo: list[commands.Command]) -> set[str]:
    """Whom the master is asked about, by instance."""
    return {task_id.rpartition(".")[0] for one in of(todo, commands.Reconcile) for task_id, _ in one.tasks}


@pytest.fixture
def world() -> World:
    """Three jobs on each of two hosts; master and daemon are new, and no agent is back yet."""
    made = World(["hlt01", "hlt02"])
    made.start(*(job(name, "hlt[01-02]") for name in "abc"))
    made.now += 100.0
    made.restart()
    made.register()
    return made


def word(world: World, name: str, host: str = "hlt01", by_executor: bool = True, **more: Any) -> list[commands.Command]:
    """One task is spoken of."""
    task = world.task_of(name, host)
    return world.say(
        events.TaskReported(task, f"agent-{host}", "TASK_RUNNING", by_executor=by_executor, uuid="u", **more)
    )


def test_the_first_word_of_a_host_makes_it_ask_about_its_neighbours_at_once(world: World) -> None:
    """An agent that is back sends again what was not acknowledged: of one task; of the others nobody speaks unasked."""
    world.now += 0.5
    assert asked(word(world, "a")) == {"b@hlt01", "c@hlt01"}
    assert not asked(word(world, "b")), "they were asked about"
    assert asked(word(world, "c", "hlt02")) == {"a@hlt02", "b@hlt02"}


def test_an_answer_of_the_master_is_no_reason_to_ask_it_again(world: World) -> None:
    """It answers for all of an agent, or for none of it: a large farm is not asked twice at each registration."""
    assert not asked(word(world, "a", by_executor=False, reason="REASON_RECONCILIATION"))
    assert asked(word(world, "b")) == {"c@hlt01"}, "a is known to run"


def test_an_offer_of_a_host_shows_that_its_agent_is_back(world: World) -> None:
    """But for those of the first moment, which come beside the master's own answers."""
    offers = events.OffersArrived((world.offer("hlt02"),))
    assert not asked(world.say(offers))
    world.now += CONFIRM_S
    assert asked(world.say(offers)) == {"a@hlt02", "b@hlt02", "c@hlt02"}
    assert not asked(world.say(offers))


def test_what_has_ended_meanwhile_is_not_asked_about(world: World) -> None:
    """Nor what was launched since: it is confirmed by its launch."""
    world.report(world.task_of("b"), "TASK_FAILED")
    assert asked(word(world, "a")) == {"c@hlt01"}
