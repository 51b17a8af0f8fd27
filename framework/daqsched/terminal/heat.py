"""A heat map in characters: groups of lines × time, darker where there are more lines."""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Mapping, Sequence

from daqsched.foreign import joined, paint
from daqsched.limits import whole
from daqsched.logs.count import Counted, ranks, rest
from daqsched.logs.intervals import Columns, Zone

#: From few to many; each is told apart without colours, too. The second row is for terminals without UTF-8.
SHADES, PLAIN_SHADES = "░▒▓█", ".:*#"
_COLOURS = ("34", "36", "33", "31")

#: A cell is so many characters wide at most; a row's name and the map take so many at least.
WIDEST_CELL, WIDEST_NAME, NARROWEST_MAP = 4, 40, 10


def bounds(most: int) -> list[int]:
    """From how many lines on a cell has each shade; rising, the first is 1. Each step is by the same factor."""
    steps = [max(1, math.ceil(most ** (at / len(SHADES)))) for at in range(len(SHADES))]
    return [max(step, at + 1) for at, step in enumerate(steps)]


def heat_map(
    counted: Counted,
    begin: float,
    end: float,
    every_s: float,
    most: int,
    width: int,
    colours: bool = False,
    plain: bool = False,
    examples: Mapping[str, str] = {},  # noqa: B006  it is only read
    zone: Zone = None,
) -> list[str]:
    """Rows of text, at most ``width`` wide: one for each of the ``most`` largest groups, a time axis, and what shades mean.

    ``begin`` and ``end`` are what was asked for. Intervals are joined where there are more than columns. ``plain``: ASCII only.
    """
    ranked = ranks(counted)
    shown = sorted(ranked[:most], key=lambda item: _natural(item[0]))
    names = {values: _name(counted, values, examples) for values, _ in shown}
    if not shown:
        return []
    numbers = max(len(f"{count:,}") for _, count in shown)
    left = min(max(map(len, names.values())), WIDEST_NAME, max(8, width - numbers - 4 - NARROWEST_MAP))
    room = max(NARROWEST_MAP, width - left - numbers - 4)
    columns = Columns(begin, end, every_s, room, zone)
    cell = min(WIDEST_CELL, room // len(columns))

    cells: dict[tuple[str, ...], list[int]] = {values: [0] * len(columns) for values, _ in shown}
    for group in counted.groups:
        at = columns.at(group.time)
        if group.values in cells and at is not None:
            cells[group.values][at] += group.count
    limits = bounds(max(map(max, cells.values())))
    shades = PLAIN_SHADES if plain else SHADES
    text: list[str] = []
    for values, count in shown:
        row = joined(*[_cell(number, limits, shades, colours, cell) for number in cells[values]], between="")
        text.append(joined(_cut(names[values], left, plain), joined("|", row, "|", between=""), f"{count:>{numbers},}"))
    text.append(" " * (left + 2) + _axis(columns, cell, zone))
    text.append(_legend(limits, max(map(max, cells.values())), shades, columns.step_s, colours))
    return text + rest(counted, ranked[most:])


def _name(counted: Counted, values: Sequence[str], examples: Mapping[str, str]) -> str:
    """A row's name; a message by its example."""
    words = [examples.get(value, value) if by == "message" else value for by, value in zip(counted.by, values)]
    return joined(*words) or "all"


def _cell(number: int, limits: Sequence[int], shades: str, colours: bool, width: int = 1) -> str:
    if not number:
        return " " * width
    at = max(at for at, limit in enumerate(limits) if number >= limit)
    return paint(shades[at] * width, _COLOURS[at] if colours else "")


def _axis(columns: Columns, cell: int, zone: Zone) -> str:
    """Local times, each below the beginning of its column."""
    step_s = columns.step_s
    days = step_s >= 86400 or len(columns) * step_s > 3 * 86400
    form = "%m-%d" if days else "%H:%M:%S" if step_s < 60 else "%H:%M"
    text = ""
    for column, begin in enumerate(columns.starts):
        at = column * cell
        label = f"{datetime.datetime.fromtimestamp(begin, zone):{form}}"
        if (not text or at >= len(text) + 3) and at + len(label) <= max(len(columns) * cell, len(label)):
            text = text.ljust(at) + label
    return text


def _legend(limits: Sequence[int], most: int, shades: str, step_s: float, colours: bool) -> str:
    parts = []
    for at, limit in enumerate(limits):
        last = limits[at + 1] - 1 if at + 1 < len(limits) else most
        if limit <= most:
            shade = _cell(limit, limits, shades, colours)
            to = f"-{min(last, most):,}" if min(last, most) > limit else ""
            parts.append(joined(shade, f"{limit:,}{to}"))
    return joined(f"lines in {length(step_s)}:", *parts, between="  ")


def length(seconds: float) -> str:
    """``90 s``, ``3 min``, ``2 h``, ``1 d``."""
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:g} {unit}"
    return f"{seconds:g} s"


def _cut(text: str, width: int, plain: bool) -> str:
    return text.ljust(width) if len(text) <= width else text[: width - 1] + ("~" if plain else "…")


def _natural(values: Sequence[str]) -> list[tuple[str, int, str]]:
    """hlt9 before hlt10."""
    return [
        (word, whole(digits) or 0, value)
        for value in values
        for word, digits in re.findall(r"([^0-9]*)([0-9]*)", value)
    ]
