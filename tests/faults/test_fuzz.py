"""The fuzz of tests/unit for as long as --fuzz-minutes says: ``make faults`` gives it an hour, in turn for each parser.

The seed is printed; ``--seed`` repeats a run.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from typing import Any

import pytest
from hypothesis import HealthCheck, given, seed, settings

from parsers import PARSERS, Parser, try_one

#: So many inputs of each parser go in turn.
AT_ONCE = 25


def feed(parser: Parser, number: int) -> None:
    """One turn. Raises what the parser raises, with the smallest input that does it."""

    @seed(number)
    @settings(max_examples=AT_ONCE, database=None, suppress_health_check=list(HealthCheck))
    @given(parser.inputs)
    def turn(value: Any) -> None:
        try_one(parser, value)

    turn()


@pytest.mark.slow
def test_an_hour_of_anything_ends_no_parser(pytestconfig: pytest.Config, capsys: pytest.CaptureFixture[str]) -> None:
    """All of them in turn, until the time is over; each at least once."""
    until = time.monotonic() + 60 * pytestconfig.getoption("--fuzz-minutes")
    begin = pytestconfig.getoption("--seed") or random.SystemRandom().randrange(1 << 32)
    numbers = random.Random(begin)
    fed: Counter[str] = Counter()
    while not fed or time.monotonic() < until:
        for parser in PARSERS:
            number = numbers.randrange(1 << 32)
            try:
                feed(parser, number)
            except BaseException as error:
                error.args = (f"{parser.name}, seed {begin}, turn {number}: {error}", *error.args[1:])
                raise
            fed[parser.name] += AT_ONCE
    with capsys.disabled():
        print(f"\n{sum(fed.values()):,} inputs of {len(fed)} parsers (seed {begin}): each was read or refused")
