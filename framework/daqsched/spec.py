"""A job file as data: what `apply` sends, what the daemon keeps, what a digest is taken of.

A `Spec` is what is left of a job file once Python is done with it. It is plain and typed, its JSON is canonical
(equal specs have equal bytes), and an unknown field in it is an error. Placeholders are still in it, so a job
over 200 hosts is one `JobSpec`; `daqsched.fill` fills them in for one host.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from dataclasses import replace as dataclass_replace
from functools import cache, lru_cache
from typing import Any, Optional, Union

import msgspec
from msgspec import structs

from daqsched.confirm import EndLimit
from daqsched.errors import UserError
from daqsched.hosts import expand
from daqsched.limits import brief, shown
from daqsched.rollout import Strategy
from daqsched_executor.contract import (
    AUTO,
    PIPE,
    RULES,
    Container,
    Forwarding,
    Journal,
    JsonLines,
    LogFiles,
    Restart,
    Stop,
    Syslog,
)
from daqsched_executor.contract import (
    FORWARDER as FORWARDER,
)
from daqsched_executor.contract.forwarding import NO_ACCESS, Access

#: The version of the spec's JSON; raised when an older daemon could misunderstand it.
VERSION = 1


class CheckSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """A `daqsched_executor.contract.Check`, of which every field means the same, before placeholders are filled in."""

    kind: str
    name: str
    argv: tuple[str, ...] = ()
    address: str = "127.0.0.1"
    #: A number, or ``{port:NAME}``.
    port: Union[int, str] = 0
    path: str = ""
    stream: str = ""
    pattern: str = ""
    silence_s: float = 0.0
    grace_s: float = 30.0
    interval_s: float = 10.0
    timeout_s: float = 5.0
    failures: int = 3
    unhealthy: str = "restart"


class JobSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """One job: a program and the hosts that it runs on, once on each."""

    name: str
    #: The program and its arguments; no shell is involved. Placeholders: see `fill`.
    argv: tuple[str, ...]
    #: Host names and ranges, as written; empty: every machine that has the attributes.
    hosts: tuple[str, ...] = ()
    #: What a machine must have, by the attributes of its Mesos agent; one that is missing there never matches.
    attributes: dict[str, str] = {}
    #: The software's version ("release" to tell it from the other versions around).
    release: str = ""
    env: dict[str, str] = {}
    #: Working directory on the host; empty: the sandbox.
    cwd: str = ""
    #: Account on the host; empty: the one that the executor has.
    user: str = ""
    #: Cores, may be a fraction.
    cpus: float = 0.1
    #: MiB of memory.
    mem: float = 64.0
    #: MiB of disk in the sandbox; 0: not asked for.
    disk: float = 0.0
    #: Name -> number; 0: any that the offer has.
    ports: dict[str, int] = {}
    limits: dict[str, int] = {}
    #: Paths that must be readable on the host before a start.
    needs: tuple[str, ...] = ()
    restart: Restart = Restart()
    stop: Stop = Stop()
    #: Whose job it is: a name or an address. Changing it restarts nothing.
    owner: str = ""
    #: Whether data taking stops without it. Changing it restarts nothing.
    critical: bool = True
    #: Whether its lines go to the forwarder.
    forward: bool = True
    labels: dict[str, str] = {}
    #: Jobs that must be ready, wherever they run, before this one is started. Changing it restarts nothing.
    after: tuple[str, ...] = ()
    checks: tuple[CheckSpec, ...] = ()
    #: Commands that an operator may have run beside the program, by name.
    actions: dict[str, tuple[str, ...]] = {}
    action_timeout_s: float = 60.0
    #: Those of the actions that shifters may have run, too. Changing it restarts nothing.
    shifter_actions: tuple[str, ...] = ()
    #: None: the program runs on the machine itself.
    container: Optional[Container] = None
    #: Whether a second copy on the machine waits until the first is gone.
    lock: bool = True
    #: Whether a start waits until the program's shared libraries are found.
    libraries: bool = True
    #: Whether setuid programs work for it (`Payload.new_privileges`).
    setuid: bool = False
    #: `Payload.output`.
    output: str = PIPE
    #: `Payload.console`.
    console: bool = False
    #: Jobs that it takes the place of: it starts once these have ended. Its own name: what it was on other hosts. Changing it
    #: restarts nothing.
    replaces: tuple[str, ...] = ()
    #: Whose it is of those who share the farm, see `Spec.part`; `merge` sets it. Changing it restarts nothing.
    part: str = ""
    #: Whether it waits for a first start by hand (`MANUAL`). Changing it restarts nothing.
    start: str = AUTO


#: Who has to do with a field of a `JobSpec`, all of them.
PROGRAM, EXECUTOR, SCHEDULER = "program", "executor", "scheduler"
#: A change of what the program sees, or what it gets at its start alone, starts it anew; the executor is told of what it obeys
#: (`RULES`) and the program runs on; of what is the scheduler's own neither knows. Of `restart` that is ``give_up``, too.
#: What has finished is started anew by none of these but a new start of what runs.
OF_WHOM: Mapping[str, str] = {
    **dict.fromkeys(("name", "argv", "release", "env", "cwd", "user", "limits", "container", "setuid"), PROGRAM),
    **dict.fromkeys(("cpus", "mem", "disk", "ports"), PROGRAM),
    **dict.fromkeys(("output", "console"), PROGRAM),
    **dict.fromkeys(RULES, EXECUTOR),
    **dict.fromkeys(("hosts", "attributes", "owner", "critical", "after", "part", "replaces", "start"), SCHEDULER),
    "shifter_actions": SCHEDULER,
}

#: By which of the rules it goes whether a program comes up: one that has failed for good is tried again by others, and not by other
#: labels, actions or signals.
OF_A_START = ("restart", "needs", "libraries", "checks", "lock")


class ForwarderSpec(JobSpec, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """The job that forwards the lines of all others: `daqsched.forwarder` makes it, no crew and no spec's JSON."""

    #: What all of them are told; some of it with the hosts that it is for.
    forwarding: Forwarding = Forwarding()

    def last(self) -> ForwarderSpec:
        """The one that stays on a host where no other job is, until all that is left there is stored; then it has finished."""
        told = dataclass_replace(
            self.forwarding, files=(), syslog=Syslog(), json=JsonLines(), journal=Journal(), until_empty=True
        )
        return structs.replace(self, hosts=(), forwarding=told, restart=Restart(policy="on-failure"))

    def told(self, host: str) -> Forwarding:
        """What the one on this host is told; nothing in it names the host, so that equal ones are equal."""
        told = self.forwarding
        return dataclass_replace(
            told,
            files=tuple(dataclass_replace(one, hosts=()) for one in told.files if _meant(one.hosts, host)),
            syslog=dataclass_replace(told.syslog, hosts=()) if _meant(told.syslog.hosts, host) else Syslog(),
            json=dataclass_replace(told.json, hosts=()) if _meant(told.json.hosts, host) else JsonLines(),
            journal=dataclass_replace(told.journal, hosts=()) if _meant(told.journal.hosts, host) else Journal(),
        )


