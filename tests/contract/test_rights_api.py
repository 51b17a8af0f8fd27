"""Who may do what, asked at the socket: every route by every role, a file that changes, a directory that is slow."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Callable, Optional, get_args

import msgspec
import pytest

from builders import HAPPENED, job, offer
from daqsched.client import Client
from daqsched.engine import events
from daqsched.engine.permission import NEEDS
from daqsched.errors import DaqschedError, Refused, Unreachable, UserError
from daqsched.operations import ANYBODY, OPERATIONS
from daqsched.rights.rules import RightsError
from daqsched.rights.verbs import VERBS, Role
from daqsched.serve import callers as callers_module
from daqsched.serve.accounts import Accounts
from daqsched.serve.http import route
from daqsched.serve.rights_in_force import RightsInForce, read_file
from daqsched.serve.serving import Serving
from daqsched.spec import Spec
from rights_door import Door
from served import Serve
from waiting import until

FILE = """
version: 1
rules:
  - {to: unix-group:viewer, role: viewer, logs: "*"}
  - {to: unix-group:shifter, role: shifter, logs: "*"}
  - {to: unix-group:expert, role: expert, logs: "*"}
  - {to: unix-group:admin, role: admin}
"""

#: Route -> the least role that is not refused; None: anybody who gets in.
ROUTES: dict[tuple[str, str], Optional[Role]] = {
    ("GET", "info"): None,
    ("GET", "rights"): None,
    ("GET", "openapi.json"): None,
    ("GET", "login"): None,
    ("POST", "login"): None,
    ("POST", "oidc"): None,
    ("POST", "oidc-login"): None,
    ("POST", "logout"): None,
    **dict.fromkeys(
        [
            ("GET", one)
            for one in (
                "status board events progress why stories incidents names history rollout aside note control proposals"
            ).split()
        ],
        Role.viewer,
    ),
    ("GET", "revisions/{number}"): Role.viewer,
    ("GET", "proposals/{number}"): Role.viewer,
    ("GET", "preflight/{id}"): Role.viewer,
    ("POST", "plan"): Role.viewer,
    ("POST", "plan/hidden"): Role.viewer,
    ("GET", "choices"): Role.viewer,
    ("POST", "choices/plan"): Role.viewer,
    **dict.fromkeys(
        [
            ("POST", one)
            for one in ("lines", *(f"lines/{of}" for of in "count examples context new follow dead".split()))
        ],
        Role.viewer,
    ),
    ("POST", "set"): Role.shifter,
    **dict.fromkeys(
        [
            ("POST", one)
            for one in "stop hold start restart aside return note preflight take give propose withdraw".split()
        ],
        Role.shifter,
    ),
    ("POST", "rollout"): Role.shifter,
    **dict.fromkeys(
        [("POST", one) for one in "order apply rollback borrow replace approve reject".split()], Role.expert
    ),
    **dict.fromkeys([("POST", one) for one in ("console sandboxes sandboxes/read").split()], Role.expert),
    **dict.fromkeys([("POST", f"consoles/{{id}}/{one}") for one in ("read", "keys", "leave")], Role.expert),
    **dict.fromkeys([("GET", one) for one in ("backup", "log", "log/{host}", "tokens", "audit")], Role.admin),
    **dict.fromkeys([("POST", one) for one in ("token", "revoke")], Role.admin),
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    made = tmp_path / "rights.yaml"
    made.write_text(FILE)
    return made


@pytest.fixture
def door(tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Door]:
    """Of a daemon with one job that runs."""
    monkeypatch.setattr(callers_module, "is_owner", lambda uid: False)
    serve = Serve(tmp_path)
    serve.daemon.put(events.Registered("fw", "m:5050"))
    serve.client.apply(Spec(jobs=(job(),)), "first")
    serve.daemon.put(events.OffersArrived((offer(),)))
    serve.settle()
    made = Door(serve, tmp_path, RightsInForce(file, look_s=0.02))
    yield made
    made.close()
    serve.close()


def test_each_route_has_a_role(door: Door) -> None:
    """A new one has to be entered above; its rule is in the table of operations, without which it is not made."""
    assert set(door.routes) == set(ROUTES) == {(method, path[1:]) for method, path in OPERATIONS}
    for operation in OPERATIONS.values():
        assert operation.needs == ANYBODY or operation.takes, operation.name
        least = min((VERBS[verb].role for verb in operation.takes), default=None)
        said = ROUTES[operation.method, operation.path[1:]]
        assert said is least or operation.path == "/order", operation.name  # what it takes depends on what is ordered
    with pytest.raises(KeyError):
        route("GET", "/of-tomorrow", door.client.info)  # type: ignore[arg-type]  # it does not come so far


def test_every_event_that_a_route_may_cause_has_a_rule() -> None:
    """What people cause and no rule speaks of, the engine would refuse to all but root."""
    assert set(get_args(events.Event)) - HAPPENED == set(NEEDS)


@pytest.mark.parametrize("role", [None, *Role], ids=lambda role: role.name if role else "stranger")
def test_every_route_by_every_role(door: Door, role: Optional[Role]) -> None:
    """Refused with the reason, or not refused by the rights; no bug, and 503 of what the missing master would tell alone."""
    door.come(*([role.name] if role is not None else []))
    for (method, path), least in ROUTES.items():
        found = door.ask(method, path)
        assert found.status_code in (200, 400, 403, 410, 503), (method, path, found.text)
        refused = found.status_code == 403 and " may not " in found.text
        may = least is None or (role is not None and role >= least)
        assert refused != may, (role, method, path, found.status_code, found.text[:300])


def test_whoever_looks_on_changes_nothing(door: Door) -> None:
    """All that is not refused to a viewer leaves the engine as it was."""
    door.come("viewer")
    client = Client(door.path)
    before = client.progress().progress.version
    for method, path in door.routes:
        door.ask(method, path)
    assert client.progress().progress.version == before
    client.close()


def test_the_file_counts_as_it_is_now_and_a_mistake_changes_nothing(door: Door, file: Path) -> None:
    """What is taken away ends at once; the mistake is told to whoever asks for the rights."""
    door.come("shifter")
    client = Client(door.path)
    assert client.stop(["readout"]).count == 1
    file.write_text("version: 1\nrules: [{to: x}]\n")
    # not what a look in the midst of the writing may have found
    until(lambda: "rules[1].to: there is no person or group 'x'" in client.rights().trouble, "the mistake is told")
    assert client.start(["readout"]).count == 1
    file.write_text("version: 1\nrules: [{to: unix-group:shifter, role: viewer}]\n")
    until(lambda: not client.rights().trouble, "it is in force")
    with pytest.raises(Refused, match="bob may not stop readout@hlt01: it takes a shifter"):
        client.stop(["readout"])
    client.close()


def test_of_somebody_else_admins_are_told(door: Door) -> None:
    """By the name of an account, of a person, or of an identity."""
    client = Client(door.path)
    door.come("viewer")
    with pytest.raises(Refused, match="bob may not see what everybody may"):
        client.rights("token:wall-1")
    door.come("admin")
    assert (
        client.rights("token:wall-1", "readout", "hlt01")
        .verbs["see"]
        .startswith("token:wall-1 may not see how readout@hlt01")
    )
    with pytest.raises(DaqschedError, match="there is no person and no account 'no-such-name-x'"):
        client.rights("no-such-name-x")
    for odd in ("\0", "unix:a\0b", "a\x1b[2J", "a\u202eb"):
        with pytest.raises(UserError, match="there is no person and no account '"):
            client.rights(odd)
    assert client.rights("", "readout", "hlt01").verbs["stop"] == ""
    client.close()


def test_a_directory_that_hangs_gives_no_group_and_holds_nobody_up(
    tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who is known by his account alone is answered within a moment, with what that gives."""
    monkeypatch.setattr(callers_module, "is_owner", lambda uid: False)
    monkeypatch.setattr("daqsched.serve.accounts.PATIENCE_S", 0.1)
    serve = Serve(tmp_path)
    let_go = threading.Event()

    def hangs(uid: int) -> tuple[str, ...]:
        let_go.wait(20)
        return ("admin",)

    rights = RightsInForce(file)
    door = Serving(tmp_path / "door", "", serve.api.app, accounts=Accounts(lambda uid: "bob", hangs), rights=rights)
    client = Client(tmp_path / "door")
    with pytest.raises(Refused, match="may not see"):
        client.status()
    let_go.set()
    until(lambda: "unix-group:admin" in client.rights().called, "the answer serves who asks later", 30)
    client.close()
    door.close()
    rights.close()
    serve.close()


