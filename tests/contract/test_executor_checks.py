"""Real executors, real programs, real checks of each kind: how a program gets ready, ill and well, as seen from outside.

The agent is fake (tests/fake_agent.py); sockets, processes, files and messages are not.
"""

from __future__ import annotations

import os
import re
import select
import signal
import socket
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from daqsched_executor.contract import Check, Report, Restart
from daqsched_executor.machine.socket_folder import MOST_LEFT, PREFIX, own_place
from daqsched_executor.run.loop import READ, WRITE
from daqsched_executor.run.port_probe import PortProbe, PortProtocol, numeric
from fake_agent import ExecutorUnderTest, FakeAgent, Start, Status, how_far, processes_of, report_of
from waiting import alive, until

#: Fast enough for a test, slow enough for a busy machine.
QUICK: dict[str, Any] = {"grace_s": 30.0, "interval_s": 0.2, "timeout_s": 2.0, "failures": 2}


def python(text: str) -> list[str]:
    """argv of a small program."""
    return [sys.executable, "-S", "-c", text]


def wait_for_lines(file: Path, count: int) -> list[str]:
    """Wait until the file has so many, and return what it has."""
    return until(
        lambda: len(found := file.read_text().splitlines()) >= count and found, f"{count} lines of {file.name}"
    )


def free_port() -> int:
    """One that nobody listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def ended_for(agent: FakeAgent, words: str) -> Status:
    """Wait until the program was ended by its check, and started again, and return the first report that tells it.

    A program may end at once: then there is no report in between that calls it ill.
    """
    told = agent.wait_update("TASK_STARTING", contains=words)
    report = report_of(told)
    assert (report.healthy is False and words in report.ailment) or (
        report.last_exit is not None and words in report.last_exit.why
    )
    agent.wait(lambda: [one for one in reports(agent) if one.last_exit and words in one.last_exit.why], "restart")
    return told


def reports(agent: FakeAgent) -> list[Report]:
    """All that came."""
    return [report_of(update) for update in agent.updates]


def pids(agent: FakeAgent) -> list[int]:
    """Of all programs that were told of."""
    return sorted({report.pid for report in reports(agent)} - {0})


#: A program whose health is a file: `answer` holds what it answers, no file: it hangs after it accepted.
SERVER = """
import os, socket, sys, time
time.sleep(0.3)
listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind(("127.0.0.1", int(sys.argv[1])))
listener.listen()
kept = []
while True:
    connection, _ = listener.accept()
    connection.settimeout(0.2)
    try:
        connection.recv(65536)
    except OSError:
        pass
    if os.path.exists("answer"):
        try:
            connection.sendall(open("answer", "rb").read())
        except OSError:
            pass
        connection.close()
    else:
        kept.append(connection)
