"""What else a farm survives: a host that is rebooted, or replaced, or back only after the master gave it up; the master dead
while the crew changes things; an executor that lies; the daemon's disk full.

Partitions are in test_partition.py, the loss of a leader or of ZooKeeper in test_leaders.py, kill -9 of anything on a machine
in test_kills.py, the clock in tests/unit/test_clock_shifts.py.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from daqcluster import Cluster
from daqcluster.ports import free_port
from farm import BIN, Farm, running
from waiting import alive, until

#: A word in the argv of each program, and of nothing else, also where these tests run twice at once.
PROGRAM = str(4_180_000 + os.getpid())

JOBS = f"""
logging = Logging(enabled=False)
jobs = [Job("sleeper", argv=["/bin/sleep", "{PROGRAM}"], hosts="hlt[01-02]", version={{version!r}}, restart={{restart}})]
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Two agents of our own: some are never themselves again."""
    with running(tmp_path_factory.mktemp("own"), agents=2) as made:
        yield made


@pytest.fixture
def farm(cluster: Cluster, tmp_path: Path) -> Iterator[Farm]:
    """A daemon; every job is stopped afterwards."""
    made = Farm(tmp_path / "farm", cluster.master_url)
    made.serve()
    yield made
    made.clear()


#: What befalls a host is not a program's last end, whatever its policy.
ONCE = 'Restart(policy="never", give_up=1)'


def jobs(version: str, restart: str = "Restart()") -> str:
    """The file."""
    return JOBS.format(version=version, restart=restart)


def begin(farm: Farm, restart: str = "Restart()") -> dict[str, int]:
    """Both run; their pids."""
    farm.apply(jobs("r1", restart))
    return {name: row["pid"] for name, row in farm.rows().items()}


def copies() -> int:
    """How many such programs run on this machine."""
    count = 0
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            words = place.read_bytes().split(b"\0")
            count += words[:2] == [b"/bin/sleep", PROGRAM.encode()] and alive(int(place.parent.name))
    return count


def begun(cluster: Cluster) -> Counter[str]:
    """``job@host`` -> how many of its tasks ever had an executor: its agent makes a folder for each."""
    places = (Path(cluster.members[name].extra["work_dir"]) for name in cluster.agents)
    found = (one.name for work in places for one in work.glob("slaves/*/frameworks/*/executors/*"))
    return Counter(name.rpartition(".")[0] for name in found)


def pull_the_plug(cluster: Cluster, name: str) -> Path:
    """Agent, executors, programs: nothing of the host lives. Returns the agent's work folder."""
    work = Path(cluster.members[name].extra["work_dir"])
    cluster.kill(name)

    def left() -> list[int]:
        found = []
        for place in Path("/proc").glob("[0-9]*/environ"):
            with contextlib.suppress(OSError):
                pid = int(place.parent.name)
                if f"{work}/".encode() in place.read_bytes() + b"/" and alive(pid):
                    found.append(pid)
        return found

    def ended() -> bool:
        pids = left()
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return not pids

    until(ended, f"nothing of {name} lives")
    return work


def once_more(farm: Farm, cluster: Cluster, pids: dict[str, int], earlier: Counter[str]) -> None:
    """The job of hlt02 runs anew, once, and that of hlt01 never noticed."""
    until(lambda: farm.states() == dict.fromkeys(pids, "RUNNING") and copies() == 2, "both run", 90.0)
    now = {name: row["pid"] for name, row in farm.rows().items()}
    assert now["sleeper@hlt01"] == pids["sleeper@hlt01"] and now["sleeper@hlt02"] != pids["sleeper@hlt02"]
    new = begun(cluster)
    new.subtract(earlier)
    assert +new == {"sleeper@hlt02": 1}, farm.log()


