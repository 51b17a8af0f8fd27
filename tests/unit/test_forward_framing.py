"""The messages of a TCP connection, however its bytes come: both framings, what is too long, what is absurd."""

from __future__ import annotations

import re
from typing import Union

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daqsched_executor.forward.inputs.framing import Framing, Message

MOST = 50


def frame(text: bytes) -> bytes:
    """With its length."""
    return b"%d %b" % (len(text), text)


def taken(data: bytes, size: int = 1 << 20, most: int = MOST) -> list[Message]:
    """All that a connection says which sends its bytes so many at a time, and ends."""
    framing = Framing(most)
    messages: list[Message] = []
    for at in range(0, len(data), size):
        messages += framing.take(data[at : at + size], False)
    return messages + framing.take(b"", True)


@pytest.mark.parametrize("size", [1, 3, 7, 1000])
def test_a_frame_that_is_too_long_is_cut_and_skipped_by_its_count(size: int) -> None:
    """What follows is framed as before, by length or by newline."""
    big = b"<13>app: BIG" + b"7 <x\n" * 100
    data = frame(b"<13>a") + frame(big) + frame(b"<13>b\nc") + b"<13>d\n" + frame(big) + b"<13>e\n"
    cut = Message(big[:MOST], b"cut=%d" % (len(big) - MOST))
    assert taken(data, size) == [
        Message(b"<13>a"),
        cut,
        Message(b"<13>b\nc"),
        Message(b"<13>d"),
        cut,
        Message(b"<13>e"),
    ]


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_a_line_that_is_too_long_comes_in_pieces_that_say_so(size: int) -> None:
    """None of it is lost; a piece that begins as a frame is none, and no character is torn."""
    line = b"<13>app: " + "ä".encode() * 60 + b"12 <x"
    found = taken(b"<13>a\n" + line + b"\n" + frame(b"<13>b"), size)
    assert [one.marks for one in found] == [b"", b"truncated", b"truncated,continued", b"continued", b""]
    assert b"".join(one.text for one in found[1:-1]) == line
    for one in found:
        one.text.decode()


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"9" * 30 + b" <13>app: x\n<13>y\n", [Message(b"9" * 30 + b" <13>app: x"), Message(b"<13>y")]),
        (b"-5 <13>x\n<13>y\n", [Message(b"-5 <13>x"), Message(b"<13>y")]),
        (b"0 <13>x\n<13>y\n", [Message(b"<13>x"), Message(b"<13>y")]),
        (b"00005 <13>x5 <13>y", [Message(b"<13>x"), Message(b"<13>y")]),
        (b"12 apples\n<13>y\n", [Message(b"12 apples"), Message(b"<13>y")]),
        (b"20 <13>half", [Message(b"<13>half", b"partial")]),
        (b"20", [Message(b"20", b"partial")]),
        (b"<13>half", [Message(b"<13>half", b"partial")]),
        (b"99999999 <13>x", [Message(b"<13>x", b"partial")]),
        (b"\n\n \r\n<13>x\n\n", [Message(b"<13>x")]),
        (b"", []),
    ],
)
def test_lengths_that_are_absurd_and_ends_that_are_none_lose_no_byte(data: bytes, expected: list[Message]) -> None:
    """Whatever a sender says of its messages' length."""
    assert taken(data) == taken(data, 1) == expected


PIECES = st.lists(
    st.one_of(
        st.binary(max_size=120).map(frame),
        st.binary(max_size=120).map(lambda data: frame(b"<13>" + data)),
        st.binary(max_size=120).map(lambda data: b"<13>" + data + b"\n"),
        st.sampled_from([b"99999999 <", b"0 <", b"\n", b" ", b"1" * 9, b"60 <13>", "ä".encode() * 40]),
    ),
    max_size=8,
)


def whole(messages: list[Message]) -> list[Union[bytes, int]]:
    """Without what depends on the pieces in which it came: nothing does."""
    return [*(one.text for one in messages), *(len(one.marks) for one in messages)]


@given(PIECES, st.integers(1, 200))
def test_all_bytes_are_in_a_message_or_counted_however_they_come(pieces: list[bytes], size: int) -> None:
    """The same messages for each size of pieces; none is longer than it may be."""
    data = b"".join(pieces)
    messages = taken(data)
    assert whole(taken(data, size)) == whole(messages)
    assert all(len(one.text) <= MOST for one in messages)
    cut = sum(int(one.marks[4:]) for one in messages if one.marks.startswith(b"cut="))
    lengths = sum(map(len, re.findall(rb"\d{1,8} (?=<)", data)))
    blank = len(data) - len(re.sub(rb"\s", b"", data))
    kept = sum(len(one.text) for one in messages)
    # what is no text is a length, a newline, or white space alone; a length may promise more than came
    assert kept <= len(data) <= kept + cut + lengths + blank


def test_a_sender_of_single_bytes_costs_no_more_than_others() -> None:
    """The time for a byte does not grow with what came before: looked at are new bytes alone."""
    framing = Framing(1 << 17)
    for data in (b"x", b"<13>" + b"y" * 100_000):
        framing.take(data, False)
        assert framing._looked == len(framing._rest)
    framing = Framing(1 << 17)
    for _ in range(130_000):
        framing.take(b"x", False)
    assert framing._looked == len(framing._rest) == 130_000
