"""Roles of Elasticsearch's for readers: whom they are for, what becomes of denies, and how they are put there."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Optional

import pytest
from click.testing import CliRunner, Result

from builders import job
from daqsched.cli import main
from daqsched.logs.reader_roles import MADE_BY, readers
from daqsched.rights.rules import read
from daqsched.spec import EMPTY, Spec
from served import Serve

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


def test_a_role_is_for_our_indices_and_reads_nothing_of_a_former_owner(tmp_path: Path) -> None:
    """As the daemon that searches for somebody: of a job whose name was another one's, since when it is his."""
    serve = Serve(tmp_path)
    try:
        for number, owner in enumerate(("power", "trigger", "trigger")):
            serve.client.apply(
                Spec(jobs=(job("readout", owner=owner), job("hv", owner="trigger"))), str(number), stops=9
            )
        since = serve.daemon.ask(lambda engine, now: engine.owned["readout"].since).result(10)
        file = tmp_path / "rights.yaml"
        file.write_text('version: 1\nrules: [{to: "unix:eve", role: viewer, owner: trigger, logs: "*"}]\n')
        said = CliRunner().invoke(
            main, ["--socket", str(serve.path), "rights", "elasticsearch", str(file), "--document-level"]
        )
        (indices,) = json.loads(said.stdout)["roles"]["daqsched-eve"]["indices"]
        assert indices["names"] == ["/daqsched-logs-(deadletter-)?[0-9]{4}[.][0-9.]+/"]
        earlier = {"range": {"@timestamp": {"lt": int(since * 1000), "format": "epoch_millis"}}}
        former = {"bool": {"filter": [{"terms": {"service.name": ["readout"]}}, earlier]}}
        assert json.dumps({"must_not": [former]}) in json.dumps(indices["query"])
    finally:
        serve.close()


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
        #: After so many changes it refuses all; and whether each change is made before that.
        self.most_changes: Optional[int] = None
        self.status_then = 403
        self.changes: list[str] = []
        #: What is done and never answered.
        self.swallows = ""
        security = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"null")
                status, answer = security.answer(self.command, self.path, body)
                if security.swallows and f"{self.command} {self.path}".startswith(security.swallows):
                    self.close_connection = True
                    return
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
        if self.most_changes is not None and len(self.changes) >= self.most_changes:
            return self.status_then, {"error": {"type": "security_exception", "reason": "action is unauthorized"}}
        self.changes.append(f"{method} {path}")
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


def apply(security: Security, folder: Path, text: str = RIGHTS, *more: str) -> Result:
    file = folder / "rights.yaml"
    file.write_text(text)
    words = ["rights", "elasticsearch", str(file), "--apply", "--passwords-in", str(folder / "passwords")]
    where = ["--elasticsearch", security.url, "--index", "daqsched-logs"]
    return CliRunner().invoke(main, ["--socket", "/nonexistent", *words, *where, *more])


def test_they_are_put_there_and_kept_as_the_file_says(security: Security, tmp_path: Path) -> None:
    """A password is in its file alone; a second time changes nothing; what the file gives no more is taken; others' are left."""
    security.known["user"]["boss"] = {"roles": ["superuser", "daqsched-boss"], "metadata": {}}
    security.known["role"]["mine"] = {"metadata": {}}
    done = apply(security, tmp_path)
    assert done.exit_code == 0, done.output
    assert security.known["user"]["boss"]["roles"] == ["superuser", "daqsched-boss"] and "left as it is" in done.output
    alice = security.known["user"]["alice"]
    secret = tmp_path / "passwords" / "alice"
    assert secret.read_text() == f"alice:{alice['password']}\n" and secret.stat().st_mode & 0o777 == 0o600
    assert alice["password"] not in done.output and len(alice["password"]) >= 32
    assert (
        alice["roles"] == ["daqsched-alice"]
        and security.known["role"]["daqsched-alice"]["metadata"]["made_by"] == MADE_BY
    )
    before = json.dumps(security.known, sort_keys=True)
    security.changes.clear()
    again = apply(security, tmp_path)
    assert again.exit_code == 0 and not security.changes and "Nothing is to be changed" in again.output
    assert json.dumps(security.known, sort_keys=True) == before
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


