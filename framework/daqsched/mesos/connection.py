"""The connection to the master: pymesos' callbacks become events, commands become calls of the v1 scheduler API.

What had to be known of pymesos 0.3.15 (see docs/design/pymesos.md): its callbacks run on its own I/O thread, where an
exception ends the framework, so they only put events into a queue; its calls return in silence while disconnected, so
`Mesos.perform` sends every call through `_call`, which does not; and it tears the framework down when it ends
unless told that a failover is meant, so it is told so from the start.
"""

from __future__ import annotations

import logging
import socket
from base64 import b64encode
from typing import Any, Callable, Mapping, Sequence

import pymesos

from daqsched.engine import commands, events
from daqsched.errors import DaqschedError
from daqsched.mesos.credentials import read_credentials
from daqsched.mesos.driver import Driver
from daqsched.mesos.incoming import OfferMessage, StatusMessage, offer_of, update_of
from daqsched.mesos.outgoing import Framework, checked, ids, survey_info, task_info
from daqsched.mesos.resources import RemainingResources

logger = logging.getLogger(__name__)

#: How long Mesos keeps the tasks of a framework that is gone: time enough to repair a control machine.
FAILOVER_TIMEOUT_S = 4 * 7 * 86400.0

#: How many tasks one reconciliation call names.
RECONCILE_MOST = 1000


class Mesos(pymesos.Scheduler):
    """The connection to a master (`detection.MASTERS`); ``put`` takes the events, from another thread, and
    ``allowed`` says, on another, whether we may still speak for the framework."""

    def __init__(
        self,
        master: str,
        framework: Framework,
        framework_id: str,
        put: Callable[[events.Event], None],
        allowed: Callable[[], bool] = lambda: True,
    ) -> None:
        self._framework = framework
        self._put = put
        #: Takes what executors say beside their updates, on another thread: the task's id, the agent's, and the words.
        self.heard: Callable[[str, str, bytes], None] = lambda task_id, agent_id, data: None
        info: dict[str, Any] = {
            "user": framework.user,
            "name": framework.name,
            "hostname": _our_name(),
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
        self._driver = Driver(
            allowed,
            self,
            info,
            master,
            use_addict=False,
            implicit_acknowledgements=False,
            principal=principal,
            secret=secret,
            failover=True,
        )

    def start(self) -> None:
        """Connect, and keep connecting."""
        self._driver.start()

    def stop(self) -> None:
        """Leave without ending the framework: its tasks run on until we come back."""
        self._driver.stop()
        self._driver.join()

    # ------------------------------------------------------------------ commands out

    def perform(self, command: commands.Command) -> None:
        """Carry one command out; raises `OSError` or `RuntimeError` where it did not reach the master."""
        if isinstance(command, commands.Launch):
            infos = self.infos(command)
            if not infos:
                self.perform(commands.Decline((command.offer_id,), command.refuse_s))
                return
            operation = {"type": "LAUNCH", "launch": {"task_infos": infos}}
            accept = {"offer_ids": [{"value": command.offer_id}], "operations": [operation]}
            self._call("ACCEPT", accept=dict(accept, filters={"refuse_seconds": command.refuse_s}))
        elif isinstance(command, commands.Decline):
            offers = [{"value": offer_id} for offer_id in command.offer_ids]
            self._call("DECLINE", decline={"offer_ids": offers, "filters": {"refuse_seconds": command.refuse_s}})
        elif isinstance(command, commands.Kill):
            self._call("KILL", kill=ids(command.task_id, command.agent_id))
        elif isinstance(command, (commands.Send, commands.Type)):
            # an executor has its task's id, see `outgoing.task_info`
            to = {"executor_id": {"value": command.task_id}, "agent_id": {"value": command.agent_id}}
            said = command.order if isinstance(command, commands.Send) else command.ask
            self._call("MESSAGE", message=dict(to, data=b64encode(said.to_json()).decode()))
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
            raise AssertionError(f"{command!r} can't be sent to Mesos")

    def infos(self, command: commands.Launch) -> list[Mapping[str, Any]]:
        """What is to be launched; a task that can't be put into words fails, and the others do not wait for it."""
        found = []
        remaining = RemainingResources(self._framework.role, command.portions)
        for task in command.tasks:
            try:
                found.append(checked(task_info(self._framework, task, command.agent_id, remaining)))
            except (ValueError, TypeError, OverflowError) as error:
                why = f"can't be launched: {error}; mend the job and apply it again"
                self._put(events.TaskReported(task.payload.task_id, command.agent_id, "TASK_ERROR", why))
        for survey in command.surveys:
            try:
                found.append(checked(survey_info(self._framework, survey, command.agent_id, remaining)))
            except (ValueError, TypeError, OverflowError) as error:
                self._put(events.LaunchRefused((survey.survey.task_id,), f"can't be launched: {error}"))
        return found

    def _call(self, kind: str, **body: Any) -> None:
        framework_id = self._driver.framework_id
        if not framework_id or not self._driver.connected:
            raise RuntimeError("not connected to a master")
        try:
            self._driver._send(dict(body, type=kind, framework_id={"value": framework_id}))
        except socket.timeout:
            # else each of a thousand calls would wait as long for a master that is frozen
            self._driver.doubt("it does not answer a call")
            raise

    # ------------------------------------------------------------------ events in (pymesos' names, pymesos' thread)

    def registered(self, driver: Any, framework_id: Mapping[str, Any], master_info: Mapping[str, Any]) -> None:
        self._put(events.Registered(framework_id["value"], _address(master_info)))

    def reregistered(self, driver: Any, master_info: Mapping[str, Any]) -> None:
        self._put(events.Registered(driver.framework_id, _address(master_info)))

    def disconnected(self, driver: Any) -> None:
        self._put(events.Disconnected())

    def resourceOffers(self, driver: Any, offers: Sequence[OfferMessage]) -> None:
        self._put(events.OffersArrived(tuple(map(offer_of, offers))))

    def statusUpdate(self, driver: Any, status: StatusMessage) -> None:
        self._put(update_of(status))

    def frameworkMessage(self, driver: Any, executor_id: str, agent_id: str, data: bytes) -> None:
        self.heard(executor_id, agent_id, data)

    def error(self, driver: Any, message: str) -> None:
        """The master will not have us: nothing to go on with."""
        logger.error("the master says: %s", message)
        self._put(events.Rejected(message))

    def _ignored(self, *what: Any) -> None:
        """Nothing to do: status updates and offers tell all of it."""

    offerRescinded = slaveLost = executorLost = processHeartBeat = _ignored
    inverseOffers = inverseOfferRescinded = operationStatusUpdate = _ignored


def _our_name() -> str:
    """Of this machine, for people; where it has only loopback's as a full one, the short one says more."""
    name = socket.getfqdn()
    return socket.gethostname() if name.startswith("localhost") else name


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
