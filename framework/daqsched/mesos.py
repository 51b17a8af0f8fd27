"""The only place that knows Mesos: pymesos' callbacks become events, commands become calls of the v1 scheduler API.

What had to be known of pymesos 0.3.15 (see docs/design/pymesos.md): its callbacks run on its own I/O thread, where an
exception ends the framework, so they only put events into a queue; its calls return in silence while disconnected, so
`Mesos.perform` sends every call through `_call`, which does not; and it tears the framework down when it ends
unless told that a failover is meant, so it is told so from the start.
"""

from __future__ import annotations

import getpass
import json
import logging
import re
import socket
import stat
import threading
from base64 import b64decode, b64encode
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Iterable, Mapping, Optional, Sequence

import pymesos
from addict import Dict

from daqsched import commands, events
from daqsched.errors import DaqschedError, UserError
from daqsched.match import EXECUTOR_CPUS, EXECUTOR_MEM, canonical

logger = logging.getLogger(__name__)

# pymesos hangs a handler of its own onto its logger, which would say everything twice
for _handler in list(pymesos.logger.handlers):
    pymesos.logger.removeHandler(_handler)

#: How long Mesos keeps the tasks of a framework that is gone: time enough to repair a control machine.
FAILOVER_TIMEOUT_S = 4 * 7 * 86400.0

#: How many tasks one reconciliation call names.
RECONCILE_MOST = 1000


@dataclass(frozen=True)
class Framework:
    """What the master is told of us."""

    name: str = "daqsched"
    #: Account that executors run as; empty: the daemon's own.
    user: str = ""
    role: str = "*"
    webui_url: str = ""
    #: JSON file with ``principal`` and ``secret``.
    credentials: Optional[Path] = None
    #: The command of daqsched-executor on the farm machines.
    executor: tuple[str, ...] = ("daqsched-executor",)


#: Seconds between two attempts to reach the master: the first, and the most that they become.
_RETRY_S, _RETRY_MOST_S = 0.2, 3.0

#: pymesos gives up after this long without a master; we do not, in anybody's life time.
_NEVER_S = 1e9


