"""A right that is taken away, or what proved who somebody is, ends what is under way within five seconds, at every door."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from functools import partial
from pathlib import Path
from typing import Any, Callable, Optional

import httpx
import pytest
from starlette.requests import Request

from builders import job
from daqsched import passwords
from daqsched.engine import events
from daqsched.serve import accounts, http, rights_in_force, standby
from daqsched.serve import callers as callers_module
from daqsched.serve.accounts import Accounts
from daqsched.serve.ingress import WebPort
from daqsched.serve.peer_token import PeerToken
from daqsched.serve.rights_in_force import RightsInForce
from daqsched.serve.serving import Serving
from daqsched.serve.standby import Standby
from daqsched.serve.web_certificate import WebCertificate
from daqsched.spec import Spec
from daqsched.store.coordination import Card
from peers import identity
from waiting import until
from webport import WebServe, cheap_passwords

RULES = """
version: 1
rules:
  - {to: ["token:viewer", "password:alice"], role: viewer}
"""


class Streams:
    """A leader and a standby, each with a web port."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "passwords"
        passwords.write(self.file, "alice", "correct horse")
        own = identity(folder / "peers.pem")
        self.web = WebServe(folder, RULES, self.file, peers=("127.0.0.1", 0), identity=own)
        self.web.serve.daemon.put(events.Registered("fw", "m:5050"))
        self.web.serve.client.apply(Spec(jobs=(job(),)))
        standby = Standby(own, "ctl2 (pid 9)")
        standby.leader = Card("ctl1", self.web.serving.address, self.web.serving.token)
        self._rights = RightsInForce(folder / "rights.yaml")
        self._certificate = WebCertificate(self.web.certificate, self.web.key)
        port = WebPort(("127.0.0.1", 0), self._certificate)
        self.standby = Serving(folder / "standby", "", standby, rights=self._rights, web=port, ended=standby.close)
        self.urls = {"leader": self.web.url, "standby": f"https://{self.standby.web_address}"}

    def log_in(self, where: str) -> httpx.Client:
        http = self.web.through(self.urls[where], None, **{"content-type": "application/json"})
        found = http.post("/v1/login", json={"name": "alice", "password": "correct horse"})
        assert found.status_code == 200, found.text
        return http

    def rights_are(self, word: str) -> bool:
        """Whether both have read of it."""
        return all(word in str(one.rights) for one in (self.web.rights, self._rights))

    def close(self) -> None:
        self.standby.close()
        self._rights.close()
        self._certificate.close()
        self.web.close()


@pytest.fixture
def streams(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Streams]:
    cheap_passwords(monkeypatch)
    made = Streams(tmp_path)
    yield made
    made.close()


def ends(http: httpx.Client, take_away: Callable[[], object]) -> int:
    """What a long poll of 30 s is answered after that; one that ends by itself fails."""

    def waits() -> httpx.Response:
        while True:  # as a command does, which asks again when something else has changed
            version = http.get("/v1/progress").json()["progress"]["version"]
            found = http.get(f"/v1/progress?seen={version}&wait_s=30")
            if found.status_code != 200:
                return found

    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(waits)
        time.sleep(0.5)  # it has begun to wait, or begins: the answer is the same
        take_away()
        try:
            return waiting.result(20).status_code
        except KeyError:  # refused already before it waited
            return 401


@pytest.mark.parametrize("where", ["leader", "standby"])
def test_a_right_that_is_taken_away_ends_a_long_poll(streams: Streams, where: str) -> None:
    """By the file; nothing of the farm changes with it, so nobody is woken by that."""
    http = streams.web.through(streams.urls[where], streams.web.token("viewer"))
    status = ends(http, lambda: (streams.web.folder / "rights.yaml").write_text("version: 1\nrules: []\n"))
    assert status == 403


