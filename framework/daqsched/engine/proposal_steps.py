"""Proposals: made, approved (an apply by whoever may), rejected, withdrawn, over by time; kept with the rest of the state."""

from __future__ import annotations

from typing import Optional

import msgspec
from msgspec.structs import replace

from daqsched.digests import digest
from daqsched.engine import applying, commands, events
from daqsched.engine.commands import PROPOSALS
from daqsched.engine.farm import Farm
from daqsched.engine.verdict import Accepted
from daqsched.errors import PreconditionFailed, Refused, UserError
from daqsched.limits import brief, refusal
from daqsched.proposals import KEPT_S, Proposal, Proposals, ended, found, with_proposal

_decode = msgspec.msgpack.Decoder(Proposals).decode


def restored(farm: Farm, saved: Optional[bytes]) -> None:
    """As the last daemon had them. What can't be read is forgotten, which is told; nothing of the farm follows from it."""
    if saved is None:
        return
    try:
        kept = _decode(saved)
        wrong = " ".join(refusal([[one.number, one.time, one.until] for one in kept.waiting], texts=False) or ())
    except (msgspec.MsgspecError, ValueError) as error:
        kept, wrong = Proposals(), brief(str(error))
    if wrong:
        farm.troubles.append(f"what was proposed can't be read ({wrong}): propose it again")
    else:
        farm.proposals = kept


def made(farm: Farm, event: events.ProposalMade, now: float) -> Accepted:
    """One more, which changes nothing."""
    number = farm.proposals.next
    one = Proposal(
        number,
        event.user,
        event.known_as,
        now,
        now + KEPT_S,
        event.spec,
        event.message,
        event.only,
        event.take,
        event.strategy,
        event.allow_empty,
        event.digest or digest(event.spec),
    )
    if not event.spec.jobs and not event.allow_empty:
        raise Refused("the file has no jobs, which would stop all of its part: if that is meant, give --allow-empty")
    _keep(farm, with_proposal(farm.proposals, one))
    farm.note(f"proposal {number} by {event.user}{_why(event.message)}")
    return Accepted(proposal=number)


def as_apply(one: Proposal, event: events.ProposalApproved) -> events.JobsApplied:
    """What somebody asks for who approves it: as it was proposed, but for how it goes over the farm where he says that.

    What shifters may set is none of it, and stays as it is: a plan does not show what could come of that."""
    said = f"proposal {one.number} by {one.user}{_why(one.message)}"
    return events.JobsApplied(
        one.spec,
        event.user,
        f"{said}; approved{_why(event.message)}" if event.message else said,
        event.strategy if event.strategy is not None else one.strategy,
        one.only,
        event.base,
        one.allow_empty,
        stops=event.stops,
        take=one.take,
    )


def approved(farm: Farm, event: events.ProposalApproved, now: float) -> Accepted:
    """It is applied, in the name of whoever approved it."""
    one = found(farm.proposals, event.number, now)
    if event.digest != farm.told(one.digest):
        raise PreconditionFailed(
            f"proposal {one.number} is {farm.told(one.digest)}, and not {event.digest}: `daqsched proposals {one.number}` shows it"
        )
    if not event.base:
        raise UserError("say for which state of the farm: the plan's digest of what is in force")
    before = farm.revision.number if farm.revision is not None else 0
    accepted = applying.applied(farm, as_apply(one, event), now)
    revision = accepted.revision if accepted.revision != before else 0
    _keep(farm, ended(farm.proposals, one, "approved", now, event.user, event.message, revision))
    farm.note(f"proposal {one.number} by {one.user} approved by {event.user}{_why(event.message)}")
    return replace(accepted, proposal=one.number)


def closed(farm: Farm, event: events.ProposalClosed, now: float) -> Accepted:
    """It will not be applied: somebody who may apply it says no, or who proposed it takes it back."""
    one = found(farm.proposals, event.number, now)
    if event.outcome == "withdrawn" and not one.is_of(event.known_as):
        raise Refused(
            f"proposal {one.number} is of {one.user}, who may withdraw it; whoever may apply it may reject it: "
            f"`daqsched reject {one.number}`"
        )
    _keep(farm, ended(farm.proposals, one, event.outcome, now, event.user, event.message))
    farm.note(f"proposal {one.number} by {one.user} {event.outcome} by {event.user}{_why(event.message)}")
    return Accepted(proposal=one.number)


def ticked(farm: Farm, now: float) -> None:
    """They do not wait for ever."""
    for one in farm.proposals.waiting:
        if one.until <= now:
            _keep(farm, ended(farm.proposals, one, "expired", now))
            farm.note(f"proposal {one.number} by {one.user}: nobody approved it, and its time is up")


def due(farm: Farm) -> float:
    """When the first one's time is up."""
    return min((one.until for one in farm.proposals.waiting), default=float("inf"))


def _keep(farm: Farm, kept: Proposals) -> None:
    farm.proposals = kept
    farm.out.append(commands.SaveDocument(PROPOSALS))


def _why(message: str) -> str:
    return f": {message}" if message else ""
