"""A small identity provider: OpenID Connect over TLS, with keys of its own, and knobs to do wrong."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import ssl
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Callable, Optional
from urllib.parse import parse_qs, unquote_plus, urlencode, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from daqsched.serve.provider import Provider, provider_of

CLIENT, SECRET = "daqsched", "what nobody else has: % and +"

Claims = dict[str, Any]


class IdentityProvider:
    """Its certificate is the one of these files, which `webport.files` made."""

    def __init__(self, folder: Path, ca: Path, certificate: Path, key: Path) -> None:
        self.folder = folder
        self.rsa = rsa.generate_private_key(65537, 2048)
        self.ec = ec.generate_private_key(ec.SECP256R1())
        self.claims: Claims = {"sub": "1", "preferred_username": "alice", "groups": ["shift", "cal"]}
        #: What becomes of the claims: a token.
        self.sign: Callable[[Claims], str] = self.signed
        #: What is answered at a path instead; it may take as long as it likes.
        self.instead: dict[str, Callable[[BaseHTTPRequestHandler], Optional[tuple[int, bytes]]]] = {}
        self.keys = [self.public("rsa"), self.public("ec")]
        self.described: dict[str, Any] = {}
        #: What was asked, by path.
        self.asked: list[str] = []
        self._codes: dict[str, dict[str, str]] = {}
        #: What hangs goes on when this is set.
        self.over = threading.Event()
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                provider.answer(self, b"")

            def do_POST(self) -> None:
                provider.answer(self, self.rfile.read(int(self.headers["content-length"])))

            def log_message(self, format: str, *words: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            def handle_error(self, request: Any, address: Any) -> None:
                pass  # who asked went away

        self._server = Server(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()
        self.issuer = f"https://127.0.0.1:{self._server.server_address[1]}/realms/daq"
        secret = folder / "oidc-secret"
        secret.touch(mode=0o600)
        secret.write_text(SECRET + "\n")
        self.file = folder / "oidc.yaml"
        self.file.write_text(
            f"issuer: {self.issuer}\nclient: {CLIENT}\nsecret: {secret}\nname: The Lab\nca: {ca}\nscopes: [openid, groups]\n"
        )

    def provider(self) -> Provider:
        """As the daemon has it."""
        return provider_of(self.file)

    def public(self, which: str, **fields: Any) -> dict[str, Any]:
        """One of its keys, as others are told of it."""
        if which == "rsa":
            found = RSAAlgorithm.to_jwk(self.rsa.public_key(), True)
        else:
            found = ECAlgorithm.to_jwk(self.ec.public_key(), True)
        return {**found, "kid": which, "use": "sig", **fields}

    def signed(self, claims: Claims, which: str = "rsa", algorithm: str = "", kid: str = "", **header: Any) -> str:
        """A token of its own."""
        key = self.rsa if which == "rsa" else self.ec
        named = {"kid": kid or which, **header}
        return jwt.encode(claims, key, algorithm or ("RS256" if which == "rsa" else "ES256"), headers=named)

    def whole(self, nonce: str) -> Claims:
        """What it says of who has logged in."""
        now = int(time.time())
        return {"iss": self.issuer, "aud": CLIENT, "iat": now, "exp": now + 300, "nonce": nonce, **self.claims}

    def log_in(self, address: str) -> dict[str, str]:
        """What a browser brings back that was led there, and whose user has logged in."""
        found = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
        assert found["response_type"] == "code" and found["code_challenge_method"] == "S256", found
        assert found["client_id"] == CLIENT and found["scope"] == "openid groups"
        code = secrets.token_urlsafe(16)
        self._codes[code] = found
        return {"code": code, "state": found["state"], "iss": self.issuer}

    def back(self, address: str) -> str:
        """The address to which it leads the browser."""
        redirect = parse_qs(urlsplit(address).query)["redirect_uri"][0]
        return f"{redirect}?{urlencode(self.log_in(address))}"

    def answer(self, handler: BaseHTTPRequestHandler, body: bytes) -> None:
        path = urlsplit(handler.path).path.removeprefix("/realms/daq")
        self.asked.append(path)
        found = self.instead[path](handler) if path in self.instead else self._answer(handler, path, body)
        if found is None:
            return
        status, text = found
        handler.send_response(status)
        handler.send_header("content-type", "application/json")
        handler.send_header("content-length", str(len(text)))
        handler.end_headers()
        handler.wfile.write(text)

    def _answer(self, handler: BaseHTTPRequestHandler, path: str, body: bytes) -> Optional[tuple[int, bytes]]:
        if path == "/.well-known/openid-configuration":
            described = {
                "issuer": self.issuer,
                "authorization_endpoint": f"{self.issuer}/authorize",
                "token_endpoint": f"{self.issuer}/token",
                "jwks_uri": f"{self.issuer}/keys",
                **self.described,
            }
            return 200, json.dumps(described).encode()
        if path == "/keys":
            return 200, json.dumps({"keys": self.keys}).encode()
        if path == "/authorize":
            handler.send_response(302)
            handler.send_header("location", self.back(handler.path))
            handler.send_header("content-length", "0")
            handler.end_headers()
            return None
        assert path == "/token", path
        form = {name: values[0] for name, values in parse_qs(body.decode()).items()}
        begun = self._codes.pop(form["code"], None)
        digest = hashlib.sha256(form["code_verifier"].encode()).digest()
        kind, _, shown = handler.headers.get("authorization", "").partition(" ")
        if kind == "Basic":
            client, secret = map(unquote_plus, base64.b64decode(shown).decode().split(":"))
        else:
            client, secret = form["client_id"], form["client_secret"]
        if (client, secret) != (CLIENT, SECRET):
            return 401, b'{"error": "invalid_client"}'
        if (
            begun is None
            or form["grant_type"] != "authorization_code"
            or begun["redirect_uri"] != form["redirect_uri"]
            or begun["code_challenge"] != base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        ):
            return 400, b'{"error": "invalid_grant"}'
        return 200, json.dumps({"token_type": "Bearer", "id_token": self.sign(self.whole(begun["nonce"]))}).encode()

    def close(self) -> None:
        self.over.set()
        self._server.shutdown()
        self._thread.join(10)
        self._server.server_close()
