"""Agents that are not all alike: with resources that are reserved, or with one name."""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request

import pytest

from agents import agent
from daqcluster import Cluster
from farm import Farm, running
from opened import opened
from waiting import until

#: All that a role may have, a mixture of it and what is anybody's, and what another role has.
RESOURCES = {
    "all": "cpus(daq):8;mem(daq):8000;disk(daq):10000;ports(daq):[31100-31120]",
    "mixed": "cpus(daq):0.05;cpus(*):8;mem(daq):50;mem(*):8000;disk(*):10000;ports(*):[31100-31110];ports(daq):[31111-31111]",
    "others": "cpus(daq):0.03;cpus(web):8;mem(daq):50;mem(*):8000;disk(*):10000;ports(*):[31100-31120]",
}


#: What the program of two agents with one name is told, by which it is known among all others here.
LENGTH = f"98{os.getpid()}"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A master and one agent of each kind, called as its kind, and one of which nothing is reserved, called hlt01."""
    with running(tmp_path_factory.mktemp("agents"), agents=1) as made:
        for name, resources in RESOURCES.items():
            agent(made, name, MESOS_RESOURCES=resources)
        yield made


@pytest.fixture
def farm(cluster: Cluster, tmp_path: Path) -> Iterator[Farm]:
    """A daemon for the role daq; every job is stopped afterwards."""
    made = Farm(tmp_path / "farm", cluster.master_url)
    made.serve("--role", "daq")
    yield made
    made.clear()


def ask(cluster: Cluster, kind: str, **body: Any) -> dict[str, Any]:
    """One call of the master's operator API, and its answer."""
    asked = Request(
        f"http://{cluster.master_address}/api/v1",
        json.dumps({"type": kind, **body}).encode(),
        {"Content-Type": "application/json", "Accept": "application/json"},
    )
    with opened(asked) as response:
        answer = response.read()
    found: dict[str, Any] = json.loads(answer) if answer else {}
    return found


def tasks_of(cluster: Cluster) -> dict[str, list[dict[str, Any]]]:
    """job@host -> what the master has given its task, by name, amount and role."""
    found = ask(cluster, "GET_TASKS")["get_tasks"].get("tasks", ())
    return {one["name"]: one["resources"] for one in found if one["state"] == "TASK_RUNNING"}


def of_role(resources: list[dict[str, Any]], role: str) -> dict[str, float]:
    """The scalars of them that are reserved for the role, or for nobody (``*``)."""
    return {
        one["name"]: one["scalar"]["value"]
        for one in resources
        if "scalar" in one and one.get("reservations", [{"role": "*"}])[-1]["role"] == role
    }


def test_what_is_reserved_for_the_role_is_what_a_task_is_given(farm: Farm, cluster: Cluster) -> None:
    """All of it, a part of it, and beside it what is anybody's; on a machine without reservations nothing is different."""
    hosts, ports = ["all", "mixed", "hlt01"], ["x", "y"]
    farm.apply(
        f'jobs = [Job("a", "/bin/sleep 1000", hosts={hosts}, resources=Resources(cpus=0.1, mem=64, ports={ports}))]'
    )
    given = tasks_of(cluster)
    assert of_role(given["a@all"], "daq") == {"cpus": 0.1, "mem": 64.0}
    assert of_role(given["a@mixed"], "daq") == {"cpus": 0.05, "mem": 50.0}
    assert of_role(given["a@mixed"], "*") == {"cpus": 0.05, "mem": 14.0}
    assert of_role(given["a@hlt01"], "*") == {"cpus": 0.1, "mem": 64.0}


def test_what_was_reserved_later_is_asked_for_in_its_words(farm: Farm, cluster: Cluster) -> None:
    """By the operator API, with a principal and labels."""
    agents = ask(cluster, "GET_AGENTS")["get_agents"]["agents"]
    (own,) = [one["agent_info"]["id"] for one in agents if one["agent_info"]["hostname"] == "hlt01"]
    reserved = {"type": "DYNAMIC", "role": "daq", "labels": {"labels": [{"key": "for", "value": "run 4"}]}}
    resources = [
        {"name": name, "type": "SCALAR", "scalar": {"value": value}, "reservations": [reserved]}
        for name, value in (("cpus", 0.5), ("mem", 40.0))
    ]
    ask(cluster, "RESERVE_RESOURCES", reserve_resources={"agent_id": own, "resources": resources})
    farm.apply('jobs = [Job("a", "/bin/sleep 1000", hosts="hlt01", resources=Resources(cpus=0.1, mem=64))]')
    given = tasks_of(cluster)["a@hlt01"]
    assert of_role(given, "daq") == {"cpus": 0.1, "mem": 40.0} and of_role(given, "*") == {"mem": 24.0}
    (mine,) = [one for one in given if one["name"] == "cpus"]
    assert mine["reservations"][-1]["labels"] == reserved["labels"]


