"""Jobs that get another name or other hosts, on real agents: what they replace has ended when they start."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from farm import Farm
from waiting import until

#: Takes its time to end, and says when it has; its successor says when it starts.
COMMANDS = """
import os
folder = os.environ["MARKS"]
old = f"trap 'sleep 1; date +%s%N > {folder}/old.{{host}}; exit 0' TERM; while :; do sleep 0.1; done"
new = f"date +%s%N > {folder}/new.{{host}}; exec sleep 100000"
"""
OLD = f"""{COMMANDS}
jobs = [Job("readout", argv=["/bin/sh", "-c", old], hosts="hlt[01-02]")]
"""


@pytest.fixture
def farm(cluster: Any, tmp_path: Path) -> Iterator[Farm]:
    """A daemon of its own on the shared cluster; every job is stopped afterwards."""
    made = Farm(tmp_path / "farm", cluster.master_url)
    made.env["MARKS"] = str(made.folder)
    made.serve()
    yield made
    made.clear()


def times(farm: Farm, host: str, successor: str = "") -> tuple[int, int]:
    """When the old one ended, and when its successor started."""
    marks = (farm.folder / f"old.{host}", farm.folder / f"new.{successor or host}")
    until(lambda: all(mark.exists() and mark.read_text().strip() for mark in marks), "both have said it")
    ended, started = (int(mark.read_text()) for mark in marks)
    return ended, started


def test_replaces(farm: Farm) -> None:
    """By another name on the same hosts, and by its own on another one; the plan says so before."""
    farm.apply(OLD)
    text = f'{COMMANDS}jobs = [Job("ro", argv=["/bin/sh", "-c", new], hosts="hlt[01-02]", replaces="readout")]'
    plan = farm.run("plan", str(farm.jobs(text)), check=False)
    assert "ro on hlt[01-02] starts when readout on hlt[01-02] has ended." in plan.stdout, plan.stderr
    farm.apply(text)
    for host in ("hlt01", "hlt02"):
        ended, started = times(farm, host)
        assert ended < started, host
    # back, and then by its own name elsewhere
    farm.apply(OLD.replace("hlt[01-02]", "hlt01"))
    (farm.folder / "old.hlt01").unlink()
    moved = OLD.replace('old], hosts="hlt[01-02]"', 'new], hosts="hlt03", replaces="readout"')
    farm.apply(moved)
    ended, started = times(farm, "hlt01", "hlt03")
    assert ended < started


def test_a_plan_says_that_both_run_for_a_while_where_nothing_is_replaced(farm: Farm) -> None:
    """Under another name, and on another host."""
    farm.apply(OLD)
    for text, says in (
        (
            OLD.replace('"readout"', '"ro"'),
            "ro looks like readout by another name; ro on hlt[01-02] may run beside readout",
        ),
        (OLD.replace('"hlt[01-02]"', '"hlt[02-03]"'), "readout on hlt03 may run beside readout on hlt01 for a while"),
    ):
        assert says in farm.run("plan", str(farm.jobs(text)), check=False).stdout
