"""The rollout that was under way, and how earlier ones ended, as the last daemon left them in the store."""

from __future__ import annotations

from typing import Callable, Optional

import msgspec

from daqsched.engine.commands import Revision
from daqsched.engine.farm import Farm
from daqsched.engine.instance import Key
from daqsched.engine.rollout_state import Before, KeptRollout
from daqsched.errors import UserError
from daqsched.limits import brief, refusal
from daqsched.rollout import (
    RolloutOutcome,
    check,
)
from daqsched.spec import FORWARDER, decode, encode

_decode = msgspec.msgpack.Decoder(KeptRollout).decode

_decode_outcomes = msgspec.msgpack.Decoder(dict[int, RolloutOutcome]).decode

_decode_before = msgspec.msgpack.Decoder(Before).decode

_decode_batches = msgspec.msgpack.Decoder(list[list[Key]]).decode


def restored(
    farm: Farm,
    rollout: Optional[bytes],
    batches: Optional[bytes],
    before: Optional[bytes],
    revision: Callable[[Optional[int]], Optional[Revision]],
) -> None:
    """Begin where the store says that the last daemon was. A rollout that can't be read is over: what it has not reached
    stays as it is, until somebody applies again. ``revision`` gives one by its number."""
    rolling = farm.rolling
    try:
        known = _decode(rollout) if rollout is not None else None
        there = _decode_batches(batches) if batches is not None else []
        was = _decode_before(before) if before is not None else None
        if was is not None:
            decode(was.spec)
        if known is not None:
            _look_through(known, there)
    except (msgspec.MsgspecError, ValueError, TypeError, UserError) as error:
        farm.troubles.append(
            f"what the state says of the rollout can't be read ({brief(str(error))}): it has ended, and what it had not "
            "reached stays as it is; `daqsched apply` again"
        )
        return
    rolling.rollout = known
    if rolling.active is not None:
        rolling.batches = there
        at = rolling.active.at
        older = revision(rolling.active.before) if was is None and rolling.active.before else None
        if older is not None:  # begun by a daemon that went back to a revision as a whole
            names = [FORWARDER, *(job.name for job in (*older.spec.jobs, *farm.spec.jobs))]
            was = Before(older.number, frozenset(names), encode(older.spec))
        rolling.before = was
        rolling.work_on(rolling.batches[at] if 0 <= at < len(rolling.batches) else ())


def _look_through(rollout: KeptRollout, batches: list[list[Key]]) -> None:
    """Raise `ValueError` where the two can't be of one rollout."""
    beyond = refusal(rollout, texts=False)
    if beyond is not None:
        raise ValueError(f"{beyond[0]} {beyond[1]}")
    if rollout.over:
        return
    check(rollout.strategy)
    if rollout.batches != len(batches) or not -1 <= rollout.at < len(batches) or rollout.at < rollout.complete - 1:
        raise ValueError(f"batch {rollout.at + 1} of {rollout.batches}, and there are {len(batches)}")


def outcomes_restored(farm: Farm, saved: Optional[bytes]) -> None:
    """How the rollouts of revisions ended; what can't be read is for people alone, and told."""
    try:
        farm.outcomes = _decode_outcomes(saved) if saved is not None else {}
    except msgspec.MsgspecError as error:
        farm.troubles.append(f"how rollouts ended can't be read ({brief(str(error))}): forgotten")
