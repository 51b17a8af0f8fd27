"""What people see of the engine: rows with a state and a reason, and how far an apply has come."""

from __future__ import annotations

from typing import Iterable, Iterator, Literal, Mapping, Optional, get_args

import msgspec

from daqsched.engine.engine import Engine
from daqsched.engine.instance import Instance, Key
from daqsched.engine.tasks import times
from daqsched.task import Aside, Task
from daqsched_executor.contract import Report, duration

#: What a row of `daqsched status` may say, in the order in which a crew wants to see them.
Shown = Literal[
    "FAILED",
    "UNREACHABLE",
    "UNKNOWN",
    "UNHEALTHY",
    "BACKOFF",
    "WAITING",
    "STARTING",
    "STOPPING",
    "ASIDE",
    "STOPPED",
    "FINISHED",
    "RUNNING",
]


class Row(msgspec.Struct, frozen=True, omit_defaults=True):
    """One job on one host as people see it."""

    job: str
    #: Empty: the job runs wherever its attributes are, and no such machine is known yet.
    host: str
    state: Shown
    #: Why it is not running, or what is worth knowing, as one sentence.
    reason: str = ""
    #: When the state began.
    since: float = 0.0
    release: str = ""
    restarts: int = 0
    pid: int = 0
    ports: Mapping[str, int] = {}
    task_id: str = ""
    wanted: bool = True
    #: Runs something else than the applied spec asks for, until it is replaced.
    outdated: bool = False
    #: The revision whose job it still has, until a rollout or an apply reaches it; 0: the one in force.
    behind: int = 0
    #: What its executor says; where there is none any more, what the last one said.
    report: Optional[Report] = None


class Progress(msgspec.Struct, frozen=True):
    """How far what was wanted is running, for a live view that must stay short on a large farm."""

    #: `Engine.version` before any of it was looked at.
    version: int
    #: How many chosen instances are in each state.
    states: dict[str, int]
    #: Whether all that is wanted of them runs (or has finished), and runs what was applied.
    complete: bool
    #: Some of those that are not as wanted, the worst first.
    lagging: tuple[Row, ...]


#: After a registration the master is asked about every task; one that it has not spoken of for so long is in doubt.
SILENCE_S = 5.0

#: States from worst to best, for sorting.
ORDER: tuple[Shown, ...] = get_args(Shown)


def all_keys(engine: Engine) -> tuple[Key, ...]:
    """All that has a row: the instances, and without a host the jobs that have found no machine yet."""
    return (*engine.instances, *((job.name, "") for job in engine.unplaced()))


def rows(engine: Engine, keys: Iterable[Key], now: float) -> Iterator[Row]:
    """One row for each of these that there is, as things are at ``now``."""
    unplaced = {job.name: job for job in engine.unplaced()}
    for key in keys:
        instance = engine.instances.get(key)
        if instance is not None:
            yield row_of(engine, instance, now)
        elif not key[1] and key[0] in unplaced:
            job = unplaced[key[0]]
            wants = ", ".join(f"{name}={value}" for name, value in job.attributes.items())
            why = _no_master(engine) or f"no machine has {wants} yet; it starts when one does"
            yield Row(job.name, "", "WAITING", why, release=job.release)


def unauthenticated(rows: Iterable[Row]) -> set[str]:
    """The hosts where executors run that their agent does not know by a token."""
    return {row.host for row in rows if row.task_id and row.report and row.report.authenticated is False}


