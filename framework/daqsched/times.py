"""Times and durations as people write them, and as they are shown to people: with their zone."""

from __future__ import annotations

import datetime
import re
from typing import Optional

from daqsched.errors import UserError
from daqsched.limits import MOMENT
from daqsched_executor.contract import zone as zone_words

_SPAN = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,15})?)(s|m|min|h|d)\Z")
_CENTURY_S = 36_525 * 86_400.0
_UNITS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}
_ZONE = re.compile(r" ?(?:UTC|[Zz])\Z")
_CLOCK = re.compile(r"([0-9]{1,2}):([0-9]{2})(?::([0-9]{2}))?\Z")


def span(text: str) -> float:
    """Seconds that people write as ``90s``, ``10m``, ``2h`` or ``1d``; raises `UserError` for anything else."""
    found = _SPAN.match(text.strip())
    if found is None:
        raise UserError(f"{text!r} is not a duration: write for example '90s', '30m', '2h' or '1d'")
    seconds = float(found.group(1)) * _UNITS[found.group(2)]
    if seconds > _CENTURY_S:
        raise UserError(f"{text!r} is longer than a hundred years")
    return seconds


def moment(text: str, now: float) -> float:
    """What people write for a time, in seconds since the epoch; raises `UserError` for anything else.

    ``10m`` (ago; also s, h, d), ``14:05`` or ``14:05:30`` (the last time the clock showed that), ``2026-11-23``,
    ``2026-11-23 14:05`` or any ISO form; local time unless it says otherwise. What `clock` shows is read, too.
    """
    text = text.strip()
    if _SPAN.match(text):
        return now - span(text)
    clock = _CLOCK.match(text)
    try:
        if clock:
            hour, minute, second = (int(part or 0) for part in clock.groups())
            here = datetime.datetime.fromtimestamp(now)
            then = here.replace(hour=hour, minute=minute, second=second, microsecond=0)
            return (then if then <= here else then - datetime.timedelta(days=1)).timestamp()
        seconds = datetime.datetime.fromisoformat(_ZONE.sub("+00:00", text)).timestamp()
        if not 0 <= seconds <= MOMENT.most:
            raise ValueError("before 1970 or after 9999")
        return seconds
    except (ValueError, OverflowError) as error:
        raise UserError(
            f"{text!r} is not a time: write for example '10m' (ago), '14:05' or '2026-11-23 14:05:00'"
        ) from error


def clock(seconds: float, zone: Optional[datetime.tzinfo] = None) -> str:
    """``2026-11-23 14:03:07 UTC`` or ``2026-11-23 15:03:07+01:00``: a time for people, in local time (None) or that of a zone."""
    here = _here(seconds, zone)
    return f"{here:%Y-%m-%d %H:%M:%S}{_zone(here)}"


def log_clock(seconds: float, zone: Optional[datetime.tzinfo] = None) -> str:
    """``2026-11-23 14:03:07,500 UTC``: the same to the millisecond, as a log's lines begin."""
    here = _here(seconds, zone)
    return f"{here:%Y-%m-%d %H:%M:%S},{here.microsecond // 1000:03d}{_zone(here)}"


def day(seconds: float, zone: Optional[datetime.tzinfo] = None) -> str:
    """``2026-11-23``: the date, in local time (None) or that of a zone."""
    return f"{_here(seconds, zone):%Y-%m-%d}"


def utc_day(seconds: float) -> str:
    """``2026-11-23 (UTC)``: the date, for people of all zones."""
    return f"{day(seconds, datetime.timezone.utc)} (UTC)"


def iso(seconds: float) -> str:
    """``2026-11-23T14:03:07.123456Z``: a time for programs."""
    return f"{_here(seconds, datetime.timezone.utc):%Y-%m-%dT%H:%M:%S.%fZ}"


def in_calendar(seconds: float) -> float:
    """The time, or the nearest that each calendar has, in each zone: somebody else's document may say any."""
    return min(max(seconds, -62_135_000_000.0), 253_402_000_000.0)


def _zone(here: datetime.datetime) -> str:
    offset = here.utcoffset()
    assert offset is not None, "it has a zone"
    return zone_words(offset.total_seconds())


def _here(seconds: float, zone: Optional[datetime.tzinfo]) -> datetime.datetime:
    utc = datetime.datetime.fromtimestamp(in_calendar(seconds), datetime.timezone.utc)
    return utc.astimezone(zone)
