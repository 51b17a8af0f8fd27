"""Role × verb × owner × door: what each may and what not, by the code's own tables, asked at every door that there is."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable, NamedTuple, Optional

import argon2
import httpx
import msgspec
import pytest

from builders import job, offer
from daqsched import passwords, protocol
from daqsched.control import CONTROLLED, GiveRequest, TakeRequest
from daqsched.engine import events
from daqsched.operations import OPERATIONS
from daqsched.problems import CODES
from daqsched.protocol import ProposeRequest
from daqsched.rights.verbs import VERBS, Role
from daqsched.rollout import Strategy
from daqsched.serve import serving as serving_module
from daqsched.serve.accounts import Accounts
from daqsched.serve.serving import Serving, WebPort
from daqsched.serve.standby import Standby
from daqsched.serve.trusted_proxy import TrustedProxy
from daqsched.serve.web_certificate import WebCertificate
from daqsched.spec import JobSpec, LoggingSpec, Spec
from daqsched.store.coordination import Card
from peers import identity
from webport import WebServe

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
_turn = itertools.count(1)


def changed(name: str, **fields: Any) -> Spec:
    """The farm with one job otherwise than it ever was."""
    fields = {"release": f"r{next(_turn)}", **fields}
    return Spec(jobs=tuple(msgspec.structs.replace(one, **fields) for one in farm() if one.name == name))


class Case(NamedTuple):
    """A request that takes a verb."""

    operation: tuple[str, str]
    #: The request's body, or the address's query.
    asked: Callable[[str], Any]
    #: What it is about as a whole, and not some jobs of it.
    whole: bool = False
    #: What of the answer shows that it was given, where a 200 does not.
    shows: Optional[Callable[[str, bytes], bool]] = None


def _order(kind: str, name: str = "") -> Callable[[str], Any]:
    return lambda of: protocol.OrderRequest([of], kind, name, 9e9, stops=99)


def _select(of: str) -> Any:
    return protocol.SelectRequest([of], stops=99)


def _needs(verb: str) -> Callable[[str, bytes], bool]:
    """A plan says of each right that it needs whether who asks has it."""

    def shows(of: str, body: bytes) -> bool:
        needed = [one for one in msgspec.json.decode(body).get("needs", ()) if one["verb"] == verb]
        return bool(needed) and not any(one.get("why_not") for one in needed)

    return shows


PLAN = ("POST", "/plan")
GUARDED = Strategy(batches=(1,), guard="http://127.0.0.1:9/")
CASES: dict[str, list[Case]] = {
    "see": [
        Case(("GET", "/status"), lambda of: {"select": of}, shows=lambda of, body: f'"job":"{of}"'.encode() in body)
    ],
    "stop": [Case(("POST", "/stop"), _select)],
    "hold": [Case(("POST", "/hold"), _select)],
    "start": [Case(("POST", "/start"), lambda of: protocol.SelectRequest([of], everyones=True))],
    "restart": [Case(("POST", "/order"), _order("restart"))],
    "retry": [Case(("POST", "/order"), _order("retry"))],
    "snooze": [Case(("POST", "/order"), _order("snooze"))],
    "wake": [Case(("POST", "/order"), _order("wake"))],
    "act": [Case(("POST", "/order"), _order("act", "dump"))],
    "act-any": [Case(("POST", "/order"), _order("act", "reset"))],
    "aside": [Case(("POST", "/aside"), lambda of: protocol.AsideRequest([HOSTS[of]], 9e9, stops=99))],
    "return": [Case(("POST", "/return"), lambda of: protocol.AsideRequest([HOSTS[of]], stops=99))],
    "pause": [Case(("POST", "/rollout"), lambda of: protocol.SteerRequest("pause"), whole=True)],
    "steer": [Case(("POST", "/rollout"), lambda of: protocol.SteerRequest("abort"), whole=True)],
    "preflight": [Case(("POST", "/preflight"), lambda of: protocol.PreflightRequest(Spec(jobs=_only(of)), [], 1.0))],
    "note": [Case(("POST", "/note"), lambda of: protocol.NoteRequest("beam is back"))],
    "apply": [
        Case(("POST", "/apply"), lambda of: protocol.ApplyRequest(changed(of), only=[of], stops=99, no_look=True)),
        Case(PLAN, lambda of: protocol.PlanRequest(changed(of), [of]), shows=_needs("apply")),
    ],
    "account": [
        Case(
            ("POST", "/apply"),
            lambda of: protocol.ApplyRequest(changed(of, user="daq"), only=[of], stops=99, no_look=True),
        )
    ],
    "guard": [Case(PLAN, lambda of: protocol.PlanRequest(changed(of), [of], GUARDED), True, _needs("guard"))],
    "logging": [
        Case(PLAN, lambda of: protocol.PlanRequest(_logged(of)), True, _needs("logging")),
    ],
    "borrow": [Case(("POST", "/borrow"), lambda of: protocol.BorrowRequest(of, HOSTS[of]))],
    "replace": [Case(("POST", "/replace"), lambda of: protocol.ReplaceRequest(HOSTS[of], "none", stops=99))],
    "console": [Case(("POST", "/console"), lambda of: protocol.ConsoleRequest(of, HOSTS[of]))],
    "sandbox": [
        Case(
            ("POST", "/sandboxes/read"),
            lambda of: protocol.ReadRequest([protocol.Piece("agent", f"{of}@{HOSTS[of]}.1", "stdout", 0, 1)]),
        )
    ],
    "propose": [Case(("POST", "/propose"), lambda of: ProposeRequest(changed(of), only=[of]))],
    "take-over": [
        Case(("POST", "/take"), lambda of: TakeRequest(message="why", force=True), whole=True),
    ],
    "control": [Case(("POST", "/take"), lambda of: TakeRequest(), whole=True)],
    "environment": [
        Case(("GET", "/revisions/{number}"), lambda of: {}, shows=lambda of, body: f"secret-of-{of}".encode() in body)
    ],
    "backup": [Case(("GET", "/backup"), lambda of: {}, whole=True)],
    "log": [Case(("GET", "/log"), lambda of: {}, whole=True), Case(("GET", "/log/{host}"), lambda of: {}, whole=True)],
    "audit": [Case(("GET", "/audit"), lambda of: {}, whole=True)],
    "rights": [Case(("GET", "/rights"), lambda of: {"user": "token:x"}, whole=True)],
    "tokens": [
        Case(("GET", "/tokens"), lambda of: {}, whole=True),
        Case(("POST", "/revoke"), lambda of: protocol.RevokeRequest("none"), whole=True),
        Case(("POST", "/token"), lambda of: protocol.TokenRequest(f"t{next(_turn)}", "viewer", 1.0), whole=True),
    ],
}


def _only(of: str) -> tuple[JobSpec, ...]:
    return tuple(one for one in farm() if one.name == of)


def _logged(of: str) -> Spec:
    return Spec(jobs=farm(), logging=LoggingSpec(index=f"logs-{next(_turn)}"))


def may(subject: tuple[Optional[Role], bool], verb: str, of: str, case: Case) -> bool:
    """By the table of verbs, and the rules above."""
    role, everywhere = subject
    if role is None or role < VERBS[verb].role:
        return False
    return everywhere or verb == "note" or (not case.whole and OWNERS[of] == "trigger")


def test_every_verb_and_every_operation_is_in_the_matrix() -> None:
    """A new verb, or a new route, has to be asked here, or this says why it is not."""
    # `lines` is asked on a real Elasticsearch (test_lines_rights.py);
    # `set` wants a farm with choices, which test_set.py asks for each role
    assert set(VERBS) - set(CASES) == {"lines", "set"}
    asked = {case.operation for cases in CASES.values() for case in cases}
    alike = {
        ("GET", path) for path in "/progress /preflight/{id} /history /rollout /aside /why /stories /incidents /note /names".split()
    } | {("POST", path) for path in ("/rollback", "/restart", "/sandboxes")}  # fmt: skip
    alike |= {("POST", path) for path in ("/approve", "/reject", "/withdraw")}  # of one that waits: test_proposals.py
    alike |= {
        ("GET", "/proposals"),
        ("GET", "/proposals/{number}"),
        ("GET", "/control"),
        ("POST", "/give"),
    }  # what is asked here is given back by it
    alike |= {("GET", "/choices"), ("POST", "/choices/plan"), ("POST", "/set")}
    alike |= {("POST", f"/consoles/{{id}}/{one}") for one in ("read", "keys", "leave")}  # of who is attached
    alike |= {("POST", path) for _, path in OPERATIONS if path.startswith("/lines")}
    anybody = {key for key, one in OPERATIONS.items() if not one.takes}
    assert asked | alike | anybody == set(OPERATIONS)
    assert not asked & alike


class Doors:
    """A farm with all of its doors; each gives a client for somebody."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._groups = folder, ("none",)
        self._clients: list[httpx.Client] = []
        file = folder / "passwords"
        for subject in SUBJECTS:
            passwords.write(file, called(subject), PASSWORD)
        self._identity = identity(folder / "peers.pem")
        proxy = TrustedProxy(["127.0.0.1"], SECRET)
        self.web = WebServe(folder, rules(), file, proxy, peers=("127.0.0.1", 0), identity=self._identity)
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
            transport=httpx.HTTPTransport(uds=str(self._folder / path)), base_url="http://daqsched", timeout=30
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


