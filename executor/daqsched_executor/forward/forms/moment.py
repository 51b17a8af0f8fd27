"""Times in documents: how they are written, and which time counts where the one that a record names can't be right."""

from __future__ import annotations

from typing import Any

from ..documents.record import utc

#: A time that is so much later than when the record was seen is that of a clock that is wrong. Records are sorted by their
#: time: those of one sender would be the last of all for as long as its clock is ahead.
AHEAD_MICROS = 60_000_000

#: The flag of ``log.flags`` for that; the time that the record names is then in ``daqsched.named_time``, as is one that is none.
CLOCK_AHEAD = "clock-ahead"

_seconds: dict[int, bytes] = {}


def stamp(micros: int) -> bytes:
    """Microseconds since the epoch as Elasticsearch reads them: ``2026-11-23T05:06:02.000001Z``."""
    second, micro = divmod(micros, 1_000_000)
    text = _seconds.get(second)
    if text is None:
        if len(_seconds) > 100:
            _seconds.clear()
        text = _seconds[second] = f"{utc(second):%Y-%m-%dT%H:%M:%S}".encode()
    return b"%b.%06dZ" % (text, micro)


def set_time(fields: dict[str, Any], named: int | None, seen: int, text: str = "") -> None:
    """The time that a record names becomes its document's, unless it is in the future; a ``text`` that names none is kept."""
    if named is None:
        if text:
            fields["daqsched"]["named_time"] = text.strip()
    elif named - seen > AHEAD_MICROS:
        fields["daqsched"]["named_time"] = stamp(named).decode()
        add_flag(fields, CLOCK_AHEAD)
    else:
        fields["@timestamp"] = stamp(named).decode()


def add_flag(fields: dict[str, Any], flag: str) -> None:
    """One more of ``log.flags``."""
    flags = fields["log"].setdefault("flags", [])
    if flag not in flags:
        flags.append(flag)
