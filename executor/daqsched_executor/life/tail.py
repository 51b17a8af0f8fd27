"""The last lines that a program printed, out of bytes that may be anything."""

from __future__ import annotations

#: Bounds for one file: what is read of it, how many lines are kept, and how long each may be.
TAIL_BYTES, LINES, WIDTH = 4096, 5, 200


def last_lines(tail: bytes, cut: bool) -> list[str]:
    """The last lines of ``tail``, oldest first; ``cut``: it begins in the middle of the file, so maybe of a line.

    Invalid UTF-8 and control characters are shown as ``\\xff``; empty lines are left out, and so are those of NULs
    alone: holes in a file whose lines are stored already.
    """
    lines = tail.split(b"\n")
    if cut and len(lines) > 1 and any(line.strip(b"\0\r\t ") for line in lines[1:]):
        del lines[0]
    kept = [line for line in lines if line.strip(b"\0\r\t ")][-LINES:]
    return [_readable(line) for line in kept]


def _readable(line: bytes) -> str:
    text = line[: 4 * WIDTH].rstrip(b"\r\n").decode("utf-8", "backslashreplace").replace("\t", " ")
    shown = "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)
    return shown if len(shown) <= WIDTH else shown[: WIDTH - 3] + "..."
