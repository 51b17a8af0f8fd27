"""Real executors that are asked for something while they run, and the commands that they then run beside real programs."""

from __future__ import annotations

import fcntl
import os
import signal
import time
from pathlib import Path

from daqsched_executor.contract import (
    OBEY,
    Check,
    LabelRow,
    OperatorCommand,
    Payload,
    Restart,
    Stop,
    Stream,
    labels_of,
    labels_path,
    starts_of,
    starts_path,
)
from fake_agent import ExecutorUnderTest, FakeAgent, Start, message, order, outcome, processes_of, report_of
from waiting import alive, until

#: Leaves a process behind that is in a session of its own and ignores what can be ignored.
DAEMON = "setsid sh -c 'trap \"\" TERM INT HUP; echo $$ > daemon.new; mv daemon.new daemon; sleep 1000' & "


def lockable(file: Path) -> bool:
    """Whether nobody holds its lock."""
    with open(file) as opened:
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def daemon_of(folder: Path) -> int:
    """Wait for the pid that `DAEMON` writes."""
    until((folder / "daemon").exists, "daemon")
    return int((folder / "daemon").read_text())


def wait_for_start(executor: ExecutorUnderTest, number: int) -> None:
    """Wait until its program was started so often."""
    until(lambda: executor.log().count("runs: pid") == number, f"start {number}")


def test_what_is_no_operator_command_is_one_line_and_the_same_one_counts_once(agent: FakeAgent, start: Start) -> None:
    """The program runs on through all of it."""
    executor = start("/bin/sleep", "1000", actions={"count": ("/bin/sh", "-c", "echo x >> counted")})
    pid = executor.running().pid
    junk = [b"", b"\xff\x00", b"[]", b"{}", b'{"version": 99}', OperatorCommand("o", "dance", "alice").to_json()]
    for data in junk:
        message(agent, data)
    agent.send({"type": "MESSAGE", "message": {"data": "no base64!"}})
    for _ in range(3):
        order(agent, "act", "count")
    assert outcome(agent).ok
    order(agent, "act", "count", "o2")
    assert outcome(agent, "o2").ok
    assert (executor.sandbox / "counted").read_text() == "x\nx\n"
    assert executor.log().count("a message of the framework that is not an order") == len(junk) + 1
    assert alive(pid)


def test_a_hook_that_makes_the_program_end_may_end_with_it(agent: FakeAgent, start: Start) -> None:
    """Program and hook end in the same moment, in any order, again and again; the executor goes on."""
    stop = Stop(before=("/bin/sh", "-c", "kill $DAQSCHED_PID"), after=("/bin/sh", "-c", "echo x >> freed"))
    executor = start("/bin/sleep", "1000", stop=stop)
    pid = executor.running().pid
    for number in range(20):
        order(agent, "restart", id=f"o{number}")
        wait_for_start(executor, number + 2)
        assert not alive(pid)
        pid = int(executor.log().rpartition("runs: pid ")[2].split()[0])
    assert executor.process.poll() is None and "a bug" not in executor.log()
    assert (executor.sandbox / "freed").read_text() == "x\n" * 20


def test_other_rules_count_from_now_on_and_the_program_runs_on(agent: FakeAgent, start: Start) -> None:
    """An action that it did not have, another signal, and no further start."""
    executor = start("/bin/sleep", "1000", rules="r1")
    pid = executor.running().pid
    told = Payload(
        "t", "readout", "hlt01", ("/bin/other",), actions={"count": ("/bin/sh", "-c", "echo x >> counted")},
        restart=Restart("never"), stop=Stop("USR1", grace_s=30.0), rules="r2",
    )  # fmt: skip
    message(agent, OperatorCommand("o1", OBEY, "daqsched apply", payload=told.to_json().decode()).to_json())
    agent.wait(lambda: report_of(agent.updates[-1]).rules == "r2", "it has confirmed that")
    order(agent, "act", "count", "o2")
    assert outcome(agent, "o2").ok and report_of(agent.updates[-1]).pid == pid and alive(pid)
    order(agent, "restart", id="o3")
    agent.wait(
        lambda: report_of(agent.updates[-1]).restarts == 1 and report_of(agent.updates[-1]).ready, "the next start"
    )
    report = report_of(agent.updates[-1])
    assert report.last_exit is not None and report.last_exit.signal == "SIGUSR1" and not alive(pid)
    os.kill(report.pid, signal.SIGKILL)
    assert agent.wait_update("TASK_FAILED")["message"].startswith("killed by SIGKILL")


