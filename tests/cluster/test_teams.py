"""Several teams on one farm of real agents: what one does, the other's programs never notice."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from farm import Farm
from waiting import until

HLT = """
from daqsched import variable
farm = "hlt"
version = variable("version", "r1")
jobs = [Job("filter", "/bin/sh -c 'test {version} != bad || exit 3; exec sleep 100000'", hosts="hlt[01-03]", version=version)]
"""
TRK = 'jobs = [Job("tracker", "/bin/sleep 100000", hosts="hlt[01-02]")]'


@pytest.fixture
def farm(cluster: Any, tmp_path: Path) -> Iterator[Farm]:
    """A daemon of its own on the shared cluster, with two teams; every job is stopped afterwards."""
    made = Farm(tmp_path / "farm", cluster.master_url)
    made.serve()
    made.apply(HLT)
    made.apply(TRK, "--part", "trk")
    yield made
    for part in ("hlt", "trk"):
        made.run("apply", str(made.jobs("jobs = []")), "--allow-empty", "--part", part, "--no-wait")
    made.clear()


def pids(farm: Farm, job: str) -> dict[str, int]:
    return {name: row["pid"] for name, row in farm.rows(job).items()}


def test_a_part_goes_back_alone(farm: Farm) -> None:
    """By hand, and by itself at night: the other team's programs are the same processes, whatever it applied meanwhile."""
    farm.apply(HLT, "--set", "version=r2")
    farm.apply(TRK.replace("hlt[01-02]", "hlt[01-03]"), "--part", "trk")
    tracker = pids(farm, "tracker")
    assert len(tracker) == 3
    text = f'{HLT}\nfrom daqsched import Rollout\nrollout = Rollout(batches=1, ready_s=5, on_failure="rollback")'
    done = farm.apply(text, "--set", "version=bad", check=False)
    assert (
        done.returncode == 4
        and "went back in batch 1 of " in done.stderr
        and "instances changed), 1 failure, the last of filter@hlt01" in done.stderr
    )
    until(lambda: {row["release"] for row in farm.rows("filter").values()} == {"r2"}, "the release before is back")
    until(lambda: all(pids(farm, "filter").values()), "and runs")
    assert "the farm has parts (hlt, trk)" in farm.run("rollback", "1", check=False).stderr
    farm.run("rollback", "1", "--part", "hlt")
    assert {row["release"] for row in farm.rows("filter").values()} == {"r1"}
    assert pids(farm, "tracker") == tracker
    heads = json.loads(farm.run("history", "--part", "trk", "--json").stdout)
    assert [one["number"] for one in heads] == [4, 2]


def test_a_job_moves_from_one_part_to_another_without_a_restart(farm: Farm) -> None:
    """Where it says so; the daemon may be killed in between."""
    before = {**pids(farm, "filter"), **pids(farm, "tracker")}
    both = f"{HLT}\njobs += [Job('tracker', '/bin/sleep 100000', hosts='hlt[01-02]')]"
    done = farm.apply(both, check=False)
    assert done.returncode == 2 and "tracker is of part trk, not of part hlt" in done.stderr
    farm.apply(both, "--take", "tracker")
    farm.kill()
    farm.serve()
    until(lambda: {**pids(farm, "filter"), **pids(farm, "tracker")} == before, "the same processes run")
    assert {row["part"] for row in farm.rows().values()} == {"hlt"}
    done = farm.apply(TRK, "--part", "trk", check=False)
    assert done.returncode == 2 and "tracker is of part hlt, not of part trk" in done.stderr
