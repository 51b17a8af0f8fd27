"""When a line says that it was written: the usual ways to write a time, and `strptime` formats.

What a line leaves out follows from when it was seen, never from the clock, so that the same line seen at the same time always
has the same time:

- no zone: the machine's own; an hour that the end of summer time repeats is the one nearer to when the line was seen.
  Abbreviations (CET) are not read, because they are not unique: they count as none. UTC, GMT and Z do count.
- no year: the latest year in which it is at most a day later than when it was seen (the last lines of December are
  often seen in January).
- no date: that of eight digits in the file's name (``nsmd-hlt01-8222.20261123.log``), else the latest day in which it is
  at most one or two hours later than when it was seen.
"""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta, timezone
from typing import Optional

#: How far into a line a time is looked for.
WITHIN = 256

#: What is left out is found from the end of the hour in which a line was seen, so that a second's time is computed once per hour.
_HOUR = 3_600_000_000

#: A year or a day that was left out may make a line so much later than it was seen: clocks differ.
_YEAR_AHEAD, _DAY_AHEAD = timedelta(days=1), timedelta(hours=1)

#: What Elasticsearch's ``date_nanos`` can hold.
_EARLIEST, _LATEST = 0, 9_223_372_036_000_000

#: How many seconds are remembered; begun anew when it is full.
_REMEMBERED = 1024

_MONTHS = {name: at for at, name in enumerate("jan feb mar apr may jun jul aug sep oct nov dec".split(), 1)}
_MONTH = "(?P<b>Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
_CLOCK = r"(?P<H>\d\d):(?P<M>\d\d):(?P<S>\d\d)"
_ISO = (
    r"(?P<Y>\d{4})[-/.](?P<m>\d\d)[-/.](?P<d>\d\d)[T _-] ?(?P<H>\d\d):(?P<M>\d\d)(?::(?P<S>\d\d)(?:[.,](?P<f>\d+))?)?"
    r"(?P<z>Z|[+-]\d\d(?::?\d\d)?(?!\d)| (?:UTC|GMT)\b)?"
)
_CTIME = (
    rf"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun),? {_MONTH} +(?P<d>\d\d?) {_CLOCK}(?:\.(?P<f>\d+))?"
    r"(?: (?P<z>[A-Z]{3,5}))? (?P<Y>\d{4})"
)
_SYSLOG = (
    rf"(?:<\d+>)?{_MONTH} +(?P<d>\d\d?) (?:(?P<Y>\d{{4}}) )?{_CLOCK}(?:\.(?P<f>\d+))?\b(?: (?P<z>UTC|GMT)(?=[ :]|$))?"
)

#: For each preset the patterns that are tried in turn; ``^`` stands where the time must be the line's first.
TIMES: dict[str, tuple[str, ...]] = {
    # 2026-11-23T05:06:02.123456+01:00, 2026-11-23 05:06:02,123, 2026/11/23 05:06:02Z
    "iso": (_ISO,),
    # Python's logging: 2026-11-23 05:06:02,123
    "python": (_ISO,),
    # log4j's ISO8601 and DATE
    "log4j": (_ISO, rf"(?P<d>\d\d?) {_MONTH} (?P<Y>\d{{4}}) {_CLOCK}(?:[.,](?P<f>\d+))?"),
    # RFC 3164, and what rsyslog writes today
    "syslog": (f"^{_SYSLOG}", rf"^(?:<\d+>\d* ?)?{_ISO}"),
    "ctime": (_CTIME,),
    # access log: [23/Nov/2026:05:06:02 +0100]
    "apache": (rf"\[(?P<d>\d\d)/{_MONTH}/(?P<Y>\d{{4}}):{_CLOCK} (?P<z>[+-]\d{{4}})\]",),
    # error log: [Mon Nov 23 05:06:02.123456 2026]
    "apache-error": (rf"\[{_CTIME}\]",),
    # I1123 05:06:02.123456, or with the year
    "glog": (rf"^[IWEF](?P<Y>\d{{4}})?(?P<m>\d\d)(?P<d>\d\d) {_CLOCK}\.(?P<f>\d+)",),
    # cvmfs/util/logging.cc: syslog, the file of CVMFS_USYSLOG, messages with a time, and at its end a line of CVMFS_DEBUGLOG
    "cvmfs": (
        f"^{_SYSLOG}",
        f"^{_CTIME}",
        rf"^(?:<\d+>\d* ?|\(\w+\) )?\[?{_ISO}",
        rf"\[(?P<m>\d\d)-(?P<d>\d\d)-(?P<Y>\d{{4}}) {_CLOCK} (?P<z>\S+)\]$",
    ),
    # iocLogServer (HOST TIME), caPutLog (23-Nov-26 05:06:02), epicsTime
    "epics": (_CTIME, _ISO, rf"(?P<d>\d\d)-{_MONTH}-(?P<y>\d\d) {_CLOCK}(?:\.(?P<f>\d+))?"),
    # nsmd2's nsmd_logtime: 05:06:02.123; the file's name has the date
    "nsm": (rf"^{_CLOCK}\.(?P<f>\d{{3}}) ",),
    # PID:20261123:050602.123
    "zabbix": (r"^ *\d+:(?P<Y>\d{4})(?P<m>\d\d)(?P<d>\d\d):(?P<H>\d\d)(?P<M>\d\d)(?P<S>\d\d)\.(?P<f>\d{3}) ",),
    # seconds since 1970 with a fraction, or milli- or microseconds
    "epoch": (r"^\W*(?P<s>\d{10})(?:[.,]?(?P<f>\d{1,9}))?(?!\d)",),
}