def test_other_checks_count_from_now_on_and_the_program_runs_on(agent: FakeAgent, start: Start) -> None:
    """One that there was none before, another one, none; a real question each."""
    executor = start("/bin/sleep", "1000", rules="r0")
    pid = executor.running().pid
    passes, fails = ("/bin/sh", "-c", "echo x >> asked"), ("/bin/sh", "-c", "exit 3")

    def told(number: int, *checks: Check) -> None:
        rules = Payload("t", "readout", "hlt01", ("/bin/sleep", "1000"), checks=checks, rules=f"r{number}")
        data = rules.to_json().decode()
        message(agent, OperatorCommand(f"o{number}", OBEY, "daqsched apply", payload=data).to_json())
        agent.wait(lambda: report_of(agent.updates[-1]).rules == f"r{number}", "it has confirmed that")

    told(1, Check("command", "ask", argv=passes, interval_s=0.2))
    agent.wait(lambda: report_of(agent.updates[-1]).healthy is True, "it was asked")
    assert (executor.sandbox / "asked").exists()
    told(2, Check("command", "ask", argv=fails, interval_s=0.2, grace_s=0.0, failures=2, unhealthy="notify"))
    agent.wait(lambda: report_of(agent.updates[-1]).healthy is False, "it is ill by the other one")
    told(3)
    agent.wait(lambda: report_of(agent.updates[-1]).healthy is None, "it is asked no more")
    assert report_of(agent.updates[-1]).pid == pid and alive(pid) and "a bug" not in executor.log()


def test_the_lock_is_taken_and_let_go_while_the_program_runs(agent: FakeAgent, start: Start) -> None:
    """As the job file says now; one that somebody else holds is said."""
    executor = start("/bin/sleep", "1000", rules="r0", lock=False)
    pid = executor.running().pid
    (file,) = locks = [executor.spool / "locks" / "readout@hlt01"]

    def told(number: int, lock: bool) -> None:
        rules = Payload("t", "readout", "hlt01", ("/bin/sleep", "1000"), lock=lock, rules=f"r{number}")
        data = rules.to_json().decode()
        message(agent, OperatorCommand(f"o{number}", OBEY, "daqsched apply", payload=data).to_json())
        agent.wait(lambda: report_of(agent.updates[-1]).rules == f"r{number}", "it has confirmed that")

    def locked() -> bool:
        with open(locks[0]) as opened:
            try:
                fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False

    assert not locked()
    told(1, True)
    until(locked, "it is locked")
    told(2, False)
    until(lambda: not locked(), "it is let go")
    with open(file) as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        told(3, True)
        until(lambda: "another one runs already" in executor.log(), "it is said")
    assert alive(pid)


def test_labels_and_logs_count_for_what_is_printed_from_then_on(agent: FakeAgent, start: Start) -> None:
    """Three values of a label, not forwarded, forwarded again, and not a start in between; a check that is asked meanwhile gets its
    answer."""
    slow = Check("command", "ask", argv=("/bin/sh", "-c", "echo x >> asked; sleep 0.3"), interval_s=0.1, grace_s=0.0)
    text = ("/bin/sh", "-c", "while :; do echo line; sleep 0.02; done")
    executor = start(*text, labels={"shift": "a"}, checks=(slow,), rules="r0")
    pid = executor.running().pid
    folder, stdout = executor.spool / "streams", executor.sandbox / "stdout"
    (first,) = [one for one in folder.glob("*.json") if Stream.from_json(one.read_bytes()).name == "stdout"]

    def told(number: int, labels: dict[str, str], forward: bool = True) -> int:
        rules = Payload(
            "t", "readout", "hlt01", text, checks=(slow,), labels=labels, forward=forward, rules=f"r{number}"
        )
        size = stdout.stat().st_size
        message(agent, OperatorCommand(f"o{number}", OBEY, "apply", payload=rules.to_json().decode()).to_json())
        agent.wait(lambda: report_of(agent.updates[-1]).rules == f"r{number}", "it has confirmed that")
        return size

    def rows(registration: Path) -> list[LabelRow]:
        return labels_of(Path(labels_path(str(registration))).read_bytes())

    sizes = [told(1, {"shift": "b"}), told(2, {"shift": "c"}), told(3, {"shift": "c"}, False)]
    assert [row.labels for row in rows(first)] == [{"shift": "b"}, {"shift": "c"}, None]
    offsets = [row.offset for row in rows(first)]
    assert all(size <= offset for size, offset in zip(sizes, offsets)) and offsets == sorted(offsets)
    # a command that has just been forked for the check has the lock, too, until it becomes another program
    until(lambda: lockable(first), "the forwarder may take it away when it has read so far")
    told(4, {"shift": "d"}, False)
    size = told(5, {"shift": "e"})
    (second,) = [
        one for one in folder.glob("*.json") if one != first and Stream.from_json(one.read_bytes()).name == "stdout"
    ]
    stream = Stream.from_json(second.read_bytes())
    assert stream.labels == {"shift": "e"} and stream.start >= size and not lockable(second)
    asked = (executor.sandbox / "asked").stat().st_size
    until(lambda: (executor.sandbox / "asked").stat().st_size >= asked + 6, "it is asked as before")
    assert report_of(agent.updates[-1]).pid == pid and alive(pid) and "a bug" not in executor.log()
    os.kill(pid, signal.SIGKILL)
    agent.wait(lambda: report_of(agent.updates[-1]).restarts == 1 and report_of(agent.updates[-1]).ready, "a start")
    assert starts_of(Path(starts_path(str(second))).read_bytes())[-1][1] == 2


