"""A small Elasticsearch over real sockets that fails on demand: bulk `create` with ids, and the index template.

For what a healthy server does not do when asked to: no time (429, 503), too large, wrong password, a refused document,
an answer that never comes. All else is tested against the real one in tests/cluster.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Optional

import orjson

#: What a failure does with a whole request: a status to answer with, or None to go on.
Whole = Callable[[str, bytes], Optional[int]]
#: What a failure does with one document: a status and a reason, or None to store it.
Item = Callable[[dict[str, Any]], Optional[tuple[int, str]]]


class FakeElastic:
    """Stores documents by index and id. Change the knobs at any time."""

    def __init__(self) -> None:
        self.documents: dict[tuple[str, str], dict[str, Any]] = {}
        self.templates: dict[str, dict[str, Any]] = {}
        #: Those that were made by name, with their settings and mappings.
        self.indices: dict[str, dict[str, Any]] = {}
        #: Each bulk request's number of documents and bytes, in order.
        self.bulks: list[tuple[int, int]] = []
        self.authorizations: list[str] = []
        self.refuse_request: Whole = lambda path, body: None
        self.refuse_document: Item = lambda document: None
        #: Apply a bulk request and end the connection without an answer.
        self.lose_answers = False
        #: Apply a bulk request and answer 200 with this.
        self.garbage = b""
        #: Requests wait here before anything is done.
        self.open = threading.Event()
        self.open.set()
        self._lock = threading.Lock()
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def handle_one_request(self) -> None:
                try:
                    super().handle_one_request()
                except ConnectionError:
                    self.close_connection = True

            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                fake.authorizations.append(self.headers.get("Authorization", ""))
                fake.open.wait(30)
                status, answer = fake.answer(self.command, self.path, body)
                if fake.lose_answers and "_bulk" in self.path:
                    self.close_connection = True
                    return
                text = json.dumps(answer, separators=(",", ":")).encode()
                if fake.garbage and "_bulk" in self.path:
                    text = fake.garbage
                self.send_response(status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            do_GET = do_PUT = do_POST = answer

            def log_message(self, format: str, *arguments: object) -> None:
                pass

        self._handler = Handler
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        """No longer listen."""
        self.open.set()
        self._server.shutdown()
        self._server.server_close()

    def messages(self) -> list[str]:
        """All texts, by their ids' order."""
        with self._lock:
            return [self.documents[key]["message"] for key in sorted(self.documents)]

    def holds(self, text: str) -> Callable[[], bool]:
        """A condition: a line with this text is stored."""
        return lambda: text in self.messages()

    def counts(self, documents: int) -> Callable[[], bool]:
        """A condition: so many are stored."""
        return lambda: len(self.documents) == documents

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, dict[str, Any]]:
        """What a request gives and does."""
        status = self.refuse_request(path, body)
        if status:
            kind = "security_exception" if status in (401, 403) else "fake"
            return status, {"error": {"type": kind, "reason": f"told to answer {status}"}, "status": status}
        if path.startswith("/_index_template/"):
            return self._template(method, path.rsplit("/", 1)[1], body)
        if "_bulk" not in path:
            return self._index(method, path.split("/")[1].partition("?")[0], body)
        return self._bulk(path.split("/")[1], body)

    def _template(self, method: str, name: str, body: bytes) -> tuple[int, dict[str, Any]]:
        if method == "PUT":
            self.templates[name] = json.loads(body)
            return 200, {"acknowledged": True}
        if name not in self.templates:
            return 404, {"error": {"type": "resource_not_found_exception", "reason": name}, "status": 404}
        return 200, {"index_templates": [{"name": name, "index_template": self.templates[name]}]}

    def _index(self, method: str, name: str, body: bytes) -> tuple[int, dict[str, Any]]:
        if method == "PUT":
            if name in self.indices:
                return 400, {"error": {"type": "resource_already_exists_exception", "reason": name}, "status": 400}
            self.indices[name] = json.loads(body)
            return 200, {"acknowledged": True}
        if name not in self.indices:
            return 404, {"error": {"type": "index_not_found_exception", "reason": name}, "status": 404}
        return 200, {name: {"mappings": self.indices[name]["mappings"]}}

    def _bulk(self, index: str, body: bytes) -> tuple[int, dict[str, Any]]:
        rows = body.split(b"\n")
        assert rows.pop() == b"", "a bulk body ends with a newline"
        items = []
        with self._lock:
            self.bulks.append((len(rows) // 2, len(body)))
            for action, source in zip(rows[::2], rows[1::2]):
                key = (index, orjson.loads(action)["create"]["_id"])
                document = orjson.loads(source)
                refusal = self.refuse_document(document)
                if refusal:
                    items.append({"status": refusal[0], "error": {"type": "fake", "reason": refusal[1]}})
                elif key in self.documents:
                    items.append({"status": 409, "error": {"type": "version_conflict_engine_exception", "reason": ""}})
                else:
                    self.documents[key] = document
                    items.append({"status": 201})
        return 200, {"errors": any(item["status"] != 201 for item in items), "items": [{"create": i} for i in items]}
