"""The table of rights in docs/reference/elasticsearch.md, on a real Elasticsearch with its security on: enough, and no more."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request

import pytest
from click.testing import CliRunner, Result

from children import child
from daqcluster import Cluster
from daqsched.cli import main
from daqsched.logs import search
from daqsched.logs.elastic import Elastic
from daqsched.logs.setup import Setup
from daqsched_executor.contract.forwarding import Access
from daqsched_executor.contract.template import template
from daqsched_executor.forward.documents.record import index_of
from forwarding import ForwarderProcess, Printer
from opened import opened
from secured import PASSWORD, table
from waiting import until


class Secure:
    """A server that knows the roles of the page, and an administrator."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url, self._folder = url, folder

    def user_file(self, role: str) -> Path:
        """Name and password."""
        path = self._folder / role
        path.touch(0o600)
        path.write_text(f"{role}:{PASSWORD}\n")
        return path

    def run(self, role: str, *words: str) -> Result:
        """A command as somebody of the role."""
        options = ["--elasticsearch", self.url, "--index", "daqsched-logs"]
        files = ["--elasticsearch-user-file", str(self.user_file(role))]
        done = CliRunner().invoke(main, ["--socket", "/nonexistent", *words, *options, *files])
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exc_info
        return done

    def client(self, role: str) -> Elastic:
        """To ask for what no command asks in a test's time."""
        return search.connect(self.url, Access("", str(self.user_file(role)), ""))

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """As administrator."""
        secret = base64.b64encode(f"admin:{PASSWORD}".encode()).decode()
        headers = {"Content-Type": "application/json", "Authorization": f"Basic {secret}"}
        data = None if body is None else json.dumps(body).encode()
        with opened(Request(self.url + path, data, headers, method=method)) as answer:
            return json.load(answer)

    def clear(self) -> None:
        """No lines, no templates."""
        for name in self.ask("GET", "/daqsched-logs-*?expand_wildcards=all"):
            self.ask("DELETE", f"/{name}")
        for one in self.ask("GET", "/_index_template")["index_templates"]:
            if one["name"].startswith("daqsched-logs"):
                self.ask("DELETE", f"/_index_template/{one['name']}")


