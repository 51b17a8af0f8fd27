"""A value of a job's environment leaves the daemon to its own account and to root alone: a canary, and every route and file."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from starlette.routing import Route

from builders import job, offer
from daqsched.client import Client
from daqsched.engine import events
from daqsched.engine.changes import GONE, Changed
from daqsched.errors import Refused
from daqsched.jobfile.load import load
from daqsched.redaction import mark, veiled
from daqsched.serve.api import Api
from daqsched.serve.chronicle import Chronicle
from daqsched.serve.http import Caller, sees_all
from daqsched.serve.serving import Serving
from daqsched.spec import Spec
from hostile import REQUESTS
from served import Serve

CANARY = "canary-5ce7"
NEW = "canary-77aa"

FILE = """
from daqsched import Job, variable
jobs = [Job("readout", "/bin/true", hosts="hlt01", env={"TOKEN": variable("token", "canary-77aa"), "PLAIN": "x"})]
"""


def spec(value: str, **fields: Any) -> Spec:
    return Spec(
        jobs=(job(env={"TOKEN": value, "PLAIN": "x"}, **fields),), source=f"jobs.py --set token={value} --set a=b"
    )


class Asked:
    """A socket behind which everybody is a stranger, and what it answered."""

    def __init__(self, serve: Serve, folder: Path) -> None:
        self.path = folder / "strangers"
        self.key = serve.daemon.engine.credentials.session_key
        api = Api(serve.daemon, lambda one: one, "", "", may_see=lambda caller: False)
        api.looks.chronicle = self.chronicle = Chronicle(folder / "chronicle.sqlite", 1.0)
        engine = serve.daemon.engine
        found = [Changed(key, GONE, one.shown, "", "a test", 1.0) for key, one in engine.instances.items()]
        self.chronicle.note(engine, found, 1.0)
        routes = [route for route in api.app.routes if isinstance(route, Route)]
        assert len(routes) == len(api.app.routes)
        self.routes = [(route.path, method) for route in routes for method in route.methods or ()]
        self._serving = Serving(self.path, "", api.app)
        transport = httpx.HTTPTransport(uds=str(self.path), verify=False)
        self.http = httpx.Client(transport=transport, base_url="http://daqsched", timeout=30)

    def close(self) -> None:
        self.http.close()
        self._serving.close()
        self.chronicle.close(2.0)


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """A running daemon, to which secrets were applied by its own account."""
    made = Serve(tmp_path)
    made.daemon.put(events.Registered("fw", "m:5050"))
    made.client.apply(spec(CANARY), "first")
    made.daemon.put(events.OffersArrived((offer(),)))
    made.settle()
    yield made
    made.close()


@pytest.fixture
def strangers(serve: Serve, tmp_path: Path) -> Iterator[Asked]:
    """How it answers others."""
    made = Asked(serve, tmp_path)
    yield made
    made.close()


#: There is no such preflight any more, and no master that could be asked for agents.
BESIDES = {"/v1/preflight/{id}": {410}, "/v1/sandboxes": {503}, "/v1/sandboxes/read": {503}}


def test_no_route_tells_a_stranger(strangers: Asked, caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    """Each one that there is, asked for what it has; nor does the log, or the chronicle."""
    caplog.set_level(logging.DEBUG)
    bodies = dict(REQUESTS)
    bodies["plan"] = msgspec.structs.replace(REQUESTS["plan"], spec=spec(NEW), only=[], strategy=None)
    bodies["apply"] = msgspec.structs.replace(
        REQUESTS["apply"], spec=spec(NEW, release="2"), only=[], if_unchanged="", strategy=None
    )
    wrong = msgspec.structs.replace(REQUESTS["plan"], spec=spec("{" + NEW + "}"))
    asked = []
    for path, method in strangers.routes:
        for number in ("0", "1", "2"):
            url = path.replace("{number}", number).replace("{id}", "x")
            body = bodies.get(path.rpartition("/v1/")[2])
            data = msgspec.json.encode(body) if method == "POST" and body is not None else None
            found = strangers.http.request(method, url, content=data)
            assert found.status_code in {200, 400, 403} | BESIDES.get(path, set()), (method, url, found.text)
            assert "canary" not in found.text, (method, url)
            asked.append((url, found.status_code))
    assert ("/v1/revisions/1", 200) in asked and ("/v1/apply", 200) in asked and ("/v1/backup", 403) in asked
    refused = strangers.http.post("/v1/plan", content=msgspec.json.encode(wrong))
    assert refused.status_code == 400 and "env" in refused.text and "canary" not in refused.text
    assert "canary" not in caplog.text
    strangers.chronicle.close(2.0)
    written = b"".join(path.read_bytes() for path in tmp_path.glob("chronicle*"))
    assert b"readout" in written and b"canary" not in written


def test_names_are_shown_and_a_mark_that_differs_where_they_do(strangers: Asked) -> None:
    """So that a crew sees that something changed."""
    key = strangers.key
    (told,) = json.loads(strangers.http.get("/v1/revisions/1").content)["spec"]["jobs"]
    assert told["env"] == {"TOKEN": mark(key, "readout", "TOKEN", CANARY), "PLAIN": mark(key, "readout", "PLAIN", "x")}
    body = msgspec.structs.replace(REQUESTS["plan"], spec=spec(NEW), only=[], strategy=None)
    plan = json.loads(strangers.http.post("/v1/plan", content=msgspec.json.encode(body)).content)
    assert plan["changes"][0]["why"] == [
        f"env.TOKEN {mark(key, 'readout', 'TOKEN', CANARY)} -> {mark(key, 'readout', 'TOKEN', NEW)}"
    ]


def test_the_daemons_own_account_is_told_all(serve: Serve) -> None:
    """It could read the state itself; and root."""
    assert serve.client.revision(1).spec.jobs[0].env["TOKEN"] == CANARY
    assert b"daqsched-backup" in serve.client.backup()
    assert sees_all(Caller("root", 0, 0, 1, "socket")) and not sees_all(Caller("eve", 4_000_000, 0, 1, "socket"))


def test_a_rollback_by_a_stranger_brings_the_value_back(serve: Serve, strangers: Asked) -> None:
    """It is the daemon's own, and nobody has to be told."""
    serve.client.apply(spec(NEW))
    assert strangers.http.post("/v1/rollback", json={"revision": 1}).status_code == 200
    assert serve.client.revision(0).spec.jobs[0].env["TOKEN"] == CANARY


