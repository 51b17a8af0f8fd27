"""What an executor is handed: a job on its host, with its rules for restarts, stops, checks; or a survey."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Optional

from daqsched_executor.contract.checks import CHECK_TYPES, Check
from daqsched_executor.contract.wire import VERSION, ContractError, build, dump, freeze, load

#: The job that the framework adds on every host for the lines of all others; no job file can name it.
FORWARDER = "daqsched-forward"

#: The words that `Restart.policy` may be.
RESTART_POLICIES = ("always", "on-failure", "never")
#: The words for how a job starts the first time.
STARTS = AUTO, MANUAL = "auto", "manual"
#: The words that `Payload.output` may be.
OUTPUTS = FILE, PIPE = "file", "pipe"


@dataclass(frozen=True)
class Restart:
    """When and how fast the executor starts a binary again that ended by itself.

    The first restart is immediate; the n-th after it waits ``delay_s * factor ** (n - 1)``, at most ``cap_s``.
    A run of at least ``reset_s`` seconds clears the count. After ``budget`` restarts within ``window_s``
    the task fails and the framework takes over (0: the executor never gives up).
    """

    policy: str = "always"
    delay_s: float = 1.0
    factor: float = 2.0
    cap_s: float = 60.0
    reset_s: float = 60.0
    budget: int = 0
    window_s: float = 600.0
    success_codes: tuple[int, ...] = (0,)
    #: The framework's part: after that many failed tasks in a row it starts no other one (0: it never gives up).
    give_up: int = 0


@dataclass(frozen=True)
class Stop:
    """How a binary is ended: ``signal`` to its process group; after ``grace_s`` the ``second_signal``, if there is
    one; after ``second_grace_s`` more SIGKILL to the whole tree.

    The hooks are commands that run beside the program, with its environment, account and directory, each for at most
    ``hook_timeout_s``: ``before`` before the first signal, ``after`` whenever the program has ended, however it did, and
    nothing of it is left: before the next start, and before the last report. A hook that fails is told and holds
    nothing up.
    """

    signal: str = "TERM"
    grace_s: float = 10.0
    second_signal: str = ""
    second_grace_s: float = 5.0
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    hook_timeout_s: float = 10.0

    @property
    def longest_s(self) -> float:
        """How long all of this may take."""
        hooks = bool(self.before) + bool(self.after)
        return self.grace_s + (self.second_grace_s if self.second_signal else 0.0) + hooks * self.hook_timeout_s


@dataclass(frozen=True)
class Container:
    """The image that a program runs in, by the machine's container engine (Docker Engine API)."""

    image: str
    #: ``HOST_PATH:CONTAINER_PATH``, then ``:ro`` or ``:slave`` (what is mounted there later appears), or ``:ro,slave``.
    volumes: tuple[str, ...] = ()
    #: ``host``: the machine's own; or ``none``, ``bridge``, the name of a network of the engine.
    network: str = "host"
    #: Device files that the program may use, e.g. ``/dev/pcie40``.
    devices: tuple[str, ...] = ()
    #: Where the engine listens; empty: its default socket.
    engine: str = ""


#: What only the executor obeys, and no running program sees: it is told others while the program runs on (`OBEY`).
#: Of ``checks`` a program sees the heartbeats that are waited for, and no more.
RULES = frozenset(
    {"restart", "stop", "needs", "libraries", "actions", "action_timeout_s", "checks", "lock", "labels", "forward"}
)


