"""Why something is not as desired: one sentence, and the evidence for it. What `daqsched why` tells."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from math import isinf
from typing import Literal, NamedTuple, Optional, Union

from daqsched.engine.engine import Engine
from daqsched.engine.executor_rules import carries_others
from daqsched.engine.incidents import Incident, is_death, no_start
from daqsched.engine.instance import Instance, Key
from daqsched.engine.match import lacking
from daqsched.engine.reasons import maintenance
from daqsched.engine.time_format import TimeFormat
from daqsched.hosts import fold
from daqsched.plural import plural
from daqsched.spec import FORWARDER
from daqsched.states import Shown
from daqsched.views.rows import Change, Row, Story, as_desired, last_lines
from daqsched.views.status import row_of, rows
from daqsched_executor.contract import Exit, duration

#: How far a chain of jobs that wait for each other is followed.
DEEPEST = 10
#: For so long after it ended a program that runs again is told of, in seconds.
LATELY_S = 600.0


#: What stands in a state's place: it runs as desired, and ended by itself within `LATELY_S`. A program that does not stay up
#: is RUNNING at most times that somebody looks.
LATELY: Literal["lately"] = "lately"


class LateEnd(NamedTuple):
    """How a program ended last."""

    at: float
    words: str
    #: What is known of it besides; None: nothing.
    exit: Optional[Exit]


class Explained(NamedTuple):
    """What there is to tell of an instance, as it was at the moment of the look."""

    story: Story
    #: It runs as desired by then, and ended by itself within `LATELY_S`.
    lately: bool


def troubled(engine: Engine, keys: Iterable[Key], now: float) -> Iterator[tuple[Union[Shown, Literal["lately"]], Key]]:
    """Those of these instances that there is something to tell of, with their states, or `LATELY`."""
    for row in rows(engine, keys, now):
        instance = engine.instances.get((row.job, row.host))
        if _is_told(engine, row, instance):
            yield row.state, (row.job, row.host)
        elif instance is not None and _late_end(row, instance, now) is not None:
            yield LATELY, (row.job, row.host)


def explanations(engine: Engine, keys: Iterable[Key], now: float) -> Iterator[Explained]:
    """Why these are as they are, and the evidence for it; what was in trouble at an earlier look may run by now, and the other
    way round."""
    for row in rows(engine, keys, now):
        instance = engine.instances.get((row.job, row.host))
        is_told, late = _is_told(engine, row, instance), _late_end(row, instance, now) if instance is not None else None
        if is_told or late is not None:
            found = _nowhere(engine, row.job) if instance is None else _evidence(engine, row, instance, late, now)
            changes = _changes(engine, (row.job, row.host))
            yield Explained(Story(row.job, row.host, row.state, row.reason, tuple(found), changes), not is_told)


def stories(engine: Engine, keys: Iterable[Key], now: float) -> Iterator[Story]:
    """The stories of those of these instances that have one, also where all is well by now; of those that are gone, too."""
    for key in keys:
        changes = _changes(engine, key)
        if changes:
            instance = engine.instances.get(key)
            state, why = "", ""
            if instance is not None:
                row = row_of(engine, instance, now)
                state, why = row.state, row.reason
            yield Story(*key, state, why, changes=changes)


def untold(engine: Engine, keys: Iterable[Key], now: float) -> Iterator[Story]:
    """Those of these that have no story and are not as desired: so they are since they came, or since this daemon began."""
    return (Story(row.job, row.host, row.state, row.reason) for row in rows(engine, keys, now) if not as_desired(row))


def _changes(engine: Engine, key: Key) -> tuple[Change, ...]:
    return tuple(Change(one.at, one.before, one.after, one.cause, one.reason) for one in engine.stories.of(key))


def _is_told(engine: Engine, row: Row, instance: Optional[Instance]) -> bool:
    if not as_desired(row) or row.state in ("STOPPED", "ASIDE") or row.held or row.host in engine.namesakes.others:
        return True
    return _warns(row) or (instance is not None and bool(carries_others(engine.desired, instance)))


def _late_end(row: Row, instance: Instance, now: float) -> Optional[LateEnd]:
    """How it ended by itself within `LATELY_S`, while it runs again; None: it did not. Its executor started it again, or we did,
    where its task had ended."""
    if row.state != "RUNNING":
        return None
    last = row.report.last_exit if row.report is not None and row.report.restarts else None
    if last is not None and now - last.at < LATELY_S and is_death(last, instance.success_codes):
        return LateEnd(last.at, last.words(), last)
    record = instance.record
    # without a word of the executor's it never ran; an end that was asked for leaves no failures
    if not record.failures or record.last_report is None or now - record.ended_at >= LATELY_S:
        return None
    said = record.last_report
    return LateEnd(record.ended_at, record.last_end, said.last_exit if said.activity == "exited" else None)


def _warns(row: Row) -> bool:
    """Whether it is a forwarder that runs and can't do its work: what it says of itself is what is wrong."""
    return row.job == FORWARDER and row.report is not None and bool(row.report.says)


def _nowhere(engine: Engine, name: str) -> Iterator[str]:
    """Of a job that goes by attributes: which of them keeps it from having a machine."""
    job = engine.desired.job(name)
    machines = engine.machines.values()
    for attribute, value in job.attributes.items() if job is not None else ():
        has = sum(lacking(one, {attribute: value}) is None for one in machines)
        yield f"{attribute}={value}: {has} of {len(machines)} machines that have made an offer have it"


