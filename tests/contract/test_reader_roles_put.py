"""Roles of Elasticsearch's for readers: whom they are for, what becomes of denies, and how they are put there."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from daqsched.cli import main
from daqsched.logs.reader_roles import MADE_BY, readers
from daqsched.rights.rules import read
from daqsched.spec import EMPTY

RIGHTS = """
version: 1
people: {alice: ["unix:alice"], boss: ["unix:boss"]}
groups: {shift: ["unix-group:daq-shift"]}
rules:
  - {to: alice, role: viewer, logs: "readout*"}
  - {to: shift, role: viewer, logs: "*"}
  - {to: unix:eve, role: viewer, logs: "*"}
  - {to: password:eve, role: viewer, logs: "hv_*"}
  - {to: token:wall-1, role: viewer, logs: "*"}
  - {to: boss, role: admin}
"""


def test_with_the_licence_each_has_a_role_and_without_it_who_reads_all() -> None:
    """Tokens have none; two people who would be one user are told of."""
    found = readers(read(RIGHTS, "r"), EMPTY, documents=True)
    assert [role.name for role in found.roles] == [
        "daqsched-alice",
        "daqsched-boss",
        "daqsched-eve",
        "daqsched-unix-group-daq-shift",
    ]
    assert [role.query is None for role in found.roles] == [False, True, False, False]
    assert len(found.left_out) == 1 and "password:eve" in found.left_out[0] and "two people" in found.left_out[0]
    found = readers(read(RIGHTS, "r"), EMPTY, documents=False)
    assert [role.name for role in found.roles] == ["daqsched-boss"]
    assert sum("the daemon searches for him" in one for one in found.left_out) == 3


@pytest.mark.parametrize(
    ("deny", "denied"),
    [
        ('{to: shift, deny: lines, on: "hv_*"}', {"daqsched-alice", "daqsched-boss", "daqsched-eve", "group"}),
        ('{to: alice, deny: lines, on: "hv_*"}', {"daqsched-alice", "group"}),
        ('{to: shift, deny: stop, on: "hv_*"}', set()),
    ],
)
def test_what_is_denied_to_a_group_that_is_kept_elsewhere_is_denied_to_all(deny: str, denied: set[str]) -> None:
    """Nobody knows here who is in it."""
    found = readers(read(f"{RIGHTS}  - {deny}\n", "r"), EMPTY, documents=True)
    with_it = {
        role.name for role in found.roles if "must_not" in json.dumps(role.query) and "hv_*" in json.dumps(role.query)
    }
    assert with_it == {"daqsched-unix-group-daq-shift" if one == "group" else one for one in denied}


class Security:
    """The part of a server that keeps roles and users."""

    def __init__(self) -> None:
        self.known: dict[str, dict[str, Any]] = {"role": {}, "user": {}}
        self.licence, self.refuses = "trial", ""
        security = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"null")
                status, answer = security.answer(self.command, self.path, body)
                text = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("X-Elastic-Product", "Elasticsearch")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            do_GET = do_PUT = do_DELETE = do

            def log_message(self, format: str, *arguments: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def answer(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        if path == "/_license":
            return 200, {"license": {"status": "active", "type": self.licence}}
        _, _, kind, *name = path.split("/")
        if self.refuses and f"{method} {path}".startswith(self.refuses):
            return 403, {"error": {"type": "security_exception", "reason": "action is unauthorized"}}
        if method == "GET":
            return 200, self.known[kind]
        if method == "DELETE":
            del self.known[kind][name[0]]
        else:
            kept = self.known[kind].get(name[0], {})
            self.known[kind][name[0]] = {**kept, **body}
        return 200, {}

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def security() -> Iterator[Security]:
    made = Security()
    yield made
    made.close()


def apply(security: Security, folder: Path, text: str = RIGHTS) -> Result:
    file = folder / "rights.yaml"
    file.write_text(text)
    words = ["rights", "elasticsearch", str(file), "--apply", "--passwords-in", str(folder / "passwords")]
    where = ["--elasticsearch", security.url, "--index", "daqsched-logs"]
    return CliRunner().invoke(main, ["--socket", "/nonexistent", *words, *where])


def test_they_are_put_there_and_kept_as_the_file_says(security: Security, tmp_path: Path) -> None:
    """A password is in its file alone; a second time changes nothing; what the file gives no more is taken; others' are left."""
    security.known["user"]["boss"] = {"roles": ["superuser"], "metadata": {}}
    security.known["role"]["mine"] = {"metadata": {}}
    done = apply(security, tmp_path)
    assert done.exit_code == 0, done.output
    assert security.known["user"]["boss"]["roles"] == ["superuser"] and "left as it is" in done.output
    alice = security.known["user"]["alice"]
    secret = tmp_path / "passwords" / "alice"
    assert secret.read_text() == f"alice:{alice['password']}\n" and secret.stat().st_mode & 0o777 == 0o600
    assert alice["password"] not in done.output and len(alice["password"]) >= 32
    assert (
        alice["roles"] == ["daqsched-alice"]
        and security.known["role"]["daqsched-alice"]["metadata"]["made_by"] == MADE_BY
    )
    before = json.dumps(security.known, sort_keys=True)
    assert apply(security, tmp_path).exit_code == 0 and json.dumps(security.known, sort_keys=True) == before
    less = RIGHTS.replace('{to: alice, role: viewer, logs: "readout*"}', "{to: alice, role: viewer}")
    assert apply(security, tmp_path, less).exit_code == 0
    assert security.known["user"]["alice"]["roles"] == [] and "daqsched-alice" not in security.known["role"]
    assert set(security.known["role"]) == {"mine", "daqsched-boss", "daqsched-eve", "daqsched-unix-group-daq-shift"}


def test_on_a_basic_licence_no_role_reads_some_lines(security: Security, tmp_path: Path) -> None:
    """As it would read all of them."""
    security.licence = "basic"
    done = apply(security, tmp_path)
    assert done.exit_code == 0 and set(security.known["role"]) == {"daqsched-boss"}
    assert done.output.count("the daemon searches for him") == 3


@pytest.mark.parametrize("refuses", ["GET /_security/role", "PUT /_security/role", "PUT /_security/user"])
def test_a_missing_right_is_one_sentence_and_leaves_no_password(
    security: Security, tmp_path: Path, refuses: str
) -> None:
    """It names the right."""
    security.refuses = refuses
    done = apply(security, tmp_path)
    assert done.exit_code == 5 and "manage_security" in done.output and not security.known["user"]
    assert not list((tmp_path / "passwords").glob("*")) if (tmp_path / "passwords").exists() else True


def test_a_role_of_that_name_that_is_somebody_elses_is_not_changed(security: Security, tmp_path: Path) -> None:
    """Said in a sentence."""
    security.known["role"]["daqsched-alice"] = {"metadata": {"made_by": "hand"}}
    done = apply(security, tmp_path)
    assert done.exit_code == 5 and "was not made by this command" in done.output
    assert security.known["role"]["daqsched-alice"] == {"metadata": {"made_by": "hand"}}
