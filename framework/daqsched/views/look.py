"""A quick look before an apply ends what runs well: whether what takes its place could start, on a few hosts.

A preflight asks all hosts for all that a file names. This asks the first host of each batch, and only for what looks
otherwise at its start than what it takes the place of: another path, another account.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Callable, NamedTuple, Optional

from daqsched.batches import depths, divide
from daqsched.engine.instance import Key
from daqsched.hosts import fold
from daqsched.limits import some
from daqsched.preflight import HostQuery, Question, asked_of, probe_of
from daqsched.rollout import Strategy
from daqsched.spec import FORWARDER, JobSpec, Spec
from daqsched.views.estimate import starting
from daqsched.views.plan import Plan
from daqsched.views.snapshot import Snapshot

#: So many hosts are asked at most.
MOST = 10


def questions(
    known: Snapshot, spec: Spec, found: Plan, strategy: Optional[Strategy]
) -> dict[str, tuple[Question, ...]]:
    """host -> what to ask there before the plan is carried out."""
    there = dict(_renewed(known, spec, found))
    away = {host for hosts in known.lost.values() for host in hosts}
    depth = depths({job.name: job.after for job in spec.jobs})
    hosts: dict[str, None] = {}
    for batch in divide(there, strategy.batches if strategy is not None else (), depth)[:MOST]:
        hosts.update(dict.fromkeys([host for _, host in batch if host not in away][:1]))
    seen = {name for name, host in there if host in hosts}
    for name, host in there:
        if name not in seen and host not in away and len(hosts) < MOST:
            hosts[host] = None
            seen |= {job for job, other in there if other == host}
    return asked_of((job, host) for (_, host), job in there.items() if host in hosts)


def _renewed(known: Snapshot, spec: Spec, found: Plan) -> Iterable[tuple[Key, JobSpec]]:
    """What is started anew and looks for something else before it starts."""
    renewed = {change.job for change in found.changes if change.what == "restart" and change.job != FORWARDER}
    differ: dict[tuple[int, int], bool] = {}
    for host, job, old, _ in starting(known, spec, found) if renewed else ():
        if old is None or job.name not in renewed or job.container is not None:
            continue
        pair = id(old), id(job)
        if pair not in differ:
            differ[pair] = probe_of(job, host) != probe_of(old, host)
        if differ[pair]:
            yield (job.name, host), job


class Looked(NamedTuple):
    """What the hosts have answered so far."""

    #: ``readout release-09``, which could start nowhere -> host -> why not there.
    bad: Mapping[str, Mapping[str, str]]
    #: What speaks against single hosts, and hosts that gave no answer, a sentence each.
    doubts: tuple[str, ...]
    #: Whether nothing that may still come would change what is done.
    decided: bool

    def refusal(self) -> str:
        """Why nothing is applied; empty: it may be."""
        if not self.bad:
            return ""
        words = [f"{who} on {fold(hosts)}: {next(iter(hosts.values()))}" for who, hosts in sorted(self.bad.items())]
        return (
            f"not applied, nothing was ended: by a look at the first hosts these can't start: {some(words, '; ', 500)} (all hosts: "
            "`daqsched preflight FILE`; if that is meant, give --no-look)"
        )


def looked(asks: Iterable[HostQuery], why_waiting: Callable[[HostQuery], str]) -> Looked:
    """The sum of what was asked; ``why_waiting`` tells why a host has not answered yet."""
    good: set[str] = set()
    wrong: dict[str, dict[str, str]] = {}
    every: set[str] = set()
    silent: list[str] = []
    over = True
    for ask in asks:
        over &= ask.over
        asked = {_who(name, question.release) for question in ask.questions for name in question.jobs}
        every |= asked
        if ask.starts_nothing:
            for who in asked:
                wrong.setdefault(who, {})[ask.host] = ask.reason
            continue
        if ask.state != "found":
            silent.append(f"{ask.host} was not looked at before: {ask.reason if ask.over else why_waiting(ask)}")
            continue
        for cell in ask.cells():
            for who in (_who(name, cell.release) for name in cell.jobs):
                if cell.problem:
                    wrong.setdefault(who, {})[ask.host] = cell.problem
                else:
                    good.add(who)
    # where another could start it, nobody waits for these
    doubts = silent if not every <= good else []
    doubts += [f"{who} can't start on {host}: {why}" for who in good & set(wrong) for host, why in wrong[who].items()]
    bad = {who: hosts for who, hosts in wrong.items() if who not in good}
    return Looked(bad, tuple(doubts), over or every <= good)


def _who(job: str, release: str) -> str:
    return f"{job} {release}".rstrip()
