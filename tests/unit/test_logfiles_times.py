"""When a line says that it was written: every preset with a line as the program writes it, and what a line leaves out."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daqsched_executor.forward.forms.times import TIMES, Times, of_format

#: 2026-11-23 04:06:10 UTC, 05:06:10 in Geneva.
SEEN = 1_795_406_770_000_000
LINE = "2026-11-23T04:06:02"


@pytest.fixture(autouse=True)
def geneva(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine in Geneva: an hour or two before UTC."""
    monkeypatch.setenv("TZ", "Europe/Zurich")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def read(how: str, line: str, seen: int = SEEN, name: str = "x.log") -> str:
    """The line's time in UTC, to the microsecond."""
    micros = Times(how, name).micros(line, seen)
    if micros is None:
        return ""
    return (datetime(1970, 1, 1) + timedelta(microseconds=micros)).isoformat(timespec="microseconds")


#: Each preset with lines as the programs write them. docs/reference/logfiles.md shows the first of each.
EXAMPLES = [
    ("iso", "2026-11-23T05:06:02.123456+01:00 run started", f"{LINE}.123456"),
    ("iso", "2026-11-23 05:06:02,123 run started", f"{LINE}.123000"),
    ("iso", "[2026/11/23 04:06:02Z] run started", f"{LINE}.000000"),
    ("iso", "2026-11-23 04:06:02 UTC run started", f"{LINE}.000000"),
    ("iso", "2026-11-23 05:06:02 -1200 V on channel 7", f"{LINE}.000000"),
    ("iso", "2026-11-23T04:06Z run started", "2026-11-23T04:06:00.000000"),
    ("python", "2026-11-23 05:06:02,123 ERROR readout: no trigger", f"{LINE}.123000"),
    ("log4j", "2026-11-23 05:06:02,123 WARN  [main] engine.Mgmt - slow", f"{LINE}.123000"),
    ("log4j", "23 Nov 2026 05:06:02,123 [main] WARN engine.Mgmt - slow", f"{LINE}.123000"),
    ("syslog", "Nov 23 05:06:02 hlt01 chronyd[812]: Selected source 10.0.0.1", f"{LINE}.000000"),
    ("syslog", "<30>Nov 23 05:06:02 hlt01 chronyd[812]: Selected source 10.0.0.1", f"{LINE}.000000"),
    ("syslog", "2026-11-23T05:06:02.123456+01:00 hlt01 chronyd[812]: Selected source", f"{LINE}.123456"),
    ("ctime", "Mon Nov 23 05:06:02 2026 gateway restarted", f"{LINE}.000000"),
    ("ctime", "Mon Nov 23 05:06:02 CET 2026 gateway restarted", f"{LINE}.000000"),
    ("ctime", "Mon Nov 23 04:06:02 UTC 2026 gateway restarted", f"{LINE}.000000"),
    (
        "apache",
        '10.1.2.3 - - [23/Nov/2026:05:06:02 +0100] "GET /cvmfs/lhcb.cern.ch/.cvmfspublished HTTP/1.1" 200 583 "-" "cvmfs"',
        f"{LINE}.000000",
    ),
    (
        "apache-error",
        "[Mon Nov 23 05:06:02.123456 2026] [core:error] [pid 12] [client 10.1.2.3:4711] AH00037: link not allowed",
        f"{LINE}.123456",
    ),
    ("glog", "W1123 05:06:02.123456 12345 fetch.cc:99] retry", f"{LINE}.123456"),
    ("glog", "W20261123 05:06:02.123456 12345 fetch.cc:99] retry", f"{LINE}.123456"),
    ("cvmfs", "Mon Nov 23 05:06:02 2026 (lhcb.cern.ch) switching proxy from A to B", f"{LINE}.000000"),
    ("cvmfs", "Nov 23 05:06:02 hlt01 cvmfs2: (lhcb.cern.ch) switching proxy from A to B", f"{LINE}.000000"),
    ("cvmfs", "(download) escaped http://s/.cvmfspublished    [11-23-2026 05:06:02 CET]", f"{LINE}.000000"),
    ("cvmfs", "(cvmfs) [2026-11-23 05:06:02 CET] failed to fetch", f"{LINE}.000000"),
    ("epics", "ioc7.cern.ch Mon Nov 23 05:06:02 2026 CAS: request from 10.1.2.3", f"{LINE}.000000"),
    ("epics", "23-Nov-26 05:06:02 hlt01 shift HV:CH7:V0 new=1500 old=1450", f"{LINE}.000000"),
    ("epics", "2026-11-23 05:06:02.123456 HV:CH7:V0 MAJOR HIHI", f"{LINE}.123456"),
    ("nsm", "05:06:02.123 [WARNING] shmget readonly key=8222", f"{LINE}.123000"),
    ("zabbix", "  1234:20261123:050602.123 agent #1 started [collector]", f"{LINE}.123000"),
    ("epoch", "1795406762.123456 spill 17", f"{LINE}.123456"),
    ("epoch", "[1795406762] spill 17", f"{LINE}.000000"),
    ("epoch", "1795406762123 spill 17", f"{LINE}.123000"),
    ("%d.%m.%Y %H:%M:%S", "23.11.2026 05:06:02 Strahl da", f"{LINE}.000000"),
    ("%d-%b-%y %I:%M:%S %p", "23-Nov-26 05:06:02 AM beam", f"{LINE}.000000"),
    ("%Y-%m-%d %H:%M:%S.%f %z", "at 2026-11-23 05:06:02.5 +0100 beam", f"{LINE}.500000"),
    ("%s.%f", "1795406762.25 beam", f"{LINE}.250000"),
    ("%a %b %e %T %Y", "Mon Nov 23 05:06:02 2026", f"{LINE}.000000"),
]


