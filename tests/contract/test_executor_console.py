"""A program with a terminal of its own (`Payload.console`): a real executor, kernel and program; the agent is `fake_agent`."""

from __future__ import annotations

import os
import re
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from daqsched_executor.contract import Check, Payload, Restart, Stop
from daqsched_executor.contract.console import KEPT_BYTES, LAST, ON, ConsoleAsk, ConsoleSaid
from fake_agent import ExecutorUnderTest, FakeAgent, Start, message, order, outcome, processes_of, relays
from waiting import until

#: Says what it reads, until it reads the end.
SHELL = "echo ready; while printf 'ioc> '; read -r line; do echo heard $line; done; echo end of file"


class Terminal:
    """A daemon that is attached: asks, and puts together what comes."""

    def __init__(self, agent: FakeAgent, id: str = "d1") -> None:
        self._agent, self.id, self.number = agent, id, 0

    def ask(self, at: int = ON, keys: bytes = b"", number: int = 0, user: str = "alice", **window: int) -> None:
        message(self._agent, ConsoleAsk(self.id, at, keys, number, user, **window).to_json())

    def type(self, keys: bytes) -> None:
        self.number += 1
        self.ask(keys=keys, number=self.number)

    def said(self) -> list[ConsoleSaid]:
        return [one for one in map(ConsoleSaid.from_json, list(self._agent.messages)) if one.id == self.id]

    def text(self) -> bytes:
        """All that was told, each byte at its place once."""
        whole = b""
        for one in self.said():
            whole = whole[: one.at].ljust(one.at, b"\0") + one.data
        return whole

    def wait(self, text: bytes) -> None:
        self._agent.wait(lambda: text in self.text(), f"{text!r} on the terminal")


@pytest.fixture
def at(agent: FakeAgent) -> Terminal:
    return Terminal(agent)


def shell(start: Start, **fields: Any) -> ExecutorUnderTest:
    """The program above, at a terminal."""
    return start("/bin/sh", "-c", SHELL, console=True, **fields)


def stdout(executor: ExecutorUnderTest) -> str:
    return (executor.sandbox / "stdout").read_text()


@pytest.mark.parametrize("user", ["", "nobody"])
def test_what_is_typed_is_read_and_what_is_printed_is_told_and_a_line(start: Start, at: Terminal, user: str) -> None:
    """Nobody is attached at first; then somebody reads the last lines and types."""
    executor = shell(start, user=user)
    executor.running()
    until(lambda: "ioc> " in stdout(executor), "the prompt")
    at.ask(LAST)
    at.wait(b"ready\r\nioc> ")
    at.type(b"dbl\r")
    at.wait(b"heard dbl\r\nioc> ")
    until(lambda: stdout(executor) == "ready\nioc> dbl\nheard dbl\nioc> ", "the lines of the log")
    assert (executor.sandbox / "stderr").read_text() == ""
    assert "console: alice types" in executor.log()
    last = at.said()[-1]
    assert (last.start, last.runs, last.refused) == (1, True, 0)


def test_it_is_a_terminal_of_the_program_s_own(start: Start) -> None:
    """Of its session, so that /dev/tty is it and a job control works; closed to others; with the window of a person."""
    look = "tty >/dev/tty; stat -L -c '%a %U' /dev/fd/0; stty size; echo $TERM; ps -o tpgid=,pgid=,sid=,pid= -p $$"
    executor = start("/bin/sh", "-c", look, console=True, restart=Restart("never"), user="nobody")
    executor.agent.wait_update("TASK_FINISHED")
    device, mode, size, term, ids, _ = stdout(executor).split("\n")
    assert device.startswith("/dev/pts/") and (mode, size, term) == ("600 nobody", "24 80", "dumb")
    assert len(set(ids.split())) == 1


