"""A rollout step by step: a batch begins, its instances change, all of it is ready and stays so, the next one begins."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, Optional

import msgspec

from daqsched import farm_parts
from daqsched.batches import depths, divide
from daqsched.confirm import ALL
from daqsched.engine import commands, desired, events
from daqsched.engine.commands import BATCHES, BEFORE, OUTCOMES, ROLLOUT
from daqsched.engine.confirming import first
from daqsched.engine.farm import MOST_OUTCOMES, Farm
from daqsched.engine.instance import Instance, Key
from daqsched.engine.reasons import not_ready
from daqsched.engine.rollout_state import Before, KeptRollout
from daqsched.errors import UserError
from daqsched.merge import Desired, Merged, assembled, change_of
from daqsched.plural import plural
from daqsched.rollout import (
    MOST_FAILURES,
    MOST_UNREACHED,
    Failure,
    RolloutOutcome,
    State,
    Strategy,
    batches_words,
    outcome,
)
from daqsched.spec import FORWARDER, JobSpec, Spec, decode, encode
from daqsched_executor.contract import Report, duration

#: A guard that says no is asked again after so long; one that says nothing is asked again, too.
GUARD_AGAIN_S, GUARD_SILENT_S = 10.0, 60.0


def outcome_of(farm: Farm, revision: int) -> Optional[RolloutOutcome]:
    """How the rollout of this revision ended, or how far it is; None: it had none, or that is long ago."""
    rollout = farm.rolling.rollout
    if rollout is not None and rollout.revision == revision and revision not in farm.outcomes:
        return outcome(rollout)
    return farm.outcomes.get(revision)


def saved(farm: Farm, old: Spec, change: Merged) -> Optional[Before]:
    """What the jobs that the change is about are now, on each host; None: nothing was applied yet."""
    if farm.revision is None:
        return None
    now, then = Desired(old), Desired(change.spec)
    jobs: list[JobSpec] = []
    variants: list[JobSpec] = []
    differ = [name for name in change.jobs if name in farm.mixed or not now.agrees(name, then)]
    for name in sorted(differ):
        main = now.jobs.get(name)
        if main is None:
            continue
        known = farm.order.desired.get(name, {}).items()
        there = {host: one.job for host, one in known if one.job is not None and one.record.borrow is None}
        job, others = assembled(main, there)
        jobs += [] if job is None else [job]
        variants += others
    spec = msgspec.structs.replace(old, jobs=tuple(jobs), variants=tuple(variants))
    if (old.logging, old.logging_part) != (change.spec.logging, change.spec.logging_part):
        differ.append(FORWARDER)
    return Before(farm.revision.number, frozenset(differ), encode(spec))


def begin(
    farm: Farm,
    kind: Literal["apply", "restart"],
    keys: Iterable[Key],
    strategy: Strategy,
    user: str,
    message: str,
    before: Optional[Before],
    now: float,
) -> None:
    """Change these batch by batch: what is not in the first one goes on as it is."""
    rolling, last = farm.rolling, farm.rolling.rollout
    jobs = {job.name: job.after for job in farm.spec.jobs}
    rolling.batches = divide(keys, strategy.batches, depths(jobs))
    every = [key for batch in rolling.batches for key in batch]
    concerned = {name for name, _ in every}
    parts = {job.part for job in farm.spec.jobs if job.name in concerned}
    rolling.rollout = KeptRollout(
        number=1 if last is None else last.number + 1,
        kind=kind,
        user=user,
        message=message,
        began=now,
        revision=farm.revision.number if farm.revision is not None and kind == "apply" else 0,
        before=before.revision if before is not None else 0,
        strategy=strategy,
        hosts=len({host for _, host in every}),
        instances=len(every),
        batches=len(rolling.batches),
        reached=0,
        part=farm_parts.one_of(parts, farm.spec),
        known_as=farm.asker,
    )
    rolling.last, rolling.before, rolling.asked = last, before, 0.0
    rolling.work_on(())
    farm.out += [commands.SaveDocument(name) for name in (ROLLOUT, BATCHES, BEFORE)]
    farm.note(
        f"rollout {rolling.rollout.number} of {plural(len(every), 'instance')} on {plural(rolling.rollout.hosts, 'host')} begins: "
        f"{batches_words([len({host for _, host in batch}) for batch in rolling.batches])}"
    )


def roll_back(farm: Farm, user: str, known_as: tuple[str, ...], why: str, now: float) -> None:
    """What was changed goes back to what ran there, batch by batch as it came; what was not goes on as it is. In the name of
    ``user``, of whom rules know ``known_as``.

    Nothing holds that up: what ran before is known to run.
    """
    rollout, before = farm.rolling.active, farm.rolling.before
    if rollout is None or before is None or rollout.kind != "apply":
        return
    following = what_goes_back(farm, rollout, before, user, why)
    try:
        assert farm.revision is not None, "a rollout has one"
        change_of(farm.revision.spec, following.spec, following.scope, farm.hosts_of, farm.behind())
    except UserError as error:  # others came after what it brought
        change_state(farm, "paused", f"{why}; it can't be rolled back: {error}")
        return
    end(farm, "rolled-back", why, now)
    farm.then.append(msgspec.structs.replace(following, known_as=known_as))


def what_goes_back(farm: Farm, rollout: KeptRollout, before: Before, user: str, why: str) -> events.JobsApplied:
    own = farm.revision_of(farm.parts.get(rollout.revision, ""), before.revision)
    message = f"rollback of revision {rollout.revision} to {own}: {why}"
    way = msgspec.structs.replace(rollout.strategy, guard="", pause_after=(), failures=0, on_failure="pause")
    spec = decode(before.spec)
    if farm.parts.get(before.revision, "") != farm.parts.get(rollout.revision, ""):
        spec = msgspec.structs.replace(spec, source="")  # that is another team's file
    return events.JobsApplied(spec, user, message, way, allow_empty=True, jobs=before.jobs, stops=ALL, back=True)


def end(farm: Farm, state: State, why: str, now: float, replaced_by: int = 0) -> None:
    """Nothing more of this rollout; what it has not reached stays behind."""
    rolling = farm.rolling
    assert rolling.rollout is not None
    rolling.rollout.ended, rolling.rollout.replaced_by = now, replaced_by
    rolling.batches, rolling.before, rolling.due = [], None, float("inf")
    rolling.work_on(())
    change_state(farm, state, why)
    farm.out += [commands.SaveDocument(BATCHES), commands.SaveDocument(BEFORE)]
    if rolling.rollout.revision:
        farm.outcomes[rolling.rollout.revision] = outcome(rolling.rollout)
        while len(farm.outcomes) > MOST_OUTCOMES:
            del farm.outcomes[next(iter(farm.outcomes))]
        farm.out.append(commands.SaveDocument(OUTCOMES))


def change_state(farm: Farm, state: State, why: str, by: str = "", as_asked: bool = False) -> None:
    """``by``: who pauses it, whom ``why`` names; empty: it pauses of itself, ``as_asked`` where it was told to there."""
    rollout = farm.rolling.rollout
    assert rollout is not None
    if not by:
        rollout.cause = why if state == "paused" else ""
    rollout.state, rollout.why, rollout.paused_by, rollout.as_asked = state, why, by, as_asked
    rollout.pauser_known_as = farm.asker if by else ()
    farm.out.append(commands.SaveDocument(ROLLOUT))
    farm.note(f"rollout {rollout.number}: {state}{' ' + why if why else ''}")


def heard(farm: Farm, instance: Instance, before: Optional[Report], now: float) -> None:
    """An executor of the batch in work said something: a program that died or is ill counts."""
    farm.rolling.touch(instance.key)
    report, rollout = instance.task.report, farm.rolling.active
    if report is None or rollout is None or instance.task.launched < rollout.changed:
        return
    was = before.restarts if before is not None else 0
    if report.restarts > was and report.last_exit is not None and not report.last_exit.by_hand:
        failed(farm, instance, report.last_exit.words(), now)
    elif report.healthy is False and (before is None or before.healthy is not False):
        failed(farm, instance, report.ailment or "unhealthy", now)


def failed(farm: Farm, instance: Instance, why: str, now: float) -> None:
    """Something of the batch in work did not do as it should."""
    rollout = farm.rolling.active
    if rollout is None or rollout.state != "running" or instance.key not in farm.rolling.keys:
        return
    rollout.failed += 1
    rollout.ready_since = 0.0
    rollout.failures = (*rollout.failures, Failure(instance.name, instance.host, why, now))[-MOST_FAILURES:]
    farm.out.append(commands.SaveDocument(ROLLOUT))
    if 0 < rollout.strategy.failures <= rollout.failed:
        times = f"{rollout.failed} failure{'s' if rollout.failed > 1 else ''}, the last of {instance}: {why}"
        if rollout.strategy.on_failure == "rollback" and rollout.kind == "apply":
            roll_back(farm, rollout.user, rollout.known_as, times, now)
        else:
            change_state(farm, "paused", times)


def guard_answered(farm: Farm, event: events.GuardAnswered, now: float) -> None:
    """Yes lets the next batch begin; anything else is asked again."""
    rollout, rolling = farm.rolling.active, farm.rolling
    if rollout is None or rollout.number != event.rollout or event.batch != rollout.at + 1 or not rolling.asked:
        return
    said = "" if event.yes else event.words or "no"
    if said != rollout.guard:
        rollout.guard = said
        farm.out.append(commands.SaveDocument(ROLLOUT))
        if said:
            farm.note(f"rollout {rollout.number}: batch {event.batch + 1} waits for {rollout.strategy.guard}: {said}")
    if event.yes and rollout.state == "running":
        _begin_batch(farm, rollout, now)
    else:
        rolling.asked, rolling.due = now - GUARD_SILENT_S + GUARD_AGAIN_S, now + GUARD_AGAIN_S


def step(farm: Farm, now: float) -> None:
    """Go on as far as things allow; what it costs is that of those of the batch in work that something happened to."""
    rolling = farm.rolling
    rollout = rolling.active
    if rollout is None or not (rolling.touched or now >= rolling.due):
        return
    rolling.touched, rolling.due = True, float("inf")
    farm.cause = f"rollout {rollout.number}, batch {max(rollout.at, 0) + 1}"
    while rolling.touched and rollout.state == "running":
        rolling.touched = False
        if rollout.complete <= rollout.at:
            _look(farm, rollout, now)
        elif rollout.complete == rollout.batches:
            rollout.unreached = _unreached(farm)
            end(farm, "done", f"after {duration(now - rollout.began)}", now)
        elif not rollout.strategy.guard:
            _begin_batch(farm, rollout, now)
        elif now - rolling.asked >= GUARD_SILENT_S:
            rolling.asked, rolling.due = now, now + GUARD_SILENT_S
            guard, revision = rollout.strategy.guard, rollout.revision
            farm.out.append(commands.AskGuard(rollout.number, rollout.at + 1, guard, revision))
        else:
            rolling.due = rolling.asked + GUARD_SILENT_S
    rolling.touched = False


def _unreached(farm: Farm) -> tuple[str, ...]:
    """The hosts that hold nothing up, and have not changed."""
    there = (farm.instances.get(key) for batch in farm.rolling.batches for key in batch)
    hosts = {one.host for one in there if one is not None and one.job is not None and one.lost}
    return tuple(sorted(hosts)[:MOST_UNREACHED])


def _begin_batch(farm: Farm, rollout: KeptRollout, now: float) -> None:
    rolling = farm.rolling
    rollout.at += 1
    farm.cause = f"rollout {rollout.number}, batch {rollout.at + 1}"
    rollout.changed, rollout.batch_began, rollout.ready_since, rollout.guard = now, now, 0.0, ""
    rolling.work_on(rolling.batches[rollout.at])
    rolling.asked = 0.0
    rollout.reached = sum(map(len, rolling.batches[: rollout.at + 1]))
    farm.out.append(commands.SaveDocument(ROLLOUT))
    farm.note(f"rollout {rollout.number}: batch {rollout.at + 1} of {rollout.batches} begins ({len(rolling.keys)})")


def next_to_change(farm: Farm, rollout: KeptRollout) -> Iterable[Instance]:
    """What ends as soon as it goes on: those of the next batch, where nothing of the one in work is waited for."""
    work = [farm.instances[key] for key in farm.rolling.keys if key in farm.instances]
    waits = rollout.complete <= rollout.at and any(_expected(one) and not _ready(one, rollout) for one in work)
    batches = () if waits else farm.rolling.batches[rollout.at + 1 :]
    return [farm.instances[key] for key in first(farm, batches)]


def _expected(instance: Instance) -> bool:
    """Whether it can be expected to run; a host that does not answer, or was set aside, holds nothing up."""
    return instance.job is not None and not instance.record.hold and not instance.aside and not instance.lost


def _move(farm: Farm, rollout: KeptRollout, instance: Instance, now: float) -> None:
    """Let it have what the rollout brings, if it has not yet; also where nobody answers: it is for when the host is back."""
    if rollout.kind == "restart":
        task = instance.record.task
        if task is not None and task.launched < rollout.changed and not instance.ending:
            farm.end(instance, now)
            farm.settle(instance, now)
    elif instance.record.behind:
        job = farm.desired.of(instance.name, instance.host)
        if job is not None:
            run = farm.desired.run_of(job)(instance.host)
            desired.assign(farm, job, run, instance.host, instance.record.attributes, now)


def _look(farm: Farm, rollout: KeptRollout, now: float) -> None:
    """Whether all of the batch is ready, and for long enough."""
    rolling, strategy = farm.rolling, rollout.strategy
    changed, rolling.changed = rolling.changed, {}
    for key in changed:
        instance = farm.instances.get(key)
        if instance is not None and instance.job is not None and not _ready(instance, rollout):
            _move(farm, rollout, instance, now)
        if instance is not None and _expected(instance) and not _ready(instance, rollout):
            rolling.lagging[key] = None
        else:
            rolling.lagging.pop(key, None)
    for key in changed:
        rolling.changed.pop(key, None)  # by our own hand
    lagging = rolling.lagging
    late = now - rollout.batch_began >= strategy.timeout_s
    if lagging and not late:
        if rollout.ready_since:
            rollout.ready_since = 0.0
            farm.out.append(commands.SaveDocument(ROLLOUT))
        rolling.due = rollout.batch_began + strategy.timeout_s
        return
    if lagging:
        for key in list(lagging):
            failed(farm, farm.instances[key], not_ready(farm, farm.instances[key], strategy.timeout_s, now), now)
            if rollout.state != "running":
                return
    elif not rollout.ready_since:
        if _withdrawn(farm, rollout):
            change_state(farm, "paused", f"all of batch {rollout.at + 1} was stopped or set aside before it was ready")
            return
        rollout.ready_since = now
        farm.out.append(commands.SaveDocument(ROLLOUT))
    if not lagging and now - rollout.ready_since < strategy.ready_s:
        rolling.due = rollout.ready_since + strategy.ready_s
        return
    rollout.complete = rollout.at + 1
    farm.out.append(commands.SaveDocument(ROLLOUT))
    if rollout.complete in strategy.pause_after and rollout.complete < rollout.batches:
        change_state(farm, "paused", f"after batch {rollout.complete}, as asked for", as_asked=True)
    rolling.touched = True


def _withdrawn(farm: Farm, rollout: KeptRollout) -> bool:
    """Whether people took away all of the batch in work after it began, and before it was ready: nothing of it was seen to run."""
    there = [farm.instances[key] for key in farm.rolling.keys if key in farm.instances]
    since = [farm.aside[one.host].at if one.aside else one.record.hold.at if one.record.hold else 0.0 for one in there]
    return bool(since) and min(since) >= rollout.batch_began


def _ready(instance: Instance, rollout: KeptRollout) -> bool:
    task = instance.record.task
    if not instance.up or (instance.record.behind and rollout.kind == "apply"):
        return False
    if task is None:
        return True  # it did what it should
    ill = task.report is not None and task.report.healthy is False and not task.report.snoozed
    return not ill and (rollout.kind == "apply" or task.launched >= rollout.changed)
