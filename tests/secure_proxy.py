"""TLS with an authority of its own and a look at `Authorization`, in front of the real Elasticsearch: the minimal one has
neither. Certificates are made by the program openssl."""

from __future__ import annotations

import base64
import http.client
import ssl
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from urllib.parse import urlsplit


def authority(folder: Path, name: str = "ca") -> Path:
    """A new authority's certificate; its key lies beside it."""
    folder.mkdir(exist_ok=True)
    pem, key = folder / f"{name}.pem", folder / f"{name}.key"
    _openssl(
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "2",
        "-subj",
        f"/CN={name}",
        "-keyout",
        key,
        "-out",
        pem,
    )
    return pem


def _signed(ca: Path, folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 and its key."""
    pem, key, request, names = (folder / f"server.{kind}" for kind in ("pem", "key", "csr", "ext"))
    names.write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\n")
    _openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-keyout", key, "-out", request)
    signing = ("-CA", ca, "-CAkey", ca.with_suffix(".key"), "-CAcreateserial", "-days", "2", "-extfile", names)
    _openssl("x509", "-req", "-in", request, *signing, "-out", pem)
    return pem, key


def _openssl(*words: object) -> None:
    subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True)


def basic(user: str) -> str:
    """The header's value for ``NAME:PASSWORD``."""
    return "Basic " + base64.b64encode(user.encode()).decode()


class SecureProxy:
    """Passes requests on whose ``Authorization`` is among ``allowed``; others get Elasticsearch's own 401."""

    def __init__(self, url: str, ca: Path, folder: Path, *allowed: str) -> None:
        folder.mkdir(exist_ok=True)
        target = urlsplit(url)
        self.allowed = set(allowed)
        #: How many requests were turned away.
        self.turned_away = 0
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                # here, in the connection's own thread: a client that does not trust us must hold nobody up
                self.request.settimeout(60)
                self.request.do_handshake()
                super().setup()

            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                if self.headers.get("Authorization", "") not in proxy.allowed:
                    proxy.turned_away += 1
                    words = (
                        b'{"error":{"type":"security_exception","reason":"unable to authenticate user"},"status":401}'
                    )
                    return self.reply(401, words, "application/json")
                far = http.client.HTTPConnection(target.hostname or "", target.port or 9200, timeout=60)
                headers = {name: self.headers[name] for name in ("Content-Type", "Accept") if self.headers[name]}
                far.request(self.command, self.path, body, headers)
                response = far.getresponse()
                self.reply(response.status, response.read(), response.headers["Content-Type"] or "application/json")
                far.close()

            def reply(self, status: int, body: bytes, kind: str) -> None:
                self.send_response(status)
                self.send_header("Content-Type", kind)
                # the official client talks to no server without it
                self.send_header("X-Elastic-Product", "Elasticsearch")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = answer

            def log_message(self, format: str, *arguments: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request: object, client_address: object) -> None:
                pass  # a client that went away, or does not trust us

        self._server = Server(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*_signed(ca, folder))
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self.url = f"https://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> SecureProxy:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()
