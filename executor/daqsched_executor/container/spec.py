"""What the runner is handed, what it asks the engine for, and what it says at the end. Pure: values in, values out.

The names of the engine's fields are those of the Docker Engine API, version 1.41 (``POST /containers/create``).
"""

from __future__ import annotations

import hashlib
import json
import posixpath
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from daqsched_executor.contract import Container, Payload

#: The engine's own default.
DEFAULT_ENGINE = "unix:///var/run/docker.sock"

#: The labels that our containers carry; `SANDBOX` is the mark of them all.
INSTANCE, TASK, RELEASE, FRAMEWORK = "daqsched.instance", "daqsched.task_id", "daqsched.release", "daqsched.framework"
SANDBOX = "daqsched.sandbox"

#: What may stand behind a volume's second colon. slave: what is mounted below on the machine later (cvmfs, by its
#: automounter) appears in the container, too.
VOLUME_OPTIONS = ("ro", "rw", "slave")

_MIB = 2**20


class ContainerRefused(Exception):
    """The job asks for what can't be: a start that failed, and counts as a death. The message is one sentence."""


class Waits(Exception):
    """The program can't be started now, and may be later; nothing is counted. The message is one sentence."""


@dataclass(frozen=True)
class ContainerSpec:
    """All that the runner needs to know; the executor's child writes it into a file in memory, and the runner, at its
    end, its `Last` in its place."""

    payload: Payload
    sandbox: str
    framework: str
    #: The environment that the program gets besides the image's own.
    environment: Mapping[str, str]
    #: The account that the program runs as, by numbers: the image need not know it.
    uid: int
    gid: int
    groups: tuple[int, ...]
    #: Open files: the executor's end of the talk, and what the program prints.
    talk: int
    stdout: int
    stderr: int
    #: The path of the socket that the program's messages go to; empty: there is none.
    notify: str = ""

    @property
    def container(self) -> Container:
        """The payload's, which is there."""
        assert self.payload.container is not None
        return self.payload.container

    @property
    def engine(self) -> str:
        """The engine's address, as the package docker wants it."""
        named = self.container.engine or DEFAULT_ENGINE
        return f"unix://{named}" if named.startswith("/") else named

    def to_json(self) -> bytes:
        """For `from_json`."""
        return json.dumps({**asdict(self), "payload": self.payload.to_json().decode()}).encode()

    @classmethod
    def from_json(cls, data: bytes) -> ContainerSpec:
        """Read what the executor's child wrote a moment ago: both are of one version."""
        raw = json.loads(data)
        payload = Payload.from_json(raw.pop("payload"))
        return cls(payload=payload, **{**raw, "groups": tuple(raw["groups"])})


class Last(NamedTuple):
    """What the runner says of its container when that has ended, and its own exit can't."""

    #: The kernel killed a process in it for memory; ``limit`` is what all of them may have (MiB).
    out_of_memory: bool = False
    limit: float = 0.0


def last_of(data: bytes) -> Last:
    """What the runner left in the file: nothing where it was killed."""
    try:
        raw = json.loads(data)
        return Last(bool(raw["out_of_memory"]), float(raw["limit"]))
    except (KeyError, TypeError, ValueError):
        return Last()


class Volume(NamedTuple):
    """A place of the machine that the program finds in its container."""

    source: str
    target: str
    options: tuple[str, ...]


def volume_of(text: str) -> Volume:
    """Read ``HOST_PATH:CONTAINER_PATH[:OPTIONS]``; raises `ContainerRefused`."""
    parts = text.split(":")
    options = tuple(parts[2].split(",")) if len(parts) == 3 else ()
    if len(parts) not in (2, 3) or not all(part.startswith("/") for part in parts[:2]):
        raise ContainerRefused(f"volume {text!r} is not understood: HOST_PATH:CONTAINER_PATH[:ro], absolute paths, is")
    for option in options:
        if option not in VOLUME_OPTIONS:
            raise ContainerRefused(f"volume {text!r}: {option!r} is not an option; {', '.join(VOLUME_OPTIONS)} are")
    return Volume(parts[0], parts[1], options)


