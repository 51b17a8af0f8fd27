"""What a start of an executor costs out of two places, one after the other in turns: CPU and time until it runs its program.

    python bench/start.py FIRST SECOND [--starts 20]

FIRST and SECOND are commands, such as the `daqsched-executor` of an installation and that of a release's folder. As in
bench/executor.py the agent is the tests'.
"""

from __future__ import annotations

import argparse
import shlex
import statistics
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
for folder in ("tests", "executor"):
    sys.path.insert(0, str(HERE.parent / folder))

from daqsched_executor.contract import Payload  # noqa: E402
from fake_agent import ExecutorUnderTest, FakeAgent  # noqa: E402


def cost(agent: FakeAgent, folder: Path, command: list[str]) -> tuple[float, float]:
    """CPU seconds of executor and warden, and seconds, until TASK_RUNNING."""
    begin = time.monotonic()
    executor = ExecutorUnderTest(agent, folder, command, PYTHONPATH="")
    try:
        executor.launch(Payload("start@host.1", "start", "host", ("/bin/sleep", "1000")))
        executor.running()
        took = time.monotonic() - begin
        pids = executor.pid, executor.process.pid
        used = sum(int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) for pid in pids) / 1e9
        return used, took
    finally:
        executor.end()


def main() -> None:
    """Measure and print."""
    words = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    words.add_argument("first")
    words.add_argument("second")
    words.add_argument("--starts", type=int, default=20)
    options = words.parse_args()
    commands = shlex.split(options.first), shlex.split(options.second)
    found: list[list[tuple[float, float]]] = [[], []]
    with tempfile.TemporaryDirectory() as name:
        for number in range(options.starts + 1):
            for which, command in enumerate(commands):
                one = cost(FakeAgent(), Path(name) / f"{number}-{which}", command)
                if number:  # the first reads the disk
                    found[which].append(one)
    (cpu, took), (cpu2, took2) = ([statistics.median(column) for column in zip(*rows)] for rows in found)
    print(
        f"start-up to TASK_RUNNING, medians of {options.starts}: {cpu:.3f} and {cpu2:.3f} CPU-s (ratio {cpu2 / cpu:.2f}),"
        f" {took:.3f} and {took2:.3f} s (ratio {took2 / took:.2f})"
    )


if __name__ == "__main__":
    main()
