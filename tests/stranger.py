"""A framework that is not ours: one task with words of its own choice on each agent, by the scheduler API's HTTP."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Mapping

#: How long the master may take for anything.
ANSWER_S = 30.0


class Stranger:
    """Subscribed; its connection is its life."""

    def __init__(self, address: str, info: Mapping[str, Any]) -> None:
        self._address = address
        self._events = http.client.HTTPConnection(address, timeout=ANSWER_S)
        self._stream = ""
        self.id = ""
        answer = self._post(self._events, {"type": "SUBSCRIBE", "subscribe": {"framework_info": info}})
        assert answer.status == 200, answer.read()
        self._stream = answer.headers["Mesos-Stream-Id"]
        self._answer = answer
        self.id = self.event("SUBSCRIBED")["framework_id"]["value"]

    def _post(self, connection: http.client.HTTPConnection, call: Mapping[str, Any]) -> http.client.HTTPResponse:
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if self._stream:
            headers["Mesos-Stream-Id"] = self._stream
        whole = dict(call, framework_id={"value": self.id}) if self.id else call
        connection.request("POST", "/api/v1/scheduler", json.dumps(whole), headers)
        return connection.getresponse()

    def call(self, kind: str, **body: Any) -> None:
        """One call, which the master takes."""
        connection = http.client.HTTPConnection(self._address, timeout=ANSWER_S)
        try:
            answer = self._post(connection, {"type": kind, **body})
            assert answer.status == 202, answer.read()
        finally:
            connection.close()

    def event(self, kind: str) -> dict[str, Any]:
        """The next one of this kind; others are passed over."""
        while True:
            size = int(self._answer.readline())
            found = json.loads(self._answer.read(size))
            if found["type"] == kind:
                body: dict[str, Any] = found.get(kind.lower(), {})
                return body

    def launch(self, task: Mapping[str, Any], command: str) -> str:
        """The task on the first machine that is offered, with an executor that is this shell command; the agent's id."""
        offer = self.event("OFFERS")["offers"][0]
        roles = {"allocation_info": {"role": "*"}}
        given = [{"name": "cpus", "type": "SCALAR", "scalar": {"value": 0.1}, **roles}]
        given += [{"name": "mem", "type": "SCALAR", "scalar": {"value": 32.0}, **roles}]
        executor = {"type": "CUSTOM", "executor_id": task["task_id"], "command": {"value": command, "shell": True}}
        info = {**task, "agent_id": offer["agent_id"], "resources": given, "executor": {**executor, "resources": given}}
        operations = [{"type": "LAUNCH", "launch": {"task_infos": [info]}}]
        self.call("ACCEPT", accept={"offer_ids": [offer["id"]], "operations": operations})
        found: str = offer["agent_id"]["value"]
        return found

    def end(self) -> None:
        """The framework and its tasks."""
        self.call("TEARDOWN")
        self._events.close()


@contextmanager
def stranger(address: str, **info: Any) -> Iterator[Stranger]:
    """One at the master HOST:PORT, torn down whatever happens."""
    made = Stranger(
        address, {"user": "root", "name": "stranger", "roles": ["*"], "capabilities": [{"type": "MULTI_ROLE"}], **info}
    )
    try:
        yield made
    finally:
        made.end()
