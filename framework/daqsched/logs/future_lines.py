"""Where among other lines one stands that is dated after now: a clock is wrong, here or there. Pure.

A sender's wrong date is known by the time when the forwarder saw the line. Where the machine's own clock is ahead, its
newest line can't have been printed later than now; so all of them are moved by what that one is ahead. Such lines come before
the newest one of those that are dated well: one wrong clock must not hide what others print.
"""

from __future__ import annotations

from collections.abc import Sequence

from daqsched.logs.lines import Line

#: Clocks that are synchronized differ by less.
AHEAD_S = 5.0


def placed(lines: Sequence[Line], ahead: Sequence[Line], now: float) -> list[Line]:
    """Lines in their order and among them those dated after now, by when they were seen."""
    newest: dict[str, float] = {}
    for line in ahead:
        newest[line.host] = max(newest.get(line.host, 0.0), line.seen)

    def place(line: Line) -> float:
        seen = line.seen - max(0.0, newest[line.host] - now)
        return min(seen, lines[-1].time) if lines else seen

    rows = [(line.time, 1, at, line) for at, line in enumerate(lines)]
    rows += [(place(line), 0, at, line) for at, line in enumerate(ahead)]
    return [line for *_, line in sorted(rows, key=lambda row: row[:3])]


def ahead_words(lines: Sequence[Line], now: float) -> str:
    """A sentence about lines that are dated after now; empty: there is none."""
    hosts = sorted({line.host for line in lines if line.time > now + AHEAD_S})
    if not hosts:
        return ""
    number = sum(line.time > now + AHEAD_S for line in lines)
    more = f" and {len(hosts) - 3} more" if len(hosts) > 3 else ""
    return (
        f"{number} of these lines {'is' if number == 1 else 'are'} dated after now and stand where they were seen: "
        f"a clock of {', '.join(hosts[:3])}{more} is ahead, or a sender's"
    )
