"""A cluster of real servers in one folder: brought up, looked at, hurt and mended, taken down without a trace.

What is known of a cluster is in ``FOLDER/cluster.json``, written before anything that it tells of is started; and every
process carries the cluster's mark in its environment. So `Cluster.down` finds everything, also after a kill -9 of
whoever brought it up.
"""

from __future__ import annotations

import os
import secrets
import shutil
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Callable, Iterator, Mapping, Optional, Sequence, Union

from daqcluster import containers, elasticsearch, mesos, mesos_build, processes, zookeeper
from daqcluster.errors import ClusterError
from daqcluster.member import Member
from daqcluster.ports import free_port
from daqcluster.progress import Say, until
from daqcluster.record import Record, locked

#: Seconds until a member must answer: far more than any takes on a busy machine.
MESOS_S, ZOOKEEPER_S, ELASTICSEARCH_S = 60.0, 60.0, 180.0

#: How long what is told to end may take before it is killed, and how long that may take.
GRACE_S, DEATH_S = 1.5, 15.0

ATTRIBUTES = "hostname:{name};rack:r1"

#: What is ours in the folder. `serve` is where `daqcluster env` sends the framework's state: it means nothing without its
#: master.
_OWN = ("work", "serve")


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
        ``users``: an Elasticsearch with its security on knows these and nobody else. ``network``: where it is not all
        on loopback. ``tokens``: whether new agents know their executors by tokens (Mesos'
        --authenticate_http_executors). A cluster that is up is left as it is; what has died of it is started again,
        what it lacks is added. Raises `ClusterError`; a new cluster that can't come up is taken down, its logs stay.
        """
        names = [f"hlt{n:02d}" for n in range(1, agents + 1)] if isinstance(agents, int) else list(agents)
        mesos.check(self.folder, names, attributes, ports)
        if isinstance(elasticsearch_, str):
            elasticsearch.check_answers(elasticsearch_)
        with self._locked():
            if self.id and not self._record.complete:
                self._say("the last `up` was cut off: clearing it away")
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
                    shutil.rmtree(self.folder / "logs", ignore_errors=True)
                (self.folder / "logs").mkdir(parents=True, exist_ok=True)
                if isinstance(elasticsearch_, str):
                    self._record.external = elasticsearch_
                self._up(
                    names,
                    elasticsearch_ is True,
                    zookeeper_,
                    webui,
                    attributes,
                    heap,
                    credentials,
                    ports,
                    jvm,
                    network,
                    tokens,
                    users or {},
                )
            except BaseException:
                # whatever it was, also Ctrl-C: half a cluster is of no use; its logs are
                if new:
                    self._clear()
                    self._remove_if_empty(self.folder / "logs", self.folder)
                raise
        return self

    def _up(
        self,
        names: list[str],
        search: bool,
        keeper: bool,
        webui: Optional[str],
        attributes: str,
        heap: str,
        credentials: Optional[str],
        ports: Optional[str],
        jvm: str,
        network: mesos.Network,
        tokens: bool,
        users: Mapping[str, elasticsearch.User],
    ) -> None:
        wanted = set(self.members) | {"master", *names}
        wanted |= {"elasticsearch"} if search else set()
        wanted |= {"zookeeper"} if keeper else set()
        missing = {name for name in wanted if name not in self.members or not self.members[name].alive()}
        if missing and not self._record.complete:
            self._say(
                f"starting {len(missing)} server{'s' * (len(missing) > 1)}; containers by the {self.launcher} launcher"
            )
        elif missing:
            self._say(f"starting what is not there: {', '.join(sorted(missing))}")
        with self._homes(missing) as home:
            # first what takes longest to start, then what others need to start
            if "elasticsearch" in missing:
                self._begin("elasticsearch", lambda: self._elasticsearch(home("elasticsearch"), heap, jvm, users))
            if "zookeeper" in missing:
                self._begin("zookeeper", lambda: self._zookeeper(home("zookeeper")))
            if "zookeeper" in wanted:
                self._wait_zookeeper()
            if "master" in missing:
                launchers = home("mesos")
                self._begin(
                    "master", lambda: mesos.master(launchers, self.folder, free_port(), webui, credentials, network)
                )
            self._wait_master()
            agents = [*self.agents, *(name for name in names if name not in self.members)]
            for name in agents:
                if name in missing:
                    self._begin(name, partial(self._agent, home("mesos"), name, attributes, ports, network, tokens))
            self._wait_agents(agents)
            if "elasticsearch" in wanted:
                self._wait_elasticsearch()
        self._record.complete = True
        self._record.write(self._file)

    def fetch(self, *parts: str) -> None:
        """Have what members are made of in the cache (``mesos``, ``elasticsearch``, ``zookeeper``; all without a name), so that
        `up` only starts them."""
        every = parts or ("mesos", "elasticsearch", "zookeeper")
        with self._homes(set(every)) as home:
            for part in every:
                home(part)

    @contextmanager
    def _homes(self, missing: set[str]) -> Iterator[Callable[[str], Path]]:
        """What must be fetched and built for the missing, all at once: who asks for a part's folder waits for that part, so
        that one can start while another is built."""
        kinds = {name if name in ("elasticsearch", "zookeeper") else "mesos" for name in missing}
        parts = {"mesos": mesos_build, "elasticsearch": elasticsearch, "zookeeper": zookeeper}
        lacking = {package for kind in kinds for package in parts[kind].lacks()}
        if lacking:
            raise ClusterError(f"something is missing on this machine: apt-get install {' '.join(sorted(lacking))}")
        with ThreadPoolExecutor(len(parts)) as pool:
            made: dict[str, Future[Path]] = {kind: pool.submit(parts[kind].ready, self._say) for kind in kinds}
            yield lambda kind: made[kind].result()

    def _elasticsearch(self, home: Path, heap: str, jvm: str, users: Mapping[str, elasticsearch.User]) -> Member:
        folder = self.folder / "work" / "elasticsearch"
        if os.geteuid() == 0:
            # its account must be able to come there, and our folder may be root's own
            folder = Path("/var/tmp") / f"daqcluster-{self.id}-elasticsearch"
            self._record.folders.append(str(folder))
            self._record.write(self._file)
        folder.mkdir(parents=True, exist_ok=True)
        port = free_port()
        argv, env = elasticsearch.command(
            home, folder, elasticsearch.settings("n1", folder, port, free_port(), bool(users)), heap, jvm, users
        )
        return Member("elasticsearch", argv, env, self._log("elasticsearch"), port)

    def _zookeeper(self, home: Path) -> Member:
        port = free_port()
        argv = zookeeper.command(home, self.folder / "work" / "zookeeper", port)
        return Member("zookeeper", argv, {}, self._log("zookeeper"), port)

    def _agent(
        self, home: Path, name: str, attributes: str, ports: Optional[str], network: mesos.Network, tokens: bool
    ) -> Member:
        return mesos.agent(
            home,
            self.folder,
            self.id,
            name,
            free_port(),
            self.master_url,
            self.launcher,
            attributes,
            ports or mesos.ports(len(self.agents)),
            network,
            tokens,
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
            for part in _OWN:
                shutil.rmtree(self.folder / part, ignore_errors=True)
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

    def _begin(self, name: str, make: Callable[[], Member]) -> None:
        """Write it down, start it, write its pid down. One that was there before is started just as it was."""
        member = self.members.get(name) or make()
        member.kill(self.id)  # what is left of it, where half of it died
        member.pid = member.started = 0
        self.members[name] = member
        self._record.write(self._file)
        member.start(self.id)
        self._record.write(self._file)

    # ------------------------------------------------------------------ waiting

    def _wait_master(self) -> None:
        member = self.members["master"]
        self._until(lambda: mesos.leads(member) is not None, "the master", [member], MESOS_S)
        state = mesos.leads(member)
        if self.zookeeper_address and state is not None:
            zookeeper.announce(self.members["zookeeper"].port, state)

    def _wait_agents(self, names: Sequence[str]) -> None:
        master = self.members["master"]
        members = [self.members[name] for name in names]

        def ready() -> bool:
            # the master may still count one as active that has died: both have to say so
            return set(names) <= mesos.registered(master) and all(map(mesos.agent_answers, members))

        self._until(ready, f"the agents {', '.join(names)}", members, MESOS_S)

    def _wait_elasticsearch(self) -> None:
        member = self.members["elasticsearch"]

        self._until(lambda: elasticsearch.well(member.port), "Elasticsearch (5 to 15 s)", [member], ELASTICSEARCH_S)

    def _wait_zookeeper(self) -> None:
        member = self.members["zookeeper"]
        self._until(lambda: zookeeper.answers(member.port), "ZooKeeper", [member], ZOOKEEPER_S)

    def _until(self, condition: Callable[[], bool], what: str, members: list[Member], limit_s: float) -> None:
        def check() -> None:
            for member in members:
                if not member.alive():
                    raise ClusterError(f"{member.name} has ended: {member.tail()} (its log: {member.log})")

        try:
            until(condition, what, limit_s, self._say, check)
        except TimeoutError as error:
            logs = ", ".join(member.log for member in members)
            raise ClusterError(f"{error}; see {logs}") from None

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """One at a time, and on what the last one wrote."""
        with locked(self.folder, self._say):
            self._record = Record.read(self._file)
            yield