@pytest.mark.parametrize("disk", ["kept", "wiped", "kept, after the master gave it up"])
def test_a_rebooted_host_gets_its_jobs_back_once(farm: Farm, cluster: Cluster, disk: str) -> None:
    """With the agent's memory of itself, which tells by the boot id that nothing can run any more; or installed anew."""
    pids = begin(farm, ONCE)
    earlier = begun(cluster)
    work = pull_the_plug(cluster, "hlt02")
    if "after" in disk:
        until(lambda: farm.states()["sleeper@hlt02"] == "UNREACHABLE", "the master gives the agent up", 90.0)
    boot_id = work / "meta" / "boot_id"
    assert boot_id.read_text().strip() == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    if "kept" in disk:
        boot_id.write_text("00000000-0000-4000-8000-000000000000")
    else:
        (work / "meta").rename(work / f"meta-{time.time_ns()}")
    booted = time.monotonic()
    cluster.start("hlt02")
    once_more(farm, cluster, pids, earlier)
    sys.stderr.write(
        f"\n[reboot, disk {disk}] all runs again {time.monotonic() - booted:.1f} s after the agent's start\n"
    )
    said = {"kept": "its executor ended: killed, or its host was restarted", "wiped": "registered at the same address"}
    expected = said.get(disk, "ended while hlt02 did not answer the master, for ")
    assert expected in farm.run("why", "sleeper@hlt02", check=False).stdout


def test_a_new_machine_with_an_old_name_gets_its_jobs(farm: Farm, cluster: Cluster) -> None:
    """Another address, another agent: when a person has said so, as nobody else knows whether the old one still runs."""
    pids = begin(farm, ONCE)
    earlier = begun(cluster)
    work = pull_the_plug(cluster, "hlt02")
    (work / "meta").rename(work / f"meta-{time.time_ns()}")
    record = cluster.folder / "cluster.json"
    raw = json.loads(record.read_text())
    port = free_port()
    raw["members"]["hlt02"]["port"], raw["members"]["hlt02"]["env"]["MESOS_PORT"] = port, str(port)
    record.write_text(json.dumps(raw))
    began = time.monotonic()
    cluster.start("hlt02")
    told = "another agent calls itself hlt02"
    until(
        lambda: told in farm.run("why", check=False).stdout, "the master gives the old one up, and why tells it", 120.0
    )
    assert told in farm.run("status", check=False).stdout
    farm.run("replace", "hlt02", "--yes", "-m", "a new machine")
    once_more(farm, cluster, pids, earlier)
    sys.stderr.write(f"\n[new machine] all runs again {time.monotonic() - began:.1f} s after the agent's start\n")
    assert ": a new machine" in farm.log()


def test_an_agent_that_the_master_gave_up_comes_back_to_the_same_program(farm: Farm, cluster: Cluster) -> None:
    """Nobody knows meanwhile whether the program runs, so none is started; it did run, and is taken up again."""
    pids = begin(farm, ONCE)
    earlier = begun(cluster)
    cluster.kill("hlt02")
    gone = time.monotonic()
    until(lambda: farm.states()["sleeper@hlt02"] == "UNREACHABLE", "the master gives the agent up", 90.0)
    noticed = time.monotonic() - gone
    told = farm.run("why", "sleeper@hlt02", check=False).stdout
    assert "hlt02 stopped answering the master" in told and "no second copy is started meanwhile" in told
    assert copies() == 2
    back = time.monotonic()
    cluster.start("hlt02")
    until(lambda: farm.states() == dict.fromkeys(pids, "RUNNING"), "both run", 90.0)
    sys.stderr.write(
        f"\n[agent] given up after {noticed:.1f} s, known again {time.monotonic() - back:.1f} s after its start\n"
    )
    assert {name: row["pid"] for name, row in farm.rows().items()} == pids
    assert begun(cluster) == earlier and copies() == 2


