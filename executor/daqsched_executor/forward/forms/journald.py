"""Entries of the systemd journal (systemd.journal-fields(7)), as objects of JSON: their fields by name."""

from __future__ import annotations

import json
from typing import Any

from ..documents.lines import TRUNCATED
from .moment import add_flag, set_time
from .syslog import FACILITIES, LEVELS, SEVERITIES

#: All fields that a document is made of; an entry may have any others, which nobody reads.
FIELDS = (
    "MESSAGE",
    "PRIORITY",
    "SYSLOG_FACILITY",
    "SYSLOG_IDENTIFIER",
    "SYSLOG_PID",
    "UNIT",
    "_COMM",
    "_HOSTNAME",
    "_PID",
    "_SOURCE_REALTIME_TIMESTAMP",
    "_SYSTEMD_UNIT",
    "__REALTIME_TIMESTAMP",
)

#: Stands in an entry whose MESSAGE we have cut; journald itself adds what begins so, and takes it from nobody.
CUT = "__CUT"


def fill(fields: dict[str, Any], data: bytes, peer: str, received: int) -> None:
    """One entry into its document's fields."""
    try:
        entry = json.loads(data)
    except (ValueError, RecursionError):
        entry = None
    if not isinstance(entry, dict):
        fields["message"] = data.decode("utf-8", "replace")
        return
    when = _text(entry, "_SOURCE_REALTIME_TIMESTAMP") or _text(entry, "__REALTIME_TIMESTAMP")
    if when.isdecimal() and len(when) < 17:
        set_time(fields, int(when), received)
    fields["message"] = _text(entry, "MESSAGE")
    if entry.get(CUT) is True:
        add_flag(fields, TRUNCATED)
    priority, facility = _text(entry, "PRIORITY"), _text(entry, "SYSLOG_FACILITY")
    syslog: dict[str, Any] = {}
    if priority.isdecimal() and len(priority) < 3 and int(priority) < 8:
        fields["log"]["level"] = LEVELS[int(priority)]
        syslog["severity"] = {"name": SEVERITIES[int(priority)]}
    if facility.isdecimal() and len(facility) < 4 and int(facility) < len(FACILITIES):
        syslog["facility"] = {"name": FACILITIES[int(facility)]}
    name = _text(entry, "SYSLOG_IDENTIFIER") or _text(entry, "_COMM")
    if name:
        syslog["appname"] = name
    if syslog:
        fields["log"]["syslog"] = syslog
    host = _text(entry, "_HOSTNAME") or fields["host"]["name"]
    fields["host"] = {"name": host}
    service = _text(entry, "_SYSTEMD_UNIT") or _text(entry, "UNIT") or name or "journal"
    fields["service"] = {"name": service, "node": {"name": f"{service}@{host}"}}
    process: dict[str, Any] = {}
    pid = _text(entry, "_PID") or _text(entry, "SYSLOG_PID")
    if pid.isdecimal() and len(pid) < 10:
        process["pid"] = int(pid)
    if _text(entry, "_COMM"):
        process["name"] = _text(entry, "_COMM")
    if process:
        fields["process"] = process


def _text(entry: dict[str, Any], name: str) -> str:
    """A field; one that is not UTF-8 is printed as a list of its bytes, one that is there twice as a list of both."""
    value = entry.get(name)
    if isinstance(value, list):
        if all(type(one) is int and 0 <= one < 256 for one in value):
            return bytes(value).decode("utf-8", "replace")
        value = value[0] if value else ""
    return value if isinstance(value, str) else ""
