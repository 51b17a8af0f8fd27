"""A crew's view in figures: from apply to all running, what an idle executor costs, restart in place; beside a floor.

The floor is of the same run: the same cluster, daemon and command, and an executor in C that registers, forks and reports
(`floor_executor.c`). Real Mesos (`daqcluster`), one agent; ours with its forwarder and Elasticsearch up, the floor without.
CPU is that of the agent, the master, the daemon, the commands, and all that runs below them, by the kernel's count: the machine may
be busy with other things, so a ratio says more than a time. Nothing is judged: what was wanted is printed beside it.

    python bench/crew.py [--rounds 3] [--many 300] [--agents 50]
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import orjson

HERE = Path(__file__).resolve().parent
for place in (HERE.parent, HERE.parent / "tests"):
    sys.path.insert(0, str(place))

from daqcluster import Cluster  # noqa: E402
from farm import Farm  # noqa: E402
from release.folder import one_file, place_of, start  # noqa: E402
from release.source import Source  # noqa: E402

TICK_S = 1.0 / os.sysconf("SC_CLK_TCK")
SLEEP_S = "100000"
JOBS = """
jobs = [Job(f"idle{{n:04d}}", "/bin/sleep {sleep}", hosts={hosts!r}, resources=Resources(cpus=0.01, mem=8))
        for n in range({count})]
jobs += [Job("warm", "/bin/sleep 99999", hosts={hosts!r}, resources=Resources(cpus=0.01, mem=8))]
"""


class Started(NamedTuple):
    """One apply until all runs."""

    #: Seconds from the command's start to the first program's, to the last one's, and to the command's end.
    first: float
    last: float
    told: float
    #: CPU seconds for each job, and tasks that Mesos was given for each.
    cpu: float
    tasks: float
    #: Where that CPU went, in milliseconds a job.
    parts: dict[str, float]


def installed(folder: Path) -> Path:
    """The executor as a release has it for cvmfs: a folder that runs where it lies, compiled, without `site`."""
    lib, others = folder / "lib", folder / "lib" / place_of(f"{sys.version_info[0]}.{sys.version_info[1]}")
    others.mkdir(parents=True)
    here = Path(orjson.__file__).parent.parent
    for name in ("addict", "http_parser", "httptools", "orjson", "pymesos"):
        shutil.copytree(here / name, others / name)
    shutil.copy(here / "six.py", others)
    shutil.copytree(HERE.parent / "executor" / "daqsched_executor", lib / "daqsched_executor")
    command = folder / "bin" / "daqsched-executor"
    start(HERE.parent, "daqsched-executor", command)
    python = Path(sys.executable).resolve()
    command.write_text(command.read_text().replace("/usr/bin/python3", str(python)))
    command.chmod(0o755)
    how = ["-q", "-f", "--invalidation-mode", "unchecked-hash"]
    subprocess.run([python, "-m", "compileall", *how, lib], check=True)
    one_file(python, Source(HERE.parent, 0, ""), folder, f"{sys.version_info[0]}.{sys.version_info[1]}")
    return command


def _stat(pid: str) -> list[str]:
    """The fields of /proc/PID/stat behind the name; none: it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def below(roots: Iterable[int]) -> dict[int, list[str]]:
    """These processes and all below them."""
    stats = {int(pid): fields for pid in os.listdir("/proc") if pid.isdigit() and (fields := _stat(pid))}
    found: dict[int, list[str]] = {}
    todo = [pid for pid in roots if pid in stats]
    children: dict[int, list[int]] = {}
    for pid, fields in stats.items():
        children.setdefault(int(fields[1]), []).append(pid)
    while todo:
        pid = todo.pop()
        found[pid] = stats[pid]
        todo += children.get(pid, ())
    return found


