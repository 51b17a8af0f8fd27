"""Who may what on real agents, over the network: a shifter sets, controls, proposes, an expert approves; and all of it over a
takeover, of two daemons on a ZooKeeper, at the web port of the one that is left."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Optional

import pytest

import nursery
from daqcluster import Cluster
from daqcluster.ports import free_port
from farm import BIN, Farm
from forwarding import Index
from peers import certificate
from waiting import until
from webport import files

#: `version` is a shifter's to choose, `argument` is not.
JOBS = """
from daqsched import variable
version = variable("version", "r1", shifter=["r1", "r2"])
argument = variable("argument", "1")
jobs = [
    Job("readout", f"/bin/sh -c 'exec sleep 10000{argument}'", hosts="hlt[01-02]", version=version, owner="trigger",
        env={"ARGUMENT": argument}),
    Job("hv", "/bin/sleep 100000", hosts="hlt01", owner="power"),
]
"""
TICKS = """
count = "n=0; while :; do n=$((n+1)); echo tick-$n.; sleep 0.1; done"
jobs = jobs + [Job("ticks", argv=["/bin/sh", "-c", count], hosts="hlt01", owner="trigger")]
"""
RIGHTS = """
version: 1
rules:
  - {to: token:eve, role: viewer}
  - {to: token:bob, role: shifter, owner: trigger, logs: ["ticks"]}
  - {to: [token:bob], role: viewer}
  - {to: token:carol, role: shifter}
  - {to: token:alice, role: expert, accounts: [root]}
