"""Wheels and source distributions of ours, the wheels of others that they need, and locks that name all of them by their hashes."""

from __future__ import annotations

import gzip
import hashlib
import io
import re
import sys
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement

from release.source import Source
from release.steps import ReleaseError, run

#: Each distribution of ours and its folder. Those of others that they need stand in requirements/.
PARTS = {"daqsched": ".", "daqsched-executor": "executor", "daqcluster": "vagrant", "http-parser": "compat/http_parser"}

#: What a lock installs of ours, besides what requirements/ has under its name.
LOCKS = {
    "daqsched": ("daqsched", "http-parser"),
    "daqsched-executor": ("daqsched-executor", "http-parser"),
    "daqcluster": ("daqcluster",),
}

#: setuptools itself, without pip and without a network. Files that it makes get the same mode everywhere.
_BUILD = "import os, sys; os.umask(0o022); from setuptools import build_meta; build_meta.{}(sys.argv[1])"

#: The oldest C library that the wheels may ask for: EL 9's.
GLIBC = (2, 34)


def make_page(source: Source) -> None:
    """The page of the farm, out of what its lock names: a release goes nowhere without it."""
    run([source.folder / "scripts" / "web", "--needed"], folder=source.folder)


def make_ours(source: Source, wheels: Path, sdists: Path) -> None:
    """Each part as a source distribution, and out of that as a wheel."""
    for part, place in PARTS.items():
        scratch = source.folder.parent / f"built-{part}"
        scratch.mkdir()
        _build("build_sdist", scratch, source, source.folder / place)
        (sdist,) = scratch.glob("*.tar.gz")
        even(sdist, sdists / sdist.name, source.epoch)
        (scratch / "unpacked").mkdir()
        run(["tar", "-xpf", sdists / sdist.name, "-C", scratch / "unpacked"])
        (unpacked,) = (scratch / "unpacked").iterdir()
        _build("build_wheel", wheels, source, unpacked)


def _build(hook: str, target: Path, source: Source, folder: Path) -> None:
    run([sys.executable, "-W", "ignore", "-c", _BUILD.format(hook), target.absolute()], source.environ, folder)


def even(made: Path, target: Path, epoch: int) -> None:
    """The same files in an archive that says nothing of the machine it was made on: order, times, owners, modes."""
    content = io.BytesIO()
    with tarfile.open(made) as old, tarfile.open(fileobj=content, mode="w", format=tarfile.PAX_FORMAT) as new:
        for member in sorted(old.getmembers(), key=lambda member: member.name):
            member.mtime, member.uid, member.gid, member.uname, member.gname = epoch, 0, 0, "", ""
            member.mode = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
            member.pax_headers = {}
            new.addfile(member, old.extractfile(member) if member.isfile() else None)
    with open(target, "wb") as file, gzip.GzipFile("", "wb", mtime=epoch, fileobj=file) as packed:
        packed.write(content.getvalue())


def gather(source: Source, python: str, environment: Path, wheels: Path) -> None:
    """The wheels of others for this Python, byte for byte what requirements/ names; source is built with locked tools."""
    run([python, "-m", "venv", environment])
    pip: list[str | Path] = [environment / "bin" / "python", "-m", "pip", "--disable-pip-version-check"]
    locked = ["-q", "--no-deps", "--require-hashes"]
    run([*pip, "install", *locked, "-r", source.folder / "requirements" / "build.txt"])
    minor = run([python, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]).strip()
    for number, rows in enumerate(_needed(source, minor)):
        asked = environment / f"asked-{number}.txt"
        asked.write_text("".join(rows))
        if number == 0:
            offered: list[str | Path] = ["--no-build-isolation", "-f", wheels, "-w", wheels, "-r", asked]
            run([*pip, "wheel", *locked, *offered], source.environ)
        else:  # for another patch level than this interpreter's
            offered = ["--only-binary=:all:", "--ignore-requires-python", "-d", wheels, "-r", asked]
            run([*pip, "download", *locked, *offered])


