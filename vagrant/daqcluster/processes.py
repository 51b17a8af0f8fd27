"""Whose process is whose: by pid and start time, by mark, by descent. Nothing is ever found by its name."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Callable, Optional

from daqcluster.errors import ClusterError

#: The variables in the environment that say which cluster a process belongs to, and which member of it. Children
#: inherit them, executors through their agent too, so nothing is missed even if whoever started it died before it could
#: write a pid down.
CLUSTER, MEMBER = "DAQCLUSTER_ID", "DAQCLUSTER_MEMBER"


def start_time(pid: int) -> Optional[int]:
    """When the process began, in the kernel's ticks: with the pid it names one process for ever. None where it is gone
    or a zombie."""
    found = _stat(pid)
    if found is not None and found[0] in "ZX":
        try:
            os.waitpid(pid, os.WNOHANG)  # perhaps a child of ours
        except OSError:
            pass
        return None
    return None if found is None else found[2]


def _stat(pid: int) -> Optional[tuple[str, int, int, int]]:
    """State, parent, start time and controlling terminal (proc(5))."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return fields[0], int(fields[1]), int(fields[19]), int(fields[4])


def environment(pid: int) -> dict[str, str]:
    """What it was started with; empty where it is gone or another user's."""
    try:
        raw = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return {}
    return dict(entry.decode(errors="replace").partition("=")[::2] for entry in raw.split(b"\0") if b"=" in entry)


def program(pid: int) -> str:
    """The first word of its command line."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().partition(b"\0")[0].decode(errors="replace")
    except OSError:
        return ""


def marked(cluster: str, member: str = "") -> set[int]:
    """All live processes that carry the cluster's mark, and the member's where one is named."""
    mark = f"{CLUSTER}={cluster}\0".encode()
    found = set()
    for pid in _pids():
        try:
            ours = mark in Path(f"/proc/{pid}/environ").read_bytes() + b"\0"
        except OSError:
            continue
        if ours and (not member or environment(pid).get(MEMBER) == member) and start_time(pid) is not None:
            found.add(pid)
    return found


def belonging(cluster: str, groups: set[int], sandboxes: list[Path]) -> set[int]:
    """All live processes of a cluster: those with its mark, those in the ``groups`` of its containers, those that work in
    its ``sandboxes`` without a terminal (programs may have been started with an environment of their own), and whatever
    descends from one of these. Never this process, nor what it descends from."""
    stats = {pid: stat for pid in _pids() if (stat := _stat(pid)) is not None and stat[0] not in "ZX"}
    found = (marked(cluster) | groups) & set(stats)
    places = tuple(f"{place}/" for place in sandboxes)
    for pid, stat in stats.items():
        try:
            where = os.readlink(f"/proc/{pid}/cwd")
        except OSError:
            continue
        # somebody who looks around in a sandbox has a terminal
        if places and stat[3] == 0 and where.startswith(places):
            found.add(pid)
    fresh = set(found)
    while fresh:
        fresh = {pid for pid, stat in stats.items() if stat[1] in fresh and pid not in found}
        found |= fresh
    above = os.getpid()
    while above in stats:
        found.discard(above)
        above = stats[above][1]
    return found - {1}


def end(find: Callable[[], set[int]], grace_s: float, limit_s: float) -> None:
    """SIGTERM, after ``grace_s`` SIGKILL (at once where that is 0), for all that ``find`` finds, and again for what they
    started meanwhile, until it finds none and all have gone; `ClusterError` names what is left after ``limit_s``."""
    began = time.monotonic()
    told: dict[int, Optional[int]] = {}
    while True:
        found = find()
        # one that dies loses its environment first, by which it is found, and only then its ports
        left = found | {pid for pid, started in told.items() if started is not None and start_time(pid) == started}
        if not left:
            _clear_up_after(told)
            return
        now = time.monotonic() - began
        if now > limit_s:
            names = ", ".join(f"{pid} ({program(pid) or 'dying'})" for pid in sorted(left))
            raise ClusterError(f"these processes can't be ended: {names}; try again as root, or look why they hang")
        for pid in left:
            if now >= grace_s:
                send(pid, signal.SIGKILL)
            elif pid not in told:
                send(pid, signal.SIGTERM)
            told.setdefault(pid, start_time(pid))
        time.sleep(0.02)


def _clear_up_after(pids: Iterable[int]) -> None:
    """A JVM that attaches to itself, as Elasticsearch does, has a socket whose place nobody can choose; one that is killed
    leaves it there."""
    for pid in pids:
        socket = Path(f"/tmp/.java_pid{pid}")
        try:
            if socket.is_socket():
                socket.unlink()
        except OSError:
            pass


def send(pid: int, number: int) -> None:
    """A signal; a process that has just gone is fine, and one of another user is found again by whoever waits."""
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        pass


def _pids() -> list[int]:
    return [int(entry) for entry in os.listdir("/proc") if entry.isdigit()]
