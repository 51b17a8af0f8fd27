"""Arithmetic of port numbers: ranges as an offer has them, both ends included."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

Ranges = tuple[tuple[int, int], ...]

#: The highest number that a port has.
LAST = 65535


def ranges(found: Iterable[Any]) -> Ranges:
    """Pairs of numbers as ranges of ports: what is none of it is left out, and what goes beyond is cut."""
    # a list on the way: an offer cycle reads thousands of these
    return tuple(
        [
            (low if low > 1 else 1, high if high < LAST else LAST)
            for low, high in found
            if low <= high and low <= LAST and high > 0
        ]
    )


def without(free: Ranges, low: int, high: int) -> Ranges:
    """What is left when the numbers from ``low`` to ``high`` are taken."""
    return tuple(
        part
        for a, b in free
        for part in (((a, low - 1), (high + 1, b)) if a <= high and low <= b else ((a, b),))
        if part[0] <= part[1]
    )


def holds(free: Ranges, number: int) -> bool:
    """Whether a number is among them."""
    return any(low <= number <= high for low, high in free)


def count(free: Ranges) -> int:
    """How many numbers they are."""
    return sum(high - low + 1 for low, high in free)


def first(free: Ranges, avoided: Collection[int]) -> int:
    """The lowest number that is none of ``avoided``; 0: there is none."""
    return next((number for low, high in free for number in range(low, high + 1) if number not in avoided), 0)
