"""What comes in over sockets and from journald: real sockets, the real `logger`, real journal files."""

from __future__ import annotations

import contextlib
import json
import mmap
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from daqsched_executor.contract import (
    FORWARDING_VARIABLE,
    Check,
    Forwarding,
    Journal,
    JsonLines,
    Restart,
    Syslog,
)
from fake_agent import FakeAgent, Start, report_of
from fake_elastic import FakeElastic
from forwarding import EXECUTOR, ForwarderProcess
from waiting import until

HERE = "127.0.0.1"


@pytest.fixture
def elastic() -> Iterator[FakeElastic]:
    """An empty server."""
    made = FakeElastic()
    yield made
    made.close()


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    """An empty spool."""
    return tmp_path / "spool"


@pytest.fixture
def port() -> int:
    """One that is free for both protocols."""
    with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
        tcp.bind((HERE, 0))
        number: int = tcp.getsockname()[1]
        udp.bind((HERE, number))
        return number


def listening(port: int) -> bool:
    """Whether somebody has bound the UDP port."""
    with socket.socket(type=socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((HERE, port))
        except OSError:
            return True
        return False


def messages(elastic: FakeElastic) -> dict[str, dict[str, Any]]:
    """Documents by their text."""
    return {one["message"]: one for one in list(elastic.documents.values())}


def call(port: int, source: str = HERE) -> socket.socket:
    """A connection to the port, as soon as there is somebody."""
    made: list[socket.socket] = []

    def connected() -> bool:
        with contextlib.suppress(ConnectionError):
            made.append(socket.create_connection((HERE, port), timeout=20.0, source_address=(source, 0)))
        return bool(made)

    until(connected, "the port")
    return made[0]


def test_the_real_logger_over_udp_and_tcp(elastic: FakeElastic, spool: Path, port: int) -> None:
    """util-linux' logger, both RFCs, both protocols, both framings."""
    config = Forwarding(syslog=Syslog(udp=port, tcp=port, address=HERE), host="hlt01")
    process = ForwarderProcess(spool, elastic.url, "logs", config=config)
    until(lambda: listening(port), "the port")
    base = [
        "logger",
        "--server",
        HERE,
        "--port",
        str(port),
        "--tag",
        "nsmd2",
        "--priority",
        "daemon.warning",
        "--id=4711",
    ]
    sent = []
    for number, options in enumerate(
        (
            ["--udp", "--rfc3164"],
            ["--udp", "--rfc5424"],
            ["--tcp", "--rfc5424"],
            ["--tcp", "--octet-count"],
            ["--tcp", "--rfc3164"],
        )
    ):
        sent.append(f"message {number} by {' '.join(options)}")
        subprocess.run([*base, *options, "--", sent[-1]], check=True, timeout=10)
    until(lambda: set(sent) <= set(messages(elastic)), "all of them")
    for text in sent:
        found = messages(elastic)[text]
        assert (found["service"]["name"], found["log"]["level"], found["process"]["pid"]) == ("nsmd2", "warning", 4711)
        assert found["log"]["syslog"]["facility"]["name"] == "daemon" and found["source"]["ip"] == HERE
        assert socket.gethostname().startswith(found["host"]["name"].partition(".")[0])
    assert process.stop() == 0


def test_newlines_inside_and_messages_in_pieces(elastic: FakeElastic, spool: Path, port: int) -> None:
    """A datagram is one message, whatever is in it; over TCP messages end with newline, length or connection."""
    config = Forwarding(syslog=Syslog(udp=port, tcp=port, address=HERE))
    process = ForwarderProcess(spool, elastic.url, "logs", config=config)
    until(lambda: listening(port), "the port")
    with socket.socket(type=socket.SOCK_DGRAM) as udp:
        udp.sendto(b"<14>a: one\ntwo\\n", (HERE, port))
        udp.sendto(b"<14>b: " + b"y" * 60_000, (HERE, port))
    with call(port) as tcp:
        with_length = b"".join(b"%d %b" % (len(one), one) for one in (b"<14>e: a\nb\nc d", b"<14>f: with its length,"))
        for piece in (b"<14>c: fi", b"rst\n<14>d: second\n" + with_length[:11], with_length[11:], b"<14>g: the rest"):
            tcp.sendall(piece)
            time.sleep(0.05)
    expected = {"one\ntwo\\n", "y" * 60_000, "first", "second", "a\nb\nc d", "with its length,", "the rest"}
    until(lambda: set(messages(elastic)) == expected, "all of them")
    assert process.stop() == 0


@pytest.mark.once
def test_a_flood_is_counted_to_the_last_datagram(elastic: FakeElastic, spool: Path, port: int) -> None:
    """With a buffer that is far too small: sent = stored + what the kernel dropped, and a document says so."""
    config = Forwarding(syslog=Syslog(udp=port, address=HERE, buffer=0.01))
    process = ForwarderProcess(spool, elastic.url, "logs", config=config)
    until(lambda: listening(port), "the port")
    total = 40_000
    with socket.socket(type=socket.SOCK_DGRAM) as udp:
        udp.connect((HERE, port))
        for number in range(total):
            udp.send(b"<14>flood: %d %b" % (number, b"z" * 200))

    def told() -> int:
        return sum(
            one["daqsched"]["dropped"]["lines"]
            for one in list(elastic.documents.values())
            if one["event"]["dataset"] == "daqsched.dropped"
        )

    def arrived() -> int:
        return sum(one["event"]["dataset"] == "daqsched.syslog" for one in list(elastic.documents.values()))

    until(lambda: arrived() + told() == total, "all of them", 30)
    assert told() > 0, "the buffer was large enough: this test shows nothing"
    assert process.stop() == 0
    assert process.counts()["not_received"] == told()


def test_what_was_received_survives_kill_9(elastic: FakeElastic, spool: Path, port: int) -> None:
    """Elasticsearch is away, the forwarder is killed after the datagrams were written: each is stored once."""
    elastic.open.clear()
    config = Forwarding(json=JsonLines(udp=port, address=HERE))
    process = ForwarderProcess(spool, elastic.url, "logs", config=config)
    until(lambda: listening(port), "the port")
    sent = 0
    for _ in range(3):
        with socket.socket(type=socket.SOCK_DGRAM) as udp:
            for _ in range(50):
                udp.sendto(json.dumps({"message": f"number {sent}", "level": "error"}).encode(), (HERE, port))
                sent += 1
        wait_for_written(spool, sent)
        process.kill()
        process = ForwarderProcess(spool, elastic.url, "logs", config=config)
        until(lambda: listening(port), "the port again")
    elastic.open.set()

    def numbers() -> list[str]:
        return [message for message in messages(elastic) if message.startswith("number ")]

    until(lambda: len(numbers()) == sent, "all of them")
    assert set(numbers()) == {f"number {at}" for at in range(sent)}
    until(lambda: len(list((spool / "links").iterdir())) <= 1, "old files gone")
    assert process.stop() == 0 and process.counts()["read"] == len(elastic.documents)


def wait_for_written(spool: Path, count: int) -> None:
    """Wait until so many are."""
    until(lambda: written(spool) == count, "the spool")


def written(spool: Path) -> int:
    """Numbers in the spool. There may be a row besides of what came for closed ports of the machine, which other tests send."""
    return sum(path.read_bytes().count(b"number ") for path in (spool / "links").iterdir())


def test_a_port_that_is_taken_is_said_and_tried_again(elastic: FakeElastic, spool: Path, port: int) -> None:
    """The rest goes on."""
    with socket.socket(type=socket.SOCK_DGRAM) as other:
        other.bind((HERE, port))
        config = Forwarding(syslog=Syslog(udp=port, address=HERE))
        process = ForwarderProcess(spool, elastic.url, "logs", config=config)
        until(lambda: f"cannot listen on {HERE} port {port}" in process.errors, "the sentence")

    def arrives() -> bool:
        with socket.socket(type=socket.SOCK_DGRAM) as udp:
            udp.sendto(b"<14>x: now", (HERE, port))
        return "now" in messages(elastic)

    until(arrives, "a message")
    assert process.stop() == 0


def journal_entries(folder: Path, first: int, count: int, unit: str = "nsmd2.service") -> None:
    """Write real journal files, as systemd's own tool does."""
    folder.mkdir(exist_ok=True)
    micros = time.time_ns() // 1000
    text = ""
    for number in range(first, first + count):
        text += (
            f"__REALTIME_TIMESTAMP={micros + number}\n__MONOTONIC_TIMESTAMP={1000 + number}\n_BOOT_ID={'ab' * 16}\n"
            f"MESSAGE=entry {number}\nPRIORITY=3\n_HOSTNAME=hlt05\n_SYSTEMD_UNIT={unit}\nSYSLOG_IDENTIFIER=nsmd2\n_PID=42\n\n"
        )
    subprocess.run(
        ["/lib/systemd/systemd-journal-remote", f"--output={folder}/test-{first}.journal", "-"],
        input=text.encode(),
        check=True,
        timeout=20,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def test_the_journal_of_the_machine(elastic: FakeElastic, spool: Path, tmp_path: Path) -> None:
    """Each entry once, across kill -9 of the forwarder, also when all of it was stored and its files are gone."""
    folder = tmp_path / "journal"
    journal_entries(folder, 0, 20)
    config = Forwarding(journal=Journal(enabled=True, directory=str(folder)))
    process = ForwarderProcess(spool, elastic.url, "logs", config=config)
    until(lambda: len(elastic.documents) == 20, "what was there")
    found = messages(elastic)["entry 7"]
    assert (found["host"]["name"], found["service"]["name"], found["log"]["level"]) == (
        "hlt05",
        "nsmd2.service",
        "error",
    )
    assert found["event"]["dataset"] == "daqsched.journald" and found["process"]["pid"] == 42
    process.kill()
    journal_entries(folder, 20, 20)
    process = ForwarderProcess(spool, elastic.url, "logs", config=config)
    until(lambda: len(elastic.documents) == 40, "what came meanwhile")
    until(lambda: len(list((spool / "links").iterdir())) <= 1, "old files gone", 30)
    process.kill()
    process = ForwarderProcess(spool, elastic.url, "logs", config=config)
    until(lambda: len(list((spool / "links").iterdir())) == 0, "the end of the others", 30)
    process.kill()
    process = ForwarderProcess(spool, elastic.url, "logs", config=config)
    journal_entries(folder, 40, 5)
    until(lambda: len(elastic.documents) == 45, "what is new")
    assert set(messages(elastic)) == {f"entry {at}" for at in range(45)}
    assert process.stop() == 0


def test_a_machine_without_journalctl(
    elastic: FakeElastic, spool: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One sentence; everything else goes on."""
    monkeypatch.setenv("PATH", str(tmp_path))
    process = ForwarderProcess(spool, elastic.url, "logs", config=Forwarding(journal=Journal(enabled=True)))
    until(lambda: "there is no journalctl on this machine" in process.errors, "the sentence")
    assert process.stop() == 0


def test_what_came_while_nobody_listened_has_a_bound(elastic: FakeElastic, spool: Path, port: int) -> None:
    """Killed with -9 and started again: the kernel knows how many datagrams found no socket, and a document tells it."""
    config = Forwarding(syslog=Syslog(udp=port, address=HERE))
    process = ForwarderProcess(spool, elastic.url, "logs", config=config)
    until(lambda: (spool / "forward" / "no_ports.json").exists(), "it has written down how it was")
    process.kill()
    with socket.socket(type=socket.SOCK_DGRAM) as udp:
        for number in range(37):
            udp.sendto(b"<14>lost: %d" % number, (HERE, port))
    process = ForwarderProcess(spool, elastic.url, "logs", config=config)
    (told,) = until(lambda: [one for one in messages(elastic) if "no forwarder listened" in one], "it is told")
    found = re.search(r"at most ([\d,]+) datagrams were lost", told)
    assert found and 37 <= int(found[1].replace(",", "")) < 1000
    assert process.stop() == 0
    process = ForwarderProcess(spool, elastic.url, "logs", config=config)
    with socket.socket(type=socket.SOCK_DGRAM) as udp:
        until(lambda: listening(port), "the port")
        udp.sendto(b"<14>here: again", (HERE, port))
    until(lambda: "again" in messages(elastic), "it is stored")
    assert process.stop() == 0


def told_lost(elastic: FakeElastic) -> int:
    """Datagrams that documents say are lost."""
    return sum(
        one["daqsched"]["dropped"]["lines"]
        for one in list(elastic.documents.values())
        if one["event"]["dataset"] == "daqsched.dropped" and "dropped" in one["daqsched"]
    )


def test_each_datagram_is_stored_or_counted_whenever_the_forwarder_is_killed(
    elastic: FakeElastic, spool: Path, port: int, agent: FakeAgent, start: Start
) -> None:
    """Below its executor, which keeps its sockets: datagrams come all the time, and kill -9 twelve times."""
    config = Forwarding(syslog=Syslog(udp=port, address=HERE), host="hlt01")
    start(
        *[sys.executable, "-m", "daqsched_executor.forward", "--spool", str(spool)],
        *["--elasticsearch", elastic.url, "--index", "logs"],
        env={"PYTHONPATH": str(EXECUTOR), FORWARDING_VARIABLE: config.to_json()},
        checks=(Check("heartbeat", "loop", silence_s=30.0, grace_s=60.0),),
        restart=Restart(delay_s=0.0),
    )
    agent.wait_update("TASK_RUNNING")
    over, sent = threading.Event(), 0

    def send() -> None:
        nonlocal sent
        with socket.socket(type=socket.SOCK_DGRAM) as udp:
            udp.connect((HERE, port))
            while not over.wait(0.002):
                for _ in range(10):
                    udp.send(b"<14>numbered: %d" % sent)
                    sent += 1

    def wait_for_more(count: int) -> None:
        enough = sent + count
        until(lambda: sent > enough, "some more are sent")

    until(lambda: listening(port), "the port")
    sender = threading.Thread(target=send)
    sender.start()
    try:
        for number in range(1, 13):
            report = report_of(agent.wait_update("TASK_RUNNING", number))
            wait_for_more(300 + 37 * number)
            os.kill(report.pid, signal.SIGKILL)
        agent.wait_update("TASK_RUNNING", 13)
    finally:
        over.set()
        sender.join()

    def stored() -> list[int]:
        found = [
            one["message"] for one in list(elastic.documents.values()) if one["event"]["dataset"] == "daqsched.syslog"
        ]
        return sorted(int(text) for text in found)

    until(lambda: len(stored()) + told_lost(elastic) >= sent, "all are stored or counted")
    assert len(set(stored())) == len(stored()) and max(stored()) < sent
    lost = sent - len(stored())
    assert lost <= told_lost(elastic) <= lost + 12 * 512, "what it may have had in its hands is a bound"
    assert not [text for text in messages(elastic) if "no forwarder listened" in text]
    sys.stderr.write(f"\n[datagrams] {sent} sent, {lost} lost by 12 kills, {told_lost(elastic)} told\n")


#: A shell that becomes the forwarder with what it is told at the numbers from 3 on, as systemd does.
AS_SYSTEMD = """
at=3; for file in $FILES; do eval "exec $at<&$file"; at=$((at + 1)); done
LISTEN_PID=$$ LISTEN_FDS=$((at - 3)) exec "$@"
"""


def test_what_systemd_or_an_executor_hands_over_is_used(elastic: FakeElastic, spool: Path, port: int) -> None:
    """Sockets with what waits in them, the counts of a forwarder that was killed; what nobody wants any more is given back."""
    config = Forwarding(syslog=Syslog(udp=port, tcp=port, address=HERE), host="hlt01")
    with contextlib.ExitStack() as stack:
        udp = stack.enter_context(socket.socket(type=socket.SOCK_DGRAM))
        tcp = stack.enter_context(socket.create_server((HERE, port)))
        stray = stack.enter_context(socket.socket(type=socket.SOCK_DGRAM))
        notified = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        udp.bind((HERE, port))
        stray.bind((HERE, 0))
        notified.bind(b"\0daqsched-test-%d" % os.getpid())
        notified.settimeout(20.0)
        tally = os.memfd_create("tally")
        stack.callback(os.close, tally)
        os.write(tally, struct.pack("4Q", 1000, 993, 0, 5).ljust(mmap.PAGESIZE, b"\0"))
        with socket.socket(type=socket.SOCK_DGRAM) as sender, socket.create_connection((HERE, port)) as caller:
            sender.sendto(b"<14>x: waited", (HERE, port))
            caller.sendall(b"<14>x: called\n")
        files = [udp.fileno(), stray.fileno(), tally, tcp.fileno()]
        process = subprocess.Popen(
            ["/bin/bash", "-c", AS_SYSTEMD, "sh", sys.executable, "-m", "daqsched_executor.forward"]
            + ["--spool", str(spool), "--elasticsearch", elastic.url, "--index", "logs"],
            env={
                **os.environ,
                "PYTHONPATH": str(EXECUTOR),
                FORWARDING_VARIABLE: config.to_json(),
                "FILES": " ".join(map(str, files)),
                "LISTEN_FDNAMES": "one:stray:one.tally:daqsched.socket",
                "NOTIFY_SOCKET": f"@daqsched-test-{os.getpid()}",
            },
            pass_fds=files,
        )
        try:
            expected = {
                "waited",
                "called",
                "7 datagrams for syslog@hlt01 at most were lost with a forwarder that was killed while it took them",
                "5 datagrams for syslog@hlt01 were dropped by the kernel: its buffer for the socket was full",
            }
            until(lambda: set(messages(elastic)) == expected, "all of them")
            words = [notified.recv(1000), notified.recv(1000)]
            assert b"FDSTOREREMOVE=1\nFDNAME=stray" in words and any(word.startswith(b"READY=1") for word in words)
            assert struct.unpack("4Q", os.pread(tally, 32, 0)) == (1001, 1001, 0, 0)
        finally:
            process.terminate()
            assert process.wait(20) == 0
    assert json.loads((spool / "forward" / "status.json").read_text())["not_received"] == 7 + 5


def test_a_frame_that_is_too_long_leaves_what_follows_whole(elastic: FakeElastic, spool: Path, port: int) -> None:
    """Its beginning is stored with how much was cut, and a thousand short ones behind it; a long line loses nothing."""
    config = Forwarding(syslog=Syslog(tcp=port, address=HERE))
    process = ForwarderProcess(spool, elastic.url, "logs", config=config)
    with call(port) as tcp:
        for text in (b"<13>app: BIG" + b"x" * 200_000, *(b"<13>app: after %d" % at for at in range(1000))):
            tcp.sendall(b"%d %b" % (len(text), text))
        tcp.sendall(b"<13>app: LINE" + b"y" * 200_000 + b"\n")
    until(lambda: len(elastic.documents) == 1003, "all of them")
    found = list(elastic.documents.values())
    assert sum(one["message"].startswith("after") for one in found) == 1000
    (big,) = (one for one in found if one["message"].startswith("BIG"))
    assert len(big["message"]) == 128 * 1024 - len("<13>app: ") and big["log"]["flags"] == ["truncated"]
    assert big["daqsched"]["cut_bytes"] == len("<13>app: BIG") + 200_000 - 128 * 1024
    pieces = [one for one in found if one["message"].startswith(("LINE", "y"))]
    assert sum(len(one["message"]) for one in pieces) == len("LINE") + 200_000
    assert sorted(one["log"]["flags"] for one in pieces) == [["continued"], ["truncated"]]
    assert process.stop() == 0


def test_silent_senders_keep_nobody_out(elastic: FakeElastic, spool: Path, port: int) -> None:
    """The one that has been silent longest makes room, with what it had said; how many did is told."""
    config = Forwarding(syslog=Syslog(tcp=port, address=HERE, senders=8))
    process = ForwarderProcess(spool, elastic.url, "logs", config=config)
    with contextlib.ExitStack() as stack:
        silent = [stack.enter_context(call(port)) for _ in range(8)]
        silent[0].sendall(b"<13>app: half a mes")
        for one in silent[1:]:
            one.sendall(b"<13>app: once\n")
        until(lambda: len(elastic.documents) == 7, "they are heard")
        news = [stack.enter_context(call(port)) for _ in range(3)]
        for number, one in enumerate(news):
            one.sendall(b"<13>app: new %d\n" % number)
        expected = {"once", "half a mes", "new 0", "new 1", "new 2"}
        until(lambda: set(messages(elastic)) == expected, "the new ones are heard")
        assert messages(elastic)["half a mes"]["log"]["flags"] == ["partial"]
        silent[7].sendall(b"<13>app: still here\n")
        until(lambda: "still here" in messages(elastic), "the youngest of the silent ones is heard")
        for closed in silent[:3]:
            closed.settimeout(10.0)
            assert closed.recv(1) == b"", "closed in favour of a new one"
    until(lambda: process.counts()["troubles"], "it is told")
    (trouble,) = process.counts()["troubles"]
    assert trouble["sentence"].startswith(f"port {port}: all 8 connections that there may be are taken; ")
    assert process.stop() == 0


def test_who_opens_most_connections_makes_room_for_others(elastic: FakeElastic, spool: Path, port: int) -> None:
    """A single address can't push the others out, however silent these are."""
    config = Forwarding(syslog=Syslog(tcp=port, address="0.0.0.0", senders=8))
    process = ForwarderProcess(spool, elastic.url, "logs", config=config)
    with contextlib.ExitStack() as stack:
        others = [stack.enter_context(call(port, f"127.0.0.{at}")) for at in (2, 3)]
        for one in others:
            one.sendall(b"<13>app: here\n")
        until(lambda: len(elastic.documents) == 2, "they are heard")
        many = [stack.enter_context(call(port)) for _ in range(40)]
        many[-1].sendall(b"<13>app: last\n")
        until(lambda: "last" in messages(elastic), "the last of many is heard")
        for at, one in enumerate(others):
            one.sendall(b"<13>app: still %d\n" % at)
        until(lambda: {"still 0", "still 1"} <= set(messages(elastic)), "nobody pushed them out")
    assert process.stop() == 0


def test_who_is_silent_has_to_connect_again(elastic: FakeElastic, spool: Path, port: int) -> None:
    """What it had said without an end is stored."""
    config = Forwarding(syslog=Syslog(tcp=port, address=HERE, idle_s=1.0))
    process = ForwarderProcess(spool, elastic.url, "logs", config=config)
    with call(port) as tcp:
        tcp.sendall(b"<13>app: no end")
        tcp.settimeout(20.0)
        assert tcp.recv(1) == b""
    until(lambda: "no end" in messages(elastic), "it is stored")
    assert process.stop() == 0


def test_one_who_sends_all_the_time_keeps_nobody_waiting(elastic: FakeElastic, spool: Path, port: int) -> None:
    """Each sender is read a piece at a time, in turn: what the slow one says is in the spool while the other one floods."""
    elastic.open.clear()
    config = Forwarding(syslog=Syslog(tcp=port, udp=port, address=HERE))
    process = ForwarderProcess(spool, elastic.url, "logs", config=config)
    over = threading.Event()

    def flood(tcp: socket.socket) -> None:
        with contextlib.suppress(OSError):
            for _ in range(2000):
                if over.is_set():
                    break
                tcp.sendall(b"<13>flood: x\n" * 2000)

    def spooled(text: str) -> bool:
        return any(text.encode() in file.read_bytes() for file in (spool / "links").iterdir())

    def wait_for_both(at: int) -> None:
        until(lambda: spooled(f"slow {at}") and spooled(f"datagram {at}"), "both are heard")

    with call(port) as fast, call(port) as slow, socket.socket(type=socket.SOCK_DGRAM) as udp:
        sender = threading.Thread(target=flood, args=(fast,))
        sender.start()
        try:
            until(lambda: spooled("flood"), "the flood")
            for at in range(5):
                slow.sendall(b"<13>app: slow %d\n" % at)
                udp.sendto(b"<13>app: datagram %d" % at, (HERE, port))
                wait_for_both(at)
        finally:
            over.set()
            sender.join()
    process.kill()
