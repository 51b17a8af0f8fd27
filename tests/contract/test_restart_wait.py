"""`daqsched restart --wait`: it waits for all that it restarts, and its exit status is what became of it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from builders import job, offer
from daqsched.engine import commands, events
from daqsched.spec import Spec
from served import Serve
from waiting import until


def agent_of(task: str) -> str:
    return f"agent-{task.partition('@')[2].partition('.')[0]}"


class Obedient:
    """What a master and its agents do: what is launched runs, what is killed ends, and offers come when they are needed."""

    def __init__(self, serve: Serve) -> None:
        self._serve = serve
        #: Whether what is launched gets up.
        self.runs = True
        serve.edge.then = self.perform

    def perform(self, command: commands.Command) -> None:
        if isinstance(command, commands.Launch) and self.runs:
            for one in command.tasks:
                self.report(one.payload.task_id, "TASK_RUNNING")
        elif isinstance(command, commands.Kill):
            self.report(command.task_id, "TASK_KILLED")
        elif isinstance(command, commands.Revive):
            self.offers()

    def report(self, task: str, state: str) -> None:
        self._serve.daemon.put(events.TaskReported(task, agent_of(task), state, uuid="u"))

    def offers(self) -> None:
        self._serve.daemon.put(events.OffersArrived(tuple(offer(host) for host in ("hlt01", "hlt02"))))


@pytest.fixture
def farm(tmp_path: Path) -> Iterator[tuple[Serve, Obedient]]:
    """Two hosts on which a program runs."""
    serve = Serve(tmp_path)
    agents = Obedient(serve)
    serve.daemon.put(events.Registered("fw", "m:5050"))
    serve.client.apply(Spec(jobs=(job(hosts="hlt[01-02]"),)))
    agents.offers()
    until(lambda: states(serve) == {"RUNNING"}, "both run")
    yield serve, agents
    serve.close()


def states(serve: Serve) -> set[str]:
    return {row.state for row in serve.client.status().rows}


def run(serve: Serve, *words: str) -> Any:
    return subprocess.Popen(
        [sys.executable, "-m", "daqsched.cli", "--socket", str(serve.path), "restart", "readout", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_it_ends_when_all_have_been_started_anew_and_run(farm: tuple[Serve, Obedient]) -> None:
    """Host by host; without --wait it says what has begun."""
    serve, _ = farm
    before = serve.edge.launched()
    with run(serve, "--wait") as found:
        out, err = found.communicate(timeout=60)
    assert found.returncode == 0, err
    assert "All 2 running" in out and len(serve.edge.launched()) == len(before) + 2
    assert serve.rollout().state == "done"


def test_what_does_not_come_back_in_time_is_told(farm: tuple[Serve, Obedient]) -> None:
    """Exit status 4; the restart goes on."""
    serve, agents = farm
    agents.runs = False
    with run(serve, "--wait", "--timeout", "0.5") as found:
        _, err = found.communicate(timeout=60)
    assert found.returncode == 4 and "not everything is running after 0.5 s" in err


def test_an_abort_ends_the_wait(farm: tuple[Serve, Obedient]) -> None:
    """With who did it, and exit status 4."""
    serve, agents = farm
    agents.runs = False
    with run(serve, "--wait", "--json") as found:
        until(lambda: serve.client.rollout().rollout is not None, "it has begun")
        serve.client.steer("abort", "enough")
        out, err = found.communicate(timeout=60)
    assert found.returncode == 4 and ": enough" in err and '"state": "aborted"' in out