@dataclass(frozen=True)
class Payload:
    """One job on one host, as the executor needs it: the content of Mesos' ``TaskInfo.data``.

    Nothing that is the scheduler's own (owner, criticality) is in here. Of payloads that differ in ``task_id`` and in `RULES` alone
    the program is left alone, and its executor told.
    """

    #: The instance's task: unique for ever, ``job@host.suffix``.
    task_id: str
    job: str
    host: str
    #: ``argv[0]`` is a path, or a name looked up in the PATH of ``env``; no shell is involved.
    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    #: The software's version, as in the path; for the logs and for people. May be empty.
    release: str = ""
    #: Working directory; empty means the sandbox.
    cwd: str = ""
    #: The account that the program runs as; empty means the executor's own.
    user: str = ""
    #: Soft and hard resource limits by their `setrlimit` names in lower case, e.g. ``{"nofile": 65536}``.
    limits: Mapping[str, int] = field(default_factory=dict)
    #: Paths that must be readable before a start (the binary's is always among them); probed in a child process.
    needs: tuple[str, ...] = ()
    #: How long a probe of ``needs`` may take before the path counts as hanging.
    probe_timeout_s: float = 5.0
    restart: Restart = field(default_factory=Restart)
    stop: Stop = field(default_factory=Stop)
    #: Whether the job's streams are registered for the machine's forwarder.
    forward: bool = True
    #: Flat words that every line of the job carries (keyword values).
    labels: Mapping[str, str] = field(default_factory=dict)
    checks: tuple[Check, ...] = ()
    #: Commands that an operator may have run beside the program, by name.
    actions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    #: How long an action may take.
    action_timeout_s: float = 60.0
    #: Ports that the program was given, by name.
    ports: Mapping[str, int] = field(default_factory=dict)
    #: Cores and MiB that the program was given.
    cpus: float = 0.0
    mem: float = 0.0
    #: None: the program runs on the machine itself.
    container: Optional[Container] = None
    #: Whether a second copy of the instance on this machine waits until the first is gone, whoever started it.
    lock: bool = True
    #: Whether a start waits until the program's shared libraries are found.
    libraries: bool = True
    #: Whether it may get more rights than its account has, by setuid programs and their like; None: an older framework, which
    #: meant that it may, but for a program in a container.
    new_privileges: Optional[bool] = None
    #: What stdout and stderr are: `FILE`, or `PIPE`, which a process moves into the files (`machine.relay`).
    output: str = PIPE
    #: Whether stdin, stdout and stderr are a terminal of its own, which people may attach to (`contract.console`).
    console: bool = False
    #: Names what is in the fields of `RULES`: equal ones have the same. Empty: an older framework.
    rules: str = ""
    version: int = VERSION

    @property
    def instance(self) -> str:
        """``job@host``: the name that people use for this task."""
        return f"{self.job}@{self.host}"

    def to_json(self) -> bytes:
        """The text that travels as ``TaskInfo.data`` (before Mesos' base64)."""
        return dump(self)

    @classmethod
    def from_json(cls, data: bytes | str) -> Payload:
        """Read what `to_json` wrote, here or in another version; raises `ContractError` on anything else."""
        raw = load(data, "the task's payload")
        raw["restart"] = build(Restart, raw.get("restart", {}), "restart")
        raw["stop"] = build(Stop, raw.get("stop", {}), "stop")
        raw["checks"] = [_check(check) for check in raw.get("checks", ())]
        raw["actions"] = {name: freeze(argv) for name, argv in raw.get("actions", {}).items()}
        if raw.get("container") is not None:
            raw["container"] = build(Container, raw["container"], "container")
        return build(cls, raw, "the task's payload")


def _check(raw: Mapping[str, Any]) -> Check:
    check = build(Check, raw, "a check")
    if check.kind not in CHECK_TYPES:
        raise ContractError(f"a check of kind {check.kind!r} is unknown here: install the newer one")
    return check


@dataclass(frozen=True)
class Probe:
    """What one version of one job needs on a host: a part of a `Survey`. Placeholders are filled in."""

    #: For people: ``readout release-08``; several jobs that need the same are one probe.
    name: str
    program: str
    env: Mapping[str, str] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    cwd: str = ""
    user: str = ""
    limits: Mapping[str, int] = field(default_factory=dict)
    libraries: bool = True
    timeout_s: float = 5.0
    #: As in `Payload`.
    new_privileges: Optional[bool] = None


@dataclass(frozen=True)
class Survey:
    """A task that looks whether jobs could start on a host, starts none, and finishes: ``daqsched preflight``."""

    task_id: str
    host: str
    probes: tuple[Probe, ...]
    version: int = VERSION

    def to_json(self) -> bytes:
        """The text that travels as ``TaskInfo.data`` (before Mesos' base64); `task_of` tells it from a payload."""
        return json.dumps({"survey": asdict(self), "version": self.version}, separators=(",", ":")).encode()


def task_of(data: bytes | str) -> Payload | Survey:
    """What an executor was handed: a job, or a survey; raises `ContractError` on anything else."""
    raw = load(data, "the task's payload")
    if "survey" not in raw:
        return Payload.from_json(data)
    survey = dict(raw["survey"])
    survey["probes"] = [build(Probe, probe, "a probe") for probe in survey.get("probes", ())]
    return build(Survey, survey, "the survey")
