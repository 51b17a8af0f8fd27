"""The driver: pymesos' callbacks become events, commands become calls of the v1 scheduler API.

What had to be known of pymesos 0.3.15 (see docs/design/pymesos.md): its callbacks run on its own I/O thread, where an
exception ends the framework, so they only put events into a queue; its calls return in silence while disconnected, so
`Mesos.perform` sends every call through `_call`, which does not; and it tears the framework down when it ends
unless told that a failover is meant, so it is told so from the start.
"""

from __future__ import annotations

import getpass
import json
import logging
import socket
import threading
from base64 import b64encode
from typing import Any, Callable, Mapping, Sequence

import pymesos
import pymesos.process

from daqsched.engine import commands, events
from daqsched.errors import DaqschedError
from daqsched.mesos.credentials import read_credentials
from daqsched.mesos.incoming import OfferMessage, event_of, offer_of, report_of
from daqsched.mesos.outgoing import Framework, ids, survey_info, task_info

logger = logging.getLogger(__name__)

# pymesos hangs a handler of its own onto its logger, which would say everything twice
for _handler in list(pymesos.logger.handlers):
    pymesos.logger.removeHandler(_handler)


class _Json:
    """In the place of the library's module within pymesos, which asks it for nothing but ``loads`` and ``dumps``: a master of
    ten thousand agents sends ten megabytes of offers at once, see `incoming.OfferMessage`."""

    loads = staticmethod(event_of)
    dumps = staticmethod(json.dumps)


#: How long Mesos keeps the tasks of a framework that is gone: time enough to repair a control machine.
FAILOVER_TIMEOUT_S = 4 * 7 * 86400.0

#: How many tasks one reconciliation call names.
RECONCILE_MOST = 1000


#: Seconds between two attempts to reach the master: the first, and the most that they become.
_RETRY_S, _RETRY_MOST_S = 0.2, 3.0

#: pymesos gives up after this long without a master; we do not, in anybody's life time.
_NEVER_S = 1e9