def _meant(hosts: tuple[str, ...], host: str) -> bool:
    return not hosts or host in _names(hosts)


@lru_cache(maxsize=256)
def _names(hosts: tuple[str, ...]) -> frozenset[str]:
    return frozenset(expand(hosts))


class LoggingSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """Where the lines go and what else is read: a `daqsched_executor.contract.Forwarding`, of which every field means the
    same. Where ``elasticsearch`` or ``index`` is empty, the daemon's own setting counts."""

    enabled: bool = True
    elasticsearch: str = ""
    index: str = ""
    period: str = "day"
    ca_file: str = ""
    user_file: str = ""
    api_key_file: str = ""
    keep: float = 16.0
    disk: float = 10240.0
    when_full: str = "oldest"
    run_file: str = ""
    files: tuple[LogFiles, ...] = ()
    syslog: Syslog = Syslog()
    json: JsonLines = JsonLines()
    journal: Journal = Journal()

    def forwarding(self, elasticsearch: str = "", index: str = "", access: Access = NO_ACCESS) -> Forwarding:
        """What forwarders are told; the three are the daemon's own. A secret goes to no other server than its own."""
        values = {name: getattr(self, name) for name in self.__struct_fields__ if name != "enabled"}
        if not self.elasticsearch:
            values["ca_file"] = self.ca_file or access.ca_file
            if not self.user_file and not self.api_key_file:
                values["user_file"], values["api_key_file"] = access.user_file, access.api_key_file
        values["elasticsearch"] = self.elasticsearch or elasticsearch
        values["index"] = self.index or index
        return Forwarding(**values)


class PartSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """What the file of a named part of a farm says beside its jobs: as of `Spec`."""

    rollout: Optional[Strategy] = None
    confirm: Optional[EndLimit] = None


