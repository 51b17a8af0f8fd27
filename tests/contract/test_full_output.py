"""Commands whose output nobody has room for."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize("words", ["--help", "validate jobs.py", "validate --json jobs.py", "show jobs.py", "schema"])
def test_a_full_disk_is_a_sentence(tmp_path: Path, words: str) -> None:
    """``daqsched status > FILE``, for one, and not what the code does then."""
    (tmp_path / "jobs.py").write_text("from daqsched import Job\njobs = [Job('a', 'sleep 1', hosts='h')]\n")
    command = [sys.executable, "-m", "daqsched.cli", *words.split()]
    with open("/dev/full", "wb", buffering=0) as full:
        done = subprocess.run(command, cwd=tmp_path, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
    assert done.returncode == 1
    assert done.stderr == "Error: what is printed can't be written: No space left on device; the farm goes on\n"


def test_a_reader_that_has_had_enough_is_no_mistake(tmp_path: Path) -> None:
    """``daqsched status | head -1``"""
    shell = f"{sys.executable} -m daqsched.cli --help | head -1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", shell], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.stdout.startswith("Usage") and not done.stderr
