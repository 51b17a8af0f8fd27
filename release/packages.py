"""What the packages of a distribution hold: the folders that run where they lie in /opt/daqsched, units, and configuration.

daqsched-executor   on every machine: executors, and the forwarder as a command
daqsched            on a control machine: serve, the copy of its audit file, their units and account, the crew's command
daqsched-forward    on a machine without Mesos: the forwarder's unit
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from release.folder import even_modes, place_of
from release.source import Source

PLACE = "opt/daqsched"
UNITS = "usr/lib/systemd/system"


@dataclass(frozen=True)
class Package:
    """One of them, before a distribution's tool packs it."""

    name: str
    summary: str
    text: str
    #: Files of ours -> where they go, and their mode.
    files: tuple[tuple[str, str, int], ...] = ()
    #: What an upgrade leaves as somebody made it.
    kept: tuple[str, ...] = ()
    #: It needs the interpreter itself, and not only another package of ours that does.
    python: bool = True


PACKAGES = (
    Package(
        "daqsched-executor",
        "executor of daqsched jobs on a farm machine",
        "What a Mesos agent starts for each job of daqsched, and the forwarder of the lines.",
        (("release/packages/policy", "usr/share/doc/daqsched-executor/policy", 0o644),),
    ),
    Package(
        "daqsched",
        "framework that runs a DAQ farm on Mesos",
        "The daemon of a control machine, and the commands of the crew.",
        (
            ("framework/systemd/daqsched-serve.service", f"{UNITS}/daqsched-serve.service", 0o644),
            ("release/packages/serve.env", "etc/daqsched/serve.env", 0o600),
            ("framework/systemd/daqsched-audit-copy.service", f"{UNITS}/daqsched-audit-copy.service", 0o644),
            ("release/packages/audit-copy.env", "etc/daqsched/audit-copy.env", 0o600),
            ("release/packages/daqsched.profile", "etc/profile.d/daqsched.sh", 0o644),
            ("CHANGELOG.md", "usr/share/doc/daqsched/CHANGELOG.md", 0o644),
        ),
        ("etc/daqsched/serve.env", "etc/daqsched/audit-copy.env", "etc/profile.d/daqsched.sh"),
    ),
    Package(
        "daqsched-forward",
        "forwarder of log lines on a machine without Mesos",
        "Sends log files, syslog and the journal of a machine to Elasticsearch.",
        (
            ("executor/systemd/daqsched-forward.service", f"{UNITS}/daqsched-forward.service", 0o644),
            ("executor/systemd/forward.yaml", "etc/daqsched/forward.yaml", 0o644),
        ),
        ("etc/daqsched/forward.yaml",),
        python=False,
    ),
)


def version_for(version: str) -> str:
    """As Debian and RPM sort it: what comes before a release has a tilde."""
    number, plus, build = version.partition("+")  # a commit's name may have such letters
    return re.sub(r"\.?(a|b|rc|dev)(?=\d)", r"~\1", number) + plus + build


def stage(source: Source, executor: Path, serve: Path, version: str, target: Path) -> Path:
    """A folder for each package with what goes to ``/``, of what is for that Python alone."""
    folders = {"daqsched-executor": executor, "daqsched": serve}
    for package in PACKAGES:
        root = target / package.name
        if package.name in folders:
            shutil.copytree(folders[package.name], root / PLACE, ignore=_of_other_pythons(version))
            even_modes(root)
        if package.name == "daqsched":
            (root / "usr/bin").mkdir(parents=True)
            (root / "usr/bin/daqsched").symlink_to(f"../../{PLACE}/bin/daqsched")
        licence = ("LICENSE", f"usr/share/doc/{package.name}/copyright", 0o644)
        for name, place, mode in (*package.files, licence):
            made = root / place
            made.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source.folder / name, made)
            made.chmod(mode)
        for path in (root, *root.rglob("*")):
            if path.is_dir() and not path.is_symlink():
                path.chmod(0o755)
    return target


def _of_other_pythons(version: str) -> Callable[[str, list[str]], set[str]]:
    tag = f".cpython-{version.replace('.', '')}."

    def ignored(folder: str, names: list[str]) -> set[str]:
        if folder.endswith("/lib"):
            return {name for name in names if re.match(r"(serve-)?cp\d", name) and not name.endswith(place_of(version))}
        return {name for name in names if folder.endswith("__pycache__") and tag not in name}

    return ignored


def script(source: Source, package: str, kind: str) -> str:
    """What is run after it was unpacked (``post``), or before it is taken away (``gone``); empty where nothing is. Before anything
    goes to `PLACE`: ``place``, ``pre``."""
    place = source.folder / "release" / "packages" / f"{package}.{kind}"
    return place.read_text() if place.exists() else ""
