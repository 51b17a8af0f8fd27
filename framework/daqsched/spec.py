"""A job file as data: what `apply` sends, what the daemon keeps, what a digest is taken of.

A `Spec` is what is left of a job file once Python is done with it. It is plain and typed, its JSON is canonical
(equal specs have equal bytes), and an unknown field in it is an error. Placeholders are still in it, so a job
over 200 hosts is one `JobSpec`; `payload` fills them in for one host.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from math import inf
from typing import Any, Callable, Iterable, Mapping, Optional, Union

import msgspec

from daqsched.errors import JobError, UserError
from daqsched.hosts import expand
from daqsched_executor.contract import RESTART_POLICIES, Check, Container, Payload, Restart, Stop

#: The version of the spec's JSON; raised when an older daemon could misunderstand it.
VERSION = 1

_NO_PORTS: Mapping[str, int] = {}

#: The job that the framework adds on every host for the lines of all others.
FORWARDER = "daqsched-forward"

_PLACEHOLDER = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")


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


#: Fields of a `JobSpec` that no running program can see: a change in them restarts nothing.
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


def encode(spec: Spec) -> bytes:
    """The spec's canonical JSON."""
    return _encoder.encode(spec)


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


def check(spec: Spec) -> None:
    """What types alone can't say of a spec; raises `JobError`. The job file calls the same checks job by job."""
    seen = set()
    for job in spec.jobs:
        check_job(job)
        if job.name in seen:
            raise JobError(f"two jobs are named {job.name!r}: names must differ", "name")
        seen.add(job.name)


#: Job names appear in task ids, file names, URLs and selections.
_JOB_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}\Z")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
#: The signals of Linux that can end a program, by signal(7); the executor looks them up by these names.
_SIGNALS = frozenset("HUP INT QUIT ABRT KILL USR1 USR2 ALRM TERM XCPU XFSZ VTALRM PROF IO PWR".split())
_LIMITS = frozenset(
    [
        "as",
        "core",
        "cpu",
        "data",
        "fsize",
        "memlock",
        "msgqueue",
        "nice",
        "nofile",
        "nproc",
        "rss",
        "rtprio",
        "rttime",
        "sigpending",
        "stack",
    ]
)


def check_job(job: JobSpec) -> None:
    """Raise `JobError` with the field for whatever could not run anywhere."""
    if not _JOB_NAME.match(job.name):
        raise JobError(f"{job.name!r} is no job name: letters, digits, '_', '.', '-', at most 100", "name")
    if job.name == FORWARDER:
        raise JobError(f"{FORWARDER!r} is the name of the job that forwards the lines: choose another", "name")
    if not job.argv or not job.argv[0]:
        raise JobError("the command is empty", "command")
    if not expand(job.hosts) and not job.attributes:
        raise JobError("names no host: give hosts=[...] or attributes={...}", "hosts")
    for field in ("cpus", "mem"):
        if not 0 < getattr(job, field) < inf:
            raise JobError(f"must be more than 0, not {getattr(job, field):g}", f"resources.{field}")
    _check_amount(job.disk, "resources.disk")
    for name in job.env:
        if not _VARIABLE.match(name):
            raise JobError(f"{name!r} is no name for an environment variable", "env")
    for name in job.limits:
        if name not in _LIMITS:
            raise JobError(f"{name!r} is no limit: one of {', '.join(sorted(_LIMITS))}", "limits")
    for path in job.needs:
        if not path.startswith("/"):
            raise JobError(f"{path!r} must be an absolute path", "needs")
    _check_restart(job.restart)
    if job.stop.signal not in _SIGNALS:
        raise JobError(f"{job.stop.signal!r} is no signal: one of {' '.join(sorted(_SIGNALS))}", "stop.signal")
    _check_amount(job.stop.grace_s, "stop.grace_s")
    for field, texts in (
        ("command", job.argv),
        ("env", tuple(job.env.values())),
        ("directory", (job.cwd,)),
        ("needs", job.needs),
    ):
        for text in texts:
            if "\0" in text:
                raise JobError(f"{text!r} holds a NUL character", field)
            fill(text, job, "host", field)


def _check_restart(restart: Restart) -> None:
    if restart.policy not in RESTART_POLICIES:
        raise JobError(f"{restart.policy!r} is no policy: one of {', '.join(RESTART_POLICIES)}", "restart.policy")
    if not 1 <= restart.factor < inf:
        raise JobError(f"must be at least 1, not {restart.factor:g}", "restart.factor")
    for field in ("delay_s", "cap_s", "reset_s", "budget", "window_s"):
        _check_amount(getattr(restart, field), f"restart.{field}")