@pytest.mark.parametrize("more", [[], ["--dry-run"]])
@pytest.mark.parametrize(
    "there",
    [
        {"roles": ["superuser"], "metadata": {"_reserved": True}},
        {"roles": ["kibana_user"], "metadata": {}},
        {"roles": [], "metadata": None, "enabled": False},
        {"roles": ["daqsched-alice2"], "metadata": {"made_by": MADE_BY, "index": "other-logs"}},
    ],
    ids=["reserved", "by hand", "disabled", "another farm's"],
)
def test_a_user_of_that_name_that_is_somebody_elses_is_refused(
    security: Security, tmp_path: Path, there: dict[str, Any], more: list[str]
) -> None:
    """In one sentence, before anything is changed; by a role that was given by hand it is said that it is that person."""
    security.known["user"]["alice"] = dict(there)
    done = apply(security, tmp_path, RIGHTS, *more)
    assert (
        done.exit_code == 5 and not security.changes and done.output.count("user alice that was not made by this") == 1
    )
    assert security.known["user"] == {"alice": there} and not (tmp_path / "passwords").exists()
    security.known["user"]["alice"]["roles"] = [*there["roles"], "daqsched-alice"]
    kept = dict(security.known["user"]["alice"])
    done = apply(security, tmp_path, RIGHTS, *more)
    assert done.exit_code == 0 and security.known["user"]["alice"] == kept
    assert not (tmp_path / "passwords" / "alice").exists()


LESS = RIGHTS.replace('{to: alice, role: viewer, logs: "readout*"}', "{to: alice, role: viewer}")


def test_a_dry_run_says_what_would_be_changed_and_changes_nothing(security: Security, tmp_path: Path) -> None:
    """New ones, and what is taken away; it wants no folder for passwords, and makes none."""
    words = ("--dry-run",)
    done = apply(security, tmp_path, RIGHTS, *words)
    assert done.exit_code == 0 and done.output.count("would user ") == 3 and done.output.count("would role ") == 4
    assert not security.changes and not (tmp_path / "passwords").exists()
    assert apply(security, tmp_path).exit_code == 0
    security.changes.clear()
    done = apply(security, tmp_path, LESS, *words)
    assert "would user alice: has no role of ours any more" in done.output
    assert "would role daqsched-alice: deleted" in done.output and "ok    role daqsched-boss" in done.output
    assert sum(line.startswith("would ") for line in done.output.splitlines()) == 2 and not security.changes
    file = str(tmp_path / "rights.yaml")
    alone = CliRunner().invoke(main, ["rights", "elasticsearch", file, "--dry-run"])
    assert alone.exit_code == 2 and "--dry-run is for --apply" in alone.output


@pytest.mark.parametrize("most", range(8))
def test_a_failure_halfway_is_told_and_the_next_call_goes_on(security: Security, tmp_path: Path, most: int) -> None:
    """After any of the changes: what is done is said, what is not is counted; nothing is made twice, no password lost."""
    security.known["role"]["daqsched-old"] = {"metadata": {"made_by": MADE_BY, "index": "daqsched-logs"}}
    security.most_changes = most
    done = apply(security, tmp_path)
    assert done.exit_code == 5 and done.output.count("done  ") == most == len(security.changes)
    assert f"{most} of 8 changes were made, this one and those after it were not" in done.output
    assert "call this again" in done.output
    files = {path.name for path in (tmp_path / "passwords").glob("*")}
    assert files == set(security.known["user"]), "a password of a user that was not made is none"
    security.most_changes = None
    assert apply(security, tmp_path).exit_code == 0
    assert len(security.changes) == len(set(security.changes)) == 8
    for name, user in security.known["user"].items():
        assert (tmp_path / "passwords" / name).read_text() == f"{name}:{user['password']}\n"
    assert security.changes[0].startswith("DELETE"), "first of all what is taken away"


