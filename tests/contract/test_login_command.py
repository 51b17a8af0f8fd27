"""`daqsched login`, `logout` and passwords of files: commands over the network without a token."""

from __future__ import annotations

import json
import os
import pty
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from children import child
from daqsched.cli import main
from daqsched.client import Client
from daqsched.serve.web_rules import COOKIE, refusal
from daqsched.settings import Server
from standby_pair import Pair
from webport import cheap_passwords

RULES = """
version: 1
people: {alice: ["password:alice"]}
rules: [{to: alice, role: expert}, {to: "token:viewer", role: viewer}]
"""


@pytest.fixture
def pair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pair]:
    cheap_passwords(monkeypatch)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "home"))
    monkeypatch.setitem(sys.modules, "keyring", None)
    made = Pair(tmp_path, RULES, passwords=True)
    yield made
    made.close()


def run(pair: Pair, *words: str, line: str = "", url: str = "", env: Any = None) -> tuple[int, str]:
    options = ["--server", url or pair.web.url, "--server-ca", str(pair.web.ca)]
    found = CliRunner().invoke(main, [*options, *words], input=line, env=env)
    assert "horse" not in found.output, "no password is ever printed"
    return found.exit_code, found.output


def secret(folder: Path, text: str = "correct horse", name: str = "secret") -> Path:
    path = folder / name
    path.touch(mode=0o600)
    path.write_text(f"{text}\nand more")
    return path


def kept(folder: Path) -> list[str]:
    return [one.read_text() for one in (folder / "home").rglob("*.json")]


@pytest.mark.parametrize("at", ["leader", "standby"])
def test_who_logs_in_needs_no_token_until_logging_out(pair: Pair, tmp_path: Path, at: str) -> None:
    """What is kept is a session and never the password; it ends at the daemon, too."""
    url = pair.web.url if at == "leader" else pair.url
    assert run(pair, "status", url=url)[0] == 5 and "daqsched login NAME" in run(pair, "status", url=url)[1]
    code, said = run(pair, "login", "alice", line="correct horse\n", url=url)
    assert code == 0 and f"alice is logged in at {url} until" in said and "(mode 600), as" in said
    assert "correct horse" not in str(kept(tmp_path)) and '"session"' in str(kept(tmp_path))
    assert (
        "readout" in run(pair, "status", url=url)[1] and "readout" in run(pair, "--user", "alice", "status", url=url)[1]
    )
    assert "bob is not logged in" in run(pair, "--user", "bob", "status", url=url)[1]
    assert run(pair, "stop", "readout", "--yes", url=url)[0] == 0, "a change passes what browsers are asked for"
    assert '"via": "127.0.0.1 (password)' in pair.web.noted()
    (file,) = (tmp_path / "home").rglob("*.json")
    stolen = json.loads(file.read_text())["secret"]
    assert run(pair, "logout", url=url) == (0, f"alice is logged out at {url}.\n") and not kept(tmp_path)
    assert pair.web.http(None, cookie=f"{COOKIE}={stolen}").get("/v1/rights").status_code == 401
    assert run(pair, "status", url=url)[0] == 5
    code, said = run(pair, "logout", url=url)
    assert code == 2 and "nobody is logged in" in said


def test_a_password_in_a_file_logs_in_for_each_command(pair: Pair, tmp_path: Path) -> None:
    """By options or variables; nothing is kept; a file that others can read is refused before anything is sent."""
    file = secret(tmp_path)
    options = ["--user", "alice", "--password-file", str(file)]
    assert "readout" in run(pair, *options, "status")[1] and not kept(tmp_path)
    assert run(pair, *options, "note", "beam is back")[0] == 0
    variables = {"DAQSCHED_USER": "alice", "DAQSCHED_PASSWORD_FILE": str(file)}
    assert "alice" in run(pair, "rights", env=variables)[1]
    token = pair.web.token("viewer")
    assert "token:viewer" in run(pair, "--token-file", str(token), "rights", env=variables)[1], (
        "an option before a variable"
    )
    variables = {"DAQSCHED_TOKEN_FILE": str(token)}
    assert "password:alice" in run(pair, *options, "rights", env=variables)[1]
    assert run(pair, *options, "--token-file", str(token), "rights")[0] == 2
    before = pair.web.noted()
    file.chmod(0o640)
    code, said = run(pair, *options, "status")
    assert code == 2 and f"holds a password and can be read by others: chmod 600 {file}" in said
    code, said = run(pair, "--user", "alice", "status")
    assert code == 2 and f"alice is not logged in at {pair.web.url} here: --password-file FILE, or once:" in said
    code, said = run(pair, "--password-file", str(file), "status")
    assert code == 2 and "--password-file is for --user NAME" in said
    assert pair.web.noted() == before
    wrong = secret(tmp_path, "wrong horse", "wrong")
    code, said = run(pair, "--user", "alice", "--password-file", str(wrong), "status")
    assert code == 5 and "do not belong together" in said
    for _ in range(4):
        code, said = run(pair, "--user", "alice", "--password-file", str(wrong), "status")
    assert code == 5 and "too many wrong passwords: try again in" in said


