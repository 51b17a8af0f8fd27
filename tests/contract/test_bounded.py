"""Whoever is asked over HTTP may do anything: an answer in time or a sentence comes of it, and no more memory than was meant."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import queue
import socket
import sys
import threading
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Callable, Optional

import pytest

from daqsched.bounded import Asking, NoAnswer, typed
from daqsched.engine import commands, events
from daqsched.errors import Unreachable
from daqsched.logs import answers, elastic, node
from daqsched.mesos.agents import Agent, Agents
from daqsched.serve import guards
from daqsched.serve.guards import Guards
from daqsched.serve.time_limits import run, within
from daqsched.store.zookeeper.place import ZooKeeperPlace
from daqsched.store.zookeeper.session import ZooKeeperSession

#: What is to be answered at most, and how long it may take.
MOST, LONGEST_S = 1 << 20, 1.0

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-Elastic-Product: Elasticsearch\r\n"


class Hostile:
    """Takes any connection and does what it is told; counts what went out."""

    def __init__(self, act: Callable[[Hostile], Iterator[bytes]]) -> None:
        self._act = act
        self.sent = 0
        self.over = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._serve)]
        self._threads[0].start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            if self.over.is_set():
                connection.close()
                return
            self._threads.append(threading.Thread(target=self._answer, args=(connection,)))
            self._threads[-1].start()

    def _answer(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.settimeout(20)
            connection.recv(1 << 16)
            for piece in self._act(self):
                connection.sendall(piece)
                self.sent += len(piece)
                if self.over.is_set():
                    return

    def close(self) -> None:
        self.over.set()
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        for thread in self._threads:
            thread.join(20)
        self._listener.close()


def for_ever(start: bytes, piece: bytes, pause_s: float = 0.0) -> Callable[[Hostile], Iterator[bytes]]:
    def act(server: Hostile) -> Iterator[bytes]:
        yield start
        while not server.over.wait(pause_s):
            yield piece

    return act


def once(answer: bytes) -> Callable[[Hostile], Iterator[bytes]]:
    return lambda server: iter([answer])


def whole(body: bytes, head: bytes = HEAD) -> Callable[[Hostile], Iterator[bytes]]:
    return once(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)


@cache
def packed() -> bytes:
    """Made when a test needs it: each worker reads this file, and one sends it."""
    return gzip.compress(b"{" + b" " * (200 << 20) + b"}", 9)


def bomb(server: Hostile) -> Iterator[bytes]:
    return whole(packed(), HEAD + b"Content-Encoding: gzip\r\n")(server)


#: What is done, and what is said of it.
DEEDS = {
    "silence": (for_ever(b"", b"", 0.05), "did not answer within 1 s"),
    "end": (once(b""), "does not answer"),
    "no http": (once(b"SSH-2.0-OpenSSH\r\n"), "does not answer"),
    "header without end": (for_ever(HEAD + b"X: ", b"x" * 65536), "does not answer"),
    "headers without end": (for_ever(HEAD, b"X: y\r\n" * 1000), "does not answer"),
    "dripping header": (for_ever(HEAD, b"X: y\r\n", 0.05), "did not answer within 1 s"),
    "continue without end": (for_ever(b"", b"HTTP/1.1 100 Continue\r\n\r\n", 0.01), "did not answer within 1 s"),
    "body without end": (for_ever(HEAD + b"\r\n", b" " * 65536), "answers with more than 1 MiB"),
    "chunks without end": (
        for_ever(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"10000\r\n" + b" " * 65536 + b"\r\n"),
        "answers with more than 1 MiB",
    ),
    "chunk's size without end": (
        for_ever(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"0" * 65536),
        "does not answer|did not answer",
    ),
    "dripping body": (for_ever(HEAD + b"\r\n", b" ", 0.05), "did not answer within 1 s"),
    "length that never comes": (for_ever(HEAD + b"Content-Length: 99999999999\r\n\r\n{", b"", 0.05), "did not answer"),
    "cut off": (once(HEAD + b"Content-Length: 100\r\n\r\n{"), "does not answer"),
    "gzip bomb": (bomb, "answers compressed"),
    "redirect to a file": (
        once(b"HTTP/1.1 302 Found\r\nLocation: file:///etc/shadow\r\n\r\n"),
        "redirects to another place",
    ),
    "redirect to another host": (
        once(b"HTTP/1.1 307 Temporary Redirect\r\nLocation: http://127.0.0.2:1/\r\nContent-Length: 0\r\n\r\n"),
        "redirects to another place .status 307.",
    ),
    "no JSON": (
        whole(b"<html>", b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n"),
        "gives an answer that is not understood",
    ),
    "another kind": (whole(b'[1, "x"]'), "gives an answer that is not understood"),
    "nested": (whole(b'{"data": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"), "gives an answer that is not understood"),
    "nested where nobody looks": (whole(b'{"x": ' + b'{"x":' * 100_000), "gives an answer that is not understood"),
    "numbers": (whole(b'{"data": 1' + b"0" * 100_000 + b"}"), "gives an answer that is not understood"),
    "no characters": (whole(b'{"data": "\xff\xfe\\ud800"}'), "gives an answer that is not understood"),
}


@pytest.fixture(params=DEEDS, ids=str)
def deed(request: pytest.FixtureRequest) -> Iterator[tuple[Hostile, str]]:
    """A server that does one of these, and the sentence."""
    act, sentence = DEEDS[request.param]
    if act is bomb:
        packed()  # before anybody waits for it
    made = Hostile(act)
    yield made, sentence
    made.close()


def test_the_answer_of_an_agent_has_an_end(deed: tuple[Hostile, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """In bytes, in time, in form."""
    from daqsched.mesos import agents

    monkeypatch.setattr(agents, "AGENT_BYTES", MOST)
    monkeypatch.setattr(agents, "TIMEOUT_S", LONGEST_S)
    server, sentence = deed
    agent = Agent("S1", ("hlt01",), f"127.0.0.1:{server.port}")

    async def ask() -> bytes:
        asking = Agents()
        try:
            return await asking.read(agent, "F", "readout@hlt01.1", "executor", 0, 100)
        finally:
            await asking.close()

    with pytest.raises(Unreachable, match=f"the agent of hlt01 .*({sentence})"):
        asyncio.run(ask())
    # what the system holds of a connection comes on top of it
    assert server.sent < MOST + (16 << 20)


def test_the_answer_of_elasticsearch_has_an_end(deed: tuple[Hostile, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The same for what the commands and `expire` ask; not all of these are wrong for it."""
    monkeypatch.setattr(node, "MOST_BYTES", MOST)
    monkeypatch.setattr(node, "LONGEST_S", 0.5)
    server, _ = deed
    asking = elastic.Elastic(f"http://127.0.0.1:{server.port}", timeout_s=1.0)
    try:
        with contextlib.suppress(Unreachable):
            answer = asking.ask("GET", "/_search")
            with pytest.raises(Unreachable, match="is not Elasticsearch"):
                asking.read(answer.body, answers.SearchFound)
    finally:
        asking.close()
    assert server.sent < MOST + (16 << 20)


