"""Syslog and JSON lines over UDP and TCP: one thread that takes what comes and writes it to the spool, and nothing else.

It never waits for Elasticsearch or for the thread that makes documents. What the kernel dropped because its buffer was full
is asked of the socket (SO_MEMINFO, socket(7)), counted, and written to the spool as a row that becomes a document. What the
spool has no room for is counted in the same way.
"""

from __future__ import annotations

import os
import selectors
import socket
import struct
import threading
import time
from collections.abc import Callable, Sequence

from ...contract import JsonLines, Syslog
from ..forms.received import DROPPED, row
from ..source import Source
from .spooling import SpoolFile

#: linux/socket.h; the ninth number of SO_MEMINFO is how many datagrams were dropped (SK_MEMINFO_DROPS).
_SO_RCVBUFFORCE, _SO_MEMINFO = 33, 55
_MEMINFO = struct.Struct("9I")

#: The largest datagram, and the longest message of a TCP connection; what is longer is cut.
LONGEST = 128 * 1024

#: So many datagrams are taken before they are written, so often all is synced, and the drops are asked for.
AT_ONCE, SYNC_S, ASK_S = 512, 0.2, 1.0

#: TCP: how many senders there may be, and how long one may be silent.
MOST_SENDERS, SILENT_S = 256, 3600.0

Complain = Callable[[str, str], None]


class Receiver:
    """All sockets of a forwarder. Its sources are found in the spool: it gives none itself."""

    def __init__(self, syslog: Syslog, json: JsonLines, spool: str, host: str, complain: Complain) -> None:
        """Opens the sockets and begins to take; a port that can't be had is said, and tried again."""
        self._complain = complain
        self._selector = selectors.DefaultSelector()
        self._over = threading.Event()
        self._wake_read, self._wake_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._selector.register(self._wake_read, selectors.EVENT_READ, None)
        self._ports: list[Port] = []
        files: dict[str, SpoolFile] = {}
        for format, kind, number, address, buffer in (
            ("syslog", "udp", syslog.udp, syslog.address, syslog.buffer),
            ("syslog", "tcp", syslog.tcp, syslog.address, syslog.buffer),
            ("json", "udp", json.udp, json.address, json.buffer),
        ):
            if number:
                file = files.setdefault(format, SpoolFile(spool, format, host, format))
                made = Datagrams if kind == "udp" else Listener
                self._ports.append(made(self._selector, file, address, number, int(buffer * 1024 * 1024), complain))
        self._files = list(files.values())
        self._thread = threading.Thread(target=self._run, name="receiver", daemon=True)
        self._thread.start()

    @property
    def lost(self) -> int:
        """See `spool.Input`."""
        return sum(port.lost for port in self._ports)

    def discover(self, now: float) -> Sequence[Source]:
        """See `spool.Input`: the streams are registered in the spool, where they are found as all others."""
        return ()

    def close(self) -> None:
        """Take what the sockets hold, and no more."""
        self._over.set()
        os.write(self._wake_write, b"x")
        self._thread.join(5.0)

    def _run(self) -> None:
        next_sync = next_ask = 0.0
        while not self._over.is_set():
            now = time.monotonic()
            if now >= next_ask:
                next_ask = now + ASK_S
                for port in self._ports:
                    port.look(now)
            timeout = max(0.0, min(next_sync, next_ask) - now) if any(file.dirty for file in self._files) else ASK_S
            for key, _ in self._selector.select(timeout):
                if key.data is not None:
                    key.data()
            if time.monotonic() >= next_sync:
                next_sync = time.monotonic() + SYNC_S
                self._sync()
        for port in self._ports:
            port.finish()
        self._sync()
        for file in self._files:
            file.close()

    def _sync(self) -> None:
        for file in self._files:
            try:
                file.sync()
            except OSError as error:
                self._complain("received", f"what was received cannot be written to the disk: {error.strerror}")


class Port:
    """A port, open as soon as it can be had; writes rows to the spool and counts those that it has no room for."""

    def __init__(
        self,
        selector: selectors.BaseSelector,
        file: SpoolFile,
        address: str,
        number: int,
        buffer: int,
        complain: Complain,
    ) -> None:
        self._selector, self._file = selector, file
        self._address, self._number, self._buffer = address, number, buffer
        self._complain = complain
        self._socket: socket.socket | None = None
        #: Messages that were lost, and those of them that a row has told of.
        self.lost = self._told = 0
        self.look(time.monotonic())

    def look(self, now: float) -> None:
        """Open the port if it is not, and tell what was lost."""
        if self._socket is None:
            try:
                self._socket = self._open()
            except OSError as error:
                self._complain(
                    f"port {self._number}",
                    f"cannot listen on {self._address} port {self._number}: {error.strerror}; trying again",
                )
        self._tell()

    def finish(self) -> None:
        """Take what is there, and close."""

    def _open(self) -> socket.socket:
        raise NotImplementedError

    def _write(self, rows: bytes, count: int) -> None:
        try:
            self._file.append(rows)
        except OSError as error:
            self.lost += count
            self._complain(
                "received", f"what was received has no room in the spool ({error.strerror}): it is dropped and counted"
            )

    def _tell(self) -> None:
        if self.lost > self._told:
            lost = self.lost
            try:
                self._file.append(row(time.time_ns() // 1000, DROPPED, b"%d" % (lost - self._told)))
                self._told = lost
            except OSError:
                pass  # the next look tries again


class Datagrams(Port):
    """A UDP port."""

    _dropped = 0

    def _open(self) -> socket.socket:
        family = socket.AF_INET6 if ":" in self._address else socket.AF_INET
        made = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        try:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._buffer)
            try:
                made.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, self._buffer)  # beyond net.core.rmem_max
            except OSError:
                pass  # we are not root
            made.bind((self._address, self._number))
        except OSError:
            made.close()
            raise
        self._dropped = 0
        self._selector.register(made, selectors.EVENT_READ, self._take)
        return made

    def _take(self) -> int:
        """Up to so many datagrams as one write; how many they were."""
        assert self._socket is not None
        receive = self._socket.recvfrom
        rows: list[bytes] = []
        micros = time.time_ns() // 1000
        try:
            while len(rows) < AT_ONCE:
                data, peer = receive(LONGEST)
                rows.append(row(micros, peer[0].encode(), data))
        except BlockingIOError:
            pass
        except OSError as error:
            self._complain(f"port {self._number}", f"cannot receive on port {self._number}: {error.strerror}")
        if rows:
            self._write(b"".join(rows), len(rows))
        return len(rows)

    def look(self, now: float) -> None:
        """See `Port.look`; the kernel's drops are counted."""
        self._ask()
        super().look(now)

    def finish(self) -> None:
        """See `Port.finish`."""
        if self._socket is not None:
            while self._take():
                pass
            self._ask()
            self._tell()
            self._selector.unregister(self._socket)
            self._socket.close()

    def _ask(self) -> None:
        if self._socket is None:
            return
        try:
            numbers = _MEMINFO.unpack(self._socket.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _MEMINFO.size))
        except (OSError, struct.error):
            return  # a kernel before 4.12
        dropped = numbers[8]
        self.lost += (dropped - self._dropped) & 0xFFFFFFFF
        self._dropped = dropped


class Listener(Port):
    """A TCP port: messages end with a newline or say their length (RFC 6587)."""

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
        self._senders: dict[int, Sender] = {}
        self._selector.register(made, selectors.EVENT_READ, self._accept)
        return made

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
