"""The table of `daqsched status`, as a terminal of 120 columns shows it."""

from __future__ import annotations

from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from daqsched.hosts import fold
from daqsched.protocol import StatusAnswer
from daqsched.terminal.show import status_table
from daqsched.views.rows import Row


def table(*rows: Row, wide: bool = False, width: int = 120) -> list[str]:
    """The lines of a terminal with so many columns."""
    console = Console(width=width, record=True, file=StringIO())
    console.print(status_table(StatusAnswer(list(rows), 1, "d", "alice", 0.0, "m:5050", True, 1000.0), wide))
    return [line.rstrip() for line in console.export_text().splitlines()]


def running(host: str, **more: Any) -> Row:
    return Row("readout", host, "RUNNING", since=940.0, release="r8", pid=7, **more)


def test_what_is_alike_on_many_hosts_is_one_line() -> None:
    """And what differs keeps its own; the youngest of the many gives the time."""
    rows = [running(f"hlt{n:03d}") for n in range(1, 200)]
    rows.append(running("hlt200", restarts=2, reason="last end: exit code 1 after 3.0 s"))
    lines = table(*rows)
    assert len(lines) == 4
    assert lines[1].split() == "readout hlt[001-199] RUNNING 1 min r8 199 hosts".split()
    assert "hlt200" in lines[2] and "pid 7; last end: exit code 1" in lines[2]
    assert lines[3].startswith("200 RUNNING; revision 1")
    assert len(table(*rows, wide=True)) == 202


def test_few_hosts_and_reasons_that_differ_stay_apart() -> None:
    """A reason that only differs by the host's name is the same."""
    rows = [Row("a", f"h{n}", "WAITING", f"no offer from h{n}: is its agent up?") for n in range(6)]
    assert "6 hosts; no offer from its host: is its agent up?" in table(*rows)[1]
    assert len(table(*rows[:5])) == 7
    rows[0] = Row("a", "h0", "WAITING", "port 80 is taken or not offered on h0")
    assert len(table(*rows)) == 8


def test_a_job_without_a_machine_has_a_line_of_its_own() -> None:
    """Its host is empty."""
    line = table(Row("gpu", "", "WAITING", "no machine has gpu=yes yet; it starts when one does"))[1]
    assert line.split()[:2] == ["gpu", "WAITING"]


@pytest.mark.parametrize("width", [40, 41, 50, 60, 72, 80, 100, 120, 300])
def test_what_identifies_a_row_is_there_at_any_width(width: int) -> None:
    """Job, host and state whole, and all there is to say; in a table where that has room, else in lines."""
    rows = [
        running("hlt01"),
        Row("event_builder", "daq-hlt03.example.org", "BACKOFF", "exit code 3 after 2.0 s", 900.0, "release-08", 12),
        Row("j" * 60, "h" * 63, "UNREACHABLE", "h has not answered"),
        Row("gpu", "", "WAITING", "no machine has gpu=yes yet; it starts when one does"),
        *(Row("rcd", f"pc{number * number}", "RUNNING", pid=number) for number in range(9)),
    ]
    lines = table(*rows, width=width)
    assert max(map(len, lines)) <= width
    # lines are broken anywhere
    said = "".join("".join(lines).split())
    for row in rows[:4]:
        whole = row.job + "@" + row.host if "@" in said and row.host else row.job
        assert whole in said and row.state in said, lines
        assert "".join(row.reason.split()) in said or "WHAT" in said
    assert "".join(fold(row.host for row in rows[4:]).split()) in said or "WHAT" in said
    assert "…" not in said


def test_a_terminal_of_80_columns_has_a_table_where_it_fits() -> None:
    """As most do."""
    assert table(running("hlt01"), running("hlt02"), width=80)[0].split() == [
        "JOB", "HOST", "STATE", "AGE", "VERSION", "RESTARTS", "WHAT",
    ]  # fmt: skip
    assert table(running("hlt01"), width=40)[:2] == ["readout@hlt01 RUNNING, 1 min, r8", "    pid 7"]
