"""Programs that behave badly, each on a real agent: what becomes of them, and that nothing else suffers."""

from __future__ import annotations

import base64
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from daqcluster import containers
from daqsched_executor.contract import Payload, Report, Restart, Stop
from farm import Farm
from launcher import Launcher
from waiting import alive, until

HOST = "hlt02"


@pytest.fixture
def launcher(cluster: Any) -> Iterator[Launcher]:
    """A framework of its own; it ends with all its executors."""
    made = Launcher(cluster.master_url)
    yield made
    made.end()


_number = iter(range(1, 1000))


def payload(text: str, **fields: Any) -> Payload:
    """A Python program for one host."""
    argv = (sys.executable, "-S", "-c", text)
    return Payload(f"bad@{HOST}.{os.getpid()}-{next(_number)}", "bad", HOST, argv, **fields)


def sandbox_of(pid: int) -> Path:
    """The folder that a program of ours runs in."""
    return Path(os.readlink(f"/proc/{pid}/cwd"))


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


def report_of(update: Any) -> Report:
    """The executor's own words in an update."""
    return Report.from_json(base64.b64decode(update["data"]))


def test_one_that_ignores_sigterm_is_killed_after_its_grace(launcher: Launcher) -> None:
    """And the last report says that it had to be."""
    text = "import signal, time; signal.signal(15, signal.SIG_IGN); open('ready', 'w'); time.sleep(1000)"
    job = payload(text, stop=Stop(grace_s=0.3))
    launcher.launch(job)
    until((sandbox_of(launcher.running().pid) / "ready").exists, "it ignores SIGTERM")
    launcher.kill(job)
    launcher.wait("TASK_KILLED", contains="still there 0.30 s after SIGTERM, so killed by SIGKILL")
    assert carrying(job.task_id) == []


def test_one_that_double_forks_leaves_nothing_behind(launcher: Launcher) -> None:
    """Its daemon, in a session of its own, is stopped with it."""
    text = """
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork():
        os._exit(0)
    time.sleep(1000)
os.wait()
open("ready", "w")
time.sleep(1000)
"""
    job = payload(text)
    launcher.launch(job)
    until((sandbox_of(launcher.running().pid) / "ready").exists, "the daemon runs")
    assert len(carrying(job.task_id)) == 2
    launcher.kill(job)
    launcher.wait("TASK_KILLED")
    assert carrying(job.task_id) == []


def test_one_that_goes_to_the_background_is_told_to_stay(launcher: Launcher) -> None:
    """Its first process ends well, so what it left behind is ended, and the report says why that looks wrong."""
    job = payload("import os, time; os.fork() or time.sleep(1000)", restart=Restart("never"))
    launcher.launch(job)
    launcher.wait("TASK_FINISHED", contains="it must stay in the foreground")
    assert carrying(job.task_id) == []


def test_one_that_closes_its_output_runs_on(launcher: Launcher) -> None:
    """What it does with its files is its own business."""
    text = "import os, time; [os.close(n) for n in (0, 1, 2)]; open('ready', 'w'); time.sleep(1000)"
    job = payload(text)
    launcher.launch(job)
    pid = launcher.running().pid
    until((sandbox_of(pid) / "ready").exists, "its output is closed")
    assert alive(pid)
    launcher.kill(job)
    launcher.wait("TASK_KILLED", contains="stopped: killed by SIGTERM")


def test_one_that_prints_100_mb_at_once_is_not_slowed_and_every_byte_is_there(launcher: Launcher) -> None:
    """Files, no pipes: the executor has no part in it; of the end only a few lines are looked at."""
    text = """
import os, time
while not os.path.exists("go"):
    time.sleep(0.01)
begin = time.monotonic()
line = b"x" * 99 + b"\\n"
for _ in range(1000):
    os.write(1, line * 1000)
os.write(2, b"%.1f s" % (time.monotonic() - begin))
"""
    launcher.launch(payload(text, restart=Restart("never")))
    sandbox = sandbox_of(launcher.running().pid)
    (sandbox / "go").touch()
    last = report_of(launcher.wait("TASK_FINISHED")).last_exit
    assert (sandbox / "stdout").stat().st_size == 100_000_000
    assert last is not None and last.lines[:-1] == ("x" * 99,) * 4 and last.lines[-1].endswith(" s")


def test_one_that_prints_invalid_utf_8_and_nuls_has_readable_last_lines(launcher: Launcher) -> None:
    """The file has its bytes; people and JSON get text."""
    text = "import os; os.write(1, bytes(range(256)) + b'\\n' + b'\\xff\\xfe\\0end'); raise SystemExit(3)"
    launcher.launch(payload(text, restart=Restart("never")))
    failed = launcher.wait("TASK_FAILED", contains="exit code 3 after ")
    last = report_of(failed).last_exit
    assert (
        last is not None and last.lines[-1] == "\\xff\\xfe\\x00end" and all(line.isprintable() for line in last.lines)
    )


def test_one_that_exits_at_once_backs_off_and_spends_its_budget(launcher: Launcher) -> None:
    """Then the task fails, with the last lines of the last run."""
    launcher.launch(payload("print('no device'); raise SystemExit(1)", restart=Restart(delay_s=0.1, budget=4)))
    failed = launcher.wait("TASK_FAILED", contains="gave up after 4 restarts within 10 min; last: exit code 1 after ")
    last = report_of(failed).last_exit
    assert last is not None and last.lines == ("no device",) and report_of(failed).restarts == 4


@pytest.mark.skipif(containers.launcher() != "linux", reason="memory is limited by the linux launcher alone")
def test_one_that_takes_too_much_memory_is_told_so_in_one_line(cluster: Any, tmp_path: Path) -> None:
    """The agent ends it with its executor; what it says is the reason, without its statistics, and it starts again."""
    farm = Farm(tmp_path / "farm", cluster.master_url)
    farm.serve()
    try:
        text = "import os, time; time.sleep(0.5); x = b'x' * (300 << 20); time.sleep(1000)"
        farm.apply(
            f"""
logging = Logging(enabled=False)
jobs = [Job("greedy", argv=[{sys.executable!r}, "-S", "-c", {text!r}], hosts={HOST!r}, resources=Resources(mem=64))]
""",
            check=False,
        )
        reason = r"out of memory: used \d+ MiB of 96 MiB \(with its executor\), so the agent ended it"
        until(lambda: re.search(reason, farm.log()), "the reason is known")
    finally:
        farm.clear()
