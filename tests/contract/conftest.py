"""Fixtures that the contract tests share."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from daqsched_executor.contract import Payload, Stop
from fake_agent import ExecutorUnderTest, FakeAgent, Start, processes_of
from left_running import left_running, pids
from waiting import until


@pytest.fixture(autouse=True)
def no_process_is_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """What a test of the executor begins it ends: else it is on the machine for ever, and the next one's business."""
    if not request.path.name.startswith("test_executor_"):
        yield
        return
    folder: Path = request.getfixturevalue("tmp_path")
    before = pids()
    yield
    left = left_running(folder, before)
    assert not left, f"left running: {'; '.join(left)}"


@pytest.fixture(autouse=True)
def no_line_is_left_in_the_log() -> Iterator[None]:
    """What a daemon of one test has logged is not for who reads the log of another one's: it is one for the process."""
    yield
    log = sys.modules.get("daqsched.serve.log")
    if log is not None:
        log.RECENT._lines.clear()


@pytest.fixture
def agent() -> Iterator[FakeAgent]:
    """A fake agent that listens."""
    agent = FakeAgent()
    yield agent
    agent.vanish()


@pytest.fixture
def start(agent: FakeAgent, tmp_path: Path) -> Iterator[Start]:
    """Starts an executor with a program of the test's; ends it, and what is left, as the agent's launcher would."""
    started: list[ExecutorUnderTest] = []

    def start_one(*argv: str, environ: dict[str, str] = {}, **fields: Any) -> ExecutorUnderTest:  # noqa: B006
        executor = ExecutorUnderTest(agent, tmp_path / "sandbox", **environ)
        started.append(executor)
        fields.setdefault("stop", Stop(grace_s=5.0))
        executor.launch(Payload("readout@hlt01.1", "readout", "hlt01", argv, **fields))
        return executor

    def none_is_left(executor: ExecutorUnderTest) -> bool:
        left = processes_of(executor)
        for pid in left:
            with suppress(ProcessLookupError):  # it ends by itself
                os.kill(pid, signal.SIGKILL)
        return not left

    yield start_one
    for executor in started:
        executor.end()
        # what is forked during one look is in the next
        until(partial(none_is_left, executor), "nothing of the program is left")


@pytest.fixture
def public() -> Iterator[Path]:
    """A folder that every account may read; the folders above pytest's own are for one."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        os.chmod(folder, 0o755)
        yield Path(folder)
