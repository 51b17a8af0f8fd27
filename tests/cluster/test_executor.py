"""The executor under a real master and real agents: launch, kill -9 of everything near it, stop."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from daqsched_executor.contract import Payload, Restart, Stop, Stream
from launcher import Launcher
from waiting import alive, parent_of, until

HOST = "hlt01"


@pytest.fixture
def launcher(cluster: Any) -> Iterator[Launcher]:
    """A framework of its own; it ends with all its executors."""
    made = Launcher(cluster.master_url)
    yield made
    made.end()


_number = iter(range(1, 1000))


def payload(*argv: str, **fields: Any) -> Payload:
    """A job for the first host."""
    return Payload(f"probe@{HOST}.{os.getpid()}-{next(_number)}", "probe", HOST, argv, **fields)


def sandbox_of(pid: int) -> Path:
    """The folder that a program of ours runs in."""
    return Path(os.readlink(f"/proc/{pid}/cwd"))


def test_a_program_runs_and_its_lines_are_in_the_sandbox(launcher: Launcher) -> None:
    """From offer to TASK_RUNNING with pid, files, environment and registered streams, under the real agent."""
    job = payload("/bin/sh", "-c", "echo hello from $DAQSCHED_INSTANCE; exec sleep 1000")
    launcher.launch(job)
    report = launcher.running()
    sandbox = sandbox_of(report.pid)
    until(lambda: (sandbox / "stdout").read_text() == f"hello from probe@{HOST}\n", "the line is in the sandbox")
    assert "runs: pid" in (sandbox / "executor.log").read_text()
    spool = Path(str(sandbox).partition("/slaves/")[0]) / "daqsched"
    streams: list[Stream] = [Stream.from_json(file.read_bytes()) for file in (spool / "streams").glob("*.json")]
    ours = [stream for stream in streams if stream.task_id == job.task_id]
    assert sorted(stream.name for stream in ours) == ["executor", "stderr", "stdout"]
    assert all(os.path.samefile(spool / "links" / stream.id, stream.path) for stream in ours)


def test_kill_9_of_the_program_is_followed_by_a_new_one(launcher: Launcher) -> None:
    """In place: the same executor, no new offer, and the scheduler is told what happened."""
    launcher.launch(payload("/bin/sleep", "1000"))
    first = launcher.running().pid
    executor = parent_of(first)
    os.kill(first, signal.SIGKILL)
    report = launcher.running("1 restart")
    assert parent_of(report.pid) == executor and report.restarts == 1
    launcher.wait("TASK_RUNNING", contains="last: killed by SIGKILL")


def test_kill_9_of_the_executor_leaves_no_process(launcher: Launcher) -> None:
    """The program goes at once, what it began with the container, and the scheduler hears of it."""
    launcher.launch(payload("/bin/sh", "-c", "sleep 1000 & echo $! > child; wait"))
    program = launcher.running().pid
    child_file = sandbox_of(program) / "child"
    until(lambda: child_file.exists() and child_file.read_text().strip(), "the child runs")
    child = int(child_file.read_text())
    os.kill(parent_of(program), signal.SIGKILL)
    until(lambda: not alive(program) and not alive(child), "program and child are gone")
    launcher.wait("TASK_FAILED")


def test_the_program_survives_kill_9_of_the_agent(launcher: Launcher, cluster: Any) -> None:
    """The same process runs on, the executor subscribes again, and updates flow: a restart, then a stop."""
    job = payload("/bin/sleep", "1000")
    launcher.launch(job)
    program = launcher.running().pid
    executor = parent_of(program)
    cluster.kill(HOST)
    cluster.start(HOST)
    assert alive(program) and parent_of(program) == executor
    os.kill(program, signal.SIGKILL)
    assert parent_of(launcher.running("1 restart").pid) == executor
    launcher.kill(job)
    launcher.wait("TASK_KILLED")


def test_what_happens_without_an_agent_is_told_afterwards(launcher: Launcher, cluster: Any) -> None:
    """A program that ends while the agent is down is finished, not lost."""
    job = payload("/bin/sh", "-c", "while ! test -e go; do sleep 0.02; done", restart=Restart("never"))
    launcher.launch(job)
    sandbox = sandbox_of(launcher.running().pid)
    cluster.kill(HOST)
    (sandbox / "go").touch()
    until(lambda: "TASK_FINISHED" in (sandbox / "executor.log").read_text(), "the program ended")
    cluster.start(HOST)
    launcher.wait("TASK_FINISHED", contains="exit code 0")


def test_a_stop_is_told_with_how_the_program_ended(launcher: Launcher) -> None:
    """TASK_KILLING, then TASK_KILLED with the exit code; the executor leaves and nothing is left."""
    job = payload("/bin/sh", "-c", "trap 'exit 7' TERM; touch ready; while :; do sleep 0.05; done")
    launcher.launch(job)
    program = launcher.running().pid
    executor, sandbox = parent_of(program), sandbox_of(program)
    until((sandbox / "ready").exists, "the trap is set")
    launcher.kill(job)
    launcher.wait("TASK_KILLING", contains="stopped by the scheduler")
    launcher.wait("TASK_KILLED", contains="stopped: exit code 7")
    until(lambda: not alive(executor), "the executor left")


def test_a_framework_that_goes_takes_its_programs_along(launcher: Launcher) -> None:
    """The agent's SHUTDOWN is an orderly stop within the agent's grace."""
    job = payload("/bin/sh", "-c", "trap '' TERM; touch ready; sleep 1000", stop=Stop(grace_s=100.0))
    launcher.launch(job)
    program = launcher.running().pid
    executor, sandbox = parent_of(program), sandbox_of(program)
    until((sandbox / "ready").exists, "the trap is set")
    launcher.end()
    until(lambda: not alive(program) and not alive(executor), "program and executor are gone")
    assert "SIGKILL to the whole tree" in (sandbox / "executor.log").read_text()
