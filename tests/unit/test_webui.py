"""What holds of the web page's files without a browser: what is in them, what is not, and whether its colours can be read."""

from __future__ import annotations

import configparser
import re
from fnmatch import fnmatch
from pathlib import Path

import pytest

from daqcluster.mesos import WEBUI

FILES = sorted(path for path in WEBUI.rglob("*") if path.is_file())
CODE = [path for path in FILES if path.suffix == ".js"]

#: What makes markup or code out of a text.
READERS = re.compile(
    r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|createContextualFragment|srcdoc|\beval\b|new Function"
    r"|setTimeout\(\s*[\"'`]|setInterval\(\s*[\"'`]|javascript:|\.on\w+\s*=\s*[\"'`]"
)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_file_of_the_page_is_small_and_loads_nothing_from_elsewhere(path: Path) -> None:
    """The only addresses in it are relative, but for the name of SVG's elements and what sentences speak of."""
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) < 300
    assert not READERS.search(text), READERS.search(text)
    assert not re.search(r"(?:src|href|url|import|from|fetch)\W{1,3}(?:https?:)?//", text)
    assert set(re.findall(r"https?://[^\s\"'`]+", text)) <= {"http://www.w3.org/2000/svg"}
    for name in re.findall(r"""(?:from |src=|href=|src = )["'`]((?!data:|#)[^"'`#$]+)["'`#]""", text):
        base = WEBUI if not name.startswith("./") and path.parent != WEBUI and "app/" in name else path.parent
        assert (base / name).is_file(), name


def test_the_policy_is_strict() -> None:
    """It stands before anything is loaded; scripts and styles are files of the master's, markup out of texts is forbidden."""
    page = (WEBUI / "index.html").read_text()
    assert page.index("Content-Security-Policy") < page.index("<link") < page.index("<script")
    assert "unsafe" not in page and "default-src 'none'" in page and "require-trusted-types-for 'script'" in page
    assert not re.search(r"<script(?![^>]*src=)|<style|\son\w+=|style=", page)
    frame = (WEBUI / "app" / "agent.html").read_text()
    assert "default-src 'none'" in frame and "unsafe" not in frame
    assert 'sandbox: "allow-scripts",' in (WEBUI / "app" / "asking.js").read_text()


def test_all_of_it_is_in_the_package() -> None:
    """A wheel has what `package_data` names."""
    setup = configparser.ConfigParser()
    setup.read(WEBUI.parent.parent / "setup.cfg")
    named = setup["options.package_data"]["daqcluster"].split()
    for path in FILES:
        assert any(fnmatch(str(path.relative_to(WEBUI.parent)), pattern) for pattern in named), path


def _luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_colours_can_be_read(scheme: int) -> None:
    """A contrast of 4.5 to 1 for every text, in light and dark (WCAG 2, level AA)."""
    sheet = (WEBUI / "assets" / "page.css").read_text()
    blocks = re.findall(r":root \{(.*?)\}", sheet, re.S)
    colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", blocks[scheme]))
    states = [name for name in colours if f"{name}-ink" in colours]
    assert len(states) == 9
    pairs = [(name, f"{name}-ink") for name in states]
    pairs += [(back, ink) for back in ("page", "soft", "mark") for ink in ("ink", "link", "faint")]
    for back, ink in pairs:
        high, low = sorted((_luminance(colours[back]), _luminance(colours[ink])), reverse=True)
        assert (high + 0.05) / (low + 0.05) >= 4.5, (back, ink, round((high + 0.05) / (low + 0.05), 2))