def test_a_command_that_outlives_its_session_logs_in_again(pair: Pair, tmp_path: Path) -> None:
    """Once, and what was asked is asked again: it was not done."""
    file = secret(tmp_path)
    with closing(Client(Server(pair.web.url, None, pair.web.ca, "alice", file))) as client:
        client.note("one")
        pair.web.authentication.now = lambda: time.time() + 13 * 3600
        client.note("two")
        assert [one.message for one in client.notes().notes] == ["two", "one"]
    assert pair.web.noted().count('"operation": "login", "result": "done"') == 2


def test_a_token_is_kept_without_its_file(pair: Pair, tmp_path: Path) -> None:
    """And counts on when it is kept no more, which is said."""
    token = pair.web.token("viewer")
    code, said = run(pair, "--token-file", str(token), "login")
    assert code == 0 and "are token:viewer's from now on" in said
    token.rename(tmp_path / "away")
    assert "token:viewer" in run(pair, "rights")[1]
    code, said = run(pair, "logout")
    assert code == 0 and "token revoke" in said and not kept(tmp_path)
    assert "token:viewer" in run(pair, "--token-file", str(tmp_path / "away"), "rights")[1]


def test_what_counts_no_more_is_said_and_a_new_one_takes_its_place(pair: Pair, tmp_path: Path) -> None:
    """Whatever was kept: a session that is over, a revoked token, nonsense."""
    assert run(pair, "login", "alice", line="correct horse\n")[0] == 0
    pair.web.authentication.now = lambda: time.time() + 13 * 3600
    code, said = run(pair, "status")
    assert code == 5 and "log in again (`daqsched login NAME`)" in said
    code, said = run(pair, "logout")
    assert code == 0 and "was over already" in said and not kept(tmp_path)
    token = pair.web.token("viewer")
    run(pair, "--token-file", str(token), "login")
    pair.web.serve.client.revoke_token("viewer")
    assert run(pair, "status")[0] == 5
    assert run(pair, "login", "alice", line="correct horse\n")[0] == 0 and run(pair, "status")[0] == 0
    (file,) = (tmp_path / "home").rglob("*.json")
    file.write_text("nonsense")
    code, said = run(pair, "status")
    assert code == 2 and "is not understood. Log in again" in said
    assert run(pair, "login", "alice", line="correct horse\n")[0] == 0 and run(pair, "status")[0] == 0


def test_mistakes_say_what_to_type(pair: Pair, tmp_path: Path) -> None:
    """And keep nothing."""
    for words, line, code, sentence in (
        (["login"], "", 2, "login NAME; --token-file FILE keeps a token"),
        (["login", "alice"], "", 2, "no password: type it"),
        (["login", "alice"], "wrong horse\n", 5, "do not belong together"),
        (["login", "nobody"], "wrong horse\n", 5, "do not belong together"),
        (["logout"], "", 2, "nobody is logged in"),
    ):
        assert run(pair, *words, line=line)[0] == code, words
        assert sentence in run(pair, *words, line=line)[1], words
    found = CliRunner().invoke(main, ["--socket", str(tmp_path / "sock"), "login", "alice"])
    assert found.exit_code == 2 and "one logs in over the network, --server URL" in found.output
    assert not kept(tmp_path)


def test_a_password_is_typed_unseen(pair: Pair, tmp_path: Path) -> None:
    """At a terminal: nothing of it is on the screen."""
    ours, theirs = pty.openpty()
    words = ["--server", pair.web.url, "--server-ca", str(pair.web.ca), "login", "alice"]
    env = {**os.environ, "XDG_STATE_HOME": str(tmp_path / "home"), "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-m", "daqsched.cli", *words]
    # without a terminal of ours: /dev/tty would be that
    with child(command, stdin=theirs, stdout=theirs, stderr=theirs, env=env, start_new_session=True) as asked:
        os.close(theirs)
        seen = b""
        # what is typed from then on counts, and is not shown: the prompt comes last
        while b"Password of alice" not in seen:
            seen += os.read(ours, 1000)
        os.write(ours, b"correct horse\n")
        try:
            while part := os.read(ours, 1000):
                seen += part
        except OSError:
            pass  # its end has closed the terminal
        assert asked.wait(30) == 0, seen
    os.close(ours)
    assert b"alice is logged in" in seen and b"horse" not in seen


def test_a_command_s_session_changes_no_rule_for_browsers() -> None:
    """A change with a cookie and without what browsers say of its origin passes, as one without a cookie did; whatever a browser
    adds is looked at as before."""
    cookie, kind = (b"cookie", f"{COOKIE}=x.y".encode()), (b"content-type", b"application/json")
    host = (b"host", b"localhost:8443")
    assert refusal("POST", [host, kind, cookie], ["localhost"]) is None
    for more in ((b"origin", b"https://evil.example"), (b"origin", b"null"), (b"sec-fetch-site", b"cross-site")):
        found = refusal("POST", [host, kind, cookie, more], ["localhost"])
        assert found is not None and found.code == "foreign"
    assert refusal("POST", [host, cookie], ["localhost"]) is not None
