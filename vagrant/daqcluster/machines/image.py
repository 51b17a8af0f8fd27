"""The image of a machine, without an image registry: a Debian by debootstrap, imported, and a Dockerfile on top of it."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path

from daqcluster import cache
from daqcluster.engine import Engine
from daqcluster.errors import ClusterError
from daqcluster.machines.parts import CHECKOUT, REQUIREMENTS, TAG, digest
from daqcluster.progress import Say, going_on

HERE = CHECKOUT / "vagrant"
NAME = "daqsched-machine"

#: debootstrap and the packages take two minutes on two busy cores.
ROOTFS_S, BUILD_S, IMPORT_S = 1800, 900, 300


def ready(engine: Engine, parts: Path, key: Path, mirror: str, say: Say) -> str:
    """The image's name, made if the engine has none of this recipe."""
    requirements = [CHECKOUT / name for name in REQUIREMENTS]
    recipe = digest([HERE / "machine" / "rootfs", HERE / "provision" / "packages", *requirements])
    # with what it is provisioned later does not count
    rest = [digest([HERE / "machine"]), (parts / "versions" / "daqsched").read_text(), key.read_text()]
    whole = hashlib.sha256(" ".join([recipe, *rest]).encode()).hexdigest()
    image = f"{NAME}:{whole[:12]}"
    if engine.has_image(image):
        return image
    base = f"{NAME}-base:{recipe}"
    if not engine.has_image(base):
        packed = rootfs(recipe, parts / "wheels" / TAG, mirror, say) / "rootfs.tar.zst"
        with going_on(say, "importing the image's base"):
            _import(engine, packed, base)
    context = engine.folder / "context"
    shutil.rmtree(context, ignore_errors=True)
    try:
        shutil.copytree(
            parts,
            context,
            symlinks=True,
            ignore=lambda folder, names: ["opt", "jobs", "cvmfs", "programs"] if Path(folder) == parts else [],
        )
        for name in ("Dockerfile", "init"):
            shutil.copy2(HERE / "machine" / name, context / name)
        shutil.copy2(key, context / "key.pub")
        with going_on(say, "building the machines' image"):
            engine.command(
                "build", "-q", "--network=none", f"--build-arg=BASE={base}", "-t", image, str(context), limit_s=BUILD_S
            )
    finally:
        shutil.rmtree(context, ignore_errors=True)
    return image


def rootfs(recipe: str, wheels: Path, mirror: str, say: Say) -> Path:
    """The folder of the cache with ``rootfs.tar.zst``."""

    def make(folder: Path) -> None:
        # when we die, whatever of, it ends too
        argv = [
            "setpriv",
            "--pdeathsig",
            "KILL",
            str(HERE / "machine" / "rootfs"),
            str(folder / "rootfs.tar.zst"),
            str(wheels),
            mirror,
        ]
        with going_on(say, "making a Debian 12 for the machines (two to four minutes)"):
            done = subprocess.run(argv, capture_output=True, text=True, timeout=ROOTFS_S, stdin=subprocess.DEVNULL)
        if done.returncode != 0:
            raise ClusterError(
                f"a Debian for the machines can't be made: {(done.stderr or done.stdout).strip()[-1000:]}"
            )

    return cache.made(f"machine-{recipe}", make, say)


def _import(engine: Engine, packed: Path, name: str) -> None:
    with subprocess.Popen(["zstd", "-dcq", str(packed)], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL) as unpacking:
        assert unpacking.stdout is not None
        engine.command("import", "-", name, stdin=unpacking.stdout, limit_s=IMPORT_S)
    if unpacking.returncode != 0:
        raise ClusterError(f"{packed} can't be unpacked: remove it, and try again")
