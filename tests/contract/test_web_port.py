"""The web port: tokens over HTTPS, and what a request must be like to be looked at."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import json
import os
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Optional

import httpx
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from starlette.responses import Response

from builders import job, offer
from children import child
from daqsched.authority import make_authority
from daqsched.cli import main
from daqsched.client import Client
from daqsched.engine import events
from daqsched.errors import DaqschedError, Refused, Unreachable, UserError
from daqsched.serve import connection_budget
from daqsched.serve.connection_budget import UNREAD_BYTES, UNREAD_OF_ONE, ConnectionBudget, Limits
from daqsched.serve.serving import LEAVE_S
from daqsched.serve.web_certificate import read_pair
from daqsched.settings import Server
from daqsched.spec import Spec
from unfinished import unfinished
from waiting import until
from webport import FILE, WebServe, signed


@pytest.fixture
def door(tmp_path: Path) -> Iterator[WebServe]:
    """Of a daemon with one job that runs."""
    made = WebServe(tmp_path)
    made.serve.daemon.put(events.Registered("fw", "m:5050"))
    made.serve.client.apply(Spec(jobs=(job(),)), "first")
    made.serve.daemon.put(events.OffersArrived((offer(),)))
    made.serve.settle()
    yield made
    made.close()


def test_a_token_gives_what_rules_give_it_and_no_more_than_its_role(door: WebServe) -> None:
    """By rules that name it, and by those of the person that it is for."""
    shifter = door.client(door.token("shifter"))
    assert [row.state for row in shifter.status().rows] == ["STARTING"]
    assert shifter.stop(["readout"]).count == 1
    with pytest.raises(
        Refused,
        match="token:shifter may not change the farm: it takes an expert.*; and this token gives shifter at most",
    ):
        shifter.apply(Spec(jobs=(job(release="2"),)), "mine")
    capped = door.client(door.token("expert", "viewer"))
    with pytest.raises(Refused, match="this token gives viewer at most"):
        capped.start(["readout"])
    person = door.client(door.token("laptop", "shifter", "alice"))
    assert person.start(["readout"], everyones=True).count == 1
    assert person.rights().name == "alice" and "token:laptop" in person.rights().called
    with pytest.raises(Refused, match="alice may not change the farm: this token gives shifter at most"):
        person.apply(Spec(jobs=(job(release="2"),)), "mine")
    strange = door.client(door.token("strange", "admin"))
    with pytest.raises(Refused, match="no rule gives token:strange"):
        strange.status()


def test_a_token_of_roots_gives_no_more_than_the_rules(door: WebServe) -> None:
    """Who may all on the machine itself may not all from anywhere."""
    client = door.client(door.token("roots", "admin", "unix:root"))
    with pytest.raises(Refused, match="no rule gives unix:root"):
        client.status()
    with pytest.raises(Refused):
        client.make_token("more", "admin", time.time() + 99)


def test_a_revoked_or_expired_token_is_told_apart_in_the_audit_file_alone(door: WebServe) -> None:
    """Who shows one is told the same of all."""
    revoked, expired = door.client(door.token("shifter")), door.client(door.token("viewer", seconds=0.3))
    revoked.status()
    door.serve.client.revoke_token("shifter")
    unknown = door.folder / "unknown.token"
    unknown.touch(mode=0o600)
    unknown.write_text("daqsched_" + "x" * 43)
    time.sleep(0.3)
    said = set()
    for client in (revoked, expired, door.client(unknown)):
        with pytest.raises(Refused) as caught:
            client.status()
        said.add(str(caught.value))
    assert len(said) == 1
    lines = [json.loads(line) for line in door.noted().splitlines()]
    whys = [line["why"] for line in lines if line["result"] == "refused"]
    assert [why.partition(" on ")[0] for why in whys] == [
        "the token shifter was revoked by root",
        "the token viewer expired",
        "the token is unknown",
    ]
    assert {line["door"] for line in lines if line["result"] == "refused"} == {"web"}


def test_a_page_that_looks_whether_one_is_known_is_no_refusal_of_the_audit_file(door: WebServe) -> None:
    """Each page does, for whoever opens it; all else of who shows nothing is noted, and this of who shows what does not count."""
    nobody, stranger = door.http(), door.http(authorization=f"Bearer daqsched_{'x' * 43}")
    for _ in range(30):
        assert nobody.get("/v1/rights").status_code == 401
    assert "refused" not in door.noted()
    for http, method, path in (
        (nobody, "GET", "/v1/rights?user=alice"),
        (nobody, "GET", "/v1/status"),
        (stranger, "GET", "/v1/rights"),
    ):
        before = len(door.noted().splitlines())
        assert http.request(method, path).status_code == 401
        (line,) = door.noted().splitlines()[before:]
        assert json.loads(line)["result"] == "refused", path


def test_tokens_outlive_the_daemon_and_are_never_in_its_state(tmp_path: Path) -> None:
    """What is saved counts after a restart; the token itself stands nowhere but where it was shown."""
    door = WebServe(tmp_path)
    token = door.token("viewer")
    door.close()
    secret = token.read_text().strip().encode()
    for file in tmp_path.rglob("*"):
        assert file == token or not file.is_file() or secret not in file.read_bytes(), file
    again = WebServe(tmp_path)
    again.client(token).status()
    again.serve.client.revoke_token("viewer")
    again.close()
    last = WebServe(tmp_path)
    with pytest.raises(Refused):
        last.client(token).status()
    assert [one.ended.partition(" on ")[0] for one in last.serve.client.tokens()] == [
        "the token viewer was revoked by root"
    ]
    last.close()


def test_who_made_a_token_is_in_the_audit_file_without_it(door: WebServe) -> None:
    """And no answer but the first has it."""
    secret = door.token("viewer").read_text().strip()
    noted = door.folder / "sock"
    assert noted.exists() and secret not in door.noted()
    assert secret not in str(door.serve.client.tokens())


@pytest.mark.parametrize(
    ("method", "headers", "status"),
    [
        ("GET", {"host": "evil.example"}, 421),
        ("GET", {"host": "evil.example:8443"}, 421),
        ("GET", {"host": ""}, 421),
        ("GET", {"host": "localhost"}, 200),
        ("GET", {"host": "LOCALHOST:8443"}, 200),
        ("GET", {"origin": "https://evil.example", "sec-fetch-site": "cross-site"}, 200),
        ("POST", {"content-type": "application/json", "origin": "https://evil.example"}, 403),
        ("POST", {"content-type": "application/json", "origin": "null"}, 403),
        ("POST", {"content-type": "application/json", "sec-fetch-site": "cross-site"}, 403),
        ("POST", {"content-type": "application/json", "sec-fetch-site": "same-site"}, 403),
        ("POST", {"content-type": "application/x-www-form-urlencoded"}, 403),
        ("POST", {"content-type": "text/plain"}, 403),
        ("POST", {}, 403),
        ("POST", {"content-type": "application/json; charset=utf-8", "sec-fetch-site": "same-origin"}, 400),
        ("PUT", {}, 405),
    ],
)
def test_what_a_page_of_another_site_could_send_is_not_looked_at(
    door: WebServe, method: str, headers: dict[str, str], status: int
) -> None:
    """By its name, its origin, its form; every answer says what a browser may do with it."""
    http = door.http(door.token("expert"))
    before = door.serve.client.progress().progress.version
    path = "/v1/status" if method == "GET" else "/v1/stop"
    found = http.request(method, path, headers=headers, content=b"{}" if method == "POST" else None)
    assert found.status_code == status, found.text
    assert found.headers["x-content-type-options"] == "nosniff" and found.headers["cache-control"] == "no-store"
    assert found.headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert door.serve.client.progress().progress.version == before


def test_forged_words_have_no_effect(door: WebServe) -> None:
    """What daemons or proxies say of who asks nobody believes here."""
    forged = {
        "x-daqsched-word": "x.y",
        "x-daqsched-web-word": "x.y",
        "x-daqsched-user": "root",
        "x-forwarded-for": "127.0.0.1",
        "x-forwarded-user": "root",
        "x-remote-user": "root",
    }
    assert door.http(None, **forged).get("/v1/status").status_code == 401
    found = door.http(door.token("viewer"), **forged).get("/v1/rights").json()
    assert found["name"] == "token:viewer" and found["called"] == ["known", "token:viewer"]


def test_a_large_body_takes_the_right_to_apply(door: WebServe) -> None:
    """1 MiB for all others, said before it is read whole."""
    large = b'{"message": "' + b"x" * (2 << 20) + b'"}'
    kind = {"content-type": "application/json"}
    refused = door.http(door.token("shifter"), **kind).post("/v1/note", content=large)
    assert refused.status_code == 413 and "1 MiB" in refused.text
    assert door.http(door.token("expert"), **kind).post("/v1/note", content=large).status_code == 400
    assert door.http(None, **kind).post("/v1/note", content=large).status_code == 401


def test_a_renewed_certificate_is_shown_without_a_restart(door: WebServe) -> None:
    """One that can't be used changes nothing, and is told."""
    token = door.token("viewer")
    door.certificate.write_text("nonsense")
    until(lambda: door.web.trouble, "the mistake is told")
    door.client(token).status()
    authority = make_authority("another", datetime.datetime.now(datetime.timezone.utc))
    signed(authority, door.certificate, door.key, "127.0.0.1", "new.example")
    until(lambda: "new.example" in door.web.names, "it is read")
    with pytest.raises(Unreachable, match="shows a certificate that is not believed"):
        door.client(token).status()
    door.ca.write_bytes(authority.certificate)
    door.client(token).status()


