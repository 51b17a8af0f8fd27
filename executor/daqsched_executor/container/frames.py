"""The engine's attach stream, taken apart: which bytes belong to which of the two files. Pure.

Docker Engine API, ``POST /containers/{id}/attach``, "Stream format": 8 bytes of header, the first of them the stream
(1 stdout, 2 stderr), the last four the number of bytes that follow, most significant first.
"""

from __future__ import annotations

from collections.abc import Iterator

HEADER = 8
STDERR_STREAM = 2


class Frames:
    """Takes the stream in pieces of any size. Holds no more than a header: what belongs to a frame goes through as it
    comes."""

    def __init__(self) -> None:
        self._header = b""
        self._stream = 0
        #: What is still to come of the present frame.
        self._left = 0

    def split(self, piece: memoryview) -> Iterator[tuple[int, memoryview]]:
        """The parts of ``piece`` in order, each with its stream."""
        while len(piece):
            if self._left == 0:
                lacking = HEADER - len(self._header)
                self._header += bytes(piece[:lacking])
                piece = piece[lacking:]
                if len(self._header) < HEADER:
                    return
                self._stream, self._left = self._header[0], int.from_bytes(self._header[4:], "big")
                self._header = b""
                continue
            part, piece = piece[: self._left], piece[self._left :]
            self._left -= len(part)
            yield self._stream, part
