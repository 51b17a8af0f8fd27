"""An Elasticsearch whose searches take as long as a test wants, and find what it says."""

from __future__ import annotations

import json
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

EMPTY = {"hits": {"hits": [], "total": {"value": 0}}, "_shards": {"total": 1, "failed": 0}, "timed_out": False}


class SlowElastic:
    """Answers a search for the word `slow` when it is let go on, and counts how many it works at; all others at once."""

    def __init__(self) -> None:
        self.go_on, self.answer = threading.Event(), dict[str, Any](EMPTY)
        self.status = 200
        self.now: Counter[str] = Counter()
        self.most: Counter[str] = Counter()
        self.authorizations: list[str] = []
        self.bodies: list[dict[str, Any]] = []
        self._lock = threading.Lock()
        slow = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)))
                kind = "slow" if "slow" in json.dumps(body) else "quick"
                with slow._lock:
                    slow.bodies.append(body)
                    slow.authorizations.append(self.headers.get("Authorization", ""))
                    for name in (kind, "all"):
                        slow.now[name] += 1
                        slow.most[name] = max(slow.most[name], slow.now[name])
                if kind == "slow":
                    slow.go_on.wait(30)
                with slow._lock:
                    slow.now.subtract((kind, "all"))
                self.send(slow.status, slow.answer)

            def do_GET(self) -> None:
                self.send(200, {} if "_settings" in self.path else {"indices": [], "fields": {}})

            def send(self, status: int, answer: Any) -> None:
                text = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("X-Elastic-Product", "Elasticsearch")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, format: str, *arguments: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        self.go_on.set()
        self._server.shutdown()
        self._server.server_close()