_DIRECTIVES = {
    "Y": r"(?P<Y>\d{4})",
    "y": r"(?P<y>\d\d)",
    "m": r"(?P<m>\d\d?)",
    "d": r"(?P<d> ?\d\d?)",
    "e": r"(?P<d> ?\d\d?)",
    "b": _MONTH + "[a-z]*",
    "B": _MONTH + "[a-z]*",
    "a": "[A-Z][a-z]{2,8}",
    "A": "[A-Z][a-z]{2,8}",
    "H": r"(?P<H>\d\d?)",
    "I": r"(?P<H>\d\d?)",
    "p": "(?P<p>[AaPp][Mm])",
    "M": r"(?P<M>\d\d)",
    "S": r"(?P<S>\d\d)",
    "f": r"(?P<f>\d{1,9})",
    "z": r"(?P<z>Z|[+-]\d\d:?\d\d)",
    "Z": "(?P<z>[A-Za-z]{1,5})",
    "s": r"(?P<s>\d{9,10})",
    "T": _CLOCK,
    "F": r"(?P<Y>\d{4})-(?P<m>\d\d)-(?P<d>\d\d)",
    "%": "%",
}

_NAMED_DATE = re.compile(r"(?<!\d)(20\d\d)[-_.]?([01]\d)[-_.]?([0-3]\d)(?!\d)")


def of_format(text: str) -> str:
    """The pattern of a `strptime` format, in English whatever the locale; ValueError with a sentence where it is none.

    It may stand anywhere in a line's first `WITHIN` characters; the first match counts.
    """
    pattern, rest = "", text
    while rest:
        plain, percent, rest = rest.partition("%")
        pattern += re.sub(r"(?:\\ )+", " +", re.escape(plain))
        if percent:
            if rest[:1] not in _DIRECTIVES or not rest:
                raise ValueError(f"%{rest[:1]} is not known: there are {' '.join('%' + one for one in _DIRECTIVES)}")
            pattern += _DIRECTIVES[rest[0]]
            rest = rest[1:]
    try:
        groups = set(re.compile(pattern).groupindex)
    except re.error as error:
        raise ValueError(f"{text!r} names the same part of the time twice ({error})") from error
    if not ({"H", "M"} <= groups or "s" in groups):
        raise ValueError(f"{text!r} says no time of day: there must be %H and %M (or %s)")
    return pattern


