"""The smallest scheduler there is: launches payloads on hosts by daqsched-executor, and keeps what it is told."""

from __future__ import annotations

import base64
import getpass
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pymesos

from daqsched_executor.contract import Payload, Report

#: The command beside the interpreter that runs the tests.
EXECUTOR = str(Path(sys.executable).parent / "daqsched-executor")

Json = dict[str, Any]


class Launcher(pymesos.Scheduler):
    """A framework of its own at the cluster's master, with checkpoints."""

    def __init__(self, master: str) -> None:
        self.updates: list[Json] = []
        self._wanted: dict[str, Payload] = {}
        self._changed = threading.Condition()
        self._known = threading.Event()
        info = {
            "user": getpass.getuser(),
            "name": "executor tests",
            "checkpoint": True,
            "failover_timeout": 60.0,
            "capabilities": [{"type": "TASK_KILLING_STATE"}],
        }
        self._driver = pymesos.MesosSchedulerDriver(self, info, master, use_addict=False)
        self._driver.start()

    def launch(self, payload: Payload) -> None:
        """Start it on its host as soon as that offers itself."""
        with self._changed:
            self._wanted[payload.host] = payload
        # pymesos calls itself connected before it has read what the master calls us
        assert self._known.wait(30.0), "the master did not register us within 30 s"
        self._driver.reviveOffers()

    def kill(self, payload: Payload) -> None:
        """Order its end."""
        self._driver.killTask({"value": payload.task_id})

    def wait(self, state: str, contains: str = "", limit_s: float = 30.0) -> Json:
        """Wait for the first update with that state and words; the same one may come twice from Mesos."""
        end = time.monotonic() + limit_s
        with self._changed:
            while True:
                found = [one for one in self.updates if one["state"] == state and contains in one.get("message", "")]
                if found:
                    return found[0]
                told = [(one["state"], one.get("message", "")) for one in self.updates]
                assert self._changed.wait(max(0.0, end - time.monotonic())), f"no {state} {contains!r}: {told}"

    def running(self, contains: str = "") -> Report:
        """Wait for a TASK_RUNNING with these words."""
        return Report.from_json(base64.b64decode(self.wait("TASK_RUNNING", contains)["data"]))

    def end(self) -> None:
        """Leave the master, which ends all executors of this framework."""
        self._driver.stop()
        self._driver.join()

    # what pymesos calls, in its own thread

    def registered(self, driver: Any, framework_id: Json, master_info: Json) -> None:
        """The master knows us."""
        self._known.set()

    def resourceOffers(self, driver: Any, offers: list[Json]) -> None:
        """Launch what is wanted on a host, decline what is not."""
        for offer in offers:
            with self._changed:
                payload = self._wanted.pop(offer["hostname"], None)
            if payload is None:
                driver.declineOffer(offer["id"], {"refuse_seconds": 1.0})
            else:
                driver.launchTasks(offer["id"], [task_of(payload, offer)])

    def statusUpdate(self, driver: Any, status: Json) -> None:
        """Keep it."""
        with self._changed:
            self.updates.append(status)
            self._changed.notify_all()


def task_of(payload: Payload, offer: Json) -> Json:
    """A task with an executor of its own."""
    return {
        "task_id": {"value": payload.task_id},
        "agent_id": offer["agent_id"],
        "name": payload.instance,
        "resources": resources(0.1, 64),
        "data": base64.b64encode(payload.to_json()).decode(),
        "executor": {
            "type": "CUSTOM",
            "executor_id": {"value": payload.task_id},
            "resources": resources(0.1, 32),
            "command": {"shell": False, "value": EXECUTOR, "arguments": [EXECUTOR, "run"]},
        },
    }


def resources(cpus: float, mem: float) -> list[Json]:
    """A little of a machine."""
    return [{"name": n, "type": "SCALAR", "scalar": {"value": v}} for n, v in (("cpus", cpus), ("mem", mem))]
