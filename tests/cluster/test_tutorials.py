"""The pages for a new user are followed word by word: `make run`, the first job file, an update, what breaks, `make stop`."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from daqcluster import cache
from pages import TOUR
from tutorial import Reader, Typed, steps

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty one."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def reader(home: Path) -> Iterator[Reader]:
    """What `make run` starts is ended, whatever happens."""
    environment = {"DAQSCHED_CACHE": str(cache.folder()), "DAQCLUSTER_DIR": str(home / "cluster")}
    try:
        yield Reader(ROOT, home, environment)
    finally:
        subprocess.run([ROOT / "scripts" / "stop"], env={**os.environ, **environment}, check=True, timeout=60)


_came_through: list[str] = []


@pytest.mark.parametrize("page", TOUR)
def test_a_page_is_as_it_says(page: str, reader: Reader, home: Path) -> None:
    """Each command, and what it prints; and with the first one the farm's own page is there."""
    before = TOUR[: TOUR.index(page)]
    if _came_through != list(before):
        pytest.fail(f"{before[len(_came_through)]} was not followed to its end, and {page} goes on with its farm")
    for step in steps((ROOT / "docs" / "start" / f"{page}.md").read_text(encoding="utf-8")):
        if isinstance(step, Typed) and step.command.startswith(("daqsched ", "daqcluster ")):
            assert step.printed, f"line {step.line}: what does {step.command!r} print?"
        reader.do(step)
    if not before:
        _page_is_for_who_has_the_password(home)
    _came_through.append(page)


def _page_is_for_who_has_the_password(home: Path) -> None:
    page = home / "cluster" / "serve" / "page"
    assert (page.stat().st_mode & 0o077, (page / "password").stat().st_mode & 0o077) == (0, 0)
    url = f"https://localhost:{(page / 'port').read_text().strip()}"
    daqsched = str(Path(sys.executable).with_name("daqsched"))
    asked = [daqsched, "--server", url, "--server-ca", str(page / "ca.pem"), "--user", "crew", "--password-file"]
    guessed = home / "guessed"
    guessed.write_text("guessed\n")
    guessed.chmod(0o600)
    for password, status in ((page / "password", 0), (guessed, 5)):
        command = [*asked, str(password), "status"]
        said = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert said.returncode == status, said.stderr
        assert ("readout" in said.stdout) == (status == 0)
