"""`make docs` makes a site of the pages, and refuses one with a link that leads nowhere."""

from __future__ import annotations

import os
import runpy
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent

pytestmark = pytest.mark.skipif(
    not (ROOT / ".venv-docs" / ".made-of").exists(), reason="scripts/docs was not called: it makes .venv-docs first"
)


def site(folder: Path, pages: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """These pages made a site as ours are."""
    for name, text in pages.items():
        (folder / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "in" / name).write_text(text)
    command = [str(ROOT / "scripts" / "docs"), str(folder / "in"), str(folder / "out")]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, env={**os.environ, "NO_COLOR": "1"})


def every(pages: dict[str, str]) -> dict[str, str]:
    """With those that the sidebar names, and one for each of its folders."""
    navigation = runpy.run_path(str(ROOT / "docs" / "conf.py"))["NAVIGATION"]
    named = [page.replace("*", "more") for section in navigation.values() for page in section]
    return {"README.md": "# Farm\n", **{f"{page}.md": f"# {page}\n" for page in named}, **pages}


def test_a_page_is_found_by_the_sidebar_and_a_browser_that_opens_the_folder_finds_the_first(tmp_path: Path) -> None:
    """Also a page that nobody has listed."""
    done = site(tmp_path, every({"docs/start/new.md": "# Quite new\n\n[there](../../README.md#farm)\n"}))
    assert done.returncode == 0, done.stdout + done.stderr
    first = (tmp_path / "out" / "index.html").read_text()
    assert 'href="docs/start/new.html">Quite new</a>' in first
    assert 'src="http' not in first, "what a page shows comes with it"


@pytest.mark.parametrize("link", ["gone.md", "jobfile.md#gone", "../gone/", "#gone"])
def test_a_link_that_leads_nowhere_is_refused(link: str, tmp_path: Path) -> None:
    """A file, a heading, a folder."""
    done = site(tmp_path, every({"docs/start/why.md": f"# Why\n\n[there]({link})\n"}))
    assert done.returncode != 0
    assert "docs/start/why.md:3: WARNING" in done.stderr, done.stderr
