"""kill -9 at random, of programs, what they began, executors, wardens, and Mesos' own process above these.

No orphan, no double, every job back. The short form runs with all the tests; ``make faults`` is the long one: 1,000 kills
for each launcher. The seed is printed; ``--seed`` repeats which kinds are killed in which order (not the scheduling of the
machine).
"""

from __future__ import annotations

import os
import random
import signal
import statistics
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from daqcluster import Cluster
from farm import Farm
from faults.census import Instance, census
from waiting import alive

#: A word in the argv of each program, and of nothing that it begins.
PROGRAM = "100000"

#: Each on three hosts.
JOBS = f"""
logging = Logging(enabled=False)
quick = Restart(delay_s=0.1, cap_s=0.5, reset_s=0.2)
def job(name, text, **more):
    return Job(name, argv=["/bin/sh", "-c", text], hosts="hlt[01-03]", restart=quick, **more)
jobs = [
    job("well", "exec sleep {PROGRAM}"),
    job("daemons", "setsid -f sleep 200000; sleep 300000 & exec sleep {PROGRAM}"),
    job("deaf", "trap '' TERM; exec sleep {PROGRAM}", stop=Stop(grace_s=0.5)),
    job("brief", "exec timeout 0.3 sleep {PROGRAM}"),
]
"""
INSTANCES = [f"{job}@hlt0{n}" for job in ("well", "daemons", "deaf", "brief") for n in (1, 2, 3)]

#: What a task does not survive.
ENDS_THE_TASK = ("executor", "warden", "launcher")
#: So many are killed at once, each of another instance, before all are waited for.
BATCH = 4
#: The longest that an instance may need to be back.
BACK_S = 60.0


