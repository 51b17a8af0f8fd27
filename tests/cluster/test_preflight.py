"""`daqsched preflight` on real agents: good and missing versions, a mount that hangs, an agent that is down."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pymesos
import pytest

from daqcluster import Cluster
from daqsched.serve.looking import LOOK_S
from farm import Farm, running
from hanging_mount import HangingMount
from opened import opened
from waiting import until


@pytest.fixture(scope="module")
def agents(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A master and agents hlt01 to hlt03, this file's own: one of them is killed."""
    with running(tmp_path_factory.mktemp("preflight"), agents=3) as made:
        yield made


@pytest.fixture
def farm(agents: Cluster, tmp_path: Path) -> Iterator[Farm]:
    """A daemon of its own; every job is stopped afterwards."""
    made = Farm(tmp_path / "farm", agents.master_url)
    made.serve()
    yield made
    made.clear()


@pytest.fixture
def cvmfs(tmp_path: Path) -> Path:
    """A folder for each host with release-08 in it."""
    for host in ("hlt01", "hlt02", "hlt03"):
        program = tmp_path / "cvmfs" / host / "release-08" / "readout"
        program.parent.mkdir(parents=True)
        program.write_text("#!/bin/sh\nexec sleep 100000\n")
        program.chmod(0o755)
    return tmp_path / "cvmfs"


def readout(cvmfs: Path, version: str, hosts: str = "hlt[01-03]") -> str:
    """A job file."""
    return f'jobs = [Job("readout", "{cvmfs}/{{host}}/{{version}}/readout", hosts="{hosts}", version="{version}")]'


class _Neighbour(pymesos.Scheduler):
    """Another user's framework, which looks at what it is offered and takes nothing."""

    def __init__(self) -> None:
        self.hosts: set[str] = set()
        self.all_three = threading.Event()

    def resourceOffers(self, driver: Any, offers: Any) -> None:
        self.hosts.update(offer["hostname"] for offer in offers)
        driver.declineOffer([offer["id"] for offer in offers])
        if len(self.hosts) == 3:
            self.all_three.set()


def test_a_version_that_is_nowhere_ends_nothing(farm: Farm, cvmfs: Path) -> None:
    """The first host of each batch is asked before; whoever knows better says so."""
    farm.apply(readout(cvmfs, "release-08"))
    run = {name: row["pid"] for name, row in farm.rows().items()}
    for options, hosts in (((), "hlt01"), (("--batches", "1,2"), "hlt[01-02]")):
        done = farm.apply(readout(cvmfs, "release-09"), *options, check=False)
        assert done.returncode == 5 and "not applied, nothing was ended" in done.stderr
        assert f"readout release-09 on {hosts}: {cvmfs}/hlt01/release-09 is missing" in done.stderr
        assert "give --no-look" in done.stderr
    assert {name: row["pid"] for name, row in farm.rows().items()} == run
    # it is published, but for one host of another batch: that is said, and the rollout will see
    for host in ("hlt01", "hlt03"):
        (cvmfs / host / "release-09").mkdir()
        (cvmfs / host / "release-09" / "readout").symlink_to("../release-08/readout")
    done = farm.apply(readout(cvmfs, "release-09"), "--batches", "1", "--no-wait", "--pause-after", "1")
    assert done.stderr == "" or f"readout release-09 can't start on hlt02: {cvmfs}/hlt02" in done.stderr
    done = farm.apply(readout(cvmfs, "release-10"), "--no-wait", "--no-look")
    assert done.returncode == 0
    until(lambda: set(farm.states().values()) == {"STARTING"}, "all wait for the path")


