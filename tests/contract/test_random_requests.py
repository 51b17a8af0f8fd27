"""Thousands of random requests by every role: nobody is given more than the rules do, nothing hidden is told, nothing breaks."""

from __future__ import annotations

import asyncio
import os
import random
from collections import Counter
from collections.abc import Iterator
from functools import cache
from typing import Any, Callable
from urllib.parse import quote, urlencode

import msgspec
import pytest

from builders import job, offer
from daqsched import protocol
from daqsched.engine import events
from daqsched.operations import OPERATIONS, Operation
from daqsched.problems import CODES
from daqsched.rights.grants import FARM, Target
from daqsched.rights.rules import read
from daqsched.rollout import Strategy
from daqsched.serve import looking
from daqsched.spec import JobSpec, Spec
from daqsched_executor.contract import ORDER_KINDS
from direct import Direct, Heard

RIGHTS = read(
    """
version: 1
rules:
  - {to: unix-group:viewer, role: viewer, owner: trigger}
  - {to: unix-group:shifter, role: shifter, owner: trigger}
  - {to: unix-group:expert, role: expert, owner: trigger}
  - {to: unix-group:admin, role: admin, owner: trigger}
  - {to: unix-group:blind, role: admin}
  - {to: unix-group:blind, deny: ["*"], on: ["hidden*"]}
""",
    "rights.yaml",
)
ROLES = ["stranger", "viewer", "shifter", "expert", "admin", "blind"]

#: As many requests of each role; 10,000 of each take a minute, or several where the machine is busy.
REQUESTS = int(os.environ.get("DAQSCHED_RANDOM_REQUESTS", "2000"))

#: What nobody here may be told, whatever was asked.
CANARY = "canary-value"


def mine(**fields: Any) -> JobSpec:
    return job("readout", "hlt[01-02]", owner="trigger", console=True, actions={"dump": ("/d",)}, **fields)


def hidden(**fields: Any) -> JobSpec:
    return job(
        "hidden", "hlt[02-03]", owner="power", console=True, env={"A": CANARY}, argv=("/bin/true", CANARY), **fields
    )


WORDS = [
    "readout",
    "hidden",
    "*",
    "readout@hlt01",
    "@hlt02",
    "@hlt03",
    "hidd*",
    "no-such",
    "",
    "@",
    "hlt[01-03]",
    "\x1b",
]
HOSTS = ["hlt01", "hlt02", "hlt03", "hlt[01-03]", "@hlt03", "nowhere", ""]
TEXTS = [
    "",
    "x",
    "readout",
    "hidden",
    "power",
    "trigger",
    "-",
    "root",
    "/etc",
    "a" * 300,
    "\u202e",
    "unix:root",
    "admin",
]
NUMBERS = [0, 1, 2, -1, 9e9, 1.8e9 + 100, 1e300, 0.5]


@cache
def fields(kind: type) -> tuple[Any, ...]:
    return msgspec.structs.fields(kind)


