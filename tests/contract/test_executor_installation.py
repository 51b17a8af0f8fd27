"""An executor whose installation is replaced or away, or has a mistake in it: what runs goes on, and ends by its rules."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import signal
import socket
import sys
import sysconfig
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from daqsched_executor.contract import OBEY, Check, OperatorCommand, Payload, Stop
from fake_agent import ExecutorUnderTest, FakeAgent, message, order, outcome, processes_of, report_of
from waiting import alive, until

#: All that an executor imports, its own package apart.
OTHERS = ("pymesos", "addict", "http_parser", "httptools", "six")

#: Says that it is ready, prints, writes a file, and says goodbye.
PROGRAM = """
import os, signal, socket, sys, time
def goodbye(*a):
    time.sleep(float(os.environ.get("LINGER", "0")))
    os.write(1, b"goodbye\\n")  # print may be under way
    os._exit(0)
signal.signal(signal.SIGTERM, goodbye)
open("handles", "w")
if "NOTIFY_SOCKET" in os.environ:
    one = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    one.connect(os.environ["NOTIFY_SOCKET"])
    one.send(b"READY=1")
while True:
    print("alive", flush=True)
    open("file", "a").write("x")
    time.sleep(0.1)
"""

STOP = Stop(before=("/bin/echo", "before"), after=("/bin/echo", "after"), grace_s=20.0)


class Installation:
    """Python's library, our package and what it needs in a folder of their own, as links that can be taken away."""

    def __init__(self, folder: Path) -> None:
        self.home, self.site = folder / "home", folder / "site"
        lib = self.home / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}"
        lib.parent.mkdir(parents=True)
        lib.symlink_to(sysconfig.get_path("stdlib"))
        self.links = [lib]
        self.site.mkdir()
        for name in ("daqsched_executor", *OTHERS):
            spec = importlib.util.find_spec(name)
            assert spec is not None and spec.origin is not None
            whole = Path(spec.origin).parent if spec.submodule_search_locations else Path(spec.origin)
            link = self.site / whole.name
            link.symlink_to(whole)
            self.links.append(link)

    @property
    def environ(self) -> dict[str, str]:
        """For Python to be started from here."""
        return {"PYTHONPATH": str(self.site), "PYTHONHOME": str(self.home)}

    def vanish(self) -> None:
        """As a package that is being replaced, or a file system that went away."""
        for link in self.links:
            link.unlink()

    def break_module(self, name: str) -> None:
        """A copy of our package in which this module raises when it is imported."""
        link = self.site / "daqsched_executor"
        whole = link.resolve()
        link.unlink()
        shutil.copytree(whole, link, ignore=shutil.ignore_patterns("__pycache__", "forward"))
        (link / f"{name.replace('.', '/')}.py").write_text("raise RuntimeError('broken')\n")


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    """One for this test."""
    return Installation(tmp_path / "installation")


class Starts:
    """Executors out of that installation."""

    def __init__(self, agent: FakeAgent, folder: Path, installation: Installation) -> None:
        self._agent, self._folder, self._installation = agent, folder, installation
        self.executors: list[ExecutorUnderTest] = []

    def executor(self) -> ExecutorUnderTest:
        """One that has subscribed."""
        made = ExecutorUnderTest(self._agent, self._folder / "sandbox", **self._installation.environ)
        self.executors.append(made)
        self._agent.wait_subscribed()
        return made


@pytest.fixture
def starts(agent: FakeAgent, tmp_path: Path, installation: Installation) -> Iterator[Starts]:
    """Ends them, and what is left."""
    made = Starts(agent, tmp_path, installation)
    yield made
    for executor in made.executors:
        executor.end()
        for pid in processes_of(executor):
            with contextlib.suppress(ProcessLookupError):  # it may end by itself
                os.kill(pid, signal.SIGKILL)