def test_a_program_that_ends_leaves_the_terminal_as_new(start: Start, agent: FakeAgent, at: Terminal) -> None:
    """Whoever is attached stays; a mode that the last program set, and what was typed for it, are gone."""
    program = (
        "import os, sys, termios, time, tty\n"
        "print(bool(termios.tcgetattr(0)[3] & termios.ECHO), 'begins', flush=True)\n"
        "tty.setraw(0)\n"
        "time.sleep(600)\n"
    )
    executor = start(sys.executable, "-u", "-c", program, console=True, restart=Restart(delay_s=0.0))
    pid = executor.running().pid
    at.ask(LAST)
    at.wait(b"True begins")
    at.type(b"for the first one\r")
    agent.wait(lambda: at.said()[-1].number == 1, "the keys were taken")
    os.kill(pid, signal.SIGKILL)
    agent.wait(lambda: at.text().count(b"True begins") == 2, "the second start")
    agent.wait(lambda: at.said()[-1].start == 2 and at.said()[-1].runs, "word of the second start")
    second = executor.running(2).pid
    assert b"for the first one" not in Path(f"/proc/{second}/stat").read_bytes()
    with open(f"/proc/{second}/fd/0", "rb", buffering=0) as terminal:
        assert waiting_in(terminal.fileno()) == 0


def waiting_in(file: int) -> int:
    """How many bytes a terminal has for its program."""
    import fcntl
    import termios

    return int.from_bytes(fcntl.ioctl(file, termios.FIONREAD, b"\0" * 4), sys.byteorder)


def test_keys_that_come_twice_count_once_and_those_for_nobody_are_counted_back(
    start: Start, agent: FakeAgent, at: Terminal
) -> None:
    """A message may come twice; what is typed where nothing runs goes nowhere, not even later."""
    executor = shell(start, restart=Restart(delay_s=30.0, cap_s=30.0))
    pid = executor.running().pid
    at.ask(LAST)
    at.ask(keys=b"once\r", number=1)
    at.ask(keys=b"once\r", number=1)
    at.wait(b"heard once")
    at.number = 1
    for count in (1, 2):  # the first start again comes at once
        os.kill(pid, signal.SIGKILL)
        if count == 1:
            pid = executor.running(2).pid
            agent.wait(lambda: (at.said()[-1].start, at.said()[-1].runs) == (2, True), "word of the second start")
    agent.wait(lambda: (at.said()[-1].start, at.said()[-1].runs) == (2, False), "word that nothing runs")
    at.type(b"lost\r")
    agent.wait(lambda: at.said()[-1].number == 2, "an answer")
    assert at.said()[-1].refused == 5 and stdout(executor).count("heard once") == 1


def test_a_program_that_reads_nothing_holds_nobody_up(start: Start, agent: FakeAgent, at: Terminal) -> None:
    """Its terminal is full one day: the executor says how much it did not take, and goes on."""
    program = "import sys, termios, time, tty\ntty.setraw(0)\nprint('deaf', flush=True)\ntime.sleep(600)"
    executor = start(sys.executable, "-u", "-c", program, console=True, stop=Stop(grace_s=0.5))
    executor.running()
    at.ask(LAST)
    at.wait(b"deaf")
    while not any(one.refused for one in at.said()):
        at.type(b"x" * 4096)
        agent.wait(lambda: at.said()[-1].number == at.number, "an answer")
        assert at.number < 100
    agent.kill("readout@hlt01.1")
    agent.wait_update("TASK_KILLED")
    assert executor.leave() == 0


def test_a_flood_is_cut_for_whoever_watches_and_whole_in_the_log(start: Start, agent: FakeAgent, at: Terminal) -> None:
    """Ten megabytes: what was too fast is left out with its place, the file has each line."""
    program = "for number in range(500_000): print(f'{number:019d}')"
    executor = start(sys.executable, "-c", program, console=True, restart=Restart("never"))
    executor.agent.wait_subscribed()
    at.ask(LAST)
    agent.wait_update("TASK_FINISHED")
    with open(executor.sandbox / "stdout") as file:
        assert all(int(line) == number for number, line in enumerate(file)) and number_of_lines(executor) == 500_000
    told = sum(len(one.data) for one in at.said())
    assert all(one.kept <= one.at for one in at.said()) and told < 10_500_000
    executor.leave()


