"""Lines of text as programs print them: columns of a whole chunk and what is constant between them, no step per line."""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate
from typing import NamedTuple

from ...contract import Stream
from ..documents.batch import Documents
from ..documents.columns import joined, levels_and_fingerprints, quoted
from ..documents.lines import TRUNCATED, split
from ..documents.record import as_dead_letter, constant, decimals, flag_fragment, generation_id, hexadecimals, utc
from ..journal.position import Position


class Encoded(NamedTuple):
    """Documents made of a chunk, and where the next one begins."""

    documents: Documents
    #: Of all documents together, in bytes.
    size: int
    end: int
    cut: bool


#: The last three digits of a microsecond.
_DIGITS = [b"%03d" % number for number in range(1000)]


class Text:
    """See `Form`."""

    def __init__(self, stream: Stream, generation: int, run: str = "", number: int = 0) -> None:
        self._stream, self._generation = stream, generation
        before, opening, after = constant(stream, run, number).partition(b'"daqsched":{')
        #: What all documents have: before the offset in the id, the microseconds, the text, the offset, the level, the
        #: fingerprint, and behind that.
        self._constant = (
            b'{"create":{"_id":"' + generation_id(stream.id, generation).encode() + b"-",
            b'"}}\n{"@timestamp":"',
            b'Z","message":"',
            b'","log":{"offset":',
            b"",
            b"}" + before + opening + b'"fingerprint":"',
            b'",' + after + b"}\n",
        )
        #: What each document has beside its line's text, at least.
        self._least = sum(map(len, self._constant)) + len("00000000002026-11-23T05:06:02.000000000000000")

    def encode(
        self, chunk: bytes, at: Position, micros: int, final: bool, room: int, oversize: bool = False
    ) -> Encoded:
        """See `Form.encode`."""
        if room < len(chunk):
            # A document is larger than its line: what does not fit anyway need not be looked at.
            chunk = chunk[: chunk.rfind(b"\n", 0, room) + 1] or chunk
        lines, gap, flag = split(chunk, final)
        if not lines:
            return Encoded(Documents(), 0, at.offset, at.cut)
        offsets = list(accumulate(map(gap.__add__, map(len, lines)), initial=at.offset))
        if b"\r" in chunk:
            lines = [line[:-1] if line.endswith(b"\r") else line for line in lines]
        if len(chunk) + len(lines) * self._least > room:
            fit = bisect_right(list(accumulate(map(self._least.__add__, map(len, lines)))), room)
            lines = lines[: max(fit, oversize)]
        documents = Documents()
        if lines:
            flags = flag_fragment(flag or (TRUNCATED if at.cut else ""))
            try:
                documents = self._documents(lines, offsets[: len(lines)], micros, flags)
            except Exception:  # noqa: BLE001 - see `_one_by_one`
                documents = self._one_by_one(lines, offsets, micros, flags)
            documents.shorten(room, oversize)
        cut = flag == TRUNCATED or (at.cut and not documents)
        return Encoded(documents, documents.size, offsets[len(documents)], cut)

    def _one_by_one(self, lines: list[bytes], offsets: list[int], micros: int, flags: bytes) -> Documents:
        """The same documents, but that those lines are set aside of which none can be made."""
        documents = Documents()
        for at, (line, offset) in enumerate(zip(lines, offsets)):
            try:
                documents += self._documents([line], [offset], micros + at, b"" if at else flags)
            except Exception as error:  # noqa: BLE001 - this line alone is set aside
                row, reason = as_dead_letter(self._stream, self._generation, offset, micros + at, line, error)
                documents += Documents([row], aside=[(0, reason)])
        return documents

    def _documents(self, lines: list[bytes], offsets: list[int], micros: int, flags: bytes) -> Documents:
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
        zeros, hexadecimal = hexadecimals(offsets)
        decimal = decimals(offsets)
        pieces = []
        first = 0
        while first < len(lines):
            milli, micro = divmod(micros + first, 1000)
            end = min(first + 1000 - micro, len(lines))
            here = slice(first, end)
            pieces.append(
                joined(
                    self._constants(zeros, milli),
                    hexadecimal[here],
                    _DIGITS[micro : micro + end - first],
                    messages[here],
                    decimal[here],
                    levels[here],
                    fingerprints[here],
                )
            )
            first = end
        return Documents(pieces, len(lines))

    def _constants(self, zeros: bytes, milli: int) -> tuple[bytes, ...]:
        """What is the same for all documents of a millisecond, with the zeros before the offset in their ids."""
        second, part = divmod(milli, 1000)
        identity, time, *others = self._constant
        return (identity + zeros, time + f"{utc(second):%Y-%m-%dT%H:%M:%S}.{part:03}".encode(), *others)
