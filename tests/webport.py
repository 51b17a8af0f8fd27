"""A daemon with a web port, whose certificate is of an authority of the test's own."""

from __future__ import annotations

import datetime
import ssl
from pathlib import Path
from typing import Any, Optional

import argon2
import httpx
import pytest

from daqsched.authority import KeyPair, make_authority, make_certificate
from daqsched.client import Client
from daqsched.passwords import Passwords
from daqsched.serve.accounts import Accounts
from daqsched.serve.audit import Audit
from daqsched.serve.authentication import Authentication
from daqsched.serve.ingress import WebPort
from daqsched.serve.rights_in_force import RightsInForce
from daqsched.serve.searches import SearchAccount
from daqsched.serve.serving import Serving
from daqsched.serve.web_certificate import WebCertificate
from daqsched.settings import Server
from served import Serve

#: Whom the rules below know; each has a token of its own name.
FILE = """
version: 1
people: {alice: [unix:alice]}
rules:
  - {to: [token:viewer], role: viewer}
  - {to: [token:shifter], role: shifter}
  - {to: [token:expert, alice], role: expert}
  - {to: [token:admin], role: admin}
"""


def cheap_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    """argon2id with little work."""
    cheap = argon2.PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)
    monkeypatch.setattr("daqsched.passwords._HASHER", cheap)


def files(folder: Path, *names: str) -> tuple[Path, Path, Path]:
    """The authority's certificate, and a daemon's with its key; default: for the loopback."""
    now = datetime.datetime.now(datetime.timezone.utc)
    authority = make_authority("tests", now)
    (folder / "ca.pem").write_bytes(authority.certificate)
    certificate, key = folder / "web.pem", folder / "web.key"
    signed(authority, certificate, key, *(names or ("127.0.0.1", "localhost")))
    return folder / "ca.pem", certificate, key


def signed(authority: KeyPair, certificate: Path, key: Path, *names: str) -> None:
    made = make_certificate(authority, names, 9, datetime.datetime.now(datetime.timezone.utc))
    key.touch(mode=0o600)
    key.write_bytes(made.key)
    certificate.write_bytes(made.certificate)


class WebServe:
    """A daemon with one; its socket is root's, as ever."""

    def __init__(
        self,
        folder: Path,
        rules: str = FILE,
        passwords: Optional[Path] = None,
        proxy: Any = None,
        provider: Any = None,
        account: Optional[SearchAccount] = None,
        port: int = 0,
        index: str = "logs",
        **options: Any,
    ) -> None:
        self.folder = folder
        self.ca, self.certificate, self.key = files(folder)
        self.serve = Serve(folder, account=account, index=index)
        self.serve.settle()  # its key is there
        (folder / "rights.yaml").write_text(rules)
        self.rights = RightsInForce(folder / "rights.yaml", look_s=0.02)
        self.web = WebCertificate(self.certificate, self.key, look_s=0.02)
        engine = self.serve.daemon.engine
        self.passwords = Passwords(passwords) if passwords is not None else None
        self.authentication = Authentication(engine.credentials, passwords=self.passwords, provider=provider)
        self.serve.daemon.subscribers.append(lambda changes: self.authentication.renew(engine.credentials))
        self.audit = Audit(folder / "audit.ndjson")
        accounts = Accounts(lambda uid: "root", lambda uid: ())
        self.serving = Serving(
            folder / "door",
            "",
            self.serve.api.app,
            rights=self.rights,
            web=WebPort(("127.0.0.1", port), self.web, proxy),
            authentication=self.authentication,
            audit=self.audit,
            accounts=accounts,
            **options,
        )
        self.url = f"https://{self.serving.web_address}"
        self.context = ssl.create_default_context(cafile=self.ca)
        self._clients: list[Any] = []

    def token(self, name: str, role: Optional[str] = None, whose: str = "", seconds: float = 3600.0) -> Path:
        """The file of a new one."""
        until = self.serve.daemon.ask(lambda engine, now: now).result(10) + seconds
        made = self.serve.client.make_token(name, role or name, until, whose)
        path = self.folder / f"{name}.token"
        path.touch(mode=0o600)
        path.write_text(made.token + "\n")
        return path

    def client(self, token: Optional[Path]) -> Client:
        made = Client(Server(self.url, token, self.ca))
        self._clients.append(made)
        return made

    def http(self, token: Optional[Path] = None, address: str = "", **headers: str) -> httpx.Client:
        """``address``: where it comes from."""
        shown = {"authorization": f"Bearer {token.read_text().strip()}"} if token is not None else {}
        way = httpx.HTTPTransport(verify=self.context, local_address=address or None, trust_env=False)
        made = httpx.Client(base_url=self.url, transport=way, headers={**shown, **headers}, timeout=20)
        self._clients.append(made)
        return made

    def through(self, url: str, token: Optional[Path] = None, **headers: str) -> httpx.Client:
        """As `http`, at another's web port with the same certificate."""
        made = self.http(token, **headers)
        made.base_url = httpx.URL(url)
        return made

    def noted(self) -> str:
        return (self.folder / "audit.ndjson").read_text()

    def close(self) -> None:
        for one in self._clients:
            one.close()
        self.serving.close()
        self.rights.close()
        self.web.close()
        if self.passwords is not None:
            self.passwords.close()
        self.serve.close()
