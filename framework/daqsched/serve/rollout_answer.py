"""What is told of a rollout, and of it to whoever sees a part of the farm."""

from __future__ import annotations

from typing import Optional

from daqsched.engine.engine import Engine
from daqsched.protocol import RolloutAnswer
from daqsched.rollout import how_it_is
from daqsched.serve.visibility import Visibility
from daqsched.views.status import still_away, why_not_ready

#: How many hosts of a batch that lag an answer tells of.
MOST_LAGGING = 50


def rollout_of(engine: Engine, number: int, now: float) -> RolloutAnswer:
    """The rollout that is under way or was last; with its ``number`` also the one before."""
    rolling = engine.rolling
    if number and rolling.last is not None and rolling.last.number == number:
        return RolloutAnswer(rolling.last.told(), [], now)
    lagging: list[tuple[str, str, str]] = []
    for key in rolling.lagging:
        why = why_not_ready(engine, key, now)
        if why and len(lagging) < MOST_LAGGING:
            lagging.append((*key, why))
    # a copy: the engine changes its own
    copy = rolling.rollout.told() if rolling.rollout is not None else None
    if copy is not None:  # what was there has been told since of those that answer again
        copy.unreached = still_away(engine)
    return RolloutAnswer(copy, lagging, now)


def as_seen(found: RolloutAnswer, visibility: Optional[Visibility]) -> RolloutAnswer:
    """What of it whoever asks may know; changes it."""
    if visibility is not None:
        found.lagging = list(visibility.triples(one for one in found.lagging if visibility.sees(one[0], one[1])))
        found.rejected = list(visibility.triples(found.rejected))
        found.rollout = found.rollout and visibility.rollout(found.rollout)
    found.words = how_it_is(found.rollout) if found.rollout is not None else ""
    return found
