"""kill -9 of forwarders, executors, programs and Elasticsearch at random, and changes of the index: each line once, in order.

The short form runs with all the tests; ``make faults`` makes a hundred kills. The seed is printed; ``--seed`` repeats which
kinds are hit in which order.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from daqcluster import Cluster
from farm import Farm
from forwarding import Index
from waiting import parent_of, until

#: Prints numbered lines, in bursts, and writes down after each burst how far it is.
COUNTER = """\
import os, random, sys, time
ledger = open(sys.argv[1], "a")
me = f"{os.getpid()}-{time.time_ns()}"
number = 0
while True:
    burst = random.choice((1, 1, 20, 400))
    sys.stdout.write("".join(f"counter {me} {number + at + 1} {'x' * 100}\\n" for at in range(burst)))
    sys.stdout.flush()
    number += burst
    ledger.write(f"{me} {number}\\n")
    ledger.flush()
    time.sleep(0.2)
"""

HOSTS = ("hlt01", "hlt02")
#: Each change of it begins other indices.
PERIODS = ("day", "minute", "hour")


def job_file(script: Path, folder: Path, period: str) -> str:
    """Two programs that print."""
    return f"""
logging = Logging(period={period!r}, keep=1.0)
jobs = [
    Job("count", argv=["/usr/bin/env", "python3", {str(script)!r}, "{folder}/ledger.{{host}}"], hosts="hlt[01-02]",
        restart=Restart(delay_s=0.1, cap_s=0.5, reset_s=0.2)),
]
"""


@pytest.mark.slow
def test_every_line_is_stored_once_whatever_is_killed_and_whichever_index_it_goes_to(
    tmp_path: Path, pytestconfig: pytest.Config, capsys: Any
) -> None:
    """A tenth of the kills of the other test, with a server's restart and a change of the index after some of them."""
    kills = max(1, pytestconfig.getoption("--kills") // 10)
    seed = pytestconfig.getoption("--seed") or random.SystemRandom().randrange(10**6)
    chance = random.Random(seed)
    script = tmp_path / "counter.py"
    script.write_text(COUNTER)
    cluster = Cluster(tmp_path / "c", lambda sentence: None)
    farm = Farm(tmp_path / "farm", "", "", f"faults-{seed}")
    counts: Counter[str] = Counter()
    began = time.monotonic()
    try:
        cluster.up(agents=2, launcher="posix", elasticsearch_=True)
        farm.master, farm.elasticsearch = cluster.master_url, cluster.elasticsearch_url
        farm.patch("import daqsched.engine.backoff; daqsched.engine.backoff.RESET_S = 0.0")
        farm.serve()
        farm.apply(job_file(script, tmp_path, "day"))
        for turn in range(kills):
            name = f"{chance.choice(('count', 'daqsched-forward'))}@{chance.choice(HOSTS)}"
            pid = farm.pid(name, timeout_s=60.0)
            whom = chance.choice(("program", "executor"))
            try:
                os.kill(pid if whom == "program" else parent_of(pid), signal.SIGKILL)
            except (ProcessLookupError, FileNotFoundError):
                continue
            counts[f"{name.partition('@')[0]}'s {whom}"] += 1
            if turn % 5 == 2:
                cluster.kill("elasticsearch")
                counts["elasticsearch"] += 1
                time.sleep(chance.random())  # how long it is away is a part of the chance
                cluster.start("elasticsearch")
            if turn % 5 == 4:
                farm.apply(job_file(script, tmp_path, PERIODS[counts["index"] % 3 - 2]))
                counts["index"] += 1
            farm.pid(name, pid, 60.0)
        farm.run("stop", "count")
        until(lambda: all(row["state"] == "STOPPED" for row in farm.rows("count").values()), "all are stopped")
        check(farm, cluster.elasticsearch_url, tmp_path)
        with capsys.disabled():
            took = time.monotonic() - began
            print(
                f"\n[faults] lines, seed {seed}: {dict(counts)} in {took:.0f} s, {printed(tmp_path)} lines: none lost or doubled"
            )
        farm.clear()
    finally:
        if farm.process is not None and farm.process.poll() is None:
            farm.kill()
        cluster.down()


def printed(folder: Path) -> int:
    """How many lines were printed, by the programs' own word."""
    last: dict[str, int] = {}
    for path in folder.glob("ledger.*"):
        for row in path.read_text().splitlines():
            me, _, number = row.partition(" ")
            last[me] = max(last.get(me, 0), int(number))
    return sum(last.values())


def check(farm: Farm, url: str, folder: Path) -> None:
    """Each program's lines are there from 1 to at least its last word, once, and their times rise with their numbers."""
    index = Index(url, farm.index)
    wanted = printed(folder)
    until(lambda: index.count() >= wanted, f"{wanted} lines are stored", 120.0)
    quiet = 0
    while quiet < 5:  # nothing more comes: what is stored twice would
        before = index.count()
        time.sleep(0.5)
        quiet = quiet + 1 if index.count() == before else 0
    by_program: dict[str, list[tuple[str, int]]] = {}
    for hit in index.documents():
        words = hit["_source"]["message"].split(" ")
        if words[0] == "counter" and hit["_source"]["service"]["name"] == "count":
            by_program.setdefault(words[1], []).append((hit["_source"]["@timestamp"], int(words[2])))
    last: dict[str, int] = {}
    for path in folder.glob("ledger.*"):
        for row in path.read_text().splitlines():
            me, _, number = row.partition(" ")
            last[me] = int(number)
    assert set(last) <= set(by_program), "a program has no line"
    for me, lines in by_program.items():
        numbers = sorted(number for _, number in lines)
        assert numbers == list(range(1, len(numbers) + 1)), f"{me}: a line is missing or there twice"
        assert len(numbers) >= last.get(me, 0), f"{me}: the last lines are missing"
        assert [number for _, number in sorted(lines)] == numbers, f"{me}: times do not rise"