class Times:
    """Reads the times of one file's lines."""

    def __init__(self, how: str, name: str) -> None:
        """``how``: a preset's name or a `strptime` format; ``name``: the file's. Raises ValueError for anything else."""
        if how not in TIMES and "%" not in how:
            raise ValueError(f"{how!r} is not a preset for times: there are {', '.join(TIMES)}")
        patterns = TIMES[how] if how in TIMES else (of_format(how),)
        self._patterns = [re.compile(pattern, re.ASCII) for pattern in patterns]
        found = _NAMED_DATE.search(name)
        self._date = _date(*map(int, found.groups())) if found else None
        self._known: dict[tuple[str, int], Optional[int]] = {}

    def micros(self, line: str, seen: int) -> Optional[int]:
        """The line's time in microseconds since the epoch, of a line seen then; None where it has none."""
        if len(line) > 2 * WITHIN:
            line = line[:WITHIN] + line[-WITHIN:]
        for pattern in self._patterns:
            found = pattern.search(line)
            if found:
                parts = found.groupdict()
                fraction = parts.pop("f", None) or ""
                # All that is written counts but its fraction, which is added behind.
                key = ("|".join([f"{name}{value}" for name, value in parts.items() if value]), seen // _HOUR)
                if key not in self._known:
                    if len(self._known) >= _REMEMBERED:
                        self._known.clear()
                    self._known[key] = self._second(parts, (seen // _HOUR + 1) * _HOUR)
                second = self._known[key]
                if second is not None:
                    return second * 1_000_000 + int(f"{fraction:0<6.6}")
        return None

    def _second(self, parts: dict[str, Optional[str]], seen: int) -> Optional[int]:
        if parts.get("s"):
            return _possible(int(parts["s"] or 0))
        clock = (_hour(parts), int(parts["M"] or 0), min(int(parts.get("S") or 0), 59))
        zone = _zone(parts.get("z") or "")
        now = _at(seen, zone)
        name = parts.get("b")
        month = _MONTHS[name.lower()] if name else int(parts.get("m") or 0)
        try:
            if not month:
                day = self._date
                if day is None:
                    day = (now + _DAY_AHEAD).date()
                    if datetime(day.year, day.month, day.day, *clock) > now + _DAY_AHEAD:
                        day -= timedelta(days=1)
                local = datetime(day.year, day.month, day.day, *clock)
            elif parts.get("Y") or parts.get("y"):
                year = int(parts.get("Y") or "20" + (parts["y"] or ""))
                local = datetime(year, month, int(parts["d"] or 1), *clock)
            else:
                years = range(now.year + 1, now.year - 9, -1)  # eight back: the 29th of February of a century's turn
                dates = (_date(year, month, int(parts["d"] or 1)) for year in years)
                choice = (datetime(day.year, day.month, day.day, *clock) for day in dates if day is not None)
                local = next(one for one in choice if one <= now + _YEAR_AHEAD)
            if zone is not None:
                return _possible(int(local.replace(tzinfo=zone).timestamp()))
            return _possible(
                min(
                    (int(local.replace(fold=fold).timestamp()) for fold in (0, 1)),
                    key=lambda one: abs(one * 10**6 - seen),
                )
            )
        except (ValueError, OverflowError, OSError, StopIteration):
            return None


def _at(seen: int, zone: Optional[timezone]) -> datetime:
    """When a line was seen, as a clock in that zone (None: the machine's) shows it."""
    return datetime.fromtimestamp(seen // 1_000_000, zone).replace(tzinfo=None)


def _hour(parts: dict[str, Optional[str]]) -> int:
    hour = int(parts["H"] or 0)
    half = (parts.get("p") or "").lower()
    return hour % 12 + (12 if half == "pm" else 0) if half else hour


def _zone(text: str) -> Optional[timezone]:
    """The zone that was written; None for none, and for an abbreviation that is not unique."""
    text = text.strip()
    if text in ("Z", "UTC", "GMT"):
        return timezone.utc
    if text[:1] in ("+", "-"):
        digits = text[1:].replace(":", "").ljust(4, "0")
        minutes = int(digits[:2]) * 60 + int(digits[2:])
        if minutes < 24 * 60:
            return timezone(timedelta(minutes=-minutes if text[0] == "-" else minutes))
    return None


def _date(year: int, month: int, day: int) -> Optional[date]:
    try:
        return date(year, month, day)
    except ValueError:
        return None


def _possible(second: int) -> Optional[int]:
    return second if _EARLIEST <= second * 1_000_000 <= _LATEST else None
