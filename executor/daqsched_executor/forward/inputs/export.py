"""What ``journalctl --output=export`` prints, as entries: pure, and bounded whatever is printed.

An entry is rows ``NAME=value`` up to an empty one. A value with a newline or a control character comes as a row ``NAME``, its
length in eight bytes (little endian), the value and a newline; so a value of any size is passed over without being held
(https://systemd.io/JOURNAL_EXPORT_FORMATS/).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import NamedTuple, Optional

from ..documents.lines import LONGEST
from ..forms.journald import CUT, FIELDS
from ..forms.received import row

#: So much of MESSAGE is kept, so much of any other field, and so many bytes of a row that has no end yet.
MESSAGE_MOST, FIELD_MOST, ROW_MOST = LONGEST, 4096, 64 * 1024

#: journald takes no longer field (DATA_SIZE_MAX of journald): whatever has one is no journal.
SIZE_MOST = 1 << 30

CURSOR = "__CURSOR"

_NAME = re.compile(rb"[A-Z0-9_]{1,64}\Z")
_KEPT = frozenset((*FIELDS, CURSOR))


class Garbage(ValueError):
    """It is not what journalctl prints."""


class Entry(NamedTuple):
    """One entry's fields that documents are made of; the first of each name."""

    fields: dict[str, bytes]
    #: Whether MESSAGE was longer.
    cut: bool

    @property
    def cursor(self) -> str:
        """Where it stands in the journal."""
        return self.fields.get(CURSOR, b"").decode("ascii", "replace")


class Entries:
    """Takes bytes as they come and gives the entries that are whole."""

    def __init__(self) -> None:
        self._rest = b""
        self._fields: dict[str, bytes] = {}
        self._cut = False
        #: The field whose value is being read, what is kept of it, and how many bytes are to come (None: up to a newline).
        self._name = ""
        self._value = b""
        self._left: Optional[int] = 0

    def feed(self, data: bytes) -> Iterator[Entry]:
        """The entries that end in these bytes; raises `Garbage`."""
        data = self._rest + data
        at = 0
        while True:
            if self._name:
                at = self._go_on(data, at)
                if self._name:
                    break
            end = data.find(b"\n", at)
            if end < 0:
                if len(data) - at <= ROW_MOST:
                    break
                at = self._begin(data, at)
            elif end == at:
                at += 1
                if self._fields:
                    yield self._whole()
            elif data.find(b"=", at, end) > 0:
                at = self._begin(data, at)
            elif len(data) < end + 9:
                _name_of(data[at:end])
                break
            else:
                self._name = _name_of(data[at:end])
                self._left = int.from_bytes(data[end + 1 : end + 9], "little") + 1  # a newline follows
                if self._left > SIZE_MOST:
                    raise Garbage(f"the field {self._name} has {self._left:,} bytes")
                at = end + 9
        self._rest = data[at:]

    def _begin(self, data: bytes, at: int) -> int:
        """A field's value begins in its row; where."""
        equals = data.find(b"=", at, at + 65)
        self._name, self._left = _name_of(data[at : max(at, equals)]), None
        return equals + 1

    def _go_on(self, data: bytes, at: int) -> int:
        """Take of a value what is there; the byte behind it."""
        if self._left is None:
            newline = data.find(b"\n", at)
            end, over = (len(data), False) if newline < 0 else (newline + 1, True)
        else:
            end = min(len(data), at + self._left)
            self._left -= end - at
            over = not self._left
        if self._name in _KEPT and self._name not in self._fields:
            most = MESSAGE_MOST if self._name == "MESSAGE" else FIELD_MOST
            piece = data[at : end - 1 if over else end]
            self._cut |= self._name == "MESSAGE" and len(self._value) + len(piece) > most
            self._value += piece[: most - len(self._value)]
        if over:
            if self._name in _KEPT:
                self._fields.setdefault(self._name, self._value)
            self._name, self._value = "", b""
        return end

    def _whole(self) -> Entry:
        if CURSOR not in self._fields:
            raise Garbage(f"an entry has no {CURSOR}")
        entry = Entry(self._fields, self._cut)
        self._fields, self._cut = {}, False
        return entry


def spooled(entry: Entry, micros: int) -> bytes:
    """The entry as a row of the spool, which is no longer than a line may be: MESSAGE is cut, and says so."""
    fields: dict[str, object] = {name: value.decode("utf-8", "replace") for name, value in entry.fields.items()}
    message = str(fields.get("MESSAGE", ""))
    if entry.cut:
        message = message.rstrip("\ufffd")  # half a character
        fields |= {"MESSAGE": message, CUT: True}
    made = row(micros, b"-", _json(fields))
    while len(made) > LONGEST:
        message = message[: len(message) * LONGEST // len(made) - 16]
        fields |= {"MESSAGE": message, CUT: True}
        made = row(micros, b"-", _json(fields))
    return made


def same(one: str, other: str) -> bool:
    """Whether two cursors are those of one entry, which may stand in two files: all but its number there is the same."""
    return bool(one) and _place(one) == _place(other)


def _place(cursor: str) -> list[str]:
    parts = cursor.split(";")
    return [part for part in parts if part[:2] not in ("s=", "i=")] if len(parts) > 2 else parts


def _name_of(name: bytes) -> str:
    if not _NAME.match(name):
        raise Garbage(f"{name[:40]!r} is not a field's name")
    return name.decode()


def _json(fields: dict[str, object]) -> bytes:
    return json.dumps(fields, separators=(",", ":"), ensure_ascii=False).encode()
