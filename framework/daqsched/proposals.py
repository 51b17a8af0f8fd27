"""Applies that somebody has proposed who may not apply, and that wait for somebody who may. Pure."""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal, Optional

import msgspec
from msgspec.structs import replace

from daqsched.errors import Refused, UserError
from daqsched.rollout import Strategy
from daqsched.spec import Spec

#: So many wait at most, so many of one person, each with so many bytes; a long weekend is within the time.
MOST_WAITING, MOST_OF_ONE, MOST_BYTES, KEPT_S = 20, 5, 1 << 20, 4 * 86_400.0
#: Of so many it is told what became of them.
MOST_ENDED = 50
#: So many of its jobs are known of one that has ended.
MOST_NAMED = 100

#: Told also of one that is hidden.
NO_SUCH = "no such proposal waits (any more): `daqsched proposals` lists those that do, and what became of others"

#: What becomes of them.
Outcome = Literal["approved", "rejected", "withdrawn", "expired"]


class Proposal(msgspec.Struct, frozen=True, omit_defaults=True):
    """What would be applied; nothing of it is changed once it is there, and its number is no other's. Times are seconds since the
    epoch, by the daemon's clock."""

    number: int
    user: str
    #: As of `control.Control`.
    known_as: tuple[str, ...]
    time: float
    until: float
    spec: Spec
    message: str = ""
    only: tuple[str, ...] = ()
    take: tuple[str, ...] = ()
    strategy: Optional[Strategy] = None
    allow_empty: bool = False
    #: Of the spec: of a large one it takes a while.
    digest: str = ""

    def is_of(self, known_as: Collection[str]) -> bool:
        """Whether that is who proposed it."""
        return not set(self.known_as).isdisjoint(known_as)


class EndedProposal(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of one."""

    number: int
    user: str
    time: float
    part: str
    ended: float
    outcome: Outcome
    message: str = ""
    #: Who did that, and why; nobody where its time was up.
    by: str = ""
    why: str = ""
    #: Of one that was approved.
    revision: int = 0


class KeptEnding(EndedProposal, frozen=True, omit_defaults=True):
    """The same as it is kept."""

    #: Whose it was, as of `Proposal`, and its jobs, some of them: for who is told of it, and told to nobody.
    known_as: tuple[str, ...] = ()
    jobs: tuple[str, ...] = ()

    def told(self) -> EndedProposal:
        """A copy for people."""
        return EndedProposal(**{name: getattr(self, name) for name in EndedProposal.__struct_fields__})


class Proposals(msgspec.Struct, frozen=True, omit_defaults=True):
    """All that is kept of them; the oldest first."""

    next: int = 1
    waiting: tuple[Proposal, ...] = ()
    ended: tuple[KeptEnding, ...] = ()


class ProposalHead(msgspec.Struct, frozen=True):
    """One that waits, without the spec."""

    number: int
    user: str
    time: float
    until: float
    message: str
    part: str
    #: The job file, with what was set of its variables.
    source: str
    #: The spec's own; whoever approves says it.
    digest: str
    only: tuple[str, ...] = ()
    take: tuple[str, ...] = ()
    strategy: Optional[Strategy] = None


def head_of(one: Proposal) -> ProposalHead:
    """What is listed."""
    return ProposalHead(
        one.number,
        one.user,
        one.time,
        one.until,
        one.message,
        one.spec.part,
        one.spec.source,
        one.digest,
        one.only,
        one.take,
        one.strategy,
    )


def with_proposal(kept: Proposals, one: Proposal) -> Proposals:
    """One more; raises `Refused` where too many wait, and `UserError` where it is too large."""
    size = len(msgspec.msgpack.encode(one))
    if size > MOST_BYTES:
        raise UserError(
            f"a proposal has at most {MOST_BYTES >> 20} MiB, and this would have {size / (1 << 20):.1f}: propose some of it "
            "(--only), or take the file to somebody who may apply it"
        )
    if len([other for other in kept.waiting if other.is_of(one.known_as)]) >= MOST_OF_ONE:
        raise Refused(
            f"{MOST_OF_ONE} of your proposals wait, which is the limit: `daqsched withdraw NUMBER` takes one back, "
            "`daqsched proposals` lists them"
        )
    if len(kept.waiting) >= MOST_WAITING:
        raise Refused(f"{MOST_WAITING} proposals wait, which is the limit: `daqsched proposals` lists them")
    return replace(kept, next=one.number + 1, waiting=(*kept.waiting, one))


def found(kept: Proposals, number: int, now: float) -> Proposal:
    """The one of that number that waits; raises `UserError` where there is none."""
    for one in kept.waiting:
        if one.number == number and one.until > now:
            return one
    raise UserError(NO_SUCH)


def ended(
    kept: Proposals, one: Proposal, outcome: Outcome, now: float, by: str = "", why: str = "", revision: int = 0
) -> Proposals:
    """It waits no more."""
    jobs = tuple(job.name for job in one.spec.jobs[:MOST_NAMED])
    told = KeptEnding(
        one.number, one.user, one.time, one.spec.part, now, outcome, one.message, by, why, revision, one.known_as, jobs
    )
    waiting = tuple(other for other in kept.waiting if other.number != one.number)
    return replace(kept, waiting=waiting, ended=(*kept.ended, told)[-MOST_ENDED:])
