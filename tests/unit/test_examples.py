"""The job files that we hand out are right, and what they name is there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from daqsched.fill import payload
from daqsched.hosts import expand
from daqsched.jobfile.load import load

JOBS = Path(__file__).resolve().parent.parent.parent / "jobs"


@pytest.mark.parametrize("path", sorted(JOBS.glob("*.py")), ids=lambda path: path.name)
def test_every_example_is_a_job_file(path: Path) -> None:
    """Each instance of each job has a payload."""
    spec = load(path)
    assert all(payload(job, host, "id").argv for job in spec.jobs for host in expand(job.hosts))


@pytest.mark.parametrize("release", ["release-01", "release-02"])
def test_the_quickstart_finds_its_programs_in_both_releases(
    release: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Changing its version is the first thing that anybody tries."""
    monkeypatch.setenv("DAQSCHED_CVMFS", str(JOBS / "cvmfs"))
    path = tmp_path / "quickstart.py"
    path.write_text((JOBS / "quickstart.py").read_text().replace("release-01", release))
    for job in load(path).jobs:
        program = payload(job, "hlt01", "id").argv[0]
        assert f"/{release}/bin/" in program and os.access(program, os.X_OK), program


def test_the_realistic_farm_is_one() -> None:
    """Hundreds of instances out of a page of Python."""
    spec = load(JOBS / "belle2.py")
    assert sum(len(expand(job.hosts)) for job in spec.jobs) > 250
    assert len({job.release for job in spec.jobs}) == 1, "one variable changes the version of all"


def test_the_realistic_farm_shows_the_words() -> None:
    """It is what people copy from: most kinds of checks, an order of starts, ports that a launch chooses."""
    jobs = {job.name: job for job in load(JOBS / "belle2.py").jobs}
    kinds = {check.kind for job in jobs.values() for check in job.checks}
    assert kinds >= {"command", "heartbeat", "http", "output", "tcp"}
    assert jobs["readout"].after == ("nsmd2", "eventbuilder") and jobs["readout"].actions
    told = payload(jobs["storage"], "store01", "id", {"status": 31000})
    assert told.argv[-2:] == ("--status-port", "31000") and told.checks[0].port == 31000


@pytest.mark.parametrize("nodes", [1, 2, 3, 50])
def test_the_farm_in_machines_is_on_all_that_there_are(nodes: int) -> None:
    """However many `make vagrant` was asked for, as it says it: none waits for a host that nobody made, and none is idle."""
    spec = load(JOBS / "vagrant.py", {"hosts": f"hlt[01-{nodes:02}]"})
    there = [f"hlt{number:02}" for number in range(1, nodes + 1)]
    assert {host for job in spec.jobs for host in expand(job.hosts)} == set(there)
    assert all(payload(job, host, "id").argv for job in spec.jobs for host in expand(job.hosts))
