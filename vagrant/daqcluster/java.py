"""Which Java runs Elasticsearch and ZooKeeper, and compiles what they lack."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Optional

from daqcluster.errors import ClusterError

#: Else each JVM has a file in /tmp that nobody reads, and leaves it there where it is killed.
NO_PERFORMANCE_FILE = "-XX:-UsePerfData"

#: What this Elasticsearch needs at least.
NEEDED = 17


def lacks() -> set[str]:
    """The Debian packages that must be installed before there is a Java."""
    return set() if shutil.which("java") else {"default-jre-headless"}


def lacks_compiler() -> set[str]:
    """Those that must be installed before there is a compiler; a Java comes with it."""
    return set() if shutil.which("javac") else {"default-jdk-headless"}


def java_home() -> str:
    """The JAVA_HOME of the `java` in the PATH."""
    home = _home()
    found = _version(home)
    if found is not None and found < NEEDED:
        raise ClusterError(
            f"Java {NEEDED} or later is needed, {home}/bin/java is {found}: apt-get install default-jre-headless"
        )
    return str(home)


def version() -> int:
    """That of this Java; where it does not say so, the one that is needed."""
    return _version(_home()) or NEEDED


def _home() -> Path:
    java = shutil.which("java")
    if java is None:
        raise ClusterError("Java is missing: apt-get install default-jre-headless")
    return Path(java).resolve().parent.parent


def _version(home: Path) -> Optional[int]:
    release = home / "release"
    found = re.search(r'JAVA_VERSION="(\d+)', release.read_text()) if release.exists() else None
    return int(found.group(1)) if found else None
