"""One real ZooKeeper for the tests that need no more of a cluster."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path
from typing import Optional

from daqcluster import zookeeper
from daqcluster.ports import free_port
from waiting import until


class Zoo:
    """A server with its data in a folder; `kill` and `start` may follow each other."""

    def __init__(self, folder: Path) -> None:
        self._folder, self.port = folder, free_port()
        folder.mkdir(parents=True, exist_ok=True)
        self._argv = zookeeper.command(zookeeper.ready(print), folder, self.port)
        self.process: Optional[subprocess.Popen[bytes]] = None
        self.start()

    @property
    def servers(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """Run it until it answers."""
        with open(self._folder / "log", "ab") as log:
            self.process = subprocess.Popen(self._argv, stdout=log, stderr=log, start_new_session=True)
        until(lambda: zookeeper.answers(self.port), "ZooKeeper answers")

    def kill(self) -> None:
        """kill -9; what it has answered is on its disk."""
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def signal(self, what: signal.Signals) -> None:
        assert self.process is not None
        os.kill(self.process.pid, what)