def name_of(order: ContainerSpec) -> str:
    """The container's name: the same for each run of an instance under one agent, so the engine itself refuses a second
    copy. Mesos' sandboxes are below ``WORK_DIR/slaves/``."""
    agent = order.sandbox.partition("/slaves/")[0] if "/slaves/" in order.sandbox else order.sandbox
    whose = "\0".join((order.framework, order.payload.instance, agent))
    readable = re.sub(r"[^a-zA-Z0-9_.-]", "-", order.payload.instance)
    return f"daqsched-{readable}-{hashlib.sha256(whose.encode()).hexdigest()[:8]}"


def creation(order: ContainerSpec, places: Sequence[str] = (), devices: Sequence[str] = ()) -> dict[str, Any]:
    """The body of the request that creates the container; raises `ContainerRefused`. ``places`` and ``devices`` are where the job's
    volumes and device files are found, where that is not as it says itself."""
    payload, container = order.payload, order.container
    volumes = _volumes(container)
    if places:
        volumes = [volume._replace(source=place) for volume, place in zip(volumes, places)]
    return {
        "Image": container.image,
        "Entrypoint": [payload.argv[0]],
        "Cmd": list(payload.argv[1:]),
        "Env": [f"{name}={value}" for name, value in order.environment.items()],
        "WorkingDir": payload.cwd or order.sandbox,
        "User": f"{order.uid}:{order.gid}",
        "Tty": False,
        "OpenStdin": False,
        "Healthcheck": {"Test": ["NONE"]},  # the job's own checks count
        "Labels": {
            SANDBOX: order.sandbox,
            INSTANCE: payload.instance,
            TASK: payload.task_id,
            RELEASE: payload.release,
            FRAMEWORK: order.framework,
        },
        "HostConfig": {
            "NetworkMode": container.network or "host",
            # pid 1 that passes signals on and reaps: without one, a program that is pid 1 itself ignores SIGTERM
            "Init": True,
            "AutoRemove": False,  # how it ended is looked up afterwards
            "RestartPolicy": {"Name": "no"},
            # the lines are ours: the engine keeps no second copy that would fill its disk
            "LogConfig": {"Type": "none", "Config": {}},
            "SecurityOpt": [] if payload.new_privileges else ["no-new-privileges"],
            "GroupAdd": [str(group) for group in order.groups if group != order.gid],
            "Mounts": [*map(_mount, (Volume(order.sandbox, order.sandbox, ()), *_notify(order), *volumes))],
            "Devices": [
                {"PathOnHost": real, "PathInContainer": path, "CgroupPermissions": "rwm"}
                for path, real in zip(container.devices, devices or container.devices)
            ],
            "Ulimits": [{"Name": name, "Soft": value, "Hard": value} for name, value in payload.limits.items()],
            **_resources(payload),
        },
    }


def _notify(order: ContainerSpec) -> list[Volume]:
    """The folder of the socket, which the program finds under the same path."""
    folder = posixpath.dirname(order.notify)
    return [Volume(folder, folder, ("ro",))] if folder else []


def _volumes(container: Container) -> list[Volume]:
    return [volume_of(text) for text in container.volumes]


def _mount(volume: Volume) -> dict[str, Any]:
    # a Mount, not a Bind: for that the engine would create a folder that is missing, as root
    mount: dict[str, Any] = {"Type": "bind", "Source": volume.source, "Target": volume.target}
    mount["ReadOnly"] = "ro" in volume.options
    mount["BindOptions"] = {"Propagation": "rslave" if "slave" in volume.options else "rprivate"}
    return mount


def _resources(payload: Payload) -> dict[str, Any]:
    """Memory is a limit, swap included. Cores are a share, as Mesos' own cgroups/cpu isolator has it: no program is
    held back while others leave cores idle (1024 for a core; the kernel's least is 2)."""
    found: dict[str, Any] = {}
    if payload.mem > 0:
        found["Memory"] = found["MemorySwap"] = int(payload.mem * _MIB)
    if payload.cpus > 0:
        found["CpuShares"] = max(2, int(payload.cpus * 1024))
    return found


def ending(code: int, success: tuple[int, ...]) -> tuple[int, int]:
    """Exit code and signal, one of them 0, out of what the engine calls the exit code.

    The engine and the container's pid 1 give 128 and the signal's number for a program that a signal ended, as shells
    do. A job that counts such a code as a success means the code.
    """
    if 128 < code <= 128 + 64 and code not in success:
        return 0, code - 128
    return code & 0xFF, 0
