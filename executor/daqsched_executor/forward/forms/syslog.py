"""Syslog as others send it: RFC 5424, RFC 3164, and what programs and devices take for the latter. Nothing that comes in is
refused, and where it is doubtful whether a word belongs to the header it stays in the text.
"""

from __future__ import annotations

import re
from typing import Any

from ..documents.lines import TRUNCATED
from .jsonlines import LONGEST_LABEL, MOST_LABELS
from .moment import add_flag, set_time
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

#: RFC 5424's limits are smaller; a field that is longer than this is not a header's.
_WORD = r"(\S{1,256})"

_PRIORITY = re.compile(r"<(\d{1,3})> ?", re.ASCII)
_NEW = re.compile(rf"1 (-|\d{{4}}-\d\d-\d\dT\S{{1,64}}) {_WORD} {_WORD} {_WORD} {_WORD}(?: |$)", re.ASCII)

_CLOCK = r"\d\d:\d\d:\d\d(?:\.\d{1,9})?"
_MONTH = r"(?P<month>[A-Z][a-z]{2}) {1,2}(?P<day>\d{1,2})"
#: The year stands nowhere, before the month (NX-OS), before or behind the clock (ASA, Aruba). A sign before it says how
#: far the clock is to be trusted (IOS).
_OLD = rf"[*.]?(?:(?P<first>\d{{4}}) )?{_MONTH} (?:(?P<year>\d{{4}}) )?(?P<clock>{_CLOCK})"
_STAMP = re.compile(
    rf"(?:{_OLD}(?: (?P<last>20\d\d))?(?P<zone> (?:UTC|GMT))?|(?P<iso>\d{{4}}-\d\d-\d\dT{_CLOCK}(?:Z|[+-]\d\d:?\d\d)?)) +",
    re.ASCII,
)
_HOST_NAME = (
    r"(?!\d+ )(?:[A-Za-z0-9][A-Za-z0-9_.-]{0,254}|(?=[^\s:]{0,39}:[^\s:]{0,39}:)(?!\d\d:\d\d:\d\d)[0-9A-Fa-f:.]{2,45})"
)
#: Cisco: ``45: sw01: *Nov 27 01:02:03.123 UTC: ``, each part but the clock may be missing.
_CISCO = re.compile(
    rf"(?:(?P<number>\d{{1,12}}): )?(?:(?P<host>{_HOST_NAME}) ?: ?|(?P<router>{_HOST_NAME}) (?=[RL]P?C?/)|: ?)?"
    rf"(?:[RL][PC]/[\w/]{{1,40}}:)?{_OLD}(?P<zone> [A-Z]{{2,5}}(?=:))?(?: (?P<behind>{_HOST_NAME})(?= : %))? ?: ",
    re.ASCII,
)
#: The same with the time since the device began, or none.
_CISCO_COUNTED = re.compile(r"(?:(?P<number>\d{1,12}): )?(?:(?:\d+[wdyh]\d+[dhm]|\d+:\d\d:\d\d): )?(?=%)", re.ASCII)
_FORWARDED = re.compile(rf"Message forwarded from ({_HOST_NAME}): ", re.ASCII)

#: A program's name: with a letter, and nothing in it that structured text begins with.
_PROGRAM = r"(?=[^\s:\[]{0,63}[^\W\d_])[\w%/.-][\w/.@%+()~#$&*!-]{0,63}"
_TAG = re.compile(rf"({_PROGRAM})(?:\[([^\]\n]{{1,64}})\]:| ?:(?= |$|[^\W\d]))(?! ?:) ?")
_HOST = re.compile(rf"({_HOST_NAME}) +(?=\S)", re.ASCII)
#: A host's name without a tag behind it is told from the first word of a text by these.
_OF_HOSTS = re.compile(r"[\d._-]|[0-9a-f]*:")
_NO_HOST = ("last message repeated", "message repeated")

