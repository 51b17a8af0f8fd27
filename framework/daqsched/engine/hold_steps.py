"""What people stop, hold and start by hand.

A hold is in the record of each; those of what is not in the farm are in a document of their own (`Farm.holds`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Optional

import msgspec

from daqsched.engine import commands, events, operator_commands
from daqsched.engine.commands import HOLDS
from daqsched.engine.confirming import confirm_ends
from daqsched.engine.desired import unassign
from daqsched.engine.farm import Farm
from daqsched.engine.instance import Instance, Key
from daqsched.engine.operator_commands import desired_of, unplaced_of
from daqsched.engine.reasons import held_up, not_ended
from daqsched.engine.time_format import TimeFormat
from daqsched.engine.verdict import Accepted
from daqsched.errors import Refused
from daqsched.hosts import fold
from daqsched.limits import brief
from daqsched.select import words_for
from daqsched.task import ABSENT, Hold

_decode_started = msgspec.msgpack.Decoder(list[Key]).decode

_decode_holds = msgspec.msgpack.Decoder(list[tuple[Key, Hold]]).decode


def holds_restored(farm: Farm, saved: Optional[bytes], started: Optional[bytes]) -> None:
    """What was stopped, or had its first start, by hand and is not in the farm; what can't be read is forgotten, and told."""
    try:
        farm.started = dict.fromkeys(_decode_started(started)) if started is not None else {}
    except msgspec.MsgspecError as error:
        farm.troubles.append(
            f"which jobs had their first start can't be read ({brief(str(error))}): those that come back wait for one"
        )
    try:
        found = _decode_holds(saved) if saved is not None else []
        farm.holds = {key: hold for key, hold in found if hold.user}
    except msgspec.MsgspecError as error:
        farm.troubles.append(
            f"what was stopped by hand outside of the farm can't be read ({brief(str(error))}): forgotten"
        )


def held(farm: Farm, event: events.Held, now: float) -> Accepted:
    """Stop these, and keep them stopped; what somebody else has stopped stays theirs, and where it is all of them that is refused,
    as nothing is kept of whoever asks."""
    nowhere = unplaced_of(farm, event.keys)
    touched, gone = desired_of(farm, event.keys, nowhere)
    touched, nowhere, others = _apart(farm, touched, nowhere, event.user)
    if others and not touched and not nowhere:
        raise _theirs(others, f"nothing was {'held' if event.spares else 'stopped'}: ")
    ends = confirm_ends(farm, event.stops, () if event.spares else touched)
    hold = Hold(event.user, now, event.message, event.spares, farm.asker)
    for key in nowhere:
        farm.holds[key] = hold
        farm.note(f"{key[0]}, which has no machine yet: stopped by {event.user}")
    if nowhere:
        farm.out.append(commands.SaveDocument(HOLDS))
    for instance in touched:
        key = instance.key
        instance.record.hold, instance.record.unread = hold, ""
        what = "held" if event.spares else "stopped"
        farm.note(f"{instance}: {what} by {event.user}{': ' + event.message if event.message else ''}")
        farm.dirty[key] = None
        if event.spares:
            _tell_anew(farm, instance, now)
        else:
            farm.end(instance, now)
        farm.settle(instance, now)
        if instance.record.leaving:
            unassign(farm, instance, now)
    keys = (*(instance.key for instance in touched), *nowhere)
    late = [(*one.key, not_ended(farm, one, TimeFormat(now))) for one in touched]
    return Accepted(
        keys=keys,
        rejected=(*gone, *others),
        dependents=_dependents(farm, keys),
        waiting=tuple(one for one in late if one[2]),
        stops=ends,
    )


def _dependents(farm: Farm, stopped: Iterable[Key]) -> tuple[str, ...]:
    """What comes after these where it is (`StartOrder`), and what comes after that, as far as it runs: jobs, and ``job@hosts``
    where that is some of one's."""
    missing: dict[str, set[str]] = {}
    for name, host in stopped:
        missing.setdefault(name, set()).add(host)
    found: dict[str, set[str]] = {}
    desired, fresh = farm.order.desired, set(missing)

    def misses(name: str, host: str) -> bool:
        hosts = missing.get(name, ())
        return host in hosts if host in desired.get(name, {}) else bool(hosts)

    while fresh:
        later = {job.name for job in (*farm.spec.jobs, *farm.spec.variants) if not fresh.isdisjoint(job.after)}
        fresh = set()
        for name in later:
            known = missing.get(name, set())
            more = {
                host
                for host, one in desired.get(name, {}).items()
                if host not in known and one.job is not None and any(misses(other, host) for other in one.job.after)
            }
            if more:
                missing[name] = known | more
                found.setdefault(name, set()).update(more)
                fresh.add(name)
    words = []
    for name, hosts in sorted(found.items()):
        up = farm.order.up.get(name, {})
        some = [host for host in up if host in hosts]
        if some:
            words.append(name if len(some) == len(up) else f"{name}@{fold(some)}")
    return tuple(words)


