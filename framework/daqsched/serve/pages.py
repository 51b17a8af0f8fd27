"""The pages of the web port: the files of the folder `pages`, by a fixed table. The same for whoever asks, and nothing of the
farm: what they show, they ask for as everybody does.

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

_KINDS = {
    ".css": "text/css; charset=utf-8",
    ".html": PAGE,
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}

#: Which file is at which path.
FILES: Mapping[str, str] = {
    "/": "front.html",
    "/login": "login.html",
    **{f"/pages/{name}": name for name in ("front.js", "login.js", "place.js", "page.css", "icon.svg")},
}


@cache
def _contents() -> Mapping[str, bytes]:
    """Read once: a daemon that is brought up to date answers with its own until it is started again."""
    return {path: (FOLDER / name).read_bytes() for path, name in FILES.items()}


def page(method: str, path: str) -> Optional[Response]:
    """What is at this path; None: no page."""
    if path not in FILES or method not in ("GET", "HEAD"):
        return None
    return Response(_contents()[path], media_type=_KINDS[Path(FILES[path]).suffix])