def number_of_lines(executor: ExecutorUnderTest) -> int:
    return stdout(executor).count("\n")


def test_what_was_missed_can_be_asked_for_while_it_is_kept(start: Start, agent: FakeAgent, at: Terminal) -> None:
    """A message is lost, a daemon is another one: each asks from its place on."""
    executor = shell(start)
    executor.running()
    at.ask(LAST)
    for number in range(20):
        at.type(b"%d\r" % number)
        at.wait(b"heard %d\r\n" % number)
    whole = at.text()
    other = Terminal(agent, "d2")
    other.ask(100)
    agent.wait(lambda: other.said() and other.text().endswith(whole[-10:]), "all from byte 100 on")
    assert other.said()[0].at == 100 and other.text()[100:] == whole[100:]
    assert other.said()[0].kept == 0 and len(whole) < KEPT_BYTES


def test_nobody_who_asks_no_more_is_told_anything(start: Start, agent: FakeAgent, at: Terminal) -> None:
    """Messages are for whoever asked last; nothing is sent before anybody did."""
    executor = shell(start)
    executor.running()
    until(lambda: "ioc> " in stdout(executor), "the prompt")
    assert agent.messages == []
    at.ask(LAST)
    at.wait(b"ioc> ")
    other = Terminal(agent, "d2")
    other.ask(LAST)
    other.wait(b"ioc> ")
    count = len(at.said())
    other.type(b"x\r")
    other.wait(b"heard x")
    assert len(at.said()) == count


@pytest.mark.parametrize(
    "data",
    [
        b'{"console":',
        b'{"console":{},"version":1}',
        b'{"console":{"id":7},"version":1}',
        b'{"console":{"id":"d","at":-3},"version":1}',
        b'{"console":{"id":"d","at":1e300},"version":1}',
        b'{"console":{"id":"d","keys":"?"},"version":1}',
        b'{"console":{"id":"d","rows":70000},"version":1}',
        b'{"console":{"id":"d"},"version":9}',
        b'{"console":' + b"[" * 50000,
    ],
)
def test_a_message_that_is_none_changes_nothing(start: Start, agent: FakeAgent, at: Terminal, data: bytes) -> None:
    """It is a line of executor.log."""
    executor = shell(start)
    executor.running()
    message(agent, data)
    until(lambda: "ignored: " in executor.log(), "word of it")
    at.ask(LAST)
    at.wait(b"ioc> ")


def test_a_program_without_a_terminal_says_only_how_it_goes(start: Start, agent: FakeAgent, at: Terminal) -> None:
    """One that was started before its job file gave it one."""
    start(sys.executable, "-c", "import time; time.sleep(600)").running()
    at.ask(LAST, b"keys", 1)
    agent.wait(lambda: at.said(), "an answer")
    assert at.said()[0] == ConsoleSaid("d1", start=1, runs=True)


def test_kill_9_of_the_executor_leaves_no_process_and_its_lines(start: Start) -> None:
    """The program dies with it: its terminal can't be another one's. What it had printed before is in the file."""
    executor = shell(start)
    executor.running()
    until(lambda: "ioc> " in stdout(executor), "the prompt")
    os.kill(executor.pid, signal.SIGKILL)
    executor.leave()
    assert processes_of(executor) == [] and stdout(executor) == "ready\nioc> "


