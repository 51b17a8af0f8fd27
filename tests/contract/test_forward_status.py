"""A forwarder that ends by an error of its own tells why, also when it was started again."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from daqsched_executor.forward.status.last_end import FILE
from daqsched_executor.forward.status.threads import BUG
from fake_elastic import FakeElastic
from foreign import HOSTILE
from forwarding import EXECUTOR, ForwarderProcess
from waiting import until


class Thread(NamedTuple):
    """One of a forwarder's."""

    name: str
    #: How the process ends where it fails.
    status: int = BUG


#: The threads of a forwarder, by what each one does.
THREADS = {
    "Forwarder._send": Thread("sender 1"),
    "Forwarder._store_dead_letters": Thread("dead letters"),
    "Receiver._work": Thread("receiver"),
    "JournalReader._work": Thread("journald"),
    # what a thread does step by step: nothing around it takes an error of ours for one of its files or programs
    "Receiver._sync": Thread("receiver"),
    "JournalReader._life": Thread("journald"),
    "JournalReader._take": Thread("journald"),
    # the one that Python starts a program with: it prints a trace
    "Forwarder.run": Thread("main", 1),
}

#: What the error says: it quotes a line, as Python's own errors do, and has no end.
SECRET = "beam at 6.8 TeV"
ERROR = f"a mistake in {SECRET + HOSTILE!r} at \x1b[31m\nline 2 {'x' * 5000}"


@pytest.fixture
def elastic() -> Iterator[FakeElastic]:
    """An empty server, healthy."""
    made = FakeElastic()
    yield made
    made.close()


@pytest.fixture
def spool(tmp_path: Path, elastic: FakeElastic) -> Path:
    """One in which a forwarder has worked that ended as it was told to."""
    before = ForwarderProcess(tmp_path / "spool", elastic.url, "logs")
    until((before.spool / "forward" / "status.json").exists, "the forwarder has begun")
    assert before.stop() == 0
    return before.spool


def fail(work: str, spool: Path) -> subprocess.CompletedProcess[str]:
    """A forwarder with an input of each kind whose ``work`` fails at once."""
    program = f"""
import sys
from daqsched_executor.forward.command import main
from daqsched_executor.forward.inputs.journald import JournalReader
from daqsched_executor.forward.inputs.sockets import Receiver
from daqsched_executor.forward.loop import Forwarder
from daqsched_executor.out import catch

def fail(*arguments, **named):
    raise ZeroDivisionError({ERROR!r})

catch()
{work} = fail
sys.exit(main(["--config", "forward.yaml"]))
"""
    (spool.parent / "forward.yaml").write_text(
        f"spool: {spool}\nelasticsearch: http://127.0.0.1:9\n"
        "journal: {enabled: true, units: [none.service]}\n"
        "syslog: {address: 127.0.0.1, udp: 50514}\n"
    )
    environ = {**os.environ, "PYTHONPATH": str(EXECUTOR)}
    command = [sys.executable, "-c", program]
    return subprocess.run(command, env=environ, cwd=spool.parent, capture_output=True, text=True, timeout=50)


def status(spool: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """`daqsched-executor forward --status`."""
    command = [sys.executable, "-m", "daqsched_executor.forward", "--status", "--spool", str(spool), *options]
    environ = {**os.environ, "PYTHONPATH": str(EXECUTOR)}
    return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=50)


@pytest.mark.parametrize("work", THREADS)
def test_a_thread_that_fails_ends_the_process_and_the_next_one_tells_why(
    work: str, spool: Path, elastic: FakeElastic
) -> None:
    """An input that died alone would leave a forwarder that seems well and takes nothing any more. Why it ended is one sentence,
    in `--status` at once, and in the next process' `status.json`, too, which everybody may read: no line is in it."""
    name, code = THREADS[work]
    done = fail(work, spool)
    assert done.returncode == code, done
    assert "ZeroDivisionError: a mistake in " in done.stderr and "Traceback" in done.stderr
    if code == BUG:
        assert f"the thread {name} ended by ZeroDivisionError: a mistake in " in done.stderr
        assert "the forwarder ends and starts again" in done.stderr
    error = r"ZeroDivisionError: a mistake in … at ␛\[31m␊line 2 x+… \(\w+\.py, line \d+\)\."
    why = rf"Process \d+ ended at [\d :-]+(UTC|[+-]\d\d:\d\d) because the thread {name} failed: {error}"
    before = status(spool)
    assert before.returncode == 1 and before.stdout.startswith("No forwarder works on")
    assert [row for row in before.stdout.splitlines() if re.fullmatch(why, row)], before.stdout
    again = ForwarderProcess(spool, elastic.url, "logs")
    try:
        until(lambda: again.counts()["pid"] == again.process.pid, "the next one tells its counts")
        told = again.counts()
        now = status(spool)
    finally:
        assert again.stop() == 0
    assert now.returncode == 1 and now.stdout.startswith(f"Process {again.process.pid} forwards")
    assert [row for row in now.stdout.splitlines() if re.fullmatch(why, row)], now.stdout
    assert told["last_end"]["sentence"] in now.stdout and len(told["last_end"]["sentence"]) < 300
    assert json.loads(status(spool, "--json").stdout)["last_end"] == told["last_end"]
    for file in ("status.json", FILE):
        path = spool / "forward" / file
        assert path.stat().st_mode & 0o777 == 0o644
        assert SECRET not in path.read_text() and "x" * 200 not in path.read_text()


def test_one_that_has_never_counted_tells_why_it_ended(tmp_path: Path) -> None:
    """It failed before its first status: nothing else would say so."""
    spool = tmp_path / "spool"
    spool.mkdir(mode=0o700)
    assert fail("Forwarder.__init__", spool).returncode == 1
    told = status(spool)
    assert told.returncode == 2 and "no forwarder has worked on" in told.stderr
    assert "because the thread main failed: ZeroDivisionError: a mistake in …" in told.stderr


def test_no_other_module_of_the_forwarder_starts_a_thread() -> None:
    """Those that it has are all in `THREADS`, and started where an error ends the process."""
    folder = EXECUTOR / "daqsched_executor" / "forward"
    known = {path.relative_to(folder).as_posix() for path in folder.rglob("*.py") if "Thread(" in path.read_text()}
    assert known == {"status/threads.py"}
    started = sum(len(re.findall(r"\bstart\(f?\"", path.read_text())) for path in folder.rglob("*.py"))
    assert started == len({one.name for one in THREADS.values() if one.name != "main"})
