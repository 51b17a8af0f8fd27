"""The forwarder against the real Elasticsearch: every line once, whatever dies."""

from __future__ import annotations

import json
import random
import secrets
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
from forwarding import ForwarderProcess, Printer, until


class Index:
    """A prefix of this test's own on the real server."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.prefix = f"test-forward-{secrets.token_hex(4)}"

    def ask(self, method: str, path: str, body: object = None) -> Any:
        """One request, its answer as JSON."""
        data = None if body is None else json.dumps(body).encode()
        request = Request(self.url + path, data, {"Content-Type": "application/json"}, method=method)
        with urlopen(request, timeout=60) as response:
            return json.load(response)

    def count(self) -> int:
        """How many documents can be found."""
        answer = self.ask("GET", f"/{self.prefix}-*/_count")
        return int(answer["count"])

    def documents(self) -> list[dict[str, Any]]:
        """All hits, in the order in which people see them."""
        self.ask("POST", f"/{self.prefix}-*/_refresh")
        sort = ["@timestamp", {"service.node.name": {"missing": ""}}, {"daqsched.stream": {"missing": ""}}]
        search: dict[str, Any] = {"size": 5000, "sort": [*sort, {"log.offset": {"missing": 0}}]}
        found: list[dict[str, Any]] = []
        while True:
            hits = self.ask("POST", f"/{self.prefix}-*/_search", search)["hits"]["hits"]
            if not hits:
                return found
            found += hits
            search["search_after"] = hits[-1]["sort"]

    def messages(self) -> list[str]:
        """The texts of all documents, in order."""
        return [hit["_source"]["message"] for hit in self.documents()]


@pytest.fixture
def index(cluster: Any) -> Iterator[Index]:
    """A clean prefix; its indices and template are deleted afterwards."""
    made = Index(cluster.elasticsearch_url)
    yield made
    for name in made.ask("GET", f"/{made.prefix}-*"):
        made.ask("DELETE", f"/{name}")
    made.ask("DELETE", f"/_index_template/{made.prefix}*")


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    """An empty spool."""
    return tmp_path / "spool"


class Chatter(threading.Thread):
    """Prints numbered lines of all kinds into a stream until it is told to end."""

    def __init__(self, printer: Printer, seed: int) -> None:
        super().__init__(daemon=True)
        self._printer = printer
        self._random = random.Random(seed)
        self.expected: dict[str, str] = {}
        self._offset = 0
        self.ending = threading.Event()

    def run(self) -> None:
        number = 0
        while not self.ending.is_set():
            written = b""
            for _ in range(self._random.choice((1, 5, 50, 400))):
                number += 1
                text = f"line {number} of {self._printer.id} " + "x" * self._random.choice((0, 10, 100, 1000))
                self.expected[f"{self._printer.id}-{self._offset:010x}"] = text
                row = text.encode() + b"\n"
                written += row
                self._offset += len(row)
            # Half a line now and the rest later is what a buffering program writes.
            middle = self._random.randrange(len(written))
            self._printer.print(written[:middle])
            time.sleep(self._random.uniform(0, 0.02))
            self._printer.print(written[middle:])


def test_kill_9_at_random_moments_loses_no_line_and_doubles_none(index: Index, spool: Path) -> None:
    """Killed 25 times while four streams are written: every line is there exactly once, with its own text."""
    seed = random.randrange(1 << 30)
    chance = random.Random(seed)
    chatters = [Chatter(Printer(spool, job=f"job{at}"), seed + at) for at in range(4)]
    for chatter in chatters:
        chatter.start()
    for _ in range(25):
        forwarder = ForwarderProcess(spool, index.url, index.prefix)
        time.sleep(chance.uniform(0.1, 1.2))
        forwarder.kill()
    for chatter in chatters:
        chatter.ending.set()
        chatter.join()
        chatter._printer.die()
    forwarder = ForwarderProcess(spool, index.url, index.prefix)
    until("all streams are taken away", lambda: all(chatter._printer.gone() for chatter in chatters), 60)
    assert forwarder.stop() == 0
    expected = {key: text for chatter in chatters for key, text in chatter.expected.items()}
    found = index.documents()
    assert len(found) == len(expected), f"seed {seed}"
    assert {hit["_id"]: hit["_source"]["message"] for hit in found} == expected, f"seed {seed}"
