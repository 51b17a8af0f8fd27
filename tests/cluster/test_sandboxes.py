"""`daqsched logs` without Elasticsearch: out of the sandboxes, through real agents."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from daqcluster import Cluster
from farm import BIN, Farm
from waiting import until

#: Prints numbered lines to stdout and to stderr, and says when.
TICKER = """
program = '''
import sys, time
n = 0
while True:
    n += 1
    print("tick", n, time.time(), flush=True)
    print("ERROR tock", n, file=sys.stderr, flush=True)
    time.sleep(0.1)
'''
"""


@pytest.fixture(scope="module")
def farm(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Farm]:
    """A daemon that knows of no Elasticsearch."""
    made = Farm(tmp_path_factory.mktemp("farm"), cluster.master_url)
    made.serve()
    yield made
    made.clear()


def logs(farm: Farm, *words: str) -> list[dict[str, Any]]:
    return farm.lines(*words)


class Follower:
    """`daqsched logs -f`, line by line."""

    def __init__(self, farm: Farm, *words: str) -> None:
        command = [str(BIN / "daqsched"), "logs", "-f", "--json", *words]
        self._errors = (farm.folder / "follow.stderr").open("w+")
        self.process = subprocess.Popen(
            command, env=farm.env, stdout=subprocess.PIPE, stderr=self._errors, text=True, bufsize=1
        )

    def line(self) -> dict[str, Any]:
        """The next one."""
        assert self.process.stdout is not None
        found: dict[str, Any] = json.loads(self.process.stdout.readline())
        return found

    def errors(self) -> str:
        """What it warned of so far."""
        return Path(self._errors.name).read_text()

    def close(self) -> None:
        """Ctrl-C."""
        self.process.kill()
        self.process.communicate()
        self._errors.close()


def test_the_last_lines_of_several_jobs_and_hosts(farm: Farm) -> None:
    """Of each job, host and stream; by words, by level, by host; no Elasticsearch is asked."""
    farm.apply(
        TICKER + 'jobs = [Job("tick", argv=["/usr/bin/env", "python3", "-c", program], hosts="hlt[01-02]"),'
        ' Job("words", argv=["/bin/sh", "-c", "echo link lost; echo link found; printf half; sleep 1000"], hosts="hlt01")]'
    )
    until(lambda: len(logs(farm, "tick", "-n", "5", "--stream", "stdout")) == 10, "both have printed five lines")
    found = logs(farm, "tick", "words", "-n", "5")
    each = {(line["job"], line["host"], line["stream"]) for line in found}
    assert each >= {("tick", "hlt01", "stdout"), ("tick", "hlt02", "stderr"), ("words", "hlt01", "executor")}
    numbers = [
        int(line["message"].split()[1]) for line in found if (line["host"], line["stream"]) == ("hlt02", "stdout")
    ]
    assert len(numbers) == 5 and numbers == list(range(numbers[0], numbers[0] + 5))
    assert {line["host"] for line in logs(farm, "tick", "--host", "hlt0[2-3]")} == {"hlt02"}
    assert {line["host"] for line in logs(farm, "tick@hlt01")} == {"hlt01"}
    # a line without its end is not shown while its program runs
    assert [line["message"] for line in logs(farm, "words", "--stream", "stdout")] == ["link lost", "link found"]
    assert [line["message"] for line in logs(farm, "words", "--grep", "link -lost")] == ["link found"]
    assert {line["stream"] for line in logs(farm, "tick", "--level", "error")} == {"stderr"}
    text = farm.run("logs", "words", "--stream", "stdout").stdout
    assert text.splitlines()[0].split() == ["hlt01", "words", "|", "link", "lost"]
    done = farm.run("logs", "words", "--stream", "stdout", "--since", "1h")
    assert "lines without a time of their own are shown" in done.stderr and "link found" in done.stdout
    executor = logs(farm, "words", "--stream", "executor")
    assert all(line["time"] for line in executor) and any("runs: pid" in line["message"] for line in executor)
    assert logs(farm, "words", "--stream", "executor", "--until", "2020-01-01 00:00:00") == []


def test_what_a_task_printed_is_there_after_its_end(farm: Farm) -> None:
    """Also the last words of one that went before it, in order."""
    text = """
