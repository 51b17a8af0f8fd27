"""The daemon's questions to agents that refuse, hang, or answer strangely; healthy ones are in tests/cluster."""

from __future__ import annotations

import asyncio
import base64
import json
import socket
import threading
from collections.abc import Awaitable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Callable, Optional, TypeVar
from urllib.parse import parse_qs, urlsplit

import pytest

from daqsched.errors import Unreachable
from daqsched.mesos import agents
from daqsched.mesos.agents import Agent, Agents

Answer = TypeVar("Answer")


class FakeAgent:
    """Answers `/files` and a master's `/slaves` with what it is told, to those who may ask."""

    def __init__(self) -> None:
        self.status, self.body = 200, b"{}"
        self.wants = ""
        self.asked: list[tuple[str, dict[str, list[str]]]] = []
        self.authorizations: list[Optional[str]] = []
        self.open = threading.Event()
        self.open.set()
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                fake.open.wait(20)
                words = urlsplit(self.path)
                fake.asked.append((words.path, parse_qs(words.query)))
                fake.authorizations.append(self.headers.get("Authorization"))
                known = f"Basic {base64.b64encode(fake.wants.encode()).decode()}"
                refused = bool(fake.wants) and self.headers.get("Authorization") != known
                body = b"" if refused else fake.body
                self.send_response(401 if refused else fake.status)
                if refused:
                    self.send_header("WWW-Authenticate", 'Basic realm="mesos-agent-readonly"')
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: object) -> None:
                """Nothing on stderr."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()
        self.address = f"127.0.0.1:{self._server.server_address[1]}"
        self.agent = Agent("S1", ("hlt01",), self.address)

    def close(self) -> None:
        """Give everything back."""
        self.open.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def fake() -> Iterator[FakeAgent]:
    """One that answers."""
    made = FakeAgent()
    yield made
    made.close()


def ask(
    question: Callable[[Agents], Awaitable[Answer]], credentials: Optional[tuple[str, str]] = None, role: str = "*"
) -> Answer:
    """One question in a loop of its own."""

    async def main() -> Answer:
        asking = Agents(credentials, role)
        try:
            return await question(asking)
        finally:
            await asking.close()

    return asyncio.run(main())


def read(fake: FakeAgent, credentials: Optional[tuple[str, str]] = None) -> bytes:
    return ask(lambda asking: asking.read(fake.agent, "F", "readout@hlt01.1", "executor", 5, 10**9), credentials)


def test_bytes_come_as_they_were_printed(fake: FakeAgent) -> None:
    """Whatever they are: an agent writes them into JSON without looking at them."""
    fake.body = b'{"data":"gr\xfc\xdfe \xe2\x82\xac \\u0000\\u001B \\"q\\" \xff\\n","offset":5}'
    assert read(fake) == b'gr\xfc\xdfe \xe2\x82\xac \0\x1b "q" \xff\n'
    path, words = fake.asked[0]
    assert path == "/files/read" and words["offset"] == ["5"] and words["length"] == [str(agents.PIECE)]
    assert words["path"] == ["/frameworks/F/executors/readout@hlt01.1/runs/latest/executor.log"]


def test_a_sandbox_that_is_gone_has_no_bytes(fake: FakeAgent) -> None:
    """Mesos collects those of tasks that ended."""
    fake.status, fake.body = 404, b""
    assert read(fake) == b""
    assert ask(lambda asking: asking.look(fake.agent, "F", "readout@hlt01.1")) == []


def test_credentials_are_told_to_who_asks_for_them_and_to_nobody_else(fake: FakeAgent) -> None:
    """An agent that does not ask may be anybody."""
    fake.body = b'{"data":"x","offset":5}'
    assert read(fake, ("daq", "secret")) == b"x"
    assert fake.authorizations == [None]
    fake.wants = "daq:secret"
    assert read(fake, ("daq", "secret")) == b"x"
    assert fake.authorizations[1] is None and fake.authorizations[2] is not None


@pytest.mark.parametrize(
    ("status", "wants", "credentials", "sentence"),
    [
        (200, "daq:secret", None, "wants credentials: daqsched serve --agent-credentials FILE"),
        (200, "daq:secret", ("daq", "old"), "wants credentials, and those of daq were not enough: daqsched serve"),
        (403, "", ("daq", "x"), "does not let us read sandboxes, and those of daq were not enough: see its ACLs"),
        (500, "", None, "answers 500: a bug"),
    ],
)
def test_a_refusal_is_one_sentence(
    fake: FakeAgent, status: int, wants: str, credentials: Optional[tuple[str, str]], sentence: str
) -> None:
    """With what to do about it, and without the secret."""
    fake.status, fake.wants, fake.body = status, wants, b"a bug"
    with pytest.raises(Unreachable, match=f"the agent of hlt01 {sentence}") as caught:
        read(fake, credentials)
    assert "secret" not in str(caught.value) and "old" not in str(caught.value)


def test_an_agent_that_hangs_is_given_up_in_time(fake: FakeAgent, monkeypatch: pytest.MonkeyPatch) -> None:
    """And one that is not there at once."""
    monkeypatch.setattr(agents, "TIMEOUT_S", 0.2)
    fake.open.clear()
    with pytest.raises(Unreachable, match="the agent of hlt01 did not answer within 0.2 s"):
        read(fake)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nobody = Agent("S2", ("hlt02",), f"127.0.0.1:{free.getsockname()[1]}")
        with pytest.raises(Unreachable, match="the agent of hlt02 does not answer: "):
            ask(lambda asking: asking.tasks(nobody, "F"))


def test_only_our_own_framework_s_sandboxes_are_seen(fake: FakeAgent) -> None:
    """By the paths that an agent knows them by, whatever else it shows."""
    told: dict[str, Any] = {
        "/frameworks/F/executors/a@hlt01.1/runs/latest": "/work/x",
        "/frameworks/OTHER/executors/b@hlt01.1/runs/latest": "/work/y",
        "/work/frameworks/F/executors/c@hlt01.1/runs/latest": "/work/z",
        "/slave/log": "/var/log/mesos",
    }
    fake.body = json.dumps(told).encode()
    assert ask(lambda asking: asking.tasks(fake.agent, "F")) == ["a@hlt01.1"]


def test_the_master_knows_where_the_agents_are(fake: FakeAgent) -> None:
    """By the address that they registered with, and by both of their names."""
    fake.body = json.dumps(
        {
            "slaves": [
                {"id": "S1", "hostname": "node1", "pid": "slave(1)@10.0.0.1:5051", "attributes": {"hostname": "hlt01"}}
            ]
        }
    ).encode()
    found = ask(lambda asking: asking.registered(fake.address))
    assert found == {"S1": Agent("S1", ("node1", "hlt01"), "10.0.0.1:5051")}


@pytest.mark.parametrize(
    ("role", "cpus", "ports"),
    [
        ("*", 4.0, ((1, 9),)),
        ("daq", 5.5, ((1, 9), (21, 29))),
        ("daq/hlt", 7.5, ((1, 9), (21, 29))),
        ("web", 4.0, ((1, 9),)),
    ],
)
def test_what_is_free_is_what_a_framework_of_the_role_may_have(
    fake: FakeAgent, role: str, cpus: float, ports: tuple[tuple[int, int], ...]
) -> None:
    """What is anybody's, what is reserved for the role or one above it, and nothing that is in use or another's."""

    def some(amount: float, *role: str) -> dict[str, Any]:
        reserved = [{"type": "STATIC", "role": one} for one in role]
        return {"name": "cpus", "type": "SCALAR", "scalar": {"value": amount}, "role": "*", "reservations": reserved}

    def numbers(low: int, high: int, *role: str) -> dict[str, Any]:
        made = some(0, *role)
        del made["scalar"]
        return {**made, "name": "ports", "type": "RANGES", "ranges": {"range": [{"begin": low, "end": high}]}}

    slave = {
        "id": "S1",
        "hostname": "hlt01",
        "pid": "slave(1)@10.0.0.1:5051",
        "resources": {"cpus": 99.0},
        "unreserved_resources_full": [some(5), numbers(1, 9)],
        "reserved_resources_full": {
            "daq": [some(2, "daq"), numbers(20, 29, "daq")],
            "daq/hlt": [some(2, "daq", "daq/hlt")],
            "db": [some(50, "db")],
        },
        "used_resources_full": [some(1), some(0.5, "daq"), some(7, "db"), numbers(20, 20, "daq")],
    }
    fake.body = json.dumps({"slaves": [slave]}).encode()

    free = ask(lambda asking: asking.machines(fake.address), role=role)["hlt01"]
    assert (free.cpus, free.ports) == (cpus, ports)


def test_an_answer_that_is_not_understood_is_a_sentence_too(fake: FakeAgent) -> None:
    """No traceback for the crew."""
    fake.body = b"<html>"
    with pytest.raises(Unreachable, match="the agent of hlt01 gives an answer that is not understood"):
        read(fake)


def test_the_end_of_an_agents_own_log_is_read_in_a_bounded_number_of_pieces(fake: FakeAgent) -> None:
    """Where it shows one (slave.cpp: /slave/log); an agent that gives it in crumbs is not followed for ever."""
    fake.body = json.dumps({"data": "abc\xe9\n", "offset": 5}).encode()
    assert ask(lambda one: one.log(fake.agent, 100)) == b"abc\xe9\n"
    assert [found for _, found in fake.asked] == [
        {"path": ["/slave/log"], "offset": ["-1"]},
        {"path": ["/slave/log"], "offset": ["0"], "length": [str(agents.PIECE)]},
    ]
    fake.asked.clear()
    fake.body = json.dumps({"data": "x", "offset": 1 << 50}).encode()
    assert ask(lambda one: one.log(fake.agent, 3 * agents.PIECE)) == b"xxxx"
    assert len(fake.asked) == 5 and fake.asked[1][1]["offset"] == [str((1 << 50) - 3 * agents.PIECE)]
    fake.status = 404
    with pytest.raises(Unreachable, match="the agent of hlt01 keeps no log file"):
        ask(lambda one: one.log(fake.agent, 100))
