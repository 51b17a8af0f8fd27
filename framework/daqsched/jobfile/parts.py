"""The words for what goes into a `Job` besides its checks: what it is granted, how it is ended, the image it runs in;
and `Logging`, for all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar, Union

from daqsched.confirm import EndLimit
from daqsched.confirm import check as check_end_limit
from daqsched.errors import JobError
from daqsched.jobfile.convert import asked_for, convert, kind_of, texts_of, words_of
from daqsched.rollout import Strategy
from daqsched.rollout import check as check_strategy
from daqsched.spec import LoggingSpec
from daqsched_executor.contract import Journal, JsonLines, LogFiles, Restart, Syslog

__all__ = [
    "Confirm",
    "Container",
    "Journal",
    "JsonLines",
    "LogFiles",
    "Logging",
    "Resources",
    "Restart",
    "Rollout",
    "Stop",
    "Syslog",
]

Part = TypeVar("Part")

asked_for(LogFiles)


@asked_for
@dataclass(frozen=True)
class Resources:
    """What the job is granted on its host."""

    #: Cores; may be a fraction.
    cpus: float = 0.1
    #: MiB of memory.
    mem: float = 64.0
    #: MiB of disk in the sandbox; 0 asks for none.
    disk: float = 0.0
    #: TCP or UDP ports by name, for ``{port:NAME}`` and for checks: ``{"http": 8080}``; 0: any that the host has free.
    #: A list of names asks for any: ``["http", "control"]``.
    ports: Union[Mapping[str, int], Sequence[str]] = field(default_factory=dict)

    def values(self) -> dict[str, Any]:
        """As the spec has it: four fields of the job."""
        ports: Any = self.ports
        if not isinstance(ports, Mapping):
            ports = dict.fromkeys(texts_of(ports, "resources.ports"), 0)
        return {"cpus": self.cpus, "mem": self.mem, "disk": self.disk, "ports": ports}


@dataclass(frozen=True)
class Stop:
    """How the program is ended: ``signal`` to its process group, after ``grace_s`` the ``second_signal``, after
    ``second_grace_s`` more SIGKILL to the whole tree.

    The hooks are commands that run beside the program, with its environment, account and directory. One that fails is
    told and holds nothing up.
    """

    #: ``"TERM"``, ``"INT"``, ...; ``"SIGTERM"`` is the same.
    signal: str = "TERM"
    #: Seconds until the second signal, or SIGKILL where there is none.
    grace_s: float = 10.0
    #: Sent where ``signal`` was not enough; empty: none.
    second_signal: str = ""
    #: Seconds from the second signal to SIGKILL.
    second_grace_s: float = 5.0
    #: A command before the first signal, where the program runs. Text or a list of words, with placeholders.
    before: Union[str, Sequence[str]] = ""
    #: A command when nothing of the program is left. Text or a list of words, with placeholders.
    after: Union[str, Sequence[str]] = ""
    #: Seconds that each hook may take; then it is killed.
    hook_timeout_s: float = 10.0

    def values(self) -> dict[str, Any]:
        """As the spec has it: commands as words, signals without SIG."""
        values = dict(vars(self))
        for name in ("signal", "second_signal"):
            if isinstance(values[name], str) and values[name].startswith("SIG"):
                values[name] = values[name][len("SIG") :]
        for name in ("before", "after"):
            values[name] = words_of(values[name], f"stop.{name}")
        return values


@dataclass(frozen=True)
class Container:
    """The image that the program runs in, by the machine's container engine (Docker Engine API)."""

    #: As the engine knows it: ``"registry.example.org/daq:{version}"``. Placeholders are filled in.
    image: str
    #: ``"HOST_PATH:CONTAINER_PATH"``, then ``:ro`` for reading only, ``:slave`` for what an automounter mounts there
    #: (cvmfs). Placeholders are filled in.
    volumes: Sequence[str] = ()
    #: ``"host"``: the machine's own; or ``"none"``, ``"bridge"``, the name of a network of the engine.
    network: str = "host"
    #: Device files that the program may use, e.g. ``["/dev/pcie40"]``.
    devices: Sequence[str] = ()
    #: Where the engine listens; empty: its default socket.
    engine: str = ""

    def values(self) -> dict[str, Any]:
        """As the spec has it."""
        lists = {name: texts_of(getattr(self, name), f"container.{name}") for name in ("volumes", "devices")}
        return {**vars(self), **lists}


