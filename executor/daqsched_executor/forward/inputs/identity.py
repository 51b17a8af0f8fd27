"""Which file is which: a name moves at each rotation, a number is used again, a beginning may be that of another file, too.

So a file is known by its device and inode together with a fingerprint of its beginning, which grows with the file up to
`BEGINNING` bytes. The same inode with another beginning is another file: it was emptied and written anew, or removed and
its number given to a new one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple
from zlib import crc32

#: So much of a file's beginning is looked at.
BEGINNING = 1024

#: Ends of names that rotation gives to compressed files; those are not tailed.
COMPRESSED = (".gz", ".bz2", ".xz", ".zst", ".lz4", ".Z", ".zip")


class Identity(NamedTuple):
    """A file, by what does not change while it is appended to."""

    device: int
    inode: int
    #: The fingerprint is that of the first so many bytes.
    size: int
    crc: int

    @property
    def key(self) -> tuple[int, int]:
        """Device and inode: no two files have the same at one time."""
        return self.device, self.inode

    def begins(self, beginning: bytes) -> bool:
        """Whether a file that begins so may be this one (``beginning``: its first `BEGINNING` bytes, as far as there are)."""
        return len(beginning) >= self.size and crc32(beginning[: self.size]) == self.crc

    def grown(self, beginning: bytes) -> Identity:
        """With a longer fingerprint where that is worth writing down: twice as long, or as long as can be."""
        beginning = _written(beginning)
        if len(beginning) < min(max(2 * self.size, 1), BEGINNING) or self.size >= BEGINNING:
            return self
        return identified(self.device, self.inode, beginning)


def identified(device: int, inode: int, beginning: bytes) -> Identity:
    """The identity of a file that begins so."""
    beginning = _written(beginning[:BEGINNING])
    return Identity(device, inode, len(beginning), crc32(beginning))


def identity_of(value: object) -> Identity:
    """What a registration says; ValueError where that is none."""
    if not isinstance(value, list) or len(value) != 4 or not all(type(one) is int and one >= 0 for one in value):
        raise ValueError(f"{str(value)[:100]!r} is not the identity of a file")
    return Identity(*value)


def _written(beginning: bytes) -> bytes:
    """Without zeros at its end, which a program may have set aside to fill them later."""
    return beginning.rstrip(b"\0")


def originals(name: str) -> Iterator[str]:
    """What a file was called of which rotation made one of that name: of ``x.log.1``, ``x.log-20261123.gz`` and
    ``x-20261123.log`` it is ``x.log``. There may be several answers, or none.
    """
    name = next((name[: -len(end)] for end in COMPRESSED if name.endswith(end)), name)
    for number in _NUMBER.finditer(name):
        first = number.start()
        for end in {len(name), name.rfind(".")}:
            if _NUMBERED.fullmatch(name, first, end):
                yield name[:first] + name[end:]


#: What rotation adds: a number, a date, or a date with a time; and how it begins, behind a name.
_NUMBERED = re.compile(r"[._-][0-9][0-9T:._-]*")
_NUMBER = re.compile(r"(?<=.)[._-](?=[0-9])")
