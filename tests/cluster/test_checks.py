"""Checks of every kind on a real agent: a program gets ready, ill and well again; one is only reported; one is never ready.

The programs are one script: it shows its kind's sign of life for as long as a file with the job's name is there. The
tables in docs/reference/jobfile.md name these tests.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from farm import Farm
from opened import opened
from waiting import parent_of, until

PROGRAM = r"""
import http.server, os, socket, sys, threading, time
kind, flag, port = sys.argv[1], sys.argv[2], int((sys.argv[3:] or ["0"])[0])
def well():
    return os.path.exists(flag)
def notify(text):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as one:
        one.connect(os.environ["NOTIFY_SOCKET"])
        one.sendall(text.encode())
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if well() and self.path == "/health?deep=1" else 503)
        self.end_headers()
        self.wfile.write(b"" if well() else b"event buffer full")
if kind == "http":
    threading.Thread(target=http.server.HTTPServer(("127.0.0.2", port), Handler).serve_forever, daemon=True).start()
if kind == "full":  # takes no connection and refuses none
    full = socket.socket()
    full.bind(("127.0.0.2", port))
    full.listen(0)
    kept = [socket.socket() for _ in range(3)]
    for one in kept:
        one.setblocking(False)
        one.connect_ex(("127.0.0.2", port))
listener, ready = None, False
while True:
    if kind == "tcp" and well() is not (listener is not None):
        if listener:
            listener.close()
            listener = None
        else:
            listener = socket.socket()
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(("127.0.0.2", port))
            listener.listen()
    print("waits, prints and does not count", flush=True)
    if well():
        if kind == "output":
            print("event 42 built", file=sys.stderr, flush=True)
        elif kind == "file":
            open("run.raw", "a").write("x")
        elif kind == "heartbeat":
            notify("WATCHDOG=1" if ready else "READY=1\nSTATUS=taking data")
            ready = True
    time.sleep(0.1)
"""

JOBS = """
from pathlib import Path
from daqsched import CommandCheck, FileCheck, Heartbeat, HttpCheck, OutputCheck, TcpCheck

here = Path({folder!r})
QUICK = dict(interval_s=0.3, timeout_s=2, failures=2)

def checks(kind, flag, **more):
    if kind == "command":
        ask = f"test $DAQSCHED_PID -gt 1 && test -e {{flag}} || {{{{ echo no crate answers; exit 1; }}}}"
        return CommandCheck(["/bin/sh", "-c", ask.replace("{{", "{{{{").replace("}}", "}}}}")], name="crates", **QUICK, **more)
    if kind == "tcp":
        return TcpCheck("data", address="127.0.0.2", name="link", **QUICK, **more)
    if kind == "http":
        return HttpCheck("/health?deep=1", "data", address="127.0.0.2", name="health", **QUICK, **more)
    if kind == "output":
        return OutputCheck(1.5, pattern="^event [0-9]+", stream="stderr", name="events", **more)
    if kind == "file":
        return FileCheck("run.raw", 1.5, name="run", interval_s=0.3, **more)
    return Heartbeat(1.5, name="beat", **more)

def program(name, kind, check, restart=Restart()):
    return Job(name, argv=[{python!r}, "-S", str(here / "program.py"), kind, str(here / name), "{{port:data}}"], hosts="hlt01",
               check=check, restart=restart, resources=Resources(ports=["data"], cpus=0.02, mem=32), stop=Stop(grace_s=1))

jobs = []
for kind in ("command", "tcp", "http", "output", "file", "heartbeat"):
    flag = here / kind
    jobs += [
        program(kind, kind, checks(kind, flag, grace_s=1000)),
        program(kind + "-told", kind, checks(kind, str(flag) + "-told", grace_s=1000, unhealthy="notify")),
        program(kind + "-late", kind, checks(kind, str(flag) + "-late", grace_s=1), Restart(delay_s=1000, cap_s=1000)),
    ]
SLOW = dict(timeout_s=0.5, interval_s=0.5, grace_s=0, failures=1, unhealthy="notify")
jobs += [
    program("command-slow", "none", CommandCheck("/bin/sleep 1000", **SLOW)),
    program("tcp-slow", "full", TcpCheck("data", address="127.0.0.2", **SLOW)),
    program("http-slow", "full", HttpCheck("/", "data", address="127.0.0.2", **SLOW)),
    program("rests", "command", checks("command", here / "rests", grace_s=1000)),
]
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program, and the files that say whether it is well."""
    made = tmp_path_factory.mktemp("checks")
    (made / "program.py").write_text(PROGRAM)
    return made


@pytest.fixture(scope="module")
def farm(cluster: Any, folder: Path) -> Iterator[Farm]:
    """All jobs, applied once."""
    made = Farm(folder / "farm", cluster.master_url)
    made.serve()
    jobs = JOBS.format(folder=str(folder), python="/usr/bin/python3")
    made.run("apply", "--no-wait", str(made.jobs(jobs)))
    yield made
    made.clear()


def row(farm: Farm, job: str, state: str, contains: str = "", restarts: int = 0) -> dict[str, Any]:
    """The job's row of `status --json`, once it has the state, the words and so many restarts."""
    name = f"{job}@hlt01"

    def as_desired() -> Any:
        found = farm.rows(name).get(name, {})
        right = found.get("state") == state and contains in found.get("reason", "")
        return right and found.get("restarts", 0) >= restarts and found

    return until(as_desired, f"{job} is {state} {contains!r}", 60.0)


