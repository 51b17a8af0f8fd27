"""Control of the farm or of a part: taken, given, ended by time, and kept with the rest of the state. See `daqsched.control`."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import Any, Optional

import msgspec
from msgspec.structs import replace

from daqsched.control import (
    CONTROLLED,
    NO_SUCH_PART,
    Control,
    Controls,
    check_lease,
    command,
    holder,
    in_the_way,
    refusal,
    scope,
)
from daqsched.engine import commands, events
from daqsched.engine.commands import CONTROL
from daqsched.engine.farm import Farm
from daqsched.engine.permission import NEEDS, Need, of_control
from daqsched.engine.verdict import Accepted
from daqsched.errors import Refused, UserError
from daqsched.limits import brief, some
from daqsched.limits import refusal as beyond
from daqsched.rights.grants import Grants, Target

_decode = msgspec.msgpack.Decoder(list[Control]).decode


def restored(farm: Farm, saved: Optional[bytes]) -> None:
    """As the last daemon had it. Of what can't be read nobody is in control, which is told."""
    if saved is None:
        return
    try:
        found = _decode(saved)
        wrong = " ".join(beyond(found, texts=False) or ())
    except (msgspec.MsgspecError, ValueError) as error:
        found, wrong = [], brief(str(error))
    if wrong:
        farm.troubles.append(f"who is in control can't be read ({wrong}): nobody is, take it again")
    else:
        farm.controls = {one.part: one for one in found}


def known_as(user: str, grants: Optional[Grants]) -> tuple[str, ...]:
    """Who asks, as `Control.known_as`. Without rights all come by the socket, and are accounts of the machine."""
    return tuple(grants.known_as) if grants is not None else (f"unix:{user}",)


def ensure(farm: Farm, event: events.Event, grants: Optional[Grants], now: float) -> None:
    """Raise `Refused` where somebody else is in control of what is asked for."""
    needs = NEEDS.get(type(event)) if farm.controls else None
    parts = list(dict.fromkeys(parts_of(needs(farm, event)))) if needs is not None else []
    mine = known_as(_user_of(event), grants) if parts else ()
    if not parts or _is_own_end(farm, event, mine):
        return
    found = in_the_way(farm.controls, parts, mine, now)
    if found is not None:
        raise Refused(refusal(found))


def parts_of(needs: Iterable[Need]) -> Iterator[Optional[str]]:
    """Of which parts one has to be in control who asks for this; None: of the farm as a whole."""
    for need in needs:
        if need.verb in CONTROLLED:
            yield from map(part_of, need.targets or ())


def part_of(target: Target) -> Optional[str]:
    """Which part that is; a host on which nobody has a job is of none."""
    return None if target.host and not target.job else target.part


def asker_of(event: Any, grants: Optional[Grants]) -> tuple[str, ...]:
    """Who asks for that, as `Control.known_as`; empty: nobody does."""
    told: tuple[str, ...] = getattr(event, "known_as", ())
    return told or (known_as(event.user, grants) if hasattr(event, "user") else ())


def _user_of(event: Any) -> str:
    user: str = event.order.user if isinstance(event, events.OperatorCommanded) else event.user
    return user


def _is_own_end(farm: Farm, event: events.Event, mine: tuple[str, ...]) -> bool:
    """Whether somebody ends what he runs by hand himself: whoever takes control of it meanwhile must not make it run for ever."""
    instance = farm.instances.get((event.job, event.host)) if isinstance(event, events.BorrowEnded) else None
    borrow = instance.record.borrow if instance is not None else None
    return borrow is not None and isinstance(event, events.BorrowEnded) and borrow.is_of(event.user, mine)


def taken(farm: Farm, event: events.ControlTaken, now: float) -> Accepted:
    """From now on, or for longer or shorter than said before."""
    check_lease(event.for_s)
    part = event.part
    if part is not None and part not in farm.controls and not of_control(farm, part):
        raise UserError(NO_SUCH_PART)
    found = list(_overlapping(farm.controls, part, event.known_as, now))
    if found and not event.force:
        raise Refused(refusal(found[0]))
    if found and not event.message.strip():
        raise UserError("say why it is taken over, and whoever had it reads that: -m MESSAGE")
    before, mine = farm.controls.get(part), None
    if before is not None and before.is_of(event.known_as) and before.until > now:
        mine = before
    who = some(list(dict.fromkeys(one.user for one in found)))
    new = Control(part, event.user, event.known_as, now, now + event.for_s, event.message, who, bool(found))
    if mine is not None and not found:
        new = replace(
            new, since=mine.since, message=event.message or mine.message, before=mine.before, forced=mine.forced
        )
    _keep(farm, {**({} if part is None else farm.controls), part: new})
    farm.note(str(new))
    return Accepted()


def _overlapping(controls: Controls, part: Optional[str], known_as: Collection[str], now: float) -> Iterator[Control]:
    """Those of others from whom it would be taken: of the farm all, of a part who is in control of it."""
    meant = (controls.get(one) for one in controls) if part is None else (holder(controls, part, now),)
    for one in meant:
        if one is not None and one.until > now and not one.is_of(known_as):
            yield one


def given(farm: Farm, event: events.ControlGiven, now: float) -> Accepted:
    """Back, or to somebody, until when it would have ended. Who is in control of the farm may give away one part of it."""
    part = event.part
    if part is not None and part not in farm.controls and not of_control(farm, part):
        raise UserError(NO_SUCH_PART)
    counts = holder(farm.controls, part, now)
    if counts is None:
        raise Refused(f"nobody is in control of {scope(part)}")
    if not counts.is_of(event.known_as):
        raise Refused(f"not yours to give: {refusal(counts)}")
    if not event.to and counts.part != part:
        raise Refused(
            f"you are in control of {scope(part)} as you are of the farm: `daqsched control give` gives that back, "
            f"`{command('give', part, 'NAME')}` gives somebody this part"
        )
    left = {where: one for where, one in farm.controls.items() if where != part}
    if event.to:
        left[part] = Control(part, event.to, event.to_known_as, now, counts.until, event.message, event.user)
        farm.note(str(left[part]))
    else:
        farm.note(f"{event.user} is in control of {scope(part)} no more{f': {event.message}' if event.message else ''}")
    _keep(farm, left)
    return Accepted()


def ticked(farm: Farm, now: float) -> None:
    """Control ends by itself."""
    over = [one for one in farm.controls.values() if one.until <= now]
    for one in over:
        farm.note(f"{one.user} is in control of {scope(one.part)} no more: the time is up")
    if over:
        _keep(farm, {part: one for part, one in farm.controls.items() if one.until > now})


def due(farm: Farm) -> float:
    """When the first one's time is up."""
    return min((one.until for one in farm.controls.values()), default=float("inf"))


def _keep(farm: Farm, controls: dict[Optional[str], Control]) -> None:
    farm.controls = controls
    farm.out.append(commands.SaveDocument(CONTROL))
