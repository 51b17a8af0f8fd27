"""Why an instance is in the state in which people see it, and why it does not start or end though somebody asked: sentences."""

from __future__ import annotations

from daqsched.engine.changes import MOST_WORDS, shortened
from daqsched.engine.executor_rules import NOT_KNOWN, carries_others, unconfirmed
from daqsched.engine.farm import Farm
from daqsched.engine.instance import Instance
from daqsched.engine.shown import state_of
from daqsched.engine.time_format import TimeFormat
from daqsched.states import Shown
from daqsched.task import Aside, Hold, Task
from daqsched_executor.contract import Report, duration

#: Of a program whose lines carry what they did at its start, and of one of which nobody knows what that was.
TOO_OLD = "its executor is too old to be told of other labels or forwarding: `daqsched stop {0}` and `start {0}` have a newer one"
NOT_SAID = (
    "its executor is too old to say which labels its lines carry and whether they are forwarded: `daqsched stop {0}` and "
    "`start {0}` have a newer one"
)


def reason_of(farm: Farm, instance: Instance, state: Shown, time_format: TimeFormat) -> str:
    """Why it is in this state, or what is worth knowing, as one sentence; empty: nothing is."""
    reason = _reason_of(farm, instance, state, time_format)
    borrow = instance.record.borrow
    if borrow is not None:
        reason = "; ".join(filter(None, [f"run by hand by {borrow.user}", reason]))
    if instance.host in farm.namesakes.others:
        reason = "; ".join(filter(None, [reason, namesakes(farm, instance.host, time_format)]))
    return reason


def not_ready(farm: Farm, instance: Instance, timeout_s: float, now: float) -> str:
    """``not ready after 6 s: BACKOFF: exit code 3 after 2.0 s; ...``: as its status has it then, which is another one later."""
    state = state_of(farm, instance, now)
    why = reason_of(farm, instance, state, TimeFormat(now, absolute=True))
    return shortened(f"not ready after {duration(timeout_s)}: {state}{f': {why}' if why else ''}", MOST_WORDS)


def _reason_of(farm: Farm, instance: Instance, state: Shown, time_format: TimeFormat) -> str:
    task = instance.record.task
    if task is None:
        return _why_no_task(farm, instance, state, time_format)
    if state == "UNREACHABLE":
        why = maintenance(farm, instance.host, time_format)
        why = f"; {why}" if why else ""
        return (
            f"{instance.host} stopped answering the master, which said so {time_format.ago(task.since)}{why}; waiting for it"
            f"{_when_back(farm, instance, time_format)}"
        )
    if state == "UNKNOWN":
        if task.state == "unknown":
            then = _when_back(farm, instance, time_format)
            return f"the master does not know the agent of {instance.host} (yet); waiting for it{then}"
        silent = time_format.since(farm.registered_at)
        then = _when_back(farm, instance, time_format)
        return f"the master has not confirmed it {silent}: is {instance.host}'s agent up?{then}"
    if state == "STOPPING":
        return _why_stopping(farm, instance)
    if state == "BACKOFF" and task.report is not None:
        return _why_backing_off(farm, instance, task.report, task.message, time_format)
    if state in ("RUNNING", "UNHEALTHY"):
        hold = instance.record.hold
        held = f"held by {hold.user}, so it is not started again" if hold is not None and hold.spares else ""
        told = "what changed in the job is being told to its executor" if unconfirmed(farm.desired, instance) else ""
        carried = carries_others(farm.desired, instance)
        older = (NOT_SAID if carried == NOT_KNOWN else TOO_OLD).format(instance) if carried else ""
        return "; ".join(filter(None, [held, told, older, _how_it_runs(instance, task, state, time_format)]))
    return task.message or "launched, waiting for its executor"


def _when_back(farm: Farm, instance: Instance, time_format: TimeFormat) -> str:
    """What a person has said of it, which its host learns when it is back; empty: nothing."""
    hold = instance.record.hold
    if instance.job is None:
        return "; it ends then, as it is no longer desired"
    if instance.aside and instance.host in farm.aside:
        return f"; it ends then and does not start, as {aside_words(instance.host, farm.aside[instance.host], time_format)}"
    if hold is None or not hold.user:
        return ""
    return f"; it {'is not started again' if hold.spares else 'ends then and does not start'}, as it {hold}"


def _why_no_task(farm: Farm, instance: Instance, state: Shown, time_format: TimeFormat) -> str:
    record = instance.record
    if state == "STOPPED" and record.hold is not None:
        return _why_stopped(instance, record.hold)
    if state == "ASIDE" and instance.host in farm.aside:
        return aside_words(instance.host, farm.aside[instance.host], time_format)
    if state == "UNKNOWN":
        why = f"what the state says of it can't be read ({record.unread}), so it may run already"
        return f"{why}; where it does not, `daqsched start {instance}` starts it"
    if state == "FAILED" and record.failures:
        failed = f"failed {times(record.own_failures)}, last: {record.last_end}"
        return f"{failed}; given up; `daqsched start {instance}` tries again"
    if state in ("FAILED", "FINISHED"):
        return record.last_end
    if state == "BACKOFF":
        away, back = out_of_reach(farm, instance, time_format)
        failed = f"{'ended' if record.befallen else 'failed'} {times(record.failures)}, last: {record.last_end}"
        return f"{failed}; starts again {f'{back}, as {away}' if away else time_format.at(record.due)}"
    return _why_waiting(farm, instance, time_format)


