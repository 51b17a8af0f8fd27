"""pymesos' connection to a master that we are subscribed at: bounded, patient, and ended by nothing that comes over it.

What a master passes on, an agent or an executor may have said, and who answers may be no master. An event that is not
understood is left out, and told once; where what follows it can't be told apart any more, the connection begins anew.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import re
import select
import socket
import threading
import time
from collections.abc import Collection
from http import HTTPStatus
from typing import Any, Mapping, Optional

import pymesos
import pymesos.process

from daqsched.limits import brief
from daqsched.mesos.incoming import Records, event_of

logger = logging.getLogger(__name__)

#: How long the library's loop waits at most before it looks again (`pymesos.process.SELECT_TIMEOUT`).
_LOOKS_S = 2.0

#: What the library does not put into words.
_WORDS: Mapping[int, str] = {
    HTTPStatus.TEMPORARY_REDIRECT: "it names another leader",
    HTTPStatus.SERVICE_UNAVAILABLE: "no master leads (503)",
}

#: Answers to a subscription that no waiting changes: somebody has to mend something first. Mesos gives the first three.
FOR_GOOD = (HTTPStatus.BAD_REQUEST, HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.METHOD_NOT_ALLOWED)

#: The largest header of a subscription's answer, and the largest event: 10,000 agents offered at once are 20 MB.
_HEADER_BYTES, _EVENT_BYTES = 64 << 10, 256 << 20

#: How much is read at a time.
_PIECE_BYTES = 64 << 10

#: A subscription that ends sooner was none: the next one is not asked for at once.
_SHORT_S = 1.0


class Patient:
    """What a connection asks of its driver."""

    #: Set where nobody shall wait any more.
    over: threading.Event
    #: The master's silence, in seconds, that says that it is gone; before it has answered, and after.
    patience_s: float
    connection: Optional[Connection]
    subscribed: bool
    stream_id: Optional[str]

    def again(self, why: str) -> None:
        """Say, once, why the master can't be reached, and wait before the next attempt."""
        raise NotImplementedError

    def odd(self, why: str) -> None:
        """Say, once, what was left out."""
        raise NotImplementedError

    def change_master(self, master: Optional[str]) -> None:
        """The master is at another address."""
        raise NotImplementedError

    def process_event(self, event: Any) -> None:
        """Take one in."""
        raise NotImplementedError


