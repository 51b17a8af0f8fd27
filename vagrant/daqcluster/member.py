"""One process of a cluster, and what is needed to start it anew just as it was."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from daqcluster import processes
from daqcluster.errors import ClusterError

#: What members and executors find programs in, as on a farm machine: nothing of the checkout.
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

#: What a member gets of our environment: none of the caller's virtual environment, none of its secrets.
_KEPT = ("HOME", "USER", "LOGNAME", "LANG", "TZ", "TMPDIR")

#: How long a process that was killed may take to go.
_DEATH_S = 15.0


@dataclass
class Member:
    """What is in here goes into the cluster's file."""

    name: str
    argv: list[str]
    env: dict[str, str]
    log: str
    port: int
    pid: int = 0
    #: The start time of that pid: together they name one process for ever.
    started: int = 0
    extra: dict[str, str] = field(default_factory=dict)

    @property
    def address(self) -> str:
        """Where it listens."""
        return self.env.get("MESOS_IP", "127.0.0.1")

    @property
    def is_agent(self) -> bool:
        """Whether what it starts outlives it, and is not of it."""
        return "work_dir" in self.extra

    def alive(self) -> bool:
        """Whether that very process runs."""
        return self.pid > 0 and processes.start_time(self.pid) == self.started

    def start(self, cluster: str) -> None:
        """Start it in a session of its own, with the marks that lead back to it."""
        kept = {name: value for name, value in os.environ.items() if name in _KEPT or name.startswith("LC_")}
        marks = {processes.CLUSTER: cluster, processes.MEMBER: self.name}
        try:
            with open(self.log, "ab") as log:
                process = subprocess.Popen(
                    self.argv,
                    env={"PATH": SYSTEM_PATH, **kept, **self.env, **marks},
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                    cwd="/",
                )
        except OSError as error:
            # the cache was emptied, a Java replaced
            raise ClusterError(
                f"{self.name} can't be started: {error.filename}: {error.strerror}; daqcluster down, then up"
            ) from error
        self.pid = process.pid
        self.started = processes.start_time(process.pid) or 0
        process.returncode = 0  # nobody waits for it: that is init's work once we are gone, and `start_time`'s before

    def remains(self, cluster: str) -> set[int]:
        """Its processes, also of a start whose pid nobody lived to write down; an agent's executors are not of it: they
        outlive it."""
        found = processes.marked(cluster, self.name)
        if self.is_agent:
            return {pid for pid in found if pid == self.pid or self._leads(pid)}
        return found

    def _leads(self, pid: int) -> bool:
        try:
            return os.getsid(pid) == pid and processes.program(pid) == self.argv[-1]
        except OSError:
            return False

    def kill(self, cluster: str) -> None:
        """kill -9, and wait until it has gone."""
        processes.end(lambda: self.remains(cluster), 0.0, _DEATH_S)

    def tail(self) -> str:
        """The last lines of its log, for an error."""
        try:
            return " | ".join(Path(self.log).read_text(errors="replace").strip().splitlines()[-3:])
        except OSError:
            return "(no log)"