def run(strangers: Asked, *words: str) -> subprocess.CompletedProcess[str]:
    """A command, as a stranger would give it."""
    command = [sys.executable, "-m", "daqsched.cli", "--socket", str(strangers.path), *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_no_command_tells_a_stranger(serve: Serve, strangers: Asked, tmp_path: Path) -> None:
    """`show`, `diff`, `plan`, `history`, `backup`."""
    file = tmp_path / "jobs.py"
    file.write_text(FILE)
    for words in (
        ["show", "1"], ["show", "1", "readout", "--json"], ["show", "0", "readout@hlt01"], ["diff", "1", str(file)],
        ["plan", str(file), "--json"], ["history", "--json"], ["status", "--json"], ["backup", str(tmp_path / "b")],
    ):  # fmt: skip
        found = run(strangers, *words)
        assert "canary" not in found.stdout + found.stderr and found.returncode in (0, 5, 6), (words, found)
        if words[0] == "show":
            assert "are hidden: root and the account" in found.stderr
    assert "only root" in found.stderr and not (tmp_path / "b").exists()
    # who has the other side, has it hidden by the same mark
    serve.client.apply(load(file))
    found = run(strangers, "diff", str(file))
    assert found.returncode == 0 and "Nothing changes" in found.stdout


def test_a_veil_over_a_veil_changes_nothing() -> None:
    """What was hidden by the daemon is compared with what its caller knows."""
    once = veiled(spec(CANARY), b"k")
    assert (
        veiled(once, b"k") == veiled(once, b"another") == once and once.source == "jobs.py --set token=... --set a=..."
    )
    assert CANARY not in str(once)


def test_a_stranger_can_not_take_a_backup(strangers: Asked) -> None:
    """A sentence says who can."""
    client = Client(strangers.path)
    with pytest.raises(Refused, match="only root and the account"):
        client.backup()
    client.close()