command = ["/bin/sh", "-c", "echo run $(date +%s%N); printf end"]
jobs = [Job("once", argv=command, hosts="hlt01", restart=Restart(policy="never"))]
"""
    farm.apply(text, check=False)
    until(lambda: len(logs(farm, "once", "--stream", "stdout")) == 2, "its lines are there")
    assert [line["message"] for line in logs(farm, "once", "--stream", "stdout")][1] == "end"
    farm.run("start", "once")
    until(lambda: len(logs(farm, "once", "--stream", "stdout")) == 4, "those of the second run, too")
    first, _, second, _ = (line["message"] for line in logs(farm, "once", "--stream", "stdout"))
    assert int(first.split()[1]) < int(second.split()[1])
    farm.run("apply", str(farm.jobs("jobs = []")), "--allow-empty")
    until(lambda: not farm.rows(), "it is gone from the farm")
    assert len(logs(farm, "once", "--stream", "stdout")) == 4


def test_following_shows_a_line_within_a_second_also_of_a_job_that_starts_later(farm: Farm) -> None:
    """In order, each once."""
    tick = TICKER + 'jobs = [Job("tick", argv=["/usr/bin/env", "python3", "-c", program], hosts="hlt01")]'
    farm.apply(tick)
    follower = Follower(farm, "tick", "late", "-n", "1", "--stream", "stdout")
    try:
        late, numbers = [], []
        for _ in range(15):
            line = follower.line()
            late.append(time.time() - float(line["message"].split()[2]))
            numbers.append(int(line["message"].split()[1]))
        assert numbers == list(range(numbers[0], numbers[0] + 15))
        assert max(late[1:]) < 1.0, late
        late_one = 'Job("late", argv=["/bin/sh", "-c", "echo here I am; exec sleep 1000"], hosts="hlt02")'
        farm.apply(f"{tick}\njobs.append({late_one})")
        until(lambda: follower.line()["job"] == "late", "the new job's line is shown")
    finally:
        follower.close()


def test_holes_are_left_out(farm: Farm) -> None:
    """The forwarder gives back to the disk what is stored."""
    text = """
program = '''
import os, time
out = os.open("/proc/self/fd/1", os.O_WRONLY)
for n in range(20000):
    print("line", n)
print("hidden", flush=True)
import ctypes
size = os.fstat(1).st_size
libc = ctypes.CDLL(None, use_errno=True)
done = libc.fallocate(out, 3, ctypes.c_int64(0), ctypes.c_int64((size // 4096 - 1) * 4096))
print("punched", done, flush=True)
time.sleep(1000)
'''
jobs = [Job("holes", argv=["/usr/bin/env", "python3", "-c", program], hosts="hlt03", output="file")]
"""
    farm.apply(text)
    until(lambda: logs(farm, "holes", "--stream", "stdout", "--grep", "punched"), "the hole is there")
    found = [line["message"] for line in logs(farm, "holes", "--stream", "stdout", "-n", "100000")]
    assert found[-1] == "punched 0" and 2 <= len(found) < 1000
    assert all(line.startswith(("line 1", "hidden", "punched")) for line in found)


def test_an_agent_that_is_away_is_one_sentence_and_others_are_read(farm: Farm, cluster: Cluster) -> None:
    """Nothing is shown twice when it is back."""
    tick = TICKER + 'jobs = [Job("tick", argv=["/usr/bin/env", "python3", "-c", program], hosts="hlt[01-02]")]'
    farm.apply(tick)
    follower = Follower(farm, "tick", "-n", "1", "--stream", "stdout")
    try:
        follower.line()
        cluster.kill("hlt02")
        until(lambda: "hlt02: the agent of hlt02 does not answer" in follower.errors(), "the crew is told")
        done = farm.run("logs", "tick", "-n", "1", "--stream", "stdout", "--json")
        assert [json.loads(line)["host"] for line in done.stdout.splitlines()] == ["hlt01"]
        assert done.stderr.count("hlt02: the agent of hlt02 does not answer") == 1
        cluster.start("hlt02")
        numbers: list[int] = []

        def back() -> bool:
            line = follower.line()
            if line["host"] == "hlt02":
                numbers.append(int(line["message"].split()[1]))
            return len(numbers) >= 60

        until(back, "the other's lines come again", 60.0)
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    finally:
        follower.close()


def test_an_agent_that_wants_credentials_gets_them(farm: Farm, cluster: Cluster, tmp_path: Path) -> None:
    """Those that the daemon was told, and a sentence says so where it was not."""
    pairs = {"principal": "daq", "secret": "s3cret"}
    theirs, ours = tmp_path / "theirs.json", tmp_path / "ours.json"
    for path, content in ((theirs, {"credentials": [pairs]}), (ours, pairs)):
        path.write_text(json.dumps(content))
        path.chmod(0o600)
    farm.apply('jobs = [Job("words", argv=["/bin/sh", "-c", "echo hello; sleep 1000"], hosts="hlt03")]')
    pid = cluster.members["hlt03"].pid
    assert pid
    proc = Path(f"/proc/{pid}")
    command = proc.joinpath("cmdline").read_text().split("\0")[:-1]
    env = dict(one.split("=", 1) for one in proc.joinpath("environ").read_text().split("\0") if "=" in one)
    env.update(MESOS_AUTHENTICATE_HTTP_READONLY="true", MESOS_HTTP_CREDENTIALS=f"file://{theirs}")
    env["MESOS_HTTP_AUTHENTICATORS"] = "basic,jwt"
    program, folder = os.readlink(proc / "exe"), os.readlink(proc / "cwd")
    cluster.kill("hlt03")
    with (tmp_path / "agent.log").open("w") as log:
        agent = subprocess.Popen(command, executable=program, cwd=folder, env=env, stdout=log, stderr=log)
    try:
        until(
            lambda: "wants credentials: daqsched serve" in farm.run("logs", "words").stderr, "it asks for credentials"
        )
        assert farm.end() == 0
        farm.serve("--agent-credentials", str(ours))
        shown = until(lambda: logs(farm, "words", "--stream", "stdout"), "it shows its sandboxes")
        assert [line["message"] for line in shown] == ["hello"]
        assert "s3cret" not in farm.log()
    finally:
        agent.kill()
        agent.wait()
        cluster.start("hlt03")


def test_a_moment_a_line_and_numbers_are_found_without_elasticsearch(farm: Farm) -> None:
    """By the times that the lines themselves begin with: what was around, how many, which message is new."""
    text = """
