"""What came in over the network or from journald, as it lies in the spool: one row for each thing that was received.

A row is ``MICROS PEER BYTES``: when it was received (microseconds since the epoch), from which address (``-``: from this
machine), and the bytes with backslash, newline and carriage return escaped. The peer ``!`` stands before the number of
datagrams that the kernel dropped because nobody took them in time, ``?`` before how many may have come while nobody listened,
``~`` before how many a forwarder may have held in its hands when it was killed. Behind the peer may stand ``|`` and what is to
be known of the bytes: ``truncated`` (they go on in the next row), ``continued`` (they go on with the row before), ``partial`` (the
connection ended within them), ``cut=NUMBER`` (so many bytes behind them were left out).
"""

from __future__ import annotations

import json
import re
from typing import Any, Callable

from ...contract import Stream
from ...contract.fingerprint import fingerprint
from ..documents.batch import Documents
from ..documents.lines import PARTIAL, TRUNCATED, split
from ..documents.record import DROPPED_DATASET, as_dead_letter, fields_of, generation_id
from ..journal.position import Position
from .moment import add_flag, stamp
from .text import Encoded

dumps: Callable[[Any], bytes] = lambda value: json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()  # noqa: E731
try:
    from orjson import dumps
except ImportError:
    pass  # slower

#: The peers of rows that count what the kernel dropped, what may have come while nobody listened, what went with a forwarder.
DROPPED, MISSED, TORN = b"!", b"?", b"~"

#: A flag of ``log.flags`` beside those of `lines`: the text goes on with that of the document before.
CONTINUED = "continued"

#: What may stand behind the peer.
_CUT = b"cut="

_SURROGATE = re.compile("[\ud800-\udfff]")

_ESCAPES = ((b"\\", b"\\\\"), (b"\n", b"\\n"), (b"\r", b"\\r"))


def row(micros: int, peer: bytes, data: bytes, marks: bytes = b"") -> bytes:
    """See the module; ``marks`` are those behind the peer, with commas."""
    if b"\\" in data or b"\n" in data or b"\r" in data:
        for plain, escape in _ESCAPES:
            data = data.replace(plain, escape)
    return b"%d %b%b %b\n" % (micros, peer, b"|" + marks if marks else b"", data)


def unescaped(data: bytes) -> bytes:
    """The bytes as they were received."""
    if b"\\" not in data:
        return data
    parts = data.split(b"\\\\")
    return b"\\".join(part.replace(b"\\n", b"\n").replace(b"\\r", b"\r") for part in parts)


#: Fills a document in from what was received: its fields so far, the bytes, the peer's address, when it was received.
Fill = Callable[[dict[str, Any], bytes, str, int], None]


