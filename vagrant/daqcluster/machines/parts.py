"""What is installed in machines, as one folder: provisioning scripts, wheels, sources, jobs, and which servers.

The same folder serves a machine of Vagrant's and a bare farm machine, where it is copied by whatever copies files.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Callable, Iterable, Sequence

from daqcluster import cache, elasticsearch, mesos_build, zookeeper
from daqcluster.errors import ClusterError
from daqcluster.progress import Say, going_on

CHECKOUT = Path(__file__).resolve().parents[3]

#: What scripts/install needs of the checkout.
_SOURCES: Sequence[str] = (
    *("setup.py", "setup.cfg", "pyproject.toml", "README.md", "LICENSE"),
    *("framework", "executor", "compat", "requirements", "scripts/install"),
)
_LEFT_OUT = ("__pycache__", "build", "*.egg-info", "*.pyc")

#: The machines' Python: Debian 12's. For another one pip asks the package index there.
PYTHON = "3.11"
TAG = f"cp{PYTHON.replace('.', '')}"
#: What is locked of it.
REQUIREMENTS = ("requirements/daqsched.txt", "requirements/build.txt")


def make(folder: Path, say: Say) -> dict[str, Path]:
    """Make the folder, or bring it up to date. The servers are not copied into it: name -> its folder in the cache."""
    for path, names in (("provision", None), ("jobs", None), ("source", _SOURCES)):
        root = CHECKOUT / "vagrant" if path == "provision" else CHECKOUT
        mirror(root, names or (path,), folder / path if names else folder)
    # of a commit that is no release: with the commit in its version
    subprocess.run([CHECKOUT / "scripts" / "version", folder / "source"], check=True)
    # its links lead out of the tree, which is mounted elsewhere
    _same(CHECKOUT / "jobs" / "cvmfs", folder / "cvmfs", lambda place, names: set(), follow=True)
    mirror(CHECKOUT / "vagrant" / "daqcluster", ("webui", "hanging.py"), folder)
    mirror(CHECKOUT / "vagrant" / "machine", ("hardening.py",), folder)
    with ThreadPoolExecutor(4) as pool:
        ready = {name: pool.submit(part.ready, say) for name, part in _SERVERS.items()}
        wheels = pool.submit(_wheels, say)
        servers = {name: future.result() for name, future in ready.items()}
        mirror(wheels.result(), (".",), folder / "wheels" / TAG)
    (folder / "opt").mkdir(exist_ok=True)
    (folder / "versions").mkdir(exist_ok=True)
    for name, home in servers.items():
        (folder / "versions" / name).write_text(home.name + "\n")
    (folder / "versions" / "daqsched").write_text(programs(folder) + "\n")
    return servers


_SERVERS = {"mesos": mesos_build, "elasticsearch": elasticsearch, "zookeeper": zookeeper}


def lacks() -> set[str]:
    """The Debian packages that must be installed before it can be made."""
    return {package for part in _SERVERS.values() for package in part.lacks()}


def copy_servers(folder: Path, servers: dict[str, Path]) -> None:
    """Put the servers in as well, for machines that see nothing of this machine's cache."""
    for home in servers.values():
        if not (folder / "opt" / home.name).is_dir():
            shutil.copytree(home, folder / "opt" / f".{home.name}", symlinks=True, dirs_exist_ok=True)
            (folder / "opt" / f".{home.name}").rename(folder / "opt" / home.name)


def programs(folder: Path) -> str:
    """Of what is installed as daqsched, a digest: with another one a machine gets it anew. The README is only read."""
    source = folder / "source"
    return digest([*sorted(set(source.iterdir()) - {source / "README.md"}), folder / "wheels"])


def digest(places: Iterable[Path]) -> str:
    """Of all files below, names, modes and contents."""
    found = hashlib.sha256()
    for place in places:
        for path in sorted([place, *place.rglob("*")]):
            if path.is_file():
                found.update(
                    f"{path.relative_to(place)} {path.stat().st_mode & 0o777:o}\0".encode() + path.read_bytes() + b"\0"
                )
    return found.hexdigest()[:16]


def mirror(source: Path, names: Iterable[str], target: Path) -> None:
    """Copy what changed and remove what is gone, below each name. In place: running machines have the folder mounted."""
    target.mkdir(parents=True, exist_ok=True)
    ignored = shutil.ignore_patterns(*_LEFT_OUT)
    for name in names:
        _same(source / name, target / name, ignored)


def _same(source: Path, target: Path, ignored: Callable[[str, list[str]], set[str]], follow: bool = False) -> None:
    linked = source.is_symlink() and not follow
    if (target.is_symlink(), target.is_dir()) != (linked, source.is_dir()):
        _remove(target)
    if linked:
        if not target.is_symlink() or target.readlink() != source.readlink():
            _remove(target)
            target.symlink_to(source.readlink())
    elif source.is_dir():
        target.mkdir(parents=True, exist_ok=True)
        names = {path.name for path in source.iterdir()}
        names -= set(ignored(str(source), sorted(names)))
        for path in target.iterdir():
            if path.name not in names:
                _remove(path)
        for name in names:
            _same(source / name, target / name, ignored, follow)
    elif not target.exists() or target.read_bytes() != source.read_bytes():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, target)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _wheels(say: Say) -> Path:
    """What daqsched needs of the Python package index, as files; byte for byte what the locks name."""
    locks = [CHECKOUT / name for name in REQUIREMENTS]
    name = f"wheels-{PYTHON}-{hashlib.sha256(b''.join(lock.read_bytes() for lock in locks)).hexdigest()[:8]}"

    def fetch(folder: Path) -> None:
        argv = [
            sys.executable,
            "-m",
            "pip",
            "--disable-pip-version-check",
            "download",
            "-q",
            "--no-deps",
            "--no-build-isolation",
        ]
        argv += ["--require-hashes", "--python-version", PYTHON, "--dest", str(folder)]
        argv += [
            word
            for platform in ("manylinux2014_x86_64", "manylinux_2_28_x86_64", "any")
            for word in ("--platform", platform)
        ]
        argv += [word for lock in locks for word in ("-r", str(lock))]
        with going_on(say, "fetching what daqsched needs of the package index (20 MB)"):
            done = subprocess.run(argv, capture_output=True, text=True, timeout=900, stdin=subprocess.DEVNULL)
        if done.returncode != 0:
            raise ClusterError(f"the wheels can't be fetched: {done.stderr.strip()[-600:]}")

    return cache.made(name, fetch, say)
