"""The daemon's sockets under attack and bad luck: unfinished requests by the thousand, forged words, removed files."""

from __future__ import annotations

import asyncio
import contextlib
import getpass
import json
import logging
import os
import random
import resource
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Optional

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from daqsched.errors import DaqschedError
from daqsched.serve.accounts import Accounts, KnownAccount, group_id
from daqsched.serve.audit import Audit
from daqsched.serve.connections import HEADER_BYTES, HEADER_LINES, ConnectionTimes
from daqsched.serve.http import caller_of
from daqsched.serve.peer_token import HEADER, PeerToken, digest_of, sign
from daqsched.serve.peers import Identity, read_identity
from daqsched.serve.serving import Serving
from daqsched.serve.standby import CLOSED, Standby
from daqsched.store.coordination import Card
from peers import identity as made_identity
from unfinished import unfinished
from waiting import until


@pytest.fixture(scope="module")
def identity(tmp_path_factory: pytest.TempPathFactory) -> Identity:
    """What the daemons of one farm have in common."""
    return made_identity(tmp_path_factory.mktemp("peers") / "peers.pem")


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Identity:
    """The same of another farm."""
    return made_identity(tmp_path_factory.mktemp("others") / "peers.pem")


class App:
    """Tells who asks, and what came; `/drip` answers piece by piece, `/large` with more than a socket holds."""

    def __init__(self) -> None:
        self.more = threading.Event()
        self.callers: list[Any] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        request = Request(scope, receive)
        self.callers.append(caller_of(request))
        response: Response = JSONResponse(
            {"name": caller_of(request).name, "body": len(await request.body()), "target": str(request.url.query)},
            headers={"etag": '"7"'},
        )
        if request.url.path == "/drip":
            response = StreamingResponse(self._drip(), media_type="text/event-stream")
        elif request.url.path == "/large":
            response = Response(b"x" * 16_000_000)
        await response(scope, receive, send)

    async def _drip(self) -> Any:
        yield b"first\n"
        while not self.more.is_set():
            await asyncio.sleep(0.01)
        yield b"second\n"


@contextlib.contextmanager
def serving(path: Path, app: Any, **options: Any) -> Iterator[Serving]:
    made = Serving(path, "", app, **options)
    try:
        yield made
    finally:
        made.close()


def local(path: Path) -> httpx.Client:
    return httpx.Client(transport=httpx.HTTPTransport(uds=str(path), verify=False), base_url="http://d", timeout=60)


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.once
@pytest.mark.parametrize(
    ("count", "text"),
    [
        pytest.param(2000, "GET /v1/info HTTP/1.1\\r\\nHost: x\\r\\nX-A: ", id="header"),
        pytest.param(300, "POST /v1/stop HTTP/1.1\\r\\nHost: x\\r\\nContent-Length: 9\\r\\n\\r\\n{", id="body"),
        pytest.param(300, "", id="nothing"),
    ],
)
def test_thousands_of_unfinished_requests_keep_nobody_out(
    tmp_path: Path, identity: Identity, count: int, text: str
) -> None:
    """On either socket: others are answered, and there is no more of them than there is room for."""
    app = App()
    with serving(tmp_path / "leader", app, peers=("127.0.0.1", 0), identity=identity) as leader:
        before = descriptors()
        port = leader.address.rpartition(":")[2]
        with unfinished(str(tmp_path / "leader"), count, text), unfinished(port, count, text):
            standby = Standby(identity, "ctl2")
            standby.leader = Card("ctl1", leader.address, leader.token)
            with serving(tmp_path / "standby", standby, ended=standby.close):
                for _ in range(20):
                    for path in ("leader", "standby"):
                        with local(tmp_path / path) as http:
                            assert http.get("/info").json()["name"] == getpass.getuser()
            # 128 of each socket wait, and what our own requests used
            assert descriptors() - before < 2 * 128 + 40


