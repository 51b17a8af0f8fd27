"""A master that there is not: the web page's own files, and a state of any size with any words in it, over HTTP.

Its agent is real enough for the page's frame: browse and read as JSONP, from another port.
"""

from __future__ import annotations

import http.server
import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Callable, Optional
from urllib.parse import parse_qs, urlsplit

from daqcluster.mesos import WEBUI

#: As Mesos sends them (libprocess' mime.cpp).
KINDS = {".html": "text/html", ".js": "application/x-javascript", ".css": "text/css"}

Answer = Callable[[], Mapping[str, Any]]


def _scalars(**amounts: float) -> list[dict[str, Any]]:
    return [{"name": name, "type": "SCALAR", "scalar": {"value": value}} for name, value in amounts.items()]


def _task(at: int, host: int, state: str, says: Callable[[str], str]) -> dict[str, Any]:
    name = says(f"readout{at // 250}@hlt{host:03d}")
    agent = {"value": f"agent-{host}"}
    ids = {"task_id": {"value": f"{name}.{at}"}, "agent_id": agent, "executor_id": {"value": f"{name}.{at}"}}
    began = 1_795_000_000.0 + at
    statuses = [
        {**ids, "state": "TASK_STARTING", "message": says("starting /cvmfs/daq/bin/readout"), "timestamp": began},
        {
            **ids,
            "state": state,
            "message": says(
                f"pid {1000 + at} since 2026-11-27 06:57:05 UTC, 3 restarts, last: killed by SIGSEGV after 2.1 s"
            ),
            "source": "SOURCE_EXECUTOR",
            "reason": says("REASON_EXECUTOR_TERMINATED"),
            "timestamp": began + 1.0,
            "uuid": "SVv0QdeESSCelENjZ07+9Q==",
            "healthy": at % 97 != 0,
            "container_status": {"container_id": {"value": f"{at:036d}"}, "executor_pid": 4711},
        },
    ]
    values = {
        "job": f"readout{at // 250}",
        "host": f"hlt{host:03d}",
        "version": "release-08",
        "revision": "7",
        "owner": "daq",
    }
    labels = [{"key": says(key), "value": says(value)} for key, value in values.items()]
    return {
        "name": name,
        "framework_id": {"value": "framework-0"},
        **ids,
        "state": state,
        "resources": _scalars(cpus=0.1, mem=64.0),
        "statuses": statuses,
        "labels": {"labels": labels},
        "user": says("daq"),
    }


class State:
    """What the master knows, as its operator API says it; ``says`` may put other words into it."""

    def __init__(self, agents: int, tasks: int, address: str = "127.0.0.1:1", says: Callable[[str], str] = str) -> None:
        odd = {0: "TASK_FAILED", 1: "TASK_STARTING", 2: "TASK_KILLING", 3: "TASK_UNREACHABLE", 4: "TASK_LOST"}
        made = [_task(at, at % max(1, agents), odd.get(at % 400, "TASK_RUNNING"), says) for at in range(tasks)]
        whole = _scalars(cpus=64.0, mem=65536.0, disk=100000.0)
        self.answers: dict[str, Mapping[str, Any]] = {
            "GET_TASKS": {"get_tasks": {"tasks": made}},
            "GET_AGENTS": {"get_agents": {"agents": [self._agent(at, whole, address, says) for at in range(agents)]}},
            "GET_FRAMEWORKS": {"get_frameworks": {"frameworks": [self._framework(says)]}},
        }

    @staticmethod
    def _agent(at: int, whole: Any, address: str, says: Callable[[str], str]) -> dict[str, Any]:
        attributes = [{"name": says("rack"), "type": "TEXT", "text": {"value": says(f"r{at // 20}")}}]
        info = {"hostname": says(f"hlt{at:03d}"), "id": {"value": f"agent-{at}"}, "attributes": attributes}
        used = _scalars(cpus=float(at % 64), mem=300.0 * (at % 200))
        more = {
            "version": says("1.11.0"),
            "pid": f"slave(1)@{address}",
            "registered_time": {"nanoseconds": 1795 * 10**15},
        }
        return {
            "agent_info": info,
            "active": at % 50 != 9,
            "total_resources": whole,
            "allocated_resources": used,
            **more,
        }

    @staticmethod
    def _framework(says: Callable[[str], str]) -> dict[str, Any]:
        info = {
            "user": says("daq"),
            "name": says("daqsched"),
            "id": {"value": "framework-0"},
            "hostname": says("control"),
            "roles": [says("*")],
            "webui_url": says("http://control/"),
            "labels": {"labels": [{"key": says("site"), "value": says("hall")}]},
        }
        return {"framework_info": info, "active": True, "connected": True}


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that is gone in the middle of an answer is none."""


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        """Nobody reads it."""

    def answer(self, body: bytes, kind: str, status: int = 200) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        if status == 307:
            self.send_header("Location", "http://127.0.0.1:1/api/v1")
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def serving(handler: type[_Handler]) -> Iterator[str]:
    """HOST:PORT of a server with this handler."""
    server = _Server(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


class Master:
    """The page's files, and the state, which may be exchanged."""

    def __init__(self, state: State) -> None:
        #: What it answers otherwise: a status, and a body.
        self.other: Optional[tuple[int, bytes]] = None
        #: When it was asked, and for what.
        self.asked: list[float] = []
        self.kinds: list[str] = []
        self.state(state)

    def state(self, state: State) -> None:
        """From now on it knows this."""
        self._bodies = {kind: json.dumps(answer).encode() for kind, answer in state.answers.items()}

    def bytes(self) -> int:
        """How much one look is."""
        return sum(map(len, self._bodies.values()))

    def handler(self) -> type[_Handler]:
        """For `serving`."""
        master = self

        class Handler(_Handler):
            def do_GET(self) -> None:
                path = urlsplit(self.path).path
                file = WEBUI / ("index.html" if path == "/" else path.lstrip("/"))
                if WEBUI in file.resolve().parents and file.is_file():
                    return self.answer(file.read_bytes(), KINDS[file.suffix])
                self.answer(b"", "text/plain", 404)

            def do_POST(self) -> None:
                kind = json.loads(self.rfile.read(int(self.headers["content-length"])))["type"]
                master.asked.append(time.monotonic())
                master.kinds.append(kind)
                if master.other is not None:
                    status, body = master.other
                    return self.answer(body, "text/plain", status)
                self.answer(master._bodies[kind], "application/json")

        return Handler


def agent(script: Callable[[str, Mapping[str, str]], Optional[str]]) -> type[_Handler]:
    """An agent's handler: ``script(what, query)`` is the text of the script that it answers with; None: 404."""

    class Handler(_Handler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            found = script(parts.path, query)
            if found is None:
                return self.answer(b"", "text/plain", 404)
            self.answer(found.encode(), "text/javascript")

    return Handler


def canary(seen: list[str]) -> type[_Handler]:
    """A server that nobody may ask; ``seen`` is what was asked of it all the same."""

    class Handler(_Handler):
        def do_GET(self) -> None:
            seen.append(self.path)
            self.answer(b"", "text/javascript")

        do_POST = do_GET

    return Handler
