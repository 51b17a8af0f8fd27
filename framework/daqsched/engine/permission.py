"""What each request needs the right for, and of what: looked at in the step that would carry it out, before its handler.

One entry for each event that people cause; an event without one is refused to whoever is not the farm's owner. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, Optional

from msgspec.structs import replace as replace_job

from daqsched.choices import ChoiceSet
from daqsched.engine import choice_steps, events, proposal_steps
from daqsched.engine.endings import mixed
from daqsched.engine.farm import Farm
from daqsched.engine.instance import Key
from daqsched.engine.rollout_requests import left_alone
from daqsched.errors import Refused
from daqsched.farm_parts import as_farm
from daqsched.hosts import expand
from daqsched.merge import Merged, Scope, change_of
from daqsched.preflight import probe_of
from daqsched.rights.grants import ANY, FARM, Grants, Target
from daqsched.rollout import Strategy
from daqsched.saved_choices import current
from daqsched.spec import EMPTY, JobSpec, Spec
from daqsched_executor.contract import Probe


class Need(NamedTuple):
    """The right to do something to some of the farm; without targets: to any of it."""

    verb: str
    targets: Optional[Sequence[Target]] = None
    #: What these jobs are to run as, where that is what is asked for.
    account: str = ""

    def why_not(self, grants: Grants) -> str:
        """Why it may not be, as a sentence; empty: it may."""
        if self.targets is None:
            return grants.somewhere(self.verb)
        if self.account:
            return next(filter(None, (grants.account(self.account, one) for one in self.targets)), "")
        return grants.refusal(self.verb, self.targets)


def ensure(farm: Farm, event: events.Event, grants: Optional[Grants]) -> None:
    """Raise `Refused` where who asked may not; None: a farm without a file of rights, or an event that nobody asked for."""
    if grants is None or grants.all:
        return
    needs = NEEDS.get(type(event))
    if needs is None:
        raise Refused(f"there is no rule for {type(event).__name__}, so nobody but root may")
    for need in needs(farm, event):
        why = need.why_not(grants)
        if why:
            raise Refused(why, need.verb)


def target(farm: Farm, key: Key) -> Target:
    """An instance, as rules know it."""
    instance = farm.instances.get(key)
    job = (
        instance.job if instance is not None else farm.desired.job(key[0])
    )  # one that has found no machine yet is somebody's, too
    if job is None:
        return Target(*key, forgotten=True)
    return Target(*key, job.owner, (instance.part or "") if instance is not None else job.part)


def _of_jobs(farm: Farm, names: Collection[str]) -> list[Target]:
    """All instances of these jobs; without any, no instance is looked at."""
    return [target(farm, key) for key in farm.instances if key[0] in names] if names else []


def _of(verb: str) -> Callable[[Farm, Any], Iterator[Need]]:
    def needs(farm: Farm, event: Any) -> Iterator[Need]:
        yield Need(verb, [target(farm, key) for key in event.keys])

    return needs


def _on_hosts(verb: str) -> Callable[[Farm, Any], Iterator[Need]]:
    def needs(farm: Farm, event: Any) -> Iterator[Need]:
        meant: list[Target] = []
        for host in event.hosts if hasattr(event, "hosts") else (event.host,):
            there = [hosts[host].key for hosts in farm.order.desired.values() if host in hosts]
            meant += [target(farm, key) for key in there] or [Target("", host)]
        yield Need(verb, meant)  # in one, as a rule's ``at_once`` is of the request

    return needs


def _held(farm: Farm, event: events.Held) -> Iterator[Need]:
    yield Need("hold" if event.spares else "stop", [target(farm, key) for key in event.keys])


def _borrowed(farm: Farm, event: events.Borrowed) -> Iterator[Need]:
    there = [target(farm, (event.job, event.host))]
    yield Need("borrow", there)
    instance = farm.instances.get((event.job, event.host))
    if event.argv and instance is not None and instance.job is not None:
        # another command is as good as a change of the job
        for name in accounts_of(instance.job, farm.account):
            yield Need("account", there, name)


def _given_back(farm: Farm, event: events.BorrowEnded) -> Iterator[Need]:
    yield Need("borrow", [target(farm, (event.job, event.host))])


def _restarted(farm: Farm, event: events.RestartAsked) -> Iterator[Need]:
    alone = {key for key in event.keys if left_alone(farm, key)}
    yield Need("restart", [target(farm, key) for key in event.keys if key not in alone])
    for key in alone:  # each by itself: it is not ended, and a rule's ``at_once`` does not count it
        yield Need("restart", [target(farm, key)])
    if event.strategy.guard:
        yield Need("guard", [FARM])


def _steered(farm: Farm, event: events.RolloutSteered) -> Iterator[Need]:
    verb = "pause" if event.what == "pause" else "steer"
    yield Need(verb, _of_jobs(farm, farm.rolling.concerned) or [FARM])


def _ordered(farm: Farm, event: events.OperatorCommanded) -> Iterator[Need]:
    kind = event.order.kind
    if kind != "act":
        yield Need(kind, [target(farm, key) for key in event.keys])
        return
    for key in event.keys:
        instance = farm.instances.get(key)
        theirs = instance is not None and instance.job is not None and event.order.name in instance.job.shifter_actions
        yield Need("act" if theirs else "act-any", [target(farm, key)])


def _asked(farm: Farm, event: events.PreflightAsked) -> Iterator[Need]:
    # the file's own jobs, of which nothing is known here but the names: what counts is whose they are in the farm, if any
    known = {job.name: job for job in farm.spec.jobs}
    asked = [(name, host) for host, questions in event.questions.items() for one in questions for name in one.jobs]
    yield Need("preflight", [_as(known.get(name), name, host) for name, host in asked])
    for host, questions in event.questions.items():
        for one in questions:
            # the loader of its program is started as that account
            account = one.probe.user or (farm.account if farm.account == "root" else "")
            others = [job for job in one.jobs if not _is_asked(known.get(job), host, one.probe)] if account else []
            if others:
                yield Need("account", [_as(known.get(job), job, host) for job in others], account)


def _is_asked(job: Optional[JobSpec], host: str, probe: Probe) -> bool:
    """Whether that is what the farm's own job needs there."""
    return job is not None and replace(probe_of(job, host), name="") == replace(probe, name="")


