"""The kernel's groups that agents and engines leave (`daqcluster.containers`): found, thawed, removed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from children import child
from daqcluster import containers, processes


@pytest.fixture
def group() -> Iterator[Path]:
    """One of the freezer's, with one below it."""
    root = containers.CGROUPS / "freezer" / f"daqcluster-test-{os.getpid()}"
    try:
        (root / "inner").mkdir(parents=True)
    except OSError as error:
        pytest.skip(f"no cgroups of the first kind to write to: {error}")
    if not (root / "freezer.state").exists():
        pytest.skip("no cgroups of the first kind")
    yield root
    containers.remove_groups([root])


def test_what_an_interrupted_agent_has_frozen_can_be_ended(group: Path) -> None:
    """A frozen process dies of no signal; whoever looks for it thaws it. The groups go, also one that is there no more."""
    with child(["sleep", "600"]) as sleeper:
        (group / "inner" / "cgroup.procs").write_text(str(sleeper.pid))
        (group / "inner" / "freezer.state").write_text("FROZEN")
        processes.end(lambda: containers.pids([group]) & {sleeper.pid}, 0.0, 10.0)
        sleeper.wait(10)
    assert containers.pids([group]) == set()
    containers.remove_groups([group, group / "never"])
    assert not group.exists()
    assert containers.groups(group) == []
