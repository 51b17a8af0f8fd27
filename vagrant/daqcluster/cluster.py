"""A cluster of real servers in one folder: brought up, looked at, hurt and mended, taken down without a trace.

What is known of a cluster is in ``FOLDER/cluster.json``, written before anything that it tells of is started; and every
process carries the cluster's mark in its environment. So `Cluster.down` finds everything, also after a kill -9 of
whoever brought it up.
"""

from __future__ import annotations

import os
import secrets
import shutil
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Callable, Iterator, Mapping, NamedTuple, Optional, Sequence, Union

from daqcluster import containers, elasticsearch, mesos, processes, readiness, software, zookeeper
from daqcluster.errors import ClusterError
from daqcluster.member import Member
from daqcluster.ports import free_port
from daqcluster.progress import Say
from daqcluster.record import Record, locked

#: How long what is told to end may take before it is killed, and how long that may take.
GRACE_S, DEATH_S = 1.5, 15.0

ATTRIBUTES = "hostname:{name};rack:r1"

#: What is ours in the folder. `serve` is where `daqcluster env` sends the framework's state: it means nothing without its
#: master.
_OWN = ("work", "serve")


#: The file there that names the checkout which brought the cluster up, for those that are called from another one (scripts/stop).
_CHECKOUT = Path("work") / "checkout"


def own_checkout() -> str:
    """The checkout that this is part of; empty: it is installed elsewhere."""
    top = Path(__file__).resolve().parents[2]
    return str(top) if (top / "scripts" / "run").is_file() else ""


def default_folder() -> Path:
    """DAQCLUSTER_DIR; else a folder of the user's."""
    named = os.environ.get("DAQCLUSTER_DIR")
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(named) if named else Path(state) / "daqcluster" / "default"


class _Layout(NamedTuple):
    """What a cluster is to have, as of `Cluster.up`."""

    names: list[str]
    with_elasticsearch: bool
    with_zookeeper: bool
    webui: Optional[str]
    attributes: str
    heap: str
    credentials: Optional[str]
    ports: Optional[str]
    jvm: str
    network: mesos.Network
    tokens: bool
    users: Mapping[str, elasticsearch.User]

    @property
    def members(self) -> set[str]:
        """By name."""
        others = {"elasticsearch": self.with_elasticsearch, "zookeeper": self.with_zookeeper}
        return {"master", *self.names, *(name for name, there in others.items() if there)}


