"""What an editor sees of a job file: every word is typed, so a wrong keyword or type is marked before anything is applied."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent

TEXT = """\
from daqsched import Container, Heartbeat, HttpCheck, Job, Logging, Resources, Restart, Stop, hosts

farm = [f"hlt{n:02d}" for n in range(1, 4)]
jobs = [
    Job("a", "/bin/a", hosts=farm, check=[HttpCheck("/", "http"), Heartbeat(5)], resources=Resources(cpus=1, ports=["http"])),
    Job("b", argv=["/bin/b"], attributes={"rack": "r1"}, after="a", actions={"x": "y", "z": ["a", "b"]}, logs=False),
    Job("c", "/bin/c", hosts=hosts("h[1-3]"), stop=Stop("INT", before=["x"]), container=Container("i", volumes=["/a:/b"])),
    Job("d", "/bin/d", hots=farm),
    Job("e", "/bin/e", hosts=farm, critical="yes"),
    Job("f", "/bin/f", hosts=farm, restart=Restart(cap="30")),
    Job("g", "/bin/g", hosts=farm, check=HttpCheck("/", 80, unhealthy="kill")),
    Job("h", "/bin/h", hosts=farm, check="true"),
]
logging = Logging(index=3)
"""


def test_a_type_checker_finds_the_wrong_words_and_no_others(tmp_path: Path) -> None:
    """mypy as an editor runs it, on the installed package and its py.typed."""
    (tmp_path / "jobs.py").write_text(TEXT)
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", "--no-error-summary", "jobs.py"],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", "MYPYPATH": f"{ROOT}/framework:{ROOT}/executor"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    found = [(int(line.split(":")[1]), line) for line in done.stdout.splitlines() if ": error:" in line]
    assert [number for number, _ in found] == [8, 9, 10, 11, 12, 14], done.stdout + done.stderr
    said = ["hots", '"critical"', '"cap"', '"unhealthy"', '"check"', '"index"']
    assert all(word in line for word, (_, line) in zip(said, found)), done.stdout


def test_the_packages_say_that_they_are_typed() -> None:
    """Without these files a type checker would not look into what is installed."""
    assert (ROOT / "framework/daqsched/py.typed").is_file() and (ROOT / "executor/daqsched_executor/py.typed").is_file()
