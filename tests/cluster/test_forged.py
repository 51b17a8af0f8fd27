"""Who speaks for an executor: its agent knows it by a token, and refuses everybody else."""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import json
import struct
import time
import uuid
from pathlib import Path
from typing import Any, Callable, Union

import pytest

from daqcluster import Cluster
from daqsched_executor.contract import Payload
from farm import Farm
from launcher import Launcher
from waiting import alive, parent_of, until

HOST = "hlt01"
TOKEN = "MESOS_EXECUTOR_AUTHENTICATION_TOKEN"


def forge(port: int, framework: str, task: str, token: str = "") -> int:
    """Tell the agent, as whoever reaches its port can, that a task has failed; its answer's status."""
    status = {
        "task_id": {"value": task},
        "executor_id": {"value": task},
        "state": "TASK_FAILED",
        "source": "SOURCE_EXECUTOR",
        "message": "forged",
        "timestamp": time.time(),
        "uuid": base64.b64encode(uuid.uuid4().bytes).decode(),
    }
    body = {
        "type": "UPDATE",
        "framework_id": {"value": framework},
        "executor_id": {"value": task},
        "update": {"status": status},
    }
    headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {token}"} if token else {})}
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10.0)
    try:
        connection.request("POST", "/api/v1/executor", json.dumps(body), headers)
        return connection.getresponse().status
    finally:
        connection.close()


def signed(key: bytes, **claims: str) -> str:
    """A token (RFC 7519) with these claims."""
    parts = [
        base64.urlsafe_b64encode(json.dumps(one).encode()).rstrip(b"=")
        for one in ({"alg": "HS256", "typ": "JWT"}, claims)
    ]
    made = hmac.new(key, b".".join(parts), hashlib.sha256).digest()
    return b".".join([*parts, base64.urlsafe_b64encode(made).rstrip(b"=")]).decode()


def words(path: str) -> dict[str, str]:
    """An environment as /proc shows it."""
    return dict(one.split("=", 1) for one in Path(path).read_text().split("\0") if "=" in one)


def test_an_agent_takes_an_executors_word_from_the_executor_alone(cluster: Cluster) -> None:
    """Without a token, with one that is not signed by the agent, with another executor's: refused, and the program runs on.
    Neither the program nor whoever looks into the executor's environment finds the token."""
    launcher = Launcher(cluster.master_url)
    try:
        job = Payload(f"probe@{HOST}.t", "probe", HOST, ("/bin/sleep", "1000"))
        launcher.launch(job)
        report = launcher.running()
        assert report.authenticated is True
        executor = parent_of(report.pid)
        port, framework = cluster.members[HOST].port, words(f"/proc/{executor}/environ")["MESOS_FRAMEWORK_ID"]
        key = (Path(cluster.members[HOST].extra["work_dir"]) / "executors.key").read_bytes()
        assert forge(port, framework, job.task_id) == 401
        assert forge(port, framework, job.task_id, signed(b"guessed", fid=framework, eid=job.task_id, cid="c")) == 401
        assert forge(port, framework, job.task_id, signed(key, fid=framework, eid="other", cid="c")) == 403
        found = words(f"/proc/{executor}/environ")
        assert set(found[TOKEN]) == {"x"} and TOKEN not in words(f"/proc/{report.pid}/environ")
        launcher.kill(job)
        assert "forged" not in launcher.wait("TASK_KILLED")["message"]
        assert all("forged" not in one.get("message", "") for one in launcher.updates)
        until(lambda: not alive(executor), "the executor left")
    finally:
        launcher.end()


@pytest.mark.parametrize("tokens", [False, True])
def test_that_executors_are_not_authenticated_is_said_once(
    fresh_cluster: Callable[..., Cluster], tmp_path: Path, tokens: bool
) -> None:
    """In the daemon's log, with what to do, and in `status --json` by host; not where they are."""
    cluster = fresh_cluster(agents=2, tokens=tokens)
    farm = Farm(tmp_path / "farm", cluster.master_url)
    farm.serve()
    try:
        farm.apply('jobs = [Job("idle", "/bin/sleep 1000", hosts="hlt[01-02]")]')
        said = [line for line in farm.log().splitlines() if "executors are not authenticated" in line]
        assert len(said) == (0 if tokens else 1)
        assert all("--authenticate_http_executors" in line for line in said)
        found: dict[str, Any] = farm.status()
        assert found["unauthenticated"] == ([] if tokens else ["hlt01", "hlt02"])
    finally:
        farm.clear()


#: Of a field.
Value = Union[bytes, str, int, float]


def field(number: int, value: Value) -> bytes:
    """One field in the wire format of protocol buffers."""
    if isinstance(value, int):
        return bytes((number << 3, value))
    if isinstance(value, float):
        return bytes((number << 3 | 1,)) + struct.pack("<d", value)
    data = value.encode() if isinstance(value, str) else value
    size = len(data)
    return bytes((number << 3 | 2, *((size & 127 | 128, size >> 7) if size > 127 else (size,)))) + data


def test_the_older_protocol_of_agents_knows_no_tokens(cluster: Cluster) -> None:
    """What Mesos leaves open, and why the port has to be behind a firewall: a message of libprocess is believed."""
    launcher = Launcher(cluster.master_url)
    try:
        job = Payload(f"probe@{HOST}.v0", "probe", HOST, ("/bin/sleep", "1000"))
        launcher.launch(job)
        found = words(f"/proc/{parent_of(launcher.running().pid)}/environ")
        framework, agent, made = found["MESOS_FRAMEWORK_ID"], found["MESOS_SLAVE_ID"], uuid.uuid4().bytes
        # mesos.proto: TaskStatus, StatusUpdate, StatusUpdateMessage
        failed, by_executor = 3, 2
        status: list[tuple[int, Value]] = [
            (1, field(1, job.task_id)),
            (2, failed),
            (4, "forged"),
            (5, field(1, agent)),
            (6, time.time()),
        ]
        status += [(7, field(1, job.task_id)), (9, by_executor), (11, made)]
        inner = b"".join(field(*one) for one in status)
        update: list[tuple[int, Value]] = [
            (1, field(1, framework)),
            (2, field(1, job.task_id)),
            (3, field(1, agent)),
            (4, inner),
        ]
        body = field(1, b"".join(field(*one) for one in [*update, (5, time.time()), (6, made)])) + field(2, "")
        headers = {"Libprocess-From": "forger(1)@127.0.0.1:9", "User-Agent": "libprocess/forger(1)@127.0.0.1:9"}
        connection = http.client.HTTPConnection("127.0.0.1", cluster.members[HOST].port, timeout=10.0)
        try:
            connection.request("POST", "/slave(1)/mesos.internal.StatusUpdateMessage", body, headers)
            assert connection.getresponse().status == 202
        finally:
            connection.close()
        assert launcher.wait("TASK_FAILED")["message"] == "forged"
    finally:
        launcher.end()