def test_no_descriptor_left_is_waited_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Nothing ends or spins by it; who waits is taken in when there is one again."""
    with serving(tmp_path / "sock", App()), socket.socket(socket.AF_UNIX) as caller:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        with contextlib.ExitStack() as files:
            resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors() + 20, hard))
            try:
                with contextlib.suppress(OSError):
                    while True:
                        files.enter_context(open(os.devnull))
                caller.settimeout(20)
                caller.connect(str(tmp_path / "sock"))
                caller.sendall(b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n")
                until(lambda: "no connection can be accepted: Too many open files" in caplog.text, "it is told")
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert caller.recv(100).startswith(b"HTTP/1.1 200")


def test_every_kind_of_waiting_ends(tmp_path: Path) -> None:
    """For a header, for a body, for the next request, for the reading of an answer."""
    times = ConnectionTimes(0.2, 0.4, 1.0, 0.3)
    head = b"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: "
    with serving(tmp_path / "sock", App(), times=times):
        for text in (b"", head, head + b"9\r\n\r\n{", head + b"0\r\n\r\n", b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n"):
            with socket.socket(socket.AF_UNIX) as caller:
                caller.settimeout(20)
                caller.connect(str(tmp_path / "sock"))
                caller.sendall(text)
                if b"large" in text:
                    # nothing of it is read until it is given up
                    until(lambda: _ended(caller), "the connection is ended")
                while True:
                    try:
                        if not caller.recv(1 << 20):
                            break
                    except ConnectionResetError:
                        break


@pytest.mark.parametrize("door", ["socket", "peers"])
def test_an_answer_that_is_read_slowly_ends(
    tmp_path: Path, identity: Identity, door: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Who reads a little again and again keeps neither the answer in memory nor its place; it is told, and who reads is not
    touched."""
    app = App()
    with (
        contextlib.ExitStack() as all_,
        serving(
            tmp_path / "sock", app, times=ConnectionTimes(10, 10, 10, 0.3), peers=("127.0.0.1", 0), identity=identity
        ) as made,
    ):
        head = "GET /large HTTP/1.1\r\nHost: x\r\n"
        if door == "socket":
            caller = all_.enter_context(socket.socket(socket.AF_UNIX))
            caller.connect(str(tmp_path / "sock"))
        else:
            plain = socket.create_connection(("127.0.0.1", int(made.address.rpartition(":")[2])))
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
            caller = all_.enter_context(identity.client.wrap_socket(plain))
            asked = word(made, method="GET", target="/large", digest=digest_of(b""))
            head += f"{HEADER}: {sign(identity.key, asked)}\r\n"
        caller.settimeout(20)
        caller.sendall(f"{head}\r\n".encode())
        told = "read less than 1024 KiB of its answer within 0.3 s"
        until(lambda: caller.recv(100) and told in caplog.text, "it is told")
        until(lambda: caller.recv(100) and not made._server.server_state.connections, "the connection is closed")
        with local(tmp_path / "sock") as http:
            assert len(http.get("/large").content) == 16_000_000


def _ended(caller: socket.socket) -> bool:
    """Whether the other side has closed it, without reading anything."""
    import select

    poll = select.poll()
    poll.register(caller, select.POLLHUP | select.POLLRDHUP)
    return bool(poll.poll(0))


def test_headers_and_requests_in_a_row_are_bounded(tmp_path: Path) -> None:
    """A header without end, too many lines, a thousand requests at once: each ends its own connection."""
    start = b"GET /x HTTP/1.1\r\nHost: x\r\n"
    with serving(tmp_path / "sock", App()):
        for text, status in (
            (start + b"X-A: " + b"a" * (HEADER_BYTES + 1), 431),
            (b"GET /" + b"a" * (HEADER_BYTES + 1), 431),
            (start + b"".join(b"X-%d: 1\r\n" % number for number in range(HEADER_LINES)) + b"\r\n", 400),
            ((start + b"\r\n") * 1000, 400),
        ):
            with socket.socket(socket.AF_UNIX) as caller:
                caller.settimeout(20)
                caller.connect(str(tmp_path / "sock"))
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    caller.sendall(text)
                answer = b""
                with contextlib.suppress(ConnectionResetError):
                    while piece := caller.recv(1 << 16):
                        answer += piece
                assert b"HTTP/1.1 %d" % status in answer
        with local(tmp_path / "sock") as http:
            assert http.get("/x").status_code == 200


#: What is mutilated below.
REQUESTS = (
    b"GET /v1/info HTTP/1.1\r\nHost: x\r\n\r\n",
    b"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello",
    b"POST /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    b"POST /x HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\nabc",
    b"POST /x HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc",
    b"CONNECT a:1 HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET http://[::1/ HTTP/1.1\r\n\r\n",
    b"GET /%ff\xfe?a=%zz HTTP/1.1\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\n\r\n",
    b"GET /x HTTP/1.1\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"GET /x HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(60),
)


