"""`HttpParser` as pymesos' `Connection` uses it: fed with what a socket gives, asked what there is so far.

The original's C source does not compile on Python 3.11 and later. httptools wraps a maintained parser (llhttp, Node's
own), calls back where the original was asked, and comes as a wheel for every Python that we name.

It deliberately has no attribute ``errno``: by that pymesos tells the original's pure Python parser from the C one.
"""

from __future__ import annotations

import logging

import httptools

__all__ = ["HttpParser"]

logger = logging.getLogger(__name__)


class HttpParser:
    """One response of a server, in pieces of any size.

    What it tells depends on the bytes alone, never on where they were cut: what comes after the end of the response is
    not looked at, and trailers (the headers after the last chunk) are kept out of the headers.
    """

    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []
        self._headers_complete = False
        self._message_complete = False
        self._status = 0
        self._error = 0

    def execute(self, data: bytes, length: int) -> int:
        """Take in the first ``length`` bytes; returns how many were understood: fewer is an error, see `get_errno`."""
        if self._error:
            return 0
        if self._message_complete:
            return length
        try:
            self._parser.feed_data(data[:length])
        except httptools.HttpParserUpgrade:
            pass  # a 101: the response has ended, and pymesos refuses it by its status
        except httptools.HttpParserError as error:
            if not self._message_complete:
                # pymesos tells the number only
                logger.error("what the server sent is no HTTP response: %s", error)
                self._error = 1
                return 0
        return length

    def is_headers_complete(self) -> bool:
        """Whether status and headers are known."""
        return self._headers_complete

    def is_message_complete(self) -> bool:
        """Whether the response has ended."""
        return self._message_complete

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

    # what httptools calls

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header, or, when the headers are complete, a trailer or a header of a second response."""
        if self._headers_complete:
            return
        key, text = name.decode("latin-1"), value.decode("latin-1")
        self._headers[key] = f"{self._headers[key]}, {text}" if key in self._headers else text

    def on_headers_complete(self) -> None:
        """The body follows."""
        if not self._headers_complete:
            self._status = self._parser.get_status_code()
            self._headers_complete = True

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        if not self._message_complete:
            self._body.append(body)

    def on_message_complete(self) -> None:
        """The response has ended."""
        self._message_complete = True