@pytest.fixture(scope="module")
def server(empty: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Secure:
    """One for all tests here."""
    return Secure(empty.elasticsearch_url, tmp_path_factory.mktemp("secure"))


@pytest.fixture
def secure(server: Secure) -> Iterator[Secure]:
    """With nothing in it."""
    server.clear()
    yield server


@pytest.fixture(scope="module")
def stored(server: Secure, tmp_path_factory: pytest.TempPathFactory) -> Secure:
    """Set up, with two lines that a forwarder stored, and a dead letter: for those that leave it so."""
    secure = server
    secure.clear()
    done = secure.run("setup", "logs", "setup", "--keep", "30d", "--replicas", "0")
    assert done.exit_code == 0, done.output
    forward(secure, tmp_path_factory.mktemp("stored"))
    name = index_of("daqsched-logs", time.time_ns() // 1000)
    letter = {
        "@timestamp": "2026-11-23T05:00:00Z",
        "message": "dead",
        "event": {
            "dataset": "daqsched.deadletter",
            "original": '{"@timestamp": "2026-11-23T05:00:00Z", "message": "dead"}',
        },
        "daqsched": {"deadletter": {"index": name}},
    }
    secure.ask("PUT", "/daqsched-logs-deadletter-2026.11/_create/d-1?refresh=true", letter)
    secure.ask("POST", "/daqsched-logs-*/_refresh")
    return secure


def forward(secure: Secure, folder: Path, *texts: str) -> str:
    """Lines through a forwarder of its role, which has no trouble with it; what it said."""
    spool = folder / "spool"
    printer = Printer(spool)
    lines = texts or ("[ERROR] first", "second")
    printer.print("".join(f"{text}\n" for text in lines))
    process = ForwarderProcess(spool, secure.url, "daqsched-logs", "--user-file", str(secure.user_file("forward")))
    status = spool / "forward" / "status.json"
    try:
        until(lambda: status.exists() and process.counts()["stored"] >= len(lines), "stored", 20)
        assert process.counts()["dead"] == 0 and not process.counts()["troubles"]
    finally:
        ended = process.stop()
        printer.die()
    assert ended == 0
    return process.errors


def test_the_page_has_the_roles() -> None:
    """Else the tests below would be content with nothing."""
    assert set(table()) == {"setup", "expire", "forward", "read", "replay"}
    assert all(list(user.indices) == ["daqsched-logs-*"] for user in table().values())


def test_setup_sees_to_all(secure: Secure) -> None:
    """Templates, lifecycle where there is one, and the indices that are there; a second time, too."""
    secure.ask("PUT", "/daqsched-logs-2026.01.01", template("daqsched-logs")["template"])
    for words in ((), ("--keep", "30d", "--replicas", "0"), ("--dry-run", "--replicas", "1"), ()):
        done = secure.run("setup", "logs", "setup", *words)
        assert done.exit_code == 0 and "NO" not in done.output, done.output


@pytest.mark.parametrize("templates", [True, False], ids=["set-up", "not-set-up"])
def test_a_forwarder_stores(secure: Secure, tmp_path: Path, templates: bool) -> None:
    """Into an index with our fields, whether somebody called setup or not."""
    if templates:
        assert secure.run("setup", "logs", "setup", "--replicas", "0").exit_code == 0
    said = forward(secure, tmp_path)
    assert said.count("cannot see to the index template") == 1  # a note: the role is enough
    (index,) = secure.ask("GET", "/daqsched-logs-*").values()
    assert index["mappings"]["properties"]["host"]["properties"]["name"]["type"] == "keyword"
    assert not templates or index["settings"]["index"]["number_of_replicas"] == "0"
    secure.ask("POST", "/daqsched-logs-*/_refresh")
    done = secure.run("read", "logs")
    assert done.exit_code == 0 and "first" in done.output and "second" in done.output, done.output


def test_expire_deletes(stored: Secure) -> None:
    """By what setup chose, and by its own word."""
    old = "daqsched-logs-2026.01.01"
    stored.ask("PUT", f"/{old}")
    for words in ((), ("--keep", "10d"), ("--dry-run",)):
        done = stored.run("expire", "logs", "expire", *words)
        assert done.exit_code == 0, done.output
    client = stored.client("expire")
    (step,) = Setup(client, "daqsched-logs", False).expire(None, time.time() + 30 * 86400 + 60)
    client.close()
    assert (step.outcome, step.what) == ("done", f"delete the index {old}")


def test_readers_read(stored: Secure) -> None:
    """In all ways."""
    (line, *_) = [
        json.loads(row) for row in stored.run("read", "logs", "--json", "--grep", "first").output.splitlines()
    ]
    for words, said in (
        (("logs",), "second"),
        (("logs", "--level", "error", "--since", "1h"), "first"),
        (("logs", "--at", "1m"), "first"),
        (("logs", "--around", line["id"]), ">>>"),
        (("logs", "--count"), "2 lines by host"),
        (("logs", "--count", "--by", "message", "--every", "1d", "--since", "2d"), "2 lines by message"),
        (("logs", "--new=1h"), "2 messages are new"),
        (("deadletter", "list"), "dead"),
    ):
        done = stored.run("read", *words)
        assert done.exit_code == 0 and said in done.output, (words, done.output)
    options = ["--elasticsearch", stored.url, "--index", "daqsched-logs"]
    command = [sys.executable, "-m", "daqsched.cli", "logs", "-f", "-n", "1", "--grep", "second", *options]
    with child(
        [*command, "--elasticsearch-user-file", str(stored.user_file("read"))],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as following:
        assert following.stdout is not None and following.stderr is not None
        assert "second" in following.stdout.readline()
        following.terminate()
        assert following.stderr.read() == ""


@pytest.mark.parametrize(
    ("role", "words", "right"),
    [
        ("forward", ("logs",), "read"),
        ("forward", ("logs", "--count"), "read"),
        ("forward", ("deadletter", "list"), "read"),
        ("forward", ("logs", "setup"), "manage_index_templates"),
        ("forward", ("logs", "expire"), "manage_index_templates"),
        ("expire", ("logs",), "read"),
        ("setup", ("logs",), "read"),
        ("read", ("logs", "setup"), "manage_index_templates"),
        ("read", ("logs", "expire"), "manage_index_templates"),
        ("read", ("deadletter", "replay"), "create_doc"),
        ("replay", ("logs", "setup"), "manage_index_templates"),
    ],
)
def test_what_a_role_lacks_is_named(stored: Secure, role: str, words: tuple[str, ...], right: str) -> None:
    """Status 5, and nothing was done."""
    before = stored.ask("GET", "/daqsched-logs-*/_count")["count"]
    done = stored.run(role, *words)
    assert done.exit_code == 5 and right in done.output, done.output
    assert stored.ask("GET", "/daqsched-logs-*/_count")["count"] == before


@pytest.mark.parametrize("role", ["forward", "read", "replay"])
def test_who_may_not_delete_indices_is_told(stored: Secure, role: str) -> None:
    """Also where the time to keep is given."""
    client = stored.client(role)
    steps = Setup(client, "daqsched-logs", False).expire("1d", time.time() + 100 * 86400)
    client.close()
    assert steps and all(step.outcome == "refused" and "delete_index" in step.detail for step in steps), steps


def test_dead_letters_are_replayed(stored: Secure) -> None:
    """Stored in full, and dead no more."""
    done = stored.run("replay", "deadletter", "replay", "--json")
    assert done.exit_code == 0 and json.loads(done.output)["stored"] == 1, done.output
    stored.ask("POST", "/daqsched-logs-*/_refresh")
    assert "0 dead letters" in stored.run("replay", "deadletter", "list").output
