"""Whether a request may end so many running programs: said before anything is changed, by each handler that ends any.

What ends of itself (a lease's end, the rollback of a rollout that failed, a batch after the first) was agreed to with what it
comes of.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Optional

from daqsched import confirm, farm_parts
from daqsched.batches import depths, divide
from daqsched.engine.farm import Farm
from daqsched.engine.instance import Instance, Key
from daqsched.rollout import Strategy
from daqsched.spec import FORWARDER

#: Which jobs each job comes after.
After = Mapping[str, tuple[str, ...]]


def runs(instance: Optional[Instance]) -> bool:
    """Whether it has a program that anybody would miss, and that is not told to end yet. That of the lines is none: it stores
    what it has, and its successor goes on; and what its executor starts again only later has none now."""
    task = instance.record.task if _has_task(instance) and instance is not None else None
    return task is not None and (task.report is None or task.report.activity != "backoff")


def _has_task(instance: Optional[Instance]) -> bool:
    return (
        instance is not None and instance.record.task is not None and not instance.ending and instance.name != FORWARDER
    )


def confirm_ends(
    farm: Farm, stops: Optional[int], ended: Iterable[Instance], renewed: Iterable[Instance] = (), besides: str = ""
) -> int:
    """How many of these run: `NotConfirmed` is raised, which asks about that number, where it is more than was agreed to
    (``stops``), or than may end unasked; the ``renewed`` are started anew. ``besides``: the sentence of somebody else's that ends,
    which is asked about whatever the number is."""
    stopped, again = list(filter(runs, ended)), list(filter(runs, renewed))
    limits = _limits(farm, {one.part or "" for one in (*stopped, *again)})
    unsaid, count = bool(besides) and stops is None, len(stopped) + len(again)
    if not unsaid and count <= (min(limit.most(0) for limit in limits) if stops is None else stops):
        return count  # however many run
    found = confirm.counted(count, _running(farm), limits)
    keys = [one.key for one in stopped], [one.key for one in again]
    why = confirm.refusal(stops, found.unasked, found.running, *keys, besides)
    if why is not None:
        raise why
    return count


def end_count(farm: Farm, ended: Iterable[Instance], renewed: Iterable[Instance] = ()) -> confirm.EndCount:
    """What `confirm_ends` would look at, for whoever only wants to know."""
    there = [one for one in (*ended, *renewed) if runs(one)]
    return confirm.counted(len(there), _running(farm), _limits(farm, {one.part or "" for one in there}))


def _running(farm: Farm) -> int:
    return sum(map(runs, farm.by_task.values()))


def _limits(farm: Farm, parts: Iterable[str]) -> list[confirm.EndLimit]:
    """What the files of these parts say; the daemon's, where none does."""
    said = [farm_parts.limits(farm.spec, [part]) or [farm.end_limit] for part in parts]
    return [limit for limits in said for limit in limits] or [farm.end_limit]


def at_once(farm: Farm, keys: Collection[Key], strategy: Optional[Strategy], after: After) -> Collection[Key]:
    """Those that end before anything was seen to run of what takes their place: the first batch, or all where no failure ever
    holds the others up. ``after``: which jobs each job comes after."""
    if strategy is None or not strategy.batches or not strategy.failures or not keys:
        return keys
    return first(farm, divide(keys, strategy.batches, depths(dict(after))))


def first(farm: Farm, batches: Iterable[Collection[Key]]) -> list[Key]:
    """The first batch, and those after it where nothing of it is waited for, as its hosts do not answer."""
    found: list[Key] = []
    for batch in batches:
        there = [farm.instances[key] for key in batch if key in farm.instances]
        found += [one.key for one in there]
        if any(_has_task(one) and not one.lost and not one.record.hold for one in there):
            break
    return found
