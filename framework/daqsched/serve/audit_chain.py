"""The chain of the audit file's lines: each has a number, and a hash over the hash before it and over itself.

The rule is in docs/operate/audit.md, short enough for a script of somebody else's. It says where lines were changed, removed or
inserted by whoever did not write all those after them anew; who did is found out by a hash that was noted down elsewhere.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, Optional

#: In the place of the hash before the very first line.
START = "0" * 64

#: What ends the part of a line that its hash is over; in a JSON text its quotes can't be.
MARK = b', "hash": "'

#: What the first line of a chain says where there were lines before.
BEGINS = "the chain of hashes begins here; lines before it have none"

#: A file is opened for its last line with what is at its end, so much; a line has less than 64 KiB.
END = 1 << 20

_HASH = re.compile(rb'([0-9a-f]{64})"}\n\Z')


class ChainEnd(NamedTuple):
    """Where a chain stands: the number and the hash of a line."""

    seq: int
    hash: str


class ChainLine(NamedTuple):
    """A line, as the chain sees it."""

    seq: int
    hash: str
    #: What the hash is over, after the hash before it.
    body: bytes
    fields: Mapping[str, Any]

    @property
    def before(self) -> str:
        """The hash of the line before, which the first line of a file and the first of a chain tell; empty: it tells none."""
        found = self.fields.get("before", "")
        return found if isinstance(found, str) else ""

    def follows(self, before: str) -> bool:
        """Whether nothing of it was changed, if this is the hash before it."""
        return digest_of(before, self.body) == self.hash


def digest_of(before: str, body: bytes) -> str:
    """The hash of a line after that one."""
    return hashlib.sha256(before.encode() + body).hexdigest()


def link(fields: Mapping[str, Any], seq: int, before: str, tell: bool) -> tuple[bytes, ChainEnd]:
    """A line with its end, and where the chain stands then; ``tell``: the hash before it is said, too."""
    told = {**fields, **({"before": before} if tell else {}), "seq": seq}
    body = line_of(told)[:-1].encode("ascii")
    found = digest_of(before, body)
    return b'%s%s%s"}\n' % (body, MARK, found.encode()), ChainEnd(seq, found)


def line_of(fields: Mapping[str, Any]) -> str:
    """As JSON in printable ASCII, on one line."""
    return json.dumps(fields).replace("\x7f", "\\u007f")


def parse(line: bytes) -> Optional[ChainLine]:
    """A line with its end; None: it is not one of a chain."""
    body, _, rest = line.rpartition(MARK)
    found = _HASH.match(rest)
    if found is None:
        return None
    try:
        fields = json.loads(body + b"}")
        seq = fields["seq"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    if not isinstance(seq, int) or isinstance(seq, bool) or seq < 1:
        return None
    return ChainLine(seq, found[1].decode(), body, fields)


class End(NamedTuple):
    """What is at the end of a file."""

    #: The last whole line, with its end; empty: there is none.
    line: bytes
    #: What is behind it, of when the machine died.
    half: bytes


def end_of(file: int, size: int) -> End:
    """Of an open file of that many bytes."""
    data = os.pread(file, END, max(0, size - END))
    whole, newline, half = data.rpartition(b"\n")
    return End(whole.rpartition(b"\n")[2] + newline if newline else b"", half)


def last_of(path: Path) -> Optional[ChainEnd]:
    """Where the chain stands that ends in this file; None: in none, or it can't be read."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        found = os.fstat(file)
        there = parse(end_of(file, found.st_size).line) if stat.S_ISREG(found.st_mode) else None
    except OSError:
        return None
    finally:
        os.close(file)
    return ChainEnd(there.seq, there.hash) if there is not None else None


def mark_path(path: Path) -> Path:
    """Where beside the audit file its last line's number and hash are, so that lines which somebody cut off are missed."""
    return path.with_name(f"{path.name}.last")


def mark(last: ChainEnd) -> bytes:
    """The contents of that file: always as long."""
    return b'{"seq": %20d, "hash": "%s"}\n' % (last.seq, last.hash.encode())


def marked(path: Path) -> Optional[ChainEnd]:
    """What it says for this audit file; None: nothing."""
    try:
        with open(os.open(mark_path(path), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
            found = json.loads(file.read(1024))
        last = ChainEnd(found["seq"], found["hash"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    fits = isinstance(last.seq, int) and isinstance(last.hash, str) and re.fullmatch("[0-9a-f]{64}", last.hash)
    return last if fits else None
