"""Which file is which: a name moves at each rotation, a number is used again, a beginning may be that of another file, too.

So a file is known by its device and inode together with a fingerprint of its beginning, which grows with the file up to
`BEGINNING` bytes. The same inode with another beginning is another file: it was emptied and written anew, or removed and
its number given to a new one.
"""

from __future__ import annotations

from typing import NamedTuple
from zlib import crc32

#: So much of a file's beginning is looked at.
BEGINNING = 1024

#: Ends of names that rotation gives to compressed files; those are not followed.
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
        if len(beginning) < min(max(2 * self.size, 1), BEGINNING) or self.size >= BEGINNING:
            return self
        return identified(self.device, self.inode, beginning)


def identified(device: int, inode: int, beginning: bytes) -> Identity:
    """The identity of a file that begins so."""
    beginning = beginning[:BEGINNING]
    return Identity(device, inode, len(beginning), crc32(beginning))


def rotated(name: str, sibling: str) -> bool:
    """Whether rotation gives a file of that name the other name: ``x.log.1``, ``x.log-20261123.gz``, ``x-20261123.log``."""
    stem, dot, extension = name.rpartition(".")
    for before, after in ((name, ""), (stem, dot + extension)):
        middle = sibling[len(before) :]
        for end in ("", *COMPRESSED):
            if middle.endswith(after + end) and before:
                number = middle[: len(middle) - len(after + end)]
                if sibling.startswith(before) and number[:1] in (".", "-", "_") and any(map(str.isdigit, number)):
                    return not any(map(str.isalpha, number.replace("T", "")))
    return False