"""


def serve(start: Start, tmp_path: Path, answer: bytes, **fields: Any) -> tuple[ExecutorUnderTest, Path]:
    """A program with a health endpoint, an HTTP check on it, and the file that decides what it answers."""
    sandbox = tmp_path / "sandbox"
    sandbox.mkdir()
    (sandbox / "answer").write_bytes(answer)
    port = free_port()
    check = Check("http", "health", port=port, path="/health", **{**QUICK, **fields})
    return start(*python(SERVER), str(port), checks=(check,)), sandbox / "answer"


class TestHttp:
    """GET, from the executor's own loop."""

    def test_it_is_ready_when_it_answers_and_restarted_when_it_says_no(
        self, agent: FakeAgent, start: Start, tmp_path: Path
    ) -> None:
        """First refused, then 204, then 503 with words; Mesos' own flag follows."""
        _, answer = serve(start, tmp_path, b"HTTP/1.1 204 No Content\r\n\r\n")
        told = agent.wait_update("TASK_STARTING", contains="not ready yet: health has not answered")
        assert "healthy" not in told and report_of(told).pid
        told = agent.wait_update("TASK_RUNNING")
        assert told["healthy"] is True and report_of(told).healthy is True
        answer.write_bytes(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 13\r\n\r\nbuffer full\r\n")
        told = ended_for(agent, "check health failed 2 times in a row")
        assert "/health answers with HTTP 503: buffer full" in told["message"]
        assert not told.get("healthy")

    def test_each_address_of_localhost_is_tried_and_the_first_refusal_is_told(
        self, agent: FakeAgent, start: Start
    ) -> None:
        """Also where the machine has no IPv6, so that there can be no socket for the second one."""
        check = Check("http", "health", address="localhost", port=free_port(), path="/")
        start("/bin/sleep", "1000", checks=(check,))
        agent.wait_update("TASK_STARTING", contains="refuses the connection", limit_s=20.0)

    def test_one_that_accepts_and_hangs_is_given_up(self, agent: FakeAgent, start: Start, tmp_path: Path) -> None:
        """The time limit is a failure, and the loop runs on meanwhile: a killed program is back at once."""
        executor, answer = serve(start, tmp_path, b"HTTP/1.0 200 OK\r\n\r\n", timeout_s=2.0)
        first = executor.running().pid
        answer.unlink()
        time.sleep(0.5)  # a request hangs now
        os.kill(first, signal.SIGKILL)
        until(lambda: len(processes_of(executor)) == 1 and processes_of(executor) != [first], "restart", 1.8)
        answer.write_bytes(b"HTTP/1.0 200 OK\r\n\r\n")
        executor.running(2)
        answer.unlink()
        ended_for(agent, "does not answer within 2.0 s")

    @pytest.mark.parametrize(
        "answer, words",
        [
            (b"SSH-2.0-OpenSSH_9.2\r\n", "gives an answer that is not HTTP"),
            (b"", "closes the connection without an answer"),
            (b"HTTP/1.1 500 Oops\r\n\r\n" + b"x" * 10_000_000, "answers with HTTP 500: " + "x" * 120),
            (b"x" * 10_000_000, "gives an answer that is not HTTP"),
            (b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 500 Oops\r\n\r\nno", "answers with HTTP 500: no"),
            (b"HTTP/1.1 102 Processing\r\n\r\n", "closes the connection without an answer after HTTP 102"),
            (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", "answers with HTTP 101"),
        ],
        ids=["other protocol", "nothing", "long", "endless line", "interim", "only interim", "switches"],
    )
    def test_other_answers_are_named(
        self, agent: FakeAgent, start: Start, tmp_path: Path, answer: bytes, words: str
    ) -> None:
        """Nothing of any length is kept."""
        serve(start, tmp_path, answer, grace_s=1.0, unhealthy="notify")
        told = agent.wait_update("TASK_STARTING", contains=words, limit_s=20.0)
        assert len(told["message"]) < 600


class TestTcp:
    """A port."""

    def test_it_is_ready_when_it_listens_and_restarted_when_it_does_not(self, agent: FakeAgent, start: Start) -> None:
        """By a name that needs no look-up, over whichever of its addresses answers."""
        port = free_port()
        text = f"""
import os, signal, socket, time
listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind(("127.0.0.1", {port}))
listener.listen()
signal.signal(signal.SIGUSR1, lambda *a: listener.close())
while True: time.sleep(1)
"""
        executor = start(*python(text), checks=(Check("tcp", "port", address="localhost", port=port, **QUICK),))
        os.kill(executor.running().pid, signal.SIGUSR1)
        ended_for(agent, f"localhost:{port} refuses the connection")
        executor.running(2)

    def test_a_name_is_looked_up_beside_the_loop(self, agent: FakeAgent, start: Start) -> None:
        """One that does not exist is told as such."""
        check = Check("tcp", "port", address="nowhere.invalid", port=1, grace_s=0.0, failures=1, unhealthy="notify")
        start("/bin/sleep", "1000", checks=(check,))
        agent.wait_update("TASK_STARTING", contains="nowhere.invalid has no address: ", limit_s=20.0)

    def test_this_machines_name_is_found(self, agent: FakeAgent, start: Start) -> None:
        """The addresses of a name are tried in turn."""
        with socket.socket() as listener:
            listener.bind(("", 0))
            listener.listen(50)
            check = Check("tcp", "port", address=socket.gethostname(), port=listener.getsockname()[1], **QUICK)
            start("/bin/sleep", "1000", checks=(check,)).running()


class TestCommand:
    """A command beside the program."""

    def test_it_decides_by_its_exit_status_and_its_last_line_is_the_reason(
        self, agent: FakeAgent, start: Start
    ) -> None:
        """With the program's environment and directory, and the program's pid."""
        ask = 'test "$MARK" = 1 && test -e ready && kill -0 $DAQSCHED_PID && { test ! -e ill || { echo no data; exit 3; }; }'
        check = Check("command", "ask", argv=("/bin/sh", "-c", ask), **QUICK)
        executor = start("/bin/sleep", "1000", env={"MARK": "1"}, checks=(check,))
        agent.wait_update("TASK_STARTING", contains="not ready yet: ask has not succeeded")
        (executor.sandbox / "ready").touch()
        executor.running()
        (executor.sandbox / "ill").touch()
        ended_for(agent, "check ask failed 2 times in a row: no data (exit code 3 after ")

    def test_one_that_hangs_and_double_forks_leaves_nothing(self, agent: FakeAgent, start: Start) -> None:
        """Its time is over: it and its daemons die; the program is neither ended by mistake nor takes the blame."""
        hang = "echo $$ >> began; setsid -f sh -c 'echo $$ >> daemons; sleep 1000' & sleep 1000"
        check = Check("command", "ask", argv=("/bin/sh", "-c", hang), **{**QUICK, "timeout_s": 0.5}, unhealthy="notify")
        executor = start("/bin/sleep", "1000", checks=(check,))
        program = report_of(agent.wait_update("TASK_STARTING", contains="not ready yet")).pid
        began, daemons = executor.sandbox / "began", executor.sandbox / "daemons"
        until(lambda: daemons.exists() and len(daemons.read_text().split()) >= 3, "third run")
        ran = [*map(int, began.read_text().split()), *map(int, daemons.read_text().split())]
        assert sum(alive(pid) for pid in began_pids(began)) <= 1
        agent.kill("readout@hlt01.1")
        agent.wait_update("TASK_KILLED")
        assert executor.leave() == 0 and not alive(program)
        until(lambda: not [pid for pid in [*ran, *began_pids(began)] if alive(pid)], "end of the checks")

    def test_kill_9_of_the_executor_ends_its_checks(self, agent: FakeAgent, start: Start) -> None:
        """No check outlives it."""
        ask = "echo $$ >> began; sleep 1000"
        check = Check("command", "ask", argv=("/bin/sh", "-c", ask), **{**QUICK, "timeout_s": 100.0})
        executor = start("/bin/sleep", "1000", checks=(check,))
        began = executor.sandbox / "began"
        until(lambda: began.exists() and began_pids(began), "check")
        os.kill(executor.pid, signal.SIGKILL)
        until(lambda: not alive(began_pids(began)[0]), "end of the check")
        executor.process.wait(10)
        assert processes_of(executor) == []


def began_pids(file: Path) -> list[int]:
    """One per line."""
    return [int(line) for line in file.read_text().split()]


class TestOutput:
    """What a program prints."""

    def test_silence_ends_it(self, agent: FakeAgent, start: Start) -> None:
        """Ready with the first words, ill without any for too long."""
        check = Check("output", "lines", silence_s=1.0, grace_s=30.0)
        executor = start(
            "/bin/sh", "-c", "sleep 0.3; for i in 1 2 3; do echo $i; sleep 0.4; done; sleep 1000", checks=(check,)
        )
        agent.wait_update("TASK_STARTING", contains="lines has printed nothing")
        executor.running()
        ended_for(agent, "check lines failed: nothing printed for 1.0 s")

    def test_a_pattern_is_searched_in_new_lines_of_one_stream_only(self, agent: FakeAgent, start: Start) -> None:
        """Lines of the other stream, other lines, and those of the run before are no signs of life."""
        check = Check("output", "lines", stream="stderr", pattern=rb"^event \d+$".decode(), silence_s=2.0, grace_s=3.0)
        text = "echo event 1 >&2; echo event 2; while :; do echo event 3; echo noevent 4 >&2; sleep 0.1; done"
        executor = start("/bin/sh", "-c", text, checks=(check,))
        executor.running()
        ended_for(agent, "no line with '^event \\\\d+$' for 2.0 s")
        executor.running(2)

    @pytest.mark.once
    def test_a_flood_costs_the_executor_little(self, agent: FakeAgent, start: Start) -> None:
        """Hundreds of MB through a pattern's check: the loop stays quick, the CPU time small."""
        check = Check("output", "lines", pattern="never matches", silence_s=60.0, grace_s=60.0)
        flood = (
            "for _ in 1 2 3; do head -c 100000000 /dev/zero | tr '\\0' 'x' | fold -w 99; sleep 0.5; done; sleep 1000"
        )
        executor = start("/bin/sh", "-c", flood, checks=(check,))
        until(lambda: (executor.sandbox / "stdout").exists(), "output")
        before = cpu_s(executor.pid)
        until(lambda: (executor.sandbox / "stdout").stat().st_size > 290_000_000, "flood", 60.0)
        used = cpu_s(executor.pid) - before
        # the same machine, as busy as it is: the same lines, read and looked through once
        began = time.process_time()
        with open(executor.sandbox / "stdout", "rb") as file:
            while piece := file.read(1 << 16):
                assert not any(map(re.compile(b"never matches").search, piece.split(b"\n")))
        floor = time.process_time() - began
        # 0.7 of it on a quiet machine; what else is at work meanwhile may differ a little between the two
        assert used < floor * 1.25

    def test_a_pattern_that_goes_wild_does_not_hold_up_the_loop(self, agent: FakeAgent, start: Start) -> None:
        """The search is broken off, and a killed program is back all the same."""
        check = Check("output", "lines", pattern="(a+)+$", silence_s=60.0, grace_s=60.0)
        text = f"while :; do echo {'a' * 40}b; sleep 0.1; done"
        executor = start("/bin/sh", "-c", text, checks=(check,))
        agent.wait_update("TASK_STARTING", contains="the search takes more than 0.1 s", limit_s=20.0)
        first = pids(agent)[0]
        os.kill(first, signal.SIGKILL)
        until(lambda: report_of(agent.updates[-1]).restarts == 1, "restart")
        assert executor.process.poll() is None


def cpu_s(pid: int) -> float:
    """CPU time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class TestFile:
    """The time of a file's change."""

    def test_a_file_that_is_written_to_is_a_sign_of_life(self, agent: FakeAgent, start: Start) -> None:
        """One that a predecessor wrote is not; a missing one is named."""
        check = Check("file", "run file", path="run.raw", silence_s=1.0, grace_s=5.0, interval_s=0.3)
        text = (
            "if test -e run.raw; then sleep 1000; fi; for i in 1 2 3 4; do sleep 0.3; date >> run.raw; done; sleep 1000"
        )
        executor = start("/bin/sh", "-c", text, checks=(check,))
        executor.running()
        told = ended_for(agent, "check run file failed: run.raw unchanged for 1.0 s (last changed at ")
        assert re.search(r"changed at \d{4}-\d\d-\d\d \d\d:\d\d:\d\d( UTC|[+-]\d\d:\d\d)\)", told["message"])
        agent.wait_update("TASK_STARTING", contains="run.raw unchanged for 5.0 s", limit_s=20.0)
        assert len([update for update in agent.updates if how_far(update) == "TASK_RUNNING"]) == 1

    def test_a_missing_file_is_named(self, agent: FakeAgent, start: Start) -> None:
        """Not only called silent."""
        check = Check("file", "run file", path="/nowhere/run.raw", silence_s=0.5, grace_s=0.5, interval_s=0.2)
        start("/bin/sleep", "1000", checks=(check,))
        ended_for(agent, "/nowhere/run.raw unchanged for 0.50 s (it is missing)")

    def test_looks_leave_no_file_open(self, start: Start) -> None:
        """Each is a process with a handle and a pipe; a check looks some ten thousand times a day."""
        check = Check("file", "run file", path="run.raw", silence_s=2.0, interval_s=0.2)
        executor = start("/bin/sh", "-c", "while date > run.raw; do sleep 0.05; done", checks=(check,))
        executor.running()
        folder = f"/proc/{executor.pid}/fd"
        at_first, until = len(os.listdir(folder)), time.monotonic() + 2.5
        while time.monotonic() < until:  # four looks a second: each left one open
            assert len(os.listdir(folder)) <= at_first + 3
            time.sleep(0.05)


#: A daemon as people write them for systemd: orders come as signals.
DAEMON = r"""
import os, signal, socket, sys, time
def notify(text):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as one:
        address = os.environ["NOTIFY_SOCKET"]
        one.connect(address)
        one.sendall(text.encode())
beat = int(os.environ["WATCHDOG_USEC"]) / 1e6 / 3
assert int(os.environ["WATCHDOG_PID"]) == os.getpid()
quiet = False
def be_quiet(*a):
    global quiet
    quiet = True
signal.signal(signal.SIGUSR1, be_quiet)
notify("STATUS=reading the map of cables")
time.sleep(0.5)
notify("READY=1\nSTATUS=taking data")
while True:
    time.sleep(beat)
    if not quiet:
        notify("WATCHDOG=1")
"""

BEAT = Check("heartbeat", "beat", silence_s=1.5, grace_s=30.0)


class TestHeartbeat:
    """sd_notify(3)."""

    def test_a_systemd_style_daemon_gets_ready_is_heard_and_ended_when_it_falls_silent(
        self, agent: FakeAgent, start: Start
    ) -> None:
        """STATUS= before and after, many heartbeats, then none."""
        executor = start(*python(DAEMON), checks=(BEAT,))
        agent.wait_update("TASK_STARTING", contains="not ready yet: beat has not sent READY=1")
        report = executor.running()
        assert report.says == "taking data" and agent.updates[-1]["message"].endswith("; it says: taking data")
        time.sleep(3.0)  # more than one silence
        assert alive(report.pid)
        os.kill(report.pid, signal.SIGUSR1)
        ended_for(agent, "check beat failed: no WATCHDOG=1 for 1.5 s")
        executor.running(2)

    def test_one_that_never_gets_ready_backs_off_and_is_given_up(self, agent: FakeAgent, start: Start) -> None:
        """Each attempt has its grace; the budget holds."""
        check = Check("heartbeat", "beat", grace_s=0.3)
        start("/bin/sleep", "1000", checks=(check,), restart=Restart(budget=2, delay_s=0.05))
        failed = agent.wait_update("TASK_FAILED", limit_s=20.0)
        assert "gave up after 2 restarts" in failed["message"] and "no READY=1 within 0.30 s" in failed["message"]
        assert not [update for update in agent.updates if how_far(update) == "TASK_RUNNING"]

    def test_only_the_programs_own_processes_are_heard(self, agent: FakeAgent, start: Start) -> None:
        """A stranger who learnt the address is refused and said so; the program's grandchild is heard."""
        hello = """
import os, socket, time
one = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
one.connect(os.environ["NOTIFY_SOCKET"])
one.sendall(b"READY=1")
time.sleep(1)
"""
        text = """
echo $NOTIFY_SOCKET > socket
while ! test -e go; do sleep 0.05; done
setsid "$PYTHON" -S -c "$HELLO" &
sleep 1000
"""
        environment = {"HELLO": hello, "PYTHON": sys.executable}
        check = Check("heartbeat", "beat", grace_s=60.0)
        executor = start("/bin/sh", "-c", text, env=environment, checks=(check,))
        file = executor.sandbox / "socket"
        until(lambda: file.exists() and file.read_text(), "address")
        address = file.read_text().strip()
        assert address.startswith("/") and len(address) < 100
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as stranger:
            stranger.connect(address)
            stranger.sendall(b"READY=1")
            until(lambda: f"a message of pid {os.getpid()}" in executor.log(), "refusal")
        assert not [update for update in agent.updates if how_far(update) == "TASK_RUNNING"]
        (executor.sandbox / "go").touch()
        executor.running()

    @pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
    def test_no_other_account_reaches_the_socket(self, agent: FakeAgent, start: Start) -> None:
        """Only the job's may connect, and nobody lists the folder; the job's program is heard."""
        text = "import os, socket; open('socket', 'w').write(os.environ['NOTIFY_SOCKET']); "
        text += "one = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); one.connect(os.environ['NOTIFY_SOCKET']); "
        text += "one.send(b'READY=1'); import time; time.sleep(1000)"
        check = Check("heartbeat", "beat", grace_s=60.0)
        executor = start("/usr/bin/python3", "-S", "-c", text, user="nobody", checks=(check,))
        executor.running()
        address = Path((executor.sandbox / "socket").read_text())
        assert (address.stat().st_uid, address.stat().st_mode & 0o777) == (65534, 0o600)
        assert (address.parent.stat().st_uid, address.parent.stat().st_mode & 0o777) == (0, 0o711)
        stranger = os.fork()
        if stranger == 0:
            os.setresuid(1, 1, 1)
            try:
                socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).connect(str(address))
            except PermissionError:
                os._exit(13)
            finally:
                os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(stranger, 0)[1]) == 13
        agent.kill("readout@hlt01.1")
        assert executor.leave() == 0 and not address.parent.exists()

    def test_a_sender_that_is_gone_when_its_message_is_read_is_heard(self, agent: FakeAgent, start: Start) -> None:
        """systemd-notify in a script has often ended by then; the executor stands still until it has."""
        text = """
import os, socket, time
while not os.path.exists("go"): time.sleep(0.01)
if os.fork() == 0:
    one = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    one.connect(os.environ["NOTIFY_SOCKET"])
    one.send(b"READY=1")
    os._exit(0)
os.wait()
open("gone", "w")
time.sleep(1000)
"""
        executor = start(*python(text), checks=(Check("heartbeat", "beat", grace_s=60.0),))
        agent.wait_update("TASK_STARTING", contains="not ready yet")
        pid = executor.pid
        os.kill(pid, signal.SIGSTOP)
        (executor.sandbox / "go").touch()
        until((executor.sandbox / "gone").exists, "end of the sender")
        os.kill(pid, signal.SIGCONT)
        executor.running()

    def test_what_takes_long_to_close_holds_nothing_up(self, agent: FakeAgent, start: Start) -> None:
        """A TCP socket that lingers for an hour, in messages and in the queue of the socket that is closed itself: orders are
        heard, the program is started again and stopped, and few threads and files are there however many come."""
        text = r"""
import os, signal, socket, struct, time
listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
listener.bind(("127.0.0.1", 0))
listener.listen(64)
kept = []
one = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
one.connect(os.environ["NOTIFY_SOCKET"])
one.send(b"READY=1")
one.setblocking(False)
while not os.path.exists("go"):
    time.sleep(0.01)
os.kill(os.getppid(), signal.SIGSTOP)  # the last one to close them shall be the executor
try:
    while True:
        lingers = socket.socket()
        lingers.connect(listener.getsockname())
        kept.append(listener.accept()[0])
        lingers.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 3600))
        lingers.setblocking(False)
        try:
            while True:
                lingers.send(b"x" * 65536)
        except BlockingIOError:
            pass
        socket.send_fds(one, [b"X=1"], [lingers.fileno()] * 40)
        lingers.close()
except BlockingIOError:
    pass
os.kill(os.getppid(), signal.SIGCONT)
time.sleep(1000)
"""
        executor = start(*python(text), checks=(Check("heartbeat", "beat", grace_s=60.0),))
        first = executor.running().pid
        (executor.sandbox / "go").touch()
        until(lambda: len(os.listdir(f"/proc/{executor.pid}/task")) > 2, "threads that close")
        files, threads = (len(os.listdir(f"/proc/{executor.pid}/{what}")) for what in ("fd", "task"))
        assert files < 450 and threads <= 9
        os.kill(first, signal.SIGKILL)
        assert executor.running(2).pid != first
        agent.kill("readout@hlt01.1")
        agent.wait_update("TASK_KILLED")
        assert executor.leave() == 0

    def test_what_a_killed_executor_left_is_removed_by_the_next_one(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A folder that a living process has, and one that is none of ours, stay."""
        places = (str(tmp_path),)
        killed, lives = own_place(places), own_place(places)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as one:
            monkeypatch.chdir(killed.path)  # the whole path may be longer than an address can be
            one.bind("1")
            monkeypatch.chdir(tmp_path)
        os.close(killed.handle)
        other = tmp_path / "daqsched-notify-mine"
        other.mkdir()
        (other / "thesis.tex").touch()
        new = own_place(places)
        assert sorted(tmp_path.iterdir()) == sorted([Path(lives.path), Path(new.path), other])
        assert (other / "thesis.tex").exists()
        lives.remove()
        new.remove()
        assert list(tmp_path.iterdir()) == [other]

    def test_a_flood_of_such_folders_holds_no_start_up(self, tmp_path: Path) -> None:
        """Anybody may make them where everybody may make one: so many are looked at, and no more."""
        planted = MOST_LEFT + 500
        for number in range(planted):
            (tmp_path / f"{PREFIX}{number}").mkdir()
        new = own_place((str(tmp_path),))
        assert len(list(tmp_path.iterdir())) == planted - MOST_LEFT + 1
        new.remove()

    def test_junk_and_floods_break_nothing(self, agent: FakeAgent, start: Start) -> None:
        """Thousands of messages, bytes of any kind, files with them; the last status counts, reports stay few."""
        text = r"""
import array, os, socket, time
one = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
one.connect(os.environ["NOTIFY_SOCKET"])
files = array.array("i", [0, 1, 2])
for n in range(3000):
    one.send(os.urandom(200))
    one.sendmsg([b"FDSTORE=1"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, files)])
    one.send(b"STATUS=\xff%d\nX" % n)
    one.send(b"x" * 100000)
read, write = os.pipe()
one.sendmsg([b"BARRIER=1"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [write]))])
os.close(write)
assert os.read(read, 1) == b""
one.send(b"READY=1")
time.sleep(1000)
"""
        executor = start(*python(text), checks=(Check("heartbeat", "beat", grace_s=60.0),))
        report = executor.running()
        assert report.says == "\N{REPLACEMENT CHARACTER}2999" and len(agent.updates) < 10
        assert len(os.listdir(f"/proc/{executor.pid}/fd")) < 48  # its own, and 16 that are kept

    def test_files_that_a_program_leaves_are_there_at_its_next_start(self, agent: FakeAgent, start: Start) -> None:
        """kill -9: what was sent to its socket waits; what it wants no more is gone the time after."""
        text = r"""
