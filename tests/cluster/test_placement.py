"""Where and when jobs start, on real agents: attributes, ports, what comes after what, when there is no further attempt."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from daqcluster import Cluster
from farm import Farm, running
from waiting import alive, until

#: Listens on the port that it is given, for ever.
LISTENER = (
    '/usr/bin/python3 -c \'import socket, time; s = socket.create_server(("127.0.0.1", {{port:{name}}})); '
    "time.sleep(100000)'"
)


@pytest.fixture(scope="module")
def racks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Agents hlt01 and hlt02 in rack r1; tests add more."""
    with running(tmp_path_factory.mktemp("placement"), agents=2, attributes="hostname:{name};rack:r1") as made:
        yield made


@pytest.fixture
def farm(racks: Cluster, tmp_path: Path) -> Iterator[Farm]:
    """A daemon of its own; every job is stopped afterwards."""
    made = Farm(tmp_path / "farm", racks.master_url)
    made.serve()
    yield made
    made.clear()


def first_port(racks: Cluster, name: str) -> int:
    return int(racks.members[name].extra["ports"].partition("-")[0])


def listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(2.0)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_a_named_host_without_the_attribute_waits_and_says_what_it_has(farm: Farm) -> None:
    """Exit status 4, and a sentence that shows the typing mistake."""
    done = farm.run(
        "apply",
        str(farm.jobs('jobs = [Job("a", "/bin/sleep 100000", hosts="hlt01", attributes={"gpu": "yes"})]')),
        "--timeout",
        "2",
        check=False,
    )
    assert done.returncode == 4
    assert farm.rows()["a@hlt01"]["reason"] == "hlt01 lacks the attribute gpu=yes (it has rack=r1)"
    farm.apply('jobs = [Job("a", "/bin/sleep 100000", hosts="hlt01", attributes={"rack": "r1"})]')
    assert farm.states() == {"a@hlt01": "RUNNING"}


def test_a_new_machine_is_found_while_all_is_quiet(farm: Farm, racks: Cluster) -> None:
    """A job with attributes alone runs on each machine that has them; an agent that appears later gets it without anybody's
    doing, also from a daemon that was killed meanwhile, and is forgotten when it has lost the attribute."""
    crate = 'jobs = [Job("probe", "/bin/sleep 100000", attributes={"crate": "007"})]'
    done = farm.run("apply", str(farm.jobs(crate)), "--timeout", "2", check=False)
    assert done.returncode == 4 and "where crate=007: no machine is known yet" in done.stdout
    assert farm.rows()["probe@"]["reason"] == "no machine has crate=007 yet; it starts when one does"
    assert "no machine has crate=007 yet" in farm.run("status").stdout

    # longer than offers take to come anew where they were not declined for long
    time.sleep(2.0)
    racks.up(agents=["hlt11"], attributes="hostname:{name};crate:007")
    pid = until(lambda: farm.rows().get("probe@hlt11", {}).get("pid"), "the new machine runs it")
    assert farm.states() == {"probe@hlt11": "RUNNING"}
    assert "where crate=007: hlt11" in farm.run("plan", str(farm.jobs("jobs = []")), check=False).stdout

    farm.kill()
    farm.serve()
    until(lambda: farm.states() == {"probe@hlt11": "RUNNING"}, "the new daemon knows it")
    assert farm.pid("probe@hlt11") == pid and alive(pid)

    racks.up(agents=["hlt12"], attributes="hostname:{name};crate:7")
    until(lambda: farm.rows().get("probe@hlt12", {}).get("pid"), "another daemon finds new machines, too")
    assert farm.pid("probe@hlt11") == pid


def test_ports_are_given_held_and_free_again(farm: Farm, racks: Cluster) -> None:
    """A fixed one and any; a second job on the host waits for it, and gets it when the first has gone."""
    fixed = first_port(racks, "hlt01") + 5
    text = """
def listener(name, port):
    return Job(name, {command!r}.format(name="http"), hosts="hlt01", resources=Resources(ports={{"http": port}}))

jobs = [{jobs}]
"""
    command = LISTENER.replace("{{port:{name}}}", "{{port:{name}}}")
    first = text.format(command=command, jobs=f'listener("a", {fixed}), listener("b", 0), listener("c", 0)')
    farm.apply(first)
    ports = {name: row["ports"]["http"] for name, row in farm.rows().items()}
    assert ports["a@hlt01"] == fixed and len(set(ports.values())) == 3
    until(lambda: all(map(listens, ports.values())), "each listens on its own")

    late = text.format(command=command, jobs=f'listener("a", {fixed})') + f'jobs += [listener("d", {fixed})]'
    refused = farm.apply(late, check=False)
    assert refused.returncode == 2, "two jobs of one file can't have one port on one host"

    both = late.replace('hosts="hlt01"', 'hosts="hlt01" if name != "d" else "hlt02"')
    waits = farm.run("apply", str(farm.jobs(both)), "--timeout", "2", check=False)
    assert waits.returncode == 4
    assert farm.rows()["d@hlt02"]["reason"] == f"port {fixed} is taken or not offered on hlt02"

    farm.apply(text.format(command=command, jobs=f'listener("e", {fixed})'))
    assert farm.rows()["e@hlt01"]["ports"] == {"http": fixed}, "what a held is free"
    until(lambda: listens(fixed), "the next one listens there")


