"""A rollout step by step: a batch begins, its instances change, all of it is ready and stays so, the next one begins."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Callable, Literal, Optional

import msgspec

from daqsched.confirm import ALL
from daqsched.engine import commands, desired, events
from daqsched.engine.commands import Revision
from daqsched.engine.confirming import at_once, confirm_ends, first
from daqsched.engine.endings import endings
from daqsched.engine.farm import BATCHES, BEFORE, MOST_OUTCOMES, OUTCOMES, ROLLOUT, Farm
from daqsched.engine.instance import Instance, Key
from daqsched.engine.rollout_state import Before
from daqsched.engine.verdict import Accepted
from daqsched.errors import Refused, UserError
from daqsched.limits import brief, refusal
from daqsched.merge import Desired, Merged, assembled, change_of
from daqsched.rollout import (
    MOST_FAILURES,
    MOST_UNREACHED,
    Failure,
    Rollout,
    RolloutOutcome,
    State,
    Strategy,
    check,
    depths,
    divide,
    outcome,
)
from daqsched.spec import FORWARDER, JobSpec, Spec, decode, encode
from daqsched_executor.contract import Report, duration

#: A guard that says no is asked again after so long; one that says nothing is asked again, too.
GUARD_AGAIN_S, GUARD_SILENT_S = 10.0, 60.0

_decode = msgspec.msgpack.Decoder(Rollout).decode
_decode_outcomes = msgspec.msgpack.Decoder(dict[int, RolloutOutcome]).decode
_decode_before = msgspec.msgpack.Decoder(Before).decode
_decode_batches = msgspec.msgpack.Decoder(list[list[Key]]).decode


def restored(
    farm: Farm,
    rollout: Optional[bytes],
    batches: Optional[bytes],
    before: Optional[bytes],
    revision: Callable[[Optional[int]], Optional[Revision]],
) -> None:
    """Begin where the store says that the last daemon was. A rollout that can't be read is over: what it has not reached
    stays as it is, until somebody applies again. ``revision`` gives one by its number."""
    rolling = farm.rolling
    try:
        known = _decode(rollout) if rollout is not None else None
        there = _decode_batches(batches) if batches is not None else []
        was = _decode_before(before) if before is not None else None
        if was is not None:
            decode(was.spec)
        if known is not None:
            _look_through(known, there)
    except (msgspec.MsgspecError, ValueError, TypeError, UserError) as error:
        farm.troubles.append(
            f"what the state says of the rollout can't be read ({brief(str(error))}): it has ended, and what it had not "
            "reached stays as it is; `daqsched apply` again"
        )
        return
    rolling.rollout = known
    if rolling.active is not None:
        rolling.batches = there
        at = rolling.active.at
        older = revision(rolling.active.before) if was is None and rolling.active.before else None
        if older is not None:  # begun by a daemon that went back to a revision as a whole
            names = [FORWARDER, *(job.name for job in (*older.spec.jobs, *farm.spec.jobs))]
            was = Before(older.number, frozenset(names), encode(older.spec))
        rolling.before = was
        rolling.work_on(rolling.batches[at] if 0 <= at < len(rolling.batches) else ())


def _look_through(rollout: Rollout, batches: list[list[Key]]) -> None:
    """Raise `ValueError` where the two can't be of one rollout."""
    beyond = refusal(rollout, texts=False)
    if beyond is not None:
        raise ValueError(f"{beyond[0]} {beyond[1]}")
    if rollout.over:
        return
    check(rollout.strategy)
    if rollout.batches != len(batches) or not -1 <= rollout.at < len(batches) or rollout.at < rollout.complete - 1:
        raise ValueError(f"batch {rollout.at + 1} of {rollout.batches}, and there are {len(batches)}")


def outcomes_restored(farm: Farm, saved: Optional[bytes]) -> None:
    """How the rollouts of revisions ended; what can't be read is for people alone, and told."""
    try:
        farm.outcomes = _decode_outcomes(saved) if saved is not None else {}
    except msgspec.MsgspecError as error:
        farm.troubles.append(f"how rollouts ended can't be read ({brief(str(error))}): forgotten")


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
    rolling.rollout = Rollout(
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
        part=parts.pop() if len(parts) == 1 else "",
    )
    rolling.last, rolling.before, rolling.asked = last, before, 0.0
    rolling.work_on(())
    farm.out += [commands.SaveDocument(name) for name in (ROLLOUT, BATCHES, BEFORE)]
    farm.note(
        f"rollout {rolling.rollout.number} of {len(every)} instances on {rolling.rollout.hosts} hosts begins: "
        f"batches of {', '.join(str(len({host for _, host in batch})) for batch in rolling.batches[:10])} hosts"
    )