@pytest.fixture
def doors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Doors]:
    monkeypatch.setattr(serving_module, "is_owner", lambda uid: False)
    monkeypatch.setattr(passwords, "_HASHER", argon2.PasswordHasher(time_cost=1, memory_cost=64, parallelism=1))
    made = Doors(tmp_path)
    yield made
    made.close()


def ask(http: httpx.Client, case: Case, of: str) -> httpx.Response:
    method, path = case.operation
    url = "/v1" + path.replace("{number}", "1").replace("{host}", "hlt01")
    asked = case.asked(of)
    if method == "GET":
        return http.get(url, params=asked)
    return http.post(url, content=msgspec.json.encode(asked), headers={"content-type": "application/json"})


@pytest.mark.parametrize("door", ["socket", "token", "session", "proxy", "standby_socket", "standby_token"])
def test_everybody_may_what_the_table_says_and_nothing_else(doors: Doors, door: str) -> None:
    """What is given is not refused by a right; what is not given is, or is as if it were not there, and changes nothing."""
    counts: Counter[bool] = Counter()
    done: set[str] = set()
    for subject in SUBJECTS:
        http = getattr(doors, door)(called(subject))
        for verb, cases in CASES.items():
            for case, of in itertools.product(cases, OWNERS):
                given = may(subject, verb, of, case)
                before = doors.daemon.ask(
                    lambda engine, now: (engine.logbook[-1:], engine.revision, engine.holds.copy())
                ).result(10)
                found = ask(http, case, of)
                about = (door, called(subject), verb, of, found.status_code, found.text[:300])
                code = found.json()["code"] if found.status_code != 200 else ""
                assert not code or CODES[code].status == found.status_code, about
                counts[given] += 1
                if found.status_code == 200 and case.shows is not None:
                    assert case.shows(of, found.content) == given, about
                elif given:
                    assert code in ("", "refused", "invalid", "unavailable"), about
                    assert code != "invalid" or "there is no job" not in found.text, about
                else:
                    hidden = code == "invalid" and not may(subject, "see", of, Case(("GET", "/status"), lambda of: {}))
                    assert code == "no-right" or hidden, about
                if found.status_code == 200:
                    done.add(verb)
                if found.status_code == 200 and case.operation == ("POST", "/take"):
                    back = ask(http, Case(("POST", "/give"), lambda of: GiveRequest()), of)
                    assert back.status_code == 200, (about, back.text)
                if not given:
                    after = doors.daemon.ask(
                        lambda engine, now: (engine.logbook[-1:], engine.revision, engine.holds.copy())
                    ).result(10)
                    assert before == after, about
    assert counts[True] > 150 and counts[False] > 150, counts
    # what nothing here lets happen: no rollout is under way, no agent answers, no host is set aside for it, no such agent or token
    assert set(CASES) - done <= {"pause", "steer", "borrow", "replace", "sandbox", "log"}, set(CASES) - done