class _Driver(pymesos.MesosSchedulerDriver):
    """pymesos' driver, but quick to come back (its own back-off begins at 2 s and ends at 15 s), and quick to end."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        #: Set where nobody shall wait any more.
        self.over = threading.Event()

    def _backoff(self, attempts: int) -> float:
        # the wait is here, not in pymesos' sleep, which nothing can cut short
        self.over.wait(min(_RETRY_MOST_S, _RETRY_S * 2 ** min(attempts, 10)))
        return 0.0


class Mesos(pymesos.Scheduler):
    """The connection to a master at ``HOST:PORT`` or ``zk://...``; ``put`` takes the events, from another thread."""

    def __init__(
        self, master: str, framework: Framework, framework_id: str, put: Callable[[events.Event], None]
    ) -> None:
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
            infos = [self._task_info(task, command.agent_id) for task in command.tasks]
            infos += [self._survey_info(survey, command.agent_id) for survey in command.surveys]
            operation = {"type": "LAUNCH", "launch": {"task_infos": infos}}
            accept = {"offer_ids": [{"value": command.offer_id}], "operations": [operation]}
            self._call("ACCEPT", accept=dict(accept, filters={"refuse_seconds": command.refuse_s}))
        elif isinstance(command, commands.Decline):
            ids = [{"value": offer_id} for offer_id in command.offer_ids]
            self._call("DECLINE", decline={"offer_ids": ids, "filters": {"refuse_seconds": command.refuse_s}})
        elif isinstance(command, commands.Kill):
            self._call("KILL", kill=_ids(command.task_id, command.agent_id))
        elif isinstance(command, commands.Send):
            # an executor has its task's id, see `_task_info`
            to = {"executor_id": {"value": command.task_id}, "agent_id": {"value": command.agent_id}}
            self._call("MESSAGE", message=dict(to, data=b64encode(command.order.to_json()).decode()))
        elif isinstance(command, commands.Acknowledge):
            self._call("ACKNOWLEDGE", acknowledge=dict(_ids(command.task_id, command.agent_id), uuid=command.uuid))
        elif isinstance(command, commands.Reconcile):
            # with the agent's id, which pymesos' own call leaves out: without it Mesos can't tell "gone" from "unknown"
            tasks = [_ids(task_id, agent_id) for task_id, agent_id in command.tasks]
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

    def _task_info(self, launch: commands.TaskToLaunch, agent_id: str) -> Mapping[str, Any]:
        payload = launch.payload
        info = Dict()
        info.name = payload.instance
        info.task_id.value = payload.task_id
        info.agent_id.value = agent_id
        info.resources = [
            *self._resources(cpus=launch.cpus, mem=launch.mem, disk=launch.disk),
            *self._ports(payload.ports.values()),
        ]
        info.data = b64encode(payload.to_json()).decode()
        info.labels.labels = [
            {"key": "job", "value": payload.job},
            {"key": "host", "value": payload.host},
            {"key": "version", "value": payload.release},
        ]
        # the program may use all of its time, then the executor needs a moment itself
        info.executor = self._executor_info(
            payload.task_id, payload.instance, payload.job, payload.stop.longest_s + 5.0
        )
        plain: Mapping[str, Any] = info.to_dict()
        return plain

    def _survey_info(self, launch: commands.SurveyToLaunch, agent_id: str) -> Mapping[str, Any]:
        survey = launch.survey
        info = Dict()
        info.name = f"preflight@{survey.host}"
        info.task_id.value = survey.task_id
        info.agent_id.value = agent_id
        info.resources = self._resources(cpus=launch.cpus, mem=launch.mem)
        info.data = b64encode(survey.to_json()).decode()
        info.executor = self._executor_info(survey.task_id, info.name, "preflight", 5.0)
        plain: Mapping[str, Any] = info.to_dict()
        return plain

    def _executor_info(self, task_id: str, name: str, source: str, grace_s: float) -> Dict:
        """One executor for each task: what happens to one program concerns no other."""
        info = Dict()
        info.type = "CUSTOM"
        info.executor_id.value = task_id
        info.name = f"daqsched {name}"
        info.source = source
        info.resources = self._resources(cpus=EXECUTOR_CPUS, mem=EXECUTOR_MEM)
        info.command.shell = False
        info.command.value = self._framework.executor[0]
        info.command.arguments = [*self._framework.executor, "run"]
        info.shutdown_grace_period.nanoseconds = int(grace_s * 1e9)
        return info

    def _resources(self, **amounts: float) -> Sequence[Mapping[str, Any]]:
        return [
            {
                "name": name,
                "type": "SCALAR",
                "scalar": {"value": value},
                "allocation_info": {"role": self._framework.role},
            }
            for name, value in amounts.items()
            if value
        ]

    def _ports(self, numbers: Iterable[int]) -> Sequence[Mapping[str, Any]]:
        ranges = [{"begin": number, "end": number} for number in sorted(numbers)]
        role = {"role": self._framework.role}
        return [{"name": "ports", "type": "RANGES", "ranges": {"range": ranges}, "allocation_info": role}] * bool(
            ranges
        )

    # ------------------------------------------------------------------ events in (pymesos' names, pymesos' thread)

    def registered(self, driver: Any, framework_id: Mapping[str, Any], master_info: Mapping[str, Any]) -> None:
        self._put(events.Registered(framework_id["value"], _address(master_info)))

    def reregistered(self, driver: Any, master_info: Mapping[str, Any]) -> None:
        self._put(events.Registered(driver.framework_id, _address(master_info)))

    def disconnected(self, driver: Any) -> None:
        self._put(events.Disconnected())

    def resourceOffers(self, driver: Any, offers: Sequence[Mapping[str, Any]]) -> None:
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