def _needed(source: Source, minor: str) -> Iterable[list[str]]:
    """The rows of all locks that hold for any release of that Python, such as 3.11.2 and 3.11.9; no project twice in one."""
    batches: list[dict[str, str]] = [{}]
    for name in LOCKS:
        for row in rows_of(source.folder / "requirements" / f"{name}.txt"):
            for patch in ("0", "99"):
                place = {"python_version": minor, "python_full_version": f"{minor}.{patch}"}
                if row.wanted.marker is None or row.wanted.marker.evaluate(place):
                    text = f"{row.wanted.name}{row.wanted.specifier} \\\n{row.hashes}\n"
                    for batch in batches:
                        if batch.setdefault(row.wanted.name, text) == text:
                            break
                    else:
                        batches.append({row.wanted.name: text})
    return [list(batch.values()) for batch in batches]


@dataclass(frozen=True)
class Row:
    """One of a lock."""

    wanted: Requirement
    hashes: str


def rows_of(path: Path) -> Iterator[Row]:
    """What a lock of requirements/ names."""
    for block in re.split(r"\n(?=\S)", path.read_text()):
        if not block.startswith("#"):
            wanted, _, hashes = block.partition("\\\n")
            yield Row(Requirement(wanted.strip()), hashes.rstrip())


def check_portable(wheels: Path) -> None:
    """Raises `ReleaseError` where one asks for more than EL 9 has, or was compiled here."""
    for wheel in wheels.glob("*.whl"):
        tags = wheel.stem.rpartition("-")[2].split(".")
        found = [re.fullmatch(r"manylinux_(\d+)_(\d+)_\w+", tag) for tag in tags]
        if tags != ["any"] and not any(match and (int(match[1]), int(match[2])) <= GLIBC for match in found):
            raise ReleaseError(f"{wheel.name} was compiled here, or needs a C library newer than {GLIBC}")


def _name(text: str) -> str:
    return re.sub(r"[-_.]+", "-", text).lower()


def lock(source: Source, name: str, wheels: Path) -> Path:
    """Write ``NAME.txt`` beside the wheels: what an installation takes of them, with the hashes of these very files."""
    digests: dict[tuple[str, str], list[str]] = {}
    for wheel in sorted(wheels.glob("*.whl")):
        project, version = wheel.name.split("-")[:2]
        digests.setdefault((_name(project), version), []).append(sha256(wheel))
    lines = [(part, source.version if part != "http-parser" else _stand_in(digests), "") for part in LOCKS[name]]
    for row in rows_of(source.folder / "requirements" / f"{name}.txt"):
        marker = str(row.wanted.marker or "")
        lines.append((_name(row.wanted.name), str(row.wanted.specifier)[2:], f"; {marker}" if marker else ""))
    made = wheels / f"{name}.txt"
    text = "# pip install --no-index --find-links . --require-hashes --no-deps -r this file\n"
    for project, version, marker in lines:
        files = digests.get((project, version))
        if files is None:
            if marker:
                continue  # for a Python that this release was not made for
            raise ReleaseError(f"no wheel of {project} {version} is in {wheels}")
        text += (
            " \\\n    ".join([f"{project}=={version} {marker}".strip(), *(f"--hash=sha256:{one}" for one in files)])
            + "\n"
        )
    made.write_text(text)
    return made


def _stand_in(digests: Iterable[tuple[str, str]]) -> str:
    (version,) = (version for name, version in digests if name == "http-parser")
    return version


def sha256(path: Path) -> str:
    """Of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def sums(folder: Path) -> Path:
    """``SHA256SUMS`` of all in the folder, as `sha256sum -c` reads it."""
    made = folder / "SHA256SUMS"
    files: Sequence[Path] = sorted(path for path in folder.rglob("*") if path.is_file() and path != made)
    made.write_text("".join(f"{sha256(path)}  {path.relative_to(folder)}\n" for path in files))
    return made
