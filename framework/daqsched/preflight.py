"""`daqsched preflight`: what a job file needs of each host, asked before anything is changed, and the answers.

A host is asked by a survey, a short task of its own that looks and starts nothing (`contract.Survey`). Surveys are no
instances: they are in nobody's spec, are never saved, and a daemon that is started anew has forgotten them; those
that are still out end by themselves.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Callable, Collection, Iterable, Literal, Mapping

import msgspec

from daqsched.fill import payload
from daqsched.hosts import expand
from daqsched.select import Chosen
from daqsched.spec import JobSpec, Spec
from daqsched_executor.contract import Probe, Survey

#: What a survey is granted, as a job would ask for it.
NEEDS = JobSpec(name="preflight", argv=("survey",), hosts=("any",), cpus=0.05, mem=32.0)
#: No job's name begins like this, so no job's instance takes a survey for its task.
TASK = "_preflight"
#: So many hosts are asked at a time: each may fetch from the same few cvmfs proxies.
AT_ONCE = 200
#: So many preflights may be under way, so many are remembered, and so long one may take.
UNDER_WAY, KEPT, LONGEST_S = 4, 8, 600.0
#: A survey that did not get to its host (an offer that was withdrawn meanwhile) is sent again so often.
TRIES = 3
#: Of the environment only this is looked at before a start: where programs and libraries are.
_LOOKED_AT = ("PATH", "LD_LIBRARY_PATH", "LD_PRELOAD")


HostsOf = Callable[[JobSpec], Collection[str]]


class Question(msgspec.Struct, frozen=True):
    """What some jobs, all in the same way, need of a host."""

    jobs: tuple[str, ...]
    release: str
    probe: Probe


def questions(spec: Spec, chosen: Chosen, hosts_of: HostsOf) -> dict[str, tuple[Question, ...]]:
    """host -> what to ask there. Jobs that need the same are one question; `not_asked` names those that are none.

    ``hosts_of`` names the hosts of a job that is placed by attributes, as far as they are known.
    """
    return asked_of(
        (job, host)
        for job in spec.jobs
        for host in expand(job.hosts) or hosts_of(job)
        if job.container is None and chosen(job.name, host)
    )


def asked_of(starts: Iterable[tuple[JobSpec, str]]) -> dict[str, tuple[Question, ...]]:
    """host -> what these need there, of those that need the same in one."""
    found: dict[str, dict[bytes, Question]] = {}
    for job, host in starts:
        probe = probe_of(job, host)
        need = msgspec.json.encode((job.release, probe))
        asked = found.setdefault(host, {})
        one = asked.get(need)
        if one is None:
            named = replace(probe, name=f"{job.name} {job.release}".strip())
            asked[need] = Question((job.name,), job.release, named)
        else:
            asked[need] = msgspec.structs.replace(one, jobs=(*one.jobs, job.name))
    return {host: tuple(asked.values()) for host, asked in found.items()}


def not_asked(spec: Spec, chosen: Chosen, hosts_of: HostsOf) -> dict[str, str]:
    """job -> why nothing is looked at for it."""
    found = {}
    for job in spec.jobs:
        if job.container is not None and any(chosen(job.name, host) for host in expand(job.hosts) or hosts_of(job)):
            found[job.name] = "it runs in a container"
        elif not job.hosts and not hosts_of(job) and chosen(job.name, ""):
            found[job.name] = "no machine is known that has its attributes"
    return found


def probe_of(job: JobSpec, host: str) -> Probe:
    """What a start of the job on the host looks at; without a name."""
    start = payload(job, host, "")
    return Probe(
        name="",
        program=start.argv[0],
        env={name: start.env[name] for name in _LOOKED_AT if name in start.env},
        needs=start.needs,
        cwd=start.cwd,
        user=start.user,
        limits=start.limits,
        libraries=start.libraries,
        new_privileges=start.new_privileges or None,  # a start is not prevented by having none
        timeout_s=start.probe_timeout_s,
    )


# ---------------------------------------------------------------------- what people see


State = Literal["ok", "bad", "waiting", "silent"]


class Cell(msgspec.Struct, frozen=True, omit_defaults=True):
    """What was found of one question."""

    jobs: tuple[str, ...]
    release: str
    #: Why these jobs could not start; empty: they could.
    problem: str = ""


class PreflightWall(msgspec.Struct, frozen=True, omit_defaults=True):
    """Hosts that are alike: what was found on each of them, or why there is no answer (yet)."""

    hosts: tuple[str, ...]
    #: ``ok``, ``bad``, ``waiting`` (for an answer), ``silent`` (none came).
    state: State
    cells: tuple[Cell, ...] = ()
    #: Why there is no answer (yet).
    reason: str = ""


class PreflightFindings(msgspec.Struct, frozen=True):
    """How far a preflight is, and all that it knows."""

    #: All have answered, or the time is over.
    done: bool
    #: How many hosts are ``ok``, ``bad``, ``waiting``, ``silent``.
    counts: dict[str, int]
    wall: tuple[PreflightWall, ...]
    #: Jobs that nothing is looked at for, and why.
    not_asked: dict[str, str] = {}


# ---------------------------------------------------------------------- one host, one preflight


class HostQuery:
    """One host of one preflight: asked, launched, then found (it answered) or lost (it will not)."""

    __slots__ = ("agent_id", "found", "host", "questions", "reason", "starts_nothing", "state", "task_id", "tries")

    def __init__(self, host: str, asked: tuple[Question, ...]) -> None:
        self.host, self.questions = host, asked
        self.state = "asked"
        self.task_id = self.agent_id = ""
        self.tries = 0
        #: Why the last offer was not enough, or why no answer will come.
        self.reason = ""
        self.found: Mapping[str, str] = {}
        #: It took the survey, which did not come to an end: neither would a program be started there.
        self.starts_nothing = False

    @property
    def over(self) -> bool:
        """Whether there is nothing to wait for."""
        return self.state in ("found", "lost")

    def survey(self) -> Survey:
        """What the executor is told."""
        return Survey(self.task_id, self.host, tuple(question.probe for question in self.questions))

    def cells(self) -> tuple[Cell, ...]:
        """What was found, question by question."""
        none = "the executor's answer says nothing of it: is daqsched-executor there of the same version?"
        return tuple(
            Cell(question.jobs, question.release, self.found.get(question.probe.name, none))
            for question in self.questions
        )


class Preflight:
    """Asked by ``user`` at ``began``; at ``until`` whoever has not answered counts as silent, and ``grace_s`` later who was sent a
    survey."""

    def __init__(
        self,
        user: str,
        began: float,
        until: float,
        asked: Mapping[str, tuple[Question, ...]],
        not_asked: dict[str, str],
        known_as: tuple[str, ...] = (),
        grace_s: float = 0.0,
    ) -> None:
        self.user, self.began, self.until, self.not_asked = user, began, until, not_asked
        self.grace_s = grace_s
        #: All that rules call who asked.
        self.known_as = known_as
        self.asks = {host: HostQuery(host, what) for host, what in asked.items()}

    @property
    def over(self) -> bool:
        """Whether all have answered, or never will."""
        return all(ask.over for ask in self.asks.values())

    @property
    def due(self) -> float:
        """When somebody counts as silent next."""
        waits = any(not ask.over and ask.state != "launched" for ask in self.asks.values())
        return self.until if waits else self.until + self.grace_s

    @property
    def about(self) -> frozenset[tuple[str, str]]:
        """The jobs that it asks for, with their hosts; empty: none was found."""
        asked = ((job, host) for host, ask in self.asks.items() for one in ask.questions for job in one.jobs)
        return frozenset([*asked, *((job, "") for job in self.not_asked)])

    def answer(self, why_waiting: Callable[[HostQuery], str]) -> PreflightFindings:
        """All that is known, hosts that are alike in one."""
        walls: dict[tuple[State, tuple[Cell, ...], str], list[str]] = {}
        for host, ask in self.asks.items():
            if ask.state == "found":
                cells = ask.cells()
                key: tuple[State, tuple[Cell, ...], str] = (
                    "bad" if any(cell.problem for cell in cells) else "ok",
                    cells,
                    "",
                )
            else:
                key = ("silent", (), ask.reason) if ask.over else ("waiting", (), why_waiting(ask))
            walls.setdefault(key, []).append(host)
        found = tuple(PreflightWall(tuple(hosts), *key) for key, hosts in walls.items())
        counts: dict[str, int] = {}
        for wall in found:
            counts[wall.state] = counts.get(wall.state, 0) + len(wall.hosts)
        return PreflightFindings(self.over, counts, found, self.not_asked)
