"""A forwarder's connection to servers that answer badly, over real sockets."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from daqsched_executor.contract.access import authorization, too_open
from daqsched_executor.contract.forwarding import Access
from daqsched_executor.forward.delivery.connection import Connection, HTTPException, Keys, addresses

GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

Serve = Callable[[socket.socket, int], None]


@contextmanager
def server(serve: Serve) -> Iterator[str]:
    """Gives each connection, with its number, to ``serve``; the address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            number = 0
            with suppress(OSError):
                while True:
                    near, _ = listener.accept()
                    number += 1
                    threading.Thread(target=one, args=(near, number), daemon=True).start()

        def one(near: socket.socket, number: int) -> None:
            with near, suppress(OSError):
                serve(near, number)

        threading.Thread(target=accept, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)


def connection(url: str) -> Connection:
    """With little patience."""
    return Connection(addresses(url), Keys(Access(), lambda about, sentence: None), timeout_s=0.5)


def _silent(near: socket.socket, number: int) -> None:
    while near.recv(65536):
        pass


def _half(near: socket.socket, number: int) -> None:
    near.recv(65536)
    near.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly so much")


def _half_closed(near: socket.socket, number: int) -> None:
    near.recv(65536)
    near.shutdown(socket.SHUT_WR)
    time.sleep(1)


def _garbage(near: socket.socket, number: int) -> None:
    near.recv(65536)
    near.sendall(b"\x15\x03\x01\x00\x02\x02\x16" * 3)


@pytest.mark.parametrize("serve", [_silent, _half, _half_closed, _garbage])
def test_a_server_that_does_not_answer_well_is_a_failure_and_no_success(serve: Serve) -> None:
    """Slow, half an answer, half a connection, no HTTP: an error in time, whatever it is called."""
    with server(serve) as url:
        began = time.monotonic()
        with pytest.raises((OSError, HTTPException)):
            connection(url).request("POST", "/_bulk", b"x\n")
        assert time.monotonic() - began < 5.0


def test_an_idle_connection_that_the_server_ended_is_no_failure() -> None:
    """The request is made again on a new one."""

    def serve(near: socket.socket, number: int) -> None:
        near.recv(65536)
        near.sendall(GOOD)  # and the connection ends

    with server(serve) as url:
        ours = connection(url)
        for _ in range(3):
            assert ours.request("GET", "/").body == b"ok"
        ours.close()


@pytest.mark.parametrize(
    ("kind", "text", "header"),
    [
        ("user_file", "shipper:s3:cret\nmore\n", "Basic c2hpcHBlcjpzMzpjcmV0"),
        ("api_key_file", "VnVhQ2ZHY0JDZGJrUW0tZTVhT3g6dWkybHAyYXhUTm1zeWFrdzl0dk5udw==\n", None),
        ("api_key_file", "VuaCfGcB:ui2lp2ax", "ApiKey VnVhQ2ZHY0I6dWkybHAyYXg="),
    ],
)
def test_a_secret_is_its_files_first_line(tmp_path: Path, kind: str, text: str, header: str | None) -> None:
    """As basic authentication, or as an API key in either of its forms."""
    path = tmp_path / "secret"
    path.write_text(text)
    path.chmod(0o640)
    access = Access(**{kind: str(path)})
    assert authorization(access) == (header or f"ApiKey {text.strip()}")
    assert too_open(access) == ""
    path.chmod(0o660)
    assert f"{path} holds a secret and has mode 660" in too_open(access)


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("user_file", b"hunter2\n"),
        ("api_key_file", b"hunter2 hunter2\n"),
        ("user_file", b"\xffhunter2:\n"),
        ("user_file", b""),
    ],
)
def test_a_file_that_holds_no_secret_is_said_without_what_it_holds(tmp_path: Path, kind: str, data: bytes) -> None:
    """It may be a secret all the same."""
    path = tmp_path / "secret"
    path.write_bytes(data)
    with pytest.raises(ValueError, match="does not begin with") as caught:
        authorization(Access(**{kind: str(path)}))
    assert "hunter2" not in str(caught.value) and str(path) in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_changed_secret_is_read_again_and_a_missing_one_keeps_the_former(tmp_path: Path) -> None:
    """Between two requests; half a replacement is a sentence."""
    said: list[str] = []
    path = tmp_path / "secret"
    path.write_text("a:1\n")
    path.chmod(0o600)
    keys = Keys(Access(user_file=str(path)), lambda about, sentence: said.append(sentence))
    first = keys.header()
    path.unlink()
    assert keys.header() == first and not said
    path.write_text("")
    path.chmod(0o600)
    assert keys.header() == first and "the former one stays in use" in said[0]
    path.write_text("a:22\n")
    assert keys.header() not in ("", first)
    assert len(said) == 1