"""
NAMES = {"eve": "viewer", "bob": "shifter", "carol": "shifter", "alice": "expert"}


class Hands(Farm):
    """A daemon with a web port, and people who come there with a token each."""

    def __init__(self, folder: Path, cluster: Cluster, shared: Path, state: str = "") -> None:
        super().__init__(folder, cluster.master_url, cluster.elasticsearch_url if state else "", f"hands{free_port()}")
        self.shared, self.url = shared, f"https://127.0.0.1:{free_port()}"
        (shared / "rights.yaml").write_text(RIGHTS)
        if state:
            password = shared / "password"
            password.touch(mode=0o600)
            password.write_text("daq:secret\n")
            self.env["DAQSCHED_STATE"] = state
            self.env["DAQSCHED_STATE_CREDENTIALS"] = str(password)
            self.env["DAQSCHED_PEERS_CERTIFICATE"] = str(shared / "peers.pem")
            self.env["DAQSCHED_SOCKET"] = str(folder / "sock")
            self.env["XDG_STATE_HOME"] = str(folder)

    def begin(self) -> None:
        web = ["--web", self.url.rpartition("/")[2], "--rights", str(self.shared / "rights.yaml")]
        self.serve(*web, "--web-certificate", str(self.shared / "web.pem"), "--web-key", str(self.shared / "web.key"))

    def tokens(self) -> None:
        for name, role in NAMES.items():
            made = self.run("token", "create", name, "--role", role, "--expires", "1d")
            path = self.shared / f"{name}.token"
            path.touch(mode=0o600)
            path.write_text(made.stdout.split()[-1] + "\n")

    def environment(self, name: str) -> dict[str, str]:
        found = {**self.env, "DAQSCHED_SERVER": self.url, "DAQSCHED_SERVER_CA": str(self.shared / "ca.pem")}
        found["DAQSCHED_TOKEN_FILE"] = str(self.shared / f"{name}.token")
        return found

    def says(self, name: str, *words: str, status: int = 0) -> str:
        """What somebody is told, on both ways out."""
        done = nursery.run(words, self.environment(name))
        assert done.returncode == status, f"{name}: daqsched {' '.join(words)}: {done}"
        return done.stdout + done.stderr

    def clear(self) -> None:
        """Whoever was in control when a test failed."""
        self.run("control", "take", "--force", "-m", "the end", check=False)
        super().clear()

    def programs(self) -> dict[str, tuple[str, int]]:
        """``job@host`` -> release and pid."""
        return {name: (row["release"], row["pid"]) for name, row in self.rows("readout", "hv").items()}


@pytest.fixture
def hands(cluster: Cluster, tmp_path: Path) -> Iterator[Hands]:
    files(tmp_path)
    made = Hands(tmp_path / "farm", cluster, tmp_path)
    try:
        made.begin()
        made.tokens()
        made.apply(JOBS)
        yield made
    finally:
        made.clear()


def test_a_shifter_sets_what_the_file_leaves_him_and_the_programs_are_of_that_release(hands: Hands) -> None:
    """By token; the jobs that have no part in it run on as they were; whoever may not changes nothing."""
    before = hands.programs()
    assert "bob may" not in hands.says("bob", "variables")
    assert "token:eve may not set what changes the farm" in hands.says("eve", "set", "version=r2", status=5)
    assert "version may be set to r1, r2" in hands.says("bob", "set", "version=r9", status=2)
    assert "is not for a shifter to set" in hands.says("bob", "set", "argument=2", status=2)
    assert hands.programs() == before
    hands.says("bob", "set", "version=r2", "-m", "beam is back", "--timeout", "60")
    now = hands.programs()
    assert {name: release for name, (release, _) in now.items()} == {
        "readout@hlt01": "r2",
        "readout@hlt02": "r2",
        "hv@hlt01": "",
    }
    assert now["hv@hlt01"] == before["hv@hlt01"] and not {pid for _, pid in now.values()} - {before["hv@hlt01"][1]} & {
        pid for _, pid in before.values()
    }
    assert "set version=r2: beam is back" in hands.says("eve", "history")


def test_who_is_in_control_alone_changes_what_runs(hands: Hands) -> None:
    """Taken, refused to an expert, given to him, and back; nothing was touched by what was refused."""
    before, file = hands.programs(), str(hands.jobs(JOBS))
    hands.says("carol", "control", "take", "-m", "tests of the trigger")
    for words in (
        ("stop", "readout"),
        ("restart", "hv", "--yes"),
        ("apply", file, "--set", "argument=2", "--yes", "--no-wait"),
        ("aside", "hlt01", "--for", "1h", "--yes"),
    ):
        assert "carol is in control of the farm, since" in hands.says("alice", *words, status=5), words
    assert hands.programs() == before
    assert "tests of the trigger" in hands.says("eve", "status")
    hands.says("carol", "control", "give", "token:alice")
    assert "token:alice is in control of the farm" in hands.says("carol", "stop", "hv", status=5)
    hands.says("alice", "stop", "hv", "-m", "cabling")
    until(lambda: hands.states()["hv@hlt01"] == "STOPPED", "it ends")
    hands.says("alice", "control", "give")
    hands.says("carol", "start", "hv", "--all")
    until(lambda: hands.states()["hv@hlt01"] == "RUNNING", "it runs")


def test_a_shifter_proposes_and_an_expert_approves_what_then_runs(hands: Hands) -> None:
    """Nothing changes before; then what was proposed runs, and the revision names both."""
    before, file = hands.programs(), str(hands.jobs(JOBS))
    assert "token:carol may not change the farm" in hands.says("carol", "apply", file, "--set", "argument=2", status=5)
    said = hands.says("carol", "propose", file, "--set", "argument=2", "-m", "longer")
    assert "Proposal 1 by token:carol" in said and hands.programs() == before
    assert "token:carol may not change the farm" in hands.says("carol", "approve", "1", "--yes", status=5)
    assert "ARGUMENT" in hands.says("alice", "proposals", "1", status=6)
    hands.says("alice", "approve", "1", "--yes", "-m", "go", "--timeout", "60")
    now = hands.programs()
    assert now["hv@hlt01"] == before["hv@hlt01"]
    for name in ("readout@hlt01", "readout@hlt02"):
        assert b"100002" in Path(f"/proc/{now[name][1]}/cmdline").read_bytes(), name
    assert "proposal 1 by token:carol: longer; approved: go" in hands.says("eve", "history")


# ---------------------------------------------------------------------- over a takeover


@pytest.fixture
def removed() -> Iterator[list[Index]]:
    """What is removed when the forwarders of a cluster of one's own have gone with it."""
    made: list[Index] = []
    yield made
    for one in made:
        one.remove()


