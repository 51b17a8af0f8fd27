"""No orphan and never two copies, whoever is killed with -9: real executors with a fake agent, as the posix launcher
starts them (without a cgroup of their own)."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from daqsched_executor.contract import Payload, Stop
from daqsched_executor.machine import claim
from daqsched_executor.machine.kernel import Kernel
from fake_agent import ExecutorUnderTest, FakeAgent, report_of
from strangers import STRANGER, needs_root, open_way, says_of_itself
from waiting import alive, until

#: A program with a plain child, and a daemon in a session of its own.
DAEMONS = """
import os, time
if os.fork() == 0:
    time.sleep(1000)
if os.fork() == 0:
    os.setsid()
    if os.fork():
        os._exit(0)
    time.sleep(1000)
os.wait()
open("ready", "w")
time.sleep(1000)
"""


def carrying(task_id: str) -> list[int]:
    """Living processes that carry the task's id in their environment."""
    word = f"DAQSCHED_TASK_ID={task_id}".encode()
    found = []
    for name in os.listdir("/proc"):
        try:
            if name.isdigit() and word in Path(f"/proc/{name}/environ").read_bytes().split(b"\0") and alive(int(name)):
                found.append(int(name))
        except OSError:
            continue
    return found


class Copies:
    """Executors of one instance, each for a task of its own, with a common spool."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.agents: list[FakeAgent] = []
        self.executors: list[ExecutorUnderTest] = []

    def start(self, *argv: str, **fields: Any) -> tuple[FakeAgent, ExecutorUnderTest, str]:
        """The next one: its agent, itself, its task's id."""
        number = len(self.executors) + 1
        agent = FakeAgent()
        self.agents.append(agent)
        executor = ExecutorUnderTest(agent, self.folder / f"sandbox{number}")
        self.executors.append(executor)
        task_id = f"readout@hlt01.{os.getpid()}-{number}"
        executor.launch(Payload(task_id, "readout", "hlt01", argv, stop=Stop(grace_s=5.0), **fields))
        return agent, executor, task_id

    def with_daemons(self) -> tuple[ExecutorUnderTest, str]:
        """One whose program has begun all kinds of processes."""
        agent, executor, task_id = self.start(sys.executable, "-c", DAEMONS)
        executor.running()
        until((executor.sandbox / "ready").exists, "daemons")
        assert len(carrying(task_id)) == 3
        return executor, task_id

    def end(self) -> None:
        """Leave nothing."""
        for executor in self.executors:
            executor.end()
        for number in range(1, len(self.executors) + 1):
            for pid in carrying(f"readout@hlt01.{os.getpid()}-{number}"):
                with contextlib.suppress(ProcessLookupError):  # it may end by itself
                    os.kill(pid, signal.SIGKILL)
        for agent in self.agents:
            agent.vanish()


@pytest.fixture
def copies(tmp_path: Path) -> Iterator[Copies]:
    """Ended whatever happens."""
    made = Copies(tmp_path)
    yield made
    made.end()


def test_kill_9_of_the_executor_leaves_nothing_of_what_it_began(copies: Copies) -> None:
    """Its warden ends the double-forked daemon as well, and then as the executor did."""
    executor, task_id = copies.with_daemons()
    os.kill(executor.pid, signal.SIGKILL)
    assert executor.leave() == -signal.SIGKILL
    assert carrying(task_id) == []
    assert "the executor was killed by SIGKILL" in executor.log()


def test_kill_9_of_the_warden_leaves_nothing_either(copies: Copies) -> None:
    """The executor notices, kills its tree and leaves."""
    executor, task_id = copies.with_daemons()
    own = executor.pid
    os.kill(executor.process.pid, signal.SIGKILL)
    until(lambda: not alive(own) and not carrying(task_id), "end of all")
    assert "its warden is gone" in executor.log()


def test_what_warden_and_executor_left_behind_is_ended_by_the_next_one(copies: Copies) -> None:
    """Both killed at once: the daemon lives on until an executor of the same instance comes, which says so."""
    executor, task_id = copies.with_daemons()
    os.killpg(executor.process.pid, signal.SIGKILL)
    until(lambda: len(carrying(task_id)) <= 2, "end of the program")
    orphans = carrying(task_id)
    assert orphans
    _, second, _ = copies.start("/bin/sleep", "1000")
    second.running()
    assert carrying(task_id) == []
    plural = "es" if len(orphans) > 1 else ""
    assert f"ended {len(orphans)} process{plural} that a dead executor of this job left behind" in second.log()


