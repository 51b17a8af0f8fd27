"""Masters that lie, and agents and executors whose words they pass on: what is not understood is left out, and ends nothing."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kazoo.client import KazooClient

from daqsched.engine import events
from daqsched.mesos import driver
from fake_master import Act, Link, Master, status, subscribed
from waiting import until
from zoo import Zoo

OFFER: dict[str, Any] = {
    "id": {"value": "o"},
    "agent_id": {"value": "a"},
    "hostname": "hlt01",
    "resources": [
        {"name": "cpus", "type": "SCALAR", "scalar": {"value": 8}},
        {"name": "ports", "type": "RANGES", "ranges": {"range": [{"begin": 31000, "end": 31005}]}},
    ],
    "attributes": [{"name": "rack", "type": "TEXT", "text": {"value": "r1"}}],
}
UPDATE: dict[str, Any] = {
    "task_id": {"value": "a@hlt01.x"},
    "agent_id": {"value": "a"},
    "state": "TASK_RUNNING",
    "data": "e30=",
    "uuid": "dQ==",
    "message": "m",
}
HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nMesos-Stream-Id: 1\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def record(event: object) -> bytes:
    """An event as it is sent; bytes are sent as they are."""
    data = event if isinstance(event, bytes) else json.dumps(event).encode()
    return chunk(b"%d\n%s" % (len(data), data))


def offers(*which: object) -> bytes:
    return record({"type": "OFFERS", "offers": {"offers": which}})


def update(**fields: object) -> bytes:
    return record({"type": "UPDATE", "update": {"status": {**UPDATE, **fields}}})


def hello(**fields: object) -> bytes:
    """The first event of a subscription."""
    return HEAD + record({"type": "SUBSCRIBED", "subscribed": {"framework_id": {"value": "F"}, **fields}})


def sent(data: bytes) -> Act:
    """Say this, and stay."""
    return lambda one: one.sendall(data)


@pytest.fixture(autouse=True)
def _quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "_RETRY_MOST_S", 0.2)


@pytest.fixture
def master() -> Iterator[Master]:
    """One that a test gives its acts."""
    made = Master()
    yield made
    made.end()


LEFT_OUT = {
    "no JSON": record(b"nonsense"),
    "nothing": chunk(b"0\n"),
    "null": record(None),
    "a list": record([1]),
    "a type that is none": record({"type": 5}),
    "a type of tomorrow": record({"type": "TOMORROW", "tomorrow": 1}),
    "nested": record(b'{"type":"UPDATE","update":' + b"[" * 50_000 + b"]" * 50_000 + b"}"),
    "no offers": record({"type": "OFFERS", "offers": None}),
    "cores in words": offers({**OFFER, "resources": [{"name": "cpus", "scalar": {"value": "x"}}]}),
    "cores without end": record(json.dumps({"type": "OFFERS", "offers": {"offers": [OFFER]}}).replace("8}", "1e999}").encode()),
    "a host that is a number": offers({**OFFER, "hostname": 5}),
    "a host of a megabyte": offers({**OFFER, "hostname": "h" * 1_000_000}),
    "an attribute that is a list": offers({**OFFER, "attributes": [{"name": "r", "type": "TEXT", "text": {"value": []}}]}),
    "an offer without an id": offers({**OFFER, "id": None}),
    "no task": update(task_id=None),
    "a task that is a list": update(task_id={"value": []}),
    "a state that is a list": update(state=[]),
    "data that is no base64": update(data="!"),
    "no status": record({"type": "UPDATE", "update": None}),
    "half a character": record(b'{"type":"UPDATE","update":{"status":{"task_id":{"value":"\\ud800"},"state":"x"}}}'),
    "a message for nobody": record({"type": "MESSAGE", "message": {}}),
    "inverse offers": record({"type": "INVERSE_OFFERS", "inverse_offers": {"inverse_offers": [5]}}),
}  # fmt: skip


@pytest.mark.parametrize("lie", LEFT_OUT.values(), ids=LEFT_OUT)
def test_what_is_not_understood_is_left_out_and_the_next_event_is_heard(master: Master, lie: bytes) -> None:
    """On the same connection."""
    master.acts = [sent(subscribed() + lie + offers(OFFER))]
    link = Link(master.address)
    try:
        link.next(events.OffersArrived)
    finally:
        link.mesos.stop()
    assert master.subscriptions == 1


NO_SUBSCRIPTION = {
    "no length": HEAD + chunk(b"-5\n{}"),
    "a length of a thousand digits": HEAD + chunk(b"9" * 1000 + b"\n"),
    "no framework": HEAD + record({"type": "SUBSCRIBED", "subscribed": {}}),
    "a framework that is a number": hello(framework_id={"value": 5}),
    "a framework without a name": hello(framework_id={"value": ""}),
    "a framework of a megabyte": hello(framework_id={"value": "f" * 1_000_000}),
    "a heartbeat in words": hello(heartbeat_interval_seconds="soon"),
    "no chunk": HEAD + b"zz\r\n",
    "no chunks at all": status(200, "x"),
    "elsewhere without a place": status(307),
    "elsewhere without a port": status(307, head="Location: //evil/api\r\n"),
    "elsewhere in brackets": status(307, head="Location: //[::1]:5050/api\r\n"),
    "elsewhere in half a bracket": status(307, head="Location: //[::1/\r\n"),
    "elsewhere at a port that is none": status(307, head="Location: //127.0.0.1:99999/\r\n"),
    "elsewhere at a name that is none": status(307, head="Location: //a..b:5050/\r\n"),
}


@pytest.mark.parametrize("lie", NO_SUBSCRIPTION.values(), ids=NO_SUBSCRIPTION)
def test_who_gives_no_subscription_is_asked_again(master: Master, lie: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """One sentence says why."""
    master.acts = [sent(lie)]
    link = Link(master.address)
    try:
        with caplog.at_level(logging.WARNING):
            link.next(events.Registered)
    finally:
        link.mesos.stop()
    said = [one.getMessage() for one in caplog.records if one.name.startswith("daqsched.mesos")]
    assert said and len("".join(said)) < 1500


def test_a_master_of_another_cluster_does_not_rename_the_framework(master: Master) -> None:
    """Its tasks would run on with nobody to look after them."""
    master.acts = [sent(hello()), sent(hello(framework_id={"value": "G"}))]
    link = Link(master.address)
    try:
        link.next(events.Registered)
        link.mesos._driver.doubt("a test")
        link.next(events.Disconnected)
        link.next(events.Registered)
        assert master.subscriptions == 3 and link.mesos._driver.framework_id == "F"
    finally:
        link.mesos.stop()


def test_what_is_no_text_is_told_all_the_same(master: Master) -> None:
    """An executor may put any bytes into its message: the update must be acknowledged, else it comes for ever."""
    raw = json.dumps({"type": "UPDATE", "update": {"status": UPDATE}}).encode().replace(b'"m"', b'"\xff\xed\xa0\x80"')
    master.acts = [sent(subscribed() + record(raw) + update(message="x" * 1_000_000))]
    link = Link(master.address)
    try:
        found = [
            one for one in (link.events.get(timeout=20.0) for _ in range(3)) if isinstance(one, events.TaskReported)
        ]
    finally:
        link.mesos.stop()
    assert found[0].uuid == "dQ==" and found[0].message.startswith("\ufffd")
    assert len(found[1].message) < 5000


@pytest.mark.parametrize("heartbeat_s", [-5, 0, 1e300])
def test_a_heartbeat_that_is_none_is_not_believed(master: Master, heartbeat_s: float) -> None:
    """Neither is a master given up at once for it, nor never."""
    master.acts = [sent(hello(heartbeat_interval_seconds=heartbeat_s))]
    link = Link(master.address)
    try:
        link.next(events.Registered)
        assert link.mesos._driver.patience_s == 60.0
    finally:
        link.mesos.stop()


@pytest.mark.parametrize(
    "version", [b'{"version": 5}', b'{"version": "1.12.0-rc1"}', b"[]", b"\xff", b'{"version": "x"}']
)
def test_no_version_of_a_master_ends_anything(master: Master, version: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor one that never comes to its end."""
    monkeypatch.setattr(Master, "version", b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(version), version))
    link = Link(master.address)
    try:
        link.next(events.Registered)
    finally:
        link.mesos.stop()
    assert link.mesos._driver.version in (None, "1.12.0")