_ELEMENT = re.compile(r"\[([^ =\]\"]{1,64})((?: [^ =\]\"]{1,64}=\"[^\"\\]*(?:\\.[^\"\\]*)*\")+)\]", re.DOTALL)
_PARAMETER = re.compile(r" ([^ =\]\"]{1,64})=\"([^\"\\]*(?:\\.[^\"\\]*)*)\"", re.DOTALL)
_ESCAPED = re.compile(r"\\([\"\\\]])")

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
    set_time(fields, _ISO.micros(when, received) if when else None, received, when)
    syslog = fields["log"].setdefault("syslog", {})
    if kind:
        syslog["msgid"] = kind
    _name(fields, host, app, process)
    if rest == "-" or rest[:2] == "- ":
        rest = rest[1:]
    else:
        at, count, whole = 0, 0, True
        labels: dict[str, str] = {}
        while (element := _ELEMENT.match(rest, at)) is not None:
            for name, value in _PARAMETER.findall(element.group(2)):
                count += 1
                if len(labels) < MOST_LABELS:
                    value = _ESCAPED.sub(r"\1", value)
                    whole = whole and len(value) <= LONGEST_LABEL
                    labels[f"{element.group(1)}.{name}".replace("\0", "\ufffd")] = value[:LONGEST_LABEL]
            at = element.end()
        if count > len(labels) or not whole:
            add_flag(fields, TRUNCATED)
            fields["event"]["original"] = rest
        rest = rest[at:]
        if labels:
            fields["labels"] = {**labels, **fields.get("labels", {})}
    fields["message"] = rest.lstrip(" ").lstrip("\ufeff")


def _fill_old(fields: dict[str, Any], text: str, received: int) -> None:
    """RFC 3164, section 4, and its relatives: each part may be missing."""
    host, text = _cisco(fields, text, received)
    when = _STAMP.match(text)
    if when is not None:
        if when.group("iso"):
            set_time(fields, _ISO.micros(when.group(), received), received, when.group())
        else:
            _set_old_time(fields, when.groupdict(), received)
        text = text[when.end() :]
        forwarded = _FORWARDED.match(text)
        named = forwarded or _HOST.match(text)
        if named is not None and (forwarded or _is_host(named.group(1), text, named.end())):
            host = named.group(1)
            text = text[named.end() :]
        behind, text = _cisco(fields, text, received)  # what a device sent to a relay
        host = behind or host
    tag = _TAG.match(text)
    if tag is not None:
        _name(fields, host, tag.group(1), tag.group(2) or "")
        text = text[tag.end() :]
    else:
        _name(fields, host, "", "")
    fields["message"] = text


def _cisco(fields: dict[str, Any], text: str, received: int) -> tuple[str, str]:
    """The host, if it is named, and the text behind what Cisco's devices put before it: a number, a time, their mnemonic
    follows."""
    found = (_CISCO.match(text) or _CISCO_COUNTED.match(text)) if "%" in text else None
    if found is None:
        return "", text
    parts = found.groupdict()
    if parts.get("clock"):
        _set_old_time(fields, parts, received)
    if parts["number"]:
        fields["event"]["sequence"] = int(parts["number"])
    return parts.get("host") or parts.get("router") or parts.get("behind") or "", text[found.end() :]


def _is_host(word: str, text: str, end: int) -> bool:
    """Whether the first word behind the time, which ends there, is the host; a text alone may stand there, too."""
    if _TAG.match(text, end) is not None or text.startswith(("MSWinEventLog\t", "{", "["), end):
        return True
    return _OF_HOSTS.search(word) is not None and not text.startswith(_NO_HOST)


def _set_old_time(fields: dict[str, Any], parts: dict[str, str | None], received: int) -> None:
    year = parts["first"] or parts["year"] or parts.get("last") or ""
    zone = (parts["zone"] or "").strip()
    stamp = " ".join(filter(None, (parts["month"], parts["day"], year, parts["clock"], zone)))
    set_time(fields, _TIMES.micros(stamp, received), received, stamp)


def _name(fields: dict[str, Any], host: str, app: str, process: str) -> None:
    syslog = fields["log"].setdefault("syslog", {})
    if host:
        syslog["hostname"] = host
        fields["host"] = {"name": host}
    if app:
        syslog["appname"] = app
        fields["service"] = {"name": app}
    if process.isdecimal() and len(process) < 10:
        fields["process"] = {"pid": int(process)}
    elif process:
        syslog["procid"] = process
    if not syslog:
        del fields["log"]["syslog"]
