"""What is released: the files of one commit, its time and its version, which stands in one place."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from release.steps import ReleaseError, run, say

#: The one place.
VERSION_FILE = "executor/daqsched_executor/__init__.py"
_VERSION = re.compile(
    r'^__version__ = "([0-9]+(?:\.[0-9]+)*(?:(?:a|b|rc|\.post|\.dev)[0-9]+)?(?:\+[a-z0-9.]+)?)"$', re.MULTILINE
)


@dataclass(frozen=True)
class Source:
    """A copy of the commit's files, and what all that is made of it has in common."""

    folder: Path
    #: Seconds since 1970 of the commit: the time of every file that is made (SOURCE_DATE_EPOCH).
    epoch: int
    version: str

    @property
    def environ(self) -> dict[str, str]:
        """For everything that builds."""
        return {"SOURCE_DATE_EPOCH": str(self.epoch), "DAQSCHED_RELEASE": "1", "PYTHONHASHSEED": "0", "TZ": "UTC"}


def version_of(folder: Path) -> str:
    """The version of these files; raises `ReleaseError`."""
    found = _VERSION.findall((folder / VERSION_FILE).read_text())
    if len(found) != 1:
        raise ReleaseError(f'{VERSION_FILE} has to have one line __version__ = "NUMBER", as pip writes versions')
    return str(found[0])


def of_commit(checkout: Path, folder: Path) -> Source:
    """HEAD of this checkout, copied there."""
    if not (checkout / ".git").exists():
        raise ReleaseError("a release is made of a commit, and this is no git checkout")
    if run(["git", "-C", checkout, "status", "--porcelain"]).strip():
        say("what is not committed is not in it")
    folder.mkdir(parents=True)
    archive = folder.with_suffix(".tar")
    run(["git", "-C", checkout, "-c", "tar.umask=0022", "archive", "-o", archive, "HEAD"])
    run(["tar", "-xpf", archive, "-C", folder])
    archive.unlink()
    run([checkout / "scripts" / "version", "--commit", folder])
    epoch = int(run(["git", "-C", checkout, "log", "-1", "--format=%ct"]))
    return Source(folder, epoch, version_of(folder))


def next_of(source: Source, folder: Path) -> Source:
    """The same files with a later version: to try an upgrade with."""
    shutil.copytree(source.folder, folder, symlinks=True)
    later = f"{re.split(r'[.]post|[+]', source.version)[0]}.post1"
    place = folder / VERSION_FILE
    place.write_text(_VERSION.sub(f'__version__ = "{later}"', place.read_text()))
    return Source(folder, source.epoch, version_of(folder))
