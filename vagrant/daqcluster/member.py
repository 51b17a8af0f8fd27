"""One process of a cluster: started with a mark that only it and its children carry, found again by it, ended by pid."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable, Iterator

from daqcluster.errors import ClusterError

#: The variable in the environment that says which cluster a process belongs to. Children inherit it, executors through
#: their agent too, so nothing is missed even if whoever started it died before it could write a pid down.
MARK = "DAQCLUSTER_ID"


@dataclass
class Member:
    """A process and what is needed to start it anew just as it was. What is in here goes into the cluster's file."""

    name: str
    argv: list[str]
    env: dict[str, str]
    log: str
    port: int
    pid: int = 0
    #: `starttime` of /proc/PID/stat (proc(5)): with the pid it names one process for ever.
    started: int = 0
    extra: dict[str, str] = field(default_factory=dict)

    def alive(self) -> bool:
        """Whether that very process runs."""
        return self.pid > 0 and start_time(self.pid) == self.started

    def start(self, mark: str) -> None:
        """Start it in a session of its own."""
        # PATH and the like are the caller's; what configures Mesos or daqsched is not
        own = {k: v for k, v in os.environ.items() if not k.startswith(("MESOS_", "LIBPROCESS_", "DAQSCHED_", "ES_"))}
        with open(self.log, "ab") as log:
            process = subprocess.Popen(
                self.argv,
                env={**own, **self.env, MARK: mark},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                cwd="/",
            )
        self.pid = process.pid
        self.started = start_time(process.pid) or 0
        # nobody waits for it: that is init's work once we are gone, and `kill` reaps it before
        process.returncode = 0

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Signal it and whatever is left of its process group (Elasticsearch's starter and server are two)."""
        if self.alive():
            try:
                os.killpg(self.pid, number)
            except ProcessLookupError:
                pass

    def tail(self) -> str:
        """The last lines of its log, for an error."""
        try:
            return " | ".join(Path(self.log).read_text(errors="replace").strip().splitlines()[-3:])
        except OSError:
            return "(no log)"


def start_time(pid: int) -> int | None:
    """When the process began, in the kernel's ticks; None where it is gone or a zombie."""
    try:
        os.waitpid(pid, os.WNOHANG)  # a child of ours that has ended
    except OSError:
        pass
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else int(fields[19])


def marked(mark: str) -> Iterator[int]:
    """The pids of all processes that carry the mark."""
    wanted = f"{MARK}={mark}".encode()
    for entry in os.listdir("/proc"):
        if entry.isdigit() and int(entry) != os.getpid():
            try:
                if (
                    wanted in Path(f"/proc/{entry}/environ").read_bytes().split(b"\0")
                    and start_time(int(entry)) is not None
                ):
                    yield int(entry)
            except OSError:
                continue


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def until(condition: Callable[[], bool], what: str, members: list[Member], limit_s: float) -> None:
    """Wait; raise `ClusterError` when the time is over or one of the members has died meanwhile."""
    deadline = time.monotonic() + limit_s
    while not condition():
        for member in members:
            if not member.alive():
                raise ClusterError(f"{member.name} has ended: {member.tail()} (its log: {member.log})")
        if time.monotonic() > deadline:
            logs = ", ".join(member.log for member in members)
            raise ClusterError(f"waited {limit_s:g} s in vain for {what}; see {logs}")
        time.sleep(0.02)