def restart_asked(farm: Farm, event: events.RestartAsked, now: float) -> Accepted:
    """The same programs anew."""
    rollout = farm.rolling.active
    if rollout is not None:
        raise Refused(
            f"rollout {rollout.number} by {rollout.user} is under way: wait for its end, or `daqsched rollout abort`"
        )
    there = [farm.instances[key] for key in event.keys if key in farm.instances]
    running = [one.key for one in there if one.record.task is not None and not one.spared]
    if not running and any(one.spared for one in there):
        raise Refused("what is held is left alone: `daqsched start` lets it run as before")
    if not running:
        raise UserError("none of these runs any more: `daqsched status` lists what does")
    soon = at_once(farm, running, event.strategy, {job.name: job.after for job in farm.spec.jobs})
    confirm_ends(farm, event.agreed, (), (farm.instances[key] for key in soon))
    begin(farm, "restart", running, event.strategy, event.user, event.message, None, now)
    assert farm.rolling.rollout is not None
    return Accepted(rollout=farm.rolling.rollout.number, keys=tuple(running))


def steered(farm: Farm, event: events.RolloutSteered, now: float) -> Accepted:
    """What somebody says holds until somebody says something else."""
    rollout = farm.rolling.active
    if rollout is None:
        raise Refused("no rollout is under way: `daqsched rollout` shows the last one")
    if event.what == "rollback" and (rollout.kind != "apply" or farm.rolling.before is None):
        what = "a rolling restart" if rollout.kind != "apply" else f"rollout {rollout.number}"
        raise Refused(f"{what} has nothing to go back to: `daqsched rollout abort` ends it")
    if event.what == "resume" and rollout.state != "paused":
        raise Refused(f"rollout {rollout.number} is not paused")
    by = f"by {event.user}{': ' + event.message if event.message else ''}"
    if event.what == "pause":
        _change(farm, "paused", by)
    elif event.what == "resume":
        confirm_ends(farm, event.agreed, (), _next(farm, rollout))
        rollout.failed, rollout.guard, rollout.batch_began, rollout.ready_since = 0, "", now, 0.0
        farm.rolling.asked = 0.0
        _change(farm, "running", "")
    elif event.what == "abort":
        end(farm, "aborted", by, now)
    elif event.what == "rollback":
        before, now_in_force = farm.rolling.before, farm.revision
        assert before is not None and now_in_force is not None, "looked at above"
        back = _back(farm, rollout, before, event.user, by)
        to_be = change_of(now_in_force.spec, back.spec, back.scope, farm.hosts_of, farm.behind())
        confirm_ends(farm, event.agreed, *endings(farm, to_be, back.strategy))
        roll_back(farm, event.user, by, now)
    farm.rolling.touched = True
    return Accepted(rollout=rollout.number)


def roll_back(farm: Farm, user: str, why: str, now: float) -> None:
    """What was changed goes back to what ran there, batch by batch as it came; what was not goes on as it is.

    Nothing holds that up: what ran before is known to run.
    """
    rollout, before = farm.rolling.active, farm.rolling.before
    if rollout is None or before is None or rollout.kind != "apply":
        return
    following = _back(farm, rollout, before, user, why)
    try:
        assert farm.revision is not None, "a rollout has one"
        change_of(farm.revision.spec, following.spec, following.scope, farm.hosts_of, farm.behind())
    except UserError as error:  # others came after what it brought
        _change(farm, "paused", f"{why}; it can't be rolled back: {error}")
        return
    end(farm, "rolled-back", why, now)
    farm.then.append(following)


def _back(farm: Farm, rollout: Rollout, before: Before, user: str, why: str) -> events.JobsApplied:
    message = f"rollback of revision {rollout.revision} to {before.revision}: {why}"
    way = msgspec.structs.replace(rollout.strategy, guard="", pause_after=(), failures=0, on_failure="pause")
    spec = decode(before.spec)
    if farm.parts.get(before.revision, "") != farm.parts.get(rollout.revision, ""):
        spec = msgspec.structs.replace(spec, source="")  # that is another team's file
    return events.JobsApplied(spec, user, message, way, allow_empty=True, jobs=before.jobs, agreed=ALL, back=True)


def end(farm: Farm, state: State, why: str, now: float, replaced_by: int = 0) -> None:
    """Nothing more of this rollout; what it has not reached stays behind."""
    rolling = farm.rolling
    assert rolling.rollout is not None
    rolling.rollout.ended = now
    rolling.batches, rolling.before, rolling.due = [], None, float("inf")
    rolling.work_on(())
    _change(farm, state, why)
    farm.out += [commands.SaveDocument(BATCHES), commands.SaveDocument(BEFORE)]
    if rolling.rollout.revision:
        farm.outcomes[rolling.rollout.revision] = outcome(rolling.rollout, replaced_by)
        while len(farm.outcomes) > MOST_OUTCOMES:
            del farm.outcomes[next(iter(farm.outcomes))]
        farm.out.append(commands.SaveDocument(OUTCOMES))


