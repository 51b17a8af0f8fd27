"""The words for what goes into a `Job` besides its checks: what it is granted, how it is ended, the image it runs in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Union

from daqsched.convert import convert, texts_of, words_of
from daqsched.spec import LoggingSpec
from daqsched_executor.contract import Restart

__all__ = ["Container", "Logging", "Resources", "Restart", "Stop"]


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
    """Where the lines of all jobs go; what is left out is the daemon's own setting."""

    #: False: no forwarder runs, the lines stay in the sandboxes.
    enabled: bool = True
    #: ``http://HOST:PORT`` of Elasticsearch.
    elasticsearch: str = ""
    #: The first part of the index names: ``INDEX-YYYY.MM.DD``.
    index: str = ""

    @property
    def spec(self) -> LoggingSpec:
        """The same as data."""
        return convert(LoggingSpec, vars(self))
