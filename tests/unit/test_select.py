"""Selections: which instances a word means."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daqsched.errors import UserError
from daqsched.select import Idle, as_hosts, hint, selection


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
    """Names, ranges and patterns alike, in the order in which they were typed."""
    keys = [("a", "h1"), ("ab", "h2"), ("b", "h2")]
    idle, chosen = Idle(words), selection(words)
    for key in filter(lambda key: chosen(*key), keys):
        idle.see(*key)
    assert idle.words == [word for word in words if not any(selection([word])(*key) for key in keys)]
    assert bool(idle) == bool(idle.words)


@pytest.mark.parametrize("word", ["@", "a@", "*@", "a@h[3-1]", "a@h[x]"])
def test_a_word_that_can_not_be_read_is_refused(word: str) -> None:
    """A stop of the wrong thing is worse than none."""
    with pytest.raises(UserError):
        selection([word])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["h1"], "; a host is written @h1"),
        (["h[1-2]", "a", "h*"], "; a host is written '@h[1-2]' '@h*'"),
        (["h9", "@h1", "", "h[3-1]", "h["], ""),
    ],
)
def test_a_host_without_its_mark_is_told_how_to_be_written(words: list[str], said: str) -> None:
    """As a shell takes it."""
    assert as_hosts(words, [("a", "h1"), ("b", "h2"), ("c", "")]) == said


FARM = [(name, f"hlt{number:02}") for name in ("readout", "event-builder", "rcd_x") for number in range(1, 13)]
FARM += [("dcs", "dcs-gateway"), ("anywhere", "")]


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("readuot", "readout"),
        ("readuot@hlt01", "readout@hlt01"),
        ("readout@htl01", "readout@hlt01"),
        ("readuot@htl01", "readout@hlt01"),
        ("readout@hlt1", "readout@hlt01"),
        ("readuot@hlt*", "'readout@hlt*'"),
        ("read_out@hlt[01-03]", "'readout@hlt[01-03]'"),
        ("@htl01", "@hlt01"),
        ("htl01", "@hlt01"),
        ("event_bulider", "event-builder"),
        ("dcs@dcs-gatway", "dcs@dcs-gateway"),
        ("anywhre", "anywhere"),
        # of another number nobody knows what was meant
        ("hlt99", ""),
        ("readout@hlt99", ""),
        ("rcd_x2", ""),
        ("@hl1t0", ""),
        # what the job is not on is not offered for it
        ("readuot@dcs-gateway", ""),
        ("readuot@hlt[30-31]", ""),
        ("nothing@like", ""),
        ("read*ut_@hlt01", ""),
        ("readout@hlt[3-1]", ""),
        ("readuot@hlt[x", ""),
        ("", ""),
    ],
)
def test_what_was_meant_is_told_where_it_is_near(word: str, meant: str) -> None:
    """As a word that can be typed, and means something."""
    assert hint([word], FARM).rpartition("; did you mean ")[2] == (f"{meant}?" if meant else "")


@given(st.sampled_from(FARM[:-1]), st.data())
def test_a_slip_of_the_finger_in_a_name_is_found(key: tuple[str, str], data: st.DataObject) -> None:
    """Two letters that changed places, one that is missing, or twice there."""
    word = f"{key[0]}@{key[1]}"
    at = data.draw(st.sampled_from([at for at in range(len(word) - 1) if word[at : at + 2].isalpha()]))
    swapped, missing = word[:at] + word[at + 1] + word[at] + word[at + 2 :], word[:at] + word[at + 1 :]
    for slip in {swapped, missing, word[: at + 1] + word[at:]} - {word}:
        assert hint([slip], FARM) == f"; did you mean {word}?"


@pytest.mark.once
def test_what_was_meant_is_found_in_a_moment_on_the_largest_farm() -> None:
    """Whoever types nonsense holds nobody else up for long: time of the processor, as others work on this machine."""
    farm = [(f"job-{name:02}", f"hlt{host:05}") for name in range(10) for host in range(25_000)]
    begun = time.thread_time()
    assert hint([f"job-0{at}@htl0000{at}" for at in range(5)], farm).endswith("job-04@hlt00004?")
    assert hint(["zzzz"] * 1000, farm) == ""
    assert time.thread_time() - begun < 10
