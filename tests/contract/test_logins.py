"""Passwords over the network: a session in a cookie, how it ends, and how slowly passwords can be guessed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import argon2
import httpx
import pytest
from click.testing import CliRunner

from daqsched import passwords
from daqsched.cli import main
from daqsched.errors import UserError
from daqsched.passwords import Passwords
from daqsched.rights import tokens
from daqsched.rights.login_pace import MOST, MOST_ACCOUNT_S, MOST_ADDRESS_S, LoginPace
from daqsched.rights.sessions import LoginSession, ended, read, sign, tag_of
from daqsched.rights.tokens import Credentials, with_log_out
from daqsched.serve.web_rules import COOKIE
from webport import WebServe, cheap_passwords

RULES = """
version: 1
people: {alice: ["password:alice"]}
rules: [{to: alice, role: expert}]
"""


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """argon2id with little work."""
    cheap_passwords(monkeypatch)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    made = tmp_path / "passwords"
    passwords.write(made, "alice", "correct horse")
    passwords.write(made, "bob", "battery staple")
    return made


@pytest.fixture
def web(tmp_path: Path, file: Path) -> Iterator[WebServe]:
    made = WebServe(tmp_path, RULES, passwords=file)
    yield made
    made.close()


def log_in(web: WebServe, name: str = "alice", password: str = "correct horse") -> tuple[httpx.Client, httpx.Response]:
    http = web.http(None, **{"content-type": "application/json"})
    return http, http.post("/v1/login", json={"name": name, "password": password})


def test_who_logs_in_is_known_by_a_cookie_until_logging_out(web: WebServe) -> None:
    """Of this host, over TLS, for no script and no other site."""
    http, found = log_in(web)
    assert found.status_code == 200 and found.json()["name"] == "alice"
    cookie = found.headers["set-cookie"]
    assert cookie.startswith(f"{COOKIE}=") and "; Path=/; Max-Age=43200; Secure; HttpOnly; SameSite=Strict" in cookie
    shown = http.get("/v1/rights").json()
    assert (
        shown["name"] == "alice"
        and shown["called"] == ["alice", "known", "password:alice"]
        and not shown["verbs"]["apply"]
    )
    value = dict(http.cookies)[COOKIE]
    assert http.post("/v1/logout", json={}).status_code == 200
    # whoever kept the cookie has nothing of it
    assert web.http(None, cookie=f"{COOKIE}={value}").get("/v1/rights").status_code == 401
    assert "alice has logged out" in web.noted() and "correct horse" not in web.noted()


def test_a_session_outlives_the_daemon_and_ends_with_the_password(tmp_path: Path, file: Path) -> None:
    """What signs it is in the state; another password, or none, and it counts no more."""
    web = WebServe(tmp_path, RULES, passwords=file)
    http, _ = log_in(web)
    cookie = f"{COOKIE}={dict(http.cookies)[COOKIE]}"
    web.close()
    again = WebServe(tmp_path, RULES, passwords=file)
    known = again.http(None, cookie=cookie)
    assert known.get("/v1/rights").status_code == 200
    passwords.write(file, "alice", "another horse")
    assert known.get("/v1/rights").status_code == 401
    _, found = log_in(again, "alice", "another horse")
    assert found.status_code == 200
    passwords.write(file, "alice", None)
    assert log_in(again, "alice", "another horse")[1].status_code == 401
    again.close()


def test_a_session_ends_by_its_time_and_with_the_right(web: WebServe) -> None:
    """Twelve hours; and what the rules take away is away at once."""
    http, _ = log_in(web)
    web.authentication.now = lambda: time.time() + 12 * 3600 - 60
    assert http.get("/v1/status").status_code == 200
    (web.folder / "rights.yaml").write_text("version: 1\nrules: []\n")
    web.rights.look()
    assert http.get("/v1/status").status_code == 403
    web.authentication.now = lambda: time.time() + 12 * 3600 + 1
    assert http.get("/v1/status").status_code == 401


def test_a_forged_or_changed_cookie_is_nobodys(web: WebServe) -> None:
    """Without the key there is no session, and none for another name."""
    http, _ = log_in(web)
    value = dict(http.cookies)[COOKIE]
    forged = sign(b"x" * 32, LoginSession("1", "alice", 9e9, ""))
    for one in (
        forged,
        value[:-1] + ("0" if value[-1] != "0" else "1"),
        value.partition(".")[2],
        "?",
        "a.b",
        f"{value}; {COOKIE}=x",
    ):
        assert web.http(None, cookie=f"{COOKIE}={one}").get("/v1/rights").status_code == 401, one
    assert read(b"", sign(b"", LoginSession("1", "alice", 9e9, ""))) is None


def test_guessing_is_slowed_down_by_account_and_by_address(web: WebServe) -> None:
    """Also for names that do not exist, which are answered alike; the right password has to wait, too."""
    answers = {log_in(web, name, "wrong password")[1].text for name in ("alice", "nobody")}
    assert len(answers) == 1
    for _ in range(2):
        assert log_in(web, "alice", "wrong password")[1].status_code == 401
    slowed = log_in(web)[1]
    assert slowed.status_code == 429 and int(slowed.headers["retry-after"]) >= 1 and "try again in" in slowed.text


def test_nobody_logs_in_by_the_socket_or_where_there_are_no_passwords(web: WebServe, tmp_path: Path) -> None:
    """That is for who comes over the network."""
    with httpx.Client(
        transport=httpx.HTTPTransport(uds=str(tmp_path / "door"), verify=False), base_url="http://d"
    ) as http:
        found = http.post("/v1/login", json={"name": "alice", "password": "correct horse"})
    assert found.status_code == 400 and "nobody logs in here" in found.text


def test_waits_grow_and_have_an_end() -> None:
    """An account waits for seconds, an address for minutes; what is remembered is bounded."""
    pace, now = LoginPace(), 1000.0
    for _ in range(60):
        pace.tried("alice", "10.0.0.1", now)
    assert pace.wait_s("alice", "10.0.0.9", now) == MOST_ACCOUNT_S
    assert pace.wait_s("bob", "10.0.0.1", now) == MOST_ADDRESS_S
    assert pace.wait_s("bob", "10.0.0.9", now) == 0
    assert pace.wait_s("alice", "10.0.0.1", now + 4000) == 0
    pace.right("alice", "10.0.0.1")
    assert pace.wait_s("alice", "10.0.0.9", now) == 0 and pace.wait_s("bob", "10.0.0.1", now) > 0
    for at in range(3 * MOST):
        pace.tried(f"name {at}", "10.0.0.2", now)
    assert len(pace._accounts) <= MOST and len(pace._networks) <= MOST
    # whoever tries many names makes nobody's address forgotten, nor many addresses a name
    for at in range(3 * MOST):
        pace.tried("bob", f"10.{at >> 16 & 255}.{at >> 8 & 255}.{at & 255}", now)
    assert pace.wait_s("carol", "10.0.0.2", now) == 0, "the longest ago of many"
    pace = LoginPace()
    for at in range(3 * MOST):
        pace.tried(f"name {at}", "10.0.0.2", now)
    assert pace.wait_s("carol", "10.0.0.2", now) == MOST_ADDRESS_S


def test_a_network_of_ipv6_is_one_caller() -> None:
    """Who has one address of it has 2^64; an IPv4 address that is written as IPv6 is itself."""
    pace, now = LoginPace(), 1000.0
    for at in range(60):
        pace.tried(f"name {at}", f"2001:db8:0:1::{at:x}", now)
        pace.tried(f"other {at}", "::ffff:10.0.0.7", now)
    assert pace.wait_s("alice", "2001:db8:0:1:ffff::9", now) == MOST_ADDRESS_S
    assert pace.wait_s("alice", "2001:db8:0:2::1", now) == 0
    assert pace.wait_s("alice", "10.0.0.7", now) == MOST_ADDRESS_S
    assert pace.wait_s("alice", "::ffff:10.0.0.8", now) == 0


def test_who_has_shown_nothing_sends_little(web: WebServe) -> None:
    """A name and a password have 16 KiB."""
    http = web.http(None, **{"content-type": "application/json"})
    found = http.post("/v1/login", json={"name": "alice", "password": "x" * (17 << 10)})
    assert found.status_code == 413 and "16,384 bytes" in found.text


def test_sessions_that_were_logged_out_are_few_and_never_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that are over anyway are forgotten; of too many, the older ones end with all that began as early."""
    most = 300
    monkeypatch.setattr(tokens, "MOST_LOGGED_OUT", most)
    credentials, now = Credentials(), 1000.0
    for at in range(3 * most):
        credentials = with_log_out(credentials, f"s{at}", now + at, now)
    assert len(credentials.logged_out) <= most
    for at in range(0, 3 * most, 7):
        session = LoginSession(f"s{at}", "alice", now + at, tag_of("x"))
        assert ended(session, credentials, "x", now - 1), at
    assert not ended(LoginSession("new", "alice", now + 4 * most, tag_of("x")), credentials, "x", now)
    assert len(with_log_out(credentials, "last", 9e9, now + 9 * most).logged_out) == 1


