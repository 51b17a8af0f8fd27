"""Times for people carry their zone, and are made in one place."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from datetime import timedelta, timezone, tzinfo
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daqsched.times import clock, iso, moment, utc_day

FRAMEWORK = Path(__file__).resolve().parent.parent.parent / "framework" / "daqsched"
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


#: Who besides `times` may make a time of seconds, and why.
ALLOWED = {
    "logs/lines.py": "a line's clock stands in a column of thousands, and is said to be local time; --json has the zone",
    "logs/intervals.py": "asks a calendar where days begin; shows nothing",
    "terminal/heat.py": "labels of an axis; the line above the map has the zone",
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
            isinstance(node, ast.FormattedValue) and node.format_spec is not None and "'%" in ast.dump(node.format_spec)
        ):
            yield "format"


def test_times_are_made_in_one_place() -> None:
    """So that each carries its zone; who is allowed to do without needs it still."""
    found = {
        str(path.relative_to(FRAMEWORK))
        for path in FRAMEWORK.rglob("*.py")
        if path.name != "times.py" and list(made(path.read_text(encoding="utf-8")))
    }
    assert found == set(ALLOWED)


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
