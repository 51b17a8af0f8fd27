"""`Logging(...)` on real agents: who gets a forwarder, what it is told, and when it goes."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from daqcluster import Cluster
from farm import Farm, until

FORWARDER = "daqsched-forward"

#: Says goodbye a moment after it was told to end.
POLITE = """
program = '''
import signal, time
def end(number, frame):
    time.sleep(0.5)
    print("goodbye", flush=True)
    raise SystemExit(0)
signal.signal(signal.SIGTERM, end)
print("hello", flush=True)
time.sleep(1000)
'''
polite = Job("polite", argv=["/usr/bin/env", "python3", "-c", program], hosts="hlt02")
"""


@pytest.fixture
def farm(cluster: Cluster, tmp_path: Path) -> Iterator[Farm]:
    """A daemon with the cluster's Elasticsearch and an index of its own."""
    made = Farm(tmp_path / "farm", cluster.master_url, cluster.elasticsearch_url, f"logging-{time.time_ns()}")
    made.serve()
    yield made
    made.clear()


def logs(farm: Farm, *words: str) -> list[dict[str, Any]]:
    done = farm.run("logs", "--json", "-n", "100000", *words)
    return [json.loads(line) for line in done.stdout.splitlines()]


def messages(farm: Farm, *words: str) -> list[str]:
    return [line["message"] for line in logs(farm, *words)]


def test_the_last_words_of_a_host_s_last_job_are_stored_before_its_forwarder_goes(farm: Farm, cluster: Cluster) -> None:
    """However long Elasticsearch is away: then it stays, and goes when all is stored."""
    farm.apply(f"{POLITE}\njobs = [polite]")
    until(lambda: messages(farm, "polite", "--stream", "stdout") == ["hello"], "its first line is stored")
    cluster.kill("elasticsearch")
    try:
        farm.run("apply", str(farm.jobs("jobs = []")), "--allow-empty", "--no-wait")
        until(lambda: set(farm.states()) == {f"{FORWARDER}@hlt02"}, "the job has gone, and its forwarder has not")
        last = until(lambda: farm.rows().get(f"{FORWARDER}@hlt02", {}).get("pid", 0), "a forwarder works")
        assert b'until_empty":true' in Path(f"/proc/{last}/environ").read_bytes()
    finally:
        cluster.start("elasticsearch")
    until(lambda: not farm.rows(), "the forwarder has gone, too", 60.0)
    assert messages(farm, "polite", "--stream", "stdout") == ["hello", "goodbye"]


def test_a_host_that_only_an_input_names_has_a_forwarder(farm: Farm) -> None:
    """It is told of its own inputs; a change of these restarts it, and nothing else."""
    mine, theirs = farm.folder / "service.log", farm.folder / "other.log"
    mine.write_text("before\n")
    text = f"""
jobs = [Job("sleeper", "/bin/sleep 100000", hosts="hlt01")]
logging = Logging(files=[
    LogFiles("service", {str(mine)!r}, from_start=True, labels={{"place": "hall"}}, hosts="hlt[03]"),
    LogFiles("other", {str(theirs)!r}, hosts=["hlt01"]),
])
"""
    farm.apply(text)
    assert set(farm.states()) == {"sleeper@hlt01", f"{FORWARDER}@hlt01", f"{FORWARDER}@hlt03"}
    pids = {name: farm.pid(name) for name in farm.rows()}
    told = Path(f"/proc/{pids[f'{FORWARDER}@hlt03']}/environ").read_bytes()
    assert str(mine).encode() in told and str(theirs).encode() not in told
    with mine.open("a") as file:
        file.write("after\n")
    until(lambda: messages(farm, "service") == ["before", "after"], "both lines are stored")
    assert {line["host"] for line in logs(farm, "service")} == {"hlt03"}
    farm.apply(text.replace("hall", "hut"))
    now = {name: farm.pid(name) for name in farm.rows()}
    assert {name for name in pids if pids[name] != now[name]} == {f"{FORWARDER}@hlt03"}
    until(lambda: FORWARDER in farm.states() or set(farm.states().values()) == {"RUNNING"}, "all runs again")
    with mine.open("a") as file:
        file.write("later\n")
    until(lambda: messages(farm, "service") == ["before", "after", "later"], "it went on where it was")


def test_a_mistake_in_logging_is_shown_with_its_line_and_nothing_is_applied(farm: Farm) -> None:
    """By the command, and by the daemon for who speaks to it without one."""
    text = 'jobs = []\nlogging = Logging(\n    when_full="newest",\n    syslog=Syslog(udp=70000),\n)'
    done = farm.run("apply", str(farm.jobs(text)), check=False)
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        f"Error: {farm.folder / 'jobs.py'}:4: logging.when_full: 'newest' is none of oldest, debug",
        f"{farm.folder / 'jobs.py'}:5: logging.syslog.udp: must be from 1 to 65535, or 0 for none, not 70000",
    ]
