"""What somebody's hold keeps from running: of what an apply starts in the job file's words, and of what has left the farm."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal

from daqsched.engine import job_owners
from daqsched.engine.farm import Farm
from daqsched.engine.hold_steps import absent_of
from daqsched.engine.operator_commands import unplaced_of
from daqsched.hosts import fold
from daqsched.select import words_for
from daqsched.spec import Spec
from daqsched.task import Hold
from daqsched.views.plan import Change

#: All, to who sees the whole farm; that there is one, to who may have a job of that name, without where: he could plan until he
#: knew where others' jobs were; nothing, to anybody else.
FormersStops = Literal["all", "that", "nothing"]

#: In the place of who has stopped it.
_BEFORE = "was stopped somewhere by a former owner"


def stays(farm: Farm, changes: Iterable[Change], then: Spec, told: FormersStops) -> tuple[tuple[str, str], ...]:
    """Of each job that these changes add or restart and that somebody has stopped there: its name and the sentence. ``then``: the
    farm that they lead to; ``told``: of what a former owner of that name has stopped."""
    names = {change.job for change in changes if change.what in ("add", "restart")}
    holds = list(_holds(farm, names, then))
    names = {name for name, _, _ in holds}
    hosts = {job.name: frozenset((*farm.hosts_of(job), "")) for job in then.jobs if job.name in names}
    kept: dict[tuple[str, str], list[str]] = {}
    for name, host, hold in holds:
        if host not in hosts.get(name, ()):
            continue
        if told == "all" or hold.user != job_owners.FORMER or (name, host) in farm.instances:
            kept.setdefault((name, str(hold)), []).append(host)
        elif told == "that":
            kept.setdefault((name, _BEFORE), [])
    return tuple((name, _words(name, filter(None, its), hold)) for (name, hold), its in sorted(kept.items()))


def absent_mark(farm: Farm) -> str:
    """What was stopped by hand and is not in the farm any more, as one sentence; empty: nothing is."""
    absent = absent_of(farm, farm.holds, unplaced_of(farm, farm.holds)) if farm.holds else ()
    if not absent:
        return ""
    called, hold = "@".join(filter(None, absent[0])), farm.holds[absent[0]]
    more = f" (and {len(absent) - 1} more)" if len(absent) > 1 else ""
    words = words_for(absent)
    return (
        f"{called} {hold}{more}, and is not in the farm: it stays stopped when it is back, unless "
        f"`daqsched start --all {words}` says otherwise"
    )


def _holds(farm: Farm, names: set[str], then: Spec) -> Iterator[tuple[str, str, Hold]]:
    absent = [(name, host, hold) for (name, host), hold in farm.holds.items() if name in names]
    owned = job_owners.renewed(then, farm.owned, farm.last) if absent else {}
    yield from ((name, host, job_owners.passed_on(owned, name, hold)) for name, host, hold in absent)
    for name in names:
        for host, one in farm.order.desired.get(name, {}).items():
            if one.record.hold is not None and one.record.hold.user:
                yield name, host, one.record.hold


def _words(name: str, hosts: Iterator[str], hold: str) -> str:
    where = fold(hosts)
    what = f"{name}@{where}" if where else name
    return f"{what} {hold}, and stays so until `daqsched start`"
