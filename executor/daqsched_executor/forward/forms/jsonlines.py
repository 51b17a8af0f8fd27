"""JSON objects that programs send: the usual names of time, level, text and sender are found, the rest become labels.

What the fields of a document have no room for (more or longer labels, a name that stands twice) is kept in
``event.original``, which has the whole text then, with the flag ``truncated``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from ...contract.levels import LEVELS
from ..documents.lines import TRUNCATED
from .moment import add_flag, set_time
from .times import Times

#: More fields than this, longer ones, or deeper ones are left out of the labels.
MOST_LABELS, LONGEST_LABEL, DEEPEST = 64, 1024, 4

#: A name of a host, a service or a label is cut behind so many characters.
LONGEST_NAME = 255

#: A text that is nested deeper is kept as text: a parser would need a stack for it.
DEEPEST_TEXT = 200

#: A number with more digits stays the text that it is.
_LONGEST_NUMBER = 20

_TIME = ("@timestamp", "timestamp", "time", "ts", "date")
_LEVEL = ("level", "log.level", "levelname", "severity", "loglevel", "lvl")
_TEXT = ("message", "msg", "text", "log", "event")
_HOST = ("host", "hostname", "host.name", "host_name")
_SERVICE = ("service", "service.name", "app", "application", "program", "logger", "name")

_ISO, _EPOCH = Times("iso", ""), Times("epoch", "")

#: A text within the object, or a bracket. A text that never ends is one, too: it is gone through once, not from each quote in it.
_BRACKETS = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*(?:"|\\?\Z)|[][{}]', re.DOTALL)


def fill(fields: dict[str, Any], data: bytes, peer: str, received: int) -> None:
    """One object into its document's fields; what is not an object is kept as text."""
    text = data.decode("utf-8", "replace").strip().lstrip("\ufeff")
    fields["message"] = text
    fields["host"] = {"name": peer}
    fields["service"] = {"name": "json"}
    found, whole = _object(text)
    if found is not None:
        flat: dict[str, str] = {}
        for name, value in _flat(found):
            whole = whole and name not in flat
            flat[name] = value
        when = _taken(flat, _TIME)
        micros = _ISO.micros(flat[when], received) or _EPOCH.micros(flat[when], received) if when else None
        if micros is not None:
            set_time(fields, micros, received)
            del flat[when]
        named = _taken(flat, _LEVEL)
        level = LEVELS.get(flat[named].upper(), "") if named else ""
        if level:
            fields["log"]["level"] = level
            del flat[named]
        for part, names in (("host", _HOST), ("service", _SERVICE)):
            named = _taken(flat, names)
            if named:
                whole = whole and len(flat[named]) <= LONGEST_NAME
                fields[part]["name"] = flat.pop(named)[:LONGEST_NAME]
        named = _taken(flat, _TEXT)
        if named:
            fields["message"] = flat.pop(named)
        labels = {_name(name): value[:LONGEST_LABEL] for name, value in list(flat.items())[:MOST_LABELS]}
        if labels:
            fields["labels"] = {**labels, **fields.get("labels", {})}
        if not whole or len(labels) < len(flat) or any(len(value) > LONGEST_LABEL for value in flat.values()):
            add_flag(fields, TRUNCATED)
            fields["event"]["original"] = text
    fields["service"]["node"] = {"name": f"{fields['service']['name']}@{fields['host']['name']}"}


class _Twice(ValueError):
    """A name stands twice in an object."""


def _pairs(found: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(found)
    if len(made) < len(found):
        raise _Twice
    return made


def _number(digits: str) -> Any:
    return int(digits) if len(digits) <= _LONGEST_NUMBER else digits


#: How nearly all that comes is read, and how what that refuses.
_STRICT, _LENIENT = json.JSONDecoder(object_pairs_hook=_pairs), json.JSONDecoder(parse_int=_number)


def _object(text: str) -> tuple[dict[str, Any] | None, bool]:
    """The object that the text is, if it is one, and whether no name stands in it twice."""
    if text[:1] != "{" or _depth(text) > DEEPEST_TEXT:
        return None, True
    whole = True
    try:
        found = _STRICT.decode(text)
    except (ValueError, RecursionError) as error:
        whole = not isinstance(error, _Twice)
        try:
            found = _LENIENT.decode(text)
        except (ValueError, RecursionError):
            return None, True
    return (found if isinstance(found, dict) else None), whole


def _depth(text: str) -> int:
    """How deep it is nested at most; 0 where that can't be much."""
    if text.count("[") + text.count("{") <= DEEPEST_TEXT:
        return 0
    depth = most = 0
    for found in _BRACKETS.finditer(text):
        sign = found.group()
        if sign in "[{":
            depth += 1
            most = max(most, depth)
        elif sign in "]}":
            depth -= 1
    return most


def _taken(flat: dict[str, str], names: tuple[str, ...]) -> str:
    """The first of these names that has a value; empty for none."""
    for name in names:
        if flat.get(name):
            return name
    return ""


def _name(name: str) -> str:
    """One that Elasticsearch takes as that of a label."""
    return name.replace("\0", "\ufffd")[:LONGEST_NAME] or "_"


def _flat(value: dict[str, Any], before: str = "", depth: int = 1) -> Iterator[tuple[str, str]]:
    for name, inner in value.items():
        # what stands before is as long as a name at most: an object of many fields under one long name stays small
        path = before[:LONGEST_NAME] + name
        if isinstance(inner, dict) and depth < DEEPEST:
            yield from _flat(inner, f"{path}.", depth + 1)
        elif isinstance(inner, str):
            yield path, inner
        elif inner is not None:
            yield path, json.dumps(inner, separators=(",", ":"))