class Tally:
    """The rows counted as they come, and of those that are not as wanted at most ``most`` of each state kept."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._states: dict[str, int] = {}
        self._lagging: dict[Shown, list[Row]] = {state: [] for state in ORDER}
        self._complete = True

    def add(self, rows: Iterable[Row]) -> None:
        """Some more."""
        for row in rows:
            self._states[row.state] = self._states.get(row.state, 0) + 1
            if not as_wanted(row):
                self._complete = False
                kept = self._lagging[row.state]
                if len(kept) < self._most:
                    kept.append(row)

    def progress(self, version: int) -> Progress:
        """What they come to."""
        lagging = [row for rows in self._lagging.values() for row in rows][: self._most]
        return Progress(version, self._states, self._complete, tuple(lagging))


def as_wanted(row: Row) -> bool:
    """Whether nothing remains to be done for this instance."""
    if row.state in ("STOPPED", "ASIDE"):
        return not row.wanted
    return row.wanted and not row.outdated and not row.behind and row.state in ("RUNNING", "FINISHED")


def row_of(engine: Engine, instance: Instance, now: float) -> Row:
    """The row of one instance, as things are at ``now``."""
    task = instance.record.task
    state, reason, since = _shown(engine, instance, now)
    report = task.report if task is not None else instance.record.last_report
    return Row(
        job=instance.name,
        host=instance.host,
        state=state,
        reason=reason,
        since=since,
        release=instance.job.release if instance.job is not None else "",
        restarts=report.restarts if report is not None and task is not None else 0,
        pid=report.pid if report is not None and state in ("RUNNING", "UNHEALTHY") else 0,
        ports=task.ports if task is not None else {},
        task_id=task.id if task is not None else "",
        wanted=instance.job is not None and instance.record.hold is None and not instance.aside,
        behind=instance.record.behind,
        outdated=task is not None and task.digest != instance.digest,
        report=report,
    )


def _shown(engine: Engine, instance: Instance, now: float) -> tuple[Shown, str, float]:
    state, reason, since = _state_of(engine, instance, now)
    borrow = instance.record.borrow
    if borrow is None:
        return state, reason, since
    return state, "; ".join(filter(None, [f"run by hand by {borrow.user}", reason])), since


def _state_of(engine: Engine, instance: Instance, now: float) -> tuple[Shown, str, float]:
    record, task = instance.record, instance.record.task
    if task is None:
        if record.hold is not None:
            why = f": {record.hold.message}" if record.hold.message else ""
            return "STOPPED", f"by {record.hold.user}{why}", record.hold.at
        if instance.aside and instance.job is not None:
            lease = engine.aside[instance.host]
            return "ASIDE", aside_words(instance.host, lease, now), lease.at
        if record.unread:
            why = f"what the state says of it can't be read ({record.unread}), so it may run already"
            return "UNKNOWN", f"{why}; where it does not, `daqsched start {instance}` starts it", 0.0
        if record.done and not record.succeeded and record.failures:
            again = f"given up; `daqsched start {instance}` tries again"
            return "FAILED", f"failed {times(record.failures)}, last: {record.last_end}; {again}", 0.0
        if record.done:
            return ("FINISHED" if record.succeeded else "FAILED"), record.last_end, 0.0
        if record.due > now:
            wait = duration(record.due - now)
            failed = f"failed {times(record.failures)}, last: {record.last_end}"
            return "BACKOFF", f"{failed}; starts again in {wait}", 0.0
        return "WAITING", _why_waiting(engine, instance, now), 0.0
    if task.state == "unreachable":
        ago = duration(max(0.0, now - task.since))
        return (
            "UNREACHABLE",
            f"{instance.host} stopped answering the master, which said so {ago} ago; waiting for it",
            task.since,
        )
    if task.state == "unknown":
        return "UNKNOWN", f"the master does not know the agent of {instance.host} (yet); waiting for it", task.since
    silent = now - engine.registered_at
    if task.confirmed < engine.registered_at and silent > SILENCE_S:
        return (
            "UNKNOWN",
            f"the master has not confirmed it since {duration(silent)}: is {instance.host}'s agent up?",
            task.since,
        )
    if instance.ending:
        return "STOPPING", _why_stopping(engine, instance), task.killed or instance.ending
    if task.report is not None and task.report.activity == "backoff":
        return "BACKOFF", _why_backing_off(task.report, task.message, now) or task.message, task.since
    if task.state == "running":
        return _how_it_runs(task, now)
    return "STARTING", task.message or "launched, waiting for its executor", task.launched


def why_not_ready(engine: Engine, key: tuple[str, str], now: float) -> str:
    """Why this instance of a rollout's batch is not ready; empty: it is, or nobody waits for it."""
    instance = engine.instances.get(key)
    if instance is None or instance.job is None or instance.record.hold or instance.aside:
        return ""
    row = row_of(engine, instance, now)
    return "" if as_wanted(row) else f"{row.state}{': ' + row.reason if row.reason else ''}"


