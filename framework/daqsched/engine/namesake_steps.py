"""What follows where several agents have one name, see `namesakes`: who is given work, and when another is the successor."""

from __future__ import annotations

from daqsched.engine import commands, events
from daqsched.engine.commands import NAMES
from daqsched.engine.confirming import confirm_ends
from daqsched.engine.farm import Farm
from daqsched.engine.instance import Instance
from daqsched.engine.namesakes import GONE_S, LOOK_S, REMOVED, SILENT
from daqsched.engine.reasons import namesakes
from daqsched.engine.resources import Offer
from daqsched.engine.tasks import replaced
from daqsched.engine.time_format import TimeFormat
from daqsched.engine.verdict import Accepted


def has_name(farm: Farm, host: str, offer: Offer, now: float) -> bool:
    """Whether the offering agent is the one that has the name; from now on, where the other is known to be gone."""
    names = farm.namesakes
    has = names.agents[host]
    if has == offer.agent_id:
        return True
    if offer.place and names.places.get(has) == offer.place:
        # one machine has one agent at a place: this one is that one, with a work folder of its own
        _take_over(farm, host, offer.agent_id, f"at the same place, {offer.place}", now)
        return True
    if names.meets(host, offer.agent_id, now):
        for instance in _on(farm, host):
            farm.touch(instance.key)
    return host not in names.others or offer.agent_id not in names.others[host]


def ticked(farm: Farm, now: float) -> None:
    """Whoever is gone is no namesake any more, and who has been silent for long has a successor; the others are asked about."""
    names = farm.namesakes
    if now < names.due or not farm.connected:
        return
    for host in list(names.others):
        for agent_id in list(names.others[host]):
            if names.known.get(agent_id) in (SILENT, REMOVED):
                farm.note(f"{host}: the agent {names.named(agent_id)}, which called itself so, too, is gone")
                names.forget(host, agent_id)
                _look_again(farm, host)
                if host not in names.others:
                    break
        others = names.others.get(host, {})
        if len(others) == 1 and _is_gone(farm, host, now):
            _take_over(farm, host, next(iter(others)), "which is gone", now)
        elif others and host not in names.said and names.agents[host] in names.known:
            names.said.add(host)
            farm.note(namesakes(farm, host, TimeFormat(now)))
    names.said.intersection_update(names.others)
    questions = names.questions()
    names.due = now + LOOK_S if questions else float("inf")
    if questions:
        farm.out.append(commands.Reconcile(questions))


def chosen(farm: Farm, event: events.AgentChosen, now: float) -> Accepted:
    """A person says which of several agents has the name: what runs under it elsewhere ends, and starts there."""
    names = farm.namesakes
    agent_id = names.which(event.host, event.agent)
    concerned = [one for one in _on(farm, event.host) if one.record.task is not None and one.task.agent_id != agent_id]
    confirm_ends(farm, event.stops, concerned)
    before = names.takes_over(event.host, agent_id, chosen=True)
    farm.out.append(commands.SaveDocument(NAMES))
    why = f": {event.message}" if event.message else ""
    farm.note(f"{event.host} is the agent {names.named(agent_id)}, says {event.user}{why}")
    if before != agent_id:
        names.meets(event.host, before, now)  # until the master says that it is gone
    for instance in concerned:
        if instance.lost:
            replaced(farm, instance, f"{event.host} is another agent now", now)
        else:
            farm.end(instance, now)
            farm.settle(instance, now)
    _look_again(farm, event.host)
    keys = tuple(instance.key for instance in concerned)
    return Accepted(keys=keys, agent=names.named(agent_id), agent_before=names.named(before))


def _on(farm: Farm, host: str) -> list[Instance]:
    """All that is or runs under the name; the cost is that of the number of jobs and of what is no longer desired."""
    desired = [hosts[host] for hosts in farm.order.desired.values() if host in hosts]
    return desired + [one for one in farm.by_task.values() if one.job is None and one.host == host]


def _is_gone(farm: Farm, host: str, now: float) -> bool:
    """Whether nothing of ours may run on the agent that has the name, and it is not there."""
    has = farm.namesakes.agents[host]
    tasks = [one.task for one in _on(farm, host) if one.record.task is not None and one.task.agent_id == has]
    if not tasks:
        return farm.namesakes.known.get(has) in (SILENT, REMOVED)
    return all(task.state in ("unreachable", "unknown") and now >= task.since + GONE_S for task in tasks)


def _take_over(farm: Farm, host: str, agent_id: str, why: str, now: float) -> None:
    names = farm.namesakes
    was_chosen = host in names.chosen
    before = names.takes_over(host, agent_id)
    if was_chosen:
        farm.out.append(commands.SaveDocument(NAMES))
    farm.note(f"{host} is the agent {names.named(agent_id)} now, in the place of {names.named(before)}, {why}")
    for instance in list(farm.lost.get(host, {}).values()):
        if instance.task.agent_id != agent_id:
            replaced(farm, instance, f"{host} came back as a new agent", now)
    _look_again(farm, host)


def _look_again(farm: Farm, host: str) -> None:
    """What people are told of these changes, and what its offers were declined for may start."""
    for instance in _on(farm, host):
        farm.touch(instance.key)
    farm.demand.woken()
    farm.demand.renewed()  # what goes by attributes may belong there, and does not wait yet
