"""Debian packages of a release, for Debian 12."""

from __future__ import annotations

import hashlib
import platform
from pathlib import Path

from release.packages import PACKAGES, PLACE, Package, script, version_for
from release.pythons import DEBIAN
from release.source import Source
from release.steps import run

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def make_debs(source: Source, staged: Path, target: Path) -> list[Path]:
    """All of them; the folders are left with a folder ``DEBIAN`` in each."""
    version = version_for(source.version)
    architecture = ARCHITECTURES[platform.machine()]
    made = []
    for package in PACKAGES:
        root = staged / package.name
        _control(source, package, root, version, architecture)
        made.append(target / f"{package.name}_{version}_{architecture}.deb")
        run(["dpkg-deb", "--root-owner-group", "-Zgzip", "--build", root, made[-1]], source.environ)
    return made


def _control(source: Source, package: Package, root: Path, version: str, architecture: str) -> None:
    files = sorted(path for path in root.rglob("*") if path.is_file() and not path.is_symlink())
    size = sum(path.stat().st_size for path in files) // 1024
    major, _, minor = DEBIAN.partition(".")
    depends = [f"python3 (>= {DEBIAN}~)", f"python3 (<< {major}.{int(minor) + 1}~)"] if package.python else []
    if package.name != "daqsched-executor":
        depends.append(f"daqsched-executor (= {version})")
    if package.name == "daqsched":
        depends.append("passwd")
    control = {
        "Package": package.name,
        "Version": version,
        "Architecture": architecture,
        "Maintainer": "daqsched <daqsched@example.org>",
        "Installed-Size": str(size),
        "Depends": ", ".join(depends),
        "Section": "science",
        "Priority": "optional",
        "Description": f"{package.summary}\n {package.text}",
    }
    folder = root / "DEBIAN"
    folder.mkdir()
    (folder / "control").write_text("".join(f"{name}: {value}\n" for name, value in control.items()))
    if package.kept:
        (folder / "conffiles").write_text("".join(f"/{name}\n" for name in package.kept))
    sums = [f"{hashlib.md5(path.read_bytes()).hexdigest()}  {path.relative_to(root)}\n" for path in files]
    (folder / "md5sums").write_text("".join(sums))
    into = "place" if (root / PLACE).is_dir() else ""
    for name, script_of, kind, when in (
        ("preinst", into, "pre", "install|upgrade"),
        ("postinst", package.name, "post", "configure"),
        ("prerm", package.name, "gone", "remove"),
    ):
        body = script(source, script_of, kind)
        if body:
            (folder / name).write_text(f"#!/bin/sh\nset -e\ncase $1 in {when}) ;; *) exit 0 ;; esac\n{body}")
            (folder / name).chmod(0o755)
    folder.chmod(0o755)
    for name in ("control", "conffiles", "md5sums"):
        if (folder / name).exists():
            (folder / name).chmod(0o644)
