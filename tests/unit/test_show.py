"""What status shows of a program that is not well."""

from __future__ import annotations

import pytest

from daqsched.terminal.show import last_words
from daqsched.views.view import Row
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
