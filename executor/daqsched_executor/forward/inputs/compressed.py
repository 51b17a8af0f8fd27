"""What rotation packed, unpacked in bounded memory: by Python, or by the program that the machine packs with.

Who can write in a folder of logs decides what is unpacked, so all of it is bounded: memory, time, and how much more there may
be in it than there is of it.
"""

from __future__ import annotations

import functools
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Protocol

from .safe_paths import opened

#: A packed file may hold so many times its own size, and so much in any case; it may take so long to read.
RATIO, SMALL, LONGEST_S = 1000, 64 * 1024 * 1024, 120.0

#: So much memory an unpacker may take (what `xz -8` and `zstd -19` ask for).
MEMORY = 40 * 1024 * 1024

#: How much is read at a time.
PIECE = 1024 * 1024

#: The ends of names of what Python unpacks, and of what a program does, if there is one.
PYTHONS = (".gz", ".bz2", ".xz")
PROGRAMS = {".zst": ("zstd", "-dcq", f"--memory={MEMORY >> 20}MB"), ".lz4": ("lz4", "-dcq"), ".Z": ("gzip", "-dcq")}


class TooMuch(Exception):
    """It holds more, or takes longer, than a log does."""


class Reads(Protocol):
    """What bytes are read from."""

    def read(self, size: int) -> bytes:
        """Some; none: there is no more."""


@functools.lru_cache(maxsize=1)
def readable() -> tuple[str, ...]:
    """The ends of names of what can be unpacked here."""
    return PYTHONS + tuple(end for end, (program, *_) in PROGRAMS.items() if shutil.which(program))


@contextmanager
def unpacking(path: str) -> Iterator[Reads]:
    """What a packed file holds. Raises OSError, `TooMuch`, and whatever an unpacker has for what is not whole."""
    with os.fdopen(opened(path), "rb") as file:
        most = SMALL + RATIO * os.fstat(file.fileno()).st_size
        end = os.path.splitext(path)[1]
        if end not in PROGRAMS:
            yield _Bounded(_by_python(end, file), most)
            return
        with subprocess.Popen(PROGRAMS[end], stdin=file, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as program:
            try:
                yield _Bounded(_Program(program), most)
            finally:
                program.kill()


def _by_python(end: str, file: IO[bytes]) -> Reads:
    # Imported here: a machine may never need them, and they cost memory.
    if end == ".gz":
        import gzip

        return gzip.open(file, "rb")
    if end == ".bz2":
        import bz2

        return bz2.open(file, "rb")
    return _Xz(file)


class _Bounded:
    """Reads no more than it may, for no longer than it may."""

    def __init__(self, inner: Reads, most: int) -> None:
        self._inner, self._left = inner, most
        self._until = time.monotonic() + LONGEST_S

    def read(self, size: int) -> bytes:
        data = self._inner.read(min(size, PIECE))
        self._left -= len(data)
        if self._left < 0:
            raise TooMuch(f"it holds more than {RATIO:,} times its own size")
        if time.monotonic() > self._until:
            raise TooMuch(f"it takes longer than {LONGEST_S:.0f} s to decompress")
        return data


class _Xz:
    """As lzma.open, in bounded memory."""

    def __init__(self, file: IO[bytes]) -> None:
        import lzma

        self._file = file
        self._kind = lzma.LZMADecompressor
        self._one = self._kind(memlimit=MEMORY)

    def read(self, size: int) -> bytes:
        while True:
            feed = b""
            if self._one.eof:
                feed = self._one.unused_data.lstrip(b"\0") or self._file.read(PIECE).lstrip(b"\0")
                if not feed:
                    return b""
                self._one = self._kind(memlimit=MEMORY)
            elif self._one.needs_input:
                feed = self._file.read(PIECE)
                if not feed:
                    raise EOFError("it is torn")
            data: bytes = self._one.decompress(feed, size)
            if data:
                return data


class _Program:
    """What a program prints, which has to end well."""

    def __init__(self, program: subprocess.Popen[bytes]) -> None:
        assert program.stdout is not None
        self._program, self._out = program, program.stdout.fileno()

    def read(self, size: int) -> bytes:
        pipe = select.poll()
        pipe.register(self._out, select.POLLIN)
        if not pipe.poll(LONGEST_S * 1000):
            raise TooMuch(f"it takes longer than {LONGEST_S:.0f} s to decompress")
        data = os.read(self._out, size)
        if not data and self._program.wait(LONGEST_S):
            raise OSError(f"the program that decompresses it ended with status {self._program.returncode}")
        return data
