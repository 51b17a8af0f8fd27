"""The messages of a TCP connection: each ends with a newline or says its length before it (RFC 6587). Pure.

Which of the two is seen at each message anew. Whatever comes, no byte is lost in silence: the end of a message may be skipped,
and then it says how much; all else is in a message, as the bytes that came.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from ..documents.lines import PARTIAL, TRUNCATED, whole_characters

#: As in `forms.received`: the text goes on with that of the message before.
CONTINUED = "continued"

#: A length of so many digits is believed: 100 MB. A connection with a longer one is read by its newlines.
_LENGTH = re.compile(rb"(\d{1,8}) <")
#: What may become one with the next bytes.
_LENGTH_BEGUN = re.compile(rb"\d{1,8} ?\Z")


class Message(NamedTuple):
    """One of them, or a piece of one."""

    text: bytes
    #: What is to be known of it, for its row in the spool; see `forms.received`.
    marks: bytes = b""


class Framing:
    """What one connection has said so far of its next message."""

    def __init__(self, most: int) -> None:
        """A message is cut behind so many bytes."""
        self._most = most
        self._rest = bytearray()
        #: So many bytes to come belong to a message that was cut, and are skipped.
        self._skip = 0
        #: Up to here there is no newline in what is left.
        self._looked = 0
        #: The line that goes on was too long: a piece of it was given.
        self._continued = False

    def take(self, data: bytes, ended: bool) -> list[Message]:
        """The messages that are whole now; with ``ended`` also the last one without an end. Blank ones are left out."""
        if self._skip:
            skipped = min(self._skip, len(data))
            self._skip -= skipped
            data = data[skipped:]
        self._rest += data
        messages = []
        at = 0
        while at < len(self._rest):
            found = self._next(at, ended)
            if found is None:
                break
            message, at = found
            if message.text.strip():
                messages.append(message)
        if at > len(self._rest):
            self._skip = at - len(self._rest)
        del self._rest[:at]
        self._looked = max(0, self._looked - at)
        return messages

    def _next(self, at: int, ended: bool) -> tuple[Message, int] | None:
        """The message that begins there and where the one behind it does; None: it has not come yet."""
        rest = self._rest
        if not self._continued and 48 <= rest[at] < 58:
            length = _LENGTH.match(rest, at)
            if length is not None:
                return self._counted(length.end() - 1, int(length.group(1)), ended)
            if not ended and _LENGTH_BEGUN.match(rest, at):
                return None
        newline = rest.find(b"\n", max(at, self._looked))
        end = newline if newline >= 0 else len(rest)
        marks = [CONTINUED] if self._continued else []
        if end - at > self._most:
            end = at + whole_characters(bytes(rest[at : at + self._most + 1]), self._most)
            self._continued = True
            return Message(bytes(rest[at:end]), ",".join([TRUNCATED, *marks]).encode()), end
        if newline < 0 and not ended:
            self._looked = len(rest)
            return None
        self._continued = False
        if newline < 0:
            marks.append(PARTIAL)
        return Message(bytes(rest[at:end]), ",".join(marks).encode()), end + 1

    def _counted(self, begin: int, length: int, ended: bool) -> tuple[Message, int] | None:
        there = len(self._rest) - begin
        kept = min(length, self._most)
        if there < kept:
            # the connection ended within it
            return (Message(bytes(self._rest[begin:]), PARTIAL.encode()), len(self._rest)) if ended else None
        marks = b"cut=%d" % (length - kept) if length > kept else b""
        return Message(bytes(self._rest[begin : begin + kept]), marks), begin + length
