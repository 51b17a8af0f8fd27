"""Commands beside the program, with real processes: their outcome, their time limit, and that nothing of them stays."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from waiting import alive, until

#: An executor as far as `SideCommand` needs one: it starts the command, waits for the outcome, and prints that.
EXECUTOR = """
import json, os, select, sys
from daqsched_executor.contract import Payload
from daqsched_executor.machine.side_command import SideCommand
from daqsched_executor.machine.kernel import Kernel
asked = json.loads(sys.argv[1])
said = []
kernel = Kernel()
kernel.adopt_orphans()
log = os.open("said", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
beside = SideCommand(
    kernel,
    Payload("task", "job", "host", ("program",), **asked["fields"]),
    asked["argv"],
    asked["timeout_s"],
    program=4711,
    say=(lambda line: os.write(log, (line + chr(10)).encode())) if asked["say"] else None,
)
print(beside.runner, flush=True)
outcome = None
while outcome is None:
    select.select([beside.talk], (), ())
    outcome = beside.heard()
ended = os.waitpid(beside.runner, 0)[1]
try:
    left = os.waitpid(-1, os.WNOHANG)
except ChildProcessError:
    left = None
print(json.dumps([*outcome, left, os.WEXITSTATUS(ended)]), flush=True)
"""


class Running:
    """The executor above, at work in a folder."""

    def __init__(self, folder: Path, *argv: str, timeout_s: float = 20.0, say: bool = False, **fields: Any) -> None:
        asked = json.dumps({"argv": argv, "timeout_s": timeout_s, "say": say, "fields": fields})
        environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        command = [sys.executable, "-c", EXECUTOR, asked]
        self.process = subprocess.Popen(command, env=environ, cwd=folder, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.runner = int(self.process.stdout.readline())

    def outcome(self) -> tuple[bool, str, list[str]]:
        """How it ended; nothing may be left below the executor."""
        assert self.process.stdout is not None
        out = self.process.stdout.read()  # not `communicate`, which knows nothing of what `readline` has read ahead
        self.process.wait(60)
        self.process.stdout.close()
        ok, words, lines, left, status = json.loads(out)
        assert left is None, "a process of the command is left"
        assert status == 126  # no runner returns into the executor's code
        return ok, words, lines


def shell(folder: Path, script: str, **options: Any) -> tuple[bool, str, list[str]]:
    return Running(folder, "/bin/sh", "-c", script, **options).outcome()


def test_success_and_failure_are_told_with_the_last_lines(tmp_path: Path) -> None:
    """The exit code decides; five lines at most, of 200 characters at most."""
    ok, words, lines = shell(tmp_path, "seq 100; exit 0")
    assert ok and words.startswith("exit code 0 after 0.") and lines == ["96", "97", "98", "99", "100"]
    ok, words, lines = shell(tmp_path, "echo out; echo err >&2; printf %0500d 7; exit 3")
    assert not ok and words.startswith("exit code 3 after") and lines[:2] == ["out", "err"] and len(lines[2]) == 200
    ok, words, _ = shell(tmp_path, "kill -SEGV $$")
    assert not ok and words.startswith("killed by SIGSEGV")


def test_it_has_the_programs_environment_and_directory(tmp_path: Path) -> None:
    """And knows the program's pid."""
    script = 'echo "$COLOUR $DAQSCHED_JOB $DAQSCHED_PID $(pwd) $(ulimit -n)"'
    ok, _, lines = shell(tmp_path, script, env={"COLOUR": "red"}, cwd="/usr", limits={"nofile": 77})
    assert ok and lines == ["red job 4711 /usr 77"]


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        (("/bin/nosuchcommand",), "/bin/nosuchcommand is missing"),
        (("/etc/passwd",), "/etc/passwd is not executable"),
        (("nosuchcommand",), "nosuchcommand is not in the job's PATH"),
    ],
)
def test_what_can_not_be_started_says_why(tmp_path: Path, argv: tuple[str, ...], sentence: str) -> None:
    """As a program that can't be."""
    ok, words, _ = Running(tmp_path, *argv).outcome()
    assert not ok and words.startswith(sentence)


def test_a_hang_ends_with_its_time_limit(tmp_path: Path) -> None:
    """Also one that ignores every signal that can be ignored, and one that has closed its output."""
    ok, words, lines = shell(tmp_path, "trap '' TERM INT HUP; echo begun; sleep 1000", timeout_s=0.3)
    assert (ok, words, lines) == (False, "did not end within 0.30 s and was killed", ["begun"])
    ok, words, _ = shell(tmp_path, "exec >&- 2>&-; sleep 1000", timeout_s=0.3)
    assert not ok and "did not end" in words


