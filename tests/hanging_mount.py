"""A mount that does not answer (`daqcluster.hanging`), in a folder that is made for it; a test that can't have one is skipped."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from daqcluster import hanging


class HangingMount(hanging.HangingMount):
    """As that one; ``path`` is made."""

    def __init__(self, path: Path, killable: bool) -> None:
        if os.geteuid() != 0 or not os.path.exists("/dev/fuse"):
            pytest.skip("needs root and /dev/fuse")
        path.mkdir()
        try:
            super().__init__(path, killable)
        except OSError as error:
            pytest.skip(f"no FUSE mount here: {error}")
