"""`make stop`: it ends the daemon of its own cluster, whoever started that, and nobody else."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
from pathlib import Path

from waiting import alive

ROOT = Path(__file__).parent.parent.parent

#: Listens where a `daqsched serve` of that state would, until SIGTERM.
DAEMON = """
import signal
from daqsched.settings import socket_path
from daqsched.serve.socketfile import SocketFile
file = SocketFile(socket_path())
print("listens", flush=True)
signal.sigwait([signal.SIGTERM])
file.close()
"""


def checkout(folder: Path, state: Path) -> Path:
    """The script in a checkout that has a cluster, which is none."""
    (folder / "scripts").mkdir()
    for name in ("stop", "listening"):
        shutil.copy(ROOT / "scripts" / name, folder / "scripts" / name)
    programs = folder / ".venv" / "bin"
    programs.mkdir(parents=True)
    (programs / "daqcluster").write_text(f'#!/bin/sh\n[ "$1" = env ] && echo "export DAQSCHED_STATE={state}"; exit 0\n')
    (programs / "python").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    for program in programs.iterdir():
        program.chmod(0o755)
    return folder / "scripts" / "stop"


def test_a_daemon_that_was_started_anew_by_hand_is_ended(tmp_path: Path) -> None:
    """It is known by its socket; one of another state, and a stale pid, are left alone."""
    states = tmp_path / "ours", tmp_path / "theirs"
    daemons = []
    for state in states:
        environ = {"PATH": "/usr/bin:/bin", "DAQSCHED_STATE": str(state)}
        daemon = subprocess.Popen(
            [sys.executable, "-c", "import signal; signal.pthread_sigmask(0, [15])\n" + DAEMON],
            env=environ,
            stdout=subprocess.PIPE,
        )
        daemons.append(daemon)
        assert daemon.stdout is not None and daemon.stdout.readline() == b"listens\n"
    ours, theirs = daemons
    try:
        (states[0] / "serve.pid").write_text(str(theirs.pid))
        script = checkout(tmp_path, states[0])
        reaper = threading.Thread(target=ours.wait)  # as the shell that it was started from
        reaper.start()
        said = subprocess.run([script], capture_output=True, text=True, timeout=60, check=True)
        assert said.stdout == f"daqsched serve (pid {ours.pid}) has ended\n" and not said.stderr
        reaper.join(10)
        assert ours.returncode == 0 and alive(theirs.pid)
        assert subprocess.run([script], capture_output=True, text=True, timeout=60, check=True).stdout == ""
    finally:
        for daemon in daemons:
            daemon.kill()
            daemon.wait()
            assert daemon.stdout is not None
            daemon.stdout.close()