def test_an_action_that_prints_without_end_holds_nothing_up(agent: FakeAgent, start: Start) -> None:
    """Beside it a killed program is started again, and what is kept of the lines has a bound."""
    actions = {"flood": ("/bin/sh", "-c", "yes; sleep 1000")}
    executor = start("/bin/sleep", "1000", actions=actions, action_timeout_s=6.0)
    pid = executor.running().pid
    order(agent, "act", "flood")
    until(lambda: "is not kept" in executor.log(), "flood")
    os.kill(pid, signal.SIGKILL)
    began = time.monotonic()
    until(lambda: executor.log().count("runs: pid") == 2, "restart")
    assert time.monotonic() - began < 5.0
    done = outcome(agent)
    assert not done.ok and done.words == "did not end within 6.0 s and was killed" and done.lines == ("y",) * 5
    assert (executor.sandbox / "executor.log").stat().st_size < 2 << 20


def test_a_stop_does_not_wait_for_an_action_and_leaves_nothing_of_it(agent: FakeAgent, start: Start) -> None:
    """Not even what it has put into the background."""
    executor = start("/bin/sleep", "1000", actions={"hang": ("/bin/sh", "-c", DAEMON + "sleep 1000")})
    executor.running()
    order(agent, "act", "hang")
    daemon = daemon_of(executor.sandbox)
    agent.kill("readout@hlt01.1")
    agent.wait_update("TASK_KILLED")
    assert executor.leave() == 0
    until(lambda: not alive(daemon) and processes_of(executor) == [], "end of the action")


def test_kill_9_of_the_executor_leaves_nothing_of_an_action(agent: FakeAgent, start: Start) -> None:
    """Program, action and what that has put into the background all go."""
    executor = start("/bin/sleep", "1000", actions={"hang": ("/bin/sh", "-c", DAEMON + "sleep 1000")})
    executor.running()
    order(agent, "act", "hang")
    daemon = daemon_of(executor.sandbox)
    os.kill(executor.pid, signal.SIGKILL)
    until(lambda: not alive(daemon) and processes_of(executor) == [], "end of all")


def test_an_action_also_runs_while_the_program_backs_off(agent: FakeAgent, start: Start) -> None:
    """And a start now ends the back-off."""
    executor = start(
        "/bin/false", restart=Restart(delay_s=1000.0, cap_s=1000.0), actions={"reset": ("/bin/sh", "-c", "echo done")}
    )
    agent.wait(lambda: [one for one in agent.updates if report_of(one).activity == "backoff"], "back-off")
    order(agent, "act", "reset")
    assert outcome(agent).lines == ("done",)
    starts = executor.log().count("runs: pid")
    order(agent, "retry", id="o2")
    until(lambda: executor.log().count("runs: pid") > starts, "start")


def test_a_back_off_of_a_month_is_no_trouble(agent: FakeAgent, start: Start) -> None:
    """epoll waits for 24.8 days at most."""
    month_s = 30 * 86400.0
    executor = start("/bin/false", restart=Restart(delay_s=month_s, cap_s=month_s))
    agent.wait(lambda: [one for one in agent.updates if report_of(one).activity == "backoff"], "back-off")
    order(agent, "retry")
    until(lambda: executor.log().count("runs: pid") > 2, "start")
    assert "a bug" not in executor.log()
