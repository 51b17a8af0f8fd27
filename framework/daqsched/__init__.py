"""The words of a job file: ``from daqsched import Job, Restart, hosts``.

Packages, from the core outwards: `rights` (who may do what), `jobfile` (those words) and `engine` (the scheduler's
core), `views` (what people are told of it), `store`, `mesos` and `logs` (what it talks to), `serve` and `terminal`
(the daemon, and how things look), `cli` (the commands).

Modules that all of them use. What a farm should run: `spec` is a job file as data, `digests` what a change of it
means for what runs, `task` a job on a host and its Mesos task, `states` what people see of one, `hosts` and `select`
who is meant (`nearest` where it is mistyped), `merge` the farm after a change of a part, `farm_parts` the teams that
share it, `choices` what a shifter may set (`saved_choices` which of them count), `control` who may change it
meanwhile, `proposals` what waits to be applied, `rollout` how a change goes over it (in `batches`), `confirm` how
much of it may end unasked, `fill` what an executor is told, `logbook` what the crew wrote, `forwarder` the job that
forwards lines, `preflight` what is asked of hosts beforehand. What keeps the world out: `limits`, `bounded`,
`redaction`, `foreign`, `errors`; `bundle` carries some of it away. Between commands and daemon: `protocol`,
`problems`, `operations`, which `openapi` tells programs, `client` (by a `daemon_connection`, and that by an
`exchange` of HTTP), `remote` (over the network, with `saved_logins`), `settings`. `backends` makes of ``--state``
what keeps the state, `offline` opens that for a command; `authority` makes certificates, `passwords` keeps those.
`zookeeper_client` is bounded, for it and for finding masters. Small things: `identity`, `plural`, `ports`, `times`, `wakeup`,
`whole_file`.
"""

from typing import TYPE_CHECKING, Any

# here, as a module has this name, too
from daqsched.hosts import expand as hosts
from daqsched_executor import __version__

if TYPE_CHECKING:
    from daqsched.jobfile.checks import Check, CommandCheck, FileCheck, Heartbeat, HttpCheck, OutputCheck, TcpCheck
    from daqsched.jobfile.job import Job
    from daqsched.jobfile.parts import (
        Confirm,
        Container,
        Journal,
        JsonLines,
        LogFiles,
        Logging,
        Resources,
        Restart,
        Rollout,
        Stop,
        Syslog,
    )
    from daqsched.jobfile.variables import variable


def __getattr__(name: str) -> Any:
    """The words are imported for who evaluates a job file: most commands do not."""
    if name in __all__:
        from daqsched.jobfile import checks, job, parts, variables

        for module in (checks, job, parts, variables):
            if hasattr(module, name):
                return getattr(module, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "Check",
    "CommandCheck",
    "Confirm",
    "Container",
    "FileCheck",
    "Heartbeat",
    "HttpCheck",
    "Job",
    "Journal",
    "JsonLines",
    "LogFiles",
    "Logging",
    "OutputCheck",
    "Resources",
    "Restart",
    "Rollout",
    "Stop",
    "Syslog",
    "TcpCheck",
    "__version__",
    "hosts",
    "variable",
]