def mutilated(text: bytes, dice: random.Random) -> bytes:
    """The same with some bytes changed, lost, put in or said twice, or the end of it missing."""
    told = bytearray(text)
    for _ in range(dice.choice((0, 1, 3, 8))):
        at = dice.randrange(len(told)) if told else 0
        end = at + dice.randrange(1, 9)
        told[at:end] = dice.choice((b"", dice.randbytes(3), told[at:end] * 2, dice.randbytes(end - at)))
    return bytes(told[: dice.randrange(len(told) + 1)] if dice.random() < 0.3 else told)


@pytest.mark.parametrize("seed", [1, 2])
def test_no_bytes_end_the_daemon(
    tmp_path: Path, identity: Identity, seed: int, caplog: pytest.LogCaptureFixture
) -> None:
    """On either socket: whoever sends them may lose the connection, others are answered, and nothing is a bug."""
    dice = random.Random(seed)
    with serving(tmp_path / "sock", App(), peers=("127.0.0.1", 0), identity=identity) as made:
        port = int(made.address.rpartition(":")[2])
        for number in range(300):
            local_one = dice.random() < 0.7
            with socket.socket(socket.AF_UNIX if local_one else socket.AF_INET) as caller:
                caller.settimeout(5)
                caller.connect(str(tmp_path / "sock") if local_one else ("127.0.0.1", port))
                with contextlib.suppress(OSError):
                    for _ in range(dice.choice((1, 1, 2))):
                        caller.sendall(mutilated(dice.choice(REQUESTS), dice))
                    caller.settimeout(0.01)
                    caller.recv(1 << 16)
            if number % 50 == 49:
                with local(tmp_path / "sock") as http:
                    assert http.get("/x").status_code == 200
    assert not [one for one in caplog.records if one.levelno >= logging.ERROR], caplog.text


