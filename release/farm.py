"""The quickstart on a real local cluster with what was made: then an upgrade, and the way back. No job may notice.

Version by version: `serve` out of the wheels, executors out of a folder that is mounted read-only, as cvmfs would have it;
then the next version of both, both out of folders; then the first ones again, and at the end a folder is taken away.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Callable

from release.steps import ReleaseError, run, say, step

#: What dies by itself in jobs/quickstart.py; and the forwarders, whose command is the executor's own: another path is another one.
RESTLESS = ("flaky", "hang", "daqsched-forward")

#: The longest that anything here may take on a machine that is busy.
WAIT_S = 120.0


class Farm:
    """A local cluster, at most one `daqsched serve`, and the crew's command."""

    def __init__(self, folder: Path, commands: Path) -> None:
        self.folder, self.commands = folder, commands
        self._daqcluster = commands / "daqcluster"
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("DAQ", "PYTHON"))}
        self.environ = {**kept, "DAQCLUSTER_DIR": str(folder / "cluster"), "COLUMNS": "200"}
        self._process: subprocess.Popen[bytes] | None = None

    def up(self) -> None:
        """Three agents and an Elasticsearch."""
        run([self._daqcluster, "up", "--agents", "3", "--elasticsearch"], self.environ)
        for line in run([self._daqcluster, "env"], self.environ).splitlines():
            name, _, value = line.removeprefix("export ").partition("=")
            self.environ[name] = value.strip("'\"")

    def serve(self, commands: Path, executor: Path) -> None:
        """Instead of the one before."""
        self.end()
        self.commands = commands
        Path(self.environ["DAQSCHED_STATE"]).mkdir(parents=True, exist_ok=True)
        with open(self.folder / "serve.log", "ab") as log:
            argv = [str(commands / "daqsched"), "serve", "--executor", str(executor)]
            self._process = subprocess.Popen(
                argv, env=self.environ, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        self.until(self._connected, "daqsched serve is connected")

    def _connected(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise ReleaseError(f"daqsched serve has ended: {(self.folder / 'serve.log').read_text()[-2000:]}")
        try:
            return bool(self.status()["connected"])
        except ReleaseError:
            return False

    def end(self) -> None:
        """The daemon alone."""
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(30)
            self._process = None

    def down(self) -> None:
        """All of it."""
        try:
            self.end()
        finally:
            run([self._daqcluster, "down"], self.environ)

    def crew(self, *words: str | Path) -> str:
        """What the crew's command prints."""
        return run([self.commands / "daqsched", *words], self.environ, limit_s=WAIT_S * 2)

    def status(self) -> dict[str, Any]:
        """As JSON."""
        answer: dict[str, Any] = json.loads(self.crew("status", "--json"))
        return answer

    def pids(self) -> dict[str, int]:
        """Of the programs that don't die by themselves."""
        rows = {f"{row['job']}@{row['host']}": row for row in self.status()["rows"]}
        return {name: row.get("pid", 0) for name, row in sorted(rows.items()) if row["job"] not in RESTLESS}

    @staticmethod
    def until(condition: Callable[[], bool], what: str) -> None:
        """Wait; raises `ReleaseError`."""
        end = time.monotonic() + WAIT_S
        while not condition():
            if time.monotonic() > end:
                raise ReleaseError(f"waited {WAIT_S:g} s in vain: {what}")
            time.sleep(0.1)


def executor_of(pid: int) -> str:
    """The command line of the program's parent."""
    status = Path(f"/proc/{pid}/status").read_text()
    parent = next(line.split()[1] for line in status.splitlines() if line.startswith("PPid:"))
    return Path(f"/proc/{parent}/cmdline").read_bytes().replace(b"\0", b" ").decode()


@contextmanager
def read_only(folder: Path, place: Path) -> Iterator[Path]:
    """The folder mounted there, where nobody can write; for another account than root a link."""
    if os.geteuid() != 0:
        place.symlink_to(folder)
        say("not root: the folder is not mounted read-only")
        yield place
        return
    place.mkdir()
    run(["mount", "--bind", folder, place])
    try:
        run(["mount", "-o", "remount,bind,ro", place])
        yield place
    finally:
        run(["umount", "--lazy", place])


def quickstart(
    folder: Path,
    jobs: Path,
    wheels: Path,
    executors: Path,
    later: Path,
    later_executors: Path,
    versions: tuple[str, str],
) -> None:
    """``wheels``, ``later``: folders with the commands of this version and the next; ``executors``: folders of executors."""
    folder.mkdir()
    shutil.copytree(jobs, folder / "jobs")
    farm = Farm(folder, wheels)
    job_file = folder / "jobs" / "quickstart.py"
    with read_only(executors, folder / versions[0]) as one, read_only(later_executors, folder / versions[1]) as two:
        try:
            with step("the quickstart runs on a local cluster, with executors out of a read-only folder"):
                farm.up()
                farm.serve(wheels, one / "bin" / "daqsched-executor")
                farm.crew("apply", job_file)
                before = farm.pids()
                _all(before, one)
                farm.until(
                    lambda: "event" in farm.crew("logs", "readout", "--since", "1h"), "lines are in Elasticsearch"
                )
            with step(f"serve {versions[0]} was replaced by {versions[1]}: {len(before)} programs keep their pids"):
                farm.serve(later, two / "bin" / "daqsched-executor")
                _same(farm, before)
                _all(before, one)
            with step("what is started anew has the later executor, beside the earlier one"):
                farm.crew("stop", "readout@hlt01", "-m", "trial")
                farm.until(lambda: not farm.pids()["readout@hlt01"], "readout@hlt01 has ended")
                farm.crew("start", "readout@hlt01")
                farm.until(lambda: farm.pids()["readout@hlt01"] > 0, "readout@hlt01 runs")
                mixed = farm.pids()
                assert {name for name in before if before[name] != mixed[name]} == {"readout@hlt01"}
                _all({"readout@hlt01": mixed["readout@hlt01"]}, two)
            with step(f"back to {versions[0]}: no program notices"):
                farm.serve(wheels, one / "bin" / "daqsched-executor")
                _same(farm, mixed)
        except BaseException:
            farm.down()
            raise
    try:
        with step("both folders were taken away: what runs goes on, and is restarted in place"):
            _same(farm, mixed)
            os.kill(mixed["nsmd2@hlt02"], signal.SIGKILL)
            farm.until(lambda: farm.pids()["nsmd2@hlt02"] not in (0, mixed["nsmd2@hlt02"]), "nsmd2@hlt02 is back")
    finally:
        farm.down()


def _same(farm: Farm, before: dict[str, int]) -> None:
    """Raises `ReleaseError` where a program was restarted."""
    farm.until(lambda: all(farm.pids().values()), "all is known again")
    now = farm.pids()
    if now != before:
        raise ReleaseError(f"programs were restarted: {before} became {now}")


def _all(pids: dict[str, int], place: Path) -> None:
    """Raises `ReleaseError` where an executor is not out of this folder."""
    for name, pid in pids.items():
        if str(place / "bin" / "daqsched-executor") not in executor_of(pid):
            raise ReleaseError(f"{name} has another executor than {place}'s: {executor_of(pid)}")
