"""What one executor costs: start-up CPU, memory beside 19 others, CPU while idle, and how fast a program is back.

    python bench/executor.py [--executors 20] [--kills 100] [--idle-s 10]

Real executors and programs against the tests' fake agent, so that nothing of Mesos is in the figures. It asserts
nothing; the project's aims are printed beside what was measured.
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
for folder in ("tests", "executor"):
    sys.path.insert(0, str(HERE.parent / folder))

from daqsched_executor.contract import Payload, Restart  # noqa: E402
from fake_agent import ExecutorUnderTest, FakeAgent  # noqa: E402


def launched(folder: Path, name: str, *argv: str) -> ExecutorUnderTest:
    """An executor whose program runs; ``reset_s=0`` makes every restart an immediate one."""
    executor = ExecutorUnderTest(FakeAgent(), folder / name)
    executor.launch(Payload(f"{name}@host.1", name, "host", argv, restart=Restart(reset_s=0.0)))
    executor.running()
    return executor


def cpu_s(pid: int) -> float:
    """CPU time that a process has used, by the scheduler's own count (nanoseconds in /proc/PID/schedstat)."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


def pss_mb(pid: int) -> float:
    """Proportional share of memory: private pages, and each shared one divided among those that share it."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    raise AssertionError("no Pss in smaps_rollup")


def restarts_s(folder: Path, kills: int) -> list[float]:
    """From kill -9 to the first act of the next program (a shell that writes its pid)."""
    executor = launched(folder, "restarts", "/bin/sh", "-c", "echo $$ >> pids; exec sleep 1000")
    pids = executor.sandbox / "pids"
    measured = []
    for _ in range(kills):
        size = pids.stat().st_size
        pid = int(pids.read_text().split()[-1])
        while os.readlink(f"/proc/{pid}/exe").endswith("sh"):
            time.sleep(0.001)
        begin = time.monotonic()
        os.kill(pid, signal.SIGKILL)
        while pids.stat().st_size == size:
            pass
        measured.append(time.monotonic() - begin)
        time.sleep(0.02)
    executor.end()
    return measured


def main() -> None:
    """Measure and print."""
    words = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    words.add_argument("--executors", type=int, default=20)
    words.add_argument("--kills", type=int, default=100)
    words.add_argument("--idle-s", type=float, default=10.0)
    options = words.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        executors = [launched(folder, f"idle{n}", "/bin/sleep", "100000") for n in range(options.executors)]
        pids = [executor.pid for executor in executors]
        wardens = [executor.process.pid for executor in executors]
        startup = [cpu_s(pid) + cpu_s(warden) for pid, warden in zip(pids, wardens)]
        pss = [pss_mb(pid) + pss_mb(warden) for pid, warden in zip(pids, wardens)]
        before = sum(cpu_s(pid) for pid in pids)
        time.sleep(options.idle_s)
        idle = (sum(cpu_s(pid) for pid in pids) - before) / len(pids) / options.idle_s
        for executor in executors:
            executor.end()
        latency = sorted(restarts_s(folder, options.kills))
    many = len(pids)
    print(f"Python {sys.version.split()[0]}, {os.cpu_count()} CPUs")
    print(f"start-up to TASK_RUNNING   {statistics.median(startup):.3f} CPU-s median of {many} (aim 0.1)")
    print(
        f"PSS, {many} idle on one host  {statistics.median(pss):.1f} MB median, {max(pss):.1f} most, with its warden (aim 12)"
    )
    print(f"CPU of an idle executor    {idle * 100:.4f} % of one core over {options.idle_s:g} s")
    print(
        f"kill -9 to next program    {statistics.median(latency) * 1000:.1f} ms median, "
        f"{latency[int(len(latency) * 0.95)] * 1000:.1f} ms 95 %, {latency[-1] * 1000:.1f} ms most "
        f"of {len(latency)} (aim 20)"
    )


if __name__ == "__main__":
    main()
