"""The main job on a real master and real agents: apply, status, stop, change, and what happens when parts die."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pymesos
import pytest

from farm import Farm
from forwarding import Index
from waiting import alive, parent_of, until

SLEEPERS = 'jobs = [Job("sleeper", "/bin/sleep 100000", hosts="hlt[01-03]", version={version!r})]'


@pytest.fixture
def farm(cluster: Any, tmp_path: Path) -> Iterator[Farm]:
    """A daemon of its own on the shared cluster; every job is stopped afterwards."""
    made = Farm(tmp_path / "farm", cluster.master_url)
    made.serve()
    yield made
    made.clear()


def sleepers(farm: Farm, version: str = "r1") -> dict[str, int]:
    farm.apply(SLEEPERS.format(version=version))
    return {name: row["pid"] for name, row in farm.rows().items()}


def test_a_job_runs_on_each_of_its_hosts_and_apply_says_so(farm: Farm) -> None:
    """Exit status 0 means that everything runs."""
    done = farm.apply(SLEEPERS.format(version="r1"))
    assert "+  sleeper" in done.stdout and "All 3 running" in done.stdout
    assert set(farm.states().values()) == {"RUNNING"}
    assert all(alive(row["pid"]) for row in farm.rows().values())


def test_applying_the_same_again_changes_nothing(farm: Farm) -> None:
    """No restart, no revision."""
    before = sleepers(farm)
    assert "Nothing changes." in farm.apply(SLEEPERS.format(version="r1")).stdout
    assert sleepers(farm) == before


def test_a_changed_version_restarts_the_job_everywhere(farm: Farm) -> None:
    """One variable, and the farm has rolled over."""
    before = sleepers(farm)
    planned = farm.run("plan", str(farm.jobs(SLEEPERS.format(version="r2"))), check=False).stdout
    assert "version r1 -> r2" in planned and "3 to restart" in planned
    after = sleepers(farm, "r2")
    assert not set(before.values()) & set(after.values())
    assert not any(alive(pid) for pid in before.values())
    assert all(row["release"] == "r2" for row in farm.rows().values())


def test_what_only_executors_obey_is_told_to_them_and_restarts_nothing(farm: Farm) -> None:
    """Another action, another signal, no more starts: by the end of the apply all of them go by it."""
    before = sleepers(farm)
    text = SLEEPERS.format(version="r1").replace(
        "hosts=",
        'restart=Restart("never"), stop=Stop("INT"), actions={"say": "/bin/echo here"}, labels={"a": "b"}, hosts=',
    )
    planned = farm.run("plan", str(farm.jobs(text)), check=False).stdout
    assert "no restart" in planned and "restart.policy always -> never" in planned and "to restart" not in planned
    farm.apply(text)
    assert {name: row["pid"] for name, row in farm.rows().items()} == before
    assert "here" in farm.run("act", "sleeper@hlt01", "say").stdout
    os.kill(before["sleeper@hlt02"], signal.SIGKILL)
    until(lambda: farm.states()["sleeper@hlt02"] == "FAILED", "it is not started again")
    farm.run("stop", "sleeper@hlt03")
    row = until(lambda: (r := farm.rows()["sleeper@hlt03"])["state"] == "STOPPED" and r, "it has stopped")
    assert row["report"]["last_exit"]["signal"] == "SIGINT" and alive(before["sleeper@hlt01"])
    checked = text.replace("hosts=", 'check=CommandCheck("/bin/true", name="fine"), lock=False, hosts=')
    farm.apply(f"from daqsched import CommandCheck\n{checked}", "--only", "@hlt01")
    row = farm.rows()["sleeper@hlt01"]
    assert row["report"]["healthy"] is True and row["pid"] == before["sleeper@hlt01"], "its first check, while it runs"


def test_apply_does_not_wait_for_what_is_blocked(farm: Farm) -> None:
    """For a job that has FAILED for good; long before its time is over."""
    began = time.monotonic()
    done = farm.apply(
        'jobs = [Job("first", "/bin/false", hosts="hlt01", restart=Restart("never")),'
        ' Job("second", "/bin/sleep 1000", hosts="hlt02", after="first")]',
        "--timeout", "120", check=False,
    )  # fmt: skip
    assert done.returncode == 4 and "is blocked" in done.stderr and time.monotonic() - began < 60.0


def test_a_removed_host_loses_its_job_and_the_others_keep_theirs(farm: Farm) -> None:
    """Only what changed is touched."""
    before = sleepers(farm)
    farm.apply('jobs = [Job("sleeper", "/bin/sleep 100000", hosts="hlt[01-02]", version="r1")]')
    until(lambda: not alive(before["sleeper@hlt03"]), "the third has ended")
    rows = farm.rows()
    assert rows["sleeper@hlt01"]["pid"] == before["sleeper@hlt01"]


def test_apply_says_why_not_all_is_running(farm: Farm) -> None:
    """Exit status 4 and a reason for each; a host that does not exist, a program that does not exist."""
    text = 'jobs = [Job("a", "/bin/sleep 9", hosts="nowhere"), Job("b", "/bin/nosuchprogram", hosts="hlt01")]'
    done = farm.run("apply", str(farm.jobs(text)), "--timeout", "3", check=False)
    assert done.returncode == 4
    assert "no offer from nowhere" in done.stdout and "is its agent up?" in done.stdout
    assert "/bin/nosuchprogram is missing" in done.stdout
    assert "not everything is running after 3 s" in done.stderr


def test_wrong_job_files_change_nothing(farm: Farm) -> None:
    """Exit status 2, file, line, one sentence; nothing is sent."""
    before = sleepers(farm)
    for text, sentence in [
        ('jobs = [Job("a", "/x", hots="h")]', "unknown field 'hots'"),
        ('jobs = [Job("a", "/x", hosts="h[")]', "brackets"),
        ("jobs = [", "syntax error"),
        ("jobs = 1 / 0", "ZeroDivisionError"),
    ]:
        done = farm.apply(text, check=False)
        assert done.returncode == 2 and sentence in done.stderr and "jobs.py:2: " in done.stderr, done.stderr
    assert {name: row["pid"] for name, row in farm.rows().items()} == before


def test_no_wait_returns_at_once_and_progress_is_in_status(farm: Farm) -> None:
    """For scripts that do something else meanwhile."""
    farm.apply(SLEEPERS.format(version="r1"), "--no-wait")
    until(lambda: set(farm.states().values()) == {"RUNNING"}, "all runs")


def test_a_stopped_job_stays_stopped_until_it_is_started(farm: Farm) -> None:
    """By hand, with a name and a reason on it."""
    before = sleepers(farm)
    farm.run("stop", "sleeper@hlt02", "-m", "cabling")
    until(lambda: farm.states()["sleeper@hlt02"] == "STOPPED", "it is stopped")
    assert not alive(before["sleeper@hlt02"])
    assert farm.rows()["sleeper@hlt02"]["reason"].endswith(": cabling")
    farm.apply(SLEEPERS.format(version="r1"))
    assert farm.states()["sleeper@hlt02"] == "STOPPED"
    farm.run("start", "sleeper@hlt02")
    assert alive(farm.pid("sleeper@hlt02"))


def test_a_killed_program_is_running_again_at_once(farm: Farm) -> None:
    """In place: no new task, a new pid, and the crew sees how it died."""
    farm.apply(SLEEPERS.format(version="r1"))
    before = farm.rows()["sleeper@hlt01"]
    os.kill(before["pid"], signal.SIGKILL)
    row = until(lambda: (r := farm.rows()["sleeper@hlt01"])["pid"] not in (0, before["pid"]) and r, "it is back")
    assert row["task_id"] == before["task_id"] and row["restarts"] == 1
    assert "killed by SIGKILL" in row["reason"]


def executor_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def test_a_killed_executor_takes_its_program_along_and_both_come_back_once(farm: Farm) -> None:
    """The task fails, the engine launches another, and the old program is not left running beside it."""
    before = sleepers(farm)
    old = before["sleeper@hlt01"]
    os.kill(executor_of(old), signal.SIGKILL)
    new = until(lambda: (p := farm.pid("sleeper@hlt01")) != old and p, "a new program runs")
    assert alive(new) and not alive(old)
    assert farm.pid("sleeper@hlt02") == before["sleeper@hlt02"]


def test_a_killed_daemon_finds_its_tasks_again(farm: Farm) -> None:
    """The programs never notice, and none is started twice."""
    before = sleepers(farm)
    farm.kill()
    assert all(alive(pid) for pid in before.values())
    farm.serve()
    assert {name: row["pid"] for name, row in farm.rows().items()} == before
    assert "All 3 running" in farm.apply(SLEEPERS.format(version="r1")).stdout


def test_a_change_that_was_applied_just_before_the_daemon_died_is_carried_out(farm: Farm) -> None:
    """What was acknowledged to the crew is in the store."""
    before = sleepers(farm)
    farm.apply(SLEEPERS.format(version="r2"), "--no-wait")
    farm.kill()
    farm.serve()
    rolled = lambda: all(
        r["release"] == "r2" and r["state"] == "RUNNING" and not r.get("outdated") for r in farm.rows().values()
    )
    until(rolled, "all run the new version")
    assert not any(alive(pid) for pid in before.values())


def test_a_killed_agent_comes_back_to_the_same_programs(farm: Farm, cluster: Any) -> None:
    """Executor and program outlive it, and register with the new one."""
    before = sleepers(farm)
    cluster.kill("hlt01")
    assert alive(before["sleeper@hlt01"])
    cluster.start("hlt01")
    os.kill(before["sleeper@hlt01"], signal.SIGKILL)
    row = until(lambda: (r := farm.rows()["sleeper@hlt01"]).get("restarts") and r["pid"] and r, "the restart is known")
    assert alive(row["pid"]) and farm.pid("sleeper@hlt02") == before["sleeper@hlt02"]


def test_a_killed_master_comes_back_to_the_same_programs(farm: Farm, cluster: Any) -> None:
    """While nobody can confirm a task it is not started again; afterwards everything runs as before."""
    before = sleepers(farm)
    cluster.kill("master")
    until(lambda: not farm.connected(), "the daemon has noticed")
    assert "NO CONNECTION" in farm.run("status").stdout
    why = farm.run("why", check=False)
    assert why.returncode == 4 and why.stdout.startswith("NO CONNECTION to the master ")
    cluster.start("master")
    until(lambda: set(farm.states().values()) == {"RUNNING"} and farm.connected(), "all is known to run", 120.0)
    assert {name: farm.pid(name) for name in before} == before
    farm.apply(SLEEPERS.format(version="r2"))


class _Neighbour(pymesos.Scheduler):
    """Another user's framework, which only wants to know whether it is offered anything."""

    def __init__(self) -> None:
        self.hosts: set[str] = set()
        self.all_three = threading.Event()

    def resourceOffers(self, driver: Any, offers: Any) -> None:
        self.hosts |= {offer["hostname"] for offer in offers}
        if len(self.hosts) == 3:
            self.all_three.set()