class Connection(pymesos.process.Connection):
    """In the place of the library's: for a `Patient` one, what may pass is waited for; for others nothing is different."""

    def __init__(self, addr: str, callback: Any) -> None:
        self._driver = callback if isinstance(callback, Patient) else None
        #: Why it is no use any more.
        self._failed = ""
        #: When it last said something whole, and when anybody last looked whether it did.
        self._heard = self._looked = self._began = time.monotonic()
        #: Bytes of a header that is not whole.
        self._header = 0
        self._records = Records()
        while True:
            try:
                super().__init__(addr, callback)
            except (OSError, ValueError, OverflowError) as error:  # no such name (now), no route; no name, no port
                if self._driver is None:
                    raise
                if (
                    isinstance(error, OSError)
                    and error.errno in (errno.EMFILE, errno.ENFILE)
                    and not self._driver.over.is_set()
                ):
                    self._driver.again(error.strerror or str(error))
                    continue
                self._failed = getattr(error, "strerror", None) or str(error)
                self._callback, self._request = callback, b""
            break
        if self._driver is not None:
            self._driver.connection = self

    def handle_connect_event(self) -> str:
        why = super().handle_connect_event()
        if self._driver is None:
            return why
        # not told to the library, which would count it and give up one day: the socket is now ready for both, and fails there
        self._failed = self._failed or why
        self.connected = True
        return ""

    def heard(self) -> None:
        """A whole event came."""
        self._heard = time.monotonic()

    def fail(self, why: str) -> None:
        """Let the library's loop find the connection ended; from any thread."""
        self._failed = self._failed or why
        with contextlib.suppress(OSError, AttributeError):  # it is closed already
            self._sock.shutdown(socket.SHUT_RDWR)

    def want_write(self) -> bool:
        # the one thing that the library's loop asks at least every other second
        driver = self._driver
        if driver is not None and not self._failed and time.monotonic() - self._heard > driver.patience_s:
            # we may be the ones who slept; but who drips is as good as silent
            asleep = time.monotonic() - self._looked > 2 * _LOOKS_S and Poll.select([self._sock], [], [], 0)[0]
            if not asleep:
                self.fail(f"no message from it for {driver.patience_s:.0f} s")
        self._looked = time.monotonic()
        return bool(self._failed) or super().want_write()

    def write(self) -> bool:
        if self._driver is None:
            return super().write()
        if not self._failed and super().write():
            return True
        return self._ended(self._failed or "the connection can't be made")

    def read(self) -> bool:
        if self._driver is None:
            return super().read()
        if self._failed:
            return self._ended(self._failed)
        try:
            data = self._sock.recv(_PIECE_BYTES)
        except BlockingIOError:
            return True
        except OSError as error:
            return self._ended(error.strerror or str(error))
        if not data:
            return self._ended(_WORDS.get(self._status, "the connection was ended"))
        if not self._parser.is_headers_complete():
            self._header += len(data)
        if self._parser.execute(data, len(data)) != len(data):
            return self._ended(f"Failed to parse what it answers: {brief(repr(data[:40]))}")
        if not self._parser.is_headers_complete():
            too_long = self._header > _HEADER_BYTES
            return self._ended(f"a header of more than {_HEADER_BYTES >> 10} KiB") if too_long else True
        if self._stream_id is None:
            why = self._answered()
            if why:
                return self._ended(why)
        if self._parser.is_partial_body():
            try:
                records = self._records.feed(self._parser.recv_body())
            except ValueError as error:
                return self._ended(str(error))
            for record in records:
                self._take(record)
        if len(self._records) > _EVENT_BYTES:
            self._failed = f"an event of more than {_EVENT_BYTES >> 20} MiB"
        if self._failed:
            return self._ended(self._failed)
        return not self._parser.is_message_complete() or self._ended("the connection was ended")

    def _answered(self) -> str:
        """What the header of the answer comes to: why it is no subscription, or nothing."""
        assert self._driver is not None
        status = self._status
        headers = {name.upper(): value for name, value in self._parser.get_headers().items()}
        if status == HTTPStatus.TEMPORARY_REDIRECT:
            place = re.sub(r"\A(?:https?:)?//|/.*", "", str(headers.get("LOCATION", ""))[:1000])
            if not is_address(place):
                return f"it names another leader, at {brief(place)!r}, which is not HOST:PORT"
            self._driver.change_master(place)
            return _WORDS[status]
        if status in FOR_GOOD:
            raise RuntimeError(f"Failed with HTTP {status}: {self._parser.recv_body()!r}")
        if status != HTTPStatus.OK:
            return _WORDS.get(status, f"it answers with HTTP {status}")
        if not self._parser.is_chunked():
            return "Response is not chunked"
        self._stream_id = headers.get("MESOS-STREAM-ID", "")
        self._driver.stream_id = self._stream_id
        return ""

    def _take(self, record: bytes) -> None:
        """One event. What is not understood is left out, and told: what a master passes on, anybody may have said."""
        assert self._driver is not None
        self.heard()
        try:
            event, why = event_of(record)
            self._driver.process_event(event)
        except Exception as error:
            logger.debug("what the master says", exc_info=True)
            why = brief(str(error)) or type(error).__name__
        if why and not self._driver.subscribed:
            self._failed = self._failed or why
        elif why:
            self._driver.odd(why)

    def _ended(self, why: str) -> bool:
        assert self._driver is not None
        # the end of what was subscribed may be a master's that starts anew: the first attempt comes without a wait
        if not self._driver.subscribed or self._failed or time.monotonic() - self._began < _SHORT_S:
            self._driver.again(why)
        return False

    @property
    def _status(self) -> int:
        """Of the answer; 0 where there is none yet."""
        return self._parser.get_status_code() if self._parser.is_headers_complete() else 0


class Poll:
    """In the place of the library's module ``select`` within pymesos, which asks it for nothing else. The system call of that
    name knows descriptors up to 1,023; a daemon that many ask at once may have others."""

    @staticmethod
    def select(
        read: Collection[Any], write: Collection[Any], other: Collection[Any], timeout_s: Optional[float] = None
    ) -> tuple[list[Any], list[Any], list[Any]]:
        def number(file: Any) -> int:
            return file if isinstance(file, int) else int(file.fileno())

        poll = select.poll()
        wanted: dict[int, int] = {}
        for files, event in ((read, select.POLLIN), (write, select.POLLOUT)):
            for file in files:
                wanted[number(file)] = wanted.get(number(file), 0) | event
        for one, event in wanted.items():
            poll.register(one, event)
        found = dict(poll.poll(None if timeout_s is None else 1000 * timeout_s))
        # what has ended is ready for whatever was asked of it, as with select
        over = select.POLLHUP | select.POLLERR | select.POLLNVAL
        readable = [file for file in read if found.get(number(file), 0) & (select.POLLIN | over)]
        writable = [file for file in write if found.get(number(file), 0) & (select.POLLOUT | over)]
        return readable, writable, []


def is_address(text: str) -> bool:
    """Whether it is a HOST:PORT that pymesos can connect to."""
    found = re.fullmatch(r"[^\s:/@\[\]]{1,255}:(\d{1,5})", text)
    return found is not None and 0 < int(found[1]) < 65536