def test_whoever_writes_on_after_the_kill_holds_nothing_up(tmp_path: Path) -> None:
    """Somebody outside has what it prints to, and never stops."""
    running = Running(tmp_path, "/bin/sh", "-c", "echo $$ > pid; sleep 1000", timeout_s=1.0)
    pid = until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text().strip(), "it runs")
    with open(f"/proc/{pid}/fd/1", "wb") as output, subprocess.Popen(["yes"], stdout=output) as outside:
        try:
            assert running.outcome()[:2] == (False, "did not end within 1.0 s and was killed")
        finally:
            outside.kill()


CUT = b"(what it prints beyond 1 MiB or 20000 lines is not kept)\n"
DAEMON = "setsid sh -c 'sleep 1000 & echo $! > daemon; wait' & while ! [ -s daemon ]; do sleep 0.01; done; "


@pytest.mark.parametrize("end", ["exit 0", "sleep 1000"])
def test_what_it_leaves_behind_ends_with_it(tmp_path: Path, end: str) -> None:
    """A daemon in a session of its own, after a good end and after a time limit."""
    shell(tmp_path, DAEMON + end, timeout_s=3.0)
    assert not alive(int((tmp_path / "daemon").read_text()))


@pytest.mark.parametrize("whom", ["executor", "runner"])
def test_kill_9_leaves_nothing(tmp_path: Path, whom: str) -> None:
    """The executor's death ends the runner, which clears up; the runner's ends the command, and is an outcome."""
    running = Running(tmp_path, "/bin/sh", "-c", "echo $$ > pid; exec sleep 1000")
    until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text().strip(), "the command runs")
    command = int((tmp_path / "pid").read_text())
    os.kill(running.process.pid if whom == "executor" else running.runner, signal.SIGKILL)
    until(lambda: not alive(command) and not alive(running.runner), "command and runner are gone")
    if whom == "runner":
        out, _ = running.process.communicate(timeout=30)
        assert json.loads(out)[:2] == [False, "was cut short: its runner was killed"]
    else:
        running.process.communicate(timeout=30)


def test_it_ends_when_it_is_told_to(tmp_path: Path) -> None:
    """By SIGTERM to the runner, which is what `cancel` sends."""
    running = Running(tmp_path, "/bin/sh", "-c", DAEMON + "sleep 1000")
    until(lambda: (tmp_path / "daemon").exists() and (tmp_path / "daemon").read_text().strip(), "it runs")
    os.kill(running.runner, signal.SIGTERM)
    assert running.outcome()[:2] == (False, "was told to end and was killed")
    assert not alive(int((tmp_path / "daemon").read_text()))


@pytest.mark.once
def test_a_hundred_megabytes_cost_only_time(tmp_path: Path) -> None:
    """The end is kept, the log gets its bound and a word about the rest."""
    began = time.process_time()
    script = "head -c 100000000 /dev/zero | tr '\\0' x | fold -w 100; echo; echo last"
    ok, _, lines = shell(tmp_path, script, say=True, timeout_s=60.0)
    assert ok and lines[-1] == "last" and time.process_time() - began < 5
    said = (tmp_path / "said").read_bytes()
    assert 1 << 20 <= len(said) < 1.1 * (1 << 20) and said.endswith(CUT)
    assert shell(tmp_path, "seq 1 30000", say=True)[2][-1] == "30000"
    assert (tmp_path / "said").read_bytes()[len(said) :].endswith(b"\n20000\n" + CUT)


def test_lines_in_the_log_are_whole(tmp_path: Path) -> None:
    """However they were read; the last one needs no end."""
    assert shell(tmp_path, "seq 100000 118000; printf last", say=True)[0]
    assert (tmp_path / "said").read_text().split() == [*map(str, range(100000, 118001)), "last"]


@pytest.mark.parametrize("more", [0, 1])
def test_the_log_is_cut_where_it_says_so(tmp_path: Path, more: int) -> None:
    """Exactly at its bound nothing is missing."""
    assert shell(tmp_path, f"head -c {(1 << 20) + more} /dev/zero | tr '\\0' x", say=True)[0]
    said = (tmp_path / "said").read_bytes()
    assert said.count(b"x") == 1 << 20
    assert said.endswith(CUT) is bool(more)


def test_strange_bytes_are_shown(tmp_path: Path) -> None:
    """Nothing that a terminal would act on."""
    _, _, lines = shell(tmp_path, r"printf 'a\377b\000c\033[1md\n'")
    assert lines == ["a\\xffb\\x00c\\x1b[1md"]