def test_a_name_that_does_not_come_holds_nobody_up(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A directory service that hangs: the number stands for the name, and the name is there when it comes."""
    told = threading.Event()

    def look(uid: int) -> str:
        assert told.wait(30)
        return "zoë"

    app = App()
    with serving(tmp_path / "sock", app, accounts=Accounts(look)), local(tmp_path / "sock") as http:
        assert http.get("/x").json()["name"] == f"uid {os.getuid()}"
        began = time.monotonic()
        assert http.get("/x").json()["name"] == f"uid {os.getuid()}"
        assert time.monotonic() - began < 0.9, "it was known to be slow"
        told.set()
        until(lambda: http.get("/x").json()["name"] == "zoë", "the name has come")
        caller = app.callers[-1]
        assert (caller.uid, caller.gid, caller.pid, caller.door) == (os.getuid(), os.getgid(), os.getpid(), "socket")
    assert "was not found within" in caplog.text


def test_accounts_without_a_name_have_their_number() -> None:
    """And many questions that hang at once are no more threads than a few."""

    def none(uid: int) -> str:
        raise KeyError(uid)

    assert asyncio.run(Accounts(none).name(77)) == "uid 77"
    over = threading.Event()

    def hangs(uid: int) -> str:
        over.wait(30)
        return "late"

    async def ask() -> None:
        before = threading.active_count()
        slow = Accounts(hangs)
        assert await asyncio.gather(*map(slow.name, range(100))) == [f"uid {number}" for number in range(100)]
        assert threading.active_count() - before <= 8

    asyncio.run(ask())
    over.set()


def test_what_a_directory_does_not_tell_is_in_doubt() -> None:
    """Whether it is late, fails, or knows no such account: one that is down says that, too."""
    over = threading.Event()

    def hangs(uid: int) -> Any:
        over.wait(30)

    def fails(uid: int) -> Any:
        raise OSError("the directory is down")

    def none(uid: int) -> Any:
        raise KeyError(uid)

    def told(uid: int) -> Any:
        return "bob" if uid == 1 else ("shift",)

    async def ask(look: Any, look_groups: Any) -> list[KnownAccount]:
        accounts = Accounts(lambda uid: look(1), lambda uid: look_groups(2))
        return [await accounts.account(77) for _ in range(2)]  # asked, and as it is remembered

    whole = ("bob", ("shift",), False)
    assert asyncio.run(ask(told, told)) == [whole, whole]
    for silent in (hangs, fails, none):
        assert asyncio.run(ask(told, silent)) == [("bob", (), True)] * 2
        assert asyncio.run(ask(silent, told)) == [("uid 77", ("shift",), True)] * 2
    over.set()


def test_a_group_that_nobody_knows_is_one_sentence() -> None:
    """Before anything listens."""
    with pytest.raises(DaqschedError, match="there is no group 'nobody-at-all'"):
        group_id("nobody-at-all")


def test_a_socket_that_was_removed_is_made_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """And one that was replaced, unless a living program listens there."""
    path = tmp_path / "sock"
    with serving(path, App(), watch_s=0.05):
        path.unlink()
        until(path.exists, "it is there again")
        with local(path) as http:
            assert http.get("/x").status_code == 200
        assert "was removed: made again" in caplog.text
        path.unlink()
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(path))
        until(lambda: "was replaced: made again" in caplog.text, "it was seen")
        with local(path) as http:
            assert http.get("/x").status_code == 200
        path.unlink()
        with socket.socket(socket.AF_UNIX) as living:
            living.bind(str(path))
            living.listen()
            until(lambda: "another daqsched serve answers" in caplog.text, "it is told")
        until(lambda: caplog.text.count("was replaced: made again") == 2, "it was made again when that ended")
    assert not path.exists() and not list(tmp_path.iterdir())


def test_a_busy_daemon_is_not_taken_for_dead(tmp_path: Path) -> None:
    """One whose queue is full answers later."""
    path = tmp_path / "sock"
    with socket.socket(socket.AF_UNIX) as busy, contextlib.ExitStack() as callers:
        busy.bind(str(path))
        busy.listen(0)
        for _ in range(3):
            one = callers.enter_context(socket.socket(socket.AF_UNIX))
            one.setblocking(False)
            one.connect_ex(str(path))
        with pytest.raises(DaqschedError, match="another daqsched serve answers"):
            Serving(path, "", App())
        assert path.exists() and [one.name for one in tmp_path.iterdir()] == ["sock"]


def test_a_folder_that_anybody_may_write_is_refused(tmp_path: Path) -> None:
    """Another could answer in our place."""
    tmp_path.chmod(0o777)
    with pytest.raises(DaqschedError, match="anybody may write.*chmod o-w"):
        Serving(tmp_path / "sock", "", App())
    assert not list(tmp_path.iterdir())
    tmp_path.chmod(0o1777)
    with serving(tmp_path / "sock", App()):
        pass


# ---------------------------------------------------------------------- peers


@contextlib.contextmanager
def pair(
    folder: Path, identity: Identity, theirs: Optional[Identity] = None
) -> Iterator[tuple[App, Serving, httpx.Client]]:
    """A leader, and a client of its standby."""
    app = App()
    standby = Standby(theirs or identity, "ctl2 (pid 9)")
    with serving(folder / "leader", app, peers=("127.0.0.1", 0), identity=identity) as leader:
        standby.leader = Card("ctl1", leader.address, leader.token)
        with serving(folder / "standby", standby, ended=standby.close), local(folder / "standby") as http:
            yield app, leader, http


def test_a_standby_passes_on_who_asks_and_what_is_answered(tmp_path: Path, identity: Identity) -> None:
    """Every byte of the target and the body; the answer's headers, but for those of the connection."""
    with pair(tmp_path, identity) as (app, leader, http):
        answer = http.post("/x?select=a%20b%2f%C3%AB&at=1", content=b"b" * 3_000_000)
        assert answer.json() == {
            "name": getpass.getuser(),
            "body": 3_000_000,
            "target": "select=a%20b%2f%C3%AB&at=1",
        }
        assert answer.headers["etag"] == '"7"'
        caller = app.callers[-1]
        assert (caller.door, caller.uid, caller.pid) == ("peer", os.getuid(), os.getpid())
        assert caller.via == "ctl2 (pid 9) at 127.0.0.1"


def test_a_header_of_any_bytes_is_passed_on_as_it_is(tmp_path: Path, identity: Identity) -> None:
    """As a leader takes it."""
    with pair(tmp_path, identity) as (_app, _leader, http):
        for name in (b"accept", b"content-type", b"if-none-match", b"last-event-id"):
            assert http.get("/x", headers=[(name, b"\xff\xc3\xa4 x")]).status_code == 200


@pytest.mark.once
def test_who_has_read_an_answer_may_ask_the_next_at_once(tmp_path: Path, identity: Identity) -> None:
    """Over the same connection, however soon: an answer is complete with its last byte."""
    with pair(tmp_path, identity) as (_app, _leader, http):
        assert {http.get("/x").status_code for _ in range(300)} == {200}


def test_a_leader_may_have_an_address_of_either_kind(tmp_path: Path, identity: Identity) -> None:
    """An IPv6 one has its brackets."""
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6")
    with serving(tmp_path / "leader", App(), peers=("::1", 0), identity=identity) as leader:
        assert leader.address.startswith("[::1]:")
        standby = Standby(identity, "ctl2")
        standby.leader = Card("ctl1", leader.address, leader.token)
        with serving(tmp_path / "standby", standby, ended=standby.close), local(tmp_path / "standby") as http:
            assert http.get("/x").status_code == 200


def test_an_answer_comes_through_a_standby_as_it_comes(tmp_path: Path, identity: Identity) -> None:
    """The first piece before the second is there; large ones whole."""
    with pair(tmp_path, identity) as (app, leader, http):
        with http.stream("GET", "/drip") as found:
            assert found.headers["content-type"].startswith("text/event-stream")
            pieces = found.iter_raw()
            assert next(pieces) == b"first\n"
            app.more.set()
            assert next(pieces) == b"second\n"
        assert http.get("/large").content == b"x" * 16_000_000


def test_who_can_not_show_that_it_is_a_peer_is_counted(
    tmp_path: Path, identity: Identity, stranger: Identity, caplog: pytest.LogCaptureFixture
) -> None:
    """In the audit file, and in the log once; whoever comes a thousand times writes no thousand lines."""
    path = tmp_path / "audit.ndjson"
    audit = Audit(path)
    times = ConnectionTimes(header_s=0.5)
    with serving(
        tmp_path / "leader", App(), peers=("127.0.0.1", 0), identity=identity, audit=audit, times=times
    ) as leader:
        port = int(leader.address.rpartition(":")[2])
        for number in range(300):
            with socket.create_connection(("127.0.0.1", port)) as one:
                one.sendall(b"GET / HTTP/1.1\r\n\r\n" if number % 2 else b"")
        foreign = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        foreign.check_hostname, foreign.verify_mode = False, ssl.CERT_NONE
        foreign.load_cert_chain(stranger.path)
        with httpx.Client(verify=foreign) as http, pytest.raises(httpx.TransportError):
            http.get(f"https://{leader.address}/x")
        with socket.create_connection(("127.0.0.1", port)) as silent:
            until(lambda: _ended(silent), "who says nothing is ended")

        def rows() -> list[dict[str, Any]]:
            return [json.loads(line) for line in path.read_text().splitlines()]

        until(lambda: sum(row.get("count", 1) for row in rows()) == 302, "all are counted")
        found = rows()
        assert {(row["operation"], row["result"], row["door"], row["via"]) for row in found} == {
            ("handshake", "refused", "peer", "127.0.0.1")
        }
        assert {"it went away", "http request", "it did not end its handshake in time"} <= {row["why"] for row in found}
        assert len(found) <= 20 and caplog.text.count("did not show our peers' certificate") == 1


def word(leader: Serving, **other: Any) -> PeerToken:
    told = {
        "method": "POST",
        "target": "/x",
        "digest": digest_of(b"body"),
        "time": time.time(),
        "nonce": os.urandom(8).hex(),
    }
    return PeerToken(**{"to": leader.token, "name": "eve", "uid": 0, "gid": 0, "pid": 1, "via": "w", **told, **other})


def test_who_listens_on_the_wire_or_lacks_the_certificate_applies_as_nobody(
    tmp_path: Path, identity: Identity, stranger: Identity, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither in clear text, nor with no or another certificate, nor with the header of before, nor with a heard word."""
    with pair(tmp_path, identity) as (app, leader, _):
        right = sign(identity.key, word(leader))
        bare = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        bare.check_hostname, bare.verify_mode = False, ssl.CERT_NONE
        foreign = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        foreign.check_hostname, foreign.verify_mode = False, ssl.CERT_NONE
        foreign.load_cert_chain(stranger.path)
        for context, scheme in ((bare, "http"), (bare, "https"), (foreign, "https"), (stranger.client, "https")):
            with httpx.Client(verify=context) as http, pytest.raises(httpx.TransportError):
                http.post(f"{scheme}://{leader.address}/x", content=b"body", headers={HEADER: right})
        assert not app.callers
        # who has the certificate, but alters, repeats or invents
        with httpx.Client(verify=identity.client) as http:

            def ask(
                text: Optional[str],
                method: str = "POST",
                target: str = "/x",
                body: bytes = b"body",
                more: Mapping[str, str] = {},  # noqa: B006  it is only read
            ) -> int:
                headers = {**more, **({HEADER: text} if text else {})}
                found = http.request(method, f"https://{leader.address}{target}", content=body, headers=headers)
                return found.status_code

            assert ask(None, more={"x-daqsched-user": "eve", "authorization": f"Bearer {leader.token}"}) == 401
            assert ask(sign(stranger.key, word(leader))) == 401
            assert ask(right, body=b"other") == 401
            assert ask(right, target="/y") == 401
            assert ask(right, target="/x?a=1") == 401
            assert ask(right, method="PUT") == 401
            assert ask(sign(identity.key, word(leader, time=time.time() - 31))) == 401
            assert ask(sign(identity.key, word(leader, to="another"))) == 401
            assert not app.callers
            assert ask(right) == 200
            assert ask(right) == 401
        assert [one.name for one in app.callers] == ["eve"]
    assert "refused what the peer at 127.0.0.1 asked: the request has 0 tokens" in caplog.text


def test_a_standby_with_another_certificate_says_so(tmp_path: Path, identity: Identity, stranger: Identity) -> None:
    """After it has waited as for any leader that does not answer."""
    from daqsched.serve import standby

    patience, standby.PATIENCE_S = standby.PATIENCE_S, 0.3
    try:
        with pair(tmp_path, identity, stranger) as (app, _, http):
            answer = http.post("/x").json()
            assert "another --peers-certificate" in answer["error"] and answer["exit_code"] == 3
            assert not app.callers
    finally:
        standby.PATIENCE_S = patience


def test_a_standby_without_a_certificate_says_where_to_ask(tmp_path: Path) -> None:
    """It stands for election all the same."""
    standby = Standby()
    standby.leader = Card("ctl1 (pid 4)", "", "t", CLOSED)
    with serving(tmp_path / "sock", standby) as made, local(tmp_path / "sock") as http:
        assert made.address == ""
        assert "ctl1 (pid 4) leads, and can't be asked" in http.get("/x").json()["error"]
        standby.leader = Card("ctl1 (pid 4)", "127.0.0.1:1", "t")
        assert "--peers-certificate FILE on both machines: ask on that machine" in http.get("/x").json()["error"]


def test_a_file_that_is_no_identity_is_refused(tmp_path: Path, identity: Identity) -> None:
    """In one sentence with the command that makes one."""
    good = identity.path.read_text()
    with pytest.raises(DaqschedError, match="openssl req"):
        read_identity(tmp_path / "none")
    for text in ("", good.partition("-----END PRIVATE KEY")[0], good + good, good.replace("M", "N"), "\0" * 100, "ë"):
        path = tmp_path / "bad"
        path.write_text(text)
        path.chmod(0o600)
        with pytest.raises(DaqschedError, match="openssl req"):
            read_identity(path)
    path.write_text(good)
    path.chmod(0o640)
    with pytest.raises(DaqschedError, match="chmod 600"):
        read_identity(path)
    assert identity.until > time.time() + 19 * 365 * 86400
    with pytest.raises(DaqschedError, match=r"ended 20\d\d-.*openssl req"):
        read_identity(identity.path, identity.until + 1)
    locked = tmp_path / "locked"
    command = ["openssl", "pkcs8", "-topk8", "-in", str(identity.path), "-passout", "pass:x"]
    locked.write_bytes(
        subprocess.run(command, capture_output=True, check=True).stdout + good[good.index("-----BEGIN CERT") :].encode()
    )
    locked.chmod(0o600)
    with pytest.raises(DaqschedError, match="password"):
        read_identity(locked)