def test_a_job_that_moves_off_a_dead_machine_waits_until_somebody_says_otherwise(farm: Farm, cluster: Cluster) -> None:
    """Its program may well run there, and does: nothing starts beside it by itself, and it ends when its machine is back."""
    job = f'Job("rc", argv=["/bin/sleep", "{PROGRAM}"], hosts="HOST", replaces="rc")'
    text = f"logging = Logging(enabled=False)\njobs = [{job}]"
    farm.apply(text.replace("HOST", "hlt02"))
    cluster.kill("hlt02")
    until(lambda: farm.states()["rc@hlt02"] == "UNREACHABLE", "the master gives the agent up", 90.0)
    moved = text.replace("HOST", "hlt01")
    assert (
        "rc on hlt02 can't be reached: rc waits for it" in farm.run("plan", str(farm.jobs(moved)), check=False).stdout
    )
    farm.apply(moved, "--no-wait")
    waits = "waits for the end of rc@hlt02, which can't be reached; `daqsched start rc@hlt01 --anyway` starts it all the same"
    until(lambda: farm.rows()["rc@hlt01"]["reason"] == waits, "it waits")
    farm.run("start", "rc")
    assert farm.states()["rc@hlt01"] == "WAITING" and copies() == 1
    farm.run("start", "rc@hlt01", "--anyway")
    until(lambda: farm.states()["rc@hlt01"] == "RUNNING", "it starts")
    assert copies() == 2
    cluster.start("hlt02")
    until(lambda: farm.states() == {"rc@hlt01": "RUNNING"} and copies() == 1, "the old one has ended", 90.0)


def test_what_changes_while_the_master_is_dead_comes_once_when_it_is_back(farm: Farm, cluster: Cluster) -> None:
    """An apply, and kill -9 of the daemon besides; jobs run on meanwhile."""
    pids = begin(farm)
    earlier = begun(cluster)
    cluster.kill("master")
    until(lambda: not farm.connected(), "the daemon has noticed", 60.0)
    farm.apply(jobs("r2"), "--no-wait")
    told = farm.run("why", check=False).stdout
    assert "no connection to the master" in told and "nothing can be started or stopped now" in told
    assert all(map(alive, pids.values())) and copies() == 2
    farm.kill()
    back = time.monotonic()
    cluster.start("master")
    farm.serve()
    until(
        lambda: (
            all(row["release"] == "r2" and row["state"] == "RUNNING" for row in farm.rows().values())
            and not any(map(alive, pids.values()))
        ),
        "both run r2",
        120.0,
    )
    sys.stderr.write(f"\n[master] all changed {time.monotonic() - back:.1f} s after the master's start\n")
    new = begun(cluster)
    new.subtract(earlier)
    assert copies() == 2 and +new == dict.fromkeys(pids, 1), farm.log()


def test_a_master_that_is_frozen_is_left_and_found_again(farm: Farm, cluster: Cluster) -> None:
    """It keeps its connections and answers no call: as a machine that swaps, or one behind a dead switch. Without a call its
    heartbeats are what is missed, see tests/contract/test_driver.py."""
    pids = begin(farm)
    earlier = begun(cluster)
    master = cluster.members["master"].pid
    os.kill(master, signal.SIGSTOP)
    try:
        frozen = time.monotonic()
        told = farm.apply(jobs("r2"), "--timeout", "15", check=False)
        assert told.returncode == 4 and f"; no connection to the master {cluster.master_url}. The farm" in told.stderr
        noticed = time.monotonic() - frozen
        assert all(map(alive, pids.values())) and copies() == 2
    finally:
        os.kill(master, signal.SIGCONT)
    back = time.monotonic()
    until(
        lambda: (
            all(row["release"] == "r2" and row["state"] == "RUNNING" for row in farm.rows().values())
            and not any(map(alive, pids.values()))
        ),
        "both run r2",
        120.0,
    )
    sys.stderr.write(
        f"\n[frozen] told to whoever applied after {noticed:.1f} s, all changed {time.monotonic() - back:.1f} s after its thaw\n"
    )
    new = begun(cluster)
    new.subtract(earlier)
    assert copies() == 2 and +new == dict.fromkeys(pids, 1), farm.log()