class Faults:
    """Kills, and looks until all is as it should be."""

    def __init__(self, folder: Path, farm: Farm, guarded: bool, seed: int) -> None:
        self.folder, self.farm, self.guarded = folder, farm, guarded
        self.random = random.Random(seed)
        self.kills: Counter[str] = Counter()
        self.back_s: dict[str, list[float]] = {}
        self.wrong: list[str] = []

    def look(self) -> dict[str, Instance]:
        """A census, with what must never be seen in it noted."""
        found = census(self.folder, PROGRAM)
        for one in found.values():
            # a look takes some milliseconds: only what is still so after it was so at one time
            if len(one.programs) > 1 and one.name.partition("@")[0] != "brief":
                living = [pid for pid in one.programs if alive(pid)]
                if len(living) > 1:
                    self.wrong.append(f"two copies of {one.name}: pids {living} of {one.tasks}")
        return found

    def why_not_back(self, name: str, found: dict[str, Instance]) -> str:
        """Empty where the instance is well: one executor, one program, and nothing of an older task."""
        one = found.get(name)
        if one is None or len(one.executors) != 1:
            return f"executors: {one.executors if one else {}}"
        (task_id,) = one.executors
        if len(one.executors[task_id]) != 1 or (self.guarded and len(one.wardens.get(task_id, ())) != 1):
            return f"{one}"
        if set(one.tasks) - {task_id} or set(one.wardens) - {task_id}:
            return f"something of an older task lives: {one}"
        if name.startswith("brief@"):
            return ""  # is between two runs for most of the time
        return "" if len(one.programs) == 1 else f"{len(one.programs)} programs: {one}"

    def victim(self, one: Instance) -> tuple[str, int]:
        """What kind is killed, and which of them."""
        program = set(one.programs)
        kinds = {
            "program": one.programs,
            "child": [pid for pids in one.tasks.values() for pid in pids if pid not in program],
            "executor": [pid for pids in one.executors.values() for pid in pids],
            "warden": [pid for pids in one.wardens.values() for pid in pids],
            "launcher": one.launchers,
        }
        kind = self.random.choice(sorted(kind for kind, pids in kinds.items() if pids))
        return kind, self.random.choice(sorted(kinds[kind]))

    def batch(self, most: int) -> None:
        """Kill a few, and wait until each is back; where its task has to end by that, with another task."""
        found = self.look()
        waiting: dict[str, tuple[str, int, set[str], float]] = {}
        for name in self.random.sample(INSTANCES, min(BATCH, most)):
            kind, pid = self.victim(found[name])
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:  # one that exits by itself was faster
                continue
            self.kills[kind] += 1
            over = set(found[name].executors) if kind in ENDS_THE_TASK else set()
            waiting[name] = (kind, pid, over, time.monotonic())
        begin = time.monotonic()
        while waiting:
            dead = {pid for _, pid, _, _ in waiting.values() if not alive(pid)}
            found = self.look()
            for name, (kind, pid, over, killed) in list(waiting.items()):
                if pid in dead and not self.why_not_back(name, found) and not over & set(found[name].executors):
                    self.back_s.setdefault(kind, []).append(time.monotonic() - killed)
                    del waiting[name]
            late = {name: (kind, self.why_not_back(name, found)) for name, (kind, _, _, _) in waiting.items()}
            assert time.monotonic() - begin < BACK_S, f"not back after {BACK_S:g} s: {late}\n{self.farm.rows()}"
            time.sleep(0.02)

    def settle(self) -> None:
        """Wait until all are back, and the daemon says the same."""
        end = time.monotonic() + BACK_S
        while True:
            found = self.look()
            late = {name: why for name in INSTANCES if (why := self.why_not_back(name, found))}
            states = {} if late else self.farm.states()
            late.update((name, f"is {states.get(name)}") for name in INSTANCES if not _as_it_should(name, states))
            if not late:
                return
            assert time.monotonic() < end, f"the farm does not settle: {late}\n{self.farm.run('status').stdout}"
            time.sleep(0.1)

    def figures(self, took_s: float) -> str:
        """For people and for docs/reliability.md."""
        total = sum(self.kills.values())
        lines = [f"{total} kills in {took_s:.0f} s, {total / took_s:.1f} per second; orphans or doubles: {self.wrong}"]
        for kind, times in sorted(self.back_s.items()):
            middle, most = statistics.median(times), max(times)
            lines.append(
                f"  {kind:9} {self.kills[kind]:4} killed, back after {middle:.2f} s (median), {most:.2f} s (most)"
            )
        return "\n".join(lines)


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["posix", "linux"])
def test_random_kills_leave_no_orphan_and_no_double_and_every_job_comes_back(
    launcher: str, tmp_path: Path, pytestconfig: pytest.Config, capsys: Any
) -> None:
    """As many as --kills says, a few at a time, on a cluster of three agents with twelve programs."""
    kills = pytestconfig.getoption("--kills")
    seed = pytestconfig.getoption("--seed") or random.SystemRandom().randrange(10**6)
    cluster = Cluster(tmp_path / "c", lambda sentence: None)
    farm = Farm(tmp_path / "farm", "")
    try:
        cluster.up(agents=3, launcher=launcher)
        farm.master = cluster.master_url
        # the scheduler's own back-off would make this take days: here it forgets a failure at once
        farm.patch("import daqsched.engine.backoff; daqsched.engine.backoff.RESET_S = 0.0")
        farm.serve()
        farm.apply(JOBS, "--timeout", "3", check=False)
        faults = Faults(tmp_path / "c", farm, launcher == "posix", seed)
        faults.settle()
        begin = time.monotonic()
        while sum(faults.kills.values()) < kills:
            faults.batch(kills - sum(faults.kills.values()))
            assert not faults.wrong, f"seed {seed}"
        faults.settle()
        with capsys.disabled():
            print(f"\n[faults] {launcher} launcher, seed {seed}: {faults.figures(time.monotonic() - begin)}")
        assert not faults.wrong
        farm.clear()
        assert not [one for one in faults.look().values() if one.tasks], "something outlived its job"
    finally:
        if farm.process is not None and farm.process.poll() is None:
            farm.kill()
        cluster.down()


def _as_it_should(name: str, states: dict[str, str]) -> bool:
    return name.startswith("brief@") or states.get(name) == "RUNNING"