def aside_words(host: str, lease: Aside, now: float) -> str:
    """``hlt02 is put aside by bob for 59 min more: new firmware``."""
    why = f": {lease.message}" if lease.message else ""
    return f"{host} is put aside by {lease.user} for {duration(max(0.0, lease.until - now))} more{why}"


def _why_stopping(engine: Engine, instance: Instance) -> str:
    if instance.job is None:
        what = "not wanted any more"
    elif instance.record.hold:
        what = "stopped"
    elif instance.aside:
        what = f"{instance.host} is put aside by {engine.aside[instance.host].user}"
    else:
        what = "makes way for the new one" if instance.task.digest != instance.digest else "is started anew"
    awaited = "" if instance.task.killed else engine.ends.awaited(instance, engine.order.wanted)
    return f"{what}; waits for the end of {awaited}" if awaited else what


def _how_it_runs(task: Task, now: float) -> tuple[Shown, str, float]:
    """Unhealthy where a check says so; one that somebody snoozed is mentioned, but does not count."""
    report = task.report
    if report is None:
        return "RUNNING", task.message, task.since
    since = report.since or task.since
    if report.snoozed > now:
        ailment = f"; {report.ailment}" if report.ailment else ""
        return "RUNNING", f"its checks are snoozed for {duration(report.snoozed - now)} more{ailment}", since
    if report.healthy is False:
        return "UNHEALTHY", report.ailment or task.message, since
    last = f"last end: {report.last_exit.words()}" if report.last_exit is not None else ""
    return "RUNNING", "; ".join(filter(None, [report.lacks, report.says, last])), since


def _why_backing_off(report: Report, said: str, now: float) -> str:
    """``exit code 1 after 0.02 s; starts again in 3.1 s (4 restarts so far)``, as of now and not of when it was said.

    The reason is the executor's own word, which knows more than the exit: why there was no start at all, or a hint.
    """
    if report.last_exit is None:
        return ""
    how = said.rpartition("; starts again in ")[0] or report.last_exit.words()
    times = f" ({report.restarts} restart{'s' if report.restarts > 1 else ''} so far)" if report.restarts else ""
    return f"{how}; starts again in {duration(max(0.0, report.until - now))}{times}"


def _no_master(engine: Engine) -> str:
    return "" if engine.connected else f"no connection to the master {engine.master}".rstrip() + ": is it up?"


def _why_waiting(engine: Engine, instance: Instance, now: float) -> str:
    awaited = engine.order.awaited(instance)
    if awaited:
        return _what_it_awaits(engine, awaited, instance.host, now)
    if not engine.connected:
        return _no_master(engine)
    if instance.reason:
        return instance.reason
    seen = engine.last_offer(instance.host)
    last = "none since this daemon started" if seen is None else f"the last {duration(now - seen)} ago"
    return f"no offer from {instance.host} ({last}): is its agent up?"


def _what_it_awaits(engine: Engine, job: str, host: str, now: float) -> str:
    """``waits for evb (2 of 3 running)``; of one on the same host its state is told."""
    hosts = engine.order.wanted.get(job, {})
    if host in hosts:
        return f"waits for {job} on {host} ({_shown(engine, hosts[host], now)[0]})"
    running = len(engine.order.up.get(job, ()))
    return f"waits for {job} ({f'{running} of {len(hosts)} running' if hosts else 'it has no machine yet'})"
