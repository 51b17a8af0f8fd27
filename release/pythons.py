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
#: Those of EL 9 and Debian 12, each of which has packages.
EL, DEBIAN = "3.9", "3.11"
NEEDED = (EL, DEBIAN)

_RIGHT = "import sys, venv, ensurepip; sys.exit(sys.version_info[:2] != (3, {}))"


def found(debian_alone: bool = False) -> dict[str, str]:
    """Version such as ``3.11`` to an interpreter: the system's, else in PATH, else of pyenv. Raises `ReleaseError` where one is
    missing that a release is for; ``debian_alone``: it is for Debian 12, so none of EL 9's is among them."""
    every = {f"3.{minor}": next(_candidates(minor), "") for minor in MINORS}
    if debian_alone:
        every[EL] = ""
    missing = [version for version in of_systems(debian_alone) if not every[version]]
    if missing:
        raise ReleaseError(
            f"there is no Python {' and no '.join(missing)} on this machine, in PATH or of pyenv: install it"
            + (", or make one for Debian 12 alone: scripts/release --debian" if missing == [EL] else "")
        )
    return {version: python for version, python in every.items() if python}


def of_systems(debian_alone: bool) -> tuple[str, ...]:
    """The Pythons of the systems that have packages."""
    return (DEBIAN,) if debian_alone else NEEDED


def _candidates(minor: int) -> Iterator[str]:
    pyenv = Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser() / "versions"
    places = [f"/usr/bin/python3.{minor}", shutil.which(f"python3.{minor}") or ""]
    places += [str(path) for path in sorted(pyenv.glob(f"3.{minor}.*/bin/python3"))]
    for place in places:
        if place and Path(place).is_file():
            done = subprocess.run([place, "-c", _RIGHT.format(minor)], capture_output=True, timeout=60)
            if done.returncode == 0:
                yield place