def _why_stopped(instance: Instance, hold: Hold) -> str:
    if not hold.user:
        return f"waits for its first start by hand: `daqsched start {instance}`"
    by = f"by {hold.user}{': ' + hold.message if hold.message else ''}"
    if not hold.spares:
        return by
    # its executor says the same of it
    return f"held {by}; {instance.record.last_end.removesuffix(f'; not started again: held {by}') or 'it had not run'}"


def times(failures: int) -> str:
    """``once``, ``3 times in a row``."""
    return "once" if failures == 1 else f"{failures} times in a row"


def aside_words(host: str, lease: Aside, time_format: TimeFormat) -> str:
    """``hlt02 is set aside by bob for 59 min more: new firmware``."""
    why = f": {lease.message}" if lease.message else ""
    return f"{host} is set aside by {lease.user} {time_format.until(lease.until)}{why}"


def _why_stopping(farm: Farm, instance: Instance) -> str:
    if instance.job is None:
        what = "no longer desired"
    elif instance.record.borrow is not None:
        what = "was told to end"
    elif instance.record.hold and not instance.record.hold.spares:
        what = "stopped"
    elif instance.aside:
        what = f"{instance.host} is set aside by {farm.aside[instance.host].user}"
    else:
        what = "makes way for the new one" if instance.task.digest != instance.digest else "is started anew"
    awaited = "" if instance.task.killed else farm.ends.awaited(instance, farm.order.desired)
    return f"{what}; waits for the end of {awaited}" if awaited else what


def _how_it_runs(instance: Instance, task: Task, state: Shown, time_format: TimeFormat) -> str:
    """A check that somebody snoozed is mentioned, but does not count; of its last end, whether it was started again in place or
    launched anew, which nobody asked for."""
    report, record = task.report, instance.record
    again = f" ({record.failures} in a row)" if record.failures > 1 else ""
    last = f"last end: {record.last_end}{again}" if record.failures and record.last_end else ""
    if report is None:
        return "; ".join(filter(None, [task.message, last]))
    if report.snoozed > time_format.now:
        ailment = f"; {report.ailment}" if report.ailment else ""
        return f"its checks are snoozed {time_format.until(report.snoozed)}{ailment}"
    if state == "UNHEALTHY":
        return report.ailment or task.message
    if report.last_exit is not None:
        last = f"last end: {report.last_exit.words()}"
    return "; ".join(filter(None, [report.lacks, report.says, last]))


#: So many seconds after a start was due an executor that says nothing of it is told of as silent.
OVERDUE_S = 10.0


def _why_backing_off(farm: Farm, instance: Instance, report: Report, said: str, time_format: TimeFormat) -> str:
    """``exit code 1 after 0.02 s; starts again in 3.1 s (4 restarts so far)``, as of now and not of when it was said: a host that
    is away is not known as such for a minute or more.

    The reason is the executor's own word, which knows more than the exit: why there was no start at all, or a hint.
    """
    ended = report.last_exit.words() if report.last_exit is not None else ""
    how = said.rpartition("; starts again in ")[0] or ended
    if not how:
        return said
    restarts = instance.record.restarts
    times = f" ({restarts} restart{'s' if restarts > 1 else ''} so far)" if restarts else ""
    if not time_format.absolute and time_format.now - report.until > OVERDUE_S:
        asks = no_master(farm) or f"is {instance.host} up?"
        return f"{how}; a start was due {time_format.ago(report.until)}{times}, and its executor says nothing of it: {asks}"
    return f"{how}; starts again {time_format.at(report.until)}{times}"


def no_master(farm: Farm) -> str:
    """Why nothing can be started or stopped; empty: a master is there."""
    return "" if farm.connected else f"no connection to the master {farm.master}".rstrip() + ": is it up?"


def maintenance(farm: Farm, host: str, time_format: TimeFormat) -> str:
    """What the master's maintenance schedule says of the host, as of its last offer; empty: nothing, or it is over."""
    begin, end = farm.away.get(host, (0.0, 0.0))
    if time_format.now >= end:
        return ""
    when = time_format.stretch(begin, end)
    return f"the master's maintenance schedule has {host} unavailable{when}"


