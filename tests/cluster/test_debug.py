"""The bundle for whoever is asked for help, the logbook and a restart that waits, on real agents."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from farm import Farm
from waiting import until

CANARY = "canary-5ce7"

JOBS = f"""
jobs = [
    Job("plain", "/bin/sleep 100000", hosts="hlt[01-02]"),
    Job("dies", argv=["/bin/sh", "-c", "echo no access with $TOKEN >&2; exit 3"], hosts="hlt03", env={{"TOKEN": "{CANARY}"}},
        restart=Restart(delay_s=300, cap_s=300)),
]
"""


@pytest.fixture(scope="module")
def farm(cluster: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Farm]:
    """The jobs, applied; one of them dies all the time, and prints its secret."""
    made = Farm(tmp_path_factory.mktemp("debug") / "farm", cluster.master_url)
    made.serve()
    made.apply(JOBS, "--no-wait")
    until(lambda: list(made.states().values()).count("RUNNING") == 2, "two run")
    until(lambda: made.states()["dies@hlt03"] == "BACKOFF", "one backs off")
    yield made
    made.clear()


def test_a_restart_that_waits_ends_when_all_runs_anew(farm: Farm) -> None:
    """One host after the other, and each program is another one."""
    before = {name: row["pid"] for name, row in farm.rows("plain").items()}
    found = farm.run("restart", "plain", "--wait")
    assert "All 2 running" in found.stdout
    rows = farm.rows("plain")
    assert {row["state"] for row in rows.values()} == {"RUNNING"}
    assert all(rows[name]["pid"] != pid for name, pid in before.items())


def test_a_note_is_in_history_among_lines_and_after_a_restart_of_the_daemon(farm: Farm) -> None:
    """Out of the sandboxes, too: no Elasticsearch is asked for it."""
    farm.run("note", "beam is back")
    farm.kill()
    farm.serve()
    assert "beam is back" in farm.run("history").stdout and "beam is back" in farm.run("note").stdout
    found = farm.run("logs", "--sandbox", "--stream", "note", "--grep", "BEAM").stdout
    assert " - note # " in found and found.endswith(": beam is back\n")
    assert (
        "beam is back" in farm.run("logs", "--sandbox").stdout and "no access" in farm.run("logs", "--sandbox").stdout
    )


def test_the_bundle_has_what_helps_and_no_secret(farm: Farm, tmp_path: Path) -> None:
    """The executor's log of what dies, out of its sandbox; an agent that keeps no log is told of."""
    found = farm.run("debug", str(tmp_path / "b.tar.gz"))
    with tarfile.open(tmp_path / "b.tar.gz") as archive:
        parts = {one.name.partition("/")[2]: archive.extractfile(one) for one in archive.getmembers()}
        there = {name: part.read().decode() for name, part in parts.items() if part is not None}
    assert not [name for name, text in there.items() if CANARY in text]
    (why,) = json.loads(there["why.json"])["stories"]
    assert why["job"] == "dies" and "no access with (hidden)" in there["why.json"]
    assert "exit code 3" in there["logs/executors/dies@hlt03.log"]
    assert "serves on" in there["logs/daemon.log"]
    assert "not in it: logs/agents/hlt03.log: the agent of hlt03 keeps no log file" in found.stderr