def test_a_key_that_others_can_read_opens_no_door(door: WebServe) -> None:
    """Nor one of another certificate."""
    door.key.chmod(0o644)
    with pytest.raises(UserError, match="can be read or changed by others: chmod o="):
        read_pair(door.certificate, door.key)
    door.key.chmod(0o600)
    with pytest.raises(UserError, match="are not a certificate and its key"):
        read_pair(door.ca, door.key)


@pytest.mark.parametrize("asks", ["nothing", "something"])
def test_who_only_holds_a_connection_keeps_no_daemon_from_its_end(tmp_path: Path, asks: str) -> None:
    """With TLS the other end would have to say that it has heard; before its first request, and between two."""
    made = WebServe(tmp_path)
    held = [
        made.context.wrap_socket(
            socket.create_connection(("127.0.0.1", int(made.url.rpartition(":")[2]))), server_hostname="localhost"
        )
        for _ in range(3)
    ]
    for one in held if asks == "something" else ():
        one.sendall(b"GET /v1/rights HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert one.recv(4096).startswith(b"HTTP/1.1 401")
    began = time.monotonic()
    made.serving.close()
    assert time.monotonic() - began < 2.0 and not made.serving._thread.is_alive()
    for one in held:
        one.close()
    made.close()


def test_an_answer_that_is_under_way_is_given_before_the_end(tmp_path: Path) -> None:
    """To a client that reads slowly; and one that never comes keeps nobody for long."""
    made = WebServe(tmp_path)
    token = made.token("viewer")
    there = threading.Event()

    async def slow(scope: Any, receive: Any, send: Any) -> None:
        there.set()
        await asyncio.sleep(1.0 if scope["path"] == "/v1/slow" else 60.0)
        await Response(b"x" * 300_000)(scope, receive, send)

    made.serving.answer_by(slow, made.authentication)
    with ThreadPoolExecutor(2) as pool:
        never = pool.submit(lambda: made.http(token).get("/v1/never"))
        assert there.wait(10)
        there.clear()
        answer = pool.submit(lambda: made.http(token).get("/v1/slow"))
        assert there.wait(10)
        began = time.monotonic()
        made.serving.close()
        assert time.monotonic() - began < LEAVE_S + 1.0 and not made.serving._thread.is_alive()
        assert answer.result(10).content == b"x" * 300_000
        with pytest.raises(httpx.HTTPError):
            never.result(10)
    made.close()


def test_old_tls_is_not_spoken(door: WebServe) -> None:
    """1.2 is the least; without TLS nobody is answered."""
    host, _, port = door.serving.web_address.rpartition(":")
    with socket.create_connection((host, int(port)), 10) as plain:
        plain.sendall(b"GET /v1/info HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert not plain.recv(100).startswith(b"HTTP/1.1 2")
    assert door.web.context.minimum_version == ssl.TLSVersion.TLSv1_2


def test_the_command_says_why_it_is_not_let_in(door: WebServe) -> None:
    """No token, one that others may read, no TLS, nobody there, an authority that is none."""
    with pytest.raises(Refused, match="who are you"):
        door.client(None).status()
    token = door.token("viewer")
    token.chmod(0o640)
    with pytest.raises(UserError, match="can be read by others: chmod 600"):
        door.client(token)
    token.chmod(0o600)
    with pytest.raises(UserError, match="a token goes over TLS alone"):
        Client(Server("http://127.0.0.1:1", token, door.ca))
    for url, ca, sentence in (
        ("https://127.0.0.1:1", door.ca, "no daemon answers at https://127.0.0.1:1"),
        (door.url, None, "is not believed .*--server-ca"),
    ):
        with contextlib.closing(Client(Server(url, token, ca))) as client, pytest.raises(Unreachable, match=sentence):
            client.status()
    with pytest.raises(UserError, match="--server-ca .* is not a certificate"):
        Client(Server(door.url, token, token))


def test_a_right_that_is_taken_away_ends_what_a_token_gives(door: WebServe) -> None:
    """At once: each request is judged anew."""
    client = door.client(door.token("viewer"))
    client.status()
    (door.folder / "rights.yaml").write_text("version: 1\nrules: []\n")

    def refused() -> bool:
        try:
            client.status()
        except DaqschedError:
            return True
        return False

    until(refused, "the rules of now count")


def test_commands_work_over_the_network_as_over_the_socket(door: WebServe) -> None:
    """By options or by variables; what is printed is the same."""
    token = door.token("admin")
    options = ["--server", door.url, "--token-file", str(token), "--server-ca", str(door.ca)]
    variables = {"DAQSCHED_SERVER": door.url, "DAQSCHED_TOKEN_FILE": str(token), "DAQSCHED_SERVER_CA": str(door.ca)}

    def run(*words: str, env: Optional[dict[str, str]] = None) -> str:
        found = CliRunner().invoke(main, words, env=env)
        assert found.exit_code == 0, found.output
        return found.output

    for words in (["history"], ["rights"], ["token", "list"], ["show", "1"], ["rollout"]):
        assert run(*options, *words) == run(*words, env=variables)
    assert "readout" in run(*options, "status")
    assert "Noted as 1" in run(*options, "note", "beam is back")
    run(*options, "stop", "readout", "--yes")
    made = CliRunner().invoke(main, [*options, "token", "create", "wall", "--role", "viewer", "--expires", "30m"])
    secret = made.output.splitlines()[0]
    assert made.exit_code == 0 and secret.startswith("daqsched_") and secret not in run(*options, "token", "list")
    assert "revoked by token:admin" in run(*options, "token", "revoke", "wall")
    backup = door.folder / "backup"
    run(*options, "backup", str(backup))
    assert backup.stat().st_size > 0
    refused = CliRunner().invoke(main, [*options, "--socket", "x", "status"])
    assert refused.exit_code == 2 and "--socket and --server" in refused.output


def test_what_an_older_daemon_lacks_is_said(door: WebServe) -> None:
    """As a sentence that names the way out."""
    client = door.client(door.token("admin"))
    with pytest.raises(UserError, match="has no GET /v1/of-tomorrow: bring both up to date"):
        client._daemon.get("/of-tomorrow", object)


def test_the_web_port_wants_rights_and_a_certificate() -> None:
    """Nobody serves the network by mistake."""
    serve = ["serve", "--master", "m:5050"]
    for words, sentence in (
        (["--web", "127.0.0.1:1"], "--web wants --rights FILE"),
        (["--web", "127.0.0.1:1", "--rights", "x"], "--web wants --web-certificate FILE"),
        (["--web-key", "x"], "--web-key is for --web"),
        (["--web", "8443"], "is not ADDRESS:PORT"),
    ):
        found = CliRunner().invoke(main, [*serve, *words], env={"DAQSCHED_RIGHTS": ""})
        assert found.exit_code == 2 and sentence in found.output, found.output


def test_cert_makes_what_the_web_port_shows(tmp_path: Path) -> None:
    """The authority with the first one, for its owner alone; it stays for those that follow."""
    folder = tmp_path / "tls"
    for name in ("ctl1.example", "ctl2.example"):
        found = CliRunner().invoke(main, ["cert", str(folder), name, "10.0.0.1"])
        assert found.exit_code == 0, found.output
    read = read_pair(folder / "ctl2.example.pem", folder / "ctl2.example.key")
    assert read.names == {"ctl2.example", "10.0.0.1"}
    assert [(folder / one).stat().st_mode & 0o777 for one in ("ca.key", "ctl1.example.key")] == [0o600, 0o600]
    checked = ["openssl", "verify", "-x509_strict", "-CAfile", str(folder / "ca.pem"), str(folder / "ctl1.example.pem")]
    assert subprocess.run(checked, capture_output=True).returncode == 0
    wrong = CliRunner().invoke(main, ["cert", str(folder), "a", "--days", "9999"])
    assert wrong.exit_code == 2 and "1 to 825 days" in wrong.output


def test_two_hundred_slow_clients_keep_nobody_out(door: WebServe) -> None:
    """Who does not end a handshake, or a request, is one of so many at most."""
    token, port = door.token("viewer"), door.serving.web_address.rpartition(":")[2]
    before = len(os.listdir("/proc/self/fd"))
    with unfinished(port, 200, ""), unfinished(port, 200, "GET /v1/status HTTP/1.1\\r\\nHost: localhost\\r\\nX-A: "):
        for _ in range(10):
            assert door.http(token).get("/v1/status").status_code == 200
        assert len(os.listdir("/proc/self/fd")) - before < 128 + 60


#: Asks for an answer over TLS on so many connections, and reads none of it; says how many began to be told one.
UNREAD = """
import resource, select, socket, ssl, sys
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
port, count, authority, token = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], open(sys.argv[4]).read().strip()
context = ssl.create_default_context(cafile=authority)
keep = []
for number in range(count):
    plain = socket.create_connection(("127.0.0.1", port))
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    one = context.wrap_socket(plain, server_hostname="localhost")
    one.sendall(b"GET /v1/status HTTP/1.1\\r\\nHost: localhost\\r\\n")
    one.sendall(f"Authorization: Bearer {token}\\r\\n\\r\\n".encode())
    keep.append(one)
print(*[one.recv(12).decode()[-3:] for one in keep], flush=True)
sys.stdin.read()
"""


@contextlib.contextmanager
def unread(door: WebServe, token: Path, count: int) -> Iterator[list[str]]:
    """While so many answers are asked for and none is read; their statuses."""
    port = door.serving.web_address.rpartition(":")[2]
    words = [sys.executable, "-c", UNREAD, port, str(count), str(door.ca), str(token)]
    with child(words, stdin=-1, stdout=-1) as slow:
        assert slow.stdin is not None and slow.stdout is not None
        yield slow.stdout.readline().decode().split()
        slow.stdin.close()


@pytest.mark.parametrize(
    "ask",
    [
        ("GET", "/v1/info", b""),
        ("POST", "/v1/note", b'{"text":"x"}'),
        ("POST", "/v1/login", b'{"name":"x","password":"y"}'),
    ],
)
def test_who_is_refused_for_want_of_room_hears_so_at_once(
    door: WebServe, monkeypatch: pytest.MonkeyPatch, ask: tuple[str, str, bytes]
) -> None:
    """Whatever was sent with it is here: nothing is waited for, and the connection takes no place meanwhile."""
    room = door.serving._ingress.receptions["web"].room
    monkeypatch.setattr(room, "limits", Limits(answers=8))
    token = door.token("viewer")
    there = door.serve.client.progress([], most=0, seen=-1, wait_s=0).progress.version
    with ThreadPoolExecutor(4) as pool:
        polls = [pool.submit(door.http(token).get, f"/v1/progress?seen={there}&wait_s=25") for _ in range(4)]
        until(lambda: room.answered == 4, "all wait")
        method, path, body = ask
        for _ in range(20):
            found = door.http(token).request(method, path, content=body, headers={"content-type": "application/json"})
            assert found.status_code == 503 and found.json()["code"] == "busy" and found.headers["retry-after"]
        assert room.answered == 4
        door.serve.client.apply(Spec(jobs=(job(), job("other"))), "they have something to tell")
        assert [one.result(30).status_code for one in polls] == [200] * 4


@pytest.mark.parametrize("beyond", [1, 123, 1024, 51_424, 151_424, 951_424, 1 << 20])
def test_what_is_too_large_is_told_so_wherever_its_last_piece_ends(door: WebServe, beyond: int) -> None:
    """The piece that goes beyond the limit may be the last one: no other is waited for."""
    body = b'{"text":"' + b"x" * ((1 << 20) + beyond - 11) + b'"}'
    for path, token in (("/v1/login", None), ("/v1/note", door.token("viewer"))):
        found = door.http(token).post(path, content=body, headers={"content-type": "application/json"})
        assert found.status_code == 413, path


def test_a_person_has_one_share_from_wherever(door: WebServe, monkeypatch: pytest.MonkeyPatch) -> None:
    """By any token, from any address; who has shown nothing has that of the network."""
    room = door.serving._ingress.receptions["web"].room
    monkeypatch.setattr(room, "limits", Limits(answers=8))
    tokens = door.token("viewer", whose="alice"), door.token("wall", "viewer", whose="alice")
    there = door.serve.client.progress([], most=0, seen=-1, wait_s=0).progress.version

    def ask(at: int) -> int:
        with door.http(tokens[at % 2], address=f"127.0.0.{2 + at}") as http:
            return http.get(f"/v1/progress?seen={there}&wait_s=25").status_code

    with ThreadPoolExecutor(4) as pool:
        polls = [pool.submit(ask, at) for at in range(4)]
        until(lambda: room.answered == 4, "all wait")
        assert ask(4) == ask(5) == 503
        assert door.http(door.token("shifter")).get("/v1/info").status_code == 200
        door.serve.client.apply(Spec(jobs=(job(), job("other"))), "they have something to tell")
        assert [one.result(30) for one in polls] == [200] * 4


def test_slow_readers_have_a_bound_and_keep_nobody_out(door: WebServe, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of one caller so much waits to be read; others are told all that they ask for."""
    monkeypatch.setattr(connection_budget, "UNREAD_OF_ONE", 20 << 20)
    door.serve.client.apply(Spec(jobs=(job(), job("many" * 20, f"{'h' * 50}[00001-12000]"))), "a large farm")
    whole = len(door.http(door.token("expert")).get("/v1/status").content)
    assert whole > 3 << 20, "less is the connection's to keep"
    reception = door.serving._ingress.receptions["web"]
    room = reception.room
    # else the kernel would take whole answers, which is no memory of the daemon's
    reception._listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    with unread(door, door.token("viewer"), 20) as statuses:
        told = statuses.count("200")
        assert {*statuses} == {"200", "503"} and (20 << 20) - whole < told * whole <= 20 << 20
        assert abs(room.unread - told * whole) < 1000  # a time in it has more or fewer digits
        other = door.http(door.token("shifter"))
        assert len(other.get("/v1/status").content) > whole - 100 and other.get("/v1/info").status_code == 200
        refused = door.http(door.folder / "viewer.token").get("/v1/status")
        assert (
            refused.status_code == 503 and refused.headers["retry-after"] and "not read yet" in refused.json()["error"]
        )
    until(lambda: room.unread == 0, "they went away")
    assert len(door.http(door.folder / "viewer.token").get("/v1/status").content) > whole - 100


@given(
    deeds=st.lists(
        st.tuples(st.integers(0, 5), st.integers(1, UNREAD_OF_ONE + 1), st.booleans()), min_size=1, max_size=100
    )
)
def test_answers_that_are_not_read_are_bounded(deeds: list[tuple[int, int, bool]]) -> None:
    """Whoever asks for whatever, in any order: nobody who has none is refused while there is room, and all is given back."""
    room, waiting = ConnectionBudget(Limits()), list[tuple[int, int]]()
    for caller, count, reads in deeds:
        before, mine = room.unread, sum(size for whose, size in waiting if whose == caller)
        if reads and waiting:
            room.told(*waiting.pop(0))
        elif not room.tell(caller, count):
            waiting.append((caller, count))
            assert not mine or mine + count <= UNREAD_OF_ONE
        else:
            assert mine or before >= UNREAD_BYTES
        assert room.unread == sum(size for _, size in waiting) < UNREAD_BYTES + UNREAD_OF_ONE + 1
    for one in waiting:
        room.told(*one)
    assert room.unread == 0


def test_an_answer_does_not_wait_for_the_acknowledgement_of_its_head(door: WebServe) -> None:
    """Of a connection that stays each answer took 40 ms longer, which is how long the other end may delay it."""
    http, took = door.http(door.token("viewer")), []
    for _ in range(20):
        began = time.monotonic()
        assert http.get("/v1/info").status_code == 200
        took.append(time.monotonic() - began)
    assert min(took) < 0.035, took


def test_a_token_that_is_made_with_a_token_ends_with_it(door: WebServe) -> None:
    """By its time, and when that one is revoked; also what was made with it in turn."""
    first = door.client(door.token("admin"))
    now = time.time()
    with pytest.raises(UserError, match="ends with it at the latest: admin expires on"):
        first.make_token("longer", "admin", now + 7200)

    def made(client: Client, name: str) -> Client:
        path = door.folder / f"{name}.token"
        path.touch(mode=0o600)
        path.write_text(client.make_token(name, "admin", now + 1800).token)
        return door.client(path)

    door.rights.path.write_text(FILE.replace("token:admin", "token:admin, token:second, token:third"))
    door.rights.look()
    second = made(first, "second")
    third = made(second, "third")
    assert third.rights().name == "token:third"
    door.serve.client.make_token("other", "admin", now + 9999)
    door.serve.client.revoke_token("admin")
    for client in (first, second, third):
        with pytest.raises(DaqschedError, match="does not count"):
            client.rights()
    assert {one.name for one in door.serve.client.tokens() if not one.ended} == {"other"}


def test_a_token_for_an_account_stays_that_accounts(door: WebServe) -> None:
    """Also where a person of the same name is entered later."""
    admin = door.client(door.token("admin"))
    until = time.time() + 600
    assert admin.make_token("a", "viewer", until, "alice").made.whose == "alice"
    assert admin.make_token("b", "viewer", until, "nobody").made.whose == "unix:nobody"
    assert admin.make_token("c", "viewer", until, "proxy:x").made.whose == "proxy:x"
