"""Syslog over TCP: many senders, none of which can keep another one out or waiting.

Each is read a piece at a time, in turn. One that has gone without a word is noticed (keepalive), one that is silent for
long has to come again. Where there are as many as there may be, a new one takes the place of the one that has been silent
longest: among those of the address that holds more than half of all places, if one does.
"""

from __future__ import annotations

import errno
import resource
import selectors
import socket
import time
from collections import Counter
from contextlib import suppress

from ..forms.received import row
from .framing import Framing, Message
from .handover import Handover
from .port import LONGEST, Port, Warn
from .spool_file import SpoolFile

#: A peer that does not answer is asked after so many seconds of silence, this often, so many times; then its connection is over.
_KEEPALIVE = ((socket.TCP_KEEPIDLE, 60), (socket.TCP_KEEPINTVL, 15), (socket.TCP_KEEPCNT, 4))

#: Of a connection that is closed in favour of another one so many pieces more are read at most.
_LAST_PIECES = 64

#: Descriptors for all else that a forwarder has open.
_OTHER_FILES = 128

#: There is no room for a connection in this process or machine.
_NO_ROOM = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class Listener(Port):
    """A TCP port."""

    KIND, PROTOCOL = socket.SOCK_STREAM, "tcp"

    def __init__(
        self,
        selector: selectors.BaseSelector,
        file: SpoolFile,
        address: str,
        number: int,
        most: int,
        idle_s: float,
        warn: Warn,
        handover: Handover,
    ) -> None:
        """At most so many senders, each silent for so long at most."""
        self._most, self._idle_s = most, idle_s
        self._senders: dict[int, Sender] = {}
        #: How many were closed in favour of others since this process began.
        self._closed = 0
        self._paused = False
        super().__init__(selector, file, address, number, warn, handover)

    def _open(self) -> socket.socket:
        family = socket.AF_INET6 if ":" in self._address else socket.AF_INET
        made = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        try:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.bind((self._address, self._number))
            made.listen(64)
        except OSError:
            made.close()
            raise
        return made

    def _begin(self, made: socket.socket, name: str) -> None:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = self._most + _OTHER_FILES
        if soft != resource.RLIM_INFINITY and soft < wanted:
            with suppress(OSError, ValueError):
                most = wanted if hard == resource.RLIM_INFINITY else min(hard, wanted)
                resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
        self._selector.register(made, selectors.EVENT_READ, self._accept)

    def _accept(self) -> None:
        assert self._socket is not None
        try:
            made, peer = self._socket.accept()
        except OSError as error:
            if error.errno in _NO_ROOM:
                self._no_room(error)
            return
        if len(self._senders) >= self._most:
            self._make_room()
        try:
            made.setblocking(False)
            made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for option, value in _KEEPALIVE:
                made.setsockopt(socket.IPPROTO_TCP, option, value)
        except OSError:  # it has gone already
            made.close()
            return
        sender = Sender(made, peer[0].encode(), time.monotonic())
        self._senders[made.fileno()] = sender
        self._selector.register(made, selectors.EVENT_READ, lambda: self._hear(sender))

    def _no_room(self, error: OSError) -> None:
        """The one that waits stays in the kernel's queue: until another one is closed, or the next look."""
        if self._senders:
            self._make_room()
        elif self._socket is not None and not self._paused:
            self._paused = True
            self._selector.unregister(self._socket)
        self._warn(f"senders {self._number}", f"port {self._number}: no further sender can be heard ({error.strerror})")

    def _make_room(self) -> None:
        """One connection less."""
        peers = Counter(sender.peer for sender in self._senders.values())
        peer, count = peers.most_common(1)[0]
        some = [one for one in self._senders.values() if one.peer == peer or 2 * count <= len(self._senders)]
        sender = min(some, key=lambda one: one.heard)
        open_now = len(self._senders)
        for _ in range(_LAST_PIECES):
            if not self._hear(sender):
                break
        if sender.socket.fileno() >= 0:
            self._write_messages(sender, sender.framing.take(b"", True))
            self._leave(sender)
        self._closed += 1
        self._warn(
            f"senders {self._number}",
            f"port {self._number}: all {open_now} connections that there may be are taken; {self._closed} that had been silent "
            f"longest were closed in favour of new ones, the last one of {sender.peer.decode('ascii', 'replace')}: "
            "raise senders of syslog, or look who opens so many",
        )

    def _hear(self, sender: Sender) -> bool:
        """One piece of what a sender says; whether it may say more."""
        if sender.socket.fileno() < 0:  # the same look of the selector has seen a new one, which took its place
            return False
        ended = False
        try:
            data = sender.socket.recv(LONGEST)
            ended = not data
        except BlockingIOError:
            return False
        except OSError:
            data, ended = b"", True
        if data:
            sender.heard = time.monotonic()
        self._write_messages(sender, sender.framing.take(data, ended))
        if ended:
            self._leave(sender)
        return not ended

    def _write_messages(self, sender: Sender, messages: list[Message]) -> None:
        if messages:
            micros = time.time_ns() // 1000
            rows = b"".join(row(micros, sender.peer, one.text, one.marks) for one in messages)
            self._write(rows, len(messages))

    def _leave(self, sender: Sender) -> None:
        self._selector.unregister(sender.socket)
        del self._senders[sender.socket.fileno()]
        sender.socket.close()

    def look(self, now: float) -> None:
        """See `Port.look`; who has been silent for long has to come again."""
        super().look(now)
        if self._socket is None:
            return
        if self._paused:
            self._paused = False
            self._selector.register(self._socket, selectors.EVENT_READ, self._accept)
        for sender in [one for one in self._senders.values() if now - one.heard > self._idle_s]:
            self._write_messages(sender, sender.framing.take(b"", True))
            self._leave(sender)

    def finish(self) -> None:
        """See `Port.finish`."""
        if self._socket is None:
            return
        if not self._paused:
            self._selector.unregister(self._socket)
        self._socket.close()
        for sender in list(self._senders.values()):
            for _ in range(_LAST_PIECES):
                if not self._hear(sender):
                    break
            if sender.socket.fileno() >= 0:
                self._write_messages(sender, sender.framing.take(b"", True))
                self._leave(sender)


class Sender:
    """One connection."""

    def __init__(self, socket: socket.socket, peer: bytes, now: float) -> None:
        #: ``heard``: when (monotonic) anything came last.
        self.socket, self.peer, self.heard = socket, peer, now
        self.framing = Framing(LONGEST)