def test_another_framework_is_offered_the_machines_while_all_jobs_run(farm: Farm, cluster: Any) -> None:
    """Soon, from every host: daqsched keeps nothing that it does not use."""
    sleepers(farm)
    neighbour = _Neighbour()
    info = {"user": "nobody", "name": "neighbour", "hostname": socket.gethostname()}
    driver = pymesos.MesosSchedulerDriver(neighbour, info, cluster.master_url, use_addict=False)
    driver.start()
    try:
        began = time.monotonic()
        assert neighbour.all_three.wait(10), f"only {neighbour.hosts} offered anything"
        assert time.monotonic() - began < 4.5, "a machine that is declined for 5 s, Mesos' default"
    finally:
        driver.stop()
        driver.join()


def test_a_daemon_that_is_told_to_end_leaves_the_jobs_running(farm: Farm) -> None:
    """Exit status 0, no teardown, and the socket is gone."""
    before = sleepers(farm)
    assert farm.end() == 0
    assert all(alive(pid) for pid in before.values())
    done = farm.run("status", check=False)
    assert done.returncode == 3 and "is `daqsched serve` running?" in done.stderr
    farm.serve()
    assert {name: row["pid"] for name, row in farm.rows().items()} == before


def test_a_second_daemon_with_the_same_state_is_refused(farm: Farm) -> None:
    """Two minds for one farm would be one too many."""
    done = farm.run("serve", "--master", farm.master, check=False, timeout_s=20)
    assert done.returncode == 1 and "another" in done.stderr


