"""What is refused is said in one shape wherever that happens: a code, a sentence, what to do. A bug's words stay in the log."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from builders import job, offer
from daqsched import daemon_connection
from daqsched.confirm import NotConfirmed
from daqsched.engine import events
from daqsched.errors import DaqschedError, Forgotten, Refused, Unreachable, UserError
from daqsched.exchange import HttpAnswer
from daqsched.problems import CODES, problem
from daqsched.protocol import API, Piece, ReadRequest
from daqsched.serve.standby import Standby
from daqsched.spec import Spec
from served import Serve
from webport import WebServe

JSON = {"content-type": "application/json"}


class Before(msgspec.Struct):
    """`Problem` as commands read it that were made before there were codes."""

    error: str
    exit_code: int = 1


def looked_at(answer: httpx.Response, code: str) -> dict[str, Any]:
    """The answer's body, after it was found to have the shape."""
    found: dict[str, Any] = answer.json()
    assert found["code"] == code, answer.text
    known = CODES[code]
    assert answer.status_code == known.status and answer.headers["content-type"] == "application/json"
    assert found["error"] and found["next"] == known.next and found["exit_code"] == known.exit_code
    assert ("retry-after" in answer.headers) == bool(known.retry_s) or code == "too-often"
    before = msgspec.json.decode(answer.content, type=Before)
    assert (before.error, before.exit_code) == (found["error"], found["exit_code"])
    return found


@pytest.fixture
def door(tmp_path: Path) -> Iterator[WebServe]:
    """Of a daemon that knows no master, with one job."""
    made = WebServe(tmp_path)
    made.serve.client.apply(Spec(jobs=(job(console=True),)), "first")
    yield made
    made.close()


def test_every_refusal_has_a_code_a_sentence_and_what_to_do(door: WebServe) -> None:
    """At the routes, before them, and below HTTP."""
    admin, viewer = door.http(door.token("admin"), **JSON), door.http(door.token("viewer"), **JSON)
    looked_at(admin.get("/v1/names?of=x"), "invalid")
    looked_at(door.http().get("/v1/status"), "unauthenticated")
    looked_at(viewer.post("/v1/stop", content=b'{"select": ["readout"]}'), "no-right")
    looked_at(admin.post("/v1/apply", content=b'{"spec": {}}'), "refused")
    looked_at(admin.post("/v1/stop", content=b"{}", headers={"origin": "https://evil.example"}), "foreign")
    looked_at(admin.get("/v1/nothing"), "not-found")
    looked_at(admin.get("/v1/info/"), "not-found")
    wrong = admin.get("/v1/apply")
    looked_at(wrong, "wrong-method")
    assert wrong.headers["allow"] == "POST"
    looked_at(admin.get("/v1/preflight/none"), "gone")
    looked_at(admin.post("/v1/consoles/none/read", content=b"{}"), "gone")
    unlike = msgspec.json.encode({"spec": {"jobs": []}, "if_unchanged": "abc", "allow_empty": True})
    looked_at(admin.post("/v1/apply", content=unlike), "changed")
    looked_at(viewer.post("/v1/note", content=b" " * (2 << 20)), "too-large")
    looked_at(admin.get("/v1/info", headers={"host": "evil.example"}), "not-here")
    looked_at(admin.get("/v1/info", headers={"x-long": "x" * (900 << 10)}), "header-too-large")
    looked_at(admin.get("/v1/log/hlt01"), "unavailable")
    piece = msgspec.json.encode(ReadRequest([Piece("agent", "readout@hlt01.1", "stdout", 0, 10)]))
    looked_at(admin.post("/v1/sandboxes/read", content=piece), "unavailable")


def test_what_is_no_http_is_told_in_the_same_shape(door: WebServe) -> None:
    """By the parser itself."""
    with socket.socket(socket.AF_UNIX) as plain:
        plain.connect(str(door.serve.path))
        plain.sendall(b"nonsense\r\n\r\n")
        head, _, body = plain.makefile("rb").read().partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400") and b"application/json" in head
    assert msgspec.json.decode(body)["code"] == "invalid"


