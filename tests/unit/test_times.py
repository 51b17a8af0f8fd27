"""Times for people carry their zone, and each side makes them in one place."""

from __future__ import annotations

import ast
import logging
import re
import time
from collections.abc import Iterator
from datetime import timedelta, timezone, tzinfo
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daqsched.serve.log import Plain
from daqsched.times import clock, iso, log_clock, moment, utc_day
from daqsched_executor.forward.forms.times import Times
from daqsched_executor.forward.status import report
from daqsched_executor.machine import kernel

ROOT = Path(__file__).resolve().parent.parent.parent
FRAMEWORK, EXECUTOR = ROOT / "framework" / "daqsched", ROOT / "executor" / "daqsched_executor"
#: 2026-11-23 14:03:07.5 UTC
MOMENT = 1_795_442_587.5


@pytest.mark.parametrize(
    ("zone", "words"),
    [
        (timezone.utc, "2026-11-23 14:03:07 UTC"),
        (timezone(timedelta(0), "GMT"), "2026-11-23 14:03:07 UTC"),
        (timezone(timedelta(hours=1)), "2026-11-23 15:03:07+01:00"),
        (timezone(timedelta(hours=-3, minutes=-30)), "2026-11-23 10:33:07-03:30"),
        (timezone(timedelta(hours=14)), "2026-11-24 04:03:07+14:00"),
    ],
)
def test_a_time_says_its_zone(zone: tzinfo, words: str) -> None:
    """An offset is the same for all who read it; an abbreviation has several meanings."""
    assert clock(MOMENT, zone) == words


#: As TZ has them: the name, and what is to be added for UTC.
ZONES = ["UTC", "GMT0", "Europe/Zurich", "America/St_Johns", "ODD-12:45", "Asia/Kolkata", "ALMOST-00:00:30"]


@pytest.fixture(params=ZONES)
def zone_here(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A machine in a zone."""
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield request.param
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize("seconds", [MOMENT, MOMENT - 150 * 86400, 0.0])
def test_all_parts_say_a_time_in_the_same_words(zone_here: str, seconds: float) -> None:
    """Daemon and commands, an executor's sentences, a forwarder's status; in winter and in summer."""
    assert kernel.clock(seconds) == report.clock(seconds) == clock(seconds)
    assert clock(seconds).endswith(" UTC") or clock(seconds)[19] in "+-"


def test_an_executors_sentences_have_its_zone(zone_here: str) -> None:
    """`since ...` of a report is the `clock` of the moment."""
    now = kernel.Kernel().now()
    assert now.clock == clock(now.wall)


def test_an_entry_of_the_daemons_log_has_its_zone(zone_here: str) -> None:
    """To the millisecond; a forwarder that stores such a log reads the same time."""
    record = logging.LogRecord("daqsched", logging.INFO, "", 0, "alice stopped readout", None, None)
    record.created = MOMENT
    entry = Plain().format(record)
    assert entry == f"{log_clock(MOMENT)} INFO alice stopped readout"
    assert log_clock(MOMENT).replace(",500", "") == clock(MOMENT)
    assert (
        zone_here == "ALMOST-00:00:30" or Times("python", "serve.log").micros(entry, int(MOMENT * 1e6)) == MOMENT * 1e6
    )


@given(st.integers(0, 250_000_000_000), st.integers(-14 * 4, 14 * 4))
def test_a_time_that_is_shown_can_be_typed(seconds: int, quarters: int) -> None:
    """Copied out of one command's answer, it is understood by --since and --at."""
    assert moment(clock(seconds, timezone(timedelta(minutes=15 * quarters))), 0.0) == seconds


@given(st.floats(allow_nan=False))
def test_a_time_of_any_year_is_shown(seconds: float) -> None:
    """Others' documents and answers may say what no calendar has."""
    assert clock(seconds) and iso(seconds).endswith("Z")


def test_a_date_is_that_of_all_zones() -> None:
    """A certificate ends at the same moment for everybody."""
    assert utc_day(MOMENT) == "2026-11-23 (UTC)" and iso(MOMENT) == "2026-11-23T14:03:07.500000Z"


#: Who may make a time of seconds, and why.
ALLOWED = {
    FRAMEWORK: {
        "times.py": "makes all others",
        "authority.py": "the day on which a certificate ends, of which its library says UTC",
        "cli/cert.py": "the day in an authority's name, in UTC",
        "bundle.py": "the name of a file, in UTC: no colon, no blank",
        "logs/lines.py": "a line's clock stands in a column of thousands, and is said to be local time; --json has the zone",
        "logs/intervals.py": "asks a calendar where days begin; shows nothing",
        "terminal/heat.py": "labels of an axis; the line above the map has the zone",
    },
    EXECUTOR: {
        "machine/kernel.py": "makes those of an executor's sentences",
        "log.py": "the lines of executor.log begin with a time that programs read; it has its zone",
        "forward/status/report.py": "makes those of a forwarder's sentences: it imports nothing of an executor",
        "forward/documents/record.py": "a document's time, in UTC",
        "forward/forms/moment.py": "the same",
        "forward/forms/text.py": "the same",
        "forward/forms/times.py": "reads others' times",
    },
}


def made(text: str) -> Iterator[str]:
    """What makes a time of seconds, or text of a time."""
    names = {"localtime", "gmtime", "ctime", "asctime", "strftime", "fromtimestamp", "utcfromtimestamp", "isoformat"}
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Attribute) and node.attr in names:
            yield node.attr
        elif isinstance(node, ast.ImportFrom):
            yield from sorted({alias.name for alias in node.names} & names)
        elif (
            isinstance(node, ast.FormattedValue)
            and node.format_spec is not None
            and re.search("'%[a-zA-Z]", ast.dump(node.format_spec))
        ):
            yield "format"


@pytest.mark.once
@pytest.mark.parametrize("root", ALLOWED, ids=lambda root: root.name)
def test_times_are_made_in_one_place(root: Path) -> None:
    """So that each carries its zone; who is allowed to do without needs it still."""
    found = {str(path.relative_to(root)) for path in root.rglob("*.py") if list(made(path.read_text(encoding="utf-8")))}
    assert found == set(ALLOWED[root])


def test_a_time_is_found_in_every_spelling() -> None:
    """Else the test above would be content with nothing."""
    for text in (
        "time.strftime('%H')",
        "from time import localtime",
        "datetime.fromtimestamp(1)",
        "f'{when:%H:%M}'",
        "when.isoformat()",
    ):
        assert list(made(text)), text
    assert not list(made("f'{share:.1%} {count:,}'"))