def payload(**fields: Any) -> Payload:
    """The program with hooks and an action."""
    argv = (sys.executable, "-S", "-c", PROGRAM)
    given: dict[str, Any] = {"actions": {"ls": ("/bin/ls", "/")}, "stop": STOP, **fields}
    return Payload("readout@hlt01.1", "readout", "hlt01", argv, **given)


def test_an_executor_that_has_started_needs_nothing_of_its_installation(
    agent: FakeAgent, starts: Starts, installation: Installation
) -> None:
    """Every kind of check, an action, a snooze, a restart, a death, hooks, a stop: all as ever without one file of it."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(100)
        checks = (
            Check("command", "command", argv=("/bin/true",), interval_s=0.5),
            Check("tcp", "tcp", address="localhost", port=listener.getsockname()[1], interval_s=0.5),
            Check("http", "http", address="nowhere.invalid", port=1, path="/", grace_s=0.0, unhealthy="notify"),
            Check("output", "output", pattern="al.ve", silence_s=20.0),
            Check("file", "file", path="file", silence_s=20.0),
            Check("heartbeat", "beat", grace_s=30.0),
        )

        def passes(name: str) -> Callable[[], bool]:
            return lambda: f"{name} has" not in agent.updates[-1]["message"]

        executor = starts.executor()
        installation.vanish()
        executor.launch(payload(checks=checks))
        told = agent.wait_update("TASK_STARTING", contains="nowhere.invalid has no address")
        for name in ("command", "tcp", "output", "file", "beat"):
            assert f"{name} has" not in told["message"] or agent.wait(passes(name), f"{name} passes")
        order(agent, "act", "ls")
        done = outcome(agent)
        assert done.ok and done.lines
        order(agent, "snooze", id="o2")
        first = next(report.pid for report in map(report_of, agent.updates) if report.pid)
        order(agent, "restart", id="o3")
        until(lambda: not alive(first), "end of the first program")
        second = agent.wait(
            lambda: next((r.pid for r in map(report_of, agent.updates) if r.pid not in (0, first)), 0), "second program"
        )
        os.kill(second, signal.SIGKILL)
        agent.wait(lambda: report_of(agent.updates[-1]).restarts == 2 and report_of(agent.updates[-1]).pid, "restart")
        until(lambda: executor.log().count("hook after") == 2, "hooks")
        agent.kill("readout@hlt01.1")
        assert agent.wait_update("TASK_KILLED")["message"].startswith("stopped: exit code 0")
        assert executor.leave() == 0
    log = executor.log()
    assert "a bug" not in log and "can't be read" not in log and log.count("before: before") == 2
    assert (executor.sandbox / "stdout").read_text().count("goodbye") == 2


#: A plain child, and a daemon in a session of its own whose own child is another one.
DAEMONS = "sleep 1000 & setsid -f sh -c 'setsid -f sleep 1000; sleep 1000'; touch ready; sleep 1000"


def test_kill_9_of_an_executor_whose_installation_is_away_leaves_nothing(
    agent: FakeAgent, starts: Starts, installation: Installation
) -> None:
    """Its warden does without Python then."""
    executor = starts.executor()
    installation.vanish()
    executor.launch(Payload("readout@hlt01.1", "readout", "hlt01", ("/bin/sh", "-c", DAEMONS)))
    executor.running()
    until((executor.sandbox / "ready").exists, "daemons")
    until(lambda: len(processes_of(executor)) >= 4, "all of them")
    os.kill(executor.pid, signal.SIGKILL)
    assert executor.leave() == -signal.SIGKILL
    assert processes_of(executor) == [] and "its installation can't be read" in executor.log()


@pytest.mark.parametrize("module", ["run.side_commands", "machine.side_command"])
def test_a_mistake_in_what_runs_beside_fails_what_was_asked_for_alone(
    module: str, agent: FakeAgent, starts: Starts, installation: Installation
) -> None:
    """The action is told with a sentence, a check that can't be asked ends nobody, and the stop is one by the rules."""
    installation.break_module(module)
    executor = starts.executor()
    check = Check("command", "ask", argv=("/bin/true",), grace_s=0.0, interval_s=0.1, failures=1)
    executor.launch(payload(checks=(check,)))
    agent.wait_update("TASK_STARTING", contains="ask has not succeeded (a bug, please report it: RuntimeError: broken")
    until((executor.sandbox / "handles").exists, "program")
    order(agent, "act", "ls")
    done = outcome(agent)
    assert not done.ok and "RuntimeError: broken" in done.words
    agent.kill("readout@hlt01.1")
    assert agent.wait_update("TASK_KILLED")["message"].startswith("stopped: exit code 0")
    assert (executor.sandbox / "stdout").read_text().count("goodbye") == 1
    assert len({report.pid for report in map(report_of, agent.updates)} - {0}) == 1


