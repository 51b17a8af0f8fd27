"""Intervals of local time, `daqsched.logs.intervals`: every zone and every change of clocks."""

from __future__ import annotations

import datetime
import zoneinfo

import pytest

from daqsched.logs.count import groups_asked
from daqsched.logs.intervals import Columns, offset_s, start, stretches

ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "Asia/Kathmandu"]


def at(zone: str, year: int, month: int, day: int, hour: int = 0, minute: int = 0) -> float:
    """A local time in seconds since the epoch."""
    return datetime.datetime(year, month, day, hour, minute, tzinfo=zoneinfo.ZoneInfo(zone)).timestamp()


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("every_s", [900, 3600, 6 * 3600, 86400])
def test_each_moment_of_a_year_lies_in_one_interval_that_begins_on_the_wall(zone: str, every_s: float) -> None:
    """Days at midnight, six hours at 0, 6, 12, 18, whatever the clocks do; and later moments never in earlier intervals."""
    here = zoneinfo.ZoneInfo(zone)
    moment, end, last = at("UTC", 2026, 1, 1), at("UTC", 2027, 1, 1), -1.0
    while moment < end:
        begin = start(moment, every_s, here)
        wall = datetime.datetime.fromtimestamp(begin, here)
        changed = offset_s(begin - 1, here) != offset_s(begin, here)  # the hour may not be there
        assert changed or (wall.hour * 3600 + wall.minute * 60 + wall.second) % every_s == 0
        assert last <= begin <= moment < begin + every_s + 3600
        assert start(begin, every_s, here) == begin
        last = begin
        moment += 1700.0


@pytest.mark.parametrize("zone", ZONES)
def test_stretches_are_a_whole_time_and_clocks_are_changed_between_them_only(zone: str) -> None:
    """Within each, what Elasticsearch counts in equal steps are local days."""
    here = zoneinfo.ZoneInfo(zone)
    begin, end = at(zone, 2025, 12, 20, 13), at(zone, 2027, 2, 3)
    found = stretches(begin, end, 86400, begin, here)
    assert (found[0].begin, found[-1].end) == (begin, end)
    assert all(one.end == next_one.begin for one, next_one in zip(found, found[1:]))
    for one in found:
        assert one.begin is not None and one.end is not None
        assert {offset_s(one.begin + at_s, here) for at_s in range(0, int(one.end - one.begin), 3601)} == {one.offset_s}
    assert len(found) == (1 if zone in ("UTC", "Asia/Kolkata", "Asia/Kathmandu") else 3)


def test_short_intervals_and_times_without_bound_are_one_stretch() -> None:
    """Nothing is asked for more often than it must be."""
    assert len(stretches(0.0, 2e9, 60, 1.0)) == 1
    assert len(stretches(None, None, 86400, 1.0)) == 1
    histogram = groups_asked([], 86400, None, 7200)["groups"]["composite"]["sources"][0]["time"]["date_histogram"]
    assert histogram["offset"] == "+79200000ms"
    assert (
        "offset"
        not in groups_asked([], 3600, None, 7200)["groups"]["composite"]["sources"][0]["time"]["date_histogram"]
    )


@pytest.mark.parametrize(("month", "first", "last"), [(3, 28, 30), (10, 24, 26)])
def test_columns_of_days_begin_at_midnight_across_a_change_of_clocks(month: int, first: int, last: int) -> None:
    """Days of 23 and 25 hours are one column as others."""
    here = zoneinfo.ZoneInfo("Europe/Berlin")
    columns = Columns(
        at("Europe/Berlin", 2026, month, first), at("Europe/Berlin", 2026, month, last + 1), 86400, 50, here
    )
    days = [datetime.datetime.fromtimestamp(one, here) for one in columns.starts]
    assert [(day.day, day.hour) for day in days] == [(day, 0) for day in range(first, last + 1)]
    for day in range(first, last + 1):
        assert columns.at(at("Europe/Berlin", 2026, month, day, 23, 59)) == day - first
        assert columns.at(start(at("Europe/Berlin", 2026, month, day, 12), 86400, here)) == day - first
    assert columns.at(columns.starts[0] - 1) is None
