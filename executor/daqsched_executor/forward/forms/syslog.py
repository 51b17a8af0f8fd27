"""Syslog as others send it: RFC 5424, RFC 3164, and what programs take for the latter. Nothing that comes in is refused."""

from __future__ import annotations

import re
from typing import Any

from .records import stamp
from .times import Times

#: RFC 5424, table 1.
FACILITIES = (
    "kern user mail daemon auth syslog lpr news uucp clock authpriv ftp ntp audit alert cron"
    " local0 local1 local2 local3 local4 local5 local6 local7"
).split()

#: RFC 5424, table 2.
SEVERITIES = "emergency alert critical error warning notice informational debug".split()

#: What stands in ``log.level`` for each severity: the words that jobs' lines have.
LEVELS = "critical critical critical error warning notice info debug".split()

#: RFC 5424's limits are smaller; a field that is longer than this is no header's.
_WORD = r"(\S{1,256})"

_PRIORITY = re.compile(r"<(\d{1,3})>")
_NEW = re.compile(rf"1 {_WORD} {_WORD} {_WORD} {_WORD} {_WORD} ")
_STAMP = re.compile(
    r"(?:[A-Z][a-z]{2} [ \d]\d (?:\d{4} )?\d\d:\d\d:\d\d(?:\.\d+)?"
    r"|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?) "
)
_HOST = re.compile(r"([A-Za-z0-9_.:-]{1,255}) (?=[^ :\[]{1,64}(?:\[|:))")
_TAG = re.compile(r"([^\s:\[\]<>]{1,64})(?:\[([^\]]{1,32})\])?: ?")
_ELEMENT = re.compile(r"\[([^ =\]\"]{1,64})((?: [^ =\]\"]{1,64}=\"(?:[^\"\\]|\\.)*\")*)\]", re.DOTALL)
_PARAMETER = re.compile(r" ([^ =\]\"]{1,64})=\"((?:[^\"\\]|\\.)*)\"", re.DOTALL)

_TIMES = Times("syslog", "")
_ISO = Times("iso", "")


def fill(fields: dict[str, Any], data: bytes, peer: str, received: int) -> None:
    """One message into its document's fields; what can't be read of it stays in the text."""
    text = data.decode("utf-8", "replace").rstrip("\0\n\r")
    priority = _PRIORITY.match(text)
    if priority is not None and int(priority.group(1)) < 192:
        number = int(priority.group(1))
        text = text[priority.end() :]
        syslog = fields["log"].setdefault("syslog", {})
        syslog["facility"] = {"name": FACILITIES[number >> 3]}
        syslog["severity"] = {"name": SEVERITIES[number & 7]}
        fields["log"]["level"] = LEVELS[number & 7]
    fields["host"] = {"name": peer}
    fields["service"] = {"name": "syslog"}
    new = _NEW.match(text)
    if new is not None:
        _fill_new(fields, new.groups(), text[new.end() :], received)
    else:
        _fill_old(fields, text, received)
    fields["service"]["node"] = {"name": f"{fields['service']['name']}@{fields['host']['name']}"}


def _fill_new(fields: dict[str, Any], header: tuple[str, ...], rest: str, received: int) -> None:
    """RFC 5424, section 6: header, structured data, message."""
    when, host, app, process, kind = ("" if word == "-" else word for word in header)
    _set_time(fields, _ISO.micros(when, received) if when else None)
    syslog = fields["log"].setdefault("syslog", {})
    if kind:
        syslog["msgid"] = kind
    _name(fields, host, app, process)
    if rest[:1] == "-":
        rest = rest[1:]
    else:
        at = 0
        labels: dict[str, str] = {}
        while (element := _ELEMENT.match(rest, at)) is not None:
            for name, value in _PARAMETER.findall(element.group(2)):
                labels[f"{element.group(1)}.{name}"] = re.sub(r"\\([\"\\\]])", r"\1", value)[:1024]
            at = element.end()
        rest = rest[at:]
        if labels:
            fields["labels"] = {**labels, **fields.get("labels", {})}
    fields["message"] = rest.lstrip(" ").lstrip("\ufeff")


def _fill_old(fields: dict[str, Any], text: str, received: int) -> None:
    """RFC 3164, section 4, and its relatives: each part may be missing."""
    when = _STAMP.match(text)
    host = ""
    if when is not None:
        _set_time(fields, _TIMES.micros(when.group(), received))
        text = text[when.end() :]
        named = _HOST.match(text)
        if named is not None:
            host = named.group(1)
            text = text[named.end() :]
    tag = _TAG.match(text)
    if tag is not None:
        _name(fields, host, tag.group(1), tag.group(2) or "")
        text = text[tag.end() :]
    else:
        _name(fields, host, "", "")
    fields["message"] = text


def _name(fields: dict[str, Any], host: str, app: str, process: str) -> None:
    syslog = fields["log"].setdefault("syslog", {})
    if host:
        syslog["hostname"] = host
        fields["host"] = {"name": host}
    if app:
        syslog["appname"] = app
        fields["service"] = {"name": app}
    if process.isdigit() and len(process) < 10:
        fields["process"] = {"pid": int(process)}
    if not syslog:
        del fields["log"]["syslog"]


def _set_time(fields: dict[str, Any], micros: int | None) -> None:
    if micros is not None:
        fields["@timestamp"] = stamp(micros).decode()
