"""Splitting bytes into lines."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daqsched_executor.contract import start_row, starts_of, starts_path
from daqsched_executor.forward.documents.lines import CHUNK, LONGEST, PARTIAL, TRUNCATED, split


@pytest.mark.parametrize(
    ("chunk", "lines"),
    [
        (b"", []),
        (b"half", []),
        (b"a\n", [b"a"]),
        (b"a\nb\nha", [b"a", b"b"]),
        (b"\n\n", [b"", b""]),
    ],
)
def test_whole_lines_are_given_and_a_half_one_waits(chunk: bytes, lines: list[bytes]) -> None:
    """What follows the last newline stays for later."""
    assert split(chunk, final=False).lines == lines


def test_the_last_line_of_a_dead_writer_is_partial() -> None:
    """Nobody finishes it any more: it is given with a flag, but only after the whole lines before it."""
    assert split(b"a\nrest", final=True) == ([b"a"], 1, "")
    assert split(b"rest", final=True) == ([b"rest"], 0, PARTIAL)
    assert split(b"", final=True) == ([], 0, "")


def test_a_line_of_the_longest_length_is_whole() -> None:
    """The limit itself still fits."""
    assert split(b"x" * LONGEST + b"\n", final=False) == ([b"x" * LONGEST], 1, "")
    assert split(b"x" * LONGEST, final=False).lines == []


def test_a_longer_line_gives_a_piece() -> None:
    """One byte more than fits, and the line is cut."""
    assert split(b"x" * CHUNK, final=False) == ([b"x" * LONGEST], 0, TRUNCATED)


@pytest.mark.parametrize("letter", ["ä", "€", "𝄞"])
def test_a_piece_ends_with_a_whole_character(letter: str) -> None:
    """No character is torn into two that can't be read."""
    for shift in range(4):
        chunk = (b"x" * shift + letter.encode() * LONGEST)[:CHUNK]
        (piece,) = split(chunk, final=False).lines
        piece.decode()
        assert LONGEST - 3 <= len(piece) <= LONGEST


def test_bytes_that_are_no_characters_are_cut_at_the_limit() -> None:
    """Binary rubbish makes progress, too."""
    (piece,) = split(b"\x80" * CHUNK, final=False).lines
    assert len(piece) == LONGEST


@given(st.binary(max_size=200), st.integers(1, 7))
def test_no_byte_is_lost_or_doubled_however_a_text_is_read(text: bytes, step: int) -> None:
    """Lines joined by newlines are the text again, and offsets are where the lines begin."""
    found: list[tuple[int, bytes]] = []
    at = end = 0
    while at < len(text):
        end = min(len(text), end + step)
        lines, gap, _ = split(text[at:end], final=end == len(text))
        for line in lines:
            found.append((at, line))
            at += len(line) + gap
    assert found == [(text.find(line, at), line) if line else (at, line) for at, line in found]
    whole = b"\n".join(line for _, line in found)
    assert whole == text or whole + b"\n" == text


def test_starts_are_read_as_they_were_written_and_a_torn_end_is_left_out() -> None:
    """An executor that was killed while it wrote leaves half a row."""
    text = start_row(0, 2) + start_row(1234, 3)
    assert starts_of(text) == [(0, 2), (1234, 3)]
    assert starts_of(text + b"99 4") == [(0, 2), (1234, 3)]
    assert starts_of(b"x\n" + text + b"\n7\n") == [(0, 2), (1234, 3)]
    assert starts_of(b"") == []
    assert starts_path("/spool/streams/AAAAAAAAAAA.json") == "/spool/streams/AAAAAAAAAAA.starts"