@pytest.mark.parametrize(("how", "line", "utc"), EXAMPLES)
def test_a_line_of_the_program_gives_its_time(how: str, line: str, utc: str) -> None:
    """Each preset's line, as its program writes it on a machine in Geneva."""
    assert read(how, line) == utc


def test_every_preset_has_a_line_that_shows_it() -> None:
    """The table above is the one that the documentation is made from."""
    assert {how for how, *_ in EXAMPLES if "%" not in how} == set(TIMES)


@pytest.mark.parametrize(
    ("how", "line"),
    [
        ("iso", "no time here"),
        ("iso", "2026-13-23 05:06:02 there is no such month"),
        ("iso", "1926-11-23T05:06:02Z before the epoch"),
        ("syslog", "said on Nov 23 05:06:02 by somebody: not the line's own"),
        ("syslog", "Feb 30 05:06:02 hlt01 x: no such day"),
        ("glog", "Nov 23"),
        ("nsm", "05:06 [WARNING] no"),
        ("epoch", "17954067621234567890123 is not a time"),
        ("%H:%M", "24:61"),
        ("iso", "x" * 300 + " 2026-11-23T05:06:02Z " + "x" * 300),
    ],
)
def test_what_is_no_time_is_none(how: str, line: str) -> None:
    """Such a line keeps the time when it was seen."""
    assert read(how, line) == ""


def seen_at(text: str) -> int:
    """A time in UTC as microseconds."""
    return int(datetime.fromisoformat(text + "+00:00").timestamp()) * 1_000_000


@pytest.mark.parametrize(
    ("line", "seen", "utc"),
    [
        ("Dec 31 23:59:59", "2027-01-01T00:00:05", "2026-12-31T22:59:59"),
        ("Jan  1 00:00:01", "2026-12-31T23:00:02", "2026-12-31T23:00:01"),
        ("Jan  1 10:00:00", "2026-12-31T23:00:02", "2027-01-01T09:00:00"),
        ("Jan  2 10:00:00", "2026-12-31T23:00:02", "2026-01-02T09:00:00"),
        ("Nov 24 01:00:00", "2026-11-23T05:00:00", "2026-11-24T00:00:00"),
        ("Nov 25 10:00:00", "2026-11-23T05:00:00", "2025-11-25T09:00:00"),
        ("Feb 29 12:00:00", "2027-03-01T05:00:00", "2024-02-29T11:00:00"),
        ("Feb 29 12:00:00", "2104-01-01T05:00:00", "2096-02-29T11:00:00"),
    ],
)
def test_a_year_that_is_left_out_is_the_latest_that_can_be(line: str, seen: str, utc: str) -> None:
    """At most a day after it was seen; around new year that is the old year or the new one."""
    assert read("syslog", line, seen_at(seen)) == f"{utc}.000000"


