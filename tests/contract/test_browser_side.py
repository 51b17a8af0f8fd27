"""What a browser could be made to send, and may do with an answer: every route and page, at a leader and at a standby.

Generated from the table of operations, so that a new one is among them.
"""

from __future__ import annotations

import base64
import json
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from daqsched.mesos.agents import Agent, Agents
from daqsched.operations import OPERATIONS
from daqsched.serve.pages import FILES
from daqsched.serve.sandbox_api import SandboxRoutes
from daqsched.serve.web_rules import ANSWERS, BEGUN_COOKIE, COOKIE, PAGE, PAGE_POLICY, POLICY
from standby_pair import Pair
from webport import FILE, cheap_passwords

RULES = FILE + '  - {to: ["password:alice"], role: admin}\n'

DOORS = ("leader", "standby")

#: Each operation as it is asked for.
PATHS = sorted(
    (method, "/v1" + path.replace("{id}", "x").replace("{number}", "1").replace("{host}", "hlt01"))
    for method, path in OPERATIONS
)
GETS = [path for method, path in PATHS if method == "GET"] + list(FILES)
POSTS = [path for method, path in PATHS if method == "POST"]

JSON = ("content-type", "application/json")


class Asking:
    """An admin's browser, who has logged in, at one of the two doors; every answer is looked at."""

    def __init__(self, pair: Pair, at: str) -> None:
        self.url = pair.web.url if at == "leader" else pair.url
        self.host = self.url.partition("://")[2]
        self._http = pair.web.through(self.url, None)
        found = self.ask("POST", "/v1/login", [JSON], {"name": "alice", "password": "correct horse"})
        assert found.status_code == 200, found.text

    def ask(self, method: str, path: str, headers: list[tuple[str, str]], body: Any = None) -> httpx.Response:
        content = json.dumps(body).encode() if body is not None else None
        found = self._http.request(method, path, headers=headers, content=content)
        proper(found, path)
        return found


def proper(found: httpx.Response, path: str) -> None:
    """What each answer says to a browser, once."""
    for header, value in ANSWERS:
        assert found.headers.get_list(header.decode()) == [value.decode()], (path, header)
    is_page = found.headers.get("content-type") == PAGE
    assert is_page == (found.status_code == 200 and path in FILES and FILES[path].suffix == ".html"), path
    policy = PAGE_POLICY if is_page else POLICY
    assert found.headers.get_list("content-security-policy") == [policy.decode()], path
    assert not [name for name in found.headers if name.startswith("access-control-")], path
    for cookie in found.headers.get_list("set-cookie"):
        assert path in ("/v1/login", "/v1/logout", "/v1/oidc", "/v1/oidc-login") and found.status_code == 200
        name, _, rest = cookie.partition("=")
        assert name in (COOKIE, BEGUN_COOKIE), "a browser takes this name only for this host, as a whole, over TLS"
        parts = {one.strip().partition("=")[0]: one.strip().partition("=")[2] for one in rest.split(";")[1:]}
        assert parts.keys() == {"Path", "Max-Age", "Secure", "HttpOnly", "SameSite"}
        assert (parts["Path"], parts["SameSite"]) == ("/", "Strict")


@pytest.fixture
def pair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pair]:
    cheap_passwords(monkeypatch)
    made = Pair(tmp_path, RULES, passwords=True)
    yield made
    made.close()


def foreign(host: str) -> list[list[tuple[str, str]]]:
    """The headers of what pages of other sites can have sent, or a form of our own that is none of ours."""
    name, _, port = host.rpartition(":")
    own = ("origin", f"https://{host}")
    origins = [
        "https://evil.example", "null", "", f"http://{host}", f"https://{name}", f"https://{name}:{int(port) ^ 1}",
        f"https://{host}.evil.example", f"https://evil.{host}", f"https://{host}@evil.example", f"https://{host}/", "file://",
        f"https://{host}, https://evil.example", "*",
    ]  # fmt: skip
    kinds = [
        "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain", "text/plain; application/json",
        "text/plain;charset=application/json", "application/jsonp", "application/csp-report", "application/json, text/plain",
        "", "*/*", "json",
    ]  # fmt: skip
    return [
        *([JSON, ("origin", one)] for one in origins),
        *([JSON, own, ("origin", one)] for one in origins[:2]),
        *([JSON, ("sec-fetch-site", one)] for one in ("cross-site", "same-site", "", "x", "same-origin, cross-site")),
        [JSON, own, ("sec-fetch-site", "same-origin"), ("sec-fetch-site", "cross-site")],
        *([own, ("sec-fetch-site", "same-origin"), ("content-type", one)] for one in kinds),
        [JSON, ("content-type", "text/plain"), own],
        [own],
        [],
    ]


