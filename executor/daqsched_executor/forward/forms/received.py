"""What came in over the network or from journald, as it lies in the spool: one row for each thing that was received.

A row is ``MICROS PEER BYTES``: when it was received (microseconds since the epoch), from which address (``-``: from this
machine), and the bytes with backslash, newline and carriage return escaped. The peer ``!`` stands before the number of
datagrams that the kernel dropped because nobody took them in time, ``?`` before how many may have come while nobody listened,
``~`` before how many a forwarder may have held in its hands when it was killed.
"""

from __future__ import annotations

import json
from typing import Any, Callable

from ...contract import Stream
from ...contract.fingerprint import fingerprint
from ..batch import Documents
from ..lines import TRUNCATED, split
from ..position import Position
from ..record import DROPPED_DATASET, fields_of, generation_id
from .records import stamp
from .text import Encoded

dumps: Callable[[Any], bytes] = lambda value: json.dumps(value, separators=(",", ":")).encode()  # noqa: E731
try:
    from orjson import dumps
except ImportError:
    pass  # slower

#: The peers of rows that count what the kernel dropped, what may have come while nobody listened, what went with a forwarder.
DROPPED, MISSED, TORN = b"!", b"?", b"~"

_ESCAPES = ((b"\\", b"\\\\"), (b"\n", b"\\n"), (b"\r", b"\\r"))


def row(micros: int, peer: bytes, data: bytes) -> bytes:
    """See the module."""
    if b"\\" in data or b"\n" in data or b"\r" in data:
        for plain, escape in _ESCAPES:
            data = data.replace(plain, escape)
    return b"%d %b %b\n" % (micros, peer, data)


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
        offset, size, cut = at.offset, 0, at.cut
        for one in rows:
            document = self._document(one, offset, micros + len(documents), bool(flag) or cut)
            if size + len(document) > room and (documents or not oversize):
                return Encoded(Documents(documents), size, offset, cut)
            documents.append(document)
            size += len(document)
            offset += len(one) + gap
            cut = False
        return Encoded(Documents(documents), size, offset, flag == TRUNCATED)

    def _document(self, one: bytes, offset: int, micros: int, broken: bool) -> bytes:
        when, _, rest = one.partition(b" ")
        peer, _, data = rest.partition(b" ")
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
            if peer != b"-":
                fields["source"] = {"ip": peer.decode("ascii", "replace")}
            self._fill(fields, unescaped(data), peer.decode("ascii", "replace"), received)
        fields["daqsched"]["fingerprint"] = fingerprint(str(fields["message"]).encode("utf-8", "replace"))
        return b'{"create":{"_id":"%b-%010x"}}\n%b\n' % (self._id.encode(), offset, dumps(fields))

    def _tell_dropped(self, fields: dict[str, Any], count: int, how: str) -> None:
        fields["message"] = f"{count:,} datagrams for {self._what} {how}"
        fields["log"]["level"] = "warning"
        fields["event"] = {"dataset": DROPPED_DATASET}
        fields["daqsched"]["dropped"] = {"lines": count, "bytes": 0}
