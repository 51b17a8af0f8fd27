"""Ranges of port numbers against sets of numbers."""

from __future__ import annotations

from typing import Iterable

from hypothesis import given
from hypothesis import strategies as st

from daqsched.engine.machine import free_of
from daqsched.engine.resources import Offer
from daqsched.ports import LAST, count, first, holds, ranges, without

PAIRS = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=4)


def numbers(pairs: Iterable[tuple[int, int]]) -> set[int]:
    """All of them."""
    return {number for low, high in pairs for number in range(low, high + 1)}


def apart(pairs: list[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Ranges that have nothing in common, as an offer's."""
    found: list[tuple[int, int]] = []
    for low, high in ranges(pairs):
        if not numbers([(low, high)]) & numbers(found):
            found.append((low, high))
    return tuple(found)


@given(PAIRS, st.integers(0, 30), st.integers(0, 30), st.sets(st.integers(0, 30)))
def test_ranges_are_sets_of_numbers(pairs: list[tuple[int, int]], low: int, high: int, avoided: set[int]) -> None:
    """What is cut, searched and counted."""
    free = apart(pairs)
    assert numbers(without(free, low, high)) == numbers(free) - numbers([(low, high)])
    assert count(free) == len(numbers(free))
    assert holds(free, low) == (low in numbers(free))
    assert (first(free, avoided) or None) in numbers(free) - avoided | ({None} if numbers(free) <= avoided else set())


def test_what_is_no_port_is_left_out() -> None:
    """What a master or an agent says is foreign."""
    assert ranges([(0, 5), (9, 3), (65530, 70000), (70000, 70001), (-4, 0)]) == ((1, 5), (65530, LAST))


def test_what_is_left_of_a_machine() -> None:
    """All that it has without what is in use."""
    total = Offer("", "a", ("h",), 8.0, 100.0, 50.0, ((1, 10), (20, 30)))
    used = Offer("", "a", ("h",), 2.0, 10.0, 0.0, ((3, 4), (10, 22)))
    left = free_of(total, used)
    assert (left.cpus, left.mem, left.disk, left.ports) == (6.0, 90.0, 50.0, ((1, 2), (5, 9), (23, 30)))