def namesakes(farm: Farm, host: str, time_format: TimeFormat) -> str:
    """What people are told where several agents have the host's name; empty: one has it."""
    if host not in farm.namesakes.others:
        return ""
    lost = [one.task.since for one in farm.lost.get(host, {}).values() if one.lost]
    return farm.namesakes.words(host, max(lost) if lost else None, time_format)


def _why_waiting(farm: Farm, instance: Instance, time_format: TimeFormat) -> str:
    awaited = farm.order.awaited(instance)
    if awaited:
        return _what_it_awaits(farm, instance, awaited, time_format)
    if not farm.connected:
        return no_master(farm)
    if instance.reason:
        return instance.reason
    turn = farm.starts.why_not(instance.host)
    if turn:
        return turn
    seen = farm.last_offer(instance.host)
    last = "none since this daemon started" if seen is None else f"the last {time_format.ago(seen)}"
    why = maintenance(farm, instance.host, time_format) or "is its agent up?"
    other = farm.namesakes.alike(instance.host) if seen is None else ""
    if other:
        why += f" One calls itself {other}"
    return f"no offer from {instance.host} ({last}): {why}"


def held_up(farm: Farm, instance: Instance, time_format: TimeFormat, stuck: dict[str, bool]) -> str:
    """Why it does not start though it was told to, where it is for a person to end that, or for its host or the master to come
    back, and what happens then; empty: it may start. ``stuck``: what was found before, by job."""
    task = instance.record.task
    if instance.job is None:
        return ""
    if instance.aside:
        return f"{aside_words(instance.host, farm.aside[instance.host], time_format)}; `daqsched return {instance.host}` ends that"
    why, back = out_of_reach(farm, instance, time_format)
    if task is not None and why:
        then = "it ends there and starts anew" if instance.ending else "it may run on there, or starts anew"
        return f"can't be reached, as {why}: {then}, {back}"
    if task is not None and not instance.ending:
        return ""
    before = farm.order.predecessor(instance)
    if before is not None:
        return _what_it_awaits(farm, instance, str(before), time_format) if before.lost else ""
    if why:
        return f"does not start now, as {why}: it does {back}"
    job = farm.order.awaited(instance)
    if not job or not _is_stuck(farm, job, instance.host, stuck):
        return ""
    return f"{_what_it_awaits(farm, instance, job, time_format)}; `daqsched start {job}` lets that run"


def _is_stuck(farm: Farm, job: str, host: str, known: dict[str, bool]) -> bool:
    """Whether what comes after the job there waits for a person's word: some of it was stopped, or has failed for good."""
    hosts = farm.order.desired.get(job, {})
    if host in hosts:
        return _needs_a_word(hosts[host])
    if job not in known:
        known[job] = any(map(_needs_a_word, hosts.values()))
    return known[job]


def _needs_a_word(instance: Instance) -> bool:
    record = instance.record
    held = record.hold is not None and not record.hold.spares
    return held or (record.task is None and (record.hold is not None or (bool(record.done) and not record.succeeded)))


def not_ended(farm: Farm, instance: Instance, time_format: TimeFormat) -> str:
    """Why it does not end, or is not told, though that was asked for, before its host or the master is back; empty: it does."""
    if instance.record.task is None:
        return ""
    why, back = out_of_reach(farm, instance, time_format)
    return f"can't be reached, as {why}: it {'is told' if instance.spared else 'ends'} {back}" if why else ""


def out_of_reach(farm: Farm, instance: Instance, time_format: TimeFormat) -> tuple[str, str]:
    """Why nothing can be told to its host, as far as that is known, and when it can; empty: it can.

    What is kept is about the instance: that the master is away for a moment, as in each daemon's first step, is no part of it.
    """
    if not farm.connected and not time_format.absolute:
        return f"there is no connection to the master {farm.master}".rstrip(), "when there is one"
    there = [one for one in farm.lost.get(instance.host, {}).values() if one.lost]
    if not there or (instance.record.task is not None and not instance.lost):
        return "", ""
    silent = time_format.since(min(one.task.since for one in there))
    return f"{instance.host} has not answered the master {silent}", f"when {instance.host} is back"


def _what_it_awaits(farm: Farm, waits: Instance, job: str, time_format: TimeFormat) -> str:
    """``waits for evb (2 of 3 running)``; of one on the same host, or whose end is waited for, its state is told."""
    host, (name, _, where) = waits.host, job.partition("@")
    if where:
        before = farm.instances[name, where]
        if before.lost:
            return f"waits for the end of {job}, which can't be reached; `daqsched start {waits} --anyway` starts it all the same"
        return f"waits for the end of {job} ({before.shown or state_of(farm, before, time_format.now)})"
    hosts = farm.order.desired.get(job, {})
    if host in hosts:
        return f"waits for {job} on {host} ({hosts[host].shown or state_of(farm, hosts[host], time_format.now)})"
    running = len(farm.order.up.get(job, ()))
    return f"waits for {job} ({f'{running} of {len(hosts)} running' if hosts else 'it has no machine yet'})"
