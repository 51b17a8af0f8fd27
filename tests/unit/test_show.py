"""What status shows of a program that is not well."""

from __future__ import annotations

from typing import Optional

import pytest

from daqsched.protocol import Applied, WhyAnswer
from daqsched.spec import FORWARDER
from daqsched.states import Shown
from daqsched.terminal.canvas import Canvas
from daqsched.terminal.show import last_words
from daqsched.terminal.show_changes import MOST_CHANGES, counts_line, plan_lines, verdict_line, why_lines
from daqsched.views.plan import Change, Plan
from daqsched.views.rows import Row, Story
from daqsched_executor.contract import Exit, Report
from daqsched_executor.contract.report import NOT_STARTED

DEAD = Report("backoff", last_exit=Exit(0.0, 1.0, code=1, lines=("Traceback", "no such device")))


def told(why: str, printed: bool = True) -> Report:
    """Of a program of which others say why it does not run."""
    return Report("backoff", last_exit=Exit(0.0, 0.0, code=127, why=why, lines=("no such file",), printed=printed))


@pytest.mark.parametrize(
    ("state", "report", "shown"),
    [
        ("BACKOFF", DEAD, ["  | Traceback", "  | no such device"]),
        ("STARTING", DEAD, ["  | Traceback", "  | no such device"]),
        ("RUNNING", DEAD, []),
        ("UNHEALTHY", DEAD, []),
        ("BACKOFF", told("not started", printed=False), ["  no such file"]),
        ("BACKOFF", told(NOT_STARTED), ["  no such file"]),  # of an executor before the field
        ("BACKOFF", Report("backoff"), []),
        ("WAITING", None, []),
    ],
)
def test_the_last_lines_are_shown_of_what_is_not_well(state: Shown, report: Optional[Report], shown: list[str]) -> None:
    """One that runs again has them in its logs."""
    assert last_words(Row("readout", "hlt01", state, report=report)) == shown


def test_a_host_that_is_away_is_one_paragraph_for_all_its_jobs(capsys: pytest.CaptureFixture[str]) -> None:
    """Not the same two lines once more for each of them."""
    why, evidence = (
        "hlt03 stopped answering the master, which said so 7.5 s ago; waiting for it",
        ("2 instances on hlt03 in this state",),
    )
    away = [Story(job, "hlt03", "UNREACHABLE", why, evidence) for job in ("readout", "nsmd2")]
    Canvas(width=200).print(why_lines(WhyAnswer([*away, Story("evb", "hlt01", "UNREACHABLE", "another", evidence)], 3)))
    assert capsys.readouterr().out.splitlines() == [
        f"readout@hlt03, nsmd2@hlt03  UNREACHABLE  {why}",
        f"    {evidence[0]}",
        "evb@hlt01  UNREACHABLE  another",
        f"    {evidence[0]}",
    ]


def test_what_ended_lately_stands_below_what_is_not_well_or_below_that_all_is(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """And a sentence about one does not say "all 1 are"."""
    flaky = Story("flaky", "hlt02", "RUNNING", "pid 7, 3 restarts")
    lately = ["These run as desired, and ended within the last ten minutes:", "flaky@hlt02  RUNNING  pid 7, 3 restarts"]
    for answer, said in (
        (WhyAnswer([], 0), ["Nothing is desired yet."]),
        (WhyAnswer([], 1), ["It is as desired."]),
        (WhyAnswer([], 2), ["All 2 are as desired."]),
        (
            WhyAnswer([], 2, master="control:5050", connected=False),
            [
                "NO CONNECTION to the master control:5050: nothing can be started or stopped; this is how it last was.",
                "All 2 are as desired, as far as is known.",
            ],
        ),
        (WhyAnswer([], 1, lately=[flaky]), ["It is as desired.", *lately]),
        (
            WhyAnswer([Story("evb", "hlt01", "UNREACHABLE", "gone")], 2, lately=[flaky]),
            ["evb@hlt01  UNREACHABLE  gone", *lately],
        ),
    ):
        Canvas(width=200).print(why_lines(answer))
        assert capsys.readouterr().out.splitlines() == said


def test_what_is_alike_on_many_hosts_names_no_command_of_one(capsys: pytest.CaptureFixture[str]) -> None:
    """It is one for all of them, and can be typed."""
    each = [Story("ioc", host, "STOPPED", f"waits: `daqsched start ioc@{host}`", ()) for host in ("hlt01", "hlt02")]
    for stories, command in ((each, "'ioc@hlt[01-02]'"), (each[:1], "ioc@hlt01")):
        Canvas(width=200).print(why_lines(WhyAnswer(stories, 2)))
        assert f"`daqsched start {command}`" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("figures", "said"),
    [
        ((4, 2, 3), ""),
        ((None, None, None), ""),
        (
            (4, 1, 3),
            "3 to start, 4 to stop, 1 to restart, 1 changed without a restart. The plan said 2 to restart: what did not run "
            "need not end, or the farm changed in between.",
        ),
        (
            (0, 0, 0),
            "1 changed without a restart. The plan said 3 to start, 4 to stop, 2 to restart: what did not run need not end, or the "
            "farm changed in between.",
        ),
    ],
)
def test_what_the_engine_made_of_an_apply_is_said_where_the_plan_says_another(
    figures: tuple[Optional[int], Optional[int], Optional[int]], said: str
) -> None:
    """Not for forwarders, and not where a daemon of before does not say."""
    changes = (
        Change("new", "add", "hlt[01-03]", 3),
        Change("old", "remove", "hlt[01-04]", 4),
        Change("readout", "restart", "hlt[01-02]", 2),
        Change(FORWARDER, "restart", "hlt[01-09]", 9),
        Change(FORWARDER, "add", "hlt10", 1),
        Change("owned", "silent", "hlt01", 1),
    )
    stops, restarts, starts = figures
    assert verdict_line(Applied(Plan("d", "b", changes), 7, 0, stops, restarts, starts)) == said


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ((), "Nothing changes."),
        (
            (Change("a", "add", "hlt[01-08]", 8), Change(FORWARDER, "add", "hlt[01-03]", 3)),
            "8 to start; forwarders: 3 to start.",
        ),
        ((Change(FORWARDER, "restart", "hlt[01-02]", 2),), "Forwarders: 2 to restart."),
        (
            (Change("a", "silent", "hlt01", 1, starts=1), Change(FORWARDER, "silent", "hlt01", 1, starts=1)),
            "1 changed without a restart, of which 1 that do not run start; forwarders: 1 changed without a restart.",
        ),
        (
            (
                Change("a", "add", "hlt01", 1),
                Change("b", "remove", "hlt02", 1),
                Change(FORWARDER, "remove", "hlt02", 1),
            ),
            "1 to start, 1 to stop; forwarders: 1 to stop.",
        ),
    ],
)
def test_forwarders_are_counted_apart(changes: tuple[Change, ...], said: str) -> None:
    """What a file says is what its reader counts."""
    assert counts_line(Plan("d", "b", changes)) == said


def test_a_plan_is_cut_where_people_read_the_counts(capsys: pytest.CaptureFixture[str]) -> None:
    """Not before; and what is left out is said."""
    changes = tuple(Change(f"job{number}", "remove", "hlt01", 1) for number in range(41))
    Canvas(width=200).print(plan_lines(Plan("d", "b", changes[:40])))
    whole = capsys.readouterr().out
    assert MOST_CHANGES == 40 and whole.count("stop 1") == 40 and "more" not in whole
    Canvas(width=200).print(plan_lines(Plan("d", "b", changes)))
    assert "... and 1 more" in capsys.readouterr().out
