"""What people type and machines call themselves: whatever it is, a value or one sentence, and never another error."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from daqsched.batches import _natural
from daqsched.errors import DaqschedError
from daqsched.hosts import expand, fold
from daqsched.limits import whole
from daqsched.rollout import parse_batches
from daqsched.terminal.heat import _natural as natural_values
from daqsched.times import moment, span

#: Each word: what reads it.
READERS: dict[str, Callable[[str], object]] = {
    "batches": parse_batches,
    "duration": span,
    "time": lambda text: moment(text, 1.8e9),
    "hosts": lambda text: list(expand(text)),
    "host names": lambda text: fold([text, text + "1", text + "2"]),
    "order of hosts": _natural,
    "order of values": lambda text: natural_values([text, text + "x"]),
    "whole number": whole,
}

#: Digits of all scripts, and what stands between numbers.
WORDS = st.text(st.sampled_from("0123456789²٣１.,-+[]%smhd:TZ e_"), max_size=20) | st.text(max_size=20)


@pytest.mark.parametrize("name", READERS)
@given(text=WORDS)
@example(text="9" * 5000)
@example(text="9" * 400 + "d")
@example(text="h[" + "9" * 5000 + "]")
@example(text="²")
@example(text="0001-01-01")
@example(text="9999-12-31T23:59:59-23:59")
@example(text="1e400s")
def test_a_word_is_read_or_refused(name: str, text: str) -> None:
    """A sentence for people where it can't be read."""
    try:
        READERS[name](text)
    except DaqschedError as error:
        assert str(error)


def test_a_whole_number_is_of_ascii_digits_and_exact() -> None:
    """As JSON has it."""
    assert (whole("0"), whole("007"), whole("9" * 15)) == (0, 7, 10**15 - 1)
    assert [whole(text) for text in ("", "-1", "1.0", "²", "٣", " 1", "1\n", "9" * 16)] == [None] * 8