#: An executor in whose reports some fields are lies.
LIAR = """#!{python}
import json, sys
sys.argv[0] = {executor!r}
from daqsched_executor.contract import Report
true = Report.to_json
def say(report):
    raw = json.loads(true(report))
    raw.update(json.loads({lies!r}))
    return json.dumps(raw).encode()
Report.to_json = say
from daqsched_executor.__main__ import main
sys.exit(main())
"""


@pytest.mark.parametrize(
    ("lies", "sentence"),
    [
        ({"since": "yesterday", "pid": True}, "has a pid that is not of type int: 'True'"),
        ({"version": 99}, "has version 99, this program knows 1 to 1: install the newer one"),
        ({"last_exit": {"at": 1e999, "ran_s": 0}}, "has a at that is not of type float: 'inf'"),
    ],
)
def test_an_executor_that_lies_hurts_nobody_else(
    farm: Farm, tmp_path: Path, lies: dict[str, object], sentence: str
) -> None:
    """Its words are shown, and why its values are not; it is stopped like any other; the next daemon can read what was saved."""
    liar = tmp_path / "liar"
    liar.write_text(LIAR.format(python=sys.executable, executor=str(BIN / "daqsched-executor"), lies=json.dumps(lies)))
    liar.chmod(0o755)
    assert farm.end() == 0
    farm.serve("--executor", str(liar))
    farm.apply(jobs("r1"))
    row = farm.rows()["sleeper@hlt01"]
    assert row["state"] == "RUNNING" and "what its executor reports is not understood" in row["reason"]
    assert sentence in row["reason"] and sentence in farm.log()
    farm.kill()
    farm.serve("--executor", str(liar))
    until(lambda: set(farm.states().values()) == {"RUNNING"}, "the next daemon knows them", 60.0)
    assert copies() == 2


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Path]:
    """A small disk of its own."""
    place = tmp_path / "room"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(place)], check=True, timeout=10)
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True, timeout=10)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small disk")
def test_with_its_disk_full_the_daemon_changes_nothing_and_goes_on_when_there_is_room(
    room: Path, cluster: Cluster, tmp_path: Path
) -> None:
    """Programs run on, `status` says what is so, what can't be saved is refused; nothing is started that is not saved."""
    farm = Farm(tmp_path / "farm", cluster.master_url)
    farm.env["DAQSCHED_STATE"] = str(room / "state")
    farm.env["DAQSCHED_SOCKET"] = str(tmp_path / "sock")
    farm.serve()
    try:
        _fill(farm, room, cluster)
        farm.clear()
    finally:
        if farm.process is not None and farm.process.poll() is None:
            farm.kill()


def _fill(farm: Farm, room: Path, cluster: Cluster) -> None:
    pids = begin(farm)
    earlier = begun(cluster)
    filler = room / "filler"
    with open(filler, "wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"x" * 4096)
    refused = farm.apply(jobs("r2"), check=False)
    assert refused.returncode == 3, refused.stdout + refused.stderr
    assert "state.sqlite can't be written: database or disk is full: jobs run on" in refused.stderr
    for command in ("status", "why"):
        assert "READ-ONLY: " in farm.run(command, check=False).stdout
    again = farm.run("stop", "sleeper", check=False)
    assert again.returncode == 3 and "can't be written" in again.stderr
    os.kill(pids["sleeper@hlt01"], signal.SIGKILL)  # its executor starts it again without us
    until(lambda: not alive(pids["sleeper@hlt01"]) and copies() == 2, "both run")
    assert begun(cluster) == earlier and "all is saved again" not in farm.log()
    filler.unlink()
    room_at = time.monotonic()
    until(lambda: "all is saved again" in farm.log(), "there is room")
    sys.stderr.write(f"\n[disk full] goes on {time.monotonic() - room_at:.1f} s after there is room\n")
    farm.apply(jobs("r2"))
    rows = farm.rows()
    assert all(row["release"] == "r2" and row["pid"] not in pids.values() for row in rows.values()) and copies() == 2
    new = begun(cluster)
    new.subtract(earlier)
    assert +new == dict.fromkeys(pids, 1)
