"""What stands around a request's body is bounded, to the byte and at every door, however it comes."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from daqsched.serve.connections import HEADER_BYTES
from daqsched.serve.peers import Identity
from peers import identity
from webport import WebServe

DOORS = ("socket", "peer", "web")


class Doors:
    """A daemon with all three."""

    def __init__(self, folder: Path) -> None:
        self.identity: Identity = identity(folder / "peers.pem")
        self.web = WebServe(folder, peers=("127.0.0.1", 0), identity=self.identity)

    @contextlib.contextmanager
    def connection(self, door: str) -> Iterator[socket.socket]:
        with contextlib.ExitStack() as all_:
            if door == "socket":
                made = all_.enter_context(socket.socket(socket.AF_UNIX))
                made.connect(str(self.web.folder / "door"))
            else:
                serving = self.web.serving
                place = serving.address if door == "peer" else serving.web_address
                plain = socket.create_connection(("127.0.0.1", int(place.rpartition(":")[2])))
                context: ssl.SSLContext = self.identity.client if door == "peer" else self.web.context
                made = all_.enter_context(context.wrap_socket(plain, server_hostname="localhost"))
            made.settimeout(20)
            yield made

    def answer(self, door: str, text: bytes, piece: int) -> bytes:
        """To a request that is sent in such pieces."""
        with self.connection(door) as caller:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError, ssl.SSLError):
                for at in range(0, len(text), piece):
                    caller.sendall(text[at : at + piece])
            found = b""
            with contextlib.suppress(ConnectionResetError, ssl.SSLError):
                while (b"\r\n\r\n" not in found or not found.endswith(b"}")) and (part := caller.recv(1 << 16)):
                    found += part
            return found


@pytest.fixture
def doors(tmp_path: Path) -> Iterator[Doors]:
    made = Doors(tmp_path)
    yield made
    made.web.close()


@pytest.mark.parametrize("door", DOORS)
def test_a_header_has_its_most_to_the_byte(doors: Doors, door: str) -> None:
    """Whether it comes at once or in pieces, and ends in the same one in which it is too long; in a line or in the address."""
    for piece in (1 << 30, 100_003):
        for more in (0, 1, 1000, HEADER_BYTES - 1, HEADER_BYTES):
            for start in (
                b"GET /v1/info HTTP/1.1\r\nHost: localhost\r\nX-A: %b\r\n\r\n",
                b"GET /%b HTTP/1.1\r\nHost: localhost\r\n\r\n",
            ):
                text = start % (b"a" * (HEADER_BYTES + more - len(start) + 2))
                assert len(text) == HEADER_BYTES + more
                found = doors.answer(door, text, piece)
                assert found.startswith(b"HTTP/1.1 431 ") == (more > 0), (piece, more, found[:100])
                assert found.startswith(b"HTTP/1.1 "), (piece, more)


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize(
    ("begin", "on"),
    [
        pytest.param(b"0\r\nX-A: ", b"a", id="a line behind the body"),
        pytest.param(b"1;x=", b"a", id="words of a piece"),
        pytest.param(b"", b"0", id="the length of a piece"),
    ],
)
def test_what_stands_around_a_body_is_bounded(doors: Doors, door: str, begin: bytes, on: bytes) -> None:
    """It is no part of what a body may have, and was kept for as long as a body may take."""
    head = b"POST /v1/login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    found = doors.answer(door, head + b"2\r\n{}\r\n" + begin + on * (32 << 20), 1 << 20)
    assert b"HTTP/1.1 4" in found or not found
    with doors.connection(door) as caller:
        caller.sendall(b"GET /v1/info HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert caller.recv(100).startswith(b"HTTP/1.1 ")


def test_lines_behind_a_body_are_no_headers(doors: Doors) -> None:
    """They come after what headers say was looked at."""
    token = doors.web.token("viewer").read_text().strip().encode()
    head = (
        b"POST /v1/plan HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n"
    )
    for shown, status in ((b"", b"401"), (b"Authorization: Bearer " + token + b"\r\n", b"400")):
        behind = b"0\r\nAuthorization: Bearer " + token + b"\r\nHost: evil.example\r\nIdempotency-Key: x\r\n\r\n"
        found = doors.answer("web", head + shown + b"\r\n2\r\n{}\r\n" + behind, 1 << 20)
        assert found.startswith(b"HTTP/1.1 " + status), found