@pytest.mark.parametrize("known", [1, 40])
def test_a_person_whose_accounts_nobody_looks_up_is_told_of_in_time(
    tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch, known: int
) -> None:
    """Also one of many accounts, each of which takes its time; who asks about somebody else is answered meanwhile."""
    monkeypatch.setattr(callers_module, "is_owner", lambda uid: False)
    monkeypatch.setattr("daqsched.serve.accounts.PATIENCE_S", 0.2)
    monkeypatch.setattr("daqsched.serve.rights_api.SOMEBODY_S", 0.5)
    accounts = ", ".join(f"unix:slow{number}" for number in range(known))
    file.write_text(f"version: 1\npeople: {{slow: [{accounts}]}}\nrules: [{{to: unix-group:admin, role: admin}}]\n")
    serve, let_go = Serve(tmp_path), threading.Event()

    def number(name: str) -> int:
        let_go.wait(0.15 if known > 1 else 20)
        return 4711

    rights = RightsInForce(file)
    directory = Accounts(lambda uid: "bob", lambda uid: ("admin",), number)
    door = Serving(tmp_path / "door", "", serve.api.app, accounts=directory, rights=rights)
    client = Client(tmp_path / "door")
    try:
        with pytest.raises(Unreachable, match="was not found within 0.[25] s.* [aA]sk again"):
            client.rights("slow")
        assert client.rights("token:wall-1").verbs
    finally:
        let_go.set()
        client.close()
        door.close()
        rights.close()
        serve.close()


