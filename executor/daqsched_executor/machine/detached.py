"""What a small process is that outlives its executor, so that something is cleared up or copied to its end.

The executor, and its warden, leave it alone when they kill, by its name. Nothing of Mesos' may take it along either: it has
a session of its own, which the posix launcher does not look for, and leaves the cgroups of the linux launcher, where it
may (root).
"""

from __future__ import annotations

import os
import signal
from collections.abc import Collection

CGROUPS = "/sys/fs/cgroup"


def become_detached(name: str, keep: Collection[int], run_id: str) -> None:
    """In a fork: be one, with these files, stdin, stdout and stderr. ``run_id``: how Mesos calls our container."""
    os.setsid()
    with open("/proc/self/comm", "wb") as own:
        own.write(name.encode())
    # a stop's signal is for the program; SIGKILL is sent to nobody who is spared
    for number in set(signal.valid_signals()) - {signal.SIGKILL, signal.SIGSTOP}:
        try:
            signal.signal(number, signal.SIG_IGN)
        except (OSError, ValueError):
            continue
    for entry in os.listdir("/proc/self/fd"):
        file = int(entry)
        if file > 2 and file not in keep:
            try:
                os.close(file)
            except OSError:  # the listing's own
                continue
    leave_groups(run_id)


def leave_groups(run_id: str, pid: int = 0) -> None:
    """Go one up in each cgroup that Mesos made for the executor (its last part is the sandbox's): the agent destroys that
    with all that is in it. Where we may not, nothing is lost that another run does not find. ``pid``: who goes; 0: we."""
    with open("/proc/self/cgroup", "rb") as groups:
        text = groups.read().decode("utf-8", "surrogateescape")
    for line in text.splitlines():
        _, controllers, path = line.split(":", 2)
        above, found, _ = path.partition(f"/{run_id}")
        if not found or not run_id:
            continue
        folder = os.path.join(CGROUPS, controllers.partition("=")[2] or controllers)
        try:
            with open(f"{folder}{above}/cgroup.procs", "wb") as procs:
                procs.write(b"%d" % (pid or os.getpid()))
        except OSError:
            continue