@pytest.mark.parametrize("status", [429, 502, 503])
@pytest.mark.parametrize("most", [0, 3, 6])
def test_a_server_that_is_busy_halfway_is_told_as_any_failure(
    security: Security, tmp_path: Path, most: int, status: int
) -> None:
    """Whether it made the change that it gave no word of, nobody knows; the same again goes on."""
    security.most_changes, security.status_then = most, status
    done = apply(security, tmp_path)
    assert done.exit_code == 3 and done.output.count("done  ") == most == len(security.changes)
    assert f"{most} of 7 changes were made, this one perhaps, those after it were not: call this again" in done.output
    security.most_changes = None
    assert apply(security, tmp_path).exit_code == 0
    assert len(security.changes) == len(set(security.changes)) == 7


def test_a_role_that_gives_less_comes_before_one_that_is_new(security: Security, tmp_path: Path) -> None:
    """Where it ends in between, nobody reads on what the rights give no more."""
    assert apply(security, tmp_path).exit_code == 0
    narrowed = security.known["role"]["daqsched-boss"]
    narrowed["indices"][0]["privileges"] = ["all"]
    del security.known["role"]["daqsched-alice"]
    security.changes.clear()
    assert apply(security, tmp_path).exit_code == 0
    assert security.changes == ["PUT /_security/role/daqsched-boss", "PUT /_security/role/daqsched-alice"]


def test_a_password_that_may_be_known_there_is_kept_and_used(security: Security, tmp_path: Path) -> None:
    """Where no answer came nobody knows whether the user was made; a file of somebody else's is believed by nobody."""
    assert apply(security, tmp_path).exit_code == 0
    path = tmp_path / "passwords" / "alice"
    before = path.read_text()
    del security.known["user"]["alice"]
    assert apply(security, tmp_path).exit_code == 0
    assert path.read_text() == before == f"alice:{security.known['user']['alice']['password']}\n"
    for text, mode in (
        (before, 0o640),
        ("alice:short\n", 0o600),
        (before.replace("alice", "boss"), 0o600),
        ("", 0o600),
    ):
        del security.known["user"]["alice"]
        path.chmod(0o600)
        path.write_text(text)
        path.chmod(mode)
        done = apply(security, tmp_path)
        assert done.exit_code == 2 and "move that file away" in done.output and "alice" not in security.known["user"]
        assert path.read_text() == text
        path.unlink()
        assert apply(security, tmp_path).exit_code == 0
    del security.known["user"]["alice"]
    path.unlink()
    path.symlink_to(tmp_path / "rights.yaml")
    assert apply(security, tmp_path).exit_code == 2 and "alice" not in security.known["user"]


#: What lies where the password of a new user is to be, made by a line of sh, and what is said of it.
BAD_FILES = {
    "too open": ("echo eve:{secret} >eve; chmod 640 eve", "move that file away"),
    "of another account": ("echo eve:{secret} >eve; chmod 600 eve; chown nobody eve", "move that file away"),
    "of another user": ("echo boss:{secret} >eve; chmod 600 eve", "move that file away"),
    "no password": ("echo eve:short >eve; chmod 600 eve", "move that file away"),
    "no text": ("head -c 99 /dev/urandom >eve; chmod 600 eve", "move that file away"),
    "empty": (": >eve; chmod 600 eve", "move that file away"),
    "a link": ("ln -s boss eve", "move that file away"),
    "a link to itself": ("ln -s eve eve", "move that file away"),
    "a folder": ("mkdir eve", "move that file away"),
    "a pipe": ("mkfifo -m 600 eve", "move that file away"),
    "a link to no folder": ("cd ..; rmdir passwords; ln -s x/passwords passwords", "there is no such folder"),
    "a link to itself as folder": ("cd ..; rmdir passwords; ln -s x passwords; ln -s passwords x", "Too many levels"),
    "not for us": ("chmod 500 .", "this account may not write there"),
    "not for us to see": ("chmod 0 .", "Permission denied"),
}


