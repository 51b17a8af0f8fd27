"""Who may do what, with accounts of the machine: a daemon of root's, a crew that is somebody else, a job on a real agent."""

from __future__ import annotations

import grp
import os
import pwd
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from farm import Farm
from waiting import until

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")

JOBS = """
jobs = [Job("readout", "/bin/sleep 100000", hosts="hlt01", owner="trigger",
            actions={"dump": "/bin/echo dumped", "wipe": "/bin/echo wiped"}, shifter_actions=["dump"])]
"""
RIGHTS = """
version: 1
rules:
  - {to: unix:nobody, role: ROLE}
"""


#: A command of an account's, as the socket sees it (SO_PEERCRED: the effective one). Files it reads as root: our Python may be in
#: a folder of root's.
SOMEBODY = """
import ctypes, os
os.setgroups([])
os.setresgid({gid}, {gid}, {gid})
os.setresuid({uid}, {uid}, 0)
ctypes.CDLL(None).setfsuid(0)
from daqsched.cli import main
main()
"""


class Crew:
    """The account nobody, whose role the test gives."""

    def __init__(self, farm: Farm, folder: Path) -> None:
        self.farm, self.file = farm, folder / "rights.yaml"
        self.account = pwd.getpwnam("nobody")
        self.env = {**farm.env, "DAQSCHED_SOCKET": str(folder / "door" / "s"), "HOME": "/"}

    def become(self, role: str) -> None:
        """By the file, which the daemon reads again."""
        self.file.write_text(RIGHTS.replace("ROLE", role))
        os.chmod(self.file, 0o600)
        verb = {"viewer": "act", "shifter": "act-any"}[role]
        until(lambda: self.run("rights", "why", "-", verb).returncode == 5, f"nobody is a {role}")
        may = {"viewer": "see", "shifter": "act"}[role]
        until(lambda: self.run("rights", "why", "-", may).returncode == 0, f"nobody is a {role}")

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        uid, gid = self.account.pw_uid, self.account.pw_gid
        program = SOMEBODY.format(uid=uid, gid=gid)
        command = [sys.executable, "-c", program, *words]
        return subprocess.run(command, env=self.env, capture_output=True, text=True, timeout=120, cwd="/")


@pytest.fixture(scope="module")
def crew(cluster: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crew]:
    """What runs is root's; nobody is in the group of the socket."""
    folder = tmp_path_factory.mktemp("roles")
    with tempfile.TemporaryDirectory(prefix="roles") as public:  # where others than root get to
        os.chmod(public, 0o755)
        farm = Farm(folder, cluster.master_url)
        made = Crew(farm, Path(public))
        farm.env["DAQSCHED_SOCKET"] = made.env["DAQSCHED_SOCKET"]
        made.file.write_text(RIGHTS.replace("ROLE", "viewer"))
        os.chmod(made.file, 0o600)
        farm.serve("--rights", str(made.file), "--group", grp.getgrgid(made.account.pw_gid).gr_name)
        try:
            farm.apply(JOBS)
            yield made
        finally:
            farm.clear()


def test_a_shifter_runs_the_actions_that_are_for_shifters(crew: Crew) -> None:
    """And no other; a viewer none."""
    crew.become("shifter")
    done = crew.run("act", "readout", "dump")
    assert done.returncode == 0 and "dumped" in done.stdout, done
    done = crew.run("act", "readout", "wipe")
    assert done.returncode == 5 and "nobody may not run this action of readout@hlt01: it takes an expert" in done.stderr
    crew.become("viewer")
    assert crew.run("act", "readout", "dump").returncode == 5


def test_what_is_refused_leaves_the_program_as_it_was(crew: Crew) -> None:
    """A viewer sees it, and stops, restarts and changes nothing."""
    crew.become("viewer")
    pid = crew.farm.pid("readout@hlt01")
    jobs = Path(crew.env["DAQSCHED_SOCKET"]).parent.parent / "jobs.py"
    jobs.write_text(
        'from daqsched import Job\njobs = [Job("readout", "/bin/sleep 5", hosts="hlt01", owner="nobody")]\n'
    )
    assert "RUNNING" in crew.run("status").stdout
    for words in (["stop", "readout"], ["restart", "readout"], ["apply", str(jobs), "--no-wait"], ["rollback", "1"]):
        done = crew.run(*words)
        assert done.returncode == 5 and "nobody may not" in done.stderr, done
    assert crew.farm.pid("readout@hlt01") == pid
