"""A farm with all of its doors, and somebody of each role at each: what he asks, and what the rules give him."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any, Callable, NamedTuple, Optional

import httpx
import msgspec
import pytest

from builders import job, offer
from daqsched import passwords
from daqsched.engine import events
from daqsched.rights.verbs import VERBS, Role
from daqsched.serve import callers as callers_module
from daqsched.serve.accounts import Accounts
from daqsched.serve.ingress import WebPort
from daqsched.serve.searches import SearchAccount
from daqsched.serve.serving import Serving
from daqsched.serve.standby import Standby
from daqsched.serve.trusted_proxy import TrustedProxy
from daqsched.serve.web_certificate import WebCertificate
from daqsched.spec import JobSpec, Spec
from daqsched.store.coordination import Card
from peers import identity
from webport import WebServe, cheap_passwords

SECRET, PASSWORD = "s" * 40, "correct horse"
#: Somebody with a role on the jobs of one owner, or on the whole farm; None: whom no rule knows.
SUBJECTS: list[tuple[Optional[Role], bool]] = [(None, False), *itertools.product(Role, (False, True))]
OWNERS = {"mine": "trigger", "theirs": "power"}


def called(subject: tuple[Optional[Role], bool]) -> str:
    role, everywhere = subject
    return "stranger" if role is None else f"{role.name}-{'farm' if everywhere else 'own'}"


def rules() -> str:
    lines = ["version: 1", "rules:"]
    for subject in SUBJECTS[1:]:
        name = called(subject)
        to = ", ".join(f'"{prefix}:{name}"' for prefix in ("unix-group", "token", "password", "proxy"))
        where = "" if subject[1] else ", owner: trigger"
        # a viewer reads no lines, and an admin needs no word for it
        where += ', logs: ["*"]' if subject[0] in (Role.shifter, Role.expert) else ""
        lines.append(f"  - {{to: [{to}], role: {subject[0].name if subject[0] is not None else ''}{where}}}")
    return "\n".join(lines) + "\n"


def farm() -> tuple[JobSpec, ...]:
    return tuple(
        job(
            name,
            host,
            owner=OWNERS[name],
            console=True,
            env={"A": f"secret-of-{name}"},
            actions={"dump": ("/d",), "reset": ("/r",)},
            shifter_actions=("dump",),
        )
        for name, host in (("mine", "hlt01"), ("theirs", "hlt02"))
    )


HOSTS = {"mine": "hlt01", "theirs": "hlt02"}


class Case(NamedTuple):
    """A request that takes a verb."""

    operation: tuple[str, str]
    #: The request's body, or the address's query.
    asked: Callable[[str], Any]
    #: What it is about as a whole, and not some jobs of it.
    whole: bool = False
    #: What of the answer shows that it was given, where a 200 does not.
    shows: Optional[Callable[[str, bytes], bool]] = None


def may(subject: tuple[Optional[Role], bool], verb: str, of: str, case: Case) -> bool:
    """By the table of verbs, and the rules above."""
    role, everywhere = subject
    if role is None or role < VERBS[verb].role:
        return False
    return everywhere or verb == "note" or (not case.whole and OWNERS[of] == "trigger")


#: By which somebody comes, as methods of `Doors`.
DOORS = ["socket", "token", "session", "proxy", "standby_socket", "standby_token"]


class Doors:
    """A farm with all of its doors; each gives a client for somebody."""

    def __init__(self, folder: Path, account: Optional[SearchAccount] = None) -> None:
        self._folder, self._groups = folder, ("none",)
        self._clients: list[httpx.Client] = []
        file = folder / "passwords"
        for subject in SUBJECTS:
            passwords.write(file, called(subject), PASSWORD)
        self._identity = identity(folder / "peers.pem")
        proxy = TrustedProxy(["127.0.0.1"], SECRET)
        self.web = WebServe(
            folder, rules(), file, proxy, account=account, peers=("127.0.0.1", 0), identity=self._identity
        )
        self.daemon = self.web.serve.daemon
        leader = self.web.serving
        self._accounts = Accounts(lambda uid: "bob", lambda uid: self._groups)
        self._socket = Serving(
            folder / "crew",
            "",
            self.web.serve.api.app,
            accounts=self._accounts,
            rights=self.web.rights,
            audit=self.web.audit,
        )
        self._standby = Standby(self._identity, "ctl2 (pid 9)")
        self._standby.leader = Card("ctl1", leader.address, leader.token)
        self._certificate = WebCertificate(self.web.certificate, self.web.key)
        self._spare = Serving(
            folder / "standby",
            "",
            self._standby,
            accounts=self._accounts,
            rights=self.web.rights,
            web=WebPort(("127.0.0.1", 0), self._certificate, proxy),
            ended=self._standby.close,
        )
        self._spare_url = f"https://{self._spare.web_address}"
        serve = self.web.serve
        serve.api.guesses.clock = itertools.count(0.0, 1e6).__next__  # one account asks for all of them
        serve.daemon.put(events.Registered("fw", "127.0.0.1:1"))
        serve.client.apply(Spec(jobs=farm()))
        serve.daemon.put(events.OffersArrived((offer("hlt01"), offer("hlt02"))))
        serve.settle()
        self._tokens = {
            called(subject): self.web.token(called(subject), subject[0].name if subject[0] else "admin")
            for subject in SUBJECTS
        }

    def state(self) -> Any:
        """What changes would have changed."""
        return self.daemon.ask(
            lambda engine, now: (engine.logbook[-1:], engine.revision, engine.holds.copy(), list(engine.aside))
        ).result(10)

    def socket(self, name: str, path: str = "crew") -> httpx.Client:
        self._groups = (name,)
        self._accounts._groups.known.clear()
        made = httpx.Client(
            transport=httpx.HTTPTransport(uds=str(self._folder / path), verify=False),
            base_url="http://daqsched",
            timeout=30,
        )
        self._clients.append(made)
        return made

    def token(self, name: str) -> httpx.Client:
        return self.web.http(self._tokens[name])

    def session(self, name: str) -> httpx.Client:
        http = self.web.http()
        found = http.post(
            "/v1/login", json={"name": name, "password": PASSWORD}, headers={"content-type": "application/json"}
        )
        assert found.status_code == 200, found.text
        return http

    def proxy(self, name: str) -> httpx.Client:
        return self.web.http(None, **{"x-daqsched-proxy-secret": SECRET, "x-daqsched-proxy-user": name})

    def standby_socket(self, name: str) -> httpx.Client:
        return self.socket(name, "standby")

    def standby_token(self, name: str) -> httpx.Client:
        return self.web.through(self._spare_url, self._tokens[name])

    def close(self) -> None:
        for one in self._clients:
            one.close()
        self._spare.close()
        self._socket.close()
        self._certificate.close()
        self.web.close()


def quick_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The daemon's own account is nobody, and passwords cost nothing."""
    monkeypatch.setattr(callers_module, "is_owner", lambda uid: False)
    cheap_passwords(monkeypatch)


def ask(http: httpx.Client, case: Case, of: str) -> httpx.Response:
    method, path = case.operation
    url = "/v1" + path.replace("{number}", "1").replace("{host}", "hlt01")
    asked = case.asked(of)
    if method == "GET":
        return http.get(url, params=asked)
    return http.post(url, content=msgspec.json.encode(asked), headers={"content-type": "application/json"})
