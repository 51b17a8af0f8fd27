"""What a machine's forwarder is told: `Logging(...)` of a job file, or the YAML file of a machine without Mesos.

Secrets never stand here: only the names of the files that hold them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

from daqsched_executor.contract.wire import VERSION, build, load

#: The file in the forwarder's folder of the lines that Elasticsearch took in no form.
DEAD_LETTER_FILE = "deadletter.ndjson"

#: What is dropped first where the disk's bound is reached: see `Forwarding.when_full`.
WHEN_FULL = ("oldest", "debug")

#: How often a new index begins: see `Forwarding.period`.
PERIODS = ("month", "day", "hour", "minute")


class Access(NamedTuple):
    """How Elasticsearch is asked: names of files, an empty one is none. `contract.access` reads them."""

    #: PEM of the authority that signed the server's certificate; none: those that the machine trusts.
    ca_file: str = ""
    #: ``NAME:PASSWORD`` in the first line.
    user_file: str = ""
    #: An API key, ``encoded`` or ``id:api_key``, in the first line.
    api_key_file: str = ""


#: Plain HTTP, or the authorities that the machine trusts, and no secret.
NO_ACCESS = Access()


@dataclass(frozen=True)
class LogFiles:
    """Log files of a service that is not a job: followed by name through rotation, each line (or record) stored once."""

    #: ``service.name`` of the lines, as a job's name would be.
    name: str
    #: Absolute paths with ``*``, ``?``, ``[]`` and ``**``; a file that appears later is read from its beginning.
    paths: tuple[str, ...]
    #: How a line tells its time: a preset's name or a `strptime` format; empty: the time when it was seen.
    time: str = ""
    #: How a line tells its level: a preset's name, or a regular expression with a group ``level``; empty: as jobs' lines.
    level: str = ""
    #: How lines make a record: a preset's name, or a regular expression that a record's first line matches; empty: each
    #: line is one.
    multiline: str = ""
    #: A codec that Python knows; lines end with its newline.
    charset: str = "utf-8"
    #: Whether a file that was there when it was first seen is read from its beginning.
    from_start: bool = False
    #: Whether symbolic links are followed: those of root (or the forwarder's account), and another account's to its own files.
    follow_links: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)
    #: Only on these machines, in a job file: names and ranges as in a job; empty: on all that have a forwarder.
    hosts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Syslog:
    """Where syslog of others comes in, RFC 3164 and 5424; 0: not there."""

    udp: int = 0
    tcp: int = 0
    address: str = "0.0.0.0"
    #: The socket's receive buffer in MiB; the kernel's limit (net.core.rmem_max) may be lower where we are not root.
    buffer: float = 8.0
    #: So many TCP connections there may be at a time; beyond them a new one takes the place of one that is silent.
    senders: int = 256
    #: One that is silent for so long is closed.
    idle_s: float = 3600.0
    #: Only on these machines, in a job file: names and ranges as in a job; empty: on all that have a forwarder.
    hosts: tuple[str, ...] = ()


@dataclass(frozen=True)
class JsonLines:
    """Where JSON objects come in by UDP, one or more lines in a datagram; 0: not there."""

    udp: int = 0
    address: str = "0.0.0.0"
    buffer: float = 8.0
    #: Only on these machines, in a job file: names and ranges as in a job; empty: on all that have a forwarder.
    hosts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Journal:
    """The systemd journal of the machine, where there is one."""

    enabled: bool = False
    #: Only these units; empty: all.
    units: tuple[str, ...] = ()
    #: A folder of journal files instead of the machine's own.
    directory: str = ""
    #: Only on these machines, in a job file: names and ranges as in a job; empty: on all that have a forwarder.
    hosts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Forwarding:
    """All that a forwarder is told. Sizes in MiB, times in seconds."""

    #: ``http(s)://HOST:PORT`` of Elasticsearch's nodes, with commas.
    elasticsearch: str = ""
    #: The first part of the index names.
    index: str = "daqsched-logs"
    #: How often a new index begins: one of `PERIODS`.
    period: str = "day"
    #: Files: PEM of the authority that signed Elasticsearch's certificate; ``NAME:PASSWORD``; an API key as Elasticsearch
    #: gave it (``encoded``). They are read anew when they change.
    ca_file: str = ""
    user_file: str = ""
    api_key_file: str = ""
    #: Of each stream so much that is stored stays readable in its file (Mesos' web UI, the sandbox); what is older is
    #: given back to the disk.
    keep: float = 16.0
    #: All that waits to be stored on this machine takes at most so much disk; beyond it, lines are dropped and counted.
    disk: float = 10240.0
    #: What is dropped first: one of `WHEN_FULL`.
    when_full: str = "oldest"
    #: A file whose first word is the number of the current run: ``labels.run`` of the lines seen from then on.
    run_file: str = ""
    #: Host name of lines that are not a job's; empty: the machine's own.
    host: str = ""
    #: Where streams are registered; empty: the agent's (see `spool_of`).
    spool: str = ""
    #: Come to an end when nobody writes to any stream any more and all is stored: the last forwarder of a machine that has no
    #: more jobs.
    until_empty: bool = False
    files: tuple[LogFiles, ...] = ()
    syslog: Syslog = Syslog()
    json: JsonLines = JsonLines()
    journal: Journal = Journal()

    @property
    def access(self) -> Access:
        """The files that say how Elasticsearch is asked."""
        return Access(self.ca_file, self.user_file, self.api_key_file)

    def to_json(self) -> str:
        """What `from_json` reads; equal values have equal text."""
        return json.dumps({**asdict(self), "version": VERSION}, separators=(",", ":"), sort_keys=True)

    @classmethod
    def from_json(cls, data: bytes | str) -> Forwarding:
        """Read what `to_json` wrote; raises `ContractError` on anything else."""
        what = "what the forwarder is told"
        raw: dict[str, Any] = load(data, what)
        for name, kind in (("syslog", Syslog), ("json", JsonLines), ("journal", Journal)):
            if name in raw:
                raw[name] = build(kind, raw[name], f"{what} ({name})")
        raw["files"] = [build(LogFiles, one, f"{what} (files)") for one in raw.get("files", ())]
        return build(cls, raw, what)