class Bench:
    """A cluster with a daemon, and what both have used."""

    def __init__(self, cluster: Cluster, folder: Path, *options: str, elasticsearch: str = "") -> None:
        self.cluster = cluster
        self.farm = Farm(folder, cluster.master_url, elasticsearch)
        self.farm.fresh = True
        self.farm.serve(*options)

    def roots(self) -> list[int]:
        """Of what counts; Elasticsearch does not."""
        assert self.farm.process is not None
        members = [one.pid for name, one in self.cluster.members.items() if name != "elasticsearch"]
        return [*members, self.farm.process.pid]

    def used_s(self) -> dict[str, float]:
        """CPU seconds so far of each part, of those that have ended, too."""
        own = resource.getrusage(resource.RUSAGE_CHILDREN)
        found = {"commands": own.ru_utime + own.ru_stime}
        assert self.farm.process is not None
        everything = below(self.roots())
        for pid, fields in everything.items():
            part = "daemon" if pid == self.farm.process.pid else _part(pid, everything)
            for name, ticks in ((part, fields[11:13]), (f"ended below {part}", fields[13:15])):
                found[name] = found.get(name, 0.0) + sum(map(int, ticks)) * TICK_S
        return found

    def tasks(self) -> int:
        """So many were given to the agents so far: each has its folder."""
        return sum(1 for _ in self.cluster.folder.glob("work/*/slaves/*/frameworks/*/executors/*"))

    def programs(self) -> list[int]:
        """The pids of those that run."""
        found = []
        for pid in below(self.roots()):
            try:
                if Path(f"/proc/{pid}/cmdline").read_bytes() == f"/bin/sleep\0{SLEEP_S}\0".encode():
                    found.append(pid)
            except OSError:
                continue
        return found

    def warm_up(self, hosts: str) -> None:
        """One job on each host, which stays: what starts with the first is up then, the forwarder."""
        self.farm.run("apply", str(self.farm.jobs(JOBS.format(count=0, hosts=hosts, sleep=SLEEP_S))), "--settle", "2")

    def start(self, count: int, hosts: str) -> Started:
        """Apply so many more."""
        jobs = str(self.farm.jobs(JOBS.format(count=count, hosts=hosts, sleep=SLEEP_S)))
        every = count * len(self.cluster_hosts(hosts))
        tasks, used, began = self.tasks(), self.used_s(), time.time()
        self.farm.run("apply", jobs, "--settle", "0", timeout_s=900.0)
        told = time.time() - began
        pids = self.programs()
        assert len(pids) == every, f"{len(pids)} of {every} run"
        boot = time.time() - float(Path("/proc/uptime").read_text().split()[0])
        starts = sorted(boot + int(_stat(str(pid))[19]) * TICK_S - began for pid in pids)
        went = {name: (value - used.get(name, 0.0)) / every for name, value in self.used_s().items()}
        parts = {name: value * 1e3 for name, value in sorted(went.items(), key=lambda one: -one[1]) if value > 0.5e-3}
        return Started(starts[0], starts[-1], told, sum(went.values()), (self.tasks() - tasks) / every, parts)

    def cluster_hosts(self, hosts: str) -> list[str]:
        """The agents that are meant."""
        return [name for name in self.cluster.members if name.startswith("hlt")] if "[" in hosts else [hosts]

    def clear(self) -> None:
        """No job left."""
        self.farm.run("apply", str(self.farm.jobs("jobs = []")), "--allow-empty", "--yes", timeout_s=900.0)
        while self.programs():
            time.sleep(0.1)

    def memory_mb(self) -> float:
        """What a job costs besides its program: its executor, what that began, and Mesos' own process above it."""
        programs = set(self.programs())
        agents = {one.pid for name, one in self.cluster.members.items() if name.startswith("hlt")}
        everything = below(agents)
        jobs = [pid for pid in everything if pid not in agents and pid not in programs]
        ours = [pid for pid in jobs if not _forwards(pid, everything)]
        return sum(_pss_kb(pid) for pid in ours) / 1024 / len(programs)

    def end(self) -> None:
        """Take it down."""
        self.clear()
        self.farm.end()


def _part(pid: int, everything: dict[int, list[str]]) -> str:
    """What a process belongs to: a member of Mesos by its program's name, an executor, or the forwarder's."""
    try:
        name = Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return "gone"
    if name.startswith("mesos-"):
        return name
    return "forwarder" if _forwards(pid, everything) else "executors"


def _forwards(pid: int, everything: dict[int, list[str]]) -> bool:
    """Whether it is of the forwarder's task."""
    while pid in everything:
        try:
            if b"forward" in Path(f"/proc/{pid}/environ").read_bytes().split(b"MESOS_EXECUTOR_ID=")[-1].split(b"\0")[0]:
                return True
        except OSError:
            return True
        pid = int(everything[pid][1])
    return False


def _pss_kb(pid: int) -> int:
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1])
    except OSError:
        pass
    return 0


def restart_ms(farm: Farm, name: str) -> float:
    """Milliseconds from kill -9 of a program to its successor, seen from outside."""
    old = farm.rows(name)[name]["pid"]
    (executor,) = [int(_stat(str(old))[1])]
    children = Path(f"/proc/{executor}/task/{executor}/children")
    began = time.monotonic()
    os.kill(old, signal.SIGKILL)
    while True:
        for pid in children.read_text().split():
            try:
                if int(pid) != old and os.readlink(f"/proc/{pid}/exe").endswith(("sleep", "coreutils")):
                    return (time.monotonic() - began) * 1e3
            except OSError:
                continue