def test_no_account_of_the_machine_finds_a_socket_or_a_port(start: Start, at: Terminal) -> None:
    """Nothing listens: neither executor nor relay nor program has a port or a socket that another process could connect to."""
    executor = shell(start)
    program = executor.running().pid
    at.ask(LAST)
    at.wait(b"ioc> ")
    sockets = set()
    for pid in (executor.process.pid, executor.pid, program, *relays(executor)):
        for file in os.listdir(f"/proc/{pid}/fd"):
            found = re.fullmatch(r"socket:\[(\d+)\]", os.readlink(f"/proc/{pid}/fd/{file}"))
            sockets |= {found[1]} if found else set()
    rows = [
        row.split()
        for kind in ("tcp", "tcp6", "udp", "udp6")
        for row in Path(f"/proc/net/{kind}").read_text().split("\n")[1:-1]
    ]
    ours = {row[9]: row[3] for row in rows if row[9] in sockets}
    # those to the agent, established, or ended by it: nothing listens (0A), and nothing takes datagrams (07)
    assert ours and set(ours.values()) <= {"01", "08"}
    assert not sockets.intersection(row.split()[6] for row in Path("/proc/net/unix").read_text().split("\n")[1:-1])


def test_kill_9_of_the_relay_process_goes_unnoticed(start: Start, agent: FakeAgent, at: Terminal) -> None:
    """As with pipes."""
    executor = shell(start)
    executor.running()
    at.ask(LAST)
    at.wait(b"ioc> ")
    (relay,) = relays(executor)
    os.kill(relay, signal.SIGKILL)
    at.type(b"still there\r")
    at.wait(b"heard still there")


def test_an_agent_that_is_away_delays_what_is_told(start: Start, agent: FakeAgent, at: Terminal) -> None:
    """The program reads on, and what it printed meanwhile is told when somebody asks again."""
    executor = shell(start)
    executor.running()
    at.ask(LAST)
    at.wait(b"ioc> ")
    agent.vanish()
    agent.come()
    agent.wait_subscribed(2)
    at.type(b"again\r")
    at.wait(b"heard again")


def test_the_end_of_file_ends_the_program_that_reads_it(start: Start, agent: FakeAgent, at: Terminal) -> None:
    """Keys that end programs are the commands' to keep; the executor types what it is told."""
    executor = shell(start, restart=Restart("never"))
    executor.running()
    at.ask(LAST)
    at.wait(b"ioc> ")
    at.type(b"\x04")
    agent.wait_update("TASK_FINISHED")
    assert stdout(executor).endswith("end of file\n")


def test_a_payload_tells_of_it() -> None:
    """And an older executor's does not."""
    assert Payload.from_json(Payload("t", "j", "h", ("x",), console=True).to_json()).console
    assert not Payload.from_json(b'{"task_id":"t","job":"j","host":"h","argv":["x"],"version":1}').console


def test_checks_hooks_and_actions_beside_it_have_no_terminal(start: Start, agent: FakeAgent) -> None:
    """They are programs of their own, with pipes."""
    check = Check("command", "alive", argv=("/bin/true",), interval_s=0.2, failures=1)
    executor = shell(start, checks=(check,), actions={"tty": ("/bin/sh", "-c", "tty; echo done")})
    first = executor.running().pid
    order(agent, "act", "tty")
    done = outcome(agent)
    assert done.ok and [line.strip() for line in done.lines] == ["not a tty", "done"]
    assert executor.running().pid == first and "the start was refused" not in executor.log()


def test_what_a_program_did_to_its_terminal_ends_with_it(start: Start, agent: FakeAgent, at: Terminal) -> None:
    """Output that was held, and the device for itself alone."""
    program = (
        "import fcntl, os, sys, termios, time\n"
        "print('begins', flush=True)\n"
        "fcntl.ioctl(0, termios.TIOCEXCL)\n"
        "termios.tcflow(0, termios.TCOOFF)\n"
        "open('held', 'w').close()\n"
        "time.sleep(600)\n"
    )
    executor = start(sys.executable, "-u", "-c", program, console=True, restart=Restart(delay_s=0.0))
    pid = executor.running().pid
    at.ask(LAST)
    at.wait(b"begins")
    until((executor.sandbox / "held").exists, "its output is held")
    os.kill(pid, signal.SIGKILL)
    agent.wait(lambda: at.text().count(b"begins") == 2, "the second start prints")
