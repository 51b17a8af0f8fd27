"""Who loses how much of a room that all share: those who take most, down to one level. Pure."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import TypeVar

Owner = TypeVar("Owner", bound=Hashable)


def given_up(taken: Mapping[Owner, int], excess: int) -> dict[Owner, int]:
    """What each loses so that together it is the excess (or all there is); who takes less than what others keep loses nothing."""
    left = sorted(((size, owner) for owner, size in taken.items() if size > 0), key=lambda item: -item[0])
    excess = min(excess, sum(size for size, _ in left))
    if excess <= 0:
        return {}
    level, above = left[0][0], 0
    for count in range(1, len(left) + 1):
        next_level = left[count][0] if count < len(left) else 0
        room = (level - next_level) * count
        if above + room >= excess:
            level -= -(-(excess - above) // count)
            return {owner: size - level for size, owner in left[:count] if size > level}
        above, level = above + room, next_level
    return {owner: size for size, owner in left}