import os, socket, sys, time
def notify(text, *files):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as one:
        one.connect(os.environ["NOTIFY_SOCKET"])
        socket.send_fds(one, [text.encode()], files)
names = os.environ.get("LISTEN_FDNAMES", "")
if names:
    assert os.environ["LISTEN_PID"] == str(os.getpid()) and os.environ["LISTEN_FDS"] == str(len(names.split(":")))
    socket.socket(fileno=os.dup(3)).settimeout(20)
    with socket.socket(fileno=3) as mine:
        print(names, mine.recv(100).decode(), os.pread(4, 10, 0) if "note" in names else "", flush=True)
    notify("FDSTOREREMOVE=1\nFDNAME=note")
else:
    mine, note = socket.socket(type=socket.SOCK_DGRAM), os.memfd_create("note")
    mine.bind(("127.0.0.1", 0))
    os.write(note, b"remember")
    notify("FDSTORE=1\nFDNAME=port", mine.fileno())
    notify("FDSTORE=1\nFDNAME=note", note)
    print(mine.getsockname()[1], flush=True)
notify("READY=1")
time.sleep(1000)
"""
        executor = start(
            *python(text), checks=(Check("heartbeat", "beat", grace_s=60.0),), restart=Restart(delay_s=0.0)
        )
        for number in (1, 2, 3):
            report = executor.running(number)
            lines = wait_for_lines(executor.sandbox / "stdout", number)
            os.kill(report.pid, signal.SIGKILL)
            with socket.socket(type=socket.SOCK_DGRAM) as sender:
                sender.sendto(b"datagram %d" % number, ("127.0.0.1", int(lines[0])))
        executor.running(4)
        assert lines[1:] == ["port:note datagram 1 b'remember'", "port datagram 2 "]

    def test_so_many_files_are_kept_and_no_more(self, agent: FakeAgent, start: Start) -> None:
        """The rest is closed and said, once; the program has them at their numbers, the first ones."""
        text = r"""
