"""Jobs in containers on a real agent, under each of its launchers: nothing is left behind where nobody comes after."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from daqcluster import Cluster, containers
from daqcluster.engine import IMAGE, Engine
from daqsched_executor.contract import Container, Payload, Stop
from daqsched_executor.contract.job import FILE, PIPE
from farm import Farm, running
from launcher import Launcher
from waiting import alive, parent_of, until

HOST = "hlt01"

#: A machine without cgroup v1 has the posix launcher alone.
LAUNCHERS = sorted({"posix", containers.launcher()})


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """An engine of these tests' own."""
    made = Engine(tmp_path_factory.mktemp("engine") / "e")
    try:
        yield made.up()
    finally:
        made.down()


@pytest.fixture(scope="module", params=LAUNCHERS)
def machine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A master and one agent with that launcher."""
    with running(tmp_path_factory.mktemp("own"), agents=1, launcher=request.param) as made:
        yield made


@pytest.fixture
def launcher(machine: Cluster, engine: Engine) -> Iterator[Launcher]:
    """A framework of its own; nothing of its jobs may be left."""
    made = Launcher(machine.master_url)
    yield made
    made.end()
    until(lambda: engine.names() == [] and engine.pids() == set(), "no container is left")


_number = iter(range(1, 1000))


def payload(engine: Engine, text: str, **fields: Any) -> Payload:
    """A job in a container for the host."""
    container = Container(IMAGE, engine=engine.address)
    task_id = f"boxed@{HOST}.{os.getpid()}-{next(_number)}"
    return Payload(task_id, "boxed", HOST, ("/bin/sh", "-c", text), container=container, **fields)


def below(pid: int) -> list[int]:
    """The processes right below it."""
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.parametrize(("output", "kind"), [(PIPE, "pipe:"), (FILE, "/")])
def test_what_a_program_prints_to_is_as_the_job_says(launcher: Launcher, output: str, kind: str) -> None:
    """Beside containers: with a warden above the executor, and without one."""
    task_id = f"printing@{HOST}.{os.getpid()}-{next(_number)}"
    launcher.launch(Payload(task_id, "printing", HOST, ("/bin/sleep", "100000"), output=output))
    pid = launcher.running().pid
    assert all(os.readlink(f"/proc/{pid}/fd/{number}").startswith(kind) for number in (1, 2))


def test_it_runs_and_is_stopped_like_any_program(launcher: Launcher, engine: Engine) -> None:
    """Signal, exit code, and nothing left at the time of the last report."""
    job = payload(engine, "trap 'exit 7' TERM; touch ready; while :; do sleep 0.05; done", stop=Stop(grace_s=10.0))
    launcher.launch(job)
    executor = parent_of(launcher.running().pid)
    sandbox = Path(os.readlink(f"/proc/{executor}/cwd"))
    until((sandbox / "ready").exists, "the trap is set")
    launcher.kill(job)
    launcher.wait("TASK_KILLED", contains="stopped: exit code 7")
    assert engine.names() == [] and engine.pids() == set()
    until(lambda: not alive(executor), "the executor left")


def test_kill_9_of_the_executor_leaves_no_container(launcher: Launcher, engine: Engine) -> None:
    """The agent destroys what it knows of; the janitor is not of that, and no other executor comes."""
    launcher.launch(payload(engine, "sleep 1000"))
    runner = launcher.running().pid
    until(lambda: len(engine.pids()) >= 2, "the program runs")
    (janitor,) = below(runner)
    os.kill(parent_of(runner), signal.SIGKILL)
    launcher.wait("TASK_FAILED")
    until(lambda: engine.names() == [] and engine.pids() == set(), "the container is gone")
    until(lambda: not alive(runner) and not alive(janitor), "runner and janitor are gone")


def test_kill_9_of_all_that_is_ours_is_made_good_by_the_next_one(launcher: Launcher, engine: Engine) -> None:
    """Executor, runner and janitor at once: the container runs on, alone, until the job is launched again."""
    launcher.launch(payload(engine, "sleep 1000"))
    runner = launcher.running().pid
    until(lambda: len(engine.pids()) >= 2, "the program runs")
    left = engine.pids()
    ours = [*below(runner), runner, parent_of(runner)]
    os.kill(ours[0], signal.SIGSTOP)  # it would be quicker than we are
    for pid in reversed(ours):
        with contextlib.suppress(ProcessLookupError):  # it ends with its parent
            os.kill(pid, signal.SIGKILL)
    launcher.wait("TASK_FAILED")
    launcher.updates.clear()
    assert all(alive(pid) for pid in left)
    launcher.launch(payload(engine, "sleep 1000"))
    launcher.running()
    assert not any(alive(pid) for pid in left) and len(engine.names()) == 1


def test_it_survives_kill_9_of_the_agent(launcher: Launcher, engine: Engine, machine: Cluster) -> None:
    """The same container runs on, and is stopped by the agent's successor."""
    job = payload(engine, "sleep 1000")
    launcher.launch(job)
    runner = launcher.running().pid
    machine.kill(HOST)
    machine.start(HOST)
    assert alive(runner) and len(engine.names()) == 1
    launcher.kill(job)
    launcher.wait("TASK_KILLED", contains="stopped: killed by SIGTERM")


def test_a_job_file_says_it_in_one_word(machine: Cluster, engine: Engine, tmp_path: Path) -> None:
    """Through daemon, agent and executor: container=Container(...), and all of it is gone with the job."""
    farm = Farm(tmp_path / "farm", machine.master_url)
    farm.serve()
    try:
        container = f"Container({IMAGE!r}, engine={engine.address!r})"
        farm.apply(
            "from daqsched import Container\n"
            f'jobs = [Job("boxed", "/bin/sleep 1000", hosts="{HOST}", container={container})]'
        )
        assert farm.states() == {f"boxed@{HOST}": "RUNNING"}
        assert len(engine.names()) == 1
    finally:
        farm.clear()
    assert engine.names() == []


def test_a_job_file_gives_it_volumes_devices_and_a_network(machine: Cluster, engine: Engine, tmp_path: Path) -> None:
    """Placeholders filled in: a folder of the machine for reading only, a device file, and no network but the loop."""
    out = tmp_path / HOST
    out.mkdir()
    (out / "here").write_text("from outside")
    look = "cd /out; cat /data/here > seen; touch /data/no || echo refused > refused; ls /dev > dev; ls /sys/class/net > net"
    volumes = [f"{tmp_path}/{{host}}:/data:ro", f"{tmp_path}/{{host}}:/out"]
    options = f"volumes={volumes!r}, devices=['/dev/kmsg'], network='none', engine={engine.address!r}"
    farm = Farm(tmp_path / "farm", machine.master_url)
    farm.serve()
    try:
        farm.apply(
            "from daqsched import Container\n"
            f'jobs = [Job("boxed", argv=["/bin/sh", "-c", "{look}; exec sleep 1000"], hosts="{HOST}",'
            f" container=Container({IMAGE!r}, {options}))]"
        )
        until(lambda: (out / "net").exists() and (out / "net").read_text(), "it has looked around")
        assert (out / "seen").read_text() == "from outside" and (out / "refused").read_text() == "refused\n"
        assert "kmsg" in (out / "dev").read_text().split() and (out / "net").read_text() == "lo\n"
    finally:
        farm.clear()
