"""The Pythons of this machine that a release is made for."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from release.steps import ReleaseError

#: Those that daqsched runs on.
MINORS = range(9, 14)
#: Those of EL 9 and Debian 12: without them there is no release.
EL, DEBIAN = "3.9", "3.11"
NEEDED = (EL, DEBIAN)

_RIGHT = "import sys, venv, ensurepip; sys.exit(sys.version_info[:2] != (3, {}))"


def found() -> dict[str, str]:
    """Version such as ``3.11`` to an interpreter: the system's, else in PATH, else of pyenv."""
    every = {f"3.{minor}": next(_candidates(minor), "") for minor in MINORS}
    missing = [version for version in NEEDED if not every[version]]
    if missing:
        raise ReleaseError(
            f"there is no Python {' and no '.join(missing)} on this machine, in PATH or of pyenv; install it"
        )
    return {version: python for version, python in every.items() if python}


def _candidates(minor: int) -> Iterator[str]:
    pyenv = Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser() / "versions"
    places = [f"/usr/bin/python3.{minor}", shutil.which(f"python3.{minor}") or ""]
    places += [str(path) for path in sorted(pyenv.glob(f"3.{minor}.*/bin/python3"))]
    for place in places:
        if place and Path(place).is_file():
            done = subprocess.run([place, "-c", _RIGHT.format(minor)], capture_output=True, timeout=60)
            if done.returncode == 0:
                yield place
