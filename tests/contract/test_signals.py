"""Signals may come between any two steps of what they interrupt, also within a lock that it holds: no handler waits for one."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from trees import nodes

ROOT = Path(__file__).resolve().parent.parent.parent
SOURCES = ("framework", "executor/daqsched_executor", "vagrant/daqcluster", "release", "bench")

#: How a handler stays clear of locks.
APPENDS, ENDS = "appends to a list", "raises in the main thread, which is all that this command has"
NOTHING = "is there so that the number is written to a wake-up file"
QUEUE = "sets a flag, and puts into a SimpleQueue, which a signal may interrupt"
PIPE = "sets a flag, and writes to a pipe that makes nobody wait"

#: Every handler of ours, as it stands there.
HANDLERS = {
    ("executor/daqsched_executor/forward/command.py", "lambda number, frame: stopped.append(number)"): APPENDS,
    ("executor/daqsched_executor/forward/command.py", "lambda number, frame: forwarder.stop()"): QUEUE,
    ("executor/daqsched_executor/machine/side_command.py", "lambda number, frame: arrived.append(number)"): APPENDS,
    ("executor/daqsched_executor/run/loop.py", "_nothing"): NOTHING,
    ("executor/daqsched_executor/run/output_probe.py", "too_long"): "raises, out of a search in a fork",
    ("framework/daqsched/cli/borrow.py", "leave"): ENDS,
    ("framework/daqsched/cli/audit.py", "lambda number, frame: end.put(number)"): QUEUE,
    ("framework/daqsched/serve/ensemble.py", "lambda signum, frame: candidate.stop()"): QUEUE,
    ("framework/daqsched/serve/start.py", "stop"): QUEUE,
    ("framework/daqsched/terminal/keyboard.py", "self._signalled"): PIPE,
    ("vagrant/daqcluster/cli.py", "lambda number, frame: sys.exit(128 + number)"): ENDS,
}

#: What gives a signal back to whoever had it.
GIVEN_BACK = ("signal.SIG_DFL", "signal.SIG_IGN", "old", "handler")


def test_every_handler_is_known_and_waits_for_nothing() -> None:
    """Whoever writes another one says here how it stays clear of locks; what is not there any more goes."""
    found = set()
    for folder in SOURCES:
        for path in (ROOT / folder).rglob("*.py"):
            for node in nodes(path):
                if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("signal.signal", "sigaction")):
                    handler = ast.unparse(node.args[1])
                    if handler not in GIVEN_BACK:
                        found.add((str(path.relative_to(ROOT)), handler))
    assert found == set(HANDLERS)


#: One thread sends a signal, waits until it was taken, and sends the next one at some other moment, as often as is said.
SENDER = """
import os, random, signal, sys, threading, time
MANY, taken = 1000, 0
def send(many=MANY):
    for number in range(many):
        time.sleep(random.random() * 0.001)
        signal.pthread_kill(threading.main_thread().ident, signal.SIGTERM)
        while taken <= number:
            time.sleep(0.00005)
def handler(call):
    def handle(number, frame):
        global taken
        call()
        taken += 1
    signal.signal(signal.SIGTERM, handle)
sys.setswitchinterval(0.0001)
"""

#: What a handler calls while the main thread does the very thing that it wakes.
CALLED = {
    "a wait of ours": """
from daqsched.wakeup import WakeUp
woken = WakeUp()
handler(woken.call)
def work():
    for _ in range(100): woken.wait(0.00001); woken.call(); woken.clear()
""",
    "the daemon's queue": """
from daqsched.serve.daemon import Daemon
from queue import Empty, SimpleQueue
daemon = Daemon.__new__(Daemon)
daemon._queue = SimpleQueue()
handler(daemon.stop)
def work():
    try: daemon._queue.get(timeout=0.00001)
    except Empty: pass
""",
    "the forwarder's queue": """
from daqsched_executor.forward.loop import Forwarder
from queue import SimpleQueue
forwarder = Forwarder.__new__(Forwarder)
forwarder._done = SimpleQueue()
handler(forwarder.stop)
def work(): forwarder._settle(0.00001)
""",
    "a keyboard": """
from daqsched.terminal.keyboard import Keyboard
keyboard = Keyboard(raw=False)
handler(keyboard.wake)
def work(): keyboard.read(0.00001)
""",
    "a keyboard that nobody reads": """
from daqsched.terminal.keyboard import Keyboard
keyboard = Keyboard(raw=False)
def wakes():
    for _ in range(100): keyboard.wake()
handler(wakes)
def work(): pass
""",
}


def thousand(text: str, limit_s: float = 60.0) -> subprocess.CompletedProcess[str]:
    """The script has taken them all, or is stuck (`subprocess.TimeoutExpired`)."""
    paths = [str(ROOT / name) for name in ("tests", "framework", "executor")]
    text = f"import sys; sys.path[:0] = {paths}\n{SENDER}{text}"
    return subprocess.run(
        [sys.executable, "-c", text], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=limit_s
    )


WORK = """
sender = threading.Thread(target=send, daemon=True)
sender.start()
while sender.is_alive(): work()
print("taken", taken)
"""


@pytest.mark.parametrize("name", CALLED)
def test_a_thousand_signals_stop_nobody(name: str) -> None:
    """At whatever step of the wait they come."""
    done = thousand(CALLED[name] + WORK)
    assert (done.returncode, done.stdout) == (0, "taken 1000\n"), done.stderr


@pytest.mark.once
def test_an_event_would_have_stopped_it() -> None:
    """Else the test above would be content with anything."""
    event = """
woken = threading.Event()
handler(woken.set)
def work():
    for _ in range(100): woken.wait(0); woken.set(); woken.clear()
"""
    with pytest.raises(subprocess.TimeoutExpired):
        thousand(event + WORK, 8.0)


CANDIDATE = """
from pathlib import Path
from daqsched.mesos.outgoing import Framework
from daqsched.serve.ensemble import Candidate
from daqsched.serve.term import Options
from daqsched.store.coordination import Card
from daqsched_executor.contract.forwarding import Access
from memory_coordination import MemoryCoordination, MemoryService
folder = Path({folder!r})
options = Options("127.0.0.1:9", Framework(user="daq"), socket=folder / "s", group="", elasticsearch="", index="logs",
    access=Access("", "", ""), chronicle=folder / "c", audit=folder / "a")
service = MemoryService()
first = MemoryCoordination(service).session()
first.start()
first.election().stand(Card("first", "", "", ""))
candidate = Candidate(options, MemoryCoordination(service), name="second")
handler(candidate.stop)
for many in range(MANY):
    candidate._over = False  # as new
    sender = threading.Thread(target=lambda: os.kill(os.getpid(), time.sleep(random.random() * 0.003) or signal.SIGTERM))
    sender.start()
    candidate.run()
    sender.join()
candidate.close()
print("taken", taken)
"""


@pytest.mark.slow
def test_a_standby_ends_at_whatever_step_of_its_life_it_is_told_to(tmp_path: Path) -> None:
    """A thousand lives, each with SIGTERM at another moment: in its session's beginning, its candidacy, its wait."""
    done = thousand(CANDIDATE.format(folder=str(tmp_path)), 120.0)
    assert (done.returncode, done.stdout) == (0, "taken 1000\n"), done.stderr[-3000:]
