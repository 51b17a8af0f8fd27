"""A line of the audit file as a document for Elasticsearch, in the fields that ECS has for who did what. Pure."""

from __future__ import annotations

import hashlib
import ipaddress
import json
from collections.abc import Mapping
from typing import Any, NamedTuple, Optional

#: The version of ECS whose field names these are.
ECS = "8.11.0"

_KEYWORD = {"type": "keyword", "ignore_above": 1024}
_LONG = {"type": "long"}

#: Fields by their dotted names; what is not here is in `labels`, as text.
FIELDS: dict[str, dict[str, Any]] = {
    "@timestamp": {"type": "date_nanos"},
    "ecs.version": _KEYWORD,
    "message": {"type": "text", "norms": False},
    "event.kind": _KEYWORD,
    "event.category": _KEYWORD,
    "event.dataset": _KEYWORD,
    "event.action": _KEYWORD,
    "event.outcome": _KEYWORD,
    "event.reason": {"type": "text", "norms": False},
    "event.sequence": _LONG,
    "event.hash": _KEYWORD,
    "user.name": _KEYWORD,
    "user.id": _KEYWORD,
    "group.id": _KEYWORD,
    "process.pid": _LONG,
    "source.ip": {"type": "ip"},
    "host.name": _KEYWORD,
    "daqsched.door": _KEYWORD,
    "daqsched.via": _KEYWORD,
    "daqsched.result": _KEYWORD,
    "daqsched.known_as": _KEYWORD,
    "daqsched.verb": _KEYWORD,
    "daqsched.select": _KEYWORD,
    "daqsched.part": _KEYWORD,
    "daqsched.count": _LONG,
    "daqsched.revision": _LONG,
    "daqsched.rollout": _LONG,
    "daqsched.proposal": _LONG,
    "daqsched.proposed_by": _KEYWORD,
    "labels": {"type": "flattened", "ignore_above": 1024},
}

#: Fields of a line, and what they are called there.
_NAMES = {
    "user": "user.name",
    "pid": "process.pid",
    "operation": "event.action",
    "why": "event.reason",
    "seq": "event.sequence",
    "hash": "event.hash",
    "message": "message",
    **{
        name: f"daqsched.{name}"
        for name in "door via result known_as verb select part count revision rollout proposal proposed_by".split()
    },
}

_OUTCOMES = {"done": "success", "refused": "failure", "failed": "failure"}


class AuditDocument(NamedTuple):
    """Where a line goes, under which id, and as what."""

    of_index: str
    document_id: str
    body: str


def mappings() -> dict[str, Any]:
    """Those of its indices; a field that is none of ours is kept, and not searched."""
    return {"dynamic": False, "properties": _nested(FIELDS, "properties")}


def document(line: bytes, prefix: str, host: str) -> Optional[AuditDocument]:
    """A whole line; None: it is none of ours. The id is the line's hash, so that what is sent again is stored once."""
    try:
        fields = json.loads(line)
        time = fields["time"]
        month = f"{int(time[:4]):04d}.{int(time[5:7]):02d}"
    except (ValueError, KeyError, TypeError):
        return None
    made: dict[str, Any] = {
        "@timestamp": time,
        "ecs.version": ECS,
        "event.kind": "event",
        "event.category": ["configuration"],
        "event.dataset": "daqsched.audit",
        "event.outcome": _OUTCOMES.get(str(fields.get("result")), "unknown"),
        "host.name": host,
    }
    labels: dict[str, str] = {}
    for name, value in fields.items():
        if name in _NAMES and _fits(FIELDS[_NAMES[name]], value):
            made[_NAMES[name]] = value
        elif name in ("uid", "gid"):
            if isinstance(value, int) and value >= 0:
                made["user.id" if name == "uid" else "group.id"] = str(value)
        elif name != "time":
            labels[name[:255]] = value if isinstance(value, str) else json.dumps(value)
    if labels:
        made["labels"] = labels
    address = _address(fields)
    if address:
        made["source.ip"] = address
    made.setdefault("message", _sentence(fields))
    id = fields.get("hash") if isinstance(fields.get("hash"), str) else ""
    return AuditDocument(
        f"{prefix}-{month}", id or hashlib.sha256(line).hexdigest(), json.dumps(_nested(made), separators=(",", ":"))
    )


def _fits(kind: Mapping[str, Any], value: Any) -> bool:
    """Whether Elasticsearch takes it there: one that it does not would keep the whole line out."""
    if kind is _LONG:
        return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63
    return isinstance(value, str) or (isinstance(value, list) and all(isinstance(one, str) for one in value))


def _address(fields: Mapping[str, Any]) -> str:
    """Where who asked came from, over the network; of a standby's word it would be the standby."""
    if fields.get("door") != "web" and fields.get("operation") != "handshake":
        return ""
    first = str(fields.get("via", "")).split(" ", 1)[0].strip(",[]")
    try:
        return str(ipaddress.ip_address(first))
    except ValueError:
        return ""


def _sentence(fields: Mapping[str, Any]) -> str:
    words = [str(fields[name]) for name in ("user", "operation", "result") if fields.get(name)]
    return " ".join(words) + (f": {fields['why']}" if fields.get("why") else "")


def _nested(flat: Mapping[str, Any], between: str = "") -> dict[str, Any]:
    """Dotted names as objects in objects."""
    found: dict[str, Any] = {}
    for name, value in flat.items():
        *path, last = name.split(".")
        there = found
        for step in path:
            there = there.setdefault(step, {})
            there = there.setdefault(between, {}) if between else there
        there[last] = value
    return found