def _as(job: Optional[JobSpec], name: str, host: str) -> Target:
    return Target(name, host, job.owner if job is not None else "", job.part if job is not None else "")


def _applied(farm: Farm, event: events.JobsApplied) -> Iterator[Need]:
    old = farm.revision.spec if farm.revision is not None else EMPTY
    merged = change_of(old, event.spec, event.scope, farm.hosts_of, farm.behind())
    yield from of_apply(old, merged, event.spec, event.strategy, farm.account)
    for part, found in (event.choices or {}).items():
        yield from of_choices(found, part, farm.account)
    # what a rollout has not reached yet changes with any apply that it is a part of
    yield Need("apply", _of_jobs(farm, mixed(farm, merged)))
    if farm.rolling.active is not None and merged.takes_over(farm.rolling.jobs):
        yield Need("steer", _of_jobs(farm, farm.rolling.concerned))


def of_choices(found: ChoiceSet, part: str, account: str) -> Iterator[Need]:
    """What it needs to leave these to shifters: the right to all that may come of it, and to what that takes the place of."""
    for job in found.jobs:
        there = tuple(targets_of(job if job.part == part else replace_job(job, part=part)))
        yield Need("apply", there)
        for name in accounts_of(job, account):
            yield Need("account", there, name)


def _set(farm: Farm, event: events.VariablesSet) -> Iterator[Need]:
    yield Need("set")
    applied, _ = choice_steps.asked_of(farm, event)
    old = farm.revision.spec if farm.revision is not None else EMPTY
    merged = change_of(old, applied.spec, applied.scope, farm.hosts_of, farm.behind())
    yield from of_set(old, merged)
    yield Need("set", _of_jobs(farm, mixed(farm, merged)))
    rollout = farm.rolling.active
    if rollout is not None and merged.takes_over(farm.rolling.jobs):
        # what a shifter has begun a shifter ends, by setting something else
        kept = current(farm.choices, event.part)
        theirs = kept is not None and rollout.kind == "apply" and rollout.revision == kept.set_in
        yield Need("set" if theirs else "steer", _of_jobs(farm, farm.rolling.concerned))


def of_set(old: Spec, merged: Merged) -> Iterator[Need]:
    """What it needs to set what makes ``merged`` of ``old``; plan and engine ask for the same."""
    yield Need("set")
    for job in changed(old, merged):
        yield Need("set", tuple(targets_of(job)))


def of_apply(old: Spec, merged: Merged, spec: Spec, strategy: Optional[Strategy], account: str) -> Iterator[Need]:
    """What an apply of ``spec`` needs, which makes ``merged`` of ``old``; plan and engine ask for the same.

    ``account`` is that of jobs that name none.
    """
    yield Need("apply")  # also where nothing changes
    for job in changed(old, merged):
        there = tuple(targets_of(job))
        yield Need("apply", there)
        for name in accounts_of(job, account):
            yield Need("account", there, name)
    part = (Target(part=spec.part),)
    if old.logging != merged.spec.logging:
        yield Need("logging", part)
    if spec.confirm is not None and (old.confirm, old.parts) != (merged.spec.confirm, merged.spec.parts):
        yield Need("apply", part)
    ways = (strategy, spec.rollout, merged.spec.rollout)
    if {way.guard for way in ways if way is not None}.difference(_guards(old), ("",)):
        yield Need("guard", part)