@pytest.mark.parametrize("door", ["socket", "token", "session", "proxy", "standby_socket", "standby_token"])
def test_somebody_elses_control_holds_at_every_door(doors: Doors, door: str) -> None:
    """What takes control is refused to all who may do it, an admin too, with who has it; all else is as before."""
    taken = doors.token("expert-farm").post(
        "/v1/take",
        content=msgspec.json.encode(TakeRequest(message="beam")),
        headers={"content-type": "application/json"},
    )
    assert taken.status_code == 200, taken.text
    counts: Counter[bool] = Counter()
    http = getattr(doors, door)("admin-farm")
    for verb, cases in CASES.items():
        for case, of in itertools.product(cases, OWNERS):
            before = doors.state()
            body = msgspec.structs.replace(case.asked(of), write=True) if verb == "console" else None
            found = ask(http, case if body is None else case._replace(asked=lambda of, body=body: body), of)
            about = (door, verb, of, found.status_code, found.text[:300])
            told = found.status_code != 200 and "is in control of the farm, since" in found.json()["error"]
            takes = verb in CONTROLLED or verb in ("control", "account")
            assert told == (takes and case.operation != PLAN), about
            if case.operation == PLAN:
                assert "is in control of the farm, since" in msgspec.json.decode(found.content)["refused"], about
            if told:
                assert found.status_code == 403 and found.json()["code"] == "refused", about
                assert "token:expert-farm is in control" in found.text and "beam)" in found.text, about
                assert doors.state() == before, about
            counts[told] += 1
            if verb == "take-over":
                assert found.status_code == 200 and found.json()["control"][0]["before"] == "token:expert-farm", about
                ask(
                    doors.token("expert-farm"),
                    Case(("POST", "/take"), lambda of: TakeRequest(message="beam", force=True)),
                    of,
                )
    assert counts[True] > 30 and counts[False] > 20, counts
