"""`daqsched audit` and its route: whom it is shown to, what of it, page by page; and what rights have to do with a line."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from builders import job
from daqsched.client import Client
from daqsched.errors import Refused
from daqsched.serve import audit_api as audit_api_module
from daqsched.serve import callers as callers_module
from daqsched.serve.accounts import Accounts
from daqsched.serve.audit import Audit, Entry
from daqsched.serve.audit_trail import MOST_FILES, page
from daqsched.serve.rights_in_force import RightsInForce
from daqsched.serve.serving import Serving
from daqsched.spec import Spec
from served import Serve

RIGHTS = """
version: 1
people: {bob: [unix:bobby]}
groups: {shift: [bob]}
rules:
  - {to: shift, role: viewer}
  - {to: unix-group:admins, role: admin}
"""
STOP = Entry("alice", 1000, 100, 1, "socket", "", "stop", "done", {"select": ["a@h1"], "message": "cabling"})


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """A daemon."""
    made = Serve(tmp_path)
    yield made
    made.close()


class Shown:
    """A socket of its with an audit file, to callers in the groups that the test says."""

    def __init__(self, serve: Serve, folder: Path, rights: bool) -> None:
        (folder / "rights.yaml").write_text(RIGHTS)
        self.groups: tuple[str, ...] = ()
        self.file, self.path = folder / "audited.ndjson", folder / "shown"
        self.rights = RightsInForce(folder / "rights.yaml") if rights else None
        self.accounts = Accounts(lambda uid: "bobby", lambda uid: self.groups)
        self.audit = Audit(self.file, most_bytes=4000)
        self.serving = Serving(
            self.path, "", serve.api.app, accounts=self.accounts, rights=self.rights, audit=self.audit
        )
        self.client = Client(self.path)

    def last(self) -> dict[str, object]:
        """The last line."""
        found: dict[str, object] = json.loads(self.file.read_text().splitlines()[-1])
        return found

    def close(self) -> None:
        self.client.close()
        self.serving.close()
        if self.rights is not None:
            self.rights.close()


@pytest.fixture
def shown(serve: Serve, tmp_path: Path) -> Iterator[Shown]:
    """A farm without rights, asked by the daemon's own account."""
    made = Shown(serve, tmp_path, False)
    yield made
    made.close()


@pytest.fixture
def ruled(serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shown]:
    """A farm with rights, asked by somebody."""
    monkeypatch.setattr(callers_module, "is_owner", lambda uid: False)
    monkeypatch.setattr(audit_api_module, "is_owner", lambda uid: False)
    made = Shown(serve, tmp_path, True)
    yield made
    made.close()


def test_the_trail_is_shown_the_newest_last(shown: Shown) -> None:
    """Of all files, by user, operation and result; nothing in it moves a cursor."""
    for number in range(40):
        shown.audit.note(replace(STOP, pid=number, about={"message": f"m{number}\x1b[2J\n"}))
    shown.audit.note(replace(STOP, user="bob", operation="order act", result="refused", why="no", pid=40))
    run = [sys.executable, "-m", "daqsched.cli", "--socket", str(shown.path), "audit"]

    def asked(*words: str) -> list[str]:
        found = subprocess.run([*run, *words], capture_output=True, text=True, check=True).stdout
        assert "\x1b" not in found
        return found.splitlines()

    assert [line.split("message=m")[1].split("␛")[0] for line in asked("--user", "alice", "-n", "30")] == [
        str(number) for number in range(10, 40)
    ]
    assert len(asked()) == 41 == len(asked("show", "--since", "1d")) and asked("--since", "2999-01-01") == []
    for words in (["--refused"], ["--operation", "order"], ["--operation", "order act"], ["show", "--user", "bob"]):
        (line,) = asked(*words)
        assert "bob socket order act refused: " in line and "why=no" in line
    (row,) = json.loads("\n".join(asked("--refused", "--json")))
    assert (row["user"], row["seq"]) == ("bob", 41)


def test_pages_have_each_line_once(shown: Shown) -> None:
    """However many files, and however few lines are in a page; no page reads more than some files."""
    for number in range(60):
        shown.audit.note(replace(STOP, pid=number))
    for most in (1, 7, 1000):
        found, until, pages = [], 0, 0
        while True:
            lines, until = page(shown.file, lambda fields: True, "", until, most)
            found += [fields["pid"] for fields in lines]
            pages += 1
            if not until:
                break
        assert found == list(range(59, -1, -1))
    assert pages + 1 > MOST_FILES
    answer = shown.client.audit(most=5)
    assert len(answer.lines) == 5 and answer.next == answer.lines[-1]["seq"]


def test_without_rights_it_is_for_who_could_read_the_file(shown: Shown, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root and the daemon's own account."""
    monkeypatch.setattr(audit_api_module, "is_owner", lambda uid: False)
    with pytest.raises(Refused, match="only root and the account"):
        shown.client.audit()
    assert shown.last()["operation"] == "audit" and shown.last()["result"] == "refused"


def test_a_line_says_who_it_was_to_the_rules_and_which_verb_was_refused(ruled: Shown) -> None:
    """The person and the identity; in the engine's refusals, those of a route, and of what was done."""
    ruled.groups = ("admins",)
    ruled.client.apply(Spec(jobs=(job(),)))
    assert ruled.last()["known_as"] == ["bob", "unix:bobby"] and "verb" not in ruled.last()
    assert len(ruled.client.audit().lines) == 1
    ruled.groups = ()
    ruled.accounts._groups.known.clear()
    for ask, verb in (
        (lambda: ruled.client.stop(["*"]), "stop"),
        (lambda: ruled.client.audit(), "audit"),
        (lambda: ruled.client.order(["*"], "restart"), "restart"),
    ):
        with pytest.raises(Refused, match="may not"):
            ask()
        assert (ruled.last()["result"], ruled.last()["verb"]) == ("refused", verb)
        assert ruled.last()["known_as"] == ["bob", "unix:bobby"]
    with httpx.Client(transport=httpx.HTTPTransport(uds=str(ruled.path), verify=False)) as http:
        assert http.get("http://d/v1/audit").status_code == 403
