"""A job on one host: placeholders filled in, and the payload that its executor is told."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Callable, Iterable, Mapping

import msgspec

from daqsched.digests import rules_digest
from daqsched.errors import JobError
from daqsched.limits import shown
from daqsched.spec import CheckSpec, ForwarderSpec, JobSpec
from daqsched_executor.contract import FORWARDING_VARIABLE, Check, Payload
from daqsched_executor.contract.checks import FILLED_IN

_PLACEHOLDER = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_NO_PORTS: Mapping[str, int] = {}


def fill(text: str, job: JobSpec, host: str, field: str = "command", ports: Mapping[str, object] = _NO_PORTS) -> str:
    """Replace ``{host}``, ``{job}``, ``{version}``, ``{instance}`` and ``{port:NAME}``; ``{{`` and ``}}`` stand for the
    braces themselves.

    Raises `JobError` for any other placeholder, so that a typing mistake is found before anything is sent.
    """
    if "{" not in text and "}" not in text:
        return text  # most texts; each launch fills in all of its job
    values = {"host": host, "job": job.name, "version": job.release, "instance": f"{job.name}@{host}"}
    values.update((f"port:{name}", str(ports.get(name, number))) for name, number in job.ports.items())

    # a value of the environment may be a secret, and sentences go into logs
    hidden = field == "env"
    said = "a value" if hidden else shown(text)

    def one(found: re.Match[str]) -> str:
        if found.group(0) in ("{{", "}}"):
            return found.group(0)[0]
        name = found.group(1)
        if name is None:
            raise JobError(
                f"{said}: a single '{found.group(0)}'; write '{found.group(0) * 2}' for the character", field
            )
        if name.startswith("port:") and name not in values:
            there = ", ".join(job.ports) or "none"
            raise JobError(f"{said}: the job has no port {shown(name[5:])} among its resources.ports: {there}", field)
        if name not in values:
            there = ", ".join(f"{{{value}}}" for value in values)
            wrong = "..." if hidden else name[:100]
            raise JobError(f"{said}: no placeholder '{{{wrong}}}'; there are {there}", field)
        if name == "version" and not job.release:
            raise JobError(f"{said} uses {{version}}, but the job has no version", field)
        return values[name]

    return _PLACEHOLDER.sub(one, text)


def command_on(job: JobSpec, host: str) -> tuple[str, ...]:
    """What is run there, for people. A port whose number comes with the offer is not known yet, and stays as it was written."""
    unknown = {name: f"{{port:{name}}}" for name, number in job.ports.items() if not number}
    return tuple(fill(text, job, host, ports=unknown) for text in job.argv)


def payload(job: JobSpec, host: str, task_id: str, ports: Mapping[str, int] = _NO_PORTS, rules: str = "") -> Payload:
    """What the executor of this job on this host is told.

    ``ports`` are the numbers for those of the job's ports that are 0 in it; the fixed ones need not be in it. ``rules`` is
    `rules_digest` of the job where the caller has it already, as it takes longer than all the rest.
    """
    numbers = {name: ports.get(name, number) for name, number in job.ports.items()}

    def one(text: str, field: str) -> str:
        return fill(text, job, host, field, numbers)

    def all_of(texts: Iterable[str], field: str) -> tuple[str, ...]:
        return tuple(one(text, field) for text in texts)

    container, stop = job.container, job.stop
    if stop.before or stop.after:
        stop = replace(stop, before=all_of(stop.before, "stop.before"), after=all_of(stop.after, "stop.after"))
    env = {name: one(text, "env") for name, text in job.env.items()}
    if isinstance(job, ForwarderSpec):
        env[FORWARDING_VARIABLE] = replace(job.told(host), host=host).to_json()
    return Payload(
        task_id=task_id,
        job=job.name,
        host=host,
        argv=all_of(job.argv, "command"),
        env=env,
        release=job.release,
        cwd=one(job.cwd, "directory"),
        user=job.user,
        limits=job.limits,
        needs=all_of(job.needs, "needs"),
        restart=job.restart,
        stop=stop,
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
        new_privileges=job.setuid,
        output=job.output,
        console=job.console,
        rules=rules or rules_digest(job),
    )


def _check(check: CheckSpec, one: Callable[[str, str], str]) -> Check:
    def filled(value: object) -> object:
        return tuple(one(text, "check") for text in value) if isinstance(value, tuple) else one(str(value), "check")

    values = msgspec.structs.asdict(check)
    values.update({field: filled(values[field]) for field in FILLED_IN})
    values["port"] = int(values["port"])
    return Check(**values)