def looked_at(link: Link) -> str:
    """The node that is taken for the leading master's."""
    return getattr(link.mesos._driver.detector, "masterSeq", None) or ""


def wait_for_look(link: Link, node: str) -> None:
    """Wait until it looks at this one."""
    until(lambda: looked_at(link) == node, "it is looked at")


def test_what_others_put_beside_the_masters_in_zookeeper_leads_nowhere(master: Master, tmp_path: Path) -> None:
    """Mesos' own nodes are open to all; an address that is none is told, and the next master is found."""
    zoo = Zoo(tmp_path)
    client = KazooClient(zoo.servers)
    host, _, port = master.address.partition(":")
    try:
        client.start()
        client.ensure_path("/mesos")
        client.create("/mesos/a", b"\xff")
        lies = [
            {"ip": {"a": 1}, "port": 1},
            {"ip": "a:b", "port": 1},
            {"ip": "127.0.0.1", "port": "x"},
            {"ip": "a", "port": 10**9},
        ]
        nodes = [
            client.create("/mesos/json.info_", json.dumps({"address": lie}).encode(), sequence=True) for lie in lies
        ]
        link = Link(f"zk://{zoo.servers}/mesos")
        try:
            for node in nodes:
                wait_for_look(link, node.rpartition("/")[2])
                client.delete(node)
            client.create(
                "/mesos/json.info_", json.dumps({"address": {"ip": host, "port": int(port)}}).encode(), sequence=True
            )
            link.next(events.Registered)
        finally:
            link.mesos.stop()
    finally:
        client.stop()
        client.close()
        zoo.kill()
