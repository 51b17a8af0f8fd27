"""The command's end of HTTP, with a daemon whose answers are written byte for byte here."""

from __future__ import annotations

import contextlib
import socket
import threading
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from daqsched.exchange import BrokenAnswer, NotAnswered, NotReached, over_unix


class StandIn:
    """Answers the n-th question with the n-th text; after one that begins with "-" it ends the connection."""

    def __init__(self, path: Path, said: Sequence[str]) -> None:
        self._said, self._over, self._path = list(said), threading.Event(), str(path)
        self.questions: list[bytes] = []
        self.connections = 0
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(str(path))
        self._socket.listen(8)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while self._said:
            connection, _ = self._socket.accept()
            self.connections += 1
            with connection:
                self._talk(connection)

    def _talk(self, connection: socket.socket) -> None:
        while self._said:
            asked = b""
            # all of it: who goes with something unread resets the connection
            while b"\r\n\r\n" not in asked or not asked.endswith(b"\r\n\r\n" if b"GET" in asked else b"{}"):
                piece = connection.recv(65536)
                if not piece:
                    return
                asked += piece
            self.questions.append(asked)
            said = self._said.pop(0)
            if not said:
                self._over.wait(30)
                return
            connection.sendall(said.lstrip("-").encode())
            if said.startswith("-"):
                return

    def end(self) -> None:
        """Nobody is answered any more."""
        self._said.clear()
        self._over.set()
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as last:
            last.connect(self._path)  # it may wait for one
        self._thread.join(30)
        self._socket.close()


@pytest.fixture
def stand_in(tmp_path: Path) -> Iterator[Callable[..., StandIn]]:
    made: list[StandIn] = []

    def begin(*said: str) -> StandIn:
        made.append(StandIn(tmp_path / "sock", said))
        return made[-1]

    yield begin
    for one in made:
        one.end()


def answer(body: str, more: str = "") -> str:
    return f"HTTP/1.1 200 OK\r\ncontent-length: {len(body)}\r\n{more}\r\n{body}"


def test_one_connection_is_used_again_and_a_new_one_where_it_was_ended(tmp_path: Path, stand_in: Any) -> None:
    """Also after an answer that said that it would be."""
    there = stand_in(answer("1"), answer("2"), "-" + answer("3"), answer("4", "connection: close\r\n"), answer("5"))
    made = over_unix(tmp_path / "sock", "/v1", 10.0)
    found = [made.request("GET", "/x", {"select": ["a b", "c&d"], "at": 0.5}).content for _ in range(5)]
    made.close()
    assert found == [b"1", b"2", b"3", b"4", b"5"] and there.connections == 3
    assert there.questions[0].startswith(b"GET /v1/x?select=a%20b&select=c%26d&at=0.5 HTTP/1.1\r\nHost: daqsched\r\n")


def test_a_connection_that_ends_while_it_is_asked_is_made_anew_for_a_question_alone(
    tmp_path: Path, stand_in: Any
) -> None:
    """Whether the other end heard of it nobody knows: a question may be asked twice, and what changes something may not."""
    there = stand_in(answer("1"), "-", answer("2"), "-", answer("3"))
    made = over_unix(tmp_path / "sock", "", 10.0)
    assert [made.request("GET", "/").content for _ in range(2)] == [b"1", b"2"] and there.connections == 2
    with pytest.raises(BrokenAnswer):
        made.request("POST", "/", content=b"{}")
    assert len(there.questions) == 4
    assert made.request("GET", "/").content == b"3"
    made.close()


