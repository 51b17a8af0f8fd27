"""What types alone can't say of one job and of the logging: rules that a file's line is shown for, and a daemon keeps, too."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from math import inf
from typing import Callable, Optional

from daqsched.errors import JobError
from daqsched.fill import fill
from daqsched.hosts import expand
from daqsched.jobfile import check_rules
from daqsched.jobfile.convert import WORDS
from daqsched.limits import ARGUMENT, COMMAND, JOB, did_you_mean, refusal, unbounded, whole
from daqsched.ports import LAST
from daqsched.spec import FORWARDER, JobSpec, LoggingSpec, size_of
from daqsched_executor.contract import OUTPUTS, PIPE, RESTART_POLICIES, STARTS, forwarding_rules
from daqsched_executor.contract.checks import FILLED_IN, amount, command, positive

#: Names that appear in task ids, file names, URLs and selections.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}\Z")
_NAME_RULE = "begins with a letter or digit, then letters, digits, '_', '.', '-', at most 100"
_PORT_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,30}\Z")
#: execve(2) allows any but '='; nobody means a blank or a control character.
_VARIABLE = re.compile(r"[^=\s\x00-\x1f\x7f]+\Z")
#: What the executor says to each program, whatever a job's env says.
_OWN_VARIABLES = frozenset("DAQSCHED_JOB DAQSCHED_HOST DAQSCHED_INSTANCE DAQSCHED_TASK_ID".split())
#: The signals of Linux that can end a program, by signal(7); the executor looks them up by these names.
_SIGNALS = frozenset("HUP INT QUIT ABRT KILL USR1 USR2 ALRM TERM XCPU XFSZ VTALRM PROF IO PWR".split())
_LIMITS = frozenset(
    "as core cpu data fsize memlock msgqueue nice nofile nproc rss rtprio rttime sigpending stack".split()
)
#: Docker's engine knows the other limits, not this one (go-units, ulimit.go).
_NOT_IN_CONTAINERS = frozenset({"as"})
_VOLUME = re.compile(r"/[^:]*:/[^:]*(:(ro|rw|slave)(,(ro|rw|slave))*)?\Z")
_ENGINE = re.compile(r"(/|unix:///|tcp://|https?://|ssh://).+\Z")


def check_job(job: JobSpec) -> None:
    """Raise `JobError` with the field for whatever could not run anywhere, or is beyond a limit."""
    _raise(refusal(job, limit=unbounded))
    if size_of(job) > JOB.most:
        raise JobError(f"the job has {size_of(job):,} bytes as JSON, at most {JOB.most:,.0f} are allowed", "name")
    if not _NAME.match(job.name):
        raise JobError(f"{job.name!r} is not a valid job name: it {_NAME_RULE}", "name")
    if job.name == FORWARDER:
        raise JobError(f"{FORWARDER!r} is the name of the job that forwards the lines: choose another", "name")
    _check_command(job.argv, "command")
    hosts = expand(job.hosts)
    if not hosts and not job.attributes:
        raise JobError("names no host: give hosts=[...] or attributes={...}", "hosts")
    for name, value in job.attributes.items():
        if not name or not value:
            raise JobError(f"{name!r}: {value!r} can't match: an attribute has a name and a value", "attributes")
    for field in ("cpus", "mem"):
        if not 0 < getattr(job, field) < inf:
            raise JobError(f"must be more than 0, not {getattr(job, field):g}", f"resources.{field}")
    _check_amount(job.disk, "resources.disk")
    _check_ports(job)
    for name in job.env:
        if not _VARIABLE.match(name):
            raise JobError(f"{name!r} is not a valid name for an environment variable: no '=', no blank", "env")
        if name in _OWN_VARIABLES:
            raise JobError(f"{name} is daqsched's own: it tells the program who it is", "env")
    for name in job.limits:
        if name not in _LIMITS:
            raise JobError(f"{name!r} is not a limit{did_you_mean(name, _LIMITS)}", "limits")
    if job.output not in OUTPUTS:
        raise JobError(f"{job.output!r} is not an output: one of {', '.join(OUTPUTS)}", "output")
    if job.start not in STARTS:
        raise JobError(f"{job.start!r} is not a way to start: one of {', '.join(STARTS)}", "start")
    if job.console and job.output != PIPE:
        raise JobError("a program with a terminal prints to that: leave output as it is", "console")
    if job.console and job.container is not None:
        raise JobError("a program in a container can't have a terminal of ours", "console")
    _check_restart(job)
    _check_stop(job)
    names = set()
    for one in job.checks:
        inside = f"check[{one.name}]"
        if not _NAME.match(one.name):
            raise JobError(f"{one.name!r} is not a valid name for a check: it {_NAME_RULE}", f"{inside}.name")
        field, sentence = check_rules.mistake(one)
        _refuse(sentence, f"{inside}.{field}")
        if one.name in names:
            raise JobError(f"two checks are named {one.name!r}: give one of them another name=", f"{inside}.name")
        names.add(one.name)
    for name, argv in job.actions.items():
        if not _NAME.match(name):
            raise JobError(f"{name!r} is not a valid name for an action: it {_NAME_RULE}", "actions")
        _check_command(argv, f"actions[{name}]")
    _check_positive(job.action_timeout_s, "action_timeout_s")
    for name in job.shifter_actions:
        if name not in job.actions:
            raise JobError(f"{name!r} is not one of the actions{did_you_mean(name, job.actions)}", "shifter_actions")
    if job.name in job.after:
        raise JobError("names the job itself, which would wait for ever", "after")
    for name in job.replaces:
        if not _NAME.match(name):
            raise JobError(f"{name!r} is not a valid job name: it {_NAME_RULE}", "replaces")
    _raise(refusal(job))
    _check_texts(job, max(hosts, key=len, default="host"))
    _check_container(job)


def _raise(found: Optional[tuple[str, str]]) -> None:
    """A `JobError` with the job file's word for the field in which something is beyond its limit, if there is one."""
    if found is None:
        return
    path, sentence = found
    head = re.split(r"[.\[]", path, maxsplit=1)[0]
    rest = re.sub(r"\.argv\b", ".command", path[len(head) :])  # of a check
    raise JobError(sentence, WORDS.get(head, head) + rest)


