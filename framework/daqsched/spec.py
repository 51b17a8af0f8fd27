"""A job file as data: what `apply` sends, what the daemon keeps, what a digest is taken of.

A `Spec` is what is left of a job file once Python is done with it. It is plain and typed, its JSON is canonical
(equal specs have equal bytes), and an unknown field in it is an error. Placeholders are still in it, so a job
over 200 hosts is one `JobSpec`; `daqsched.fill` fills them in for one host.
"""

from __future__ import annotations

import hashlib
from dataclasses import fields, is_dataclass, replace
from functools import cache
from typing import Any, Optional, Union

import msgspec
from msgspec import structs

from daqsched.errors import UserError
from daqsched_executor.contract import Container, Restart, Stop

#: The version of the spec's JSON; raised when an older daemon could misunderstand it.
VERSION = 1

#: The job that the framework adds on every host for the lines of all others.
FORWARDER = "daqsched-forward"


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
    #: None: the program runs on the machine itself.
    container: Optional[Container] = None
    #: Whether a second copy on the machine waits until the first is gone.
    lock: bool = True
    #: Whether a start waits until the program's shared libraries are found.
    libraries: bool = True


#: Fields of a `JobSpec` that neither a running program nor its executor can see: a change in them restarts nothing.
#: Of `restart` that is ``give_up``, too.
SILENT_FIELDS = frozenset({"hosts", "attributes", "owner", "critical", "after"})


class LoggingSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """Where the lines go; what is empty is the daemon's own setting."""

    enabled: bool = True
    elasticsearch: str = ""
    index: str = ""


class Spec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """A whole farm: every job that should run, and where its lines go."""

    jobs: tuple[JobSpec, ...] = ()
    logging: LoggingSpec = LoggingSpec()
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
    return tuple((f.name, f.default) for f in fields(kind)) if is_dataclass(kind) else None


def encode(spec: Spec) -> bytes:
    """The spec's canonical JSON."""
    return _encoder.encode(plain(spec))


def decode(data: bytes | str) -> Spec:
    """Read what `encode` wrote; raises `UserError` with the field where it is not a spec of this version.

    What a crew sends is also to be given to `check`; what a store gives back was, by the rules of its day.
    """
    try:
        spec = _decoder.decode(data)
    except msgspec.ValidationError as error:
        raise UserError(f"not a spec of version {VERSION}: {error}") from error
    except msgspec.DecodeError as error:
        raise UserError(f"the spec is not JSON: {error}") from error
    if spec.version != VERSION:
        raise UserError(f"the spec has version {spec.version}, this daqsched knows {VERSION}: install the same version")
    return spec


#: The parts of a job that are dataclasses of the contract.
PARTS: dict[str, type] = {"restart": Restart, "stop": Stop, "container": Container}


def refuse_unknown(raw: Any) -> None:
    """Raise `UserError` for an unknown field of a job's restart, stop or container.

    ``raw`` is a spec's JSON that its types have taken: msgspec refuses unknown fields of structs, not of dataclasses.
    """
    for job in raw.get("jobs", ()):
        for part, kind in PARTS.items():
            known = sorted(field.name for field in fields(kind))
            for name in job.get(part) or ():
                if name not in known:
                    raise UserError(f"job {job['name']!r}: {part} has no field {name!r}; it has {', '.join(known)}")


def digest(spec: Spec) -> str:
    """Twelve hexadecimal digits that differ when anything that matters does."""
    return _digest(encode(structs.replace(spec, source="")))


def run_digest(job: JobSpec) -> str:
    """Differs when the program has to be started anew for a change to take effect; the same on every host."""
    seen = plain(structs.replace(job, restart=replace(job.restart, give_up=0)))
    return _digest(_encoder.encode({name: value for name, value in seen.items() if name not in SILENT_FIELDS}))


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:12]


def with_forwarder(spec: Spec, executor: tuple[str, ...], elasticsearch: str, index: str) -> Spec:
    """The spec with the job that forwards the lines, on every host that the spec names; as it is where none is wanted.

    ``executor`` is the command of daqsched-executor on the farm, the other two are the daemon's settings, which the
    job file's `logging` overrules.
    """
    url = spec.logging.elasticsearch or elasticsearch
    if not spec.logging.enabled or not url or not spec.jobs:
        return spec
    hosts: dict[str, None] = {}
    for job in spec.jobs:
        hosts.update(dict.fromkeys(job.hosts))
    argv = (*executor, "forward", "--elasticsearch", url, "--index", spec.logging.index or index)
    forwarder = JobSpec(
        name=FORWARDER,
        argv=tuple(text.replace("{", "{{").replace("}", "}}") for text in argv),
        hosts=tuple(hosts),
        mem=64.0,
        critical=False,
        owner="daqsched",
    )
    return structs.replace(spec, jobs=(*spec.jobs, forwarder))
