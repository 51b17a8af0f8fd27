"""Whether this computer can have machines that are containers: tried, not guessed."""

from __future__ import annotations

import os
from pathlib import Path

from daqcluster.engine import IMAGE, Engine
from daqcluster.errors import ClusterError
from daqcluster.machines import network

#: What a machine is given, as in the Vagrantfile.
_OPTIONS = (
    "--cgroupns=private",
    "--cap-add=SYS_ADMIN",
    "--security-opt=apparmor=unconfined",
    "--tmpfs=/run",
    "--device=/dev/fuse",
)


def attempt(folder: Path) -> None:
    """Raises `ClusterError` where there can be none: an engine, a container with a machine's rights and a bridge are made, and
    removed."""
    if not Path("/dev/fuse").exists():
        raise ClusterError("there is no /dev/fuse: modprobe fuse")
    engine = Engine(folder, f"try-{os.getpid()}")
    try:
        engine.up()
        engine.command("run", "--rm", "--network=none", *_OPTIONS, IMAGE, "mount", "-t", "tmpfs", "tmpfs", "/tmp")
        name = f"daq-t{os.getpid() % 10**8}"
        subnet = network.free(f"{os.getpid():x}")
        engine.command("network", "create", "--subnet", subnet, "-o", f"com.docker.network.bridge.name={name}", name)
        engine.command("network", "rm", name)
    finally:
        engine.down()