def released(farm: Farm, event: events.Released, now: float) -> Accepted:
    """Let these run again, at once; what somebody else has stopped only where that is said, and what waits for a first start by
    hand only where its job was named. What was stopped and has left the farm since then may run when it is back."""
    nowhere = unplaced_of(farm, event.keys)
    absent = absent_of(farm, event.keys, nowhere)
    touched, gone = desired_of(farm, event.keys, {*nowhere, *absent})
    unnamed = {one for one in event.unnamed if _first_start(farm, one)}
    first = tuple(
        (*one.key, f"waits for its first start by hand: `daqsched start {one}` is that")
        for one in touched
        if one.key in unnamed
    )
    touched = [one for one in touched if one.key not in unnamed]
    others: tuple[tuple[str, str, str], ...] = ()
    if not event.everyones:
        touched, outside, others = _apart(farm, touched, (*nowhere, *absent), event.user)
        nowhere, absent = (tuple(key for key in keys if key in outside) for keys in (nowhere, absent))
    if not touched and not nowhere and not absent:
        if others:
            raise _theirs(others)
        if first:
            job, host, why = first[0]
            more = f", and so {'does' if len(first) == 2 else 'do'} {len(first) - 1} more" if len(first) > 1 else ""
            raise Refused(f"{job}@{host} {why}{more}")
    lifted = {*nowhere, *absent, *_everywhere(farm, touched, event)}.intersection(farm.holds)
    for key in lifted:
        del farm.holds[key]
    if lifted:
        farm.out.append(commands.SaveDocument(HOLDS))
    for key in absent:
        farm.note(f"{key[0]}@{key[1]}, which is not in the farm: started by {event.user}")
    idle: dict[Key, None] = {}
    for instance in touched:
        key = instance.key
        record = instance.record
        if record.task is None or instance.ending or record.hold is not None:
            idle[key] = None
        was_held, record.hold, record.done = record.hold, None, ""
        record.forget_failures()
        record.unread = ""
        record.regardless = event.anyway and farm.order.predecessor(instance) is not None
        if was_held is not None:
            farm.cancel_end(instance)
            _tell_anew(farm, instance, now)
        if key in idle:
            farm.note(f"{instance}: started by {event.user}")
        farm.dirty[key] = None
        farm.settle(instance, now)
    stuck: dict[str, bool] = {}
    told = [(*instance.key, held_up(farm, instance, TimeFormat(now), stuck)) for instance in touched]
    waiting = [one for one in told if one[2]]
    begins = {*idle, *((job, host) for job, host, _ in waiting)}
    waiting += [(*key, ABSENT) for key in absent]
    keys = (*(one.key for one in touched if one.key in begins), *nowhere, *absent)
    return Accepted(
        keys=keys,
        rejected=(*gone, *first, *others),
        others=len(others),
        waiting=tuple(waiting),
        running=sum(one.key not in begins for one in touched),
    )


def _first_start(farm: Farm, key: Key) -> bool:
    instance = farm.instances.get(key)
    return instance is not None and instance.record.hold is not None and not instance.record.hold.user


def _everywhere(farm: Farm, touched: Iterable[Instance], event: events.Released) -> Iterator[Key]:
    """What was stopped of these jobs before they had found a machine."""
    for key in {(instance.name, "") for instance in touched}.intersection(farm.holds):
        if event.everyones or farm.holds[key].is_of(event.user, farm.asker):
            yield key


def _theirs(others: Sequence[tuple[str, str, str]], undone: str = "") -> Refused:
    """Nothing is done, as all of these are somebody else's."""
    job, host, why = others[0]
    more = f", and {len(others) - 1} more" if len(others) > 1 else ""
    meant = words_for((name, where) for name, where, _ in others)
    called = "@".join(filter(None, (job, host)))
    return Refused(
        f"{undone}{called} {why}{more}: `daqsched start --all {meant}` lets run what others have stopped, too"
    )


def _apart(
    farm: Farm, instances: Iterable[Instance], outside: Iterable[Key], user: str
) -> tuple[list[Instance], tuple[Key, ...], tuple[tuple[str, str, str], ...]]:
    """Those that nobody else has stopped, of what is in the farm and of what is not, and the others with whose they are."""
    free: list[Instance] = []
    others: list[tuple[str, str, str]] = []
    for instance in instances:
        hold = instance.record.hold
        if _is_free(farm, hold, user):
            free.append(instance)
        else:
            others.append((*instance.key, str(hold)))
    mine = []
    for key in outside:
        hold = farm.holds.get(key)
        if _is_free(farm, hold, user):
            mine.append(key)
        else:
            others.append((*key, str(hold)))
    return free, tuple(mine), tuple(others)


def absent_of(farm: Farm, keys: Iterable[Key], nowhere: Collection[Key]) -> tuple[Key, ...]:
    """Those that are not in the farm any more, and were stopped before they left it."""
    return tuple(
        key for key in dict.fromkeys(keys) if key in farm.holds and key not in farm.instances and key not in nowhere
    )


def _is_free(farm: Farm, hold: Optional[Hold], user: str) -> bool:
    return hold is None or not hold.user or hold.is_of(user, farm.asker)


def _tell_anew(farm: Farm, instance: Instance, now: float) -> None:
    """It is another order than the one before."""
    reminders = farm.reminders.get(instance.key)
    if reminders is not None:
        reminders.hold_due, reminders.hold_order = 0.0, ""
    operator_commands.tell_hold(farm, instance, now)
