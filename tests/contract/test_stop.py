"""`make stop`: it ends the daemon of its own cluster, whoever started that, and nobody else; and no other checkout's cluster."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Optional

import pytest

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
    (folder / "scripts").mkdir(parents=True)
    for name in ("stop", "listening", "brought-up", "writable"):
        shutil.copy(ROOT / "scripts" / name, folder / "scripts" / name)
    programs = folder / ".venv" / "bin"
    programs.mkdir(parents=True)
    (programs / "daqcluster").write_text(
        f'#!/bin/sh\n[ "$1" = env ] && echo "export DAQSCHED_STATE={state}"; [ "$1" = env ] || echo $1 >{folder}/asked\n'
    )
    (programs / "python").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    for program in programs.iterdir():
        program.chmod(0o755)
    return folder / "scripts" / "stop"


def brought_up_by(cluster: Path, checkout: Optional[Path]) -> dict[str, str]:
    """A cluster of that checkout's, or of one that wrote nothing down; and the environment that finds it."""
    (cluster / "work").mkdir(parents=True)
    (cluster / "cluster.json").write_text("{}")
    if checkout is not None:
        (cluster / "work" / "checkout").write_text(str(checkout))
    return {"PATH": "/usr/bin:/bin", "HOME": str(cluster), "DAQCLUSTER_DIR": str(cluster)}


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
        environ = brought_up_by(tmp_path / "cluster", tmp_path)
        reaper = threading.Thread(target=ours.wait)  # as the shell that it was started from
        reaper.start()
        said = subprocess.run([script], env=environ, capture_output=True, text=True, timeout=60, check=True)
        assert said.stdout == f"daqsched serve (pid {ours.pid}) has ended\n" and not said.stderr
        reaper.join(10)
        assert ours.returncode == 0 and alive(theirs.pid)
        again = subprocess.run([script], env=environ, capture_output=True, text=True, timeout=60, check=True)
        assert again.stdout == ""
    finally:
        for daemon in daemons:
            daemon.kill()
            daemon.wait()
            assert daemon.stdout is not None
            daemon.stdout.close()


@pytest.mark.parametrize("daemon", [False, True])
@pytest.mark.parametrize("set_up", [True, False])
@pytest.mark.parametrize("whose", ["own", "other", "gone", "nobody wrote it down"])
def test_another_checkout_s_cluster_is_left_alone_and_named(
    tmp_path: Path, whose: str, daemon: bool, set_up: bool
) -> None:
    """One that is still there: its `make stop` ends it, and nobody else's; also where we are not set up, and its daemon has died.
    Of a version that wrote nothing down, or one that is gone, it is whose daemon is."""
    state, other = tmp_path / "state", tmp_path / "other"
    script = checkout(tmp_path / "ours", state)
    checkout(other, state)
    if not set_up:
        (tmp_path / "ours" / ".venv").rename(tmp_path / "set-up")
        setup = script.with_name("setup")
        setup.write_text(f"#!/bin/sh\nmv {tmp_path}/set-up .venv\n")
        setup.chmod(0o755)
    marks = {"own": tmp_path / "ours", "other": other, "gone": tmp_path / "gone"}
    environ = brought_up_by(tmp_path / "cluster", marks.get(whose))
    running = None
    if daemon:
        command = [f"{other}/.venv/bin/python", "-c", "import signal; signal.pthread_sigmask(0, [15])\n" + DAEMON]
        told = {"DAQSCHED_STATE": str(state), "PYTHONPATH": os.pathsep.join(sys.path)}
        running = subprocess.Popen(command, executable=sys.executable, env={**environ, **told}, stdout=subprocess.PIPE)
        assert running.stdout is not None and running.stdout.readline() == b"listens\n"
        reaper = threading.Thread(target=running.wait)
        reaper.start()
    try:
        done = subprocess.run([script], env=environ, capture_output=True, text=True, timeout=60)
        is_others = whose == "other" or (whose in ("gone", "nobody wrote it down") and daemon)
        asked = tmp_path / "ours" / "asked"
        if is_others:
            sentence = (
                f"the local cluster of this account is that of {other}, and is left alone: end it by make stop there\n"
            )
            assert (done.returncode, done.stdout, done.stderr) == (1, sentence, "")
            assert not asked.exists() and (running is None or alive(running.pid))
        else:
            assert done.returncode == 0 and not done.stderr and asked.read_text() == "down\n"
            assert running is None or f"daqsched serve (pid {running.pid}) has ended" in done.stdout
    finally:
        if running is not None:
            running.kill()
            reaper.join(30)
            assert running.stdout is not None
            running.stdout.close()
