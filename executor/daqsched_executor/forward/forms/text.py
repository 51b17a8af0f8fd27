"""Lines of text as programs print them: a template of bytes per stream and millisecond, no dict per line."""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate
from typing import NamedTuple

from ...contract import Stream
from ..columns import levels_and_fingerprints, quoted
from ..lines import TRUNCATED, split
from ..position import Position
from ..record import constant, escaped, flag_fragment, generation_id, utc


class Encoded(NamedTuple):
    """Documents made of a chunk, and where the next one begins."""

    #: Two rows per record: the action with the id, and the document.
    documents: list[bytes]
    #: Of all documents together, in bytes.
    size: int
    end: int
    cut: bool


#: The last three digits of a microsecond.
_DIGITS = [b"%03d" % number for number in range(1000)]


class Text:
    """See `Form`."""

    def __init__(self, stream: Stream, generation: int, run: str = "", number: int = 0) -> None:
        self._id = escaped(generation_id(stream.id, generation).encode())
        before, opening, after = constant(stream, run, number).partition(b'"daqsched":{')
        self._rest = escaped(before + opening) + b'"fingerprint":"%b",' + escaped(after)
        self._made_for = (-1, b"")
        self._template = b""
        #: What each document has beside its line's text, at least.
        self._least = len(self._of(0, b"%010x") % (0, b"000", b"", 0, b"", b"00000000"))

    def encode(
        self, chunk: bytes, at: Position, micros: int, final: bool, room: int, oversize: bool = False
    ) -> Encoded:
        """See `Form.encode`."""
        if room < len(chunk):
            # A document is larger than its line: what does not fit anyway need not be looked at.
            chunk = chunk[: chunk.rfind(b"\n", 0, room) + 1] or chunk
        lines, gap, flag = split(chunk, final)
        if not lines:
            return Encoded([], 0, at.offset, at.cut)
        offsets = list(accumulate(map(gap.__add__, map(len, lines)), initial=at.offset))
        if b"\r" in chunk:
            lines = [line[:-1] if line.endswith(b"\r") else line for line in lines]
        if len(chunk) + len(lines) * self._least > room:
            fit = bisect_right(list(accumulate(map(self._least.__add__, map(len, lines)))), room)
            lines = lines[: max(fit, oversize)]
        documents = self._documents(lines, offsets, micros, flag_fragment(flag or (TRUNCATED if at.cut else "")))
        size = sum(map(len, documents))
        if size > room:
            fit = bisect_right(list(accumulate(map(len, documents))), room)
            documents = documents[: max(fit, oversize)]
            size = sum(map(len, documents))
        cut = flag == TRUNCATED or (at.cut and not documents)
        return Encoded(documents, size, offsets[len(documents)], cut)

    def _documents(self, lines: list[bytes], offsets: list[int], micros: int, flags: bytes) -> list[bytes]:
        if not lines:
            return []
        together = b"\n".join(lines)
        try:
            text = together.decode()
        except UnicodeDecodeError:
            text = together.decode("utf-8", "replace")
            together = text.encode()
            lines = together.split(b"\n")
        messages = quoted(text, lines, len(together))
        levels, fingerprints = levels_and_fingerprints(together, lines)
        levels[0] = flags + levels[0]
        # Where all offsets have as many hexadecimal digits, the zeros before them are written once.
        digits = len(f"{offsets[0]:x}")
        offset = b"%010x"
        if digits == len(f"{offsets[len(lines) - 1]:x}"):
            offset = b"0" * (10 - digits) + b"%x"
        documents: list[bytes] = []
        first = 0
        while first < len(lines):
            milli, micro = divmod(micros + first, 1000)
            end = min(first + 1000 - micro, len(lines))
            here = offsets[first:end]
            documents += map(
                self._of(milli, offset).__mod__,
                zip(here, _DIGITS[micro:], messages[first:end], here, levels[first:end], fingerprints[first:end]),
            )
            first = end
        return documents

    def _of(self, milli: int, offset: bytes) -> bytes:
        """What makes a line's two rows of ``% (offset, microsecond's digits, message, offset, log fields, fingerprint)``."""
        if self._made_for != (milli, offset):
            second, part = divmod(milli, 1000)
            stamp = f"{utc(second):%Y-%m-%dT%H:%M:%S}.{part:03}".encode()
            self._template = (
                b'{"create":{"_id":"' + self._id + b"-" + offset + b'"}}\n'
                b'{"@timestamp":"' + stamp + b'%bZ","message":"%b","log":{"offset":%d%b}' + self._rest + b"}\n"
            )
            self._made_for = (milli, offset)
        return self._template
