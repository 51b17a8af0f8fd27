"""What the audit file says of requests to the daemon's socket: each kind of change, each kind of refusal."""

from __future__ import annotations

import contextlib
import dataclasses
import getpass
import io
import json
import os
import re
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable, Optional
from urllib.parse import quote

import httpx
import msgspec
import pytest
from rich.console import Console
from starlette.routing import Route

from builders import job, offer, wrong
from daqsched import protocol
from daqsched.client import Client
from daqsched.digests import digest
from daqsched.engine import commands, events
from daqsched.errors import DaqschedError
from daqsched.operations import OPERATIONS
from daqsched.rollout import ONE_BY_ONE
from daqsched.serve.api import Api
from daqsched.serve.audit import Audit, Entry
from daqsched.serve.audit_note import CHANGES, LEFT_OUT, NAMES, QUESTIONS
from daqsched.serve.daemon import Daemon
from daqsched.serve.peers import Identity
from daqsched.serve.serving import Serving
from daqsched.serve.standby import Standby
from daqsched.spec import EMPTY, Spec
from daqsched.store.coordination import Card
from daqsched.store.sqlite import SqliteStore
from daqsched.terminal.show import status_table
from peers import identity

ROOT = Path(__file__).resolve().parent.parent.parent


class Edge:
    """In Mesos' place."""

    def __init__(self) -> None:
        self.tasks: list[str] = []

    def perform(self, command: commands.Command) -> None:
        if isinstance(command, commands.Launch):
            self.tasks += [one.payload.task_id for one in command.tasks]


class Serve:
    """A daemon, its socket and its audit file."""

    def __init__(
        self, folder: Path, peers: Optional[tuple[str, int]] = None, identity: Optional[Identity] = None
    ) -> None:
        self.path, self.audit = folder / "sock", folder / "audit.ndjson"
        self._folder = folder
        self.edge = Edge()
        began = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(began,))
        self._thread.start()
        assert began.wait(10)
        audit = Audit(self.audit)
        api = Api(self.daemon, lambda spec: spec, "", "logs")
        api.looks.audit = audit
        self.app = api.app
        self.serving = Serving(self.path, "", api.app, peers, identity, audit=audit)
        self.client = Client(self.path)

    def _run(self, began: threading.Event) -> None:
        store = SqliteStore(self._folder / "state")
        self.daemon = Daemon(store, lambda spec: spec)
        began.set()
        self.daemon.run(self.edge)
        store.close()

    def close(self) -> None:
        self.client.close()
        self.serving.close()
        self.daemon.stop()
        self._thread.join(10)

    def settle(self) -> None:
        """Until all that was put before has been handled."""
        self.daemon.ask(lambda engine, now: None).result(10)

    def rows(self) -> list[dict[str, Any]]:
        """What the file says, but for who, whence and when, which are the same in each line, and but for the chain."""
        found = [json.loads(line) for line in self.audit.read_text().splitlines()]
        who = {"user": getpass.getuser(), "uid": os.getuid(), "gid": os.getgid(), "pid": os.getpid(), "door": "socket"}
        assert all({name: row.get(name) for name in who} == who and row["time"].endswith("Z") for row in found)
        left_out = {*who, "time", "seq", "hash", "before"}
        return [{name: value for name, value in row.items() if name not in left_out} for row in found]

    def after(self, change: Callable[[], Any]) -> dict[str, Any]:
        """The line of that change, which was made; it is there before the answer is."""
        before = len(self.rows())
        change()
        (row,) = self.rows()[before:]
        assert row.pop("result") == "done"
        return row


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """A running daemon."""
    made = Serve(tmp_path)
    yield made
    made.close()


#: Hosts that make another address of a request's, or none at all.
HOSTS = [
    "[",
    "x/v1/status?",
    "x/v1/status#",
    "x/",
    "",
    "x y",
    "[::1",
    "a" * 5000,
    "d\x80",
    "x/v1/apply?",
    "../..",
    "x:y:z",
    None,
]