program = '''
import datetime, sys, time
here = sys.argv[1]
at = datetime.datetime(2026, 1, 2, 3, 0, 0)
for n in range(60000):
    when = (at + datetime.timedelta(seconds=n)).isoformat()
    print(when, "INFO event", n, "of", here)
    if n % 100 == 0:
        print("    continued without a time of its own")
if here == "hlt02":
    print((at + datetime.timedelta(seconds=50000)).isoformat(), "ERROR mirror does not answer")
sys.stdout.flush()
time.sleep(1000)
'''
jobs = [
    Job("clock", argv=["/usr/bin/env", "python3", "-c", program, "{host}"], hosts="hlt[01-02]"),
    Job("mute", argv=["/bin/sh", "-c", "echo no time; exec sleep 1000"], hosts="hlt01"),
]
"""
    farm.apply(text)
    clock = ("clock", "--stream", "stdout")
    until(lambda: len(logs(farm, *clock, "-n", "1", "--grep", "59999")) == 2, "all is printed")

    def words(lines: list[dict[str, Any]]) -> list[tuple[str, str]]:
        return [(line["host"], line["message"].partition(" ")[2]) for line in lines]

    done = farm.run("logs", *clock, "mute", "--json", "--at", "2026-01-02 05:00:00", "-n", "6")
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert words(found)[:3] in (
        [
            ("hlt02", "INFO event 7198 of hlt02"),
            ("hlt01", "INFO event 7199 of hlt01"),
            ("hlt02", "INFO event 7199 of hlt02"),
        ],
        [
            ("hlt01", "INFO event 7198 of hlt01"),
            ("hlt02", "INFO event 7199 of hlt02"),
            ("hlt01", "INFO event 7199 of hlt01"),
        ],
    )
    assert {line["message"].partition(" ")[2] for line in found[3:]} <= {
        "INFO event 7200 of hlt01",
        "INFO event 7200 of hlt02",
        "   continued without a time of its own",
    }
    assert "left out, as their lines begin with no time: mute@hlt01 stdout" in done.stderr
    assert re.search(r"---------- 2026-01-02 05:00:00( UTC|[+-]\d\d:\d\d) ----------", done.stderr)

    chosen = found[2]
    near = logs(farm, *clock, "--around", chosen["id"], "-n", "4")
    assert [line["id"] for line in near].count(chosen["id"]) == 1 and len(near) == 5
    assert {line["host"] for line in near} == {chosen["host"]}
    at = [line["id"] for line in near].index(chosen["id"])
    assert at == 2 and words(near)[1][1].startswith("INFO event 7198 of")
    both = logs(farm, *clock, "--around", chosen["id"], "-n", "8", "--scope", "farm")
    assert {line["host"] for line in both} == {"hlt01", "hlt02"} and len(both) == 9
    refused = farm.run("logs", *clock, "--around", f"{chosen['id']}0", check=False)
    assert refused.returncode == 2 and "no line of these sandboxes has the id" in refused.stderr

    span = ("--since", "2026-01-02 04:00:00", "--until", "2026-01-02 05:00:00")
    rows = logs(farm, *clock, *span, "--count", "--by", "host,level", "--every", "30m")
    assert rows[-1] == {"total": 2 * 3600 + 2 * 36, "cut": 0}
    assert {(row["host"], row["level"], row["lines"]) for row in rows[:-1]} == {
        ("hlt01", "info", 1800),
        ("hlt02", "info", 1800),
        ("hlt01", None, 18),
        ("hlt02", None, 18),
    }
    table = farm.run("logs", *clock, *span, "--count", "--by", "message", "-n", "1").stdout
    assert "INFO event 3600 of" in table and "in 1 smaller group" in table
    refused = farm.run("logs", "clock", "--count", "--by", "run", check=False)
    assert refused.returncode == 2 and "can't be counted by 'run'" in refused.stderr

    new = farm.run("logs", *clock, "--json", "--new", "2026-01-02 10:00:00")
    (mirror,) = (json.loads(line) for line in new.stdout.splitlines())
    assert mirror["message"].endswith("ERROR mirror does not answer") and mirror["hosts"] == ["hlt02"]
    assert re.search(r"1 message is new since 2026-01-02 10:00:00( UTC|[+-]\d\d:\d\d),", new.stderr)