def accounts_of(job: JobSpec, account: str) -> list[str]:
    """As whom it runs, where that takes a right of its own: what it names, and root in any way. ``account`` is that of jobs that
    name none."""
    return sorted({job.user or (account if account == "root" else ""), "root" if job.setuid else ""} - {""})


def _guards(spec: Spec) -> frozenset[str]:
    ways = [spec.rollout, *(part.rollout for part in spec.parts.values())]
    return frozenset(way.guard for way in ways if way is not None)


def changed(old: Spec, merged: Merged) -> list[JobSpec]:
    """The jobs that an apply changes, as they were and as they are to be: the right is needed for both, or who may change the
    owner of a job may change anything."""
    before, after = _by_name(old, merged.jobs), _by_name(merged.spec, merged.jobs)
    names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    return [job for name in names for job in (*before.get(name, ()), *after.get(name, ()))]


def _by_name(spec: Spec, names: frozenset[str]) -> dict[str, list[JobSpec]]:
    found: dict[str, list[JobSpec]] = {}
    for job in (*spec.jobs, *spec.variants):
        if job.name in names:
            found.setdefault(job.name, []).append(job)
    return found


def targets_of(job: JobSpec) -> Iterator[Target]:
    """Each of its instances; of a job by attributes any host."""
    for host in expand(job.hosts) or (ANY,):
        yield Target(job.name, host, job.owner, job.part)


def _taken(farm: Farm, event: events.ControlTaken) -> Iterator[Need]:
    yield Need("control")  # before it is told whether there is such a part
    there = for_control(farm, event.part)
    yield Need("control", there)
    if event.force:
        yield Need("take-over", there)


def of_control(farm: Farm, part: Optional[str]) -> list[Target]:
    """All that somebody is in control of who is of this part; None: of the farm."""
    spec = farm.revision.spec if farm.revision is not None else EMPTY
    jobs = (job for job in (*spec.jobs, *spec.variants) if part in (None, job.part))
    return list(dict.fromkeys(one for job in jobs for one in targets_of(job)))


def for_control(farm: Farm, part: Optional[str]) -> list[Target]:
    """What it takes the right to who is to be in control of that; where it has no jobs: the farm, or what is of that part."""
    return of_control(farm, part) or [FARM if part is None else Target(part=part)]


def _proposed(farm: Farm, event: events.ProposalMade) -> Iterator[Need]:
    yield Need("propose")
    old = farm.revision.spec if farm.revision is not None else EMPTY
    scope = Scope(event.only, take=event.take)
    for job in changed(old, change_of(old, event.spec, scope, farm.hosts_of, farm.behind())):
        yield Need("propose", tuple(targets_of(job)))


def _approved(farm: Farm, event: events.ProposalApproved) -> Iterator[Need]:
    yield Need("apply")  # before it is told whether there is such a one
    for one in farm.proposals.waiting:
        if one.number == event.number:
            yield from _applied(farm, proposal_steps.as_apply(one, event))


def _closed(farm: Farm, event: events.ProposalClosed) -> Iterator[Need]:
    verb = "propose" if event.outcome == "withdrawn" else "apply"
    yield Need(verb)
    for one in farm.proposals.waiting if verb == "apply" else ():
        if one.number == event.number:
            jobs = as_farm(one.spec).jobs
            there = tuple(target for job in jobs for target in targets_of(job))
            yield Need("apply", there or (Target(part=one.spec.part),))


#: Of each event that people cause.
NEEDS: dict[type, Callable[[Farm, Any], Iterator[Need]]] = {
    events.JobsApplied: _applied,
    events.VariablesSet: _set,
    events.RestartAsked: _restarted,
    events.RolloutSteered: _steered,
    events.PutAside: _on_hosts("aside"),
    events.Returned: _on_hosts("return"),
    events.AgentChosen: _on_hosts("replace"),
    events.Borrowed: _borrowed,
    events.BorrowEnded: _given_back,
    events.Held: _held,
    events.Released: _of("start"),
    events.TokenMade: lambda farm, event: iter([Need("tokens", [FARM])]),
    events.TokenRevoked: lambda farm, event: iter([Need("tokens", [FARM])]),
    events.NoteWritten: lambda farm, event: iter([Need("note")]),
    events.ControlTaken: _taken,
    events.ControlGiven: lambda farm, event: iter([Need("control")]),
    events.ProposalMade: _proposed,
    events.ProposalApproved: _approved,
    events.ProposalClosed: _closed,
    events.PreflightAsked: _asked,
    events.OperatorCommanded: _ordered,
}
