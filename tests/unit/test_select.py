"""Selections: which instances a word means."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daqsched.errors import UserError
from daqsched.select import Idle, as_hosts, selection


@pytest.mark.parametrize(
    ("words", "yes", "no"),
    [
        ([], [("a", "h1")], []),
        (["a"], [("a", "h1"), ("a", "h2")], [("b", "h1"), ("ab", "h1")]),
        (["a@h1"], [("a", "h1")], [("a", "h2"), ("b", "h1")]),
        (["@h1"], [("a", "h1"), ("b", "h1")], [("a", "h2")]),
        (["rcd_*@hlt[01-02]"], [("rcd_x", "hlt01")], [("rcd_x", "hlt03"), ("x", "hlt01")]),
        (["a", "b@h2"], [("a", "h9"), ("b", "h2")], [("b", "h1")]),
        (["*"], [("a", "h1")], []),
        (["a@h?"], [("a", "h1")], [("a", "h11")]),
    ],
)
def test_a_word_means_what_it_says(words: list[str], yes: list[tuple[str, str]], no: list[tuple[str, str]]) -> None:
    """Jobs before the @, hosts behind it, either may be left out."""
    chosen = selection(words)
    assert all(chosen(*key) for key in yes) and not any(chosen(*key) for key in no)


@given(st.lists(st.sampled_from(["a", "b", "@h1", "b@h2", "a*", "@h[2-3]", "c@h?"]), min_size=1, unique=True))
def test_a_word_is_idle_where_it_alone_would_choose_nothing(words: list[str]) -> None:
    """Names, ranges and patterns alike."""
    keys = [("a", "h1"), ("ab", "h2"), ("b", "h2")]
    idle, chosen = Idle(words), selection(words)
    for key in filter(lambda key: chosen(*key), keys):
        idle.see(*key)
    assert set(idle.words) == {word for word in words if not any(selection([word])(*key) for key in keys)}


@pytest.mark.parametrize("word", ["@", "a@", "*@", "a@h[3-1]", "a@h[x]"])
def test_a_word_that_can_not_be_read_is_refused(word: str) -> None:
    """A stop of the wrong thing is worse than none."""
    with pytest.raises(UserError):
        selection([word])


@pytest.mark.parametrize(
    ("words", "known", "said"),
    [
        (["h1"], True, "; a host is written @h1"),
        (["h[1-2]", "a", "h*"], True, "; a host is written '@h[1-2]' '@h*'"),
        (["h9", "@h1", "", "h[3-1]", "h["], True, ""),
        (["h1"], False, ""),
        (["h[1-2]"], False, "; a host is written '@h[1-2]'"),
    ],
)
def test_a_host_without_its_mark_is_told_how_to_be_written(words: list[str], known: bool, said: str) -> None:
    """As a shell takes it; of hosts that are not known a pattern alone is taken for one."""
    assert as_hosts(words, [("a", "h1"), ("b", "h2"), ("c", "")] if known else None) == said
