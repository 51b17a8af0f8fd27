"""The Elasticsearch that a bench stores into: the few questions that are asked of it, and what it spends itself."""

from __future__ import annotations

import http.client
import json
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

TICKS = os.sysconf("SC_CLK_TCK")


class Server:
    """One server at ``url``; ``pid`` is that of its first process, 0 where it is somebody else's."""

    def __init__(self, url: str, pid: int = 0) -> None:
        parts = urlsplit(url)
        self.url = url
        self.host, self.port = parts.hostname or "localhost", parts.port or 9200
        self._pids = list(_family(pid)) if pid else []

    @property
    def ours(self) -> bool:
        """Whether we may stop it and see what it spends."""
        return bool(self._pids)

    def connect(self) -> http.client.HTTPConnection:
        """A new connection."""
        return http.client.HTTPConnection(self.host, self.port, timeout=120)

    def ask(self, method: str, path: str, body: object = None) -> Any:
        """One request on a connection of its own."""
        connection = self.connect()
        text = None if body is None else json.dumps(body).encode()
        connection.request(method, path, text, {"Content-Type": "application/json"})
        answer = json.loads(connection.getresponse().read())
        connection.close()
        return answer

    def indexed(self, prefix: str) -> int:
        """How many documents were indexed so far; none of them need be found yet."""
        stats = self.ask("GET", f"/{prefix}-*/_stats/indexing")
        return int(stats["_all"]["primaries"].get("indexing", {}).get("index_total", 0))

    def wait_for(
        self, prefix: str, count: int, look: Callable[[], None] = lambda: None, within_s: float = 300.0
    ) -> None:
        """Until so many documents are indexed; ``look`` is called every now and then.

        To be asked costs the server some milliseconds of CPU time, so it is asked often only when the end is near.
        """
        began = time.monotonic()
        while (there := self.indexed(prefix)) < count:
            look()
            so_far = time.monotonic() - began
            assert so_far < within_s, f"{there} of {count} lines after {within_s:.0f} s"
            left_s = so_far * (count - there) / there if there else 0.5
            time.sleep(max(0.02, min(1.0, left_s / 3)))

    def found(self, prefix: str, query: object = None) -> int:
        """How many documents can be found."""
        self.ask("POST", f"/{prefix}-*/_refresh")
        return int(self.ask("POST", f"/{prefix}-*/_count", {"query": query} if query else None)["count"])

    def clean(self, prefix: str, count: int) -> None:
        """Check that exactly so many lines can be found, and delete them."""
        found = self.found(prefix)
        for name in self.ask("GET", f"/{prefix}-*"):
            self.ask("DELETE", f"/{name}")
        self.ask("DELETE", f"/_index_template/{prefix}*")
        assert found == count, f"{found} lines instead of {count}"

    def cpu_s(self) -> float:
        """CPU-seconds that it has spent so far."""
        spent = 0
        for pid in self._pids:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            spent += int(fields[11]) + int(fields[12])
        return spent / TICKS

    @contextmanager
    def hanging(self) -> Iterator[None]:
        """An outage: it is there and answers nobody."""
        try:
            for pid in self._pids:
                os.kill(pid, signal.SIGSTOP)
            yield
        finally:
            for pid in self._pids:
                os.kill(pid, signal.SIGCONT)


def _family(pid: int) -> Sequence[int]:
    """A process and all that descend from it."""
    children = [
        int(child) for task in Path(f"/proc/{pid}/task").glob("*/children") for child in task.read_text().split()
    ]
    return [pid, *(one for child in children for one in _family(child))]
