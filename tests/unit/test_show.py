"""What status shows of a program that is not well."""

from __future__ import annotations

import pytest

from daqsched.protocol import WhyAnswer
from daqsched.terminal.canvas import Canvas
from daqsched.terminal.show import last_words
from daqsched.terminal.show_changes import MOST_CHANGES, plan_lines, why_lines
from daqsched.views.plan import Change, Plan
from daqsched.views.status import Row
from daqsched.views.why import Story
from daqsched_executor.contract import Exit, Report

DEAD = Report("backoff", last_exit=Exit(0.0, 1.0, code=1, lines=("Traceback", "no such device")))


@pytest.mark.parametrize(
    ("state", "report", "shown"),
    [
        ("BACKOFF", DEAD, ["  | Traceback", "  | no such device"]),
        ("STARTING", DEAD, ["  | Traceback", "  | no such device"]),
        ("RUNNING", DEAD, []),
        ("UNHEALTHY", DEAD, []),
        ("BACKOFF", Report("backoff"), []),
        ("WAITING", None, []),
    ],
)
def test_the_last_lines_are_shown_of_what_is_not_well(state: str, report: Report, shown: list[str]) -> None:
    """One that runs again has them in its logs."""
    assert last_words(Row("readout", "hlt01", state, report=report)) == shown  # type: ignore[arg-type]


def test_a_host_that_is_away_is_one_paragraph_for_all_its_jobs(capsys: pytest.CaptureFixture[str]) -> None:
    """Not the same two lines once more for each of them."""
    why, evidence = (
        "hlt03 stopped answering the master, which said so 7.5 s ago; waiting for it",
        ("1 more on hlt03 in the same state",),
    )
    away = [Story(job, "hlt03", "UNREACHABLE", why, evidence) for job in ("readout", "nsmd2")]
    Canvas(width=200).print(why_lines(WhyAnswer([*away, Story("evb", "hlt01", "UNREACHABLE", "another", evidence)], 3)))
    assert capsys.readouterr().out.splitlines() == [
        f"readout@hlt03, nsmd2@hlt03  UNREACHABLE  {why}",
        f"    {evidence[0]}",
        "evb@hlt01  UNREACHABLE  another",
        f"    {evidence[0]}",
    ]


def test_a_plan_is_cut_where_people_read_the_counts(capsys: pytest.CaptureFixture[str]) -> None:
    """Not before; and what is left out is said."""
    changes = tuple(Change(f"job{number}", "remove", "hlt01", 1) for number in range(41))
    Canvas(width=200).print(plan_lines(Plan("d", "b", changes[:40])))
    whole = capsys.readouterr().out
    assert MOST_CHANGES == 40 and whole.count("stop 1") == 40 and "more" not in whole
    Canvas(width=200).print(plan_lines(Plan("d", "b", changes)))
    assert "... and 1 more" in capsys.readouterr().out
