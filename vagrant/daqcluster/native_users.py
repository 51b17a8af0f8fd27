"""An Elasticsearch that keeps users and roles of its own (the native realm): ours, and the part that it lacks for that.

The index where they are kept has an analyzer for addresses of mail. What that is made of is in the official server's module
analysis-common, which is in no index of packages. `sources/SecurityAnalysis.java` says the same with the Lucene that the
server brings along, and is compiled against it.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import zipfile
from pathlib import Path

from daqcluster import cache, elasticsearch, java
from daqcluster.errors import ClusterError
from daqcluster.progress import Say, going_on

SOURCE = Path(__file__).resolve().parent / "sources" / "SecurityAnalysis.java"

#: What a server wants to be told of each of its modules.
_DESCRIPTOR = f"""\
name=daqcluster-analysis
description=What the index of users and roles asks of text analysis
version=1
classname=daqcluster.SecurityAnalysis
elasticsearch.version={elasticsearch.VERSION}
java.version={java.NEEDED}
"""


def lacks() -> set[str]:
    """The Debian packages that must be installed before it can be fetched, built and run."""
    return elasticsearch.lacks() | (set() if cache.has(_name()) else java.lacks_compiler())


def ready(say: Say) -> Path:
    """Its folder in the cache, made if it is not there: the files of the other one, and the module."""

    def make(folder: Path) -> None:
        home = elasticsearch.ready(say)
        # 119 MB that are the same, and that nobody writes to
        shutil.copytree(home, folder, copy_function=os.link, dirs_exist_ok=True)
        with going_on(say, "compiling what Elasticsearch's users take"):
            _build(folder)

    return cache.made(_name(), make, say)


def _name() -> str:
    """Of the folder in the cache: another one for another source."""
    digest = hashlib.sha256(SOURCE.read_bytes() + _DESCRIPTOR.encode()).hexdigest()[:8]
    return f"elasticsearch-{elasticsearch.VERSION}-users-{digest}"


def _build(home: Path) -> None:
    module = home / "modules" / "daqcluster-analysis"
    module.mkdir()
    classes = home / ".classes"
    command = ["javac", "--release", str(java.NEEDED), "-proc:none", "-d", str(classes), "-cp", f"{home}/lib/*"]
    try:
        done = subprocess.run([*command, str(SOURCE)], capture_output=True, text=True, timeout=300)
    except subprocess.TimeoutExpired:
        raise ClusterError("javac took more than five minutes for one file: is this machine busy? try again") from None
    if done.returncode != 0:
        raise ClusterError(f"javac failed: {done.stderr.strip()[-2000:]}")
    with zipfile.ZipFile(module / "daqcluster-analysis.jar", "w") as jar:
        for file in sorted(classes.rglob("*.class")):
            jar.write(file, file.relative_to(classes))
    shutil.rmtree(classes)
    (module / "plugin-descriptor.properties").write_text(_DESCRIPTOR)
    # whatever the umask: for the account that the server runs as
    for place in (module, *module.iterdir()):
        place.chmod(0o755 if place.is_dir() else 0o644)
