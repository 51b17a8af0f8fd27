"""Patterns with classes of characters mean the same on each Python."""

from __future__ import annotations

import sys
from fnmatch import fnmatchcase

from hypothesis import given
from hypothesis import strategies as st

from daqsched.select import selection
from daqsched_executor.contract.globs import compiled, fits

PATTERNS = st.text("[]!-az09*?^\\", max_size=10)
NAMES = st.text("az09-!]^\\", max_size=4)


@given(PATTERNS, st.lists(NAMES, max_size=8))
def test_a_pattern_means_what_the_newest_python_reads_in_it(pattern: str, names: list[str]) -> None:
    """No pattern is an error, and none means something else than before."""
    made = compiled(pattern)
    for name in names:
        assert fits(name, pattern) == bool(made.match(name)), name
        if sys.version_info >= (3, 11):
            assert fits(name, pattern) == fnmatchcase(name, pattern), name


def test_a_range_that_runs_backwards_holds_nothing() -> None:
    """And its opposite everything; beside others it does nothing."""
    for pattern, name, whether in (
        ("[z-a]x", "zx", False),
        ("[!z-a]x", "zx", True),
        ("[z-a1]x", "1x", True),
        ("[]z-a]x", "]x", True),
    ):
        assert fits(name, pattern) == whether, pattern
    assert not selection(["[z-a]*"])("a", "hlt01")