def _evidence(engine: Engine, row: Row, instance: Instance, late: Optional[LateEnd], now: float) -> Iterator[str]:
    if not engine.connected:
        yield f"no connection to the master {engine.master}".rstrip() + ": nothing can be started or stopped now"
    yield from _chain(engine, instance, now)
    yield from _behind(engine, row, now)
    last = row.report.last_exit if row.report is not None else None
    if late is None and last is not None and row.state not in ("STOPPED", "ASIDE", "RUNNING"):
        late = LateEnd(last.at, last.words(), last)
    if late is not None:
        yield f"its last end, {duration(max(0.0, now - late.at))} ago: {late.words}"
        yield from last_lines(late.exit) if late.exit is not None else ()
        incident = engine.incidents.of(row.job, late.exit) if late.exit is not None else None
        if incident is not None:
            yield incident_words(incident, row.host, now, daemon=engine.began)
    elif row.state == "STARTING" and row.report is not None and row.report.activity == "probing":
        incident = engine.incidents.of(row.job, no_start(row.reason, now))
        if incident is not None:
            yield incident_words(incident, row.host, now, "this", engine.began)
    elif instance.record.last_end and row.state in ("FAILED", "BACKOFF", "WAITING"):
        yield f"its last end: {instance.record.last_end}"
    away = maintenance(engine, instance.host, TimeFormat(now))
    if away and away not in row.reason:
        yield away
    if row.state == "WAITING" and not row.reason.startswith("waits for"):
        yield from _offers(engine, instance, now)
    if row.state in ("UNREACHABLE", "UNKNOWN"):
        others = [one for one in engine.lost.get(row.host, {}).values() if one is not instance]
        if others:
            yield f"{plural(len(others) + 1, 'instance')} on {row.host} in this state: it is the host, its agent, or the network"
        yield "no second copy is started meanwhile: the program may well be running there"


def _chain(engine: Engine, instance: Instance, now: float) -> Iterator[str]:
    """Where the waiting ends: ``evb waits for readout@hlt02, which is BACKOFF: exit code 3``."""
    seen = {instance.key}
    for _ in range(DEEPEST):
        awaited = engine.order.awaited(instance) if instance.job is not None and instance.startable else ""
        cause = _down(engine, awaited, instance.host) if awaited else None
        if cause is None or cause.key in seen:
            return
        row = row_of(engine, cause, now)
        yield f"{cause} is {row.state}{': ' + row.reason if row.reason else ''}"
        seen.add(cause.key)
        instance = cause


def _down(engine: Engine, job: str, host: str) -> Optional[Instance]:
    """The instance that is waited for: of a job that on the host, or the first that is not up."""
    name, _, where = job.partition("@")
    if where:
        return engine.instances.get((name, where))
    hosts = engine.order.desired.get(job, {})
    if host in hosts:
        return hosts[host]
    return next((one for one in hosts.values() if not one.up and not one.aside), None)


def _behind(engine: Engine, row: Row, now: float) -> Iterator[str]:
    rollout = engine.rolling.rollout
    if row.behind:
        why = "an apply left it out"
        if rollout is not None and rollout.kind == "apply":
            why = f"rollout {rollout.number} has not reached it"
            why += (
                f" and is {rollout.state}{', ' + rollout.why if rollout.why else ''}"
                if rollout.state != "running"
                else ""
            )
        changed = engine.effects.last_of(row.job, row.behind) or row.behind
        yield f"still has the job of revision {changed}: {why}"
    if rollout is not None and rollout.guard and not rollout.over and row.behind:
        yield f"the next batch waits for {rollout.strategy.guard}: {rollout.guard}"


def _offers(engine: Engine, instance: Instance, now: float) -> Iterator[str]:
    seen = engine.last_offer(instance.host)
    if seen is None and isinf(engine.registered_at):
        return  # it has not registered yet, which the reason says
    if seen is None:
        registered = duration(max(0.0, now - engine.registered_at))
        yield f"{instance.host} has made no offer since this daemon registered {registered} ago"
    else:
        yield f"{instance.host} last made an offer {duration(max(0.0, now - seen))} ago"


def incident_words(incident: Incident, host: str, now: float, what: str = "this death", daemon: float = 0.0) -> str:
    """``this death: 12 times, on 3 hosts (hlt[01-03]), within 4.0 s, the first 20 s after revision 7 (version r2)``."""
    elsewhere = [name for name in incident.hosts if name != host]
    where = f"on {len(incident.hosts)} hosts ({fold(incident.hosts)})" if elsewhere else f"only on {incident.hosts[0]}"
    times = "once" if incident.count == 1 else f"{incident.count} times"
    span_s = max(0.0, incident.last - incident.first)
    since = f"within {duration(span_s)}" if span_s >= 0.1 else "all at once"
    if incident.count == 1:
        since = f"{duration(max(0.0, now - incident.first))} ago"
    after = ""
    if incident.earlier:
        began = f" {duration(max(0.0, now - daemon))} ago" if daemon else ""
        after = f", as far as this daemon knows, which began{began}: when it first was is in the lines"
    elif incident.revision:
        gap = duration(max(0.0, incident.first - incident.applied))
        release = f" (version {incident.release})" if incident.release else ""
        after = f", the first {gap} after revision {incident.revision}{release}"
    return f"{what}: {times}, {where}, {since}{after}"