@pytest.mark.parametrize("where", ["leader", "standby"])
def test_a_token_that_is_revoked_or_expires_ends_a_long_poll(streams: Streams, where: str) -> None:
    """Whoever stole it sees nothing more."""
    http = streams.web.through(streams.urls[where], streams.web.token("viewer"))
    status = ends(http, lambda: streams.web.serve.client.revoke_token("viewer"))
    assert status == 401
    http = streams.web.through(streams.urls[where], streams.web.token("viewer", seconds=1.5))
    status = ends(http, lambda: None)
    assert status == 401


@pytest.mark.parametrize("where", ["leader", "standby"])
def test_a_session_that_ends_with_its_password_ends_a_long_poll(streams: Streams, where: str) -> None:
    """Of everybody who has the cookie."""
    http = streams.log_in(where)
    status = ends(http, lambda: passwords.write(streams.file, "alice", "battery staple"))
    assert status == 401


def test_what_is_waited_for_until_a_right_has_ended_is_less_than_five_seconds() -> None:
    """One after the other, at worst; what a busy machine makes of that no test can say."""
    leader = http.RIGHTS_S
    assert rights_in_force.LOOK_S + leader < 5
    # a leader that is told who somebody is by now, and hears nothing, is waited for as long as it would take to look
    # the look that finds what the directory said to be old has it asked anew, the next one hears of it
    assert accounts.FRESH_S + 2 * leader < 5
    assert accounts.FRESH_S + 2 * (standby.WHO_S + standby.LOOK_S) + leader < 5