import os, socket, time
if "LISTEN_FDS" in os.environ:
    print(os.environ["LISTEN_FDS"], set(os.environ["LISTEN_FDNAMES"].split(":")), flush=True)
    print([os.pread(number, 10, 0).decode() for number in range(3, 19)], flush=True)
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as one:
    one.connect(os.environ["NOTIFY_SOCKET"])
    if "LISTEN_FDS" not in os.environ:
        for number in range(25):
            file = os.memfd_create("x")
            os.write(file, b"%d" % number)
            socket.send_fds(one, [b"FDSTORE=1\nFDNAME=a:b"], [file])
    one.send(b"READY=1")
time.sleep(1000)
"""
        executor = start(
            *python(text), checks=(Check("heartbeat", "beat", grace_s=60.0),), restart=Restart(delay_s=0.0)
        )
        os.kill(executor.running().pid, signal.SIGKILL)
        executor.running(2)
        words = f"16 {{'stored'}}\n{[str(number) for number in range(16)]}\n"
        until(lambda: (executor.sandbox / "stdout").read_text() == words, "the program's words")
        assert executor.log().count("FDSTORE: 16 files of the program are kept") == 1

    @pytest.mark.skipif(not Path("/usr/bin/systemd-notify").exists(), reason="no systemd-notify on this machine")
    def test_the_real_systemd_notify_is_understood(self, agent: FakeAgent, start: Start) -> None:
        """As shell scripts call it: it ends at once, after its barrier."""
        text = "systemd-notify --ready --status='from a script'; sleep 1000"
        report = start("/bin/sh", "-c", text, checks=(Check("heartbeat", "beat", grace_s=10.0),)).running()
        assert report.says == "from a script"


class TestLean:
    """What checks cost where there are none."""

    def test_a_job_without_checks_has_no_socket_and_no_module_of_checks(self, agent: FakeAgent, start: Start) -> None:
        """NOTIFY_SOCKET is not set, and the environment is as ever."""
        executor = start("/bin/sh", "-c", "env > environment; sleep 1000")
        executor.running()
        environment = executor.sandbox / "environment"
        until(lambda: environment.exists() and "DAQSCHED_JOB" in environment.read_text(), "environment")
        assert "NOTIFY_SOCKET" not in environment.read_text() and "WATCHDOG" not in environment.read_text()


class OneFile:
    """As much of the executor's loop as one probe needs."""

    def __init__(self) -> None:
        self._mask, self._ready = 0, print

    def watch(self, file: int, mask: int, ready: Any, failed: Any) -> None:
        self._file, self._mask, self._ready = file, mask, ready

    def forget(self, file: int) -> None:
        self._mask = 0

    def run(self) -> None:
        """Until nothing is watched."""
        while self._mask:
            wanted = [self._file]
            assert any(select.select(wanted * (self._mask == READ), wanted * (self._mask == WRITE), (), 20.0))
            self._ready(self._mask)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (b"+PONG\r\n", (True, "")),
        (b"-LOADING", (False, "{place} says -LOADING")),
        (b"", (False, "{place} says nothing")),
    ],
)
def test_a_protocol_on_a_port_is_what_is_sent_and_what_the_answer_means(
    answer: bytes, expected: tuple[bool, str]
) -> None:
    """The probe of a port knows none by itself: a type's entry in `PROBES` gives it one, as this made-up one does."""

    def understand(heard: bytes, whole: bool) -> tuple[bool, str] | None:
        ok = heard == b"+PONG\r\n"
        return (ok, f"says {heard.decode() or 'nothing'}") if ok or whole else None

    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor(1) as pool:
        check = Check("redis", "redis", port=server.getsockname()[1])

        def serve() -> bytes:
            taken, _ = server.accept()
            with taken:
                asked = taken.recv(100)
                for at in range(len(answer)):
                    taken.send(answer[at : at + 1])
                return asked

        asked = pool.submit(serve)
        said: list[tuple[bool | None, str]] = []
        loop: Any = OneFile()
        protocol = PortProtocol(lambda check: b"PING\r\n", understand)
        PortProbe(loop, check, protocol, numeric(check.address), lambda *one: said.append(one)).begin()
        loop.run()
        assert asked.result() == b"PING\r\n"
    assert said == [(expected[0], expected[1].format(place=check.place))]


def test_a_stop_in_the_middle_of_checks_of_every_kind_is_quick_and_clean(agent: FakeAgent, start: Start) -> None:
    """Nothing is left, nothing is told after the last report."""
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(1)
        port = deaf.getsockname()[1]
        checks = (
            Check("command", "c", argv=("/bin/sleep", "1000"), timeout_s=100.0),
            Check("http", "h", port=port, path="/", timeout_s=100.0),
            Check("tcp", "t", port=port),
            Check("output", "o", silence_s=10.0),
            Check("file", "f", path="x", silence_s=10.0),
            BEAT,
        )
        executor = start("/bin/sleep", "1000", checks=checks)
        agent.wait_update("TASK_STARTING", contains="not ready yet")
        until(lambda: len(processes_of(executor)) >= 2, "check command")
        agent.kill("readout@hlt01.1")
        assert agent.wait_update("TASK_KILLED")["message"].startswith("stopped: killed by SIGTERM")
        assert executor.leave() == 0
        until(lambda: processes_of(executor) == [], "end of the checks")
