"""Lines that are dated after now, `daqsched.logs.future_lines`."""

from __future__ import annotations

from daqsched.logs.future_lines import ahead_words, placed
from daqsched.logs.lines import Line

NOW = 1_795_400_000.0


def line(text: str, at: float, host: str = "hlt01", seen: float = 0.0) -> Line:
    """Printed then, seconds from now."""
    return Line(NOW + at, host, "job", "stdout", "", text, text, created=NOW + seen if seen else 0.0)


def test_a_sender_s_date_does_not_hide_what_was_seen_later() -> None:
    """Lines of 2076 stand where they were seen."""
    found = placed([line("a", -60), line("newest", -1)], [line("2076", 1.6e9, seen=-30)], NOW)
    assert [one.message for one in found] == ["a", "2076", "newest"]


def test_a_host_whose_clock_is_ahead_comes_before_the_newest_of_the_others() -> None:
    """In its own order, moved so that its newest is of now."""
    ahead = [line(f"ahead {at}", 3600 - 100 * (2 - at), "hlt09") for at in range(3)]
    found = placed([line("a", -150), line("b", -50), line("newest", -1)], ahead, NOW)
    assert [one.message for one in found] == ["ahead 0", "a", "ahead 1", "b", "ahead 2", "newest"]
    assert [one.message for one in placed([], ahead, NOW)] == ["ahead 0", "ahead 1", "ahead 2"]


def test_who_is_ahead_is_told() -> None:
    """Once, with the host."""
    assert ahead_words([line("a", 1)], NOW) == ""
    assert "2 of these lines are dated after now" in ahead_words([line("a", 60), line("b", 90)], NOW)