def _change(farm: Farm, state: State, why: str) -> None:
    rollout = farm.rolling.rollout
    assert rollout is not None
    rollout.state, rollout.why = state, why
    farm.out.append(commands.SaveDocument(ROLLOUT))
    farm.note(f"rollout {rollout.number}: {state}{' ' + why if why else ''}")


def heard(farm: Farm, instance: Instance, before: Optional[Report], now: float) -> None:
    """An executor of the batch in work said something: a program that died or is ill counts."""
    farm.rolling.touch(instance.key)
    report, rollout = instance.task.report, farm.rolling.active
    if report is None or rollout is None or instance.task.launched < rollout.changed:
        return
    was = before.restarts if before is not None else 0
    if report.restarts > was and report.last_exit is not None:
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
            roll_back(farm, rollout.user, times, now)
        else:
            _change(farm, "paused", times)


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


def _begin_batch(farm: Farm, rollout: Rollout, now: float) -> None:
    rolling = farm.rolling
    rollout.at += 1
    farm.cause = f"rollout {rollout.number}, batch {rollout.at + 1}"
    rollout.changed, rollout.batch_began, rollout.ready_since, rollout.guard = now, now, 0.0, ""
    rolling.work_on(rolling.batches[rollout.at])
    rolling.asked = 0.0
    farm.out.append(commands.SaveDocument(ROLLOUT))
    farm.note(f"rollout {rollout.number}: batch {rollout.at + 1} of {rollout.batches} begins ({len(rolling.keys)})")


def _next(farm: Farm, rollout: Rollout) -> Iterable[Instance]:
    """What ends as soon as it goes on: those of the next batch, where nothing of the one in work is waited for."""
    work = [farm.instances[key] for key in farm.rolling.keys if key in farm.instances]
    waits = rollout.complete <= rollout.at and any(_expected(one) and not _ready(one, rollout) for one in work)
    batches = () if waits else farm.rolling.batches[rollout.at + 1 :]
    return [farm.instances[key] for key in first(farm, batches)]


def _expected(instance: Instance) -> bool:
    """Whether it can be expected to run; a host that does not answer, or was set aside, holds nothing up."""
    return instance.job is not None and not instance.record.hold and not instance.aside and not instance.lost


def _move(farm: Farm, rollout: Rollout, instance: Instance, now: float) -> None:
    """Let it have what the rollout brings, if it has not yet; also where nobody answers: it is for when the host is back."""
    if rollout.kind == "restart":
        task = instance.record.task
        if task is not None and task.launched < rollout.changed and not instance.ending:
            farm.end(instance, now)
            farm.settle(instance, now)
    elif instance.record.behind:
        job = farm.desired(instance.name, instance.host)
        if job is not None:
            run = farm.run_of(job)(instance.host)
            desired.assign(farm, job, run, instance.host, instance.record.attributes, now)


def _look(farm: Farm, rollout: Rollout, now: float) -> None:
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
            failed(farm, farm.instances[key], f"not ready after {duration(strategy.timeout_s)}", now)
            if rollout.state != "running":
                return
    elif not rollout.ready_since:
        if _withdrawn(farm, rollout):
            _change(farm, "paused", f"all of batch {rollout.at + 1} was stopped or set aside before it was ready")
            return
        rollout.ready_since = now
        farm.out.append(commands.SaveDocument(ROLLOUT))
    if not lagging and now - rollout.ready_since < strategy.ready_s:
        rolling.due = rollout.ready_since + strategy.ready_s
        return
    rollout.complete = rollout.at + 1
    farm.out.append(commands.SaveDocument(ROLLOUT))
    if rollout.complete in strategy.pause_after and rollout.complete < rollout.batches:
        _change(farm, "paused", f"after batch {rollout.complete}, as asked for")
    rolling.touched = True


def _withdrawn(farm: Farm, rollout: Rollout) -> bool:
    """Whether people took away all of the batch in work after it began, and before it was ready: nothing of it was seen to run."""
    there = [farm.instances[key] for key in farm.rolling.keys if key in farm.instances]
    since = [farm.aside[one.host].at if one.aside else one.record.hold.at if one.record.hold else 0.0 for one in there]
    return bool(since) and min(since) >= rollout.batch_began


def _ready(instance: Instance, rollout: Rollout) -> bool:
    task = instance.record.task
    if not instance.up or (instance.record.behind and rollout.kind == "apply"):
        return False
    if task is None:
        return True  # it did what it should
    ill = task.report is not None and task.report.healthy is False and not task.report.snoozed
    return not ill and (rollout.kind == "apply" or task.launched >= rollout.changed)