@pytest.mark.parametrize("more", [(), ("--dry-run",)], ids=["apply", "dry run"])
@pytest.mark.parametrize("bad", BAD_FILES)
def test_a_bad_password_file_is_told_before_anything_is_put(
    security: Security, tmp_path: Path, bad: str, more: tuple[str, ...]
) -> None:
    """Also of the last user; what is there is as before. One of a user who has his password is nobody's matter."""
    make, said = BAD_FILES[bad]
    if "for us" in bad and os.geteuid() == 0:
        pytest.skip("root may write anywhere")
    (tmp_path / "passwords").mkdir(mode=0o700)
    harm = f"cd {tmp_path}/passwords; {make.format(secret='s' * 32)}"
    subprocess.run(["sh", "-ec", harm], check=True)
    done = apply(security, tmp_path, RIGHTS, *more)
    assert done.exit_code == 2 and said in done.output and not security.changes, done.output
    assert "user alice: " in done.output or "user eve: " in done.output, done.output
    assert "nothing was changed" in done.output
    security.known["user"] = {one: {"roles": [f"daqsched-{one}"], "metadata": {}} for one in ("alice", "boss", "eve")}
    assert apply(security, tmp_path, RIGHTS, *more).exit_code == 0


@pytest.mark.parametrize("is_made", [True, False])
def test_an_answer_that_is_lost_loses_no_password(security: Security, tmp_path: Path, is_made: bool) -> None:
    """Whether the user was made or not: the file has the password that counts, and the next call goes on."""
    security.swallows = "PUT /_security/user/alice"
    done = apply(security, tmp_path)
    assert done.exit_code == 3 and "does not answer" in done.output and "4 of 7 changes were made" in done.output
    path = tmp_path / "passwords" / "alice"
    before = path.read_text()
    security.swallows = ""
    if not is_made:
        del security.known["user"]["alice"]
    done = apply(security, tmp_path)
    assert (
        done.exit_code == 0 and path.read_text() == before == f"alice:{security.known['user']['alice']['password']}\n"
    )


def test_what_people_gave_a_user_by_hand_is_kept(security: Security, tmp_path: Path) -> None:
    """Roles of others, an address, that he is disabled; a role of ours that was changed by hand is as the rights say again."""
    assert apply(security, tmp_path).exit_code == 0
    alice = security.known["user"]["alice"]
    alice.update(roles=["kibana_user", "daqsched-alice", "daqsched-boss"], enabled=False, email="alice@daq.example")
    security.known["role"]["daqsched-boss"]["indices"] = [{"names": ["*"], "privileges": ["all"]}]
    security.known["role"]["daqsched-eve"]["run_as"] = ["elastic"]
    security.changes.clear()
    done = apply(security, tmp_path)
    assert done.exit_code == 0 and "beside kibana_user, which was given by hand, and is disabled" in done.output
    alice = security.known["user"]["alice"]
    assert sorted(alice["roles"]) == ["daqsched-alice", "kibana_user"]
    assert (alice["enabled"], alice["email"]) == (False, "alice@daq.example")
    assert len(security.changes) == 3 and security.known["role"]["daqsched-boss"]["indices"][0]["privileges"] != ["all"]
    assert apply(security, tmp_path, LESS).exit_code == 0
    assert security.known["user"]["alice"]["roles"] == ["kibana_user"]


def test_names_that_elasticsearch_has_not_are_told_and_stop_nobody_else() -> None:
    """Of letters that are not ASCII, too long, or with what two of the file would be one role."""
    rights = """
version: 1
people: {unix-group-a: ["unix:x"]}
rules:
  - {to: [unix-group-a, "unix-group:a", "unix:j\u00fcrgen", "unix:%s", "unix:ok", "unix: "], role: viewer, logs: "*"}
""" % ("a" * 500)
    found = readers(read(rights, "r"), EMPTY, documents=True)
    assert [role.whom for role in found.roles] == ["unix-group-a", "unix:ok"]
    assert len(found.left_out) == 4 and sum("of ASCII" in one for one in found.left_out) == 3
    assert sum("is the one of unix-group-a" in one for one in found.left_out) == 1
