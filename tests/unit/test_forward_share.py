"""Who loses lines where all that waits takes more than it may."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daqsched_executor.forward.disk.fair_share import given_up


@pytest.mark.parametrize(
    ("taken", "excess", "wanted"),
    [
        ({}, 10, {}),
        ({"a": 5}, 0, {}),
        ({"a": 5}, -3, {}),
        ({"a": 5}, 3, {"a": 3}),
        ({"a": 5}, 30, {"a": 5}),
        ({"noisy": 100, "quiet": 5}, 50, {"noisy": 50}),
        ({"noisy": 100, "quiet": 5}, 95, {"noisy": 95}),
        ({"noisy": 100, "quiet": 5}, 97, {"noisy": 96, "quiet": 1}),
        ({"a": 100, "b": 80, "c": 10}, 60, {"a": 40, "b": 20}),
        ({"a": 100, "b": 100, "c": 0}, 1, {"a": 1, "b": 1}),
        ({"a": 7, "b": 7, "c": 7}, 21, {"a": 7, "b": 7, "c": 7}),
    ],
)
def test_those_who_take_most_give_up(taken: dict[str, int], excess: int, wanted: dict[str, int]) -> None:
    """Down to one level; a byte more each where it does not divide."""
    assert given_up(taken, excess) == wanted


@given(st.dictionaries(st.integers(), st.integers(0, 10**12), max_size=20), st.integers(-10, 10**13))
def test_nobody_below_the_share_of_others_loses_a_byte(taken: dict[int, int], excess: int) -> None:
    """While another keeps more than it has; and it is enough, with less than a byte each too much."""
    given = given_up(taken, excess)
    total = sum(given.values())
    wanted = max(0, min(excess, sum(taken.values())))
    assert wanted <= total < wanted + max(1, len(taken))
    kept = {owner: size - given.get(owner, 0) for owner, size in taken.items()}
    assert all(0 < size <= taken[owner] for owner, size in given.items())
    for owner in given:
        assert kept[owner] == max(kept.values()), "who gives something up keeps as much as anybody"
    fair = (sum(taken.values()) - wanted) / max(1, len(taken))
    assert not any(taken[owner] < fair - 1 for owner in given)
