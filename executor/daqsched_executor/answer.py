"""The one response of an agent, taken apart: what pymesos' `Connection` uses of http-parser.

In an executor it stands for `http_parser.http` (`standins`): what comes is what a Mesos agent writes, some kilobytes an hour, and
httptools, which the framework's side has, takes a twentieth of an executor's start. What is no such response is an error.
"""

from __future__ import annotations

#: A status line with all headers, or a line between chunks, is no longer than this.
LONGEST_HEAD, LONGEST_LINE = 65536, 8192

#: What comes next: the head, a chunk's length, a chunk, the end of its line, a trailer; a body whose length is known, or that ends
#: with the connection.
_HEAD, _LENGTH, _CHUNK, _LINE_END, _TRAILER, _BODY, _ENDLESS = range(7)

_BEGINS = b"HTTP/1."
_HEX = frozenset(b"0123456789abcdefABCDEF")


class HttpParser:
    """Fed with what a socket gives, in pieces of any size. What it tells depends on the bytes alone, never on where they were cut:
    what comes after the end of the response is not looked at, and trailers are kept out of the headers."""

    def __init__(self) -> None:
        self._next = _HEAD
        #: What came and is not understood yet.
        self._waiting = b""
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []
        #: Of a chunk or body: so many bytes are still to come.
        self._left = 0
        self._status = 0
        self._complete = False
        self._error = 0

    def execute(self, data: bytes, length: int) -> int:
        """Take in the first ``length`` bytes; returns how many were understood: fewer is an error, see `get_errno`."""
        if self._error:
            return 0
        self._waiting += data[:length]
        try:
            while not self._complete and self._step():
                pass
        except ValueError:
            self._error = 1
            return 0
        return length

    def is_headers_complete(self) -> bool:
        """Whether status and headers are known."""
        return self._next != _HEAD

    def is_message_complete(self) -> bool:
        """Whether the response has ended."""
        return self._complete

    def is_partial_body(self) -> bool:
        """Whether `recv_body` has something to give."""
        return bool(self._body)

    def is_chunked(self) -> bool:
        """Whether the body comes in chunks, as an endless one does."""
        return any(
            name.lower() == "transfer-encoding" and "chunked" in value.lower() for name, value in self._headers.items()
        )

    def get_status_code(self) -> int:
        """The status; 0 while it is not known."""
        return self._status

    def get_headers(self) -> dict[str, str]:
        """The headers as they were written; of one that is repeated the values are joined by commas (RFC 9110, 5.3)."""
        return self._headers

    def recv_body(self) -> bytes:
        """What has come of the body since the last call, without the marks of its chunks."""
        body = b"".join(self._body)
        self._body.clear()
        return body

    def get_errno(self) -> int:
        """0 while all was understood."""
        return self._error

    # what is next

    def _step(self) -> bool:
        """Understand one thing; whether there was enough of it. Raises ValueError."""
        if self._next == _HEAD:
            return self._head()
        if self._next in (_CHUNK, _BODY, _ENDLESS):
            return self._piece()
        line, found, rest = self._waiting.partition(b"\r\n")
        if len(line) > LONGEST_LINE:
            raise ValueError("a line without end")
        if not found:
            return False
        self._waiting = rest
        if self._next == _LENGTH:
            digits = line.partition(b";")[0].rstrip(b" \t")
            if not digits or not _HEX.issuperset(digits) or len(digits) > 15:
                raise ValueError("no length of a chunk")
            self._left = int(digits, 16)
            self._next = _CHUNK if self._left else _TRAILER
        elif self._next == _LINE_END:
            if line:
                raise ValueError("more than a chunk")
            self._next = _LENGTH
        elif not line:  # after the last trailer
            self._complete = True
        return True

    def _head(self) -> bool:
        head, found, rest = self._waiting.partition(b"\r\n\r\n")
        if len(head) > LONGEST_HEAD or head[: len(_BEGINS)] != _BEGINS[: len(head)]:
            raise ValueError("something else, or headers without end")
        if not found:
            return False
        first, *lines = head.split(b"\r\n")
        version, _, after = first.partition(b" ")
        code = after[:3]
        if len(version) != len(_BEGINS) + 1 or len(code) < 3 or not code.isdigit() or after[3:4] not in (b"", b" "):
            raise ValueError("no status")
        for line in lines:
            name, colon, value = line.partition(b":")
            if not colon or not name or name != name.strip():
                raise ValueError("no header")
            key, text = name.decode("latin-1"), value.strip(b" \t").decode("latin-1")
            self._headers[key] = f"{self._headers[key]}, {text}" if key in self._headers else text
        length = next((value for name, value in self._headers.items() if name.lower() == "content-length"), None)
        if self.is_chunked():
            self._next = _LENGTH
        elif length is None:
            self._next = _ENDLESS
        elif length.isascii() and length.isdigit() and len(length) < 16:
            self._next, self._left = _BODY, int(length)
        else:
            raise ValueError("no length")
        self._status, self._waiting = int(code), rest
        self._complete = self._status < 200 or self._status in (204, 304) or (self._next == _BODY and not self._left)
        return True

    def _piece(self) -> bool:
        piece = self._waiting if self._next == _ENDLESS else self._waiting[: self._left]
        if not piece:
            return False
        self._body.append(piece)
        self._waiting = self._waiting[len(piece) :]
        if self._next != _ENDLESS:
            self._left -= len(piece)
            if not self._left:
                self._complete = self._next == _BODY
                self._next = _LINE_END if self._next == _CHUNK else self._next
        return True