def test_a_mistake_in_a_start_is_told_and_tried_again(
    agent: FakeAgent, starts: Starts, installation: Installation
) -> None:
    """As any other reason why there is no start."""
    installation.break_module("run.checks")
    executor = starts.executor()
    executor.launch(payload(checks=(Check("output", "lines", silence_s=20.0),)))
    agent.wait_update("TASK_STARTING", contains="RuntimeError: broken")
    agent.kill("readout@hlt01.1")
    agent.wait_update("TASK_KILLED")
    assert executor.leave() == 0


@pytest.mark.parametrize("broken", [False, True])
def test_a_first_check_while_the_program_runs_ends_it_for_no_installation(
    agent: FakeAgent, starts: Starts, installation: Installation, broken: bool
) -> None:
    """Away, or with a mistake in it: the program runs on, and what can't be asked is said."""
    if broken:
        installation.break_module("run.checks")
    executor = starts.executor()
    executor.launch(payload(rules="r1"))
    executor.running()
    until((executor.sandbox / "handles").exists, "program")
    if not broken:
        installation.vanish()
    check = Check("command", "ask", argv=("/bin/true",), interval_s=0.2, failures=1, grace_s=0.0)
    told = payload(checks=(check,), rules="r2").to_json().decode()
    message(agent, OperatorCommand("o1", OBEY, "daqsched apply", payload=told).to_json())
    agent.wait(lambda: report_of(agent.updates[-1]).rules == "r2", "it has confirmed that")
    if broken:
        until(lambda: "could not be asked" in executor.log(), "it is said")
    else:
        agent.wait(lambda: report_of(agent.updates[-1]).healthy is True, "it was asked")
    assert len({report.pid for report in map(report_of, agent.updates)} - {0}) == 1
    agent.kill("readout@hlt01.1")
    assert agent.wait_update("TASK_KILLED")["message"].startswith("stopped: exit code 0")


@pytest.mark.parametrize("linger", ["0", "3"])
def test_a_mistake_in_the_core_ends_the_program_by_its_rules(
    agent: FakeAgent, starts: Starts, installation: Installation, linger: str
) -> None:
    """SIGTERM and the grace, so that it may say goodbye; then the executor leaves with an error, and nothing is left."""
    installation.break_module("life.check_words")
    executor = starts.executor()
    executor.launch(payload(env={"LINGER": linger}))
    executor.running()
    until((executor.sandbox / "handles").exists, "program")
    order(agent, "snooze")  # the core has the checks' part do it
    assert executor.leave() == 1
    assert (executor.sandbox / "stdout").read_text().count("goodbye") == 1 and processes_of(executor) == []
    assert "a bug, please report it: RuntimeError: broken (check_words.py:1 <module>" in executor.log()


def test_an_agent_that_goes_while_the_installation_is_away_ends_no_program(
    agent: FakeAgent, starts: Starts, installation: Installation
) -> None:
    """What is needed to come back to it is there from the start."""
    executor = starts.executor()
    executor.launch(payload())
    agent.wait_update("TASK_RUNNING")
    installation.vanish()
    first = next(report.pid for report in map(report_of, agent.updates) if report.pid)
    agent.vanish()
    agent.come()
    agent.wait_subscribed(2)
    assert alive(first) and "a bug" not in executor.log()