@pytest.mark.parametrize("host", HOSTS)
def test_no_host_header_hides_or_forges_a_line(serve: Serve, host: Optional[str]) -> None:
    """What was changed or refused is noted as that; a question is not noted."""
    serve.client.apply(Spec(jobs=(job(),)))
    before = len(serve.rows())

    def ask(method: str, target: str, body: bytes = b"") -> bytes:
        name = b"" if host is None else f"Host: {host}\r\n".encode("latin-1")
        version = b"1.0" if host is None else b"1.1"
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(10)
            sock.connect(str(serve.path))
            head = b"%s %s HTTP/%s\r\n%sConnection: close\r\nContent-Length: %d\r\n\r\n"
            sock.sendall(head % (method.encode(), target.encode(), version, name, len(body)) + body)
            return b"".join(iter(lambda: sock.recv(1 << 16), b""))

    assert b" 200 " in ask("POST", "/v1/stop", b'{"select":["*"]}').partition(b"\r\n")[0]
    assert b'"count":1' in ask("POST", "/v1/start", b'{"select":["*"]}')
    assert b'"digest"' in ask("POST", "/v1/plan", b'{"spec":{"jobs":[]}}')
    assert b"no job matches" in ask("POST", "/v1/stop", b'{"select":["nobody"]}')
    assert b"there is no POST /v1/nothing here" in ask("POST", "/v1/nothing")
    assert b"at='x' is not a number" in ask("GET", "/v1/status?at=x")
    noted = [(row["operation"], row["result"]) for row in serve.rows()[before:]]
    refused = [("stop", "refused"), ("other", "refused"), ("status", "refused")]
    assert noted == [("stop", "done"), ("start", "done"), *refused]


#: What is posted and changes nothing: its question is larger than an address may be. What consoles note, they note themselves.
ASKED_BY_POST = {"oidc", "plan", "choices", "sandboxes", "consoles", "lines"}


def test_what_a_post_changes_is_noted_and_every_other_one_says_why_not(serve: Serve) -> None:
    """A request that is forgotten in the table would change the farm, and nobody could find out who did."""
    posted = set()
    for route in serve.app.routes:
        assert isinstance(route, Route)
        name = route.path[len(protocol.API) + 1 :].partition("/")[0]
        assert name in CHANGES | QUESTIONS, route.path
        if "POST" in (route.methods or ()):
            posted.add(name)
    assert posted - CHANGES == ASKED_BY_POST
    assert CHANGES - posted == set()


def test_every_change_is_noted_before_its_answer(serve: Serve) -> None:
    """With what it was about, and the number by which it is found again; questions are not."""
    client, after = serve.client, serve.after
    serve.daemon.put(events.Registered("fw", "m:5050"))
    spec = Spec(jobs=(job(actions={"dump": ("/bin/true",)}),))
    name = serve.daemon.engine.told(digest(spec))
    first = {"operation": "apply", "digest": name, "message": "first", "revision": 1}
    assert after(lambda: client.apply(spec, "first")) == first
    second = Spec(jobs=(*spec.jobs, job("second")))
    assert after(lambda: client.apply(second, only=["second"]))["only"] == ["second"]
    back = {"operation": "rollback", "back_to": 1, "message": "back", "digest": name, "revision": 3}
    assert after(lambda: client.rollback(1, "back")) == back

    serve.daemon.put(events.OffersArrived((offer(),)))
    serve.settle()
    (task,) = serve.edge.tasks
    serve.daemon.put(events.TaskReported(task, "agent-hlt01", "TASK_RUNNING", uuid="u"))
    serve.settle()
    order = after(lambda: client.order(["readout"], "act", "dump", message="look"))
    assert order.pop("order")
    assert order == {"operation": "order act", "select": ["readout"], "name": "dump", "message": "look", "count": 1}
    restart = after(lambda: client.restart(["readout"], "anew", ONE_BY_ONE))
    assert restart == {"operation": "restart", "select": ["readout"], "message": "anew", "rollout": 1}
    steered = after(lambda: client.steer("abort", "enough"))
    assert steered == {"operation": "rollout abort", "message": "enough", "rollout": 1}
    stopped = after(lambda: client.stop(["*"], "cabling"))
    assert stopped == {"operation": "stop", "select": ["*"], "message": "cabling", "count": 1}
    assert after(lambda: client.start(["*"])) == {"operation": "start", "select": ["*"], "count": 1}
    aside = after(lambda: client.aside(["hlt01"], 4e9, "disk"))
    assert aside == {"operation": "aside", "hosts": ["hlt01"], "until_s": 4e9, "message": "disk"}
    assert after(lambda: client.borrow("readout", "hlt01", end=True))["operation"] == "borrow"
    assert after(lambda: client.give_back(["hlt01"])) == {"operation": "return", "hosts": ["hlt01"]}
    assert after(lambda: client.note("beam is back")) == {"operation": "note", "message": "beam is back", "note": 1}
    begun = after(lambda: client.preflight(spec, (), 5.0))
    assert begun.pop("preflight")
    assert begun == {"operation": "preflight", "digest": name, "timeout_s": 5.0, "count": 1}
    assert after(client.backup) == {"operation": "backup"}

    before = serve.rows()
    for question in (
        client.status,
        client.why,
        client.history,
        client.rollout,
        client.leases,
        client.info,
        client.notes,
        client.log,
    ):
        question()
    client.plan(spec)
    assert serve.rows() == before


