"""Host names as people write them."""

from __future__ import annotations

from typing import Union

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daqsched.errors import JobError
from daqsched.hosts import expand, fold


@pytest.mark.parametrize(
    ("pattern", "hosts"),
    [
        ("ctl", ("ctl",)),
        ("hlt[01-03]", ("hlt01", "hlt02", "hlt03")),
        ("hlt[9-11]", ("hlt9", "hlt10", "hlt11")),
        ("hlt[01-02,07]", ("hlt01", "hlt02", "hlt07")),
        ("r[1-2]n[1-2].example.org", ("r1n1.example.org", "r1n2.example.org", "r2n1.example.org", "r2n2.example.org")),
        (["a", "b[1-2]", "a"], ("a", "b1", "b2")),
    ],
)
def test_a_pattern_names_its_hosts_in_order_and_each_once(
    pattern: Union[str, list[str]], hosts: tuple[str, ...]
) -> None:
    """Ranges keep the width of their first number."""
    assert expand(pattern) == hosts


@pytest.mark.parametrize(
    "pattern", ["", "hlt[01-10", "hlt01]", "hlt[]", "hlt[a-b]", "hlt[3-1]", "hlt*", "a b", "-x", "h[1-999999]"]
)
def test_a_malformed_pattern_is_one_sentence_that_quotes_it(pattern: str) -> None:
    """Nothing is guessed."""
    with pytest.raises(JobError) as caught:
        expand(pattern)
    assert repr(pattern) in str(caught.value) and caught.value.field == "hosts"


@given(st.lists(st.builds("{}{}".format, st.sampled_from(["hlt", "eb", "n1-"]), st.integers(0, 130)), min_size=1))
def test_folding_loses_no_host(names: list[str]) -> None:
    """What is folded for people can be expanded again."""
    assert set(expand(fold(names).replace("], ", "]|").replace(", ", "|").split("|"))) == set(names)
