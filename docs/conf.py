"""The documentation as a site (`make docs`): the Markdown files of the checkout, as they are, in the order of a reader.

The pages are written for a forge's eyes: plain Markdown, relative links. What only the site needs is here.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, Optional

project = "daqsched"
extensions = ["myst_parser"]

#: The checkout's folder is the source, so that links between README.md, docs/ and CHANGELOG.md are links of the site too.
root_doc = "README"
include_patterns = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/**.md"]
exclude_patterns = [".*", "**/.*", "build", "dist", "**/node_modules"]
source_suffix = {".md": "markdown"}

# anchors of headings are those that a forge makes
myst_heading_anchors = 6
# a wrong reference is a warning, and `make docs` makes an error of each
nitpicky = True

html_theme = "furo"
html_title = project
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False
pygments_style = "friendly"

#: What stands in the sidebar. A new page of a folder is found by itself, after those that are named.
NAVIGATION = {
    "Start": [
        "docs/start/why",
        "docs/start/first-ten-minutes",
        "docs/start/first-jobfile",
        "docs/start/first-update",
        "docs/start/something-breaks",
        "docs/start/find-a-line",
        "docs/start/*",
    ],
    "Operate a farm": [
        "docs/operate/shift",
        "docs/operate/page",
        "docs/operate/install",
        "docs/operate/farm",
        "docs/operate/changes",
        "docs/operate/logs",
        "docs/operate/symptoms",
        "docs/operate/*",
    ],
    "Look up": ["docs/reference/jobfile", "docs/reference/commands", "docs/reference/*"],
    "Measured": ["docs/reliability", "docs/performance"],
    "The code": ["docs/architecture", "docs/design/*", "CONTRIBUTING", "CHANGELOG"],
}


def _navigation(app: Any, docname: str, source: list[str]) -> None:
    """Give the first page the tables of contents, which would be noise on a forge."""
    if docname == root_doc:
        for caption, pages in NAVIGATION.items():
            listed = "\n".join(f"/{page}" for page in pages)
            source[0] += f"\n\n```{{toctree}}\n:hidden:\n:glob:\n:caption: {caption}\n\n{listed}\n```\n"


def _front_page(app: Any, failed: Optional[Exception]) -> None:
    """A browser that opens the folder finds the first page."""
    if not failed and app.builder.format == "html":
        shutil.copyfile(Path(app.outdir) / "README.html", Path(app.outdir) / "index.html")


def setup(app: Any) -> None:
    """Called by Sphinx."""
    app.connect("source-read", _navigation)
    app.connect("build-finished", _front_page)
