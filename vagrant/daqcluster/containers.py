"""What the linux launcher of an agent leaves in the kernel: cgroups and mounts. How they are named, found, removed."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Sequence

from daqcluster.errors import ClusterError

CGROUPS = Path("/sys/fs/cgroup")

#: What the linux launcher and the isolators for cores and memory need (cgroup v1; this Mesos knows no other).
_HIERARCHIES = ("freezer", "cpu", "cpuacct", "memory")


def launcher() -> str:
    """``linux`` where we are root and the machine has cgroup v1 that we may write to, ``posix`` elsewhere."""
    if os.geteuid() != 0:
        return "posix"
    for name in _HIERARCHIES:
        probe = CGROUPS / name / f"daqcluster-probe-{os.getpid()}"
        try:
            probe.mkdir()
            # in a cgroup the kernel puts files into each folder; in anything else it is a folder like any other
            real = (probe / "tasks").exists()
            probe.rmdir()
        except OSError:
            return "posix"
        if not real:
            return "posix"
    return "linux"


def root_of(cluster: str, name: str) -> str:
    """The cgroup that holds all containers of one agent (two agents must not share one: each destroys what it does not
    know in there)."""
    return f"daqcluster-{cluster}-{name}"


def _roots(cluster: str) -> list[Path]:
    return sorted(CGROUPS.glob(f"*/{root_of(cluster, '*')}")) if cluster else []


def groups(root: Path) -> list[Path]:
    """A group and all below it, the outermost first. They may go at any time: that is no error."""
    return [Path(place) for place, _, _ in os.walk(root)]


def processes(cluster: str) -> set[int]:
    """The pids in all containers of a cluster."""
    return pids(_roots(cluster))


def pids(roots: Sequence[Path]) -> set[int]:
    """All processes in these groups and below. What an interrupted agent has frozen is thawed: it could not end."""
    found: set[int] = set()
    for root in roots:
        for place in groups(root):
            try:
                state = place / "freezer.state"
                if state.exists() and state.read_text().strip() != "THAWED":
                    state.write_text("THAWED")
                found |= {int(pid) for pid in (place / "cgroup.procs").read_text().split()}
            except OSError:
                continue  # it has gone
    return found


def remove(cluster: str) -> None:
    """The groups of a cluster's containers."""
    remove_groups(_roots(cluster))


def remove_groups(roots: Sequence[Path]) -> None:
    """These groups and all below, the innermost first; one that is still busy for a moment is waited for."""
    deadline = time.monotonic() + 5.0
    for root in roots:
        for place in reversed(groups(root)):
            while place.exists():
                try:
                    place.rmdir()
                except OSError:
                    if time.monotonic() > deadline:
                        raise ClusterError(
                            f"the cgroup {place} can't be removed: is something running in it?"
                        ) from None
                    time.sleep(0.02)


def mounts_below(folder: Path) -> list[str]:
    """What is mounted at or below the folder, the innermost first."""
    with open("/proc/self/mounts", "rb") as table:
        places = [os.fsdecode(line.split()[1].decode("unicode_escape").encode("latin-1")) for line in table]
    return [place for place in reversed(places) if place == str(folder) or place.startswith(f"{folder}/")]


def unmount_below(folder: Path) -> None:
    """Take the agents' mounts away before anything below is removed. Lazily, so that a hanging one can't hold us."""
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    detach = 2
    for place in mounts_below(folder):
        if libc.umount2(os.fsencode(place), detach) != 0:
            raise ClusterError(f"{place} can't be unmounted: {os.strerror(ctypes.get_errno())}; try again as root")