def test_a_job_starts_after_the_ones_before_it(farm: Farm, tmp_path: Path) -> None:
    """On its own host where that job is there, too, else after all of them; nobody is stopped when one dies, and a daemon
    that comes back touches nothing."""
    gate = tmp_path / "gate"
    text = f"""
jobs = [Job("control", "/bin/sleep 100000", hosts="hlt01", after="evb"),
        Job("readout", "/bin/sleep 100000", hosts="hlt02", after="evb"),
        Job("evb", "{gate} 100000", hosts=["hlt01", "hlt02"])]
"""
    farm.apply(text, "--no-wait")
    until(lambda: {farm.states()[f"evb@hlt0{n}"] for n in (1, 2)} == {"STARTING"}, "both look for their program")
    assert farm.states()["control@hlt01"] == "WAITING"
    assert farm.rows()["readout@hlt02"]["reason"] == "waits for evb on hlt02 (STARTING)"
    os.symlink("/bin/sleep", gate)
    until(lambda: set(farm.states().values()) == {"RUNNING"}, "all runs")
    pids = {name: farm.pid(name) for name in farm.rows()}
    began = {name: row["since"] for name, row in farm.rows().items()}
    assert began["control@hlt01"] >= began["evb@hlt01"] and began["readout@hlt02"] >= began["evb@hlt02"]

    farm.run("stop", "evb")
    until(lambda: farm.states()["evb@hlt01"] == "STOPPED", "the one before is stopped")
    farm.kill()
    farm.serve()
    until(lambda: farm.states()["control@hlt01"] == "RUNNING", "the new daemon knows it")
    assert farm.pid("control@hlt01") == pids["control@hlt01"] and alive(pids["readout@hlt02"])


def test_all_hosts_of_a_job_elsewhere_are_waited_for(farm: Farm, tmp_path: Path) -> None:
    """And counted in the reason."""
    gate = tmp_path / "gate"
    text = f"""
jobs = [Job("control", "/bin/sleep 100000", hosts="hlt01", after="evb"),
        Job("evb", "/bin/sleep 100000", hosts="hlt02"),
        Job("dqm", "/bin/sleep 100000", hosts="hlt01", after="src"),
        Job("src", "{gate} 100000", hosts="hlt02")]
"""
    farm.apply(text, "--no-wait")
    until(lambda: farm.states()["control@hlt01"] == "RUNNING", "what may start does")
    assert farm.rows()["dqm@hlt01"]["reason"] == "waits for src (0 of 1 running)"
    os.symlink("/bin/sleep", gate)
    until(lambda: set(farm.states().values()) == {"RUNNING"}, "all runs")


def test_a_job_is_given_up_and_started_by_hand(farm: Farm, tmp_path: Path) -> None:
    """After so many failed tasks it is FAILED, says so, and stays; `daqsched start` tries again."""
    cause = tmp_path / "cause"
    cause.touch()
    text = f"""
jobs = [Job("bad", argv=["/bin/sh", "-c", "test -e {cause} && {{{{ echo no beam; exit 3; }}}}; exec sleep 100000"], hosts="hlt01",
            restart=Restart(budget=1, delay_s=0.1, give_up=2))]
"""
    done = farm.run("apply", str(farm.jobs(text)), "--timeout", "15", check=False)
    assert done.returncode == 4
    row: Any = until(lambda: (r := farm.rows()["bad@hlt01"])["state"] == "FAILED" and r, "it is given up")
    assert row["reason"].startswith("failed 2 times in a row, last: ")
    assert row["reason"].endswith("given up; `daqsched start bad@hlt01` tries again")
    farm.kill()
    farm.serve()
    assert farm.states() == {"bad@hlt01": "FAILED"}
    assert "| no beam" in farm.run("status", "bad").stdout
    cause.unlink()
    farm.run("start", "bad")
    pid = farm.pid("bad@hlt01")
    os.kill(pid, signal.SIGKILL)
    assert until(lambda: (p := farm.pid("bad@hlt01")) != pid and p, "it is in its executor's hands again")
