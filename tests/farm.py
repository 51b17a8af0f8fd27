"""A `daqsched serve` on a local cluster, and the crew's commands as the crew runs them, as processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Optional, Union

import msgspec
from msgspec.structs import fields

import nursery
from daqcluster import Cluster
from daqsched.client import Client
from daqsched.errors import DaqschedError
from daqsched.settings import socket_path
from daqsched.views.rows import Row
from forwarding import Index
from waiting import until

#: The commands beside the interpreter that runs the tests.
BIN = nursery.BIN

#: What a row says of its own where it has nothing to say.
EMPTY = {one.name: one.default for one in fields(Row) if isinstance(one.default, (str, int, float))}


@contextmanager
def running(folder: Path, **options: Any) -> Iterator[Cluster]:
    """A cluster of a test's own, taken down whatever happens; options as for `Cluster.up`."""
    made = Cluster(folder / "cluster", print)
    try:
        yield made.up(**options)
    finally:
        made.down()


class Farm:
    """One daemon in a folder of its own, against a cluster's master."""

    def __init__(self, folder: Path, master: str, elasticsearch: str = "", index: str = "test") -> None:
        self.folder, self.master, self.elasticsearch, self.index = folder, master, elasticsearch, index
        folder.mkdir(parents=True, exist_ok=True)
        self.env = {**os.environ, "DAQSCHED_STATE": str(folder / "state"), "COLUMNS": "200"}
        self.env.pop("DAQSCHED_SOCKET", None)
        self.process: Optional[Union[subprocess.Popen[bytes], nursery.Child]] = None
        #: Whether daemon and commands are interpreters of their own: for who measures what they take.
        self.fresh = False
        #: What `serve` starts in place of `daqsched`.
        self.patched: list[str] = []

    def patch(self, statement: str) -> None:
        """Daemons that are started from now on execute this first: a time that would take a test too long is another."""
        # argv[0] is where the daemon finds its executor's command
        whole = (
            f"import sys; sys.argv[0] = {str(BIN / 'daqsched')!r}\n{statement}\nfrom daqsched.cli import main; main()"
        )
        self.patched = [sys.executable, "-c", whole]

    def serve(self, *options: str) -> None:
        """Start the daemon and wait until the master knows it."""
        words = ["serve", "--master", self.master, "--index", self.index, *options]
        if self.elasticsearch:
            words += ["--elasticsearch", self.elasticsearch]
        with open(self.folder / "serve.log", "ab") as log:
            if self.patched or self.fresh:
                command = [*(self.patched or [str(BIN / "daqsched")]), *words]
                self.process = subprocess.Popen(command, env=self.env, stdout=log, stderr=log, start_new_session=True)
            else:
                self.process = nursery.begin(words, self.env, log)
        until(lambda: self.connected() or self._ended(), "the daemon is registered")
        assert self.process.poll() is None, self.log()

    def _ended(self) -> bool:
        return self.process is not None and self.process.poll() is not None

    def connected(self) -> bool:
        """Whether a daemon answers that has a master."""
        try:
            return bool(self.status()["connected"])
        except DaqschedError:
            return False

    def log(self) -> str:
        """What the daemon said."""
        return (self.folder / "serve.log").read_text()

    def kill(self) -> None:
        """kill -9."""
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait(10)

    def end(self) -> int:
        """SIGTERM, as systemd would; returns the exit status."""
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(15)

    def run(self, *words: str, check: bool = True, timeout_s: float = 120.0) -> subprocess.CompletedProcess[str]:
        """One of the crew's commands."""
        if self.fresh:
            command = [str(BIN / "daqsched"), *words]
            done = subprocess.run(command, env=self.env, capture_output=True, text=True, timeout=timeout_s)
        else:
            done = nursery.run(words, self.env, timeout_s)
        assert not check or done.returncode == 0, (
            f"daqsched {' '.join(words)}: {done.returncode}\n{done.stdout}{done.stderr}"
        )
        return done

    def lines(self, *words: str) -> list[dict[str, Any]]:
        """What `logs --json` shows; asked again while an index that was made this moment has no shard to search yet."""
        asked: list[subprocess.CompletedProcess[str]] = []

        def whole() -> bool:
            asked.append(self.run("logs", "--json", *words, check=False))
            return asked[-1].returncode != 7 or "no_shard_available" not in asked[-1].stderr

        until(whole, "all indices can be searched")
        done = asked[-1]
        assert done.returncode == 0, done.stdout + done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    def popen(self, log: IO[bytes], *words: str) -> subprocess.Popen[bytes]:
        """One of the crew's commands, begun."""
        return subprocess.Popen([str(BIN / "daqsched"), *words], env=self.env, stdout=log, stderr=log)

    def jobs(self, text: str) -> Path:
        """A job file with this text below the import."""
        path = self.folder / "jobs.py"
        path.write_text(
            f"from daqsched import Job, JsonLines, Journal, LogFiles, Logging, Resources, Restart, Stop, Syslog\n{text}\n"
        )
        return path

    def apply(self, text: str, *options: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Write and apply a job file."""
        return self.run("apply", str(self.jobs(text)), "--timeout", "60", "--settle", "0.3", *options, check=check)

    def status(self, *select: str) -> dict[str, Any]:
        """What `status --json` prints, without a process for it: tests ask again and again."""
        client = Client(socket_path(self.env))
        try:
            found: dict[str, Any] = json.loads(msgspec.json.encode(client.status(select)))
        finally:
            client.close()
        return found

    def rows(self, *select: str) -> dict[str, dict[str, Any]]:
        """``job@host`` -> row of `status --json`, also with what is left out there because it is empty or 0."""
        return {f"{row['job']}@{row['host']}": {**EMPTY, **row} for row in self.status(*select)["rows"]}

    def pid(self, name: str, before: int = 0, timeout_s: float = 30.0) -> int:
        """The pid of the program of ``job@host`` once it runs, as another process than ``before``."""

        def found() -> int:
            pid: int = self.rows(name).get(name, {}).get("pid", 0)
            return 0 if pid == before else pid

        return until(
            found, f"{name} has a pid, another one than {before}" if before else f"{name} has a pid", timeout_s
        )

    def states(self) -> dict[str, str]:
        """``job@host`` -> state."""
        return {name: row["state"] for name, row in self.rows().items()}

    def clear(self) -> None:
        """Stop every job and wait for it, then the daemon; remove what is stored of them."""
        if self.process is None or self.process.poll() is not None:
            self.serve()
        self.run("apply", str(self.jobs("jobs = []")), "--allow-empty", "--yes")
        until(lambda: not self.rows(), "no job is left", 60.0)
        assert self.end() == 0, self.log()
        if self.elasticsearch:
            Index(self.elasticsearch, self.index).remove()
