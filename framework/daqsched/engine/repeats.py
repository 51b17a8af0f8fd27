"""What a request says of itself besides what it asks for: that it is done once, and for which state of the farm it is meant. Pure.

The keys of what was done are saved with what they did: who asks again after a restart or a takeover does nothing twice.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, Optional

import msgspec

from daqsched.digests import digest
from daqsched.engine import commands
from daqsched.engine.farm import Farm
from daqsched.errors import DoneBefore, PreconditionFailed
from daqsched.limits import brief
from daqsched.spec import EMPTY

#: So many keys are remembered, of all and of one person, and for so long.
MOST_KEYS, MOST_EACH, REMEMBERED_S = 500, 100, 3600.0


class Terms(NamedTuple):
    """On which a request is made."""

    #: Which request of whom it is, ``WHO.WHICH``; empty: it has no key, and is done as often as it comes.
    key: str = ""
    #: Digests of specs: it is meant for a farm with one of them in force; empty: with any.
    only_for: tuple[str, ...] = ()


#: As often as it comes, whatever is in force.
ANYHOW = Terms()


def restored(farm: Farm, saved: Optional[bytes]) -> None:
    """As the last daemon had them."""
    if saved is None:
        return
    try:
        farm.done_keys = msgspec.msgpack.decode(saved, type=dict[str, float])
    except (msgspec.MsgspecError, ValueError) as error:
        farm.troubles.append(
            f"which requests were done can't be read ({brief(str(error))}): one that is repeated is done again"
        )


def ensure(farm: Farm, terms: Terms, now: float) -> None:
    """Raise `DaqschedError` where it is not to be done."""
    done = farm.done_keys.get(terms.key) if terms.key else None
    if done is not None and now - done <= REMEMBERED_S:
        raise DoneBefore(f"this was done {now - done:.0f} s ago, for the same key, and nothing is done twice")
    if not terms.only_for:
        return
    last = farm.revision
    there = farm.told(last.digest if last is not None else digest(EMPTY))
    if there not in terms.only_for:
        since = f", since revision {last.number} by {last.user}" if last is not None else ""
        raise PreconditionFailed(
            f"not done: {there} is in force and not {terms.only_for[0]}{since}; look at what is so now"
        )


def forgotten(known: Iterable[str], key: str) -> list[str]:
    """Which of those that are known, the oldest first, make room for another one: of who has his share, his own."""
    every = list(known)
    whose = key.partition(".")[0]
    mine = [one for one in every if one.partition(".")[0] == whose]
    return mine[: max(0, len(mine) + 1 - MOST_EACH)] or every[: max(0, len(every) + 1 - MOST_KEYS)]


def done(farm: Farm, terms: Terms, now: float) -> None:
    """It was, and is saved with what it did."""
    if not terms.key:
        return
    kept = {key: at for key, at in farm.done_keys.items() if now - at <= REMEMBERED_S}
    for key in forgotten(kept, terms.key):
        del kept[key]
    farm.done_keys = {**kept, terms.key: now}
    farm.out.append(commands.SaveDocument(commands.KEYS))