@pytest.fixture
def pair(
    cluster: Cluster, removed: list[Index], fresh_cluster: Callable[..., Cluster], tmp_path: Path
) -> Iterator[tuple[Hands, Hands]]:
    """Who leads, and who stands by."""
    made = fresh_cluster(agents=2, zookeeper_=True, elasticsearch_=cluster.elasticsearch_url)
    files(tmp_path)
    certificate(tmp_path / "peers.pem")
    state = f"zk://{made.zookeeper_address}/daqsched/hands"
    both = Hands(tmp_path / "a", made, tmp_path, state), Hands(tmp_path / "b", made, tmp_path, state)
    both[1].index = both[0].index
    removed.append(Index(cluster.elasticsearch_url, both[0].index))
    try:
        for one in both:
            one.begin()
        yield both
    finally:
        for one in both:
            if one.process is not None and one.process.poll() is None:
                one.end()


def leads(hands: Hands) -> bool:
    """Whether this one does, with a master."""
    assert hands.process is not None
    found = hands.status() if hands.connected() else {}
    return f"(pid {hands.process.pid})" in found.get("leader", "")


def ticks(path: Path) -> list[int]:
    return [int(number) for number in re.findall(r"tick-([0-9]+)\.", path.read_text())]


def test_what_was_taken_set_and_proposed_before_is_in_force_after_a_takeover(
    pair: tuple[Hands, Hands], tmp_path: Path
) -> None:
    """The leader is killed; at the other's web port the same tokens meet the same control, proposals, choices; and who follows
    lines there goes on, each once."""
    first, second = pair
    first.tokens()
    first.apply(JOBS + TICKS)
    file = str(first.jobs(JOBS + TICKS))
    first.says("bob", "set", "version=r2", "--timeout", "60")
    first.says("carol", "propose", file, "--set", "argument=2", "--set", "version=r2", "-m", "longer")
    second.says("carol", "control", "take", "-m", "tests")  # through the standby
    before = first.programs()
    shown = tmp_path / "shown"
    with shown.open("wb") as log:
        following: Optional[subprocess.Popen[bytes]] = subprocess.Popen(
            [str(BIN / "daqsched"), "logs", "ticks", "-f"],
            env={**second.environment("bob"), "PYTHONUNBUFFERED": "1"},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    assert following is not None
    try:
        until(lambda: len(ticks(shown)) > 20, "lines are shown", 90.0)
        first.kill()
        until(lambda: leads(second), "the other leads", 60.0)
        reached = ticks(shown)[-1]

        control: dict[str, Any] = json.loads(second.says("eve", "control", "who", "--json"))
        assert [one["user"] for one in control["control"]] == ["token:carol"] and "tests" in str(control)
        assert "token:carol is in control of the farm" in second.says("alice", "approve", "1", "--yes", status=5)
        assert "token:carol is in control of the farm" in second.says("bob", "set", "version=r1", status=5)
        assert "longer" in second.says("eve", "proposals")
        assert second.programs() == before
        assert "may not control" not in second.says("carol", "control", "give")

        second.says("bob", "set", "version=r1", "--timeout", "60")
        assert {release for name, (release, _) in second.programs().items() if "readout" in name} == {"r1"}
        second.says("alice", "approve", "1", "--yes", "--timeout", "60")
        now = second.programs()
        for name in ("readout@hlt01", "readout@hlt02"):
            assert b"100002" in Path(f"/proc/{now[name][1]}/cmdline").read_bytes(), name
        assert now["hv@hlt01"] == before["hv@hlt01"]
        assert "may not stop readout@hlt01" in second.says("eve", "stop", "readout", status=5)

        until(lambda: ticks(shown)[-1] > reached + 50, "lines are shown by the other", 90.0)
        found = ticks(shown)
        assert sorted(found) == list(range(min(found), max(found) + 1)), "each is shown once"
    finally:
        following.terminate()
        following.wait(20)
    second.run("apply", str(second.jobs("jobs = []")), "--allow-empty", "--yes", "--no-wait")
    until(lambda: not second.rows(), "no job is left", 60.0)
