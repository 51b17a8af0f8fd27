"""The word `Job`: one program on one or many hosts. It is checked where it is written.

    from daqsched import Job, Restart

    version = "release-08"
    jobs = [
        Job("readout", "/cvmfs/daq.example.org/{version}/bin/readout --host {host}",
            hosts="hlt[01-10]", version=version, restart=Restart(cap_s=30)),
    ]

While a job file is evaluated a wrong value is noted with its line, so that all mistakes of the file are shown at once;
elsewhere it raises `JobError`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Optional, Union

from daqsched.errors import JobError
from daqsched.jobfile.caught_errors import CAUGHT, frames
from daqsched.jobfile.checks import CHECK_WORDS, Check
from daqsched.jobfile.convert import asked_for, convert, kind_of, texts_of, words_of
from daqsched.jobfile.parts import Container, Resources, Restart, Stop
from daqsched.jobfile.rules import check_job
from daqsched.spec import JobSpec

#: The name of the list in a job file's module that takes the `Mistake`s.
MISTAKES = "__mistakes__"


@dataclass(frozen=True)
class Mistake:
    """A wrong `Job`: its name, the lines of the job file that led to it, the outermost first, and what is wrong."""

    job: object
    lines: tuple[int, ...]
    error: JobError


@asked_for
@dataclass(frozen=True)
class Job:
    """One program on one or many hosts, once on each, kept running there.

    ``command`` is split into words as a shell would split it, but no shell runs it; give ``argv`` for a ready
    list, and ``argv=["/bin/sh", "-c", "..."]`` where a shell is wanted.

    The placeholders ``{host}``, ``{job}``, ``{version}``, ``{instance}`` (job@host) and ``{port:NAME}`` are filled in for
    each host: in command, argv, env values, directory, needs, the commands, paths and ports of checks, stop's hooks,
    actions, and the container's image and volumes. ``{{`` and ``}}`` are the braces themselves.
    """

    #: Unique in the file: letters, digits, ``_ . -``.
    name: str
    command: str = ""
    #: A pattern such as ``"hlt[01-10]"``, or a list of names and patterns.
    hosts: Union[str, Sequence[str]] = ()
    argv: Sequence[str] = ()
    #: What a machine must have, by the attributes of its Mesos agent: ``{"rack": "r1"}``. Alone: the job runs on each
    #: machine that has them all. With ``hosts``: only there. One that is missing on a machine never matches.
    attributes: Mapping[str, str] = field(default_factory=dict)
    #: The software's version, for ``{version}`` and for the logs: changing it rolls the job over.
    version: str = ""
    env: Mapping[str, str] = field(default_factory=dict)
    #: Cores, memory, disk and ports.
    resources: Resources = Resources()
    #: Account to run as; empty: the executor's own.
    user: str = ""
    #: Working directory; empty: the job's sandbox.
    directory: str = ""
    #: `setrlimit` limits by name, e.g. ``{"nofile": 65536, "core": 0}``; negative: no limit.
    limits: Mapping[str, int] = field(default_factory=dict)
    #: Paths that must be readable before a start, besides the program itself, e.g. ``["/cvmfs/x/{version}/lib"]``.
    needs: Sequence[str] = ()
    #: Whether a start waits until the program's shared libraries are found.
    libraries: bool = True
    #: Whether programs with a setuid bit (sudo, ping) or capabilities of their own get more rights when it, or one of its
    #: hooks, actions and checks, runs them.
    setuid: bool = False
    #: What stdout and stderr are. "pipe": a process beside the program moves its lines into the sandbox's files. "file": they are
    #: these files, and what opens /dev/stderr anew, as a shell's `> /dev/stderr` does, empties them.
    output: Literal["file", "pipe"] = "pipe"
    #: Whether it has a terminal of its own, which `daqsched console JOB@HOST` attaches to: stdin, stdout and stderr are that.
    console: bool = False
    #: The image that it runs in; None: it runs on the machine itself.
    container: Optional[Container] = None
    #: Names of jobs that must be running before this one is started: on the same host where they run there, else on all
    #: of theirs. Changing it restarts nothing.
    after: Union[str, Sequence[str]] = ()
    #: Names of jobs that it takes the place of: it starts once these have ended, on the same host where they ran there, else
    #: wherever it is not. Its own name: what it was on other hosts. Changing it restarts nothing.
    replaces: Union[str, Sequence[str]] = ()
    #: "auto": it is started as soon as it is applied. "manual": it waits for a first `daqsched start`, on each host; what has been
    #: started once is started again as any other. Changing it restarts nothing.
    start: Literal["auto", "manual"] = "auto"
    #: When and how fast it is started again.
    restart: Restart = Restart()
    #: How to see that it is well: one check, or a list.
    check: Union[Check, Sequence[Check]] = ()
    #: How it is ended.
    stop: Stop = Stop()
    #: Commands that an operator may have run beside the program, by name: text or a list of words.
    actions: Mapping[str, Union[str, Sequence[str]]] = field(default_factory=dict)
    #: Seconds that an action may take; then it is killed.
    action_timeout_s: float = 60.0
    #: Names of those that a shifter may have run, too, where the farm has a file of rights; all others take an expert. Changing it
    #: restarts nothing.
    shifter_actions: Union[str, Sequence[str]] = ()
    #: Whether a second copy on the machine, whoever started it, waits until the first is gone.
    lock: bool = True
    #: Whether its lines go to Elasticsearch.
    logs: bool = True
    #: Words that every line of it carries.
    labels: Mapping[str, str] = field(default_factory=dict)
    #: Whose it is: a name or an address. Changing it restarts nothing.
    owner: str = ""
    #: Whether data taking stops without it. Changing it restarts nothing.
    critical: bool = True
    #: The lines of the job file that led to it, the outermost first; found by itself.
    lines: tuple[int, ...] = field(default=(), init=False, repr=False, compare=False)
    #: The same as data.
    spec: JobSpec = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        file = frames()
        object.__setattr__(self, "lines", tuple(frame.f_lineno for frame in file))
        try:
            object.__setattr__(self, "spec", self._spec())
        except JobError as error:
            known = file[0].f_globals if file else {}
            if MISTAKES not in known or known[CAUGHT].catch(self.lines, type(error)):
                raise
            known[MISTAKES].append(Mistake(self.name, self.lines, error))

    def _spec(self) -> JobSpec:
        if self.command and self.argv:
            raise JobError("has both command and argv: give one", "argv")
        if not self.command and not self.argv:
            raise JobError("has neither command nor argv: nothing to run", "command")
        command: object = self.command
        if not isinstance(command, str):
            raise JobError(f"must be text, not {kind_of(command)}; a list of words goes into argv", "command")
        for name, kind in (("restart", Restart), ("stop", Stop), ("resources", Resources), ("container", Container)):
            value = getattr(self, name)
            if not isinstance(value, kind) and not (name == "container" and value is None):
                raise JobError(f"must be {kind.__name__}(...), not {kind_of(value)}", name)
        spec = convert(
            JobSpec,
            {
                "name": self.name,
                "argv": words_of(command, "command") if command else self.argv,
                "hosts": texts_of(self.hosts, "hosts"),
                "attributes": self.attributes,
                "release": self.version,
                "env": self.env,
                "cwd": self.directory,
                "user": self.user,
                **self.resources.values(),
                "limits": self.limits,
                "needs": self.needs,
                "restart": self.restart,
                "stop": self.stop.values(),
                "owner": self.owner,
                "critical": self.critical,
                "forward": self.logs,
                "labels": self.labels,
                "after": texts_of(self.after, "after"),
                "replaces": texts_of(self.replaces, "replaces"),
                "checks": [check.spec() for check in _checks_of(self.check)],
                "actions": self._actions(),
                "action_timeout_s": self.action_timeout_s,
                "shifter_actions": texts_of(self.shifter_actions, "shifter_actions"),
                "container": None if self.container is None else self.container.values(),
                "lock": self.lock,
                "libraries": self.libraries,
                "setuid": self.setuid,
                "output": self.output,
                "console": self.console,
                "start": self.start,
            },
        )
        check_job(spec)
        return spec

    def _actions(self) -> Any:
        actions: object = self.actions
        if not isinstance(actions, Mapping):
            return actions
        return {name: words_of(command, f"actions[{name}]") for name, command in actions.items()}


def _checks_of(written: Any) -> Iterator[Check]:
    for check in written if isinstance(written, (list, tuple)) else [written]:
        if not isinstance(check, Check):
            kinds = ", ".join(word.__name__ for word in CHECK_WORDS.values())
            raise JobError(f"must be one of {kinds}, or a list of them, not {kind_of(check)}", "check")
        yield check
