"""A farm of which most people see a part alone, asked without sockets."""

from __future__ import annotations

from typing import Any, Optional

import msgspec

from builders import job, offer
from daqsched import protocol
from daqsched.engine import events
from daqsched.rights.rules import read
from daqsched.spec import JobSpec, Spec
from direct import Direct

RIGHTS = read(
    """
version: 1
rules:
  - {to: unix-group:adm, role: admin}
  - {to: unix-group:viewer, role: viewer, owner: daq}
  - {to: unix-group:alice, role: expert, owner: daq}
  - {to: unix-group:carol, role: expert, owner: calo}
  - {to: unix-group:all, role: expert}
  - {to: unix-group:all, deny: ["*"], owner: secretcorp}
  - {to: unix-group:blind, role: admin}
  - {to: unix-group:blind, deny: [see], on: ["sc_*"]}
""",
    "rights.yaml",
)

MINE, HIDDEN = job("readout", "hlt01", owner="daq"), job("sc_p", "schost", owner="secretcorp")


class Farm:
    """Of a job that is daq's and several that are hidden, all of which run."""

    def __init__(self) -> None:
        self.direct = Direct(RIGHTS)
        self.daemon = self.direct.daemon

    async def begin(self, more: int = 0) -> Farm:
        self.daemon.put(events.Registered("fw", "m:5050"))
        hidden = (HIDDEN, *(job(f"sc_{number}", "schost", owner="secretcorp") for number in range(more)))
        assert (await self.apply("adm", (MINE, *hidden))).status == 200
        for host in ("hlt01", "schost"):
            self.daemon.put(events.OffersArrived((offer(host, id=host, cpus=64.0, mem=99999.0),)))
        for task in self.daemon.edge.launched:
            host = task.rpartition(".")[0].partition("@")[2]
            self.daemon.put(events.TaskReported(task, f"agent-{host}", "TASK_RUNNING", uuid=task))
        return self

    async def ask(self, who: str, method: str, path: str, body: Any = None, query: str = "") -> Any:
        content = msgspec.json.encode(body) if body is not None else b""
        return await self.direct.ask(self.direct.caller(f"unix-group:{who}"), method, path, query.encode(), content)

    async def apply(self, who: str, jobs: tuple[JobSpec, ...], only: Optional[list[str]] = None) -> Any:
        asked = protocol.ApplyRequest(Spec(jobs=jobs), "go", True, only=only or [], stops=99, no_look=True)
        return await self.ask(who, "POST", "/apply", asked)