def test_a_missing_cvmfs_path_is_a_state_with_a_sentence_and_no_failure(farm: Farm, tmp_path: Path) -> None:
    """The job starts by itself as soon as the path is there."""
    program = tmp_path / "cvmfs" / "r1" / "run"
    farm.apply(f'jobs = [Job("late", "{program} 100000", hosts="hlt01")]', "--no-wait")
    row = until(
        lambda: (r := farm.rows()["late@hlt01"])["state"] == "STARTING" and "is missing" in r["reason"] and r,
        "it says why",
    )
    assert row["reason"].startswith(f"{tmp_path}/cvmfs is missing: is the version published?")
    program.parent.mkdir(parents=True)
    os.symlink("/bin/sleep", program)
    assert alive(farm.pid("late@hlt01"))


def test_status_is_json_for_programs(farm: Farm) -> None:
    """And says which revision is in force."""
    sleepers(farm)
    answer = json.loads(farm.run("status", "--json").stdout)
    assert answer["revision"] == 1 and answer["connected"] and len(answer["rows"]) == 3


def test_the_daemon_deletes_old_lines(cluster: Any, tmp_path: Path) -> None:
    """Each hour, what is older than somebody chose, in an Elasticsearch that does not do it itself; here each second."""
    prefix = f"old-{time.time_ns()}"
    farm = Farm(tmp_path / "farm", cluster.master_url, cluster.elasticsearch_url, prefix)
    # an index must have been made long ago, too, whatever its name says: what deletes lives a month from now
    later = tmp_path / "later"
    later.write_text(
        f"#!{sys.executable}\nimport runpy, sys, time\nnow = time.time\ntime.time = lambda: now() + 31 * 86400\n"
        "sys.argv = sys.argv[1:]\nrunpy.run_module(sys.argv.pop(1), run_name='__main__', alter_sys=True)\n"
    )
    later.chmod(0o755)
    farm.patch(
        "import daqsched.serve.expiry as expiry, types; expiry.FIRST_S = expiry.EVERY_S = 1.0; "
        f"expiry.sys = types.SimpleNamespace(executable={str(later)!r}, path=[])"
    )
    farm.serve()
    index = Index(cluster.elasticsearch_url, prefix)
    days = [time.strftime("%Y.%m.%d", time.gmtime(time.time() + ahead * 86400)) for ahead in (-60, 10)]
    names = [f"{prefix}-{day}" for day in days]
    for name in names:
        index.ask("PUT", f"/{name}")
    farm.run("logs", "setup", "--keep", "30d")
    until(lambda: list(index.ask("GET", f"/{prefix}-*")) == names[1:], "the old one is gone")
    until(lambda: f"delete the index {names[0]}" in farm.log(), "the log says so")
    farm.clear()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's agents start executors as another account")