def middle(found: list[Started]) -> Started:
    """The median of each figure."""
    first, last, told, cpu, tasks = (statistics.median(values) for values in zip(*(one[:-1] for one in found)))
    return Started(first, last, told, cpu, tasks, found[-1].parts)


def told(what: str, one: Started) -> None:
    """A line."""
    print(
        f"{what}: first {one.first:.2f} s, last {one.last:.2f} s, told after {one.told:.2f} s, {one.cpu:.4f} CPU-s a job, "
        f"{one.tasks:.2f} tasks a job; load {os.getloadavg()[0]:.0f}\n"
        f"  CPU, ms a job: {', '.join(f'{name} {ms:.1f}' for name, ms in one.parts.items())}",
        flush=True,
    )


def beside_the_floor(folder: Path, rounds: int, many: int) -> None:
    """One agent."""
    floor = folder / "floor"
    subprocess.run(["cc", "-O2", "-o", floor, HERE / "floor_executor.c"], check=True)
    ours_is = str(installed(folder / "installed"))
    cluster = Cluster(folder / "cluster", print)
    try:
        cluster.up(agents=1, elasticsearch_=True)
        found: dict[str, list[Started]] = {"ours": [], "floor": []}
        for turn in range(rounds):
            for who, options, lines in (
                ("floor", ("--executor", str(floor)), ""),
                ("ours", ("--executor", ours_is), cluster.elasticsearch_url),
            ):
                bench = Bench(cluster, folder / f"{who}{turn}", *options, elasticsearch=lines)
                bench.warm_up("hlt01")
                found[who].append(bench.start(100, "hlt01"))
                told(f"{who}, 100 jobs", found[who][-1])
                if who == "ours" and turn == rounds - 1:
                    print(f"memory a job, with Mesos' own process: {bench.memory_mb():.1f} MB (wanted 11)")
                    names = sorted(bench.farm.rows("idle*"))[:30]
                    took = sorted(restart_ms(bench.farm, name) for name in names)
                    print(
                        f"restart in place, {len(names)} times: median {statistics.median(took):.1f} ms, {took[-1]:.1f} most"
                    )
                    if many:
                        bench.clear()
                        bench.warm_up("hlt01")
                        more = bench.start(many, "hlt01")
                        told(f"ours, {many} jobs", more)
                        print(
                            f"  of 100's: {more.last / middle(found['ours']).last:.2f} times as long (wanted 3.2 for 300)"
                        )
                bench.end()
        ours, least = middle(found["ours"]), middle(found["floor"])
        print(f"of the floor's, medians of {rounds}: CPU a job {ours.cpu / least.cpu:.2f} (wanted 1.6), ", end="")
        print(f"first {ours.first / least.first:.2f} (1.2), last {ours.last / least.last:.2f} (1.5)")
    finally:
        cluster.down()


def many_agents(folder: Path, agents: int) -> None:
    """Agents that pretend to have cores of their own: 2 and 20 jobs on each."""
    cluster = Cluster(folder / "many", print)
    try:
        cluster.up(agents=agents)
        bench = Bench(cluster, folder / "farm")
        bench.warm_up(f"hlt[01-{agents:02d}]")
        few = bench.start(2, f"hlt[01-{agents:02d}]")
        told(f"{agents} agents, 2 jobs on each", few)
        bench.clear()
        bench.warm_up(f"hlt[01-{agents:02d}]")
        more = bench.start(20, f"hlt[01-{agents:02d}]")
        told(f"{agents} agents, 20 jobs on each", more)
        print(
            f"  ten times as many: {more.last / few.last:.1f} times as long, CPU a job {more.cpu / few.cpu:.2f} times"
        )
        bench.end()
    finally:
        cluster.down()


def main() -> None:
    """Measure and print."""
    words = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    words.add_argument("--rounds", type=int, default=3)
    words.add_argument("--many", type=int, default=300, help="jobs on one host at last; 0: none")
    words.add_argument("--agents", type=int, default=0, help="then so many agents; 0: none")
    options = words.parse_args()
    with tempfile.TemporaryDirectory() as name:
        if options.rounds:
            beside_the_floor(Path(name), options.rounds, options.many)
        if options.agents:
            many_agents(Path(name), options.agents)


if __name__ == "__main__":
    main()
