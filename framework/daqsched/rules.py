"""What types alone can't say of a job: the rules that a job file's line is shown for, and that a daemon keeps, too."""

from __future__ import annotations

import re
from math import inf

from daqsched.errors import JobError
from daqsched.fill import fill
from daqsched.hosts import expand
from daqsched.spec import FORWARDER, JobSpec, Spec
from daqsched_executor.contract import RESTART_POLICIES, Restart


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