def test_a_look_costs_a_moment(farm: Farm, cvmfs: Path) -> None:
    """A change of one job on one host is as fast as nobody notices; one that looks for nothing else is not looked at."""
    (cvmfs / "hlt01" / "release-09").mkdir()
    (cvmfs / "hlt01" / "release-09" / "readout").symlink_to("../release-08/readout")
    farm.apply(readout(cvmfs, "release-08", "hlt01"))
    took = []
    for version, option in (("release-09", "--settle=0"), ("release-08", "--no-look")) * 3:
        began = time.monotonic()
        farm.run("apply", str(farm.jobs(readout(cvmfs, version, "hlt01"))), "--no-wait", option)
        took.append(time.monotonic() - began)
        until(lambda: set(farm.states().values()) == {"RUNNING"}, "it runs")
    print("a look, and none:", [round(one, 2) for one in took])
    assert sorted(took[::2])[1] - sorted(took[1::2])[1] < 3.0
    before = farm.log().count("preflight")
    farm.apply(readout(cvmfs, "release-08", "hlt01").replace('readout", hosts', 'readout --fast", hosts'))
    assert farm.log().count("preflight") == before


def test_a_look_that_nobody_answers_goes_on(farm: Farm, cvmfs: Path, agents: Cluster) -> None:
    """The agent has just died: the look ends after its time, and says so; the change is made when the agent is back."""
    farm.apply(readout(cvmfs, "release-08", "hlt03"))
    (cvmfs / "hlt03" / "release-09").mkdir()
    (cvmfs / "hlt03" / "release-09" / "readout").symlink_to("../release-08/readout")
    agents.kill("hlt03")
    try:
        began = time.monotonic()
        done = farm.apply(readout(cvmfs, "release-09", "hlt03"), "--no-wait")
        took = time.monotonic() - began
    finally:
        agents.start("hlt03")
    assert "hlt03 was not looked at before: " in done.stderr or "agent" in done.stderr
    assert took < LOOK_S + 10.0

    def renewed() -> bool:
        row = farm.rows()["readout@hlt03"]
        return (row["state"], row["release"]) == ("RUNNING", "release-09")

    until(renewed, "it runs", 60.0)


def test_another_framework_is_offered_the_machines_afterwards(farm: Farm, cvmfs: Path, agents: Cluster) -> None:
    """Offers are asked for while hosts are asked, and not a moment longer."""
    farm.run("preflight", str(farm.jobs(readout(cvmfs, "release-08"))))
    neighbour = _Neighbour()
    info = {"user": "nobody", "name": "neighbour", "hostname": socket.gethostname()}
    driver = pymesos.MesosSchedulerDriver(neighbour, info, agents.master_url, use_addict=False)
    driver.start()
    try:
        assert neighbour.all_three.wait(10), f"only {neighbour.hosts} offered anything"
        farm.run("preflight", str(farm.jobs(readout(cvmfs, "release-08"))))
    finally:
        driver.stop()
        driver.join()


def state_of(agents: Cluster) -> dict[str, Any]:
    """What the master knows of the daemon that registered last."""
    url = f"http://{agents.master_address}/master/frameworks"
    with opened(url) as answer:
        frameworks = json.load(answer)["frameworks"]
    ours: list[dict[str, Any]] = [one for one in frameworks if one["name"] == "daqsched"]
    return max(ours, key=lambda one: one["registered_time"])


def test_what_would_start_and_what_would_not(farm: Farm, cvmfs: Path, agents: Cluster) -> None:
    """Status 0 where all could; 4 with host and reason where not. What runs goes on, and no task is left."""
    farm.apply(readout(cvmfs, "release-08"))
    before = {name: row["pid"] for name, row in farm.rows().items()}
    good = farm.run("preflight", str(farm.jobs(readout(cvmfs, "release-08"))))
    assert "hlt[01-03]  ok" in good.stdout
    assert good.stdout.endswith("All 3 hosts can start all that was asked for; nothing was changed.\n")

    source = cvmfs / "hlt01" / "release-08"
    for host in ("hlt01", "hlt03"):
        (cvmfs / host / "release-09").symlink_to(source)
    began = time.monotonic()
    bad = farm.run("preflight", str(farm.jobs(readout(cvmfs, "release-09"))), check=False)
    assert time.monotonic() - began < 30.0
    assert bad.returncode == 4 and not bad.stderr
    assert f"readout: {cvmfs}/hlt02/release-09 is missing: is the version published?" in bad.stdout
    assert bad.stdout.endswith("1 of 3 hosts can't start release-09; nothing was changed.\n")

    assert {name: row["pid"] for name, row in farm.rows().items()} == before
    assert json.loads(farm.run("status", "--json").stdout)["revision"] == 1
    assert "asked for by" in farm.log()

    def surveys_gone() -> bool:
        ours = state_of(agents)
        return not ours["offers"] and {task["name"].split("@")[0] for task in ours["tasks"]} == {"readout"}

    until(surveys_gone, "only the jobs are left, and no offer is held")
    ours = state_of(agents)
    ended = [task for task in ours["completed_tasks"] if task["name"].startswith("preflight@")]
    assert len(ended) == 6 and {task["state"] for task in ended} == {"TASK_FINISHED"}

    refused = farm.run("apply", str(farm.jobs(readout(cvmfs, "release-09"))), "--preflight", check=False)
    assert refused.returncode == 4 and "not applied" in refused.stderr and "hlt02" in refused.stdout
    assert {name: row["pid"] for name, row in farm.rows().items()} == before
    text = readout(cvmfs, "release-09", "hlt[01,03]")
    assert "All 2 running" in farm.apply(text, "--preflight").stdout


