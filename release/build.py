"""What is made of the wheels: the folders that run where they lie, and the packages of the distributions."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from release import deb, folder, packages, rpm
from release.pythons import DEBIAN, EL, NEEDED
from release.source import Source


@dataclass(frozen=True)
class Built:
    """Of one version: what is installed or mounted somewhere."""

    version: str
    #: The executor's folder, and that of what `daqsched` needs besides.
    executor: Path
    serve: Path
    debs: list[Path]
    rpms: list[Path]


def build(source: Source, shelf: Path, pips: Mapping[str, Path], scratch: Path, target: Path) -> Built:
    """All of it; the packages go to ``target``. ``pips``: the Pythons that the executor's folder is for; without EL 9's there are
    no packages for that."""
    executor, serve = scratch / f"daqsched-executor-{source.version}", scratch / "serve"
    folder.executor(source, shelf, pips, executor)
    folder.pack(executor, target / f"{executor.name}-linux-{platform.machine()}.tar.gz", source.epoch)
    systems = [version for version in NEEDED if version in pips]
    folder.serve(source, shelf, {version: pips[version] for version in systems}, serve)
    for system in systems:
        packages.stage(source, executor, serve, system, scratch / f"staged-{system}")
    debs = deb.make_debs(source, scratch / f"staged-{DEBIAN}", target)
    rpms = rpm.make_rpms(source, scratch / f"staged-{EL}", target, scratch / "rpmbuild") if EL in systems else []
    return Built(source.version, executor, serve, debs, rpms)