def test_another_account_for_executors_counts_from_the_next_start_on(farm: Farm) -> None:
    """The master keeps for ever what the framework once said; what runs is left alone."""
    job = 'jobs = [Job("who", "/bin/sleep 1000", hosts="hlt01", version="{}")]'
    farm.apply(job.format("r1"))
    first = farm.pid("who@hlt01")
    assert os.stat(f"/proc/{parent_of(first)}").st_uid == 0
    farm.end()
    # the real one may be where only root can read it
    with tempfile.TemporaryDirectory(dir="/var/tmp") as public:
        os.chmod(public, 0o777)
        seen, pid, stand_in = Path(public) / "who", Path(public) / "pid", Path(public) / "executor"
        stand_in.write_text(f"#!/bin/sh\necho $$ > {pid}\nid -un >> {seen}\nexec sleep 1000\n")
        stand_in.chmod(0o755)
        farm.serve("--user", "www-data", "--executor", str(stand_in))
        assert alive(first)
        farm.run("apply", "--no-wait", str(farm.jobs(job.format("r2"))))
        until(lambda: seen.exists() and seen.read_text() == "www-data\n", "the agent starts it as www-data")
        assert not alive(first)
        farm.clear()
        os.kill(int(pid.read_text()), signal.SIGKILL)  # the agent would give it a minute to register
