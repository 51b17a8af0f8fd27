"""Log files of services: any charset, lines that belong together as one record, and the time that the lines name.

Options of the registration: those of `contract.LogFiles` (time, level, multiline, charset), and ``path``, the file's.
A record is one document with the offset of its first line. ``@timestamp`` is the time that its first line names, and
``event.created`` when it was seen; where no time can be read, or one in the future (`moment`), ``@timestamp`` is when it was
seen and there is no ``event.created``.
"""

from __future__ import annotations

import codecs
import json
import posixpath
import re
from typing import NamedTuple

from ...contract import Stream
from ...contract.fingerprint import fingerprint
from ..documents.batch import Documents
from ..documents.lines import LONGEST, PARTIAL, TRUNCATED, split
from ..documents.record import as_dead_letter, as_text, constant, generation_id, quote
from ..journal.position import Position
from .levels import level_of
from .moment import AHEAD_MICROS, CLOCK_AHEAD, stamp
from .multiline import begin, step_of
from .text import Encoded
from .times import Times

#: A record has at most so many lines (and `LONGEST` bytes); what follows is a record of its own.
MOST_LINES = 500

#: Flags of ECS' ``log.flags`` beside those of `lines`: more than one line; goes on with a record that was too long, or
#: whose first line came too long before.
MULTILINE, CONTINUED = "multiline", "continued"

_BYTE_ORDER_MARK = "\ufeff"


class Charset(NamedTuple):
    """How text stands in a file."""

    name: str
    newline: bytes

    @property
    def unit(self) -> int:
        """How many bytes a character has at least; a newline begins at a multiple of them."""
        return len(self.newline)

    def end(self, chunk: bytes) -> int:
        """Where the last line that has its newline ends, behind that; 0 for none."""
        at = chunk.rfind(self.newline)
        while at >= 0 and at % self.unit:
            at = chunk.rfind(self.newline, 0, at + self.unit - 1)
        return at + self.unit if at >= 0 else 0

    def whole(self, chunk: bytes) -> bytes:
        """The chunk without a last line that has no newline (yet), unless that is too long for one."""
        return chunk[: self.end(chunk)] or (chunk if len(chunk) > LONGEST else b"")

    def split(self, chunk: bytes, final: bool) -> tuple[list[bytes], int, str]:
        """As `lines.split`, for this charset's newline."""
        if self.newline == b"\n":
            return split(chunk, final)
        end = self.end(chunk)
        if end:
            lines, first = [], 0
            while first < end:
                at = chunk.index(self.newline, first)
                while (at - first) % self.unit:
                    at = chunk.index(self.newline, at + 1)
                lines.append(chunk[first:at])
                first = at + self.unit
            return lines, self.unit, ""
        if len(chunk) > LONGEST:
            return [chunk[:LONGEST]], 0, TRUNCATED
        return ([chunk], 0, PARTIAL) if final and chunk else ([], 0, "")


def charset_of(name: str, beginning: bytes = b"") -> Charset:
    """A codec that Python knows, by the beginning of the file where a byte order mark there says more.

    Raises LookupError for what is no charset.
    """
    name = codecs.lookup(name or "utf-8").name
    if name in ("utf-16", "utf-32"):
        big = beginning[:4] == codecs.BOM_UTF32_BE if name == "utf-32" else beginning[:2] == codecs.BOM_UTF16_BE
        name += "-be" if big else "-le"
    if name == "utf-8-sig":
        name = "utf-8"
    return Charset(name, "\n".encode(name))


