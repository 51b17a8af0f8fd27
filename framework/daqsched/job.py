"""The words of a job file: `Job` and what goes into one. Each is checked where it is written.

    from daqsched import Job, Restart

    version = "release-08"
    jobs = [
        Job("readout", "/cvmfs/daq.example.org/{version}/bin/readout --host {host}",
            hosts="hlt[01-10]", version=version, restart=Restart(cap_s=30)),
    ]

A wrong value raises `JobError` at once, so that the file's own line is the one that is shown.
"""

from __future__ import annotations

import re
import shlex
import sys
from dataclasses import dataclass, field
from types import FrameType
from typing import Any, Mapping, Optional, Sequence, TypeVar, Union

import msgspec

from daqsched.errors import JobError
from daqsched.rules import check_job
from daqsched.spec import JobSpec, LoggingSpec
from daqsched_executor.contract import Restart, Stop

__all__ = ["Job", "Logging", "Resources", "Restart", "Stop"]


@dataclass(frozen=True)
class Resources:
    """What the job is granted on its host."""

    #: Cores; may be a fraction.
    cpus: float = 0.1
    #: MiB of memory.
    mem: float = 64.0
    #: MiB of disk in the sandbox; 0 asks for none.
    disk: float = 0.0


@dataclass(frozen=True)
class Job:
    """One program on one or many hosts, once on each, kept running there.

    ``command`` is split into words as a shell would split it, but no shell runs it; give ``argv`` for a ready
    list, and ``argv=["/bin/sh", "-c", "..."]`` where a shell is wanted. In command, argv, env values, directory and
    needs the placeholders ``{host}``, ``{job}``, ``{version}`` and ``{instance}`` (job@host) are filled in per host.
    """

    #: Unique in the file: letters, digits, ``_ . -``.
    name: str
    command: str = ""
    #: A pattern such as ``"hlt[01-10]"``, or a list of names and patterns.
    hosts: Union[str, Sequence[str]] = ()
    argv: Sequence[str] = ()
    #: The software's version, for ``{version}`` and for the logs: changing it rolls the job over.
    version: str = ""
    env: Mapping[str, str] = field(default_factory=dict)
    resources: Resources = Resources()
    #: Account to run as; empty: the executor's own.
    user: str = ""
    #: Working directory; empty: the job's sandbox.
    directory: str = ""
    #: `setrlimit` limits by name, e.g. ``{"nofile": 65536, "core": 0}``.
    limits: Mapping[str, int] = field(default_factory=dict)
    #: Paths that must be readable before a start, besides the program itself, e.g. ``["/cvmfs/x/{version}/lib"]``.
    needs: Sequence[str] = ()
    restart: Restart = Restart()
    stop: Stop = Stop()
    #: Whose it is; alarms go there. Changing it restarts nothing.
    owner: str = ""
    #: Whether data taking stops without it. Changing it restarts nothing.
    critical: bool = True
    #: Whether its lines go to Elasticsearch.
    forward: bool = True
    #: Words that every line of it carries.
    labels: Mapping[str, str] = field(default_factory=dict)
    #: The line of the job file that it comes from; found by itself.
    line: int = field(default=0, init=False, repr=False, compare=False)
    spec: JobSpec = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "line", _line_of_caller())
        object.__setattr__(self, "spec", self._spec())

    def _spec(self) -> JobSpec:
        if self.command and self.argv:
            raise JobError("has both command and argv: give one", "argv")
        if not self.command and not self.argv:
            raise JobError("has neither command nor argv: nothing to run", "command")
        for name, kind in (("restart", Restart), ("stop", Stop), ("resources", Resources)):
            if not isinstance(getattr(self, name), kind):
                raise JobError(f"must be {kind.__name__}(...), not {_kind(getattr(self, name))}", name)
        spec = convert(
            JobSpec,
            name=self.name,
            argv=_words(self.command) if self.command else self.argv,
            hosts=(self.hosts,) if isinstance(self.hosts, str) else self.hosts,
            release=self.version,
            env=self.env,
            cwd=self.directory,
            user=self.user,
            cpus=self.resources.cpus,
            mem=self.resources.mem,
            disk=self.resources.disk,
            limits=self.limits,
            needs=self.needs,
            restart=self.restart,
            stop=self.stop,
            owner=self.owner,
            critical=self.critical,
            forward=self.forward,
            labels=self.labels,
        )
        check_job(spec)
        return spec


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
        return convert(LoggingSpec, enabled=self.enabled, elasticsearch=self.elasticsearch, index=self.index)


#: What a field of the spec is called in a job file, where that differs.
_WORDS = {
    "release": "version",
    "cwd": "directory",
    "cpus": "resources.cpus",
    "mem": "resources.mem",
    "disk": "resources.disk",
}


Struct = TypeVar("Struct", bound=msgspec.Struct)


def convert(kind: type[Struct], **values: Any) -> Struct:
    """Build a struct of the spec out of what a user wrote; raises `JobError` with the user's word for the field."""
    plain = {name: _plain(value) for name, value in values.items()}
    try:
        return msgspec.convert(plain, kind)
    except msgspec.ValidationError as error:
        sentence, _, path = str(error).partition(" - at `$")
        word = path.rstrip("`").lstrip(".")
        head = re.split(r"[.\[]", word, maxsplit=1)[0]
        word = _WORDS.get(head, head) + word[len(head) :]
        value: Any = values.get(head)
        raise JobError(f"{sentence[0].lower()}{sentence[1:].replace('`', '')}: {value!r}", word) from error


def _plain(value: Any) -> Any:
    if isinstance(value, (Restart, Stop)):
        return {name: _plain(part) for name, part in vars(value).items()}
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        return list(value)
    return value


def _words(command: Any) -> Sequence[str]:
    if not isinstance(command, str):
        raise JobError(f"must be text, not {_kind(command)}; a list of words goes into argv", "command")
    try:
        return shlex.split(command)
    except ValueError as error:
        raise JobError(f"{command!r} can't be split into words: {str(error).lower()}", "command") from error


def _kind(value: Any) -> str:
    return f"{type(value).__name__} {value!r}"


def _line_of_caller() -> int:
    """The outermost line of the file that is being evaluated, where the jobs of a function differ; 0 outside of one."""
    line = 0
    frame: Optional[FrameType] = sys._getframe(1)
    while frame is not None:
        if frame.f_globals.get("__name__") == "__jobs__":
            line = frame.f_lineno
        frame = frame.f_back
    return line