@pytest.mark.parametrize(
    "slaves",
    [
        [{"id": 7, "pid": "slave(1)@10.0.0.1:5051"}],
        [{"id": "S1"}],
        [{"id": "S1", "pid": "x", "attributes": {"hostname": {"a": 1}}}],
        [{"id": "S1", "pid": "x", "resources": {"cpus": []}}],
        {"a": 1},
        None,
    ],
)
def test_a_master_that_lists_nonsense_is_one_sentence(slaves: object) -> None:
    """Not a bug of ours."""
    import json

    server = Hostile(whole(json.dumps({"slaves": slaves}).encode()))

    async def ask(machines: bool) -> object:
        asking = Agents()
        try:
            return await (asking.machines if machines else asking.registered)(f"127.0.0.1:{server.port}")
        finally:
            await asking.close()

    try:
        for machines in (False, True):
            with pytest.raises(Unreachable, match="gives an answer that is not understood"):
                asyncio.run(ask(machines))
    finally:
        server.close()


def guarded(guard: str, folder: Optional[Path] = None) -> events.GuardAnswered:
    """What comes of a question."""
    answers: queue.Queue[events.Event] = queue.Queue()
    Guards(folder, answers.put).ask(commands.AskGuard(1, 1, guard, 7))
    found = answers.get(timeout=30)
    assert isinstance(found, events.GuardAnswered)
    return found


