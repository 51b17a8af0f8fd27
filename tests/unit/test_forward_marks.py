"""When which bytes were seen."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from daqsched_executor.forward.journal.marks import MOST, Mark, Marks


def test_a_line_has_the_time_of_the_first_look_that_saw_its_first_byte() -> None:
    """Bytes that no look has seen have none yet."""
    marks = Marks()
    assert marks.at(0) is None and marks.latest == 0
    marks.see(10, 100, "")
    marks.see(30, 200, "7")
    assert [marks.at(offset) for offset in (0, 9, 10, 29)] == [Mark(10, 100), Mark(10, 100), *[Mark(30, 200, "7")] * 2]
    assert marks.at(30) is None and marks.latest == 200
    marks.forget(10)
    assert marks.all() == [Mark(30, 200, "7")]


def test_what_was_left_for_later_does_not_become_later_than_what_lies_behind_it() -> None:
    """However coarse the marks grow, the one at its end stays."""
    marks = Marks()
    for at in range(1, 50):
        marks.see(at * 10, at, "")
    end = 303  # the line that begins at 300 was left for later, too
    for at in range(50, 2000):
        marks.see(at * 10, at, "", [end])
    assert marks.at(299) == Mark(300, 30) and len(marks.all()) <= MOST + 1


@given(st.lists(st.tuples(st.integers(1, 100), st.integers(0, 3)), min_size=1, max_size=600))
def test_marks_are_bounded_and_never_make_a_line_older_or_give_it_to_another_run(steps: list[tuple[int, int]]) -> None:
    """However long the queue: the last run of each stretch of looks keeps its own end."""
    marks = Marks()
    offset, time, seen = 0, 0, []
    for grown, run in steps:
        offset, time = offset + grown, time + 1
        seen.append((offset, time, str(run)))
        marks.see(offset, time, str(run))
    kept = marks.all()
    assert kept == sorted(kept) and kept[-1] == seen[-1]
    if len({run for _, _, run in seen}) == 1:
        assert len(kept) <= MOST + 1
    for end, when, whose in seen:
        mark = marks.at(end - 1)
        assert mark is not None and mark.micros >= when and mark.run == whose