@pytest.mark.parametrize("at", DOORS)
def test_no_change_is_made_for_another_site_or_a_form(pair: Pair, at: str) -> None:
    """Every change and every question with a body, in every way; who asks is an admin, with a cookie."""
    asking = Asking(pair, at)
    before = contents(pair)
    words = foreign(asking.host)
    for at_path, path in enumerate(POSTS):
        # all of them for some, and for each some of them: they are looked at in one place
        for headers in words if at_path % 8 == 0 else words[at_path % 5 :: 5]:
            found = asking.ask("POST", path, headers, {})
            assert (found.status_code, found.json()["code"]) == (403, "foreign"), (path, headers)
    assert contents(pair) == before
    # as the page sends it, it is looked at
    ours = [JSON, ("origin", f"https://{asking.host}"), ("sec-fetch-site", "same-origin")]
    for path in POSTS:
        if path != "/v1/logout":
            found = asking.ask("POST", path, ours, {"nonsense": 1})
            assert found.json()["code"] != "foreign", path
    assert asking.ask("POST", "/v1/note", ours, {"message": "x"}).status_code == 200
    assert asking.ask("POST", "/v1/logout", ours, {}).status_code == 200
    assert asking.ask("GET", "/v1/rights", []).status_code == 401


@pytest.mark.parametrize("at", DOORS)
def test_a_foreign_name_is_answered_nothing(pair: Pair, at: str) -> None:
    """At each route and page: a name that somebody had lead to our address is not ours (DNS rebinding)."""
    asking = Asking(pair, at)
    port = asking.host.rpartition(":")[2]
    names = [
        "evil.example",
        f"evil.example:{port}",
        "localhost.evil.example",
        "",
        "127.0.0.2",
        "0.0.0.0",
        "[::1]",
        "localhost@evil",
        "*",
        # what begins as ours does: an address made of it would lead elsewhere
        f"localhost:{port}@evil.example",
        "localhost:x@evil.example",
        f"localhost:{port}/..",
        f"localhost:{port}?",
        "localhost:",
        "localhost:123456",
        f"localhost:{port}:{port}",
        "localhost evil.example",
        "[::1",
    ]
    for number, path in enumerate(GETS):
        for name in names if number % 8 == 0 else names[:2]:
            found = asking.ask("GET", path, [("host", name)])
            assert (found.status_code, found.json()["code"]) == (421, "not-here"), (path, name)
    for path in POSTS:
        found = asking.ask(
            "POST", path, [JSON, ("host", f"evil.example:{port}"), ("origin", f"https://evil.example:{port}")], {}
        )
        assert found.status_code == 421, path
    assert asking.ask("GET", "/v1/rights", [("host", f"localhost:{port}")]).status_code == 200


@pytest.mark.parametrize("at", DOORS)
def test_looking_changes_nothing(pair: Pair, at: str) -> None:
    """Whatever a link or a picture of another site leads to, with whatever it says of itself; no other method does anything."""
    asking = Asking(pair, at)
    before = contents(pair)
    for path in GETS:
        asking.ask("GET", path, [("origin", "https://evil.example"), ("sec-fetch-site", "cross-site")])
        asking.ask("HEAD", path, [])
    for path in [*GETS, *POSTS]:
        for method in ("PUT", "DELETE", "PATCH", "OPTIONS"):
            preflight = [("origin", "https://evil.example"), ("access-control-request-method", "POST"), JSON]
            found = asking.ask(method, path, [*preflight, ("x-http-method-override", "POST")])
            assert found.status_code == 405, (method, path)
    assert contents(pair) == before
    lines = [json.loads(line) for line in pair.web.noted().splitlines()]
    # a backup is noted, though it changes nothing
    assert {line["operation"] for line in lines if line["result"] == "done"} == {"login", "backup"}


