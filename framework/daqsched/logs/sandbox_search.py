"""Lines of sandboxes around a moment, around a line, and counted: for those that carry a time of their own.

Their files are not read whole: `time_bisect.TimeBisect` finds the moment in each by halves.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Optional

from daqsched.errors import UserError
from daqsched.logs.count import MOST_GROUPS, NONE, Counted, Group, Novelty
from daqsched.logs.file_tails import MOST, Backwards, Found, own_time
from daqsched.logs.intervals import start
from daqsched.logs.lines import Line
from daqsched.logs.sandboxes import SandboxFile, SandboxReader
from daqsched.logs.time_bisect import Ahead, TimeBisect
from daqsched_executor.contract.fingerprint import fingerprint

#: What lines of a sandbox can be counted by: what is known of them without Elasticsearch.
BY: dict[str, Callable[[Line], str]] = {
    "host": lambda line: line.host,
    "job": lambda line: line.job,
    "level": lambda line: line.level or NONE,
    "stream": lambda line: line.stream,
    "task": lambda line: line.task_id,
    "message": lambda line: fingerprint(line.message.encode()),
}

#: So many hosts of a new message are named.
HOSTS = 4


def around(reader: SandboxReader, moment: float, most: int) -> tuple[list[Line], list[Line]]:
    """The last lines before a moment and the first from then on, together ``most``, over all that the reader was asked for."""
    before, after = _around(reader, _places(reader), moment, most)
    return before[-(most // 2) :] if most > 1 else [], after[: most - most // 2]


def around_line(reader: SandboxReader, name: str, scope: str, most: int) -> tuple[list[Line], Line, list[Line]]:
    """The lines before one, it, and those after it. ``name`` is its id; ``scope`` is ``stream``, ``host`` or ``farm``.

    Raises `UserError` where there is no such line (any more), or where it has no time that others could be around.
    """
    stream_of, _, offset = name.rpartition("-")
    task_id, _, stream = stream_of.rpartition(".")
    at = int(offset, 16) if re.fullmatch("[0-9a-f]+", offset) else -1
    everything = _places(reader)
    place = next((one for one in everything if one.key == (task_id, stream)), None)
    found = _from(reader, [(place, at)], 1, every=True) if place and at >= 0 else []
    if place is None or not found or found[0].offset != at:
        raise UserError(
            f"no line of these sandboxes has the id {name!r}: `daqsched logs --sandbox --id` shows the ids of lines; "
            "it may also be that Mesos has collected its sandbox, or that its job or host was left out"
        )
    line = found[0]
    if scope == "stream":
        before, after = _until(reader, [(place, at)], most), _from(reader, [(place, at)], most)
    elif line.time:
        near = [one for one in everything if scope == "farm" or one.sandbox.host == line.host]
        before, after = _around(reader, near, line.time, most)
    else:
        raise UserError(f"the line {name} has no time of its own, so nobody knows what was printed around it elsewhere")
    before, after = ([one for one in side if one.id != name] for side in (before, after))
    return before[-(most // 2) :] if most > 1 else [], line, after[: most // 2]


def count(
    reader: SandboxReader, by: Sequence[str], every_s: float, begin: float, end: float
) -> tuple[Counted, dict[str, str]]:
    """The wanted lines of that time, by ``by`` and by intervals of ``every_s``; with the messages, an example of each."""
    for name in by:
        if name not in BY:
            raise UserError(
                f"lines of sandboxes can't be counted by {name!r}, only by {', '.join(BY)}: it needs Elasticsearch"
            )
    groups: dict[tuple[tuple[str, ...], float], int] = {}
    examples: dict[str, str] = {}
    total = 0

    def see(line: Line) -> None:
        nonlocal total
        total += 1
        values = tuple(BY[name](line) for name in by)
        if "message" in by:
            examples.setdefault(values[by.index("message")], line.message)
        key = values, start(line.time, every_s) if every_s else 0.0
        if key in groups or len(groups) < MOST_GROUPS:
            groups[key] = groups.get(key, 0) + 1

    _each(reader, begin, end, see)
    return Counted(
        tuple(by), tuple(Group(values, number, time) for (values, time), number in groups.items()), total
    ), examples


def new(reader: SandboxReader, since: float) -> tuple[list[Novelty], int]:
    """Messages of the lines from ``since`` on of whose kind these sandboxes have none before; how many lines those are."""
    firsts: dict[str, Line] = {}
    counts: dict[str, int] = {}
    hosts: dict[str, set[str]] = {}
    known: set[str] = set()
    total = 0

    def see(line: Line) -> None:
        nonlocal total
        kind = fingerprint(line.message.encode())
        if line.time < since:
            known.add(kind)
            return
        total += 1
        counts[kind] = counts.get(kind, 0) + 1
        hosts.setdefault(kind, set()).add(line.host)
        if kind not in firsts or line.time < firsts[kind].time:
            firsts[kind] = line

    _each(reader, None, reader.wanted.until, see)
    found = [
        Novelty(line, counts[kind], tuple(sorted(hosts[kind])[:HOSTS]), len(hosts[kind]))
        for kind, line in firsts.items()
        if kind not in known
    ]
    return sorted(found, key=lambda novelty: (novelty.first.time, novelty.first.id)), total


def _places(reader: SandboxReader) -> list[SandboxFile]:
    return list(reader.places(reader.sandboxes(True)))


def _around(
    reader: SandboxReader, places: Sequence[SandboxFile], moment: float, most: int
) -> tuple[list[Line], list[Line]]:
    begins = _begins(reader, places, moment)
    before, after = _until(reader, begins, most), _from(reader, begins, most)
    return sorted(before, key=_time)[-most:], sorted(after, key=_time)[:most]


def _time(line: Line) -> float:
    return line.time


def _begins(reader: SandboxReader, places: Sequence[SandboxFile], moment: float) -> list[tuple[SandboxFile, int]]:
    """In each file that has times, where the moment begins; of the others somebody is told."""
    seeks = [(place, TimeBisect(place.sandbox.files[place.stream][0], moment)) for place in places]
    reader.read_all(seeks)
    without = [place.name for place, seek in seeks if not seek.timed and place.sandbox.files[place.stream][0]]
    if without:
        more = f" and {len(without) - 3} more" if len(without) > 3 else ""
        reader.warn(f"left out, as their lines begin with no time: {', '.join(without[:3])}{more}")
    return [(place, seek.offset) for place, seek in seeks if seek.timed]


def _until(reader: SandboxReader, ends: Sequence[tuple[SandboxFile, int]], most: int) -> list[Line]:
    """The last lines of each file before a byte."""
    tails = [(place, Backwards(end, most, reader.fits)) for place, end in ends]
    reader.read_all(tails)
    lines = []
    for place, tail in tails:
        time = 0.0
        for found in tail.lines:
            time = own_time(found[1]) or time
            lines.append(place.line(found, time))
    return lines


def _from(
    reader: SandboxReader, begins: Sequence[tuple[SandboxFile, int]], most: int, every: bool = False
) -> list[Line]:
    """The first lines of each file from a byte on; ``every``: also those that do not fit."""

    def fits(time: float, found: Found) -> bool:
        return every or reader.fits(found[1])

    heads = [(place, Ahead(begin, place.sandbox.files[place.stream][0], most, fits)) for place, begin in begins]
    reader.read_all(heads)
    return [place.line(found, time) for place, head in heads for time, found in head.lines]


def _each(reader: SandboxReader, begin: Optional[float], end: Optional[float], see: Callable[[Line], None]) -> None:
    """Every line of that time that fits; no file is held."""
    places = _places(reader)
    begins = [(place, 0) for place in places] if begin is None else _begins(reader, places, begin)

    def ahead(place: SandboxFile, offset: int) -> Ahead:
        def test(time: float, found: Found) -> bool:
            if end is not None and time >= end:
                head.stop()
            elif time and reader.fits(found[1]):
                see(place.line(found, time))
            return False

        head = Ahead(offset, place.sandbox.files[place.stream][0], 1, test)
        return head

    heads = [(place, ahead(place, offset)) for place, offset in begins]
    reader.read_all(heads)
    for place, head in heads:
        if head.given_up:
            reader.warn(f"{place.name}: only {MOST >> 20} MiB of the file were looked through")
