"""Tries what was made: installed without a network, and run on a real local cluster with an upgrade and the way back."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from release import farm, image, installed, wheels
from release.build import Built, build
from release.pythons import DEBIAN, EL, NEEDED
from release.source import Source, next_of
from release.steps import ReleaseError, run, say, step

ROOT = Path(__file__).resolve().parent.parent

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


def all_of(
    source: Source, pythons: Mapping[str, str], pips: Mapping[str, Path], dist: Path, built: Built, scratch: Path
) -> None:
    """Every trial."""
    shelf = dist / "wheels"
    systems = [version for version in NEEDED if version in pythons]
    for version in systems:
        with step(f"daqsched and daqsched-executor are installed without a network on Python {version}"):
            control = install(pythons[version], scratch / f"control-{version}", shelf, "daqsched", "daqcluster")
            _says(source, [control / "daqsched", "--version"])
            alone([control / "daqsched", "validate", source.folder / "jobs" / "quickstart.py"], scratch)
            farm_machine = install(pythons[version], scratch / f"farm-{version}", shelf, "daqsched-executor")
            _says(source, [farm_machine / "daqsched-executor", "--version"])
            _says(source, [pythons[version], "-ISB", built.executor / "bin" / "daqsched-executor", "--version"])
            _start_up(pythons[version], farm_machine, built.executor)
    with step("another version of the same, for an upgrade"):
        later = next_of(source, scratch / "later" / "source")
        more = _shelf(later, shelf, scratch / "later" / "shelf")
        (scratch / "later" / "dist").mkdir()
        other = {version: pips[version] for version in systems}
        upgrade = build(later, more, other, scratch / "later" / "built", scratch / "later" / "dist")
    # as both packages together have it in /opt/daqsched
    whole = scratch / "later" / "control"
    shutil.copytree(upgrade.executor, whole)
    shutil.copytree(upgrade.serve, whole, dirs_exist_ok=True)
    farm.quickstart(
        scratch / "quickstart",
        source.folder / "jobs",
        scratch / f"control-{DEBIAN}" / "bin",
        built.executor,
        whole / "bin",
        upgrade.executor,
        (built.version, upgrade.version),
    )
    versions = built.version, upgrade.version
    installed.try_debs(built.debs, upgrade.debs, versions, scratch / "roots")
    if EL in systems:
        installed.try_rpms(built.rpms, upgrade.rpms, versions, pythons[EL], scratch / "roots")
    image.try_image(source, dist, scratch)


def _says(source: Source, argv: list[str | Path]) -> None:
    said = alone(argv, source.folder)
    if source.version not in said:
        raise ReleaseError(f"{argv[-2]} is not {source.version}: {said}")


def _start_up(python: str, installed: Path, executor: Path) -> None:
    """Print what a start costs out of the folder, compared with an installation."""
    second = f"{python} -ISB {executor / 'bin' / 'daqsched-executor'}"
    argv: list[str | Path] = [
        sys.executable,
        ROOT / "bench" / "start.py",
        installed / "daqsched-executor",
        second,
        "--starts",
        "10",
    ]
    say(f"installed and as a folder: {run(argv).strip()}")


def _shelf(later: Source, shelf: Path, target: Path) -> Path:
    """The same wheels of others, and those of ours in the later version."""
    target.mkdir()
    for wheel in shelf.glob("*.whl"):
        if not wheel.name.startswith(("daqsched", "daqcluster", "http_parser")):
            shutil.copy2(wheel, target)
    wheels.make_ours(later, target, target)
    for name in wheels.LOCKS:
        wheels.lock(later, name, target)
    return target
