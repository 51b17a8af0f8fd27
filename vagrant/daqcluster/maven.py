"""Files out of Maven's index, by Maven itself."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Mapping

from daqcluster.errors import ClusterError

#: Without a version Maven asks each time which is the newest.
_PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1"

_PROJECT = """\
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>daqcluster</groupId><artifactId>fetch</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>{dependencies}</dependencies>
</project>
"""
_DEPENDENCY = """
    <dependency>
      <groupId>{group}</groupId><artifactId>{name}</artifactId><version>{version}</version><type>{kind}</type>
      <exclusions><exclusion><groupId>*</groupId><artifactId>*</artifactId></exclusion></exclusions>
    </dependency>"""


def lacks() -> set[str]:
    """The Debian packages that must be installed before anything can be fetched."""
    return set() if shutil.which("mvn") else {"maven"}


def fetch(artifacts: Mapping[str, str], folder: Path) -> None:
    """Put the artifacts (GROUP:NAME:VERSION[:TYPE] -> sha256) as files into ``folder``, in one run of Maven.

    What they depend on is left where it is: all that is needed is named. The local repository is one of our own for as
    long as this takes, so nothing stays in the user's.
    """
    what = ", ".join(artifacts)
    work = folder / ".maven"
    work.mkdir()
    command = [
        "mvn",
        "-q",
        "-B",
        "-C",
        "-Dstyle.color=never",
        f"-Dmaven.repo.local={work}/repository",
        "-f",
        f"{work}/pom.xml",
    ]
    command += [f"{_PLUGIN}:copy-dependencies", f"-DoutputDirectory={folder}"]
    try:
        (work / "pom.xml").write_text(_project(artifacts))
        # the second compiler of the JVM costs such a short program more than it gives
        env = {**os.environ, "MAVEN_OPTS": f"-XX:TieredStopAtLevel=1 {os.environ.get('MAVEN_OPTS', '')}"}
        done = subprocess.run(command, capture_output=True, text=True, timeout=1800, stdin=subprocess.DEVNULL, env=env)
    except subprocess.TimeoutExpired:
        raise ClusterError(f"{what} can't be fetched: Maven took more than half an hour; try again") from None
    finally:
        shutil.rmtree(work, ignore_errors=True)
    if done.returncode != 0:
        # it colours its first line, whatever it is told
        said = re.sub(r"\x1b\[[0-9;]*m", "", done.stdout + done.stderr)
        why = re.search(r"^\[ERROR\] +(\S.*?)(?: -> \[Help 1\])?$", said, re.MULTILINE)
        raise ClusterError(f"{what} can't be fetched: {why.group(1) if why else f'mvn ended with {done.returncode}'}")
    for artifact, sha256 in artifacts.items():
        _, name, version, kind = _parts(artifact)
        check_digest(folder / f"{name}-{version}.{kind}", artifact, sha256)


def _project(artifacts: Mapping[str, str]) -> str:
    parts = (_parts(artifact) for artifact in artifacts)
    return _PROJECT.format(
        dependencies="".join(_DEPENDENCY.format(group=g, name=n, version=v, kind=k) for g, n, v, k in parts)
    )


def _parts(artifact: str) -> tuple[str, str, str, str]:
    group, name, version, kind = f"{artifact}:jar".split(":")[:4]
    return group, name, version, kind


def check_digest(file: Path, what: str, sha256: str) -> None:
    """Raise `ClusterError` unless the file is what it was when its digest was written down here."""
    digest = hashlib.sha256()
    with open(file, "rb") as raw:
        for part in iter(lambda: raw.read(1 << 20), b""):
            digest.update(part)
    if digest.hexdigest() != sha256:
        raise ClusterError(f"{what} is not what it was: its sha256 is {digest.hexdigest()}, {sha256} was expected")
