"""What daqcluster's end of a process leaves: nothing."""

from __future__ import annotations

import os
import socket
import subprocess
from pathlib import Path
from typing import Callable

from daqcluster import processes


def as_long_as_it_runs(pid: int) -> Callable[[], set[int]]:
    """Finds this process, and not one that has its pid later."""
    started = processes.start_time(pid)
    return lambda: {pid} if processes.start_time(pid) == started else set()


def test_the_socket_of_a_killed_java_goes_with_it() -> None:
    """In /tmp there would be one more with each Elasticsearch that is killed. What has its name and is no socket is not a JVM's."""
    java, other = (subprocess.Popen(["/bin/sleep", "1000"]) for _ in range(2))
    place, file = (Path(f"/tmp/.java_pid{one.pid}") for one in (java, other))
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(str(place))
        file.write_text("somebody's own")
        for one in (java, other):
            processes.end(as_long_as_it_runs(one.pid), 0.0, 15.0)
        assert not os.path.lexists(place) and file.read_text() == "somebody's own"
    finally:
        for path in (place, file):
            path.unlink(missing_ok=True)
        for one in (java, other):
            one.kill()
            one.wait()