def test_every_refusal_is_noted_and_forges_nothing(serve: Serve) -> None:
    """What is not understood, not found, not allowed now, too large, or not there at all."""
    client = serve.client
    client.apply(Spec(jobs=(job(),)))
    forged = '\n{"user": "root", "operation": "stop", "result": "done"}\x1b[2J'
    http = httpx.Client(transport=httpx.HTTPTransport(uds=str(serve.path), verify=False), base_url="http://d/v1")
    for ask, operation, why in (
        (lambda: client.apply(EMPTY, "oops"), "apply", "--allow-empty"),
        (lambda: client.apply(Spec(jobs=(job("x"),)), if_unchanged="0" * 8), "apply", "is in force and not"),
        (lambda: client.rollback(9), "rollback", "there is no revision 9"),
        (lambda: client.stop(["nothing"], "m"), "stop", "no job matches nothing"),
        (lambda: client.stop(["*"], forged), "stop", "a line break"),
        (lambda: client.stop([f"x{forged}"]), "stop", "x"),
        (lambda: client.order(["*"], f"dance{forged}"), "order", "can't be asked for"),
        (lambda: client.steer("pause"), "rollout pause", "no rollout is under way"),
        (lambda: client.borrow("readout", "hlt01"), "borrow", "is not set aside"),
        (lambda: client.give_back(["hlt01"]), "return", "not set aside"),
        (lambda: client.note(forged), "note", "a line break"),
        (lambda: client.names(wrong(forged), ""), "names", "of is one of"),
        (lambda: http.post("/apply", content=b"{"), "apply", "not understood"),
        (lambda: http.post(f"/no{quote(forged)}", content=b""), "other", "404"),
        (lambda: http.get("/stop"), "stop", "405"),
    ):
        before = len(serve.rows())
        with contextlib.suppress(DaqschedError):
            ask()
        (row,) = serve.rows()[before:]
        assert row["result"] == "refused" and why in row["why"] and row["operation"].startswith(operation), row
    marred = [row for row in serve.rows() if row.get("message") == forged]
    assert [(row["operation"], row.get("select")) for row in marred] == [("stop", ["*"]), ("note", None)]
    http.close()
    assert {row["operation"] for row in serve.rows() if row["result"] == "done"} == {"apply"}
    assert b"\x1b" not in serve.audit.read_bytes()


def test_what_is_too_large_for_http_is_noted(serve: Serve) -> None:
    """Also what no route ever sees."""
    with (
        contextlib.suppress(httpx.HTTPError),
        httpx.Client(transport=httpx.HTTPTransport(uds=str(serve.path), verify=False)) as http,
    ):
        http.post("http://d/v1/apply", content=iter([b"x" * (1 << 20)] * 65))
    (row,) = serve.rows()
    assert (row["operation"], row["result"]) == ("apply", "refused") and "is larger than" in row["why"]


