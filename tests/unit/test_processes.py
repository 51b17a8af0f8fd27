"""What daqcluster's end of a process leaves: nothing."""

from __future__ import annotations

import os
import socket
import subprocess
from pathlib import Path

from daqcluster import processes


def test_the_socket_of_a_killed_java_goes_with_it() -> None:
    """In /tmp there would be one more with each Elasticsearch that is killed. What has its name and is no socket is not a JVM's."""
    java, other = (subprocess.Popen(["/bin/sleep", "1000"]) for _ in range(2))
    place, file = (Path(f"/tmp/.java_pid{one.pid}") for one in (java, other))
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(str(place))
        file.write_text("somebody's own")
        for one in (java, other):
            started = processes.start_time(one.pid)
            processes.end(
                lambda pid=one.pid, at=started: {pid} if processes.start_time(pid) == at else set(), 0.0, 15.0
            )
        assert not os.path.lexists(place) and file.read_text() == "somebody's own"
    finally:
        for path in (place, file):
            path.unlink(missing_ok=True)
        for one in (java, other):
            one.kill()
            one.wait()
