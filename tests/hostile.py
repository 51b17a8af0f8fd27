"""Hostile values in every field of what may be asked of the daemon: JSON texts, made by walking an example of each request."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import msgspec

from builders import job
from daqsched import protocol
from daqsched.control import GiveRequest, TakeRequest
from daqsched.protocol import ApproveRequest, CloseRequest, ProposeRequest
from daqsched.rollout import Strategy
from daqsched.spec import CheckSpec, LoggingSpec, Spec
from daqsched_executor.contract import Container, Journal, JsonLines, LogFiles, Restart, Stop, Syslog

#: In the place of a value: its text as JSON, which need not be any.
TEXTS = (
    "NaN",
    "Infinity",
    "-Infinity",
    "1e300",
    "-1e300",
    "1e999",
    "9007199254740993",
    "-1",
    "0",
    "1" + "0" * 400,
    "true",
    "null",
    "[]",
    "{}",
    '""',
    '"\\ud800"',
    '"\\u0000"',
    '"a\\nb"',
    '"\\u001b]0;title\\u0007"',
    '"\\u202etxt.exe"',
    '"{nope}"',
    '"{host}{version}{instance}"',
    '"[1-9][1-9][1-9][1-9][1-9][1-9][1-9]"',
    '"h[' + "9" * 5000 + ']"',
    '"' + "*a" * 400 + '"',
    '"(a+)+$"',
    '"99999999999%"',
    '"' + "x" * 1_000_000 + '"',
    "[" + ",".join(['"x"'] * 200_000) + "]",
    "[" * 5000 + "]" * 5000,
    '{"a": ' * 2000 + "1" + "}" * 2000,
)


def spec() -> Spec:
    """One in which every field is set."""
    check = CheckSpec(
        kind="http", name="web", argv=("true",), address="127.0.0.1", port="{port:http}", path="/", stream="stdout",
        pattern="ok", silence_s=1.0, grace_s=1.0, interval_s=1.0, timeout_s=1.0, failures=2, unhealthy="notify",
    )  # fmt: skip
    whole = job(
        "readout", hosts="hlt[01-02]", attributes={"rack": "r1"}, release="r1", env={"A": "b"}, cwd="/tmp", user="daq",
        cpus=1.0, mem=100.0, disk=10.0, ports={"http": 8080}, limits={"nofile": 1024}, needs=("/etc",),
        restart=Restart("on-failure", 1.5, 3.0, 30.0, 30.0, 5, 300.0, (0, 1), 3),
        stop=Stop("INT", 5.0, "QUIT", 4.0, ("before",), ("after",), 3.0), owner="ops", critical=False, forward=False,
        labels={"l": "v"}, after=("other",), checks=(check,), actions={"dump": ("dump",)}, action_timeout_s=9.0,
        container=Container("image", ("/a:/b",), "none", ("/dev/null",), "unix:///x"), lock=False, libraries=False,
        start="manual",
    )  # fmt: skip
    logging = LoggingSpec(
        elasticsearch="https://es:9200", index="logs", period="month", ca_file="/ca", user_file="/u", keep=1.0, disk=9.0,
        when_full="debug", run_file="/run", json=JsonLines(99, "127.0.0.1", 1.0, ("hlt01",)),
        files=(LogFiles("nsm", ("/var/log/nsm",), "iso", "words", "indented", "ascii", True, True, {"l": "v"}, ("hlt01",)),),
        syslog=Syslog(98, 98, "127.0.0.1", 1.0, 9, 9.0, ("hlt01",)), journal=Journal(True, ("sshd",), "/var/log", ("hlt01",)),
    )  # fmt: skip
    return Spec(jobs=(whole, job("other")), logging=logging, rollout=WAY, source="jobs.py")


WAY = Strategy(batches=(1, "10%"), ready_s=1.0, timeout_s=9.0, pause_after=(1,), failures=2, on_failure="rollback")

#: path -> what is asked there, in full.
REQUESTS: dict[str, Any] = {
    "plan": protocol.PlanRequest(spec(), ["readout"], WAY),
    "apply": protocol.ApplyRequest(spec(), "why", False, ["readout"], WAY, "abc"),
    "set": protocol.SetRequest(["version=r2"], "-", "why", "abc"),
    "plan/hidden": protocol.HideRequest(spec()),
    "choices/plan": protocol.SetRequest(["version=r2"], "-"),
    "rollback": protocol.RollbackRequest(1, "why", WAY),
    "rollout": protocol.SteerRequest("pause", "why"),
    "restart": protocol.RestartRequest(["readout"], "why", WAY),
    "aside": protocol.AsideRequest(["hlt01"], 9e9, "why"),
    "return": protocol.AsideRequest(["hlt01"]),
    "replace": protocol.ReplaceRequest("hlt01", "agent", "why"),
    "borrow": protocol.BorrowRequest("readout", "hlt01", ["true"], False),
    "take": TakeRequest("-", 3600.0, "why", True),
    "give": GiveRequest("-", "root", "why"),
    "propose": ProposeRequest(spec(), "why", ["readout"], [], WAY),
    "approve": ApproveRequest(1, "abc", "abc", "why", WAY, 1),
    "reject": CloseRequest(1, "why"),
    "withdraw": CloseRequest(1, "why"),
    "note": protocol.NoteRequest("why"),
    "token": protocol.TokenRequest("wall-1", "viewer", 9e9, "unix:bob"),
    "login": protocol.LoginRequest("bob", "guess"),
    "logout": protocol.LogoutRequest(),
    "oidc": protocol.OidcRequest("/plain"),
    "oidc-login": protocol.OidcLoginRequest("state", "code", "error", "https://login.example"),
    "revoke": protocol.RevokeRequest("wall-1"),
    "hold": protocol.SelectRequest(["readout"], "why"),
    "stop": protocol.SelectRequest(["readout"], "why"),
    "start": protocol.SelectRequest(["readout"], "why"),
    "order": protocol.OrderRequest(["readout"], "act", "dump", 9e9, "why", "id"),
    "preflight": protocol.PreflightRequest(spec(), ["readout"], 5.0),
    "console": protocol.ConsoleRequest("readout", "hlt01", True, True, "why"),
    "consoles/id/read": protocol.ConsoleRead("task", 1, 1, 0.1),
    "consoles/id/keys": protocol.ConsoleKeys(b"keys", 24, 80),
    "sandboxes": protocol.SandboxesRequest(["readout"], True),
    "sandboxes/read": protocol.ReadRequest([protocol.Piece("agent", "task", "stdout", 0, 10)]),
}

_MARK = "@@here@@"


def mutated(value: Any) -> Iterator[tuple[str, bytes]]:
    """Each field of the value, wherever it is, with each of `TEXTS` in its place: its path, and the whole as JSON."""
    document = msgspec.to_builtins(value)
    for path in list(_paths(document)):
        one = copy.deepcopy(document)
        there = one
        for step in path[:-1]:
            there = there[step]
        there[path[-1]] = _MARK
        head, tail = json.dumps(one).split(json.dumps(_MARK))
        for text in TEXTS:
            yield ".".join(map(str, path)), (head + text + tail).encode()
    for text in TEXTS:
        yield "", text.encode()


def _paths(document: Any) -> Iterator[tuple[Any, ...]]:
    steps = (
        document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    )
    for step, part in steps:
        yield (step,)
        for rest in _paths(part):
            yield (step, *rest)