class Spec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """A whole farm: every job that should run, and where its lines go."""

    jobs: tuple[JobSpec, ...] = ()
    logging: LoggingSpec = LoggingSpec()
    #: How changes go over the farm; None: all at once.
    rollout: Optional[Strategy] = None
    #: How many programs a request ends unasked; None: as the daemon says.
    confirm: Optional[EndLimit] = None
    #: Jobs of the same names as they still are on these hosts, which an apply of a part left alone (`merge`); no job file has any.
    variants: tuple[JobSpec, ...] = ()
    #: Of a job file: the part of the farm that it is about, and nothing else is; empty: what has no part. Never of a farm, whose
    #: jobs say it.
    part: str = ""
    #: Of a farm: what the files of its named parts say beside their jobs, and the part whose file says where lines go.
    parts: dict[str, PartSpec] = {}
    logging_part: str = ""
    #: Where the spec came from, for people; not part of the digest.
    source: str = ""
    version: int = VERSION


#: What runs before anything was applied.
EMPTY = Spec()

_encoder = msgspec.json.Encoder(order="deterministic")
_decoder = msgspec.json.Decoder(Spec)


def plain(value: Any) -> Any:
    """A spec, or a part of one, as values of JSON; what is as it is by default is left out.

    So equal specs are equal text, whoever wrote the defaults down (msgspec's `omit_defaults` compares identities), and
    a version of daqsched that knows more fields has the same digests for jobs that do not use them.
    """
    kind: type = type(value)
    known = _defaults(kind)
    if known is not None:
        parts = ((name, getattr(value, name), default) for name, default in known)
        return {name: plain(part) for name, part, default in parts if part != default}
    if isinstance(value, tuple):
        return [plain(part) for part in value]
    if isinstance(value, dict):
        return {name: plain(part) for name, part in value.items()}
    return value


@cache
def _defaults(kind: type) -> Optional[tuple[tuple[str, Any], ...]]:
    """The fields of a struct or dataclass with their defaults; None: it is neither."""
    if issubclass(kind, msgspec.Struct):
        return tuple(
            (f.name, f.default_factory() if callable(f.default_factory) else f.default) for f in structs.fields(kind)
        )
    if not is_dataclass(kind):
        return None
    return tuple((f.name, f.default if f.default_factory is MISSING else f.default_factory()) for f in fields(kind))


def encode(spec: Spec) -> bytes:
    """The spec's canonical JSON."""
    return _encoder.encode(plain(spec))


def canonical(job: JobSpec) -> bytes:
    """The job's canonical JSON: equal jobs, and only these, have equal bytes."""
    return _encoder.encode(plain(job))


def size_of(job: JobSpec) -> int:
    """Bytes of a job's JSON; a text that is none counts as nothing."""
    try:
        return len(_encoder.encode(plain(job)))
    except UnicodeEncodeError:
        return 0


def decode(data: bytes | str) -> Spec:
    """Read what `encode` wrote; raises `UserError` with the field where it is not a spec of this version.

    What a crew sends is also to be given to `check`; what a store gives back was, by the rules of its day.
    """
    try:
        spec = _decoder.decode(data)
    except msgspec.ValidationError as error:
        raise UserError(f"not a spec of version {VERSION}: {brief(str(error))}") from error
    except msgspec.DecodeError as error:
        raise UserError(f"the spec is not JSON: {brief(str(error))}") from error
    if spec.version != VERSION:
        raise UserError(f"the spec has version {spec.version}, this daqsched knows {VERSION}: install the same version")
    return spec


#: The parts of a job and of the logging that are dataclasses of the contract.
PARTS: dict[str, type] = {"restart": Restart, "stop": Stop, "container": Container}
LOGGING_PARTS: dict[str, type] = {"files": LogFiles, "syslog": Syslog, "json": JsonLines, "journal": Journal}


def refuse_unknown(raw: Any) -> None:
    """Raise `UserError` for an unknown field of such a part.

    ``raw`` is a spec's JSON that its types have taken: msgspec refuses unknown fields of structs, not of dataclasses.
    """
    for job in raw.get("jobs", ()):
        for part, kind in PARTS.items():
            _refuse_unknown(kind, job.get(part) or (), f"job {shown(job['name'])}: {part}")
    logging = raw.get("logging", {})
    for part, kind in LOGGING_PARTS.items():
        for one in logging.get(part, ()) if part == "files" else [logging.get(part, ())]:
            _refuse_unknown(kind, one, f"logging.{part}")


def _refuse_unknown(kind: type, names: Iterable[str], where: str) -> None:
    known = sorted(field.name for field in fields(kind))
    for name in names:
        if name not in known:
            raise UserError(f"{where} has no field {shown(name)}; it has {', '.join(known)}")