def test_what_more_programs_would_end_is_told_with_the_number(door: WebServe) -> None:
    """And the same is done once that is agreed to."""
    door.serve.daemon.put(events.Registered("fw", "m:5050"))
    door.serve.daemon.put(events.OffersArrived((offer(),)))
    door.serve.settle()
    admin = door.http(door.token("admin"), **JSON)
    found = looked_at(admin.post("/v1/stop", content=b'{"select": ["readout"], "stops": 0}'), "not-confirmed")
    assert (found["stops"], found["running"]) == (1, 1)
    assert admin.post("/v1/stop", content=b'{"select": ["readout"], "stops": 1}').status_code == 200


def test_a_bug_shows_a_number_and_not_what_it_was(
    door: WebServe, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """At each door, in a route or before it; the log has the rest under that number."""

    def fails(*_: object) -> None:
        raise ValueError("secret-canary")

    monkeypatch.setattr("daqsched.serve.query_api.all_keys", fails)
    local = httpx.Client(transport=httpx.HTTPTransport(uds=str(door.serve.path), verify=False), base_url="http://d")
    for http in (door.http(door.token("admin")), local):
        found = looked_at(http.get("/v1/status"), "bug")
        assert "canary" not in str(found) and "ValueError" not in str(found)
        number = found["error"].rpartition(" ")[2]
        assert f"bug {number}" in caplog.text and "secret-canary" in caplog.text
    monkeypatch.setattr("daqsched.serve.callers.Callers._grants", fails)
    assert "canary" not in str(looked_at(local.get("/v1/info"), "bug"))
    local.close()


def test_who_does_not_lead_and_knows_nobody_who_does_says_when_to_ask_again(tmp_path: Path) -> None:
    """A browser, and whatever else tries again by itself, needs a status for that."""
    serve = Serve(tmp_path)
    standby = Standby()
    standby.why = "tests"
    serve.serving.answer_by(standby)
    with httpx.Client(
        transport=httpx.HTTPTransport(uds=str(serve.path), verify=False), base_url="http://d", timeout=40
    ) as http:
        assert looked_at(http.get("/v1/status"), "unavailable")["error"].startswith(
            "no daqsched serve leads now: tests"
        )
    serve.close()


@pytest.mark.parametrize(
    ("status", "exit_code", "kind"),
    [(503, 3, Unreachable), (410, 3, Unreachable), (412, 5, Refused), (400, 2, UserError)],
)
def test_the_commands_go_by_the_exit_code_whatever_the_status(
    status: int, exit_code: int, kind: type[DaqschedError]
) -> None:
    """So those made before there were these statuses do."""
    body = msgspec.json.encode({"error": "why", "exit_code": exit_code})
    answer = HttpAnswer(status, body, (), "GET", f"{API}/info")
    assert type(daemon_connection.problem(answer)) is kind


@pytest.mark.parametrize("code", sorted(CODES))
def test_what_is_forgotten_is_told_from_who_is_away(code: str) -> None:
    """A command that follows begins anew then, and waits where the daemon does not answer: `logs -f` waited for ever."""
    known = CODES[code]
    body = msgspec.json.encode(problem(code, "why"))
    answer = HttpAnswer(known.status, body, (), "GET", f"{API}/info")
    found = daemon_connection.problem(answer)
    assert isinstance(found, Forgotten) == (code == "gone"), found
    assert found.exit_code == known.exit_code or known.status == 404, found


def test_each_code_is_that_of_its_errors() -> None:
    """A command ends with the same status as the code's row says."""
    from daqsched.problems import _KINDS

    for kind, code in _KINDS:
        assert CODES[code].exit_code == kind.exit_code, code
    assert issubclass(NotConfirmed, Refused) and issubclass(Forgotten, Unreachable)
    assert all(known.when and known.next and 400 <= known.status < 600 for known in CODES.values())
