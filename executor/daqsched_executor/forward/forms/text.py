"""Lines of text as programs print them: a template of bytes per stream and second, no dict per line."""

from __future__ import annotations

from typing import NamedTuple

from ...contract import Stream
from ..lines import TRUNCATED, split
from ..position import Position
from ..record import constant, escaped, flag_fragment, generation_id, level_fragment, quote, utc


class Encoded(NamedTuple):
    """Documents made of a chunk, and where the next one begins."""

    #: Two rows per record: the action with the id, and the document.
    documents: list[bytes]
    #: Of all documents together, in bytes.
    size: int
    end: int
    cut: bool


class Text:
    """See `Form`."""

    def __init__(self, stream: Stream, generation: int) -> None:
        self._id = escaped(generation_id(stream.id, generation).encode())
        self._rest = escaped(constant(stream))
        self._second = -1
        self._template = b""

    def encode(
        self, chunk: bytes, at: Position, micros: int, final: bool, room: int, oversize: bool = False
    ) -> Encoded:
        """See `Form.encode`."""
        lines, gap, flag = split(chunk, final)
        documents: list[bytes] = []
        offset, size = at.offset, 0
        second, micro = divmod(micros, 1_000_000)
        template = self._of(second)
        extra = flag_fragment(flag or (TRUNCATED if at.cut else ""))
        returns = b"\r" in chunk
        for line in lines:
            length = len(line) + gap
            if returns and line[-1:] == b"\r":
                line = line[:-1]
            message = quote(line.decode("utf-8", "replace"))
            document = template % (offset, micro, message, offset, extra + level_fragment(line))
            if size + len(document) > room and (documents or not oversize):
                return Encoded(documents, size, offset, at.cut and not documents)
            documents.append(document)
            size += len(document)
            offset += length
            extra = b""
            micro += 1
            if micro == 1_000_000:
                second, micro = second + 1, 0
                template = self._of(second)
        return Encoded(documents, size, offset, flag == TRUNCATED or (at.cut and not documents))

    def _of(self, second: int) -> bytes:
        """What ``% (offset, microsecond, quoted message, offset, further log fields)`` makes a line's two rows of."""
        if second != self._second:
            stamp = f"{utc(second):%Y-%m-%dT%H:%M:%S}".encode()
            self._template = (
                b'{"create":{"_id":"' + self._id + b'-%010x"}}\n'
                b'{"@timestamp":"' + stamp + b'.%06dZ","message":%b,"log":{"offset":%d%b}' + self._rest + b"}\n"
            )
            self._second = second
        return self._template