class Cluster:
    """The cluster in ``folder``, whether it runs or not. ``say`` is told what takes longer than a moment."""

    def __init__(self, folder: Path, say: Say = lambda sentence: None) -> None:
        self.folder = folder.absolute()
        self.say = say
        self._file = self.folder / "cluster.json"
        self._record = Record.read(self._file)

    # ------------------------------------------------------------------ what there is

    @property
    def id(self) -> str:
        """The mark of its processes; empty where there is no cluster."""
        return self._record.id

    @property
    def launcher(self) -> str:
        """``linux`` (containers are cgroups) or ``posix``."""
        return self._record.launcher

    @property
    def members(self) -> dict[str, Member]:
        """By name: elasticsearch, zookeeper, master, and the agents by their host names."""
        return self._record.members

    @property
    def agents(self) -> list[str]:
        """The agents' host names."""
        return [name for name, member in self.members.items() if member.is_agent]

    @property
    def master_address(self) -> str:
        """HOST:PORT of the master."""
        master = self._member("master")
        return f"{master.address}:{master.port}"

    @property
    def master_url(self) -> str:
        """What frameworks and agents are given: zk://... where there is a ZooKeeper, HOST:PORT else."""
        return f"zk://{self.zookeeper_address}{zookeeper.PATH}" if self.zookeeper_address else self.master_address

    @property
    def zookeeper_address(self) -> str:
        """HOST:PORT of ZooKeeper; empty where there is none."""
        return f"127.0.0.1:{self.members['zookeeper'].port}" if "zookeeper" in self.members else ""

    @property
    def elasticsearch_url(self) -> str:
        """Where Elasticsearch answers; empty where there is none."""
        if "elasticsearch" in self.members:
            return f"http://127.0.0.1:{self.members['elasticsearch'].port}"
        return self._record.external

    @property
    def checkout(self) -> str:
        """The checkout that brought it up; empty: none did, or a version that did not write that down."""
        try:
            return (self.folder / _CHECKOUT).read_text()
        except OSError:
            return ""

    def status(self) -> dict[str, Any]:
        """Everything about it, as plain values."""
        members = self.members
        known = mesos.registered(members["master"]) if "master" in members else set()
        rows = [
            {
                "name": name,
                "alive": member.alive(),
                "registered": name in known if member.is_agent else None,
                "pid": member.pid,
                "port": member.port,
                "log": member.log,
                **member.extra,
            }
            for name, member in members.items()
        ]
        return {
            "folder": str(self.folder),
            "checkout": self.checkout,
            "running": self._record.complete and all(row["alive"] and row["registered"] is not False for row in rows),
            "master": self.master_url if "master" in members else "",
            "webui": f"http://{self.master_address}" if "master" in members else "",
            "elasticsearch": self.elasticsearch_url,
            "zookeeper": self.zookeeper_address,
            "launcher": self.launcher,
            "members": rows,
        }

    # ------------------------------------------------------------------ up and down

    def up(
        self,
        agents: Union[int, Sequence[str]] = 3,
        elasticsearch_: Union[bool, str] = False,
        zookeeper_: bool = False,
        webui: Optional[str] = None,
        attributes: str = ATTRIBUTES,
        heap: str = "512m",
        launcher: Optional[str] = None,
        credentials: Optional[str] = None,
        ports: Optional[str] = None,
        jvm: str = elasticsearch.JVM,
        network: mesos.Network = mesos.LOOPBACK,
        tokens: bool = True,
        users: Optional[Mapping[str, elasticsearch.User]] = None,
    ) -> Cluster:
        """Bring it up and wait until all of it answers.

        ``agents``: how many (hlt01, hlt02, ...), or their names. ``elasticsearch_``: True for one of our own, or the
        URL of another's. ``launcher``: linux or posix, else the best that this machine allows. ``credentials``:
        Mesos' own JSON file of principals and secrets; frameworks must then be one of these. ``ports``: what each new
        agent offers, as FIRST-LAST; else some of its own, because they share the machine's. ``webui``: a folder with
        another web page than ours. ``jvm``: options of Elasticsearch's JVM, empty for the server as it is delivered.
        ``users``: an Elasticsearch with its security on, which knows these and can be told of more. ``network``: where it is not
        all on loopback. ``tokens``: whether new agents know their executors by tokens (Mesos'
        --authenticate_http_executors). A cluster that is up is left as it is; what has died of it is started again,
        what it lacks is added. Raises `ClusterError`; a new cluster that can't come up is taken down, its logs stay.
        """
        names = [f"hlt{n:02d}" for n in range(1, agents + 1)] if isinstance(agents, int) else list(agents)
        search = elasticsearch_ is True
        layout = _Layout(
            names, search, zookeeper_, webui, attributes, heap, credentials, ports, jvm, network, tokens, users or {}
        )
        mesos.check(self.folder, names, attributes, ports)
        if isinstance(elasticsearch_, str):
            elasticsearch.check_answers(elasticsearch_)
        with self._locked():
            if self.id and not self._record.complete:
                self.say("the last `up` was cut off: clearing it away")
                self._clear()
            if self.id and zookeeper_ and not self.zookeeper_address:
                raise ClusterError(
                    "this cluster is up without ZooKeeper, its agents know no other way: daqcluster down"
                )
            if "elasticsearch" in self.members and isinstance(elasticsearch_, str):
                raise ClusterError("this cluster is up with an Elasticsearch of its own: daqcluster down")
            new = not self.id
            try:
                if new:
                    self._record.id, self._record.launcher = secrets.token_hex(4), launcher or containers.launcher()
                    self._record.write(self._file)
                    (self.folder / _CHECKOUT).parent.mkdir(exist_ok=True)
                    (self.folder / _CHECKOUT).write_text(own_checkout())
                    shutil.rmtree(self.folder / "logs", ignore_errors=True)
                (self.folder / "logs").mkdir(parents=True, exist_ok=True)
                if isinstance(elasticsearch_, str):
                    self._record.external = elasticsearch_
                self._up(layout)
            except BaseException:
                # whatever it was, also Ctrl-C: half a cluster is of no use; its logs are
                if new:
                    self._clear()
                    self._remove_if_empty(self.folder / "logs", self.folder)
                raise
        return self

    def _up(self, layout: _Layout) -> None:
        wanted = set(self.members) | layout.members
        missing = {name for name in wanted if name not in self.members or not self.members[name].alive()}
        if missing and not self._record.complete:
            self.say(
                f"starting {len(missing)} server{'s' * (len(missing) > 1)}; containers by the {self.launcher} launcher"
            )
        elif missing:
            self.say(f"starting what is not there: {', '.join(sorted(missing))}")
        with software.homes(missing, self.say, bool(layout.users)) as home:
            # first what takes longest to start, then what others need to start
            if "elasticsearch" in missing:
                self._begin("elasticsearch", lambda: self._elasticsearch(home("elasticsearch"), layout))
            if "zookeeper" in missing:
                self._begin("zookeeper", lambda: self._zookeeper(home("zookeeper")))
            if "zookeeper" in wanted:
                readiness.zookeeper_answers(self.members, self.say)
            if "master" in missing:
                self._begin("master", partial(self._master, home("mesos"), layout))
            readiness.master_leads(self.members, self.say)
            agents = [*self.agents, *(name for name in layout.names if name not in self.members)]
            for name in agents:
                if name in missing:
                    self._begin(name, partial(self._agent, home("mesos"), name, layout))
            readiness.agents_answer(self.members, agents, self.say)
            if "elasticsearch" in wanted:
                readiness.elasticsearch_answers(self.members, self.say)
        self._record.complete = True
        self._record.write(self._file)

    def _elasticsearch(self, home: Path, layout: _Layout) -> Member:
        folder = self.folder / "work" / "elasticsearch"
        if os.geteuid() == 0:
            # its account must be able to come there, and our folder may be root's own
            folder = Path("/var/tmp") / f"daqcluster-{self.id}-elasticsearch"
            self._record.folders.append(str(folder))
            self._record.write(self._file)
        folder.mkdir(parents=True, exist_ok=True)
        port = free_port()
        settings = elasticsearch.settings("n1", folder, port, free_port(), bool(layout.users))
        argv, env = elasticsearch.command(home, folder, settings, layout.heap, layout.jvm, layout.users)
        return Member("elasticsearch", argv, env, self._log("elasticsearch"), port)

    def _zookeeper(self, home: Path) -> Member:
        port = free_port()
        argv = zookeeper.command(home, self.folder / "work" / "zookeeper", port)
        return Member("zookeeper", argv, {}, self._log("zookeeper"), port)

    def _master(self, home: Path, layout: _Layout) -> Member:
        return mesos.master(home, self.folder, free_port(), layout.webui, layout.credentials, layout.network)

    def _agent(self, home: Path, name: str, layout: _Layout) -> Member:
        return mesos.agent(
            home,
            self.folder,
            self.id,
            name,
            free_port(),
            self.master_url,
            self.launcher,
            layout.attributes,
            layout.ports or mesos.ports(len(self.agents)),
            layout.network,
            layout.tokens,
        )

    def _log(self, name: str) -> str:
        return str(self.folder / "logs" / f"{name}.log")

    def down(self, keep: bool = False) -> None:
        """End all that belongs to it, executors and their programs included, and remove what it has written (but for the
        logs, with ``keep``). A cluster that is not there is fine."""
        if not self.folder.parent.is_dir():
            return
        with self._locked():
            self._clear()
            if not keep:
                shutil.rmtree(self.folder / "logs", ignore_errors=True)
            self._remove_if_empty(self.folder)

    @staticmethod
    def _remove_if_empty(*folders: Path) -> None:
        for folder in folders:
            try:
                folder.rmdir()
            except OSError:
                pass  # never made, or something of the user's is in it

    def _clear(self) -> None:
        if self.id:
            sandboxes = [Path(self.members[name].extra["work_dir"]) for name in self.agents]
            # agents first: they would start and report what is being ended
            for name in self.agents:
                self.members[name].kill(self.id)
            processes.end(
                lambda: processes.belonging(self.id, containers.processes(self.id), sandboxes), GRACE_S, DEATH_S
            )
            containers.unmount_below(self.folder / "work")
            containers.remove(self.id)
            for place in self._record.folders:
                shutil.rmtree(place, ignore_errors=True)
            for name in _OWN:
                shutil.rmtree(self.folder / name, ignore_errors=True)
        Record.remove(self._file)
        self._record = Record()

    # ------------------------------------------------------------------ hurt and mend

    def kill(self, name: str) -> None:
        """kill -9 of a member by its pid; an agent's executors and their programs are left alone."""
        with self._locked():
            member = self._member(name)
            member.kill(self.id)
            if name == "master" and self.zookeeper_address and self.members["zookeeper"].alive():
                zookeeper.withdraw(self.members["zookeeper"].port)

    def start(self, name: str) -> None:
        """Start a member that has ended, just as it was, and wait until it answers."""
        with self._locked():
            member = self._member(name)
            if not member.alive():
                self._begin(name, lambda: member)
            if name == "elasticsearch":
                readiness.elasticsearch_answers(self.members, self.say)
            elif name == "zookeeper":
                readiness.zookeeper_answers(self.members, self.say)
            elif name == "master":
                readiness.master_leads(self.members, self.say)
            else:
                readiness.agents_answer(self.members, [name], self.say)

    def _member(self, name: str) -> Member:
        if name not in self.members:
            there = ", ".join(self.members) or "nothing: daqcluster up"
            raise ClusterError(f"there is no {name!r} in this cluster; there is {there}")
        return self.members[name]

    def _begin(self, name: str, make: Callable[[], Member]) -> None:
        """Write it down, start it, write its pid down. One that was there before is started just as it was."""
        member = self.members.get(name) or make()
        member.kill(self.id)  # what is left of it, where half of it died
        member.pid = member.started = 0
        self.members[name] = member
        self._record.write(self._file)
        member.start(self.id)
        self._record.write(self._file)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """One at a time, and on what the last one wrote."""
        with locked(self.folder, self.say):
            self._record = Record.read(self._file)
            yield