@pytest.mark.parametrize(
    ("name", "seen", "utc"),
    [
        ("nsmd.log", "2026-11-23T04:06:10", "2026-11-23T04:06:02"),
        ("nsmd.log", "2026-11-23T03:30:00", "2026-11-23T04:06:02"),
        ("nsmd.log", "2026-11-23T02:59:00", "2026-11-22T04:06:02"),
        ("nsmd-hlt01-8222.20261120.log", "2026-11-23T04:06:10", "2026-11-20T04:06:02"),
        ("nsmd-hlt01-8222.2026-11-20.log", "2026-11-23T04:06:10", "2026-11-20T04:06:02"),
        ("nsmd-hlt01-8222.20269999.log", "2026-11-23T04:06:10", "2026-11-23T04:06:02"),
    ],
)
def test_a_day_that_is_left_out_stands_in_the_name_or_is_the_latest_that_can_be(name: str, seen: str, utc: str) -> None:
    """nsmd2 writes the time of day alone, into a file for each day."""
    assert read("nsm", "05:06:02.000 shm created", seen_at(seen), name) == f"{utc}.000000"


@pytest.mark.parametrize(
    ("line", "seen", "utc"),
    [
        ("2026-10-25 02:30:00", "2026-10-25T00:30:01", "2026-10-25T00:30:00"),
        ("2026-10-25 02:30:00", "2026-10-25T01:30:01", "2026-10-25T01:30:00"),
        ("2026-07-01 12:00:00", "2026-11-23T04:06:10", "2026-07-01T10:00:00"),
    ],
)
def test_an_hour_that_comes_twice_is_the_one_nearer_to_when_it_was_seen(line: str, seen: str, utc: str) -> None:
    """At the end of summer time; any other line has its season's hour."""
    assert read("iso", line, seen_at(seen)) == f"{utc}.000000"


@pytest.mark.parametrize("text", ["%Q %H:%M", "%Y-%m-%d", "%H:%M %H", "%", "%Y %H:%M %"])
def test_a_format_that_is_none_is_refused(text: str) -> None:
    """With a sentence, before anything is read."""
    with pytest.raises(ValueError, match="%"):
        of_format(text)
    with pytest.raises(ValueError, match="preset"):
        Times("sylog", "")


@given(
    st.datetimes(datetime(1970, 1, 2), datetime(2200, 1, 1)),
    st.integers(-14 * 60, 14 * 60),
    st.integers(0, 10**16),
)
def test_what_says_everything_never_depends_on_when_it_was_seen(when: datetime, minutes: int, seen: int) -> None:
    """Any time with its zone is read back to the microsecond, in a new reader and in one that knows it."""
    there = when.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    expected = round((there - datetime(1970, 1, 1, tzinfo=timezone.utc)) / timedelta(microseconds=1))
    times = Times("iso", "")
    assert times.micros(there.isoformat(), seen) == (expected if expected >= 0 else None)
    assert times.micros(there.isoformat(), seen) == Times("iso", "").micros(there.isoformat(), seen)


@given(
    st.lists(
        st.tuples(st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1)), st.integers(0, 3 * 10**15)), max_size=20
    )
)
def test_what_was_read_before_changes_nothing(lines: list[tuple[datetime, int]]) -> None:
    """The same line, seen at the same time, has the same time in any process: the memory is not part of the answer."""
    known = Times("syslog", "")
    for when, seen in lines:
        line = f"{when:%b %d %H:%M:%S} hlt01 x: y"
        assert known.micros(line, seen) == Times("syslog", "").micros(line, seen)


@given(st.text(), st.sampled_from(sorted(TIMES)), st.integers(0, 10**16))
def test_no_text_is_too_strange(text: str, how: str, seen: int) -> None:
    """Whatever stands in a file: a time that Elasticsearch takes, or none."""
    micros = Times(how, text).micros(text, seen)
    assert micros is None or 0 <= micros < 2**63 // 1000
