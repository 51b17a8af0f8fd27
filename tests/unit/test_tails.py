"""Lines out of the bytes of a sandbox's file: backwards, forwards, around holes, by words and by time."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as some

from daqsched.logs import file_tails, time_bisect
from daqsched.logs.file_tails import (
    HEADING,
    PAGE,
    Backwards,
    Forwards,
    Found,
    matcher,
    own_time,
    places,
    split,
    without_heading,
)
from daqsched.logs.time_bisect import Ahead, TimeBisect


def last(
    data: bytes, most: int, test: Callable[[bytes], bool] = lambda line: True, final: bool = False
) -> tuple[list[Found], int]:
    """The last lines of a file with this content, and where reading goes on."""
    tail = Backwards(len(data), most, test, final)
    while True:
        asked = tail.wants()
        if asked is None:
            return tail.lines, tail.end
        tail.feed(data[asked[0] : asked[0] + asked[1]])


def whole(data: bytes) -> list[Found]:
    """All lines that have an end."""
    return list(split(data[: data.rfind(b"\n") + 1], 0))


TEXTS = some.lists(some.binary(max_size=30).map(lambda text: text.replace(b"\n", b"").replace(b"\0", b"")), max_size=30)


def test_what_mesos_says_at_the_beginning_of_a_file_is_no_line_of_the_program() -> None:
    """Backwards, forwards, and in the pieces that `borrow` shows; where the program says the same later, that is its own."""
    data = HEADING + b"\nfirst\n" + HEADING + b"\n"
    lines = [(len(HEADING) + 1, b"first"), (len(HEADING) + 7, HEADING)]
    assert last(data, 9)[0] == Forwards(0).feed(data) == lines
    assert without_heading(data, 0) == data[len(HEADING) + 1 :] and without_heading(data, 7) == data
    assert without_heading(b"first\n", 0) == b"first\n" and without_heading(b"", 0) == b""


@given(
    TEXTS, some.binary(max_size=5).filter(lambda text: b"\0" not in text), some.integers(1, 40), some.integers(1, 50)
)
def test_the_last_lines_are_the_last_of_all_lines(lines: list[bytes], rest: bytes, most: int, piece: int) -> None:
    """In pieces of any size, which cut lines anywhere; reading forwards from there gives the rest, once."""
    data = b"".join(line + b"\n" for line in lines) + rest
    before = file_tails.FIRST, file_tails.PIECE
    file_tails.FIRST = file_tails.PIECE = piece
    try:
        found, end = last(data, most)
    finally:
        file_tails.FIRST, file_tails.PIECE = before
    assert found == whole(data)[-most:]
    assert end == data.rfind(b"\n") + 1
    forwards = Forwards(end)
    assert [*forwards.feed(data[end:]), *forwards.feed(b"\n")] == list(split(data[end:] + b"\n", end))


@given(TEXTS, some.lists(some.integers(0, 40), max_size=6))
def test_a_growing_file_gives_each_line_once(lines: list[bytes], cuts: list[int]) -> None:
    """However it is cut."""
    data = b"".join(line + b"\n" for line in lines)
    file = Forwards(0)
    found: list[Found] = []
    for length in [*cuts, len(data)]:
        found += file.feed(data[file.offset : file.offset + length])
    assert found == whole(data)


def test_a_last_line_without_newline_is_one_when_nobody_writes_any_more() -> None:
    """While somebody does it may go on."""
    assert last(b"a\nb", 5) == ([(0, b"a")], 2)
    assert last(b"a\nb", 5, final=True) == ([(0, b"a"), (2, b"b")], 3)
    file = Forwards(0)
    assert file.feed(b"a\nb") == [(0, b"a")]
    assert file.close() == [(2, b"b")]


def test_a_hole_is_left_out_with_the_rest_of_the_line_that_it_ends_in() -> None:
    """And nothing before it is asked for, as there is nothing."""
    data = bytes(4 * file_tails.PIECE) + b"half a line\nwhole\nlast\n"
    asked = []
    tail = Backwards(len(data), 100, lambda line: True)
    while tail.wants() is not None:
        offset, length = tail.wants() or (0, 0)
        asked.append(offset)
        tail.feed(data[offset : offset + length])
    assert [text for _, text in tail.lines] == [b"whole", b"last"]
    assert len(asked) == 2
    assert [text for _, text in split(bytes(PAGE) + b"half\nwhole\n", 0)] == [b"whole"]
    # a program that prints zeros itself is believed
    assert list(split(b"\0\0mine\n", 0)) == [(0, b"\0\0mine")]


def test_only_lines_that_pass_the_test_count() -> None:
    """The search goes back until there are enough of them."""
    data = b"".join(b"%d %s\n" % (number, b"x" * 3000) for number in range(100))
    found, _ = last(data, 2, lambda line: line.startswith((b"3 ", b"50 ", b"7 ")))
    assert [line.split()[0] for _, line in found] == [b"7", b"50"]


def test_a_search_for_what_is_rare_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """And says how far it came."""
    monkeypatch.setattr(file_tails, "MOST", 100_000)
    tail = Backwards(10_000_000, 1, lambda line: False)
    while tail.wants() is not None:
        tail.feed(b"line\n" * ((tail.wants() or (0, 0))[1] // 5))
    assert tail.given_up and tail.looked >= 100_000


def test_a_file_that_was_emptied_begins_anew() -> None:
    """Half a line of before is forgotten."""
    file = Forwards(0)
    file.feed(b"old\nhalf")
    file.restart()
    assert file.feed(b"new\n") == [(0, b"new")]


@pytest.mark.parametrize(
    ("line", "when"),
    [
        (b"2026-11-23T05:35:28.450+0000 subscribed", "2026-11-23T05:35:28.450000+00:00"),
        (b"[2026-11-23 06:35:28,5 +01:00] x", "2026-11-23T05:35:28.500000+00:00"),
        (b"2026-11-23T05:35:28Z x", "2026-11-23T05:35:28+00:00"),
        (b"2026-11-23 05:35:28.123456789 UTC x", "2026-11-23T05:35:28.123457+00:00"),
        (b"2026-13-23 05:35:28 UTC", ""),
        (b"at 2026-11-23 05:35:28", ""),
        (b"tick 3", ""),
    ],
)
def test_the_time_that_a_line_says_itself(line: bytes, when: str) -> None:
    """ISO 8601 at the beginning, as the executor's lines have it."""
    found = own_time(line)
    assert (datetime.fromtimestamp(found, timezone.utc).isoformat() if found else "") == when


