"""``python -m release``: see scripts/release."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from release import trial, wheels
from release.build import build
from release.pythons import found
from release.source import Source, of_commit
from release.steps import ReleaseError, say, step

ROOT = Path(__file__).resolve().parent.parent


def main() -> int:
    """All of it, into a folder beside ``dist`` that takes its place when everything was tried."""
    parser = argparse.ArgumentParser(
        prog="scripts/release", description="Build and try a release of HEAD; publish nothing."
    )
    parser.add_argument("--no-trial", action="store_true", help="build only")
    parser.add_argument("--debian", action="store_true", help="nothing for EL 9, whose Python 3.9 is not needed then")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="daqsched-release-", dir="/var/tmp") as name:
        scratch = Path(name)
        scratch.chmod(0o755)
        try:
            _release(scratch, not options.no_trial, options.debian)
        except ReleaseError as error:
            say(f"no release: {error}")
            return 1
    return 0


def _release(scratch: Path, tried: bool, debian_alone: bool) -> None:
    pythons = found(debian_alone)
    source = of_commit(ROOT, scratch / "source")
    say(f"daqsched {source.version} for Python {', '.join(pythons)}")
    dist = scratch / "dist"
    shelf = dist / "wheels"
    shelf.mkdir(parents=True)
    with step("the page of the farm"):
        wheels.make_page(source)
    with step("our wheels and source distributions"):
        wheels.make_ours(source, shelf, dist)
    for version, python in pythons.items():
        with step(f"the wheels of others for Python {version}"):
            wheels.gather(source, python, scratch / f"gather-{version}", shelf)
    wheels.check_portable(shelf)
    for lock in wheels.LOCKS:
        wheels.lock(source, lock, shelf)
    pips = {version: scratch / f"gather-{version}" / "bin" / "python" for version in pythons}
    with step(f"the executor as a folder, packages for Debian 12{'' if debian_alone else ' and EL 9'}"):
        built = build(source, shelf, pips, scratch / "built", dist)
    sums = wheels.sums(dist)
    if tried:
        with step("all of it once more, elsewhere and under another umask: not a byte differs"):
            _again(source, pips, shelf, dist, scratch / "again")
        trial.all_of(source, pythons, pips, dist, built, scratch)
    target = ROOT / "dist"
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(dist, target)
    say(f"dist/ has {len(sums.read_text().splitlines())} files and their SHA256SUMS")
    if debian_alone:
        say("nothing of it is for EL 9")


def _again(source: Source, pips: Mapping[str, Path], shelf: Path, dist: Path, scratch: Path) -> None:
    """Raises `ReleaseError` where something of the machine, the time or the place got in."""
    other = scratch / "elsewhere"
    shutil.copytree(source.folder, other, symlinks=True)
    made_again = scratch / "made"
    made_again.mkdir(parents=True)
    umask = os.umask(0o077)
    try:
        wheels.make_ours(replace(source, folder=other), made_again, made_again)
        build(replace(source, folder=other), shelf, pips, scratch / "built", made_again)
    finally:
        os.umask(umask)
    for made in made_again.iterdir():
        first = (shelf if made.suffix == ".whl" else dist) / made.name
        if wheels.sha256(first) != wheels.sha256(made):
            raise ReleaseError(f"{made.name} was built twice, and the two differ")


if __name__ == "__main__":
    sys.exit(main())
