"""Syslog over TCP: messages end with a newline or say their length (RFC 6587)."""

from __future__ import annotations

import selectors
import socket
import time

from ..forms.received import row
from .port import LONGEST, Port

#: How many senders there may be, and how long one may be silent.
MOST_SENDERS, SILENT_S = 256, 3600.0


class Listener(Port):
    """A TCP port: messages end with a newline or say their length (RFC 6587)."""

    KIND, PROTOCOL = socket.SOCK_STREAM, "tcp"

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
        self._senders: dict[int, Sender] = {}
        self._selector.register(made, selectors.EVENT_READ, self._accept)

    def _accept(self) -> None:
        assert self._socket is not None
        try:
            made, peer = self._socket.accept()
        except OSError:
            return
        if len(self._senders) >= MOST_SENDERS:
            made.close()
            self._complain(
                f"senders {self._number}", f"port {self._number} has {MOST_SENDERS} senders: one more is refused"
            )
            return
        made.setblocking(False)
        sender = Sender(made, peer[0].encode(), time.monotonic())
        self._senders[made.fileno()] = sender
        self._selector.register(made, selectors.EVENT_READ, lambda: self._hear(sender))

    def _hear(self, sender: Sender) -> bool:
        """Whether it may say more."""
        ended = False
        try:
            data = sender.socket.recv(LONGEST)
            ended = not data
        except BlockingIOError:
            return False
        except OSError:
            data, ended = b"", True
        messages = sender.take(data, ended)
        if messages:
            sender.heard = time.monotonic()
            micros = time.time_ns() // 1000
            self._write(b"".join(row(micros, sender.peer, one) for one in messages), len(messages))
        if ended:
            self._leave(sender)
        return not ended

    def _leave(self, sender: Sender) -> None:
        self._selector.unregister(sender.socket)
        del self._senders[sender.socket.fileno()]
        sender.socket.close()

    def look(self, now: float) -> None:
        """See `Port.look`; who has been silent for long has to come again."""
        super().look(now)
        if self._socket is not None:
            for sender in [one for one in self._senders.values() if now - one.heard > SILENT_S]:
                self._leave(sender)

    def finish(self) -> None:
        """See `Port.finish`."""
        if self._socket is not None:
            self._selector.unregister(self._socket)
            self._socket.close()
            for sender in list(self._senders.values()):
                while self._hear(sender):
                    pass
                if sender.socket.fileno() >= 0:
                    messages = sender.take(b"", True)
                    if messages:
                        micros = time.time_ns() // 1000
                        self._write(b"".join(row(micros, sender.peer, one) for one in messages), len(messages))
                    self._leave(sender)


class Sender:
    """One connection, and what it has said of its next message."""

    def __init__(self, socket: socket.socket, peer: bytes, now: float) -> None:
        self.socket, self.peer, self.heard = socket, peer, now
        self._rest = b""

    def take(self, data: bytes, ended: bool) -> list[bytes]:
        """The messages that are whole now; with ``ended`` also the last one without an end."""
        rest = self._rest + data
        messages: list[bytes] = []
        while rest:
            if rest[:1].isdigit():
                # octet counting: LENGTH SPACE MESSAGE; a message itself begins with "<"
                length, space, after = rest[:8].partition(b" ")
                if not space and len(rest) < 8 and rest.isdigit() and not ended:
                    break
                if space and length.isdigit() and rest[len(length) + 1 : len(length) + 2] in (b"<", b""):
                    begin, end = len(length) + 1, len(length) + 1 + int(length)
                    if len(rest) < end and len(rest) < LONGEST and not ended:
                        break
                    messages.append(rest[begin:end])
                    rest = rest[end:].lstrip(b"\n")
                    continue
            line, newline, after = rest.partition(b"\n")
            if not newline and len(rest) < LONGEST and not ended:
                break
            messages.append(line[:LONGEST])
            rest = after if newline else line[LONGEST:]
        self._rest = rest
        return [one for one in messages if one.strip()]