def test_a_wrong_name_costs_as_much_work_as_a_wrong_password(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that no clock tells which names there are."""
    asked: list[str] = []
    known = Passwords(file)

    class Counting:
        def verify(self, kept: str, password: str) -> bool:
            asked.append(kept.rpartition("$")[0].rpartition("$")[0])
            raise argon2.exceptions.Argon2Error("wrong")

    monkeypatch.setattr(passwords, "_HASHER", Counting())
    assert known.check("alice", "x") is None and known.check("nobody", "x") is None
    assert len(asked) == 2 and asked[0] == asked[1]
    known.close()


def test_the_file_of_passwords_is_for_its_owner_alone(file: Path) -> None:
    """And says where its mistakes are."""
    known = Passwords(file)
    file.chmod(0o644)
    with pytest.raises(UserError, match="chmod 600"):
        passwords.read(file)
    assert known.check("alice", "correct horse") is None and "chmod 600" in known.trouble
    file.chmod(0o600)
    assert known.check("alice", "correct horse") and not known.trouble
    file.write_text("alice:plain\n")
    with pytest.raises(UserError, match=":1: a line is NAME:"):
        passwords.read(file)
    known.close()


def test_password_writes_what_serve_reads(tmp_path: Path) -> None:
    """Of the standard input a line; a short one is refused; no password is in the file."""
    path = tmp_path / "made"

    def run(*words: str, line: str = "") -> str:
        return CliRunner().invoke(main, ["password", "--file", str(path), *words], input=line).output

    assert "password:carol" in run("carol", line="a long enough one\n")
    assert path.stat().st_mode & 0o777 == 0o600 and "long enough" not in path.read_text()
    known = Passwords(path)
    assert known.check("carol", "a long enough one") and not known.check("carol", "a long enough two")
    assert "10 to 1000 letters" in run("carol", line="short\n")
    assert "has no password any more" in run("carol", "--remove")
    assert known.kept("carol") is None and tag_of("a") != tag_of("b")
    known.close()
