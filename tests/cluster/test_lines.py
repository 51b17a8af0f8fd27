"""From a program's print to `daqsched logs`: the whole way, as the crew has it, also while parts of it die."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any, Iterator

import pytest

from farm import Farm
from waiting import alive, until

#: Prints numbered lines as fast as told, and writes down, after each, what it has printed.
COUNTER = """\
import os, sys, time
ledger = open(sys.argv[1], "a")
me = f"{os.getpid()}-{time.time_ns()}"
number = 0
while True:
    number += 1
    print("counter", me, number, flush=True)
    ledger.write(f"{me} {number}\\n")
    ledger.flush()
    time.sleep(0.02)
"""


@pytest.fixture
def farm(cluster: Any, tmp_path: Path) -> Iterator[Farm]:
    """A daemon with the cluster's Elasticsearch and an index of its own."""
    made = Farm(tmp_path / "farm", cluster.master_url, cluster.elasticsearch_url, f"lines-{time.time_ns()}")
    made.serve()
    yield made
    made.clear()


def logs(farm: Farm, *words: str) -> list[dict[str, Any]]:
    return farm.lines("-n", "100000", *words)


def test_a_line_is_found_soon_after_being_printed(farm: Farm) -> None:
    """With the host and the job that it came from; stderr and the executor's words, too. How soon: bench/follow.py."""
    text = """
program = (
    "import sys, time; time.sleep(3); print('needle', time.time(), flush=True);"
    " print('oops', file=sys.stderr); time.sleep(1000)"
)
jobs = [Job("printer", argv=["/usr/bin/env", "python3", "-c", program], hosts="hlt[01-02]")]
"""
    farm.apply(text)
    found = until(
        lambda: len(lines := logs(farm, "printer", "--grep", "needle")) == 2 and lines,
        "both lines are found",
    )
    seen = time.time()
    assert {line["host"] for line in found} == {"hlt01", "hlt02"} and {line["job"] for line in found} == {"printer"}
    late = [seen - float(line["message"].split()[1]) for line in found]
    assert max(late) < 10.0, f"found after {late} s, a start of the command included"
    assert any(line["message"] == "oops" for line in logs(farm, "printer@hlt01", "--stream", "stderr"))
    assert any("runs: pid" in line["message"] for line in logs(farm, "--stream", "executor", "--host", "hlt02"))


def test_following_shows_lines_as_they_come(farm: Farm) -> None:
    """Until it is interrupted."""
    import subprocess

    from farm import BIN

    farm.apply("""
program = "import time\\nn = 0\\nwhile True:\\n n += 1; print('tick', n, flush=True); time.sleep(0.1)"
jobs = [Job("ticker", argv=["/usr/bin/env", "python3", "-c", program], hosts="hlt01")]
""")
    command = [str(BIN / "daqsched"), "logs", "ticker", "-f", "-n", "1", "--stream", "stdout"]
    follower = subprocess.Popen(command, env=farm.env, stdout=subprocess.PIPE, text=True)
    assert follower.stdout is not None
    numbers = [int(follower.stdout.readline().split()[-1]) for _ in range(30)]
    follower.send_signal(signal.SIGINT)
    assert follower.wait(10) == 130
    follower.stdout.close()
    assert numbers == list(range(numbers[0], numbers[0] + 30))


def executor_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def test_no_line_is_lost_or_doubled_whatever_is_killed(farm: Farm, cluster: Any, tmp_path: Path) -> None:
    """Programs, executors, the forwarder, its executor, an agent and the daemon die; every line is there once.

    tests/faults/test_lines.py kills Elasticsearch, too.
    """
    script = tmp_path / "counter.py"
    script.write_text(COUNTER)
    farm.apply(f"""
jobs = [Job("count", argv=["/usr/bin/env", "python3", {str(script)!r}, "{tmp_path}/ledger.{{host}}"], hosts="hlt[01-02]")]
""")

    def printed() -> int:
        return sum(len(path.read_text().splitlines()) for path in tmp_path.glob("ledger.*"))

    def more() -> None:
        before = printed()
        until(lambda: printed() > before + 40, "more is printed")

    victims = ["count@hlt01", "daqsched-forward@hlt01", "count@hlt02", "daqsched-forward@hlt02"]
    for turn, name in enumerate(victims * 2):
        more()
        pid = farm.pid(name)
        os.kill(executor_of(pid) if turn >= len(victims) else pid, signal.SIGKILL)
        farm.pid(name, pid)
    cluster.kill("hlt01")
    more()
    cluster.start("hlt01")
    farm.kill()
    more()
    farm.serve()
    more()
    farm.run("stop", "count")
    until(lambda: all(row["state"] == "STOPPED" for row in farm.rows("count").values()), "all are stopped")
    assert not any(alive(row["pid"]) for row in farm.rows("count").values() if row.get("pid"))

    wanted = {line for path in tmp_path.glob("ledger.*") for line in path.read_text().splitlines()}

    def stored() -> Counter[str]:
        return Counter(line["message"].removeprefix("counter ") for line in logs(farm, "count", "--stream", "stdout"))

    until(lambda: wanted <= set(stored()), "every line is found", 60.0)
    found = stored()
    assert [line for line, times in found.items() if times > 1] == [], "lines are there twice"
    # a program may die between its print and its note: one line more for each that was killed, and no gap
    assert len(found) - len(wanted) <= len(victims) * 2 + 2
    for run in {line.split()[0] for line in found}:
        numbers = sorted(int(line.split()[1]) for line in found if line.split()[0] == run)
        assert numbers == list(range(1, len(numbers) + 1)), f"lines of {run} are missing"