def shows(farm: Farm, folder: Path, kind: str, not_yet: str, why: str) -> None:
    """The three stories of one kind: it decides about restarts, it only tells, and it never passes."""
    for name in (kind, f"{kind}-told"):
        waiting = row(farm, name, "STARTING", f"started, not ready yet: {not_yet}")
        assert waiting.get("restarts", 0) == 0, "failures count only after the grace"
        (folder / name).touch()
        row(farm, name, "RUNNING")
        (folder / name).unlink()
    row(farm, kind, "STARTING", f"last: check {why}", restarts=1)
    (folder / kind).touch()
    row(farm, kind, "RUNNING", f"last end: check {why}")
    told = row(farm, f"{kind}-told", "UNHEALTHY", f"check {why}")
    (folder / f"{kind}-told").touch()
    assert row(farm, f"{kind}-told", "RUNNING")["pid"] == told["pid"] and told.get("restarts", 0) == 0
    row(farm, f"{kind}-late", "BACKOFF", "starts again in", restarts=1)


def test_command(farm: Farm, folder: Path) -> None:
    """Exit status, its last line as the reason, the program's pid in its environment; one that hangs is killed."""
    shows(farm, folder, "command", "crates has not succeeded", "crates failed 2 times in a row: no crate answers (exit")
    row(farm, "command-slow", "STARTING", "did not end within 0.50 s and was killed")


def test_tcp(farm: Farm, folder: Path) -> None:
    """Refused, taken, refused; one that hangs is given up. The port is the job's own, by name."""
    shows(farm, folder, "tcp", "link takes no connection", "link failed 2 times in a row: 127.0.0.2:")
    row(farm, "tcp-slow", "STARTING", "does not answer within 0.50 s")


def test_http(farm: Farm, folder: Path) -> None:
    """503 with words, 200, 503; one that hangs is given up."""
    shows(farm, folder, "http", "health has not answered", "health failed 2 times in a row: 127.0.0.2:")
    row(farm, "http-slow", "STARTING", "does not answer within 0.50 s")


def test_output(farm: Farm, folder: Path) -> None:
    """Only lines that fit the pattern, on the one stream, are signs of life."""
    shows(
        farm,
        folder,
        "output",
        "events has printed no line with",
        "events failed: no line with '^event [0-9]+' for 1.5 s",
    )


def test_file(farm: Farm, folder: Path) -> None:
    """In the program's directory; what the run before wrote does not count."""
    shows(farm, folder, "file", "run was not written", "run failed: run.raw unchanged for 1.5 s")


def test_heartbeat(farm: Farm, folder: Path) -> None:
    """READY=1, WATCHDOG=1, and what the program says of itself."""
    shows(farm, folder, "heartbeat", "beat has not sent READY=1", "beat failed: no WATCHDOG=1 for 1.5 s")
    row(farm, "heartbeat-told", "RUNNING", "taking data")


def test_a_snooze_holds_a_restart_back(farm: Farm, folder: Path) -> None:
    """It is shown with its end; the next executor is told, too; when somebody wakes the check, what it has found counts."""
    (folder / "rests").touch()
    row(farm, "rests", "RUNNING")
    farm.run("snooze", "rests", "--for", "1h", "--check", "crates", "-m", "crate 3 is moved")
    row(farm, "rests", "RUNNING", "its checks are snoozed for ")
    (folder / "rests").unlink()
    shown = row(farm, "rests", "RUNNING", "more; check crates failed 2 times in a row")
    assert shown.get("restarts", 0) == 0 and shown["report"]["snoozed"] > 0
    (folder / "rests").touch()
    os.kill(parent_of(shown["pid"]), signal.SIGKILL)
    until(
        lambda: farm.rows("rests@hlt01")["rests@hlt01"].get("task_id") not in ("", None, shown["task_id"]), "a new task"
    )
    row(farm, "rests", "RUNNING", "its checks are snoozed for ")
    (folder / "rests").unlink()
    row(farm, "rests", "RUNNING", "more; check crates failed 2 times in a row")
    farm.run("wake", "rests")
    row(farm, "rests", "STARTING", "last: check crates failed", restarts=1)


def test_mesos_knows_it_too(farm: Farm, folder: Path, cluster: Any) -> None:
    """Its own flag, as its web UI shows it."""
    (folder / "rests").touch()
    pid = row(farm, "rests", "RUNNING")["pid"]

    def healthy() -> Any:
        with opened(f"http://{cluster.master_url}/tasks?limit=1000") as answer:
            tasks = json.load(answer)["tasks"]
        ours = [task for task in tasks if task["id"].startswith("rests@hlt01") and task["state"] == "TASK_RUNNING"]
        return ours and ours[0]["statuses"][-1].get("healthy") is True

    until(healthy, "Mesos shows it as healthy", 30.0)
    assert farm.pid("rests@hlt01") == pid
