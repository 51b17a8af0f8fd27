"""What people see of the engine: rows with a state and a reason, and how far an apply has come."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Optional

import msgspec

from daqsched.engine.engine import Engine
from daqsched.engine.executor_rules import unconfirmed
from daqsched.engine.instance import Instance, Key
from daqsched.engine.job_owners import is_formers
from daqsched.engine.reasons import no_master, reason_of
from daqsched.engine.shown import since_of
from daqsched.engine.time_format import TimeFormat
from daqsched.plural import plural
from daqsched.rollout import how_it_is, words
from daqsched.states import ORDER, Shown
from daqsched.views.blocked import BlockedJobs, seen
from daqsched.views.rows import Progress, Row, as_desired


def all_keys(engine: Engine, part: Optional[str] = None) -> tuple[Key, ...]:
    """All that has a row: the instances, and without a host the jobs that have found no machine yet; of this part of the farm."""
    if part is None:
        return (*engine.instances, *((job.name, "") for job in engine.unplaced()))
    # whose that was which is no longer desired, a new daemon does not know: it is shown to each
    mine = (key for key, one in engine.instances.items() if one.part in (part, None))
    return (*mine, *((job.name, "") for job in engine.unplaced() if job.part == part))


def rows(engine: Engine, keys: Iterable[Key], now: float) -> Iterator[Row]:
    """One row for each of these that there is, as things are at ``now``."""
    unplaced = {job.name: job for job in engine.unplaced()}
    waits = BlockedJobs(engine, now)
    for key in keys:
        instance = engine.instances.get(key)
        if instance is not None:
            yield row_of(engine, instance, now, waits)
        elif not key[1] and key[0] in unplaced:
            job = unplaced[key[0]]
            wants = ", ".join(f"{name}={value}" for name, value in job.attributes.items())
            hold = engine.holds.get(key)
            if hold is not None:
                why = f"by {hold.user}{': ' + hold.message if hold.message else ''}; no machine has {wants} yet"
                yield Row(job.name, "", "STOPPED", why, hold.at, job.release, desired=False)
                continue
            why = no_master(engine) or f"no machine has {wants} yet; it starts when one does"
            yield Row(job.name, "", "WAITING", why, release=job.release, part=job.part)


def unauthenticated(rows: Iterable[Row]) -> set[str]:
    """The hosts where executors run that their agent does not know by a token."""
    return {row.host for row in rows if row.task_id and row.report and row.report.authenticated is False}


class Tally:
    """The rows counted as they come, and of those that are not as desired at most ``most`` of each state kept."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._states: dict[str, int] = {}
        self._lagging: dict[Shown, list[Row]] = {state: [] for state in ORDER}
        self._complete = self._given_up = True

    def add(self, rows: Iterable[Row]) -> None:
        """Some more."""
        for row in rows:
            self._states[row.state] = self._states.get(row.state, 0) + 1
            if not as_desired(row):
                self._complete = False
                self._given_up = self._given_up and (row.state == "FAILED" or row.blocked)
                kept = self._lagging[row.state]
                if len(kept) < self._most:
                    kept.append(row)

    def progress(self, version: int) -> Progress:
        """What they come to."""
        lagging = [row for rows in self._lagging.values() for row in rows][: self._most]
        given_up = self._given_up and not self._complete
        return Progress(version, self._states, self._complete, tuple(lagging), given_up)


def rollout_mark(engine: Engine) -> str:
    """How far the rollout under way is, and when it gives up, or what the last one leaves to be done, as one sentence: it is
    paused, was ended before all of it, or could not reach a host that is not back yet; empty: nothing."""
    rollout = engine.rolling.rollout
    if rollout is None:
        return ""
    if rollout.state == "running":
        return how_it_is(rollout)
    behind = sum(len(hosts) for hosts in engine.mixed.values())
    if rollout.state == "paused":
        return words(rollout)
    if rollout.state in ("aborted", "rolled-back") and behind:
        left = plural(behind, "instance", "still has", "still have")
        return f"{left} what {'it' if behind == 1 else 'they'} had before: {words(rollout)}"
    away = still_away(engine)
    return words(msgspec.structs.replace(rollout, unreached=away)) if away else ""


def still_away(engine: Engine) -> tuple[str, ...]:
    """Those of the hosts that the last rollout could not reach that do not answer yet: what is there changes when they do."""
    rollout = engine.rolling.rollout
    return tuple(host for host in rollout.unreached if host in engine.lost) if rollout is not None else ()


def row_of(engine: Engine, instance: Instance, now: float, waits: Optional[BlockedJobs] = None) -> Row:
    """The row of one instance, as things are at ``now``; ``waits`` is that of a look at many."""
    task = instance.record.task
    state = seen(engine, instance, now)
    report = task.report if task is not None else instance.record.last_report
    formers = is_formers(engine, instance)
    if formers:
        report = None
    return Row(
        job=instance.name,
        host=instance.host,
        state=state,
        reason=reason_of(engine, instance, state, TimeFormat(now)),
        since=since_of(engine, instance, state),
        release=instance.release,
        restarts=0 if formers else instance.record.restarts,
        pid=report.pid if report is not None and state in ("RUNNING", "UNHEALTHY") else 0,
        ports=task.ports if task is not None else {},
        task_id=task.id if task is not None else "",
        # what is only not to be started again when it ends is desired until then
        desired=instance.job is not None
        and not instance.aside
        and (instance.record.hold is None or (instance.spared and task is not None)),
        behind=instance.record.behind,
        outdated=task is not None and (task.digest != instance.digest or unconfirmed(engine.desired, instance)),
        part=instance.part or "",
        held=instance.spared and task is not None,
        borrowed=instance.record.borrow.user if instance.record.borrow is not None else "",
        blocked=state == "WAITING" and (waits or BlockedJobs(engine, now)).blocked(instance.key),
        report=report,
    )


def why_not_ready(engine: Engine, key: tuple[str, str], now: float) -> str:
    """Why this instance of a rollout's batch is not ready; empty: it is, or nobody waits for it."""
    instance = engine.instances.get(key)
    if instance is None or instance.job is None or instance.record.hold or instance.aside:
        return ""
    row = row_of(engine, instance, now)
    return "" if as_desired(row) else f"{row.state}{': ' + row.reason if row.reason else ''}"
