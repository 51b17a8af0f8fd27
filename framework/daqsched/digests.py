"""Digests of a spec and of its jobs: whether two are the same, and what a change of one does to programs that run.

None of them leaves the daemon: what people are told in their place is made with the farm's key (`told`).
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import replace as dataclass_replace
from typing import Callable

import msgspec
from msgspec import structs

from daqsched.spec import EXECUTOR, OF_WHOM, PROGRAM, ForwarderSpec, JobSpec, Spec, encode, plain
from daqsched_executor.contract.checks import CHECK_TYPES, HEARD

_encoder = msgspec.json.Encoder(order="deterministic")


def digest(spec: Spec) -> str:
    """Twelve hexadecimal digits that differ when anything that matters does."""
    return _digest(encode(structs.replace(spec, source="")))


def told(key: bytes, digest: str) -> str:
    """Its name for people, the same for as long as the farm has that key. Without the key nobody can say which contents it is of,
    as by the digest itself could whoever guesses what is hidden from him. No key: as it is."""
    return signature(key, "digest", digest)[:12] if key and digest else digest


def signature(key: bytes, what: str, text: str) -> str:
    """By that key, for this use of it."""
    return hmac.new(key, f"{what}\0{text}".encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()


def run_digest(job: JobSpec, host: str = "") -> str:
    """Differs when the program has to be started anew for a change to take effect; the same on every host, unless it is
    the forwarder, which is told of the files and sockets of its own host alone."""
    return _digest_of(job, host, frozenset({PROGRAM}))


def older_run_digests(job: JobSpec, host: str = "") -> tuple[str, ...]:
    """The same as daemons made it that started a program anew for what its executor obeys, or for what its lines carry."""
    return (
        _digest_of(job, host, frozenset({PROGRAM, EXECUTOR})),
        _digest_of(job, host, frozenset({PROGRAM}), ("labels", "forward")),
    )


#: Rules that executors confirm which do not go by them: those before `Report.carries`.
CARRIED = ("labels", "forward")


def rules_digest(job: JobSpec) -> str:
    """`Payload.rules`: of those that each executor goes by which can be told others, and behind a point of `CARRIED`."""
    obeyed = _digest_of(job, "", frozenset({EXECUTOR}), left_out=CARRIED)
    return f"{obeyed}.{_digest_of(job, '', frozenset(), CARRIED)}"


def older_rules_digest(job: JobSpec) -> str:
    """The same as daemons made it that knew of no older executors."""
    return _digest_of(job, "", frozenset({EXECUTOR}))


def _digest_of(
    job: JobSpec, host: str, whose: frozenset[str], besides: tuple[str, ...] = (), left_out: tuple[str, ...] = ()
) -> str:
    if isinstance(job, ForwarderSpec) and PROGRAM in whose:
        job = structs.replace(job, forwarding=job.told(host))
    seen = plain(structs.replace(job, restart=dataclass_replace(job.restart, give_up=0)))
    ours = {
        name: value
        for name, value in seen.items()
        if (OF_WHOM.get(name, PROGRAM) in whose and name not in left_out) or name in besides
    }
    # NOTIFY_SOCKET and WATCHDOG_USEC, which a program is started with
    beats = sorted(check.silence_s for check in job.checks if CHECK_TYPES[check.kind].way == HEARD)
    if beats and PROGRAM in whose and EXECUTOR not in whose:
        ours["beats"] = beats
    return _digest(_encoder.encode(ours))


def run_digests(job: JobSpec) -> Callable[[str], str]:
    """Host -> `run_digest`, for many hosts."""
    if isinstance(job, ForwarderSpec):
        return lambda host: run_digest(job, host)
    digest = run_digest(job)
    return lambda host: digest


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:12]
