"""Real ZooKeepers for the tests that need no more of a cluster: one server, or three that are one ensemble."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path
from typing import Optional, Sequence

from daqcluster import zookeeper
from daqcluster.ports import free_port
from waiting import until


class Zoo:
    """A server with its data in a folder; `kill` and `start` may follow each other."""

    def __init__(self, folder: Path, ensemble: Sequence[tuple[int, int]] = (), number: int = 0) -> None:
        """Alone it answers when this returns; one of an ensemble needs a second one for that."""
        self._folder, self.port = folder, free_port()
        folder.mkdir(parents=True, exist_ok=True)
        self._argv = zookeeper.command(zookeeper.ready(print), folder, self.port, ensemble, number)
        self.process: Optional[subprocess.Popen[bytes]] = None
        self.begin()
        if not ensemble:
            self.answers()

    @property
    def servers(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """Run it until it answers."""
        self.begin()
        self.answers()

    def begin(self) -> None:
        """Run it."""
        with open(self._folder / "log", "ab") as log:
            self.process = subprocess.Popen(self._argv, stdout=log, stderr=log, start_new_session=True)

    def answers(self) -> None:
        """Wait until it serves."""
        until(lambda: zookeeper.answers(self.port), "ZooKeeper answers")

    def kill(self) -> None:
        """kill -9; what it has answered is on its disk."""
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def signal(self, what: signal.Signals) -> None:
        assert self.process is not None
        os.kill(self.process.pid, what)


class Ensemble:
    """Three servers, of which two are enough."""

    def __init__(self, folder: Path) -> None:
        ports = [(free_port(), free_port()) for _ in range(3)]
        self.members = [Zoo(folder / str(number), ports, number) for number in range(3)]
        for member in self.members:
            member.answers()

    @property
    def servers(self) -> str:
        return ",".join(member.servers for member in self.members)

    def leader(self) -> Zoo:
        """The one that the others follow."""
        return next(member for member in self.members if zookeeper.mode(member.port) == "leader")

    def end(self) -> None:
        """kill -9 of all that live."""
        for member in self.members:
            if member.process is not None and member.process.poll() is None:
                member.kill()
