"""The workflow file of a forge does what .ci/run does, and may do nothing else."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent.parent
FILE = ROOT / ".github" / "workflows" / "ci.yml"


@pytest.fixture
def workflow() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(FILE.read_text())
    return found


def test_it_runs_what_ci_runs(workflow: dict[str, Any]) -> None:
    """Each command of .ci/run that is make's, and no target that is not there."""
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.M))
    runs = [step["run"] for job in workflow["jobs"].values() for step in job["steps"] if "run" in step]
    called = set(re.findall(r"^make ([\w-]+)", "\n".join(runs), re.M))
    assert called <= targets
    wanted = set(re.findall(r"\bmake ([a-z][\w-]+)", re.sub("#.*", "", (ROOT / ".ci" / "run").read_text())))
    assert wanted and wanted <= called


def test_it_may_read_and_nothing_else(workflow: dict[str, Any]) -> None:
    """No secrets, no token left for what runs, actions by their commit, an end for each job."""
    assert workflow["permissions"] == {"contents": "read"}
    assert "secrets." not in FILE.read_text()
    for job in workflow["jobs"].values():
        assert "permissions" not in job and job["timeout-minutes"] <= 90
        for step in job["steps"]:
            action = step.get("uses")
            if action is not None:
                assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", action), f"{action}: name the commit"
            if action is not None and action.startswith("actions/checkout@"):
                assert step["with"]["persist-credentials"] is False