class Received:
    """See `Form`; ``fill`` knows the format."""

    def __init__(self, stream: Stream, generation: int, run: str, fill: Fill) -> None:
        self._stream, self._generation = stream, generation
        self._fields = fields_of(stream, run)
        self._id = generation_id(stream.id, generation)
        self._fill = fill
        self._what = f"{stream.job}@{stream.host}"

    def encode(
        self, chunk: bytes, at: Position, micros: int, final: bool, room: int, oversize: bool = False
    ) -> Encoded:
        """See `Form.encode`."""
        rows, gap, flag = split(chunk, final)
        documents: list[bytes] = []
        aside: list[tuple[int, str]] = []
        offset, size, cut = at.offset, 0, at.cut
        for one in rows:
            reason = ""
            try:
                document = self._document(one, offset, micros + len(documents), bool(flag) or cut)
            except Exception as error:  # noqa: BLE001 - this row alone is set aside
                document, reason = as_dead_letter(
                    self._stream, self._generation, offset, micros + len(documents), one, error
                )
            if size + len(document) > room and (documents or not oversize):
                return Encoded(Documents(documents, aside=aside), size, offset, cut)
            if reason:
                aside.append((len(documents), reason))
            documents.append(document)
            size += len(document)
            offset += len(one) + gap
            cut = False
        return Encoded(Documents(documents, aside=aside), size, offset, flag == TRUNCATED)

    def _document(self, one: bytes, offset: int, micros: int, broken: bool) -> bytes:
        when, _, rest = one.partition(b" ")
        peer, _, data = rest.partition(b" ")
        peer, _, marks = peer.partition(b"|")
        fields: dict[str, Any] = {
            name: dict(value) if isinstance(value, dict) else value for name, value in self._fields.items()
        }
        fields["log"] = {"offset": offset}
        received = int(when) if when.isdigit() and len(when) < 17 else micros
        fields["@timestamp"] = stamp(received).decode()
        if broken or not when.isdigit():
            fields["message"] = one.decode("utf-8", "replace")
            fields["log"]["flags"] = [TRUNCATED]
        elif peer == DROPPED and data.isdigit():
            self._tell_dropped(fields, int(data), "were dropped by the kernel: its buffer for the socket was full")
        elif peer == TORN and data.isdigit():
            self._tell_dropped(
                fields, int(data), "at most were lost with a forwarder that was killed while it took them"
            )
        elif peer == MISSED and data.isdigit():
            fields["message"] = (
                f"no forwarder listened for a while: at most {int(data):,} datagrams were lost "
                "(so many came for ports of this machine, of whatever kind, where nobody listened)"
            )
            fields["log"]["level"] = "warning"
            fields["event"] = {"dataset": DROPPED_DATASET}
        else:
            fields["event"]["created"] = stamp(received).decode()
            name = peer.decode("ascii", "replace")
            if peer != b"-":
                # the interface of a link-local address is no part of it elsewhere
                fields["source"] = {"ip": name.partition("%")[0]}
            self._message(fields, unescaped(data), name, received, marks.split(b","))
        try:
            return self._rows(fields, offset)
        except (TypeError, ValueError):
            return self._rows(_clean(fields), offset)

    def _message(self, fields: dict[str, Any], data: bytes, peer: str, received: int, marks: list[bytes]) -> None:
        """What was sent; a piece that goes on with another one has no header."""
        if CONTINUED.encode() in marks:
            name = fields["service"]["name"]
            fields["host"] = {"name": peer}
            fields["service"] = {"name": name, "node": {"name": f"{name}@{peer}"}}
            fields["message"] = data.decode("utf-8", "replace")
        else:
            self._fill(fields, data, peer, received)
        for mark in marks:
            if mark.startswith(_CUT):
                add_flag(fields, TRUNCATED)
                count = mark[len(_CUT) :]
                fields["daqsched"]["cut_bytes"] = int(count) if count.isdigit() and len(count) < 17 else 0
            elif mark.decode("ascii", "replace") in (TRUNCATED, CONTINUED, PARTIAL):
                add_flag(fields, mark.decode())

    def _rows(self, fields: dict[str, Any], offset: int) -> bytes:
        """The two rows; raises ValueError or TypeError where a text is none that UTF-8 can hold."""
        fields["daqsched"]["fingerprint"] = fingerprint(str(fields["message"]).encode())
        return b'{"create":{"_id":"%b-%010x"}}\n%b\n' % (self._id.encode(), offset, dumps(fields))

    def _tell_dropped(self, fields: dict[str, Any], count: int, how: str) -> None:
        fields["message"] = f"{count:,} datagrams for {self._what} {how}"
        fields["log"]["level"] = "warning"
        fields["event"] = {"dataset": DROPPED_DATASET}
        fields["daqsched"]["dropped"] = {"lines": count, "bytes": 0}


def _clean(value: Any) -> Any:
    """The same, with U+FFFD for each half of a character that was cut (JSON can name it, UTF-8 can't hold it)."""
    if isinstance(value, str):
        return _SURROGATE.sub("\ufffd", value)
    if isinstance(value, dict):
        return {_clean(name): _clean(inner) for name, inner in value.items()}
    return [_clean(one) for one in value] if isinstance(value, list) else value
