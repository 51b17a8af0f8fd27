"""Bytes into lines: where a line begins and ends, and what is done with one that has no end."""

from __future__ import annotations

from typing import NamedTuple

#: A longer line is cut into pieces of at most this many bytes; each piece is a document of its own.
LONGEST = 256 * 1024

#: What a reader should ask for at a time: one byte more than the longest line, so that its newline is seen.
CHUNK = LONGEST + 1

#: Flags of ECS' ``log.flags``: a piece of a line that was too long; a last line that never got its newline.
TRUNCATED, PARTIAL = "truncated", "partial"


class Split(NamedTuple):
    """What `split` found: whole lines, or a single piece of one."""

    #: The lines without their newlines; empty where nothing can be sent yet.
    lines: list[bytes]
    #: How many bytes follow each line before the next begins: 1 for a newline, 0 after a piece.
    gap: int
    #: `TRUNCATED` or `PARTIAL` for a piece, else empty.
    flag: str


def split(chunk: bytes, final: bool) -> Split:
    """The lines of a chunk that begins at a line or piece and is at most `CHUNK` bytes long.

    What follows the last newline stays for the next chunk, so each chunk gives either whole lines or one piece:
    the beginning of a line longer than `LONGEST`, or with ``final`` (nobody will write any more) a last line
    without newline. The same bytes are always split the same way: a line that is sent again has the same offset.
    """
    end = chunk.rfind(b"\n")
    if end >= 0:
        return Split(chunk[:end].split(b"\n"), 1, "")
    if len(chunk) > LONGEST:
        return Split([chunk[: whole_characters(chunk, LONGEST)]], 0, TRUNCATED)
    if final and chunk:
        return Split([chunk], 0, PARTIAL)
    return Split([], 0, "")


def whole_characters(chunk: bytes, end: int) -> int:
    """``end``, or up to three bytes less where a UTF-8 character would be torn there."""
    for back in range(4):
        if chunk[end - back] & 0xC0 != 0x80:
            return end - back
    return end