class Asking:
    """Makes up requests."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._operations = [one for one in OPERATIONS.values() if one.path not in ("/openapi.json", "/backup")]

    def one_of(self, values: Any) -> Any:
        return self._random.choice(values)

    def request(self) -> tuple[Operation, str, bytes, bytes]:
        """Operation, path, query, body."""
        operation = self.one_of(self._operations)
        path = operation.path
        for name in ("{id}", "{host}", "{number}"):
            path = path.replace(name, quote(str(self.one_of(["x", "1", "0", "hlt03", "99999", "hidden"]))))
        query = [(one.name, self._of(one.kind)) for one in operation.query if self._random.random() < 0.4]
        query = [(name, str(0 if name in ("wait_s",) else value)) for name, value in query]
        return operation, path, urlencode(query).encode(), self._body(operation)

    def _of(self, kind: str) -> Any:
        return self.one_of(NUMBERS if kind == "number" else WORDS if kind == "texts" else [*TEXTS, *WORDS])

    def _body(self, operation: Operation) -> bytes:
        if operation.asks is None:
            return b""
        chance = self._random.random()
        if chance < 0.03:
            broken: bytes = self.one_of([b"", b"{", b"[]", b"null", b'{"x": 1}', b"\xff", b'{"spec": {"jobs": [{}]}}'])
            return broken
        values: dict[str, Any] = {}
        for field in fields(operation.asks):
            if field.required or self._random.random() < 0.3:
                values[field.name] = self._value(field.name, operation)
        return msgspec.json.encode(values)

    def _value(self, name: str, operation: Operation) -> Any:
        if name == "spec":
            return self._spec()
        if name in ("select", "only", "take", "without"):
            return [self.one_of(WORDS) for _ in range(self.one_of([0, 1, 1, 1, 2]))]
        if name == "hosts":
            return [self.one_of(HOSTS) for _ in range(self.one_of([1, 1, 2]))]
        known: dict[str, list[Any]] = {
            "host": HOSTS,
            "job": ["readout", "hidden", "no-such", ""],
            "stops": [None, 0, 1, 99],
            "strategy": [
                None,
                Strategy(batches=(1,), ready_s=0.0, timeout_s=9.0),
                Strategy(guard="http://127.0.0.1:9/x"),
            ],
            "what": ["pause", "resume", "abort", "rollback", "dance"],
            "kind": [*ORDER_KINDS, "dance"],
            "name": ["", "dump", "wall-1", "c", "../x"],
            "until": NUMBERS,
            "revision": [0, 1, 2, 3],
            "argv": [[], ["/bin/sh"]],
            "role": ["viewer", "admin", "king"],
            "whose": ["", "unix:root", "bob"],
            "pieces": [[], [protocol.Piece("agent-hlt03", f"{one}.x", "stdout", 0, 9) for one in ("hidden@hlt03",)]],
            "timeout_s": [0.0, 1.0, 5.0],
            "part": [None, "-", "other"],
            "keys": [b"", b"x"],
            "wait_s": [0.0],
            "number": [1, 2, 3, 0, -1],
            "digest": ["", "x"],
            "base": ["", "x"],
            "for_s": [3600.0, 60.0, 1.0, 1e9],
            "to": ["", "bob", "unix:root", "unix:nobody", "no:one"],
        }
        if name in known:
            return self.one_of(known[name])
        if name in ("message", "if_unchanged", "agent", "id", "task_id", "password", "agent_id"):
            return self.one_of(TEXTS)
        return self.one_of([True, False] if name not in ("offset", "seen", "rows", "columns") else [0, 1])

    def _spec(self) -> Any:
        jobs = [
            self.one_of([mine(), mine(release="2"), mine(user="root"), mine(env={"X": "1"}), mine(setuid=True)]),
            self.one_of([hidden(), hidden(release="2"), job("hidden", "hlt03", owner="trigger"), job("new", "hlt01")]),
            self.one_of([job("new", "hlt01", owner="trigger"), job("readout2", "hlt02", owner="power")]),
        ]
        jobs = [one for one in jobs if self._random.random() < 0.8]
        spec = Spec(jobs=tuple({one.name: one for one in jobs}.values()))
        return msgspec.to_builtins(spec)


#: Which verb each event takes; of an apply `applied` looks at more.
VERBS: dict[type, Callable[[Any], str]] = {
    events.Held: lambda event: "hold" if event.spares else "stop",
    events.Released: lambda event: "start",
    events.RestartAsked: lambda event: "restart",
    events.OperatorCommanded: lambda event: event.order.kind,
    events.PutAside: lambda event: "aside",
    events.Returned: lambda event: "return",
    events.AgentChosen: lambda event: "replace",
    events.Borrowed: lambda event: "borrow",
    events.BorrowEnded: lambda event: "borrow",
    events.TokenMade: lambda event: "tokens",
    events.TokenRevoked: lambda event: "tokens",
    events.JobsApplied: lambda event: "apply",
    events.PreflightAsked: lambda event: "preflight",
    events.ProposalMade: lambda event: "propose",
    events.ProposalApproved: lambda event: "apply",
    events.ControlTaken: lambda event: "take-over" if event.force else "control",
}


def owners(spec: Spec) -> dict[str, str]:
    return {one.name: one.owner for one in spec.jobs}


def touched(heard: Heard, after: Spec) -> Iterator[tuple[str, Target]]:
    """What an accepted event did, and to what: worked out of the farm before and after it, and not as the engine does."""
    event, before = heard.event, owners(heard.before)
    if isinstance(event, (events.NoteWritten, events.RolloutSteered, events.ControlGiven, events.ProposalClosed)):
        return
    verb = VERBS[type(event)](event)
    if isinstance(event, (events.TokenMade, events.TokenRevoked)):
        yield verb, FARM
    elif isinstance(event, events.ProposalMade):
        for job_ in event.spec.jobs:
            if not event.only and job_ not in heard.before.jobs:
                yield verb, Target(job_.name, "hlt02", job_.owner)
    elif isinstance(event, (events.JobsApplied, events.ProposalApproved)):
        old, new = ({one.name: one for one in spec.jobs} for spec in (heard.before, after))
        for name in {**old, **new}:
            for one in (old.get(name), new.get(name)):
                if one is not None and old.get(name) != new.get(name):
                    yield verb, Target(name, "hlt02", one.owner)
                    if one.user or one.setuid:
                        yield "account", Target(name, "hlt02", one.owner)
        ways = (event.strategy, event.spec.rollout if isinstance(event, events.JobsApplied) else None)
        if any(way is not None and way.guard for way in ways):
            yield "guard", FARM
    elif isinstance(event, events.ControlTaken):
        yield from ((verb, Target(name, "hlt02", owner)) for name, owner in before.items())
    elif isinstance(event, (events.PutAside, events.Returned, events.AgentChosen)):
        hosts = (event.host,) if isinstance(event, events.AgentChosen) else event.hosts
        for host in hosts:
            for name, there in (("readout", ("hlt01", "hlt02")), ("hidden", ("hlt02", "hlt03"))):
                if host in there and name in before:
                    yield verb, Target(name, host, before[name])
    elif isinstance(event, events.PreflightAsked):
        for host, questions in event.questions.items():
            for name in (name for one in questions for name in one.jobs):
                yield verb, Target(name, host, before.get(name, ""))
    elif isinstance(event, (events.Borrowed, events.BorrowEnded)):
        yield verb, Target(event.job, event.host, before.get(event.job, ""))
    else:
        assert isinstance(event, (events.Held, events.Released, events.RestartAsked, events.OperatorCommanded))
        for name, host in event.keys:
            yield "act-any" if verb == "act" else verb, Target(name, host, before.get(name, ""))


def too_many(heard: Heard, after: Spec) -> list[str]:
    """The rights that an accepted event took and that nobody gave."""
    grants = heard.grants
    if grants is None:  # the daemon's own look before an apply
        assert isinstance(heard.event, events.PreflightAsked)
        return []
    return [why for verb, target in touched(heard, after) for why in [grants.why_not(verb, target)] if why]


def farm() -> Direct:
    made = Direct(RIGHTS)
    root = Direct().caller()
    made.daemon.put(events.Registered("fw", "m:5050"))

    async def begin() -> None:
        body = msgspec.json.encode(protocol.ApplyRequest(Spec(jobs=(mine(), hidden()))))
        assert (await made.ask(root, "POST", "/apply", body=body)).status == 200

    asyncio.run(begin())
    made.daemon.put(events.OffersArrived(tuple(map(offer, ("hlt01", "hlt02", "hlt03")))))
    assert len(made.daemon.edge.launched) == 4
    return made


@pytest.mark.parametrize("role", ROLES)
def test_no_role_is_given_more_than_the_rules_give_it(role: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Thousands of requests; every answer is one that the document has, and what an accepted one did the pure function allows."""
    monkeypatch.setattr(looking, "LOOK_S", 0.01)  # nobody would answer
    made, asking = farm(), Asking(ROLES.index(role))
    caller = made.caller(f"unix-group:{role}")
    answers: Counter[int] = Counter()

    async def run() -> None:
        for number in range(REQUESTS):
            operation, path, query, body = asking.request()
            before = len(made.daemon.heard)
            answer = await made.ask(caller, operation.method, path, query, body)
            about = (role, number, operation.name, path, query, body, answer.status, answer.body[:3000].decode())
            answers[answer.status] += 1
            assert answer.status < 500, about
            if answer.status != 200:
                known = CODES[msgspec.json.decode(answer.body, type=protocol.Problem).code]
                assert known.status == answer.status, about
            after = made.engine.revision.spec if made.engine.revision is not None else Spec()
            for heard in made.daemon.heard[before:]:
                if heard.accepted:
                    assert not too_many(heard, after), (about, too_many(heard, after))
            del made.daemon.heard[:]
            asked = b"hidden" in body or b"hidd" in query or b"hidden" in path.encode()
            assert CANARY.encode() not in answer.body, about
            assert asked or b"hidden@" not in answer.body, about
        made.engine.check()

    asyncio.run(run())
    assert answers[400] > 50 and (answers[200] > 100 or role == "stranger"), answers
    assert answers[403] > 100 and set(answers) <= {200, 400, 403, 404, 410, 412}, answers


def test_what_was_not_given_is_found() -> None:
    """Else the test above would be content with anything."""
    made = farm()
    grants = made.caller("unix-group:shifter").grants
    spec = Spec(jobs=(mine(), hidden()))
    for event, wrong in (
        (events.Held((("readout", "hlt01"),), "bob"), 0),
        (events.Held((("readout", "hlt01"), ("hidden", "hlt02")), "bob"), 1),
        (events.TokenRevoked("wall", "bob"), 1),
        (events.PutAside(("hlt02",), "bob", 9e9), 1),
        (events.JobsApplied(spec, "bob"), 1),
    ):
        heard = Heard(event, grants, spec, None)  # type: ignore[arg-type]  # it is not looked at
        assert len(too_many(heard, Spec(jobs=(mine(release="2"), hidden())))) >= wrong, event
        assert bool(too_many(heard, spec)) == bool(wrong) or isinstance(event, events.JobsApplied), event
