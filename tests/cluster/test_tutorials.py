"""The pages for a new user are followed word by word: `make run`, the first job file, an update, what breaks, `make stop`."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from daqcluster import cache
from pages import TOUR
from tutorial import Reader, Typed, steps

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    """One with an empty home; what `make run` starts is ended, whatever happens."""
    home = tmp_path_factory.mktemp("home")
    environment = {"DAQSCHED_CACHE": str(cache.folder()), "DAQCLUSTER_DIR": str(home / "cluster")}
    try:
        yield Reader(ROOT, home, environment)
    finally:
        subprocess.run([ROOT / "scripts" / "stop"], env={**os.environ, **environment}, check=True, timeout=60)


_came_through: list[str] = []


@pytest.mark.parametrize("page", TOUR)
def test_a_page_is_as_it_says(page: str, reader: Reader) -> None:
    """Each command, and what it prints."""
    before = TOUR[: TOUR.index(page)]
    if _came_through != list(before):
        pytest.fail(f"{before[len(_came_through)]} was not followed to its end, and {page} goes on with its farm")
    for step in steps((ROOT / "docs" / "start" / f"{page}.md").read_text(encoding="utf-8")):
        if isinstance(step, Typed) and step.command.startswith(("daqsched ", "daqcluster ")):
            assert step.printed, f"line {step.line}: what does {step.command!r} print?"
        reader.do(step)
    _came_through.append(page)