def _check_amount(value: float, field: str) -> None:
    """What JSON can't say (infinity, no number) is refused, too: it would travel as null."""
    if not 0 <= value < inf:
        raise JobError(f"must be 0 or more, not {value:g}", field)


def fill(text: str, job: JobSpec, host: str, field: str = "command", ports: Mapping[str, int] = _NO_PORTS) -> str:
    """Replace ``{host}``, ``{job}``, ``{version}``, ``{instance}`` and ``{port:NAME}``; ``{{`` and ``}}`` stand for the
    braces themselves.

    Raises `JobError` for any other placeholder, so that a typing mistake is found before anything is sent.
    """
    values = {"host": host, "job": job.name, "version": job.release, "instance": f"{job.name}@{host}"}
    values.update((f"port:{name}", str(ports.get(name, number))) for name, number in job.ports.items())

    def one(found: re.Match[str]) -> str:
        if found.group(0) in ("{{", "}}"):
            return found.group(0)[0]
        name = found.group(1)
        if name is None:
            raise JobError(
                f"{text!r}: a single '{found.group(0)}'; write '{found.group(0) * 2}' for the character", field
            )
        if name not in values:
            there = ", ".join(f"{{{value}}}" for value in values)
            raise JobError(f"{text!r}: no placeholder '{{{name}}}'; there are {there}", field)
        if name == "version" and not job.release:
            raise JobError(f"{text!r} uses {{version}}, but the job has no version", field)
        return values[name]

    return _PLACEHOLDER.sub(one, text) if "{" in text or "}" in text else text


def payload(job: JobSpec, host: str, task_id: str, ports: Mapping[str, int] = _NO_PORTS) -> Payload:
    """What the executor of this job on this host is told.

    ``ports`` are the numbers for those of the job's ports that are 0 in it; the fixed ones need not be in it.
    """
    numbers = {name: ports.get(name, number) for name, number in job.ports.items()}

    def one(text: str, field: str) -> str:
        return fill(text, job, host, field, numbers)

    def all_of(texts: Iterable[str], field: str) -> tuple[str, ...]:
        return tuple(one(text, field) for text in texts)

    container = job.container
    return Payload(
        task_id=task_id,
        job=job.name,
        host=host,
        argv=all_of(job.argv, "command"),
        env={name: one(text, "env") for name, text in job.env.items()},
        release=job.release,
        cwd=one(job.cwd, "directory"),
        user=job.user,
        limits=job.limits,
        needs=all_of(job.needs, "needs"),
        restart=job.restart,
        stop=replace(
            job.stop, before=all_of(job.stop.before, "stop.before"), after=all_of(job.stop.after, "stop.after")
        ),
        forward=job.forward,
        labels=job.labels,
        checks=tuple(_check(check, one) for check in job.checks),
        actions={name: all_of(argv, "actions") for name, argv in job.actions.items()},
        action_timeout_s=job.action_timeout_s,
        ports=numbers,
        cpus=job.cpus,
        mem=job.mem,
        container=container
        and replace(
            container,
            image=one(container.image, "container.image"),
            volumes=all_of(container.volumes, "container.volumes"),
        ),
        lock=job.lock,
        libraries=job.libraries,
    )


def _check(check: CheckSpec, one: Callable[[str, str], str]) -> Check:
    values = msgspec.structs.asdict(check)
    values["argv"] = tuple(one(text, "check") for text in check.argv)
    values["path"] = one(check.path, "check")
    values["address"] = one(check.address, "check")
    values["port"] = int(one(str(check.port), "check"))
    return Check(**values)


def digest(spec: Spec) -> str:
    """Twelve hexadecimal digits that differ when anything that matters does."""
    return _digest(encode(msgspec.structs.replace(spec, source="")))


def run_digest(job: JobSpec) -> str:
    """Differs when the program has to be started anew for a change to take effect; the same on every host."""
    fields = msgspec.structs.asdict(job)
    return _digest(_encoder.encode({name: value for name, value in fields.items() if name not in SILENT_FIELDS}))


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
    return msgspec.structs.replace(spec, jobs=(*spec.jobs, forwarder))


def to_builtins(value: Any) -> Mapping[str, Any]:
    """A spec or job as plain JSON values, defaults left out."""
    plain: Mapping[str, Any] = msgspec.to_builtins(value)
    return plain
