"""What befalls machines that are containers: a pulled cable, a cvmfs that hangs. The rest is Vagrant's."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from daqcluster.engine import Engine
from daqcluster.errors import ClusterError

#: What hangs.
CVMFS = "/cvmfs/daq.example.org"
_UNIT = "cvmfs-hangs"


def cut(engine: Engine, name: str) -> None:
    """Pull the machine's cable: what is sent is lost, and nobody is told. Until `mend`, or the machine's next start."""
    _ip("link", "set", _cable(engine, name), "nomaster")


def mend(engine: Engine, name: str, bridge: str) -> None:
    """Put the cable in again."""
    _ip("link", "set", _cable(engine, name), "master", bridge)


def hang(engine: Engine, name: str) -> None:
    """Whoever looks into the machine's cvmfs from now on gets no answer, until `answer`."""
    words = ("systemd-run", "-q", f"--unit={_UNIT}", "python3", "/srv/daqsched/hanging.py", CVMFS)
    engine.command("exec", name, *words)
    engine.command("exec", name, "timeout", "20", "sh", "-c", "until grep -q ^hanging /proc/mounts; do sleep 0.1; done")


def answer(engine: Engine, name: str) -> None:
    """cvmfs is there again; whoever hung got an error."""
    engine.command("exec", name, "systemctl", "stop", f"{_UNIT}.service")


def _cable(engine: Engine, name: str) -> str:
    """This side's end of the pair of interfaces."""
    pid = engine.command("inspect", "-f", "{{.State.Pid}}", name).strip()
    shown = _run("nsenter", "-t", pid, "-n", "ip", "-o", "link", "show", "eth0")
    found = re.search(r"eth0@if(\d+)", shown)
    for place in Path("/sys/class/net").iterdir():
        if found is not None and (place / "ifindex").read_text().strip() == found.group(1):
            return place.name
    raise ClusterError(f"{name} has no eth0 that leads here: {shown.strip()}")


def _ip(*words: str) -> None:
    _run("ip", *words)


def _run(*argv: str) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, timeout=20, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        raise ClusterError(f"{' '.join(argv)}: {done.stderr.strip()}")
    return done.stdout
