"""JSON objects that programs send: the usual names of time, level, text and sender are found, the rest become labels."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from ...contract.levels import LEVELS
from .records import stamp
from .times import Times

#: More fields than this, longer ones, or deeper ones are left out of the labels; the text of the object has them all.
MOST_LABELS, LONGEST_LABEL, DEEPEST = 64, 1024, 4

_TIME = ("@timestamp", "timestamp", "time", "ts", "date")
_LEVEL = ("level", "log.level", "levelname", "severity", "loglevel", "lvl")
_TEXT = ("message", "msg", "text", "log", "event")
_HOST = ("host", "hostname", "host.name", "host_name")
_SERVICE = ("service", "service.name", "app", "application", "program", "logger", "name")

_ISO, _EPOCH = Times("iso", ""), Times("epoch", "")


def fill(fields: dict[str, Any], data: bytes, peer: str, received: int) -> None:
    """One object into its document's fields; what is no object is kept as text."""
    text = data.decode("utf-8", "replace").strip()
    fields["host"] = {"name": peer}
    fields["service"] = {"name": "json"}
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if isinstance(found, dict):
        flat = dict(_flat(found))
        when = _taken(flat, _TIME)
        micros = _ISO.micros(when, received) or _EPOCH.micros(when, received) if when else None
        if micros is not None:
            fields["@timestamp"] = stamp(micros).decode()
        level = LEVELS.get(_taken(flat, _LEVEL).upper(), "")
        if level:
            fields["log"]["level"] = level
        fields["host"] = {"name": _taken(flat, _HOST)[:255] or peer}
        fields["service"] = {"name": _taken(flat, _SERVICE)[:255] or "json"}
        text = _taken(flat, _TEXT) or text
        labels = {name[:255]: value[:LONGEST_LABEL] for name, value in list(flat.items())[:MOST_LABELS]}
        if labels:
            fields["labels"] = {**labels, **fields.get("labels", {})}
    fields["message"] = text
    fields["service"]["node"] = {"name": f"{fields['service']['name']}@{fields['host']['name']}"}


def _taken(flat: dict[str, str], names: tuple[str, ...]) -> str:
    """The first of these fields that is there, and it is no label any more."""
    for name in names:
        if flat.get(name):
            return flat.pop(name)
    return ""


def _flat(value: dict[str, Any], before: str = "", depth: int = 1) -> Iterator[tuple[str, str]]:
    for name, inner in value.items():
        if isinstance(inner, dict) and depth < DEEPEST:
            yield from _flat(inner, f"{before}{name}.", depth + 1)
        elif isinstance(inner, str):
            yield before + name, inner
        elif inner is not None:
            yield before + name, json.dumps(inner, separators=(",", ":"))