def _check_texts(job: JobSpec, host: str) -> None:
    """What placeholders are filled in, as it will be on the host with the longest name."""
    total = 0
    for field, text in _texts(job):
        filled = fill(text, job, host, field)
        length = len(filled.encode())
        if length > ARGUMENT.most:
            raise JobError(f"has {length:,} bytes once it is filled in: at most {ARGUMENT} are allowed", field)
        if field in ("command", "env"):
            total += length + 1
            if total > COMMAND.most:
                raise JobError(f"command and environment have more than {COMMAND} together", field)
        for ending, rule, sentence in _FILLED:
            if field.endswith(ending) and not rule(filled):
                raise JobError(f"{text!r} {sentence}", field)
    for name, value in job.env.items():
        length = len(f"{name}={fill(value, job, host, 'env')}".encode())
        if length > ARGUMENT.most:
            raise JobError(
                f"has {length:,} bytes with its name, once it is filled in: at most {ARGUMENT} are allowed",
                f"env[{name}]",
            )


def logging_mistakes(logging: LoggingSpec) -> Iterator[JobError]:
    """Each thing that is wrong with what forwarders are told."""
    beyond = refusal(logging)
    if beyond is not None:
        yield JobError(beyond[1], beyond[0])
        return
    told = logging.forwarding()
    if len(told.to_json()) > ARGUMENT.most:
        yield JobError(
            f"is too much: all of it is one environment variable of the forwarder, at most {ARGUMENT}", "files"
        )
    for field, sentence in forwarding_rules.mistakes(told):
        yield JobError(sentence, field)
    parts = [(f"files[{files.name}]", files.hosts) for files in told.files]
    parts += [(name, getattr(told, name).hosts) for name in ("syslog", "json", "journal")]
    for inside, hosts in parts:
        try:
            expand(hosts)
        except JobError as error:
            yield JobError(str(error), f"{inside}.hosts")


def _texts(job: JobSpec) -> Iterator[tuple[str, str]]:
    """All that placeholders are filled in, with its field."""
    groups: list[tuple[str, Iterable[str]]] = [
        ("command", job.argv),
        ("env", job.env.values()),
        ("directory", [job.cwd]),
        ("needs", job.needs),
        ("stop.before", job.stop.before),
        ("stop.after", job.stop.after),
    ]
    groups += [(f"actions[{name}]", argv) for name, argv in job.actions.items()]
    for one in job.checks:
        inside = f"check[{one.name}]"
        for field in FILLED_IN:
            value = getattr(one, field)
            groups.append((f"{inside}.{WORDS.get(field, field)}", value if isinstance(value, tuple) else [str(value)]))
    if job.container is not None:
        groups += [("container.image", [job.container.image]), ("container.volumes", job.container.volumes)]
    for word, texts in groups:
        for text in texts:
            yield word, text


