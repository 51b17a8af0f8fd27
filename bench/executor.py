"""What one executor costs: start-up CPU, memory beside 19 others, CPU while idle, and how fast a program is back.

    python bench/executor.py [--executors 20] [--kills 100] [--idle-s 10]

Real executors and programs against the tests' fake agent, so that nothing of Mesos is in the figures; first of a job
without checks, then of one that is asked by HTTP every 10 s and sends a heartbeat every second. It asserts nothing; the
project's aims are printed beside what was measured.
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

HERE = Path(__file__).resolve().parent
for folder in ("tests", "executor"):
    sys.path.insert(0, str(HERE.parent / folder))

from daqsched_executor.contract import Check, Payload, Restart  # noqa: E402
from fake_agent import ExecutorUnderTest, FakeAgent  # noqa: E402

#: A program with a heartbeat; one without checks needs no more than `SLEEPER`.
BEATER = """
import os, socket, time
beat = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
beat.connect(os.environ["NOTIFY_SOCKET"])
beat.send(b"READY=1")
while True:
    time.sleep(1.0)
    beat.send(b"WATCHDOG=1")
"""
SLEEPER = ("/bin/sleep", "100000")
#: Prints lines of 172 bytes, each by a write of its own, says how much CPU that took, and stays.
PRINTER = """
import os, sys, time
line = b"x" * 171 + b"\\n"
for _ in range(int(sys.argv[1])):
    os.write(1, line)
open("took", "w").write(str(time.process_time()))
time.sleep(100000)
"""


class Well(BaseHTTPRequestHandler):
    """What every program is asked for."""

    def do_GET(self) -> None:
        """All is well."""
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


def checks() -> tuple[Check, ...]:
    """An HTTP check of a server in this process, and a heartbeat."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Well)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    web = Check("http", "web", port=server.server_address[1], path="/health")
    return web, Check("heartbeat", "beat", silence_s=10.0)


def launched(
    folder: Path, name: str, argv: tuple[str, ...], checks: tuple[Check, ...] = (), output: str = "pipe"
) -> ExecutorUnderTest:
    """An executor whose program runs; ``reset_s=0`` makes every restart an immediate one."""
    executor = ExecutorUnderTest(FakeAgent(), folder / name)
    job = Payload(f"{name}@host.1", name, "host", argv, restart=Restart(reset_s=0.0), checks=checks, output=output)
    executor.launch(job)
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


def ours(executor: ExecutorUnderTest) -> list[int]:
    """The executor's pid, its warden's, and that of what moves the program's lines."""
    children = Path(f"/proc/{executor.pid}/task/{executor.pid}/children").read_text().split()
    relays = [int(pid) for pid in children if Path(f"/proc/{pid}/comm").read_text() == "daqsched-relay\n"]
    return [executor.pid, executor.process.pid, *relays]


def all_cpu_s(executor: ExecutorUnderTest) -> float:
    """All that it takes to run one program."""
    return sum(map(cpu_s, ours(executor)))


def restarts_s(folder: Path, kills: int, program: tuple[str, ...], checks: tuple[Check, ...]) -> list[float]:
    """From kill -9 to the first act of the next program (a shell that writes its pid, and becomes the program)."""
    argv = ("/bin/sh", "-c", 'echo $$ >> pids; exec "$@"', "sh", *program)
    executor = launched(folder, "restarts", argv, checks)
    pids = executor.sandbox / "pids"
    measured = []
    while not pids.exists() or not pids.stat().st_size:
        time.sleep(0.01)
    for number in range(kills):
        # what dies before it is ready counts as a bad start, which is not tried again at once
        while checks and executor.log().count("ready after") <= number:
            time.sleep(0.005)
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
    return sorted(measured)


def measure(title: str, folder: Path, options: argparse.Namespace, program: tuple[str, ...], *checks: Check) -> None:
    """All of one kind of job."""
    executors, startup = [], []
    for number in range(options.executors):
        executors.append(launched(folder, f"idle{number}", program, checks))
        startup.append(all_cpu_s(executors[-1]))
    pss = [sum(map(pss_mb, ours(executor))) for executor in executors]
    before = sum(map(all_cpu_s, executors))
    time.sleep(options.idle_s)
    idle = (sum(map(all_cpu_s, executors)) - before) / len(executors) / options.idle_s
    for executor in executors:
        executor.end()
    latency = restarts_s(folder, options.kills, program, checks)
    many = len(executors)
    print(f"{title}:")
    print(f"  start-up to TASK_RUNNING   {statistics.median(startup):.3f} CPU-s median of {many} (aim 0.1)")
    print(
        f"  PSS, {many} idle on one host  {statistics.median(pss):.1f} MB median, {max(pss):.1f} most, with its warden "
        "and drain (aim 12)"
    )
    print(f"  CPU of an idle executor    {idle * 100:.4f} % of one core over {options.idle_s:g} s")
    print(
        f"  kill -9 to next program    {statistics.median(latency) * 1000:.1f} ms median, "
        f"{latency[int(len(latency) * 0.95)] * 1000:.1f} ms 95 %, {latency[-1] * 1000:.1f} ms most "
        f"of {len(latency)} (aim 20)"
    )


def printing_s(folder: Path, output: str, lines: int) -> float:
    """CPU that lines cost program and executor until they are in the file; seconds a million."""
    executor = launched(folder, f"{output}-lines", (sys.executable, "-S", "-c", PRINTER, str(lines)), output=output)
    before, took = all_cpu_s(executor), executor.sandbox / "took"
    while not took.exists() or (executor.sandbox / "stdout").stat().st_size < 172 * lines:
        time.sleep(0.05)
    used = float(took.read_text()) + all_cpu_s(executor) - before
    executor.end()
    return used / lines * 1e6


def main() -> None:
    """Measure and print."""
    words = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    words.add_argument("--executors", type=int, default=20)
    words.add_argument("--kills", type=int, default=100)
    words.add_argument("--idle-s", type=float, default=10.0)
    options = words.parse_args()
    print(f"Python {sys.version.split()[0]}, {os.cpu_count()} CPUs")
    with tempfile.TemporaryDirectory() as name:
        measure("no checks", Path(name) / "plain", options, SLEEPER)
        pairs = [
            [printing_s(Path(name) / str(turn), output, 300_000) for output in ("pipe", "file")] for turn in range(3)
        ]
        pipe, file = map(statistics.median, zip(*pairs))
        print("lines, each by a write of its own, CPU-s a million of program and executor:")
        print(f"  pipe {pipe:.2f}, file {file:.2f}: {pipe / file:.2f} (median of 3)")
        measure("HTTP check and heartbeat", Path(name) / "checks", options, (sys.executable, "-c", BEATER), *checks())


if __name__ == "__main__":
    main()