def test_lines_without_a_time_stay_with_those_before_them() -> None:
    """In a file without any time they are as old as the file."""
    assert places([0.0, 5.0, 0.0, 7.0, 0.0], 100.0) == [5.0, 5.0, 5.0, 7.0, 7.0]
    assert places([0.0, 0.0], 100.0) == [100.0, 100.0]


@pytest.mark.parametrize(
    ("text", "line", "holds"),
    [
        ("", "anything", True),
        ("lost", "link LOST: fiber 3", True),
        ("lost link", "link lost", True),
        ("lost fiber", "link lost", False),
        ('"link lost"', "the link, lost again", True),
        ('"lost link"', "link lost", False),
        ("fib*", "fiber 3", True),
        ("fib", "fiber 3", False),
        ("link -fiber", "link 3", True),
        ("link -fiber", "link fiber", False),
        ('link -"fiber 3"', "link fiber 4", True),
        ("hlt01.daq", "from hlt01.daq: x", True),
    ],
)
def test_words_are_found_as_elasticsearch_would(text: str, line: str, holds: bool) -> None:
    """The same `--grep` in both places."""
    assert matcher(text)(line) is holds


# -- a moment in a file ----------------------------------------------------------------------------------------------


def sought(data: bytes, moment: float) -> tuple[TimeBisect, int]:
    """The search for a moment in a file with this content, and how many pieces it took."""
    seek, pieces = TimeBisect(len(data), moment), 0
    while (asked := seek.wants()) is not None:
        seek.feed(data[asked[0] : asked[0] + asked[1]])
        pieces += 1
    return seek, pieces


def ahead(data: bytes, offset: int, most: int) -> list[tuple[float, Found]]:
    """The lines from there on."""
    reading = Ahead(offset, len(data), most, lambda time, line: True)
    while (asked := reading.wants()) is not None:
        reading.feed(data[asked[0] : asked[0] + asked[1]])
    return reading.lines


def stamped(seconds: int, text: str) -> bytes:
    """A line with its time: so many seconds after 2026-01-01."""
    return f"2026-01-01T00:{seconds // 60:02d}:{seconds % 60:02d}Z {text}\n".encode()


BEGIN = datetime(2026, 1, 1, tzinfo=timezone.utc).timestamp()


@example(steps=[(0, False, 24), (0, True, 0), (0, False, 3)], moment=0, piece=4150)  # a line at the very middle
@given(
    some.lists(some.tuples(some.integers(0, 2), some.booleans(), some.integers(0, 200)), max_size=60),
    some.integers(-1, 121),
    some.integers(4150, 6000),
)
def test_a_moment_is_found_where_reading_it_all_finds_it(
    steps: list[tuple[int, bool, int]], moment: int, piece: int
) -> None:
    """Lines with and without times, in pieces of any size: the first line of that time or later, and the lines from there on."""
    lines, now = [], 0
    for step, timed, length in steps:
        now += step
        lines.append(stamped(now, "x" * length) if timed else b"  " + b"y" * length + b"\n")
    data = b"".join(lines)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time_bisect, "PIECE", piece)
        seek, _ = sought(data, BEGIN + moment)
        found = ahead(data, seek.offset, 7)
    at = next((at for at, line in enumerate(lines) if own_time(line) >= BEGIN + moment), len(lines))
    assert seek.offset == len(b"".join(lines[:at]))
    assert seek.timed == any(map(own_time, lines))
    assert [line for _, (_, line) in found] == [line[:-1] for line in lines[at : at + 7]]


@pytest.mark.once
def test_a_moment_in_a_large_file_costs_few_pieces() -> None:
    """Also where most of it is a hole, and where no line has a time."""
    data = b"".join(stamped(n // 100, f"line {n}") for n in range(300_000))
    seek, pieces = sought(data, BEGIN + 1000)
    assert data[seek.offset :].startswith(stamped(1000, "line 100000")) and pieces < 12
    gone = len(data) // 2 // PAGE * PAGE
    seek, pieces = sought(b"\0" * gone + data[gone:], BEGIN)
    assert gone <= seek.offset < gone + 100 and pieces < 20
    seek, pieces = sought(b"a line without a time\n" * 500_000, BEGIN)
    assert not seek.timed and pieces < 200


def test_a_file_that_cannot_be_read_ends_the_search() -> None:
    """Nothing is asked for again."""
    seek = TimeBisect(1_000_000, BEGIN)
    seek.stop()
    assert seek.wants() is None and not seek.timed
    reading = Ahead(0, 1_000_000, 5, lambda time, line: True)
    reading.stop()
    assert reading.wants() is None and not reading.lines