class Records:
    """See `Form`."""

    def __init__(self, stream: Stream, generation: int, run: str = "") -> None:
        """Raises ValueError or LookupError where an option is none."""
        options = stream.options
        path = as_text(str(options.get("path", stream.path)))
        self._charset = charset_of(str(options.get("charset", "")))
        self._times = Times(str(options["time"]), posixpath.basename(path)) if options.get("time") else None
        try:
            self._level = level_of(str(options.get("level", "")))
            self._step = step_of(str(options["multiline"])) if options.get("multiline") else None
        except re.error as error:
            raise ValueError(f"{error.pattern!r} is not a regular expression: {error}") from error
        self._stream, self._generation = stream, generation
        self._id = generation_id(stream.id, generation)
        self._path = b',"file":{"path":%b}}' % quote(path)
        before, daqsched, rest = constant(stream, run).partition(b'"daqsched":{')
        middle, event, after = rest.partition(b'"event":{')
        self._parts = (before + daqsched, middle + event, after)

    def encode(
        self, chunk: bytes, at: Position, micros: int, final: bool, room: int, oversize: bool = False
    ) -> Encoded:
        """See `Form.encode`. The last record is left for the next chunk, unless it is ``final`` or as long as can be."""
        found, gap, flag = self._charset.split(chunk, final)
        lines = [self._decoded(line) for line in found]
        if lines and at.offset == 0 and not at.cut:
            lines[0] = lines[0][lines[0].startswith(_BYTE_ORDER_MARK) :]
        documents: list[bytes] = []
        aside: list[tuple[int, str]] = []
        size, first, offset, cut = 0, 0, at.offset, at.cut
        while first < len(lines):
            end, length = self._record(found, lines, first, gap)
            if end == len(lines) and not (
                final or flag or self._complete(end - first, at.offset + len(chunk) - offset)
            ):
                break
            reason = ""
            try:
                document = self._document(lines[first:end], offset, micros + len(documents), cut, flag)
            except Exception as error:  # noqa: BLE001 - this record alone is set aside
                document, reason = as_dead_letter(
                    self._stream, self._generation, offset, micros + len(documents), b"\n".join(found[first:end]), error
                )
            if size + len(document) > room and not (oversize and not documents):
                break
            if reason:
                aside.append((len(documents), reason))
            documents.append(document)
            size += len(document)
            first, offset, cut = end, offset + length, flag == TRUNCATED
        return Encoded(Documents(documents, aside=aside), size, offset, cut)

    def _decoded(self, line: bytes) -> str:
        text = line.decode(self._charset.name, "replace")
        return text[:-1] if text.endswith("\r") else text

    def _complete(self, lines: int, left: int) -> bool:
        """Whether no line can be added to a record with so many lines, and so many bytes from its beginning on."""
        return self._step is None or lines >= MOST_LINES or left > LONGEST

    def _record(self, found: list[bytes], lines: list[str], first: int, gap: int) -> tuple[int, int]:
        """The line behind the record's last one, and the record's length in bytes."""
        length = len(found[first]) + gap
        end = first + 1
        if self._step is not None:
            state = begin(self._step, lines[first])
            most = min(len(lines), first + MOST_LINES)
            while end < most:
                following = self._step(lines[end], state)
                if following is None or length + len(found[end]) + gap > LONGEST:
                    break
                state, length, end = following, length + len(found[end]) + gap, end + 1
        return end, length

    def _document(self, lines: list[str], offset: int, micros: int, cut: bool, flag: str) -> bytes:
        first = lines[0]
        text = first if len(lines) == 1 else "\n".join(lines)
        flags = [flag or TRUNCATED] if flag or cut else []
        if len(lines) > 1:
            flags.append(MULTILINE)
        if self._step is not None and not cut and self._step(first, 0) is not None:
            flags.append(CONTINUED)
        message = text.encode("utf-8", "replace")
        named = self._times.micros(first, micros) if self._times is not None and not cut else None
        ahead = b""
        if named is not None and named - micros > AHEAD_MICROS:
            ahead, named = b'"named_time":"%b",' % stamp(named), None
            flags.append(CLOCK_AHEAD)
        created = b'"created":"%bZ",' % stamp(micros)[:-4] if named is not None else b""
        before, middle, after = self._parts
        return b"".join(
            (
                b'{"create":{"_id":"%b-%010x"}}\n{"@timestamp":"' % (self._id.encode(), offset),
                stamp(micros if named is None else named),
                b'","message":',
                quote(message.decode()),
                b',"log":{"offset":%d' % offset,
                self._level(first),
                b',"flags":' + json.dumps(flags, separators=(",", ":")).encode() if flags else b"",
                self._path,
                before,
                b'"fingerprint":"%b",' % fingerprint(message).encode(),
                ahead,
                middle,
                created,
                after,
                b"}\n",
            )
        )