def offer_of(offer: Mapping[str, Any]) -> events.Offer:
    """The engine's view of an offer (mesos.proto, Offer); scalars of one name are added up, ports put together."""
    amounts = {"cpus": 0.0, "mem": 0.0, "disk": 0.0}
    ports: list[tuple[int, int]] = []
    for resource in offer.get("resources", ()):
        if resource.get("name") in amounts and resource.get("type") == "SCALAR":
            amounts[resource["name"]] += resource["scalar"]["value"]
        elif resource.get("name") == "ports" and resource.get("type") == "RANGES":
            ports += ((part["begin"], part["end"]) for part in resource["ranges"].get("range", ()))
    names = {offer["hostname"]: None}
    attributes: dict[str, tuple[str, ...]] = {}
    for attribute in offer.get("attributes", ()):
        name = attribute["name"]
        attributes[name] = attributes.get(name, ()) + _values(attribute)
        if name == "hostname" and attribute.get("type") == "TEXT":
            names[attribute["text"]["value"]] = None
    return events.Offer(
        offer["id"]["value"],
        offer["agent_id"]["value"],
        tuple(names),
        **amounts,
        ports=tuple(sorted(ports)),
        attributes=attributes,
    )


def _values(attribute: Mapping[str, Any]) -> tuple[str, ...]:
    """An attribute's values as `match.canonical` texts. Of ranges there are none: what lies in a range is not a thing that
    a machine has."""
    kind = attribute.get("type")
    if kind == "TEXT":
        return (canonical(attribute["text"]["value"]),)
    if kind == "SCALAR":
        return (canonical(str(attribute["scalar"]["value"])),)
    if kind == "SET":
        return tuple(canonical(item) for item in attribute["set"].get("item", ()))
    return ()


def report_of(status: Mapping[str, Any]) -> events.TaskReported:
    """The engine's view of a status update (mesos.proto, TaskStatus)."""
    return events.TaskReported(
        task_id=status["task_id"]["value"],
        agent_id=status.get("agent_id", {}).get("value", ""),
        state=status["state"],
        message=_message(status),
        reason=status.get("reason", ""),
        by_executor=status.get("source") == "SOURCE_EXECUTOR",
        data=b64decode(status["data"]) if "data" in status else b"",
        uuid=status.get("uuid", ""),
    )


#: What the agent's memory isolator says first (MemorySubsystemProcess::oomWaited in Mesos' cgroups/subsystems/memory.cpp).
_OVER_MEMORY = re.compile(r"Memory limit exceeded: Requested: (\d+)MB Maximum Used: (\d+)MB")


def _message(status: Mapping[str, Any]) -> str:
    """One sentence. For a container over its memory the agent sends thirty lines of statistics behind it."""
    message: str = status.get("message", "")
    if status.get("reason") != "REASON_CONTAINER_LIMITATION_MEMORY":
        return message
    found = _OVER_MEMORY.match(message)
    if found is None:
        return message.partition("\n")[0]
    return f"out of memory: used {found[2]} MiB of {found[1]} MiB (with its executor), so the agent ended it"


def read_credentials(path: Path) -> tuple[str, str]:
    """``principal`` and ``secret`` out of a JSON file that nobody else can read; raises `UserError` otherwise."""
    try:
        mode = path.stat().st_mode
        words = json.loads(path.read_text(encoding="utf-8"))
        principal, secret = words["principal"], words["secret"]
    except OSError as error:
        raise UserError(f"{path} can't be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f'{path} must be JSON: {{"principal": "...", "secret": "..."}}') from error
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise UserError(f"{path} holds a secret and can be read by others: chmod 600 {path}")
    if not isinstance(principal, str) or not isinstance(secret, str):
        raise UserError(f"{path}: principal and secret must be texts")
    return principal, secret


def _ids(task_id: str, agent_id: str) -> Mapping[str, Any]:
    ids = {"task_id": {"value": task_id}}
    return dict(ids, agent_id={"value": agent_id}) if agent_id else ids


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
