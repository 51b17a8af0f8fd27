"""What Mesos is asked for: tasks with their executors and resources (mesos.proto)."""

from __future__ import annotations

import json
from base64 import b64encode
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Mapping, Optional

from addict import Dict

from daqsched.engine import commands
from daqsched.engine.match import EXECUTOR_CPUS, EXECUTOR_MEM
from daqsched.mesos.resources import RemainingResources

#: The largest description of a task.
LARGEST = 8 << 20


@dataclass(frozen=True)
class Framework:
    """What the master is told of us."""

    #: Account that executors run as.
    user: str
    name: str = "daqsched"
    role: str = "*"
    webui_url: str = ""
    #: JSON file with ``principal`` and ``secret``.
    credentials: Optional[Path] = None
    #: The command of daqsched-executor on the farm machines.
    executor: tuple[str, ...] = ("daqsched-executor",)


def task_info(
    framework: Framework, launch: commands.TaskToLaunch, agent_id: str, remaining: Optional[RemainingResources] = None
) -> Mapping[str, Any]:
    """A TaskInfo for a job's program, with an executor of its own; ``remaining`` is what the offer has left."""
    payload = launch.payload
    remaining = remaining or RemainingResources(framework.role)
    info = Dict()
    info.name = payload.instance
    info.task_id.value = payload.task_id
    info.agent_id.value = agent_id
    info.resources = [
        *remaining.scalars(cpus=launch.cpus, mem=launch.mem, disk=launch.disk),
        *remaining.ports(payload.ports.values()),
    ]
    info.data = b64encode(payload.to_json()).decode()
    # Mesos' web pages show them; they stay as they were at the launch
    labels = {
        "job": payload.job,
        "host": payload.host,
        "version": payload.release,
        "revision": str(launch.revision or ""),
        "owner": launch.owner,
    }
    info.labels.labels = [{"key": key, "value": value} for key, value in labels.items() if value]
    # the program may use all of its time, then the executor needs a moment itself
    info.executor = _executor_info(
        framework, remaining, payload.task_id, payload.instance, payload.job, payload.stop.longest_s + 5.0
    )
    plain: Mapping[str, Any] = info.to_dict()
    return plain


def checked(info: Mapping[str, Any]) -> Mapping[str, Any]:
    """The same, where it can travel; raises `ValueError`, `TypeError` or `OverflowError` where it can't: a master refuses all
    of a call of which it can't read a part."""
    size = len(json.dumps(info, allow_nan=False))
    if size > LARGEST:
        raise ValueError(f"it has {size:,} bytes as Mesos is told it, at most {LARGEST:,} are allowed")
    return info


def survey_info(
    framework: Framework, launch: commands.SurveyToLaunch, agent_id: str, remaining: RemainingResources
) -> Mapping[str, Any]:
    """A TaskInfo for a preflight's questions to one host."""
    survey = launch.survey
    info = Dict()
    info.name = f"preflight@{survey.host}"
    info.task_id.value = survey.task_id
    info.agent_id.value = agent_id
    info.resources = remaining.scalars(cpus=launch.cpus, mem=launch.mem)
    info.data = b64encode(survey.to_json()).decode()
    info.executor = _executor_info(framework, remaining, survey.task_id, info.name, "preflight", 5.0)
    plain: Mapping[str, Any] = info.to_dict()
    return plain


def _executor_info(
    framework: Framework, remaining: RemainingResources, task_id: str, name: str, source: str, grace_s: float
) -> Dict:
    """One executor for each task: what happens to one program concerns no other."""
    info = Dict()
    info.type = "CUSTOM"
    info.executor_id.value = task_id
    info.name = f"daqsched {name}"
    info.source = source
    info.resources = remaining.scalars(cpus=EXECUTOR_CPUS, mem=EXECUTOR_MEM)
    info.command.shell = False
    # what the master once took for the framework's account it never changes; this is looked at for every executor
    info.command.user = framework.user
    info.command.value = framework.executor[0]
    info.command.arguments = [*framework.executor, "run"]
    info.shutdown_grace_period.nanoseconds = _nanoseconds(grace_s)
    return info


def _nanoseconds(seconds: float) -> int:
    """A Duration of Mesos: a signed number of 64 bits."""
    if not 0 <= seconds < 9e9:
        raise ValueError(f"the time that it may take to stop, {seconds:g} s, is more than Mesos can count")
    return int(seconds * 1e9)


def ids(task_id: str, agent_id: str) -> Mapping[str, Any]:
    """A task, and its agent where that is known."""
    named = {"task_id": {"value": task_id}}
    return dict(named, agent_id={"value": agent_id}) if agent_id else named
