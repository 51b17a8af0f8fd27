"""A real Elasticsearch: the official build for integration tests out of Maven's index, and the command that runs it."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import zipfile
from pathlib import Path
from typing import Callable

from daqcluster import cache
from daqcluster.errors import ClusterError

VERSION = "8.19.21"
ARTIFACT = f"org.elasticsearch.distribution.integ-test-zip:elasticsearch:{VERSION}:zip"

#: It refuses to run as root.
ACCOUNT = "nobody"

#: What differs from what it brings along. No machine learning: it would want native code that this build lacks.
_SETTINGS = """\
cluster.name: daqcluster
node.name: {name}
path.data: {folder}/data
path.logs: {folder}/logs
http.host: 127.0.0.1
transport.host: 127.0.0.1
http.port: {port}
transport.port: {transport}
discovery.type: single-node
xpack.security.enabled: false
xpack.ml.enabled: false
cluster.routing.allocation.disk.threshold_enabled: false
"""


def ready(say: Callable[[str], None]) -> Path:
    """Its folder in the cache, fetched if it is not there."""

    def fetch(folder: Path) -> None:
        if shutil.which("mvn") is None:
            raise ClusterError("Elasticsearch can't be fetched: apt-get install maven default-jre-headless")
        say(f"fetching Elasticsearch {VERSION} (107 MB)")
        # a local repository of its own, so that the archive does not stay in the user's
        command = ["mvn", "-q", "-B", f"-Dmaven.repo.local={folder}/m2", "dependency:copy", f"-Dartifact={ARTIFACT}"]
        command += [f"-DoutputDirectory={folder}/zip", "-Dmdep.useBaseVersion=true"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=900, cwd=folder)
        if done.returncode != 0:
            said = (done.stdout + done.stderr).strip().splitlines()
            raise ClusterError(f"Elasticsearch can't be fetched: {said[0] if said else 'mvn failed'}")
        say("unpacking Elasticsearch")
        (archive,) = (folder / "zip").glob("*.zip")
        _unpack(archive, folder)
        (unpacked,) = folder.glob("elasticsearch-*")
        for child in unpacked.iterdir():
            child.rename(folder / child.name)
        unpacked.rmdir()
        shutil.rmtree(folder / "zip")
        shutil.rmtree(folder / "m2")

    return cache.made(f"elasticsearch-{VERSION}", fetch)


def _unpack(archive: Path, folder: Path) -> None:
    with zipfile.ZipFile(archive) as file:
        for info in file.infolist():
            place = Path(file.extract(info, folder))
            mode = info.external_attr >> 16
            # readable by the account that it runs as, and programs stay programs
            place.chmod(0o755 if place.is_dir() or mode & 0o100 else 0o644)


def java_home() -> str:
    """The Java to run it with (17 or later)."""
    java = shutil.which("java")
    if java is None:
        raise ClusterError("Elasticsearch needs Java 17 or later: apt-get install default-jre-headless")
    return str(Path(java).resolve().parent.parent)


def command(
    home: Path, folder: Path, name: str, port: int, transport: int, heap: str
) -> tuple[list[str], dict[str, str]]:
    """The command and its environment; ``folder`` gets configuration, data and logs and the right owner."""
    config = folder / "config"
    shutil.copytree(home / "config", config, dirs_exist_ok=True)
    (config / "elasticsearch.yml").write_text(
        _SETTINGS.format(name=name, folder=folder, port=port, transport=transport)
    )
    for part in ("data", "logs", "tmp"):
        (folder / part).mkdir(exist_ok=True)
    argv = [str(home / "bin" / "elasticsearch")]
    if os.geteuid() == 0:
        account = pwd.getpwnam(ACCOUNT)
        for place in [folder, *folder.rglob("*")]:
            os.chown(place, account.pw_uid, account.pw_gid)
        argv = ["setpriv", f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups", *argv]
    env = {
        "ES_JAVA_HOME": java_home(),
        "ES_PATH_CONF": str(config),
        "ES_TMPDIR": str(folder / "tmp"),
        "ES_JAVA_OPTS": f"-Xms{heap} -Xmx{heap}",
        # of the program that starts the server: it is gone to sleep for most of its life
        "CLI_JAVA_OPTS": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Xshare:auto",
        "HOME": str(folder),
    }
    return argv, env
