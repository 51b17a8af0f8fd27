"""What people stop, hold and start by hand.

A hold is in the record of each; those of what is not in the farm are in a document of their own (`Farm.holds`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Iterable, Optional

import msgspec

from daqsched.engine import commands, events, operator_commands
from daqsched.engine.commands import HOLDS
from daqsched.engine.confirming import confirm_ends
from daqsched.engine.desired import unassign
from daqsched.engine.farm import Farm
from daqsched.engine.instance import Instance, Key
from daqsched.engine.operator_commands import desired_of, unplaced_of
from daqsched.engine.reasons import held_up, not_ended
from daqsched.engine.tense import Tense
from daqsched.engine.verdict import Accepted
from daqsched.errors import Refused
from daqsched.limits import brief
from daqsched.select import words_for
from daqsched.task import Hold

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
    """Stop these, and keep them stopped; what somebody else has stopped stays theirs."""
    nowhere = unplaced_of(farm, event.keys)
    touched, gone = desired_of(farm, event.keys, nowhere)
    touched, nowhere, others = _apart(farm, touched, nowhere, event.user)
    if not touched and not nowhere:
        raise _all_others(f"nothing was {'held' if event.spares else 'stopped'}: ", others, "ends that, whoever did it")
    confirm_ends(farm, event.agreed, () if event.spares else touched)
    for key in nowhere:
        farm.holds[key] = Hold(event.user, now, event.message, event.spares)
        farm.note(f"{key[0]}, which has no machine yet: stopped by {event.user}")
    if nowhere:
        farm.out.append(commands.SaveDocument(HOLDS))
    for instance in touched:
        key = instance.key
        instance.record.hold, instance.record.unread = Hold(event.user, now, event.message, event.spares), ""
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
    late = [(*one.key, not_ended(farm, one, Tense(now))) for one in touched]
    return Accepted(
        keys=keys,
        rejected=(*gone, *others),
        dependents=_dependents(farm, {name for name, _ in keys}),
        waiting=tuple(one for one in late if one[2]),
    )


def _dependents(farm: Farm, stopped: set[str]) -> tuple[str, ...]:
    """The jobs that come after these, and those after them, which are not stopped."""
    meant = set(stopped)
    found: set[str] = set()
    while True:
        more = {job.name for job in farm.spec.jobs if job.name not in meant and meant.intersection(job.after)}
        if not more:
            return tuple(sorted(found))
        meant |= more
        found |= {name for name in more if farm.order.up.get(name)}


def released(farm: Farm, event: events.Released, now: float) -> Accepted:
    """Let these run again, at once; what somebody else has stopped only where that is said."""
    nowhere = unplaced_of(farm, event.keys)
    touched, gone = desired_of(farm, event.keys, nowhere)
    others: tuple[tuple[str, str, str], ...] = ()
    if not event.everyones:
        touched, nowhere, others = _apart(farm, touched, nowhere, event.user)
        if not touched and not nowhere:
            raise _all_others("", others, "lets run what others have stopped, too")
    everywhere = {*nowhere, *((instance.name, "") for instance in touched)}.intersection(farm.holds)
    if not event.everyones:
        everywhere = {key for key in everywhere if _is_free(farm.holds[key], event.user)}
    for one in everywhere:
        del farm.holds[one]
    if everywhere:
        farm.out.append(commands.SaveDocument(HOLDS))
    for instance in touched:
        key = instance.key
        record = instance.record
        was_held, record.hold, record.done, record.failures, record.due = record.hold, None, "", 0, 0.0
        record.unread = ""
        record.regardless = event.anyway and farm.order.predecessor(instance) is not None
        if was_held is not None:
            farm.cancel_end(instance)
            _tell_anew(farm, instance, now)
        farm.note(f"{instance}: started by {event.user}")
        farm.dirty[key] = None
        farm.settle(instance, now)
    keys = (*(instance.key for instance in touched), *nowhere)
    stuck: dict[str, bool] = {}
    told = [(*instance.key, held_up(farm, instance, Tense(now), stuck)) for instance in touched]
    waiting = tuple(one for one in told if one[2])
    return Accepted(keys=keys, rejected=(*gone, *others), others=len(others), waiting=waiting)


def _apart(
    farm: Farm, instances: Iterable[Instance], nowhere: Iterable[Key], user: str
) -> tuple[list[Instance], tuple[Key, ...], tuple[tuple[str, str, str], ...]]:
    """Those that nobody else has stopped, of what has a machine and of what has none yet; and the others, with whose they are."""
    holds = [(one.key, one.record.hold) for one in instances] + [(key, farm.holds.get(key)) for key in nowhere]
    others = {key: str(hold) for key, hold in holds if not _is_free(hold, user)}
    free = [one for one in instances if one.key not in others]
    return free, tuple(key for key in nowhere if key not in others), tuple((*key, why) for key, why in others.items())


def _is_free(hold: Optional[Hold], user: str) -> bool:
    return hold is None or hold.user in ("", user)


def _all_others(what: str, others: Sequence[tuple[str, str, str]], then: str) -> Refused:
    """What whoever named nothing else is told."""
    job, host, why = others[0]
    more = f", and {len(others) - 1} more" if len(others) > 1 else ""
    meant = words_for((name, where) for name, where, _ in others)
    return Refused(f"{what}{job}{f'@{host}' if host else ''} {why}{more}: `daqsched start --all {meant}` {then}")


def _tell_anew(farm: Farm, instance: Instance, now: float) -> None:
    """It is another order than the one before."""
    if instance.reminders is not None:
        instance.reminders.hold_due, instance.reminders.hold_order = 0.0, ""
    operator_commands.tell_hold(farm, instance, now)
