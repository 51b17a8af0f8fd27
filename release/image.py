"""A Debian 12 without an image registry, for what is tried in one; and the image of `daqsched serve` on top of it."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

from daqcluster import cache
from daqcluster.engine import Engine
from release.source import Source
from release.steps import ReleaseError, run, say, step

#: The distribution, and what it has besides the least that there is.
SUITE, PACKAGES = "bookworm", "ca-certificates,python3,python3-venv"

ROOT = Path(__file__).resolve().parent.parent


def debian() -> Path:
    """A packed Debian, made by debootstrap if there is none in the cache; needs root."""
    name = f"release-{SUITE}-{hashlib.sha256(PACKAGES.encode()).hexdigest()[:8]}"
    return cache.made(name, _bootstrap, say) / "root.tar"


def _bootstrap(folder: Path) -> None:
    lists = (Path("/etc/apt/sources.list.d/debian.sources"), Path("/etc/apt/sources.list"))
    text = "\n".join(path.read_text() for path in lists if path.exists())
    mirror = re.search(r"^(?:URIs:|deb(?: \[[^]]*\])?) *(\S+)", text, re.MULTILINE)
    root = folder / "root"
    run(
        ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", SUITE, root, *(mirror.groups() if mirror else ())]
    )
    run(
        [
            "tar",
            "-C",
            root,
            "--exclude=./var/cache/apt/*",
            "--exclude=./var/lib/apt/lists/*",
            "-cf",
            folder / "root.tar",
            ".",
        ]
    )
    run(["rm", "-rf", "--one-file-system", root])


def try_image(source: Source, dist: Path, scratch: Path) -> None:
    """Build it by an engine of our own, and have its `serve` answer; raises `ReleaseError`."""
    if os.geteuid() != 0:
        return say("not root: the image was not built")
    engine = Engine(scratch / "engine")
    docker: list[str | Path] = ["docker", "-H", engine.address]
    try:
        with step("the image of daqsched serve is built without a network, and serves as an account of its own"):
            engine.up()
            run([*docker, "import", debian(), "daqsched-base:1"])
            recipe: list[str | Path] = [
                "-f",
                ROOT / "release" / "oci" / "Dockerfile",
                "--build-arg",
                "BASE=daqsched-base:1",
            ]
            run(
                [*docker, "build", "-q", "--network", "none", "-t", "daqsched:1", *recipe, dist],
                {"DOCKER_BUILDKIT": "0"},
            )
            plain = [*docker, "run", "--rm", "--network", "none", "--read-only"]
            said = run([*plain, "daqsched:1", "--version"])
            if source.version not in said:
                raise ReleaseError(f"the image is not {source.version}: {said}")
            serve = ["serve", "--master", "127.0.0.1:1"]
            run([*docker, "run", "-d", "--name", "serve", "--network", "none", "--read-only", "daqsched:1", *serve])
            status = [*docker, "exec", "serve", "/opt/daqsched/bin/daqsched", "status", "--json"]
            run(["timeout", "60", "sh", "-c", 'until "$@" >/dev/null 2>&1; do sleep 0.2; done', "sh", *status])
            user = run([*docker, "exec", "serve", "id", "-u"]).strip()
            if user != "990" or '"connected":false' not in run(status).replace(" ", ""):
                raise ReleaseError(f"the image runs as {user}, or says what is not so")
    finally:
        engine.down()