class _Driver(pymesos.MesosSchedulerDriver):
    """pymesos' driver, but quick to come back (its own back-off begins at 2 s and ends at 15 s), and quick to end."""

    def __init__(self, allowed: Callable[[], bool], *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._allowed = allowed
        #: Set where nobody shall wait any more.
        self.over = threading.Event()

    def _backoff(self, attempts: int) -> float:
        # the wait is here, not in pymesos' sleep, which nothing can cut short
        self.over.wait(min(_RETRY_MOST_S, _RETRY_S * 2 ** min(attempts, 10)))
        return 0.0

    def on_offers(self, event: Mapping[str, Any]) -> None:
        # pymesos' own makes a dictionary of each
        self.sched.resourceOffers(self, event["offers"])

    def gen_request(self) -> bytes:
        # an empty request is one that is never sent: who was deposed would take the farm away from its successor
        return super().gen_request() if self._allowed() else b""


class Mesos(pymesos.Scheduler):
    """The connection to a master at ``HOST:PORT`` or ``zk://...``; ``put`` takes the events, from another thread, and
    ``allowed`` says, on another, whether we may still speak for the framework."""

    def __init__(
        self,
        master: str,
        framework: Framework,
        framework_id: str,
        put: Callable[[events.Event], None],
        allowed: Callable[[], bool] = lambda: True,
    ) -> None:
        # not before a framework of ours is here: who uses pymesos otherwise in this process has it as it is
        pymesos.process.json = _Json
        self._framework = framework
        self._put = put
        info: dict[str, Any] = {
            "user": framework.user or getpass.getuser(),
            "name": framework.name,
            "hostname": socket.getfqdn(),
            "roles": [framework.role],
            "checkpoint": True,
            "failover_timeout": FAILOVER_TIMEOUT_S,
            # PARTITION_AWARE: a lost agent's tasks are unreachable, not lost, and may come back
            "capabilities": [{"type": "PARTITION_AWARE"}, {"type": "MULTI_ROLE"}],
        }
        if framework.webui_url:
            info["webui_url"] = framework.webui_url
        if framework_id:
            info["id"] = {"value": framework_id}
        principal, secret = read_credentials(framework.credentials) if framework.credentials else (None, None)
        if principal:
            info["principal"] = principal
        self._driver = _Driver(
            allowed,
            self,
            info,
            master,
            use_addict=False,
            implicit_acknowledgements=False,
            principal=principal,
            secret=secret,
            failover=True,
            timeout=_NEVER_S,
        )

    def start(self) -> None:
        """Connect, and keep connecting."""
        self._driver.start()

    def stop(self) -> None:
        """Leave without ending the framework: its tasks run on until we come back."""
        self._driver.over.set()
        self._driver.stop(failover=True)
        self._driver.join()

    # ------------------------------------------------------------------ commands out

    def perform(self, command: commands.Command) -> None:
        """Carry one command out; raises `OSError` or `RuntimeError` where it did not reach the master."""
        if isinstance(command, commands.Launch):
            infos = [task_info(self._framework, task, command.agent_id) for task in command.tasks]
            infos += [survey_info(self._framework, survey, command.agent_id) for survey in command.surveys]
            operation = {"type": "LAUNCH", "launch": {"task_infos": infos}}
            accept = {"offer_ids": [{"value": command.offer_id}], "operations": [operation]}
            self._call("ACCEPT", accept=dict(accept, filters={"refuse_seconds": command.refuse_s}))
        elif isinstance(command, commands.Decline):
            offers = [{"value": offer_id} for offer_id in command.offer_ids]
            self._call("DECLINE", decline={"offer_ids": offers, "filters": {"refuse_seconds": command.refuse_s}})
        elif isinstance(command, commands.Kill):
            self._call("KILL", kill=ids(command.task_id, command.agent_id))
        elif isinstance(command, commands.Send):
            # an executor has its task's id, see `outgoing.task_info`
            to = {"executor_id": {"value": command.task_id}, "agent_id": {"value": command.agent_id}}
            self._call("MESSAGE", message=dict(to, data=b64encode(command.order.to_json()).decode()))
        elif isinstance(command, commands.Acknowledge):
            self._call("ACKNOWLEDGE", acknowledge=dict(ids(command.task_id, command.agent_id), uuid=command.uuid))
        elif isinstance(command, commands.Reconcile):
            # with the agent's id, which pymesos' own call leaves out: without it Mesos can't tell "gone" from "unknown"
            tasks = [ids(task_id, agent_id) for task_id, agent_id in command.tasks]
            for start in range(0, max(1, len(tasks)), RECONCILE_MOST):
                self._call("RECONCILE", reconcile={"tasks": tasks[start : start + RECONCILE_MOST]})
        elif isinstance(command, commands.Revive):
            self._call("REVIVE")
        elif isinstance(command, commands.Suppress):
            self._call("SUPPRESS")
        else:
            raise AssertionError(f"{command!r} is nothing for Mesos")

    def _call(self, kind: str, **body: Any) -> None:
        framework_id = self._driver.framework_id
        if not framework_id or not self._driver.connected:
            raise RuntimeError("not connected to a master")
        self._driver._send(dict(body, type=kind, framework_id={"value": framework_id}))

    # ------------------------------------------------------------------ events in (pymesos' names, pymesos' thread)

    def registered(self, driver: Any, framework_id: Mapping[str, Any], master_info: Mapping[str, Any]) -> None:
        self._put(events.Registered(framework_id["value"], _address(master_info)))

    def reregistered(self, driver: Any, master_info: Mapping[str, Any]) -> None:
        self._put(events.Registered(driver.framework_id, _address(master_info)))

    def disconnected(self, driver: Any) -> None:
        self._put(events.Disconnected())

    def resourceOffers(self, driver: Any, offers: Sequence[OfferMessage]) -> None:
        self._put(events.OffersArrived(tuple(map(offer_of, offers))))

    def statusUpdate(self, driver: Any, status: Mapping[str, Any]) -> None:
        self._put(report_of(status))

    def error(self, driver: Any, message: str) -> None:
        """The master will not have us: nothing to go on with."""
        logger.error("the master says: %s", message)
        self._put(events.Rejected(message))

    def _ignored(self, *what: Any) -> None:
        """Nothing to do: status updates and offers tell all of it."""

    offerRescinded = frameworkMessage = slaveLost = executorLost = processHeartBeat = _ignored
    inverseOffers = inverseOfferRescinded = operationStatusUpdate = _ignored


def _address(master_info: Mapping[str, Any]) -> str:
    return f"{master_info['hostname']}:{master_info['port']}"


def explain(error: BaseException) -> DaqschedError:
    """A sentence for what pymesos raises in the main thread when its connection can't go on."""
    text = str(error)
    if "HTTP 401" in text:
        return DaqschedError(
            "the master refuses our credentials (401): give --credentials FILE with principal and secret"
        )
    if "HTTP 403" in text:
        return DaqschedError(f"the master does not allow this framework (403): {text}")
    return DaqschedError(f"the connection to the master ended: {text}")
