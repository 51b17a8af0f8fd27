"""How long lines are kept: which indices are ours, which of them have ended, and the policy that deletes them. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta, timezone
from typing import Any, Optional, Union

from daqsched.errors import UserError
from daqsched.times import span

#: How the name of an index of lines ends: month, day, hour or minute (UTC), as the forwarder's `period` says.
_ENDING = re.compile(r"(\d{4})\.(\d\d)(?:\.(\d\d)(?:\.(\d\d)(\d\d)?)?)?\Z")

#: Words for a keep that never ends.
FOR_EVER = "forever"


def indices_of(prefix: str) -> str:
    """What Elasticsearch takes for all of our indices: ``PREFIX-*`` alone is also ``PREFIX-b-DATE``, of another one's lines."""
    dead = f"{prefix}-deadletter"
    return f"{prefix}-*,-{prefix}-*-*,{dead}-*,-{dead}-*-*"


def ended(name: str, prefix: str) -> Optional[float]:
    """When the last line of an index can have been printed, in seconds since the epoch; None: it is none of ours.

    Ours are ``PREFIX-DATE`` and ``PREFIX-deadletter-DATE``.
    """
    rest = name[len(prefix) + 1 :] if name.startswith(f"{prefix}-") else ""
    found = _ENDING.match(rest[len("deadletter-") :] if rest.startswith("deadletter-") else rest)
    if found is None:
        return None
    year, month, day, hour, minute = (int(part) if part else None for part in found.groups())
    try:
        begin = datetime(year or 0, month or 0, day or 1, hour or 0, minute or 0, tzinfo=timezone.utc)
    except ValueError:
        return None
    if day is None:
        end = (begin + timedelta(days=31)).replace(day=1)
    elif hour is None:
        end = begin + timedelta(days=1)
    else:
        end = begin + (timedelta(hours=1) if minute is None else timedelta(minutes=1))
    return end.timestamp()


def expired(names: Union[Iterable[str], Mapping[str, float]], prefix: str, keep_s: float, now: float) -> list[str]:
    """Those of our indices whose every line is older than ``keep_s`` seconds, the oldest first.

    With the moments when they were made (seconds since the epoch), also those must be so long ago: a name may follow from a
    clock that was wrong, or from a backlog that was stored just now.
    """
    made = names if isinstance(names, Mapping) else dict.fromkeys(names, 0.0)
    ends = [(ended(name, prefix), name) for name in made]
    return [
        name
        for end, name in sorted((end, name) for end, name in ends if end is not None)
        if max(end, made[name]) + keep_s <= now
    ]


def kept(text: str) -> str:
    """``--keep`` as it is stored: a length of time of at least an hour, or empty for ever. Raises `UserError`."""
    if text == FOR_EVER:
        return ""
    if span(text) < 3600:
        raise UserError(f"--keep {text}: lines are kept for an hour at least, or {FOR_EVER}")
    return text.strip().replace("min", "m")


def policy(keep: str) -> dict[str, Any]:
    """The body of ``PUT _ilm/policy/NAME``. The age of an index counts from its making; nothing rolls over."""
    return {
        "policy": {
            "phases": {
                "hot": {"min_age": "0ms", "actions": {}},
                "delete": {"min_age": keep, "actions": {"delete": {}}},
            }
        }
    }
