"""What each apply came to, and which of the last ones changed a job: a comparison of revisions tells neither, as not all that a
revision says ran, and most revisions of a farm are about other jobs."""

from __future__ import annotations

from collections.abc import Iterable
from math import isfinite
from typing import Optional

import msgspec

from daqsched.engine import commands
from daqsched.engine.commands import EFFECTS
from daqsched.engine.farm import MOST_OUTCOMES, Farm
from daqsched.engine.farm_state import ApplyCounts, ApplyEffects
from daqsched.limits import brief
from daqsched.merge import Desired, Merged
from daqsched.spec import FORWARDER, Spec

#: So many of the revisions that changed a job are known.
MOST_OF_JOB = 5

_decode = msgspec.msgpack.Decoder(ApplyEffects).decode


def restored(farm: Farm, saved: Optional[bytes]) -> None:
    """As the last daemon had it; what can't be read is for people alone, and told."""
    try:
        effects = _decode(saved) if saved is not None else ApplyEffects()
        if not all(isfinite(at) for known in effects.changed.values() for _, at in known):
            raise ValueError("a time is none")
        farm.effects = effects
    except (msgspec.MsgspecError, ValueError) as error:
        farm.troubles.append(f"what applies came to can't be read ({brief(str(error))}): forgotten")


def note(
    farm: Farm, old: Spec, merged: Merged, mixed: Iterable[str], number: int, counts: ApplyCounts, now: float
) -> None:
    """One more revision; ``mixed`` are the jobs that it changes though ``old`` says the same of them."""
    effects, before, after = farm.effects, Desired(old), Desired(merged.spec)
    # of all others nothing changes
    names = {name for name in merged.jobs if name in after.jobs and not before.agrees(name, after)}.union(mixed)
    if (old.logging, old.logging_part) != (merged.spec.logging, merged.spec.logging_part):
        names.add(FORWARDER)
    there = {FORWARDER, *after.jobs}
    effects.changed = {name: known for name, known in effects.changed.items() if name in there}
    for name in names & there:
        effects.changed[name] = [*effects.changed.get(name, ()), (number, now)][-MOST_OF_JOB:]
    effects.counts[number] = counts
    while len(effects.counts) > MOST_OUTCOMES:
        del effects.counts[next(iter(effects.counts))]
    farm.out.append(commands.SaveDocument(EFFECTS))
