"""How the bytes of a stream become documents: one form for each format that a registration may name.

`text` is what programs print, `records` the log files of services (`multiline`, `levels`, `times`); `received` is what came
in by `syslog`, `jsonlines` or `journald`. `moment` decides which time counts.

A form is pure and its work is repeatable: the same bytes with the same time give the same documents with the same ids, also
in another process. That is what lets a batch in doubt be sent again.
"""

from __future__ import annotations

from typing import Protocol

from ...contract import Stream
from ..journal.position import Position
from .text import Encoded, Text

__all__ = ["Encoded", "Form", "Text", "form_of"]


class Form(Protocol):
    """Makes documents of one generation of one stream."""

    def encode(
        self, chunk: bytes, at: Position, micros: int, final: bool, room: int, oversize: bool = False
    ) -> Encoded:
        """As many of the chunk's records as fit into ``room`` bytes, as documents.

        The chunk begins at the record that is at ``at`` and is at most `lines.CHUNK` bytes long. Its first record
        was seen at ``micros`` (microseconds since the epoch), each further one a microsecond later. ``final``: nobody
        will write any more, what has no end ends here. With ``oversize`` at least one document, however large.
        """


def form_of(stream: Stream, generation: int, run: str = "", number: int = 0) -> Form:
    """The form that the registration asks for, of lines in that run (empty: none), of that start of the program (0: none).

    Raises ValueError or LookupError where an option of the registration is none.
    """
    if stream.format == "records":
        from .records import Records  # few machines tail files of services

        return Records(stream, generation, run)
    if stream.format in ("syslog", "json", "journald"):
        from . import journald, jsonlines, syslog  # few machines receive anything
        from .received import Received

        known = {"syslog": syslog.fill, "json": jsonlines.fill, "journald": journald.fill}
        return Received(stream, generation, run, known[stream.format])
    return Text(stream, generation, run, number)