def test_a_guard_that_does_not_answer_says_no(deed: tuple[Hostile, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """And why; what it answers with 200 is a yes, whatever its form."""
    monkeypatch.setattr(guards, "TIMEOUT_S", LONGEST_S)
    monkeypatch.setattr(guards, "MOST_BYTES", MOST)
    server, sentence = deed
    found = guarded(f"http://127.0.0.1:{server.port}/ready")
    if "not understood" in sentence:
        assert found.yes and len(found.words) <= guards.MOST_WORDS
    else:
        assert not found.yes and len(found.words) < 200
    assert server.sent < MOST + (16 << 20)


def test_a_guard_s_program_is_bounded_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In what it prints, in time, and in what it leaves behind."""
    monkeypatch.setattr(guards, "TIMEOUT_S", 1.0)

    def program(name: str, text: str) -> str:
        path = tmp_path / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o700)
        return name

    assert guarded(program("yes", "echo fine"), tmp_path) == events.GuardAnswered(1, 1, True, "fine")
    assert guarded(program("no", "echo wait >&2; exit 3"), tmp_path).words == "wait"
    assert "within 1 s" in guarded(program("slow", "sleep 60"), tmp_path).words
    assert "within 1 s" in guarded(program("loud", "yes"), tmp_path).words
    assert guarded(program("orphan", "sleep 60 & echo left"), tmp_path) == events.GuardAnswered(1, 1, True, "left")
    assert "there is no" in guarded("nothing", tmp_path).words


def test_what_a_program_prints_is_kept_to_a_limit() -> None:
    """The rest is read and forgotten, so that the program ends."""
    done = run(
        [sys.executable, "-c", "import sys; print('x' * 10_000_000); sys.stderr.write('y' * 5); sys.exit(4)"], 30, 100
    )
    assert done == (4, "x" * 100, "y" * 5)


def test_a_zookeeper_that_announces_gigabytes_is_left() -> None:
    """Whoever answers at its port: the daemon tries on, in no more memory."""
    connections = threading.Semaphore(0)

    def act(server: Hostile) -> Iterator[bytes]:
        connections.release()
        yield (2**31 - 1).to_bytes(4, "big")
        while not server.over.is_set():
            yield b"x" * 65536

    server = Hostile(act)
    session = ZooKeeperSession(ZooKeeperPlace(f"127.0.0.1:{server.port}", "/x"))
    session.start()
    try:
        for _ in range(3):
            assert connections.acquire(timeout=20)
        assert not session.connected
    finally:
        session.stop()
        server.close()
    assert server.sent < 64 << 20


def test_a_call_that_hangs_has_an_end() -> None:
    """Its answer comes too late for who asked."""
    over = threading.Event()
    began = time.monotonic()
    with pytest.raises(TimeoutError, match="within 0.1 s"):
        within(0.1, lambda: over.wait(30))
    assert time.monotonic() - began < 20
    over.set()
    nothing: dict[str, int] = {}
    with pytest.raises(KeyError):
        within(30, lambda: nothing["x"])
    assert within(30, lambda: 7) == 7


def test_a_healthy_answer_comes_as_it_is() -> None:
    """Beside all that."""
    server = Hostile(whole(b'{"a": 1}'))

    async def ask() -> object:
        asking = Asking()
        try:
            return typed(await asking.get(f"http://127.0.0.1:{server.port}/", most=10, longest_s=10), dict[str, int])
        finally:
            await asking.close()

    try:
        assert asyncio.run(ask()) == {"a": 1}
    finally:
        server.close()


def test_an_address_that_is_none_is_a_sentence() -> None:
    """Whatever a master says of its agents, and whatever a guard is called."""

    async def ask(url: str) -> None:
        asking = Asking()
        try:
            await asking.get(url, most=10, longest_s=5)
        finally:
            await asking.close()

    for url in (
        "file:///etc/passwd",
        "gopher://h/",
        "http://",
        "http://[::1",
        "http://a b/",
        "http://h:99999999/",
        # an address that needs no name server gets further
        "http://127.0.0.1:99999/",
        "http://127.0.0.1:-1/",
        "http://127.0.0.1:0/",
        "x" * 99,
    ):
        with pytest.raises(NoAnswer, match="does not answer"):
            asyncio.run(ask(url))
