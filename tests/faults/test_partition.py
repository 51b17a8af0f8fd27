"""A host that is cut off from the master, and comes back: the network is really cut, between two network namespaces.

The host's agent is in a namespace of its own, with a pair of virtual interfaces between it and the rest; root is needed.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from daqcluster import Cluster
from daqcluster.mesos import Network
from farm import Farm
from waiting import alive, until

#: What each program sleeps, and nobody else on this machine does.
SECONDS = str(7_000_000 + os.getpid())

JOBS = f'jobs = [Job("sleeper", "/bin/sleep {SECONDS}", hosts="hlt[01-02]", version={{version!r}})]'

#: A network of its own for each process of pytest's.
NUMBER = os.getpid() % 200 + 20


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, timeout=10)


class Cable:
    """The cable between the rest and one host; cut, no packet comes through in either direction."""

    def __init__(self) -> None:
        self.namespace = f"daq{os.getpid()}"
        self.here, self.there = f"10.77.{NUMBER}.1", f"10.77.{NUMBER}.2"
        self._end = f"dq{os.getpid()}"
        ip("netns", "add", self.namespace)
        ip("link", "add", self._end, "type", "veth", "peer", "name", "eth0", "netns", self.namespace)
        ip("addr", "add", f"{self.here}/24", "dev", self._end)
        ip("-n", self.namespace, "addr", "add", f"{self.there}/24", "dev", "eth0")
        ip("-n", self.namespace, "link", "set", "lo", "up")
        ip("-n", self.namespace, "link", "set", "eth0", "up")
        self.mend()

    def cut(self) -> None:
        ip("-n", self.namespace, "link", "set", "eth0", "down")

    def mend(self) -> None:
        ip("link", "set", self._end, "up")
        ip("-n", self.namespace, "link", "set", "eth0", "up")

    def remove(self) -> None:
        ip("netns", "del", self.namespace)


@pytest.fixture
def cable() -> Iterator[Cable]:
    """Laid, and taken away."""
    made = Cable()
    yield made
    made.remove()


@pytest.fixture
def farm(cable: Cable, tmp_path: Path) -> Iterator[Farm]:
    """hlt01 as always, hlt02 behind the cable."""
    cluster = Cluster(tmp_path / "cluster")
    made = Farm(tmp_path / "farm", "")
    try:
        cluster.up(agents=2, network=Network(cable.here, {"hlt02": (cable.namespace, cable.there)}))
        made.master = cluster.master_url
        made.serve()
        yield made
        cable.mend()
        made.clear()
    finally:
        cluster.down()


def copies() -> int:
    """How many such programs run on this machine."""
    count = 0
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            count += words[:2] == [b"/bin/sleep", SECONDS.encode()] and alive(int(pid))
        except OSError:
            continue
    return count


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may lay cables between network namespaces")
def test_a_host_that_is_cut_off_is_waited_for_and_runs_no_second_copy(farm: Farm, cable: Cable) -> None:
    """Its programs run on; `why` says so; an apply and the daemon's death meanwhile start nothing there twice; mended, the
    same programs are there, and what was applied meanwhile comes."""
    farm.apply(JOBS.format(version="r1"))
    before = farm.rows()
    pids = {name: row["pid"] for name, row in before.items()}
    assert copies() == 2

    cable.cut()
    began = time.monotonic()
    until(lambda: farm.states()["sleeper@hlt02"] == "UNREACHABLE", "the master gives the host up", 60.0)
    noticed = time.monotonic() - began
    told = farm.run("why", "hlt02", check=False).stdout
    assert "UNREACHABLE" in told and "stopped answering the master" in told
    assert "no second copy is started meanwhile: the program may well be running there" in told
    assert alive(pids["sleeper@hlt02"]) and copies() == 2
    farm.kill()
    farm.serve()
    until(lambda: farm.states()["sleeper@hlt02"] in ("UNREACHABLE", "UNKNOWN"), "the new daemon knows nothing better")
    assert alive(pids["sleeper@hlt02"]) and copies() == 2

    cable.mend()
    mended = time.monotonic()
    until(lambda: farm.states()["sleeper@hlt02"] == "RUNNING", "the host is back", 90.0)
    back = time.monotonic() - mended
    assert {name: row["pid"] for name, row in farm.rows().items()} == pids and copies() == 2
    print(f"\n[partition] noticed after {noticed:.1f} s, back {back:.1f} s after its end, copies seen: 1 of each")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may lay cables between network namespaces")
def test_what_is_applied_while_a_host_is_cut_off_comes_when_it_is_back(farm: Farm, cable: Cable) -> None:
    """It is replaced then, once; the others are not held up."""
    farm.apply(JOBS.format(version="r1"))
    pid = farm.rows()["sleeper@hlt02"]["pid"]
    cable.cut()
    until(lambda: farm.states()["sleeper@hlt02"] == "UNREACHABLE", "the master gives the host up", 60.0)
    farm.apply(JOBS.format(version="r2"), "--no-wait")
    until(
        lambda: farm.rows()["sleeper@hlt01"]["release"] == "r2" and farm.states()["sleeper@hlt01"] == "RUNNING",
        "hlt01 goes on",
    )
    assert alive(pid) and copies() == 2
    cable.mend()
    until(lambda: farm.states() == {"sleeper@hlt01": "RUNNING", "sleeper@hlt02": "RUNNING"}, "all run", 120.0)
    until(lambda: not alive(pid), "the old one has ended")
    assert copies() == 2 and not farm.rows()["sleeper@hlt02"].get("outdated", False)