# ------------------------------------------------------------------------------------------------ the file itself


def link(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


@pytest.mark.parametrize(
    ("harm", "sentence"),
    [
        (lambda file: file.chmod(0o666), "may be written by others"),
        (lambda file: file.chmod(0o620), "may be written by others"),
        (lambda file: file.unlink(), "can't be read: No such file"),
        (link, "is not a file"),
        (lambda file: file.write_bytes(b"\xff"), "is not UTF-8"),
        (lambda file: file.write_bytes(b"x" * 5_000_000), "at most"),
    ],
)
def test_a_file_that_others_may_write_is_not_believed(
    file: Path, harm: Callable[[Path], object], sentence: str
) -> None:
    """Nor one that is none, or no text, or without end; nobody begins with it."""
    harm(file)
    with pytest.raises(DaqschedError, match=sentence):
        read_file(file)
    with pytest.raises(DaqschedError):
        RightsInForce(file)


def test_mistakes_keep_a_daemon_from_beginning(file: Path) -> None:
    """A farm without the rights that were meant is worse than one without a daemon."""
    file.write_text("version: 3")
    with pytest.raises(RightsError):
        RightsInForce(file)


def test_without_a_file_whoever_gets_in_may_all(tmp_path: Path) -> None:
    """As before there were any."""
    serve = Serve(tmp_path)
    assert not serve.client.rights().in_force and json.loads(msgspec.json.encode(serve.client.rights()))["verbs"] == {}
    serve.close()


@pytest.mark.parametrize("field", ["variants", "parts", "logging_part"])
def test_what_only_a_farm_has_is_not_taken_of_a_request(door: Door, field: str) -> None:
    """A job under another's name, to which no rule was asked, came in so."""
    door.come("expert")
    value = {"variants": [{"name": "daqsched-forward", "argv": ["/bin/sh"]}], "parts": {"a": {}}, "logging_part": "a"}[
        field
    ]
    body = json.dumps({"spec": {"jobs": [], field: value}, "allow_empty": True})
    found = door.http.post("/v1/apply", content=body)
    assert found.status_code == 400 and f"spec.{field}: that is of a farm, and no job file has it" in found.text