def test_a_peer_without_a_word_is_noted_with_its_address(tmp_path: Path) -> None:
    """It has the farm's certificate, and says not for whom it asks."""
    audit = tmp_path / "audit.ndjson"
    mine = identity(tmp_path / "peers.pem")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise AssertionError("nobody gets here")

    made = Serving(tmp_path / "sock", "", app, ("127.0.0.1", 0), mine, audit=Audit(audit))
    try:
        with httpx.Client(verify=mine.client) as http:
            assert http.post(f"https://{made.address}/v1/stop", content=b"{}").status_code == 401
    finally:
        made.close()
    (row,) = (json.loads(line) for line in audit.read_text().splitlines())
    assert (row["door"], row["operation"], row["result"]) == ("peer", "stop", "refused")
    assert row["via"].startswith("127.0.0.1") and "user" not in row


def test_what_is_asked_of_a_standby_is_in_the_leaders_file_in_the_callers_name(tmp_path: Path) -> None:
    """With the standby's name, and the caller as the standby's kernel knows it."""
    mine = identity(tmp_path / "peers.pem")
    (tmp_path / "leader").mkdir()
    leader = Serve(tmp_path / "leader", ("127.0.0.1", 0), mine)
    standby = Standby(mine, "hlt02 (pid 7)")
    standby.leader = Card("leader", leader.serving.address, leader.serving.token)
    other = Serving(tmp_path / "standby", "", standby, ("127.0.0.1", 0), mine, ended=standby.close)
    client = Client(tmp_path / "standby")
    try:
        client.apply(Spec(jobs=(job(),)), "through a standby")
        (row,) = (json.loads(line) for line in leader.audit.read_text().splitlines())
    finally:
        client.close()
        other.close()
        leader.close()
    who = (row["user"], row["uid"], row["gid"], row["pid"])
    assert who == (getpass.getuser(), os.getuid(), os.getgid(), os.getpid())
    assert row["door"] == "peer" and row["via"].startswith("hlt02 (pid 7) at 127.0.0.1")
    assert (row["operation"], row["result"], row["revision"]) == ("apply", "done", 1)


def test_the_documentation_has_each_field() -> None:
    """Of a line, and of every request."""
    table = (ROOT / "docs" / "operate" / "audit.md").read_text()
    named = set(
        re.findall(r"`(\w+)`", "".join(line.split("|")[1] for line in table.splitlines() if line.startswith("| `")))
    )
    fields = {field.name for field in dataclasses.fields(Entry)} - {"about"} | {"time", "digest", "count", "since"}
    asked = {one.asks for one in OPERATIONS.values() if one.asks is not None}
    for kind in (one for one in asked if one.__name__.endswith("Request")):  # not what is asked while attached
        fields |= {NAMES.get(one.name, one.name) for one in msgspec.structs.fields(kind) if one.name not in LEFT_OUT}
    told = {
        "revision",
        "rollout",
        "preflight",
        "note",
        "typed",
        "seconds",
        "how",
        "seq",
        "hash",
        "before",
        "proposed_by",
        "groups",
    }  # by the daemon itself
    assert fields - named == set() and named - fields == told


def test_status_says_that_changes_are_not_written_down(serve: Serve) -> None:
    """They are made all the same, and the file tells of the gap when it can be written again."""
    serve.audit.unlink()
    serve.audit.mkdir()
    assert serve.client.apply(Spec(jobs=(job(),))).revision == 1
    answer = serve.client.status()
    assert f"{serve.audit} has not been writable since" in answer.audit
    out = io.StringIO()
    Console(width=400, file=out).print(status_table(answer))
    assert answer.audit in out.getvalue()
    serve.audit.rmdir()
    serve.client.stop(["*"])
    gap, stop = (json.loads(line) for line in serve.audit.read_text().splitlines())
    assert (gap["operation"], gap["count"], stop["operation"]) == ("audit", 1, "stop")
    assert serve.client.status().audit == ""
