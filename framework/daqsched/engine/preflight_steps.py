"""What preflights lead to: one survey for each host that is asked, from the next offer that has room for it."""

from __future__ import annotations

from daqsched.engine import commands, events
from daqsched.engine.commands import SurveyToLaunch
from daqsched.engine.farm import Farm
from daqsched.engine.match import FreeResources
from daqsched.engine.preflight_state import PreflightState
from daqsched.engine.verdict import Accepted
from daqsched.errors import Refused, UserError
from daqsched.hosts import fold
from daqsched.preflight import AT_ONCE, KEPT, LONGEST_S, NEEDS, TASK, TRIES, UNDER_WAY, HostQuery, Preflight
from daqsched.task import LIVE
from daqsched_executor.contract import ContractError, Findings, duration


def asked(farm: Farm, event: events.PreflightAsked, now: float) -> Accepted:
    """Begin to ask the hosts."""
    if not 0 < event.patience_s <= LONGEST_S:
        raise UserError(f"a preflight may take up to {LONGEST_S:g} s, not {event.patience_s:g} s")
    preflights = farm.preflights
    running = sum(not one.over for one in preflights.made.values())
    if running >= UNDER_WAY:
        raise Refused(f"{running} preflights are under way: wait until one of them has ended")
    over = [name for name, one in preflights.made.items() if one.over]
    for name in over[: max(0, len(preflights.made) - KEPT + 1)]:
        del preflights.made[name]
    until = now + event.patience_s
    made = Preflight(event.user, now, until, event.questions, event.not_asked, event.known_as, event.grace_s)
    preflights.made[event.id] = made
    for ask in made.asks.values():
        if ask.host in event.absent:
            ask.state, ask.reason = "lost", f"{ask.host} is not registered with the master: is its agent up?"
            continue
        preflights.waiting.setdefault(ask.host, []).append(ask)
    farm.demand.woken()
    farm.note(
        f"preflight {event.id} asked for by {event.user}: it asks {fold(set(made.asks) - event.absent) or 'nobody'}"
    )
    return Accepted()


def launch(farm: Farm, name: str, agent_id: str, room: FreeResources) -> list[SurveyToLaunch]:
    """What goes to this host with the offer that has this room."""
    preflights = farm.preflights
    launched: list[SurveyToLaunch] = []
    for ask in preflights.waiting.get(name, ())[: AT_ONCE - len(preflights.by_task)]:
        ask.reason = room.refusal(NEEDS) or ""
        if not ask.reason:
            room.take(NEEDS)
            ask.state, ask.tries = "launched", ask.tries + 1
            ask.task_id, ask.agent_id = f"{TASK}@{name}.{farm.new_id()}", agent_id
            preflights.by_task[ask.task_id] = ask
            launched.append(SurveyToLaunch(ask.survey(), NEEDS.cpus, NEEDS.mem))
    if launched:
        _wait_no_more(preflights, name)
    return launched


def not_launched(farm: Farm, task_id: str, why: str) -> bool:
    """The survey does not exist: its host is asked again, unless that has no end. False: it is no survey of ours."""
    ask = farm.preflights.by_task.get(task_id)
    if ask is None:
        return False
    if ask.tries < TRIES:
        _settle(farm, ask, "asked", "")
        farm.preflights.waiting.setdefault(ask.host, []).append(ask)
    else:
        _settle(farm, ask, "lost", f"the survey could not be launched on {ask.host}: {why}")
    return True


def reported(farm: Farm, event: events.TaskReported) -> bool:
    """Somebody said something of a survey. False: it is none of ours."""
    ask = farm.preflights.by_task.get(event.task_id)
    if ask is None:
        return False
    if event.state in LIVE:
        unreachable = LIVE[event.state] == "unreachable"
        ask.reason = f"{ask.host} does not answer the master any more" if unreachable else ""
    elif event.state == "TASK_FINISHED" and event.by_executor:
        try:
            ask.found = Findings.from_json(event.data).found
            _settle(farm, ask, "found", "")
        except ContractError as error:
            _settle(farm, ask, "lost", f"{ask.host} gives an answer that is not understood: {error}")
    elif event.by_executor:
        _settle(farm, ask, "lost", f"the survey failed on {ask.host}: {event.message}")
        ask.starts_nothing = True
    elif event.reason in ("REASON_INVALID_OFFERS", "REASON_TASK_INVALID"):
        return not_launched(farm, event.task_id, event.message)
    else:
        why = event.message or event.reason
        _settle(farm, ask, "lost", f"the survey could not run on {ask.host}: {why} (is daqsched-executor there?)")
        ask.starts_nothing = event.state == "TASK_FAILED"
    return True


def ticked(farm: Farm, now: float) -> None:
    """Whoever has not answered in time will not; what is still out is ended."""
    for name, one in farm.preflights.made.items():
        if now < one.due or one.over:
            continue
        for ask in one.asks.values():
            if not ask.over and (ask.state != "launched" or now >= one.until + one.grace_s):
                reason = why_waiting(farm, ask)
                if ask.state == "launched":
                    farm.out.append(commands.Kill(ask.task_id, ask.agent_id))
                    ask.starts_nothing = not ask.reason
                _settle(farm, ask, "lost", reason)
                _wait_no_more(farm.preflights, ask.host)
        if any(not ask.over for ask in one.asks.values()):
            continue
        silent = [ask.host for ask in one.asks.values() if ask.state == "lost"]
        farm.note(f"preflight {name} ends after {duration(now - one.began)}: no answer from {fold(silent)}")


def why_waiting(farm: Farm, ask: HostQuery) -> str:
    """Why there is no answer yet, for people."""
    host = ask.host
    if not farm.connected:
        return f"no connection to the master {farm.master}".rstrip() + ": is it up?"
    if ask.state == "launched":
        return ask.reason or f"{host} was asked and has not answered"
    if ask.reason:
        return f"{ask.reason} on {host}"
    if host in farm.lost:
        return f"{host} does not answer the master: is its agent up?"
    if len(farm.preflights.by_task) >= AT_ONCE:
        return f"waits until less than {AT_ONCE} other hosts are being asked"
    return f"no offer from {host}: is its agent up, or nothing free on it?"


def _settle(farm: Farm, ask: HostQuery, state: str, reason: str) -> None:
    """It is not out any more; whoever waits behind the limit wants an offer now."""
    if farm.preflights.by_task.pop(ask.task_id, None) is not None and farm.preflights.waiting:
        farm.demand.woken()
    ask.state, ask.reason = state, reason
    if state == "asked":
        farm.demand.woken()


def _wait_no_more(preflights: PreflightState, host: str) -> None:
    left = [ask for ask in preflights.waiting.pop(host, ()) if ask.state == "asked"]
    if left:
        preflights.waiting[host] = left