@pytest.mark.parametrize("at", DOORS)
@pytest.mark.parametrize(
    "text",
    [
        pytest.param(b"GET /<script>alert(1)</script> HTTP/1.1\r\nHost: localhost\r\nX-A: " + b"a" * 300_000, id="large"),
        pytest.param(b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 200, id="lines"),
        pytest.param(b"<script>alert(1)</script>\r\n\r\n", id="no request"),
        pytest.param(b"TRACE / HTTP/1.1\r\nHost: localhost\r\nX-A: <script>\r\n\r\n", id="echo"),
        pytest.param(b"CONNECT evil.example:1 HTTP/1.1\r\nHost: localhost\r\n\r\n", id="proxy"),
        pytest.param(b"GET /v1/info HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n", id="two names"),
        pytest.param(b"GET /v1/info HTTP/1.1\r\nHost: localhost\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n", id="upgrade"),
    ],
)  # fmt: skip
def test_an_answer_to_what_is_no_request_says_the_same_to_a_browser(pair: Pair, at: str, text: bytes) -> None:
    """It is made before anybody looks at a request; nothing of what was sent is in it."""
    where = (pair.web.serving if at == "leader" else pair.serving).web_address.rpartition(":")[2]
    context: ssl.SSLContext = pair.web.context
    with context.wrap_socket(
        socket.create_connection(("127.0.0.1", int(where)), 20), server_hostname="localhost"
    ) as caller:
        caller.sendall(text)
        found = b""
        while b"\r\n\r\n" not in found:
            part = caller.recv(1 << 16)
            assert part, found
            found += part
    head = found.partition(b"\r\n\r\n")[0].lower().split(b"\r\n")
    for name, value in (*ANSWERS, (b"content-security-policy", POLICY)):
        assert [one for one in head if one.startswith(name + b":")] == [name + b": " + value.lower()], name
    assert b"<script" not in found and b"content-type: application/json" in head


def contents(pair: Pair) -> object:
    """All that the daemon would save, but the clock."""
    daemon = pair.web.serve.daemon
    return daemon.ask(lambda engine, now: daemon.contents()).result(10)


@pytest.mark.parametrize("at", DOORS)
def test_no_answer_can_be_shown_in_a_frame(pair: Pair, at: str) -> None:
    """Clickjacking: each look, page and change, what is there and what is not, for who is known and who is nobody."""
    asking = Asking(pair, at)
    nobody = pair.web.through(asking.url, None)
    own = [JSON, ("origin", asking.url), ("sec-fetch-site", "same-origin")]
    framed = [("sec-fetch-dest", "iframe"), ("sec-fetch-site", "cross-site"), ("accept", "text/html")]
    answers = [found.ask("GET", path, headers) for path in [*GETS, "/nowhere", "/v1/x"] if "events" not in path
               for found, headers in ((asking, []), (asking, framed))]  # fmt: skip
    answers += [nobody.get(path, headers=one) for path in [*GETS, "/nowhere"] for one in (framed, framed[2:])]
    answers += [asking.ask("POST", path, own, {}) for path in POSTS if path not in ("/v1/logout", "/v1/oidc")]
    answers += [asking.ask("GET", "/", [("host", "evil.example")]), asking.ask("DELETE", "/", [])]
    assert {one.status_code for one in answers} >= {200, 303, 400, 401, 403, 404, 405, 421}
    for one in answers:
        assert one.headers.get_list("x-frame-options") == ["DENY"], one.url
        (policy,) = one.headers.get_list("content-security-policy")
        assert "frame-ancestors 'none'" in policy.split("; "), one.url


HTML = b"<!doctype html><script>alert(document.domain)</script><svg onload=alert(1)>\x1b[2J\x00\xff"


@pytest.mark.parametrize("at", DOORS)
def test_what_is_in_a_sandbox_is_never_a_page(pair: Pair, at: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program may write any file: its bytes come as JSON, in base64, by a POST that no link and no form sends."""

    async def registered(api: SandboxRoutes, master: str) -> dict[str, Agent]:
        return {"a1": Agent("a1", ("hlt01",), "127.0.0.1:5051")}

    async def read(agents: Agents, agent: Agent, *about: Any) -> bytes:
        return HTML

    monkeypatch.setattr(SandboxRoutes, "_registered", registered)
    monkeypatch.setattr(Agents, "read", read)
    asking = Asking(pair, at)
    own = [JSON, ("origin", asking.url), ("sec-fetch-site", "same-origin")]
    piece = {"agent_id": "a1", "task_id": "readout@hlt01.1", "stream": "stdout", "offset": 0, "length": 100}
    found = asking.ask("POST", "/v1/sandboxes/read", own, {"pieces": [piece]})
    assert found.status_code == 200, found.text
    assert found.headers["content-type"] == "application/json" and found.headers["x-content-type-options"] == "nosniff"
    assert b"<" not in found.content and base64.b64decode(found.json()["data"][0]) == HTML
    for path in ("/v1/sandboxes/read", "/v1/sandboxes"):
        assert asking.ask("GET", path, []).status_code == 405
        form = [("content-type", "application/x-www-form-urlencoded"), ("origin", asking.url)]
        assert asking.ask("POST", path, form, {"pieces": [piece]}).status_code == 403
