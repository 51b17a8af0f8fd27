"""Tries what was made: installed without a network, and run on a real local cluster with an upgrade and the way back."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from release.pythons import NEEDED
from release.source import Source
from release.steps import run, step

#: What an installation finds of its surroundings: no settings of pip, no proxy, no index.
BARE = {
    "PATH": "/usr/bin:/bin:/usr/sbin:/sbin",
    "HOME": "/nonexistent",
    "PIP_CONFIG_FILE": "/dev/null",
    "LC_ALL": "C.UTF-8",
}


def alone(argv: list[str | Path], folder: Path) -> str:
    """Run it in a network of its own that has nothing in it, with nothing of our environment."""
    clean = ["env", "-i", *(f"{name}={value}" for name, value in BARE.items())]
    return run([*clean, "unshare", "--net", *([] if os.geteuid() == 0 else ["--map-root-user"]), *argv], folder=folder)


def install(python: str, environment: Path, shelf: Path, *locks: str) -> Path:
    """A fresh environment out of the folder of wheels alone; returns its folder of commands."""
    alone([python, "-m", "venv", environment], shelf)
    pip: list[str | Path] = [environment / "bin" / "python", "-m", "pip", "--disable-pip-version-check"]
    for lock in locks:
        asked: list[str | Path] = ["--no-index", "--find-links", shelf, "--require-hashes", "-r", shelf / f"{lock}.txt"]
        alone([*pip, "install", "-q", "--no-deps", *asked], shelf)
    alone([*pip, "check"], shelf)
    return environment / "bin"


def all_of(source: Source, later: Source, pythons: Mapping[str, str], shelf: Path, folder: Path) -> None:
    """Every trial."""
    folder.mkdir()
    # the oldest, the newest, and that of Debian 12
    tried = {version: pythons[version] for version in (*NEEDED, list(pythons)[-1])}
    for version, python in tried.items():
        with step(f"daqsched is installed without a network on Python {version}"):
            commands = install(python, folder / f"control-{version}", shelf, "daqsched")
            said = alone([commands / "daqsched", "--version"], folder)
            assert source.version in said, said
            said = alone([commands / "daqsched", "validate", source.folder / "jobs" / "quickstart.py"], folder)
        with step(f"daqsched-executor is installed without a network on Python {version}"):
            commands = install(python, folder / f"farm-{version}", shelf, "daqsched-executor")
            assert source.version in alone([commands / "daqsched-executor", "--version"], folder)
