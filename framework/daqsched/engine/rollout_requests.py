"""What people ask of rollouts: a rolling restart, and to pause, resume, abort or roll back what is under way."""

from __future__ import annotations

from typing import Optional

from daqsched.engine import events
from daqsched.engine.confirming import at_once, confirm_ends
from daqsched.engine.endings import endings
from daqsched.engine.farm import Farm
from daqsched.engine.instance import Key
from daqsched.engine.rollout_steps import begin, change_state, end, next_to_change, roll_back, what_goes_back
from daqsched.engine.verdict import Accepted
from daqsched.errors import Refused, UserError
from daqsched.merge import change_of
from daqsched.plural import plural
from daqsched.rollout import Rollout, called, with_cause
from daqsched.task import Hold


def restart_asked(farm: Farm, event: events.RestartAsked, now: float) -> Accepted:
    """The same programs anew."""
    rollout = farm.rolling.active
    if rollout is not None:
        if rollout.state == "paused":
            first = "first `daqsched rollout resume`, `rollback` or `abort`"
            if not _goes_back(farm, rollout):
                first = "first `daqsched rollout resume` or `abort`"
            raise Refused(f"{called(rollout)} is paused, {rollout.why}: {first}")
        raise Refused(f"{called(rollout)} is under way: wait for its end, or `daqsched rollout abort`")
    reasons = {key: left_alone(farm, key) for key in event.keys}
    running = [key for key, why in reasons.items() if not why]
    rejected = tuple((*key, why) for key, why in reasons.items() if why)
    if not running:
        waiting = [one for one in rejected if _hold_of(farm, one[:2]) is not None]
        if not waiting:
            raise UserError("none of these runs any more: `daqsched status` lists what does")
        (job, host, why), *others = waiting
        more = f"; {plural(len(others), 'other', 'is', 'are')} stopped or held, too" if others else ""
        raise Refused(f"nothing was restarted: {job}@{host} {why}{more}")
    soon = at_once(farm, running, event.strategy, {job.name: job.after for job in farm.spec.jobs})
    confirm_ends(farm, event.stops, (), (farm.instances[key] for key in soon))
    begin(farm, "restart", running, event.strategy, event.user, event.message, None, now)
    assert farm.rolling.rollout is not None
    return Accepted(rollout=farm.rolling.rollout.number, keys=tuple(running), rejected=rejected)


def left_alone(farm: Farm, key: Key) -> str:
    """Why a rolling restart does not start that anew, for people; empty: it does."""
    instance = farm.instances.get(key)
    if instance is None or instance.job is None:
        return "is no longer desired"
    hold, runs = instance.record.hold, instance.record.task is not None
    if hold is None:
        return "" if runs else "does not run"
    if runs and hold.spares:
        return f"{hold}, and what is held is left alone: `daqsched start {instance}` lets it run as before"
    why = str(hold) if hold.user else "waits for its first start by hand"
    return f"{why}, and stays so: `daqsched start {instance}` starts it"


def _hold_of(farm: Farm, key: Key) -> Optional[Hold]:
    instance = farm.instances.get(key)
    return instance.record.hold if instance is not None and instance.job is not None else None


def steered(farm: Farm, event: events.RolloutSteered, now: float) -> Accepted:
    """What somebody says holds until somebody says something else."""
    rollout = farm.rolling.active
    if rollout is None:
        raise Refused("no rollout is under way: `daqsched rollout` shows the last one")
    if event.what == "rollback" and not _goes_back(farm, rollout):
        what = "a rolling restart" if rollout.kind != "apply" else f"rollout {rollout.number}"
        raise Refused(f"{what} has nothing to go back to: `daqsched rollout abort` ends it")
    if event.what == "resume" and rollout.state != "paused":
        raise Refused(f"rollout {rollout.number} is not paused")
    by = f"by {event.user}{': ' + event.message if event.message else ''}"
    if event.what == "pause":
        change_state(farm, "paused", with_cause(rollout, by), event.user)
    elif event.what == "resume":
        confirm_ends(farm, event.stops, (), next_to_change(farm, rollout))
        rollout.failed, rollout.guard, rollout.batch_began, rollout.ready_since = 0, "", now, 0.0
        farm.rolling.asked = 0.0
        change_state(farm, "running", "")
    elif event.what == "abort":
        end(farm, "aborted", with_cause(rollout, by), now)
    elif event.what == "rollback":
        before, now_in_force = farm.rolling.before, farm.revision
        assert before is not None and now_in_force is not None, "looked at above"
        back = what_goes_back(farm, rollout, before, event.user, by)
        to_be = change_of(now_in_force.spec, back.spec, back.scope, farm.hosts_of, farm.behind())
        confirm_ends(farm, event.stops, *endings(farm, to_be, back.strategy))
        roll_back(farm, event.user, farm.asker, with_cause(rollout, by), now)
    farm.rolling.touched = True
    return Accepted(rollout=rollout.number)


def _goes_back(farm: Farm, rollout: Rollout) -> bool:
    """Whether there is anything to go back to."""
    return rollout.kind == "apply" and farm.rolling.before is not None
