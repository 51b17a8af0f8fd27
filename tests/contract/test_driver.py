"""`mesos.driver` on real sockets: whatever a master does at first, the daemon is connected when it has done with it."""

from __future__ import annotations

import contextlib
import json
import logging
import resource
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pymesos.process
import pytest
from kazoo.client import KazooClient

from daqsched.engine import commands, events
from daqsched.mesos import driver, subscription
from fake_master import Act, Link, Master, status, subscribed
from waiting import until
from zoo import Zoo


def say_nothing(one: socket.socket) -> None:
    """As a master that is frozen."""


def subscribe_and_freeze(one: socket.socket) -> None:
    """Not a heartbeat."""
    one.sendall(subscribed(heartbeat_s=0.05))


@pytest.fixture(autouse=True)
def _quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test waits for seconds."""
    monkeypatch.setattr(driver, "_RETRY_MOST_S", 0.2)


@pytest.fixture
def master() -> Iterator[Master]:
    """One that a test gives its acts."""
    made = Master()
    yield made
    made.end()


@pytest.fixture
def link() -> Iterator[Callable[[str], Link]]:
    """Connects to an address."""
    made: list[Link] = []

    def connect(address: str) -> Link:
        made.append(Link(address))
        return made[-1]

    yield connect
    for one in made:
        one.mesos.stop()


@pytest.mark.parametrize(
    ("act", "word"),
    [
        (status(404), "it answers with HTTP 404"),
        (status(500, "oops"), "it answers with HTTP 500"),
        (status(503), "no master leads (503)"),
        (b"", "the connection was ended"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "Failed to parse"),
    ],
    ids=["not-yet", "fault", "no-leader", "hang-up", "no-http"],
)
def test_what_a_master_says_while_it_starts_is_waited_out(
    master: Master, link: Callable[[str], Link], caplog: pytest.LogCaptureFixture, act: bytes, word: str
) -> None:
    """One sentence says why, however often it is tried."""
    master.acts = [act, act, act]
    with caplog.at_level(logging.WARNING, "daqsched.mesos.driver"):
        link(master.address).next(events.Registered)
    assert master.subscriptions == 4
    (said,) = [record.message for record in caplog.records if record.name == "daqsched.mesos.driver"]
    assert said.startswith(f"not connected to {master.address}: {word}") and said.endswith("; trying again")


@pytest.mark.parametrize("code", subscription.FOR_GOOD)
def test_what_waiting_does_not_change_ends_it(master: Master, code: int) -> None:
    """The daemon then says so and ends: somebody has to mend something."""
    master.acts = [status(code, "no")]
    made = driver.Driver(lambda: True, None, {"user": "daq", "name": "n"}, master.address, failover=True)
    made._master = master.address
    one = pymesos.process.Connection(master.address, made)
    try:
        until(lambda: one.handle_connect_event() == "", "it is connected")
        one._sock.setblocking(True)
        one.write()
        with pytest.raises(RuntimeError, match=f"HTTP {code}"):
            while one.read():
                pass
    finally:
        one._sock.close()


def test_a_name_that_is_not_known_yet_is_asked_for_again(
    master: Master, link: Callable[[str], Link], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As while a machine boots, whose name server is not there yet."""
    asked: list[str] = []
    real = socket.socket.connect

    def connect(self: socket.socket, address: tuple[str, int]) -> None:
        if address[0] == "master.example":
            asked.append(address[0])
            if len(asked) < 4:
                raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
            address = ("127.0.0.1", address[1])
        real(self, address)

    monkeypatch.setattr(socket, "socket", type("Socket", (socket.socket,), {"connect": connect}))
    link(f"master.example:{master.address.partition(':')[2]}").next(events.Registered)
    assert len(asked) >= 4