def test_a_second_copy_waits_until_the_first_is_gone(copies: Copies) -> None:
    """As after a partition: it says who is there, starts nothing, and goes on by itself."""
    _, first, task_id = copies.start("/bin/sleep", "1000")
    pid = first.running().pid
    agent, second, second_id = copies.start("/bin/sleep", "1000")
    told = agent.wait_update("TASK_STARTING", contains="another copy of readout@hlt01 has been running here since ")
    assert f"pid {first.pid}; starts when it is gone" in told["message"]
    assert report_of(told).activity == "probing" and alive(pid) and carrying(second_id) == []
    os.kill(first.pid, signal.SIGKILL)
    second.running()
    assert carrying(task_id) == [] and len(carrying(second_id)) == 1


@pytest.mark.parametrize("since", ["2025-11-22 14:02:11", "2025-11-22 14:02:11 UTC", "2025-11-22 14:02:11-03:30"])
def test_who_has_the_lock_is_said_as_it_wrote_it(copies: Copies, tmp_path: Path, since: str) -> None:
    """Times have their zone; an executor that is older has written none."""
    locks = tmp_path / "spool" / "locks"
    locks.mkdir(parents=True, mode=0o700)
    held = os.open(locks / "readout@hlt01", os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(held, fcntl.LOCK_EX)
    os.write(held, (f"4711 {since}".ljust(127) + "\n0123456789abcdef\n").encode())
    agent, second, _ = copies.start("/bin/sleep", "1000")
    sentence = f"another copy of readout@hlt01 has been running here since {since}, pid 4711; starts when it is gone"
    assert agent.wait_update("TASK_STARTING", contains="another copy")["message"] == sentence
    os.close(held)
    second.running()
    written = (locks / "readout@hlt01").read_text().splitlines()[0].strip()
    assert re.fullmatch(rf"{second.pid} \d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d( UTC|[+-]\d\d:\d\d)", written)


def test_a_second_copy_can_be_stopped_while_it_waits(copies: Copies) -> None:
    """The first one is left alone."""
    _, first, _ = copies.start("/bin/sleep", "1000")
    pid = first.running().pid
    agent, second, second_id = copies.start("/bin/sleep", "1000")
    agent.wait_update("TASK_STARTING", contains="another copy")
    agent.kill(second_id)
    assert "stopped while not running" in agent.wait_update("TASK_KILLED")["message"]
    assert second.leave() == 0 and alive(pid)


def test_without_a_lock_two_copies_run_and_neither_ends_the_other(copies: Copies) -> None:
    """``lock = False`` is for programs that may."""
    _, first, task_id = copies.start("/bin/sleep", "1000", lock=False)
    first.running()
    _, second, second_id = copies.start("/bin/sleep", "1000", lock=False)
    second.running()
    assert len(carrying(task_id)) == 1 == len(carrying(second_id))


def test_a_start_that_ends_well_dismisses_the_warden(copies: Copies) -> None:
    """An orderly end is status 0, at once, without a word of the warden."""
    agent, executor, task_id = copies.start("/bin/sleep", "1000")
    executor.running()
    agent.kill(task_id)
    assert executor.leave() == 0 and "warden" not in executor.log()


#: As an executor of the instance would look, by its environment.
FAKE = (
    'env -u MESOS_EXECUTOR_ID DAQSCHED_INSTANCE=readout@hlt01 DAQSCHED_TASK_ID=z "DAQSCHED_SPOOL=$1" sleep 1000 & wait'
)


@needs_root
def test_an_environment_of_another_account_is_no_other_copy(copies: Copies, tmp_path: Path) -> None:
    """The start neither waits for it nor ends it."""
    open_way(tmp_path)
    forger = subprocess.Popen(
        ["/bin/sh", "-c", FAKE, "sh", str(tmp_path / "spool")],
        env={"MESOS_EXECUTOR_ID": "x", "PATH": os.environ["PATH"]},
        user=STRANGER,
        group=STRANGER,
        extra_groups=[],
        cwd="/",
    )
    try:
        until(lambda: Path(f"/proc/{forger.pid}/task/{forger.pid}/children").read_text() != "", "its program")
        _, executor, _ = copies.start("/bin/sleep", "1000")
        executor.running()
        assert forger.poll() is None
        assert "another copy" not in executor.log()
    finally:
        child = Path(f"/proc/{forger.pid}/task/{forger.pid}/children").read_text().split()
        for pid in (*map(int, child), forger.pid):
            os.kill(pid, 9)
        forger.wait()


@needs_root
@pytest.mark.parametrize("word", [b"X=", b"DAQSCHED_INSTANCE=readout@hlt01\0"])
def test_an_environment_without_end_costs_a_start_nothing(copies: Copies, word: bytes) -> None:
    """Any account may say that its process has one, at no cost: a start looks at all processes of the machine."""
    with says_of_itself(word, 512 << 20):
        _, executor, _ = copies.start("/bin/sleep", "1000")
        executor.running()
    status = Path(f"/proc/{executor.pid}/status").read_text()
    peak = int(status.partition("VmHWM:")[2].split()[0])
    assert peak < 80 * 1024, f"{peak} KiB"


@needs_root
def test_of_the_long_environments_of_an_account_so_much_is_read() -> None:
    """It may have thousands of processes; each one's beginning is looked at all the same."""
    asked = []

    class Counting(Kernel):
        """Tells how much is read."""

        def environ(self, pid: int, most: int = 6 << 20) -> bytes:
            found = super().environ(pid, most)
            asked.append(len(found))
            return found

    with says_of_itself(b"X=", 1 << 30) as pid:
        environs = claim._Environs(Counting())
        assert all(environs.of(pid).startswith(b"X=") for _ in range(100))
    assert sum(asked) < 32 << 20 and max(asked) <= 6 << 20


@needs_root
def test_what_changed_its_account_is_known_as_left_behind(copies: Copies, tmp_path: Path) -> None:
    """A program of root's that became another account by itself carries its executor's key."""
    text = "import os, time; os.setsid(); os.setuid(65534); open('/proc/self/comm').read(); time.sleep(1000)"
    begin = f"import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', {text!r}]); time.sleep(1000)"
    _, first, task_id = copies.start(sys.executable, "-c", begin)
    first.running()

    def changed() -> list[int]:
        found = []
        for name in filter(str.isdigit, os.listdir("/proc")):
            try:
                environ = Path(f"/proc/{name}/environ").read_bytes()
                if (
                    f"TASK_ID={task_id}".encode() in environ
                    and b"Uid:\t65534" in Path(f"/proc/{name}/status").read_bytes()
                ):
                    found.append(int(name))
            except OSError:
                continue
        return found

    until(lambda: len(changed()) == 1, "the program that changed its account")
    os.killpg(first.process.pid, 9)
    _, second, _ = copies.start("/bin/sleep", "1000")
    second.running()
    assert changed() == []


@needs_root
def test_a_lock_that_another_account_put_there_holds_nothing_up(copies: Copies, tmp_path: Path) -> None:
    """As the folder of locks was open to all once."""
    locks = tmp_path / "spool" / "locks"
    locks.mkdir(parents=True)
    held = os.open(locks / "readout@hlt01", os.O_RDWR | os.O_CREAT, 0o666)
    os.fchown(held, STRANGER, -1)
    fcntl.flock(held, fcntl.LOCK_EX)
    _, executor, _ = copies.start("/bin/sleep", "1000")
    executor.running()
    os.close(held)
    assert (locks / "readout@hlt01").stat().st_uid == 0
    assert locks.stat().st_mode & 0o7777 == 0o700


@needs_root
def test_the_name_of_what_is_spared_spares_no_other_account(copies: Copies, tmp_path: Path) -> None:
    """A program that calls itself as what copies its output is ended with the rest."""
    open_way(tmp_path)
    text = "echo -n daqsched-relay > /proc/$$/comm; while :; do sleep 1; done"
    _, executor, task_id = copies.start("/bin/sh", "-c", text, user="nobody")
    executor.running()
    until(
        lambda: any(Path(f"/proc/{pid}/comm").read_text() == "daqsched-relay\n" for pid in carrying(task_id)),
        "its name",
    )
    os.kill(executor.pid, signal.SIGKILL)
    executor.leave()
    assert carrying(task_id) == []
