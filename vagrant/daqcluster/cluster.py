"""A cluster of real servers in one folder: brought up, looked at, hurt and mended, taken down without a trace.

What is known of a cluster is in ``FOLDER/cluster.json``, written before anything that it tells of is started; and every
process carries the cluster's mark in its environment. So `Cluster.down` finds everything, also after a kill -9 of
whoever brought it up.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import shutil
import signal
import time
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Callable, Iterator, Optional, Sequence

from daqcluster import elasticsearch, mesos, mesos_build, zookeeper
from daqcluster.errors import ClusterError
from daqcluster.member import Member, free_port, marked, start_time, until

Say = Callable[[str], None]

#: Seconds until a Mesos daemon, Elasticsearch, ZooKeeper must answer: far more than they take on a busy machine.
MESOS_S, ELASTICSEARCH_S, ZOOKEEPER_S = 60.0, 180.0, 60.0

#: How long what is told to end may take before it is killed.
GRACE_S = 8.0

ATTRIBUTES = "hostname:{name};rack:r1"


def default_folder() -> Path:
    """DAQCLUSTER_DIR; else a folder of the user's."""
    named = os.environ.get("DAQCLUSTER_DIR")
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(named) if named else Path(state) / "daqcluster" / "default"


class Cluster:
    """The cluster in ``folder``, whether it runs or not. ``say`` is told what takes longer than a moment."""

    def __init__(self, folder: Path, say: Say = lambda sentence: None) -> None:
        self.folder = folder.absolute()
        self._say = say
        self._file = self.folder / "cluster.json"
        self.id = ""
        self.launcher = ""
        self.zookeeper = False
        self.external = ""
        self.members: dict[str, Member] = {}
        #: Folders outside of ours that belong to it.
        self._folders: list[str] = []
        self._read()

    # ------------------------------------------------------------------ what there is

    @property
    def agents(self) -> list[str]:
        """The agents' host names."""
        return [name for name, member in self.members.items() if "work_dir" in member.extra]

    @property
    def master_address(self) -> str:
        """HOST:PORT of the master."""
        return f"127.0.0.1:{self.members['master'].port}"

    @property
    def master_url(self) -> str:
        """What frameworks and agents are given: zk://... where there is a ZooKeeper, HOST:PORT else."""
        return f"zk://{self.zookeeper_address}{zookeeper.PATH}" if self.zookeeper else self.master_address

    @property
    def zookeeper_address(self) -> str:
        """HOST:PORT of ZooKeeper; empty where there is none."""
        return f"127.0.0.1:{self.members['zookeeper'].port}" if self.zookeeper else ""

    @property
    def elasticsearch_url(self) -> str:
        """Where Elasticsearch answers; empty where there is none."""
        if "elasticsearch" in self.members:
            return f"http://127.0.0.1:{self.members['elasticsearch'].port}"
        return self.external

    def status(self) -> dict[str, Any]:
        """Everything about it, as plain values."""
        known = mesos.registered(self.members["master"].port) if "master" in self.members else set()
        return {
            "folder": str(self.folder),
            "running": bool(self.members) and all(member.alive() for member in self.members.values()),
            "master": self.master_url if self.members else "",
            "webui": f"http://{self.master_address}" if self.members else "",
            "elasticsearch": self.elasticsearch_url,
            "zookeeper": self.zookeeper_address,
            "launcher": self.launcher,
            "members": [
                {
                    "name": name,
                    "alive": member.alive(),
                    "registered": name in known if "work_dir" in member.extra else None,
                    "pid": member.pid,
                    "port": member.port,
                    "log": member.log,
                    **member.extra,
                }
                for name, member in self.members.items()
            ],
        }

    # ------------------------------------------------------------------ up and down

    def up(
        self,
        agents: int | Sequence[str] = 3,
        elasticsearch_: bool | str = False,
        zookeeper_: bool = False,
        webui: Optional[str] = None,
        attributes: str = ATTRIBUTES,
        heap: str = "512m",
    ) -> None:
        """Bring it up and wait until all of it answers; one that is up already is left as it is.

        ``agents``: how many (hlt01, hlt02, ...), or their names. ``elasticsearch_``: True for one of our own, or the URL
        of another's. Raises `ClusterError`; what was started until then is taken down.
        """
        names = [f"hlt{n:02d}" for n in range(1, agents + 1)] if isinstance(agents, int) else list(agents)
        with self._locked():
            if self.members and all(member.alive() for member in self.members.values()):
                if (
                    names != self.agents
                    or bool(elasticsearch_) > bool(self.elasticsearch_url)
                    or zookeeper_ > self.zookeeper
                ):
                    raise ClusterError("another cluster is up in this folder: take it down first: daqcluster down")
                return
            if self.members:
                self._down(keep=False)
            try:
                self._up(names, elasticsearch_, zookeeper_, webui, attributes, heap)
            except BaseException:
                # whatever it was, also Ctrl-C: half a cluster is of no use; its logs are
                self._down(keep=True)
                raise

    def _up(
        self, names: list[str], search: bool | str, keeper: bool, webui: Optional[str], attributes: str, heap: str
    ) -> None:
        home = mesos_build.ready(self._say)
        search_home = elasticsearch.ready(self._say) if search is True else None
        self.id = secrets.token_hex(4)
        self.launcher = mesos.launcher()
        self.zookeeper = keeper
        self.external = search if isinstance(search, str) else ""
        (self.folder / "logs").mkdir(parents=True, exist_ok=True)
        self._write()
        if search_home is not None:
            self._begin(self._elasticsearch(search_home, heap))  # first: it takes longest
        if keeper:
            port = free_port()
            argv = zookeeper.command(self.folder / "work" / "zookeeper", port)
            self._begin(Member("zookeeper", argv, {}, str(self.folder / "logs" / "zookeeper.log"), port))
            self._wait_zookeeper()
        self._begin(mesos.master(home, self.folder, free_port(), webui))
        self._wait_master()
        for name in names:
            port = free_port()
            self._begin(mesos.agent(home, self.folder, self.id, name, port, self.master_url, self.launcher, attributes))
        self._wait_agents(names)
        if search_home is not None:
            self._wait_elasticsearch()

    def _elasticsearch(self, home: Path, heap: str) -> Member:
        folder = self.folder / "work" / "elasticsearch"
        if os.geteuid() == 0:
            # its account must be able to come there, and our folder may be root's own
            folder = Path("/var/tmp") / f"daqcluster-{self.id}-elasticsearch"
            self._folders.append(str(folder))
            self._write()
        folder.mkdir(parents=True, exist_ok=True)
        port, transport = free_port(), free_port()
        argv, env = elasticsearch.command(home, folder, "n1", port, transport, heap)
        return Member("elasticsearch", argv, env, str(self.folder / "logs" / "elasticsearch.log"), port)

    def down(self, keep: bool = False) -> None:
        """End all that belongs to it, executors and their programs included, and remove its folder (but for the logs,
        with ``keep``). A cluster that is not there is fine."""
        with self._locked():
            self._down(keep)
        if not keep:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _down(self, keep: bool) -> None:
        if self.id:
            # agents and master first: they would start and report what is being ended
            for name, member in self.members.items():
                if name not in ("elasticsearch", "zookeeper"):
                    member.kill()
            self._end_marked(signal.SIGTERM, GRACE_S)
            self._end_marked(signal.SIGKILL, GRACE_S)
            left = list(marked(self.id))
            if left:
                raise ClusterError(f"these processes can't be ended: {' '.join(map(str, left))}; try again as root")
            for name in self.agents:
                _remove_cgroups(mesos.cgroups_root(self.id, name))
        for folder in self._folders:
            shutil.rmtree(folder, ignore_errors=True)
        shutil.rmtree(self.folder / "work", ignore_errors=True)
        self._file.unlink(missing_ok=True)
        self.id, self.members, self._folders = "", {}, []

    def _end_marked(self, number: int, limit_s: float) -> None:
        pids = list(marked(self.id))
        for pid in pids:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass
        deadline = time.monotonic() + limit_s
        while any(start_time(pid) is not None for pid in pids) and time.monotonic() < deadline:
            time.sleep(0.02)

    # ------------------------------------------------------------------ hurt and mend

    def kill(self, name: str) -> None:
        """kill -9 of a member by its pid; an agent's executors and their programs are left alone."""
        member = self._member(name)
        member.kill()
        until(lambda: not member.alive(), f"the end of {name}", [], 10.0)
        if name == "elasticsearch":
            # its starter passes nothing on when it is killed
            for pid in marked(self.id):
                if _environment(pid).get("ES_PATH_CONF") == member.env["ES_PATH_CONF"]:
                    os.kill(pid, signal.SIGKILL)
                    until(lambda pid=pid: start_time(pid) is None, "the end of Elasticsearch", [], 10.0)  # type: ignore[misc]

    def start(self, name: str) -> None:
        """Start a member that has ended, just as it was, and wait until it answers."""
        with self._locked():
            member = self._member(name)
            if not member.alive():
                self._begin(member)
            if name == "elasticsearch":
                self._wait_elasticsearch()
            elif name == "zookeeper":
                self._wait_zookeeper()
            elif name == "master":
                self._wait_master()
            else:
                self._wait_agents([name])

    def _member(self, name: str) -> Member:
        if name not in self.members:
            there = ", ".join(self.members) or "nothing: daqcluster up"
            raise ClusterError(f"there is no {name!r} in this cluster; there is {there}")
        return self.members[name]

    def _begin(self, member: Member) -> None:
        """Write it down, start it, write its pid down."""
        member.pid = member.started = 0
        self.members[member.name] = member
        self._write()
        member.start(self.id)
        self._write()

    def _wait_master(self) -> None:
        member = self.members["master"]
        # redirects and refusals come first, then the registry is recovered; only then /state knows a leader
        until(lambda: bool((mesos.get(member.port, "/state") or {}).get("leader")), "the master", [member], MESOS_S)
        if self.zookeeper:
            state = mesos.get(member.port, "/state")
            assert state is not None, "it answered a moment ago"
            zookeeper.announce(self.members["zookeeper"].port, state)

    def _wait_agents(self, names: Sequence[str]) -> None:
        port = self.members["master"].port
        members = [self.members[name] for name in names]

        def ready() -> bool:
            healthy = all(mesos.get(member.port, "/slave(1)/health") is not None for member in members)
            return healthy and set(names) <= mesos.registered(port)

        until(ready, f"the agents {', '.join(names)}", members, MESOS_S)

    def _wait_elasticsearch(self) -> None:
        member = self.members["elasticsearch"]
        self._say("waiting for Elasticsearch (10 to 20 s)")
        healthy = lambda: (mesos.get(member.port, "/_cluster/health") or {}).get("status") in ("green", "yellow")  # noqa: E731
        until(healthy, "Elasticsearch", [member], ELASTICSEARCH_S)

    def _wait_zookeeper(self) -> None:
        member = self.members["zookeeper"]
        until(lambda: zookeeper.answers(member.port), "ZooKeeper", [member], ZOOKEEPER_S)

    # ------------------------------------------------------------------ the file

    def _read(self) -> None:
        try:
            raw = json.loads(self._file.read_text())
        except FileNotFoundError:
            return
        except ValueError as error:
            raise ClusterError(f"{self._file} is damaged ({error}); remove the folder") from error
        self.id, self.launcher, self.zookeeper = raw["id"], raw["launcher"], raw["zookeeper"]
        self.external, self._folders = raw["external"], raw["folders"]
        self.members = {name: Member(**member) for name, member in raw["members"].items()}

    def _write(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        raw = {
            "id": self.id,
            "launcher": self.launcher,
            "zookeeper": self.zookeeper,
            "external": self.external,
            "folders": self._folders,
            "members": {name: asdict(member) for name, member in self.members.items()},
        }
        new = self._file.with_suffix(".new")
        with open(new, "w") as file:
            json.dump(raw, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        new.rename(self._file)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """One at a time, and on what the last one wrote."""
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        # beside the folder, which `down` removes
        with open(self.folder.with_name(f".{self.folder.name}.lock"), "w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self._say("waiting for another daqcluster in this folder")
                fcntl.flock(lock, fcntl.LOCK_EX)
            self._read()
            yield


def _environment(pid: int) -> dict[str, str]:
    try:
        raw = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return {}
    return dict(entry.decode(errors="replace").partition("=")[::2] for entry in raw if entry)


def _remove_cgroups(name: str) -> None:
    """The groups of an agent's containers, the innermost first, with whatever still runs in them: a program need not carry
    the mark, but it can't leave its group."""
    for hierarchy in mesos.CGROUPS.iterdir() if mesos.CGROUPS.is_dir() else ():
        root = hierarchy / name
        if not root.is_dir():
            continue
        for folder in [*sorted((p for p in root.rglob("*") if p.is_dir()), reverse=True), root]:
            deadline = time.monotonic() + 5.0
            while folder.exists():
                try:
                    folder.rmdir()
                except OSError:
                    for pid in (folder / "cgroup.procs").read_text().split():
                        os.kill(int(pid), signal.SIGKILL)
                    if time.monotonic() > deadline:
                        raise ClusterError(
                            f"the cgroup {folder} can't be removed: is something running in it?"
                        ) from None
                    time.sleep(0.02)
