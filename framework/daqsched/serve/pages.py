"""The pages of the web port: the files of the folder `pages` and, where that was built, of the page of the farm (`built`), by a
fixed table. The same for whoever asks, and nothing of the farm: what they show, they ask for as everybody does.

Any daemon gives its own, whether it leads or not. What is not in the table is not there; no path of a request becomes one of a
file.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Optional

from starlette.responses import Response

from daqsched.serve.web_rules import PAGE

FOLDER = Path(__file__).resolve().parent.parent / "pages"

#: What `scripts/web` builds of `framework/web`, where there is a Node.js.
BUILT = FOLDER.parent / "built"

#: The page of the farm: all of them, or it is not there.
PARTS = ("farm.html", "farm.js", "farm.css", "licences.txt")

_KINDS = {
    ".css": "text/css; charset=utf-8",
    ".html": PAGE,
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}


def table(built: Path) -> Mapping[str, Path]:
    """Which file is at which path, with what lies in this folder."""
    there = all((built / name).is_file() for name in PARTS)
    return {
        "/": built / "farm.html" if there else FOLDER / "front.html",
        "/plain": FOLDER / "front.html",
        "/login": FOLDER / "login.html",
        **{f"/pages/{name}": FOLDER / name for name in ("front.js", "login.js", "place.js", "page.css", "icon.svg")},
        **({f"/pages/{name}": built / name for name in PARTS if name != "farm.html"} if there else {}),
    }


#: What begins so is the page of the farm, too, about one instance: it reads in its address which one.
STORY = "/i/"

#: And so are these.
PLACES = frozenset(["/logs", "/incidents", "/rollout", "/history", "/crew", "/handover", "/me"])

#: Which file is at which path.
FILES: Mapping[str, Path] = table(BUILT)


@cache
def _contents() -> Mapping[str, bytes]:
    """Read once: a daemon that is brought up to date answers with its own until it is started again."""
    return {path: file.read_bytes() for path, file in FILES.items()}


def page(method: str, path: str) -> Optional[Response]:
    """What is at this path; None: no page."""
    if (path.startswith(STORY) or path in PLACES) and FILES["/"].name == "farm.html":
        path = "/"
    if path not in FILES or method not in ("GET", "HEAD"):
        return None
    return Response(_contents()[path], media_type=_KINDS[FILES[path].suffix])
