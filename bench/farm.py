"""A crew's view in figures: apply to all running, restart in place, and what an idle executor costs.

Real Mesos on this machine (`daqcluster`), the real commands. Nothing here is judged: the machine is noisy, so a run prints
its figures beside those that Nomad 2.0.5 gave on such a machine (100 tasks in 9.6 s, 0.175 CPU-s a task; 10 in 1.0 s).

    python bench/farm.py [ROUNDS]
"""

from __future__ import annotations

import os
import resource
import signal
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from daqcluster import Cluster  # noqa: E402
from farm import Farm  # noqa: E402

TICK_S = 1.0 / os.sysconf("SC_CLK_TCK")
JOBS = """
jobs = [Job(f"idle{{n:03d}}", "/bin/sleep 100000", hosts=f"hlt0{{n % 3 + 1}}", resources=Resources(cpus=0.01, mem=8))
        for n in range({count})]
"""

#: What Nomad took on such a machine: seconds until all run, CPU-seconds a task.
NOMAD = {10: (1.0, 0.175), 100: (9.6, 0.175)}


def busy_s() -> float:
    """CPU seconds that the whole machine has spent so far, but for idling."""
    fields = [int(word) for word in Path("/proc/stat").read_text().splitlines()[0].split()[1:]]
    return (sum(fields[:8]) - fields[3] - fields[4]) * TICK_S


def executors(farm: Farm) -> list[int]:
    """The executors' pids: the parents of the programs."""
    pids = [row["pid"] for row in farm.rows().values()]
    return [int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]) for pid in pids]


def apply(farm: Farm, count: int) -> tuple[float, float]:
    """Seconds until ``count`` jobs run, as the command says, and CPU seconds of the whole machine for each."""
    began, spent = time.monotonic(), busy_s()
    farm.run("apply", str(farm.jobs(JOBS.format(count=count))), "--settle", "0")
    return time.monotonic() - began, (busy_s() - spent) / count


def clear(farm: Farm) -> None:
    """No job left."""
    farm.run("apply", str(farm.jobs("jobs = []")), "--allow-empty", "--yes")
    while farm.rows():
        time.sleep(0.1)


def restart_ms(farm: Farm, name: str) -> float:
    """Milliseconds from kill -9 of a program to its successor, seen from outside."""
    old = farm.rows(name)[name]["pid"]
    (executor,) = [int(Path(f"/proc/{old}/stat").read_text().rpartition(")")[2].split()[1])]
    children = Path(f"/proc/{executor}/task/{executor}/children")
    began = time.monotonic()
    os.kill(old, signal.SIGKILL)
    while True:
        now = children.read_text().split()
        if now and str(old) not in now:
            pid = int(now[0])
            try:
                if os.readlink(f"/proc/{pid}/exe").endswith(("sleep", "coreutils")):
                    return (time.monotonic() - began) * 1e3
            except OSError:
                pass


def main() -> None:
    """Bring a cluster up, measure, take it down."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    with tempfile.TemporaryDirectory() as folder:
        cluster = Cluster(Path(folder) / "cluster", print)
        try:
            cluster.up(agents=3)
            farm = Farm(Path(folder) / "farm", cluster.master_url)
            farm.serve()
            for count in (10, 100):
                found = []
                for _ in range(rounds):
                    found.append(apply(farm, count))
                    if count == 100 and len(found) == rounds:
                        break
                    clear(farm)
                wall, cpu = (statistics.median(values) for values in zip(*found))
                nomad_wall, nomad_cpu = NOMAD[count]
                print(
                    f"apply to all running, {count:3} jobs: {wall:5.2f} s ({wall / nomad_wall:.2f} of Nomad's {nomad_wall} s), "
                    f"{cpu:.3f} CPU-s a job on the whole machine ({cpu / nomad_cpu:.2f} of Nomad's {nomad_cpu})"
                )
            pids = executors(farm)
            pss = [_field(pid, "Pss:") for pid in pids]
            start_up = [_cpu_s(pid) for pid in pids]
            print(
                f"an idle executor, {len(pids)} on the machine: PSS {statistics.mean(pss) / 1024:.1f} MB, "
                f"start-up {statistics.median(start_up):.3f} CPU-s"
            )
            time.sleep(10.0)
            idle = [after - before for after, before in zip((_cpu_s(pid) for pid in pids), start_up)]
            print(f"its CPU in 10 idle seconds: {statistics.mean(idle) * 1e3:.1f} ms")
            # a killed program is at once back the first time only: each of these is another job's first
            names = sorted(farm.rows())[:30]
            latencies = sorted(restart_ms(farm, name) for name in names)
            print(
                f"restart in place, {len(names)} times: median {statistics.median(latencies):.1f} ms, worst {latencies[-1]:.1f} ms"
            )
            clear(farm)
            farm.end()
            own = resource.getrusage(resource.RUSAGE_CHILDREN)
            print(f"(the commands themselves: {own.ru_utime + own.ru_stime:.1f} CPU-s)")
        finally:
            cluster.down()


def _field(pid: int, name: str) -> int:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1])
    raise ValueError(f"{pid} has no {name}")


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * TICK_S


if __name__ == "__main__":
    main()
