"""How the contract's values become JSON and come back; their version; durations and zones as people read them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any, TypeVar

#: The version of everything in this module. Raised only when an older reader could misunderstand the new text.
VERSION = 1


class ContractError(ValueError):
    """A payload, report or registration that this version cannot use; the message is one sentence for people."""


Value = TypeVar("Value")


def slotted(kind: type[Any]) -> Any:
    """The dataclass anew with `__slots__`, which `dataclass(slots=True)` of Python 3.10 does: for values that a daemon keeps one of
    for each program. An executor's own dataclasses (`values`) stay as they are."""
    if not hasattr(kind, "__dataclass_params__"):
        return kind
    names = tuple(entry.name for entry in fields(kind))
    kept = {name: value for name, value in vars(kind).items() if name not in (*names, "__dict__", "__weakref__")}
    made = type(kind.__name__, kind.__bases__, {**kept, "__slots__": names})
    made.__qualname__ = kind.__qualname__
    return made


def dump(value: Any) -> bytes:
    """The value's canonical JSON: equal values have equal bytes."""
    return json.dumps(asdict(value), separators=(",", ":"), sort_keys=True).encode()


def load(data: bytes | str, what: str) -> dict[str, Any]:
    """The object that ``data`` holds; raises `ContractError` where it is none, or of a version that is not known."""
    try:
        raw = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ContractError(f"{what} is not JSON: {error}") from error
    if not isinstance(raw, dict):
        raise ContractError(f"{what} is not a JSON object")
    version = raw.get("version")
    if not isinstance(version, int) or not 1 <= version <= VERSION:
        raise ContractError(f"{what} has version {version!r}, this program knows 1 to {VERSION}: install the newer one")
    return raw


def build(kind: type[Value], raw: Mapping[str, Any], what: str) -> Value:
    """A dataclass out of an object; fields that it does not know are left out."""
    known = {entry.name for entry in fields(kind)}  # type: ignore[arg-type]  # typing has no name for a dataclass
    values = {name: freeze(value) for name, value in raw.items() if name in known}
    try:
        return kind(**values)
    except TypeError as error:
        raise ContractError(f"{what} lacks a field: {error}") from error


def freeze(value: Any) -> Any:
    """Lists become tuples, as the dataclasses have them."""
    return tuple(value) if isinstance(value, Sequence) and not isinstance(value, (str, bytes)) else value


def duration(seconds: float) -> str:
    """A duration as people say it: ``0.08 s``, ``4.2 s``, ``3 min 20 s``, ``5 h 2 min``, ``12 d 4 h``."""
    if seconds < 1:
        return f"{seconds:.2f} s"
    if seconds < 60:
        return f"{seconds:.1f} s"
    whole = int(seconds)
    for unit, size, below, part in (("min", 60, "s", 1), ("h", 3600, "min", 60), ("d", 86400, "h", 3600)):
        if unit == "d" or whole < size * (60 if unit == "min" else 24):
            rest = whole % size // part
            return f"{whole // size} {unit}" + (f" {rest} {below}" if rest else "")
    raise AssertionError("unreachable: days have no upper end")


def zone(offset_s: float) -> str:
    """What follows a time for people, so far from UTC: `` UTC``, ``+01:00``. An abbreviation has several meanings."""
    minutes = int(abs(offset_s)) // 60
    return f"{'-' if offset_s < 0 else '+'}{minutes // 60:02d}:{minutes % 60:02d}" if minutes else " UTC"