def test_plan_and_preflight_know_what_is_reserved_for_whom(farm: Farm) -> None:
    """What another role has is nothing that we have."""
    path = farm.jobs(
        'jobs = [Job("a", "/bin/sleep 1000", hosts=["all", "mixed", "others"], resources=Resources(cpus=1))]'
    )
    planned = farm.run("plan", str(path), check=False).stdout
    assert "start now: a on others: not enough cores: needs 1.01, 0.03 free" in planned and "a on all" not in planned, (
        planned
    )
    asked = farm.run("preflight", str(path), "--timeout", "15", check=False).stdout
    assert "not enough cores: needs 0.06, 0.03 free" in asked, asked
    fits = str(farm.jobs('jobs = [Job("a", "/bin/sleep 1000", hosts=["all", "mixed"], resources=Resources(cpus=1))]'))
    farm.run("preflight", fits, "--timeout", "30")


def test_why_tells_of_a_machine_s_maintenance(farm: Farm, cluster: Cluster) -> None:
    """Where an operator has put it into the master's schedule."""
    machine = {"hostname": "hlt01", "ip": "127.0.0.1"}
    start, long = int((time.time() + 7100) * 1e9), int(3600 * 1e9)
    window = {
        "machine_ids": [machine],
        "unavailability": {"start": {"nanoseconds": start}, "duration": {"nanoseconds": long}},
    }
    try:
        ask(cluster, "UPDATE_MAINTENANCE_SCHEDULE", update_maintenance_schedule={"schedule": {"windows": [window]}})
        large = 'jobs = [Job("a", "/bin/sleep 1000", hosts="hlt01", resources=Resources(cpus=100))]'
        farm.run("apply", str(farm.jobs(large)), "--no-wait")
        told = "the master's maintenance schedule has hlt01 unavailable in 1 h "
        until(lambda: told in farm.run("why", check=False).stdout, "why tells of it")
    finally:
        ask(cluster, "UPDATE_MAINTENANCE_SCHEDULE", update_maintenance_schedule={"schedule": {}})


@pytest.fixture
def twins(tmp_path: Path) -> Iterator[tuple[Cluster, Farm]]:
    """A master, two agents that call themselves ``twin``, and a daemon."""
    with running(tmp_path / "twins", agents=0) as made:
        for name in ("one", "two"):
            agent(made, name, MESOS_HOSTNAME="twin")
        farm = Farm(tmp_path / "farm", made.master_url)
        farm.serve()
        yield made, farm
        farm.clear()


def place(farm: Farm) -> str:
    """The work folder of the agent that the program runs on: ``one`` or ``two``."""
    cwd = os.readlink(f"/proc/{farm.pid('a@twin')}/cwd")
    found = re.search(r"/work/(\w+)/", cwd)
    assert found is not None, cwd
    return found[1]


def copies() -> int:
    """How many of it run, whoever started them."""
    return sum(argv(int(name)) == ["/bin/sleep", LENGTH] for name in os.listdir("/proc") if name.isdigit())


def argv(pid: int) -> list[str]:
    """Of a process; empty where it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().split("\0")[:-1]
    except OSError:
        return []


def test_a_program_stays_on_its_machine_where_another_has_its_name(twins: tuple[Cluster, Farm]) -> None:
    """Over changes, and over the death of its agent; a person's word moves it, and then the old copy ends."""
    cluster, farm = twins

    def apply(version: str) -> None:
        farm.apply(f'jobs = [Job("a", "/bin/sleep {LENGTH}", hosts="twin", env={{"V": "{version}"}})]')

    apply("1")
    first = place(farm)
    for version in "234":
        apply(version)
        assert place(farm) == first
    told = "2 agents call themselves twin"
    until(lambda: told in farm.run("why", check=False).stdout, "why tells that there are two")
    assert told in farm.rows()["a@twin"]["reason"]
    cluster.members[first].kill(cluster.id)
    until(lambda: "is silent: starts there in" in farm.rows()["a@twin"]["reason"], "the master has given it up", 60)
    assert farm.rows()["a@twin"]["state"] == "UNREACHABLE" and copies() == 1
    cluster.members[first].start(cluster.id)
    until(lambda: farm.rows()["a@twin"]["state"] == "RUNNING", "its agent is back", 60)
    assert place(farm) == first and copies() == 1
    farm.run("replace", "twin", "--yes")
    until(lambda: farm.rows()["a@twin"]["state"] == "RUNNING" and place(farm) != first, "it has moved", 60)
    assert copies() == 1


def test_a_machine_whose_work_folder_was_removed_gets_its_programs_back(twins: tuple[Cluster, Farm]) -> None:
    """By itself, under another id at the same place, though another agent has its name; its copy of before is ended."""
    cluster, farm = twins
    farm.apply(f'jobs = [Job("a", "/bin/sleep {LENGTH}", hosts="twin")]')
    first = place(farm)
    was = farm.pid("a@twin")
    member = cluster.members[first]
    member.kill(cluster.id)
    shutil.rmtree(cluster.folder / "work" / first / "meta")
    member.start(cluster.id)
    until(lambda: farm.rows()["a@twin"]["pid"] not in (0, was), "it runs anew", 90)
    assert place(farm) == first
    until(lambda: copies() == 1, "one copy runs", 60)