#: Rules of texts that hold once placeholders are filled in: the end of the field's name, the rule, what is said.
_FILLED: tuple[tuple[str, Callable[[str], object], str], ...] = (
    ("needs", lambda text: text.startswith("/"), "must be an absolute path"),
    (
        "].port",
        lambda text: whole(text) in range(65536),
        "is not a port: a number, or the name of one of the job's",
    ),
    (
        "container.volumes",
        _VOLUME.match,
        "is not a volume: write '/ON/THE/HOST:/IN/THE/CONTAINER', and ':ro', ':slave' after it",
    ),
    ("container.image", lambda text: text and not re.search(r"\s", text), "is not the name of an image"),
)


def _check_command(argv: tuple[str, ...], field: str) -> None:
    _refuse(command(argv), field)


def _check_ports(job: JobSpec) -> None:
    numbers: dict[int, str] = {}
    for name, number in job.ports.items():
        if not _PORT_NAME.match(name):
            raise JobError(
                f"{name!r} is not a valid name for a port: a letter, then letters, digits, '_', '-'", "resources.ports"
            )
        if not 0 <= number <= LAST:
            raise JobError(f"{name!r} must be from 1 to {LAST}, or 0 for any, not {number}", "resources.ports")
        if number and numbers.setdefault(number, name) != name:
            raise JobError(f"{numbers[number]!r} and {name!r} are both {number}", "resources.ports")


def _check_restart(job: JobSpec) -> None:
    restart = job.restart
    if restart.policy not in RESTART_POLICIES:
        raise JobError(
            f"{restart.policy!r} is not a restart policy: one of {', '.join(RESTART_POLICIES)}", "restart.policy"
        )
    if not 1 <= restart.factor < inf:
        raise JobError(f"must be at least 1, not {restart.factor:g}", "restart.factor")
    for field in ("delay_s", "cap_s", "reset_s", "budget", "window_s", "give_up"):
        _check_amount(getattr(restart, field), f"restart.{field}")
    for code in restart.success_codes:
        if not 0 <= code <= 255:
            raise JobError(f"{code} is not an exit code: they are from 0 to 255", "restart.success_codes")


def _check_stop(job: JobSpec) -> None:
    stop = job.stop
    for field, signal in (("signal", stop.signal), ("second_signal", stop.second_signal or "KILL")):
        if signal not in _SIGNALS:
            raise JobError(f"{signal!r} is not a signal: one of {' '.join(sorted(_SIGNALS))}", f"stop.{field}")
    _check_amount(stop.grace_s, "stop.grace_s")
    _check_amount(stop.second_grace_s, "stop.second_grace_s")
    _check_positive(stop.hook_timeout_s, "stop.hook_timeout_s")


def _check_container(job: JobSpec) -> None:
    container = job.container
    if container is None:
        return
    for path in container.devices:
        if not path.startswith("/dev/"):
            raise JobError(f"{path!r} is not a device file: '/dev/...' is", "container.devices")
    if not container.network or re.search(r"\s", container.network):
        raise JobError(f"{container.network!r} is not a network: host, none, bridge, or a name", "container.network")
    if container.engine and not _ENGINE.match(container.engine):
        raise JobError(
            f"{container.engine!r} is not the address of an engine: write for example 'unix:///run/docker.sock'",
            "container.engine",
        )
    for name in _NOT_IN_CONTAINERS.intersection(job.limits):
        raise JobError(f"{name!r} can't be set in a container: resources.mem bounds its memory", "limits")
    if job.cwd and not job.cwd.startswith("/"):
        raise JobError(f"{job.cwd!r} must be an absolute path in the container", "directory")


def _check_amount(value: float, field: str) -> None:
    _refuse(amount(value), field)


def _check_positive(value: float, field: str) -> None:
    _refuse(positive(value), field)


def _refuse(sentence: str, field: str) -> None:
    if sentence:
        raise JobError(sentence, field)