def test_a_mount_that_hangs_on_one_host(farm: Farm, cvmfs: Path) -> None:
    """It is named, and holds up nobody else; --only leaves it out."""
    mount = HangingMount(cvmfs / "hlt02" / "release-09", killable=False)
    try:
        for host in ("hlt01", "hlt03"):
            (cvmfs / host / "release-09").symlink_to(cvmfs / "hlt01" / "release-08")
        file = str(farm.jobs(readout(cvmfs, "release-09")))
        answer = json.loads(farm.run("preflight", file, "--json", check=False).stdout)
        assert answer["done"] and answer["counts"] == {"ok": 2, "bad": 1}
        (bad,) = [wall for wall in answer["wall"] if wall["state"] == "bad"]
        assert bad["hosts"] == ["hlt02"]
        assert f"{mount.path}/readout does not answer within 5.0 s (cvmfs hangs?)" in bad["cells"][0]["problem"]
        began = time.monotonic()
        assert farm.run("preflight", file, "--only", "@hlt[01,03]").returncode == 0
        assert time.monotonic() - began < 20.0
    finally:
        mount.end()


def test_nothing_ends_for_a_version_on_a_mount_that_hangs(farm: Farm, cvmfs: Path) -> None:
    """Where all mounts hang, all of the farm would go down, and nothing could start."""
    farm.apply(readout(cvmfs, "release-08", "hlt02"))
    pids = {name: row["pid"] for name, row in farm.rows().items()}
    mount = HangingMount(cvmfs / "hlt02" / "release-09", killable=False)
    try:
        done = farm.apply(readout(cvmfs, "release-09", "hlt02"), check=False)
    finally:
        mount.end()
    assert done.returncode == 5 and "not applied, nothing was ended" in done.stderr
    assert f"{mount.path}/readout does not answer within 5.0 s (cvmfs hangs?)" in done.stderr
    assert {name: row["pid"] for name, row in farm.rows().items()} == pids


def test_an_agent_that_is_down_is_told(farm: Farm, cvmfs: Path, agents: Cluster) -> None:
    """When the time is over, with the reason; the others have answered, and offers are suppressed again."""
    agents.kill("hlt03")
    try:
        done = farm.run("preflight", str(farm.jobs(readout(cvmfs, "release-08"))), "--timeout", "10", check=False)
    finally:
        agents.start("hlt03")
    assert done.returncode == 4
    assert "hlt[01-02]  ok" in done.stdout and "hlt03       ?" in done.stdout
    assert done.stdout.endswith("1 of 3 hosts gave no answer; nothing was changed.\n")
    until(lambda: not state_of(agents)["offers"], "no offer is held")


def test_without_a_daemon_there_is_no_answer(tmp_path: Path, cvmfs: Path) -> None:
    """Status 3, as for every command."""
    nobody = Farm(tmp_path / "nobody", "127.0.0.1:1")
    done = nobody.run("preflight", str(nobody.jobs(readout(cvmfs, "release-08"))), check=False)
    assert done.returncode == 3 and "no daemon answers" in done.stderr