def test_the_pieces_of_an_answer_and_its_cookies_are_put_together(tmp_path: Path, stand_in: Any) -> None:
    """In chunks, and each cookie for itself."""
    stand_in(
        "HTTP/1.1 201 Made\r\ntransfer-encoding: chunked\r\nset-cookie: a=1; Path=/\r\nset-cookie: b=2\r\n\r\n"
        "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    )
    made = over_unix(tmp_path / "sock", "", 10.0)
    found = made.request("POST", "/x", content=b"{}", headers={"content-type": "application/json"})
    made.close()
    assert (found.status, found.content, found.method, found.path) == (201, b"abcde", "POST", "/x")
    assert list(found.cookies) == ["a=1; Path=/", "b=2"]


@pytest.mark.parametrize(
    "said",
    [
        "-",
        "-HTTP/1.1 200 OK\r\ncontent-le",
        "-HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n",
        "-HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc",
        "-HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nab",
        "-HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n",
        "-SSH-2.0-OpenSSH_9.2\r\n",
        "-HTTP/1.1 abc OK\r\n\r\n",
        "-HTTP/1.1 200 OK\r\n" + "x: y\r\n" * 1000 + "\r\n",
        "-HTTP/1.1 200 OK\r\nx: " + "y" * 100_000 + "\r\n\r\n",
    ],
    ids=[
        "nothing",
        "half a head",
        "no body",
        "half a body",
        "half a chunk",
        "no chunk",
        "SSH",
        "no number",
        "many",
        "long",
    ],
)
def test_what_is_no_whole_answer_is_broken(tmp_path: Path, stand_in: Any, said: str) -> None:
    """Whatever of it came; the next question has a new connection."""
    stand_in(said, answer("well"))
    made = over_unix(tmp_path / "sock", "", 10.0)
    with pytest.raises(BrokenAnswer):
        made.request("GET", "/")
    assert made.request("GET", "/").content == b"well"
    made.close()


def test_an_answer_without_end_is_cut(tmp_path: Path, stand_in: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """At a length that no answer of ours has."""
    monkeypatch.setattr("daqsched.exchange.MOST_BYTES", 1000)
    chunks = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + f"5\r\n{'x' * 5}\r\n" * 300 + "0\r\n\r\n"
    stand_in("-" + answer("x" * 5000), "-" + chunks, answer("x" * 1000))
    made = over_unix(tmp_path / "sock", "", 10.0)
    with pytest.raises(BrokenAnswer, match="longer than any"):
        made.request("GET", "/")
    with pytest.raises(BrokenAnswer, match="longer than any"):
        made.request("GET", "/")
    assert len(made.request("GET", "/").content) == 1000
    made.close()


def test_who_says_nothing_is_left_after_a_while(tmp_path: Path, stand_in: Any) -> None:
    """Nobody there is told from nobody who answers."""
    made = over_unix(tmp_path / "sock", "", 0.2)
    with pytest.raises(NotReached):
        made.request("GET", "/")
    stand_in("")
    with pytest.raises(NotAnswered):
        made.request("GET", "/")
    made.close()


def test_threads_have_connections_of_their_own(tmp_path: Path) -> None:
    """No answer is given to another question."""
    path = tmp_path / "sock"
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(path))
    server.listen(8)

    def echo(connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as file:
            while line := file.readline():
                while file.readline() not in (b"\r\n", b""):
                    pass
                connection.sendall(answer(line.split()[1].decode()).encode())

    def serve() -> None:
        for _ in range(4):
            threading.Thread(target=echo, args=(server.accept()[0],)).start()

    serving = threading.Thread(target=serve)
    serving.start()
    made, wrong = over_unix(path, "", 10.0), []
    together = threading.Barrier(4)

    def ask(who: int) -> None:
        # all four ask before one is answered, so that each has its connection
        connection = made._connected()
        together.wait(10)
        made._free.append(connection)
        for number in range(200):
            if made.request("GET", f"/{who}/{number}").content != f"/{who}/{number}".encode():
                wrong.append((who, number))

    threads = [threading.Thread(target=ask, args=(who,)) for who in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join(30)
    serving.join(10)
    made.close()
    server.close()
    assert not wrong


@pytest.mark.parametrize("chunked", [True, False])
def test_an_answer_takes_the_memory_of_its_length(tmp_path: Path, stand_in: Any, chunked: bool) -> None:
    """And not that of the longest one, as Python's own client does before 3.10."""
    head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
    stand_in(f"{head}2\r\n{{}}\r\n0\r\n\r\n" if chunked else answer("{}"))
    made = over_unix(tmp_path / "sock", "", 10.0)
    tracemalloc.start()
    try:
        assert made.request("GET", "/").content == b"{}"
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()
    made.close()