class Bob:
    """An account that asks through the socket of either, and is in groups as `groups` says; nobody knows them where it is None."""

    def __init__(self, streams: Streams, where: str, rules: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(callers_module, "is_owner", lambda uid: False)
        (streams.web.folder / "rights.yaml").write_text(f"version: 1\nrules: {rules}\n")
        until(lambda: streams.rights_are("unix-group:shift"), "the group has a rule")
        self.groups: Optional[tuple[str, ...]] = ("shift",)
        self.is_leader = where == "leader"
        serving = streams.web.serving if self.is_leader else streams.standby

        def look(uid: int) -> tuple[str, ...]:
            if self.groups is None:
                raise OSError("away")
            return self.groups

        serving._ingress._callers.accounts = self._accounts = Accounts(lambda uid: "bob", look)
        socket = streams.web.folder / ("door" if self.is_leader else "standby")
        #: What was asked of the leader on his behalf, where that was a standby.
        self.asked: list[str] = []
        ask, asked = Standby._ask, self.asked

        async def noted(self: Standby, leader: Card, request: Request, *rest: Any, **more: Any) -> httpx.Response:
            asked.append(request.scope["path"])
            return await ask(self, leader, request, *rest, **more)

        monkeypatch.setattr(Standby, "_ask", noted)
        transport = httpx.HTTPTransport(uds=str(socket), verify=False)
        self.http = httpx.Client(transport=transport, base_url="http://d", timeout=40)

    def forget(self) -> None:
        """What the directory has said until now."""
        self._accounts._groups.known.clear()


@pytest.mark.parametrize("where", ["leader", "standby"])
def test_who_is_out_of_a_group_sees_no_more_of_a_stream(
    streams: Streams, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a stream of events over the socket, which goes on for ten minutes."""
    bob = Bob(streams, where, "[{to: unix-group:shift, role: viewer}]", monkeypatch)
    began, ended = threading.Event(), threading.Event()

    def read(http: httpx.Client) -> None:
        with http.stream("GET", "/v1/events?topics=farm") as found:
            assert found.status_code == 200, found.read()
            for _ in found.iter_raw():
                began.set()
        ended.set()

    with bob.http as http:
        with ThreadPoolExecutor(1) as pool:
            reading = pool.submit(read, http)
            assert began.wait(10)
            assert not ended.wait(3), "it goes on while nothing changes"
            bob.groups = ("other",)
            assert ended.wait(20), "and ends, long before its ten minutes"
            reading.result(10)
        assert http.get("/v1/status").status_code == 403


#: What another group gives in the place of the first, and whether that is the same to who watches.
OTHERS: dict[str, tuple[str, bool]] = {
    "the same role": ("{to: unix-group:crew, role: viewer, on: ['readout*']}", True),
    "another role, of the same": ("{to: unix-group:crew, role: expert, on: 'readout*'}", True),
    "of others": ("{to: unix-group:crew, role: viewer, on: ['evb*']}", False),
    "not of all of them": (
        "{to: unix-group:crew, role: viewer, on: ['readout*']}, {to: unix-group:crew, deny: [see], on: ['readout_1']}", False
    ),
    "with a deny of something else": (
        "{to: unix-group:crew, role: viewer, on: ['readout*']}, {to: unix-group:crew, deny: [stop], on: ['readout_1']}", True
    ),
}  # fmt: skip


@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize("where", ["leader", "standby"])
def test_a_stream_goes_on_in_another_group_that_gives_the_same(
    streams: Streams, where: str, other: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And ends by itself, with a reset, where it gives something else to see."""
    gives, same = OTHERS[other]
    rules = f"[{{to: unix-group:shift, role: viewer, on: ['readout*']}}, {gives}]"
    bob = Bob(streams, where, rules, monkeypatch)
    began, ended = threading.Event(), threading.Event()
    told: list[bytes] = []

    def read(http: httpx.Client) -> None:
        with http.stream("GET", "/v1/events") as found:
            assert found.status_code == 200, found.read()
            for piece in found.iter_raw():
                told.append(piece)
                began.set()
        ended.set()

    with bob.http as http, ThreadPoolExecutor(1) as pool:
        board = http.get("/v1/board").json()
        since = f"{board['epoch']}.{board['v']}"
        http.params = {"since": since}
        reading = pool.submit(read, http)
        assert began.wait(10)
        bob.groups = ("crew",)
        if same:
            assert not ended.wait(6), told
            version = len(told)
            streams.web.serve.client.stop(["readout"])
            until(lambda: len(told) > version, "what changes is told")
            assert b"reset" not in b"".join(told)
            bob.groups = ("other",)
        assert ended.wait(20), "it ends, long before its ten minutes"
        reading.result(10)
    assert b"reset" in b"".join(told)


@pytest.mark.parametrize("where", ["leader", "standby"])
def test_who_is_out_of_a_group_is_told_so_while_a_long_poll_waits(
    streams: Streams, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over the socket of either; who comes into another group that may, waits on where he was and is answered."""
    bob = Bob(streams, where, "[{to: [unix-group:shift, unix-group:crew], role: viewer}]", monkeypatch)
    with bob.http as http:
        version = http.get("/v1/progress").json()["progress"]["version"]
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(http.get, f"/v1/progress?seen={version}&wait_s=6")
            with pytest.raises(FutureTimeout):
                waiting.result(1)
            bob.groups = ("crew",)
            if not bob.is_leader:
                until(lambda: "/v1/rights" in bob.asked, "the leader is told", 20)
            assert waiting.result(30).status_code == 200, "who may by another group waits on"
        if not bob.is_leader:
            assert sorted(bob.asked) == [*["/v1/progress"] * 2, "/v1/rights"], "once, and told of the other group"
        status = ends(http, lambda: setattr(bob, "groups", ("other",)))
        assert status == 403


def test_a_doubt_about_groups_that_goes_begins_no_long_poll_anew(
    streams: Streams, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor one that comes: the leader is told of both, and each denies what it denies."""
    rules = "[{to: unix:bob, role: viewer}, {to: unix-group:shift, role: viewer}]"
    bob = Bob(streams, "standby", rules, monkeypatch)
    with bob.http as http, ThreadPoolExecutor(1) as pool:
        version = http.get("/v1/progress").json()["progress"]["version"]
        del bob.asked[:]
        waiting = pool.submit(http.get, f"/v1/progress?seen={version}&wait_s=30")
        until(lambda: bob.asked == ["/v1/progress"], "he waits")

        def told(times: int) -> bool:
            return bob.asked[1:] == ["/v1/rights"] * times

        for number, groups in enumerate([None, ("shift",)], 1):
            bob.groups = groups
            bob.forget()
            until(partial(told, number), "the leader is told")
        streams.web.serve.client.stop(["readout"])
        assert waiting.result(30).status_code == 200 and bob.asked.count("/v1/progress") == 1


@pytest.mark.parametrize("knows", [True, False], ids=["", "older leader"])
def test_a_change_that_waits_for_the_engine_is_judged_by_the_groups_of_then(
    streams: Streams, monkeypatch: pytest.MonkeyPatch, knows: bool
) -> None:
    """Also of who asked through a standby; a leader of a version before hears nothing of it, and does it once."""
    bob = Bob(streams, "standby", "[{to: unix-group:shift, role: expert}]", monkeypatch)
    gate, engine = threading.Event(), streams.web.serve.daemon
    if not knows:
        monkeypatch.setattr(PeerToken, "header", property(lambda word: "x-other" if word.renews else "x-daqsched-word"))
    with bob.http as http, ThreadPoolExecutor(1) as pool:
        assert http.get("/v1/status").status_code == 200
        held = engine.ask(lambda engine, now: gate.wait(30))
        del bob.asked[:]
        stopping = pool.submit(http.post, "/v1/stop", json={"select": ["readout"]})
        until(lambda: bob.asked == ["/v1/stop"], "he waits")
        bob.groups = ("other",)
        until(lambda: "/v1/rights" in bob.asked, "the leader is told")
        with pytest.raises(FutureTimeout):
            stopping.result(0.5)
        gate.set()
        held.result(10)
        found = stopping.result(20)
    assert found.status_code == (403 if knows else 200), found.text
    assert bob.asked.count("/v1/stop") == 1


def test_what_a_directory_said_is_believed_while_it_is_away() -> None:
    """For a minute, and asked for anew meanwhile; who is in a group no more is so with the next answer."""
    asked: list[int] = []
    answers: list[object] = [("shift",), OSError("away"), KeyError("away"), ("other",)]

    def look(uid: int) -> tuple[str, ...]:
        asked.append(uid)
        found = answers[min(len(asked), len(answers)) - 1]
        if isinstance(found, Exception):
            raise found
        assert isinstance(found, tuple)
        return found

    async def run() -> None:
        accounts = Accounts(lambda uid: "bob", look)
        groups = accounts._groups
        for number, wanted in enumerate([("shift",), ("shift",), ("shift",), ("shift",), ("other",)]):
            assert (await accounts.account(7)) == ("bob", wanted, False)
            while groups._asked:
                await asyncio.sleep(0.01)
            known = groups.known[7]
            assert len(asked) == min(number + 1, 4) or number == 4, asked
            groups.known[7] = known._replace(fresh=0.0)

    asyncio.run(run())
    assert len(asked) >= 4


def test_a_change_that_waits_for_its_turn_is_judged_when_it_comes(streams: Streams) -> None:
    """By the rights of that moment, and not by those of its beginning."""
    web = streams.web
    before = web.rights.version
    (web.folder / "rights.yaml").write_text("version: 1\nrules: [{to: token:expert, role: expert}]\n")
    until(lambda: web.rights.version != before, "the expert has a rule")
    http = web.http(web.token("expert"), **{"content-type": "application/json"})
    spec = {"spec": {"jobs": [{"name": "readout", "argv": ["/bin/true"], "hosts": ["hlt01"], "release": "2"}]}}
    assert http.post("/v1/plan", json=spec).status_code == 200
    entered, gate = streams.web.serve.daemon, list[bool]()

    def hold(engine: object, now: float) -> None:
        last = time.monotonic() + 10
        while not gate and time.monotonic() < last:
            time.sleep(0.01)

    with ThreadPoolExecutor(1) as pool:
        held = entered.ask(hold)
        applying = pool.submit(lambda: http.post("/v1/apply", json={**spec, "no_look": True}))
        time.sleep(0.3)
        version = web.rights.version
        (web.folder / "rights.yaml").write_text("version: 1\nrules: []\n")
        until(lambda: web.rights.version != version, "and none any more")
        gate.append(True)
        held.result(10)
        found = applying.result(20)
    assert found.status_code == 403 and found.json()["code"] == "no-right", found.text
