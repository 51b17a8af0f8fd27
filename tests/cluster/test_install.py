"""`scripts/install`, as the documents have it on control and farm machines."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.mark.parametrize(
    ("part", "command"),
    [("daqsched", ["validate", "jobs/quickstart.py"]), ("daqsched-executor", ["forward", "--help"])],
)
def test_a_part_is_installed_with_what_the_lock_names(tmp_path: Path, part: str, command: list[str]) -> None:
    """Into a folder of its own."""
    argv = [str(ROOT / "scripts" / "install"), part, str(tmp_path / "place")]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0 and f"{part} is in" in done.stdout, done.stdout + done.stderr
    subprocess.run([str(tmp_path / "place" / "bin" / part), *command], cwd=ROOT, check=True, timeout=60)
    frozen = subprocess.run(
        [str(tmp_path / "place" / "bin" / "python"), "-m", "pip", "list", "--format=freeze"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout.split()
    lock = (ROOT / "requirements" / f"{part}.txt").read_text() + (ROOT / "requirements" / "build.txt").read_text()
    theirs = [row for row in frozen if not row.startswith(("daqsched", "http_parser", "http-parser"))]
    assert theirs and all(f"\n{row.replace('_', '-').lower()} " in lock.replace("_", "-").lower() for row in theirs)