def test_a_frozen_master_is_left_after_a_while(
    master: Master, link: Callable[[str], Link], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that takes the connection and says nothing, and one whose heartbeats end."""
    monkeypatch.setattr(driver, "_SUBSCRIBE_S", 0.2)
    master.acts = [say_nothing, subscribe_and_freeze]
    found = link(master.address)
    found.next(events.Registered)
    found.next(events.Disconnected)
    found.next(events.Registered)
    assert master.subscriptions == 3


def test_a_call_that_is_not_answered_ends_the_connection(
    master: Master, link: Callable[[str], Link], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next ones are refused at once instead of waiting as long."""
    monkeypatch.setattr(driver, "_CALL_S", 0.5)
    found = link(master.address)
    found.next(events.Registered)
    master.answers_calls = False
    with pytest.raises(OSError, match="timed out"):
        found.mesos.perform(commands.Revive())
    found.next(events.Disconnected)
    found.next(events.Registered)
    master.answers_calls = True
    found.mesos.perform(commands.Revive())
    assert master.calls == ["REVIVE", "REVIVE"] and master.subscriptions == 2


def drip(one: socket.socket) -> None:
    """Half a header, and then a byte now and again, until the daemon has had enough."""

    def run() -> None:
        with contextlib.suppress(OSError):
            one.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-A: ")
            while not threading.Event().wait(0.02):
                one.sendall(b"x")

    threading.Thread(target=run, daemon=True).start()


def drip_an_event(one: socket.socket) -> None:
    """Subscribe, and never come to the end of an event."""

    def run() -> None:
        with contextlib.suppress(OSError):
            one.sendall(subscribed(heartbeat_s=0.05) + b"9\r\n99999999\n\r\n")
            while not threading.Event().wait(0.02):
                one.sendall(b"1\r\n \r\n")

    threading.Thread(target=run, daemon=True).start()


def flood(start: bytes, piece: bytes) -> Act:
    def act(one: socket.socket) -> None:
        def run() -> None:
            with contextlib.suppress(OSError):
                one.sendall(start)
                while True:
                    one.sendall(piece)

        threading.Thread(target=run, daemon=True).start()

    return act


@pytest.mark.parametrize(
    ("act", "why"),
    [
        pytest.param(drip, "no message from it", id="a header that drips"),
        pytest.param(drip_an_event, "no message from it", id="an event that drips"),
        pytest.param(
            flood(b"HTTP/1.1 200 OK\r\nX-A: ", b"x" * 4096), "a header of more than", id="a header without end"
        ),
        pytest.param(
            flood(subscribed() + b"9\r\n99999999\n\r\n", b"1000\r\n" + b" " * 4096 + b"\r\n"),
            "an event of more than",
            id="an event without end",
        ),
    ],
)
def test_what_never_comes_to_an_end_is_left(
    master: Master,
    link: Callable[[str], Link],
    act: Act,
    why: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """In time, and in memory; then there is another attempt."""
    monkeypatch.setattr(driver, "_SUBSCRIBE_S", 0.5)
    monkeypatch.setattr(subscription, "_EVENT_BYTES", 1 << 20)
    monkeypatch.setattr(pymesos.process, "SELECT_TIMEOUT", 0.1)
    master.acts.append(act)
    made = link(master.address)
    until(lambda: master.subscriptions == 2, "another attempt", 20.0)
    made.next(events.Registered)
    until(lambda: why in caplog.text, "it is told")


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        pytest.param(status(202)[:-2] + b"X-A: ", "timed out", id="a header that drips"),
        pytest.param(b"HTTP/1.1 200 OK\r\n\r\n", "more than 1 MiB", id="a body without end"),
    ],
)
def test_the_answer_to_a_call_has_an_end(
    master: Master, link: Callable[[str], Link], answer: bytes, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each piece of it in time is not enough."""
    monkeypatch.setattr(driver, "_CALL_S", 0.5)
    made = link(master.address)
    made.next(events.Registered)
    piece, pause_s = (b"x", 0.02) if why == "timed out" else (b"x" * 65536, 0.0)

    def answered(one: socket.socket) -> None:
        with contextlib.suppress(OSError):
            one.sendall(answer)
            while not threading.Event().wait(pause_s):
                one.sendall(piece)

    master.answer = lambda one: threading.Thread(target=answered, args=(one,), daemon=True).start()
    with pytest.raises(OSError, match=why):
        made.mesos.perform(commands.Revive())


def test_a_descriptor_above_a_thousand_ends_nothing(master: Master, link: Callable[[str], Link]) -> None:
    """A daemon that many ask at once has such; select(2) knows none."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 2048)), hard))
    try:
        with contextlib.ExitStack() as files:
            for _ in range(1100):
                files.enter_context(open("/dev/null"))
            made = link(master.address)
            made.next(events.Registered)
            made.mesos.perform(commands.Revive())
            until(lambda: master.calls == ["REVIVE"], "the call has arrived")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_from_a_leader_that_is_gone_it_comes_back_to_the_master_that_it_was_given(
    master: Master, link: Callable[[str], Link]
) -> None:
    """Where that one still names the dead leader, it is asked until it knows better."""
    with socket.create_server(("127.0.0.1", 0)) as dead:
        port = dead.getsockname()[1]
    master.acts = [status(307, head=f"Location: //127.0.0.1:{port}/api/v1/scheduler\r\n")] * 2
    link(master.address).next(events.Registered)
    assert master.subscriptions == 3


def test_who_may_not_speak_for_the_framework_subscribes_nowhere(master: Master) -> None:
    """A deposed daemon connects, but asks for nothing."""
    asked = threading.Event()

    def allowed() -> bool:
        asked.set()
        return False

    found = Link(master.address, allowed)
    try:
        assert asked.wait(20.0)
    finally:
        found.mesos.stop()
    assert master.subscriptions == 0


def test_a_zookeeper_that_is_silent_or_knows_no_master_is_asked_again(
    master: Master, link: Callable[[str], Link], tmp_path: Path
) -> None:
    """The control machine may be the first that comes back after a power cut."""
    with contextlib.ExitStack() as stack:
        zoo = Zoo(tmp_path)
        stack.callback(zoo.kill)
        zoo.kill()
        found = link(f"zk://{zoo.servers}/mesos")
        until(lambda: found.mesos._driver.detector, "it looks for a master")
        zoo.start()
        until(lambda: "no master has announced itself there" in found.mesos._driver._told, "it has looked")
        client = KazooClient(zoo.servers)
        stack.callback(client.close)
        client.start()
        stack.callback(client.stop)
        host, _, port = master.address.partition(":")
        address = json.dumps({"address": {"ip": host, "port": int(port)}}).encode()
        client.ensure_path("/mesos")
        client.create("/mesos/json.info_", address, sequence=True)
        found.next(events.Registered)
        found.mesos.stop()


@pytest.mark.parametrize("place", ["127.0.0.1:{}", "zk://127.0.0.1:{}/mesos"], ids=["master", "zookeeper"])
def test_it_ends_at_once_whatever_it_waits_for(place: str) -> None:
    """In the midst of a wait before the next attempt."""
    with socket.create_server(("127.0.0.1", 0)) as dead:
        port = dead.getsockname()[1]
    found = Link(place.format(port))
    until(lambda: found.mesos._driver._attempts or found.mesos._driver.detector, "it waits")
    ended = threading.Thread(target=found.mesos.stop)
    ended.start()
    ended.join(3.0)
    assert not ended.is_alive()


class Another:
    """What else in this process may use the library: it asks for no more than this."""

    def gen_request(self) -> bytes:
        """A subscription."""
        return b'POST / HTTP/1.1\r\nContent-Length: 20\r\n\r\n{"type": "SUBSCRIBE"}'


def test_connections_that_are_not_ours_are_as_the_library_has_them(master: Master, link: Callable[[str], Link]) -> None:
    """They end where they always did."""
    link(master.address).next(events.Registered)
    master.acts = [status(404)]
    one = pymesos.process.Connection(master.address, Another())
    assert isinstance(one, subscription.Connection)
    try:
        until(lambda: one.handle_connect_event() == "", "it is connected")
        one._sock.setblocking(True)
        assert one.want_write() and one.write()
        with pytest.raises(RuntimeError, match="HTTP 404"):
            while one.read():
                pass
    finally:
        one._sock.close()
