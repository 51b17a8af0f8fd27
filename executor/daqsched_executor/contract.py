"""What both sides share: the task's payload, the executor's reports, the streams on disk, the field names.

The framework imports this module and nothing else of the executor; the executor imports nothing of the
framework. Everything here is plain standard library, because an executor that idles beside each of thousands
of programs must stay small: values travel as JSON and are read back by `Payload.from_json` and its like, which
ignore fields they do not know (a newer framework may talk to an older executor) and refuse a version that is
newer than `VERSION` (fail closed, see `ContractError`).

Units: durations are seconds as float and end in ``_s``; points in time are seconds since the epoch.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Optional, TypeVar

#: The version of everything in this module. Raised only when an older reader could misunderstand the new text.
VERSION = 1

#: Where a machine keeps its streams: this folder below the agent's work_dir, so that a hard link to a sandbox
#: file is possible (same file system) and three agents on one machine do not meet. `spool_of` finds it.
SPOOL_NAME = "daqsched"

#: Environment variable that overrides the folder, for agents whose work_dir belongs to root alone.
SPOOL_VARIABLE = "DAQSCHED_SPOOL"

#: Below the spool: one registration per stream, and one hard link to its file.
STREAMS_DIR = "streams"
LINKS_DIR = "links"

#: The stream of the executor's own words about a job (started, exited, backs off); the others are what the
#: job prints. Streams are named by these words in documents, in `daqsched logs` and in the sandbox.
STDOUT, STDERR, EXECUTOR = "stdout", "stderr", "executor"


class ContractError(ValueError):
    """A payload, report or registration that this version cannot use; the message is one sentence for people."""


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


#: The words that `Restart.policy` may be.
RESTART_POLICIES = ("always", "on-failure", "never")


@dataclass(frozen=True)
class Stop:
    """How a binary is ended: ``signal`` to its process group, ``grace_s`` later SIGKILL to the whole tree."""

    signal: str = "TERM"
    grace_s: float = 10.0


@dataclass(frozen=True)
class Payload:
    """One job on one host, as the executor needs it: the content of Mesos' ``TaskInfo.data``.

    Nothing that may change without a restart of the program (owner, criticality) is in here, so two equal
    payloads, apart from ``task_id``, mean: leave the program alone.
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
    version: int = VERSION

    @property
    def instance(self) -> str:
        """``job@host``: the name that people use for this task."""
        return f"{self.job}@{self.host}"

    def to_json(self) -> bytes:
        """The text that travels as ``TaskInfo.data`` (before Mesos' base64)."""
        return _dump(self)

    @classmethod
    def from_json(cls, data: bytes | str) -> Payload:
        """Read what `to_json` wrote, here or in another version; raises `ContractError` on anything else."""
        raw = _load(data, "the task's payload")
        raw["restart"] = _build(Restart, raw.get("restart", {}), "restart")
        raw["stop"] = _build(Stop, raw.get("stop", {}), "stop")
        return _build(cls, raw, "the task's payload")


#: What an executor is doing with its program; supervisord's words where they fit.
#: probing: waits for a path (cvmfs) to be readable; backoff: died, waits until `Report.until`.
ACTIVITIES = ("probing", "starting", "running", "backoff", "stopping", "exited")


@dataclass(frozen=True)
class Exit:
    """How a run of the program ended. Exactly one of ``code`` and ``signal`` is set."""

    at: float
    ran_s: float
    code: Optional[int] = None
    signal: Optional[str] = None
    core: bool = False

    def words(self) -> str:
        """``exit code 3 after 2.1 s``, ``killed by SIGSEGV (core dumped) after 2.1 s``."""
        how = f"exit code {self.code}" if self.signal is None else f"killed by {self.signal}"
        return f"{how}{' (core dumped)' if self.core else ''} after {duration(self.ran_s)}"


@dataclass(frozen=True)
class Report:
    """What an executor says of its job, in Mesos' ``TaskStatus.data``; its sentence is ``TaskStatus.message``."""

    activity: str
    pid: int = 0
    #: When the present run began; 0 where nothing runs.
    since: float = 0.0
    restarts: int = 0
    #: When the next start is due; 0 where none is waiting.
    until: float = 0.0
    last_exit: Optional[Exit] = None
    version: int = VERSION

    def to_json(self) -> bytes:
        """The text that travels as ``TaskStatus.data`` (before Mesos' base64)."""
        return _dump(self)

    @classmethod
    def from_json(cls, data: bytes | str) -> Report:
        """Read what `to_json` wrote; raises `ContractError` on anything else."""
        raw = _load(data, "the executor's report")
        last = raw.get("last_exit")
        raw["last_exit"] = None if last is None else _build(Exit, last, "last_exit")
        return _build(cls, raw, "the executor's report")


