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


#: How a shell closes what a command prints to, or lets its reader go.
CLOSED = (">&-", "2>&-", "<&-", "<&- >&- 2>&-", "| true", "| head -c 1", "2>&1 >/dev/null | true", "2>&1 | true")


@pytest.mark.parametrize(
    ("words", "status"),
    [
        ("validate jobs.py", 0),
        ("show many.py", 0),
        ("apply --help", 0),
        ("--version", 0),
        ("validate none.py", 2),
        ("no-such-command", 2),
        ("status --wide", 3),
    ],
)
def test_who_does_not_read_changes_no_exit_status(tmp_path: Path, words: str, status: int) -> None:
    """Closed from the beginning, or a reader that has had enough: no trace, and the status tells what became of it."""
    (tmp_path / "jobs.py").write_text("from daqsched import Job\njobs = [Job('a', 'sleep 1', hosts='h')]\n")
    (tmp_path / "many.py").write_text(
        "from daqsched import Job\njobs = [Job(f'a{n}', 'sleep ' + 'x' * 2000, hosts='h') for n in range(50)]\n"
    )
    command = f"{sys.executable} -m daqsched.cli --socket {tmp_path}/none {words}"
    shell = "".join(f"{command} {how}\necho status ${{PIPESTATUS[0]}} >&9\n" for how in CLOSED)
    done = subprocess.run(
        ["bash", "-c", f"exec 9>statuses\n{shell}"], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert (tmp_path / "statuses").read_text().split()[1::2] == [str(status)] * len(CLOSED)
    assert "Traceback" not in done.stderr and "Broken pipe" not in done.stderr
