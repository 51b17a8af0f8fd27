"""The job that forwards the lines of all others: one on each host that a spec names, jobs' and inputs' alike."""

from __future__ import annotations

from msgspec import structs

from daqsched.spec import FORWARDER, CheckSpec, ForwarderSpec, Spec
from daqsched_executor.contract.forwarding import NO_ACCESS, Access

#: A forwarder whose loop stood still for so long is told of. No restart: where a disk hangs, the next one would hang, too.
SILENCE_S = 120.0


def with_forwarder(
    spec: Spec, executor: tuple[str, ...], elasticsearch: str, index: str, access: Access = NO_ACCESS
) -> Spec:
    """The spec with that job; as it is where none is asked for. Where no host is named it is on none, but lets those that are there
    finish their work.

    ``executor`` is the command of daqsched-executor on the farm, the others are the daemon's settings, which the job
    file's `logging` overrules.
    """
    told = spec.logging.forwarding(elasticsearch, index, access)
    named = [job.hosts for job in spec.jobs] + [files.hosts for files in told.files]
    named += [told.syslog.hosts, told.json.hosts, told.journal.hosts]
    hosts = dict.fromkeys(host for each in named for host in each)
    if not spec.logging.enabled or not told.elasticsearch:
        return spec
    # an older executor knows no environment variable, and `ps` shows where lines go
    argv = (*executor, "forward", "--elasticsearch", told.elasticsearch, "--index", told.index)
    job = ForwarderSpec(
        name=FORWARDER,
        argv=tuple(text.replace("{", "{{").replace("}", "}}") for text in argv),
        hosts=tuple(hosts),
        mem=64.0,
        critical=False,
        owner="daqsched",
        checks=(CheckSpec(kind="heartbeat", name="loop", silence_s=SILENCE_S, unhealthy="notify"),),
        forwarding=told,
    )
    return structs.replace(spec, jobs=(*spec.jobs, job))