@dataclass(frozen=True)
class Stream:
    """One file of lines and whose it is: the registration ``streams/<id>.json`` in the machine's spool.

    The executor writes it (a rename makes it appear whole) before the program starts, links ``links/<id>`` to
    the file, and holds a shared `flock` on the registration for as long as it lives. The forwarder reads the link,
    not the path, so a sandbox that Mesos collects takes no line with it. A stream has ended when the lock is
    free and all bytes are stored; then the forwarder removes registration and link.
    """

    #: 11 characters of base64url, 64 random bits: the first part of every line's document id.
    id: str
    #: `STDOUT`, `STDERR` or `EXECUTOR`.
    name: str
    #: Where the file was at the start; for people. The link is what is read.
    path: str
    #: The byte that the first line of this stream begins at.
    start: int
    task_id: str
    job: str
    host: str
    release: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    #: When it was registered.
    created: float = 0.0
    version: int = VERSION

    def to_json(self) -> bytes:
        """The registration's text."""
        return _dump(self)

    @classmethod
    def from_json(cls, data: bytes | str) -> Stream:
        """Read what `to_json` wrote; raises `ContractError` on anything else."""
        return _build(cls, _load(data, "a stream's registration"), "a stream's registration")


def document_id(stream_id: str, offset: int) -> str:
    """The id of the line that begins at byte ``offset``: the same line has the same id however often it is sent."""
    return f"{stream_id}-{offset:010x}"


def spool_of(environ: Mapping[str, str]) -> str | None:
    """The machine's spool as an executor's or forwarder's environment tells it, or None outside a Mesos sandbox.

    Mesos sets MESOS_DIRECTORY to ``WORK_DIR/slaves/ID/frameworks/ID/executors/ID/runs/ID`` (agent's paths.hpp).
    """
    named = environ.get(SPOOL_VARIABLE)
    if named:
        return named
    work_dir, found, _ = environ.get("MESOS_DIRECTORY", "").partition("/slaves/")
    return f"{work_dir}/{SPOOL_NAME}" if found else None


def duration(seconds: float) -> str:
    """A duration as people say it: ``0.08 s``, ``4.2 s``, ``3 min 20 s``, ``5 h 2 min``, ``12 d 4 h``."""
    if seconds < 1:
        return f"{seconds:.2f} s"
    if seconds < 60:
        return f"{seconds:.1f} s"
    whole = int(seconds)
    for unit, size, below, part in (("min", 60, "s", 1), ("h", 3600, "min", 60), ("d", 86400, "h", 3600)):
        if unit == "d" or whole < size * (60 if unit == "min" else 24):
            rest = whole % size // part
            return f"{whole // size} {unit}" + (f" {rest} {below}" if rest else "")
    raise AssertionError("unreachable: days have no upper end")


Value = TypeVar("Value")


def _dump(value: Any) -> bytes:
    return json.dumps(asdict(value), separators=(",", ":"), sort_keys=True).encode()


def _load(data: bytes | str, what: str) -> dict[str, Any]:
    try:
        raw = json.loads(data)
    except ValueError as error:
        raise ContractError(f"{what} is not JSON: {error}") from error
    if not isinstance(raw, dict):
        raise ContractError(f"{what} is not a JSON object")
    version = raw.get("version")
    if not isinstance(version, int) or not 1 <= version <= VERSION:
        raise ContractError(f"{what} has version {version!r}, this program knows 1 to {VERSION}: install the newer one")
    return raw


def _build(kind: type[Value], raw: Mapping[str, Any], what: str) -> Value:
    known = {entry.name for entry in fields(kind)}  # type: ignore[arg-type]
    values = {name: _freeze(value) for name, value in raw.items() if name in known}
    try:
        return kind(**values)
    except TypeError as error:
        raise ContractError(f"{what} lacks a field: {error}") from error


def _freeze(value: Any) -> Any:
    return tuple(value) if isinstance(value, Sequence) and not isinstance(value, (str, bytes)) else value