@dataclass(frozen=True)
class Logging:
    """Where the lines of all jobs go, and what else each machine's forwarder reads.

    Secrets do not stand here: only the names of files on the farm's machines that hold them.
    """

    #: False: no forwarder runs, the lines stay in the sandboxes.
    enabled: bool = True
    #: ``http(s)://HOST:PORT`` of Elasticsearch's nodes, with commas; empty: the daemon's own setting.
    elasticsearch: str = ""
    #: The first part of the index names: ``INDEX-YYYY.MM.DD``; empty: the daemon's own setting.
    index: str = ""
    #: How often a new index begins: ``"month"``, ``"day"``, ``"hour"``, ``"minute"``.
    period: str = "day"
    #: On each machine, the PEM file of the authority that signed Elasticsearch's certificate; empty: the system's.
    ca_file: str = ""
    #: On each machine, a file whose first line is ``NAME:PASSWORD``.
    user_file: str = ""
    #: On each machine, a file with an API key as Elasticsearch gave it (``encoded``).
    api_key_file: str = ""
    #: MiB of each stream that stay in its file after they were stored; what is older is given back to the disk.
    keep: float = 16.0
    #: MiB of disk on each machine for all that waits to be stored; beyond it lines are dropped, and counted.
    disk: float = 10240.0
    #: What is dropped first: ``"oldest"``, or ``"debug"`` lines.
    when_full: str = "oldest"
    #: On each machine, a file whose first word is the number of the current run, for ``labels.run``.
    run_file: str = ""
    #: Log files of services that are not jobs: one `LogFiles`, or a list.
    files: Union[LogFiles, Sequence[LogFiles]] = ()
    #: Syslog that others send to the machines.
    syslog: Syslog = Syslog()
    #: JSON lines that others send to the machines.
    json: JsonLines = JsonLines()
    #: The machines' systemd journals.
    journal: Journal = Journal()

    @property
    def spec(self) -> LoggingSpec:
        """The same as data; raises `JobError` where a value has the wrong type."""
        values = dict(vars(self))
        kinds = (("syslog", Syslog, ()), ("json", JsonLines, ()), ("journal", Journal, ("units",)))
        for name, kind, lists in kinds:
            if not isinstance(values[name], kind):
                raise JobError(f"must be {kind.__name__}(...), not {kind_of(values[name])}", name)
            values[name] = _part(kind, values[name], name, lists)
        files: Any = self.files
        each = [files] if isinstance(files, LogFiles) else files
        if not isinstance(each, (list, tuple)) or not all(isinstance(one, LogFiles) for one in each):
            raise JobError(f"must be LogFiles(...) or a list of them, not {kind_of(files)}", "files")
        values["files"] = [_part(LogFiles, one, f"files[{one.name}]", ("paths",)) for one in each]
        return convert(LoggingSpec, values)


@dataclass(frozen=True)
class Rollout:
    """How a change of what runs goes over the farm: batch by batch, each only when the one before is ready and stays so.

    Without one, all that a change concerns is replaced at once. What is new starts at once in any case, and what is
    removed ends at once.
    """

    #: Hosts in each batch: numbers, or percent of those that change. The last is repeated. ``[]``: all at once.
    batches: Sequence[Union[int, str]] = (1, "10%", "100%")
    #: Seconds for which all of a batch must have been ready before the next one begins.
    ready_s: float = 10.0
    #: Seconds from a batch's begin after which what is not ready counts as failed.
    timeout_s: float = 300.0
    #: After which batches, counted from 1, it waits for ``daqsched rollout resume``: one number or a list.
    pause_after: Union[int, Sequence[int]] = ()
    #: Failures that are too many: programs that die, get unhealthy or are not ready in time. 0: none ever is.
    failures: int = 1
    #: What then happens: ``"pause"``, or ``"rollback"`` to the revision before.
    on_failure: str = "pause"
    #: Asked before each batch, which begins when it says yes: a URL (status 200 is yes), or the name of a program in the
    #: folder that ``daqsched serve --guards`` names. What it says is shown as the reason.
    guard: str = ""

    @property
    def spec(self) -> Strategy:
        """The same as data; raises `JobError` for what can't be."""
        values = dict(vars(self))
        if isinstance(self.pause_after, int):
            values["pause_after"] = (self.pause_after,)
        if isinstance(self.batches, (int, str)):
            values["batches"] = (self.batches,)
        made = convert(Strategy, values)
        check_strategy(made)
        return made


@dataclass(frozen=True)
class Confirm:
    """How many running programs a request ends at once without asking: more than this, whoever asks has to say that it is meant.

    Without one, the daemon's own setting counts.
    """

    #: More programs than this are asked about.
    programs: int = 20
    #: And more of those that run than this share, where that is less. A share stands for at least 5.
    share: str = "33%"

    @property
    def spec(self) -> EndLimit:
        """The same as data; raises `JobError` for what can't be."""
        made = convert(EndLimit, vars(self))
        check_end_limit(made)
        return made


def _part(kind: type[Part], value: Any, inside: str, lists: Sequence[str]) -> Part:
    """With its lists as lists, also where one text was written, and its types looked at."""
    ready = {name: texts_of(getattr(value, name), f"{inside}.{name}") for name in (*lists, "hosts")}
    return convert(kind, vars(replace(value, **ready)), f"{inside}.")
