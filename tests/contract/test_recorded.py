"""What pages show of farms that are larger, or worse off, than one that a test brings up (`console recorded`): the command is
given the answers of such a farm, and what it prints is compared."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from daqsched.hosts import expand
from daqsched.preflight import Cell, PreflightFindings, PreflightWall
from daqsched.protocol import API, PreflightAnswer, PreflightBegun
from daqsched.serve.serving import Serving
from daqsched_executor.forward.status.report import in_words
from pages import PAGES, blocks, name, read
from tutorial import Typed, fits, typed


def answered(folder: Path, command: str, answers: dict[tuple[str, str], object]) -> str:
    """What the command prints where a daemon answers so: method and path -> the answer."""
    routes = [Route(f"{API}{path}", _gives(answer), methods=[method]) for (method, path), answer in answers.items()]
    serving = Serving(folder / "sock", "", Starlette(routes=routes))
    try:
        return subprocess.run(
            [sys.executable, "-m", "daqsched.cli", "--socket", str(folder / "sock"), *command.split()[1:]],
            env={**os.environ, "COLUMNS": "80"},
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
        ).stdout
    finally:
        serving.close()


def _gives(answer: object) -> Callable[[Request], Response]:
    return lambda request: Response(msgspec.json.encode(answer), media_type="application/json")


def preflight_of_200_hosts(folder: Path, command: str) -> str:
    """docs/operate/farm.md: two whose cvmfs has no new release yet, two that are silent."""
    (folder / "jobs.py").write_text(
        "from daqsched import Job\n"
        'jobs = [Job("readout", "/bin/a", hosts="hlt[001-200]", version="release-09"),'
        ' Job("evb", "/bin/b", hosts="hlt[001-200]", version="release-08")]\n'
    )
    missing = "/cvmfs/daq.example.org/release-09 is missing: is the version published?"
    silent = "no offer from its host: is its agent up, or nothing free on it?"
    evb, readout = Cell(("evb",), "release-08"), Cell(("readout",), "release-09")
    wall = (
        PreflightWall(expand("hlt[001-196]"), "ok", (evb, readout)),
        PreflightWall(expand("hlt[197-198]"), "silent", (), silent),
        PreflightWall(expand("hlt[199-200]"), "bad", (evb, Cell(("readout",), "release-09", missing))),
    )
    answer = PreflightFindings(True, {"ok": 196, "silent": 2, "bad": 2}, wall)
    answers: dict[tuple[str, str], object] = {
        ("POST", "/preflight"): PreflightBegun("27f5abf1", 200),
        ("GET", "/preflight/27f5abf1"): PreflightAnswer(1, answer),
    }
    return answered(folder, command, answers)


def a_forwarder_in_trouble(folder: Path, command: str) -> str:
    """docs/reference/forwarder.md: Elasticsearch is away for three minutes."""
    now = 1_795_403_721.0
    state = {
        "pid": 4711,
        "time": now - 1.2,
        "read": 1_204_331,
        "stored": 1_203_907,
        "dead": 3,
        "under_way": 421,
        "waiting_bytes": 43_515_904,
        "waiting_since": now - 200,
        "troubles": [
            {
                "about": "unreachable",
                "since": now - 198,
                "sentence": "http://es1:9200 does not answer: [Errno 111] Connection refused; lines wait on disk",
            }
        ],
    }
    return "\n".join(in_words(state, command.split()[-1], True, now))


#: Page, and command -> what prints it.
RECORDED: dict[tuple[str, str], Callable[[Path, str], str]] = {
    ("docs/operate/farm.md", "daqsched preflight jobs.py"): preflight_of_200_hosts,
    (
        "docs/reference/forwarder.md",
        "daqsched-executor forward --status --spool /var/lib/mesos/daqsched",
    ): a_forwarder_in_trouble,
}
SHOWN: dict[tuple[str, str], Typed] = {
    (name(page), step.command): step
    for page in PAGES
    for block in blocks(read(page))
    if (block.kind, block.what) == ("console", "recorded")
    for step in typed(block)
}


def test_every_recorded_command_has_a_record() -> None:
    """And every record a page that shows it."""
    assert set(SHOWN) == set(RECORDED)


@pytest.mark.parametrize("shown", RECORDED, ids=lambda shown: shown[0])
def test_a_farm_that_answers_so_is_shown_so(shown: tuple[str, str], tmp_path: Path) -> None:
    """The real command, with a daemon that gives the recorded answers; or what words a status file."""
    said = RECORDED[shown](tmp_path, shown[1])
    assert fits(SHOWN[shown].printed, said), said
